"""What is on record, for those who show it: days from the state file, hours from the CSV files."""

from __future__ import annotations

import os
import re
import threading
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from typing import BinaryIO

from dalla_mqtt.archive.beside import History
from dalla_mqtt.archive.csv_logs import parse
from dalla_mqtt.archive.layout import Layout
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.hours import HOUR_S, Hour, hour_of
from dalla_mqtt.usage.ledger import Key, Moved
from dalla_mqtt.usage.quota import Used
from dalla_mqtt.usage.tariff import Tariff, divide

_DAY_S = 86_400  # before the first hour, from where a file is read: clocks differ, and a row needs the one before it
_AT_ONCE = 16_384  # bytes: four threads may be at it, and each keeps the room
_PLAIN = re.compile(rb"(?:\d{1,10}, \d{1,15}, \d{1,15}, \d{1,15}, \d{1,15}\n)++")  # rows as we write them
_END = 100  # bytes before the place up to which a file was read, by which it is known again
_KEPT = 64  # files whose sums are remembered: 24 bytes an hour

_Row = tuple[int, int, int, int, int]  # of a file


class StoredRecords:
    """The Records of one household, read beside a daemon that works with them. For any thread.

    `archive` None: there are no CSV files, and no hours. A delta belongs to the hour of its record.
    """

    def __init__(self, state: Path, archive: ArchiveConfig | None, tariff: Tariff) -> None:
        self._state = state
        self._layout = Layout(archive, tariff) if archive is not None else None
        self._tariff = tariff
        self._lock = threading.Lock()
        self._tallies: dict[Path, _Tally] = {}  # the one that was asked for last is the last

    def moved(self, first: date, last: date) -> Moved:
        """See Records."""
        with closing(History(self._state)) as history:
            return history.moved(first, last)

    def days(self, key: Key, first: date, last: date) -> dict[date, Used]:
        """See Records."""
        with closing(History(self._state)) as history:
            return history.days(key, first, last)

    def hours(self, key: Key, since: float, until: float) -> list[Hour]:
        """See Records. What was read of a file once is not read again, but for what was appended to it."""
        if self._layout is None:
            return []
        try:
            with self._lock:
                sums = self._sums([file.path for file in self._layout.files_of(key)], since)
        except (OSError, OverflowError) as error:  # OverflowError: a sum beyond 2**63
            raise ArchiveError(f"the CSV files of {key.name or key.kind} cannot be read: {error}") from error
        return [Hour(start, *sums[start]) for start in sorted(sums) if since <= start < until]

    def _sums(self, paths: Iterable[Path], since: float) -> dict[int, tuple[int, int]]:
        """What was moved on-peak and off-peak in each hour from `since` on, and in some before."""
        tallies = []
        for path in paths:
            with suppress(FileNotFoundError):  # purged meanwhile
                if path.stat().st_mtime >= since - _DAY_S:
                    tallies.append(self._tally(path, since))
        sums: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
        before: _Row | None = None
        for first, last, tally in sorted((*tally.ends, tally) for tally in tallies if tally.ends):
            for hour, on_peak, off_peak in ((hour_of(first[0]), *share(self._tariff, before, first)), *tally.shares()):
                sums[hour] = (sums[hour][0] + on_peak, sums[hour][1] + off_peak)
            before = last
        return sums

    def _tally(self, path: Path, since: float) -> _Tally:
        with path.open("rb") as file:
            tally = self._tallies.pop(path, None)
            if tally is None or not tally.goes_on(file, since):
                tally = _Tally(file, since, self._tariff)
            tally.read(file)
        self._tallies[path] = tally
        if len(self._tallies) > _KEPT:
            del self._tallies[next(iter(self._tallies))]
        return tally


class _Tally:
    """What the rows of one file add to each hour, but for the first row: what of it is off-peak, a file before tells.

    `ends`: the first and the last row that were read, None without any; those from `since` on are among them.
    """

    def __init__(self, file: BinaryIO, since: float, tariff: Tariff) -> None:
        self.ends: tuple[_Row, _Row] | None = None
        self._since = since
        self._tariff = tariff
        self._inode = os.fstat(file.fileno()).st_ino
        self._upto = _place(file, since - _DAY_S)
        self._end = b""  # what stands before `upto`
        self._hours, self._on_peak, self._off_peak = array("q"), array("q"), array("q")

    def goes_on(self, file: BinaryIO, since: float) -> bool:
        """Whether `file` is the same that was read, or more of it, and nothing from `since` on was left out."""
        file.seek(self._upto - len(self._end))
        same = os.fstat(file.fileno()).st_ino == self._inode and file.read(len(self._end)) == self._end
        return same and since >= self._since

    def read(self, file: BinaryIO) -> None:
        """Add the whole rows that were not read yet."""
        file.seek(self._upto)
        rest = b""
        while chunk := file.read(_AT_ONCE):
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline:
                self._upto += len(whole) + 1
                self._end = whole[-_END:] + newline
                self._add(_rows(whole + newline))

    def shares(self) -> Iterator[tuple[int, int, int]]:
        """Hour, bytes on-peak and off-peak; an hour may come more than once."""
        return zip(self._hours, self._on_peak, self._off_peak, strict=True)

    def _add(self, rows: Iterator[_Row]) -> None:
        if self.ends is None:
            first = next(rows, None)
            if first is None:
                return
            self.ends = first, first
        first, before = self.ends
        hour = self._hours[-1] if self._hours else 0
        for row in rows:
            on_peak, off_peak = share(self._tariff, before, row)
            if not hour < row[0] <= hour + HOUR_S:
                hour = hour_of(row[0])
                self._hours.append(hour)
                self._on_peak.append(0)
                self._off_peak.append(0)
            self._on_peak[-1] += on_peak
            self._off_peak[-1] += off_peak
            before = row
        self.ends = first, before


def share(tariff: Tariff, before: _Row | None, row: _Row) -> tuple[int, int]:
    """Which of the delta of `row` is on-peak and which off-peak; `before`: the row before it, where that is known."""
    time, _, delta, on_peak, off_peak = row
    if before is not None:
        more_on, more_off = on_peak - before[3], off_peak - before[4]
        if more_on >= 0 and more_off >= 0 and more_on + more_off == delta:
            return more_on, more_off
    spans = tariff.spans(before[0] if before else time, time)  # of another billing period, or rows are missing
    off = sum(part for span, part in zip(spans, divide(delta, spans), strict=True) if span.off_peak)
    return delta - off, off


def _place(file: BinaryIO, since: float) -> int:
    """Where to begin, so that all rows from `since` on are read. They stand in the order of time: found by halving."""
    low, high = 0, os.fstat(file.fileno()).st_size
    while high - low > _AT_ONCE:
        middle = (low + high) // 2
        file.seek(middle)
        part, line = len(file.readline(_AT_ONCE)), file.readline(_AT_ONCE)
        row = parse(line)
        if row is not None and row.time < since:
            low = middle + part
        else:
            high = middle
    return low


def _rows(lines: bytes) -> Iterator[_Row]:
    """The rows of whole lines; what is none is passed over."""
    if _PLAIN.fullmatch(lines):
        numbers = map(int, lines.replace(b"\n", b",")[:-1].split(b","))
        return zip(numbers, numbers, numbers, numbers, numbers, strict=True)
    return filter(None, map(parse, lines.splitlines(keepends=True)))
