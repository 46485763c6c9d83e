"""What the broker is told."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from dalla_mqtt.config import Config
from dalla_mqtt.mqtt.topics import (
    ONLINE,
    Message,
    RouterStatus,
    Topics,
    event_message,
    router_message,
    usage_messages,
)
from dalla_mqtt.usage.counters import Event
from dalla_mqtt.usage.ledger import Ledger

_BIRTH_WITHIN_S = 2.0  # how soon to answer a start of Home Assistant


class Publisher(Protocol):
    """Whoever is told of usage."""

    def start(self, again: Callable[[float], None]) -> None:
        """Begin to listen; returns at once. `again` is called, from any thread: in how many seconds to tell anew."""

    def tell(self, ledger: Ledger, router: RouterStatus) -> bool:
        """Say what has changed, and everything where it may have been forgotten. False: try again soon."""

    def tell_events(self, events: Iterable[Event], at: float) -> None:
        """What is out of the ordinary, once; nobody is told later who does not listen now."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was told has arrived; False where it has not in time."""

    def stop(self) -> None:
        """Say goodbye, within a second."""


def open_publisher(config: Config) -> Publisher:
    """The broker of the configuration, or nobody. Connects to nothing yet."""
    return Nobody() if config.mqtt is None else Broker(config)


class Nobody:
    """A publisher for a household without a broker."""

    def start(self, again: Callable[[float], None]) -> None:
        """See Publisher."""

    def tell(self, ledger: Ledger, router: RouterStatus) -> bool:  # noqa: ARG002
        """See Publisher."""
        return True

    def tell_events(self, events: Iterable[Event], at: float) -> None:
        """See Publisher."""

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002
        """See Publisher."""
        return True

    def stop(self) -> None:
        """See Publisher."""


class Broker:
    """Publishes what changed to an MQTT broker, and everything after a reconnect or a start of Home Assistant."""

    def __init__(self, config: Config) -> None:
        from dalla_mqtt.mqtt.client import Client  # noqa: PLC0415  # paho costs 60 ms, and not every command publishes
        from dalla_mqtt.mqtt.discovery import Discovery  # noqa: PLC0415

        assert config.mqtt is not None
        self._tariff = config.tariff
        self._topics = Topics(config.mqtt.base_topic, config.site)
        self._topics.meet(config.people.names)
        prefix = config.discovery_prefix
        self._discovery = None if prefix is None else Discovery(self._topics, prefix, config.router.url)
        self._client = Client(
            config.mqtt,
            self._topics.status,
            self._discovery.birth_topic if self._discovery else None,
            on_connect=self._forget,
            on_birth=self._birth,
        )
        self._again: Callable[[float], None] = lambda _: None
        self._told = Ledger()
        self._told_router: RouterStatus | None = None
        self._wishes = 0  # to be told everything; counted by the network's thread alone
        self._granted = -1

    def start(self, again: Callable[[float], None]) -> None:
        """See Publisher."""
        self._again = again
        self._client.start()

    def tell(self, ledger: Ledger, router: RouterStatus) -> bool:
        """See Publisher. While the broker is away, or still busy with the last batch, nothing is sent or queued."""
        if not self._client.ready:
            return not self._client.connected
        wishes = self._wishes
        again, self._granted = wishes != self._granted, wishes
        if again:
            self._told, self._told_router = Ledger(), None
        self._topics.meet(ledger.users)
        self._client.publish(self._messages(ledger, router, again=again))
        self._told, self._told_router = ledger, router
        return True

    def tell_events(self, events: Iterable[Event], at: float) -> None:
        """See Publisher."""
        self._client.publish((event_message(self._topics, event, at) for event in events), retain=False)

    def flush(self, timeout_s: float) -> bool:
        """See Publisher."""
        return self._client.flush(timeout_s)

    def stop(self) -> None:
        """See Publisher."""
        self._client.stop()

    def _messages(self, ledger: Ledger, router: RouterStatus, *, again: bool) -> Iterator[Message]:
        """Discovery, `online`, the states, the router: what is `ok` again shows no rate from before."""
        if self._discovery is not None:
            yield from self._discovery.messages(self._told, ledger, self._told_router, router)
        if again:
            yield self._topics.status, ONLINE
        if ledger.at is not None:
            yield from usage_messages(self._topics, self._tariff, self._told, ledger)
        if router != self._told_router:
            yield router_message(self._topics, router, ledger)

    def _forget(self) -> None:
        self._wishes += 1
        self._again(0.0)

    def _birth(self, payload: bytes) -> None:
        if payload == ONLINE:
            self._wishes += 1
            self._again(random.uniform(0, _BIRTH_WITHIN_S))  # noqa: S311  # others answer it too
