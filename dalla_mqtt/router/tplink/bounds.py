"""The time that a poll may take, in a process of its own: signals reach it wherever it waits."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_HURRY_S = 0.4  # for what is under way when the daemon ends, and again for the logout: a second in all
_AGAIN_S = 0.1  # the library has places that catch whatever is raised, once


class Interrupted(BaseException):
    """The time is up. No Exception: the library catches those."""


class Bounds:
    """How long a poll may take, however long the library would wait. A SIGTERM ends the process when it is idle."""

    def __init__(self) -> None:
        self.ending = False
        self._idle = True
        self._counting = False
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGALRM, self._interrupt)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Where a SIGTERM ends the process only when this is done."""
        self._idle = False
        try:
            yield
        finally:
            self._idle = True

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Raises Interrupted in the block after `seconds`, or soon where the daemon ends."""
        self._counting = True
        signal.setitimer(signal.ITIMER_REAL, min(seconds, _HURRY_S) if self.ending else seconds, _AGAIN_S)
        try:
            yield
        finally:
            self._counting = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _interrupt(self, *_: object) -> None:
        if self._counting:
            raise Interrupted

    def _end(self, *_: object) -> None:
        self.ending = True
        if self._idle:
            raise SystemExit
        if self._counting:
            left, _again = signal.getitimer(signal.ITIMER_REAL)
            signal.setitimer(signal.ITIMER_REAL, min(left, _HURRY_S), _AGAIN_S)
