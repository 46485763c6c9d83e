"""Doors of the firmware that encrypts all it says: RSA for a sign, AES for the data.

Source: docs/router.md, "Login variants"; the sources' own name for it is GDPR, after `/cgi_gdpr`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from hashlib import md5
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from dalla_mqtt.router.simulator.replies import Reply
from dalla_mqtt.router.simulator.sessions import (
    BAD_REQUEST,
    WRONG_PASSWORD,
    SessionDoor,
    decrypt_pkcs1,
    decrypt_zero_padded,
    query_fields,
    script,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dalla_mqtt.router.simulator.cgi import Request
    from dalla_mqtt.router.simulator.doors import Ask
    from dalla_mqtt.router.simulator.firmware import Firmware
    from dalla_mqtt.router.simulator.sessions import Session

_ENVELOPE = re.compile(r"sign=([0-9A-Fa-f]+)\r\ndata=([0-9A-Za-z+/=]+)\r\n")
_LOGIN = re.compile(r"8\r\n\[/cgi/login#0,0,0,0,0,0#0,0,0,0,0,0\]0,2\r\nusername=([^\r\n]*)\r\npassword=([^\r\n]*)\r\n")
_KEY_LENGTH = 16
_HIDDEN = re.compile(r"(?m)^\[(?!IGD_DEV_INFO#|SYS_MODE#|/cgi/)")  # from who is not trusted, with `one_connection`


class Key(NamedTuple):
    """AES-128 in CBC mode, as the firmware uses it: both are the ASCII of digits, and the IV never changes."""

    key: bytes
    iv: bytes

    def encrypt(self, clear: bytes) -> bytes:
        """In base64."""
        padder, encryptor = PKCS7(128).padder(), self._cipher().encryptor()
        padded = padder.update(clear) + padder.finalize()
        return b64encode(encryptor.update(padded) + encryptor.finalize())

    def decrypt(self, text: str) -> str:
        """What base64 `text` says. ValueError where it says nothing."""
        unpadder, decryptor = PKCS7(128).unpadder(), self._cipher().decryptor()
        padded = decryptor.update(b64decode(text, validate=True)) + decryptor.finalize()
        return (unpadder.update(padded) + unpadder.finalize()).decode()

    def _cipher(self) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES(self.key), modes.CBC(self.iv))


class Letter(NamedTuple):
    """One encrypted request, opened. `total`: what its sign says that seq and the length of the data come to."""

    text: str
    key: Key
    digest: str
    total: int
    length: int


def open_door(firmware: Firmware, username: str, password: str) -> EncryptedDoor:
    """The way into a router that encrypts."""
    door = {"gdpr": ZeroPaddedDoor, "gdpr-pkcs1": Pkcs1Door, "mr": TokenDoor}[firmware.login]
    return door(firmware, username, password)


class EncryptedDoor(SessionDoor):
    """Login and batches come to `/cgi_gdpr`, as a sign and data; the answers are data."""

    usual_refusal = 406
    has_token = False
    scripts: ClassVar[dict[str, str]] = {
        **SessionDoor.scripts,
        "/js/tpEncrypt.js": "this.sign = $.rsa.encrypt(s, this.nn, this.ee, 512, 0);\n",
    }
    unseal: Callable[[str], bytes] = staticmethod(decrypt_zero_padded)

    def __init__(self, firmware: Firmware, username: str, password: str) -> None:
        super().__init__(firmware, username, password)
        self._digest = md5(f"{username}{password}".encode(), usedforsecurity=False).hexdigest()
        self._key: Key | None = None  # of the session
        self._hides = firmware.one_connection
        self._trusted: set[str] = set()  # who once logged in over one connection
        self._connections: dict[str, set[int]] = {}  # of each client, since it last saw the login page

    def page(self, request: Request, now: float) -> Reply:
        """See Door."""
        if request.path == "/" and not self.known(request, now):
            self._connections[request.client] = set()
        self._connections.setdefault(request.client, set()).add(request.connection)
        return super().page(request, now)

    def answer(self, request: Request, now: float, ask: Ask) -> Reply:
        """See Door."""
        self._connections.setdefault(request.client, set()).add(request.connection)
        return super().answer(request, now, ask)

    def forget(self) -> None:
        """See Door."""
        super().forget()
        self._trusted.clear()

    def log_in(self, request: Request, now: float) -> Reply:
        """See SessionDoor. This firmware logs in by `/cgi_gdpr`."""
        del request, now
        return self.refuse()

    def batch(self, request: Request, now: float, ask: Ask) -> Reply:
        """See SessionDoor."""
        if request.path != "/cgi_gdpr":
            return self.refuse()
        envelope = _ENVELOPE.fullmatch(request.body.decode("latin-1"))
        letter = self.open(request, now, *envelope.groups()) if envelope else None
        if letter is None:
            return self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
        if login := _LOGIN.fullmatch(letter.text):
            return self.receive(request, now, letter, login.groups())
        session = self.known(request, now)
        if session is None or not self.accepts(session, request, letter):
            return self.refuse()
        query, _, body = letter.text.partition("\r\n")
        self._key = letter.key
        if self._hides and request.client not in self._trusted and _HIDDEN.search(body):
            return Reply.page(HTTPStatus.INTERNAL_SERVER_ERROR)
        return _sealed(ask(query, body.encode("latin-1", "replace")), letter.key)

    def accepts(self, session: Session, request: Request, letter: Letter) -> bool:
        """Whether `session` may ask what `letter` says: its sign is right."""
        del request
        return letter.digest == self._digest and letter.total == session.seq + letter.length

    def open(self, request: Request, now: float, sign: str, data: str) -> Letter | None:
        """The request of `sign` and `data`. A sign without a key means the one that the session set.

        None where it cannot be read.
        """
        try:
            fields = query_fields(self.unseal(sign).decode())
            key = self._key if self.known(request, now) else None
            if "key" in fields:
                key = Key(fields["key"].encode(), fields["iv"].encode())
            if key is None or {len(part) for part in key} != {_KEY_LENGTH}:
                return None
            return Letter(key.decrypt(data), key, fields["h"], int(fields["s"]), len(data))
        except (KeyError, ValueError):
            return None

    def receive(self, request: Request, now: float, letter: Letter, credentials: tuple[str, ...]) -> Reply:
        """The reply to a login at `/cgi_gdpr`."""
        if self.seat.taken(request.client, now):
            return self.refuse()
        number, session = self.judge(request, now, letter, credentials)
        reply = script(f"[cgi]0\n{self.result(number, now)}[error]0\n")
        reply.session = session.identity if session else None
        return _sealed(reply, letter.key)

    def judge(
        self, request: Request, now: float, letter: Letter, credentials: tuple[str, ...]
    ) -> tuple[int, Session | None]:
        """What a login comes to."""
        seq = self.seq(request)
        if seq is None or letter.total != seq + letter.length:
            return BAD_REQUEST, None
        right = credentials == (self.username, self.password) and letter.digest == self._digest
        if not self.seat.admit(now, right=right):
            return WRONG_PASSWORD, None
        self._key = letter.key
        if self._connections[request.client] == {request.connection}:
            self._trusted.add(request.client)
        return 0, self.begin(request, now)


class ZeroPaddedDoor(EncryptedDoor):
    """TL-WR841N: nobody logs in who has not fetched the login page before."""

    def __init__(self, firmware: Firmware, username: str, password: str) -> None:
        super().__init__(firmware, username, password)
        self._visitors: set[str] = set()

    def page(self, request: Request, now: float) -> Reply:
        """See Door."""
        if request.path == "/" and not self.known(request, now):
            self._visitors.add(request.client)
        return super().page(request, now)

    def forget(self) -> None:
        """See Door."""
        super().forget()
        self._visitors.clear()

    def begin(self, request: Request, now: float) -> Session:
        """See SessionDoor."""
        self._visitors.discard(request.client)
        return super().begin(request, now)

    def receive(self, request: Request, now: float, letter: Letter, credentials: tuple[str, ...]) -> Reply:
        """See EncryptedDoor."""
        if request.client not in self._visitors:
            return Reply.page(HTTPStatus.INTERNAL_SERVER_ERROR)
        return super().receive(request, now, letter, credentials)


class Pkcs1Door(EncryptedDoor):
    """Archer C50 v4: a session is complete once the page `/` was fetched."""

    scripts: ClassVar[dict[str, str]] = {
        **SessionDoor.scripts,
        "/js/tpEncrypt.js": "this.sign = $.rsa.encrypt(s, this.nn, this.ee, 512, 1);\n",
    }
    unseal: Callable[[str], bytes] = staticmethod(decrypt_pkcs1)

    def accepts(self, session: Session, request: Request, letter: Letter) -> bool:
        """See EncryptedDoor."""
        return session.seen and super().accepts(session, request, letter)


class TokenDoor(EncryptedDoor):
    """MR and VR: the login is a URL, and every later request carries the token of the page `/`."""

    usual_attempts = 5
    has_token = True

    def log_in(self, request: Request, now: float) -> Reply:
        """See SessionDoor."""
        if self.seat.taken(request.client, now):
            return self.refuse()
        fields = query_fields(request.query)
        letter = self.open(request, now, fields.get("sign", ""), fields.get("data", ""))
        number, session = BAD_REQUEST, None
        if letter is not None:
            username, _, password = letter.text.partition("\n")
            number, session = self.judge(request, now, letter, (username, password))
        reply = script(self.result(number, now))
        reply.session = session.identity if session else None
        return reply

    def accepts(self, session: Session, request: Request, letter: Letter) -> bool:
        """See EncryptedDoor."""
        return request.token == session.token and super().accepts(session, request, letter)


def _sealed(reply: Reply, key: Key) -> Reply:
    """`reply`, where it is what was asked for and no page or nothing at all."""
    if reply.status is HTTPStatus.OK and reply.content_type == "text/plain" and reply.body:
        reply.body = key.encrypt(reply.body)
    return reply
