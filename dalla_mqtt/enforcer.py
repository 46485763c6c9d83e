"""The router's rules, kept as they are wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from dalla_mqtt.errors import ArchiveError, BadReply, LimitRefused
from dalla_mqtt.log import about
from dalla_mqtt.router import Memory
from dalla_mqtt.usage.limits import Limited, Limits
from dalla_mqtt.usage.reading import Mac

_log = logging.getLogger(__name__)

_LOOK_AGAIN = 10  # polls: somebody may have deleted a rule of ours in the router's page
_LONGEST_REST = 64  # polls, after the router refused the same thing again and again
_OURS = "limits.ours"  # whether rules of ours may be on the router; unknown where nothing is kept


class Enforcer:
    """Asks the router only where its rules may not be what is wanted; `dry_run`: and changes none of them.

    `ask` has the router limit something, or returns None where a stop came first. `may_limit`: whether anybody could
    have been limited before, of whom nothing is remembered.
    """

    def __init__(
        self, ask: Callable[[Limits], Limited | None], memory: Memory, *, may_limit: bool, dry_run: bool
    ) -> None:
        self._ask = ask
        self._memory = memory
        self._may_limit = may_limit
        self._dry_run = dry_run
        self._ours = False
        self._kept: bool | None = None  # what the memory says of that
        self._done: Limits | None = None
        self._rest = 0
        self._last_rest = 0
        self._refused: Limits | None = None
        self.spared: dict[Mac, str] = {}  # who is not limited although wanted, by the last answer, and why

    def begin(self) -> None:
        """Recall whether rules of ours may be on the router. Raises ArchiveError."""
        kept = self._memory.recall(_OURS)
        self._kept = None if kept is None else kept == "yes"
        self._ours = self._may_limit if self._kept is None else self._kept

    def enforce(self, limits: Limits, *, again: bool) -> bool:
        """Whether the router limits what is wanted, and nothing else of ours.

        `again`: it may have forgotten. Raises LimitRefused once in a while, and what a poll raises.
        """
        if again:
            self._done = self._refused = None
        wanted = bool(limits.throttled or limits.blocked)
        if not wanted and not self._ours:
            self._done = limits
            return not self._dry_run
        if limits in (self._done, self._refused) and self._rest:
            self._rest -= 1
            return limits == self._done and not self._dry_run
        if wanted and not self._dry_run:
            self._remember(ours=True)
        self._done, self._rest = None, 0  # where that fails, some of it may be done
        try:
            outcome = self._ask(limits)
        except BadReply:
            self._put_off(limits)
            raise
        except LimitRefused as error:
            self._put_off(limits)
            raise LimitRefused(str(error), None if self._dry_run else error.devices) from error
        if outcome is None:
            return False
        self._tell(outcome)
        self._done, self._refused, self._rest = limits, None, _LOOK_AGAIN
        if not wanted and not self._dry_run:
            self._remember(ours=False)
        return not self._dry_run

    def _put_off(self, limits: Limits) -> None:
        """Ask for the same thing ever more rarely."""
        self._last_rest = min(max(1, 2 * self._last_rest), _LONGEST_REST) if limits == self._refused else 1
        self._refused, self._rest = limits, self._last_rest

    def _tell(self, outcome: Limited) -> None:
        for step in outcome.steps:
            _log.info("%s%s", "dry run, not done: " if self._dry_run else "", step, extra=about("router_rule"))
        for mac, why in outcome.spared.items():
            if why != self.spared.get(mac):
                _log.warning("%s", why, extra=about("spared"))
        self.spared = outcome.spared

    def _remember(self, *, ours: bool) -> None:
        """Where that cannot be kept, it is tried again when the router is asked again."""
        self._ours = ours
        if ours != self._kept:
            with suppress(ArchiveError):
                self._memory.keep(_OURS, "yes" if ours else "no")
                self._kept = ours
