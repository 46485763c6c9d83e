"""What is doubted, what is believed, and on what evidence."""

import pytest

from dalla_mqtt.usage.counters import Cause
from dalla_mqtt.usage.reading import Row
from tests.usage.house import GIB, IP, IP2, LAPTOP, PHONE, WRAP, House, counted, row, utc

FAST = 10 * GIB  # more than 125 MB/s for a minute


def told(events: object) -> list[str]:
    return [event.event for event in events]  # type: ignore[attr-defined]


# faster than the line


def test_what_is_faster_than_the_line_is_held_back_and_counted_when_it_is_seen_again() -> None:
    house = House()
    house.reads(row(1_000))
    assert told(house.reads(row(1_000 + FAST))) == ["held_back"]
    assert counted(house.of()) == (1_000, 0, Cause.HELD_BACK)
    assert told(house.reads(row(1_500 + FAST))) == ["accepted"]
    assert counted(house.of()) == (1_500 + FAST, 500 + FAST, Cause.HELD_BACK)
    assert told(house.reads(row(2_000 + FAST))) == []
    assert counted(house.of()) == (2_000 + FAST, 500, Cause.NORMAL)


def test_what_was_held_back_and_stands_still_is_counted_too() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(1_000 + FAST))
    house.reads(row(1_000 + FAST))
    assert house.of().usage == 1_000 + FAST


def test_what_was_held_back_and_is_not_seen_again_is_dropped_and_never_counted() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(FAST, packets=3))
    events = house.reads(row(1_500, packets=4))
    assert told(events) == ["dropped"]
    assert f"({FAST - 1_000} bytes)" in events[0].text
    assert counted(house.of()) == (1_500, 500, Cause.GAP)


def test_one_freak_after_another_counts_nothing_and_loses_nothing() -> None:
    house = House()
    house.reads(row(1_000))
    for freak in (FAST, 3 * FAST, 7 * FAST):
        house.reads(row(freak))
        assert house.of().usage == 1_000
    house.reads(row(4_000))
    assert house.of().usage == 4_000


def test_what_is_held_back_outlives_a_reply_without_its_row() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(1_000 + FAST))
    house.reads()
    house.reads(row(1_200 + FAST))
    assert house.of().usage == 1_200 + FAST


def test_what_is_held_back_when_the_router_restarts_is_dropped() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(1_000 + FAST))
    assert told(house.reboots(row(70))) == ["router_reboot", "dropped"]
    assert house.of().usage == 1_070


def test_a_new_device_that_is_faster_than_the_line_is_held_back_and_there_all_the_same() -> None:
    house = House()
    house.reads()
    events = house.reads(row(FAST))
    assert told(events) == ["held_back", "new_device"]
    assert (events[0].mac, events[0].ip, events[0].bytes) == (PHONE.colons, IP, FAST)
    assert counted(house.of()) == (0, 0, Cause.HELD_BACK)
    assert house.device().present
    house.reads(row(FAST))
    assert counted(house.of()) == (FAST, FAST, Cause.HELD_BACK)


def test_a_row_without_a_mac_that_is_faster_than_the_line_waits_for_both() -> None:
    house = House()
    house.reads()
    house.reads(row(FAST, mac=None))
    house.reads(row(FAST, mac=None))
    house.reads(row(FAST + 5))
    assert house.of().usage == FAST + 5


def test_what_waited_for_a_mac_is_booked_once_when_the_row_that_shows_one_is_held_back() -> None:
    house = House()
    house.reads(row(5_000, mac=None))
    house.reads(row(5_100, mac=None))
    house.reads(row(10 * FAST))
    assert counted(house.of()) == (5_100, 100, Cause.HELD_BACK)
    house.reads(row(5_300))
    assert counted(house.of()) == (5_300, 200, Cause.GAP)


def test_what_a_restart_drops_is_told_of_the_device_that_showed_it() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(10 * FAST, mac=LAPTOP))
    assert house.reboots(row(70))[1].mac == LAPTOP.colons


def test_after_a_long_time_the_line_has_had_time_for_much() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(1_000 + FAST), after=120)
    assert counted(house.of()) == (1_000 + FAST, FAST, Cause.GAP)


