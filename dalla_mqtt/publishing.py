"""Who is told of usage, and whose wishes come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import Config
from dalla_mqtt.usage.commands import Command
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import Standing, Subject
from dalla_mqtt.usage.status import RouterStatus

if TYPE_CHECKING:
    from dalla_mqtt.mqtt.network import Network
    from dalla_mqtt.report.web.server import Server


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


class Common(NamedTuple):
    """What the sites of one process share; None: each has its own, if any."""

    network: Network | None = None
    server: Server | None = None


ALONE = Common()


def open_common(configs: Sequence[Config]) -> Common:
    """The thread that speaks with all brokers, and the one that serves all pages. Neither begins yet."""
    network = server = None
    if any(config.mqtt is not None for config in configs):
        from dalla_mqtt.mqtt.network import Network  # noqa: PLC0415  # paho costs 60 ms

        network = Network()
    if (web := configs[0].web) is not None:
        from dalla_mqtt.report.web.server import Server  # noqa: PLC0415

        server = Server(web, [config.site for config in configs])
    return Common(network, server)


def open_publisher(config: Config, store: Store, common: Common = ALONE) -> Publisher:
    """All that the configuration has: the broker, the page, or nobody. Connects to nothing yet."""
    publishers: list[Publisher] = []
    if config.mqtt is not None:
        from dalla_mqtt.mqtt import Broker  # noqa: PLC0415  # paho costs 60 ms

        publishers.append(Broker(config, store, common.network))
    if config.web is not None:
        from dalla_mqtt.archive.records import StoredRecords  # noqa: PLC0415
        from dalla_mqtt.report.web import Page  # noqa: PLC0415

        records = StoredRecords(config.state, config.archive, config.tariff)
        publishers.append(Page(config, store, records, common.server))
    return publishers[0] if len(publishers) == 1 else Everybody(publishers)


class Everybody:
    """A publisher that passes all on to each of several, or to none."""

    def __init__(self, publishers: Iterable[Publisher]) -> None:
        self._all = tuple(publishers)

    def start(self, again: Callable[[float], None], command: Callable[[Command], None]) -> None:
        """See Publisher."""
        for one in self._all:
            one.start(again, command)

    def tell(self, ledger: Ledger, router: RouterStatus, standings: Mapping[Subject, Standing], at: float) -> bool:
        """See Publisher. False where any of them says so: each tells only what it has not told."""
        told = [one.tell(ledger, router, standings, at) for one in self._all]
        return all(told)

    def tell_events(self, events: Iterable[Event], at: float) -> bool:
        """See Publisher. False where any of them has not taken it."""
        known = tuple(events)
        told = [one.tell_events(known, at) for one in self._all]
        return all(told)

    def flush(self, timeout_s: float) -> bool:
        """See Publisher."""
        arrived = [one.flush(timeout_s) for one in self._all]
        return all(arrived)

    def stop(self) -> None:
        """See Publisher. The page is gone at once, and the broker may take its second."""
        for one in reversed(self._all):
            one.stop()
