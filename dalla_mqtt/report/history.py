"""What one series moved by the hour, the day or the billing period: one bin each, the oldest first."""

from __future__ import annotations

from datetime import date
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from dalla_mqtt.report.bins import Bin, of_days, of_hours
from dalla_mqtt.report.records import Records
from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.usage.hours import HOUR_S, hour_of
from dalla_mqtt.usage.ledger import TOTAL, Key, Series
from dalla_mqtt.usage.quota import Window
from dalla_mqtt.usage.reading import Mac

By = Literal["hour", "day", "month"]
BINS: tuple[By, ...] = get_args(By)
LAST: dict[By, int] = {"hour": 48, "day": 62, "month": 24}
MOST: dict[By, int] = {"hour": 62 * 24, "day": 1100, "month": 120}

_encode = msgspec.json.Encoder().encode


class _History(Struct, frozen=True):
    of: str
    by: By
    start: list[int]
    on_peak: list[int]
    off_peak: list[int]
    delta: list[int]
    total: list[int]


def series_at(of: str, snapshot: Snapshot) -> tuple[Key, Series] | None:
    """Which series has the path `total`, `user/alice` or `device/cb-bd-ab-90-2d-38`, and its figures; None: none."""
    ledger, subject = snapshot.ledger, snapshot.household.ids.subject_at(of)
    if of == "total":
        return TOTAL, ledger.total
    if subject is None or subject.kind == "pool":
        return None
    device = ledger.devices.get(Mac(subject.name)) if subject.kind == "device" else None
    series = device.series if device else ledger.users.get(subject.name)
    return None if series is None else (Key(subject.kind, subject.name), series)


def history_json(of: str, by: By, last: int, snapshot: Snapshot, records: Records) -> bytes | None:
    """The last so many bins of the series at the path `of`; None where there is none. `total`: the usage at each's end.

    A bin in which nothing is on record is 0 where something is before and after it, and else it is not there. Counters
    with which counts began were there before the first bin. Raises ArchiveError.
    """
    found = series_at(of, snapshot)
    if found is None:
        return None
    key, series = found
    bins = _hours(key, series, last, snapshot, records) if by == "hour" else _days(key, series, by, snapshot, records)
    newest = bins[-last:]
    return _encode(
        _History(
            of=of,
            by=by,
            start=[int(one.start) for one in newest],
            on_peak=[one.used.on_peak for one in newest],
            off_peak=[one.used.off_peak for one in newest],
            delta=[sum(one.used) for one in newest],
            total=[max(0, one.usage) for one in newest],
        )
    )


def _hours(key: Key, series: Series, last: int, snapshot: Snapshot, records: Records) -> list[Bin]:
    now = hour_of(int(snapshot.at))
    return of_hours(records.hours(key, now - (last - 1) * HOUR_S, now + 1), series.usage)


def _days(key: Key, series: Series, by: By, snapshot: Snapshot, records: Records) -> list[Bin]:
    tariff, today = snapshot.household.tariff, snapshot.ledger.day
    found = records.days(key, date.min, today) if today is not None else {}
    if today is None or not found:
        return []
    if by == "day":
        return of_days(found, Window(min(found), today), series.usage, tariff, "day")
    return of_days(found, Window(tariff.period_of(min(found)), today), series.usage, tariff, "period")