def test_what_was_held_back_over_midnight_is_divided_between_the_days() -> None:
    house = House(at=utc(24, 23, 59))
    house.reads(row(1_000))
    house.reads(row(1_000 + FAST))
    house.reads(row(1_000 + FAST))
    assert (house.of().delta, house.of().today) == (FAST, FAST // 2)


def test_bytes_that_a_freak_kept_waiting_over_midnight_are_divided_between_the_days() -> None:
    house = House(at=utc(24, 23, 59))
    house.reads(row(1_000))
    house.reads(row(FAST, packets=3))
    house.reads(row(1_500, packets=4))
    assert (house.of().delta, house.of().today) == (500, 250)


def test_more_bytes_than_the_packets_can_carry_are_held_back_however_fast_the_line() -> None:
    house = House()
    house.reads(row(10**9, packets=10**6))
    assert told(house.reads(row(WRAP - 1, packets=10**6))) == ["held_back"]
    assert told(house.reads(row(10**9 + 500, packets=10**6 + 1))) == ["dropped"]
    assert house.of().usage == 10**9 + 500


def test_a_reset_to_more_than_the_line_can_carry_is_a_new_beginning_in_the_end_and_no_bytes() -> None:
    house = House()
    house.reads(row(3 * 10**12))
    events = [event for turn in range(8) for event in told(house.reads(row(29 * 10**11 + 50 * turn)))]
    assert events == ["held_back", "dropped"]
    assert 0 < house.of().usage - 3 * 10**12 <= 50 * 7


def test_a_line_that_is_faster_than_it_is_said_to_be_is_told_once_and_believed_after_some_sights() -> None:
    house = House()
    house.reads(row(1_000))
    events = [told(house.reads(row(1_000 + turn * FAST))) for turn in range(1, 13)]
    assert events == [["held_back"], [], [], [], [], ["accepted"]] * 2
    assert counted(house.of()) == (1_000 + 12 * FAST, 6 * FAST, Cause.HELD_BACK)


def test_a_new_row_that_is_faster_than_the_line_for_some_sights_is_believed_and_new() -> None:
    house = House()
    house.reads()
    house.reads(row(0))
    events = [told(house.reads(row(turn * 10 * FAST))) for turn in range(1, 7)]
    assert events == [["held_back"], [], [], [], [], ["accepted"]]
    assert counted(house.of()) == (60 * FAST, 60 * FAST, Cause.HELD_BACK)


def test_a_reset_that_is_faster_than_the_line_for_some_sights_begins_anew_and_is_never_counted() -> None:
    house = House()
    house.reads(row(10**14))
    events = [told(house.reads(row(turn * 10 * FAST))) for turn in range(1, 7)]
    assert events == [["held_back"], [], [], [], [], ["dropped"]]
    assert counted(house.of()) == (10**14 + 10 * FAST, 10 * FAST, Cause.HELD_BACK)


def test_the_patience_with_what_is_faster_than_the_line_begins_anew_with_every_freak() -> None:
    house = House()
    house.reads(row(1_000))
    for turn in (10, 20, 30, 40, 50, 25, 35, 45, 55, 65):  # 25 does not go on from 50
        house.reads(row(turn * FAST))
        assert house.of().usage == 1_000
    house.reads(row(75 * FAST))
    assert house.of().usage == 75 * FAST


def test_no_patience_makes_a_counter_that_fell_go_on() -> None:
    house = House()
    house.reads(row(10**14))
    for turn in (10, 20, 30, 40, 50, 5):
        house.reads(row(turn * FAST))
        assert house.of().usage == 10**14


def test_the_bytes_that_are_dropped_by_a_restart_are_those_that_were_doubted() -> None:
    house = House()
    house.reads(row(10**9))
    house.reads(row(10**9 + FAST))
    events = house.reboots(row(70))
    assert [(event.event, event.bytes, event.ip, event.mac) for event in events[1:]] == [
        ("dropped", FAST, IP, PHONE.colons)
    ]


def test_bytes_that_no_packets_carry_are_told_as_what_they_would_add() -> None:
    house = House()
    house.reads(row(10**9, packets=10**6))
    (event,) = house.reads(row(3 * 10**9, packets=10**6))
    assert (event.event, event.bytes) == ("held_back", 2 * 10**9)
    house.reads(row(10**9, packets=10**6))
    (event,) = house.reads(row(2 * 10**9, packets=9))
    assert (event.event, event.bytes) == ("held_back", 2 * 10**9)


def test_a_burst_over_the_wrap_on_a_slow_line_is_held_back_and_counted_when_it_is_seen_again() -> None:
    house = House(line_rate=1e6)
    house.reads(row(WRAP - 10**9, packets=5_000_000))
    (event,) = house.reads(row(10**9, packets=7_000_000))
    assert (event.event, event.bytes) == ("held_back", 2 * 10**9)
    assert told(house.reads(row(10**9 + 700, packets=7_000_001))) == ["accepted"]
    assert counted(house.of()) == (WRAP + 10**9 + 700, 2 * 10**9 + 700, Cause.HELD_BACK)


def test_bursts_that_wrap_more_than_once_before_they_are_believed_lose_no_wrap() -> None:
    house = House(line_rate=1e6)
    house.reads(row(100, packets=1))
    house.reads(row(3 * GIB, packets=3_000_000))
    house.reads(row(2 * GIB, packets=6_000_000))
    house.reads(row(2 * GIB + 500, packets=6_000_001))
    assert house.of().usage == WRAP + 2 * GIB + 500


@pytest.mark.parametrize(("size", "cause"), [(7_650_000_000, Cause.NORMAL), (7_650_000_001, Cause.HELD_BACK)])
def test_the_line_can_do_two_percent_more_than_it_is_said_to_do(size: int, cause: Cause) -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(1_000 + size))
    assert house.of().cause == cause


