"""Authorities, and certificates that they sign: valid now, long ago or not yet."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


class Authority:
    """One of that name; what it signs is in `folder`, and its own certificate at `file`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(f"authority {name}")
        signed = _signed(self._name, self._key, self._name, self._key, days=(-1, 365), usage=None, names=())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def broker(self, name: str, *names: str, days: tuple[int, int] = (-1, 30)) -> Path:
        """Sign for a broker that is called by `names`: the certificate's file, with the key beside it."""
        return self._sign(name, "broker", days, ExtendedKeyUsageOID.SERVER_AUTH, names or ("127.0.0.1",))

    def client(self, name: str, common_name: str = "dalla", days: tuple[int, int] = (-1, 30)) -> Path:
        """Sign for a client, who will be the user `common_name`."""
        return self._sign(name, common_name, days, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def _sign(
        self, name: str, common_name: str, days: tuple[int, int], usage: x509.ObjectIdentifier, names: tuple[str, ...]
    ) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _signed(_named(common_name), key, self._name, self._key, days, usage, names)
        file = self._folder / f"{name}.pem"
        file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        key_file(file).touch(0o600)
        key_file(file).write_bytes(_in_pem(key, serialization.NoEncryption()))
        return file

    def change_key(self, certificate: Path, passphrase: str | None = None) -> None:
        """Put another key in place of that of `certificate`, locked by a passphrase or not."""
        lock = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else None
        key = ec.generate_private_key(ec.SECP256R1())
        key_file(certificate).write_bytes(_in_pem(key, lock or serialization.NoEncryption()))


def of_broker(certificate: Path) -> str:
    """Settings of a Mosquitto that shows `certificate`."""
    return f"certfile {certificate}\nkeyfile {key_file(certificate)}\n"


def key_file(certificate: Path) -> Path:
    """Where the key of a certificate is."""
    return certificate.with_suffix(".key")


def _in_pem(key: ec.EllipticCurvePrivateKey, lock: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _signed(  # noqa: PLR0917  # what a certificate says
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    days: tuple[int, int],
    usage: x509.ObjectIdentifier | None,
    names: tuple[str, ...],
) -> x509.Certificate:
    """Valid from one day to another, counted from today. `usage` None: an authority's own."""
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if usage is not None:
        made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    else:
        made = made.add_extension(_OF_AUTHORITIES, critical=True)
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    return made.sign(signer, hashes.SHA256())


_OF_AUTHORITIES = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
