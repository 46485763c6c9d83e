"""One series handed over: Home Assistant's hourly rows of it are made to say what truly moved."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct

from dalla_mqtt.recorder.hours import Meter, Row, Sample, read_hours
from dalla_mqtt.recorder.statistics import Statistic
from dalla_mqtt.usage.hours import HOUR_S

_AT_ONCE = 1000  # rows of a message, or more where there are no records


class Done(Struct, frozen=True):
    """What came of it: `hours` of which there are records, from `first` to before `last`, and rows that were `written`.

    `later`: bytes that were added to the usage without having moved since Home Assistant's last hour; `latest`: the
    usage in the last record.
    """

    hours: int
    first: int
    last: int
    written: int
    later: int
    latest: int


def hand_over(statistic: Statistic, samples: Iterable[Sample], before: int) -> Done | None:
    """Hand over the records of a series; None where Home Assistant has no hour of it yet. Raises HomeAssistantError.

    Its last hour, before `before`, stays as it is, but for its sum: all sums from the first hour on, also those that
    are still to come, are raised so that they begin with the first record. Then rows of before are written where they
    differ. Ended anywhere, or done twice, the next time ends with the same rows.
    """
    statistic.settle()
    last = statistic.last(before)
    if last is None:
        return None
    hours = read_hours(samples, last)
    if hours is None or (first := min(hours.moved)) > last.hour:
        return Done(0, last.hour, last.hour, 0, *((hours.later, hours.latest) if hours else (0, 0)))
    base = statistic.last(first + HOUR_S) if statistic.last(first) else None  # of the first hour some may be purged
    since = base.hour if base else first
    sums = {row.hour: row.sum for row in statistic.rows(since, last.hour + HOUR_S)}
    meter = Meter(hours, base, last, sums)
    if meter.sum != last.sum:
        statistic.adjust(since + HOUR_S if base else first, meter.sum - last.sum, last.hour)
    known = {hour for hour in hours.moved if hour < last.hour}
    there = {hour for hour in sums if first <= hour < last.hour}
    rows = (meter.row(hour) for hour in sorted(known | there))
    written = sum(map(statistic.write, _messages(statistic.differing(rows, first, last.hour), known)))
    return Done(len(known), first, last.hour, written, hours.later, hours.latest)


def _messages(rows: Iterable[Row], known: Collection[int]) -> Iterator[list[Row]]:
    """Rows to be written at once. Each time the first is of an hour with records: ended there, no other leans on it."""
    message: list[Row] = []
    for row in rows:
        if len(message) >= _AT_ONCE and row.hour in known:
            yield message
            message = []
        message.append(row)
    if message:
        yield message
