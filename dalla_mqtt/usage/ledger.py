"""Readings in, usage out: what is new is booked to devices, users and the total, by day, period and tariff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.usage.counters import Cause, Counter, Event, Movement, Sight, follow
from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.reading import Mac, Reading
from dalla_mqtt.usage.tariff import Span, Tariff, divide

_CAUSES = list(Cause)


class Series(Struct, frozen=True):
    """The figures of a device, a user or the total, in bytes; `rate` in bytes per second over the last interval.

    `on_peak` and `off_peak` run through the billing period, `today` through the local day. `changed_at`: when a figure
    last changed, UTC epoch seconds. While none changes, the ledger keeps the very same object.
    """

    usage: int = 0
    delta: int = 0
    rate: int = 0
    on_peak: int = 0
    off_peak: int = 0
    today: int = 0
    cause: Cause = Cause.NORMAL
    changed_at: float = 0


class Device(Struct, frozen=True):
    """A MAC, where and whose it is. `present`: it has a row in the router's table."""

    mac: Mac
    ip: str
    hostname: str | None
    user: str
    present: bool
    first_seen: float
    last_active: float | None  # None until it moved something
    series: Series


class Ledger(Struct, frozen=True):
    """All that is known after a reading. Devices, users with UNKNOWN, and total add up alike, figure by figure."""

    at: float | None = None  # of the last reading, UTC epoch seconds
    uptime_s: int | None = None
    wide: bool = False  # the router's byte counters have 64 bits
    day: date | None = None  # the local day and the billing period to which `today`, `on_peak` and `off_peak` belong
    period: date | None = None
    counters: dict[str, Counter] = {}  # by address
    devices: dict[Mac, Device] = {}
    users: dict[str, Series] = {}
    total: Series = Series()


class Rules(Struct, frozen=True):
    """What the ledger goes by. `interval_s`: between two polls; `line_rate`: bytes a second that the line can do."""

    people: People
    tariff: Tariff
    interval_s: float
    line_rate: float


@dataclass(slots=True)
class _Booking:
    """What one reading adds to one series."""

    start: int = 0
    delta: int = 0
    on_peak: int = 0
    off_peak: int = 0
    today: int = 0
    cause: Cause = Cause.NORMAL
    ip: str | None = None  # of the row that moved most
    most: int = -1

    def add(self, other: _Booking) -> None:
        self.start += other.start
        self.delta += other.delta
        self.on_peak += other.on_peak
        self.off_peak += other.off_peak
        self.today += other.today
        if other.cause is not self.cause:
            self.cause = max(self.cause, other.cause, key=_CAUSES.index)


_NOTHING = _Booking()


@dataclass(slots=True)
class _Moment:
    """One reading on its way into the ledger."""

    before: Ledger
    rules: Rules
    at: float
    elapsed_s: float
    now: Span
    names: Mapping[Mac, str]
    bookings: dict[Mac, _Booking] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    spans: dict[float, tuple[Span, ...]] = field(default_factory=dict)


def account(
    before: Ledger, reading: Reading, rules: Rules, *, at: float, elapsed_s: float
) -> tuple[Ledger, tuple[Event, ...]]:
    """The ledger after `reading`, taken at `at` (UTC epoch seconds), `elapsed_s` seconds after the one before."""
    sight = Sight(
        reading,
        before.counters,
        at,
        before.at,
        elapsed_s,
        rules.interval_s,
        rules.line_rate,
        before.wide,
        before.uptime_s,
    )
    counters = follow(sight)
    names = {host.mac: host.name for host in reading.hosts if host.name}
    moment = _Moment(before, rules, at, elapsed_s, rules.tariff.span_at(at), names, events=sight.events)
    for movement in sight.movements:
        _book(moment, movement)
    devices = _book_devices(moment)
    users = _book_users(moment, devices)
    whole = _Booking()
    for booking in moment.bookings.values():
        whole.add(booking)
    total = _advance(before.total, whole, moment)
    now = moment.now
    ledger = Ledger(at, reading.info.uptime_s, sight.wide, now.day, now.period, counters, devices, users, total)
    return ledger, tuple(moment.events)


