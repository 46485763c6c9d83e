"""Old rows purged from the CSV files. What they add up to stays in `summary.csv`, and each series' last row."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from msgspec import Struct

from dalla_mqtt.archive.csv_logs import HEADER, locked
from dalla_mqtt.archive.layout import Layout, LogFile, named, safe
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.usage.ledger import TOTAL, Key, Kind, Moved
from dalla_mqtt.usage.tariff import Tariff

SUMMARY_HEADER = "Period, Kind, Name, On-Peak, Off-Peak, Total\n"
_KINDS: dict[str, Kind] = {"total": "total", "user": "user", "device": "device"}  # in this order
_MONTH_S = 30 * 86_400
_BLOCK = 4096  # bytes in which the first and the last record of a file are looked for
_RECORD = re.compile(rb"^(\d+), \d+, \d+, \d+, \d+\n", re.MULTILINE)

Summary = dict[tuple[date, Key], tuple[int, int]]  # by billing period and series: bytes on-peak and off-peak


class Purge(Struct, frozen=True):
    """What is to be done to one file: all of it deleted, rows taken out, or all but its last row."""

    path: Path
    size: int
    what: Literal["delete", "shorten", "keep the last row"]
    since: int  # its first record, UTC epoch seconds
    folder_goes: bool


def purge_due(
    config: ArchiveConfig, tariff: Tariff, moved: Callable[[date, date], Moved], at: float
) -> Iterator[Purge]:
    """Purge what is older at `at` than `archive.keep` says, and tell of each file when that is done. Raises OSError.

    A file that is written for ever is made shorter a month's rows at a time: each time it must be written again.
    """
    assert config.keep is not None
    layout, before = Layout(config, tariff), cutoff(tariff, at - config.keep)
    plan = [job for job in plan_purge(layout, before) if job.what != "shorten" or job.since < before - _MONTH_S]
    return purge(plan, layout, tariff, moved, before)


def cutoff(tariff: Tariff, at: float) -> float:
    """The beginning of the local day of `at`: rows are kept or purged by whole days."""
    return tariff.midnight(tariff.local(at).date()).timestamp()


def plan_purge(layout: Layout, before: float) -> list[Purge]:
    """What purging all records from before `before`, UTC epoch seconds, has to do. Raises OSError.

    A file whose path has a date is left until all of it is old. The last record of a series stays: it tells the usage.
    """
    files = [(file, *span) for file in layout.files() if (span := _span(file.path)) is not None]
    last: dict[Key, int] = defaultdict(int)
    for file, _, upto in files:
        last[file.key] = max(last[file.key], upto)
    return [
        Purge(file.path, file.path.stat().st_size, what, since, file.rotates)
        for file, since, upto in files
        if since < before and (what := _what(file, since, upto, before, last[file.key]))
    ]


def purge(
    plan: list[Purge],
    layout: Layout,
    tariff: Tariff,
    moved: Callable[[date, date], Moved],
    before: float,
) -> Iterator[Purge]:
    """Keep the sums of what is purged, then do as planned, and tell of each file when that is done. Raises OSError.

    `moved` tells what was booked in the local days from a first to a last one. Whenever this ends, the next purge goes
    on with what is left.
    """
    if plan:
        keep_sums(layout, tariff, moved, min(job.since for job in plan), before)
    failure = None
    for job in plan:
        try:
            _do(job, before)
        except OSError as error:
            failure = OSError(error.errno, error.strerror, str(job.path))
        yield job
    if failure is not None:
        raise failure


def keep_sums(
    layout: Layout, tariff: Tariff, moved: Callable[[date, date], Moved], since: float, before: float
) -> None:
    """Write what was moved in each billing period that begins before `before` and ends after `since`."""
    summaries: dict[Path, Summary] = defaultdict(dict)
    period, end = tariff.period_of(tariff.local(since).date()), tariff.local(before).date()
    while period < end:
        last = tariff.last_day(period)
        for key, sums in moved(period, last).items():
            summaries[layout.summary(period)][period, key] = sums
        period = last + timedelta(days=1)
    for path, summary in summaries.items():
        there = read_summary(path)
        merged = there | {key: max(sums, there.get(key, (0, 0)), key=sum) for key, sums in summary.items()}
        if merged != there:
            _replace(path, SUMMARY_HEADER.encode() + "".join(_summary_rows(merged)).encode())


def read_summary(path: Path) -> Summary:
    """The rows of a summary that can be read; none where there is no such file."""
    summary: Summary = {}
    with suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace", newline="") as file:
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


def _span(path: Path) -> tuple[int, int] | None:
    """The times of the first and the last record of a file; None where it has none, or is not one of ours."""
    with path.open("rb") as file:
        head = file.read(_BLOCK)
        file.seek(max(0, file.seek(0, os.SEEK_END) - _BLOCK))
        tail = file.read()
    first, last = _RECORD.search(head), [*_RECORD.finditer(tail)][-1:]
    if first is None or not last or not head.startswith(HEADER.encode()):
        return None
    return int(first[1]), int(last[0][1])


def _what(
    file: LogFile, since: int, upto: int, before: float, last: int
) -> Literal["delete", "shorten", "keep the last row"] | None:
    if upto >= before:
        return None if file.rotates else "shorten"
    if upto < last:
        return "delete"
    return "keep the last row" if since < upto else None


def _do(job: Purge, before: float) -> None:
    """Replace a file whole, or delete it, while nobody appends to it."""
    with locked(str(job.path)) as file:
        if job.what == "delete":
            job.path.unlink()
        else:
            rows = os.pread(file, os.fstat(file).st_size, 0).splitlines(keepends=True)
            records = [number for number, row in enumerate(rows) if _RECORD.fullmatch(row)]
            recent = (number for number in records if int(rows[number].partition(b",")[0]) >= before)
            _replace(job.path, HEADER.encode() + b"".join(rows[next(recent, records[-1]) :]))
    if job.folder_goes:
        with suppress(OSError):  # other files are there
            job.path.parent.rmdir()


def _replace(path: Path, content: bytes) -> None:
    """Put `content` into the place of a file, or of none, in one step that survives a power loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        with suppress(FileNotFoundError):
            old = path.stat()
            os.fchmod(file.fileno(), old.st_mode & 0o777)
            with suppress(PermissionError):
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
