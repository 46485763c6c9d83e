"""Killed with -9 between any two requests of a change of the router's rules, the next start makes what is wanted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import Any, Self

from dalla_mqtt.archive.store import Store
from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.usage.reading import Mac
from tests import accounts
from tests.end_to_end.watched_line import WatchedLine
from tests.processes import PATIENCE_S

ZYGOTE = Path(__file__).with_name("zygote.py")
TEN = datetime(2026, 11, 24, 10, tzinfo=UTC).timestamp()
MINUTE_S, DAY_S = 60, 86_400
HERS, HIS, HIS_OTHER, NOBODYS = (device.mac for device in Household.of(4).devices)
IP = {mac: f"192.168.1.{100 + place}" for place, mac in enumerate((HERS, HIS, HIS_OTHER, NOBODYS))}
ELSEWHERE = "192.168.1.250"
IPV6 = Firmware(ipv6=True)
REQUESTS = 60  # that three changes take at least

WRITE = re.compile(rb"POST /cgi\?[234] ")

Rules = tuple[list[tuple[str, str]], list[str], list[str], str, str, str]


class Blade:
    """Falls on a daemon at the request number `at`: when the router has done it, or when it has not `heard` of it."""

    def __init__(self, at: int | None, *, heard: bool) -> None:
        self._at = at
        self._heard = heard
        self._requests = 0
        self.pid: Future[int] = Future()
        self.dead = threading.Event()
        self.writes: set[int] = set()  # numbers of the requests that change something

    def before(self, request: bytes) -> None:
        self._requests += 1
        if WRITE.match(request):
            self.writes.add(self._requests)
        if not self._heard:
            self._pass()

    def after(self, _: bytes) -> None:
        if self._heard:
            self._pass()

    def _pass(self) -> None:
        if self._requests == self._at:
            os.kill(self.pid.result(PATIENCE_S), signal.SIGKILL)
            self.dead.wait(PATIENCE_S)
            raise ConnectionAbortedError


class House(AbstractContextManager["House"]):
    """Alice is slowed down when she has moved anything, Bob is shut out then, and the router's owner has made rules.

    All clocks say `now`. The daemons are processes that are killed in earnest.
    """

    def __init__(self, folder: Path, firmware: Firmware) -> None:
        self.folder = folder
        folder.mkdir()
        self.now = TEN
        self.simulator = Simulator(Household.of(4, quiet=True), firmware=firmware, clock=lambda: self.now)
        self._zygote = subprocess.Popen(
            [sys.executable, str(ZYGOTE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.address = {HERS: IP[HERS], NOBODYS: IP[NOBODYS]}
        self.kills = 0
        self.writes: set[int] = set()

    def __enter__(self) -> Self:
        self.simulator.start()
        self._line = WatchedLine(self.simulator.port).__enter__()
        self.wants(HIS)
        owners(self.simulator)
        self.owners = controls(self.simulator)
        for mac, ip in IP.items():
            self.simulator.add(mac, ip, 1)
        assert not self.run(), "what was moved before counts for nobody"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._zygote.stdin
        assert self._zygote.stdout
        self._zygote.stdin.close()
        self._zygote.wait(PATIENCE_S)
        self._zygote.stdout.close()
        self._line.__exit__()
        self.simulator.stop()

    def wants(self, *his: Mac, rate: str = "64 kbit/s") -> None:
        """What is in the configuration: whose devices are Bob's, and how slow Alice is to be."""
        quota = {"quota": {"together": "1 B", "per": "day"}}
        users = {
            "Alice": {**quota, "devices": [HERS.dashed], "at_quota": "throttle"},
            "Bob": {**quota, "devices": [mac.dashed for mac in his], "at_quota": "block"},
        }
        settings = {"users": users, "quota": {"throttle": {"down": rate, "up": rate}}, "archive": {"enabled": False}}
        (self.folder / "config.yaml").write_text(json.dumps(settings), "utf-8")

    def run(self, kill_at: int | None = None, *, heard: bool = False) -> bool:
        """A daemon for one poll; whether it was killed."""
        self.now += MINUTE_S
        blade = Blade(kill_at, heard=heard)
        self._line.before, self._line.after = blade.before, blade.after
        assert self._zygote.stdin
        assert self._zygote.stdout
        environment = accounts.settings(self._line.url)
        order = {"words": ["run", "--once"], "folder": str(self.folder), "now": self.now, "environment": environment}
        print(json.dumps(order), file=self._zygote.stdin, flush=True)
        blade.pid.set_result(int(self._zygote.stdout.readline()))
        code = os.waitstatus_to_exitcode(int(self._zygote.stdout.readline()))
        blade.dead.set()
        self.writes |= blade.writes
        said = (self.folder / "output").read_text("utf-8")
        (self.folder / "output").unlink()
        assert "Traceback" not in said, said
        assert code == (-signal.SIGKILL if kill_at and code else 0), said
        self.kills += code != 0
        return code != 0

    def change(self, kill_at: int, expected: Rules, *, heard: bool) -> bool:
        """Kill a daemon while it makes what is wanted now, which is `expected`; whether it was killed."""
        killed = self.run(kill_at, heard=heard)
        assert not (killed and self.run()), "a fresh start"
        assert rules(self.simulator) == expected
        assert others(self.simulator) == self.owners
        with closing(Store(self.folder / "state.db")) as store:
            limited = {subject.name for subject, kept in store.quotas().items() if kept.limited}
        assert limited == ({"Alice", "Bob"} if expected[0] else set())
        return killed

    def live_through(self, kill_at: int, *, heard: bool) -> bool:
        """A day on which both are limited, and more so, until it is over; whether a daemon was killed on it."""
        self.now = TEN + ((self.now - TEN) // DAY_S + 1) * DAY_S
        self.wants(HIS)
        for mac in (HERS, HIS):
            self.simulator.add(mac, self.address.get(mac, IP[mac]), 1_000_000)
        killed = self.change(kill_at, on((self.address[HERS], "64"), HIS), heard=heard)
        self._swap()
        self.wants(HIS, HIS_OTHER, rate="32 kbit/s")
        killed |= self.change(kill_at, on((self.address[HERS], "32"), HIS, HIS_OTHER), heard=heard)
        self.now += DAY_S
        killed |= self.change(kill_at, OFF, heard=heard)
        assert controls(self.simulator) == self.owners
        return killed

    def _swap(self) -> None:
        """Alice's phone and somebody else's have each other's address from now on."""
        hers, nobodys = self.address[HERS], self.address[NOBODYS]
        for ip, mac in ((ELSEWHERE, HERS), (hers, NOBODYS), (nobodys, HERS)):
            self.simulator.move(ip, mac, "phone")
        self.address = {HERS: nobodys, NOBODYS: hers}


def owners(simulator: Simulator) -> None:
    """Rules of the router's owner, who has switched them off, and both controls, too."""
    zeros = dict.fromkeys(("startPort", "endPort", "protocol", "enable"), "0")
    range_ = {"startIP": str(int(IPv4Address("192.168.1.200"))), "endIP": str(int(IPv4Address("192.168.1.210")))}
    rates = {"upMinBW": "1", "upMaxBW": "64", "downMinBW": "1", "downMaxBW": "64"}
    simulator.rule("TC_RULE", zeros | range_ | rates)
    for prefix in ("", "IP6_"):
        simulator.rule(f"{prefix}INTERNAL_HOST", {"type": "1", "entryName": "printer", "mac": "02:00:00:00:00:01"})
        simulator.rule(f"{prefix}RULE", {"ruleName": "printer", "internalHostRef": "printer", "enable": "0"})


def controls(simulator: Simulator) -> dict[str, Any]:
    """All that is set of them."""
    state = simulator.state()
    return {name: state[name] for name in ("tc", "firewall", "firewall6")}


def others(simulator: Simulator) -> dict[str, Any]:
    """The same without switches, and without what shows that it is ours."""
    found = controls(simulator)
    tc = {**found["tc"], "enable": "0", "rules": [rule for rule in found["tc"]["rules"] if rule["upMinBW"] != "11"]}
    walls = {name: wall and {**wall, "enable": "0"} for name, wall in found.items() if name != "tc"}
    for wall in filter(None, walls.values()):
        wall["hosts"] = [host for host in wall["hosts"] if not host["entryName"].startswith("dalla-")]
        wall["rules"] = [rule for rule in wall["rules"] if not rule["ruleName"].startswith("dalla-")]
    return {"tc": tc, **walls}


def rules(simulator: Simulator) -> Rules:
    """What is ours: addresses and rates, and who is denied over IPv4 and IPv6; and what the switches are at."""
    tc, wall, wall6 = controls(simulator).values()
    slow = [
        (str(IPv4Address(int(rule["startIP"]))), rule["downMaxBW"]) for rule in tc["rules"] if rule["upMinBW"] == "11"
    ]
    return sorted(slow), denied(wall), denied(wall6), tc["enable"], wall["enable"], wall6["enable"]


def denied(wall: dict[str, Any]) -> list[str]:
    """MACs, each as often as there is a rule for it, and the name of a host that is there for no rule."""
    macs = {host["entryName"]: host["mac"] for host in wall["hosts"] if host["entryName"].startswith("dalla-")}
    names = [rule["internalHostRef"] for rule in wall["rules"] if rule["ruleName"].startswith("dalla-")]
    return sorted([*(macs[name] for name in names), *(macs.keys() - set(names))])


def on(slow: tuple[str, str], *blocked: Mac) -> Rules:
    macs = sorted(mac.colons for mac in blocked)
    return [slow], macs, macs, "3", "1", "1"


OFF: Rules = [], [], [], "0", "0", "0"


def killed_without_a_write_heard(folder: Path) -> int:
    """How often: each day before a request of another number, until there were so many in no change."""
    with House(folder, IPV6) as house:
        next(number for number in count(1) if not house.live_through(number, heard=False))
        return house.kills


def killed_without_an_answer(folder: Path, firmware: Firmware, *, every: int = 1) -> int:
    """How often: each day after another request, of those that change something in any change."""
    with House(folder, firmware) as house:
        assert not house.live_through(0, heard=True)
        writes = sorted(house.writes)[::every]
        assert all(house.live_through(number, heard=True) for number in writes)
        return house.kills


def test_killed_before_or_after_each_request_of_a_change_the_next_start_makes_what_is_wanted(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        unheard = pool.submit(killed_without_a_write_heard, tmp_path / "unheard")
        heard = pool.submit(killed_without_an_answer, tmp_path / "heard", Firmware(ipv6=True, renumbers=True))
        assert unheard.result() > REQUESTS
        assert heard.result() > REQUESTS / 4


def test_the_same_with_a_login_of_newer_firmware(tmp_path: Path) -> None:
    assert killed_without_an_answer(tmp_path / "house", Firmware(ipv6=True, login="rsa"), every=4) > 0