def _book(moment: _Moment, movement: Movement) -> None:
    """A delta divided in proportion to time; what belongs to an earlier day or period counts in usage alone."""
    booking = _Booking(movement.start, movement.delta, cause=movement.cause)
    if movement.delta:
        spans = moment.spans.get(movement.since)
        if spans is None:
            spans = moment.spans[movement.since] = moment.rules.tariff.spans(movement.since, moment.at)
        for span, share in zip(spans, divide(movement.delta, spans), strict=True):
            _divide(moment.now, span, share, booking)
    collected = moment.bookings.setdefault(movement.mac, _Booking())
    collected.add(booking)
    if movement.delta > collected.most:
        collected.most, collected.ip = movement.delta, movement.ip


def _divide(now: Span, span: Span, share: int, booking: _Booking) -> None:
    if span.period == now.period:
        if span.off_peak:
            booking.off_peak += share
        else:
            booking.on_peak += share
    if span.day == now.day:
        booking.today += share


def _book_devices(moment: _Moment) -> dict[Mac, Device]:
    devices = dict(moment.before.devices)
    for mac, device in moment.before.devices.items():
        if mac not in moment.bookings:
            devices[mac] = _update(moment, device, None)
    for mac, booking in moment.bookings.items():
        known = devices.get(mac)
        devices[mac] = _meet(moment, mac, booking) if known is None else _update(moment, known, booking)
    return devices


def _meet(moment: _Moment, mac: Mac, booking: _Booking) -> Device:
    assert booking.ip is not None
    name = moment.names.get(mac)
    if moment.before.at is not None:
        called = f" ({name})" if name else ""
        text = f"new device {mac.colons}{called} at {booking.ip}"
        moment.events.append(Event("new_device", text, mac.colons, booking.ip, booking.delta))
    return Device(
        mac=mac,
        ip=booking.ip,
        hostname=name,
        user=moment.rules.people.owner(mac, name),
        present=True,
        first_seen=moment.at,
        last_active=moment.at if booking.delta else None,
        series=_advance(Series(), booking, moment),
    )


def _update(moment: _Moment, device: Device, booking: _Booking | None) -> Device:
    """The device after the reading: the very same object where nothing about it changed."""
    hostname = moment.names.get(device.mac) or device.hostname
    active_at = booking.ip if booking and booking.delta else None
    after = Device(
        mac=device.mac,
        ip=active_at or device.ip,
        hostname=hostname,
        user=moment.rules.people.owner(device.mac, hostname),
        present=booking is not None,
        first_seen=device.first_seen,
        last_active=moment.at if active_at else device.last_active,
        series=_advance(device.series, booking or _NOTHING, moment),
    )
    return device if after == device else after


def _book_users(moment: _Moment, devices: Mapping[Mac, Device]) -> dict[str, Series]:
    bookings = {name: _Booking() for name in (*moment.rules.people.names, UNKNOWN, *moment.before.users)}
    for mac, booking in moment.bookings.items():
        bookings[devices[mac].user].add(booking)
    return {
        name: _advance(moment.before.users.get(name, Series()), booking, moment) for name, booking in bookings.items()
    }


def _advance(series: Series, booking: _Booking, moment: _Moment) -> Series:
    new_day = moment.now.day != moment.before.day
    new_period = moment.now.period != moment.before.period
    measured = booking.delta and moment.elapsed_s > 0
    after = Series(
        usage=series.usage + booking.start + booking.delta,
        delta=booking.delta,
        rate=round(booking.delta / moment.elapsed_s) if measured else 0,
        on_peak=(0 if new_period else series.on_peak) + booking.on_peak,
        off_peak=(0 if new_period else series.off_peak) + booking.off_peak,
        today=(0 if new_day else series.today) + booking.today,
        cause=booking.cause,
        changed_at=series.changed_at or moment.at,
    )
    return series if after == series else replace(after, changed_at=moment.at)
