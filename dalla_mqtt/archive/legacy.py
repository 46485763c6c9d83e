"""Logs of dalla-stats: what each device used, from the counters in them. What the files are: legacy_files.py.

`Total Bytes` is a counter in the router's memory that belongs to an address; the file's MAC is the one that used the
address at that time. So the counter is followed by address, through the files of all MACs, months and caches, and what
is new goes to the MAC of the row. What is decided for a row, first line that fits:

| the row                                                         | what it adds                | cause           |
|-----------------------------------------------------------------|-----------------------------|-----------------|
| says the time and the counter of another row of its address     | nothing; it is `repeated`   |                 |
| says the time, and another counter                              | nothing; told as a problem  |                 |
| of the first time of all                                        | a starting value            | `first_seen`    |
| of a new address                                                | its counter                 | `newcomer`      |
| of a new address, with more than the line carried since then    | a starting value            | `first_seen`    |
| 0, where the address had counted                                | nothing; see (1)            | `normal`        |
| not less than the counter before                                | the difference (2)          | `normal`        |
| less, and the MAC is another, that never had the address        | a starting value            | `first_seen`    |
| less                                                            | its counter (3)             | `counter_reset` |
| adds more than the line carries in that time                    | nothing; told as a problem  |                 |

(1) A faulty answer, or the statistics were reset: a counter that is then not less than before goes on from there.
(2) Where the MAC changes, from its own last counter, should that be the higher: two logs of one address may be mixed.
(3) A wrap at 2**32 looks the same: these logs have no packets to tell. It is told, and how much it would be.

So what is doubtful is always decided for fewer bytes, and remarked upon: no byte is booked that the counters do not
show. Whatever adds nothing is made up for by the next row, which is measured from the last one that was believed.
Bytes of an address whose MAC the router did not show wait for its next MAC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.archive.legacy_files import Kind, LegacyFile, Point, Problem, cached, find_logs, measure, points
from dalla_mqtt.usage.counters import Cause
from dalla_mqtt.usage.reading import Mac

__all__ = ["DeviceLogs", "Kind", "LastCounter", "LegacyFile", "LegacyRow", "Problem", "find_logs", "read_totals"]

_WRAP = 2**32
_TO_BE_READ = -1  # the counter of the point that stands for a file of which nothing was read yet


class LegacyRow(Struct, frozen=True, gc=False):
    """What a device had used at `time`. Times: UTC epoch seconds.

    `total` is its usage since it was first seen: the starting values and deltas up to here, so it never falls. `delta`
    was moved after `since`. `ip` and `cause` are those of the address that moved most.
    """

    mac: Mac
    ip: str | None
    time: int
    since: int
    total: int
    start: int
    delta: int
    cause: Cause


class LastCounter(Struct, frozen=True):
    """What the router's counter of an address was when it was last believed, and whose the address was."""

    mac: Mac | None
    time: int
    total: int


@dataclass(slots=True)
class _Source:
    """Where points come from: a device's file, or one row of a cache."""

    file: LegacyFile
    mac: Mac | None
    ip: str | None
    key: str  # of the counter: the address, or else what the file is known by
    points: Iterator[Point]


@dataclass(slots=True)
class _Counter:
    """What is known of the counter of an address. `source`, `time` and `total`: when it was believed last."""

    source: _Source
    time: int
    total: int
    doubted: tuple[int, int] | None = None  # time and total of its last row, where that was not believed
    owns: dict[Mac | None, int] = field(
        default_factory=dict
    )  # the last counter of each MAC that had the address before
    held_start: int = 0  # what waits for a MAC
    held: int = 0


class _Step(Struct, frozen=True):
    """What a row adds, moved after `since`."""

    since: int
    start: int
    delta: int
    cause: Cause


