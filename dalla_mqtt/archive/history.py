"""Logs of dalla-stats brought in as if they had been counted here: into the CSV files, the days and the ledger."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.archive.csv_logs import CsvLogs, insert
from dalla_mqtt.archive.layout import Layout
from dalla_mqtt.archive.legacy import DeviceLogs, LegacyFile, LegacyRow, find_logs, read_totals
from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import LocalConfig
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.usage.counters import Movement
from dalla_mqtt.usage.ledger import DayShare, Device, Key, Ledger, Moment, Moved, MovedIn, Rules, Series, book
from dalla_mqtt.usage.reading import NOWHERE, Mac

_AT_ONCE = 100_000  # rows for the CSV files that wait in memory


class Import(Struct, frozen=True):
    """What came of the logs: `rows` brought in, `there` of times that are counted here already, and bytes by day."""

    files: tuple[LegacyFile, ...]
    rows: int
    there: int
    days: Days


class Days:
    """What was booked to each day of each series: bytes on-peak and off-peak."""

    def __init__(self) -> None:
        self._days: dict[date, dict[Key, tuple[int, int]]] = defaultdict(dict)

    def keep(self, shares: Iterable[DayShare]) -> None:
        """Add to what was booked before."""
        for day, key, on_peak, off_peak in shares:
            _add(self._days[day], key, (on_peak, off_peak))

    def moved(self, first: date, last: date) -> Moved:
        """The sums of the local days from `first` to `last`."""
        sums: dict[Key, tuple[int, int]] = {}
        for day, moved in self._days.items():
            if first <= day <= last:
                for key, share in moved.items():
                    _add(sums, key, share)
        return sums

    def shares(self) -> tuple[DayShare, ...]:
        """All of it."""
        return tuple(DayShare(day, key, *share) for day, moved in self._days.items() for key, share in moved.items())


def _add(sums: dict[Key, tuple[int, int]], key: Key, share: tuple[int, int]) -> None:
    on_peak, off_peak = sums.get(key, (0, 0))
    sums[key] = (on_peak + share[0], off_peak + share[1])


def bring_in(folder: Path, config: LocalConfig, store: Store, now: float, tell: Callable[[int, int], None]) -> Import:
    """Bring in what dalla-stats logged in `folder`, but for the times that are counted in `store` already.

    `tell` is told the rows so far, and the time of the last, UTC epoch seconds. Rows for the CSV files wait beside the
    state file until it knows of all: ended before, nothing came of it; and after, the next import puts them in. Raises
    ConfigError, ArchiveError and OSError.
    """
    spool = Spool(config.state)
    spool.deliver()
    files = find_logs(folder, int(now))
    wanted = _Wanted(store.load())
    replay = _Replay(config, store, spool)
    for time, rows in groupby(filter(wanted, DeviceLogs(files, config.line_rate)), key=attrgetter("time")):
        replay.book(time, list(rows))
        tell(replay.rows, time)
    replay.write()
    read_totals(files)
    if replay.rows:
        spool.seal()
        store.save(replay.joined(), {})
        spool.deliver()
    return Import(files, replay.rows, wanted.there, replay.days)


def check_folder(folder: Path, config: LocalConfig) -> None:
    """Whether `folder` can hold logs of dalla-stats. Raises ConfigError and ArchiveError.

    Our own files look like them, but for what `Total Bytes` means.
    """
    files = find_logs(folder, 0)
    if not files:
        raise ConfigError(f"{folder} holds no CSV files: name the folder in which dalla-stats wrote its logs")
    if config.archive is not None:
        ours = {file.path.resolve() for file in Layout(config.archive, config.tariff).files()}
        for file in files:
            if file.path.resolve() in ours:
                raise ConfigError(
                    f"{file.path} is where dalla-mqtt writes its own logs; if it is of dalla-stats, move its folder "
                    "away first, and import it from there"
                )


class Spool:
    """Rows for CSV files that wait in a folder beside the state file."""

    def __init__(self, state: Path) -> None:
        self._folder = state.with_name(f"{state.name}.import")
        self._sealed = state.with_name(f"{state.name}.imported")
        self._numbers: dict[str, int] = {}
        shutil.rmtree(self._folder, ignore_errors=True)

    def put(self, path: str, rows: Iterable[str]) -> None:
        """Keep rows for the file at `path`."""
        new = path not in self._numbers
        number = self._numbers.setdefault(path, len(self._numbers))
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / str(number)).open("ab") as file:
            if new:
                file.write(os.fsencode(path) + b"\n")
            file.writelines(row.encode("ascii") for row in rows)

    def seal(self) -> None:
        """From now on these rows are delivered, whatever happens."""
        if self._numbers:
            self._folder.rename(self._sealed)

    def deliver(self) -> None:
        """Put all rows into their files, where their times say. Raises OSError."""
        if self._sealed.exists():
            for file in sorted(self._sealed.iterdir()):
                path, _, rows = file.read_bytes().partition(b"\n")
                insert(os.fsdecode(path), rows.decode("ascii"))
            shutil.rmtree(self._sealed)


class _Wanted:
    """Whether a row is of a time that is not counted yet: before counting began here, and in no logs brought in."""

    def __init__(self, ledger: Ledger) -> None:
        self._began = ledger.began
        self._imported = ledger.imported
        self.there = 0

    def __call__(self, row: LegacyRow) -> bool:
        wanted = (self._began is None or row.time < self._began) and not any(
            first <= row.time <= last for first, last in self._imported
        )
        self.there += not wanted
        return wanted


class _Replay:
    """The ledger as it would have been, time after time. What follows on the one that is stored is booked to that."""

    def __init__(self, config: LocalConfig, store: Store, spool: Spool) -> None:
        self.rows = 0
        self._span: tuple[int, int] | None = None
        self._store = store
        self._spool = spool
        self._before = store.load()
        self._earlier, self._later = Ledger(), replace(self._before, anew=False)  # than all that is stored, and with it
        self._met: set[Mac] = set()
        devices = self._before.devices.values()
        self._names = {device.mac: device.hostname for device in devices if device.hostname is not None}
        self._earlier_days, self._later_days = Days(), Days()
        rules = Rules(config.people, config.tariff, interval_s=1, line_rate=config.line_rate)
        self._earlier_rules = replace(rules, moved=self._earlier_days.moved)
        self._later_rules = replace(rules, moved=self._moved_later)
        self._logs = CsvLogs(config.archive, config.tariff) if config.archive is not None else None
        self._waiting: dict[str, list[str]] = defaultdict(list)
        self._waiting_rows = 0

    @property
    def days(self) -> Days:
        """What was booked to each day."""
        days = Days()
        days.keep(self._earlier_days.shares())
        days.keep(self._later_days.shares())
        return days

    def book(self, time: int, rows: list[LegacyRow]) -> None:
        """Book what all rows of one time add."""
        if self._before.at is None or time < self._before.at:
            ledger = self._earlier = self._book(self._earlier, time, rows, self._earlier_rules)
            self._earlier_days.keep(ledger.shares)
        else:
            ledger = self._later = self._book(self._later, time, rows, self._later_rules)
            self._later_days.keep(ledger.shares)
        self.rows += len(rows)
        self._span = (self._span[0] if self._span else time, time)
        self._owe(ledger)

    def write(self) -> None:
        """Put the rows that wait in memory into the spool."""
        for path, rows in self._waiting.items():
            self._spool.put(path, rows)
        self._waiting.clear()
        self._waiting_rows = 0

    def joined(self) -> Ledger:
        """One ledger of all."""
        assert self._span is not None
        return replace(
            _joined(self._earlier, self._later, self._earlier_days.moved, self._moved_later),
            anew=self._before.at is None or self._before.anew,
            began=self._before.began,
            imported=(*self._before.imported, self._span),
            uptime_s=self._before.uptime_s,
            wide=self._before.wide,
            counters=self._before.counters,
            shares=self.days.shares(),
            day=date.min,  # the figures of now are found among the days
            period=date.min,
        )

    def _book(self, before: Ledger, time: int, rows: list[LegacyRow], rules: Rules) -> Ledger:
        movements = []
        for row in rows:
            start = row.start
            if row.mac not in self._met and row.mac in before.devices:  # the counter may hold what is counted
                start = max(0, start - before.devices[row.mac].series.usage)
            self._met.add(row.mac)
            movements.append(Movement(row.ip or NOWHERE, row.mac, start, row.delta, row.cause, row.since))
        elapsed_s = time - before.at if before.at is not None else 0
        return book(before, movements, rules, Moment(time, elapsed_s, self._names))[0]

    def _moved_later(self, first: date, last: date) -> Moved:
        sums = dict(self._store.moved(first, last))
        for key, share in self._later_days.moved(first, last).items():
            _add(sums, key, share)
        return sums

    def _owe(self, ledger: Ledger) -> None:
        if self._logs is None:
            return
        for path, text in self._logs.rows(ledger).items():
            self._waiting[path].append(text)
            self._waiting_rows += 1
        if self._waiting_rows > _AT_ONCE:
            self.write()


def _joined(earlier: Ledger, later: Ledger, moved_earlier: MovedIn, moved_later: MovedIn) -> Ledger:
    """`later` with what was used before its last record. No byte is counted twice, and no usage falls."""
    if later.at is None or earlier.at is None:
        return earlier if later.at is None else later
    devices, users, total = dict(later.devices), dict(later.users), later.total
    for mac, device in earlier.devices.items():
        there = later.devices.get(mac)
        if there is None:
            more = device.series.usage
            devices[mac] = replace(device, present=False, series=Series(usage=more, changed_at=later.at))
        else:
            more = _more(device, there, moved_earlier, moved_later)
            first_seen = min(device.first_seen, there.first_seen)
            devices[mac] = replace(there, first_seen=first_seen, series=_raised(there.series, more, later.at))
        users[device.user] = _raised(users.get(device.user, Series()), more, later.at)
        total = _raised(total, more, later.at)
    return replace(later, devices=devices, users=users, total=total)


def _more(device: Device, there: Device, moved_earlier: MovedIn, moved_later: MovedIn) -> int:
    """What the logs of a device add to its usage: counters with which counts begin may hold what others counted."""
    key = Key("device", device.mac.dashed)

    def counted(moved: MovedIn, until: date = date.max) -> int:
        return sum(moved(date.min, until).get(key, (0, 0)))

    new = counted(moved_earlier)
    start, start_there = device.series.usage - new, there.series.usage - counted(moved_later)
    if device.first_seen <= there.first_seen:
        return max(0, device.series.usage - start_there)
    next_day = datetime.fromtimestamp(device.first_seen, UTC).date() + timedelta(days=1)
    return new + max(0, start - start_there - counted(moved_later, next_day))


def _raised(series: Series, more: int, at: float) -> Series:
    return replace(series, usage=series.usage + more, changed_at=at)
