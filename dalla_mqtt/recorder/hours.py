"""What a series moved by the hour, and what Home Assistant's hourly statistics must say of it, in bytes.

Home Assistant's sum rises with the state. So what is brought in from elsewhere, and added to the usage all at once, is
a jump there that nobody moved. True are the deltas of the records: sums are made of them, from the first hour on. An
hour is named by its start, UTC epoch seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import accumulate

from msgspec import Struct

from dalla_mqtt.usage.hours import HOUR_S, hour_of

_DAY_S = 86_400  # before an hour, where its last record is looked for; and in the next one: clocks differ

Sample = tuple[int, int, int]  # of a record: UTC epoch seconds, the usage then, the delta


class Row(Struct, frozen=True):
    """One hour of a statistic: the usage at its end, and the sum of what moved until then."""

    hour: int
    state: int
    sum: int


class Hours(Struct, frozen=True):
    """What a series moved in each hour of which there are records.

    `edges`: the usage before the first record of each hour, and in its last one. `seen`: what moved up to the record
    that Home Assistant has as its last state. `later`: what was added to the usage since then without having moved.
    `latest`: the usage in the last record of all.
    """

    moved: dict[int, int]
    edges: dict[int, tuple[int, int]]
    seen: int
    later: int
    latest: int


def read_hours(samples: Iterable[Sample], last: Row) -> Hours | None:
    """The hours of a series, whose records come in any order; None where Home Assistant has seen none of them.

    `last` is its last hour: it saw the last record with that usage thereabouts, or else the last one of that hour.
    """
    moved: dict[int, int] = defaultdict(int)
    firsts: dict[int, Sample] = {}
    lasts: dict[int, Sample] = {}
    near: list[Sample] = []
    for sample in samples:
        hour = hour_of(sample[0])
        moved[hour] += sample[2]
        firsts[hour] = min(firsts.get(hour, sample), sample)
        lasts[hour] = max(lasts.get(hour, sample), sample)
        if last.hour - _DAY_S < hour <= last.hour + HOUR_S:
            near.append(sample)
    alike = [sample for sample in near if sample[1] == last.state]
    anchor = max(alike or [sample for hour, sample in lasts.items() if hour <= last.hour], default=None)
    if anchor is None:
        return None
    latest, until = max(lasts.values()), hour_of(anchor[0])
    seen = sum(size for hour, size in moved.items() if hour <= until)
    seen -= sum(sample[2] for sample in near if sample > anchor and hour_of(sample[0]) == until)
    later = latest[1] - anchor[1] - (sum(moved.values()) - seen)
    edges = {hour: (first[1] - first[2], lasts[hour][1]) for hour, first in firsts.items()}
    return Hours(dict(moved), edges, seen, max(0, later), latest[1])


class Meter:
    """What Home Assistant's rows must say of the hours before `last`, its last one.

    `sums` are those that it has, up to `last`. They go on from its row `base`, of the first hour or before, where
    records of before are purged: it and older rows stay as they are. So does what moved in hours without records
    between which the usage rose: they are lost.
    """

    def __init__(self, hours: Hours, base: Row | None, last: Row, sums: Mapping[int, int]) -> None:
        since = base.hour if base else 0
        lost = _lost(hours, since, last, sums)
        moved = lost | {hour: size if hour > since else 0 for hour, size in hours.moved.items() if hour >= since}
        seen = hours.seen - sum(size for hour, size in hours.moved.items() if hour <= since) + sum(lost.values())
        self._hours = sorted(moved)
        self._sums = [*accumulate(moved[hour] for hour in self._hours)]
        self._base = base.sum if base else 0
        self._seen = max(0, seen)
        self._state = last.state
        self.sum = self._base + self._seen
        """That of the last hour."""

    def row(self, hour: int) -> Row:
        """The row of an hour before the last one, with records or without."""
        index = bisect_right(self._hours, hour)
        moved = min(self._sums[index - 1] if index else 0, self._seen)
        return Row(hour, max(0, self._state - self._seen + moved), self._base + moved)


def _lost(hours: Hours, since: int, last: Row, sums: Mapping[int, int]) -> dict[int, int]:
    """What moved in hours without records, by the sums of Home Assistant, where the usage rose between two records."""
    known = sorted(hours.edges)
    lost = {}
    for hour, size in sums.items():
        index = bisect_right(known, hour)
        more = size - sums.get(hour - HOUR_S, size)
        if index and hour > since and hour not in hours.edges and more > 0:
            following = known[index] if index < len(known) else last.hour + HOUR_S
            usage = hours.edges[following][0] if following <= last.hour else last.state
            if usage > hours.edges[known[index - 1]][1]:
                lost[hour] = more
    return lost