class DeviceLogs:
    """The rows of all devices in `files`, in the order of time; those of a device at strictly increasing times.

    To be iterated once. After that the counts in `files` are complete, and `counters` has, by address, where the
    router's counters stood. `line_rate`: bytes a second that the line can do. Of the files, no more is in memory than
    the block under way of each that has rows at that time.
    """

    def __init__(self, files: Iterable[LegacyFile], line_rate: float) -> None:
        self._line_rate = line_rate
        self._sources: list[_Source] = []
        self._heap: list[Point] = []
        self._counters: dict[str, _Counter] = {}
        self._usage: dict[Mac, int] = {}
        self._rows: dict[Mac, LegacyRow] = {}  # of now
        self._began: int | None = None
        self._before = 0  # the time of the last rows but those of now
        for file in sorted(files, key=lambda file: file.kind is Kind.CACHE):  # what both have, the log says
            self._open(file)

    @property
    def counters(self) -> dict[str, LastCounter]:
        """By address, the router's counters as last believed."""
        return {
            counter.source.ip: LastCounter(counter.source.mac, counter.time, counter.total)
            for counter in self._counters.values()
            if counter.source.ip is not None
        }

    def __iter__(self) -> Iterator[LegacyRow]:
        now, rows, counters, usage, line_rate = 0, self._rows, self._counters, self._usage, self._line_rate
        for time, number, line, total in self._merged():
            if time != now:
                yield from rows.values()
                rows.clear()
                self._before, now = now, time
            source = self._sources[number]
            counter, mac = counters.get(source.key), source.mac
            if counter is None or counter.source is not source or counter.doubted or mac is None or mac in rows:
                self._take(source, line, time, total)
                continue
            delta, since = total - counter.total, counter.time
            if not 0 <= delta <= line_rate * (time - since):
                self._take(source, line, time, total)
                continue
            counter.time, counter.total = (
                time,
                total,
            )  # most rows come here: a method more would take half as long again
            usage[mac] = after = usage[mac] + delta
            rows[mac] = LegacyRow(mac, source.ip, time, since, after, 0, delta, Cause.NORMAL)
        yield from rows.values()
        self._tell_held()

    def _open(self, file: LegacyFile) -> None:
        if file.kind is Kind.CACHE:
            for mac, ip, time, total, line in cached(file):
                self._heap.append((time, len(self._sources), line, total))
                self._sources.append(_Source(file, mac, ip, ip, iter(())))
        elif file.kind is Kind.DEVICE and file.name is None:
            key = file.ip or str(file.mac or file.path)
            self._heap.append((file.starts, len(self._sources), 0, _TO_BE_READ))
            self._sources.append(_Source(file, file.mac, file.ip, key, points(file, len(self._sources))))

    def _merged(self) -> Iterator[Point]:
        """The points of all sources, by time. A file is opened when its time has come."""
        heap, rest = self._heap, [source.points for source in self._sources]
        heapify(heap)
        while heap:
            point = heap[0]
            if point[3] != _TO_BE_READ:
                yield point
            following = next(rest[point[1]], None)
            if following is None:
                heappop(heap)
            else:
                heapreplace(heap, following)

    def _take(self, source: _Source, line: int, time: int, total: int) -> None:
        counter = self._counters.get(source.key)
        if counter is None:
            step = self._first(source, line, time, total)
            counter = self._counters[source.key] = _Counter(source, time, total)
            self._book(source, counter, time, step)
            return
        seen, shown = counter.doubted or (counter.time, counter.total)
        if time != seen:
            self._follow(source, counter, line, time, total)
            return
        source.file.rows -= 1
        if total == shown:
            source.file.repeated += 1
        else:
            source.file.reject(line, f"says {total} where another file says {shown} of the same time")

    def _first(self, source: _Source, line: int, time: int, total: int) -> _Step:
        """The first row of an address."""
        if self._began is None:
            self._began = time
        if time == self._began:
            return _Step(time, total, 0, Cause.FIRST_SEEN)
        if total <= self._line_rate * (time - self._before):
            return _Step(self._before, 0, total, Cause.NEWCOMER)
        source.file.remark(line, f"begins with {total} bytes, more than the line carries in that time: not counted")
        return _Step(time, total, 0, Cause.FIRST_SEEN)

    def _follow(self, source: _Source, counter: _Counter, line: int, time: int, total: int) -> None:
        """A later row of an address: what it adds is booked, unless that cannot be."""
        zeros = not total and bool(counter.total)
        step, remark = (_Step(counter.time, 0, 0, Cause.NORMAL), "") if zeros else _judge(source, counter, total)
        believed = step.delta <= self._line_rate * (time - counter.time)
        counter.doubted = None if believed and not zeros else (time, total)
        if not believed:
            source.file.rows -= 1
            source.file.reject(line, f"adds {step.delta} bytes, more than the line carries in that time")
            return
        if remark:
            source.file.remark(line, remark)
        if not zeros:
            counter.owns[counter.source.mac] = counter.total
            counter.source, counter.time, counter.total = source, time, total
        self._book(source, counter, time, step)

    def _book(self, source: _Source, counter: _Counter, time: int, step: _Step) -> None:
        if source.mac is None:
            counter.held_start += step.start
            counter.held += step.delta
            return
        start, delta = step.start + counter.held_start, step.delta + counter.held
        counter.held_start = counter.held = 0
        usage = self._usage[source.mac] = self._usage.get(source.mac, 0) + start + delta
        row = LegacyRow(source.mac, source.ip, time, step.since, usage, start, delta, step.cause)
        other = self._rows.get(source.mac)
        if other is not None:
            most = max(other, row, key=lambda one: one.start + one.delta)
            row = replace(most, total=usage, start=start + other.start, delta=delta + other.delta)
        self._rows[source.mac] = row

    def _tell_held(self) -> None:
        for counter in self._counters.values():
            held = counter.held + counter.held_start
            if held:
                counter.source.file.remark(0, f"{held} bytes are nobody's: the router never showed a MAC for them")


def read_totals(files: Iterable[LegacyFile]) -> None:
    """Read the files that are not followed, for their figures: users, totals, and what has rows of unknown meaning."""
    for file in files:
        if file.kind in (Kind.USER, Kind.TOTAL) or (file.kind is Kind.UNKNOWN and not file.problems):
            measure(file)
        elif file.kind is Kind.DEVICE and file.name is not None:
            measure(file)
            file.reject(0, "has no MAC in its name, so that its rows are nobody's")


def _judge(source: _Source, counter: _Counter, total: int) -> tuple[_Step, str]:
    """What a row adds to its address, and what is to be said of it: the table at the head of this module."""
    before, since = counter.total, counter.time
    own = counter.owns.get(source.mac) if source.mac != counter.source.mac else before
    bases = [known for known in (before, own) if known is not None and known <= total]
    if bases:
        base, remark = max(bases), ""
        if base != before:
            remark = f"goes on from {base}, where another device left the counter of this address at {before}"
        elif before and counter.doubted and not counter.doubted[1]:
            remark = f"goes on from {base} after zeros; had the counter been reset, {base} bytes more would be counted"
        return _Step(since, 0, total - base, Cause.NORMAL), remark
    if own is None:
        return _Step(
            since, total, 0, Cause.FIRST_SEEN
        ), f"begins with {total} bytes, below the {before} of another device"
    remark = f"fell from {before} to {total}: the router restarted, or its counter was reset"
    if _WRAP // 2 <= before < _WRAP:
        remark += f"; had it wrapped at 4 GiB, {_WRAP - before} bytes more would be counted"
    return _Step(since, 0, total, Cause.COUNTER_RESET), remark
