"""Who has used more than the quota is really slowed down or shut out by the router, and nobody else.

What moves is what the simulated router lets through by its rules, in bytes of its own time. The house's time is the
test's: daemon, state file and sockets are real.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Literal

import pytest

from dalla_mqtt.router.simulator import Firmware, Household
from dalla_mqtt.router.simulator.household import TICK_S
from dalla_mqtt.usage.quota import Subject
from dalla_mqtt.usage.reading import Mac
from tests.end_to_end.house import NOON, House, together
from tests.end_to_end.watched_line import WatchedLine
from tests.processes import Ran

ALICE = Subject("user", "Alice")
RATE = "64 kbit/s"
SLOW = 2 * 64_000 // 8  # bytes in a second, up and down together
QUOTA = "10 MB"  # which Alice moves in ten seconds
DEVICES = Household.of(busy=True).devices
NAMES = {device.mac: device.name for device in DEVICES}
MACS = {device.name: device.mac for device in DEVICES}
FULL = {device.name: int(traffic.bytes / TICK_S) for device, traffic in Household.of(busy=True).run(1)}
PHONE, LAPTOP = "alices-phone", "alices-laptop"
HERS = {PHONE, LAPTOP}
PHONE_IP, LAPTOP_IP, TV_IP, GUEST_IP = (f"192.168.1.{number}" for number in (100, 101, 104, 108))


def house_of(
    folder: Path,
    at_quota: str = "throttle",
    *,
    at: datetime = NOON,
    firmware: Firmware = Firmware(),  # noqa: B008  # frozen
    quota: Mapping[str, str] | None = None,
    **more: Mapping[str, object],
) -> House:
    """A busy house in which Alice has a quota."""
    alice = {"quota": quota or {"together": QUOTA, "per": "day"}, "at_quota": at_quota, "hostnames": ["alices-*"]}
    settings = together({"quota": {"throttle": {"down": RATE, "up": RATE}}, "users": {"Alice": alice}}, more)
    return House(folder, busy=True, at=at - timedelta(seconds=300), firmware=firmware, more=settings)


def speeds(house: House, seconds: int = 10) -> dict[str, int]:
    """What each device moves in a second, by what the router saw in so many of them."""
    before = house.simulator.truth()
    house.now += seconds
    after = house.simulator.truth()
    return {NAMES.get(mac, mac.colons): (after[mac].moved - true.moved) // seconds for mac, true in before.items()}


def slowed(*names: str, to: int = SLOW) -> dict[str, int]:
    """What everybody moves where those are limited."""
    return FULL | dict.fromkeys(names, to)


def rules(house: House) -> tuple[list[tuple[str, ...]], list[str], list[str]]:
    """Our own rules on the router: addresses and rates, and the MACs that are denied over IPv4 and over IPv6."""
    state: Any = house.simulator.state()
    throttled = [
        (
            str(IPv4Address(int(rule["startIP"]))),
            str(IPv4Address(int(rule["endIP"]))),
            rule["downMaxBW"],
            rule["upMaxBW"],
        )
        for rule in state["tc"]["rules"]
        if (rule["upMinBW"], rule["downMinBW"]) == ("11", "13")
    ]
    denied = [
        sorted(rule["internalHostRef"] for rule in state[wall]["rules"] if ours(rule))
        for wall in ("firewall", "firewall6")
        if state[wall]
    ]
    return sorted(throttled), denied[0], denied[-1] if len(denied) > 1 else []


def throttles(*addresses: str) -> tuple[list[tuple[str, ...]], list[str], list[str]]:
    return [(ip, ip, "64", "64") for ip in sorted(addresses)], [], []


NOTHING = throttles()


def begin(house: House) -> None:
    """The first reading, and then one after which the quota is exceeded."""
    house.start()
    house.poll()
    assert speeds(house).items() >= FULL.items()
    house.poll()


@pytest.mark.parametrize(("at_quota", "speed"), [("throttle", SLOW), ("block", 0)])
def test_who_is_over_the_quota_is_limited_with_that_poll_until_a_new_day_begins_and_again_when_it_is_used_up(
    tmp_path: Path, at_quota: str, speed: int
) -> None:
    with house_of(tmp_path, at_quota, at=datetime(2026, 11, 24, 23, 54, tzinfo=UTC)) as house:
        begin(house)
        assert house.standings[ALICE].limited
        assert speeds(house) == slowed(*HERS, to=speed)
        while (house.wall + timedelta(seconds=house.interval_s)).hour == 23:
            house.poll()
            assert speeds(house) == slowed(*HERS, to=speed)
        house.poll()
        assert speeds(house) == FULL
        assert not house.standings[ALICE].limited
        assert rules(house) == NOTHING
        house.poll()
        assert speeds(house) == slowed(*HERS, to=speed), "she was quick to use up the next day's, too"
        house.end()


def test_who_is_limited_is_so_after_a_restart_of_which_nobody_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for stop in (House.end, House.crash):
        caplog.clear()
        with house_of(tmp_path / stop.__name__) as house:
            begin(house)
            stop(house)
            assert speeds(house) == slowed(*HERS), "rules stay where they are"
            house.start()
            house.poll()
            assert speeds(house) == slowed(*HERS)
            assert house.standings[ALICE].limited
            assert rules(house) == throttles(PHONE_IP, LAPTOP_IP)
            assert caplog.text.count("Alice is throttled") == 1
            house.end()


@pytest.mark.parametrize(("at_quota", "speed"), [("throttle", SLOW), ("block", 0)])
def test_a_quota_for_on_peak_hours_limits_in_on_peak_hours_only(tmp_path: Path, at_quota: str, speed: int) -> None:
    quota = {"on_peak": QUOTA, "per": "week"}
    off_peak = {"off_peak": ["12:10-12:20"]}
    with house_of(tmp_path, at_quota, quota=quota, tariff=off_peak) as house:
        begin(house)
        while house.wall < NOON + timedelta(minutes=9):
            assert speeds(house) == slowed(*HERS, to=speed)
            house.poll()
        house.poll(2)
        while house.wall < NOON + timedelta(minutes=18):
            assert speeds(house) == FULL
            house.poll()
        house.poll(2)
        assert house.wall > NOON + timedelta(minutes=20)
        assert speeds(house) == slowed(*HERS, to=speed)
        house.end()


def test_where_there_is_ipv6_a_block_is_one_for_both_and_what_is_slowed_down_is_ipv4_alone(tmp_path: Path) -> None:
    with house_of(tmp_path, "block", firmware=Firmware(ipv6=True)) as house:
        begin(house)
        assert speeds(house) == slowed(*HERS, to=0)
        house.end()
        house.more["users"]["Alice"]["at_quota"] = "throttle"
        house.configure()
        house.start()
        house.poll()
        assert rules(house) == throttles(PHONE_IP, LAPTOP_IP)
        over_ipv6 = {
            name: int(FULL[name] * TICK_S) // 2 / TICK_S for name in HERS
        }  # no router of these can slow it down
        assert speeds(house) == FULL | {name: SLOW + over_ipv6[name] for name in HERS}
        house.end()


@pytest.mark.parametrize("at_quota", ["throttle", "block"])
def test_a_device_that_comes_later_moves_or_goes_is_followed_and_who_has_its_address_then_is_left_alone(
    tmp_path: Path, at_quota: Literal["throttle", "block"]
) -> None:
    speed = SLOW if at_quota == "throttle" else 0
    watch = Mac.parse("02-00-00-00-00-99")
    with house_of(tmp_path, at_quota) as house:
        begin(house)
        house.simulator.move("192.168.1.150", MACS[LAPTOP], LAPTOP)
        house.poll(2)
        assert speeds(house) == slowed(*HERS, to=speed)
        house.simulator.move(LAPTOP_IP, MACS["bobs-tv"], "bobs-tv")
        house.poll(2)
        assert speeds(house) == slowed(*HERS, to=speed)
        house.simulator.move(GUEST_IP, watch, "alices-watch")
        house.poll(2)
        moved = speeds(house)
        assert moved.pop("guest-phone") == 0, "it has gone, and a watch has come in its place"
        assert moved == {name: pace for name, pace in slowed(*HERS, to=speed).items() if name != "guest-phone"} | {
            watch.colons: speed
        }
        house.end()


OWNERS_TC = {"startPort": 0, "endPort": 0, "protocol": 0, "enable": 1, "precedence": 5, "flag": 1}
OWNERS_TC |= {"upMinBW": 1, "upMaxBW": 8000, "downMinBW": 1, "downMaxBW": 8000}
OWNERS_HOST = {"type": 1, "entryName": "printer", "mac": MACS["printer"].colons}
OWNERS_RULE = {"ruleName": "printer", "internalHostRef": "printer", "action": 1, "enable": 1}
CONTROLS = ("tc", "firewall", "firewall6")


def number(ip: str) -> int:
    return int(IPv4Address(ip))


def owners_rules(house: House) -> None:
    """What the router's owner has set, for others than Alice and for her: both controls are on, some rules are not."""
    write = house.simulator.rule
    tc: list[dict[str, object]] = [
        {"startIP": number("192.168.1.200"), "endIP": number("192.168.1.210")},
        {"startIP": number("192.168.1.220"), "endIP": number("192.168.1.220"), "enable": 0},
        {"startIP": number("192.168.1.230"), "endIP": number("192.168.1.230"), "upMinBW": 11, "startPort": 80},
    ]
    for rule in tc:
        write("TC_RULE", {name: str(value) for name, value in (OWNERS_TC | rule).items()})
    for prefix in ("", "IP6_"):
        phone = {"type": 1, "entryName": "Alice's phone", "mac": MACS[PHONE].colons}
        dormant = {
            "ruleName": "dalla-phone",
            "internalHostRef": "Alice's phone",
            "action": 1,
            "enable": 0,
            "protocol": 1,
        }
        for oid, values in (
            (f"{prefix}INTERNAL_HOST", OWNERS_HOST),
            (f"{prefix}INTERNAL_HOST", phone),
            (f"{prefix}RULE", OWNERS_RULE),
            (f"{prefix}RULE", dormant),
            (f"{prefix}FIREWALL", {"enable": 1, "defaultAction": 0}),
        ):
            write(oid, {name: str(value) for name, value in values.items()})
    house.simulator.bandwidth_control(enabled=True)


