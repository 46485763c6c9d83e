"""Sentences about a quota, as somebody reads them on a phone."""

import math
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.usage.quota import Allowance, Part, Rate, Window
from dalla_mqtt.usage.tariff import Tariff
from dalla_mqtt.usage.words import Account, describe, held, limited, projected, reached, released, warning

MIB, GIB, TIB = 2**20, 2**30, 2**40
JOHANNESBURG = Tariff(ZoneInfo("Africa/Johannesburg"))
BERLIN = Tariff(ZoneInfo("Europe/Berlin"))
NOVEMBER = Window(date(2026, 11, 1), date(2026, 11, 30))
RATE = Rate(512, 128)


def at(text: str, tariff: Tariff = JOHANNESBURG) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=tariff.zone).timestamp()


def account(
    used: float,
    limit: float = 40,
    *,
    now: str = "2026-11-24 09:00",
    runs_out: str | None = None,
    expected: float | None = None,
    part: Part = "together",
    unit: int = GIB,
) -> Account:
    """Alice's, in units."""
    allowance = Allowance(
        part,
        math.ceil(limit * unit),
        0,
        0,
        math.ceil(used * unit),
        None,
        None if expected is None else math.ceil(expected * unit),
        None if runs_out is None else at(runs_out),
    )
    return Account("Alice", allowance, NOVEMBER, at(now), JOHANNESBURG)


# what becomes of it


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (
            account(36.2, expected=44, runs_out="2026-11-27 16:00"),
            "Alice has used 36.2 of 40 GiB (90 %), 7 days left; at this pace it runs out on Friday.",
        ),
        (account(0.4, now="2026-11-01 03:00"), "Alice has used 0.4 of 40 GiB (1 %), 30 days left."),
        (
            account(20, expected=31.06),
            "Alice has used 20 of 40 GiB (50 %), 7 days left; at this pace 31 GiB at the end.",
        ),
        (account(0, expected=0), "Alice has used 0 of 40 GiB (0 %), 7 days left; at this pace 0 GiB at the end."),
        (
            account(20, expected=40),
            "Alice has used 20 of 40 GiB (50 %), 7 days left; at this pace 40 GiB at the end.",
        ),
        (
            account(20, expected=39.999),
            "Alice has used 20 of 40 GiB (50 %), 7 days left; at this pace 39.9 GiB at the end.",
        ),
        (
            account(41.26, expected=50, runs_out="2026-11-22 16:00"),
            "Alice has used 41.3 of 40 GiB (103 %), 7 days left; it ran out on Sunday.",
        ),
        (account(41.26, expected=50), "Alice has used 41.3 of 40 GiB (103 %), 7 days left."),
        (account(40, expected=44, runs_out="2026-11-24 09:00"), "Alice has used 40 of 40 GiB (100 %), 7 days left."),
        (
            account(36.2, part="on_peak", expected=36.5),
            "Alice has used 36.2 of 40 GiB on-peak (90 %), 7 days left; at this pace 36.5 GiB at the end.",
        ),
        (account(3, part="off_peak"), "Alice has used 3 of 40 GiB off-peak (7 %), 7 days left."),
    ],
)
def test_a_quota_is_told_in_one_sentence(told: Account, text: str) -> None:
    assert describe(told) == text


@pytest.mark.parametrize(
    ("runs_out", "day"),
    [
        ("2026-11-24 09:00", "today after 09:00"),
        ("2026-11-24 23:00", "today after 23:00"),
        ("2026-11-25 00:00", "tomorrow"),
        ("2026-11-26 00:00", "on Thursday"),
        ("2026-11-30 23:00", "on Monday"),
        ("2026-12-01 00:00", "on 1 December"),
        ("2026-12-12 00:00", "on 12 December"),
    ],
)
def test_the_day_on_which_it_runs_out_is_said_as_people_say_it(runs_out: str, day: str) -> None:
    told = account(36.2, now="2026-11-24 09:30", expected=50, runs_out=runs_out)
    assert describe(told).endswith(f"; at this pace it runs out {day}.")


