"""Doors of the newer firmware: a login request, then a session that a cookie and mostly a token stand for.

Source: docs/router.md, "Login variants".
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from base64 import b64decode
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote

from dalla_mqtt.router.simulator.doors import LOCKED_S, Ask, Seat
from dalla_mqtt.router.simulator.replies import DELETED, LOGIN_PAGE, MODEL, Reply

if TYPE_CHECKING:
    from dalla_mqtt.router.simulator.cgi import Request
    from dalla_mqtt.router.simulator.firmware import Firmware

WRONG_PASSWORD = 71233
BAD_REQUEST = 71234

# Made for this simulator, and known to all the world: it keeps nothing secret.
_MODULUS = int(
    "d70b4dcf354343d7143598a6f69c714b97406cfa6e1fc46f12bad22bda86507d"
    "2b517efa17660159f460e42921a152ef3ad8930f6b030d7b17001c074ccf6ea3",
    16,
)
_PRIVATE_EXPONENT = int(
    "b0bc4398b6a7afcbc67a3e198ab90c8c19a5036bd6b2191948856e524868f720"
    "468a45a127ac7baee179d4ecb1d85b055b2f305e09bcc3bb5a77fa47d63f1051",
    16,
)
_BLOCK = 64  # bytes of the modulus
_IDENTITY_BYTES = 15  # the cookie JSESSIONID of a real C20, and the token, are 30 hexadecimal digits


@dataclass(slots=True)
class Session:
    """What the router remembers of who is logged in. `seq`: to which the length of each encrypted request is added."""

    client: str
    seq: int
    identity: str
    token: str
    seen: bool = False  # the page `/`, since the login


class SessionDoor(ABC):
    """What the doors with a login have in common."""

    usual_refusal: ClassVar[int]
    usual_attempts = 10
    has_token = True
    scripts: ClassVar[dict[str, str]] = {"/js/lib.js": "var ACT_GET = 1;\n"}

    def __init__(self, firmware: Firmware, username: str, password: str) -> None:
        self.attempts = firmware.attempts or self.usual_attempts
        self.seat = Seat(self.attempts)
        self.refusal = HTTPStatus(firmware.busy or self.usual_refusal)
        self.username = username
        self.password = password
        self._session: Session | None = None
        self._seqs: dict[str, int] = {}  # what each client was last told

    def answer(self, request: Request, now: float, ask: Ask) -> Reply:
        """See Door."""
        match request.path:
            case "/cgi/getParm":
                return script(self._parameters(request))
            case "/cgi" if request.query == "8" and request.body.startswith(b"[/cgi/getParm#"):
                return script("[cgi]0\n" + self._parameters(request) + "[error]0\n")
            case "/cgi/getBusy":
                taken = int(self.seat.taken(request.client, now))
                return script(f"var isLogined={taken};\nvar isBusy={taken};\n$.ret=0;\n")
            case "/cgi/login":
                return self.log_in(request, now)
            case _:
                return self.batch(request, now, ask)

    @abstractmethod
    def log_in(self, request: Request, now: float) -> Reply:
        """The reply to `/cgi/login`."""

    @abstractmethod
    def batch(self, request: Request, now: float, ask: Ask) -> Reply:
        """The reply to `/cgi` and `/cgi_gdpr`."""

    def page(self, request: Request, now: float) -> Reply:
        """See Door. `/` is the login page for whoever is not logged in; else it tells the token."""
        if request.path in self.scripts:
            return Reply(HTTPStatus.OK, self.scripts[request.path].encode(), "text/javascript")
        if request.path not in ("/", "/mainFrame.htm"):
            return Reply.page(HTTPStatus.NOT_FOUND)
        session = self.known(request, now)
        if session is None:
            return Reply(HTTPStatus.OK, LOGIN_PAGE, "text/html")
        session.seen = session.seen or request.path == "/"
        token = f'var token="{session.token}";' if self.has_token else ""
        page = b"<html><head><script>%b\n%b</script></head><body></body></html>" % (token.encode(), MODEL)
        return Reply(HTTPStatus.OK, page, "text/html")

    def log_out(self) -> None:
        """See Door."""
        self.seat.logouts += 1
        self.seat.leave()
        self._session = None

    def forget(self) -> None:
        """See Door."""
        self.seat.forget()
        self._session = None
        self._seqs.clear()

    def known(self, request: Request, now: float) -> Session | None:
        """The session that the client and its cookie belong to, which is not idle as of now."""
        session = self._session
        if (
            session is None
            or self.seat.owner(now) != session.client
            or session.client != request.client
            or request.cookie("JSESSIONID") != session.identity
        ):
            return None
        self.seat.take(request.client, now)
        return session

    def seq(self, request: Request) -> int | None:
        """What the client was last told, for its next login."""
        return self._seqs.get(request.client)

    def begin(self, request: Request, now: float) -> Session:
        """The session of a client whose credentials were right; whatever it had before is over."""
        self.seat.give(request.client, now)
        identity, token = (secrets.token_hex(_IDENTITY_BYTES) for _ in range(2))
        self._session = Session(request.client, self._seqs.get(request.client, 0), identity, token)
        return self._session

    def refuse(self, status: HTTPStatus | None = None) -> Reply:
        """What everybody is told who is not the administrator: the page of `status`, else of the usual refusal."""
        page = Reply.page(status or self.refusal)
        page.session = DELETED
        return page

    def result(self, number: int, now: float) -> str:
        """What a login comes to, as a script. A locked router says so in the second figure [I]."""
        if number != WRONG_PASSWORD:
            return f"$.ret={number};\n"
        locked_s = self.seat.locked_s(now)
        attempts, locked_s = (self.seat.failures, 0) if locked_s is None else (self.attempts, min(locked_s, LOCKED_S))
        return f"var currAuthTimes={attempts};\nvar currForbidTime={locked_s};\n$.ret={number};\n"

    def _parameters(self, request: Request) -> str:
        seq = self._seqs[request.client] = 10**8 + secrets.randbelow(9 * 10**8)
        return f'var ee="010001";\nvar nn="{_MODULUS:X}";\nvar seq="{seq}";\n$.ret=0;\n'


class RsaDoor(SessionDoor):
    """User name and password come encrypted, once; all the rest is in the clear."""

    usual_refusal = 500

    def log_in(self, request: Request, now: float) -> Reply:
        """See SessionDoor."""
        if self.seat.taken(request.client, now):
            return self.refuse()
        fields = query_fields(request.query)
        try:
            username = decrypt_pkcs1(fields["UserName"]).decode()
            password = b64decode(decrypt_pkcs1(fields["Passwd"]), validate=True).decode()
        except (KeyError, ValueError):
            return script(self.result(BAD_REQUEST, now))
        if not self.seat.admit(now, right=(username, password) == (self.username, self.password)):
            return script(self.result(WRONG_PASSWORD, now))
        reply = script(self.result(0, now))
        reply.session = self.begin(request, now).identity
        return reply

    def batch(self, request: Request, now: float, ask: Ask) -> Reply:
        """See SessionDoor."""
        session = self.known(request, now)
        if session is None or request.token != session.token or request.path != "/cgi":
            return self.refuse()
        return ask(request.query, request.body)


def script(text: str) -> Reply:
    """A reply that the router's pages run as JavaScript."""
    return Reply(HTTPStatus.OK, text.encode())


