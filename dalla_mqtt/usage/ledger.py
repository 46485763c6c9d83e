"""Readings in, usage out: starting values, deltas, and what a falling counter means.

The router's rows are counters in its memory, keyed by address. The ledger follows the rows and books to the MAC that a
row shows. What it decides for a row, first line that fits (sources: docs/router.md, "How the router counts"):

| the row                                                   | delta            | cause           |
|-----------------------------------------------------------|------------------|-----------------|
| any, in the first reading ever                            | none, a start    | `first_seen`    |
| any, when the router has restarted since the last reading | its counter      | `router_reboot` |
| was never there: the router made it since                 | its counter      | `newcomer`      |
| bytes did not fall, nor did packets (*)                   | the difference   | `normal`, `gap` |
| bytes fell, packets did not, a wrap at 2**32 is plausible | over the wrap    | `counter_wrap`  |
| anything else: the counter was set to zero                | its counter      | `counter_reset` |

(*) Packets too few to carry the bytes that a row shows have wrapped; they say nothing.

A row that is missing is missing: it is remembered, and its bytes are booked when it is back. While a row shows no MAC
its bytes are held, and booked to the first MAC that it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.reading import Mac, Reading, Row
from dalla_mqtt.usage.tariff import Span, Tariff, divide

_WRAP = 2**32  # totalBytes of old firmware; docs/router.md, "Wrap and reset"
_LARGEST_PACKET = 1600  # 1500 bytes of IP, 18 of Ethernet as the router counts them, and some for VLAN and jumbo starts
_SMALLEST_PACKET = 40  # an IP header and a TCP header
_RATE_TOLERANCE = 1.02  # vnStat's: a measured interval is never quite the true one
_UPTIME_SLACK_S = 5  # the router's uptime is in whole seconds, and its answer takes time
GAP = 1.5  # intervals without a reading, from which on one was missed


class Cause(StrEnum):
    """Why a delta is what it is, the most ordinary first."""

    NORMAL = "normal"
    GAP = "gap"
    FIRST_SEEN = "first_seen"
    NEWCOMER = "newcomer"
    COUNTER_WRAP = "counter_wrap"
    COUNTER_RESET = "counter_reset"
    ROUTER_REBOOT = "router_reboot"


_CAUSES = list(Cause)


class Counter(Struct, frozen=True):
    """What a row of the router showed last, all of which is booked or held."""

    mac: Mac | None
    packets: int
    bytes: int
    missing_since: float | None = None  # None while the row is in the router's table
    held_start: int = 0  # a starting value and a delta that wait for a MAC
    held: int = 0


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


class Event(Struct, frozen=True):
    """What is out of the ordinary in a reading; `text` is for people."""

    event: str
    text: str
    mac: str | None = None
    ip: str | None = None
    bytes: int | None = None


class Ledger(Struct, frozen=True):
    """All that is known after a reading. Devices, users with UNKNOWN, and total add up alike, figure by figure."""

    at: float | None = None  # of the last reading, UTC epoch seconds
    uptime_s: int | None = None
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
    reading: Reading
    rules: Rules
    at: float
    elapsed_s: float
    now: Span
    rebooted: bool
    names: Mapping[Mac, str]
    bookings: dict[Mac, _Booking] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    spans: dict[float, tuple[Span, ...]] = field(default_factory=dict)


def account(
    before: Ledger, reading: Reading, rules: Rules, *, at: float, elapsed_s: float
) -> tuple[Ledger, tuple[Event, ...]]:
    """The ledger after `reading`, taken at `at` (UTC epoch seconds), `elapsed_s` seconds after the one before."""
    moment = _Moment(
        before,
        reading,
        rules,
        at,
        elapsed_s,
        now=rules.tariff.span_at(at),
        rebooted=before.at is not None and _rebooted(before, reading, elapsed_s),
        names={host.mac: host.name for host in reading.hosts if host.name},
    )
    if moment.rebooted:
        moment.events.append(Event("router_reboot", f"the router restarted {reading.info.uptime_s} s ago"))
    counters = _follow_rows(moment)
    devices = _book_devices(moment)
    users = _book_users(moment, devices)
    whole = _Booking()
    for booking in moment.bookings.values():
        whole.add(booking)
    total = _advance(before.total, whole, moment)
    ledger = Ledger(at, reading.info.uptime_s, moment.now.day, moment.now.period, counters, devices, users, total)
    return ledger, tuple(moment.events)


def _rebooted(before: Ledger, reading: Reading, elapsed_s: float) -> bool:
    """Whether the router's uptime says that its counters began again since the last reading.

    An uptime shorter than the time between two readings says so too, but only with a counter that fell or is gone: this
    machine's own clock may have jumped.
    """
    uptime_s = reading.info.uptime_s
    if uptime_s is None:
        return False
    if before.uptime_s is not None and uptime_s < before.uptime_s:
        return True
    if uptime_s + _UPTIME_SLACK_S >= elapsed_s:
        return False
    rows = {row.ip: row for row in reading.rows}
    return any(
        counter.missing_since is None and (ip not in rows or rows[ip].packets < counter.packets)
        for ip, counter in before.counters.items()
    )


def _follow_rows(moment: _Moment) -> dict[str, Counter]:
    """The counters after the reading; what they moved goes into the bookings."""
    before = moment.before
    known = before.counters
    if moment.rebooted:
        known = {ip: replace(counter, packets=0, bytes=0) for ip, counter in known.items() if _holds(counter)}
    counters = dict(known)
    for row in moment.reading.rows:
        counters[row.ip] = _follow_row(moment, row, known.get(row.ip))
    rows = {row.ip for row in moment.reading.rows}
    for ip, counter in known.items():
        if ip not in rows and counter.missing_since is None:
            counters[ip] = replace(counter, missing_since=before.at)
    return counters


def _holds(counter: Counter) -> bool:
    return counter.held > 0 or counter.held_start > 0


def _follow_row(moment: _Moment, row: Row, known: Counter | None) -> Counter:
    start, delta, cause = _judge(moment, row, known)
    since = moment.before.at
    if known is not None:
        start += known.held_start
        delta += known.held
        since = known.missing_since or since
    if row.mac is None:
        return Counter(None, row.packets, row.bytes, held_start=start, held=delta)
    booking = _portion(moment, start, delta, moment.at if since is None else since)
    booking.cause = cause
    collected = moment.bookings.setdefault(row.mac, _Booking())
    collected.add(booking)
    if delta > collected.most:
        collected.most, collected.ip = delta, row.ip
    after = Counter(row.mac, row.packets, row.bytes)
    return known if known == after else after


def _judge(moment: _Moment, row: Row, known: Counter | None) -> tuple[int, int, Cause]:
    """Starting value, delta and cause of one row: the table at the head of this module."""
    if moment.before.at is None:
        return row.bytes, 0, Cause.FIRST_SEEN
    if moment.rebooted:
        return 0, row.bytes, Cause.ROUTER_REBOOT
    if known is None:
        return 0, row.bytes, Cause.NEWCOMER
    if row.packets >= known.packets or row.bytes > row.packets * _LARGEST_PACKET:
        if row.bytes >= known.bytes:
            missed = known.missing_since is not None or moment.elapsed_s > GAP * moment.rules.interval_s
            return 0, row.bytes - known.bytes, Cause.GAP if missed and row.bytes > known.bytes else Cause.NORMAL
        wrapped = _WRAP - known.bytes + row.bytes
        if _plausible_wrap(moment, row, known, wrapped):
            _tell(moment, Cause.COUNTER_WRAP, row, wrapped, "its 32-bit counter wrapped")
            return 0, wrapped, Cause.COUNTER_WRAP
    _tell(moment, Cause.COUNTER_RESET, row, row.bytes, "its counter was set to zero")
    return 0, row.bytes, Cause.COUNTER_RESET


def _plausible_wrap(moment: _Moment, row: Row, known: Counter, wrapped: int) -> bool:
    """Whether packets and time allow for `wrapped` bytes. Packets wrap 40 times later than bytes, so they tell."""
    elapsed_s = moment.elapsed_s
    if known.missing_since is not None:
        elapsed_s = max(elapsed_s, moment.at - known.missing_since)
    packets = row.packets - known.packets
    return (
        known.bytes < _WRAP
        and packets * _SMALLEST_PACKET <= wrapped <= packets * _LARGEST_PACKET
        and wrapped <= moment.rules.line_rate * max(elapsed_s, moment.rules.interval_s) * _RATE_TOLERANCE
    )


def _tell(moment: _Moment, cause: Cause, row: Row, delta: int, what: str) -> None:
    text = f"{row.mac or 'a device'} at {row.ip}: {what}; {delta} bytes since"
    moment.events.append(Event(cause.value, text, row.mac.colons if row.mac else None, row.ip, delta))


def _portion(moment: _Moment, start: int, delta: int, since: float) -> _Booking:
    """A delta divided in proportion to time; what belongs to an earlier day or period counts in usage alone."""
    if not delta:
        return _Booking(start)
    if moment.rebooted:
        since = max(since, moment.at - (moment.reading.info.uptime_s or 0))
    spans = moment.spans.get(since)
    if spans is None:
        spans = moment.spans[since] = moment.rules.tariff.spans(since, moment.at)
    booking = _Booking(start, delta)
    for span, share in zip(spans, divide(delta, spans), strict=True):
        if span.period == moment.now.period:
            if span.off_peak:
                booking.off_peak += share
            else:
                booking.on_peak += share
        if span.day == moment.now.day:
            booking.today += share
    return booking


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
