"""What the router's counters say: how many bytes are new, and why.

Rows are counters in the router's memory, keyed by address. What is decided for a row, first line that fits (sources:
docs/router.md, "How the router counts", "Wrap and reset"):

| the row                                                      | delta            | cause           |
|--------------------------------------------------------------|------------------|-----------------|
| any, in the first reading ever                               | none, a start    | `first_seen`    |
| any, when the router has restarted since the last reading    | its counter      | `router_reboot` |
| was never there: the router made it since                    | its counter      | `newcomer`      |
| bytes did not fall, nor did packets (1), which are not more  | the difference   | `normal`, `gap` |
| than these bytes can have been carried by                    |                  |                 |
| the same after one wrap at 2**32 or more (2)                 | over the wraps   | `counter_wrap`  |
| anything else: the counter was set to zero                   | its counter      | `counter_reset` |

(1) Packets too few to carry the bytes that a row shows have wrapped; they say nothing. (2) The fewest wraps that carry
as many packets; none where a counter was ever seen beyond 2**32, since then they are 64 bits wide.

Two things are doubted until the next sight of the row, and nothing is booked meanwhile: a delta that the line or the
row's packets cannot have carried (`held_back`), and zeros in a row that had counted. What the row shows then goes on
either from what was doubted, which is thereby accepted, or from what was known before, and the doubted reply was a
freak. A reset to more than the line can carry is never accepted: a row that goes on from there begins anew.

A row that is missing is missing: it is remembered, and its bytes are booked when it is back. While a row shows no MAC
its bytes are held, and booked to the first MAC that it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.usage.reading import Mac, Reading, Row

_WRAP = 2**32  # totalBytes of old firmware
_LARGEST_PACKET = 1600  # 1500 bytes of IP, 18 of Ethernet as the router counts them, and some for VLAN and jumbo starts
_LARGEST_BUNCH = 2**16  # bytes; what a router that counts bunches of packets as one may make of one
_SMALLEST_PACKET = 28  # the headers of IP and UDP
_RATE_TOLERANCE = 1.02  # vnStat's: a measured interval is never quite the true one
_UPTIME_SLACK_S = 5  # the router's uptime is in whole seconds, and its answer takes time
_PATIENCE = 5  # sights after which a row that goes on from what cannot be is a new beginning, and the jump no bytes
_TELLING = 10_000  # bytes of a counter that does not show the very same twice by chance
GAP = 1.5  # intervals without a reading, from which on one was missed

_TEXTS = {  # what happened, for people
    "counter_wrap": "its 32-bit counter wrapped",
    "counter_reset": "its counter was set to zero",
    "held_back": "moved more than the line can, which is held back until it is seen again",
    "accepted": "what was held back is seen again, and counted now",
    "dropped": "what was held back is not seen again, and never counted",
}


class Cause(StrEnum):
    """Why a delta is what it is, the most ordinary first."""

    NORMAL = "normal"
    GAP = "gap"
    FIRST_SEEN = "first_seen"
    NEWCOMER = "newcomer"
    COUNTER_WRAP = "counter_wrap"
    COUNTER_RESET = "counter_reset"
    ROUTER_REBOOT = "router_reboot"
    HELD_BACK = "held_back"


class Doubt(Struct, frozen=True):
    """What a row showed last and was not believed; `since`: when the row was believed last, UTC epoch seconds."""

    packets: int
    bytes: int
    since: float
    times: int = 1  # that it was not, one after the other


class Counter(Struct, frozen=True):
    """What a row of the router showed when it was believed last, all of which is booked or held."""

    mac: Mac | None
    packets: int
    bytes: int
    missing_since: float | None = None  # None while the row is in the router's table
    held_start: int = 0  # a starting value and a delta that wait for a MAC
    held: int = 0
    doubt: Doubt | None = None


class Event(Struct, frozen=True):
    """What is out of the ordinary in a reading; `text` is for people."""

    event: str
    text: str
    mac: str | None = None
    ip: str | None = None
    bytes: int | None = None


class _Verdict(Struct, frozen=True):
    delta: int
    cause: Cause
    start: int = 0
    since: float | None = None  # where it is not when the row was seen last


class Movement(Struct, frozen=True):
    """What one row adds to one device: a starting value, and a delta that was moved from `since` on."""

    ip: str
    mac: Mac
    start: int
    delta: int
    cause: Cause
    since: float


@dataclass(slots=True)
class Sight:
    """A reading held against the counters that are known. Times are UTC epoch seconds, `line_rate` bytes a second.

    `since`: when the last reading was taken, None for the first ever. `wide`: counters have 64 bits.
    """

    reading: Reading
    known: Mapping[str, Counter]
    at: float
    since: float | None
    elapsed_s: float
    interval_s: float
    line_rate: float
    wide: bool
    uptime_before_s: int | None
    rebooted: bool = False
    movements: list[Movement] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def follow(sight: Sight) -> dict[str, Counter]:
    """The counters after the reading; what they moved, and what is odd about it, is then in `sight`."""
    sight.rebooted = _rebooted(sight)
    known = sight.known
    if sight.rebooted:
        sight.events.append(Event("router_reboot", f"the router restarted {sight.reading.info.uptime_s} s ago"))
        known = _forget(sight)
    counters = dict(known)
    for row in sight.reading.rows:
        counters[row.ip] = _follow_row(sight, row, known.get(row.ip))
    rows = {row.ip for row in sight.reading.rows}
    for ip, counter in known.items():
        if ip not in rows and counter.missing_since is None:
            counters[ip] = replace(counter, missing_since=sight.since)
    sight.wide = sight.wide or any(counter.bytes >= _WRAP for counter in counters.values())
    return counters


def _rebooted(sight: Sight) -> bool:
    """Whether the router's uptime says that its counters began again since the last reading.

    An uptime shorter than the time between two readings says so too, but only with a counter that fell or is gone: this
    machine's own clock may have jumped.
    """
    uptime_s = sight.reading.info.uptime_s
    if sight.since is None or uptime_s is None:
        return False
    fell = sight.uptime_before_s is not None and uptime_s < sight.uptime_before_s
    young = uptime_s + _UPTIME_SLACK_S < sight.elapsed_s
    rows = {row.ip: row for row in sight.reading.rows}
    if not (fell or young) or _contradicted(sight, uptime_s, rows):
        return False
    return fell or any(
        counter.missing_since is None and (ip not in rows or rows[ip].packets < counter.packets)
        for ip, counter in sight.known.items()
    )


def _contradicted(sight: Sight, uptime_s: int, rows: Mapping[str, Row]) -> bool:
    """Whether a row says that a clock is wrong instead.

    It shows what it showed before, or zeros, with which no row is made, or more than the line can have moved since.
    """
    possible = sight.line_rate * (uptime_s + sight.interval_s) * _RATE_TOLERANCE
    return any(row.bytes > possible or _blank(row) for row in rows.values()) or any(
        _same(counter, rows.get(ip)) for ip, counter in sight.known.items()
    )


def _same(counter: Counter, row: Row | None) -> bool:
    return row is not None and (row.packets, row.bytes) == (counter.packets, counter.bytes) and row.bytes >= _TELLING


def _forget(sight: Sight) -> dict[str, Counter]:
    """What a restart of the router leaves of the counters: bytes that wait for a MAC. What was in doubt is dropped."""
    left = {}
    for ip, counter in sight.known.items():
        doubt = counter.doubt
        if doubt is not None and doubt.bytes:
            _tell(sight, "dropped", Row(ip, counter.mac, doubt.packets, doubt.bytes), doubt.bytes)
        if counter.held or counter.held_start:
            left[ip] = replace(counter, packets=0, bytes=0, missing_since=None, doubt=None)
    return left


def _follow_row(sight: Sight, row: Row, known: Counter | None) -> Counter:
    if sight.since is None:
        return _book(sight, row, None, _Verdict(0, Cause.FIRST_SEEN, row.bytes))
    if known is not None and known.doubt is not None:
        return _resolve(sight, row, known, known.doubt)
    if known is not None and _blank(row) and (known.packets or known.bytes):
        return _doubt(sight, row, known)
    verdict = _judge(sight, row, known, sight.elapsed_s)
    if not _can_be(sight, row, known, verdict, _away_s(sight, known)):
        _tell(sight, "held_back", row, verdict.delta)
        return _doubt(sight, row, known or Counter(row.mac, 0, 0))
    if verdict.cause in _TEXTS:
        _tell(sight, verdict.cause, row, verdict.delta)
    return _book(sight, row, known, verdict)


def _resolve(sight: Sight, row: Row, known: Counter, doubt: Doubt) -> Counter:
    """Believe what was doubted, or what was known before it: whichever the row goes on from."""
    seen = Row(row.ip, row.mac, doubt.packets, doubt.bytes)
    if _blank(row) and not _blank(seen):
        return _doubt(sight, row, known)  # zeros once say nothing of it, and twice that there was a reset
    verdict = _judge(sight, seen, known, sight.at - doubt.since)
    believable = verdict.cause is not Cause.COUNTER_RESET and _can_be(sight, seen, known, verdict, inf)
    from_doubt = _goes_on(sight, row, replace(known, packets=doubt.packets, bytes=doubt.bytes), _away_s(sight, known))
    if from_doubt is None or not believable:
        instead = _instead(sight, row, known, doubt)
        if instead is not None:
            if not _blank(seen):
                _tell(sight, "dropped", row, verdict.delta)
            if instead.cause is Cause.COUNTER_RESET:
                _tell(sight, instead.cause, row, instead.delta)
            return _book(sight, row, known, instead)
        if from_doubt is None or doubt.times < _PATIENCE:
            return _doubt(sight, row, known)
        _tell(sight, "dropped", row, verdict.delta)
        return _book(sight, row, known, _Verdict(from_doubt, Cause.HELD_BACK))
    _tell(sight, "accepted", row, verdict.delta)
    return _book(sight, row, known, _Verdict(verdict.delta + from_doubt, Cause.HELD_BACK, since=doubt.since))


def _instead(sight: Sight, row: Row, known: Counter, doubt: Doubt) -> _Verdict | None:
    """What the row says where the doubted reply is left out: it goes on from before, or was set to zero."""
    elapsed_s = sight.at - doubt.since
    from_known = _goes_on(sight, row, known, elapsed_s)
    if from_known is not None:
        return _Verdict(from_known, Cause.GAP, since=doubt.since)
    verdict = _judge(sight, row, known, elapsed_s)
    if verdict.cause is Cause.COUNTER_RESET and _can_be(sight, row, known, verdict, _away_s(sight, known)):
        return verdict
    return None


def _goes_on(sight: Sight, row: Row, known: Counter, elapsed_s: float) -> int | None:
    """The bytes moved since `known`, where the row may well be its continuation."""
    verdict = _judge(sight, row, known, elapsed_s)
    goes_on = verdict.cause is not Cause.COUNTER_RESET and _can_be(sight, row, known, verdict, elapsed_s)
    return verdict.delta if goes_on else None


def _doubt(sight: Sight, row: Row, known: Counter) -> Counter:
    """Book nothing of what the row shows yet; the device is there all the same, and has what waited for its MAC."""
    since = known.doubt.since if known.doubt else _seen(sight, known)
    times = known.doubt.times + 1 if known.doubt else 1
    doubted = replace(known, missing_since=None, doubt=Doubt(row.packets, row.bytes, since, times))
    if row.mac is None:
        return doubted
    cause = Cause.NORMAL if _blank(row) else Cause.HELD_BACK
    sight.movements.append(Movement(row.ip, row.mac, known.held_start, known.held, cause, since))
    return replace(doubted, mac=row.mac, held_start=0, held=0)


def _book(sight: Sight, row: Row, known: Counter | None, verdict: _Verdict) -> Counter:
    """The counter as the row shows it; what is new goes to its MAC, or waits for one."""
    start, delta = verdict.start, verdict.delta
    if known is not None:
        start += known.held_start
        delta += known.held
    if row.mac is None:
        return Counter(None, row.packets, row.bytes, held_start=start, held=delta)
    since = _seen(sight, known) if verdict.since is None else verdict.since
    sight.movements.append(Movement(row.ip, row.mac, start, delta, verdict.cause, since))
    after = Counter(row.mac, row.packets, row.bytes)
    return known if known == after else after


def _judge(sight: Sight, row: Row, known: Counter | None, elapsed_s: float) -> _Verdict:
    """Delta and cause of one row: the table at the head of this module."""
    if sight.rebooted:
        return _Verdict(row.bytes, Cause.ROUTER_REBOOT)
    if known is None:
        return _Verdict(row.bytes, Cause.NEWCOMER)
    difference = row.bytes - known.bytes
    packets = row.packets - known.packets
    if packets < 0 and row.bytes <= row.packets * _LARGEST_PACKET:
        return _Verdict(row.bytes, Cause.COUNTER_RESET)
    wrapped = _wrapped(sight, known, difference, packets, elapsed_s)
    if wrapped is not None:
        return _Verdict(wrapped, Cause.COUNTER_WRAP)
    if difference < 0:
        return _Verdict(row.bytes, Cause.COUNTER_RESET)
    missed = known.missing_since is not None or elapsed_s > GAP * sight.interval_s
    return _Verdict(difference, Cause.GAP if missed and difference else Cause.NORMAL)


def _wrapped(sight: Sight, known: Counter, difference: int, packets: int, elapsed_s: float) -> int | None:
    """The difference over the fewest wraps that carry `packets`; None where there was none, or none is plausible."""
    least = packets * _SMALLEST_PACKET
    if sight.wide or known.bytes >= _WRAP or difference >= max(0, least):
        return None
    wraps = max(1, -((difference - least) // _WRAP))
    delta = difference + wraps * _WRAP
    if delta > packets * _LARGEST_PACKET or not _fits_the_line(sight, delta, max(elapsed_s, _away_s(sight, known))):
        return None
    return delta


def _seen(sight: Sight, known: Counter | None) -> float:
    """When the row was seen last, or the router began to count. This machine's clock may have been set meanwhile."""
    if known is not None and known.missing_since is not None:
        return known.missing_since
    since = sight.at - sight.elapsed_s
    if sight.rebooted:
        since = max(since, sight.at - (sight.reading.info.uptime_s or 0))
    return since


