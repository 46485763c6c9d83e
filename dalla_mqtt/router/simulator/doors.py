"""The ways into a simulated router: who is let in, and what they are shown who are not.

Sources: docs/router.md, "Sessions, logout, lock-out", "Login variants".
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from dalla_mqtt.router.simulator.replies import LOGIN_PAGE, Reply

if TYPE_CHECKING:
    from dalla_mqtt.router.simulator.cgi import Request
    from dalla_mqtt.router.simulator.firmware import Firmware

Ask = Callable[[str, bytes], Reply]  # query and body of a batch, in the clear

LOCKED_S = 7200

_CREDENTIAL_LENGTH = 15  # what the old firmware keeps of a user name, and of a password
_SESSION_IDLE_S = 600


class Door(Protocol):
    """One way in."""

    seat: Seat
    refusal: HTTPStatus  # with which it turns away who is not the administrator

    def answer(self, request: Request, now: float, ask: Ask) -> Reply:
        """The reply to a request for `/cgi…`: of the router, where `ask` may hear it, or of the door itself."""

    def page(self, request: Request, now: float) -> Reply:
        """A page or a script of the router's own user interface."""

    def log_out(self) -> None:
        """End the session."""

    def forget(self) -> None:
        """Nobody is in, and nobody has failed: all of this is kept in RAM."""


def open_door(firmware: Firmware, username: str, password: str) -> Door:
    """The way into a router of that firmware."""
    match firmware.login:
        case "cookie":
            return CookieDoor(firmware, username, password)
        case "rsa":
            from dalla_mqtt.router.simulator.sessions import RsaDoor  # noqa: PLC0415  # what few simulators need

            return RsaDoor(firmware, username, password)
        case _:
            from dalla_mqtt.router.simulator import encrypted  # noqa: PLC0415  # needs cryptography

            return encrypted.open_door(firmware, username, password)


class Seat:
    """The place of the one administrator, and how often somebody tried for it in vain."""

    def __init__(self, attempts: int) -> None:
        self.logins = 0
        self.logouts = 0
        self.wrong = 0  # passwords, since the simulator was made
        self.failures = 0
        self._attempts = attempts
        self._owner: str | None = None
        self._last_used = self._locked_since = float("-inf")

    def forget(self) -> None:
        """Nobody is in, and nobody has failed."""
        self._owner = None
        self._locked_since = float("-inf")
        self.failures = 0

    def owner(self, now: float) -> str | None:
        """Whose session it is."""
        return self._owner if now - self._last_used < _SESSION_IDLE_S else None

    def taken(self, client: str, now: float) -> bool:
        """Whether somebody else is the administrator."""
        return self.owner(now) not in (None, client)

    def take(self, client: str, now: float) -> None:
        """`client` is the administrator, for so long as it is not idle."""
        if self.owner(now) is None:
            self.logins += 1
        self._owner, self._last_used = client, now

    def leave(self) -> None:
        """The administrator has gone."""
        self._owner = None

    def give(self, client: str, now: float) -> None:
        """`client` is the administrator, whoever was."""
        self.leave()
        self.take(client, now)

    def locked_s(self, now: float) -> int | None:
        """For how long it has been locked by now; None where it is not."""
        locked = now - self._locked_since
        return int(locked) if locked < LOCKED_S else None

    def admit(self, now: float, *, right: bool) -> bool:
        """Whether credentials open the door. Wrong ones count, right ones forgive, and in a locked door none turns."""
        if self.locked_s(now) is not None:
            return False
        self.wrong += not right
        self.failures = 0 if right else self.failures + 1
        if self.failures >= self._attempts:
            self.failures = 0
            self._locked_since = now
        return right


class CookieDoor:
    """The password comes with every request; the first that is right takes the seat."""

    def __init__(self, firmware: Firmware, username: str, password: str) -> None:
        self.seat = Seat(firmware.attempts or 10)
        self.refusal = HTTPStatus(firmware.busy or 500)
        self._wrong = HTTPStatus(firmware.wrong_cookie)
        pair = f"{username[:_CREDENTIAL_LENGTH]}:{password[:_CREDENTIAL_LENGTH]}"
        self._credentials = "Basic " + b64encode(pair.encode()).decode()

    def answer(self, request: Request, now: float, ask: Ask) -> Reply:
        """See Door."""
        presented = request.cookie("Authorization")
        if presented is None or not self.seat.admit(now, right=presented == self._credentials):
            return Reply.page(self._wrong)
        if self.seat.taken(request.client, now) or request.path != "/cgi":
            return Reply.page(self.refusal)
        self.seat.take(request.client, now)
        return ask(request.query, request.body)

    def page(self, request: Request, now: float) -> Reply:
        """See Door. There is but one, and anybody may see it."""
        del now
        if request.path != "/":
            return Reply.page(HTTPStatus.NOT_FOUND)
        return Reply(HTTPStatus.OK, LOGIN_PAGE, "text/html")

    def log_out(self) -> None:
        """See Door."""
        self.seat.logouts += 1
        self.seat.leave()

    def forget(self) -> None:
        """See Door."""
        self.seat.forget()
