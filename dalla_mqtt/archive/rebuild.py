"""The ledger out of the CSV files, where the state file is lost: all but the counters of the router."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from operator import itemgetter

from msgspec import Struct

from dalla_mqtt.archive.csv_logs import Record, cut_torn, parse, read_span
from dalla_mqtt.archive.layout import Layout, LogFile
from dalla_mqtt.archive.retention import read_summary
from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.log import utc
from dalla_mqtt.usage.ledger import TOTAL, DayShare, Device, Key, Kind, Ledger, Series
from dalla_mqtt.usage.people import People
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Span, Tariff

_BLOCK = 4096  # bytes that are read at once: the rows of an hour or two
_MUCH = 2  # times: a record that was given up takes its own bytes back, and no more
_LAST = 64  # records of each series among which the last is looked for that all series tell of

Share = tuple[date, int, int]
_Columns = dict[date, tuple[int, int]]  # on-peak and off-peak, by billing period


class Rebuilt(Struct, frozen=True):
    """A ledger that goes on from any counters, or None where the files are not ours; `text` is for people."""

    ledger: Ledger | None
    text: str


class _Foreign(Exception):  # no error: a file that looks like ours, of dalla-stats
    """Total Bytes fell: there it was the router's counter."""


@dataclass(slots=True)
class _Told:
    """What the files tell of one series."""

    usage: int = 0
    days: dict[date, tuple[int, int]] = field(default_factory=dict)
    first: int = 0
    last: int = 0
    last_active: int | None = None
    ip: str = ""

    def add(self, share: Share) -> None:
        day, on_peak, off_peak = share
        on_before, off_before = self.days.get(day, (0, 0))
        self.days[day] = (on_before + on_peak, off_before + off_peak)

    def moved(self, first: date, last: date) -> tuple[int, int]:
        """On-peak and off-peak of the days from `first` to `last`."""
        shares = [share for day, share in self.days.items() if first <= day <= last]
        return sum(on_peak for on_peak, _ in shares), sum(off_peak for _, off_peak in shares)


def go_on(store: Store, config: ArchiveConfig, tariff: Tariff, people: People) -> str | None:
    """Fill a store that knows nothing with what the files tell; what there is to be told of it. Raises ArchiveError."""
    rebuilt = restore(config, tariff, people) if store.load().at is None else None
    if rebuilt is not None and rebuilt.ledger is not None:
        store.save(rebuilt.ledger, {})
    return rebuilt.text if rebuilt is not None else None


def restore(config: ArchiveConfig, tariff: Tariff, people: People) -> Rebuilt | None:
    """What the CSV files and the summaries tell, or None where there are none of devices. Raises ArchiveError.

    A row that is torn is taken out of its file: what it was is not known any more.
    """
    layout = Layout(config, tariff)
    try:
        rebuilt = _rebuild(layout, tariff, people)
    except _Foreign as foreign:
        mend = "counting begins anew. Move its folder away, and `dalla-mqtt import` brings it in"
        return Rebuilt(None, f"{foreign}: not made by dalla-mqtt, for its Total Bytes fell; {mend}")
    except OSError as error:
        raise ArchiveError(f"{error.filename}: figures of before cannot be read: {error.strerror}") from error
    for file in layout.files() if rebuilt else ():
        with suppress(OSError):  # told when it is to be written
            cut_torn(file.path)
    return rebuilt


def _rebuild(layout: Layout, tariff: Tariff, people: People) -> Rebuilt | None:
    files: dict[Key, list[LogFile]] = defaultdict(list)
    for file in layout.files():
        files[file.key].append(file)
    calendar = _Calendar(tariff)
    traces = {key: _Trace(calendar, of_key) for key, of_key in files.items()}
    traces = {key: trace for key, trace in traces.items() if trace.records}
    if not any(key.kind == "device" for key in traces):
        return None
    at, upto = max(trace.last.time for trace in traces.values()), None
    if TOTAL in traces and _agree(traces, None):
        at, agreed = traces[TOTAL].last.time, True
    else:
        upto = _agreement(traces)
        at, agreed = upto or at, upto is not None
    told = {key: trace.up_to(upto) for key, trace in traces.items()}
    told = {key: series for key, series in told.items() if series.last}
    _add_summaries(layout, tariff, told)
    now = tariff.span_at(at)
    agreed = agreed and _adds_up(told, now.period, tariff.last_day(now.period))
    if not agreed:
        told = _from_devices(told, people)
    elif not _adds_up(told, now.day, now.day):
        _forget_day(told, now)
    return Rebuilt(_ledger(at, told, people), _text(at, sum(map(len, files.values())), agreed=agreed))


def _text(at: int, files: int, *, agreed: bool) -> str:
    odd = "" if agreed else "; they do not agree, so that users and total are what the devices add up to"
    return (
        f"there is no state of before: it is made again from {files} CSV files, up to {utc(at)}{odd}. "
        "What moved since then is counted only where the router has restarted meanwhile"
    )


