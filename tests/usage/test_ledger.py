"""What becomes of the counters of a router, reading by reading."""

from datetime import UTC, date, datetime

import pytest
from msgspec.structs import replace

from dalla_mqtt.usage.counters import Cause
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import TOTAL, Key, Series
from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.reading import Host, Row
from dalla_mqtt.usage.tariff import Tariff
from tests.usage.house import (
    GIB,
    IP,
    IP2,
    IP3,
    LAPTOP,
    PHONE,
    TV,
    WRAP,
    House,
    counted,
    parts,
    row,
    utc,
)

# the first reading


def test_what_the_router_has_counted_before_the_first_sight_is_a_start_and_no_delta() -> None:
    house = House()
    assert house.reads(row(5_000), row(700, mac=TV, ip=IP2)) == ()
    assert counted(house.of()) == (5_000, 0, Cause.FIRST_SEEN)
    assert parts(house.of()) == (0, 0, 0)
    assert counted(house.user("Alice")) == (5_000, 0, Cause.FIRST_SEEN)
    assert counted(house.user(UNKNOWN)) == (700, 0, Cause.FIRST_SEEN)
    assert counted(house.total) == (5_700, 0, Cause.FIRST_SEEN)
    assert (house.of().rate, house.device().first_seen, house.device().last_active) == (0, house.at, None)


def test_every_user_and_unknown_have_figures_from_the_first_reading_on() -> None:
    house = House()
    house.reads()
    assert list(house.ledger.users) == ["Alice", "Bob", UNKNOWN]
    assert house.user("Bob") == Series(changed_at=house.at)
    assert (house.total, house.ledger.devices) == (Series(changed_at=house.at), {})
    assert (house.ledger.day, house.ledger.period) == (date(2026, 11, 24), date(2026, 11, 1))


def test_a_first_reading_may_be_empty_and_what_comes_then_is_new() -> None:
    house = House()
    house.reads()
    house.reads(row(5_000))
    assert counted(house.of()) == (5_000, 5_000, Cause.NEWCOMER)


# ordinary minutes


def test_a_counter_that_grew_by_some_bytes_adds_them() -> None:
    house = House()
    house.reads(row(5_000))
    house.reads(row(11_030))
    assert counted(house.of()) == (11_030, 6_030, Cause.NORMAL)
    assert counted(house.user("Alice")) == (11_030, 6_030, Cause.NORMAL)
    assert counted(house.total) == (11_030, 6_030, Cause.NORMAL)
    assert (house.of().rate, parts(house.of())) == (round(6_030 / 60), (6_030, 0, 6_030))
    assert house.device().last_active == house.at


def test_the_rate_is_of_the_seconds_that_passed_and_zero_where_none_did() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(2_000), after=8)
    assert house.of().rate == 125
    house.reads(row(3_000), after=0)
    assert (house.of().delta, house.of().rate) == (1_000, 0)


@pytest.mark.parametrize(("after", "cause"), [(60, Cause.NORMAL), (90, Cause.NORMAL), (91, Cause.GAP)])
def test_bytes_over_a_missed_poll_are_counted_and_called_a_gap(after: int, cause: Cause) -> None:
    house = House()
    house.reads(row(1_000), row(500, mac=TV, ip=IP2))
    assert house.reads(row(4_000), row(500, mac=TV, ip=IP2), after=after) == ()
    assert counted(house.of()) == (4_000, 3_000, cause)
    assert house.of(TV).cause == Cause.NORMAL
    assert house.total.cause == cause


def test_a_host_in_a_10_network_counts_like_any_other() -> None:
    house = House()
    house.reads(row(1_000, ip="10.0.0.7"))
    house.reads(row(1_500, ip="10.0.0.7"))
    assert (house.device().ip, house.of().delta) == ("10.0.0.7", 500)


# idle


def test_a_device_that_falls_idle_says_so_once_and_then_nothing_changes() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(2_000))
    moved_at = house.at
    house.reads(row(2_000))
    assert (house.of().delta, house.of().rate, house.of().cause) == (0, 0, Cause.NORMAL)
    assert (house.of().changed_at, house.device().last_active) == (house.at, moved_at)
    idle = house.ledger
    house.reads(row(2_000))
    assert house.ledger.at != idle.at
    assert house.device() is idle.devices[PHONE]
    assert house.of() is idle.devices[PHONE].series
    assert house.user("Alice") is idle.users["Alice"]
    assert house.user("Bob") is idle.users["Bob"]
    assert house.total is idle.total
    assert house.ledger.counters[IP] is idle.counters[IP]
    assert house.total.changed_at == house.at - 60


