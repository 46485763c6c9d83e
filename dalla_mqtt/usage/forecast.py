"""What will have been used when a window ends, judged by what was used at such hours and on such weekdays before."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate

from msgspec import Struct

from dalla_mqtt.usage.hours import HOUR_S
from dalla_mqtt.usage.quota import Part, Used, Window
from dalla_mqtt.usage.tariff import Span, Tariff

_DAY_S = 86_400
MEMORY_DAYS = 56  # what is older says little of today
_HALF_LIFE_DAYS = 14  # a day counts half as much as one two weeks later
_CLASS_PRIOR_DAYS = 1.0  # on-peak and off-peak are taken to be alike until about a day of each was seen,
_WEEKDAY_PRIOR_DAYS = 2.0  # and weekdays until two of each were: the last Sunday of many counts for a fifth of Sundays
_STEPS = 96  # of a window, each an hour at most, in which its clock runs: between them nothing changes for the idle
_DIGITS = 3


class Habits(Struct, frozen=True):
    """What somebody moves in bytes a second, on-peak and off-peak on each weekday, Monday first.

    `known_s`: the seconds of which that was learned.
    """

    on_peak: tuple[float, ...] = (0.0,) * 7
    off_peak: tuple[float, ...] = (0.0,) * 7
    known_s: float = 0.0


def learn(days: Mapping[date, Used], first: date, now: float, tariff: Tariff) -> Habits:
    """The habits of whom `days` are: what was moved on each local day; on one that is missing, nothing was.

    `first` is the first local day on record. It teaches nothing: nobody knows at which hour the record began. Today
    counts for the part of it that is over.
    """
    today = tariff.local(now).date()
    moved = [0.0] * 7, [0.0] * 7  # by off_peak, and weekday
    lasted_s = [0.0] * 7, [0.0] * 7
    known_s = 0.0
    for age in range(min(MEMORY_DAYS, (today - first).days)):
        day = today - timedelta(days=age)
        weight = 0.5 ** (age / _HALF_LIFE_DAYS)
        that_day_s = [0.0, 0.0]
        for span in _spans(tariff, day) if age else tariff.spans(tariff.midnight(day).timestamp(), now):
            that_day_s[span.off_peak] += span.end - span.start
        for peak, amount in enumerate(days.get(day, Used())):
            booked = peak if that_day_s[peak] else 1 - peak  # the tariff was another one
            moved[booked][day.weekday()] += amount * weight
            lasted_s[peak][day.weekday()] += that_day_s[peak] * weight
        known_s += sum(that_day_s)
    if not known_s:
        return Habits()
    whole_s = sum(map(sum, lasted_s))
    whole = sum(map(sum, moved)) / whole_s
    on_peak, off_peak = (
        _rates(amounts, seconds, whole, sum(seconds) / whole_s)
        for amounts, seconds in zip(moved, lasted_s, strict=True)
    )
    return Habits(on_peak, off_peak, known_s)


def _rates(moved: list[float], lasted_s: list[float], whole: float, share: float) -> tuple[float, ...]:
    """Bytes a second by weekday, drawn towards their mean, which is drawn towards that of the `whole`.

    `share`: the part of all time. A prior lasts as long as this class does on a mean day: so the sum over both classes
    stays what it is.
    """
    day_s = _DAY_S * share
    mean = _drawn(sum(moved), sum(lasted_s), whole, _CLASS_PRIOR_DAYS * day_s)
    return tuple(
        _drawn(amount, seconds, mean, _WEEKDAY_PRIOR_DAYS * day_s)
        for amount, seconds in zip(moved, lasted_s, strict=True)
    )


def _drawn(amount: float, seconds: float, prior: float, prior_s: float) -> float:
    return (amount + prior * prior_s) / (seconds + prior_s) if seconds else prior


@lru_cache(maxsize=512)  # all subjects learn from the same days, and look forward to the same
def _spans(tariff: Tariff, day: date) -> tuple[Span, ...]:
    return tariff.spans(tariff.midnight(day).timestamp(), tariff.midnight(day + timedelta(days=1)).timestamp())


class Outlook(Struct, frozen=True):
    """The expected course of a window, for each part. It is worth keeping as long as habits, window and tariff stay.

    `days`: when each day begins, and when the last one ends. `edges`: moments between which bytes are moved evenly;
    `upto`: how many from the beginning up to each of them.
    """

    known_s: float
    days: tuple[float, ...]
    edges: tuple[float, ...]
    upto: dict[Part, tuple[float, ...]]

    @classmethod
    def of(cls, habits: Habits, window: Window, tariff: Tariff) -> Outlook:
        """What somebody who has `habits` will move in `window`."""
        days = [window.first + timedelta(days=number) for number in range((window.last - window.first).days + 1)]
        spans = [(day.weekday(), span) for day in days for span in _spans(tariff, day)]
        lasted_s = [span.end - span.start for _, span in spans]
        rates = [(0.0, habits.off_peak[day]) if span.off_peak else (habits.on_peak[day], 0.0) for day, span in spans]
        on_peak, off_peak = (
            tuple(accumulate((rate[peak] * s for rate, s in zip(rates, lasted_s, strict=True)), initial=0.0))
            for peak in (0, 1)
        )
        together = tuple(map(sum, zip(on_peak, off_peak, strict=True)))
        end = spans[-1][1].end
        return cls(
            habits.known_s,
            (*(_spans(tariff, day)[0].start for day in days), end),
            (*(span.start for _, span in spans), end),
            {"together": together, "on_peak": on_peak, "off_peak": off_peak},
        )

    def silent(self, now: float) -> bool:
        """Whether it is too early to say anything: in the first hours of a window, or of the record."""
        quiet_s = min(_DAY_S, (self.days[-1] - self.days[0]) / 10)
        return min(now - self.days[0], self.known_s) < quiet_s

    def next_step(self, now: float) -> float:
        """The end of the step in which `now` is; within the window also where `now` is not."""
        start, end = self.days[0], self.days[-1]
        step_s = min(HOUR_S, (end - start) / _STEPS)
        return max(start, min(end, start + math.ceil((now - start) / step_s) * step_s))

    def days_left(self, at: float) -> float:
        """How many days there are from `at` to the end, which must not be before."""
        today = self._day(at)
        start, end = self.days[today : today + 2]
        return len(self.days) - 2 - today + (end - at) / (end - start)

    def rest(self, part: Part, at: float) -> float:
        """The bytes that are expected from `at` to the end."""
        return self.upto[part][-1] - self._upto(part, at)

    def moved(self, part: Part, at: float, amount: int) -> float:
        """When `amount` bytes, less than the rest, will have been moved after `at`: to the full hour, rounded down."""
        upto = self.upto[part]
        target = min(self._upto(part, at) + amount, upto[-1])
        right = max(1, bisect_left(upto, target))
        left_at, right_at = self.edges[right - 1 : right + 1]
        length = upto[right] - upto[right - 1]
        moment = max(at, left_at + (right_at - left_at) * (target - upto[right - 1]) / length if length else left_at)
        midnight = self.days[self._day(moment)]
        return moment - (moment - midnight) % HOUR_S

    def _upto(self, part: Part, at: float) -> float:
        upto = self.upto[part]
        right = max(1, bisect_left(self.edges, at))
        left_at, right_at = self.edges[right - 1 : right + 1]
        return upto[right] - (upto[right] - upto[right - 1]) * (
            (right_at - at) / (right_at - left_at)
        )  # exact at edges

    def _day(self, at: float) -> int:
        return min(bisect_right(self.days, at), len(self.days) - 1) - 1


class Forecast(Struct, frozen=True):
    """What an Allowance says of the time to come; None for what is not known, or will not be."""

    allowed_per_day: int
    expected: int | None = None
    exhausted_at: float | None = None


def forecast(part: Part, used: int, limit: int, outlook: Outlook, now: float) -> Forecast:
    """How a quota of `limit` bytes will fare, of which `used` are gone.

    All figures are rounded to three digits, and away from the limit: `expected` is above it just where it is crossed.
    When it was crossed, where that is past, `exhausted_at` does not tell. On the last day, its whole rest is allowed.
    """
    at = outlook.next_step(now)
    left = limit - used
    allowed_per_day = _rounded_down(int(max(0, left) / max(1.0, outlook.days_left(at))))
    if outlook.silent(now):
        return Forecast(allowed_per_day)
    expected = used + math.ceil(outlook.rest(part, at))
    if expected <= limit:
        return Forecast(allowed_per_day, max(used, _rounded_down(expected)))
    exhausted_at = outlook.moved(part, at, left) if left >= 0 else None
    return Forecast(allowed_per_day, -_rounded_down(-expected), exhausted_at)


def _rounded_down(amount: int) -> int:
    """To three digits; below 0 that is away from it."""
    step: int = 10 ** max(0, len(str(abs(amount))) - _DIGITS)
    return amount // step * step