class _Calendar:
    """Local days and billing periods, looked up once a day and not once a record."""

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        self._from = self._to = 0.0
        self._day = self._period = date.min

    def find(self, at: int) -> tuple[date, date]:
        """The local day and the billing period of `at`."""
        if not self._from <= at < self._to:
            self._day = self._tariff.local(at).date()
            self._period = self._tariff.period_of(self._day)
            self._from = self._tariff.midnight(self._day).timestamp()
            self._to = self._tariff.midnight(self._day + timedelta(days=1)).timestamp()
        return self._day, self._period

    def shares(self, before: Record | None, known: _Columns, record: Record) -> Iterator[Share]:
        """What a record adds to its own day, and what of it is of a period before, to the last day before its own.

        The figures of one record add up over the devices as they do over the users, and so do their differences. The
        shares of a period add up to what its last record says; what no record before tells of is of its first day.
        `known`: what the last record of each period says.
        """
        day, period = self.find(record.time)
        on_before, off_before = known.get(period, (0, 0))
        on_peak, off_peak = record.on_peak - on_before, record.off_peak - off_before
        earlier = record.delta - on_peak - off_peak
        known[period] = record.on_peak, record.off_peak
        fell = before is not None and record.total < before.total + record.delta  # a record before was given up
        if fell or min(on_peak, off_peak, earlier) >= 0:
            yield day, on_peak, off_peak
            if earlier > 0 and not fell:
                yield self._earlier(period, earlier, known)
        else:
            _, own_on, own_off = self._share(record.time, record.delta)
            yield day, own_on, own_off
            yield period, on_peak - own_on, off_peak - own_off

    def _earlier(self, period: date, size: int, known: _Columns) -> Share:
        day, on_peak, off_peak = self._share(self._tariff.midnight(period).timestamp() - 1, size)
        of = self._tariff.period_of(day)
        on_before, off_before = known.get(of, (0, 0))
        known[of] = (
            on_before + on_peak,
            off_before + off_peak,
        )  # where the clock is set back, the next record tells of it
        return day, on_peak, off_peak

    def _share(self, at: float, size: int) -> Share:
        span = self._tariff.span_at(at)
        return (span.day, 0, size) if span.off_peak else (span.day, size, 0)


class _Trace:
    """The records of one series, in the order in which they were written: the sum of all, the last ones by themselves.

    That is not the order of their times where this machine's clock was set back.
    """

    def __init__(self, calendar: _Calendar, files: Iterable[LogFile]) -> None:
        self._calendar = calendar
        self._told = _Told()
        self._before: Record | None = None
        self._known: _Columns = {}
        self.records: deque[tuple[Record, str]] = deque()
        for record, ip in _merged(files, calendar):
            self.records.append((record, ip))
            if len(self.records) > _LAST:
                self._settle(*self.records.popleft())

    @property
    def last(self) -> Record:
        """The record that was written last."""
        return self.records[-1][0]

    def usage(self, at: int) -> int:
        """The total bytes at `at`, which is no earlier than the records that are summed already."""
        count = self._count(at)
        return self.records[count - 1][0].total if count else self._told.usage

    def up_to(self, at: int | None) -> _Told:
        """All that is told up to `at`, or all of it."""
        for _ in range(len(self.records) if at is None else self._count(at)):
            self._settle(*self.records.popleft())
        return self._told

    def _count(self, at: int) -> int:
        """How many of the last records are no later than `at`."""
        return max((number for number, (record, _) in enumerate(self.records, 1) if record.time <= at), default=0)

    def _settle(self, record: Record, ip: str) -> None:
        told = self._told
        for share in self._calendar.shares(self._before, self._known, record):
            if share[1] or share[2]:
                told.add(share)
        self._before = record
        told.usage, told.last, told.ip = record.total, record.time, ip
        told.first = told.first or record.time
        if record.delta:
            told.last_active = record.time


def _merged(files: Iterable[LogFile], calendar: _Calendar) -> Iterator[tuple[Record, str]]:
    """The records of some files in the order of their usage. Only files that overlap are open together."""
    spans = [(_order(span[0]), _order(span[1]), file) for file in files if (span := read_span(file.path))]
    together: list[Iterator[tuple[Record, str]]] = []
    until = (0, 0)
    for since, upto, file in sorted(spans, key=itemgetter(0)):
        if since > until:
            yield from _side_by_side(together)
            together.clear()
        together.append(_records(file, calendar))
        until = max(until, upto)
    yield from _side_by_side(together)


def _order(record: Record) -> tuple[int, int]:
    return record.total, record.time


def _side_by_side(files: Iterable[Iterator[tuple[Record, str]]]) -> Iterator[tuple[Record, str]]:
    return heapq.merge(*files, key=lambda of_file: _order(of_file[0]))


