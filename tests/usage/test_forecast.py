"""What is expected of a quota, held against days whose habits are known."""

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import mean
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.usage.forecast import Forecast, Habits, Outlook, forecast, learn
from dalla_mqtt.usage.quota import PARTS, Part, Per, Quota, Used, Window, window_of
from dalla_mqtt.usage.tariff import Tariff
from dalla_mqtt.usage.tariff import Window as Hours

GB = 10**9
HOUR_S, DAY_S = 3_600, 86_400
LONG_S = 55 * DAY_S  # for so long, habits are known
NIGHTS = (Hours.parse("00:00-06:00"),)
JOHANNESBURG = Tariff(ZoneInfo("Africa/Johannesburg"), NIGHTS)
BERLIN = Tariff(ZoneInfo("Europe/Berlin"), NIGHTS)
NO_NIGHTS = Tariff(ZoneInfo("Europe/Berlin"))
ENDLESS = 10**15
LONG_AGO = date(2026, 1, 1)
NINTH = date(2026, 11, 9)  # a Monday


def at(text: str, tariff: Tariff = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=tariff.zone).timestamp()


def every_day(used: Callable[[date], Used], last: date = NINTH) -> dict[date, Used]:
    return {day: used(day) for day in (last - timedelta(days=age) for age in range(100))}


def steady(on_peak: float, off_peak: float, known_s: float = LONG_S) -> Habits:
    return Habits((on_peak,) * 7, (off_peak,) * 7, known_s)


def outlook(quota: Quota, now: str, tariff: Tariff = BERLIN, habits: Habits | None = None) -> Outlook:
    """For the window that holds `now`: of a house that moves 1 MB/s on-peak and 0.1 MB/s off-peak."""
    window = window_of(quota, tariff, date.fromisoformat(now[:10]))
    return Outlook.of(steady(1e6, 1e5) if habits is None else habits, window, tariff)


# habits


def test_steady_use_is_learned_as_it_is() -> None:
    days = every_day(lambda _: Used(18 * HOUR_S * 1000, 6 * HOUR_S * 200))
    habits = learn(days, LONG_AGO, at("2026-11-10 00:00"), BERLIN)
    assert habits.known_s == 55 * DAY_S + HOUR_S  # the clocks were set back
    assert habits.on_peak == pytest.approx([1000] * 7, rel=0.02)
    assert habits.off_peak == pytest.approx([200] * 7, rel=0.2)  # drawn a little towards the mean of both,
    of_a_day = 18 * habits.on_peak[0] + 6 * habits.off_peak[0]
    assert of_a_day == pytest.approx(18 * 1000 + 6 * 200, rel=0.001)  # which does not change their sum


def test_a_weekday_is_learned_apart_from_the_others() -> None:
    days = every_day(lambda day: Used(DAY_S * (3000 if day.weekday() == 6 else 1000)))
    habits = learn(days, LONG_AGO, at("2026-11-10 00:00"), NO_NIGHTS)
    assert habits.on_peak[6] == pytest.approx(2400, abs=200)
    assert habits.on_peak[:6] == pytest.approx([1100] * 6, abs=50)


def test_one_odd_sunday_does_not_decide() -> None:
    sunday = NINTH - timedelta(days=1)
    days = every_day(lambda day: Used(DAY_S * (10_000 if day == sunday else 1000)))
    habits = learn(days, LONG_AGO, at("2026-11-10 00:00"), NO_NIGHTS)
    assert 2000 < habits.on_peak[6] < 4000
    assert all(1000 < rate < 1500 for rate in habits.on_peak[:6])


def test_what_was_done_lately_counts_more_and_what_is_two_months_old_nothing() -> None:
    now = at("2026-11-10 00:00")
    fortnight = every_day(lambda day: Used(DAY_S * 1000 * ((NINTH - day).days < 14)))
    assert learn(fortnight, LONG_AGO, now, NO_NIGHTS).on_peak == pytest.approx([533] * 7, abs=25)
    old = every_day(lambda day: Used(DAY_S * 1000 * ((NINTH - day).days > 54)))
    assert learn(old, LONG_AGO, now, NO_NIGHTS).on_peak == (0,) * 7


