"""A household whose router is read, and whose ledger must add up after every reading."""

from collections import defaultdict
from datetime import UTC, date, datetime
from math import ceil

from msgspec.structs import replace

from dalla_mqtt.usage.counters import Cause
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import TOTAL, Device, Key, Ledger, Moved, Rules, Series, account
from dalla_mqtt.usage.people import People
from dalla_mqtt.usage.reading import Host, Mac, Reading, RouterInfo, Row
from dalla_mqtt.usage.tariff import Tariff, Window

PHONE = Mac("CB-BD-AB-90-2D-38")
LAPTOP = Mac("F8-B1-56-C1-22-11")
TV = Mac("00-25-9C-11-22-33")
IP, IP2, IP3 = "192.168.1.100", "192.168.1.101", "192.168.1.102"
FAMILY = People(("Alice", "Bob"), {PHONE: "Alice"}, (("bobs-*", "Bob"),))
NIGHTS = Tariff(off_peak=(Window.parse("00:00-06:00"),))
GIB = 2**30
WRAP = 2**32


def utc(day: int, hour: int, minute: int = 0, second: int = 0, month: int = 11) -> float:
    return datetime(2026, month, day, hour, minute, second, tzinfo=UTC).timestamp()


def row(counter: int, *, packets: int | None = None, mac: Mac | None = PHONE, ip: str = IP) -> Row:
    """A row of the router's table; its packets are of 500 bytes where nothing else is said."""
    return Row(ip, mac, ceil(counter / 500) if packets is None else packets, counter)


class Days:
    """What was booked to each day, as a store remembers it."""

    def __init__(self) -> None:
        self._shares: dict[tuple[date, Key], tuple[int, int]] = {}

    def keep(self, ledger: Ledger) -> None:
        for day, key, on_peak, off_peak in ledger.shares:
            on_before, off_before = self._shares.get((day, key), (0, 0))
            self._shares[day, key] = (on_before + on_peak, off_before + off_peak)

    def moved(self, first: date, last: date) -> Moved:
        sums: dict[Key, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for (day, key), (on_peak, off_peak) in self._shares.items():
            if first <= day <= last:
                sums[key] = (sums[key][0] + on_peak, sums[key][1] + off_peak)
        return dict(sums)


class House:
    """A household's ledger. Every reading is taken a minute after the one before, where nothing else is said."""

    def __init__(
        self,
        people: People = FAMILY,
        tariff: Tariff = NIGHTS,
        at: float = utc(24, 12),
        *,
        uptime_s: int | None = 1_000_000,
        line_rate: float = 125e6,
    ) -> None:
        self.ledger = Ledger()
        self.days = Days()
        self.rules = Rules(people, tariff, interval_s=60, line_rate=line_rate, moved=self.days.moved)
        self.at = at
        self.uptime_s = uptime_s

    def reads(
        self,
        *rows: Row,
        after: int = 60,
        elapsed_s: float | None = None,
        clock_jumps: float = 0,
        hosts: tuple[Host, ...] = (),
    ) -> tuple[Event, ...]:
        """Take a reading, `after` seconds; `elapsed_s`: what this machine takes them for, if not the same."""
        if self.ledger.at is not None:
            self.at += after + clock_jumps
            self.uptime_s = None if self.uptime_s is None else self.uptime_s + after
        reading = Reading(rows, hosts, RouterInfo(uptime_s=self.uptime_s))
        before = self.ledger.total.usage
        elapsed_s = after if elapsed_s is None else elapsed_s
        self.ledger, events = account(self.ledger, reading, self.rules, at=self.at, elapsed_s=elapsed_s)
        self.keep()
        for figure in ("usage", "delta", "on_peak", "off_peak", "today"):
            devices = sum(getattr(device.series, figure) for device in self.ledger.devices.values())
            users = sum(getattr(series, figure) for series in self.ledger.users.values())
            assert devices == users == getattr(self.total, figure), figure
        assert self.total.usage >= before
        return events

    def reboots(self, *rows: Row, uptime_s: int = 30, after: int = 60) -> tuple[Event, ...]:
        """Take a reading `uptime_s` after the router has started again."""
        self.uptime_s = uptime_s - after
        return self.reads(*rows, after=after)

    def keep(self) -> None:
        """Remember what was booked."""
        self.days.keep(self.ledger)

    def moved(self, first: float, last: float | None = None, key: Key = TOTAL) -> tuple[int, int]:
        """What is on record for the days from that of `first` to that of `last`: on-peak and off-peak."""
        days = (self.rules.tariff.local(at).date() for at in (first, first if last is None else last))
        return self.days.moved(*days).get(key, (0, 0))

    def belongs_to(self, people: People) -> None:
        self.rules = replace(self.rules, people=people)

    def device(self, mac: Mac = PHONE) -> Device:
        return self.ledger.devices[mac]

    def of(self, mac: Mac = PHONE) -> Series:
        return self.ledger.devices[mac].series

    def user(self, name: str) -> Series:
        return self.ledger.users[name]

    @property
    def total(self) -> Series:
        return self.ledger.total


def counted(series: Series) -> tuple[int, int, Cause]:
    return series.usage, series.delta, series.cause


def parts(series: Series) -> tuple[int, int, int]:
    return series.on_peak, series.off_peak, series.today
