"""Which days somebody means, and how they are said."""

from datetime import UTC, date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.report.days import Moment, is_period, parse_days, said
from dalla_mqtt.usage.quota import Window
from dalla_mqtt.usage.tariff import Tariff

TODAY = date(2026, 11, 24)
TARIFFS = st.builds(Tariff, period_starts=st.sampled_from([*range(1, 32), -1]))


def days(first: str, last: str) -> Window:
    return Window(date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    ("text", "starts", "first", "last"),
    [
        ("this", 1, "2026-11-01", "2026-11-30"),
        (" This ", 1, "2026-11-01", "2026-11-30"),
        ("last", 1, "2026-10-01", "2026-10-31"),
        ("this", 25, "2026-10-25", "2026-11-24"),
        ("last", 25, "2026-09-25", "2026-10-24"),
        ("this", -1, "2026-10-31", "2026-11-29"),
        ("today", 1, "2026-11-24", "2026-11-24"),
        ("yesterday", 1, "2026-11-23", "2026-11-23"),
        ("2026-02-28", 1, "2026-02-28", "2026-02-28"),
        ("2026-11", 1, "2026-11-01", "2026-11-30"),
        ("2026-12", 15, "2026-12-15", "2027-01-14"),
        ("2026-02", 31, "2026-02-28", "2026-03-30"),
        ("2026-02", -1, "2026-02-28", "2026-03-30"),
        ("2026-11-01..2026-11-15", 1, "2026-11-01", "2026-11-15"),
        ("2025-12-31 .. 2026-01-01", 1, "2025-12-31", "2026-01-01"),
    ],
)
def test_days_are_meant_by_a_word_a_day_a_month_or_from_one_to_another(
    text: str, starts: int, first: str, last: str
) -> None:
    assert parse_days(text, Tariff(period_starts=starts), TODAY) == days(first, last)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected this, last, today"),
        ("tomorrow", "expected this, last, today"),
        ("2026", "expected this"),
        ("2026-13", "not '2026-13'"),
        ("2026-02-29", "expected this"),
        ("2026-11-15..2026-11-01", "2026-11-15 is after 2026-11-01"),
        ("2026-11-15..", "expected this"),
        ("9999-12", "is not among the years 1970 to 2199"),
        ("0001-01-01", "is not among the years 1970 to 2199"),
        ("\u0662\u0660\u0662\u0666-\u0661\u0661", "expected this"),
    ],
)
def test_what_means_no_days_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_days(text, Tariff(), TODAY)


@given(TARIFFS, st.dates(date(1971, 1, 1), date(2199, 1, 1)))
def test_the_period_of_a_month_begins_in_it_and_is_a_billing_period(tariff: Tariff, day: date) -> None:
    window = parse_days(f"{day:%Y-%m}", tariff, TODAY)
    assert (window.first.year, window.first.month) == (day.year, day.month)
    assert is_period(window, tariff)
    assert tariff.period_of(window.last) == window.first
    assert parse_days("last", tariff, window.last + timedelta(1)) == window


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("2026-11-24", "2026-11-24", "24 November 2026"),
        ("2026-11-01", "2026-11-30", "1 to 30 November 2026"),
        ("2026-10-15", "2026-11-14", "15 October to 14 November 2026"),
        ("2025-12-15", "2026-01-14", "15 December 2025 to 14 January 2026"),
        ("2025-11-01", "2026-11-30", "1 November 2025 to 30 November 2026"),
    ],
)
def test_days_are_said_as_people_say_them(first: str, last: str, text: str) -> None:
    assert said(days(first, last)) == text


def test_days_are_known_as_far_as_they_are_on_record() -> None:
    moment = Moment("home", Tariff(UTC), 0, days("2026-11-20", "2026-11-24"), 0)
    assert moment.known(days("2026-11-01", "2026-11-30")) == days("2026-11-20", "2026-11-24")
    assert moment.known(days("2026-11-21", "2026-11-22")) == days("2026-11-21", "2026-11-22")
    assert moment.known(days("2026-11-01", "2026-11-19")) is None
    assert moment.known(days("2026-11-25", "2026-11-25")) is None
    assert Moment("home", Tariff(UTC), 0, None, None).known(days("2026-11-01", "2026-11-30")) is None