def controls(house: House) -> dict[str, Any]:
    """All that is set of both controls, of ours and of others."""
    state = house.simulator.state()
    return {name: state[name] for name in CONTROLS}


def others(house: House) -> dict[str, Any]:
    """The same, but what shows that it is ours."""
    found = controls(house)
    found["tc"] = found["tc"] | {"rules": [rule for rule in found["tc"]["rules"] if rule["downMinBW"] != "13"]}
    for wall in ("firewall", "firewall6"):
        if found[wall]:
            parts = {part: [row for row in found[wall][part] if not ours(row)] for part in ("hosts", "rules")}
            found[wall] = found[wall] | parts
    return found


def ours(row: dict[str, str]) -> bool:
    name = row.get("ruleName") or row["entryName"]
    return name.startswith("dalla-") and len(name) == len("dalla-") + 12


def test_rules_of_others_stay_as_they_are_to_the_byte_whatever_is_made_and_taken_back(tmp_path: Path) -> None:
    with house_of(tmp_path, "block", firmware=Firmware(ipv6=True)) as house:
        owners_rules(house)
        before = controls(house)
        shut_out = {"printer": 0}
        house.start()
        house.poll(2)
        assert speeds(house) == slowed(*HERS, to=0) | shut_out
        assert others(house) == before
        house.simulator.reboot()
        house.poll(2)
        assert others(house) == before
        house.end()
        house.more["users"]["Alice"]["at_quota"] = "throttle"
        house.configure()
        house.start()
        house.poll(2)
        assert rules(house) == throttles(PHONE_IP, LAPTOP_IP)
        assert others(house) == before
        house.end()
        assert Ran(tmp_path, "release", environment={}).code == 0
        assert controls(house) == before


