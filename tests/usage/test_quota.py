"""In which days a quota may be used, and how it stands with it, at the very edges."""

from datetime import UTC, date, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import (
    PARTS,
    Allowance,
    Per,
    Quota,
    Quotas,
    Standing,
    Subject,
    Used,
    Window,
    subjects_of,
    summed,
    window_of,
)
from dalla_mqtt.usage.tariff import Tariff

GIB = 2**30
PHONE = "CB-BD-AB-90-2D-38"
NOVEMBER = Window(date(2026, 11, 1), date(2026, 11, 30))


def a_standing(*allowances: Allowance) -> Standing:
    return Standing(Subject("user", "Alice"), NOVEMBER, allowances, "notify", limited=False, text=None)


# windows


@pytest.mark.parametrize(
    ("per", "starts", "day", "first", "last"),
    [
        ("day", None, "2026-11-30", "2026-11-30", "2026-11-30"),
        ("day", None, "2026-03-29", "2026-03-29", "2026-03-29"),  # 23 hours in Berlin
        ("week", None, "2026-11-02", "2026-11-02", "2026-11-08"),  # a Monday
        ("week", None, "2026-11-08", "2026-11-02", "2026-11-08"),
        ("week", 0, "2026-11-09", "2026-11-09", "2026-11-15"),
        ("week", 5, "2026-11-06", "2026-10-31", "2026-11-06"),
        ("week", 5, "2026-11-07", "2026-11-07", "2026-11-13"),
        ("week", 6, "2026-11-07", "2026-11-01", "2026-11-07"),
        ("week", 6, "2027-01-01", "2026-12-27", "2027-01-02"),
        ("week", 0, "2026-03-29", "2026-03-23", "2026-03-29"),
        ("period", None, "2026-11-09", "2026-10-10", "2026-11-09"),  # as the tariff has it
        ("period", None, "2026-11-10", "2026-11-10", "2026-12-09"),
        ("period", 1, "2026-11-10", "2026-11-01", "2026-11-30"),
        ("period", 15, "2026-11-14", "2026-10-15", "2026-11-14"),
        ("period", 15, "2026-11-15", "2026-11-15", "2026-12-14"),
        ("period", 31, "2027-02-27", "2027-01-31", "2027-02-27"),
        ("period", 31, "2027-02-28", "2027-02-28", "2027-03-30"),
        ("period", 31, "2027-03-31", "2027-03-31", "2027-04-29"),
        ("period", -1, "2027-02-27", "2027-01-31", "2027-02-27"),
        ("period", -1, "2027-12-31", "2027-12-31", "2028-01-30"),
        ("period", -1, "2028-02-29", "2028-02-29", "2028-03-30"),
    ],
)
@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Africa/Johannesburg")])
def test_a_window_is_the_day_the_week_or_the_period_that_holds_a_day(
    per: Per, starts: int | None, day: str, first: str, last: str, *, zone: tzinfo
) -> None:
    window = window_of(Quota(per=per, starts=starts), Tariff(zone, period_starts=10), date.fromisoformat(day))
    assert window == Window(date.fromisoformat(first), date.fromisoformat(last))


@given(
    st.dates(date(1971, 1, 1), date(2100, 1, 1)),
    st.one_of(
        st.builds(Quota, per=st.just("day")),
        st.builds(Quota, per=st.just("week"), starts=st.none() | st.integers(0, 6)),
        st.builds(Quota, per=st.just("period"), starts=st.none() | st.sampled_from([*range(1, 32), -1])),
    ),
)
def test_windows_follow_each_other_without_a_gap(day: date, quota: Quota) -> None:
    window = window_of(quota, Tariff(period_starts=15), day)
    assert window.first <= day <= window.last
    assert window_of(quota, Tariff(period_starts=15), window.first) == window
    assert window_of(quota, Tariff(period_starts=15), window.last) == window
    assert window_of(quota, Tariff(period_starts=15), window.last + timedelta(1)).first == window.last + timedelta(1)


# bytes


def test_each_part_of_a_quota_counts_its_own_bytes() -> None:
    assert [Used(5, 3).of(part) for part in PARTS] == [8, 5, 3]
    assert [Used().of(part) for part in PARTS] == [0, 0, 0]


