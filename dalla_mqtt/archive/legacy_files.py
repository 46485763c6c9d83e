"""Logs of dalla-stats, file by file: what each of them is, and the rows in it.

What its versions wrote (source: github.com/egeldenhuys/dalla-stats, dalla-stats.py, dalla-logger.py and CHANGELOG.md):

| version               | devices, users                    | total                 | cache                    |
|-----------------------|-----------------------------------|-----------------------|--------------------------|
| before 0.0.1, 2016-10 | devices/ users/, `Delta Bytes`    | commune.csv           | none                     |
| 0.0.1, 2016-10-23     | the folders of -d and -e          | the file of -c        | none                     |
| 0.0.2, 2016-10-24     | logs/devices/ logs/users/         | logs/total.csv        | logs/devices.csv         |
| 0.0.3 to 0.0.5        | the same                          | the same              | logs/deviceSummary.csv   |
| 0.1.0, 2016-10-29     | logs/2016-9/devices/ …/users/     | logs/2016-9/total.csv | logs/2016-9/cache.csv    |
| 0.2.0, 2016-10-31     | the same, polled every second     | …/users/TOTAL.csv     | the same                 |
| dalla-logger          | the folder of -d; two columns     | none                  | none                     |

- `Total Bytes` of a device is in every version the router's own counter of that address, as it was read: never a
  lifetime total, and it does not begin anew with a month. It falls when the router restarts or is told to reset it.
- `Delta` is not to be used. A device that one answer left out has its whole counter booked again (0.1.0 and newer), and
  so have all of them after a restart in a new month; with 0.2.0 it is that of the last second, not since the last row.
- `On-Peak` and `Off-Peak` are sums of these deltas. Until 0.0.3 all is on-peak; from 0.0.4 on what was logged before
  6:00 local time is off-peak; from 0.1.0 on both begin anew with the month.
- `Total Bytes` of a user or the total is the sum of the counters of the devices then in the list: it falls, too.
- A row of the cache is the same counter at the last poll that was logged, or at the last of all where logs were off.
  From 0.1.0 on a device that the last answer left out has a 0 there, which is no counter.
- 0.0.2 to 0.0.4 write the last row of a device that is gone again and again.
- The user of all other devices is `Unknown`, from 0.2.0 on `UNKNOWN`; the changelog calls it `Unkown`.
- Addresses below 128.0.0.0, as 10.0.0.5, were garbled before they were written, always alike.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import chain, count, repeat
from operator import lt
from pathlib import Path
from string import digits

from msgspec import Struct, field

from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.reading import Mac

Point = tuple[int, int, int, int]  # time, number of the source, line, router's counter

_EARLIEST = 1_451_606_400  # 2016-01-01: no version is older, so a clock that shows less was not set
_LARGEST = 2**63 - 1  # what SQLite and the ledger can hold
_BOM = b"\xef\xbb\xbf"
_BLOCK = _LONGEST = 1 << 16
_HEAD = 4096  # bytes in which the header and the first row are looked for, and which are read line by line
_MOST_PROBLEMS = 1000  # that are told one by one; of the rest, how many
_MOST_CACHED = 10_000  # rows of a cache: more than any router's table
_COLUMNS, _LOGGER_COLUMNS = 5, 2
_CACHE_COLUMNS = 7
_NAMES_OF_CACHE = {"cache", "devicesummary", "devices"}
_NAMES_OF_TOTAL = {"total", "commune"}
_NAMES_OF_UNKNOWN = {"unknown", "unkown"}
_DEVICE = re.compile(
    r"(?<![0-9A-F])(?P<mac>[0-9A-F]{2}(?:([:-]?)[0-9A-F]{2})(?:\2[0-9A-F]{2}){4})(?![0-9A-F])"
    r"(?:_(?P<ip>\d{1,3}(?:\.\d{1,3}){3}))?",  # and maybe ` (1)`, or ` - Copy`
    re.IGNORECASE | re.ASCII,
)
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)
_NO_MAC = Mac("00-00-00-00-00-00")  # what the router shows of an address that sent nothing yet
_TITLES = re.compile(rb"[A-Za-z ,\t-]*")
_WHOLE = re.compile(rb"[ \t]*(\d{1,19})(?:\.0*)?[ \t]*")
_BLANK = b" \t\r"
_PAINT = _BLANK + b"\n\0"  # what may stand around a row: a power cut leaves NULs in front of the next one
_DIGITS = b"0123456789 \r"


class Kind(StrEnum):
    """What a file holds. `summary` and `map` (of users) are known by their header, and hold no rows."""

    DEVICE = "device"
    USER = "user"
    TOTAL = "total"
    CACHE = "cache"
    SUMMARY = "summary"
    MAP = "map"
    UNKNOWN = "unknown"


class Problem(Struct):
    """Something to be told of `lines` lines, one after the other, from `line` on; line 0 is the file as a whole."""

    line: int
    why: str
    lines: int = 1


class LegacyFile(Struct, eq=False):
    """A file and, once it was read, what came of it: every line that is not blank is in exactly one of the counts.

    `rows` were taken; `repeated` say what another row says; `headers`; and the lines in `problems`, which were not
    taken. `remarks` tell of rows that were taken. `total` and `billed` are those of the last row in the file: `Total
    Bytes`, and `On-Peak` and `Off-Peak` together, which is what dalla-stats made of it in that month (None in two
    columns). Times: UTC epoch seconds.
    """

    path: Path
    kind: Kind
    mac: Mac | None = None  # of a device; None where the name has none, or the router showed none
    ip: str | None = None
    name: str | None = None  # of a user, or a device without MAC
    columns: int | None = None  # None until a header or a row shows how many there are
    until: int = _LARGEST  # what is dated later is not taken
    starts: int = 0  # no row is earlier
    rows: int = 0
    repeated: int = 0
    headers: int = 0
    first: int | None = None
    last: int | None = None
    total: int | None = None
    billed: int | None = None
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)

    def reject(self, line: int, why: str) -> None:
        """Line `line` is not taken."""
        _add(self.problems, line, why)

    def remark(self, line: int, what: str) -> None:
        """Line `line` is taken, and this is to be said of it."""
        _add(self.remarks, line, what)


def find_logs(folder: Path, until: int) -> tuple[LegacyFile, ...]:
    """All CSV files below `folder`, classified, in the order of their paths; links to folders are not followed.

    `until`: the present, UTC epoch seconds, after which no row can be. A file found can be read once.

    A folder or file that cannot be looked at is there, too, with a problem. Raises ArchiveError where `folder` is none.
    """
    if not folder.is_dir():
        raise ArchiveError(f"{folder} is not a folder: name the one in which dalla-stats wrote its logs")
    files: list[LegacyFile] = []

    def unreadable(error: OSError) -> None:
        files.append(_not_read(Path(error.filename), f"cannot be read: {error.strerror}"))

    for place, folders, names in os.walk(folder, onerror=unreadable):
        links = [Path(place, name) for name in folders if Path(place, name).is_symlink()]
        files += [_not_read(link, "is a link to a folder, which is not followed") for link in links]
        files += [_classify(Path(place, name), until) for name in names if name.lower().endswith(".csv")]
    return tuple(sorted(files, key=lambda file: file.path.parts))


def points(file: LegacyFile, source: int) -> Iterator[Point]:
    """The rows of a file that says one thing over time, at strictly increasing times.

    The file is open only while a block of it is read.
    """
    return chain.from_iterable(_runs(file, source))


def measure(file: LegacyFile) -> None:
    """Read a user's, the total's or an unknown file for its figures only."""
    deque(points(file, 0), maxlen=0)


def cached(file: LegacyFile) -> Iterator[tuple[Mac | None, str, int, int, int]]:
    """MAC, address, time, counter and line of each row of a cache."""
    for first, text, torn in _blocks(file):
        for line, raw in enumerate(_lines(text), first):
            if not raw.strip(_BLANK) or _is_header(file, raw, b"mac address"):
                continue
            found = _parse_cached(raw, file, torn=torn)
            if isinstance(found, str):
                file.reject(line, found)
            else:
                _note(file, found[2:3], found[3], raw)
                yield *found, line


def _not_read(path: Path, why: str, kind: Kind = Kind.UNKNOWN) -> LegacyFile:
    return LegacyFile(path, kind, problems=[Problem(0, why)])


def _classify(path: Path, until: int) -> LegacyFile:
    """What `path` is, by its first line, its name and the folder it is in."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return _not_read(path, "is not a file")
        with path.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError as error:
        return _not_read(path, f"cannot be read: {error.strerror}")
    lines = _lines(head.removeprefix(_BOM))
    header = _header(lines[0])
    file = _by_name(path)
    if header[:1] == ["mac address"]:
        file = LegacyFile(path, Kind.CACHE)
    elif header[:2] == ["name", "mac"]:
        return _not_read(path, "says whose each device is, and holds no figures", Kind.MAP)
    elif header[:2] == ["name", "total"]:
        return _not_read(path, "is a summary, and holds nothing that the other files do not", Kind.SUMMARY)
    elif header[:1] == ["time"]:
        if not "total".startswith("".join(header[1:2])[:5].rstrip(digits)):  # it may be torn
            return _not_read(path, f"has other columns than dalla-stats writes: {', '.join(header)[:60]!r}")
        file.columns = len(header) if len(header) == _COLUMNS or header[1:] == ["total bytes"] else None
    for raw in lines[:-1]:
        found = _parse(raw, file.columns, 0, until)
        if not isinstance(found, str):
            file.starts = found[0]
            break
    file.until = until
    return file


