"""What is remembered, in SQLite, one transaction a poll: the ledger, each day's bytes, rows owed to the CSV files."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.counters import Cause, Counter, Doubt
from dalla_mqtt.usage.ledger import Device, Key, Ledger, Moved, Series
from dalla_mqtt.usage.reading import Mac

_VERSION = 2
_BUSY_S = 0.5  # how long another program may keep the file; a stopping daemon has two seconds
_WRITTEN_BACK_S = 60  # after which what was appended to a file is on the disk: Linux takes 35 s at most, as it is set
_SCHEMA = """
    CREATE TABLE moment (
        id INTEGER PRIMARY KEY CHECK (id = 1), at REAL, uptime_s INTEGER, wide INTEGER, day TEXT, period TEXT,
        anew INTEGER, began REAL, imported TEXT
    );
    CREATE TABLE counter (
        ip TEXT PRIMARY KEY, mac TEXT, packets INTEGER, bytes INTEGER, missing_since REAL, held_start INTEGER,
        held INTEGER, doubted_packets INTEGER, doubted_bytes INTEGER, doubted_since REAL,
        doubted_times INTEGER, doubted_jump INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE device (
        mac TEXT PRIMARY KEY, ip TEXT, hostname TEXT, user TEXT, present INTEGER, first_seen REAL, last_active REAL,
        usage INTEGER, delta INTEGER, rate INTEGER, on_peak INTEGER, off_peak INTEGER, today INTEGER, cause TEXT,
        changed_at REAL
    ) WITHOUT ROWID;
    CREATE TABLE sum (
        kind TEXT, name TEXT,
        usage INTEGER, delta INTEGER, rate INTEGER, on_peak INTEGER, off_peak INTEGER, today INTEGER, cause TEXT,
        changed_at REAL, PRIMARY KEY (kind, name)
    ) WITHOUT ROWID;
    CREATE TABLE day (
        day TEXT, kind TEXT, name TEXT, on_peak INTEGER, off_peak INTEGER, PRIMARY KEY (day, kind, name)
    ) WITHOUT ROWID;
    CREATE TABLE owed (id INTEGER PRIMARY KEY, rows BLOB);
"""

_DAMAGED = (sqlite3.DatabaseError, ValueError, TypeError, KeyError)

Rows = Mapping[str, str]  # text to append, by the path of the file


class StateHeld(ArchiveError):
    """Another instance works with this state file."""


class Store:
    """The state file at `path`; made where there is none, readable by its owner alone, held by one instance at a time.

    A file that is damaged is kept beside it, as `set_aside` names it, and a new one begun. Raises StateHeld, or
    ArchiveError for a file that cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved = Ledger()
        self._open_still = False
        self._settled: dict[int, Rows] = {}
        self._written: dict[int, float] = {}  # rows that are in their files, and since when
        self.set_aside: Path | None = None
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _hold(path)
            try:
                self._open()
            except BaseException:
                os.close(self._lock)
                raise

    def close(self) -> None:
        """Let go of the file. What is in the CSV files is owed no more: an end in order loses no page cache."""
        with suppress(sqlite3.Error):
            self._put("DELETE FROM owed WHERE id = ?", [(number,) for number in self._written])
        self._database.close()
        os.close(self._lock)

    def load(self) -> Ledger:
        """The ledger as it was saved last; empty in a new file."""
        return self._saved

    def save(self, ledger: Ledger, rows: Rows) -> None:
        """Keep `ledger`, and owe `rows` to the files, in one transaction that survives a power loss. Only what changed.

        Raises ArchiveError; then all is as it was before.
        """
        now = time.monotonic()
        safe = [number for number, since in self._written.items() if now - since > _WRITTEN_BACK_S]
        with self._translated():
            self._stay()
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._write(ledger, rows)
                self._put("DELETE FROM owed WHERE id = ?", [(number,) for number in safe])
                self._database.execute("COMMIT")
            except BaseException:
                self._database.rollback()
                raise
        self._saved = replace(ledger, shares=())
        self._settled.clear()
        for number in safe:
            del self._written[number]

    def moved(self, first: date, last: date) -> Moved:
        """What is on record for the local days from `first` to `last`: bytes on-peak and off-peak of each series."""
        with self._translated():
            return _moved(self._database, first, last)

    def owed(self) -> list[int]:
        """The numbers of the rows that may not be in their files yet, oldest first."""
        with self._translated():
            numbers = [number for (number,) in self._database.execute("SELECT id FROM owed ORDER BY id")]
        return [number for number in numbers if number not in self._written]

    def rows_owed(self, number: int) -> Rows:
        """What is owed under `number`."""
        if number in self._settled:
            return self._settled[number]
        with self._translated():
            ((rows,),) = self._database.execute("SELECT rows FROM owed WHERE id = ?", (number,))
        return msgspec.json.decode(rows, type=dict[str, str])

    def settle(self, number: int, remaining: Rows) -> None:
        """Of the rows owed under `number` only `remaining` still are. Written with the next save.

        Those of which none remains are forgotten once they have outlived a power loss.
        """
        if remaining:
            self._settled[number] = remaining
        else:
            self._settled.pop(number, None)
            self._written[number] = time.monotonic()

    def _open(self) -> None:
        """Open the file, or begin a new one where it is damaged."""
        try:
            self._connect()
            self._probe()
            self._saved = self._read()
        except _DAMAGED as error:
            if not _damaged(error):
                raise
            self._database.close()
            self.set_aside = _set_aside(self._path)
            self._connect()

    def _connect(self) -> None:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        self._database = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise
        self._identity = self._identify()
        self._open_still = True

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            mend = "move it away, and the figures go on from the CSV files"
            raise ArchiveError(
                f"{self._path}: written by another version of dalla-mqtt: {version}, not {_VERSION}; {mend}"
            )
        for (verdict,) in self._database.execute("PRAGMA quick_check(1)"):
            if verdict != "ok":
                raise ValueError(verdict)

    def _stay(self) -> None:
        """Make the state file again where it was deleted or replaced: SQLite would go on writing to what is gone."""
        if self._open_still and self._identify() == self._identity:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if _inode(f"{self._path}.lock") != self._identity[-1]:
            lock = _hold(self._path)
            os.close(self._lock)
            self._lock = lock
        if self._open_still:
            copy = self._path.with_name(f"{self._path.name}.new")
            os.close(os.open(copy, os.O_CREAT | os.O_RDWR, 0o600))
            with closing(sqlite3.connect(copy)) as new:
                self._database.backup(new)
            if self._path.exists():
                self.set_aside = _set_aside(self._path)
            copy.replace(self._path)
            self._open_still = False
            self._database.close()  # before the new one has a -wal file: it deletes the one of this name
        try:
            self._connect()
        except ValueError as error:
            raise ArchiveError(f"{self._path}: the state file cannot be used: {error}") from error

    def _identify(self) -> tuple[int | None, ...]:
        """Which files lie where ours should be."""
        return tuple(_inode(f"{self._path}{suffix}") for suffix in ("", "-wal", ".lock"))

    def _probe(self) -> None:
        """Look at what is read later only: found damaged then, it would end each poll, or the daemon at each start."""
        _moved(self._database, date.min, date.max)
        odd = "SELECT day FROM day WHERE typeof(on_peak) <> 'integer' OR typeof(off_peak) <> 'integer'"
        for (day,) in self._database.execute(odd):
            raise TypeError(day)
        for (rows,) in self._database.execute("SELECT rows FROM owed"):
            msgspec.json.decode(rows, type=dict[str, str])

    def _read(self) -> Ledger:
        moment = self._database.execute("SELECT * FROM moment").fetchone()
        if moment is None:
            return Ledger()
        _, at, uptime_s, wide, day, period, anew, began, imported = moment
        sums = {(kind, name): _series(values) for kind, name, *values in self._database.execute("SELECT * FROM sum")}
        return Ledger(
            at=at,
            uptime_s=uptime_s,
            wide=bool(wide),
            day=date.fromisoformat(day),
            period=date.fromisoformat(period),
            counters=dict(self._counters()),
            devices=dict(self._devices()),
            users={name: series for (kind, name), series in sums.items() if kind == "user"},
            total=sums["total", ""],
            anew=bool(anew),
            began=began,
            imported=msgspec.json.decode(imported, type=tuple[tuple[int, int], ...]),
        )

    def _counters(self) -> Iterator[tuple[str, Counter]]:
        for ip, mac, *rest, packets, size, since, times, jump in self._database.execute("SELECT * FROM counter"):
            doubt = None if since is None else Doubt(packets, size, since, times, jump)
            yield ip, replace(Counter(None if mac is None else Mac(mac), *rest), doubt=doubt)

    def _devices(self) -> Iterator[tuple[Mac, Device]]:
        for mac, ip, hostname, user, present, first_seen, last_active, *series in self._database.execute(
            "SELECT * FROM device"
        ):
            yield (
                Mac(mac),
                Device(Mac(mac), ip, hostname, user, bool(present), first_seen, last_active, _series(series)),
            )

    def _write(self, ledger: Ledger, rows: Rows) -> None:
        days = str(ledger.day), str(ledger.period)
        files = ledger.anew, ledger.began, msgspec.json.encode(ledger.imported).decode()
        moment = (ledger.at, ledger.uptime_s, ledger.wide, *days, *files)
        self._database.execute("REPLACE INTO moment VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", moment)
        gone = [(ip,) for ip in self._saved.counters if ip not in ledger.counters]
        self._put("DELETE FROM counter WHERE ip = ?", gone)
        self._put("REPLACE INTO counter VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", _counter_rows(self._saved, ledger))
        self._put("REPLACE INTO device VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", _device_rows(self._saved, ledger))
        self._put("REPLACE INTO sum VALUES (?,?,?,?,?,?,?,?,?,?)", _sum_rows(self._saved, ledger))
        self._put(
            "INSERT INTO day VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE"
            " SET on_peak = on_peak + excluded.on_peak, off_peak = off_peak + excluded.off_peak",
            ((str(day), *key, on_peak, off_peak) for day, key, on_peak, off_peak in ledger.shares),
        )
        if rows:
            self._database.execute("INSERT INTO owed (rows) VALUES (?)", (msgspec.json.encode(rows),))
        for number, remaining in self._settled.items():
            change = (msgspec.json.encode(remaining), number)
            self._database.execute("UPDATE owed SET rows = ? WHERE id = ?", change)

    def _put(self, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        self._database.executemany(statement, values)

    def _translated(self) -> AbstractContextManager[None]:
        return _translated(self._path)


class History:
    """The days on record in the state file at `path`, read beside a daemon that works with it. Raises ArchiveError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _translated(path):
            self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=_BUSY_S, uri=True)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def moved(self, first: date, last: date) -> Moved:
        """What is on record for the local days from `first` to `last`: bytes on-peak and off-peak of each series."""
        with _translated(self._path):
            return _moved(self._database, first, last)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, OverflowError) as error:  # OverflowError: a sum beyond 2**63
        raise ArchiveError(f"{path}: the state file cannot be used: {error}") from error
    except OSError as error:
        raise ArchiveError(f"{path}: the state file cannot be used: {error.strerror}") from error


def _moved(database: sqlite3.Connection, first: date, last: date) -> Moved:
    sums = database.execute(
        "SELECT kind, name, sum(on_peak), sum(off_peak) FROM day WHERE day BETWEEN ? AND ? GROUP BY kind, name",
        (str(first), str(last)),
    )
    return {Key(kind, name): (on_peak, off_peak) for kind, name, on_peak, off_peak in sums}


def _hold(path: Path) -> int:
    """The lock beside the state file, as a descriptor. The kernel lets go of it however the process ends."""
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StateHeld(
            f"{path}: another dalla-mqtt works with this state file; stop it, or set another `state`"
        ) from error
    return lock


def _inode(path: str) -> int | None:
    try:
        return Path(path).stat().st_ino
    except FileNotFoundError:
        return None


def _damaged(error: Exception) -> bool:
    """Whether a state file holds what was never written to it. A disk that is full or fails does no such thing."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _set_aside(path: Path) -> Path:
    """Give the file at `path`, and what SQLite keeps beside it, a name under which nobody looks for it."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside


def _series(values: list[Any]) -> Series:
    usage, delta, rate, on_peak, off_peak, today, cause, changed_at = values
    return Series(usage, delta, rate, on_peak, off_peak, today, Cause(cause), changed_at)


def _figures(series: Series) -> tuple[Any, ...]:
    return (
        series.usage,
        series.delta,
        series.rate,
        series.on_peak,
        series.off_peak,
        series.today,
        series.cause,
        series.changed_at,
    )


def _counter_rows(saved: Ledger, ledger: Ledger) -> Iterator[tuple[Any, ...]]:
    known = saved.counters
    for ip, row in ledger.counters.items():
        if row is not known.get(ip):
            mac = row.mac.dashed if row.mac else None
            doubt = msgspec.structs.astuple(row.doubt) if row.doubt else (None,) * 5
            yield (ip, mac, row.packets, row.bytes, row.missing_since, row.held_start, row.held, *doubt)


def _device_rows(saved: Ledger, ledger: Ledger) -> Iterator[tuple[Any, ...]]:
    known = saved.devices
    for mac, device in ledger.devices.items():
        if device is not known.get(mac):
            where = (mac.dashed, device.ip, device.hostname, device.user, device.present)
            yield (*where, device.first_seen, device.last_active, *_figures(device.series))


def _sum_rows(saved: Ledger, ledger: Ledger) -> Iterator[tuple[Any, ...]]:
    for name, series in ledger.users.items():
        if series is not saved.users.get(name):
            yield ("user", name, *_figures(series))
    if ledger.total is not saved.total:
        yield ("total", "", *_figures(ledger.total))
