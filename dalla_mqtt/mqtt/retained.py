"""What brokers keep of ours: remembered before it is said, cleared when it is no longer true."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol

from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.mqtt.discovery import ANNOUNCED, Discovery
from dalla_mqtt.mqtt.payloads import Known
from dalla_mqtt.mqtt.topics import QUOTA, Message, Topics, of_series
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import Subject
from dalla_mqtt.usage.reading import Mac

_CLEARED = b""


class Memory(Protocol):
    """What must outlive a restart; archive/store.py keeps it. Each may raise ArchiveError."""

    def retained(self) -> dict[str, int | None]:
        """Topics on which brokers may keep what we said, with the usage of a device that was removed there."""

    def keep_retained(self, topics: Mapping[str, int | None], gone: Iterable[str] = ()) -> None:
        """Add `topics` to those, and forget those `gone`."""

    def slugs(self) -> dict[str, str]:
        """The ids of users, by name."""

    def keep_slugs(self, slugs: Mapping[str, str]) -> None:
        """Keep `slugs` for ever."""


class Retained:
    """Which topics hold something of ours, and which should. Of quotas all stays while nothing is known of them yet.

    A device that somebody removed in Home Assistant stays away until it moves something: `hidden` are the topics that
    would announce one.
    """

    def __init__(self, memory: Memory, topics: Topics, discovery: Discovery | None) -> None:
        self._memory = memory
        self._topics = topics
        self._discovery = discovery
        self._kept = memory.retained()
        self._wanted: set[str] = set()
        self._stale: list[str] = []
        self._seen: tuple[int, int, bool, frozenset[Subject]] | None = None
        self._clearing: list[str] = []
        self.announced: Mapping[str, Mac | None] = {}  # what is or was, by topic
        self.hidden: dict[str, Mac] = {}

    def remove(self, topic: str, known: Known) -> None:
        """Somebody has cleared `topic`: if a device is announced there, it is to stay away."""
        mac = self._announced(known).get(topic)
        if mac is not None and topic in self._wanted:
            self._keep({topic: known.ledger.devices[mac].series.usage})
            self._seen = None

    def settle(self, known: Known) -> None:
        """Find out what should be there, and remember it, before it is."""
        ledger = known.ledger
        seen = (len(ledger.devices), len(ledger.users), ledger.at is None, frozenset(known.standings))
        if seen == self._seen and all(self._removed(topic, mac, ledger) for topic, mac in self.hidden.items()):
            return
        self._seen = seen
        self.announced = announced = self._announced(known)
        self.hidden = {topic: mac for topic, mac in announced.items() if mac and self._removed(topic, mac, ledger)}
        self._wanted = {*self._states(known), *announced} - self.hidden.keys()
        new = dict.fromkeys(topic for topic in self._wanted if self._kept.get(topic, 0) is not None)
        if new:
            self._keep(new)
        stale = (topic for topic in self._kept if topic not in self._wanted and topic not in self.hidden)
        self._stale = [topic for topic in stale if known.standings or not self._topics.tells_of_quota(topic)]

    def clear(self, *, states: bool) -> Iterator[Message]:
        """Empty what should not be there: entities first, and `states` when Home Assistant looks at others."""
        self._clearing = [topic for topic in self._stale if states or topic.endswith(ANNOUNCED)]
        for topic in self._clearing:
            yield topic, _CLEARED

    def arrived(self) -> None:
        """What was cleared last is gone from the broker."""
        if self._clearing:
            self._keep({}, self._clearing)
            self._stale = [topic for topic in self._stale if topic in self._kept]
            self._clearing = []

    def _removed(self, topic: str, mac: Mac, ledger: Ledger) -> bool:
        """Whether somebody removed the device, which has moved nothing since."""
        return self._kept.get(topic) == ledger.devices[mac].series.usage

    def _keep(self, topics: Mapping[str, int | None], gone: Iterable[str] = ()) -> None:
        """Remember. Where that fails the daemon tells of its state file anyway, and the next start tries again."""
        with suppress(ArchiveError):
            self._memory.keep_retained(topics, gone)
        self._kept.update(topics)
        for topic in gone:
            self._kept.pop(topic, None)

    def _announced(self, known: Known) -> dict[str, Mac | None]:
        return self._discovery.topics(known) if self._discovery else {}

    def _states(self, known: Known) -> Iterator[str]:
        topics, ledger = self._topics, known.ledger
        yield from (topics.status, topics.router, topics.peak)
        if ledger.at is not None:
            series = (topics.total, *map(topics.user, ledger.users), *map(topics.device, ledger.devices))
            for topic in series:
                yield from of_series(topic)
            for subject in known.standings:
                yield topics.of_subject(subject, QUOTA)