def _by_name(path: Path) -> LegacyFile:
    stem = os.fsencode(path.stem).decode("utf-8", "replace")
    place = path.parent.name.lower()
    device = _DEVICE.search(stem)
    if device:
        mac = Mac.parse(device["mac"])
        return LegacyFile(path, Kind.DEVICE, None if mac == _NO_MAC else mac, device["ip"])
    if place == "devices":
        name, _, ip = stem.rpartition("_")
        return LegacyFile(path, Kind.DEVICE, ip=ip or None, name=name or stem)
    if stem == "TOTAL" or (stem.lower() in _NAMES_OF_TOTAL and place != "users"):
        return LegacyFile(path, Kind.TOTAL)
    if place == "users":
        return LegacyFile(path, Kind.USER, name=UNKNOWN if stem.lower() in _NAMES_OF_UNKNOWN else stem)
    return LegacyFile(path, Kind.CACHE if stem.lower() in _NAMES_OF_CACHE else Kind.UNKNOWN)


def _header(line: bytes) -> list[str]:
    """The names of the columns, in lower case; of a line that names none, whatever it says."""
    return [part.strip().lower() for part in line.decode("ascii", "replace").split(",")]


def _is_header(file: LegacyFile, raw: bytes, name: bytes) -> bool:
    raw = raw.removeprefix(_BOM).strip(_PAINT)
    if raw[: len(name)].lower() != name or not _TITLES.fullmatch(raw):
        return False
    file.headers += 1
    return True


