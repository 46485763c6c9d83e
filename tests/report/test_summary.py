"""Who used what, to the byte."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dalla_mqtt.report.summary import summarise
from dalla_mqtt.usage.ledger import Key
from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.quota import Used, Window, summed
from tests.report.households import GB, MB, NOVEMBER, a_standing, household, summary_of
from tests.usage.house import IP, IP2, IP3, LAPTOP, PHONE, TV, House, row, utc

TODAY = Window(date(2026, 11, 24), date(2026, 11, 24))


def test_users_are_ranked_by_usage_and_each_has_the_devices_that_are_theirs_now() -> None:
    summary = summary_of(household())
    assert [(user.name, sum(user.used)) for user in summary.users] == [("Alice", 3 * GB), ("Bob", 40 * MB)]
    alice, bob = summary.users
    assert alice.devices == ()
    assert [(device.mac, sum(device.used)) for device in bob.devices] == [(PHONE, 3 * GB), (LAPTOP, 40 * MB)]
    assert (alice.share, bob.share) == (987, 13)


def test_what_was_moved_before_a_device_was_given_away_is_told_so_that_all_adds_up() -> None:
    alice, bob = summary_of(household()).users
    assert alice.elsewhere == Used(3 * GB, 0)
    assert bob.elsewhere == Used(-3 * GB, 0)
    assert all(user.elsewhere == Used() for user in summary_of(household(), TODAY).users)


def test_devices_that_moved_nothing_in_those_days_are_left_out_and_users_are_not() -> None:
    summary = summary_of(household(), TODAY)
    assert [user.name for user in summary.users] == ["Bob", "Alice"]
    assert [device.mac for device in summary.users[0].devices] == [LAPTOP]
    nothing = summary_of(household(), Window(date(2026, 10, 1), date(2026, 10, 31)))
    assert [(user.name, user.used, user.share) for user in nothing.users] == [("Alice", Used(), 0), ("Bob", Used(), 0)]
    assert nothing.total == Used()


def test_who_is_no_user_any_more_is_there_with_what_was_theirs() -> None:
    house = household()
    house.belongs_to(People(("Bob",), {PHONE: "Bob", LAPTOP: "Bob"}))
    assert [user.name for user in summary_of(house).users] == ["Alice", "Bob"]
    assert [user.name for user in summary_of(house, TODAY).users] == ["Bob"]


def test_unknown_comes_after_those_who_moved_as_much() -> None:
    house = House(people=People(("Zoe",), {PHONE: "Zoe"}), at=utc(24, 12))
    for counter in (0, 700):
        house.reads(row(counter), row(counter, mac=LAPTOP, ip=IP2))
    assert [user.name for user in summary_of(house).users] == ["Zoe", UNKNOWN]


def test_a_quota_is_beside_a_user_or_a_device_where_it_is_for_just_those_days() -> None:
    month = [a_standing("user", "Alice", 1, 2), a_standing("device", LAPTOP.dashed, 1, 2)]
    week = a_standing("user", "Bob", 1, 2, Window(date(2026, 11, 23), date(2026, 11, 29)))
    pool = a_standing("pool", "Family", 1, 2)
    summary = summary_of(household(), NOVEMBER, *month, week, pool)
    alice, bob = summary.users
    assert (alice.standing, bob.standing) == (month[0][1], None)
    assert [device.standing for device in bob.devices] == [None, month[1][1]]
    assert [quoted.name for quoted in summary.quotas] == ["Alice", LAPTOP.colons, "Bob", "Family"]
    nobody = replace(month[0][1], allowances=())
    assert summary_of(household(), NOVEMBER, (nobody.subject, nobody)).quotas == ()


def test_what_no_user_has_of_the_total_is_told() -> None:
    house = household()
    moved = dict(house.days.moved(*NOVEMBER))
    lost = moved.pop(Key("user", "Alice"))
    assert summarise(NOVEMBER, moved, house.ledger, (), {}).unclaimed == Used(*lost)


OWNERS = st.sampled_from(["Alice", "Bob", UNKNOWN])


@given(st.lists(st.tuples(st.lists(st.integers(0, 10**8), min_size=3, max_size=3), OWNERS, OWNERS), max_size=12))
def test_all_adds_up_to_the_byte_whoever_is_given_what_and_when(steps: list[tuple[list[int], str, str]]) -> None:
    house = House(at=utc(24, 22))
    counters = [0, 0, 0]
    for deltas, phone, laptop in [([0, 0, 0], "Alice", "Bob"), *steps]:
        counters = [counter + delta for counter, delta in zip(counters, deltas, strict=True)]
        house.belongs_to(People(("Alice", "Bob"), {PHONE: phone, LAPTOP: laptop, TV: "Bob"}))
        rows = zip(counters, (PHONE, LAPTOP, TV), (IP, IP2, IP3), strict=True)
        house.reads(*(row(counter, mac=mac, ip=ip) for counter, mac, ip in rows), after=7200)
    for window in (NOVEMBER, TODAY, Window(date(2026, 11, 25), date(2026, 11, 25))):
        summary = summary_of(house, window)
        assert summary.unclaimed == Used()
        assert summed(user.used for user in summary.users) == summary.total
        for user in summary.users:
            assert summed([user.elsewhere, *(device.used for device in user.devices)]) == user.used
        assert summed(device.used for user in summary.users for device in user.devices) == summary.total