def test_a_row_that_is_back_cannot_have_moved_more_than_the_line_can_since_it_was_seen() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads()
    assert told(house.reads(row(1_000 + 2 * FAST))) == ["held_back"]


# falls


@pytest.mark.parametrize("packets", [0, 1, 10, 11])
def test_a_counter_that_fell_is_held_back_whatever_its_packets(packets: int) -> None:
    house = House()
    house.reads(row(5_000, packets=10))
    (event,) = house.reads(row(300, packets=packets))
    assert (event.event, event.bytes) == ("held_back", 300)


def test_one_low_freak_is_dropped_where_the_counter_goes_on_from_before() -> None:
    house = House()
    house.reads(row(5 * 10**9))
    assert told(house.reads(row(300))) == ["held_back"]
    assert counted(house.of()) == (5 * 10**9, 0, Cause.HELD_BACK)
    (event,) = house.reads(row(5 * 10**9 + 700))
    assert (event.event, event.bytes) == ("dropped", 300)
    assert counted(house.of()) == (5 * 10**9 + 700, 700, Cause.GAP)


def test_a_reset_and_a_freak_before_it_is_seen_again_lose_no_byte() -> None:
    house = House()
    house.reads(row(5 * 10**9))
    house.reads(row(30_000))
    for freak in (row(20_000), row(2**50), row(0)):
        house.reads(freak)
    house.reads(row(40_000))
    house.reads(row(41_000))
    assert house.of().usage == 5 * 10**9 + 41_000


@pytest.mark.parametrize(("size", "cause"), [(11 * 2**16, Cause.COUNTER_RESET), (11 * 2**16 + 1, Cause.HELD_BACK)])
def test_a_reset_has_packets_that_can_have_carried_its_bytes(size: int, cause: Cause) -> None:
    house = House()
    house.reads(row(5_000, packets=100))
    house.reads(row(size - 700, packets=9))
    house.reads(row(size, packets=10))
    assert counted(house.of()) == (5_000 + (size if cause == Cause.COUNTER_RESET else 700), house.of().delta, cause)


def test_bytes_of_a_reset_that_was_doubted_twice_are_divided_over_the_whole_time() -> None:
    house = House(at=utc(24, 23, 58))
    house.reads(row(10**6))
    house.reads(row(3_000))
    house.reads(row(2_000))
    house.reads(row(6_000))
    assert (house.of().delta, house.of().today) == (6_000, 2_000)