def test_what_a_reboot_made_the_router_forget_is_made_again_within_two_polls_even_where_it_was_busy_at_the_first(
    tmp_path: Path,
) -> None:
    for at_quota, speed in (("throttle", SLOW), ("block", 0)):
        folder = tmp_path / at_quota
        folder.mkdir()
        with (
            house_of(folder, at_quota, firmware=Firmware(forgets_rules=True)) as house,
            WatchedLine(house.simulator.port) as line,
        ):
            house.url = line.url
            house.configure()
            begin(house)
            made = rules(house)
            house.simulator.reboot()
            assert rules(house) == NOTHING
            house.poll(2)
            assert speeds(house) == slowed(*HERS, to=speed)
            assert rules(house) == made
            house.simulator.reboot()
            house.now += 3  # or her counters would be where they stopped, and no reboot would be seen

            def come_in(request: bytes, house: House = house) -> None:
                if b"LAN_IP_INTF" in request:  # after the poll, and before any rule
                    house.simulator.log_in("somebody else")

            line.before = come_in
            house.poll()
            assert rules(house) == NOTHING
            line.before = lambda _: None
            house.simulator.log_out()
            house.poll()
            assert rules(house) == made
            house.simulator.factory_reset()
            house.simulator.statistics(enabled=True)
            house.poll(2)
            assert speeds(house) == slowed(*HERS, to=speed)
            assert rules(house) == made
            house.end()


