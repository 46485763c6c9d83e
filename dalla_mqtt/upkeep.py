"""What is done to the files by hand, and what a person sees of it: old rows purged, logs of dalla-stats brought in."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, track

from dalla_mqtt.archive.beside import History
from dalla_mqtt.archive.history import Import, bring_in, check_folder
from dalla_mqtt.archive.layout import Layout
from dalla_mqtt.archive.legacy import Kind, LegacyFile
from dalla_mqtt.archive.rebuild import go_on
from dalla_mqtt.archive.retention import Purge, cutoff, plan_purge, purge
from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import LocalConfig
from dalla_mqtt.errors import ArchiveError, ConfigError
from dalla_mqtt.log import say, utc
from dalla_mqtt.usage.ledger import TOTAL, Key, MovedIn
from dalla_mqtt.usage.tariff import Tariff

_NOTABLE = 0.01  # of what dalla-stats charged: less is the first counter, or the record at midnight
_DONE = {"delete": "deleted", "shorten": "shortened", "keep the last row": "shortened to its last row"}
_PLANNED = {
    "delete": "would be deleted",
    "shorten": "would be shortened",
    "keep the last row": "would be shortened to its last row",
}


def run_purge(config: LocalConfig, older_than_s: float | None, *, dry_run: bool) -> None:
    """Purge old rows of the CSV files, also while a daemon writes them. Raises ConfigError and ArchiveError."""
    if config.archive is None:
        raise ConfigError("archive.enabled is false: there are no CSV files to purge")
    age = config.archive.keep if older_than_s is None else older_than_s
    if age is None:
        raise ConfigError("archive.keep is forever: say how old rows may be, such as --older-than 400d")
    layout, before = Layout(config.archive, config.tariff), cutoff(config.tariff, time.time() - age)
    try:
        plan = plan_purge(layout, before)
        if dry_run:
            _tell_purge(plan, _PLANNED, before)
            return
        with closing(History(config.state)) as history:
            jobs = purge(plan, layout, config.tariff, history.moved, before)
            console = Console(stderr=True)
            bar = track(jobs, "Purging", len(plan), console=console, transient=True, disable=not console.is_terminal)
            done = list(bar)
    except OSError as error:
        raise ArchiveError(f"{error.filename}: cannot be purged: {error.strerror}; the rest is done") from error
    _tell_purge(done, _DONE, before)


def run_import(config: LocalConfig, folder: Path) -> None:
    """Bring in the logs of dalla-stats in `folder`. Raises ConfigError and ArchiveError."""
    check_folder(folder, config)
    try:
        with closing(Store(config.state)) as store, _progress() as progress:
            task = progress.add_task("Reading", total=None)

            def tell(rows: int, at: int) -> None:
                progress.update(task, description=f"{rows} rows, up to {_day(config.tariff, at)}")

            told = None if config.archive is None else go_on(store, config.archive, config.tariff, config.people)
            if told is not None:
                say(told)
            came = bring_in(folder, config, store, time.time(), tell)
            progress.stop()
            for file in came.files:
                _tell_file(file, folder, config.tariff)
            for file in came.files:
                _compare(file, folder, store.moved, config.tariff)
            _tell_import(came, config.tariff)
    except OSError as error:
        raise ArchiveError(f"{error.filename}: {error.strerror}; mend that and import once more") from error
    except KeyboardInterrupt as error:
        raise ArchiveError("the import was broken off; import once more") from error


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _tell_purge(jobs: Sequence[Purge], words: Mapping[str, str], before: float) -> None:
    for job in jobs:
        say(f"{job.path} {words[job.what]}")
    sizes = [job.size for job in jobs if job.what == "delete"]
    deleted = f"{len(sizes)} of them, {_gb(sum(sizes))}, {words['delete']}"
    say(f"{len(jobs)} files with rows from before {utc(before)}; {deleted}")


def _tell_file(file: LegacyFile, folder: Path, tariff: Tariff) -> None:
    """One line for what was taken of a file, and one for each thing to be said of it."""
    name = file.path.relative_to(folder)
    span = f", {_day(tariff, file.first)} to {_day(tariff, file.last)}" if file.first and file.last else ""
    again = f", {file.repeated} said twice" if file.repeated else ""
    left_out = sum(problem.lines for problem in file.problems)
    out = f", {left_out} lines left out" if left_out else ""
    say(f"{name}: {file.kind}, {file.rows} rows{span}{again}{out}")
    for problem in (*file.problems, *file.remarks):
        place = f"{name}:{problem.line}" if problem.line else f"{name}"
        lines = f" ({problem.lines} lines)" if problem.lines > 1 else ""
        say(f"  {place}: {problem.why}{lines}")
    if file.kind is Kind.MAP:
        say(f"  {name}: tells whose device is whose; name it in user_map_file to go by it")


def _compare(file: LegacyFile, folder: Path, moved: MovedIn, tariff: Tariff) -> None:
    """Say where dalla-stats charged something else than the counters in the files of the devices tell."""
    if file.kind not in (Kind.USER, Kind.TOTAL) or not file.billed or file.first is None or file.last is None:
        return
    key = TOTAL if file.kind is Kind.TOTAL else Key("user", file.name or "")
    first, last = (tariff.local(at).date() for at in (file.first, file.last))
    counted = sum(moved(first, last).get(key, (0, 0)))
    if abs(counted - file.billed) > file.billed * _NOTABLE:
        name = file.path.relative_to(folder)
        say(f"{name}: dalla-stats charged {file.billed} bytes; by the counters of its devices it is {counted}")


def _tell_import(came: Import, tariff: Tariff) -> None:
    """The sum of it: what each user moved, by the present configuration."""
    times = [at for file in came.files if file.kind is Kind.DEVICE for at in (file.first, file.last) if at]
    span = f", {_day(tariff, min(times))} to {_day(tariff, max(times))}" if came.rows else ""
    say(f"brought in {came.rows} rows{span}")
    for key, moved in sorted(came.days.moved(date.min, date.max).items(), key=lambda item: -sum(item[1])):
        if key.kind != "device":
            say(f"  {key.name or 'total'}: {_gb(sum(moved))}")
    if came.there:
        say(f"left out {came.there} rows of times that are counted here already")


def _day(tariff: Tariff, at: float) -> str:
    return str(tariff.local(at).date())


def _gb(size: int) -> str:
    return f"{size / 1e9:.3f} GB"