def test_a_reset_over_midnight_is_divided_between_the_days() -> None:
    house = House(at=utc(24, 23, 59))
    house.reads(row(10**6))
    house.reads(row(200))
    house.reads(row(400))
    assert (house.of().delta, house.of().today) == (400, 200)


def test_a_row_that_is_missing_after_a_reset_is_believed_when_it_is_back() -> None:
    house = House()
    house.reads(row(10**6))
    house.reads(row(200))
    house.reads()
    house.reads(row(400))
    assert counted(house.of()) == (10**6 + 400, 400, Cause.COUNTER_RESET)


def test_a_reset_that_waits_for_its_second_sight_goes_to_the_device_that_has_the_address_then() -> None:
    house = House()
    house.reads(row(10**6))
    house.reads(row(200))
    house.reads(row(400, mac=LAPTOP))
    assert (house.of().usage, house.of(LAPTOP).usage) == (10**6, 400)


def test_a_row_that_falls_and_then_moves_what_no_line_can_is_doubted_on() -> None:
    house = House()
    house.reads(row(10**12))
    house.reads(row(200))
    assert told(house.reads(row(200 + FAST))) == []
    assert house.of().usage == 10**12


def test_bytes_that_no_packets_carry_begin_anew_and_are_never_counted() -> None:
    house = House()
    house.reads(row(5_000, packets=10))
    house.reads(row(10**9, packets=9))
    (event,) = house.reads(row(10**9 + 700, packets=10))
    assert (event.event, event.bytes) == ("dropped", 10**9)
    assert counted(house.of()) == (5_700, 700, Cause.HELD_BACK)


# zeros


def test_one_reply_full_of_zeros_is_a_freak_where_the_counters_go_on_from_before() -> None:
    house = House()
    house.reads(row(5_000), row(7_000, mac=LAPTOP, ip=IP2))
    assert told(house.reads(row(0), row(0, mac=LAPTOP, ip=IP2))) == []
    assert (house.of().usage, house.of(LAPTOP).usage) == (5_000, 7_000)
    assert (house.of().cause, house.device().present) == (Cause.NORMAL, True)
    assert told(house.reads(row(5_400), row(7_000, mac=LAPTOP, ip=IP2))) == []
    assert counted(house.of()) == (5_400, 400, Cause.GAP)
    assert counted(house.of(LAPTOP)) == (7_000, 0, Cause.GAP)


@pytest.mark.parametrize("zeros", [1, 2, 3])
def test_zeros_that_counters_begin_from_again_are_a_reset(zeros: int) -> None:
    house = House()
    house.reads(row(5_000))
    events = [event for _ in range(zeros) for event in told(house.reads(row(0)))]
    events += told(house.reads(row(300)))
    assert events == ["counter_reset"]
    assert house.of().usage == 5_300


def test_zeros_say_nothing_of_what_is_held_back() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(1_000 + 10 * FAST))
    house.reads(row(0))
    assert told(house.reads(row(1_500 + 10 * FAST))) == ["accepted"]
    assert house.of().usage == 1_500 + 10 * FAST


def test_any_number_of_replies_full_of_zeros_is_a_freak_where_the_counters_go_on_from_before() -> None:
    house = House()
    house.reads(row(5 * 10**9))
    for _ in range(9):
        assert told(house.reads(row(0))) == []
    house.reads(row(5 * 10**9 + 100))
    assert counted(house.of()) == (5 * 10**9 + 100, 100, Cause.GAP)


def test_a_row_that_goes_on_showing_zeros_changes_nothing_that_is_stored() -> None:
    house = House()
    house.reads(row(5_000))
    house.reads(row(0))
    before = house.ledger.counters[IP]
    house.reads(row(0))
    assert house.ledger.counters[IP] is before
    house.reads()
    assert house.ledger.counters[IP].missing_since is not None
    house.reads(row(0))
    assert house.ledger.counters[IP].missing_since is None


def test_bytes_that_zeros_kept_waiting_over_midnight_are_divided_over_the_whole_time() -> None:
    house = House(at=utc(24, 23, 58))
    house.reads(row(1_000))
    house.reads(row(0))
    house.reads(row(0))
    house.reads(row(4_000))
    assert (house.of().delta, house.of().today) == (3_000, 1_000)