@pytest.mark.parametrize(
    ("ran_out", "day"),
    [
        ("2026-11-24 08:15", "today at 08:15"),
        ("2026-11-24 00:00", "today at 00:00"),
        ("2026-11-23 23:59", "yesterday"),
        ("2026-11-22 12:00", "on Sunday"),
        ("2026-11-18 12:00", "on Wednesday"),
        ("2026-11-17 12:00", "on 17 November"),
    ],
)
def test_the_day_on_which_it_ran_out_is_said_as_people_say_it(ran_out: str, day: str) -> None:
    assert describe(account(41.26, now="2026-11-24 09:30", runs_out=ran_out)).endswith(f"; it ran out {day}.")


@pytest.mark.parametrize(
    ("now", "last", "left"),
    [
        ("2026-11-01 00:00", "2026-11-30", "30 days left"),
        ("2026-11-24 11:59", "2026-11-30", "7 days left"),
        ("2026-11-24 12:01", "2026-11-30", "6 days left"),
        ("2026-11-29 11:00", "2026-11-30", "2 days left"),
        ("2026-11-29 13:00", "2026-11-30", "1 day left"),
        ("2026-11-30 00:00", "2026-11-30", "1 day left"),
        ("2026-11-30 00:01", "2026-11-30", "24 hours left"),
        ("2026-11-30 19:00", "2026-11-30", "5 hours left"),
        ("2026-11-30 22:40", "2026-11-30", "1 hour left"),
        ("2026-11-30 23:01", "2026-11-30", "less than an hour left"),
        ("2026-12-01 00:10", "2026-11-30", "less than an hour left"),  # the clock went on
        ("2026-10-25 00:00", "2026-10-25", "1 day left"),  # 25 hours in Berlin
        ("2026-03-29 00:00", "2026-03-29", "23 hours left"),
        ("2026-03-28 00:00", "2026-03-29", "2 days left"),
    ],
)
def test_the_time_that_is_left_is_said_in_days_then_in_hours(now: str, last: str, left: str) -> None:
    window = Window(date.fromisoformat(last), date.fromisoformat(last))
    text = describe(Account("Alice", Allowance("together", GIB, 0, 0, 0), window, at(now, BERLIN), BERLIN))
    assert text == f"Alice has used 0 of 1 GiB (0 %), {left}."


# figures


@pytest.mark.parametrize(
    ("quota", "used", "text"),
    [
        (40 * GIB, 36.2 * GIB, "36.2 of 40 GiB (90 %)"),
        (40 * GIB, 40 * GIB - 1, "39.9 of 40 GiB (99 %)"),
        (40 * GIB, 40 * GIB, "40 of 40 GiB (100 %)"),
        (40 * GIB, 40 * GIB + 1, "40.1 of 40 GiB (100 %)"),
        (40 * GIB, 0.009 * GIB, "0 of 40 GiB (0 %)"),
        (40 * GIB, 9.999 * GIB, "9.99 of 40 GiB (24 %)"),
        (40 * GIB, 412.9 * GIB, "413 of 40 GiB (1032 %)"),
        (1536 * MIB, GIB, "1 of 1.5 GiB (66 %)"),
        (1023 * MIB, 1000 * MIB, "1000 of 1023 MiB (97 %)"),
        (MIB, 1, "0 of 1 MiB (0 %)"),
        (2 * TIB, 512 * GIB, "0.5 of 2 TiB (25 %)"),
        (2000 * TIB, 1024 * TIB, "1024 of 2000 TiB (51 %)"),
        (40 * 10**9, 36_200_000_000, "36.2 of 40 GB (90 %)"),
        (10**9, 999_999_999, "0.99 of 1 GB (99 %)"),
        (10**12, 10**12, "1 of 1 TB (100 %)"),
        (500 * 10**6, 123_900_000, "123 of 500 MB (24 %)"),
        (1_234_567_890, 1_234_567_889, "1.23 of 1.24 GB (99 %)"),
        (1000, 1, "0 of 0.01 MB (0 %)"),
        (1000, 1001, "0.01 of 0.01 MB (100 %)"),
    ],
)
def test_figures_are_in_the_units_in_which_the_quota_was_said(quota: int, used: float, text: str) -> None:
    told = Account(
        "Alice", Allowance("together", quota, 0, 0, math.ceil(used)), NOVEMBER, at("2026-11-24"), JOHANNESBURG
    )
    assert describe(told) == f"Alice has used {text}, 7 days left."


