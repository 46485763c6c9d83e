"""Home Assistant's long-term statistics: one row an hour of an entity, in the unit that it has them in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from dalla_mqtt.errors import HomeAssistantError
from dalla_mqtt.recorder.hours import Row
from dalla_mqtt.recorder.websocket import Connection
from dalla_mqtt.usage.hours import HOUR_S

_ENTITY = re.compile(r"sensor\.[a-z0-9_]{1,248}")
_BACK_S = (3 * 86_400, 100 * 86_400)  # where the last row is looked for first
_DONE_WITHIN_S, _LOOK_S = 120, 0.05  # what is written waits in the recorder's queue
_WITH_MEAN_TYPE = (2025, 11)  # before, a statistic was told to have a mean or not
_LARGEST = 2.0**80  # bytes; what is beyond was no state
BYTES = (  # of each unit of the class data_size
    {"bit": 1 / 8, "kbit": 125, "Mbit": 125 * 10**3, "Gbit": 125 * 10**6, "B": 1}
    | {f"{prefix}B": 1000**power for power, prefix in enumerate("kMGTPEZY", 1)}
    | {f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGTPEZY", 1)}
)


Figures = tuple[float, float]  # a state and a sum, in the unit of the statistic


class _Entity(Struct, frozen=True):
    entity_id: str
    unique_id: Any
    platform: str
    disabled_by: str | None = None


class _Metadata(Struct, frozen=True):
    statistic_id: str
    source: str
    has_sum: bool
    statistics_unit_of_measurement: str | None = None
    unit_class: str | None = None


class _Hour(Struct, frozen=True):
    start: int  # milliseconds
    state: float | None = None
    sum: float | None = None


class _Info(Struct, frozen=True):
    backlog: int


class Recorder:
    """What Home Assistant has recorded. All of it raises HomeAssistantError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def entities(self) -> dict[str, str]:
        """The entity ids of the sensors that came over MQTT and are enabled, by unique id."""
        return {
            entity.unique_id: entity.entity_id
            for entity in self._connection.ask("config/entity_registry/list", list[_Entity])
            if entity.platform == "mqtt" and entity.disabled_by is None
            if isinstance(entity.unique_id, str) and _ENTITY.fullmatch(entity.entity_id)
        }

    def statistic(self, entity_id: str) -> Statistic | None:
        """The statistics of an entity; None where there are none that have a sum."""
        known = self._connection.ask("recorder/get_statistics_metadata", list[_Metadata], statistic_ids=[entity_id])
        for one in known:
            if (one.statistic_id, one.source, one.has_sum) == (entity_id, "recorder", True):
                return Statistic(self._connection, entity_id, one.statistics_unit_of_measurement, one.unit_class)
        return None


class Statistic:
    """The hourly statistics of one entity; all of it raises HomeAssistantError."""

    def __init__(self, connection: Connection, entity_id: str, unit: str | None, unit_class: str | None) -> None:
        if unit not in BYTES:
            raise HomeAssistantError(f"{entity_id}: Home Assistant has its statistics in {unit}: no unit of bytes")
        self._connection = connection
        self.entity_id = entity_id
        self._unit = unit
        self._unit_class = unit_class
        self._size = BYTES[unit]

    def settle(self) -> None:
        """Wait until the recorder has done all that it was given before: read earlier, a sum would be raised twice."""
        self._wait(lambda: self._connection.ask("recorder/info", _Info).backlog == 0)

    def last(self, before: int) -> Row | None:
        """The last hour there is that begins before `before`, UTC epoch seconds."""
        for since in (*(before - back for back in _BACK_S), 0):
            rows = self.rows(max(0, since), before)
            if rows:
                return rows[-1]
        return None

    def rows(self, first: int, before: int) -> list[Row]:
        """The hours there are that begin from `first` on and before `before`, in their order."""
        there = self._read(first, before)
        return [Row(hour, *map(self._in_bytes, there[hour])) for hour in sorted(there)]

    def differing(self, rows: Iterable[Row], first: int, before: int) -> Iterator[Row]:
        """Those of `rows`, of the same hours, that are not there just so."""
        there = self._read(first, before)
        return (row for row in rows if there.get(row.hour) != self._figures(row))

    def write(self, rows: list[Row]) -> int:
        """Put rows in the place of those of the same hours, and wait until Home Assistant has them; how many."""
        stats = [dict(zip(("state", "sum"), self._figures(row), strict=True), start=_iso(row.hour)) for row in rows]
        self._connection.ask("recorder/import_statistics", object, metadata=self._metadata(), stats=stats)
        self._wait(lambda: self._at(rows[-1].hour) == self._figures(rows[-1]))
        return len(rows)

    def adjust(self, since: int, more: int, last: int) -> None:
        """Add `more` bytes to all sums from `since` on, also those of five minutes; wait until `last` has them."""
        before = self._at(last)
        self._connection.ask(
            "recorder/adjust_sum_statistics",
            object,
            statistic_id=self.entity_id,
            start_time=_iso(since),
            adjustment=more / self._size,
            adjustment_unit_of_measurement=self._unit,
        )
        self._wait(lambda: self._at(last) != before)

    def _read(self, first: int, before: int) -> dict[int, Figures]:
        found = self._connection.ask(
            "recorder/statistics_during_period",
            dict[str, list[_Hour]],
            statistic_ids=[self.entity_id],
            period="hour",
            types=["state", "sum"],
            units={"information": self._unit},
            start_time=_iso(first),
            end_time=_iso(before),
        )
        there: dict[int, Figures] = {}
        for one in found.get(self.entity_id, []):
            hour, odd = divmod(one.start, 1000)
            if odd or hour % HOUR_S or not first <= hour < before:
                raise HomeAssistantError(f"{self.entity_id}: Home Assistant tells of an hour that was not asked for")
            if one.state is not None and one.sum is not None:
                there[hour] = (one.state, one.sum)
        return there

    def _at(self, hour: int) -> Figures | None:
        return self._read(hour, hour + HOUR_S).get(hour)

    def _wait(self, done: Callable[[], bool]) -> None:
        """For the recorder, which works off what it is given one after the other."""
        deadline = time.monotonic() + _DONE_WITHIN_S
        while not done():
            if time.monotonic() > deadline:
                mend = "its log may say why; hand over once more"
                raise HomeAssistantError(f"{self.entity_id}: Home Assistant does not write what it was given: {mend}")
            time.sleep(_LOOK_S)

    def _metadata(self) -> dict[str, object]:
        """Just what it is already: Home Assistant would change it, and no figure."""
        common = {
            "statistic_id": self.entity_id,
            "source": "recorder",
            "name": None,
            "has_sum": True,
            "unit_of_measurement": self._unit,
        }
        if self._connection.version < _WITH_MEAN_TYPE:
            return {**common, "has_mean": False}
        return {**common, "mean_type": 0, "unit_class": self._unit_class}

    def _in_bytes(self, figure: float) -> int:
        if abs(figure * self._size) > _LARGEST:
            raise HomeAssistantError(f"{self.entity_id}: Home Assistant has {figure} {self._unit}: no state of ours")
        return round(float(figure * self._size))

    def _figures(self, row: Row) -> Figures:
        return row.state / self._size, row.sum / self._size


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
