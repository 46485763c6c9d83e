"""Who is told of usage, and whose wishes come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import Config
from dalla_mqtt.usage.commands import Command
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import Standing, Subject
from dalla_mqtt.usage.status import RouterStatus


class Publisher(Protocol):
    """Whoever is told of usage."""

    def start(self, again: Callable[[float], None], command: Callable[[Command], None]) -> None:
        """Begin to listen; returns at once. Both are called from any thread.

        `again`: in how many seconds to tell anew. `command`: somebody wants something.
        """

    def tell(self, ledger: Ledger, router: RouterStatus, standings: Mapping[Subject, Standing], at: float) -> bool:
        """Say what has changed, and everything where it may have been forgotten. False: try again soon.

        `standings`: how it stands with the quotas of all that have one, of every user and every pool.
        """

    def tell_events(self, events: Iterable[Event], at: float) -> bool:
        """What is out of the ordinary, once. False where the broker is away: it is not told of it later."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was told has arrived; False where it has not in time."""

    def stop(self) -> None:
        """Say goodbye, within a second."""


def open_publisher(config: Config, store: Store) -> Publisher:
    """All that the configuration has: the broker, or nobody. Connects to nothing yet."""
    if config.mqtt is None:
        return Nobody()

    from dalla_mqtt.mqtt import Broker  # noqa: PLC0415  # paho costs 60 ms

    return Broker(config, store)


class Nobody:
    """A publisher for a household without a broker."""

    def start(self, again: Callable[[float], None], command: Callable[[Command], None]) -> None:
        """See Publisher."""

    def tell(
        self,
        ledger: Ledger,  # noqa: ARG002
        router: RouterStatus,  # noqa: ARG002
        standings: Mapping[Subject, Standing],  # noqa: ARG002
        at: float,  # noqa: ARG002
    ) -> bool:
        """See Publisher."""
        return True

    def tell_events(self, events: Iterable[Event], at: float) -> bool:  # noqa: ARG002
        """See Publisher."""
        return True

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002
        """See Publisher."""
        return True

    def stop(self) -> None:
        """See Publisher."""