def test_zeros_in_the_first_reading_ever_do_not_make_the_past_a_delta() -> None:
    house = House()
    house.reads(row(0))
    assert told(house.reads(row(5 * 10**11))) == ["held_back"]
    assert counted(house.of()) == (0, 0, Cause.HELD_BACK)
    assert told(house.reads(row(5 * 10**11 + 700))) == ["accepted"]
    assert counted(house.of()) == (5 * 10**11 + 700, 700, Cause.FIRST_SEEN)


def test_what_the_line_can_have_moved_since_a_first_sight_of_zeros_is_new() -> None:
    house = House()
    house.reads(row(0))
    house.reads(row(5_000))
    assert counted(house.of()) == (5_000, 5_000, Cause.NEWCOMER)


def test_a_new_row_that_shows_zeros_and_then_what_no_line_can_have_moved_was_there_before() -> None:
    house = House(at=utc(24, 23, 59))
    house.reads()
    house.reads(row(0))
    house.reads(row(5 * 10**11))
    house.reads(row(5 * 10**11 + 700))
    assert counted(house.of()) == (5 * 10**11 + 700, 700, Cause.FIRST_SEEN)
    assert house.of().today == 700


def test_a_first_count_that_is_not_seen_again_is_dropped() -> None:
    house = House()
    house.reads(row(0))
    house.reads(row(5 * 10**11))
    assert told(house.reads(row(700))) == ["dropped"]
    assert counted(house.of()) == (700, 700, Cause.NEWCOMER)


def test_a_wrap_that_zeros_hid_is_told_as_a_wrap() -> None:
    house = House()
    house.reads(row(WRAP - 1_000, packets=5_000_000))
    house.reads(row(0))
    (event,) = house.reads(row(4_000, packets=5_000_010))
    assert (event.event, event.bytes) == ("counter_wrap", 5_000)
    assert counted(house.of()) == (WRAP + 4_000, 5_000, Cause.COUNTER_WRAP)


def test_a_burst_over_the_wrap_that_zeros_hid_is_no_reset() -> None:
    house = House(line_rate=1.25e6)
    house.reads(row(80_000_000, packets=90_000))
    house.reads(row(0))
    house.reads(row(70_000_000, packets=2_950_000))
    house.reads(row(70_000_700, packets=2_950_001))
    assert house.of().usage == WRAP + 70_000_700


@pytest.mark.parametrize(("zeros", "after", "clock_jumps"), [(2, 60, 0), (1, 120, -3_600)])
def test_the_line_has_all_the_time_that_zeros_took_for_what_comes_then(
    zeros: int, after: int, clock_jumps: float
) -> None:
    house = House()
    house.reads(row(1_000))
    for _ in range(zeros):
        house.reads(row(0))
    assert told(house.reads(row(1_000 + FAST), after=after, clock_jumps=clock_jumps)) == []
    assert counted(house.of()) == (1_000 + FAST, FAST, Cause.GAP)


# wraps


def test_packets_prove_more_than_one_wrap_in_a_long_gap() -> None:
    house = House()
    house.reads(row(100, packets=1))
    packets = 2 * WRAP // 1_000
    events = house.reads(row(200, packets=1 + packets), after=5 * 3600)
    assert told(events) == ["counter_wrap"]
    assert house.of().delta == WRAP + 100  # that many packets may be that small


def test_packets_too_many_for_the_difference_prove_a_wrap_that_the_bytes_hide() -> None:
    house = House()
    house.reads(row(1_000, packets=10))
    house.reads(row(2_000, packets=10 + 4_000_000), after=60)
    assert counted(house.of()) == (1_000 + WRAP + 1_000, WRAP + 1_000, Cause.COUNTER_WRAP)