def test_today_counts_for_the_part_of_it_that_is_over() -> None:
    days = {
        NINTH: Used(18 * HOUR_S * 500, 6 * HOUR_S * 500),
        NINTH + timedelta(days=1): Used(5 * HOUR_S * 500, 6 * HOUR_S * 500),
    }
    habits = learn(days, NINTH - timedelta(days=1), at("2026-11-10 11:00"), BERLIN)
    assert habits.known_s == 35 * HOUR_S
    assert (*habits.on_peak, *habits.off_peak) == pytest.approx([500] * 14)


def test_on_a_day_without_records_nothing_was_moved() -> None:
    assert learn({}, date(2026, 11, 1), at("2026-11-10 00:00"), BERLIN) == steady(0, 0, 8 * DAY_S)


def test_the_first_day_on_record_teaches_nothing() -> None:
    days = {NINTH: Used(10**12), NINTH + timedelta(days=1): Used(0, HOUR_S * 7)}
    for now in ("2026-10-01 12:00", "2026-11-09 23:59", "2026-11-10 00:00"):  # also with a clock that was set back
        assert learn(days, NINTH, at(now), BERLIN) == Habits()
    assert learn(days, NINTH, at("2026-11-10 01:00"), BERLIN) == steady(7, 7, HOUR_S)


@pytest.mark.parametrize("hours", ["00:00-24:00", "Sat-Sun 00:00-24:00"])
def test_hours_that_were_never_seen_are_taken_to_be_like_the_others(hours: str) -> None:
    tariff = Tariff(BERLIN.zone, (Hours.parse(hours),))
    days = {NINTH - timedelta(days=2): Used(0, DAY_S * 100), NINTH - timedelta(days=1): Used(0, DAY_S * 100)}
    habits = learn(days, NINTH - timedelta(days=3), at("2026-11-09 00:00"), tariff)
    assert (*habits.on_peak, *habits.off_peak) == pytest.approx([100] * 14)


@pytest.mark.parametrize(
    ("tariff", "used"),
    [
        (Tariff(BERLIN.zone, (Hours.parse("00:00-24:00"),)), Used(DAY_S * 100)),
        (NO_NIGHTS, Used(18 * HOUR_S * 100, 6 * HOUR_S * 100)),
    ],
)
def test_bytes_of_hours_that_only_another_tariff_had_are_not_lost(tariff: Tariff, used: Used) -> None:
    habits = learn(every_day(lambda _: used), LONG_AGO, at("2026-11-10 00:00"), tariff)
    assert (*habits.on_peak, *habits.off_peak) == pytest.approx([100] * 14, rel=0.01)


@pytest.mark.parametrize(("day", "night_hours"), [("2026-03-29", 5), ("2026-10-25", 7), ("2026-10-26", 6)])
def test_the_night_in_which_the_clocks_change_has_as_many_hours_as_it_has(day: str, night_hours: int) -> None:
    that_day = date.fromisoformat(day)
    days = {that_day: Used(18 * HOUR_S * 40, night_hours * HOUR_S * 4)}
    now = BERLIN.midnight(that_day + timedelta(days=1)).timestamp()
    habits = learn(days, that_day - timedelta(days=1), now, BERLIN)
    assert habits.known_s == (18 + night_hours) * HOUR_S
    of_the_day = 18 * habits.on_peak[0] + night_hours * habits.off_peak[0]
    assert of_the_day == pytest.approx(18 * 40 + night_hours * 4)


# what is expected


