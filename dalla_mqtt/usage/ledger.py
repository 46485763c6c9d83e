"""Readings in, usage out: what is new is booked to devices, users and the total, by day, period and tariff."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.usage.counters import Cause, Counter, Movement, Sight, follow
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.reading import NOWHERE, Link, Mac, Reading
from dalla_mqtt.usage.tariff import Span, Tariff, divide

_CAUSES = list(Cause)


Kind = Literal["device", "user", "total"]


class Key(NamedTuple):
    """Whose figures: a device's by its MAC with dashes, a user's by name, or the total's, which has none."""

    kind: Kind
    name: str


TOTAL = Key("total", "")
Moved = Mapping[Key, tuple[int, int]]  # bytes on-peak and off-peak
MovedIn = Callable[[date, date], Moved]  # in the local days from a first to a last one


class DayShare(NamedTuple):
    """What a reading adds to one local day of one series, in bytes."""

    day: date
    key: Key
    on_peak: int
    off_peak: int


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
    """A MAC, where and whose it is. `present`: it has a row in the router's table. `name`: given by its household."""

    mac: Mac
    ip: str
    hostname: str | None
    user: str
    present: bool
    first_seen: float
    last_active: float | None  # None until it moved something
    series: Series
    name: str | None = None
    link: Link | None = None  # as the router said last

    @property
    def called(self) -> str:
        """What people call it: as they named it, or as it calls itself, or else its MAC."""
        return self.name or self.hostname or self.mac.colons


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
    anew: bool = False  # figures come from files, and not all counters were found since from which they go on
    began: float | None = None  # when counting began here; None before the first reading
    imported: tuple[tuple[int, int], ...] = ()  # first and last second of what was brought in from elsewhere
    shares: tuple[DayShare, ...] = ()  # what the last reading added to which day

    @property
    def since(self) -> float | None:
        """Since when there are records, be they counted here or brought in; None before the first."""
        return min((start for start, _ in self.imported), default=self.began)


def nothing_moved(_first: date, _last: date) -> Moved:
    """The days of a household that was never counted before."""
    return {}


class Rules(Struct, frozen=True):
    """What the ledger goes by. `interval_s`: between two polls; `line_rate`: bytes a second that the line can do.

    `moved` tells what is on record for the local days from a first to a last one. It is asked where another day or
    billing period begins, or is there again because this machine's clock was set back.
    """

    people: People
    tariff: Tariff
    interval_s: float
    line_rate: float
    moved: MovedIn = nothing_moved


@dataclass(slots=True)
class _Booking:
    """What one reading adds to one series."""

    start: int = 0
    delta: int = 0
    on_peak: int = 0  # of this billing period
    off_peak: int = 0
    days: dict[date, tuple[int, int]] = field(default_factory=dict)  # on-peak and off-peak, of any period
    cause: Cause = Cause.NORMAL
    ip: str | None = None  # of the row that moved most
    most: int = -1

    def add(self, other: _Booking) -> None:
        self.start += other.start
        self.delta += other.delta
        self.on_peak += other.on_peak
        self.off_peak += other.off_peak
        for day, (on_peak, off_peak) in other.days.items():
            self.put(day, on_peak, off_peak)
        if other.cause is not self.cause:
            self.cause = max(self.cause, other.cause, key=_CAUSES.index)

    def put(self, day: date, on_peak: int, off_peak: int) -> None:
        on_before, off_before = self.days.get(day, (0, 0))
        self.days[day] = (on_before + on_peak, off_before + off_peak)


_NOTHING = _Booking()


class Moment(Struct, frozen=True):
    """When something was read: `at` is UTC epoch seconds, `elapsed_s` the time since the reading before."""

    at: float
    elapsed_s: float
    names: Mapping[Mac, str] = {}  # what devices call themselves
    links: Mapping[Mac, Link] = {}  # how they are connected


@dataclass(slots=True)
class _Record:
    """What was moved on its way into the ledger."""

    before: Ledger
    rules: Rules
    moment: Moment
    now: Span
    bookings: dict[Mac, _Booking] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    spans: dict[float, tuple[Span, ...]] = field(default_factory=dict)


