"""The ledger out of the CSV files, where the state file is lost: all but the counters of the router."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter

from msgspec import Struct

from dalla_mqtt.archive.csv_logs import Record, cut_torn, read_records, read_span
from dalla_mqtt.archive.layout import Layout, LogFile
from dalla_mqtt.archive.retention import read_summary
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.ledger import TOTAL, DayShare, Device, Key, Ledger, Series
from dalla_mqtt.usage.people import People
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Tariff

_LAST = 64  # records of each series among which the last is looked for that all series tell of

Share = tuple[date, int, int]


class Rebuilt(Struct, frozen=True):
    """A ledger that goes on from any counters; `text` is for people."""

    ledger: Ledger
    text: str


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


def restore(config: ArchiveConfig, tariff: Tariff, people: People) -> Rebuilt | None:
    """What the CSV files and the summaries tell, or None where there are none of devices. Raises ArchiveError.

    A row that is torn is taken out of its file: what it was is not known any more.
    """
    layout = Layout(config, tariff)
    try:
        rebuilt = _rebuild(layout, tariff, people)
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
    at, agreed = _agreement(traces)
    told = {key: trace.up_to(at) for key, trace in traces.items()}
    told = {key: series for key, series in told.items() if series.last}
    _add_summaries(layout, tariff, told)
    agreed = agreed and _adds_up(told, tariff, at)
    if not agreed:
        told = _from_devices(told, people)
    return Rebuilt(_ledger(at, told, people), _text(at, sum(map(len, files.values())), agreed=agreed))


def _text(at: int, files: int, *, agreed: bool) -> str:
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    odd = "" if agreed else "; they do not agree, so that users and total are what the devices add up to"
    return (
        f"there is no state of before: it is made again from {files} CSV files, up to {when}{odd}. "
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

    def shares(self, before: Record | None, record: Record) -> Iterator[Share]:
        """What a record adds to its own day, and what of it is of the billing period before, to the last day of that.

        The figures of one record add up over the devices as they do over the users, and so do their differences. The
        shares of a period add up to what its last record says, whatever is missing or was changed before.
        """
        day, period = self.find(record.time)
        on_peak, off_peak = record.on_peak, record.off_peak
        if before is not None and self.find(before.time)[1] == period:
            on_peak, off_peak = on_peak - before.on_peak, off_peak - before.off_peak
            earlier, odd = 0, min(on_peak, off_peak) < 0
        else:
            earlier = record.delta - on_peak - off_peak
            odd = earlier < 0  # the rows of before are gone
        if on_peak or off_peak:
            yield period if odd else day, on_peak, off_peak
        if earlier > 0:
            yield self._share(self._tariff.midnight(period).timestamp() - 1, earlier)

    def _share(self, at: float, size: int) -> Share:
        span = self._tariff.span_at(at)
        return (span.day, 0, size) if span.off_peak else (span.day, size, 0)


class _Trace:
    """The records of one series, in the order of their times: the sum of all, and the last ones each by itself."""

    def __init__(self, calendar: _Calendar, files: Iterable[LogFile]) -> None:
        self._calendar = calendar
        self._told = _Told()
        self._before: Record | None = None
        self.records: deque[tuple[Record, str]] = deque()
        for record, ip in _merged(files):
            self.records.append((record, ip))
            if len(self.records) > _LAST:
                self._settle(*self.records.popleft())

    def usage(self, at: int) -> int:
        """The total bytes at `at`, which is no earlier than the records that are summed already."""
        usages = [record.total for record, _ in self.records if record.time <= at]
        return usages[-1] if usages else self._told.usage

    def up_to(self, at: int) -> _Told:
        """All that is told up to `at`."""
        while self.records and self.records[0][0].time <= at:
            self._settle(*self.records.popleft())
        return self._told

    def _settle(self, record: Record, ip: str) -> None:
        told = self._told
        for share in self._calendar.shares(self._before, record):
            told.add(share)
        self._before = record
        told.usage, told.last, told.ip = record.total, record.time, ip
        told.first = told.first or record.time
        if record.delta:
            told.last_active = record.time


def _merged(files: Iterable[LogFile]) -> Iterator[tuple[Record, str]]:
    """The records of some files in the order of their times. Only files whose times overlap are open together."""
    spans = [(span[0].time, span[1].time, file) for file in files if (span := read_span(file.path))]
    together: list[LogFile] = []
    until = 0
    for since, upto, file in sorted(spans, key=itemgetter(0)):
        if since > until:
            yield from _side_by_side(together)
            together.clear()
        together.append(file)
        until = max(until, upto)
    yield from _side_by_side(together)


def _side_by_side(files: Iterable[LogFile]) -> Iterator[tuple[Record, str]]:
    return heapq.merge(*map(_records, files), key=lambda of_file: of_file[0].time)


def _records(file: LogFile) -> Iterator[tuple[Record, str]]:
    ip = file.ip or ""
    return ((record, ip) for record in read_records(file.path))


def _agreement(traces: Mapping[Key, _Trace]) -> tuple[int, bool]:
    """The last moment for which devices, users and total tell the same, and whether there is one."""
    of_total = traces.get(TOTAL)
    moments = [record.time for record, _ in of_total.records] if of_total else []
    for at in reversed(moments):
        sums = {"device": 0, "user": 0, "total": 0}
        for key, trace in traces.items():
            sums[key.kind] += trace.usage(at)
        if len(set(sums.values())) == 1:
            return at, True
    return max(trace.records[-1][0].time for trace in traces.values()), False


def _adds_up(told: Mapping[Key, _Told], tariff: Tariff, at: int) -> bool:
    """Whether devices, users and total tell the same of the day and the billing period of `at`."""
    now = tariff.span_at(at)
    for first, last in ((now.day, now.day), (now.period, tariff.last_day(now.period))):
        sums = {"device": (0, 0), "user": (0, 0), "total": (0, 0)}
        for key, series in told.items():
            (on_sum, off_sum), (on_peak, off_peak) = sums[key.kind], series.moved(first, last)
            sums[key.kind] = on_sum + on_peak, off_sum + off_peak
        if len(set(sums.values())) > 1:
            return False
    return True


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
        shares=tuple(
            DayShare(day, key, on_peak, off_peak)
            for key, series in told.items()
            for day, (on_peak, off_peak) in series.days.items()
        ),
    )
