"""How often a password may be tried, across restarts, too: after ten wrong ones the router locks its owner out.

Source: docs/router.md, "Sessions, logout, lock-out".
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.config import RouterConfig
from dalla_mqtt.errors import AdminBusy, ArchiveError, DallaError, LoginRefused
from dalla_mqtt.log import utc
from dalla_mqtt.router.seam import Memory, Router
from dalla_mqtt.usage.limits import Limited, Limits
from dalla_mqtt.usage.reading import Reading

_Told = TypeVar("_Told")

_log = logging.getLogger(__name__)

# After so many tries in a row, so many seconds until the next; the second where the password was right before, and its
# owner is likelier to be at the router than to have changed it. A tenth might lock it, for two hours: the last wait.
_WAITS_S = (0, 0, 0, *(900,) * 6, 7500)
_WAITS_AT_WORK_S = (0, 0, 0, *(300,) * 3, *(1200,) * 3, 7500)
_MOST_WISHES = 6  # in a row, of somebody who wants to know it all the same


class _Tries(Struct, frozen=True):
    """With the same user name and password, which `whose` tells from others: how often in vain, and when last.

    `refused`: the router said so in as many words. `accepted`: it once let us in with them.
    """

    whose: str
    times: int = 0
    last: float = 0.0
    refused: bool = False
    accepted: bool = False


class Guard:
    """A router that is not asked where that could be one wrong password too many.

    `once_more`: somebody wants to know it all the same, this once. `clock`: UTC epoch seconds.
    """

    def __init__(
        self,
        router: Router,
        config: RouterConfig,
        memory: Memory | None,
        *,
        once_more: bool,
        clock: Callable[[], float],
    ) -> None:
        self._router = router
        self._config = config
        self._memory = memory
        self._clock = clock
        self._key = f"router.tries {config.url}"
        self._tries = self._recalled()
        self._once_more = once_more

    def poll(self) -> Reading:
        """See Router."""
        return self._asked(self._router.poll)

    def enforce(self, limits: Limits, *, dry_run: bool = False) -> Limited:
        """See Router."""
        return self._asked(lambda: self._router.enforce(limits, dry_run=dry_run))

    def leave(self) -> None:
        """See Router."""
        self._router.leave()

    def _asked(self, ask: Callable[[], _Told]) -> _Told:
        """What comes of it, where the router may be asked; and kept what its answer says of the password."""
        before = self._tries
        self._expect_leave(before)
        one_more = replace(before, times=before.times + 1, last=self._clock())
        if not before.accepted:
            self._keep(one_more)  # who is killed before the answer has tried all the same
        try:
            told = ask()
        except LoginRefused:
            self._keep(replace(one_more, refused=True))
            raise
        except DallaError as error:
            maybe_refused = isinstance(error, AdminBusy) and error.maybe_refused
            self._keep(one_more if maybe_refused else before)
            raise
        self._keep(replace(before, times=0, refused=False, accepted=True))
        return told

    def _expect_leave(self, tries: _Tries) -> None:
        """Raises LoginRefused or AdminBusy where the router had better not be asked."""
        since_s = self._clock() - tries.last
        rested = not 0 <= since_s < _WAITS_S[-1]  # a clock that was set back makes nobody wait
        if self._once_more and (rested or tries.times < _MOST_WISHES):
            self._once_more = False
            return
        if tries.refused:
            mend = "put the right ones into the configuration, or let `dalla-mqtt doctor` try these once more"
            raise LoginRefused(
                f"the router refused this user name and password at {utc(tries.last)}, and is not asked again: {mend}"
            )
        waits_s = _WAITS_AT_WORK_S if tries.accepted else _WAITS_S
        wait_s = waits_s[min(tries.times, len(waits_s) - 1)] - since_s
        if wait_s > 0 and not rested:
            minutes = f"{wait_s / 60:.0f} min"
            raise AdminBusy(f"the router may have refused the password {tries.times} times: not asked for {minutes}")

    def _recalled(self) -> _Tries:
        """What is known of these credentials; of others, and where nothing can be recalled, nothing."""
        kept = None
        with suppress(ArchiveError, msgspec.DecodeError):
            text = self._memory.recall(self._key) if self._memory else None
            kept = msgspec.json.decode(text, type=_Tries) if text else None
        whose = self._whose()
        return kept if kept and kept.whose == whose else _Tries(whose)

    def _keep(self, tries: _Tries) -> None:
        """Keep it, where it is not what is kept."""
        if tries == self._tries:
            return
        self._tries = tries
        if self._memory is None:
            return
        try:
            self._memory.keep(self._key, msgspec.json.encode(tries).decode())
        except ArchiveError as error:
            _log.debug("it cannot be kept how often the password was tried: %s", error)

    def _whose(self) -> str:
        """What nobody can read user name and password from; the same for the same ones, and dear to make."""
        pair = f"{self._config.username}\0{self._config.password.value}".encode()
        return hashlib.scrypt(pair, salt=self._key.encode(), n=2**12, r=8, p=1, dklen=16).hex()
