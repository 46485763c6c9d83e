"""A household that the page shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dalla_mqtt.report.records import Records
from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.usage.commands import Command


class Site(NamedTuple):
    """`snapshot`: what is known now; None: nothing yet. `command` is given what somebody wants. For any thread."""

    name: str
    snapshot: Callable[[], Snapshot | None]
    records: Records
    command: Callable[[Command], None]
