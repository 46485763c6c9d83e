"""The network of a simulated router, as its objects tell it: leases, radios and who is on them, LAN and WAN.

Sources: docs/router.md, "Names of devices", "Device and WAN information", "Raw samples".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, get_args

from dalla_mqtt.usage.reading import Link

if TYPE_CHECKING:
    from dalla_mqtt.router.simulator.household import Device
    from dalla_mqtt.router.simulator.memory import SimulatedRouter

Listed = tuple[tuple[str, ...], Callable[[], Iterable[tuple[str, Sequence[object]]]]]  # attributes, and rows of them

_LEASE_S = 7200
_CONNECTION_TYPES = dict(zip(get_args(Link), (0, 1, 3, 2, 4), strict=True))  # X_TP_ConnType of newer firmware
_RADIOS = {"1,1,0,0,0,0": ("2.4 GHz", "wlan0"), "1,2,0,0,0,0": ("5 GHz", "wlan5")}
_WIRED = ("tv", "console", "printer")
_SLOW = ("tablet",)
_LAN_MAC, _WAN_MAC = "50:C7:BF:00:00:20", "50:C7:BF:00:00:21"


class Network:
    """What `lists` has for each name of an object. `newer`: firmware with a login, which tells more of a lease."""

    def __init__(self, router: SimulatedRouter, *, newer: bool) -> None:
        self._router = router
        self._seen: set[str] = set(_RADIOS) if newer else set()  # radios whose list of stations was brought up to date
        old = ("leaseTimeRemaining", "MACAddress", "hostName", "IPAddress")
        new = ("IPAddress", "addressSource", *old[:3], "X_TP_ConnType", "active")
        self.lists: dict[str, Listed] = {
            "LAN_HOST_ENTRY": (new, self._new_leases) if newer else (old, self._old_leases),
            "LAN_WLAN": (("name", "enable", "SSID", "X_TP_Band"), _radios),
            "LAN_WLAN_GUESTNET": (("enable", "name"), _guest_networks),
            "LAN_WLAN_ASSOC_DEV": (
                ("associatedDeviceMACAddress", "X_TP_TotalPacketsSent", "X_TP_TotalPacketsReceived", "X_TP_HostName"),
                self._stations,
            ),
            "LAN_IP_INTF": (("IPInterfaceIPAddress", "IPInterfaceSubnetMask", "X_TP_MACAddress"), self._lan),
            "WAN_IP_CONN": (
                (
                    *("enable", "connectionStatus", "MACAddress", "externalIPAddress", "defaultGateway"),
                    *("name", "subnetMask", "DNSServers", "X_TP_IfName"),
                ),
                _wan,
            ),
        }

    def look_around(self, radio: str) -> str:
        """From now on the stations of `radio` are known."""
        self._seen.add(radio)
        return ""

    def _old_leases(self) -> Iterable[tuple[str, Sequence[object]]]:
        left_s = _LEASE_S - self._router.uptime_s % _LEASE_S
        for place, device in enumerate(self._router.household.devices, start=1):
            yield f"{place},0,0,0,0,0", (left_s, device.mac.colons, device.name, device.ip)

    def _new_leases(self) -> Iterable[tuple[str, Sequence[object]]]:
        devices = self._router.household.devices
        for (stack, (left_s, mac, name, ip)), device in zip(self._old_leases(), devices, strict=True):
            yield stack, (ip, "DHCP", left_s, mac, name, _CONNECTION_TYPES[link(device)], 1)

    def _stations(self) -> Iterable[tuple[str, Sequence[object]]]:
        """Of the radios that were looked at. Packets are those that the statistics know, shared between the ways."""
        packets = {row.ip: row.packets for row in self._router.statistics.rows}
        for radio, (band, interface) in _RADIOS.items():
            devices = [device for device in self._router.household.devices if link(device).endswith(band)]
            for place, device in enumerate(devices if radio in self._seen else (), start=1):
                moved = packets.get(device.ip, 0)
                stack = f"{radio[:4]}{place},0,0,0"
                yield stack, (device.mac.colons, moved - moved // 2, moved // 2, interface)

    def _lan(self) -> Iterable[tuple[str, Sequence[object]]]:
        devices = self._router.household.devices
        network = devices[0].ip.rpartition(".")[0] if devices else "192.168.1"
        yield "1,1,0,0,0,0", (f"{network}.1", str(lan(devices).netmask), _LAN_MAC)


def lan(devices: Sequence[Device]) -> IPv4Network:
    """The network that all of the household's addresses are in."""
    network = devices[0].ip.rpartition(".")[0] if devices else "192.168.1"
    length = 24 if all(device.ip.startswith(f"{network}.") for device in devices) else 16
    return IPv4Network(f"{network}.0/{length}", strict=False)


def link(device: Device) -> Link:
    """How a device of that name is likely to be connected."""
    words = device.name.split("-")
    if not set(_WIRED).isdisjoint(words):
        return "wired"
    if "guest" in words:
        return "guest 5 GHz"
    return "5 GHz" if set(_SLOW).isdisjoint(words) else "2.4 GHz"


def _radios() -> Iterable[tuple[str, Sequence[object]]]:
    yield "1,1,0,0,0,0", ("wlan0", 1, "Casa-2.4G", "2.4GHz")
    yield "1,2,0,0,0,0", ("wlan5", 1, "Casa-5G", "5GHz")


def _guest_networks() -> Iterable[tuple[str, Sequence[object]]]:
    yield "1,1,1,0,0,0", (0, "wlan1")
    yield "1,2,1,0,0,0", (1, "wlan6")


def _wan() -> Iterable[tuple[str, Sequence[object]]]:
    dns = "203.0.113.1,0.0.0.0"
    values = ("Connected", _WAN_MAC, "203.0.113.55", "203.0.113.1", "ipoe_1_d", "255.255.255.0", dns, "eth0.1")
    yield "1,1,1,0,0,0", (1, *values)
