"""Bandwidth control and access control of the simulated router: what is asked of them, and what they do to traffic."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest

from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.router.simulator.household import TICK_S, Device, Phase
from dalla_mqtt.usage.reading import Mac
from tests.router.simulator.admin import ZEROS, Admin, Clock

PHONE = Mac.parse("CB-BD-AB-90-2D-38")
LAPTOP = Mac.parse("F8-B1-56-C1-22-11")
PHONE_IP, LAPTOP_IP = "192.168.1.100", "192.168.1.101"
WANTED = 100_000  # bytes in a tick, of each of them
PHONE_NUMBER = int(IPv4Address(PHONE_IP))
RULE: dict[str, object] = {"startIP": PHONE_NUMBER, "endIP": PHONE_NUMBER, "startPort": 0, "endPort": 0, "protocol": 0}
RULE |= {"enable": 1, "precedence": 5, "upMinBW": 1, "upMaxBW": 128, "downMinBW": 1, "downMaxBW": 512, "flag": 1}
HOST: dict[str, object] = {"type": 1, "entryName": "phone", "mac": PHONE.colons}
BLOCK: dict[str, object] = {"ruleName": "phone", "internalHostRef": "phone", "externalHostRef": "", "scheduleRef": ""}
BLOCK |= {"action": 1, "enable": 1, "direction": 0, "protocol": 3}
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
    owner.set("TC", enable=0)
    assert moved_in_a_tick(simulator, clock) == (WANTED, WANTED)


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
