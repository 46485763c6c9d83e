"""What the router's counters say: how many bytes are new, and why.

Rows are counters in the router's memory, keyed by address (docs/router.md 2.4). A row GOES ON from a count where bytes
and packets did not fall, or 32 bits of them wrapped (2.5), and these packets can have carried these bytes. What is
decided for a row, first line that fits; of line 3 to 6 none does where the line cannot have carried the delta:

| the row                                               | delta          | cause           | docs/router.md          |
|-------------------------------------------------------|----------------|-----------------|-------------------------|
| shows zeros                                           | none yet       |                 | 2.4: no row begins so   |
| is in the first reading ever                          | none, a start  | `first_seen`    | 2.5: the past is hidden |
| is in the first reading after a restart (1)           | its counter    | `router_reboot` | 2.4: it is all in RAM   |
| was never there: the router made it since             | its counter    | `newcomer`      | 2.4: no row ages        |
| goes on from what is known, as fast as the line can   | the difference | `normal`, `gap` | 2.4: one count a packet |
| the same over wraps (2)                               | over the wraps | `counter_wrap`  | 2.5: "Wrap if"          |
| anything else                                         | none yet       | `held_back`     | 2.5: "Reset if"         |

What brought no delta yet is doubted: it may be a freak of one reply. The row's next sight that is not of zeros decides:

| the row goes on                                       | what was doubted    | delta          | cause                 |
|-------------------------------------------------------|---------------------|----------------|-----------------------|
| from what was known to what was doubted to this       | was true            | the difference | `held_back`           |
| the same from zeros, faster than the line can (3)     | was there before    | since; a start | `first_seen`          |
| from what was known                                   | was a freak         | the difference | `gap`, `counter_wrap` |
| from what was doubted                                 | was set to zero     | its counter    | `counter_reset`       |
| the same, with more than the line can have carried    | is where it begins  | since          | `held_back`           |
| from neither, or faster than the line can (4)         | gives way to this   | none yet       | `held_back`           |

(1) `_rebooted` says on what evidence. (2) The fewest that carry as many packets (2.5: one has some 40 bytes or more);
none where a counter was ever seen beyond 2**32, since then they have 64 bits (2.5). Packets wrap too, at 2**32: those
that fell from the upper half, and are too few to carry the bytes that the row shows, did. (3) A row that was never seen
to count. (4) For `_PATIENCE` sights, each on from the one before: then the line is faster than it is said to be.

Newer firmware counts no packets, but bytes down and up in a row each. Such a row goes on where its bytes did not fall,
or fell from the upper half of 32 bits within one interval while the other's did not: zeros come to both.

A row that is missing is missing: it is remembered, and its bytes are booked when it is back. While a row shows no MAC
its bytes are held, and booked to the first MAC that it shows (2.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.reading import NOWHERE, Mac, Reading, Row

_WRAP = 2**32  # totalBytes of old firmware
_LARGEST_PACKET = 1600  # 1500 bytes of IP, 18 of Ethernet as the router counts them, and some for VLAN and jumbo starts
_LARGEST_BUNCH = 2**16  # bytes; what a router that counts bunches of packets as one may make of one
_SMALLEST_PACKET = 28  # the headers of IP and UDP
_RATE_TOLERANCE = 1.02  # vnStat's: a measured interval is never quite the true one
_UPTIME_SLACK_S = 5  # the router's uptime is in whole seconds, and its answer takes time
_PATIENCE = 5  # sights of a row that moves more than the line can, after which the line can
_TELLING = 10_000  # bytes of a counter that does not come by chance to where it was, or to little more
_MUCH = 8  # times, for an uptime that was much longer before, and a counter that is much more than what it grew
GAP = 1.5  # intervals without a reading, from which on one was missed

_TEXTS = {  # what happened, for people
    "counter_wrap": "its 32-bit counter wrapped",
    "counter_reset": "its counter was set to zero",
    "held_back": "its counter jumped or fell, which is held back until it is seen again",
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
    """What a row showed and was not believed; `since`: when the row was believed last, UTC epoch seconds."""

    packets: int | None
    bytes: int
    since: float
    times: int = 1  # that it was not, each on from the one before; 0 of zeros
    jump: int | None = None  # bytes from what was believed to this, over all wraps; None where it does not go on


class Counter(Struct, frozen=True):
    """What a row of the router showed when it was believed last, all of which is booked or held."""

    mac: Mac | None
    packets: int | None  # None where the router does not count them
    bytes: int
    missing_since: float | None = None  # None while the row is in the router's table
    held_start: int = 0  # a starting value and a delta that wait for a MAC
    held: int = 0
    doubt: Doubt | None = None


_Count = Row | Counter | Doubt
_UNSEEN = Counter(None, 0, 0)


class _Verdict(Struct, frozen=True):
    delta: int
    cause: Cause
    start: int = 0
    since: float | None = None  # where it is not when the row was seen last
    doubted: str | None = None  # what becomes of what was doubted


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
    fell_alone: frozenset[str] = frozenset()
    movements: list[Movement] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def follow(sight: Sight) -> dict[str, Counter]:
    """The counters after the reading; what they moved, and what is odd about it, is then in `sight`."""
    sight.rebooted = _rebooted(sight)
    known = sight.known
    if sight.rebooted:
        sight.events.append(Event("router_reboot", f"the router restarted {sight.reading.info.uptime_s} s ago"))
        known = _forget(sight)
    rows = {row.key: row for row in sight.reading.rows}
    sight.fell_alone = _fell_alone(rows, known)
    counters = {**known, **{key: _follow_row(sight, row, known.get(key, _UNSEEN)) for key, row in rows.items()}}
    for key, counter in known.items():
        if key not in rows and counter.missing_since is None:
            counters[key] = replace(counter, missing_since=sight.since)
    sight.wide = sight.wide or any(counter.bytes >= _WRAP for counter in counters.values())
    return counters


def _rebooted(sight: Sight) -> bool:
    """Whether the router restarted since the last reading, so that its counters began again.

    Its uptime says so if it fell and is no longer than the time since; where that is not known (0 s), if it fell. An
    uptime that is shorter than the time since says so too, but this machine's own clock may have jumped: then a counter
    must have fallen or be gone. Rows may contradict.
    """
    uptime_s = sight.reading.info.uptime_s
    if uptime_s is None or 0 < sight.elapsed_s < uptime_s - _UPTIME_SLACK_S:
        return False
    fell = sight.uptime_before_s is not None and uptime_s < sight.uptime_before_s
    young = uptime_s + _UPTIME_SLACK_S < sight.elapsed_s
    rows = {row.key: row for row in sight.reading.rows}
    if not (fell or young) or _contradicted(sight, uptime_s, rows, fell=fell):
        return False
    return fell or any(
        counter.missing_since is None and (key not in rows or _fewer(rows[key], counter))
        for key, counter in sight.known.items()
    )


def _contradicted(sight: Sight, uptime_s: int, rows: Mapping[str, Row], *, fell: bool) -> bool:
    """Whether rows say that a clock is wrong instead.

    One shows more than the line can have moved since; or all show zeros, with which no row is made; or one shows what
    it showed before, or goes on from there though no uptime fell. Or a long life goes on: more rows grew by a little
    than fell.
    """
    possible = sight.line_rate * (uptime_s + sight.interval_s) * _RATE_TOLERANCE
    if rows and (all(map(_blank, rows.values())) or any(row.bytes > possible for row in rows.values())):
        return True
    grew = 0
    for key, counter in sight.known.items():
        row = rows.get(key)
        if row is None or _blank(row):
            continue
        if _fewer(row, counter):
            grew -= 1
        elif row.bytes >= counter.bytes >= _TELLING:
            if row.bytes == counter.bytes or not fell:
                return True
            grew += (row.bytes - counter.bytes) * _MUCH <= counter.bytes
    return grew > 0 and (sight.uptime_before_s or 0) > uptime_s * _MUCH


def _forget(sight: Sight) -> dict[str, Counter]:
    """What a restart of the router leaves of the counters: bytes that wait for a MAC. What was in doubt is dropped."""
    left = {}
    for key, counter in sight.known.items():
        if counter.doubt is not None:
            _tell_doubt(sight, "dropped", key.partition(" ")[0] if "." in key else NOWHERE, counter, counter.doubt)
        if counter.held or counter.held_start:
            left[key] = replace(counter, packets=0, bytes=0, missing_since=None, doubt=None)
    return left


def _follow_row(sight: Sight, row: Row, known: Counter) -> Counter:
    if _blank(row):
        return _doubt(sight, row, known, times=0)
    if sight.since is None:
        return _book(sight, row, known, _Verdict(0, Cause.FIRST_SEEN, row.bytes))
    if known.doubt is not None:
        return _resolve(sight, row, known, known.doubt)
    step = _step(sight, known, row)
    if step is None or not _fits_the_line(sight, step, _away_s(sight, known)):
        return _doubt(sight, row, known, step)
    return _book(sight, row, known, _Verdict(step, _cause(sight, row, known, step)))


def _fell_alone(rows: Mapping[str, Row], known: Mapping[str, Counter]) -> frozenset[str]:
    """The rows that fell while the other direction of the same address counts on."""
    apart = {key: row for key, row in rows.items() if row.packets is None and row.twin}
    fell = {key for key, row in apart.items() if key in known and _fewer(row, known[key])}
    return frozenset(
        key for key in fell if (twin := rows.get(apart[key].twin or "")) and twin.bytes and twin.key not in fell
    )


def _fewer(row: Row, before: Counter) -> bool:
    """Whether the row was set back since: by its packets, where they are counted, as bytes may wrap."""
    if row.packets is None or before.packets is None:
        return row.bytes < before.bytes
    return row.packets < before.packets


def _step(sight: Sight, before: _Count, row: Row) -> int | None:
    """The bytes that a row moved since `before`; None where it does not go on from there."""
    moved = row.bytes - before.bytes
    if row.packets is None or before.packets is None:
        sure = isinstance(before, Counter) and not before.doubt and sight.elapsed_s <= GAP * sight.interval_s
        if sure and _WRAP > before.bytes >= _WRAP // 2 > row.bytes and not sight.wide and row.key in sight.fell_alone:
            moved += _WRAP
        return moved if moved >= 0 else None
    packets = row.packets - before.packets
    if packets < 0:
        if before.packets < 2**31 or row.bytes <= row.packets * _LARGEST_PACKET:
            return None
        packets += 2**32
    elif before.packets and not sight.wide and moved < packets * _SMALLEST_PACKET:
        over = moved + _WRAP * -((moved - packets * _SMALLEST_PACKET) // _WRAP)
        if over <= packets * _LARGEST_PACKET:
            moved = over
    return moved if 0 <= moved <= (packets + 1) * _LARGEST_BUNCH else None


def _cause(sight: Sight, row: Row, known: Counter, step: int) -> Cause:
    """Why a row moved `step` since it was believed last."""
    if sight.rebooted:
        return Cause.ROUTER_REBOOT
    if _blank(known):
        return Cause.NEWCOMER
    if step != row.bytes - known.bytes:
        return Cause.COUNTER_WRAP
    missed = known.missing_since is not None or sight.elapsed_s > GAP * sight.interval_s
    return Cause.GAP if known.doubt or (missed and step) else Cause.NORMAL


def _resolve(sight: Sight, row: Row, known: Counter, doubt: Doubt) -> Counter:
    """Believe what was known, or what was doubted: whichever the row goes on from. Else doubt what it shows now."""
    step = _step(sight, doubt, row)
    verdict = _settle(sight, row, known, doubt, step)
    if verdict is None:
        if step is None:
            return _doubt(sight, row, known, _step(sight, known, row))
        jump = _step(sight, known, row) if doubt.jump is None else doubt.jump + step
        return _doubt(sight, row, known, jump, doubt.times + 1)
    if verdict.doubted is not None:
        _tell_doubt(sight, verdict.doubted, row.ip, known, doubt)
    return _book(sight, row, known, verdict)


def _settle(sight: Sight, row: Row, known: Counter, doubt: Doubt, step: int | None) -> _Verdict | None:
    """The second table at the head of this module; None: its last line. `step`: from what was doubted to this row."""
    away_s = _away_s(sight, known)
    long_s = max(away_s, sight.at - doubt.since)
    fits = step is not None and _fits_the_line(sight, step, away_s)
    patient = doubt.times >= _PATIENCE
    jump = doubt.jump
    if jump is not None and step is not None:
        if _fits_the_line(sight, jump + step, long_s) or patient or (fits and not _blank(known)):
            return _Verdict(jump + step, Cause.HELD_BACK, since=doubt.since, doubted="accepted")
        return _Verdict(step, Cause.FIRST_SEEN, jump, doubted="accepted") if fits else None
    on = _step(sight, known, row)
    if on is not None and _fits_the_line(sight, on, long_s):
        return _Verdict(on, _cause(sight, row, known, on), since=doubt.since, doubted="dropped")
    if on is not None or step is None or not (fits or patient):
        return None
    whole = doubt.bytes + step
    possible = row.packets is None or whole <= (row.packets + 1) * _LARGEST_BUNCH
    if possible and _fits_the_line(sight, whole, long_s):
        return _Verdict(whole, Cause.COUNTER_RESET, since=doubt.since)
    return _Verdict(step, Cause.HELD_BACK, doubted="dropped")


def _doubt(sight: Sight, row: Row, known: Counter, jump: int | None = None, times: int = 1) -> Counter:
    """Book nothing of what the row shows yet; the device is there all the same, and has what waited for its MAC."""
    before = known.doubt  # of which zeros say nothing
    since = before.since if before else _seen(sight, known)
    doubt = before if before and _blank(row) else Doubt(row.packets, row.bytes, since, times, jump)
    if before is None or _blank(before):
        _tell_doubt(sight, "held_back", row.ip, replace(known, mac=row.mac), doubt)
    after = replace(known, missing_since=None, doubt=doubt)
    if row.mac is not None:
        cause = Cause.NORMAL if _blank(row) else Cause.HELD_BACK
        sight.movements.append(Movement(row.ip, row.mac, known.held_start, known.held, cause, since))
        after = replace(after, mac=row.mac, held_start=0, held=0)
    return known if known == after else after


def _book(sight: Sight, row: Row, known: Counter, verdict: _Verdict) -> Counter:
    """The counter as the row shows it; what is new goes to its MAC, or waits for one."""
    cause = verdict.cause
    if cause is Cause.COUNTER_WRAP or cause is Cause.COUNTER_RESET:
        _tell(sight, cause, row.ip, row.mac, verdict.delta)
    start, delta = verdict.start + known.held_start, verdict.delta + known.held
    if row.mac is None:
        return Counter(None, row.packets, row.bytes, held_start=start, held=delta)
    since = _seen(sight, known) if verdict.since is None else verdict.since
    sight.movements.append(Movement(row.ip, row.mac, start, delta, cause, since))
    after = Counter(row.mac, row.packets, row.bytes)
    return known if known == after else after


def _seen(sight: Sight, known: Counter) -> float:
    """When the row was seen last, or the router began to count. This machine's clock may have been set meanwhile."""
    if known.missing_since is not None:
        return known.missing_since
    since = sight.at - sight.elapsed_s
    if sight.rebooted:
        since = max(since, sight.at - (sight.reading.info.uptime_s or 0))
    return since


