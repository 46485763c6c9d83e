"""How often a password may be tried, across restarts, too: after ten wrong ones the router locks its owner out.

Source: docs/router.md, "Sessions, logout, lock-out".
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.config import RouterConfig
from dalla_mqtt.errors import AdminBusy, ArchiveError, LoginRefused
from dalla_mqtt.log import utc
from dalla_mqtt.router.seam import Memory, Router
from dalla_mqtt.usage.reading import Reading

_log = logging.getLogger(__name__)

# After so many tries in a row, so many seconds until the next; the second where the password was right before, and its
# owner is likelier to be at the router than to have changed it. A tenth might lock it, for two hours: the last wait.
_WAITS_S = (0, 0, 0, *(900,) * 6, 7500)
_WAITS_AT_WORK_S = (0, 0, 0, *(300,) * 3, *(1200,) * 3, 7500)


class _Tries(Struct, frozen=True):
    """With the same user name and password, which `whose` tells from others: how often in vain, and when last.

    `refused`: the router said so in as many words.
    """

    whose: str
    times: int = 0
    last: float = 0.0
    refused: bool = False


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
        self._accepted = False
        self._once_more = once_more

    def poll(self) -> Reading:
        """See Router."""
        tries = self._tries
        if not self._once_more:
            self._expect_leave(tries)
        self._once_more = False
        try:
            reading = self._router.poll()
        except LoginRefused:
            self._keep(replace(tries, times=tries.times + 1, last=self._clock(), refused=True))
            raise
        except AdminBusy as busy:
            if busy.maybe_refused:
                self._keep(replace(tries, times=tries.times + 1, last=self._clock()))
            raise
        self._accepted = True
        if tries.times:
            self._keep(replace(tries, times=0, refused=False))
        return reading

    def leave(self) -> None:
        """See Router."""
        self._router.leave()

    def _expect_leave(self, tries: _Tries) -> None:
        """Raises LoginRefused or AdminBusy where the router had better not be asked."""
        if tries.refused:
            mend = "put the right ones into the configuration, or let `dalla-mqtt doctor` try these once more"
            raise LoginRefused(
                f"the router refused this user name and password at {utc(tries.last)}, and is not asked again: {mend}"
            )
        if (wait_s := self._wait_s(tries)) > 0:
            minutes = f"{wait_s / 60:.0f} min"
            raise AdminBusy(f"the router may have refused the password {tries.times} times: not asked for {minutes}")

    def _wait_s(self, tries: _Tries) -> float:
        """Seconds until the router may be asked; a clock that was set back makes nobody wait."""
        waits_s = _WAITS_AT_WORK_S if self._accepted else _WAITS_S
        since_s = self._clock() - tries.last
        return waits_s[min(tries.times, len(waits_s) - 1)] - since_s if since_s >= 0 else 0.0

    def _recalled(self) -> _Tries:
        """What is known of these credentials; of others, and where nothing can be recalled, nothing."""
        kept = None
        with suppress(ArchiveError, msgspec.DecodeError):
            text = self._memory.recall(self._key) if self._memory else None
            kept = msgspec.json.decode(text, type=_Tries) if text else None
        return kept if kept and kept.times and kept.whose == self._whose() else _Tries("")

    def _keep(self, tries: _Tries) -> None:
        self._tries = tries = replace(tries, whose=tries.whose or self._whose())
        if self._memory is None:
            return
        try:
            self._memory.keep(self._key, msgspec.json.encode(tries).decode())
        except ArchiveError as error:
            _log.warning("it cannot be kept that the password may be wrong: %s", error)

    def _whose(self) -> str:
        """What nobody can read user name and password from; the same for the same ones, and dear to make."""
        pair = f"{self._config.username}\0{self._config.password.value}".encode()
        return hashlib.scrypt(pair, salt=self._key.encode(), n=2**13, r=8, p=1, dklen=16).hex()
