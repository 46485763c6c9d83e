"""Orders come through as fast as people and automations give them; a flood of them does not."""

from __future__ import annotations

import logging
import time

_log = logging.getLogger(__name__)

_AT_ONCE, _A_SECOND = 200.0, 10.0


class Sluice:
    """Lets so many through at once, and so many a second. Where it is shut, that is told once, until all is calm."""

    def __init__(self) -> None:
        self._room = _AT_ONCE
        self._at = time.monotonic()
        self._told = False

    def lets_through(self) -> bool:
        """Whether one more may come."""
        now = time.monotonic()
        self._room = min(self._room + (now - self._at) * _A_SECOND, _AT_ONCE)
        self._at = now
        if self._room == _AT_ONCE:
            self._told = False
        if self._room >= 1:
            self._room -= 1
            return True
        if not self._told:
            self._told = True
            _log.warning("more than %d orders a second come by the broker: those above are left out", _A_SECOND)
        return False
