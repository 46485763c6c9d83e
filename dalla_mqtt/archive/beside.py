"""What is on record in the state file, for those who only read it, whoever works with it meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import date
from pathlib import Path

from dalla_mqtt.archive.tables import (
    DAMAGED,
    VERSION,
    days,
    moved,
    read_ledger,
    read_quotas,
    slugs,
    usage,
    version_of,
)
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.ledger import Key, Ledger, Moved
from dalla_mqtt.usage.quota import Remembered, Subject, Used

BUSY_S = 0.5  # how long another program may keep the file; a stopping daemon has two seconds

_UNUSABLE = (sqlite3.DatabaseError, OverflowError)  # the second is of a sum beyond 2**63
_UNREADABLE = (*DAMAGED, OverflowError)


class History:
    """What is on record in the state file at `path`, read beside a daemon that works with it. Raises ArchiveError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with translated(path, _UNREADABLE), ExitStack() as undone:
            self._database = undone.enter_context(closing(connected(path, "ro")))
            version = version_of(self._database)
            if version != VERSION:
                mend = "use that one" if version > VERSION else "start `dalla-mqtt run`, which brings it up to date"
                raise ArchiveError(f"{path}: it is of another version, {version} and not {VERSION}: {mend}")
            undone.pop_all()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def stand_still(self) -> None:
        """From the next question on tell what is on record then, whatever a daemon adds meanwhile."""
        with translated(self._path, _UNREADABLE):
            self._database.execute("BEGIN")

    def ledger(self) -> Ledger:
        """The ledger as it was saved last; empty before the first reading."""
        with translated(self._path, _UNREADABLE):
            return read_ledger(self._database)

    def moved(self, first: date, last: date) -> Moved:
        """What is on record for the local days from `first` to `last`: bytes on-peak and off-peak of each series."""
        with translated(self._path, _UNREADABLE):
            return moved(self._database, first, last)

    def days(self, key: Key, first: date, last: date) -> dict[date, Used]:
        """The same of one series for each day on which it moved something."""
        with translated(self._path, _UNREADABLE):
            return days(self._database, key, first, last)

    def quotas(self) -> dict[Subject, Remembered]:
        """What was kept of each quota."""
        with translated(self._path, _UNREADABLE):
            return read_quotas(self._database)

    def usage(self) -> dict[Key, int]:
        """The usage of each series, in bytes."""
        with translated(self._path, _UNREADABLE):
            return usage(self._database)

    def slugs(self) -> dict[str, str]:
        """The ids of users, by name."""
        with translated(self._path, _UNREADABLE):
            return slugs(self._database)


def connected(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to a state file that is there."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", timeout=BUSY_S, uri=True)


@contextmanager
def translated(path: Path, unusable: tuple[type[Exception], ...] = _UNUSABLE) -> Iterator[None]:
    """Whatever a state file cannot be used for, as an ArchiveError."""
    try:
        yield
    except unusable as error:
        raise ArchiveError(f"{path}: the state file cannot be used: {error}") from error
    except OSError as error:
        raise ArchiveError(f"{path}: the state file cannot be used: {error.strerror}") from error
