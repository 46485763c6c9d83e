"""What was moved over time, in bins that add up."""

from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.report.bins import Bin, By, of_days, of_hours, width_for
from dalla_mqtt.usage.hours import Hour
from dalla_mqtt.usage.quota import Used, Window
from dalla_mqtt.usage.tariff import Tariff

BERLIN = Tariff(ZoneInfo("Europe/Berlin"), period_starts=15)
FIRST = date(2026, 3, 28)
HOUR = 3600


@pytest.mark.parametrize(("days", "by"), [(1, "hour"), (7, "hour"), (8, "day"), (124, "day"), (125, "period")])
def test_a_week_is_drawn_by_hours_four_months_by_days_and_more_by_periods(days: int, by: By) -> None:
    assert width_for(Window(FIRST, FIRST + timedelta(days=days - 1))) == by


def test_hours_reach_from_the_first_to_the_last_on_record_and_nothing_is_made_up_around_them() -> None:
    assert of_hours([], 7) == []
    assert of_hours([Hour(HOUR, 1, 2), Hour(3 * HOUR, 0, 5)], 100) == [
        Bin(HOUR, 2 * HOUR, Used(1, 2), 95),
        Bin(2 * HOUR, 3 * HOUR, Used(0, 0), 95),
        Bin(3 * HOUR, 4 * HOUR, Used(0, 5), 100),
    ]


def test_days_are_as_long_as_the_clock_on_the_wall_has_them() -> None:
    bins = of_days({FIRST: Used(1, 2)}, Window(FIRST, FIRST + timedelta(days=2)), 10, BERLIN, "day")
    assert [(one.end - one.start) / HOUR for one in bins] == [24, 23, 24]
    assert [(one.used, one.usage) for one in bins] == [(Used(1, 2), 10), (Used(), 10), (Used(), 10)]


def test_billing_periods_are_cut_to_the_days_that_are_asked_for() -> None:
    bins = of_days({FIRST: Used(1, 2)}, Window(FIRST, date(2026, 6, 1)), 10, BERLIN, "period")
    firsts = [BERLIN.local(one.start).date() for one in bins]
    assert firsts == [FIRST, date(2026, 4, 15), date(2026, 5, 15)]
    assert BERLIN.local(bins[-1].end).date() == date(2026, 6, 2)


@given(
    st.dictionaries(st.integers(0, 300), st.builds(Used, st.integers(0, 10**9), st.integers(0, 10**9)), max_size=20),
    st.integers(0, 300),
    st.sampled_from(["day", "period"]),
)
def test_bins_follow_each_other_and_add_up_to_what_was_moved(moved: dict[int, Used], last: int, by: By) -> None:
    days = {FIRST + timedelta(days=number): used for number, used in moved.items()}
    window = Window(FIRST, FIRST + timedelta(days=last))
    whole = sum(sum(used) for day, used in days.items() if day <= window.last)
    bins = of_days(days, window, 5 + whole, BERLIN, by)
    assert bins[0].usage - sum(bins[0].used) == 5
    assert bins[-1].usage == 5 + whole
    for before, after in pairwise(bins):
        assert before.end == after.start
        assert after.usage - before.usage == sum(after.used)
