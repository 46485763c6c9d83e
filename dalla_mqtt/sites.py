"""Many routers, one process: the next step of each site is taken when it is due, by a bounded pool of threads."""

from __future__ import annotations

import logging
import resource
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from dalla_mqtt.archive.store import StateHeld, Store
from dalla_mqtt.asking import NAP_S
from dalla_mqtt.config import Config
from dalla_mqtt.daemon import Daemon
from dalla_mqtt.errors import ConfigError, DallaError, LoginRefused
from dalla_mqtt.log import SITE
from dalla_mqtt.publishing import ALONE, Common, open_common, open_publisher
from dalla_mqtt.router import open_router

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_log = logging.getLogger(__name__)

_THREADS = 128  # at most; a poll has one for as long as its router takes to answer
_SLOW_THREADS = 64  # of those, for routers that were slow the last time: they wait for each other, nobody for them
_NEW_THREADS = 4  # for those that tell everything, after their first poll: more at once take more memory, for ever
_SLOW_S = 2.0
_APART_S = 1.0  # between the first polls of two sites; less, where there are many
_AGAIN_S = 300.0  # after which a site that failed begins anew
_FILES_A_SITE, _FILES = 12, 500  # open at once, at most
_M_ARENA_MAX = -8  # malloc.h


@contextmanager
def opened(
    config: Config, common: Common = ALONE, *, dry_run: bool = False, ring: Callable[[], None] | None = None
) -> Iterator[Daemon]:
    """The daemon of one site, with its state file. Raises StateHeld, ArchiveError, ConfigError."""
    store = Store(config.state)
    try:
        publisher = open_publisher(config, store, common)
        yield Daemon(config, open_router(config.router, store), store, publisher, dry_run=dry_run, ring=ring)
    finally:
        store.close()