def account(
    before: Ledger, reading: Reading, rules: Rules, *, at: float, elapsed_s: float
) -> tuple[Ledger, tuple[Event, ...]]:
    """The ledger after `reading`, taken at `at` (UTC epoch seconds), `elapsed_s` seconds after the one before."""
    uptime_s = reading.info.uptime_s
    since, uptime_before_s = before.at, before.uptime_s
    first = before.anew and not before.counters
    if first and uptime_s is not None and _began_since(reading, uptime_s, rules, elapsed_s):
        uptime_before_s = uptime_s + 1
    elif first:
        since = None
    sight = Sight(
        reading,
        before.counters,
        at,
        since,
        0.0 if since is None else elapsed_s,
        rules.interval_s,
        rules.line_rate,
        before.wide,
        uptime_before_s,
    )
    counters = follow(sight)
    if first and since is None:
        counters = {ip: replace(counter, held_start=0) for ip, counter in counters.items()}
    names = {host.mac: host.name for host in reading.hosts if host.name}
    links = {host.mac: host.link for host in reading.hosts if host.link}
    ledger, events = book(before, sight.movements, rules, Moment(at, elapsed_s, names, links))
    anew = before.anew and any(_not_found(counter) for counter in counters.values())
    ledger = replace(
        ledger,
        uptime_s=uptime_s,
        wide=sight.wide,
        counters=counters,
        anew=anew,
        began=at if before.began is None else before.began,
        imported=before.imported,
    )
    return ledger, (*sight.events, *events)


def _began_since(reading: Reading, uptime_s: int, rules: Rules, elapsed_s: float) -> bool:
    """Whether all that the router shows was counted in the last `elapsed_s` seconds."""
    possible = rules.line_rate * uptime_s
    return uptime_s < elapsed_s and all(row.packets != 0 and row.bytes <= possible for row in reading.rows)


def _not_found(counter: Counter) -> bool:
    """Whether the row was never believed yet. One that counts no packets may well show zeros."""
    return counter.doubt is not None and counter.doubt.packets is not None and not counter.packets


def owned(ledger: Ledger, people: People) -> Ledger:
    """`ledger` with each device given to whom it now belongs; what it moved before stays where it was booked."""
    devices = {
        mac: device if (user := people.owner(mac, device.hostname)) == device.user else replace(device, user=user)
        for mac, device in ledger.devices.items()
    }
    return replace(ledger, devices=devices)


def book(
    before: Ledger, movements: Iterable[Movement], rules: Rules, moment: Moment
) -> tuple[Ledger, tuple[Event, ...]]:
    """The ledger after what was moved up to `moment`, whichever way that is known."""
    now = rules.tariff.span_at(moment.at)
    before = _turned(before, rules, now)
    record = _Record(before, rules, moment, now)
    for movement in movements:
        _book(record, movement)
    devices = _book_devices(record)
    by_user, whole = _summed(record, devices)
    users = {name: _advance(before.users.get(name, Series()), booking, record) for name, booking in by_user.items()}
    total = _advance(before.total, whole, record)
    shares = tuple(_shares(record.bookings, by_user, whole))
    ledger = Ledger(
        at=moment.at,
        day=now.day,
        period=now.period,
        devices=devices,
        users=users,
        total=total,
        shares=shares,
    )
    return ledger, tuple(record.events)


def _turned(ledger: Ledger, rules: Rules, now: Span) -> Ledger:
    """`ledger` with the figures of the day and the billing period that are now; the very same where it has them."""
    if ledger.at is None or (ledger.day, ledger.period) == (now.day, now.period):
        return ledger
    period = rules.moved(now.period, rules.tariff.last_day(now.period))
    today = rules.moved(now.day, now.day)

    def turn(key: Key, series: Series) -> Series:
        on_peak, off_peak = period.get(key, (0, 0))
        figures = on_peak, off_peak, sum(today.get(key, (0, 0)))
        if figures == (series.on_peak, series.off_peak, series.today):
            return series
        return replace(series, on_peak=figures[0], off_peak=figures[1], today=figures[2], changed_at=now.start)

    devices = {
        mac: device
        if (turned := turn(Key("device", mac.dashed), device.series)) is device.series
        else replace(device, series=turned)
        for mac, device in ledger.devices.items()
    }
    users = {name: turn(Key("user", name), series) for name, series in ledger.users.items()}
    return replace(ledger, devices=devices, users=users, total=turn(TOTAL, ledger.total))


