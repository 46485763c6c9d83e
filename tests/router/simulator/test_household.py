from collections import Counter
from fnmatch import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.router.simulator.household import Device, Household, Phase
from dalla_mqtt.usage.reading import Mac


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
