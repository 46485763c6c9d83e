"""What a simulated router sends, and how it may be spoilt on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from dalla_mqtt.router.simulator import cgi

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dalla_mqtt.router.simulator.statistics import Row

Fault = Literal[
    "truncate",
    "html",
    "empty",
    "malformed",  # a line without `=`
    "bad_number",
    "zeros",  # for all counters
    "error",
    "drop_row",
    "drop_third",  # of the rows
    "double_row",
    "double_line",
    "blank_line",
    "cut",  # less than the header says
    "hang_up",  # without a word
    "silent",  # until the client has had enough
    "busy",
    "overdue",  # the page that says that the request came too slowly: 408
    "late",  # after the firmware's `late_s`
    "leak",  # a line with the size of a chunk before the answer
]

DELETED = "deleted; Expires=Thu, 01 Jan 1970 00:00:01 GMT"  # the value of a cookie that is no more
MODEL = b'var modelName="Archer C20";\nvar modelDesc="AC750 Wireless Dual Band Router ";'  # the page of a real one
LOGIN_PAGE = (
    b"<html><head><title>Archer C20</title><script>%b</script></head>"
    b"<body><form>User name, password</form></body></html>" % MODEL
)

_LEGIBLE: frozenset[Fault | None] = frozenset(
    (None, "drop_row", "drop_third", "double_row", "double_line", "blank_line", "late")
)
_TOTALS = re.compile(rb"(?<=\ntotal)(Pkts|Bytes|BytesRx|BytesTx)=\d+")
_FIRST_BYTES = re.compile(rb"(?<=\ntotal)(Bytes(?:Rx)?)=")
_SPOILT: dict[Fault | None, Callable[[bytes], bytes]] = {
    "truncate": lambda body: body[: len(body) // 2],
    "html": lambda _: LOGIN_PAGE,
    "empty": lambda _: b"",
    "malformed": lambda body: body.replace(b"[error]0", b"totalBytes 4711\n[error]0"),
    "bad_number": lambda body: _FIRST_BYTES.sub(rb"\1=-", body, 1),
    "zeros": lambda body: _TOTALS.sub(rb"\1=0", body),
    "error": lambda _: str(cgi.CgiError(cgi.INTERNAL_ERROR)).encode(),
    "double_line": lambda body: _TOTALS.sub(rb"\g<0>\ntotal\g<0>", body, 1),
    "blank_line": lambda body: body.replace(b"\n[", b"\n\n["),
}


@dataclass(slots=True)
class Reply:
    """What goes over the wire, and what comes of it once all of it has gone."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain"
    fault: Fault | None = None
    revealed: Sequence[Row] | None = None  # the rows whose counters are in it; None where it has no list of them
    afterwards: Callable[[], None] | None = None  # what the router does as soon as the reply is out
    session: str | None = None  # what the cookie JSESSIONID is set to

    @classmethod
    def page(cls, status: HTTPStatus) -> Reply:
        """The router's error page, byte for byte; docs/router.md, "HTTP status codes"."""
        title = f"{status.value} {status.phrase}"
        page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>"
        return cls(status, page.encode(), "text/html")

    def spoil(self) -> None:
        """Let the fault do to the body what it does."""
        if self.fault == "html":
            self.content_type = "text/html"
        if self.fault in _SPOILT:
            self.body = _SPOILT[self.fault](self.body)
        if self.fault not in _LEGIBLE:
            self.revealed = None  # nobody can know the counters from what is left
