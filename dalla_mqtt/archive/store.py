"""What is remembered, in SQLite, one transaction a poll: the ledger, each day's bytes, rows owed to the CSV files."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from dalla_mqtt.archive.beside import BUSY_S, connected, translated
from dalla_mqtt.archive.tables import (
    DAMAGED,
    VERSION,
    days,
    make_tables,
    moved,
    probe,
    read_ledger,
    read_quotas,
    slugs,
    write_ledger,
    write_quotas,
)
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.ledger import Key, Ledger, Moved
from dalla_mqtt.usage.quota import Remembered, Subject, Used

_WRITTEN_BACK_S = 60  # after which what was appended to a file is on the disk: Linux takes 35 s at most, as it is set

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
        self._owed: dict[int, Rows | None] = {}  # by number; None: they are in the file only
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
        with self._transaction():
            write_ledger(self._database, self._saved, ledger)
            owed = self._owe(rows)
            self._put("DELETE FROM owed WHERE id = ?", [(number,) for number in safe])
        self._saved = replace(ledger, shares=())
        self._owed = dict.fromkeys(self._owed) | owed
        self._settled.clear()
        for number in safe:
            del self._written[number]

    def moved(self, first: date, last: date) -> Moved:
        """What is on record for the local days from `first` to `last`: bytes on-peak and off-peak of each series."""
        with self._translated():
            return moved(self._database, first, last)

    def days(self, key: Key, first: date, last: date) -> dict[date, Used]:
        """What is on record of one series for each local day from `first` to `last` on which it moved something."""
        with self._translated():
            return days(self._database, key, first, last)

    def quotas(self) -> dict[Subject, Remembered]:
        """What was kept of each quota."""
        with self._translated():
            return read_quotas(self._database)

    def keep_quotas(self, remembered: Mapping[Subject, Remembered | None]) -> None:
        """Keep what is remembered; None: nothing any more. Survives a power loss. Raises ArchiveError."""
        with self._transaction():
            write_quotas(self._database, remembered)

    def retained(self) -> dict[str, int | None]:
        """Topics on which we said something that brokers keep.

        With each: the usage of a device when its owner had it removed there, or None.
        """
        with self._translated():
            return dict(self._database.execute("SELECT topic, removed FROM retained"))

    def keep_retained(self, topics: Mapping[str, int | None], gone: Iterable[str] = ()) -> None:
        """Add `topics` to those, and forget those `gone`. Survives a power loss. Raises ArchiveError."""
        with self._transaction():
            self._put("REPLACE INTO retained VALUES (?, ?)", topics.items())
            self._put("DELETE FROM retained WHERE topic = ?", ((topic,) for topic in gone))

    def slugs(self) -> dict[str, str]:
        """The ids of users, by name."""
        with self._translated():
            return slugs(self._database)

    def keep_slugs(self, slugs: Mapping[str, str]) -> None:
        """Keep `slugs` for ever. Raises ArchiveError."""
        with self._transaction():
            self._put("REPLACE INTO slug VALUES (?, ?)", slugs.items())

    def recall(self, key: str) -> str | None:
        """What was kept under `key`. Raises ArchiveError."""
        return Facts(self._path).recall(key)

    def keep(self, key: str, value: str) -> None:
        """Keep `value` under `key` for ever. From any thread: on a connection of its own. Raises ArchiveError."""
        Facts(self._path).keep(key, value)

    def owed(self) -> list[int]:
        """The numbers of the rows that may not be in their files yet, oldest first."""
        return list(self._owed)

    def rows_owed(self, number: int) -> Rows:
        """What is owed under `number`."""
        rows = self._settled.get(number, self._owed[number])
        if rows is not None:
            return rows
        with self._translated():
            ((text,),) = self._database.execute("SELECT rows FROM owed WHERE id = ?", (number,))
        return msgspec.json.decode(text, type=dict[str, str])

    def settle(self, number: int, remaining: Rows) -> None:
        """Of the rows owed under `number` only `remaining` still are. Written with the next save.

        Those of which none remains are forgotten once they have outlived a power loss.
        """
        if remaining:
            self._settled[number] = remaining
        else:
            self._settled.pop(number, None)
            del self._owed[number]
            self._written[number] = time.monotonic()

    def _open(self) -> None:
        """Open the file, or begin a new one where it is damaged."""
        try:
            self._connect()
            probe(self._database)
            self._saved = read_ledger(self._database)
            self._owed = {number: None for (number,) in self._database.execute("SELECT id FROM owed ORDER BY id")}
        except DAMAGED as error:
            if not _damaged(error):
                raise
            self._database.close()
            self.set_aside = _set_aside(self._path)
            self._connect()

    def _connect(self) -> None:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        self._database = sqlite3.connect(
            self._path,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,  # one thread at a time, not always the same
            cached_statements=0,  # they would be 90 KiB in each of many stores in a process
        )
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
        version = make_tables(self._database)
        if version != VERSION:
            mend = "move it away, and the figures go on from the CSV files"
            raise ArchiveError(
                f"{self._path}: written by another version of dalla-mqtt: {version}, not {VERSION}; {mend}"
            )
        # of `main`: that of all would open a file for temporary tables, too, which has pages of its own
        for (verdict,) in self._database.execute("PRAGMA main.quick_check(1)"):
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

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            self._stay()
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                self._database.rollback()
                raise

    def _owe(self, rows: Rows) -> dict[int, Rows]:
        changes = [(msgspec.json.encode(remaining), number) for number, remaining in self._settled.items()]
        self._put("UPDATE owed SET rows = ? WHERE id = ?", changes)
        if not rows:
            return {}
        added = self._database.execute("INSERT INTO owed (rows) VALUES (?)", (msgspec.json.encode(rows),))
        assert added.lastrowid is not None
        return {added.lastrowid: rows}

    def _put(self, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        self._database.executemany(statement, values)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translated(self._path):
            yield
            self._database.execute("PRAGMA shrink_memory")  # else its pages stay, in each of many stores in a process


class Facts:
    """What drivers found out, in the state file at `path`, also while a daemon has it. For any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self, key: str) -> str | None:
        """What was kept under `key`. Raises ArchiveError."""
        with translated(self._path), closing(connected(self._path, "ro")) as database:
            row = database.execute("SELECT value FROM fact WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def keep(self, key: str, value: str) -> None:
        """Keep `value` under `key` for ever. Raises ArchiveError, also where there is no state file yet."""
        with translated(self._path), closing(connected(self._path, "rw")) as database, database:
            database.execute("REPLACE INTO fact VALUES (?, ?)", (key, value))


def held(path: Path) -> bool:
    """Whether another instance works with the state file at `path` just now. Raises OSError."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


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