def test_what_was_carried_over_and_topped_up_is_in_the_limit_but_does_not_decide_on_the_units() -> None:
    topped_up = Allowance("together", 40 * 10**9, 0, 2 * GIB, 36 * 10**9)
    told = Account("Alice", topped_up, NOVEMBER, at("2026-11-24"), JOHANNESBURG)
    assert describe(told) == "Alice has used 36 of 42.2 GB (85 %), 7 days left."
    carried = Allowance("together", 40 * GIB, 123, 2 * GIB, 36 * GIB)
    assert "36 of 42.1 GiB (85 %)" in describe(told._replace(allowance=carried))


@given(st.integers(1, 2**50), st.integers(-(2**31), 2**31) | st.integers(-10, 10), st.booleans())
def test_nobody_reads_that_all_is_used_before_it_is(limit: int, over: int, binary: bool) -> None:  # noqa: FBT001
    used, limit = (max(0, limit + over) * MIB, limit * MIB) if binary else (max(0, limit + over), limit)
    text = describe(Account("Alice", Allowance("together", limit, 0, 0, used), NOVEMBER, 0, JOHANNESBURG))
    words = text.removeprefix("Alice has used ").split()
    told_used, told_limit, percent = float(words[0]), float(words[2]), int(words[4].removeprefix("("))
    assert (told_used < told_limit) == (used < limit) or used > limit
    assert told_used >= told_limit or used < limit
    assert (percent >= 100) == (used >= limit)


# alerts


FRIDAY = account(33.2, expected=44, runs_out="2026-11-27 16:00")
OVER = account(41.26, runs_out="2026-11-24 08:59")


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (
            warning(FRIDAY, 80),
            "Alice has reached 80 %: 33.2 of 40 GiB (83 %), 7 days left; at this pace it runs out on Friday.",
        ),
        (warning(account(40), 100), "Alice has reached 100 %: 40 of 40 GiB (100 %), 7 days left."),
        (reached(OVER), "Alice has used more than the quota: 41.3 of 40 GiB (103 %), 7 days left."),
        (
            projected(account(33.2, runs_out="2026-11-25 16:00", expected=44)),
            "Alice may use more than the quota: 33.2 of 40 GiB (83 %), 7 days left; at this pace it runs out tomorrow.",
        ),
        (
            limited(OVER, "throttle", RATE),
            "Alice is throttled to 512/128 kbit/s until 1 December, after 41.3 of 40 GiB (103 %).",
        ),
        (
            limited(account(41.26, part="on_peak", now="2026-11-25 00:00"), "throttle", Rate(64, 32)),
            "Alice is throttled to 64/32 kbit/s in on-peak hours until Tuesday, after 41.3 of 40 GiB on-peak (103 %).",
        ),
        (
            limited(account(41.26, part="off_peak", now="2026-11-29 23:59"), "block", RATE),
            "Alice is blocked in off-peak hours until Tuesday, after 41.3 of 40 GiB off-peak (103 %).",
        ),
        (
            limited(account(41.26, now="2026-11-30 12:00"), "block", RATE),
            "Alice is blocked until midnight, after 41.3 of 40 GiB (103 %).",
        ),
        (held("Alice", "throttle", RATE), "Alice is throttled to 512/128 kbit/s until somebody ends it."),
        (held("Alice", "block", RATE), "Alice is blocked until somebody ends it."),
        (released("Alice", "throttle"), "Alice is no longer throttled."),
        (released("Alice", "block"), "Alice is no longer blocked."),
    ],
)
def test_alerts_are_sentences_that_a_phone_can_show(told: str, text: str) -> None:
    assert told == text
    assert len(told) <= 200


def test_a_name_is_told_as_it_is_whatever_it_says() -> None:
    name = "{0} %s <b>$(x)</b> \\ 🙈"
    told = FRIDAY._replace(name=name)
    texts = [describe(told), warning(told, 80), reached(told), projected(told), limited(told, "block", RATE)]
    assert all(text.startswith(f"{name} ") for text in (*texts, held(name, "block", RATE), released(name, "block")))
