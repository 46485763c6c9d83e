"""The table of a router's traffic statistics, and a witness who knows what truly moved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dalla_mqtt.router.simulator.household import Traffic
    from dalla_mqtt.usage.reading import Mac

NO_MAC = "00:00:00:00:00:00"
_PACKETS_PER_UDP = 8
_PACKETS_PER_SYN = 200
_BYTES_PER_BYTE_SENT = 8  # of what moves up and down


class Row:
    """The counters of one address. The totals are kept unwrapped; only what is shown wraps."""

    __slots__ = (
        *("bytes", "ip", "mac", "number", "packets", "peak_packets"),
        *("sample", "sampled", "sent", "starting", "told"),
    )

    def __init__(self, ip: str, mac: Mac | None = None) -> None:
        self.ip = ip
        self.number = int(IPv4Address(ip))
        self.mac = mac
        self.bytes = 0
        self.sent = 0  # of `bytes`, what went up
        self.packets = 0
        self.sample = (0, 0, 0)  # packets, bytes and bytes sent in the last interval
        self.sampled = (0, 0, 0)  # the totals when that interval ended
        self.peak_packets = 0
        self.told = 0  # of `bytes`, how much the witness has booked as shown
        self.starting = 0  # shown as a starting value, while there was no MAC to book it to

    def end_interval(self, intervals: int) -> None:
        """Take the sample of the interval that ends now; where several went by at once, the mean of them."""
        totals = (self.packets, self.bytes, self.sent)
        packets, size, sent = (now - before for now, before in zip(totals, self.sampled, strict=True))
        self.sample = (packets // intervals, size // intervals, sent // intervals)
        self.sampled = totals
        self.peak_packets = max(self.peak_packets, self.sample[0])

    def together(self, modulus: int) -> tuple[int | str, ...]:
        """Both directions in one counter. Kinds of packets are a plausible part of all packets."""
        packets, size, _ = self.sample
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

    def apart(self, modulus: int) -> tuple[int | str, ...]:
        """A counter for what the device received, and one for what it sent."""
        _, size, sent = self.sample
        received = self.bytes - self.sent
        mac = self.mac.colons if self.mac else NO_MAC
        return self.number, mac, size - sent, sent, received % modulus, self.sent % modulus


class Profile(NamedTuple):
    """What a firmware tells of a row: attributes in its order, their values, and which of them tell all bytes."""

    attributes: tuple[str, ...]
    values: Callable[[Row, int], tuple[int | str, ...]]
    totals: frozenset[str]

    def shown(self, row: Row, modulus: int) -> dict[str, int | str]:
        """Attributes and values."""
        return dict(zip(self.attributes, self.values(row, modulus), strict=True))


_TOGETHER = (
    *("ipAddress", "macAddress", "totalPkts", "totalBytes", "currPkts", "currBytes"),
    *("currIcmp", "currUdp", "currSyn", "currIcmpMax", "currUdpMax", "currSynMax"),
)
_APART = ("ipAddress", "macAddress", "currBytesRx", "currBytesTx", "totalBytesRx", "totalBytesTx")
_BOTH = frozenset(("totalBytesRx", "totalBytesTx"))
PROFILES = {
    "classic": Profile(_TOGETHER, Row.together, frozenset(("totalBytes",))),
    "rx-tx": Profile(_APART, Row.apart, _BOTH),
    "rx-tx-macs": Profile(_APART[1:], lambda row, modulus: row.apart(modulus)[1:], _BOTH),
}  # docs/router.md, "Traffic statistics"


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

    def count(self, ip: str, mac: Mac, traffic: Traffic, sent: int | None = None) -> None:
        """Add `traffic`. Only an upload tells the row whose it is; a new address finds no room in a full table.

        `sent` is what went up of it, where that is known; else it is a fixed part of it, if any of it went up.
        """
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
            row.sent += traffic.bytes // _BYTES_PER_BYTE_SENT if sent is None else sent

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

    def reset_row(self, place: int) -> None:
        """The values of the row at `place`, from 0, are zero. IndexError where there is none."""
        row = self.rows[place]
        self._rows[row.ip] = Row(row.ip, row.mac)

    def delete_row(self, place: int) -> None:
        """The last row takes the place of the one at `place`, from 0. IndexError where there is none."""
        rows = self.rows
        rows[place] = rows[-1]
        self._rows = {row.ip: row for row in rows[:-1]}


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