@pytest.mark.parametrize(
    ("tariff", "starts", "now", "part", "used", "limit", "expected", "runs_out"),
    [  # in GB: 64.8 of a day on-peak, 2.16 off-peak
        (JOHANNESBURG, 1, "2026-11-21 12:00", "together", 1, 300, 647, "2026-11-25 20:00"),
        (JOHANNESBURG, 1, "2026-11-21 12:00", "on_peak", 1, 300, 627, "2026-11-25 23:00"),
        (JOHANNESBURG, 1, "2026-11-21 12:00", "on_peak", 1, 304, 627, "2026-11-26 06:00"),
        (JOHANNESBURG, 1, "2026-11-21 12:00", "off_peak", 1, 300, 20.4, None),
        (JOHANNESBURG, 1, "2026-11-21 12:00", "off_peak", 1, 5, 20.4, "2026-11-23 05:00"),
        (JOHANNESBURG, 15, "2026-11-20 00:00", "off_peak", 10, 20, 64, "2026-11-24 03:00"),
        (JOHANNESBURG, 15, "2026-12-14 12:00", "together", 100, 120, 144, "2026-12-14 17:00"),
        (JOHANNESBURG, -1, "2027-02-20 00:00", "on_peak", 0, 600, 518, None),  # to 27 February
        (JOHANNESBURG, -1, "2027-02-20 00:00", "on_peak", 0, 500, 518, "2027-02-27 18:00"),
        (BERLIN, 1, "2026-03-28 00:00", "off_peak", 0, 4, 8.28, "2026-03-30 00:00"),  # after a night of 5 hours
        (BERLIN, 1, "2026-03-28 00:00", "off_peak", 0, 3.95, 8.28, "2026-03-29 05:00"),
        (BERLIN, 1, "2026-10-24 00:00", "off_peak", 0, 4, 17.7, "2026-10-25 04:00"),  # in one of 7
        (BERLIN, 15, "2026-10-24 00:00", "on_peak", 0, 70, 1430, "2026-10-25 07:00"),
    ],
)
def test_what_moves_in_the_hours_of_a_part_is_expected_until_the_window_ends(
    tariff: Tariff,
    starts: int,
    now: str,
    part: Part,
    used: float,
    *,
    limit: float,
    expected: float,
    runs_out: str | None,
) -> None:
    of_it = forecast(part, int(used * GB), int(limit * GB), outlook(Quota(starts=starts), now, tariff), at(now, tariff))
    assert of_it.expected == pytest.approx(expected * GB, rel=0.005)
    runs_out_at = of_it.exhausted_at
    assert (None if runs_out_at is None else f"{tariff.local(runs_out_at):%Y-%m-%d %H:%M}") == runs_out


def test_the_weekdays_that_are_still_to_come_count() -> None:
    habits = Habits((0, 0, 0, 0, 0, 1e6, 0), (0,) * 7, LONG_S)  # Saturdays only
    of_november = outlook(Quota(), "2026-11-01", habits=habits)
    expected = [
        forecast("together", 0, ENDLESS, of_november, at(now)).expected
        for now in ("2026-11-20", "2026-11-22", "2026-11-29")
    ]
    assert expected == [pytest.approx(2 * 64.8 * GB, rel=0.01), pytest.approx(64.8 * GB, rel=0.01), 0]


def test_of_what_was_exceeded_already_only_its_end_is_expected() -> None:
    of_november = outlook(Quota(), "2026-11-21")
    of_it = forecast("together", 41 * GB, 40 * GB, of_november, at("2026-11-30 12:00"))
    assert of_it == Forecast(0, 84_200_000_000, None)


def test_what_is_used_up_to_the_byte_runs_out_now_where_more_is_to_come() -> None:
    of_november = outlook(Quota(), "2026-11-21", habits=steady(1e6, 0))
    noon = at("2026-11-30 12:00")
    assert forecast("on_peak", 40 * GB, 40 * GB, of_november, noon) == Forecast(0, 83_200_000_000, noon)
    assert forecast("off_peak", 40 * GB, 40 * GB, of_november, noon) == Forecast(0, 40 * GB, None)
    last_minute = at("2026-11-30 23:59")
    assert forecast("on_peak", 40 * GB, 40 * GB, of_november, last_minute) == Forecast(0, 40 * GB, None)
    nothing_yet = outlook(Quota(starts=21), "2026-11-21", habits=steady(0, 1e6))
    assert forecast("on_peak", 0, 0, nothing_yet, noon) == Forecast(0, 0, None)


def test_somebody_who_moves_nothing_has_at_the_end_what_was_used() -> None:
    of_november = outlook(Quota(), "2026-11-21", habits=steady(0, 0))
    of_it = forecast("together", 1_234_567_891, 40 * GB, of_november, at("2026-11-20 00:00"))
    assert of_it == Forecast(3_520_000_000, 1_234_567_891, None)