def query_fields(query: str) -> dict[str, str]:
    """The fields of a query string. A plus stands for itself: there are base64 and hexadecimal digits in it only."""
    pairs = (field.partition("=") for field in query.split("&"))
    return {name: unquote(value) for name, _, value in pairs}


def decrypt_pkcs1(text: str) -> bytes:
    """What a sender padded as PKCS#1 v1.5 says: 00 02, at least eight bytes but no zero, a zero. ValueError."""
    clear = b""
    for block in _decrypt(text):
        padding, zero, data = block[2:].partition(b"\0")
        if block[:2] != b"\0\2" or len(padding) < 8 or not zero:  # noqa: PLR2004  # PKCS#1
            raise ValueError("no padding of PKCS#1")
        clear += data
    return clear


def decrypt_zero_padded(text: str) -> bytes:
    """What a sender padded with zeros behind: the text ends at the first of them. ValueError."""
    return b"".join(_decrypt(text)).partition(b"\0")[0]


def _decrypt(text: str) -> list[bytes]:
    """The plain blocks of hexadecimal digits. ValueError where they are none, or no whole blocks."""
    cipher = bytes.fromhex(text)
    if not cipher or len(cipher) % _BLOCK:
        raise ValueError("no whole blocks")
    numbers = (int.from_bytes(cipher[start : start + _BLOCK], "big") for start in range(0, len(cipher), _BLOCK))
    return [pow(number, _PRIVATE_EXPONENT, _MODULUS).to_bytes(_BLOCK, "big") for number in numbers]
