"""Whom we trust and who we are, where the broker is spoken to by TLS; and what is wrong where that does not come about.

Each fault is told as two texts: what it is, and its mend.
"""

from __future__ import annotations

import re
import socket
import ssl
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from dalla_mqtt.config import BrokerAddress, MqttConfig
from dalla_mqtt.errors import ConfigError

WITH_TLS = "with TLS, mqtt.url begins with mqtts:// and the port is mostly 8883"
WITHOUT_TLS = "without TLS, mqtt.url begins with mqtt:// and the port is mostly 1883"

# Verdicts of OpenSSL on a certificate. Source: x509_vfy.h.
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
_UNKNOWN_AUTHORITY = range(18, 22)

_LISTEN_S = 1.0
_ALERT = re.compile(r".*ALERT_(\w+)")
# What a broker says of our certificate, if it says anything. Source: RFC 8446, 6.2.
_ALERTS = {
    "CERTIFICATE_EXPIRED": ("our certificate has expired", "renew mqtt.cert_file; see the broker's clock, too"),
    "CERTIFICATE_REVOKED": ("our certificate was revoked", "have another one made for mqtt.cert_file"),
    "CERTIFICATE_REQUIRED": ("the broker asks for a certificate", "set mqtt.cert_file and mqtt.key_file"),
    "UNKNOWN_CA": (
        "our certificate is signed by an authority that the broker does not know",
        "have mqtt.cert_file signed by one that it knows (Mosquitto: cafile)",
    ),
}

_Stamp = tuple[int, int, int]


def tls_context(config: MqttConfig) -> ssl.SSLContext:
    """What a connection is to be made with: the files as they are now. Asked for the same again, it is the same one.

    Raises ConfigError for certificates that are none, and for a key that is locked or of another certificate.
    """
    files = (config.ca_file, config.cert_file, config.key_file)
    return _made(*files, tuple(_stamp(file) for file in files if file is not None))


def distrusted(host: str, error: ssl.SSLError) -> tuple[str, str]:
    """Why we do not speak with the broker at `host`."""
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else None
    if code == _EXPIRED:
        return "the broker's certificate has expired", "renew it at the broker; see this machine's clock, too"
    if code == _NOT_YET:
        return "the broker's certificate is not valid yet", "see this machine's clock, and that of the one that made it"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        mend = "write the name that stands in the certificate into mqtt.url, or have one made for this name"
        return f"the broker's certificate is not for {host}", mend
    if code in _UNKNOWN_AUTHORITY:
        mend = "name the certificate of who signed it (often ca.crt, at the broker) in mqtt.ca_file"
        return "the broker's certificate is signed by an authority that is not known here", mend
    if code is not None:
        return f"the broker's certificate is not good: {error.verify_message}", "renew it at the broker"  # type: ignore[attr-defined]
    return _alerted(error) or (f"no TLS came about: {error.reason or error}", WITHOUT_TLS)


def refused(address: BrokerAddress, context: ssl.SSLContext) -> tuple[str, str]:
    """Why a broker that spoke TLS hung up: what it says to who is silent, or what may be. Takes a second at most.

    With TLS 1.3 it judges our certificate when we speak already, and who speaks to a closed door does not hear why.
    """
    try:
        with (
            socket.create_connection((address.host, address.port), _LISTEN_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as line,
        ):
            line.recv(1)
    except ssl.SSLError as error:
        if (told := _alerted(error)) is not None:
            return told
    except OSError:
        pass
    mend = "a broker that asks for a certificate wants mqtt.cert_file and mqtt.key_file"
    return "it ended the connection without an answer", f"{mend}; {WITHOUT_TLS}"


def _alerted(error: ssl.SSLError) -> tuple[str, str] | None:
    """What the broker says of our certificate; None for anything else."""
    match = _ALERT.fullmatch(error.reason or "")
    if match is None or not ("CERTIFICATE" in match[1] or match[1] in _ALERTS):
        return None
    what = match[1].replace("_", " ").lower()
    mend = "is it valid by now, and made for clients? The broker's log says more"
    return _ALERTS.get(match[1], (f"the broker does not take our certificate: {what}", mend))


def _stamp(file: Path) -> _Stamp | None:
    """What is another one when the file was renewed."""
    try:
        found = file.stat()
    except OSError:
        return None  # told when it is read
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=16)
def _made(
    ca_file: Path | None, cert_file: Path | None, key_file: Path | None, _: tuple[_Stamp | None, ...]
) -> ssl.SSLContext:
    """The context of these files; many connections share it, each time 20 ms and half a MiB saved."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file, _passphrase)
    except OSError as error:  # ssl's errors are some
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError("mqtt.key_file: it is not the key of the certificate in mqtt.cert_file") from error
        files = "mqtt.ca_file, mqtt.cert_file, mqtt.key_file"
        raise ConfigError(f"{files}: not a certificate and its key in PEM: {error.strerror or error}") from error
    return context


def _passphrase() -> NoReturn:
    """OpenSSL would ask for it on the terminal, and wait."""
    mend = "take it off (`openssl pkey -in locked.key -out dalla.key`), and let nobody else read the file"
    raise ConfigError(f"mqtt.key_file: the key is locked by a passphrase: {mend}")