def test_it_lasts_to_the_byte_or_it_does_not() -> None:
    of_november = outlook(Quota(), "2026-11-21", habits=steady(1e6, 1e6))
    now = at("2026-11-30 12:00")
    rest = 12 * HOUR_S * 10**6
    lasts = forecast("together", 12_345_678_901, 12_345_678_901 + rest, of_november, now)
    assert (lasts.expected, lasts.exhausted_at) == (55_500_000_000, None)
    short = forecast("together", 12_345_678_902, 12_345_678_901 + rest, of_november, now)
    assert (short.expected, short.exhausted_at) == (55_600_000_000, at("2026-11-30 23:00"))


# what is allowed


@pytest.mark.parametrize(
    ("now", "used", "allowed"),
    [
        ("2026-11-01 00:00", 0, 1.33),  # of 40 in 30 days
        ("2026-10-20 00:00", 0, 1.33),  # with a clock that was set back
        ("2026-11-20 00:00", 18, 2),
        ("2026-11-20 12:00", 18, 2.09),
        ("2026-11-29 12:00", 10, 20),
        ("2026-11-30 00:00", 10, 30),
        ("2026-11-30 23:59", 10, 30),
        ("2026-12-01 00:10", 10, 30),
        ("2026-11-20 00:00", 41, 0),
    ],
)
def test_what_remains_is_divided_by_the_days_that_are_left(now: str, used: int, allowed: float) -> None:
    of_it = forecast("together", used * GB, 40 * GB, outlook(Quota(), "2026-11-21"), at(now))
    assert of_it.allowed_per_day == round(allowed * GB)


def test_the_rest_of_a_short_day_is_its_fraction() -> None:
    of_march = outlook(Quota(), "2026-03-29")
    of_it = forecast("together", 0, 25 * GB, of_march, at("2026-03-29 03:00") + 9.5 * HOUR_S)  # half of 23 hours
    assert of_it.allowed_per_day == pytest.approx(10 * GB, rel=0.02)


# silence


@pytest.mark.parametrize(
    ("per", "silent_until"),
    [("day", "2026-11-16 02:24"), ("week", "2026-11-16 16:48"), ("period", "2026-11-17 00:00")],
)
def test_nothing_is_expected_in_the_first_hours_of_a_window(per: Per, silent_until: str) -> None:
    view = outlook(Quota(per=per, starts=16 if per == "period" else None), "2026-11-16")
    speaks = at(silent_until)
    for now in (at("2026-10-01 12:00"), at("2026-11-16 00:00"), speaks - 1):
        of_it = forecast("together", GB, 40 * GB, view, now)
        assert (of_it.expected, of_it.exhausted_at) == (None, None)
        assert of_it.allowed_per_day > 0
    assert forecast("together", GB, 40 * GB, view, speaks).expected is not None


@pytest.mark.parametrize(("per", "needed_s"), [("day", 2.4 * HOUR_S), ("week", 16.8 * HOUR_S), ("period", DAY_S)])
def test_nothing_is_expected_of_somebody_who_is_hardly_known(per: Per, needed_s: float) -> None:
    def expected(known_s: float) -> int | None:
        view = outlook(Quota(per=per), "2026-11-15", habits=steady(1e6, 1e5, known_s))
        return forecast("together", GB, 40 * GB, view, at("2026-11-15 20:00")).expected

    assert expected(needed_s - 1) is None
    assert expected(needed_s) is not None


# stability


