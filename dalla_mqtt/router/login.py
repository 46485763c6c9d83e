"""The ways into the router. Which one its firmware has is found by asking what takes no password.

Source: docs/router.md, "Login variants" and "Sessions, logout, lock-out".
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Protocol

import requests

from dalla_mqtt.errors import AdminBusy, BadReply, LoginRefused, RouterUnreachable
from dalla_mqtt.router.cgi import CALL, Reply, Section, decode, encode
from dalla_mqtt.router.exchange import Answer, Exchange

if TYPE_CHECKING:
    from dalla_mqtt.router.envelope import Envelope, PublicKey

LOGOUT = (Section(CALL, "/cgi/logout"),)

_CREDENTIAL_LENGTH = 15  # old firmware compares no more of the user name and of the password
_BAD_CREDENTIALS = range(71230, 71234)  # user name, user type, argument, password: the router's err.js
_BAD_REQUEST = 71234
_NOT_LOGGED_IN = 71145
_NOT_ACCEPTED = (requests.codes.server_error, requests.codes.not_acceptable)
_ENDED = "the router ended the session: another administrator has logged in"
_RETURNED = re.compile(r"\$\.ret\s*=\s*(-?\d{1,9})\s*;")
_TRIES = re.compile(r"\bcurrAuthTimes\s*=\s*(\d{1,9})")
_LOCKED = re.compile(r"\bcurrForbidTime\s*=\s*[1-9]")
_MOST_TRIES = 10  # then it is locked, for two hours
_BUSY = re.compile(r"\bis(Logined|Busy)\s*=\s*1\b")
_TOKEN = re.compile(r'\btoken\s*=\s*"([0-9A-Za-z]{1,128})"')
_PADDING = re.compile(r"\b512\s*,\s*([01])\b")  # $.rsa.encrypt(…, 512, 1) in the router's own script
_KEY = (Section(CALL, "/cgi/getParm"),)


class Way(Protocol):
    """A kind of login. `ask` logs in where it must; the session lasts until `leave`."""

    name: str

    def ask(self, sections: tuple[Section, ...]) -> Reply:
        """Raises LoginRefused, AdminBusy, RouterUnreachable or BadReply."""

    def leave(self) -> None:
        """Give the login back, if it is ours. Raises RouterUnreachable or BadReply."""


class PlainCookie:
    """Variant (a): user name and password with each request, cut to 15 characters as this firmware does."""

    name = "cookie"

    def __init__(self, exchange: Exchange, username: str, password: str) -> None:
        self._exchange = exchange
        pair = f"{username[:_CREDENTIAL_LENGTH]}:{password[:_CREDENTIAL_LENGTH]}"
        # never quoted or encoded: the router compares the text
        self._headers = {"Cookie": f"Authorization=Basic {base64.b64encode(pair.encode()).decode()}"}
        self._inside = False
        self.understood = False  # whether an answer ever was of the kind that this firmware gives

    def ask(self, sections: tuple[Section, ...]) -> Reply:
        """See Way."""
        self._inside = True
        try:
            answer = _post(self._exchange, sections, self._headers)
            _expect_ok(answer.status)
            self.understood = self.understood or answer.text.startswith("[")
            return _decoded(answer, answer.text)
        except (AdminBusy, LoginRefused):
            self._inside = False  # there is no session of ours to leave, and asking would count as one more try
            raise

    def leave(self) -> None:
        """See Way."""
        if self._inside:
            self._inside = False
            _post(self._exchange, LOGOUT, self._headers, last=True)


class RsaLogin:
    """Variant (b): user name and password encrypted, data plain. One more request each for key, login and token."""

    name = "rsa"

    def __init__(self, exchange: Exchange, username: str, password: str) -> None:
        self._exchange = exchange
        self._username = username
        self._password = password
        self._headers: dict[str, str] | None = None  # of our session

    def ask(self, sections: tuple[Section, ...]) -> Reply:
        """See Way."""
        if self._headers is None:
            _expect_nobody(self._exchange)
            self._log_in(_public_key(self._exchange))
        answer = _post(self._exchange, sections, self._headers or {})
        return _ours(answer, answer.text)

    def leave(self) -> None:
        """See Way."""
        headers, self._headers = self._headers, None
        if headers is not None:
            _post(self._exchange, LOGOUT, headers, last=True)

    def _log_in(self, key: PublicKey) -> None:
        username = key.encrypt(self._username.encode(), pkcs1=True)
        password = key.encrypt(base64.b64encode(self._password.encode()), pkcs1=True)
        answer = self._exchange.post(
            f"/cgi/login?UserName={username}&Passwd={password}&Action=1&LoginStatus=0", b"", {}
        )
        _expect_accepted(answer, answer.text)
        self._headers = _session(answer)
        self._headers |= _token(self._exchange, self._headers)


class EncryptedLogin:
    """Variant (c): all is encrypted, on one connection. `pkcs1`: how signs are padded; None where nobody knows."""

    name = "gdpr"

    def __init__(self, exchange: Exchange, username: str, password: str, *, pkcs1: bool | None) -> None:
        self._exchange = exchange
        self._username = username
        self._password = password
        self._pkcs1 = pkcs1
        self._envelope: Envelope | None = None
        self._headers: dict[str, str] = {}

    def ask(self, sections: tuple[Section, ...]) -> Reply:
        """See Way."""
        if self._envelope is None:
            self._log_in()
        answer = self._exchange.post("/cgi_gdpr", self._sealed(sections), self._headers)
        try:
            return _ours(answer, self._opened(answer))
        except AdminBusy:
            self._exchange.keep_again()  # some say so to whoever did not come over one connection
            raise

    def leave(self) -> None:
        """See Way."""
        try:
            if self._envelope is not None:
                body = self._sealed(LOGOUT)
                self._exchange.post("/cgi_gdpr", body, self._headers, last=True)
        finally:
            self._envelope = None
            self._exchange.close()

    def _log_in(self) -> None:
        self._exchange.keep = True
        self._exchange.get("/", {})  # or else the login is refused by some
        _expect_nobody(self._exchange)
        try:
            self._headers = _session(self._accepted())
        except (AdminBusy, BadReply, LoginRefused):
            self._envelope = None  # there is no session of ours to leave, and asking would count as one more try
            raise
        self._headers |= _token(self._exchange, self._headers)

    def _accepted(self) -> Answer:
        answer, text = self._try(pkcs1=bool(self._pkcs1))
        if self._pkcs1 is None:
            self._pkcs1 = answer.status in _NOT_ACCEPTED or _returned(text) == _BAD_REQUEST
            if self._pkcs1:  # nobody is in, so that the router could not read what we sent: that was no try
                answer, text = self._try(pkcs1=True)
        _expect_accepted(answer, text)
        return answer

    def _try(self, *, pkcs1: bool) -> tuple[Answer, str]:
        from dalla_mqtt.router.envelope import Envelope  # noqa: PLC0415  # costs memory that old firmware need not pay

        self._envelope = Envelope(_public_key(self._exchange), self._username, self._password, pkcs1=pkcs1)
        names = (f"username={self._username}", f"password={self._password}")
        answer = self._exchange.post("/cgi_gdpr", self._sealed((Section(CALL, "/cgi/login", names),)), {})
        try:
            return answer, self._opened(answer)
        except BadReply as error:
            raise AdminBusy(str(error), maybe_refused=True) from error

    def _sealed(self, sections: tuple[Section, ...]) -> bytes:
        assert self._envelope is not None
        query, body = encode(sections)
        return self._envelope.seal(f"{query}\r\n{body.decode()}")

    def _opened(self, answer: Answer) -> str:
        return self._envelope.open(answer.text) if self._envelope and answer.status == requests.codes.ok else ""


def recognise(exchange: Exchange, username: str, password: str) -> Way | None:
    """The newer way in that the router's firmware has, asked without the password; None where it has none.

    Raises RouterUnreachable.
    """
    try:
        _public_key(exchange)
    except (AdminBusy, BadReply, LoginRefused):
        return None
    script = exchange.get("/js/tpEncrypt.js", {})
    if script.status != requests.codes.ok or "<html" in script.text[:1000].lower():
        return RsaLogin(exchange, username, password)
    return EncryptedLogin(exchange, username, password, pkcs1=pads_by_pkcs1(script.text))


def pads_by_pkcs1(script: str) -> bool | None:
    """Whether the router's own `tpEncrypt.js` pads as PKCS#1 v1.5 has it; None where that does not show."""
    padding = _PADDING.search(script)
    return padding and padding[1] == "1"