def _lines(text: bytes) -> list[bytes]:
    return text.split(b"\n")


def _blocks(file: LegacyFile) -> Iterator[tuple[int, bytes, bool]]:
    """The file in whole lines: number of the first, the text without its last line feed, and whether it lacks that.

    Of a line that never ends no more than the two ends are kept.
    """
    line, offset, rest = 1, 0, b""
    try:
        while True:
            with file.path.open("rb") as opened:
                opened.seek(offset)
                block = opened.read(_BLOCK if offset else _HEAD)
            if not block:
                break
            offset += len(block)
            whole, feed, tail = block.rpartition(b"\n")
            if feed:
                text = rest + whole
                yield line, text, False
                line, rest = line + text.count(b"\n") + 1, tail
            else:
                rest = (rest + tail)[:_LONGEST]
    except OSError as error:
        file.reject(0, f"cannot be read beyond line {line}: {error.strerror}")
    if rest:
        yield line, rest, True


def _runs(file: LegacyFile, source: int) -> Iterator[Iterable[Point]]:
    """The rows of each block. A block that is as dalla-stats writes them is converted at once: that is most of them."""
    for first, text, torn in _blocks(file):
        run = None if torn else _clean(file, source, first, text)
        yield _careful(file, source, first, text, torn=torn) if run is None else run


