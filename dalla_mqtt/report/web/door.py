"""Who is let in: names by which the page is called, the token, and Home Assistant's ingress."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from hmac import compare_digest
from ipaddress import ip_address

from dalla_mqtt.config import WebConfig

_SUPERVISOR = "172.30.32.2"  # from where Home Assistant asks for its users; its documentation, "Ingress"
_MAPPED = "::ffff:"  # an IPv4 address on a socket for IPv6


class Door:
    """Judges requests by their WSGI environment."""

    def __init__(self, web: WebConfig) -> None:
        name = socket.gethostname().lower()
        short = name.partition(".")[0]
        self._names = {"localhost", name, short, f"{short}.local", *web.hosts}
        self._token = web.token.value.encode() if web.token else None
        self._ingress = web.ingress
        self.reads_open = web.read == "open"

    @property
    def has_token(self) -> bool:
        """Whether there is a token with which anybody could change something."""
        return self._token is not None

    def through_home_assistant(self, environ: Mapping[str, str]) -> bool:
        """Whether one of its users asks, whom it has let in."""
        peer = environ.get("REMOTE_ADDR", "").removeprefix(_MAPPED)
        return self._ingress and peer == _SUPERVISOR and "HTTP_X_INGRESS_PATH" in environ

    def calls_us(self, environ: Mapping[str, str]) -> bool:
        """Whether the page is called by a name of its own: another page may have its name lead here (DNS rebinding)."""
        host = environ.get("HTTP_HOST", "").strip().lower()
        if host.startswith("["):
            name, _, port = host[1:].partition("]")
            return port[:1] in ("", ":") and _is_address(name)
        name = host.rpartition(":")[0] if ":" in host else host
        return name.removesuffix(".") in self._names or _is_address(name)

    def knows(self, environ: Mapping[str, str]) -> bool:
        """Whether the token was said."""
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        said = token.strip().encode("latin-1", "replace")
        return self._token is not None and scheme.lower() == "bearer" and compare_digest(said, self._token)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
