"""Old rows purged from the CSV files. What they add up to stays in `summary.csv`, and each series' last row."""

from __future__ import annotations

import csv
import errno
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from functools import cache
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal

from msgspec import Struct

from dalla_mqtt.archive.csv_logs import HEADER, Record, parse, read_span
from dalla_mqtt.archive.files import locked, replace_file
from dalla_mqtt.archive.layout import Layout, LogFile, named, safe
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.ledger import TOTAL, Key, Kind, MovedIn
from dalla_mqtt.usage.tariff import Tariff

_log = logging.getLogger(__name__)

SUMMARY_HEADER = "Period, Kind, Name, On-Peak, Off-Peak, Total\n"
_KINDS: dict[str, Kind] = {"total": "total", "user": "user", "device": "device"}  # in this order
_MONTH_S = 30 * 86_400
_LEAP_S = 60 * 86_400
_LONGEST_PERIOD = timedelta(days=31)
_BLOCK = 2**16

Summary = dict[tuple[date, Key], tuple[int, int]]  # by billing period and series: bytes on-peak and off-peak


class Purge(Struct, frozen=True):
    """What is to be done to one file: all of it deleted, rows taken out, or all but its last row."""

    path: Path
    size: int
    what: Literal["delete", "shorten", "keep the last row"]
    since: int  # its first record, UTC epoch seconds
    key: Key
    last: Record
    folders: int  # above it, to be deleted when nothing is left in them


class DailyPurge:
    """Once a day: the rows that are older than `archive.keep` taken out. `trouble` tells what is wrong with it.

    Not where this machine's clock leaps over months from the record before: that may be the clock and not the time.
    """

    def __init__(
        self, config: ArchiveConfig, tariff: Tariff, moved: MovedIn, trouble: Callable[[str, str | None], object]
    ) -> None:
        self._config = config
        self._tariff = tariff
        self._moved = moved
        self._trouble = trouble
        self._purged_on: date | None = None

    def purge(self, at: float, before: float | None, stopping: Callable[[], bool]) -> None:
        """At the record of `at`, after the one of `before`. A stop ends it after the file in hand."""
        today = self._tariff.local(at).date()
        if self._config.keep is None or today == self._purged_on:
            return
        self._purged_on = today
        if before is None or at - before > _LEAP_S:
            return
        done = 0
        try:
            for _ in purge_due(self._config, self._tariff, self._moved, at):
                done += 1
                if stopping():
                    break
        except ArchiveError as error:
            self._trouble("retention", f"cannot purge: {error}; tomorrow again")
        except OSError as error:
            self._trouble("retention", f"cannot purge {error.filename}: {error.strerror}; tomorrow again")
        else:
            self._trouble("retention", None)
        if done:
            _log.info("purged old rows from %d files; what they add up to is in summary.csv", done)


def purge_due(config: ArchiveConfig, tariff: Tariff, moved: MovedIn, at: float) -> Iterator[Purge]:
    """Purge what is older at `at` than `archive.keep` says, and tell of each file when that is done. Raises OSError.

    A file that is written for ever is made shorter a month's rows at a time: each time it must be written again.
    """
    assert config.keep is not None
    layout, before = Layout(config, tariff), cutoff(tariff, at - config.keep)
    plan = [job for job in plan_purge(layout, before) if job.what != "shorten" or job.since < before - _MONTH_S]
    return purge(plan, layout, tariff, moved, before)


def cutoff(tariff: Tariff, at: float) -> float:
    """The beginning of the local day of `at`: rows are kept or purged by whole days."""
    return tariff.midnight(tariff.local(max(0.0, at)).date()).timestamp()


def plan_purge(layout: Layout, before: float) -> list[Purge]:
    """What purging all records from before `before`, UTC epoch seconds, has to do. Raises OSError.

    A file whose path has a date is left until all of it is old. The last record of a series stays: it tells the usage.
    """
    files = [(file, *span) for file in layout.files() if (span := read_span(file.path, HEADER)) is not None]
    last: dict[Key, tuple[int, int]] = defaultdict(lambda: (0, 0))  # a clock that was set back does not shrink a usage
    for file, _, upto in files:
        last[file.key] = max(last[file.key], (upto.total, upto.time))
    return [
        Purge(file.path, file.path.stat().st_size, what, since.time, file.key, upto, file.folders)
        for file, since, upto in files
        if since.time < before and (what := _what(file, since, upto, before, last[file.key]))
    ]