def _clean(file: LegacyFile, source: int, first: int, text: bytes) -> Iterable[Point] | None:
    """The rows of `text`; None where any of its lines is not a plain row, later than the one before."""
    columns = file.columns
    lines = text.count(b"\n") + 1
    if columns is None or text.translate(None, _DIGITS) + b"\n" != (b"," * (columns - 1) + b"\n") * lines:
        return None
    fields = text.replace(b"\n", b",").split(b",")
    try:
        times, totals = list(map(int, fields[::columns])), list(map(int, fields[1::columns]))
    except ValueError:
        return None
    earliest = max((file.last or 0) + 1, _EARLIEST)
    if not (earliest <= times[0] and times[-1] <= file.until and max(totals) <= _LARGEST):
        return None
    if not all(map(lt, times, times[1:])):
        return None
    _note(file, times, totals[-1], text[text.rfind(b"\n") + 1 :])
    return zip(times, repeat(source), count(first), totals)


def _careful(file: LegacyFile, source: int, first: int, text: bytes, *, torn: bool) -> Iterator[Point]:
    """The rows of `text`, line by line; every other line is told."""
    for line, raw in enumerate(_lines(text), first):
        if not raw.strip(_BLANK) or _is_header(file, raw, b"time"):
            continue
        found = _parse(raw, file.columns, 0, file.until, torn=torn)
        if isinstance(found, str):
            file.reject(line, found)
        elif found == (file.last, file.total):
            file.repeated += 1
        elif found[0] <= (file.last or 0):
            file.reject(line, "is not later than the row before it: the clock was set back, or the file put together")
        else:
            time, total = found
            file.columns = file.columns or raw.count(b",") + 1
            _note(file, (time,), total, raw)
            yield time, source, line, total


def _parse(raw: bytes, columns: int | None, at: int, until: int, *, torn: bool = False) -> tuple[int, int] | str:
    """Time and counter in fields `at` and `at` + 1, or why this is not a row. `torn`: it lacks its line feed."""
    fields = raw.strip(_PAINT).split(b",")
    if len(fields) != columns and (columns is not None or len(fields) not in (_COLUMNS, _LOGGER_COLUMNS)):
        return f"has {len(fields)} fields instead of {columns or _COLUMNS}: torn, or not a row"
    if torn and len(fields) == at + 2:
        return "lacks its end: the number may be torn"
    time, total = _whole(fields[at]), _whole(fields[at + 1])
    if time is None or total is None:
        return "has a time or a total that is not a whole number"
    if time < _EARLIEST:
        return "is dated before 2016: the clock was not set"
    if time > until:
        return "is dated in the future"
    return time, total


def _parse_cached(raw: bytes, file: LegacyFile, *, torn: bool) -> tuple[Mac | None, str, int, int] | str:
    found = _parse(raw, _CACHE_COLUMNS, 2, file.until, torn=torn)
    if isinstance(found, str):
        return found
    if not found[1]:
        return "has a total of 0, as dalla-stats notes it of a device that was not in the router's list"
    if file.rows >= _MOST_CACHED:
        return f"comes after {_MOST_CACHED} others: no router has as many addresses"
    mac, ip = (part.strip(_PAINT).decode("ascii", "replace") for part in raw.split(b",", 2)[:2])
    if not _IPV4.fullmatch(ip):
        return "has no address"
    try:
        device = Mac.parse(mac)
    except ValueError:
        return "has no MAC"
    return None if device == _NO_MAC else device, ip, *found


def _whole(text: bytes) -> int | None:
    match = _WHOLE.fullmatch(text)
    number = int(match[1]) if match else None
    return number if number is not None and number <= _LARGEST else None


def _note(file: LegacyFile, times: Sequence[int], total: int, row: bytes) -> None:
    """Rows at `times` were read, the last of which is `row`."""
    file.rows += len(times)
    file.first = times[0] if file.first is None else file.first
    file.last, file.total = times[-1], total
    peaks = [_whole(part.strip(_PAINT)) for part in row.split(b",")[-2:]]
    file.billed = sum(peak or 0 for peak in peaks) if row.count(b",") > 1 else None


def _add(told: list[Problem], line: int, why: str) -> None:
    """Tell it; together with the one before where it is the same, and without its reason where there are too many."""
    if told and told[-1].why == why and told[-1].line + told[-1].lines == line:
        told[-1].lines += 1
    elif len(told) < _MOST_PROBLEMS:
        told.append(Problem(line, why))
    else:
        told[-1].lines += 1
        told[-1].why = "and many more"
