from collections import Counter
from fnmatch import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.router.simulator.household import TICK_S, Device, Household, Phase
from dalla_mqtt.usage.reading import Mac

DAY_S = 86_400
HOUR = int(3600 / TICK_S)


def moved(household: Household, *steps: int) -> Counter[Mac]:
    total: Counter[Mac] = Counter()
    for ticks in steps:
        for device, traffic in household.run(ticks):
            total[device.mac] += traffic.bytes
    return total


@given(st.integers(0, 99), st.lists(st.integers(0, 400), max_size=8))
def test_the_same_seed_moves_the_same_bytes_however_time_is_cut_up(seed: int, steps: list[int]) -> None:
    assert moved(Household.of(seed=seed), *steps) == moved(Household.of(seed=seed), sum(steps))


def test_another_seed_is_another_household() -> None:
    assert moved(Household.of(seed=1), 1000) != moved(Household.of(seed=2), 1000)


def test_everybody_moves_something_within_two_minutes_and_the_line_is_never_overrun() -> None:
    household = Household.of()
    seconds = [moved(household, 4) for _ in range(120)]
    assert len(sum(seconds, Counter())) == 10
    assert max(second.total() for second in seconds) < 100e6 / 8


def test_a_thousand_devices_share_the_line_that_ten_have() -> None:
    ten, thousand = (moved(Household.of(devices), 4 * 600).total() for devices in (10, 1000))
    assert thousand < 2 * ten


def test_a_lively_device_rests_at_times() -> None:
    household = Household.of(devices=1)
    assert {bool(moved(household, 1)) for _ in range(400)} == {True, False}


def test_each_busy_device_moves_something_in_every_tick() -> None:
    household = Household.of(devices=300, busy=True)
    for _ in range(50):
        assert len(moved(household, 1)) == 300


def test_nobody_moves_in_a_quiet_household() -> None:
    assert not moved(Household.of(quiet=True), 10**6)


def test_the_devices_belong_to_alice_bob_the_house_and_a_guest() -> None:
    names = [device.name for device in Household.of().devices]
    assert len(set(names)) == 10
    assert [sum(fnmatch(name, mine) for name in names) for mine in ("alices-*", "bobs-*", "guest-*")] == [2, 3, 1]


def test_addresses_begin_at_100_and_go_on_into_the_next_networks() -> None:
    addresses = [device.ip for device in Household.of(devices=4000).devices]
    assert addresses[0] == "192.168.1.100"
    assert addresses[154:156] == ["192.168.1.254", "192.168.2.1"]
    assert len(set(addresses)) == 4000
    assert Household.of(devices=1, network="10.0").devices[0].ip == "10.0.1.100"


def test_every_mac_is_there_once_none_is_multicast_and_only_phones_made_theirs_up() -> None:
    devices = Household.of(devices=4000, seed=7).devices
    assert len({device.mac for device in devices}) == 4000
    assert not any(int(device.mac.dashed[:2], 16) & 1 for device in devices)
    assert {"phone" in device.name for device in devices if device.mac.private} == {True}


def test_a_download_comes_first_from_a_television_only() -> None:
    household = Household.of()
    first = {device.name: traffic for device, traffic in household.run(1)}
    assert {name for name, traffic in first.items() if not traffic.uploaded} == {"bobs-tv", "living-room-tv"}


def test_a_device_moves_what_its_phases_say() -> None:
    phases = iter([Phase(2, 100, 1), Phase(3), Phase(10**6, 7, 2)])
    device = Device(Mac.parse("00-11-22-33-44-55"), "192.168.1.9", "tablet", phases)
    assert device.run(10) == (2 * 100 + 5 * 7, 2 * 1 + 5 * 2, True)


def test_who_is_handed_an_address_keeps_name_and_habits_and_the_former_owner_is_gone() -> None:
    household = Household.of()
    phone, laptop = household.devices[0], household.devices[1]
    household.hand_over(phone.ip, laptop.mac, "Unknown")
    assert phone not in household.devices
    assert [(device.name, device.ip) for device in household.devices][:1] == [("alices-laptop", phone.ip)]


def test_a_stranger_takes_the_place_of_who_had_the_address() -> None:
    household = Household.of()
    stranger = Mac.parse("02-00-00-00-00-01")
    household.hand_over("192.168.1.100", stranger, "Unknown")
    assert [(device.mac, device.name) for device in household.devices][:1] == [(stranger, "Unknown")]
    assert moved(household, 1000)[stranger] > 0


def test_an_address_of_nobody_cannot_be_handed_to_a_stranger() -> None:
    with pytest.raises(ValueError, match=r"nobody has the address 192\.168\.9\.9"):
        Household.of().hand_over("192.168.9.9", Mac.parse("02-00-00-00-00-01"), "Unknown")


def test_a_household_too_big_for_its_network_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 60000 devices"):
        Household.of(devices=60_001)