@pytest.mark.parametrize("seen", [WRAP, WRAP + 5])
def test_one_value_beyond_32_bits_proves_that_no_counter_of_this_router_wraps(seen: int) -> None:
    house = House()
    house.reads(row(WRAP - 1_000, packets=5_000_000), row(seen, mac=LAPTOP, ip=IP2))
    for _ in range(3):
        house.reads(row(WRAP - 1_000, packets=5_000_000), row(5, mac=LAPTOP, ip=IP2))
    house.reads(row(4_000, packets=5_000_010))
    house.reads(row(4_000, packets=5_000_010))
    assert counted(house.of())[1:] == (4_000, Cause.COUNTER_RESET)


# a restart that was none


def test_a_counter_that_shows_what_it_showed_before_says_that_the_router_did_not_restart() -> None:
    house = House(uptime_s=1_000)
    house.reads(row(50_000), row(70_000, mac=LAPTOP, ip=IP2))
    house.uptime_s = 500  # its clock was set
    assert told(house.reads(row(50_000), row(70_400, mac=LAPTOP, ip=IP2))) == []
    assert house.total.usage == 120_400


def test_a_few_bytes_may_be_the_same_again_after_a_true_restart() -> None:
    house = House(uptime_s=1_000)
    house.reads(row(60))
    assert told(house.reboots(row(60))) == ["router_reboot"]
    assert house.of().usage == 120


def test_a_reply_full_of_zeros_with_an_uptime_of_zero_is_no_restart() -> None:
    house = House()
    house.reads(row(5 * 10**9))
    house.uptime_s = -60
    assert told(house.reads(row(0))) == []
    house.uptime_s = 1_000_000
    house.reads(row(5 * 10**9 + 100))
    assert house.of().usage == 5 * 10**9 + 100


@pytest.mark.parametrize(("packets", "cause"), [(2, Cause.HELD_BACK), (3, Cause.COUNTER_WRAP)])
def test_a_wrap_has_packets_of_1600_bytes_at_the_most(packets: int, cause: Cause) -> None:
    house = House()
    house.reads(row(WRAP - 1_000, packets=5_000_000))
    house.reads(row(3_800, packets=5_000_000 + packets))
    assert house.of().cause == cause


def test_a_new_row_has_not_wrapped() -> None:
    house = House()
    house.reads()
    house.reads(row(2_000, packets=4_000_000))
    assert counted(house.of()) == (2_000, 2_000, Cause.NEWCOMER)


@pytest.mark.parametrize(("size", "cause"), [(60 * 2**16, Cause.NORMAL), (60 * 2**16 + 1, Cause.HELD_BACK)])
def test_packets_that_wrapped_carry_no_more_than_any_others(size: int, cause: Cause) -> None:
    house = House()
    house.reads(row(5 * 10**12, packets=WRAP - 10))
    house.reads(row(5 * 10**12 + size, packets=49))
    assert house.of().cause == cause


def test_one_freak_beyond_32_bits_proves_nothing() -> None:
    house = House()
    house.reads(row(WRAP - 2_000, packets=5_000_000))
    house.reads(row(2**50, packets=5_000_000))
    house.reads(row(WRAP - 1_000, packets=5_000_001))
    house.reads(row(4_000, packets=5_000_010))
    assert house.of().usage == WRAP + 4_000


def test_a_jump_of_our_own_clock_and_a_row_that_was_reset_are_no_restart() -> None:
    house = House(uptime_s=100)
    house.reads(row(50_000), row(70_000, mac=LAPTOP, ip=IP2))
    house.reads(row(300), row(70_000, mac=LAPTOP, ip=IP2), elapsed_s=3_600)
    house.reads(row(300), row(70_000, mac=LAPTOP, ip=IP2))
    assert counted(house.of()) == (50_300, 300, Cause.COUNTER_RESET)
    assert house.of(LAPTOP).delta == 0


def test_time_is_divided_by_what_passed_and_not_by_a_clock_that_was_set() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads(row(7_000), clock_jumps=12 * 3_600)  # from noon to midnight and a minute
    assert house.of().today == 6_000


def test_a_row_keeps_its_address_and_its_owner_while_it_is_doubted() -> None:
    house = House()
    house.reads(Row(IP, PHONE, 2, 1_000))
    house.reads(Row(IP, PHONE, 2, FAST))
    assert (house.device().ip, house.device().user) == (IP, "Alice")