def purge(plan: list[Purge], layout: Layout, tariff: Tariff, moved: MovedIn, before: float) -> Iterator[Purge]:
    """Keep the sums of what is purged, then do as planned, and tell of each file when that is done. Raises OSError.

    `moved` tells what is on record; rows of which it knows nothing stay. Whenever this ends, the next purge goes on
    with what is left.
    """
    if plan:
        keep_sums(layout, tariff, moved, min(job.since for job in plan), before)
    on_record = cache(moved)
    failure = None
    for job in plan:
        day = tariff.local(job.last.time).date()
        sums = on_record(day - _LONGEST_PERIOD, day + _LONGEST_PERIOD).get(job.key, (0, 0))
        try:
            with _naming(job.path):
                if sum(sums) < job.last.on_peak + job.last.off_peak:
                    raise OSError(errno.ENODATA, "it tells of more than is on record")
                done = _do(job, before)
        except OSError as error:
            failure = error
            continue
        if done:
            yield job
    if failure is not None:
        raise failure


def keep_sums(layout: Layout, tariff: Tariff, moved: MovedIn, since: float, before: float) -> None:
    """Write what was moved in each billing period that begins before `before` and ends after `since`."""
    summaries: dict[Path, Summary] = defaultdict(dict)
    period, end = tariff.period_of(tariff.local(since).date()), tariff.local(before).date()
    while period < end:
        last = tariff.last_day(period)
        for key, sums in moved(period, last).items():
            summaries[layout.summary(period)][period, key] = sums
        period = last + timedelta(days=1)
    for path, summary in summaries.items():
        with _naming(path):
            _write_summary(path, summary)


def _write_summary(path: Path, summary: Summary) -> None:
    """Put the sums to those that are there; of two for the same, the larger is right: it holds the other."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        if not (file.readline() or SUMMARY_HEADER.encode()).startswith(SUMMARY_HEADER.rstrip().encode()):
            raise FileExistsError(errno.EEXIST, "another file is in the place of the summary")
    there = read_summary(path)
    merged = there | {key: max(sums, there.get(key, (0, 0)), key=sum) for key, sums in summary.items()}
    if merged != there:
        replace_file(path, chain([SUMMARY_HEADER.encode()], (row.encode() for row in _summary_rows(merged))))


def read_summary(path: Path) -> Summary:
    """The rows of a summary that can be read; none where there is no such file."""
    summary: Summary = {}
    with suppress(FileNotFoundError, csv.Error), path.open(encoding="utf-8", errors="replace", newline="") as file:
        for cells in csv.reader(file, skipinitialspace=True):
            with suppress(ValueError):
                period, kind, name, on_peak, off_peak, _ = cells
                if kind in _KINDS:
                    key = TOTAL if kind == "total" else Key(_KINDS[kind], named(name))
                    summary[date.fromisoformat(period), key] = (int(on_peak), int(off_peak))
    return summary


def _summary_rows(summary: Summary) -> Iterator[str]:
    kinds = list(_KINDS)
    for period, key in sorted(summary, key=lambda series: (series[0], kinds.index(series[1].kind), series[1].name)):
        on_peak, off_peak = summary[period, key]
        name = safe(key.name) or "total"
        cell = f'"{name}"' if "," in name else name
        yield f"{period}, {key.kind}, {cell}, {on_peak}, {off_peak}, {on_peak + off_peak}\n"


def _what(
    file: LogFile, since: Record, upto: Record, before: float, last: tuple[int, int]
) -> Literal["delete", "shorten", "keep the last row"] | None:
    if upto.time >= before:
        return None if file.rotates else "shorten"
    if (upto.total, upto.time) < last:
        return "delete"
    return "keep the last row" if since != upto else None


def _do(job: Purge, before: float) -> bool:
    """Replace a file whole, or delete it, while nobody appends to it; whether that was still to be done."""
    path = job.path.resolve()
    try:
        with locked(path, make=False) as number, open(number, "rb", closefd=False) as file:
            done = _delete(job, path, file) if job.what == "delete" else _shorten(path, file, before)
    except FileNotFoundError:
        return False
    with suppress(OSError):  # other files are there
        for folder in [*job.path.parents][: job.folders]:
            folder.rmdir()
    return done


def _delete(job: Purge, path: Path, file: BinaryIO) -> bool:
    if os.fstat(file.fileno()).st_size != job.size:
        return False  # it was written meanwhile
    path.unlink()
    return True


def _shorten(path: Path, file: BinaryIO, before: float) -> bool:
    """Leave the records from `before` on, or the last one."""
    offset, rest = 0, len(HEADER)
    for line in file:
        record = parse(line)
        if record is not None:
            rest = offset
            if record.time >= before:
                break
        offset += len(line)
    if rest <= len(HEADER):
        return False
    file.seek(rest)
    replace_file(path, chain([HEADER.encode()], iter(lambda: file.read(_BLOCK), b"")))
    return True


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
