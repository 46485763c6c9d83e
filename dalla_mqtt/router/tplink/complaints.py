"""Our errors for what tplinkrouterc6u raises, and for what it runs into.

No text of ours holds one of the library's: there may be the password in it, plain or as base64.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from http import HTTPStatus
from traceback import extract_tb

from tplinkrouterc6u import AuthorizeError

from dalla_mqtt.errors import AdminBusy, BadReply, DallaError, LoginRefused, RouterUnreachable
from dalla_mqtt.router.tplink.words import Order

_BAD_CREDENTIALS = range(71230, 71234)  # user name, user type, argument, password: the router's err.js
_NUMBER = re.compile(r"error code: (-?\d+)", re.IGNORECASE)
_REFUSAL = re.compile(r"wrong (?:user or )?password|login failed|exceeded max attempts", re.IGNORECASE)
_CONFLICT = "user conflict"
_NOT_ACCEPTED = {HTTPStatus.INTERNAL_SERVER_ERROR.value, HTTPStatus.NOT_ACCEPTABLE.value}


class _Statuses(logging.Handler):
    """The HTTP status of each answer. Nothing but urllib3's debug log tells them of every class of the library."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        log = logging.getLogger("urllib3.connectionpool")
        log.setLevel(logging.DEBUG)
        log.propagate = False
        log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and len(record.args) == 8:  # noqa: PLR2004  # scheme, host, port, method …
            self.seen.append(int(str(record.args[6])))


statuses = _Statuses().seen


def of_login(error: Exception, name: str, order: Order) -> DallaError | None:
    """What an error says that was raised before we were let in; None where it is one like any other."""
    text = str(error)
    if _CONFLICT in text:
        return AdminBusy("another administrator is logged in to the router")
    if HTTPStatus.UNAUTHORIZED in statuses or _refuses(text):
        return _refused(name, order)
    if isinstance(error, AuthorizeError) and not _cause(error):  # of the page after the login
        return _busy(name, order, statuses) or _refused(name, order)
    return None


def of_any(error: Exception, name: str, order: Order) -> DallaError:
    """What any other error says: that the router is busy or away, or that the class does not understand it."""
    last = statuses[-1:]
    if busy := _busy(name, order, last):
        return busy
    if cause := _cause(error):
        return RouterUnreachable(f"no whole answer from the router at {order.url}: {type(cause).__name__}")
    if HTTPStatus.FORBIDDEN in last:
        return BadReply("the router does not know itself by the address in router.url: HTTP 403")
    *_, first = _chain(error)
    status = "".join(f", HTTP {status}" for status in last if status != HTTPStatus.OK)
    return BadReply(f"{name} cannot use the router's answer: {type(first).__name__} in {_place(first)}{status}")


def _refuses(text: str) -> bool:
    number = _NUMBER.search(text)
    return int(number[1]) in _BAD_CREDENTIALS if number else _REFUSAL.search(text) is not None


def _refused(name: str, order: Order) -> LoginRefused:
    doubt = f", as {name} presents them: where they are right, name another class in router.client"
    return LoginRefused(f"the router refused the user name or the password{'' if order.client else doubt}")


def _busy(name: str, order: Order, seen: list[int]) -> DallaError | None:
    for status in _NOT_ACCEPTED.intersection(seen):
        if order.client is None:  # the router has said that nobody is in: see finding.py
            return BadReply(f"{name} does not fit this router: HTTP {status}")
        return AdminBusy(f"another administrator is logged in to the router, or the password is wrong: HTTP {status}")
    return None


def _cause(error: Exception) -> BaseException | None:
    """What went wrong on the way to the router. The errors of requests are OSErrors, that of its JSON a ValueError."""
    failures = (cause for cause in _chain(error) if isinstance(cause, OSError) and not isinstance(cause, ValueError))
    return next(failures, None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it came of, and so on to the innermost."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _place(error: BaseException) -> str:
    """The function of the library in which it was raised, or from which it came."""
    frames = extract_tb(error.__traceback__)
    return next((frame.name for frame in reversed(frames) if "tplinkrouterc6u" in frame.filename), "our own reading")
