"""What a simulated router lets through: bandwidth control and access control, as they are asked for and enforced."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, NamedTuple

from dalla_mqtt.router.simulator import cgi
from dalla_mqtt.router.simulator.access import AccessControl
from dalla_mqtt.router.simulator.bandwidth import BandwidthControl, Rate
from dalla_mqtt.router.simulator.household import TICK_S, Traffic
from dalla_mqtt.router.simulator.network import lan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dalla_mqtt.router.simulator.firmware import Firmware
    from dalla_mqtt.router.simulator.household import Device, Household
    from dalla_mqtt.router.simulator.network import Listed
    from dalla_mqtt.router.simulator.tables import Settings

_BYTES_PER_KBIT = 125
_HOST_NAMES = ("refCnt",)  # what stands before the attributes of a host that are written


class Passed(NamedTuple):
    """What a device moved after all."""

    device: Device
    traffic: Traffic
    over_ipv6: int  # bytes that are not part of `traffic`


class Control:
    """Both of them. Where the firmware has IPv6, half of all that is moved goes over it; it has rules of its own.

    `singles`, `lists` and `changes` are what there is to read and to write.
    """

    def __init__(self, household: Household, firmware: Firmware) -> None:
        self._household = household
        self._firmware = firmware
        self.bandwidth = BandwidthControl(firmware, self._lan)
        self._access = AccessControl(firmware, self._lan)
        self._access6 = AccessControl(firmware, None) if firmware.ipv6 else None
        self.singles: dict[str, Callable[[], dict[str, object]]] = {"TC": self.bandwidth.settings}
        self.lists: dict[str, Listed] = {"TC_RULE": (self.bandwidth.rules.names, self.bandwidth.rules.listed)}
        self.changes: dict[tuple[int, str], Callable[[cgi.Section], str]] = {
            (cgi.SET, "TC"): self.bandwidth.change,
            (cgi.ADD, "TC_RULE"): self.bandwidth.add_rule,
            (cgi.SET, "TC_RULE"): self.bandwidth.change_rule,
            (cgi.DELETE, "TC_RULE"): self.bandwidth.rules.delete,
        }
        self._offer("", self._access)
        if self._access6:
            self._offer("IP6_", self._access6)

    @property
    def in_force(self) -> bool:
        """Whether what is moved must be looked at: it is limited, or not all of it is counted."""
        return self._firmware.ipv6 or self.bandwidth.enabled or self._access.enabled

    def reboot(self) -> None:
        """What is set stays, unless the firmware forgets it."""
        if self._firmware.forgets_rules:
            self.wipe()

    def wipe(self) -> None:
        """As from the shop."""
        self.bandwidth.wipe()
        self._access.wipe()
        if self._access6:
            self._access6.wipe()

    def write(self, oid: str, values: Settings) -> None:
        """Add a row of that table, or change those settings. ValueError tells what the router would say."""
        change = self.changes.get((cgi.ADD, oid)) or self.changes.get((cgi.SET, oid))
        if change is None:
            raise ValueError(f"there is no {oid} to write")
        try:
            change(cgi.Section(cgi.ADD, oid, 0, tuple(f"{name}={value}" for name, value in values.items())))
        except cgi.CgiError as error:
            raise ValueError(str(error)) from error

    def let_through(self, ticks: int) -> Iterator[Passed]:
        """Let the household live through `ticks` ticks; what each device wants to move is limited tick by tick."""
        gate = _Gate(self.bandwidth, self._access, self._access6)
        while ticks:
            steady = min(ticks, self._household.steady_ticks())
            yield from gate.let_through(list(self._household.run(steady)), steady)
            ticks -= steady

    def state(self) -> dict[str, object]:
        """What is in force for whom, and what is set."""
        rates = self.bandwidth.rates()
        throttled = {device.ip: rates(device.ip) for device in self._household.devices}
        return {
            "throttled": {ip: rate for ip, rate in throttled.items() if rate},
            "blocked": self._shut_out(self._access),
            "blocked6": self._shut_out(self._access6),
            "tc": {**self.bandwidth.settings(), "rules": self.bandwidth.rules.shown()},
            "firewall": _shown(self._access),
            "firewall6": _shown(self._access6) if self._access6 else None,
        }

    def _offer(self, prefix: str, access: AccessControl) -> None:
        firewall, hosts, rules = (f"{prefix}{name}" for name in ("FIREWALL", "INTERNAL_HOST", "RULE"))
        self.singles[firewall] = access.settings
        self.lists[hosts] = ((*_HOST_NAMES, *access.hosts.names), access.listed_hosts)
        self.lists[rules] = (access.rules.names, access.rules.listed)
        self.changes |= {
            (cgi.SET, firewall): access.change,
            (cgi.ADD, hosts): access.add_host,
            (cgi.DELETE, hosts): access.delete_host,
            (cgi.ADD, rules): access.add_rule,
            (cgi.SET, rules): access.change_rule,
            (cgi.DELETE, rules): access.rules.delete,
        }

    def _shut_out(self, access: AccessControl | None) -> list[str]:
        if access is None:
            return []
        judge = access.judge()
        return [device.mac.colons for device in self._household.devices if judge(device.ip, device.mac)]

    def _lan(self) -> IPv4Network:
        return lan(self._household.devices)


class _Gate:
    """The rules as they are at one moment."""

    def __init__(self, bandwidth: BandwidthControl, access: AccessControl, access6: AccessControl | None) -> None:
        self._line = bandwidth.line
        self._rate = bandwidth.rates()
        self._shut_out = access.judge()
        self._shut_out6 = access6.judge() if access6 else None

    def let_through(self, wanted: list[tuple[Device, Traffic]], ticks: int) -> Iterator[Passed]:
        """What passes of `wanted`, of which each of `ticks` ticks has the same part."""
        halves = [self._halves(device, traffic.bytes // ticks) for device, traffic in wanted]
        most = _bytes_per_tick(self._line) if self._line else 0
        total = sum(size for size, _ in halves)
        for (device, traffic), (size, over_ipv6) in zip(wanted, halves, strict=True):
            passing = size * most // total if self._line and total > most else size
            packets = -(-traffic.packets * passing // traffic.bytes)
            yield Passed(device, Traffic(passing * ticks, packets * ticks, traffic.uploaded), over_ipv6 * ticks)

    def _halves(self, device: Device, wanted: int) -> tuple[int, int]:
        """What `device` moves in a tick, the line's limit aside: over IPv4 and over IPv6."""
        over_ipv6 = wanted // 2 if self._shut_out6 else 0
        size = 0 if self._shut_out(device.ip, device.mac) else wanted - over_ipv6
        if rate := self._rate(device.ip):
            size = min(size, _bytes_per_tick(rate))
        if self._shut_out6 and self._shut_out6(device.ip, device.mac):
            over_ipv6 = 0
        return size, over_ipv6


def _bytes_per_tick(rate: Rate) -> int:
    """Both directions together: traffic is not told apart."""
    return int((rate.down + rate.up) * _BYTES_PER_KBIT * TICK_S)


def _shown(access: AccessControl) -> dict[str, object]:
    return {**access.settings(), "hosts": access.hosts.shown(), "rules": access.rules.shown()}
