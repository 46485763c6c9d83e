"""What a series moved over time, in bins of hours, days or billing periods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Literal, NamedTuple

from dalla_mqtt.usage.hours import HOUR_S, Hour
from dalla_mqtt.usage.quota import Used, Window, summed
from dalla_mqtt.usage.tariff import Tariff

By = Literal["hour", "day", "period"]
_MOST_DAYS: tuple[tuple[By, int], ...] = (("hour", 7), ("day", 124))


class Bin(NamedTuple):
    """From `start` to `end`, UTC epoch seconds: what was moved, and the usage at the end."""

    start: float
    end: float
    used: Used
    usage: int


def width_for(window: Window) -> By:
    """Hours for a week at most, days for four months, or else billing periods."""
    days = (window.last - window.first).days + 1
    return next((by for by, most in _MOST_DAYS if days <= most), "period")


def of_hours(hours: Iterable[Hour], usage: int) -> list[Bin]:
    """A bin for each hour from the first to the last of which there are records; `usage` at the end of the last."""
    moved = {hour.start: Used(hour.on_peak, hour.off_peak) for hour in hours}
    if not moved:
        return []
    starts = range(min(moved), max(moved) + 1, HOUR_S)
    return _with_usage([(start, start + HOUR_S, moved.get(start, Used())) for start in starts], usage)


def of_days(days: Mapping[date, Used], window: Window, usage: int, tariff: Tariff, by: By) -> list[Bin]:
    """A bin for each day of `window`, or each billing period, cut to it; `usage` at the end of the last day."""
    parts = []
    for first, last in _periods(window, tariff) if by == "period" else _days(window):
        start, end = (tariff.midnight(day).timestamp() for day in (first, last + timedelta(days=1)))
        parts.append((start, end, summed(days.get(day, Used()) for day, _ in _days(Window(first, last)))))
    return _with_usage(parts, usage)


def _days(window: Window) -> Iterator[Window]:
    for number in range((window.last - window.first).days + 1):
        day = window.first + timedelta(days=number)
        yield Window(day, day)


def _periods(window: Window, tariff: Tariff) -> Iterator[Window]:
    first = window.first
    while first <= window.last:
        last = min(tariff.last_day(tariff.period_of(first)), window.last)
        yield Window(first, last)
        first = last + timedelta(days=1)


def _with_usage(parts: list[tuple[float, float, Used]], usage: int) -> list[Bin]:
    bins = []
    for start, end, used in reversed(parts):
        bins.append(Bin(start, end, used, usage))
        usage -= sum(used)
    return bins[::-1]