def by_the_hour(days: int) -> list[Counter[str]]:
    """What each device moved in each hour, by its name: from a Monday's midnight on, though it begins at seven."""
    household = Household.of(day_s=DAY_S)
    hours = [Counter[str]() for _ in range(7)]
    for _ in range(24 * days - 7):
        hours.append(Counter())
        for device, traffic in household.run(HOUR):
            hours[-1][device.name] += traffic.bytes
    return hours


def test_the_modes_without_days_move_what_they_always_did() -> None:
    assert moved(Household.of(), 4000).total() == 2_862_003_638
    assert moved(Household.of(busy=True), 4000).total() == 4_764_360_000


def test_more_is_moved_by_day_than_by_night_and_most_in_the_evening() -> None:
    hours = by_the_hour(5)
    night, noon, evening = (
        sum(hours[24 * day + at].total() for day in range(1, 5) for at in during)
        for during in ((0, 1, 2), (12, 13, 14), (20, 21, 22))
    )
    assert 10 * night < noon < evening


def test_a_night_is_quiet_but_for_a_backup_or_an_update() -> None:
    hours = by_the_hour(30)
    nights = [sum(hours[24 * day + 2 : 24 * day + 6], Counter[str]()) for day in range(1, 30)]
    loud = Counter(name for night in nights for name, size in night.items() if size > 1e9)
    assert set(loud) == {"alices-laptop", "bobs-laptop", "games-console"}
    assert all(5 < times < 25 for times in loud.values())
    assert any(not (night.keys() - {"alices-phone", "bobs-phone"}) for night in nights)


def test_a_weekend_begins_later_and_ends_later() -> None:
    hours = by_the_hour(14)
    week, weekend = (
        [sum(hours[24 * day + at].total() for day in days) / len(days) for at in range(24)]
        for days in ((1, 2, 3, 4, 7, 8, 9, 10), (5, 6, 12, 13))
    )
    assert week[7] > 10 * weekend[7]
    assert weekend[0] > 10 * week[0]


def test_days_move_the_same_bytes_however_time_is_cut_up() -> None:
    whole = moved(Household.of(20, seed=3, day_s=60), 900)
    assert len(whole) > 25
    for step in (1, 7, 100, 899):
        steps = [step] * (900 // step)
        assert moved(Household.of(20, seed=3, day_s=60), *steps, 900 - sum(steps)) == whole


def test_a_phone_makes_up_another_mac_each_day_and_gets_another_address_and_its_old_lease_ends() -> None:
    household = Household.of(day_s=DAY_S)
    (first,) = (device for device in household.devices if device.name == "bobs-phone")
    seen = {}
    for _ in range(5 * 24 * 4):
        for device, _ in household.run(HOUR // 4):
            if device.name == "bobs-phone":
                assert device.mac not in list(seen)[:-1], "an old MAC moves no more"
                seen[device.mac] = device.ip
        listed = [device.mac for device in household.devices if device.name == "bobs-phone"]
        assert len(listed) <= 2
    assert next(iter(seen)) == first.mac
    assert 5 <= len(seen) <= 6
    assert len(set(seen.values())) == len(seen)
    assert all(mac.private for mac in seen)
    assert len(listed) == 1, "the old lease is over by seven in the morning"


def test_a_guest_comes_for_some_hours_and_leaves_and_comes_back_to_another_address() -> None:
    household = Household.of(day_s=DAY_S)
    there, moves, addresses = [], [], set()
    for _ in range(4 * 24):
        moves.append(any(device.name == "guest-phone" for device, _ in household.run(HOUR)))
        guests = [device for device in household.devices if device.name == "guest-phone"]
        there.append(len(guests))
        addresses |= {(guest.mac, guest.ip) for guest in guests}
    assert set(there) == {0, 1}
    for day in range(4):
        hours = slice(24 * day, 24 * day + 24)
        assert 2 <= sum(moves[hours]) < sum(there[hours]) <= 10, "its lease outlives its visit"
    assert len({mac for mac, _ in addresses}) == 1
    assert len(addresses) == 4


def test_an_address_is_never_lent_twice_at_a_time_and_comes_back_once_all_have_been() -> None:
    household = Household.of(60, day_s=24)
    owners: dict[str, set[Mac]] = {}
    for _ in range(24 * 30):
        list(household.run(4))
        lent = [device.ip for device in household.devices]
        assert len(set(lent)) == len(lent)
        for device in household.devices:
            owners.setdefault(device.ip, set()).add(device.mac)
    assert len(owners) == 120
    assert max(len(macs) for macs in owners.values()) > 2


def test_what_is_put_out_of_the_house_by_order_does_not_come_back_to_trouble() -> None:
    household = Household.of(day_s=24)
    phone, laptop = household.devices[:2]
    household.hand_over(phone.ip, laptop.mac, "Unknown")
    list(household.run(96 * 10))
    assert phone not in household.devices
    assert [device.ip for device in household.devices].count("192.168.1.100") == 1


def test_a_household_with_days_needs_room_for_those_who_come_anew() -> None:
    with pytest.raises(ValueError, match="0 to 30000 devices"):
        Household.of(devices=30_001, day_s=DAY_S)
    assert len(Household.of(devices=30_000, day_s=DAY_S).devices) == 27_000
