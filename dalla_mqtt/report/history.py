"""What one series moved by the hour, the day or the billing period: one bin each, the oldest first."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from dalla_mqtt.report.records import Records
from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.usage.hours import HOUR_S, hour_of
from dalla_mqtt.usage.ledger import TOTAL, Key, Series
from dalla_mqtt.usage.quota import Used, summed
from dalla_mqtt.usage.reading import Mac

By = Literal["hour", "day", "month"]
BINS: tuple[By, ...] = get_args(By)
LAST: dict[By, int] = {"hour": 48, "day": 62, "month": 24}
MOST: dict[By, int] = {"hour": 62 * 24, "day": 1100, "month": 120}

_encode = msgspec.json.Encoder().encode
_Bins = dict[float, Used]  # by their start, UTC epoch seconds


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
    bins = _hours(key, last, snapshot, records) if by == "hour" else _days(key, by, last, snapshot, records)
    deltas = [used.of("together") for used in bins.values()]
    usage, totals = series.usage, []
    for delta in reversed(deltas):
        totals.append(usage)
        usage = max(0, usage - delta)
    return _encode(
        _History(
            of=of,
            by=by,
            start=[int(start) for start in bins],
            on_peak=[used.on_peak for used in bins.values()],
            off_peak=[used.off_peak for used in bins.values()],
            delta=deltas,
            total=totals[::-1],
        )
    )


def _hours(key: Key, last: int, snapshot: Snapshot, records: Records) -> _Bins:
    now = hour_of(int(snapshot.at))
    found = {
        hour.start: Used(hour.on_peak, hour.off_peak) for hour in records.hours(key, now - (last - 1) * HOUR_S, now + 1)
    }
    if not found:
        return {}
    return {start: found.get(start, Used()) for start in range(min(found), max(found) + 1, HOUR_S)}


def _days(key: Key, by: By, last: int, snapshot: Snapshot, records: Records) -> _Bins:
    tariff, today = snapshot.household.tariff, snapshot.ledger.day
    found = records.days(key, date.min, today) if today is not None else {}
    if today is None or not found:
        return {}
    days = [min(found) + timedelta(days=number) for number in range((today - min(found)).days + 1)]
    bins: dict[date, list[Used]] = {}
    for day in days:
        bins.setdefault(day if by == "day" else tariff.period_of(day), []).append(found.get(day, Used()))
    newest = list(bins.items())[-last:]
    return {tariff.midnight(day).timestamp(): summed(shares) for day, shares in newest}