def _post(exchange: Exchange, sections: tuple[Section, ...], headers: dict[str, str], *, last: bool = False) -> Answer:
    """What `/cgi` answers to `sections`, in the clear."""
    query, body = encode(sections)
    return exchange.post(f"/cgi?{query}", body, headers, last=last)


def _public_key(exchange: Exchange) -> PublicKey:
    """What to encrypt a password with. Both ways to ask for it are seen in the field."""
    from dalla_mqtt.router.envelope import PublicKey  # noqa: PLC0415  # costs memory that old firmware need not pay

    answer = exchange.post("/cgi/getParm", b"", {})
    if answer.status != requests.codes.ok:
        answer = _post(exchange, _KEY, {})
    _expect_ok(answer.status)
    return PublicKey.parse(answer.text)


def _expect_nobody(exchange: Exchange) -> None:
    """Ask whether another administrator is in, as the router's own page does: to log in might turn them out."""
    if len(set(_BUSY.findall(exchange.post("/cgi/getBusy", b"", {}).text))) > 1:
        raise AdminBusy("another administrator is logged in to the router")


def _expect_accepted(answer: Answer, text: str) -> None:
    """`text`: what the answer to a login says."""
    _expect_ok(answer.status)
    returned = _returned(text)
    if returned in _BAD_CREDENTIALS:
        tries = _TRIES.search(text)
        if _LOCKED.search(text) or (tries and int(tries[1]) >= _MOST_TRIES):
            raise AdminBusy("the router is locked, after too many wrong passwords from anywhere", maybe_refused=True)
        counted = f" (wrong tries: {tries[1]})" if tries else ""
        raise LoginRefused(f"the router refused the user name or the password: [error]{returned}{counted}")
    if returned == _BAD_REQUEST:
        why = f"the router does not understand the login of this program: [error]{returned}"
        raise AdminBusy(why, maybe_refused=True)
    if returned != 0:  # it may be one more way to say no
        raise AdminBusy(f"the router answered the login with {text[:60]!r}", maybe_refused=True)