# restarts and lies at once


def test_a_restart_whose_first_reply_is_full_of_zeros_counts_every_byte_once() -> None:
    house = House()
    house.reads(row(5 * 10**9), row(7 * 10**9, mac=LAPTOP, ip=IP2))
    house.reboots(row(0), row(0, mac=LAPTOP, ip=IP2))
    house.reads(row(50_000), row(70_000, mac=LAPTOP, ip=IP2))
    assert house.total.usage == 12 * 10**9 + 120_000


def test_zeros_in_one_row_do_not_hide_that_the_router_restarted() -> None:
    house = House()
    house.reads(row(5 * 10**9), row(7_000, mac=LAPTOP, ip=IP2))
    assert told(house.reboots(row(0), row(9_000, mac=LAPTOP, ip=IP2))) == ["router_reboot"]
    house.reads(row(50_000), row(9_000, mac=LAPTOP, ip=IP2))
    assert house.total.usage == 5 * 10**9 + 50_000 + 16_000


@pytest.mark.parametrize("wrong", [None, 5_000_000])
def test_a_restart_whose_first_reply_tells_a_wrong_uptime_counts_every_byte_once(wrong: int | None) -> None:
    house = House()
    house.reads(row(5 * 10**9))
    house.uptime_s = None if wrong is None else wrong - 60
    house.reads(row(50_000), row(6_000, mac=LAPTOP, ip=IP2))
    house.uptime_s = 30
    assert "router_reboot" not in told(house.reads(row(60_000), row(6_500, mac=LAPTOP, ip=IP2)))
    assert (house.of().usage, house.of(LAPTOP).usage) == (5 * 10**9 + 60_000, 6_500)


@pytest.mark.parametrize("wrong", [None, 0, 3, 30, 9_000_000])
def test_one_wrong_uptime_is_no_restart_where_a_counter_goes_on(wrong: int | None) -> None:
    house = House()
    house.reads(row(50_000), row(700, mac=LAPTOP, ip=IP2))
    house.uptime_s = None if wrong is None else wrong - 60
    house.reads(row(50_900))
    house.uptime_s = 1_000_060
    house.reads(row(51_000), row(800, mac=LAPTOP, ip=IP2))
    assert house.total.usage == 51_800


@pytest.mark.parametrize(
    ("before", "after", "uptime_s", "restarted"),
    [
        (80_000, 80_000, 240, False),
        (80_000, 80_040, 241, False),
        (80_000, 90_000, 241, False),
        (80_000, 90_001, 241, True),  # grew by more than a little
        (80_000, 80_040, 240, True),  # such a short life has such small counters, time and again
        (9_999, 9_999, 1_000_000, True),  # and so few bytes come by chance
        (10_000, 10_000, 1_000_000, False),
    ],
)
def test_a_counter_that_goes_on_by_a_little_says_that_the_router_did_not_restart(
    before: int, after: int, uptime_s: int, *, restarted: bool
) -> None:
    house = House(uptime_s=uptime_s)
    house.reads(row(before), row(60_000, mac=LAPTOP, ip=IP2))
    assert ("router_reboot" in told(house.reboots(row(after)))) == restarted
    assert house.of().usage == (before + after if restarted else after)


@pytest.mark.parametrize(("fallen", "restarted"), [(800, True), (0, False), (50_000, False)])
def test_as_many_counters_that_fell_as_grew_by_a_little_say_that_the_router_restarted(
    fallen: int, *, restarted: bool
) -> None:
    house = House()
    house.reads(row(80_000), row(40_000, mac=LAPTOP, ip=IP2))
    events = house.reboots(row(80_040), row(fallen, mac=LAPTOP, ip=IP2))
    assert ("router_reboot" in told(events)) == restarted


@pytest.mark.parametrize(("known", "restarted"), [(10_000, False), (9_000, True)])
def test_a_hidden_row_and_a_short_uptime_are_no_restart_where_another_row_goes_on(
    known: int, *, restarted: bool
) -> None:
    house = House(uptime_s=100)
    house.reads(row(5_000), row(known, mac=LAPTOP, ip=IP2))
    events = house.reboots(row(30_000, mac=LAPTOP, ip=IP2), uptime_s=600, after=3_600)
    assert ("router_reboot" in told(events)) == restarted
    assert house.of(LAPTOP).usage == 30_000 + (known if restarted else 0)