@pytest.mark.parametrize(("per", "step_s"), [("day", 900), ("week", HOUR_S), ("period", HOUR_S)])
@pytest.mark.parametrize("part", PARTS)
def test_an_idle_days_figures_change_once_an_hour_at_most_and_of_a_daily_quota_four_times(
    per: Per, step_s: int, part: Part
) -> None:
    view = outlook(Quota(per=per), "2026-11-18", habits=steady(54_321, 12_345))
    midnight = at("2026-11-18 00:00")
    polls = range(0, DAY_S, 60)
    told = [forecast(part, 10**9, 2_345_678_901, view, midnight + 17 + poll) for poll in polls]
    changes = [poll for poll, (before, after) in zip(polls, pairwise(told), strict=False) if before != after]
    steps = [(poll + 17 + 60) // step_s for poll in changes]
    assert len(set(steps)) == len(steps)
    assert len(changes) > 4


# whatever is known


@st.composite
def situations(draw: st.DrawFn) -> tuple[Outlook, float]:
    rates = st.tuples(*[st.just(0.0) | st.floats(0, 1e8)] * 7)
    tariff = draw(
        st.sampled_from([JOHANNESBURG, BERLIN, NO_NIGHTS, Tariff(BERLIN.zone, (Hours.parse("00:00-24:00"),))])
    )
    habits = Habits(draw(rates), draw(rates), draw(st.sampled_from([0, HOUR_S, LONG_S])))
    quota = draw(st.builds(Quota, per=st.sampled_from(["day", "week", "period"]), starts=st.sampled_from([None, 1, 5])))
    day = draw(st.sampled_from([date(2026, 3, 29), date(2026, 10, 25), NINTH]))
    window = window_of(quota, tariff, day)
    return Outlook.of(habits, window, tariff), tariff.midnight(window.first).timestamp() + draw(
        st.floats(-5 * DAY_S, 35 * DAY_S)
    )


@given(situations(), st.sampled_from(PARTS), st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 10**13))
def test_figures_agree_with_each_other(
    situation: tuple[Outlook, float], part: Part, used: int, limit: int, more: int
) -> None:
    view, now = situation
    assert view.rest(part, view.days[-1]) == 0
    of_it, of_more = (forecast(part, amount, limit, view, now) for amount in (used, used + more))
    assert 0 <= of_more.allowed_per_day <= of_it.allowed_per_day <= max(0, limit - used)
    assert (of_it.expected is None) == (of_more.expected is None) == view.silent(now)
    if of_it.expected is not None and of_more.expected is not None:
        assert used <= of_it.expected <= of_more.expected
        assert (of_it.exhausted_at is not None) == (used <= limit < of_it.expected)
    if of_it.exhausted_at is not None:
        assert max(view.days[0], now - HOUR_S) <= of_it.exhausted_at < view.days[-1]
        assert of_more.exhausted_at is None or of_more.exhausted_at <= of_it.exhausted_at


def test_it_is_closer_than_what_was_used_so_far_carried_on() -> None:
    """After four weeks of a house that is out on weekdays, downloads at night and is at home on weekends."""
    tariff = Tariff(BERLIN.zone, (*NIGHTS, Hours.parse("Sat-Sun 00:00-24:00")))
    chance = random.Random(6)  # noqa: S311  # no secret
    first = date(2026, 9, 1)
    window = Window(date(2026, 9, 29), date(2026, 10, 28))
    ours, naive = [], []
    for _ in range(20):
        days = every_day(lambda day: _day_at_home(day, chance), window.last)
        whole = sum(days[window.first + timedelta(days=number)].of("together") for number in range(30))
        for elapsed in range(3, 20):
            today = window.first + timedelta(days=elapsed)
            now = tariff.midnight(today).timestamp()
            known = {day: used for day, used in days.items() if first <= day < today}
            used = sum(used.of("together") for day, used in known.items() if day >= window.first)
            view = Outlook.of(learn(known, first, now, tariff), window, tariff)
            expected = forecast("together", used, ENDLESS, view, now).expected
            assert expected is not None
            ours.append(abs(expected / whole - 1))
            naive.append(abs(used / elapsed * 30 / whole - 1))
    assert mean(ours) < 0.06
    assert max(ours) < 0.2
    assert mean(ours) < 0.7 * mean(naive)
    assert max(ours) < 0.7 * max(naive)


def _day_at_home(day: date, chance: random.Random) -> Used:
    """In bytes; a day is seldom twice or half of what such days are."""
    off_peak = 6 if day.weekday() >= 5 else 1.5
    on_peak = 0 if day.weekday() >= 5 else 1.2
    return Used(*(int(amount * GB * chance.lognormvariate(0, 0.3)) for amount in (on_peak, off_peak)))
