"""The table of a router's traffic statistics, and a witness who knows what truly moved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dalla_mqtt.router.simulator.household import Traffic
    from dalla_mqtt.usage.reading import Mac

ENTRY_ATTRIBUTES = (
    "ipAddress",
    "macAddress",
    "totalPkts",
    "totalBytes",
    "currPkts",
    "currBytes",
    "currIcmp",
    "currUdp",
    "currSyn",
    "currIcmpMax",
    "currUdpMax",
    "currSynMax",
)  # in the firmware's order; docs/router.md, "Traffic statistics"
NO_MAC = "00:00:00:00:00:00"
_PACKETS_PER_UDP = 8
_PACKETS_PER_SYN = 200


class Row:
    """The counters of one address. The totals are kept unwrapped; only what is shown wraps."""

    __slots__ = ("bytes", "ip", "mac", "number", "packets", "peak_packets", "sample", "sampled", "starting", "told")

    def __init__(self, ip: str, mac: Mac | None = None) -> None:
        self.ip = ip
        self.number = int(IPv4Address(ip))
        self.mac = mac
        self.bytes = 0
        self.packets = 0
        self.sample = (0, 0)  # packets and bytes in the last interval
        self.sampled = (0, 0)  # the totals when that interval ended
        self.peak_packets = 0
        self.told = 0  # of `bytes`, how much the witness has booked as shown
        self.starting = 0  # shown as a starting value, while there was no MAC to book it to

    def end_interval(self, intervals: int) -> None:
        """Take the sample of the interval that ends now; where several went by at once, the mean of them."""
        self.sample = ((self.packets - self.sampled[0]) // intervals, (self.bytes - self.sampled[1]) // intervals)
        self.sampled = (self.packets, self.bytes)
        self.peak_packets = max(self.peak_packets, self.sample[0])

    def shown(self, modulus: int) -> tuple[object, ...]:
        """The values of ENTRY_ATTRIBUTES. Kinds of packets are a plausible part of all packets."""
        packets, size = self.sample
        return (
            self.number,
            self.mac.colons if self.mac else NO_MAC,
            self.packets % modulus,
            self.bytes % modulus,
            packets,
            size,
            0,
            packets // _PACKETS_PER_UDP,
            packets // _PACKETS_PER_SYN,
            0,
            self.peak_packets // _PACKETS_PER_UDP,
            self.peak_packets // _PACKETS_PER_SYN,
        )


class Statistics:
    """The router's table: keyed by address, of limited size, and gone with the power.

    Source: GPL module ipt_STAT.ko of a sibling; docs/router.md, "How the router counts".
    """

    def __init__(self, *, enabled: bool, max_rows: int) -> None:
        self.enabled = enabled
        self.interval_s = 10
        self._max_rows = max_rows
        self._rows: dict[str, Row] = {}

    @property
    def rows(self) -> list[Row]:
        """In the order in which the addresses first moved something."""
        return list(self._rows.values())

    def count(self, ip: str, mac: Mac, traffic: Traffic) -> None:
        """Add `traffic`. Only an upload tells the row whose it is; a new address finds no room in a full table."""
        if not self.enabled:
            return
        row = self._rows.get(ip)
        if row is None:
            if len(self._rows) >= self._max_rows:
                return
            row = self._rows[ip] = Row(ip)
        row.bytes += traffic.bytes
        row.packets += traffic.packets
        if traffic.uploaded:
            row.mac = mac

    def end_interval(self, intervals: int) -> None:
        """An interval is over, or several at once."""
        for row in self._rows.values():
            row.end_interval(intervals)

    def switch(self, *, enabled: bool) -> None:
        """Switching on starts with an empty table, and while switched off there are no rows."""
        if enabled != self.enabled:
            self.clear()
        self.enabled = enabled

    def reset(self) -> None:
        """All values zero; the rows stay."""
        self._rows = {ip: Row(ip, row.mac) for ip, row in self._rows.items()}

    def clear(self) -> None:
        """No rows."""
        self._rows = {}


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one MAC, in bytes without any wrap."""

    moved: int  # all it ever moved
    shown: int  # of the counters, what any client could know from the replies so far; never more than was counted
    baseline: int  # of `shown`, what the very first reply said: the starting value of a client that saw it


class Witness:
    """Saw every byte, and heard every reply."""

    def __init__(self) -> None:
        self._moved: Counter[Mac] = Counter()
        self._shown: Counter[Mac] = Counter()
        self._baseline: Counter[Mac] = Counter()
        self._heard_a_reply = False

    def saw(self, mac: Mac, size: int) -> None:
        """`mac` moved `size` bytes, counted or not."""
        self._moved[mac] += size

    def heard(self, rows: Iterable[Row]) -> None:
        """A reply that showed `rows` went out whole. A row without a MAC is booked when one is shown."""
        for row in rows:
            if not self._heard_a_reply:
                row.starting = row.bytes
            if row.mac is None:
                continue
            self._baseline[row.mac] += row.starting
            self._shown[row.mac] += row.bytes - row.told
            row.told = row.bytes
            row.starting = 0
        self._heard_a_reply = True

    def truth(self) -> dict[Mac, Truth]:
        """Of every MAC that ever moved a byte or was shown."""
        macs = sorted(self._moved.keys() | self._shown.keys())
        return {mac: Truth(self._moved[mac], self._shown[mac], self._baseline[mac]) for mac in macs}
