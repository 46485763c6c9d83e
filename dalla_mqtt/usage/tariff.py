"""On-peak and off-peak windows, billing periods, time zones and daylight saving time."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise

from msgspec import Struct

YOUNGEST = 1_767_225_600  # 2026-01-01, UTC epoch seconds: no clock that is right says less
DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES_A_DAY = 24 * 60
_WINDOW = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:\s*-\s*(?P<last>[a-z]{3}))?\s+)?"
    r"(?P<from>\d{1,2}:\d\d)\s*-\s*(?P<to>\d{1,2}:\d\d)",
    re.IGNORECASE | re.ASCII,
)


class Window(Struct, frozen=True):
    """Minutes of some days of the week: from `start` up to `end`, of the next day where that is earlier."""

    days: frozenset[int]  # 0 is Monday
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Window:
        """`00:00-06:00`, `22:00-06:00`, `Sat-Sun 00:00-24:00`, `Fri 18:00-24:00`. Raises ValueError."""
        match = _WINDOW.fullmatch(text.strip())
        if not match:
            raise ValueError(f'{text!r} is not a window such as "00:00-06:00" or "Sat-Sun 00:00-24:00"')
        start, end = _minutes(match["from"]), _minutes(match["to"])
        if start in (end, _MINUTES_A_DAY):
            raise ValueError(f"the window {text!r} is empty")
        return cls(_days(match["first"], match["last"]), start, end)

    def holds(self, local: datetime) -> bool:
        """Whether the wall clock time `local` lies in this window."""
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            return local.weekday() in self.days and self.start <= minute < self.end
        yesterday = (local.weekday() - 1) % 7
        return (local.weekday() in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)


class Span(Struct, frozen=True):
    """A stretch of time in which neither the day nor the tariff changes. `start`, `end`: UTC epoch seconds."""

    start: float
    end: float
    day: date
    period: date  # the day on which the billing period began
    off_peak: bool


class Tariff(Struct, frozen=True):
    """Which hours are off-peak, and when a billing period begins: `period_starts` is 1 to 31, or -1 for the last day.

    A month that is too short for `period_starts` begins its period on its last day.
    """

    zone: tzinfo = UTC
    off_peak: tuple[Window, ...] = ()
    period_starts: int = 1

    def local(self, at: float) -> datetime:
        """The wall clock at `at`, UTC epoch seconds."""
        return datetime.fromtimestamp(at, self.zone)

    def midnight(self, day: date) -> datetime:
        """The moment the local day `day` begins."""
        return datetime.combine(day, time(), self.zone)

    def period_of(self, day: date) -> date:
        """The first day of the billing period that holds `day`."""
        first = _clip(day.year, day.month, self.period_starts)
        if first > day:
            last_month = day.replace(day=1) - timedelta(days=1)
            first = _clip(last_month.year, last_month.month, self.period_starts)
        return first

    def last_day(self, period: date) -> date:
        """The last day of the billing period that begins on `period`."""
        next_month = (period.replace(day=1) + timedelta(days=31)).replace(day=1)
        return _clip(next_month.year, next_month.month, self.period_starts) - timedelta(days=1)

    def span_at(self, at: float) -> Span:
        """The tariff at one moment, as a span of no length."""
        local = self.local(at)
        off_peak = any(window.holds(local) for window in self.off_peak)
        return Span(at, at, local.date(), self.period_of(local.date()), off_peak)

    def spans(self, start: float, end: float) -> tuple[Span, ...]:
        """The time from `start` to `end` in one piece, or in more where a day, a window or the local clock changes.

        Where `end` is not after `start` (a clock set back), all that there is to say is the tariff at `end`.
        """
        if end <= start:
            return (self.span_at(end),)
        cuts = sorted({start, end} | {cut for cut in self._cuts(start, end) if start < cut < end})
        spans: list[Span] = []
        for left, right in pairwise(cuts):
            at = self.span_at((left + right) / 2)
            last = spans[-1] if spans else None
            if last and (last.day, last.off_peak) == (at.day, at.off_peak):
                spans[-1] = Span(last.start, right, at.day, at.period, at.off_peak)
            else:
                spans.append(Span(left, right, at.day, at.period, at.off_peak))
        return tuple(spans)

    def _cuts(self, start: float, end: float) -> Iterator[float]:
        """Every moment at which the tariff may change, and some at which it does not."""
        edges = {0} | {edge % _MINUTES_A_DAY for window in self.off_peak for edge in (window.start, window.end)}
        day = self.local(start).date()
        last = self.local(end).date()
        while day <= last:
            for edge in edges:
                wall = datetime.combine(day, time(edge // 60, edge % 60), self.zone)
                yield wall.timestamp()
                yield wall.replace(fold=1).timestamp()  # the second time around, when clocks are set back
            day += timedelta(days=1)
        yield from self._clock_changes(start, end)

    def _clock_changes(self, start: float, end: float) -> Iterator[float]:
        """When the local clock was set forward or back: to the second, at most once a day."""
        left = start
        while left < end:
            right = min(left + 86_400, end)
            before = self.local(left).utcoffset()
            if before != self.local(right).utcoffset():
                low, high = int(left), int(right) + 1
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if self.local(middle).utcoffset() == before else (low, middle)
                yield float(high)
            left = right


def divide(amount: int, spans: tuple[Span, ...]) -> tuple[int, ...]:
    """`amount` in proportion to the lengths of `spans`, in whole bytes that add up to it."""
    if len(spans) == 1:
        return (amount,)
    whole = spans[-1].end - spans[0].start
    shares, given = [], 0
    for span in spans[:-1]:
        upto = min(amount, int(amount * ((span.end - spans[0].start) / whole)))
        shares.append(upto - given)
        given = upto
    return (*shares, amount - given)


def _clip(year: int, month: int, day: int) -> date:
    length = calendar.monthrange(year, month)[1]
    return date(year, month, length if day == -1 else min(day, length))


def _minutes(text: str) -> int:
    hours, minutes = (int(part) for part in text.split(":"))
    total = hours * 60 + minutes
    if minutes >= 60 or total > _MINUTES_A_DAY:  # noqa: PLR2004  # minutes an hour
        raise ValueError(f"{text} is not a time from 00:00 to 24:00")
    return total


def _days(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    numbers = []
    for name in (first, last or first):
        if name.lower() not in DAY_NAMES:
            raise ValueError(f"{name!r} is not a day: Mon Tue Wed Thu Fri Sat Sun")
        numbers.append(DAY_NAMES.index(name.lower()))
    start, end = numbers
    return frozenset((start + step) % 7 for step in range((end - start) % 7 + 1))