def test_what_was_done_half_when_the_router_went_away_is_taken_back_where_it_is_due_no_more(tmp_path: Path) -> None:
    off_peak = {"off_peak": ["12:04-12:07", "12:08-18:00"]}
    with (
        house_of(tmp_path, quota={"on_peak": QUOTA, "per": "day"}, tariff=off_peak) as house,
        WatchedLine(house.simulator.port) as line,
    ):
        house.url = line.url
        house.configure()
        begin(house)
        while house.wall < NOON + timedelta(minutes=6):
            house.poll()
        assert speeds(house) == FULL

        def go_away(request: bytes) -> None:
            if b"[TC_RULE#" in request and b"startIP=" in request:  # one is added
                raise ConnectionAbortedError

        line.after = go_away
        house.poll()
        assert rules(house) == throttles(PHONE_IP)
        line.after = lambda _: None
        house.poll()
        assert house.wall > NOON + timedelta(minutes=8)
        assert rules(house) == NOTHING
        house.end()


@pytest.mark.parametrize("at_quota", ["throttle", "block"])
def test_this_machine_and_the_router_are_never_limited_and_that_is_said(
    tmp_path: Path, at_quota: str, caplog: pytest.LogCaptureFixture
) -> None:
    router = "50-C7-BF-00-00-20"
    with house_of(
        tmp_path, at_quota, users={"Alice": {"devices": [MACS[PHONE].dashed, MACS[LAPTOP].dashed, router]}}
    ) as house:
        house.simulator.here(LAPTOP_IP)
        house.start()
        for _ in range(2):
            house.simulator.add(Mac.parse(router), "192.168.1.1", 1_000_000)
            house.poll()
        assert speeds(house).items() >= slowed(PHONE, to=SLOW if at_quota == "throttle" else 0).items()
        assert house.standings[ALICE].limited
        assert "it is the machine that this program runs on" in caplog.text
        assert "it is the router" in caplog.text
        house.end()