def _returned(text: str) -> int | None:
    returned = _RETURNED.search(text)
    return int(returned[1]) if returned else None


def _session(answer: Answer) -> dict[str, str]:
    """The header lines of the session that `answer` lets us into."""
    return {"Cookie": f"JSESSIONID={answer.cookie}"} if answer.cookie else {}


def _token(exchange: Exchange, headers: dict[str, str]) -> dict[str, str]:
    """One more of them: a session is whole when its first page was looked at, which has a token on some firmware."""
    token = _TOKEN.search(exchange.get("/", headers).text)
    return {"TokenID": token[1]} if token else {}


def _ours(answer: Answer, text: str) -> Reply:
    """What comes in a session that was ours."""
    if answer.status in _NOT_ACCEPTED:
        raise AdminBusy(_ENDED)
    _expect_ok(answer.status)
    return _decoded(answer, text)


def _decoded(answer: Answer, text: str) -> Reply:
    try:
        reply = decode(text)
    except BadReply as error:
        if answer.whole:
            raise
        raise RouterUnreachable("the router's answer broke off") from error
    if reply.error and not answer.whole:
        raise RouterUnreachable("the router's answer broke off")  # of [error]71233, [error]7 may have come
    if reply.error in _BAD_CREDENTIALS:
        raise LoginRefused(f"the router refused the user name or the password: [error]{reply.error}")
    if reply.error == _NOT_LOGGED_IN:
        raise AdminBusy(_ENDED)
    return reply


def _expect_ok(status: int) -> None:
    if status == requests.codes.ok:
        return
    if status == requests.codes.unauthorized:
        raise LoginRefused("the router refused the user name or the password: HTTP 401")
    if status in _NOT_ACCEPTED:
        text = f"another administrator is logged in to the router, or the password is wrong: HTTP {status}"
        raise AdminBusy(text, maybe_refused=True)
    if status == requests.codes.forbidden:
        raise BadReply("the router does not know itself by the address in router.url: HTTP 403")
    raise BadReply(f"the router answered HTTP {status}")
