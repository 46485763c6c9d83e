"""A household's folder: the settings under which it is written, and all that is in it held against the router's truth.

What is looked at is what an owner has: the CSV files, the lines of the log, and what a next start would know.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from dalla_mqtt.archive.store import Store

HEADER = "Time, Total Bytes, Delta, On-Peak, Off-Peak\n"
_ROW = re.compile(r"\d+, \d+, \d+, \d+, \d+\n")
_RECORD = re.compile(r" polled in \d+ ms: (\d+) rows, (\d+) bytes more, (\d+) in all\n")

Truth = Mapping[str, Mapping[str, int]]  # moved, shown and baseline, by MAC: `truth` in what GET /simulator says


class Row(NamedTuple):
    """A line of a CSV file."""

    time: int
    usage: int
    delta: int
    on_peak: int
    off_peak: int


class Record(NamedTuple):
    """What the log tells of a poll that was stored."""

    rows: int
    delta: int
    usage: int


def settings(router_url: str) -> dict[str, str]:
    """The shortest interval there is, no broker, and plain names for the files."""
    return {
        "DALLA_ROUTER_URL": router_url,
        "DALLA_ROUTER_PASSWORD": "admin",
        "DALLA_ROUTER_INTERVAL": "1s",
        "DALLA_MQTT_URL": "off",
        "DALLA_TARIFF_TIMEZONE": "UTC",
        "DALLA_ARCHIVE_DEVICES": "devices",
        "DALLA_ARCHIVE_USERS": "users",
        "DALLA_ARCHIVE_COMMUNE": "total.csv",
    }


def write_user_map(folder: Path, owners: Mapping[str, str]) -> None:
    """Whose each MAC is, by MAC."""
    lines = [f"{name}, {mac}" for mac, name in owners.items()]
    (folder / "user-map.csv").write_text("\n".join(["Name, MAC", *lines]), "utf-8")


def records(output: str) -> list[Record]:
    """The polls that are told to have been stored."""
    return [Record(*map(int, found.groups())) for found in _RECORD.finditer(output)]


def read(file: Path) -> list[Row]:
    """The rows of a CSV file that is as it should be: none torn, none twice, none missing, never back in time.

    Two records may fall into one second, at a restart: then what did not move between them has the same row in both.
    """
    header, *lines = file.read_bytes().decode("ascii").splitlines(keepends=True)
    assert header == HEADER, file
    assert [line for line in lines if not _ROW.fullmatch(line)] == [], f"{file}: torn rows, or a second header"
    rows = [Row(*map(int, line.split(", "))) for line in lines]
    twice = [row for row, times in Counter(rows).items() if times > 1]
    assert twice == [], f"{file}: rows that are there twice"
    for row, following in pairwise(rows):
        assert following.time >= row.time, f"{file}: {following} comes after {row}"
        assert following.usage - row.usage == following.delta, f"{file}: between {row} and {following} one is missing"
    return rows


def hold_against(folder: Path, truth: Truth, owners: Mapping[str, str], *, first_seen: bool = True) -> None:
    """Every file, and what is remembered, against what the router says that any client could know.

    `first_seen`: the very first reply was stored, so that starting values are those of the truth.
    """
    known = {mac: figures for mac, figures in truth.items() if figures["shown"]}
    expected = {f"device {mac}": figures["shown"] for mac, figures in known.items()}
    expected |= {f"user {name}": 0 for name in (*owners.values(), "UNKNOWN")}
    starts = Counter({f"device {mac}": figures["baseline"] for mac, figures in known.items()})
    for mac, figures in known.items():
        user = f"user {owners.get(mac, 'UNKNOWN')}"
        expected[user] += figures["shown"]
        starts[user] += figures["baseline"]
    expected["total"] = sum(figures["shown"] for figures in known.values())
    starts["total"] = sum(figures["baseline"] for figures in known.values())

    archive = {name: read(file) for name, file in _files(folder)}
    assert {name: rows[-1].usage for name, rows in archive.items()} == expected
    assert remembered(folder) == expected
    for name, rows in archive.items():
        start = rows[0].usage - rows[0].delta
        assert start == starts[name] if first_seen else start >= starts[name], name
        _hold_parts(name, rows)
    _hold_sums(archive)


def hold_records(folder: Path, told: Iterable[Record]) -> None:
    """Whatever was told to be stored has its row."""
    kept = {(row.delta, row.usage) for row in read(folder / "total.csv")}
    assert [record for record in told if (record.delta, record.usage) not in kept] == []


def remembered(folder: Path) -> dict[str, int]:
    """Usage by series, as a next start would find it. Looked up in a copy: looking changes nothing."""
    with TemporaryDirectory() as copy:
        for file in folder.glob("state.db*"):
            shutil.copy(file, copy)
        store = Store(Path(copy) / "state.db")
        try:
            ledger = store.load()
        finally:
            store.close()
    usage = {f"device {mac.colons}": device.series.usage for mac, device in ledger.devices.items()}
    usage |= {f"user {name}": series.usage for name, series in ledger.users.items()}
    return usage | {"total": ledger.total.usage}


def files(folder: Path) -> list[Path]:
    """The CSV files."""
    return [file for _, file in _files(folder)]


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted((folder / "devices").glob("*")):
        mac, _, ip = file.name.partition("_")
        assert ip.endswith(".csv"), file
        yield f"device {mac.replace('-', ':')}", file
    for file in sorted((folder / "users").glob("*")):
        assert file.suffix == ".csv", file
        yield f"user {file.stem}", file
    if (folder / "total.csv").exists():
        yield "total", folder / "total.csv"


def _hold_parts(name: str, rows: list[Row]) -> None:
    """On-peak and off-peak have all that moved, unless a billing period began meanwhile."""
    first, last = (datetime.fromtimestamp(row.time, UTC) for row in (rows[0], rows[-1]))
    if first.month == last.month:
        moved = sum(row.delta for row in rows[1:])
        on_and_off = [row.on_peak + row.off_peak for row in (rows[0], rows[-1])]
        assert on_and_off[1] - on_and_off[0] == moved, name


def _hold_sums(archive: Mapping[str, list[Row]]) -> None:
    """At each record users make the total, and so do the deltas of devices."""
    users = {name: rows for name, rows in archive.items() if name.startswith("user ")}
    times = {row.time for row in archive["total"]}
    for name, rows in users.items():
        assert {row.time for row in rows} == times, f"{name} has not the records of the total"
    often = {row.time for rows in archive.values() for row, then in pairwise(rows) if row.time == then.time}
    parts: dict[int, list[int]] = {row.time: list(row[1:]) for row in archive["total"]}
    deltas = {row.time: row.delta for row in archive["total"]}
    for name, rows in archive.items():
        for row in rows:
            if name in users:
                parts[row.time] = [left - part for left, part in zip(parts[row.time], row[1:], strict=True)]
            elif name != "total":
                deltas[row.time] -= row.delta
    once = times - often
    assert [time for time in once if any(parts[time])] == [], "users and total differ"
    assert [time for time in once if deltas[time]] == [], "devices and total differ"