def test_only_what_moved_is_told_again() -> None:
    house = House()
    house.reads(row(1_000), row(700, mac=TV, ip=IP2))
    before = house.ledger
    house.reads(row(1_000), row(900, mac=TV, ip=IP2))
    assert house.user("Bob") is before.users["Bob"]
    assert house.of(TV).changed_at == house.total.changed_at == house.at
    assert house.device().first_seen == before.at


# restarts of the router


def test_after_a_restart_of_the_router_its_counters_are_all_new() -> None:
    house = House()
    house.reads(row(5_000), row(700, mac=TV, ip=IP2))
    events = house.reboots(row(6_000), row(300, mac=TV, ip=IP2), uptime_s=30)
    assert counted(house.of()) == (11_000, 6_000, Cause.ROUTER_REBOOT)
    assert counted(house.of(TV)) == (1_000, 300, Cause.ROUTER_REBOOT)
    assert counted(house.total) == (12_000, 6_300, Cause.ROUTER_REBOOT)
    assert events == (Event("router_reboot", "the router restarted 30 s ago"),)
    house.reads(row(6_500), row(300, mac=TV, ip=IP2))
    assert counted(house.of()) == (11_500, 500, Cause.NORMAL)


def test_a_device_that_comes_back_some_time_after_a_restart_has_a_new_counter() -> None:
    house = House()
    house.reads(row(5_000))
    house.reboots()
    assert (house.device().present, house.of().usage) == (False, 5_000)
    assert house.reads(row(8_000)) == ()
    assert counted(house.of()) == (13_000, 8_000, Cause.NEWCOMER)


def test_a_restart_within_a_long_gap_shows_in_an_uptime_shorter_than_the_gap_and_a_counter_that_fell() -> None:
    house = House(uptime_s=100)
    house.reads(row(5_000), row(700, mac=TV, ip=IP2))
    events = house.reboots(row(4_400), row(900, mac=TV, ip=IP2), uptime_s=600, after=3600)
    assert [event.event for event in events] == ["router_reboot"]
    assert counted(house.of()) == (9_400, 4_400, Cause.ROUTER_REBOOT)
    assert counted(house.of(TV)) == (1_600, 900, Cause.ROUTER_REBOOT)


def test_a_restart_within_a_long_gap_shows_in_a_counter_that_is_gone() -> None:
    house = House(uptime_s=100)
    house.reads(row(5_000), row(700, mac=TV, ip=IP2))
    house.reboots(row(900, mac=TV, ip=IP2), uptime_s=600, after=3600)
    assert counted(house.of(TV)) == (1_600, 900, Cause.ROUTER_REBOOT)


def test_a_local_clock_that_jumps_forward_is_not_taken_for_a_restart() -> None:
    house = House()
    house.reads(row(5_000), row(700, mac=TV, ip=IP2))
    house.reads(row(5_000))
    jump = 2_000_000
    assert house.reads(row(5_600), elapsed_s=60 + jump, clock_jumps=jump) == ()
    assert counted(house.of()) == (5_600, 600, Cause.GAP)


@pytest.mark.parametrize(
    ("elapsed_s", "cause"), [(600, Cause.COUNTER_RESET), (605, Cause.COUNTER_RESET), (606, Cause.ROUTER_REBOOT)]
)
def test_an_uptime_of_whole_seconds_may_be_a_little_shorter_than_the_gap(elapsed_s: int, cause: Cause) -> None:
    house = House(uptime_s=100)
    house.reads(row(5_000))
    house.reboots(row(4_400), uptime_s=600, after=elapsed_s)
    if cause == Cause.COUNTER_RESET:
        house.reads(row(4_400))
    assert counted(house.of()) == (9_400, 4_400, cause)


def test_a_router_that_does_not_tell_its_uptime_is_judged_row_by_row() -> None:
    house = House(uptime_s=None)
    house.reads(row(5_000), row(700, mac=TV, ip=IP2))
    house.reads(row(5_100), row(300, packets=1, mac=TV, ip=IP2), after=3600)
    assert counted(house.of()) == (5_100, 100, Cause.GAP)
    house.reads(row(5_100), row(300, packets=1, mac=TV, ip=IP2))
    assert counted(house.of(TV)) == (1_000, 300, Cause.COUNTER_RESET)


