"""What the broker is told, and what comes back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from dalla_mqtt.config import Config
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.mqtt.commands import read_command
from dalla_mqtt.mqtt.payloads import ONLINE, Known, event_message, peak_message, router_message, usage_messages
from dalla_mqtt.mqtt.quota import quota_messages
from dalla_mqtt.mqtt.retained import Memory, Retained
from dalla_mqtt.mqtt.sluice import Sluice
from dalla_mqtt.mqtt.topics import Message, Topics
from dalla_mqtt.usage.commands import Command
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import Standing, Subject
from dalla_mqtt.usage.status import RouterStatus

if TYPE_CHECKING:
    from dalla_mqtt.mqtt.network import Network

_BIRTH_WITHIN_S = 2.0  # how soon to answer a start of Home Assistant
_MOST_REMOVALS = 10_000  # that wait until something is told


class Broker:
    """Publishes what changed to an MQTT broker, and everything after a reconnect or a start of Home Assistant.

    `network`: that of other sites, which share its thread; None: one of its own.
    """

    def __init__(self, config: Config, memory: Memory, network: Network | None = None) -> None:
        from dalla_mqtt.mqtt.client import Client  # noqa: PLC0415  # paho costs 60 ms, and not every command publishes
        from dalla_mqtt.mqtt.discovery import Discovery, Offer  # noqa: PLC0415
        from dalla_mqtt.mqtt.network import Network  # noqa: PLC0415

        assert config.mqtt is not None
        self._tariff = config.tariff
        self._memory = memory
        pools = (subject.name for subject in config.quotas.subjects if subject.kind == "pool")
        self._topics = Topics(config.mqtt.base_topic, config.site, memory.slugs(), pools)
        self._meet(config.people.names)
        prefix = config.discovery_prefix
        users, page = config.people.names, config.router.url
        offer = Offer(config.quotas.topup, bool(config.tariff.off_peak))
        self._discovery = None if prefix is None else Discovery(self._topics, prefix, users, page, offer)
        self._retained = Retained(memory, self._topics, self._discovery)
        self._client = Client(
            config.mqtt,
            self._topics.status,
            (*self._topics.commands.values(), *([self._discovery.birth_topic] if self._discovery else ())),
            again=lambda: self._again(0.0),
            on_message=self._hear,
            network=network or Network(),
        )
        self._again: Callable[[float], None] = lambda _: None
        self._command: Callable[[Command], None] = lambda _: None
        self._told = Known()
        self._told_router: RouterStatus | None = None
        self._told_peak: Message | None = None
        self._removals: SimpleQueue[str] = SimpleQueue()  # topics that somebody else has cleared
        self._sluice = Sluice()
        self._births = 0  # of Home Assistant; counted by the network's thread alone
        self._granted = -1  # births and occasions after which everything was told

    def start(self, again: Callable[[float], None], command: Callable[[Command], None]) -> None:
        """See Publisher."""
        self._again = again
        self._command = command
        self._client.start()

    def tell(self, ledger: Ledger, router: RouterStatus, standings: Mapping[Subject, Standing], at: float) -> bool:
        """See Publisher. While the broker is away, or still busy with the last batch, nothing is sent or queued."""
        if not self._client.ready:
            return not self._client.connected
        wishes = self._wishes
        again, self._granted = wishes != self._granted, wishes
        self._meet(ledger.users)
        known = Known(ledger, dict(standings))
        if again:
            self._told, self._told_router, self._told_peak = Known(), None, None
            if self._discovery is not None:
                self._discovery.forget()
        else:
            self._retained.arrived()
        with suppress(Empty):
            while True:
                self._retained.remove(self._removals.get_nowait(), known)
        self._retained.settle(known)
        self._client.listen(self._retained.announced)
        self._client.publish(self._messages(known, router, at, again=again))
        self._told, self._told_router = known, router
        return True

    def tell_events(self, events: Iterable[Event], at: float) -> bool:
        """See Publisher."""
        return self._client.publish((event_message(self._topics, event, at) for event in events), retain=False)

    def flush(self, timeout_s: float) -> bool:
        """See Publisher."""
        return self._client.flush(timeout_s)

    def stop(self) -> None:
        """See Publisher."""
        if self._client.ready and self._granted == self._wishes:
            self._retained.arrived()
        self._client.stop()

    def _messages(self, known: Known, router: RouterStatus, at: float, *, again: bool) -> Iterator[Message]:
        """Discovery, `online`, the states, the router: what is `ok` again shows no rate from before.

        What is out of date goes first, and the states of entities that are gone in the batch after that.
        """
        yield from self._retained.clear(states=not again)
        if self._discovery is not None:
            yield from self._discovery.messages(known, router, self._retained.hidden)
        if again:
            yield self._topics.status, ONLINE
        peak = peak_message(self._topics, self._tariff, at)
        if peak != self._told_peak:
            self._told_peak = peak
            yield peak
        if known.ledger.at is not None:
            yield from usage_messages(self._topics, self._tariff, self._told, known)
            yield from quota_messages(self._topics, self._tariff, self._told, known)
        if router != self._told_router:
            yield router_message(self._topics, router, known.ledger)

    @property
    def _wishes(self) -> int:
        """How often there was a reason to tell everything."""
        return self._births + self._client.occasions

    def _meet(self, names: Iterable[str]) -> None:
        """Give all of them an id. One that cannot be kept is most likely found again."""
        if new := self._topics.ids.meet(names):
            with suppress(ArchiveError):
                self._memory.keep_slugs(new)

    def _hear(self, topic: str, payload: bytes) -> None:
        discovery = self._discovery
        if discovery is not None and topic == discovery.birth_topic:
            if payload == ONLINE and self._sluice.lets_through():
                self._births += 1
                self._again(random.uniform(0, _BIRTH_WITHIN_S))  # noqa: S311  # others answer it too
        elif discovery is not None and discovery.announces_on(topic):
            if not payload and self._removals.qsize() < _MOST_REMOVALS:
                self._removals.put(topic)
        elif (command := read_command(self._topics, topic, payload)) is not None and self._sluice.lets_through():
            self._command(command)
