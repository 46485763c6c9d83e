"""Bandwidth control and access control of the simulated router: what is asked of them, and what they do to traffic."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.router.simulator.household import TICK_S, Device, Phase
from dalla_mqtt.usage.reading import Mac
from tests.router.simulator.admin import PAIR, ZEROS, Admin, Clock, order, state, values
from tests.router.simulator.caller import Caller

PHONE = Mac.parse("CB-BD-AB-90-2D-38")
LAPTOP = Mac.parse("F8-B1-56-C1-22-11")
PHONE_IP, LAPTOP_IP = "192.168.1.100", "192.168.1.101"
WANTED = 100_000  # bytes in a tick, of each of them
PHONE_NUMBER = int(IPv4Address(PHONE_IP))
RULE: dict[str, object] = {"startIP": PHONE_NUMBER, "endIP": PHONE_NUMBER, "startPort": 0, "endPort": 0, "protocol": 0}
RULE |= {"enable": 1, "precedence": 5, "upMinBW": 1, "upMaxBW": 128, "downMinBW": 1, "downMaxBW": 512, "flag": 1}
HOST: dict[str, object] = {"type": 1, "entryName": "phone", "mac": PHONE.colons}
HOST_BY_IP: dict[str, object] = {"type": 0, "entryName": "pc", "IPStart": PHONE_NUMBER, "IPEnd": PHONE_NUMBER}
BLOCK: dict[str, object] = {"ruleName": "phone", "internalHostRef": "phone", "externalHostRef": "", "scheduleRef": ""}
BLOCK |= {"action": 1, "enable": 1, "direction": 0, "protocol": 3}
OTHERS = range(PHONE_NUMBER, PHONE_NUMBER + 3)
CONTROLS = ("throttled", "blocked", "blocked6", "tc", "firewall", "firewall6")
RATE = int((512 + 128) * 1000 / 8 * TICK_S)  # bytes in a tick


def two() -> Household:
    """A phone and a laptop that want the same in every tick."""
    return Household(
        [
            Device(PHONE, PHONE_IP, "alices-phone", iter([Phase(10**9, WANTED, 100)])),
            Device(LAPTOP, LAPTOP_IP, "bobs-laptop", iter([Phase(10**9, WANTED, 100)])),
        ]
    )


class Owner(Admin):
    """An administrator who writes settings."""

    def write(self, action: int, oid: str, stack: str = ZEROS, /, **attributes: object) -> str:
        lines = "".join(f"{name}={value}\r\n" for name, value in attributes.items())
        return self.post(str(action), f"[{oid}#{stack}#{ZEROS}]0,{len(attributes)}\r\n{lines}").text

    def set(self, oid: str, stack: str = ZEROS, /, **attributes: object) -> None:
        assert self.write(2, oid, stack, **attributes) == "[error]0"

    def add(self, oid: str, /, **attributes: object) -> str:
        """The stack of what it made."""
        made = re.fullmatch(r"\[(\d+,0,0,0,0,0)\]0\n\[error\]0", self.write(3, oid, **attributes))
        assert made
        return made[1]

    def delete(self, oid: str, stack: str) -> None:
        assert self.write(4, oid, stack) == "[error]0"


@contextmanager
def router(clock: Clock, **firmware: object) -> Iterator[tuple[Simulator, Owner]]:
    with Simulator(two(), clock=clock, firmware=Firmware(**firmware)) as simulator:  # type: ignore[arg-type]
        yield simulator, Owner(simulator)


@pytest.fixture
def simulator(clock: Clock) -> Iterator[Simulator]:
    with Simulator(two(), clock=clock) as simulator:
        yield simulator


@pytest.fixture
def owner(simulator: Simulator) -> Owner:
    return Owner(simulator)


def shut_out(owner: Owner, prefix: str = "") -> None:
    """The phone."""
    owner.add(f"{prefix}INTERNAL_HOST", **HOST)
    owner.add(f"{prefix}RULE", **BLOCK)
    owner.set(f"{prefix}FIREWALL", enable=1, defaultAction=0)


def tables(simulator: Simulator) -> dict[str, Any]:
    told: dict[str, Any] = state(simulator)
    return {"tc": told["tc"]["rules"], "hosts": told["firewall"]["hosts"], "rules": told["firewall"]["rules"]}


def moved_in_a_tick(simulator: Simulator, clock: Clock) -> tuple[int, int]:
    """What the phone and what the laptop truly move in the next second, for each tick of it."""
    before = {mac: true.moved for mac, true in simulator.truth().items()}
    clock.now += 1
    after = simulator.truth()
    phone, laptop = (after[mac].moved - before.get(mac, 0) if mac in after else 0 for mac in (PHONE, LAPTOP))
    assert phone % 4 == laptop % 4 == 0
    return phone // 4, laptop // 4


# Bandwidth control


def test_a_rule_slows_an_address_down_while_bandwidth_control_is_on(
    simulator: Simulator, owner: Owner, clock: Clock
) -> None:
    stack = owner.add("TC_RULE", **RULE)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)
    owner.set("TC", enable=3)
    assert moved_in_a_tick(simulator, clock) == (RATE, WANTED)
    owner.set("TC_RULE", stack, enable=0)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)
    owner.set("TC_RULE", stack, enable=1, downMaxBW=872)
    assert moved_in_a_tick(simulator, clock) == (RATE * 1000 // 640, WANTED)
    owner.delete("TC_RULE", stack)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)


def test_each_address_of_a_range_has_the_whole_rate(simulator: Simulator, owner: Owner, clock: Clock) -> None:
    owner.add("TC_RULE", **RULE | {"endIP": PHONE_NUMBER + 1})
    owner.set("TC", enable=3)
    assert moved_in_a_tick(simulator, clock) == (RATE, RATE)


def test_a_rule_for_some_ports_or_one_protocol_slows_nobody_down(
    simulator: Simulator, owner: Owner, clock: Clock
) -> None:
    owner.add("TC_RULE", **RULE | {"startPort": 80, "endPort": 80})
    owner.add("TC_RULE", **RULE | {"startIP": PHONE_NUMBER + 1, "endIP": PHONE_NUMBER + 1, "protocol": 6})
    owner.set("TC", enable=3)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)


def test_the_totals_of_bandwidth_control_slow_everybody_down(simulator: Simulator, owner: Owner, clock: Clock) -> None:
    owner.set("TC", enable=3, linkType=0, upTotalBW=600, downTotalBW=1000)
    assert moved_in_a_tick(simulator, clock) == (25_000, 25_000)
    owner.add("TC_RULE", **RULE | {"upMaxBW": 64, "downMaxBW": 256})
    phone, laptop = moved_in_a_tick(simulator, clock)
    assert phone < 10_000 < laptop
    assert phone + laptop in (49_999, 50_000)
    owner.set("TC", enable=0)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)


def test_the_counters_tell_the_part_that_passed(owner: Owner, clock: Clock) -> None:
    owner.add("TC_RULE", **RULE)
    owner.set("TC", enable=3)
    clock.now += 1
    reply = owner.ask(*PAIR)
    assert values(reply, "totalBytes") == [str(4 * RATE), str(4 * WANTED)]
    assert values(reply, "totalPkts") == [str(4 * RATE * 100 // WANTED), "400"]


def test_a_rule_stays_with_its_address_and_not_with_the_device(
    simulator: Simulator, owner: Owner, clock: Clock
) -> None:
    owner.add("TC_RULE", **RULE)
    owner.set("TC", enable=3)
    simulator.move("192.168.1.102", PHONE)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)
    simulator.move(PHONE_IP, LAPTOP)
    assert moved_in_a_tick(simulator, clock) == (WANTED, RATE)


def test_an_order_to_move_bytes_is_carried_out_exactly(simulator: Simulator, owner: Owner) -> None:
    owner.add("TC_RULE", **RULE)
    owner.set("TC", enable=3)
    simulator.add(PHONE, PHONE_IP, 10**9)
    assert simulator.truth()[PHONE].moved == 10**9


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"startIP": int(IPv4Address("192.168.2.1"))}, 4803),
        ({"endIP": int(IPv4Address("192.168.2.1"))}, 4804),
        ({"endIP": PHONE_NUMBER - 1}, 4804),
        ({"startIP": PHONE_NUMBER - 5, "endIP": PHONE_NUMBER + 5}, 4802),
        ({"startIP": PHONE_NUMBER + 1, "endIP": PHONE_NUMBER + 1, "upMinBW": 1000, "upMaxBW": 1000}, 4800),
        ({"startIP": PHONE_NUMBER + 1, "endIP": PHONE_NUMBER + 1, "downMinBW": 2000, "downMaxBW": 2000}, 4801),
        ({"startIP": PHONE_NUMBER + 1, "endIP": PHONE_NUMBER + 1, "downMinBW": 513}, 9007),
        ({"upMaxBW": 0}, 9007),
        ({"startIP": PHONE_IP}, 9007),
        ({"enable": 3}, 9007),
        ({"colour": 3}, 9005),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(
    simulator: Simulator, owner: Owner, changed: dict[str, object], error: int
) -> None:
    owner.set("TC", upTotalBW=1000, downTotalBW=2000)
    owner.add("TC_RULE", **RULE)
    assert owner.write(3, "TC_RULE", **RULE | changed) == f"[error]{error}"
    assert len(tables(simulator)["tc"]) == 1


def test_a_rule_without_addresses_is_refused(owner: Owner) -> None:
    assert owner.write(3, "TC_RULE", upMinBW=1, upMaxBW=64, downMinBW=1, downMaxBW=64) == "[error]9003"


def test_totals_below_what_is_promised_are_refused(owner: Owner) -> None:
    stack = owner.add("TC_RULE", **RULE | {"upMinBW": 100, "downMinBW": 200})
    assert owner.write(2, "TC", enable=3, upTotalBW=99) == "[error]4805"
    assert owner.write(2, "TC", downTotalBW=199) == "[error]4806"
    assert values(owner.ask((1, "TC")), "enable") == ["0"]
    owner.set("TC_RULE", stack, enable=0)
    owner.set("TC", upTotalBW=99, downTotalBW=199)
    assert owner.write(2, "TC_RULE", stack, enable=1) == "[error]4800"


def test_a_full_list_takes_no_more(clock: Clock) -> None:
    with router(clock, max_rules=1) as (_, owner):
        owner.add("TC_RULE", **RULE)
        other = RULE | {"startIP": PHONE_NUMBER + 1, "endIP": PHONE_NUMBER + 1}
        assert owner.write(3, "TC_RULE", **other) == "[error]4849"
        owner.add("INTERNAL_HOST", **HOST)
        assert owner.write(3, "INTERNAL_HOST", **HOST_BY_IP) == "[error]9812"
        owner.add("RULE", **BLOCK)
        assert owner.write(3, "RULE", **BLOCK | {"ruleName": "more", "protocol": 1}) == "[error]9812"


# Access control


def test_a_rule_shuts_a_device_out_while_the_firewall_is_on(simulator: Simulator, owner: Owner, clock: Clock) -> None:
    owner.add("INTERNAL_HOST", **HOST)
    stack = owner.add("RULE", **BLOCK)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)
    owner.set("FIREWALL", enable=1, defaultAction=0)
    assert moved_in_a_tick(simulator, clock) == (0, WANTED)
    owner.set("RULE", stack, enable=0)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)
    owner.set("RULE", stack, enable=1)
    assert moved_in_a_tick(simulator, clock) == (0, WANTED)
    owner.delete("RULE", stack)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)


def test_who_is_shut_out_has_no_row(simulator: Simulator, owner: Owner, clock: Clock) -> None:
    shut_out(owner)
    order(simulator, do="clear")
    clock.now += 60
    assert [row["ip"] for row in simulator.state()["rows"]] == [LAPTOP_IP]  # type: ignore[attr-defined]


def test_a_device_stays_shut_out_under_another_address(simulator: Simulator, owner: Owner, clock: Clock) -> None:
    shut_out(owner)
    simulator.move("192.168.1.102", PHONE)
    assert moved_in_a_tick(simulator, clock) == (0, WANTED)


def test_an_address_can_be_shut_out(simulator: Simulator, owner: Owner, clock: Clock) -> None:
    owner.add("INTERNAL_HOST", **HOST_BY_IP)
    owner.add("RULE", **BLOCK | {"internalHostRef": "pc"})
    owner.set("FIREWALL", enable=1)
    assert moved_in_a_tick(simulator, clock) == (0, WANTED)
    simulator.move("192.168.1.102", PHONE)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)


def test_where_all_is_denied_those_pass_whom_a_rule_lets_through(
    simulator: Simulator, owner: Owner, clock: Clock
) -> None:
    owner.set("FIREWALL", enable=1, defaultAction=1)
    assert moved_in_a_tick(simulator, clock) == (0, 0)
    owner.add("INTERNAL_HOST", **HOST)
    owner.add("RULE", **BLOCK | {"action": 0})
    assert moved_in_a_tick(simulator, clock) == (WANTED, 0)
    owner.add("INTERNAL_HOST", **HOST_BY_IP)
    owner.add("RULE", **BLOCK | {"ruleName": "pc", "internalHostRef": "pc"})
    assert moved_in_a_tick(simulator, clock) == (0, 0)


@pytest.mark.parametrize("part", [{"protocol": 1}, {"direction": 1}])
def test_a_rule_for_a_part_of_the_traffic_shuts_nobody_out(
    simulator: Simulator, owner: Owner, clock: Clock, part: dict[str, object]
) -> None:
    owner.add("INTERNAL_HOST", **HOST)
    owner.add("RULE", **BLOCK | part)
    owner.set("FIREWALL", enable=1)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)


@pytest.mark.parametrize(
    ("oid", "attributes", "error"),
    [
        ("INTERNAL_HOST", HOST | {"mac": LAPTOP.colons}, 1001),
        ("INTERNAL_HOST", HOST | {"entryName": "other"}, 4710),
        ("INTERNAL_HOST", HOST | {"entryName": "other", "mac": PHONE.colons.lower()}, 4710),
        ("INTERNAL_HOST", HOST | {"entryName": "other", "mac": PHONE.dashed}, 4704),
        ("INTERNAL_HOST", {"type": 1, "entryName": "other"}, 4704),
        ("INTERNAL_HOST", HOST | {"entryName": "a/b"}, 4724),
        ("INTERNAL_HOST", HOST | {"entryName": ""}, 4724),
        ("INTERNAL_HOST", HOST | {"entryName": "other "}, 4725),
        ("INTERNAL_HOST", HOST | {"entryName": "t\xe9l\xe9phone"}, 71017),
        ("INTERNAL_HOST", HOST_BY_IP | {"entryName": "other"}, 4710),
        ("INTERNAL_HOST", HOST_BY_IP | {"entryName": "other", "IPEnd": 1}, 4701),
        ("INTERNAL_HOST", HOST_BY_IP | {"entryName": "other", "IPEnd": PHONE_NUMBER - 1}, 4701),
        ("INTERNAL_HOST", HOST | {"type": 2}, 9007),
        ("RULE", BLOCK | {"internalHostRef": "pc"}, 1001),
        ("RULE", BLOCK | {"ruleName": "other"}, 4713),
        ("RULE", BLOCK | {"ruleName": "other", "action": 0}, 4713),
        ("RULE", BLOCK | {"ruleName": "other", "internalHostRef": "nobody"}, 4705),
        ("RULE", BLOCK | {"ruleName": "other", "externalHostRef": "somebody"}, 4706),
        ("RULE", BLOCK | {"ruleName": "other", "scheduleRef": "never"}, 4707),
        ("RULE", BLOCK | {"ruleName": "a&b"}, 4724),
        ("RULE", BLOCK | {"ruleName": "other", "setAlready": 1}, 9005),
    ],
)
def test_a_host_or_a_rule_that_makes_no_sense_is_refused(
    simulator: Simulator, owner: Owner, oid: str, attributes: dict[str, object], error: int
) -> None:
    owner.add("INTERNAL_HOST", **HOST)
    owner.add("INTERNAL_HOST", **HOST_BY_IP)
    owner.add("RULE", **BLOCK)
    before = tables(simulator)
    assert owner.write(3, oid, **attributes) == f"[error]{error}"
    assert tables(simulator) == before


def test_a_host_that_a_rule_refers_to_cannot_be_deleted(owner: Owner) -> None:
    host = owner.add("INTERNAL_HOST", **HOST)
    rule = owner.add("RULE", **BLOCK | {"enable": 0})
    assert owner.write(4, "INTERNAL_HOST", host) == "[error]4716"
    owner.delete("RULE", rule)
    owner.delete("INTERNAL_HOST", host)
    assert owner.ask((5, "RULE"), (5, "INTERNAL_HOST")) == "[error]0"


# How it is asked


def test_what_was_set_is_told_in_the_firmwares_order(owner: Owner) -> None:
    owner.add("TC_RULE", **RULE)
    owner.add("INTERNAL_HOST", **HOST)
    owner.add("RULE", **BLOCK)
    reply = owner.ask((1, "TC"), (5, "TC_RULE"), (1, "FIREWALL"), (5, "INTERNAL_HOST"), (5, "RULE"))
    assert reply.split("\n") == [
        *("[0,0,0,0,0,0]0", "enable=0", "linkType=0", "upTotalBW=10000", "downTotalBW=50000"),
        *("[170,0,0,0,0,0]1", "flag=1", "enable=1", f"startIP={PHONE_NUMBER}", f"endIP={PHONE_NUMBER}"),
        *("startPort=0", "endPort=0", "protocol=0", "precedence=5"),
        *("upMinBW=1", "upMaxBW=128", "downMinBW=1", "downMaxBW=512"),
        *("[0,0,0,0,0,0]2", "enable=0", "defaultAction=0"),
        *("[170,0,0,0,0,0]3", "refCnt=1", "type=1", "entryName=phone", "isParentCtrl=0", "mac=CB:BD:AB:90:2D:38"),
        *("IPStart=0", "IPEnd=0", "portStart=0", "portEnd=0"),
        *("[170,0,0,0,0,0]4", "enable=1", "action=1", "ruleName=phone", "isParentCtrl=0", "direction=0", "protocol=3"),
        *("setAlready=0", "internalHostRef=phone", "externalHostRef=", "scheduleRef="),
        "[error]0",
    ]


def test_one_rule_can_be_read_by_its_number(owner: Owner) -> None:
    stack = owner.add("TC_RULE", **RULE)
    assert owner.write(1, "TC_RULE", stack).startswith(f"[{stack}]0\nflag=1\n")
    assert owner.write(1, "TC_RULE", "171,0,0,0,0,0") == "[error]9805"
    assert owner.write(1, "TC_RULE") == "[error]9003"


@pytest.mark.parametrize("oid", ["TC_RULE", "INTERNAL_HOST", "RULE"])
def test_what_is_not_there_cannot_be_deleted(owner: Owner, oid: str) -> None:
    assert owner.write(4, oid, "1,0,0,0,0,0") == "[error]9805"
    assert owner.write(4, oid) == "[error]9805"


def test_numbers_are_never_given_twice(owner: Owner) -> None:
    first = owner.add("TC_RULE", **RULE)
    owner.delete("TC_RULE", first)
    assert (first, owner.add("TC_RULE", **RULE)) == ("170,0,0,0,0,0", "171,0,0,0,0,0")


def test_a_firmware_that_renumbers_has_places_for_numbers(clock: Clock) -> None:
    with router(clock, renumbers=True) as (simulator, owner):
        stacks = [owner.add("TC_RULE", **RULE | {"startIP": number, "endIP": number}) for number in OTHERS]
        assert stacks == [f"{place},0,0,0,0,0" for place in (1, 2, 3)]
        owner.delete("TC_RULE", stacks[0])
        first, last = OTHERS[1:]
        assert values(owner.ask((5, "TC_RULE")), "startIP") == [str(first), str(last)]
        assert values(owner.write(1, "TC_RULE", stacks[1]), "startIP") == [str(last)]
        assert [row["id"] for row in tables(simulator)["tc"]] == [1, 2]


def test_newer_firmware_says_what_it_made(clock: Clock) -> None:
    with Simulator(two(), clock=clock, firmware=Firmware(login="rsa")) as simulator:
        caller = Caller(simulator)
        caller.enter()
        reply = caller.ask(
            f"3&3\r\n[INTERNAL_HOST#{ZEROS}#{ZEROS}]0,3\r\ntype=1\r\nentryName=phone\r\nmac={PHONE.colons}\r\n"
            f"[RULE#{ZEROS}#{ZEROS}]1,3\r\nruleName=phone_ACL\r\ninternalHostRef=phone\r\naction=1\r\n"
        )
    assert reply == (
        f"[170,0,0,0,0,0]0\ntype=1\nentryName=phone\nmac={PHONE.colons}\n"
        "[170,0,0,0,0,0]1\nruleName=phone_ACL\ninternalHostRef=phone\naction=1\n[error]0\n"
    )


@pytest.mark.parametrize("forgets", [False, True])
def test_what_was_set_survives_a_reboot_unless_the_firmware_forgets_it(clock: Clock, *, forgets: bool) -> None:
    with router(clock, forgets_rules=forgets) as (simulator, owner):
        owner.add("TC_RULE", **RULE)
        owner.set("TC", enable=3)
        shut_out(owner)
        simulator.reboot()
        after = state(simulator)
        assert (after["throttled"], after["blocked"]) == (
            ({}, []) if forgets else ({PHONE_IP: [512, 128]}, [PHONE.colons])
        )
        assert [len(rows) for rows in tables(simulator).values()] == ([0, 0, 0] if forgets else [1, 1, 1])


def test_a_factory_reset_wipes_what_was_set(clock: Clock) -> None:
    with router(clock, ipv6=True) as (simulator, owner):
        untouched = state(simulator)
        owner.add("TC_RULE", **RULE)
        owner.set("TC", enable=3, upTotalBW=1000)
        shut_out(owner)
        shut_out(owner, "IP6_")
        simulator.factory_reset()
        after = state(simulator)
        assert {name: after[name] for name in CONTROLS} == {name: untouched[name] for name in CONTROLS}


# IPv6


@pytest.mark.parametrize("oid", ["IP6_FIREWALL", "IP6_INTERNAL_HOST", "IP6_RULE"])
def test_a_firmware_without_ipv6_knows_nothing_of_it(owner: Owner, oid: str) -> None:
    assert owner.ask((5, oid)) == "[error]9804"


def test_ipv6_needs_rules_of_its_own(clock: Clock) -> None:
    with router(clock, ipv6=True) as (simulator, owner):
        assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)
        shut_out(owner)
        assert moved_in_a_tick(simulator, clock) == (WANTED // 2, WANTED)
        shut_out(owner, "IP6_")
        assert moved_in_a_tick(simulator, clock) == (0, WANTED)
        owner.set("FIREWALL", enable=0)
        assert moved_in_a_tick(simulator, clock) == (WANTED // 2, WANTED)
        assert state(simulator)["blocked"] == []
        assert state(simulator)["blocked6"] == [PHONE.colons]


def test_bandwidth_control_slows_ipv4_down_only_and_only_that_is_counted(clock: Clock) -> None:
    with router(clock, ipv6=True) as (simulator, owner):
        owner.add("TC_RULE", **RULE)
        owner.set("TC", enable=3)
        assert moved_in_a_tick(simulator, clock) == (RATE + WANTED // 2, WANTED)
        assert values(owner.ask(*PAIR), "totalBytes") == [str(4 * RATE), str(4 * WANTED // 2)]


def test_a_host_of_ipv6_is_told_by_its_mac(clock: Clock) -> None:
    with router(clock, ipv6=True) as (_, owner):
        assert owner.write(3, "IP6_INTERNAL_HOST", **HOST_BY_IP) == "[error]9007"


# What households do under it


@given(seed=st.integers(0, 99), steps=st.lists(st.integers(0, 400), max_size=8), ipv6=st.booleans())
def test_the_same_seed_passes_the_same_bytes_however_time_is_cut_up(seed: int, steps: list[int], *, ipv6: bool) -> None:
    assert passed(seed, steps, ipv6=ipv6) == passed(seed, [sum(steps)], ipv6=ipv6)


def test_limits_that_nobody_reaches_change_nothing(clock: Clock) -> None:
    moved = []
    for enabled in (False, True):
        with Simulator(Household.of(day_s=600), clock=clock) as simulator:
            simulator.rule("TC", {"enable": "3" if enabled else "0", "upTotalBW": "1000000", "downTotalBW": "1000000"})
            clock.now += 3000
            moved.append(simulator.truth())
    assert moved[0] == moved[1] != {}


def passed(seed: int, steps: list[int], *, ipv6: bool) -> Counter[Mac]:
    """What each device moves in so many ticks, where one is slow, one is shut out, and the line is narrow."""
    clock = Clock()
    household = Household.of(seed=seed, day_s=600)
    slow, out, *_ = household.devices
    simulator = Simulator(household, clock=clock, firmware=Firmware(ipv6=ipv6))
    number = str(int(IPv4Address(slow.ip)))
    simulator.rule("TC_RULE", {name: str(value) for name, value in RULE.items()} | {"startIP": number, "endIP": number})
    simulator.rule("TC", {"enable": "3", "downTotalBW": "5000"})
    simulator.rule("INTERNAL_HOST", {"entryName": "out", "mac": out.mac.colons})
    simulator.rule("RULE", {"ruleName": "out", "internalHostRef": "out"})
    simulator.rule("FIREWALL", {"enable": "1"})
    for ticks in steps:
        clock.now += ticks * TICK_S
        simulator.truth()
    return Counter({mac: true.moved for mac, true in simulator.truth().items()})


# The control face


def test_the_state_tells_what_is_in_force_and_what_is_set(simulator: Simulator, owner: Owner) -> None:
    owner.add("TC_RULE", **RULE)
    shut_out(owner)
    before = state(simulator)
    assert (before["throttled"], before["blocked"], before["blocked6"]) == ({}, [PHONE.colons], [])
    owner.set("TC", enable=3)
    after = state(simulator)
    assert after["throttled"] == {PHONE_IP: [512, 128]}
    assert after["tc"] == {
        "enable": "3",
        "linkType": "0",
        "upTotalBW": "10000",
        "downTotalBW": "50000",
        "rules": [{"id": 170, **{name: str(value) for name, value in RULE.items()}}],
    }
    assert after["firewall6"] is None


def test_who_asks_from_here_can_be_a_machine_of_the_household(simulator: Simulator, owner: Owner) -> None:
    del owner.headers["X-Simulated-Client"]
    assert 'clientIp="127.0.0.1"' in owner.ask((8, "/cgi/info"))
    order(simulator, do="here", ip=PHONE_IP)
    assert f'clientIp="{PHONE_IP}";\nvar clientMac="{PHONE.colons}"' in owner.ask((8, "/cgi/info"))
    order(simulator, do="log_out")
    assert 'clientIp="laptop"' in Admin(simulator).ask((8, "/cgi/info"))


def test_an_order_makes_the_rules_of_the_routers_owner(simulator: Simulator) -> None:
    host = {"type": "1", "entryName": "phone", "mac": PHONE.colons, "isParentCtrl": "1"}
    assert order(simulator, do="rule", oid="INTERNAL_HOST", values=host).json()["firewall"]["hosts"] == [
        {"id": 170, **host, "IPStart": "0", "IPEnd": "0", "portStart": "0", "portEnd": "0"}
    ]
    assert order(simulator, do="rule", oid="FIREWALL", values={"enable": 1}).json()["firewall"]["enable"] == "1"


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ({"oid": "WARP_DRIVE", "values": {}}, "there is no WARP_DRIVE to write"),
        ({"oid": "RULE", "values": {"ruleName": "a"}}, "[error]4705"),
        ({"oid": "RULE", "values": "all"}, 'values: \'all\' is no object such as {"enable": "1"}'),
    ],
)
def test_a_rule_that_cannot_be_made_is_complained_of(
    simulator: Simulator, what: dict[str, object], complaint: str
) -> None:
    answer = order(simulator, do="rule", **what)
    assert (answer.status_code, answer.text) == (400, f"{complaint}\n")