def test_an_uptime_that_was_not_told_for_once_counts_nothing_twice() -> None:
    house = House(uptime_s=1_000_000)
    house.reads(row(5_000))
    house.uptime_s = None
    house.reads(row(2_000))  # the router has restarted
    house.uptime_s = 10
    assert [event.event for event in house.reads(row(2_100))] == ["counter_reset"]
    assert counted(house.of()) == (7_100, 2_100, Cause.COUNTER_RESET)


# counters that fall


def test_a_32_bit_counter_goes_on_over_its_wrap() -> None:
    house = House()
    house.reads(row(WRAP - 1_000, packets=5_000_000))
    events = house.reads(row(4_000, packets=5_000_010))
    assert counted(house.of()) == (WRAP + 4_000, 5_000, Cause.COUNTER_WRAP)
    text = "CB:BD:AB:90:2D:38 at 192.168.1.100: its 32-bit counter wrapped (5000 bytes)"
    assert events == (Event("counter_wrap", text, PHONE.colons, IP, 5_000),)


def test_a_counter_may_wrap_again_and_again() -> None:
    house = House()
    house.reads(row(0, packets=0))
    for minute in range(1, 9):
        house.reads(row(minute * 3 * GIB % WRAP, packets=minute * 3_000_000))
    assert house.of().usage == 24 * GIB


@pytest.mark.parametrize(
    ("packets", "cause"),
    [
        (3, Cause.COUNTER_RESET),  # 5000 bytes do not fit into 3 packets
        (4, Cause.COUNTER_WRAP),
        (178, Cause.COUNTER_WRAP),
        (179, Cause.COUNTER_RESET),  # 179 packets have more than 5000 bytes
    ],
)
def test_a_wrap_is_one_only_where_the_packets_agree(packets: int, cause: Cause) -> None:
    house = House()
    house.reads(row(WRAP - 1_000, packets=5_000_000))
    house.reads(row(4_000, packets=5_000_000 + packets))
    if cause == Cause.COUNTER_RESET:
        house.reads(row(4_000, packets=5_000_000 + packets))
    assert counted(house.of())[1:] == (5_000 if cause == Cause.COUNTER_WRAP else 4_000, cause)


@pytest.mark.parametrize(
    ("line_rate", "after", "cause"),
    [
        (81, 60, Cause.HELD_BACK),
        (82, 60, Cause.COUNTER_WRAP),  # with the tolerance 5018 bytes
        (82, 1, Cause.COUNTER_WRAP),  # a poll out of turn: never less than an interval
        (41, 119, Cause.HELD_BACK),
        (41, 120, Cause.COUNTER_WRAP),
    ],
)
def test_a_wrap_that_is_faster_than_the_line_is_held_back_until_it_is_seen_again(
    line_rate: float, after: int, cause: Cause
) -> None:
    house = House(line_rate=line_rate)
    house.reads(row(WRAP - 1_000, packets=5_000_000))
    house.reads(row(4_000, packets=5_000_010), after=after)
    assert house.of().cause == cause
    house.reads(row(4_000, packets=5_000_010))
    assert house.of().usage == WRAP + 4_000


def test_a_row_that_was_away_has_had_more_time_for_its_wrap() -> None:
    house = House(line_rate=41)
    house.reads(row(WRAP - 1_000, packets=5_000_000))
    house.reads()
    house.reads(row(4_000, packets=5_000_010))
    assert counted(house.of()) == (WRAP + 4_000, 5_000, Cause.COUNTER_WRAP)


@pytest.mark.parametrize("seen", [WRAP, WRAP + 1_000, 2**40])
def test_a_counter_that_was_seen_beyond_32_bits_does_not_wrap(seen: int) -> None:
    house = House()
    house.reads(row(seen, packets=5_000_000))
    house.reads(row(5_000, packets=5_000_010))
    house.reads(row(5_000, packets=5_000_010))
    assert counted(house.of()) == (seen + 5_000, 5_000, Cause.COUNTER_RESET)


def test_a_counter_that_was_set_to_zero_adds_what_it_shows_when_it_is_seen_again() -> None:
    house = House()
    house.reads(row(5_000, packets=10))
    (event,) = house.reads(row(200, packets=1))
    assert counted(house.of()) == (5_000, 0, Cause.HELD_BACK)
    text = "its counter jumped or fell, which is held back until it is seen again (200 bytes)"
    assert event == Event("held_back", f"CB:BD:AB:90:2D:38 at 192.168.1.100: {text}", PHONE.colons, IP, 200)
    events = house.reads(row(300, packets=2))
    assert counted(house.of()) == (5_300, 300, Cause.COUNTER_RESET)
    text = "CB:BD:AB:90:2D:38 at 192.168.1.100: its counter was set to zero (300 bytes)"
    assert events == (Event("counter_reset", text, PHONE.colons, IP, 300),)


