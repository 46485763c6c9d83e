"""The TP-Link Archer C20 and its siblings: one poll is one login, one batch of questions, and one logout.

Source: docs/router.md; captures of independent units, 2016 to 2026.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from msgspec.structs import replace

from dalla_mqtt.errors import AdminBusy, BadReply, DallaError, LoginRefused, RouterUnreachable
from dalla_mqtt.router.answers import EVERYTHING, STATIONS, STATISTICS, SWITCH_ON, reading_of, stations_of
from dalla_mqtt.router.cgi import Block, Reply, Section
from dalla_mqtt.router.control import Control
from dalla_mqtt.router.exchange import Exchange
from dalla_mqtt.router.login import PlainCookie, Way, recognise
from dalla_mqtt.router.seam import Memory
from dalla_mqtt.usage.limits import Limited, Limits
from dalla_mqtt.usage.reading import Link, Mac, Reading

_Told = TypeVar("_Told")

_log = logging.getLogger(__name__)

_FAILURES = 5  # polls that failed, after which the way in is looked for anew
_LONGEST_REST = 64  # polls: the longest that something is not asked again after it was refused
_LINKS_EVERY = 10  # polls: who is wired and who is not does not change often
_PATIENCE_S = 0.5  # with an answer that is under way when the program ends


class ArcherC20:
    """Finds out by which way the router lets us in, polls through it, and gives the login back.

    `url` is what the owner types into a browser. `timeout_s` is for each whole answer. `enable_statistics`: switch the
    router's statistics on where they are off. `memory` is for what has to be put back one day.
    """

    def __init__(  # noqa: PLR0913  # what is not said by its place is named at the call and has a default
        self,
        url: str,
        username: str,
        password: str,
        timeout_s: float,
        *,
        enable_statistics: bool = False,
        memory: Memory | None = None,
    ) -> None:
        self._credentials = (username, password)
        self._enable_statistics = enable_statistics
        self._exchange = Exchange(url, timeout_s)
        self._way: Way = PlainCookie(self._exchange, *self._credentials)
        self._control = Control(self._exchange, memory)
        self._failures = 0  # in a row
        self._polling = threading.Lock()
        self._batch = _Wish("its statistics, but not names and uptime with them")
        self._wireless = _Wish("no wireless stations")
        self._links: dict[Mac, Link] = {}

    def poll(self) -> Reading:
        """See Router. One batch; where the router refuses the batch, the classic pair of statistics alone."""
        return self._visit(self._read)

    def enforce(self, limits: Limits, *, dry_run: bool = False) -> Limited:
        """See Router. One login for all of it."""
        return self._visit(lambda: self._control.enforce(self._ask, limits, dry_run=dry_run))

    def leave(self) -> None:
        """See Router. A poll under way may have an answer coming, without which its login cannot be given back."""
        self._exchange.last_call()
        if not self._polling.acquire(timeout=_PATIENCE_S):
            self._exchange.hang_up()
            if not self._polling.acquire(timeout=_PATIENCE_S):
                return
        self._polling.release()

    def _visit(self, visit: Callable[[], _Told]) -> _Told:
        """What comes of a visit, or of a second one by another way in, where the first was refused for its way."""
        with self._polling:
            try:
                told = self._once(visit)
            except (AdminBusy, BadReply, LoginRefused):
                if self._keeps_way():
                    raise
                told = self._once(visit)
            self._failures = 0
            return told

    def _once(self, visit: Callable[[], _Told]) -> _Told:
        try:
            return visit()
        finally:
            try:
                self._way.leave()
            except DallaError as error:
                _log.debug("the logout was not answered: %s", error)

    def _ask(self, sections: tuple[Section, ...]) -> Reply:
        return self._way.ask(sections)

    def _keeps_way(self) -> bool:
        """After a refusal: whether the way in is right all the same. After some, it is looked for from the start."""
        self._failures += 1
        way = self._way
        if isinstance(way, PlainCookie) and not way.understood:
            with suppress(RouterUnreachable):
                way = recognise(self._exchange, *self._credentials) or way
        if way is not self._way:
            _log.info("the router has no login by a plain cookie, but the newer one called %r", way.name)
            self._way = way
            return False
        if self._failures % _FAILURES == 0:
            self._way = PlainCookie(self._exchange, *self._credentials)
        return True

    def _read(self) -> Reading:
        reading = reading_of(self._statistics(), self._way.name)
        if self._enable_statistics and not reading.statistics_enabled:
            self._switch_on()
        return self._with_links(reading)

    def _statistics(self) -> tuple[Block, ...]:
        refusal = 0
        if self._batch.due():
            reply = self._way.ask(EVERYTHING)
            if not reply.error:
                self._batch.granted()
                return reply.blocks
            refusal = reply.error
        pair = self._way.ask(STATISTICS)
        if pair.error:
            raise BadReply(f"the router refused to tell its statistics: [error]{pair.error}")
        if refusal:
            self._batch.refused(BadReply(f"[error]{refusal}"))
        return pair.blocks

    def _switch_on(self) -> None:
        reply = self._way.ask(SWITCH_ON)
        if reply.error:
            _log.warning("the router refused to switch its statistics on: [error]%d", reply.error)
        else:
            _log.warning("the router's statistics were switched off: they are switched on, as configured")

    def _with_links(self, reading: Reading) -> Reading:
        """At which radio each host is, where old firmware does not say so by itself: asked now and then."""
        if not reading.hosts or any(host.link for host in reading.hosts):
            return reading
        if self._wireless.due():
            try:
                reply = self._way.ask(STATIONS)
                if reply.error:
                    raise BadReply(f"[error]{reply.error}")
                self._links = stations_of(reply.blocks)
                self._wireless.granted(rest=_LINKS_EVERY)
            except DallaError as error:  # it costs a detail, and no byte
                self._wireless.refused(error)
        return replace(reading, hosts=tuple(replace(host, link=self._links.get(host.mac)) for host in reading.hosts))


class _Wish:
    """Something that the router may refuse to tell, once or always: then it is asked ever more rarely."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._rest = 0  # polls for which it is not asked
        self._last_rest = 0

    def due(self) -> bool:
        """Whether it is to be asked in this poll."""
        if self._rest:
            self._rest -= 1
            return False
        return True

    def granted(self, *, rest: int = 0) -> None:
        """The router told it; it may rest for so many polls."""
        self._rest = rest
        self._last_rest = 0

    def refused(self, why: DallaError) -> None:
        """The router did not tell it, but other things."""
        if not self._last_rest:
            _log.warning("the router tells %s: %s", self._what, why)
        self._rest = self._last_rest = min(max(1, 2 * self._last_rest), _LONGEST_REST)