def _away_s(sight: Sight, known: Counter | None) -> float:
    """Seconds since the row was seen last."""
    if known is None or known.missing_since is None:
        return sight.elapsed_s
    return max(sight.elapsed_s, sight.at - known.missing_since)


def _fits_the_line(sight: Sight, delta: int, elapsed_s: float) -> bool:
    return delta <= sight.line_rate * max(elapsed_s, sight.interval_s) * _RATE_TOLERANCE


def _can_be(sight: Sight, row: Row, known: Counter | None, verdict: _Verdict, elapsed_s: float) -> bool:
    """Whether the line and the row's packets can have carried the delta. Packets wrap at 2**32."""
    on_from = known is not None and verdict.cause in (Cause.NORMAL, Cause.GAP, Cause.COUNTER_WRAP)
    packets = (row.packets - known.packets) % 2**32 if known is not None and on_from else row.packets
    return verdict.delta <= (packets + 1) * _LARGEST_BUNCH and _fits_the_line(sight, verdict.delta, elapsed_s)


def _blank(row: Row) -> bool:
    return not row.packets and not row.bytes


def _tell(sight: Sight, event: str, row: Row, size: int) -> None:
    mac = row.mac.colons if row.mac else None
    text = f"{mac or 'a device'} at {row.ip}: {_TEXTS[event]} ({size} bytes)"
    sight.events.append(Event(str(event), text, mac, row.ip, size))