def test_packets_that_fell_tell_a_reset_that_more_bytes_would_hide() -> None:
    house = House()
    house.reads(row(5_000, packets=100))
    house.reads(row(90_000, packets=60))
    house.reads(row(90_000, packets=60))
    assert counted(house.of()) == (95_000, 90_000, Cause.COUNTER_RESET)


def test_packets_that_wrap_do_not_make_the_whole_counter_new() -> None:
    house = House()
    house.reads(row(5 * 10**12, packets=WRAP - 10))
    assert house.reads(row(5 * 10**12 + 40_000, packets=90)) == ()
    assert counted(house.of()) == (5 * 10**12 + 40_000, 40_000, Cause.NORMAL)


@pytest.mark.parametrize(
    ("before", "packets", "delta"),
    [
        (WRAP - 10, 50, 80_000),  # as many bytes fit into 50 packets, so they began anew
        (WRAP - 10, 49, 30_000),
        (WRAP // 2, 49, 30_000),
        (WRAP // 2 - 1, 49, 80_000),  # so few packets do not wrap
    ],
)
def test_packets_that_fell_wrapped_only_where_the_new_ones_are_too_few_and_the_old_were_many(
    before: int, packets: int, delta: int
) -> None:
    house = House()
    house.reads(row(50_000, packets=before))
    house.reads(row(80_000, packets=packets))
    house.reads(row(80_000, packets=packets))
    assert house.of().usage == 50_000 + delta


# rows that come and go


def test_a_device_that_turns_up_brings_all_that_its_new_row_shows() -> None:
    house = House()
    house.reads(row(5_000))
    events = house.reads(row(5_000), row(700, mac=TV, ip=IP2), hosts=(Host(IP2, TV, "tv"),))
    assert counted(house.of(TV)) == (700, 700, Cause.NEWCOMER)
    assert (house.device(TV).first_seen, house.device(TV).last_active) == (house.at, house.at)
    assert events == (Event("new_device", "new device 00:25:9C:11:22:33 (tv) at 192.168.1.101", TV.colons, IP2, 700),)
    assert house.reads(row(5_000), row(700, mac=TV, ip=IP2)) == ()


def test_a_new_device_without_a_name_or_a_byte_is_told_all_the_same() -> None:
    house = House()
    house.reads()
    (event,) = house.reads(row(0))
    assert event == Event("new_device", "new device CB:BD:AB:90:2D:38 at 192.168.1.100", PHONE.colons, IP, 0)
    assert house.device().last_active is None


def test_a_device_that_is_absent_from_a_reply_keeps_its_counter_until_it_is_back() -> None:
    house = House()
    house.reads(row(5_000))
    house.reads()
    assert (house.device().present, counted(house.of())) == (False, (5_000, 0, Cause.NORMAL))
    assert house.reads(row(5_900)) == ()
    assert (house.device().present, counted(house.of())) == (True, (5_900, 900, Cause.GAP))
    house.reads(row(6_000))
    assert counted(house.of()) == (6_000, 100, Cause.NORMAL)


def test_a_device_that_is_back_without_a_byte_moved_nothing_over_a_gap() -> None:
    house = House()
    house.reads(row(5_000))
    house.reads()
    house.reads(row(5_000))
    assert counted(house.of()) == (5_000, 0, Cause.NORMAL)


def test_an_empty_table_is_a_reading_like_any_other() -> None:
    house = House(at=utc(24, 23, 58, 30))
    house.reads(row(5_000))
    house.reads(row(6_000))
    house.reads()
    assert house.ledger.at == house.at
    assert (counted(house.of()), parts(house.of())) == ((6_000, 0, Cause.NORMAL), (1_000, 0, 0))
    assert counted(house.total) == (6_000, 0, Cause.NORMAL)


def test_bytes_of_a_row_that_was_missed_twice_are_divided_over_the_whole_time() -> None:
    house = House(at=utc(24, 23, 58))
    house.reads(row(5_000))
    house.reads()
    house.reads()
    house.reads(row(8_001))
    assert house.at == utc(25, 0, 1)
    assert parts(house.of()) == (2_000, 1_001, 1_001)


def test_a_row_that_was_away_and_one_that_was_not_are_divided_each_over_its_own_time() -> None:
    house = House(at=utc(24, 23, 58, 30))
    house.reads(row(5_000), row(700, mac=TV, ip=IP2))
    house.reads(row(5_000))
    house.reads(row(5_100), row(1_900, mac=TV, ip=IP2))
    assert house.at == utc(25, 0, 0, 30)
    assert (house.of().today, house.of(TV).today) == (50, 300)


# rows without a MAC


def test_bytes_of_a_row_without_a_mac_wait_for_the_first_mac_that_it_shows() -> None:
    house = House()
    house.reads()
    house.reads(row(700, mac=None))
    house.reads(row(900, mac=None))
    assert (house.ledger.devices, house.total.usage) == ({}, 0)
    (event,) = house.reads(row(1_000))
    assert counted(house.of())[:2] == (1_000, 1_000)
    assert (event.event, event.bytes) == ("new_device", 1_000)
    house.reads(row(1_000))
    assert counted(house.of())[:2] == (1_000, 0)


def test_a_starting_value_waits_for_its_mac_and_stays_no_delta() -> None:
    house = House()
    house.reads(row(5_000, mac=None))
    house.reads(row(5_040, mac=None))
    assert house.total.usage == 0
    house.reads(row(5_100))
    assert counted(house.of())[:2] == (5_100, 100)
    assert parts(house.of()) == (100, 0, 100)


def test_bytes_that_wait_for_a_mac_outlive_a_restart_of_the_router() -> None:
    house = House()
    house.reads(row(5_000, mac=None), row(40, mac=None, ip=IP2), row(60, ip=IP3))
    house.reads(row(5_100, mac=None), row(40, mac=None, ip=IP2), row(60, ip=IP3))
    house.reboots(row(30, mac=None))
    assert house.ledger.counters.keys() == {IP, IP2}
    house.reads(row(50), row(900, mac=TV, ip=IP2))
    assert counted(house.of())[:2] == (60 + 5_000 + 100 + 50, 150)
    assert counted(house.of(TV))[:2] == (940, 900)


def test_bytes_that_wait_for_a_mac_outlive_a_reply_without_their_row() -> None:
    house = House(at=utc(24, 23, 59))
    house.reads()
    house.reads(row(500, mac=None))
    house.reads()
    house.reads(row(900))
    assert (counted(house.of())[:2], house.of().today) == ((900, 900), 900)


def test_bytes_wait_for_the_mac_of_the_row_and_not_for_that_of_an_old_lease() -> None:
    house = House()
    house.reads()
    house.reads(row(700, mac=None), hosts=(Host(IP, PHONE, "alices-phone"),))
    assert house.ledger.devices == {}
    house.reads(row(700, mac=TV), hosts=(Host(IP, PHONE, "alices-phone"),))
    assert (list(house.ledger.devices), house.of(TV).usage) == ([TV], 700)


def test_the_reset_of_a_row_without_a_mac_is_told_with_its_address() -> None:
    house = House()
    house.reads(row(5_000, mac=None))
    house.reads(row(300, mac=None))
    (event,) = house.reads(row(300, mac=None))
    assert event.text == "a device at 192.168.1.100: its counter was set to zero (300 bytes)"
    assert (event.mac, event.ip, event.bytes) == (None, IP, 300)


# addresses and devices


def test_an_address_handed_to_another_device_goes_on_counting_for_that_one() -> None:
    house = House()
    house.reads(row(5_000))
    house.reads(row(5_300, mac=LAPTOP))
    assert (counted(house.of()), house.device().present) == ((5_000, 0, Cause.NORMAL), False)
    assert (counted(house.of(LAPTOP)), house.device(LAPTOP).present) == ((300, 300, Cause.NORMAL), True)
    house.reads(row(5_400))
    assert (house.of().usage, house.of(LAPTOP).usage) == (5_400 - 300, 300)


def test_a_device_with_two_rows_has_the_bytes_of_both() -> None:
    house = House()
    house.reads(row(5_000), row(700, ip=IP2))
    assert counted(house.of()) == (5_700, 0, Cause.FIRST_SEEN)
    house.reads(row(5_010), row(900, ip=IP2))
    assert (counted(house.of()), house.device().ip) == ((5_910, 210, Cause.NORMAL), IP2)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_device_that_moves_is_shown_where_it_moved_most_and_stays_there_when_idle(turn: int) -> None:
    house = House()
    house.reads(row(5_000))
    house.reads(*[row(5_001), row(700, ip=IP2)][::turn])
    assert (house.device().ip, counted(house.of())) == (IP2, (5_701, 701, Cause.NEWCOMER))
    house.reads(*[row(5_001), row(700, ip=IP2)][::turn])
    assert house.device().ip == IP2
    house.reads()
    house.reads(*[row(5_001), row(700, ip=IP2)][::turn])
    assert (house.device().ip, house.device().present) == (IP2, True)


def test_the_name_of_a_device_is_learned_later_and_kept_when_its_lease_ends() -> None:
    house = House()
    house.reads(row(5_000, mac=LAPTOP))
    assert house.device(LAPTOP).hostname is None
    house.reads(row(5_000, mac=LAPTOP), hosts=(Host(IP, LAPTOP, "bobs-laptop"),))
    house.reads(row(5_000, mac=LAPTOP), hosts=(Host(IP, LAPTOP, None),))
    assert (house.device(LAPTOP).hostname, house.device(LAPTOP).user) == ("bobs-laptop", "Bob")


def test_a_second_lease_without_a_name_does_not_hide_the_first() -> None:
    house = House()
    house.reads(row(5_000, mac=LAPTOP), hosts=(Host(IP, LAPTOP, "bobs-laptop"), Host(IP2, LAPTOP, None)))
    assert (house.device(LAPTOP).hostname, house.user("Bob").usage) == ("bobs-laptop", 5_000)


# users


def test_the_map_and_the_host_name_decide_whose_the_bytes_are() -> None:
    house = House()
    hosts = (Host(IP, PHONE, "bobs-old-phone"), Host(IP2, LAPTOP, "bobs-laptop"))
    house.reads(row(1, ip=IP), row(20, ip=IP2, mac=LAPTOP), row(300, ip=IP3, mac=TV), hosts=hosts)
    assert [house.device(mac).user for mac in (PHONE, LAPTOP, TV)] == ["Alice", "Bob", UNKNOWN]
    assert [house.user(name).usage for name in ("Alice", "Bob", UNKNOWN)] == [1, 20, 300]


def test_a_device_that_changes_hands_leaves_its_past_with_its_former_user() -> None:
    house = House()
    house.reads(row(5_000))
    house.reads(row(5_600))
    house.belongs_to(People(("Alice", "Bob"), {PHONE: "Bob"}))
    house.reads(row(5_800))
    assert (house.device().user, house.of().usage) == ("Bob", 5_800)
    assert (counted(house.user("Alice")), parts(house.user("Alice"))) == ((5_600, 0, Cause.NORMAL), (600, 0, 600))
    assert (counted(house.user("Bob")), parts(house.user("Bob"))) == ((200, 200, Cause.NORMAL), (200, 0, 200))


def test_a_device_that_changes_hands_while_it_is_away_belongs_to_its_new_user_at_once() -> None:
    house = House()
    house.reads(row(5_000))
    house.belongs_to(People(("Bob",), {PHONE: "Bob"}))
    house.reads()
    assert house.device().user == "Bob"


def test_a_user_who_is_no_longer_configured_keeps_the_figures() -> None:
    house = House()
    house.reads(row(5_000))
    house.reads(row(5_600))
    house.belongs_to(People())
    house.reads(row(5_700))
    house.reads(row(5_900), after=86_400)
    assert (counted(house.user("Alice")), parts(house.user("Alice"))) == ((5_600, 0, Cause.NORMAL), (600, 0, 0))
    assert (counted(house.user(UNKNOWN)), house.device().user) == ((300, 200, Cause.GAP), UNKNOWN)


def test_a_user_and_the_total_tell_the_least_ordinary_cause_of_their_devices() -> None:
    house = House(people=People(("Alice", "Bob"), {PHONE: "Alice", TV: "Alice", LAPTOP: "Bob"}))
    house.reads(row(WRAP - 1_000, packets=5_000_000), row(900, mac=TV, ip=IP2))
    house.reads(row(WRAP - 1_000, packets=5_000_000), row(80, mac=TV, ip=IP2))
    house.reads(row(4_000, packets=5_000_010), row(80, mac=TV, ip=IP2), row(5, mac=LAPTOP, ip=IP3))
    assert [house.of(mac).cause for mac in (PHONE, TV, LAPTOP)] == ["counter_wrap", "counter_reset", "newcomer"]
    assert (house.user("Alice").cause, house.user("Bob").cause) == (Cause.COUNTER_RESET, Cause.NEWCOMER)
    assert (house.total.cause, house.user(UNKNOWN).cause) == (Cause.COUNTER_RESET, Cause.NORMAL)


# on-peak, off-peak, today


def test_bytes_of_the_night_are_off_peak() -> None:
    house = House(at=utc(24, 3))
    house.reads(row(1_000))
    house.reads(row(1_777))
    assert parts(house.of()) == parts(house.user("Alice")) == parts(house.total) == (0, 777, 777)


def test_bytes_over_the_end_of_a_window_are_divided_to_the_byte() -> None:
    house = House(at=utc(24, 5, 59, 15))
    house.reads(row(1_000))
    house.reads(row(2_001))
    assert parts(house.of()) == (250 + 1, 750, 1_001)


def test_bytes_over_midnight_are_divided_between_the_days() -> None:
    house = House(at=utc(24, 23, 58, 45))
    house.reads(row(1_000))
    house.reads(row(2_000))
    assert parts(house.of()) == (1_000, 0, 1_000)
    house.reads(row(3_000))
    assert parts(house.of()) == (1_250, 750, 750)
    assert house.ledger.day == date(2026, 11, 25)


def test_bytes_over_the_end_of_a_period_begin_the_new_one_with_their_share() -> None:
    house = House(at=utc(30, 23, 58, 45), tariff=Tariff())
    house.reads(row(1_000))
    house.reads(row(2_000))
    house.reads(row(3_000))
    assert (parts(house.of()), house.of().usage) == ((750, 0, 750), 3_000)
    assert parts(house.total) == parts(house.user("Alice")) == (750, 0, 750)
    assert house.ledger.period == date(2026, 12, 1)
    for key in (TOTAL, Key("user", "Alice"), Key("device", PHONE.dashed)):  # the old one ends with its own
        assert house.moved(utc(1, 0), utc(30, 12), key) == (1_250, 0)


def test_a_period_that_begins_on_the_15th_does_not_end_with_the_month() -> None:
    house = House(at=utc(30, 23, 59), tariff=Tariff(period_starts=15))
    house.reads(row(1_000))
    house.reads(row(2_000), after=120)
    assert (parts(house.of()), house.ledger.period) == ((1_000, 0, 500), date(2026, 11, 15))


def test_a_new_day_and_a_new_period_begin_for_idle_and_absent_devices_too() -> None:
    house = House(at=utc(29, 12))
    house.reads(row(1_000), row(1_000, mac=TV, ip=IP2))
    house.reads(row(3_000), row(4_000, mac=TV, ip=IP2))
    house.reads(row(3_000))
    assert [parts(house.of(mac)) for mac in (PHONE, TV)] == [(2_000, 0, 2_000), (3_000, 0, 3_000)]
    house.reads(row(3_000), after=86_400)
    assert [parts(house.of(mac)) for mac in (PHONE, TV)] == [(2_000, 0, 0), (3_000, 0, 0)]
    assert house.of(TV).changed_at == house.at
    house.reads(row(3_000), after=86_400)
    assert [parts(house.of(mac)) for mac in (PHONE, TV)] == [(0, 0, 0), (0, 0, 0)]
    assert parts(house.user("Alice")) == parts(house.total) == (0, 0, 0)
    assert house.total.usage == 7_000


def test_days_are_those_of_the_tariffs_own_clock() -> None:
    house = House(
        at=utc(24, 22, 59, 30), tariff=Tariff(zone=datetime.fromisoformat("2026-01-01T00+01:00").tzinfo or UTC)
    )
    house.reads(row(1_000))
    house.reads(row(2_000))
    assert (house.of().today, house.ledger.day) == (500, date(2026, 11, 25))


def test_after_a_restart_bytes_are_of_the_time_since_and_not_of_the_time_before() -> None:
    house = House(at=utc(24, 23, 59))
    house.reads(row(9_000))
    house.reboots(row(3_000), uptime_s=30, after=70)
    assert house.at == utc(25, 0, 0, 10)
    assert parts(house.of()) == (2_000, 1_000, 1_000)


def test_a_clock_that_was_set_back_loses_no_byte() -> None:
    house = House(at=utc(24, 12))
    house.reads(row(1_000))
    house.reads(row(2_000))
    house.reads(row(3_000), clock_jumps=-3_600)
    assert (counted(house.of()), parts(house.of())) == ((3_000, 1_000, Cause.NORMAL), (2_000, 0, 2_000))
    house.reads(row(3_500))
    assert parts(house.of()) == (2_500, 0, 2_500)


def test_a_clock_that_is_set_forward_and_back_finds_the_figures_of_its_day_and_period_again() -> None:
    house = House(at=utc(24, 12))
    house.reads(row(1_000))
    house.reads(row(2_000))
    house.reads(row(3_000), clock_jumps=40 * 86_400)
    assert (parts(house.of()), house.ledger.period) == ((1_000, 0, 1_000), date(2027, 1, 1))
    house.reads(row(4_000), clock_jumps=-40 * 86_400)
    assert (parts(house.of()), house.ledger.period) == ((2_000, 0, 2_000), date(2026, 11, 1))
    assert parts(house.user("Alice")) == parts(house.total) == (2_000, 0, 2_000)
    assert house.of().usage == 4_000


def test_a_clock_that_begins_in_1970_costs_the_period_nothing_but_what_it_says_was_moved_then() -> None:
    house = House(at=utc(24, 12))
    house.reads(row(1_000))
    house.reads(row(2_000))
    house.reads(row(2_500), clock_jumps=-house.at)
    house.reads(row(4_000), clock_jumps=utc(24, 13))
    assert (parts(house.of()), house.of().usage) == ((2_500, 0, 2_500), 4_000)


def test_another_first_day_of_the_period_counts_from_there_on_at_once() -> None:
    house = House(at=utc(14, 23, 59), tariff=Tariff())
    house.reads(row(1_000))
    house.reads(row(2_000))
    house.reads(row(5_000), after=600)
    assert parts(house.of()) == (4_000, 0, 3_000)
    house.rules = replace(house.rules, tariff=Tariff(period_starts=15))
    house.reads(row(5_500))
    assert (parts(house.of()), house.ledger.period) == ((3_500, 0, 3_500), date(2026, 11, 15))


def from_files(house: House) -> None:
    """Leave of the ledger what CSV files tell of it."""
    house.ledger = replace(house.ledger, anew=True, counters={}, uptime_s=None)


def test_figures_from_files_go_on_from_the_counters_that_are_found() -> None:
    house = House()
    house.reads(row(1_000), row(700, mac=None, ip=IP3))
    house.reads(row(3_000), row(700, mac=LAPTOP, ip=IP3))
    from_files(house)
    events = house.reads(row(50_000), row(9_000, mac=TV, ip=IP2), row(900, mac=None, ip=IP3))
    assert (counted(house.of()), counted(house.of(TV))) == ((3_000, 0, Cause.FIRST_SEEN), (9_000, 0, Cause.FIRST_SEEN))
    assert [event.event for event in events] == ["new_device"]
    house.reads(row(50_400), row(9_500, mac=TV, ip=IP2), row(1_100, mac=LAPTOP, ip=IP3))
    assert (counted(house.of()), counted(house.of(TV))) == ((3_400, 400, Cause.NORMAL), (9_500, 500, Cause.NORMAL))
    assert (house.of(LAPTOP).usage, house.of(LAPTOP).delta) == (900, 200)


def test_what_the_router_counted_wholly_after_the_files_is_counted() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(3_000))
    from_files(house)
    house.reboots(row(50_000), uptime_s=600, after=3_600)
    assert counted(house.of()) == (53_000, 50_000, Cause.ROUTER_REBOOT)


@pytest.mark.parametrize("odd", [row(0), row(200_000_000_000)])
def test_an_uptime_that_cannot_be_true_makes_no_bytes_beside_figures_from_files(odd: Row) -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(3_000))
    from_files(house)
    house.reboots(odd, row(50_000, mac=TV, ip=IP2), uptime_s=600, after=3_600)
    assert (house.of().usage, counted(house.of(TV))) == (3_000, (50_000, 0, Cause.FIRST_SEEN))
    house.reads(row(200_000_000_000), row(50_000, mac=TV, ip=IP2))
    house.reads(row(200_000_000_700), row(50_000, mac=TV, ip=IP2))
    house.reads(row(200_000_000_900), row(50_000, mac=TV, ip=IP2))
    assert 3_000 <= house.of().usage <= 3_900
    assert house.ledger.anew is False


def test_records_are_there_since_counting_began_or_since_what_was_brought_in() -> None:
    house = House(at=utc(24, 12))
    assert house.ledger.since is None
    house.reads(row(0))
    began = replace(house.ledger, began=utc(24, 12))
    assert began.since == utc(24, 12)
    assert replace(began, imported=((300, 400), (100, 200))).since == 100
