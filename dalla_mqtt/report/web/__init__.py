"""The page: what is known, for whoever asks with a browser, and what they want. It never delays the daemon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from msgspec.structs import replace

from dalla_mqtt.config import Config
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.report.records import Records
from dalla_mqtt.report.snapshot import Household, Snapshot, Told
from dalla_mqtt.report.web.server import Server
from dalla_mqtt.report.web.site import Site
from dalla_mqtt.usage.commands import Command
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ids import Ids
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Standing, Subject
from dalla_mqtt.usage.status import RouterStatus

_EVENTS = 20


class Memory(Protocol):
    """Where the ids of users outlive a restart. Each may raise ArchiveError."""

    def slugs(self) -> dict[str, str]:
        """The ids of users, by name."""

    def keep_slugs(self, slugs: Mapping[str, str]) -> None:
        """Keep `slugs` for ever."""


class Page:
    """A Publisher that puts what it is told where threads of its own find it when somebody asks.

    `server`: the one that it shares with the pages of other sites; None: it has one of its own.
    """

    def __init__(self, config: Config, memory: Memory, records: Records, server: Server | None = None) -> None:
        assert config.web is not None
        pools = (subject.name for subject in config.quotas.subjects if subject.kind == "pool")
        users = (*config.people.names, UNKNOWN)
        self._memory = memory
        self._household = Household(
            config.site, config.router.interval, users, config.tariff, Ids(memory.slugs(), pools)
        )
        self._meet(config.people.names)
        self._events: tuple[Told, ...] = ()
        self._snapshot: Snapshot | None = None
        self._records = records
        self._server = server or Server(config.web)
        self._site: Site | None = None

    def start(self, again: Callable[[float], None], command: Callable[[Command], None]) -> None:  # noqa: ARG002
        """See Publisher. Where the port is taken, that is told, and there is no page."""
        self._site = Site(self._household.site, lambda: self._snapshot, self._records, command)
        self._server.add(self._site)

    @property
    def port(self) -> int | None:
        """Where it is served; None where it is not."""
        return self._server.port

    def tell(self, ledger: Ledger, router: RouterStatus, standings: Mapping[Subject, Standing], at: float) -> bool:
        """See Publisher."""
        self._meet(ledger.users)
        self._snapshot = Snapshot(self._household, ledger, router, dict(standings), at, time.monotonic(), self._events)
        return True

    def tell_events(self, events: Iterable[Event], at: float) -> bool:
        """See Publisher."""
        for event in events:
            if not self._was_told(event, at):
                self._events = (Told(at, event), *self._events)[:_EVENTS]
        if self._snapshot is not None:
            self._snapshot = replace(self._snapshot, events=self._events)
        return True

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002
        """See Publisher: all that was told is there."""
        return True

    def stop(self) -> None:
        """See Publisher."""
        if self._site is not None:
            self._server.remove(self._site)

    def _was_told(self, event: Event, at: float) -> bool:
        """Whether it is an alert that comes again and again, as long as a broker is away, and was told today."""
        day = self._household.tariff.local(at).date()
        return event.event.startswith("quota_") and any(
            _alert(told.event) == _alert(event) and self._household.tariff.local(told.at).date() == day
            for told in self._events
        )

    def _meet(self, names: Iterable[str]) -> None:
        """Give all of them an id. One that cannot be kept is most likely found again."""
        if new := self._household.ids.meet(names):
            with suppress(ArchiveError):
                self._memory.keep_slugs(new)


def _alert(event: Event) -> tuple[object, ...]:
    return event.event, event.mac, event.user, event.pool, event.part, event.threshold