def _away_s(sight: Sight, known: Counter) -> float:
    """Seconds since the row was seen last."""
    if known.missing_since is None:
        return sight.elapsed_s
    return max(sight.elapsed_s, sight.at - known.missing_since)


def _fits_the_line(sight: Sight, size: int, elapsed_s: float) -> bool:
    return size <= sight.line_rate * max(elapsed_s, sight.interval_s) * _RATE_TOLERANCE


def _blank(count: _Count) -> bool:
    return not count.packets and not count.bytes


def _tell_doubt(sight: Sight, event: str, ip: str, known: Counter, doubt: Doubt) -> None:
    """Tell of a doubt, with the bytes that would be new if it were true; zeros are not told."""
    size = doubt.jump
    if size is None:
        rose = (doubt.packets or 0) >= (known.packets or 0) and doubt.bytes >= known.bytes
        size = doubt.bytes - known.bytes if rose else doubt.bytes
    if not _blank(doubt):
        _tell(sight, event, ip, known.mac, size)


def _tell(sight: Sight, event: str, ip: str, mac: Mac | None, size: int) -> None:
    colons = mac.colons if mac else None
    text = f"{colons or 'a device'} at {ip}: {_TEXTS[event]} ({size} bytes)"
    sight.events.append(Event(str(event), text, colons, ip, size))
