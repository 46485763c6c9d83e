"""Who moves how much: the devices behind a simulated router. Seeded, and without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from dalla_mqtt.usage.reading import Mac

if TYPE_CHECKING:
    from collections.abc import Iterator

TICK_S = 0.25  # exact in binary: adding up ticks never drifts away from the clock
_FOREVER = 2**62
_SHARING_THE_LINE = 10  # so many devices have the rates below; more of them share what ten would take
_MOST_DEVICES = 60_000  # what the last two octets of an address have room for


class Phase(NamedTuple):
    """A stretch of time in which a device moves the same in every tick."""

    ticks: int
    bytes_per_tick: int = 0
    packets_per_tick: int = 0
    uploads: bool = True


class Traffic(NamedTuple):
    """What one device moved, up and down together, and whether any of it went up."""

    bytes: int
    packets: int
    uploaded: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """The habits of a kind of device. Every pair is the least and the most of it."""

    rate_bytes_per_s: tuple[float, float]
    burst_s: tuple[float, float]
    idle_s: tuple[float, float]
    packet_bytes: int = 900
    download_first: bool = False
    private_mac: bool = False

    def phases(self, random: Random, share: float) -> Iterator[Phase]:
        """Bursts and rests without end; `share` is the part of the line that this household leaves to a device."""
        uploads = not self.download_first
        while True:
            size = max(1, int(random.uniform(*self.rate_bytes_per_s) * share * TICK_S))
            yield Phase(_ticks(random, self.burst_s), size, size // self.packet_bytes + 1, uploads)
            yield Phase(_ticks(random, self.idle_s))
            uploads = True


_PHONE = Profile((10e3, 600e3), burst_s=(1, 8), idle_s=(2, 15), private_mac=True)
_LAPTOP = Profile((30e3, 1.5e6), burst_s=(2, 20), idle_s=(1, 12))
_TABLET = Profile((20e3, 500e3), burst_s=(2, 15), idle_s=(3, 20))
_TV = Profile((300e3, 1.5e6), burst_s=(3, 10), idle_s=(1, 6), packet_bytes=1300, download_first=True)
_CONSOLE = Profile((40e3, 800e3), burst_s=(5, 30), idle_s=(4, 25), packet_bytes=400)
_PRINTER = Profile((200, 4e3), burst_s=(1, 3), idle_s=(10, 40), packet_bytes=200)

_DEVICES = (
    ("alices-phone", _PHONE),
    ("alices-laptop", _LAPTOP),
    ("bobs-phone", _PHONE),
    ("bobs-laptop", _LAPTOP),
    ("bobs-tv", _TV),
    ("kitchen-tablet", _TABLET),
    ("living-room-tv", _TV),
    ("games-console", _CONSOLE),
    ("guest-phone", _PHONE),
    ("printer", _PRINTER),
)


class Device:
    """One machine of the household: its MAC, its address, the name it gave to DHCP, and what it is going to move."""

    def __init__(self, mac: Mac, ip: str, name: str, phases: Iterator[Phase]) -> None:
        self.mac = mac
        self.ip = ip
        self.name = name
        self._phases = phases
        self._phase = Phase(0)
        self._left = 0

    def run(self, ticks: int) -> Traffic:
        """Live through `ticks` ticks. Many short runs move exactly what one long run moves."""
        size = packets = 0
        uploaded = False
        while ticks:
            if not self._left:
                self._phase = next(self._phases)
                self._left = self._phase.ticks
            spent = min(ticks, self._left)
            ticks -= spent
            self._left -= spent
            if self._phase.bytes_per_tick:
                size += spent * self._phase.bytes_per_tick
                packets += spent * self._phase.packets_per_tick
                uploaded = uploaded or self._phase.uploads
        return Traffic(size, packets, uploaded)


class Household:
    """The devices behind one router. The same seed and the same number of ticks move the same bytes."""

    def __init__(self, devices: list[Device]) -> None:
        self.devices = devices

    @classmethod
    def of(
        cls, devices: int = 10, seed: int = 1, *, busy: bool = False, quiet: bool = False, network: str = "192.168"
    ) -> Household:
        """`devices` machines at `<network>.1.100` and on, the first ten with the names of a family's belongings.

        `busy`: each of them moves something in every tick. `quiet`: none moves anything by itself.
        """
        if not 0 <= devices <= _MOST_DEVICES:
            raise ValueError(f"a household has 0 to {_MOST_DEVICES} devices, not {devices}")
        share = min(1.0, _SHARING_THE_LINE / max(devices, 1))
        made = []
        for index in range(devices):
            name, profile = _DEVICES[index % len(_DEVICES)]
            random = Random(f"{seed}/{index}")  # noqa: S311  # traffic to look at, nothing to keep secret
            mac = _mac(random, index, seed, private=profile.private_mac)
            phases = repeat(Phase(_FOREVER)) if quiet else profile.phases(random, share)
            made.append(Device(mac, _ip(network, index), _name(name, index), _without_rest(phases) if busy else phases))
        return cls(made)

    def run(self, ticks: int) -> Iterator[tuple[Device, Traffic]]:
        """Live through `ticks` ticks; every device that moved something, and what."""
        for device in self.devices:
            traffic = device.run(ticks)
            if traffic.bytes:
                yield device, traffic

    def hand_over(self, ip: str, mac: Mac, name: str) -> None:
        """Give the address `ip` to `mac`; who had it before is gone from the house.

        A stranger's MAC takes over the habits of the one who left, and goes by `name`. ValueError where neither the
        address nor the MAC is anybody's.
        """
        former = next((device for device in self.devices if device.ip == ip), None)
        taker = next((device for device in self.devices if device.mac == mac), None)
        if taker is not None:
            self.devices = [device for device in self.devices if device is taker or device is not former]
            taker.ip = ip
        elif former is not None:
            former.mac, former.name = mac, name
        else:
            raise ValueError(f"nobody has the address {ip}, and nobody is {mac.colons}")


def _without_rest(phases: Iterator[Phase]) -> Iterator[Phase]:
    """The first burst for ever. It never changes, so that thousands of busy devices cost next to nothing."""
    return repeat(next(phases)._replace(ticks=_FOREVER, uploads=True))


def _ticks(random: Random, seconds: tuple[float, float]) -> int:
    return max(1, int(random.uniform(*seconds) / TICK_S))


def _ip(network: str, index: int) -> str:
    third, fourth = divmod(99 + index, 254)
    return f"{network}.{1 + third}.{1 + fourth}"


def _name(name: str, index: int) -> str:
    family = index // len(_DEVICES)
    return f"{name}-{family + 1}" if family else name


def _mac(random: Random, index: int, seed: int, *, private: bool) -> Mac:
    """Never the same twice in a household: an odd factor sends different indexes to different last three octets."""
    first = random.randrange(0, 256, 4) | (0x02 if private else 0)
    tail = (index * 0x9E3779 + seed * 0x3C6EF3) % 2**24
    return Mac.parse(f"{first:02X}{random.randrange(2**16):04X}{tail:06X}")
