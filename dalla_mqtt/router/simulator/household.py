"""Who moves how much: the devices behind a simulated router. Seeded, and without a clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import chain, count, repeat
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from dalla_mqtt.usage.reading import Mac

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TICK_S = 0.25  # exact in binary: adding up ticks never drifts away from the clock
_FOREVER = 2**62
_SHARING_THE_LINE = 10  # so many devices have the rates below; more of them share what ten would take
_MOST_DEVICES = 60_000  # what the last two octets of an address have room for
_MORNING_H = 7  # when days begin to pass: on a Monday
_LATER_H = 2  # by so much on a Saturday or a Sunday
_SATURDAY = 5
_LEASE_H = 2  # so long the router lists a device that has gone
_ADDRESSES = 100  # that the router lends at least, before one comes back that another device had


class Phase(NamedTuple):
    """A stretch of time in which a device moves the same in every tick."""

    ticks: int
    bytes_per_tick: int = 0
    packets_per_tick: int = 0
    uploads: bool = True


class _Stay(NamedTuple):
    """In ticks from Monday's midnight on."""

    start: int
    end: int


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
    private_mac: bool = False  # where days pass, it makes up another one each day
    visits: bool = False  # where days pass, it is there for some hours of each
    activity: str = "000000257644466555567741"  # of each hour of a day, from 0 to 9
    nightly_h: int | None = None  # the hour of a backup or of an update, every other night

    def phases(self, random: Random, share: float) -> Iterator[Phase]:
        """Bursts and rests without end; `share` is the part of the line that this household leaves to a device."""
        uploads = not self.download_first
        while True:
            rate = random.uniform(*self.rate_bytes_per_s) * share
            yield self._burst(_ticks(random, self.burst_s), rate, uploads=uploads)
            yield Phase(_ticks(random, self.idle_s))
            uploads = True

    def phases_of_days(self, random: Random, share: float, stay: _Stay, hour: int) -> Iterator[Phase]:
        """Bursts and rests by the hour of the day, which has `hour` ticks, from the start of `stay` to its end."""
        life = self.phases(random, share)
        now = stay.start
        while now < stay.end:
            end = min(now - now % hour + hour, stay.end)
            active = self._active_in(now // hour)
            if now // hour % 24 == self.nightly_h and random.random() < 1 / 2:
                yield self._burst(end - now, self.rate_bytes_per_s[1] * share)
            elif not active:
                yield Phase(end - now)
            else:
                yield from _stretched(life, 9 / active, end - now)
            now = end

    def _burst(self, ticks: int, rate_bytes_per_s: float, *, uploads: bool = True) -> Phase:
        size = max(1, int(rate_bytes_per_s * TICK_S))
        return Phase(ticks, size, size // self.packet_bytes + 1, uploads)

    def _active_in(self, hour: int) -> int:
        """How active it is in an hour, counted from Monday's midnight."""
        later = _LATER_H if hour // 24 % 7 >= _SATURDAY else 0
        return int(self.activity[(hour - later) % 24])


_PHONE = Profile((10e3, 600e3), burst_s=(1, 8), idle_s=(2, 15), private_mac=True, activity="110000379544464555667752")
_GUEST = replace(_PHONE, visits=True)
_LAPTOP = Profile((30e3, 1.5e6), burst_s=(2, 20), idle_s=(1, 12), nightly_h=3)
_TABLET = Profile((20e3, 500e3), burst_s=(2, 15), idle_s=(3, 20))
_TV = Profile(
    (300e3, 1.5e6),
    burst_s=(3, 10),
    idle_s=(1, 6),
    packet_bytes=1300,
    download_first=True,
    activity="000000022111222111356995",
)
_CONSOLE = Profile(
    (40e3, 800e3),
    burst_s=(5, 30),
    idle_s=(4, 25),
    packet_bytes=400,
    activity="000000000000001368877641",
    nightly_h=4,
)
_PRINTER = Profile((200, 4e3), burst_s=(1, 3), idle_s=(10, 40), packet_bytes=200, activity="000000011222111211110000")

_DEVICES = (
    ("alices-phone", _PHONE),
    ("alices-laptop", _LAPTOP),
    ("bobs-phone", _PHONE),
    ("bobs-laptop", _LAPTOP),
    ("bobs-tv", _TV),
    ("kitchen-tablet", _TABLET),
    ("living-room-tv", _TV),
    ("games-console", _CONSOLE),
    ("guest-phone", _GUEST),
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
                self._begin()
            spent = min(ticks, self._left)
            ticks -= spent
            self._left -= spent
            if self._phase.bytes_per_tick:
                size += spent * self._phase.bytes_per_tick
                packets += spent * self._phase.packets_per_tick
                uploaded = uploaded or self._phase.uploads
        return Traffic(size, packets, uploaded)

    def steady_ticks(self) -> int:
        """For how many ticks from now on it moves the same in each."""
        if not self._left:
            self._begin()
        return self._left

    def _begin(self) -> None:
        """The next phase."""
        self._phase = next(self._phases)
        self._left = self._phase.ticks


class Household:
    """The devices behind one router, as its leases list them.

    The same seed and the same number of ticks move the same bytes.
    """

    def __init__(self, devices: list[Device], now: int = 0) -> None:
        self.devices = devices
        self._now = now
        self._plans: list[tuple[int, int, Callable[[], None]]] = []  # a heap
        self._numbers = count()

    @classmethod
    def of(  # noqa: PLR0913  # all but the first two are named at the call and have a default
        cls,
        devices: int = 10,
        seed: int = 1,
        *,
        busy: bool = False,
        quiet: bool = False,
        day_s: float | None = None,
        network: str = "192.168",
    ) -> Household:
        """`devices` machines at `<network>.1.100` and on, the first ten with the names of a family's belongings.

        `busy`: each of them moves something in every tick. `quiet`: none moves anything by itself. `day_s`: they live
        by day and night, and a day lasts so many seconds (six at least, in whole ticks an hour); guests come and go,
        and phones change their MAC and address.
        """
        most = _MOST_DEVICES if day_s is None else _MOST_DEVICES // 2  # who comes anew has an address of its own
        if not 0 <= devices <= most:
            raise ValueError(f"a household has 0 to {most} devices, not {devices}")
        share = min(1.0, _SHARING_THE_LINE / max(devices, 1))
        if day_s is not None:
            return _Days(devices, seed, share, max(1, round(day_s / 24 / TICK_S)), network).household
        made = []
        for index in range(devices):
            name, profile = _DEVICES[index % len(_DEVICES)]
            random = Random(f"{seed}/{index}")  # noqa: S311  # traffic to look at, nothing to keep secret
            mac = _mac(random, index, seed, private=profile.private_mac)
            phases = repeat(Phase(_FOREVER)) if quiet else profile.phases(random, share)
            made.append(Device(mac, _ip(network, index), _name(name, index), _without_rest(phases) if busy else phases))
        return cls(made)

    def plan(self, tick: int, do: Callable[[], None]) -> None:
        """Do it when that tick has come, which may be now; what is planned for the same tick is done in this order."""
        heappush(self._plans, (tick, next(self._numbers), do))

    def run(self, ticks: int) -> Iterator[tuple[Device, Traffic]]:
        """Live through `ticks` ticks; every device that moved something, and what, in stretches between two plans."""
        end = self._now + ticks
        while self._plans and self._plans[0][0] <= end:
            tick, _, do = heappop(self._plans)
            yield from self._live(tick - self._now)
            do()
        yield from self._live(end - self._now)

    def steady_ticks(self) -> int:
        """For so many ticks from now on, one at least, each device moves the same in every tick, and none comes."""
        until_plan = self._plans[0][0] - self._now if self._plans else _FOREVER
        return max(1, min([until_plan, *(device.steady_ticks() for device in self.devices)]))

    def _live(self, ticks: int) -> Iterator[tuple[Device, Traffic]]:
        if not ticks:
            return
        self._now += ticks
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


@dataclass(slots=True)
class _Member:
    """One of a household that lives by day and night; `stays` are still to come."""

    index: int
    mac: Mac
    stays: Iterator[_Stay]


class _Days:
    """Who is in the house at which hours, under which MAC and address. An hour has `hour` ticks."""

    def __init__(self, devices: int, seed: int, share: float, hour: int, network: str) -> None:
        self.household = Household([], now=_MORNING_H * hour)
        self._seed = seed
        self._share = share
        self._hour = hour
        self._made_up = count(devices)  # the numbers of the MACs that phones make up
        self._addresses = deque(_ip(network, index) for index in range(max(_ADDRESSES, 2 * devices)))
        self._addresses.rotate(-devices)
        for index in range(devices):
            _, profile = _DEVICES[index % len(_DEVICES)]
            random = self._random(index)
            mac = _mac(random, index, seed, private=profile.private_mac)
            member = _Member(index, mac, self._stays(profile, random))
            if profile.visits:
                self._await(member)
            else:
                self._let_in(member, next(member.stays), _ip(network, index))

    def _stays(self, profile: Profile, random: Random) -> Iterator[_Stay]:
        """A guest's visits; or the times for which a phone keeps its MAC; or all of the time."""
        start = _MORNING_H * self._hour
        if not profile.private_mac:
            yield _Stay(start, _FOREVER)
            return
        for midnight_h in count(0, 24):
            if profile.visits:
                start = int((midnight_h + random.uniform(14, 18)) * self._hour)
                yield _Stay(start, start + int(random.uniform(2, 6) * self._hour))
            else:
                end = int((midnight_h + random.uniform(8, 20)) * self._hour)
                yield _Stay(start, end)
                start = end

    def _await(self, member: _Member) -> None:
        stay = next(member.stays)
        self.household.plan(stay.start, lambda: self._let_in(member, stay, self._free_address()))

    def _let_in(self, member: _Member, stay: _Stay, ip: str) -> None:
        name, profile = _DEVICES[member.index % len(_DEVICES)]
        phases = profile.phases_of_days(self._random(member.index, stay.start), self._share, stay, self._hour)
        device = Device(member.mac, ip, _name(name, member.index), chain(phases, repeat(Phase(_FOREVER))))
        self.household.devices.append(device)
        if not profile.private_mac:
            return
        self.household.plan(stay.end + _LEASE_H * self._hour, lambda: self._forget(device))
        if not profile.visits:
            number = next(self._made_up)
            member.mac = _mac(self._random(number), number, self._seed, private=True)
        self._await(member)

    def _forget(self, device: Device) -> None:
        """Its lease is over; an order may have put it out of the house before."""
        if device in self.household.devices:
            self.household.devices.remove(device)

    def _free_address(self) -> str:
        """The one that was lent the longest time ago, or never."""
        lent = {device.ip for device in self.household.devices}
        ip = next(ip for ip in self._addresses if ip not in lent)
        self._addresses.remove(ip)
        self._addresses.append(ip)
        return ip

    def _random(self, *what: int) -> Random:
        return Random("/".join(map(str, (self._seed, *what))))  # noqa: S311  # as above


def _stretched(life: Iterator[Phase], rests: float, ticks: int) -> Iterator[Phase]:
    """The next `ticks` ticks of a life, whose rests last `rests` times as long."""
    while ticks:
        phase = next(life)
        spent = min(ticks, phase.ticks if phase.bytes_per_tick else max(1, int(phase.ticks * rests)))
        yield phase._replace(ticks=spent)
        ticks -= spent


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
