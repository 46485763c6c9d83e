"""Firmware that counts bytes down and up apart, and no packets: what tells a wrap from a reset there."""

import pytest

from dalla_mqtt.usage.counters import Cause
from dalla_mqtt.usage.reading import Mac, Row
from tests.usage.house import GIB, IP, LAPTOP, PHONE, WRAP, House, counted
from tests.usage.test_counters import told


def apart(down: int, up: int, *, mac: Mac | None = PHONE, ip: str = IP) -> tuple[Row, Row]:
    return Row(ip, mac, None, down, f"{ip} rx"), Row(ip, mac, None, up, f"{ip} tx")


def test_both_directions_are_counted_and_the_first_sight_is_a_start() -> None:
    house = House()
    house.reads(*apart(1_000, 50))
    assert counted(house.of()) == (1_050, 0, Cause.FIRST_SEEN)
    assert house.reads(*apart(1_700, 70)) == ()
    assert counted(house.of()) == (1_770, 720, Cause.NORMAL)


def test_a_direction_in_which_nothing_has_moved_yet_is_counted_from_its_first_byte() -> None:
    house = House()
    house.reads(*apart(1_000, 0))
    house.reads(*apart(1_000, 0))
    house.reads(*apart(1_000, 30))
    assert house.of().usage == 1_030
    house.reads(*apart(1_000, 40))
    assert house.of().usage == 1_040


def test_one_direction_that_goes_over_4_gib_wraps() -> None:
    house = House()
    house.reads(*apart(WRAP - 100, 3 * GIB))
    assert told(house.reads(*apart(200, 3 * GIB + 5))) == ["counter_wrap"]
    assert counted(house.of()) == (WRAP + 200 + 3 * GIB + 5, 305, Cause.COUNTER_WRAP)


def test_both_directions_at_zero_are_a_reset_however_much_they_showed() -> None:
    house = House()
    house.reads(*apart(3 * GIB, 3 * GIB))
    house.reads(*apart(3 * GIB + 100, 3 * GIB + 100))
    before = house.of().usage
    assert told(house.reads(*apart(700, 80))) == ["held_back", "held_back"]
    assert house.of().usage == before
    assert told(house.reads(*apart(900, 80))) == ["counter_reset", "counter_reset"]
    assert house.of().usage == before + 980


def test_over_a_gap_and_beside_a_direction_that_never_moved_a_fall_is_no_wrap() -> None:
    for up, after in ((GIB, 3600), (0, 60)):
        house = House()
        house.reads(*apart(3 * GIB, up))
        house.reads(*apart(500, up), after=after)
        house.reads(*apart(700, up))
        assert house.of().usage == 3 * GIB + up + 700


def test_one_counter_of_a_device_that_counts_no_packets_never_wraps() -> None:
    house = House()
    house.reads(Row(IP, PHONE, None, 3 * GIB, str(PHONE)))
    house.reads(Row(IP, PHONE, None, 100, str(PHONE)))
    assert told(house.reads(Row(IP, PHONE, None, 150, str(PHONE)))) == ["counter_reset"]
    assert house.of().usage == 3 * GIB + 150


def test_a_direction_that_fell_from_little_is_a_reset() -> None:
    house = House()
    house.reads(*apart(5_000, 900))
    assert told(house.reads(*apart(20, 900))) == ["held_back"]
    assert told(house.reads(*apart(30, 900))) == ["counter_reset"]
    assert house.of().usage == 5_900 + 30


def test_counters_that_were_seen_beyond_4_gib_do_not_wrap_there() -> None:
    house = House()
    house.reads(*apart(WRAP + 5, 10))
    house.reads(*apart(3 * GIB, 10))
    house.reads(*apart(3 * GIB + 7, 10))
    assert house.of().usage == WRAP + 15 + 3 * GIB + 7


def test_a_freak_of_one_reply_is_neither_counted_nor_lost() -> None:
    house = House()
    house.reads(*apart(5_000, 900))
    house.reads(*apart(0, 0))
    house.reads(*apart(5_100, 910))
    assert house.of().usage == 6_010
    house.reads(*apart(100 * GIB, 910))
    house.reads(*apart(5_200, 920))
    assert house.of().usage == 6_120


def test_a_restart_begins_the_counters_anew() -> None:
    house = House()
    house.reads(*apart(5_000, 900))
    assert told(house.reboots(*apart(70, 0))) == ["router_reboot"]
    assert counted(house.of()) == (5_970, 70, Cause.ROUTER_REBOOT)
    house.reads(*apart(70, 9))
    assert house.of().usage == 5_979


def test_a_restart_is_seen_by_counters_that_fell_where_the_uptime_of_before_is_not_known() -> None:
    house = House(uptime_s=None)
    house.reads(*apart(5_000, 900))
    house.uptime_s = 20
    assert told(house.reads(*apart(70, 30), after=60, elapsed_s=200)) == ["router_reboot"]
    assert house.of().usage == 6_000


def test_bytes_without_a_mac_wait_in_both_directions() -> None:
    house = House()
    house.reads(*apart(5_000, 10, mac=None))
    house.reads(*apart(6_000, 20, mac=None))
    house.reads(*apart(6_500, 30))
    assert counted(house.of()) == (6_530, 1_520, Cause.NORMAL)


def test_a_table_by_mac_goes_on_when_a_device_gets_another_address() -> None:
    house = House()
    house.reads(Row("10.0.0.7", PHONE, None, 5_000, f"{PHONE} rx"))
    house.reads(Row("10.0.0.9", PHONE, None, 5_600, f"{PHONE} rx"))
    assert counted(house.of()) == (5_600, 600, Cause.NORMAL)
    assert house.device().ip == "10.0.0.9"
    house.reads(Row("0.0.0.0", PHONE, None, 5_700, f"{PHONE} rx"))  # noqa: S104  # what a lost lease makes of it
    assert counted(house.of()) == (5_700, 100, Cause.NORMAL)
    assert house.device().ip == "10.0.0.9"


def test_what_the_firmware_of_before_counted_is_neither_lost_nor_counted_twice_after_an_update() -> None:
    house = House()
    house.reads(Row(IP, PHONE, 10, 5_000))
    house.reads(Row(IP, PHONE, 12, 6_000))
    house.reboots(*apart(70, 30))
    assert house.of().usage == 6_100


@pytest.mark.parametrize("mac", [PHONE, LAPTOP])
def test_files_that_were_lost_do_not_make_a_silent_direction_wait_for_ever(mac: Mac) -> None:
    house = House()
    house.reads(*apart(5_000, 0, mac=mac))
    house.ledger = type(house.ledger)(**{**_fields(house), "counters": {}, "anew": True})
    house.reads(*apart(5_000, 0, mac=mac))
    house.reads(*apart(5_500, 0, mac=mac))
    assert not house.ledger.anew
    assert house.of(mac).usage == 5_500


def _fields(house: House) -> dict[str, object]:
    return {name: getattr(house.ledger, name) for name in house.ledger.__struct_fields__}