class Sites:
    """Counts for all of `configs` until stopped. A site that fails begins anew after a while; the others go on."""

    def __init__(self, configs: Sequence[Config], *, dry_run: bool = False) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()  # what is to be done by the thread that runs
        common = open_common(configs)
        several = len(configs) > 1
        self._sites = [_Site(config, common, self._ring, dry_run=dry_run, named=several) for config in configs]
        self._due: list[tuple[float, int, _Site]] = []
        self._number = count()
        self._delayed: deque[_Site] = deque()  # slow and new ones, until there is a thread for them
        self._slow = 0  # threads that slow ones have
        self._new = 0  # and those that new ones have
        self._stopping = False

    def stop(self) -> None:
        """End after the steps in hand, and do not wait for routers. For signal handlers, too."""
        for site in self._sites:
            site.stop()
        self._calls.put(self._hurry)

    def run_once(self) -> bool:
        """Poll each once, one after the other; whether that brought a reading of all. See Daemon.run_once."""
        found = [site.poll_once() for site in self._sites]
        return all(found)

    def run(self) -> None:
        """Until stopped. Raises what keeps a site from beginning, and LoginRefused where no router lets us in."""
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # one site has no use for it

        _allow_files(_FILES + _FILES_A_SITE * len(self._sites))
        _share_memory()
        began = time.monotonic()
        for number, site in enumerate(self._sites):
            self._put(site, began + number * min(_APART_S, site.interval_s / len(self._sites)))
        with ThreadPoolExecutor(_THREADS, "site") as pool:
            try:
                while not all(site.ended for site in self._sites):
                    self._take_steps(pool)
                    self._do_calls()
            finally:
                self.stop()
        errors = [site.error for site in self._sites if site.error is not None]
        if errors and (len(errors) == len(self._sites) or not isinstance(errors[0], LoginRefused)):
            raise errors[0]

    def _take_steps(self, pool: ThreadPoolExecutor) -> None:
        """Of all that are due."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, number, site = heappop(self._due)
            if number != site.number:
                continue  # it was due earlier than that, and had its step
            if self._must_wait(site) and not self._stopping:
                self._delayed.append(site)
                continue
            site.number, site.rung = None, False
            self._slow += site.slow
            self._new += site.new
            pool.submit(self._take_step, site)

    def _must_wait(self, site: _Site) -> bool:
        return (site.slow and self._slow >= _SLOW_THREADS) or (site.new and self._new >= _NEW_THREADS)

    def _take_step(self, site: _Site) -> None:
        """In a thread of the pool."""
        self._calls.put(partial(self._took_step, site, site.take_step()))

    def _took_step(self, site: _Site, due: float) -> None:
        self._slow -= site.slow
        self._new -= site.new
        site.steps_taken += 1
        site.slow = site.waited_s > _SLOW_S
        site.ended = due == inf
        if isinstance(site.error, ConfigError | StateHeld):
            self.stop()
        if not site.ended:
            self._put(site, -inf if site.rung or self._stopping else due)
        if self._delayed:
            self._put(self._delayed.popleft(), -inf)

    def _ring(self, site: _Site) -> None:
        """From any thread."""
        self._calls.put(partial(self._rang, site))

    def _rang(self, site: _Site) -> None:
        site.rung = True
        if site.number is not None and site not in self._delayed:
            self._put(site, -inf)

    def _do_calls(self) -> None:
        """All that there are, or the first that comes before the next step is due."""
        wait_s = min(self._due[0][0] - time.monotonic(), NAP_S) if self._due else NAP_S
        with suppress(Empty):
            self._calls.get(timeout=max(0.0, wait_s))()
            while True:
                self._calls.get_nowait()()

    def _put(self, site: _Site, moment: float) -> None:
        """It is due at that moment, and not at another one."""
        site.number = next(self._number)
        heappush(self._due, (moment, site.number, site))

    def _hurry(self) -> None:
        """The last step of each is due now."""
        self._stopping = True
        for site in self._sites:
            if site.number is not None:
                self._put(site, -inf)


class _Site:
    """One household. Its steps are taken, in threads of the pool, by one at a time. `named`: in the log."""

    def __init__(
        self, config: Config, common: Common, ring: Callable[[_Site], None], *, dry_run: bool, named: bool
    ) -> None:
        self._config = config
        self._common = common
        self._ring = partial(ring, self)
        self._dry_run = dry_run
        self._name = config.site if named else ""
        self._daemon: Daemon | None = None
        self._steps: Iterator[float] | None = None
        self._stopping = False
        self.interval_s = config.router.interval
        self.number: int | None = None  # of the step that is due; None: it is being taken
        self.rung = False
        self.slow = False
        self.steps_taken = 0
        self.ended = False
        self.error: DallaError | None = None  # for which it does not go on

    @property
    def new(self) -> bool:
        """Whether it tells a broker everything next, which takes ten times as long as a poll, and asks no router."""
        return self.steps_taken == 1 and self._config.mqtt is not None and not self.slow

    @property
    def waited_s(self) -> float:
        """For the router, at the last poll."""
        return self._daemon.waited_s if self._daemon else 0.0

    def stop(self) -> None:
        """From now on each step is the last."""
        self._stopping = True
        if self._daemon is not None:
            self._daemon.stop()

    def take_step(self) -> float:
        """The next one; when another is due, on the monotonic clock: `inf` where that was the last."""
        SITE.set(self._name)
        if self._steps is None:
            if self._stopping:
                return inf
            self._steps = self._live()
        try:
            return next(self._steps)
        except StopIteration:
            return inf
        except DallaError as error:
            _log.error("%s", error)  # an expected fault has no traceback
            if isinstance(error, ConfigError | StateHeld | LoginRefused):
                self.error = error
                return inf
        except Exception:  # noqa: BLE001  # told, and no reason to stop the others
            _log.exception("this should not have happened")
        self._daemon = self._steps = None
        return time.monotonic() + _AGAIN_S

    def poll_once(self) -> bool:
        """Whether that brought a reading. Raises what Daemon.run_once does."""
        SITE.set(self._name)
        with self._opened() as daemon:
            return self._stopping or daemon.run_once()

    def _live(self) -> Iterator[float]:
        with self._opened() as daemon:
            if not self._stopping:
                yield from daemon.steps()

    @contextmanager
    def _opened(self) -> Iterator[Daemon]:
        with opened(self._config, self._common, dry_run=self._dry_run, ring=self._ring) as self._daemon:
            yield self._daemon


def _share_memory() -> None:
    """Have all threads allocate from one arena: glibc gives each its own, and what one frees is no use to the others.

    With 1,000 sites that is the difference between 240 and 390 MiB. Source: mallopt(3).
    """
    import ctypes  # noqa: PLC0415  # costs half a MiB, and one site has no use for it

    with suppress(OSError, AttributeError):  # another libc
        ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, 1)


def _allow_files(number: int) -> None:
    """Have this process open so many files, if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < number:
        _log.warning("this process may open %d files, and may need %d: raise its limit (ulimit -n)", most, number)
