"""What is known of a household at one moment, and what does not change of it while the program runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ids import Ids
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import Standing, Subject
from dalla_mqtt.usage.status import RouterStatus
from dalla_mqtt.usage.tariff import Tariff


class Household(Struct, frozen=True):
    """`users`: all that a device may be given to, UNKNOWN last. `interval_s`: between two polls."""

    site: str
    interval_s: float
    users: tuple[str, ...]
    tariff: Tariff
    ids: Ids


class Told(NamedTuple):
    """An event, and when it was told, UTC epoch seconds."""

    at: float
    event: Event


class Snapshot(Struct, frozen=True):
    """All figures of the moment `at`, UTC epoch seconds, which was `steady` on the monotonic clock."""

    household: Household
    ledger: Ledger
    router: RouterStatus
    standings: Mapping[Subject, Standing]
    at: float
    steady: float
    events: tuple[Told, ...] = ()  # the newest first
