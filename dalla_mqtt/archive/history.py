"""Logs of dalla-stats brought in as if they had been counted here: into the CSV files, the days and the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date
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
from dalla_mqtt.usage.ledger import DayShare, Key, Ledger, Moment, Moved, Rules, Series, book
from dalla_mqtt.usage.reading import Mac

_AT_ONCE = 100_000  # rows for the CSV files that wait in memory
_NOWHERE = "0.0.0.0"  # noqa: S104  # of a device whose file names no address


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

    `tell` is told the rows so far, and the time of the last, UTC epoch seconds. The ledger is saved last and at once:
    ended before, all of it is done again. Raises ConfigError, ArchiveError and OSError.
    """
    files = find_logs(folder, int(now))
    if not files:
        raise ConfigError(f"{folder} holds no CSV files: name the folder in which dalla-stats wrote its logs")
    _refuse_our_own(config, files)
    before = store.load()
    logs = DeviceLogs(files, config.line_rate)
    wanted = _Wanted(before)
    replay = _Replay(config, store)
    for time, rows in groupby(filter(wanted, logs), key=attrgetter("time")):
        replay.book(time, list(rows))
        tell(replay.rows, time)
    replay.write()
    read_totals(files)
    if replay.rows:
        store.save(replay.joined(), {})
    return Import(files, replay.rows, wanted.there, replay.days)


def _refuse_our_own(config: LocalConfig, files: Iterable[LegacyFile]) -> None:
    """Our own files look like those of dalla-stats, but for what `Total Bytes` means."""
    if config.archive is not None:
        ours = {file.path.resolve() for file in Layout(config.archive, config.tariff).files()}
        for file in files:
            if file.path.resolve() in ours:
                raise ConfigError(
                    f"{file.path} is where dalla-mqtt writes its own logs; name the folder of dalla-stats"
                )


class _Wanted:
    """Whether a row is of a time that is not counted yet: before the beginning, or after logs were brought in."""

    def __init__(self, ledger: Ledger) -> None:
        self._from = min((device.first_seen for device in ledger.devices.values()), default=None)
        self._to = ledger.at if ledger.anew and not ledger.counters else None
        self.there = 0

    def __call__(self, row: LegacyRow) -> bool:
        wanted = self._from is None or row.time < self._from or (self._to is not None and row.time > self._to)
        self.there += not wanted
        return wanted


class _Replay:
    """The ledger as it would have been, time after time. What follows on the one that is stored is booked to that."""

    def __init__(self, config: LocalConfig, store: Store) -> None:
        self.rows = 0
        self._store = store
        self._before = store.load()
        self._earlier, self._later = Ledger(), replace(self._before, anew=False)  # than all that is stored, and with it
        self._met: set[Mac] = set()
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
        self._owe(ledger)

    def write(self) -> None:
        """Put the rows that wait into their files, where their times say."""
        for path, rows in self._waiting.items():
            insert(path, "".join(rows))
        self._waiting.clear()
        self._waiting_rows = 0

    def joined(self) -> Ledger:
        """One ledger of all."""
        joined = _joined(self._earlier, self._later, self._moved_later(date.min, date.max))
        anew = self._before.at is None or self._before.anew
        forget = {"day": date.min, "period": date.min}  # the figures of now are found among the days
        return replace(joined, anew=anew, shares=self.days.shares(), **forget)

    def _book(self, before: Ledger, time: int, rows: list[LegacyRow], rules: Rules) -> Ledger:
        movements = []
        for row in rows:
            start = row.start
            if row.mac not in self._met and row.mac in before.devices:  # the counter may hold what is counted
                start = max(0, start - before.devices[row.mac].series.usage)
            self._met.add(row.mac)
            movements.append(Movement(row.ip or _NOWHERE, row.mac, start, row.delta, row.cause, row.since))
        elapsed_s = time - before.at if before.at is not None else 0
        return book(before, movements, rules, Moment(time, elapsed_s))[0]

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


def _joined(earlier: Ledger, later: Ledger, counted: Moved) -> Ledger:
    """`later` with what was used before. Counters at its beginning may hold the same bytes: the greater of both counts.

    So no byte is counted twice, and no usage falls.
    """
    if later.at is None or earlier.at is None:
        return earlier if later.at is None else later
    devices, users, total = dict(later.devices), dict(later.users), later.total
    for mac, device in earlier.devices.items():
        there = later.devices.get(mac)
        if there is None:
            more = device.series.usage
            devices[mac] = replace(device, present=False, series=Series(usage=more, changed_at=later.at))
        else:
            start = there.series.usage - sum(counted.get(Key("device", mac.dashed), (0, 0)))
            more = max(0, device.series.usage - start)
            series = _raised(there.series, more, later.at)
            devices[mac] = replace(there, first_seen=device.first_seen, series=series)
        user = devices[mac].user
        users[user] = _raised(users.get(user, Series()), more, later.at)
        total = _raised(total, more, later.at)
    return replace(later, devices=devices, users=users, total=total)


def _raised(series: Series, more: int, at: float) -> Series:
    return replace(series, usage=series.usage + more, changed_at=at)