def _book(record: _Record, movement: Movement) -> None:
    """A delta divided in proportion to time. A device that is known from files has its starting value."""
    start = 0 if record.before.anew and movement.mac in record.before.devices else movement.start
    booking = _Booking(start, movement.delta, cause=movement.cause)
    if movement.delta:
        spans = record.spans.get(movement.since)
        if spans is None:
            spans = record.spans[movement.since] = record.rules.tariff.spans(movement.since, record.moment.at)
        for span, share in zip(spans, divide(movement.delta, spans), strict=True):
            _divide(record.now, span, share, booking)
    collected = record.bookings.setdefault(movement.mac, _Booking())
    collected.add(booking)
    if movement.delta > collected.most:
        collected.most, collected.ip = movement.delta, movement.ip


def _divide(now: Span, span: Span, share: int, booking: _Booking) -> None:
    if not share:
        return
    on_peak, off_peak = (0, share) if span.off_peak else (share, 0)
    booking.put(span.day, on_peak, off_peak)
    if span.period == now.period:
        booking.on_peak += on_peak
        booking.off_peak += off_peak


def _book_devices(record: _Record) -> dict[Mac, Device]:
    devices = dict(record.before.devices)
    for mac, device in record.before.devices.items():
        if mac not in record.bookings:
            devices[mac] = _update(record, device, None)
    for mac, booking in record.bookings.items():
        known = devices.get(mac)
        devices[mac] = _meet(record, mac, booking) if known is None else _update(record, known, booking)
    return devices


def _meet(record: _Record, mac: Mac, booking: _Booking) -> Device:
    assert booking.ip is not None
    name = record.moment.names.get(mac)
    if record.before.at is not None:
        called = f" ({name})" if name else ""
        text = f"new device {mac.colons}{called} at {booking.ip}"
        record.events.append(Event("new_device", text, mac.colons, booking.ip, booking.delta))
    return Device(
        mac=mac,
        ip=booking.ip,
        hostname=name,
        user=record.rules.people.owner(mac, name),
        present=True,
        first_seen=record.moment.at,
        last_active=record.moment.at if booking.delta else None,
        series=_advance(Series(), booking, record),
        link=record.moment.links.get(mac),
    )


def _update(record: _Record, device: Device, booking: _Booking | None) -> Device:
    """The device after the reading: the very same object where nothing about it changed."""
    hostname = record.moment.names.get(device.mac) or device.hostname
    active_at = booking.ip if booking and booking.delta else None
    ip = active_at if active_at != NOWHERE else None
    after = Device(
        mac=device.mac,
        ip=ip or device.ip,
        hostname=hostname,
        user=record.rules.people.owner(device.mac, hostname),
        present=booking is not None,
        first_seen=device.first_seen,
        last_active=record.moment.at if active_at else device.last_active,
        series=_advance(device.series, booking or _NOTHING, record),
        name=device.name,
        link=record.moment.links.get(device.mac) or device.link,
    )
    return device if after == device else after


def _summed(record: _Record, devices: Mapping[Mac, Device]) -> tuple[dict[str, _Booking], _Booking]:
    """What the devices add to each user, and to the total."""
    users = {name: _Booking() for name in (*record.rules.people.names, UNKNOWN, *record.before.users)}
    whole = _Booking()
    for mac, booking in record.bookings.items():
        users[devices[mac].user].add(booking)
        whole.add(booking)
    return users, whole


def _shares(devices: Mapping[Mac, _Booking], users: Mapping[str, _Booking], whole: _Booking) -> Iterator[DayShare]:
    bookings = [(Key("device", mac.dashed), booking) for mac, booking in devices.items()]
    bookings += [(Key("user", name), booking) for name, booking in users.items()]
    for key, booking in (*bookings, (TOTAL, whole)):
        for day, (on_peak, off_peak) in booking.days.items():
            yield DayShare(day, key, on_peak, off_peak)


def _advance(series: Series, booking: _Booking, record: _Record) -> Series:
    measured = booking.delta and record.moment.elapsed_s > 0
    after = Series(
        usage=series.usage + booking.start + booking.delta,
        delta=booking.delta,
        rate=round(booking.delta / record.moment.elapsed_s) if measured else 0,
        on_peak=series.on_peak + booking.on_peak,
        off_peak=series.off_peak + booking.off_peak,
        today=series.today + sum(booking.days.get(record.now.day, (0, 0))),
        cause=booking.cause,
        changed_at=series.changed_at or record.moment.at,
    )
    return series if after == series else replace(after, changed_at=record.moment.at)