def _records(file: LogFile, calendar: _Calendar) -> Iterator[tuple[Record, str]]:
    """The records of a file, the last ones each by itself, and of those before no more than the sums need."""
    ip = file.ip or ""
    before: Record | None = None
    with file.path.open("rb") as opened:
        lines = opened.readlines(_BLOCK)
        while lines:
            following = opened.readlines(_BLOCK)
            leap = _leap(before, lines, calendar) if before and len(following) >= _LAST else None
            for record in leap or filter(None, map(parse, lines)):
                if before and record.total * _MUCH < before.total and file.key.kind == "device":
                    raise _Foreign(str(file.path))
                yield record, ip
                before = record
            lines = following


def _leap(before: Record, lines: list[bytes], calendar: _Calendar) -> list[Record] | None:
    """Few records that tell the same as `lines` do, all of one day; None where that is not sure.

    The last in which something moved, with all that moved since `before`, and the very last.
    """
    last = parse(lines[-1])
    if last is None or last.time < before.time or calendar.find(before.time) != calendar.find(last.time):
        return None
    on_peak, off_peak = last.on_peak - before.on_peak, last.off_peak - before.off_peak
    if min(on_peak, off_peak) < 0 or last.total - before.total != on_peak + off_peak:
        return None
    if last.total == before.total:
        return [last]
    active = next((record for line in reversed(lines) if (record := parse(line)) and record.delta), None)
    if active is None or (active.total, *active[3:]) != (last.total, *last[3:]):
        return None
    return [active._replace(delta=last.total - before.total), last._replace(delta=0)]


def _agreement(traces: Mapping[Key, _Trace]) -> int | None:
    """The last moment for which devices, users and total tell the same; None where there is none."""
    moments = {record.time for record, _ in traces[TOTAL].records} if TOTAL in traces else ()
    return next((at for at in sorted(moments, reverse=True) if _agree(traces, at)), None)


def _agree(traces: Mapping[Key, _Trace], at: int | None) -> bool:
    """Whether devices, users and total tell the same for `at`, or with their last records."""
    sums = {"device": 0, "user": 0, "total": 0}
    for key, trace in traces.items():
        sums[key.kind] += trace.last.total if at is None else trace.usage(at)
    return len(set(sums.values())) == 1


def _adds_up(told: Mapping[Key, _Told], first: date, last: date) -> bool:
    """Whether devices, users and total tell the same of the days from `first` to `last`."""
    sums: dict[Kind, tuple[int, int]] = {"device": (0, 0), "user": (0, 0), "total": (0, 0)}
    for key, series in told.items():
        (on_sum, off_sum), (on_peak, off_peak) = sums[key.kind], series.moved(first, last)
        sums[key.kind] = on_sum + on_peak, off_sum + off_peak
    return len(set(sums.values())) == 1


def _forget_day(told: Mapping[Key, _Told], now: Span) -> None:
    """Book what a day has to the first of its period: rows are gone that would tell which day it belongs to."""
    for series in told.values():
        series.add((now.period, *series.days.pop(now.day, (0, 0))))


def _from_devices(told: Mapping[Key, _Told], people: People) -> dict[Key, _Told]:
    """Users and total as the devices have them, where the files do not agree."""
    again: dict[Key, _Told] = {TOTAL: _Told()}
    for key, device in told.items():
        if key.kind == "device":
            again[key] = device
            for above in (Key("user", people.owner(Mac(key.name), None)), TOTAL):
                series = again.setdefault(above, _Told())
                series.usage += device.usage
                series.last = max(series.last, device.last)
                for day, (on_peak, off_peak) in device.days.items():
                    series.add((day, on_peak, off_peak))
    return again


def _add_summaries(layout: Layout, tariff: Tariff, told: Mapping[Key, _Told]) -> None:
    """Of each period whose summary tells more than the rows that are left, the rest: to the first day of the period."""
    for path in layout.summaries():
        for (period, key), (on_peak, off_peak) in read_summary(path).items():
            if key in told:
                on_left, off_left = told[key].moved(period, tariff.last_day(period))
                if on_peak + off_peak > on_left + off_left:
                    told[key].add((period, on_peak - on_left, off_peak - off_left))


def _ledger(at: int, told: Mapping[Key, _Told], people: People) -> Ledger:
    return Ledger(
        at=float(at),
        day=date.min,  # what is of this day and this period is found among the days
        period=date.min,
        devices={
            Mac(key.name): Device(
                mac=Mac(key.name),
                ip=device.ip,
                hostname=None,
                user=people.owner(Mac(key.name), None),
                present=False,
                first_seen=device.first,
                last_active=device.last_active,
                series=Series(usage=device.usage, changed_at=device.last),
            )
            for key, device in told.items()
            if key.kind == "device"
        },
        users={
            key.name: Series(usage=user.usage, changed_at=user.last) for key, user in told.items() if key.kind == "user"
        },
        total=Series(usage=told[TOTAL].usage, changed_at=told[TOTAL].last),
        anew=True,
        began=float(min(device.first for key, device in told.items() if key.kind == "device")),
        shares=tuple(
            DayShare(day, key, on_peak, off_peak)
            for key, series in told.items()
            for day, (on_peak, off_peak) in series.days.items()
        ),
    )