def test_what_several_moved_is_summed_on_peak_and_off_peak() -> None:
    assert summed(iter([Used(1, 20), Used(300), Used(0, 4000)])) == Used(301, 4020)
    assert summed([]) == Used()


@pytest.mark.parametrize(
    ("used", "limit", "remaining", "exceeded", "percent"),
    [
        (0, 40 * GIB, 40 * GIB, False, 0.0),
        (1, 40 * GIB, 40 * GIB - 1, False, 0.0),
        (32 * GIB, 40 * GIB, 8 * GIB, False, 80.0),
        (32 * GIB - 1, 40 * GIB, 8 * GIB + 1, False, 79.99),
        (40 * GIB - 1, 40 * GIB, 1, False, 99.99),
        (40 * GIB, 40 * GIB, 0, False, 100.0),
        (40 * GIB + 1, 40 * GIB, 0, True, 100.0),
        (41 * GIB, 40 * GIB, 0, True, 102.5),
        (7, 3, 0, True, 233.33),
        (0, 0, 0, False, 100.0),
        (1, 0, 0, True, 999.99),
    ],
)
def test_exactly_at_the_limit_all_is_used_and_nothing_is_exceeded(
    used: int, limit: int, remaining: int, percent: float, *, exceeded: bool
) -> None:
    allowance = Allowance("together", limit, 0, 0, used)
    assert (allowance.remaining, allowance.exceeded, allowance.used_percent) == (remaining, exceeded, percent)


def test_what_was_carried_over_and_topped_up_may_be_used_as_well() -> None:
    allowance = Allowance("on_peak", 40 * GIB, 3 * GIB, 2 * GIB, 45 * GIB)
    assert (allowance.limit, allowance.remaining, allowance.exceeded) == (45 * GIB, 0, False)


@pytest.mark.parametrize(
    ("used", "expected", "limit", "projected", "pace"),
    [
        (0, None, 1000, None, None),
        (2000, None, 1000, None, None),
        (0, 0, 1000, False, 0.0),
        (0, 500, 1000, False, 0.5),
        (0, 999, 1000, False, 0.999),
        (0, 1000, 1000, False, 1.0),
        (0, 1001, 1000, True, 1.001),
        (0, 40 * GIB - 1, 40 * GIB, False, 1.0),
        (0, 40 * GIB + 1, 40 * GIB, True, 1.001),
        (1500, 1500, 1000, True, 1.5),
        (1500, 900, 1000, True, 1.5),  # expected before that was used
        (0, 0, 0, False, None),
        (0, 1, 0, True, None),
    ],
)
def test_above_a_pace_of_one_and_only_there_it_will_not_last(
    used: int, expected: int | None, limit: int, pace: float | None, *, projected: bool | None
) -> None:
    allowance = Allowance("together", limit, 0, 0, used, expected=expected)
    assert (allowance.projected, allowance.pace) == (projected, pace)


def test_the_tightest_part_is_that_of_which_most_is_used() -> None:
    together = Allowance("together", 100, 0, 0, 50)
    on_peak = Allowance("on_peak", 10, 0, 0, 6)
    off_peak = Allowance("off_peak", 10, 5, 5, 12)  # as tight
    assert a_standing(together, on_peak, off_peak).tightest is on_peak
    assert a_standing(together).tightest is together
    assert a_standing().tightest is None


# who falls under a quota


def test_a_users_devices_fall_under_the_users_quota_and_those_of_the_users_pools() -> None:
    children, guests, house = (Subject("pool", name) for name in ("Children", "Guests", "House"))
    alice, bob = Subject("user", "Alice"), Subject("user", "Bob")
    quotas = Quotas(
        {
            house: Quota({"together": GIB}),
            children: Quota({"together": GIB}, users=("Alice", "Bob")),
            guests: Quota({"together": GIB}, users=("Bob", UNKNOWN)),
            alice: Quota({"together": GIB}),
            Subject("device", PHONE): Quota({"together": GIB}),
        }
    )
    assert subjects_of("Alice", quotas) == (alice, house, children)
    assert subjects_of("Bob", quotas) == (bob, house, children, guests)
    assert subjects_of(UNKNOWN, quotas) == (Subject("user", UNKNOWN), house, guests)