@pytest.mark.parametrize(("uptime_s", "restarted"), [(65, True), (66, False)])
def test_a_router_that_is_up_for_longer_than_since_the_last_reading_restarted_before_it(
    uptime_s: int, *, restarted: bool
) -> None:
    house = House()
    house.reads(row(50_000))
    assert ("router_reboot" in told(house.reboots(row(900), uptime_s=uptime_s))) == restarted


@pytest.mark.parametrize(("after", "restarted"), [(0, True), (1, False)])
def test_a_restart_is_seen_by_a_machine_whose_clock_was_behind_when_it_started(after: int, *, restarted: bool) -> None:
    house = House()
    house.reads(row(50_000))
    assert ("router_reboot" in told(house.reboots(row(60_000), uptime_s=90, after=after))) == restarted
    assert house.of().usage == (110_000 if restarted else 60_000)


def test_an_uptime_that_is_told_for_the_first_time_proves_no_restart() -> None:
    house = House(uptime_s=None)
    house.reads(row(50_000))
    assert told(house.reboots(row(900), uptime_s=58)) == ["held_back"]


def test_more_than_the_line_can_have_moved_since_says_that_the_router_did_not_restart() -> None:
    house = House()
    house.reads(row(50 * 10**9))
    assert told(house.reboots(row(40 * 10**9))) == ["held_back"]


@pytest.mark.parametrize(("size", "restarted"), [(11_475_000_000, True), (11_475_000_001, False)])
def test_the_line_has_an_uptime_and_an_interval_for_what_a_restarted_router_shows(
    size: int, *, restarted: bool
) -> None:
    house = House()
    house.reads(row(50 * 10**9))
    assert ("router_reboot" in told(house.reboots(row(size)))) == restarted


def test_bytes_that_wait_for_a_mac_are_all_that_a_restart_leaves_of_a_row() -> None:
    house = House(at=utc(24, 23, 56))
    house.reads()
    house.reads(row(700, mac=None))
    house.reads(row(FAST, mac=None))
    house.reads()
    assert told(house.reboots()) == ["router_reboot", "dropped"]
    assert told(house.reads(row(900))) == ["new_device"]
    assert counted(house.of()) == (1_600, 1_600, Cause.NEWCOMER)
    assert house.of().today == 800  # of one of the two minutes since its row was there last, or could have been


def test_bytes_after_a_restart_are_of_no_time_before_the_last_reading() -> None:
    house = House(at=utc(24, 23, 59, 30))
    house.reads(row(50_000))
    house.reboots(row(3_900), uptime_s=65)
    assert (house.of().delta, house.of().today) == (3_900, 1_950)


def test_bytes_are_of_all_the_time_since_the_last_reading_where_the_router_did_not_restart() -> None:
    house = House(at=utc(24, 23, 59, 30), uptime_s=100)
    house.reads(row(50_000))
    house.reads(row(53_600), elapsed_s=3_600)
    assert (house.of().delta, house.of().today) == (3_600, 30)


def test_a_row_that_is_back_has_had_the_time_since_the_last_reading_though_the_clock_was_set_back() -> None:
    house = House()
    house.reads(row(1_000))
    house.reads()
    assert told(house.reads(row(1_000 + FAST), after=120, clock_jumps=-3_600)) == []


def test_a_short_uptime_alone_is_no_restart() -> None:
    house = House(uptime_s=100)
    house.reads(row(700))
    assert told(house.reads(row(700), elapsed_s=3_600)) == []
    assert house.of().usage == 700


def test_two_counters_that_grew_by_a_little_outweigh_one_that_fell() -> None:
    house = House()
    house.reads(row(80_000), row(40_000, mac=LAPTOP, ip=IP2), row(90_000, ip="10.0.0.7"))
    events = house.reboots(row(80_040), row(800, mac=LAPTOP, ip=IP2), row(90_040, ip="10.0.0.7"))
    assert told(events) == ["held_back"]
