"""Which days are meant, and how people say them."""

from __future__ import annotations

import re
from datetime import date, timedelta

from msgspec import Struct

from dalla_mqtt.usage.quota import Window
from dalla_mqtt.usage.tariff import Tariff

_WORDS = "this, last, today, yesterday, 2026-11-24, 2026-11 (the period that begins in it) or 2026-11-01..2026-11-15"
_SHOWN = 40  # characters of what is no day
_YEARS = range(1970, 2200)
_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])", re.ASCII)


class Moment(Struct, frozen=True):
    """What a report is of: of which `site`, looked at when (UTC epoch seconds), by which clock.

    On record are the days of `recorded`, up to `at`; both None before the first poll.
    """

    site: str
    tariff: Tariff
    now: float
    recorded: Window | None
    at: float | None

    @property
    def today(self) -> date:
        """The local day that is now."""
        return self.tariff.local(self.now).date()

    def known(self, window: Window) -> Window | None:
        """The days of `window` that are on record; None: none of them."""
        if self.recorded is None:
            return None
        days = Window(max(window.first, self.recorded.first), min(window.last, self.recorded.last))
        return days if days.first <= days.last else None


def parse_days(text: str, tariff: Tariff, today: date) -> Window:
    """The days that are meant by `text`, one of _WORDS. Raises ValueError."""
    word = text.strip().lower()
    if word in ("today", "yesterday"):
        day = today - timedelta(days=word == "yesterday")
        return Window(day, day)
    if word in ("this", "last"):
        period = tariff.period_of(today)
        return _period(tariff, period if word == "this" else tariff.period_of(period - timedelta(days=1)))
    if _MONTH.fullmatch(word):
        last_of_month = (_day(f"{word}-01", _WORDS) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        return _period(tariff, tariff.period_of(last_of_month))
    first, dots, last = word.partition("..")
    window = Window(_day(first, _WORDS), _day(last if dots else first, _WORDS))
    if window.first > window.last:
        raise ValueError(f"{first} is after {last}")
    return window


def parse_day(text: str) -> date:
    """The day that is written as 2026-11-24. Raises ValueError."""
    return _day(text, "a day such as 2026-11-24")


def is_period(window: Window, tariff: Tariff) -> bool:
    """Whether those days are a billing period."""
    return window == _period(tariff, tariff.period_of(window.first))


def said(window: Window) -> str:
    """`24 November 2026`, `1 to 30 November 2026`, `15 October to 14 November 2026`."""
    first, last = window
    if first == last:
        return day_said(first)
    begin = [f"{first.day}", f"{first:%B}", f"{first.year}"]
    same = 1 if first.timetuple()[:2] == last.timetuple()[:2] else 2 if first.year == last.year else 3
    return f"{' '.join(begin[:same])} to {day_said(last)}"


def day_said(day: date) -> str:
    """`24 November 2026`."""
    return f"{day.day} {day:%B} {day.year}"


def _period(tariff: Tariff, first: date) -> Window:
    return Window(first, tariff.last_day(first))


def _day(text: str, expected: str) -> date:
    try:
        day = date.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(f"expected {expected}, not {text[:_SHOWN]!r}") from error
    if day.year not in _YEARS:
        raise ValueError(f"{day} is not among the years {_YEARS[0]} to {_YEARS[-1]}")
    return day
