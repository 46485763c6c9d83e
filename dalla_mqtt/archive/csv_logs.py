"""The CSV files: `Time, Total Bytes, Delta, On-Peak, Off-Peak`, one for each device, each user and the total."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from dalla_mqtt.archive.files import locked, replace_file
from dalla_mqtt.archive.layout import Layout, device_file, user_file
from dalla_mqtt.archive.store import Rows, Store
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.usage.ledger import Ledger, Series
from dalla_mqtt.usage.tariff import Tariff

HEADER = "Time, Total Bytes, Delta, On-Peak, Off-Peak\n"
_TAIL = 4096  # bytes in which the last rows of a file are looked for first: some forty of them
_LATEST, _LARGEST = 2**33, 2**63  # what is beyond was no clock and no counter


class Record(NamedTuple):
    """One row of a file: UTC epoch seconds, then bytes."""

    time: int
    total: int
    delta: int
    on_peak: int
    off_peak: int


def parse(line: bytes) -> Record | None:
    """The record that a whole line of a file is; None for what is none."""
    try:
        time, total, delta, on_peak, off_peak = map(int, line.split(b","))
    except ValueError:
        return None
    sizes = total, delta, on_peak, off_peak
    if not (line.endswith(b"\n") and 0 < time < _LATEST and min(sizes) >= 0 and max(sizes) < _LARGEST):
        return None
    return Record(time, *sizes)


def read_records(path: Path) -> Iterator[Record]:
    """The whole rows of a file, in the order in which they stand there. What is none is passed over. Raises OSError."""
    with path.open("rb") as file:
        yield from filter(None, map(parse, file))


def read_span(path: Path, header: str = "") -> tuple[Record, Record] | None:
    """The first and the last record of a file that begins with `header`; None where it has none. Raises OSError.

    No more is read than must be.
    """
    with path.open("rb") as file:
        if file.read(len(header)) != header.encode():
            return None
        first = next(filter(None, map(parse, file)), None)
        size, length = os.fstat(file.fileno()).st_size, _TAIL
        while first is not None:
            file.seek(max(0, size - length))
            rows = file.read().split(b"\n")[:-1]
            rows = rows[1:] if length < size else rows  # without the end of a row
            last = next(filter(None, (parse(row + b"\n") for row in reversed(rows))), None)
            if last is not None:
                return first, last
            length *= 4
    return None


class CsvLogs:
    """Makes the rows of a record and appends them. A file is never rewritten, and a torn row in it is mended."""

    def __init__(self, config: ArchiveConfig, tariff: Tariff) -> None:
        self._config = config
        self._layout = Layout(config, tariff)
        self._folders: tuple[str, ...] = ()  # and the file of the total, at the last record
        self._ends: dict[str, tuple[int, str]] = {}  # by file, as we left it: its size and its last row
        self._waiting: set[str] = set()  # files whose rows from before cannot be written
        self._idle: dict[str, tuple[str, str] | None] = {}  # by series: the row left out last, if any

    def rows(self, ledger: Ledger) -> dict[str, str]:
        """The text to append for the last record of `ledger`, by file."""
        assert ledger.at is not None
        rows: dict[str, str] = {}
        for name, path, series in self._series(ledger, ledger.at):
            row = f"{int(ledger.at)}, {series.usage}, {series.delta}, {series.on_peak}, {series.off_peak}\n"
            if self._config.skip_idle and not self._wanted(rows, name, path, row, series):
                continue
            rows[path] = rows.get(path, "") + row
        return rows

    def pay_all(self, store: Store) -> OSError | None:
        """After a start: append all that is owed and not there yet, and settle it; the last reason why not, if any."""
        debts = {number: store.rows_owed(number) for number in store.owed()}
        due: dict[str, str] = {}
        for rows in debts.values():
            for path, text in rows.items():
                due[path] = due.get(path, "") + text
        unpaid, reason = self.append(due, again=True)
        for number, rows in debts.items():
            rest = {path: text for path, text in rows.items() if path in unpaid}
            if len(rest) < len(rows):
                store.settle(number, rest)
        self._waiting = set(unpaid)
        return reason

    def pay(self, store: Store) -> OSError | None:
        """Append what is owed, in the order in which it fell due, and settle it; the last reason why not, if any.

        Files that cannot be written wait; as soon as one of them can be, all of its rows are made up for.
        """
        numbers = store.owed()
        reasons = [_reason(path) for path in sorted(self._waiting)]
        if not numbers or None in reasons:
            return self.pay_all(store)
        due, rest = _split(store.rows_owed(numbers[-1]), self._waiting)
        unpaid, reason = self.append(due)
        if len(unpaid) < len(due):
            store.settle(numbers[-1], rest | unpaid)
        self._waiting |= unpaid.keys()
        return reason or next(iter(reasons), None)

    def append(self, rows: Mapping[str, str], *, again: bool = False) -> tuple[dict[str, str], OSError | None]:
        """Append to each file; what could not be written comes back, with the last reason.

        `again`: the rows may be there already, from before a crash or a full disk; those that are, are left alone.
        """
        failed: dict[str, str] = {}
        reason = None
        for path, text in rows.items():
            try:
                self._append(path, text, again=again)
            except OSError as error:
                self._ends.pop(path, None)
                failed[path], reason = text, OSError(error.errno, error.strerror, path)
        return failed, reason

    def _series(self, ledger: Ledger, at: float) -> Iterator[tuple[str, str, Series]]:
        devices, users, commune = folders = (self._layout.devices(at), self._layout.users(at), self._layout.commune(at))
        if folders != self._folders:  # another month: those of the last one are not written any more
            self._folders = folders
            self._ends.clear()
        for device in ledger.devices.values():
            if device.present:
                mac = device.mac.dashed
                yield mac, f"{devices}/{device_file(mac, device.ip)}", device.series
        for name, series in ledger.users.items():
            yield f"user {name}", f"{users}/{user_file(name)}", series
        yield "total", commune, ledger.total

    def _wanted(self, rows: dict[str, str], name: str, path: str, row: str, series: Series) -> bool:
        """Whether a series moves, or just ceased to; what it left out last is caught up before it moves again."""
        if series.delta == 0 and name in self._idle:
            self._idle[name] = (path, row)
            return False
        left_out = self._idle.pop(name, None)
        if left_out is not None:
            rows[left_out[0]] = left_out[1]
        if series.delta == 0:
            self._idle[name] = None
        return True

    def _append(self, path: str, text: str, *, again: bool) -> None:
        with locked(path) as file:
            size, (ours, last) = os.fstat(file).st_size, self._ends.get(path, (-1, ""))
            new = text
            if size == 0:
                new = HEADER + text
            elif again or size != ours:  # it may be there from before a crash, or another program wrote since
                size, tail = _tail(file, size, text)
                new = _missing(tail, text)
            elif text == last:  # two records of one second, in which nothing moved
                return
            if os.write(file, new.encode("ascii")) != len(new):  # the disk filled up in the middle of a row
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._ends[path] = (size + len(new), text[text.rfind("\n", 0, -1) + 1 :])


def insert(path: str, text: str) -> None:
    """Put rows into a file where their times say, but for those of times that are there already. Raises OSError."""
    header = HEADER.encode()
    with locked(path) as file:
        content = os.pread(file, os.fstat(file).st_size, 0).removeprefix(header)
        there = (content if content.endswith(b"\n") else content + b"\n").splitlines(keepends=True) if content else []
        times = {_time(row) for row in there}
        new = [row for row in text.encode("ascii").splitlines(keepends=True) if _time(row) not in times]
        if new:
            rows: list[bytes] = sorted([*there, *new], key=_time)
            replace_file(Path(path), [header, *rows])


def cut_torn(path: Path) -> None:
    """Take out what follows the last whole row of one of our files: nobody knows the rest of it. Raises OSError."""
    with locked(path, make=False) as file:
        if os.pread(file, len(HEADER), 0) != HEADER.encode():
            return
        at, tail = os.fstat(file).st_size, b""
        while b"\n" not in tail:
            at = max(0, at - _TAIL)
            tail = os.pread(file, _TAIL, at)
        os.ftruncate(file, at + tail.rindex(b"\n") + 1)


def _tail(file: int, size: int, text: str) -> tuple[int, str]:
    """The size of a file and its end, from before the time of the first row of `text` on.

    NULs are taken off: room that a power loss left without its content.
    """
    length, since = _TAIL, _time(text.encode())
    while True:
        tail = os.pread(file, length, max(0, size - length))
        times = map(_time, tail.rstrip(b"\x00").split(b"\n")[1:])
        if length >= size or next(filter(None, times), since) < since:
            break
        length *= 4
    whole = tail.rstrip(b"\x00")
    if len(whole) < len(tail):
        os.ftruncate(file, size - len(tail) + len(whole))
    return size - len(tail) + len(whole), whole.decode("utf-8", "replace")


def _time(row: bytes) -> int:
    """The time with which a row begins; 0 for one that does not."""
    try:
        return int(row.partition(b",")[0])
    except ValueError:
        return 0


def _reason(path: str) -> OSError | None:
    """Why the file at `path` cannot be written; None where it can be, or made."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
    except FileNotFoundError:
        return None
    except OSError as error:
        return OSError(error.errno, error.strerror, path)
    return None


def _split(rows: Rows, waiting: set[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The rows of the files that do not wait, and of those that do."""
    due = {path: text for path, text in rows.items() if path not in waiting}
    return due, {path: text for path, text in rows.items() if path in waiting}


def _missing(tail: str, text: str) -> str:
    """What of `text` to append to a file that ends in `tail`: rows that are not there, and the rest of a torn one.

    Rows are appended in their order: of those before one that is there, none is missing but by somebody's will.
    """
    *whole, torn = tail.split("\n")
    if not whole and HEADER.startswith(torn):
        return HEADER[len(torn) :] + text
    there = {row.rstrip("\r") for row in whole}  # an editor may have made the line ends its own
    rows = text.splitlines(keepends=True)
    rows = rows[max((number for number, row in enumerate(rows, 1) if row.rstrip("\n") in there), default=0) :]
    if torn and rows and rows[0].startswith(torn):
        rows[0] = rows[0][len(torn) :]
    elif torn:
        rows.insert(0, "\n")  # another program's last line, which is not ours to judge
    return "".join(rows)
