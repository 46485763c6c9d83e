"""When the router is asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf
from random import random

from dalla_mqtt.errors import CommandRefused
from dalla_mqtt.usage.status import RouterStatus

_PAUSE_S = 1200
_NEVER_AGAIN = "the router refused the password: it is not polled any more"
_AWAY = ("busy", "unreachable")
_RAREST, _RAREST_S = 5, 300  # beats, or seconds: how rarely at most a router is asked that is busy or away
_JITTER = 0.1  # of a beat: many that lost the same router do not come back in the same moment
_BREATH_S = 5.0  # that the router has to itself, however often somebody wishes for a poll


class Pace:
    """On the beat of the first poll, however long one takes; sooner where somebody wishes it; not at all in a pause.

    Ever more rarely while another administrator is in, or the router does not answer. All times are on the monotonic
    clock; `random` is evenly spread between 0 and 1.
    """

    def __init__(self, interval_s: float, random: Callable[[], float] = random) -> None:
        self._interval_s = interval_s
        self._breath_s = min(interval_s / 3, _BREATH_S)
        self._beat = self._began = self._rested_at = -inf
        self._wished = inf
        self._random = random
        self._misses = 0  # in a row
        self._late_s = 0.0
        self._paused_until: float | None = None
        self._status: RouterStatus | None = None

    @property
    def due(self) -> float:
        """When to poll next; at once before the first poll."""
        return min(self._beat + self._late_s, self._wished) if self._paused_until is None else self._paused_until

    @property
    def paused(self) -> bool:
        """Whether the router is left to its owner."""
        return self._paused_until is not None

    def asks(self, now: float) -> None:
        """A poll begins."""
        self._began = now
        if self._beat == -inf:
            self._beat = now
        self._wished, self._paused_until = inf, None

    def asked(self, now: float, status: RouterStatus | None) -> None:
        """A poll has ended, and this is how."""
        self._status = status
        self._rested_at = now + self._breath_s
        self._misses = self._misses + 1 if status is not None and status.state in _AWAY else 0
        self._late_s = self._random() * _JITTER * self._interval_s if self._misses else 0.0
        if self._refused:
            self._beat = inf
        else:
            reached = max(now, self._began + self._breath_s)  # a poll shortly before its beat is that of the beat
            beats = (reached - self._beat) // self._interval_s + 1  # 0, if it came between two
            self._beat += (beats + self._skipped) * self._interval_s

    def hurry(self, now: float) -> None:
        """Poll soon. Raises CommandRefused where that may not be."""
        if self._paused_until is not None:
            raise CommandRefused("polling is paused: pause/set OFF ends that")
        if self._refused:
            raise CommandRefused(_NEVER_AGAIN)
        self._wished = max(now, self._rested_at)

    def pause(self, now: float) -> None:
        """Do not poll for 20 minutes. Raises CommandRefused where polling has ended for good."""
        if self._refused:
            raise CommandRefused(_NEVER_AGAIN)
        self._paused_until = now + _PAUSE_S

    def resume(self, now: float) -> None:
        """End a pause, if there is one, with a poll where that may be."""
        if self._paused_until is not None:
            self._paused_until = None
            with suppress(CommandRefused):
                self.hurry(now)

    @property
    def _skipped(self) -> int:
        """Beats without a poll after some that were missed: none, 1, 3, and 4 from then on."""
        most = min(_RAREST, max(1, int(_RAREST_S // self._interval_s)))
        return min(2 ** (self._misses - 1), most) - 1 if self._misses else 0

    @property
    def _refused(self) -> bool:
        return self._status is not None and self._status.state == "login_refused"
