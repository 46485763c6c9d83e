"""The tables of the state file: values into rows, and rows into values."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import msgspec
from msgspec.structs import replace

from dalla_mqtt.usage.counters import Cause, Counter, Doubt
from dalla_mqtt.usage.ledger import Device, Key, Ledger, Moved, Series
from dalla_mqtt.usage.quota import Remembered, Subject, Used
from dalla_mqtt.usage.reading import Mac

VERSION = 5
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
_SINCE_2 = """
    ALTER TABLE device ADD COLUMN name TEXT;
    CREATE TABLE retained (topic TEXT PRIMARY KEY, removed INTEGER) WITHOUT ROWID;
    CREATE TABLE slug (name TEXT PRIMARY KEY, slug TEXT) WITHOUT ROWID;
"""
_SINCE_3 = """
    ALTER TABLE device ADD COLUMN link TEXT;
    CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""
_SINCE_4 = "CREATE TABLE quota (kind TEXT, name TEXT, remembered TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID;"
_STEPS = {0: _SCHEMA, 2: _SINCE_2, 3: _SINCE_3, 4: _SINCE_4}  # what each version lacks of the one after it
_ODD = (
    "SELECT day FROM day WHERE typeof(on_peak) <> 'integer' OR typeof(off_peak) <> 'integer'",
    "SELECT topic FROM retained WHERE typeof(topic) <> 'text' OR topic = '' OR topic GLOB '*[+#]*'",
    "SELECT name FROM slug WHERE typeof(name) <> 'text' OR slug IS NULL OR slug = '' OR slug GLOB '*[^a-z0-9-]*'",
)

DAMAGED = (sqlite3.DatabaseError, ValueError, TypeError, KeyError)  # what reading a damaged file raises


def version_of(database: sqlite3.Connection) -> int:
    """By which version of its tables it was written; 0: there are none."""
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version


def make_tables(database: sqlite3.Connection) -> int:
    """Make the tables in an empty file, or bring earlier ones up to date; the version that there is then."""
    version = version_of(database)
    if version not in _STEPS:
        return version
    steps = " ".join(step for since, step in _STEPS.items() if since >= version)
    database.executescript(f"BEGIN; {steps} PRAGMA user_version = {VERSION}; COMMIT;")
    return VERSION


def probe(database: sqlite3.Connection) -> None:
    """Look at what is read later only: found damaged then, it would end each poll, or the daemon at each start.

    Raises one of DAMAGED.
    """
    moved(database, date.min, date.max)
    for odd in _ODD:
        for (what,) in database.execute(odd):
            raise TypeError(what)
    for (rows,) in database.execute("SELECT rows FROM owed"):
        msgspec.json.decode(rows, type=dict[str, str])
    read_quotas(database)
    for table in ("retained", "slug", "fact"):
        database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  # our own names


def moved(database: sqlite3.Connection, first: date, last: date) -> Moved:
    """What is on record for the local days from `first` to `last`: bytes on-peak and off-peak of each series."""
    sums = database.execute(
        "SELECT kind, name, sum(on_peak), sum(off_peak) FROM day WHERE day BETWEEN ? AND ? GROUP BY kind, name",
        (str(first), str(last)),
    )
    return {Key(kind, name): (on_peak, off_peak) for kind, name, on_peak, off_peak in sums}


def days(database: sqlite3.Connection, key: Key, first: date, last: date) -> dict[date, Used]:
    """What one series moved on each local day from `first` to `last`; a day on which nothing moved may be missing."""
    found = database.execute(
        "SELECT day, on_peak, off_peak FROM day WHERE day BETWEEN ? AND ? AND kind = ? AND name = ?",
        (str(first), str(last), *key),
    )
    return {date.fromisoformat(day): Used(on_peak, off_peak) for day, on_peak, off_peak in found}


def read_quotas(database: sqlite3.Connection) -> dict[Subject, Remembered]:
    """What is kept of each quota. Raises one of DAMAGED."""
    return {
        Subject(kind, name): msgspec.json.decode(remembered, type=Remembered)
        for kind, name, remembered in database.execute("SELECT * FROM quota")
    }


def write_quotas(database: sqlite3.Connection, remembered: Mapping[Subject, Remembered | None]) -> None:
    """Keep what is remembered; None: nothing any more."""
    rows = ((*subject, msgspec.json.encode(kept).decode()) for subject, kept in remembered.items() if kept is not None)
    database.executemany("REPLACE INTO quota VALUES (?, ?, ?)", rows)
    gone = (subject for subject, kept in remembered.items() if kept is None)
    database.executemany("DELETE FROM quota WHERE kind = ? AND name = ?", gone)


def usage(database: sqlite3.Connection) -> dict[Key, int]:
    """The usage of each series, in bytes."""
    figures = database.execute("SELECT 'device', mac, usage FROM device UNION ALL SELECT kind, name, usage FROM sum")
    return {Key(kind, name): figure for kind, name, figure in figures}


def slugs(database: sqlite3.Connection) -> dict[str, str]:
    """The ids of users, by name."""
    return dict(database.execute("SELECT name, slug FROM slug"))


def read_ledger(database: sqlite3.Connection) -> Ledger:
    """The ledger as it was written last; empty in a new file. Raises one of DAMAGED."""
    moment = database.execute("SELECT * FROM moment").fetchone()
    if moment is None:
        return Ledger()
    _, at, uptime_s, wide, day, period, anew, began, imported = moment
    sums = {(kind, name): _series(values) for kind, name, *values in database.execute("SELECT * FROM sum")}
    return Ledger(
        at=at,
        uptime_s=uptime_s,
        wide=bool(wide),
        day=date.fromisoformat(day),
        period=date.fromisoformat(period),
        counters=dict(_counters(database)),
        devices=dict(_devices(database)),
        users={name: series for (kind, name), series in sums.items() if kind == "user"},
        total=sums["total", ""],
        anew=bool(anew),
        began=began,
        imported=msgspec.json.decode(imported, type=tuple[tuple[int, int], ...]),
    )


def write_ledger(database: sqlite3.Connection, saved: Ledger, ledger: Ledger) -> None:
    """Write of `ledger` what is not as it was `saved`, and add its shares to their days."""
    put = database.executemany
    days = str(ledger.day), str(ledger.period)
    files = ledger.anew, ledger.began, msgspec.json.encode(ledger.imported).decode()
    moment = (ledger.at, ledger.uptime_s, ledger.wide, *days, *files)
    database.execute("REPLACE INTO moment VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", moment)
    put("DELETE FROM counter WHERE ip = ?", [(ip,) for ip in saved.counters if ip not in ledger.counters])
    put("REPLACE INTO counter VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", _counter_rows(saved, ledger))
    put("REPLACE INTO device VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", _device_rows(saved, ledger))
    put("REPLACE INTO sum VALUES (?,?,?,?,?,?,?,?,?,?)", _sum_rows(saved, ledger))
    put(
        "INSERT INTO day VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE"
        " SET on_peak = on_peak + excluded.on_peak, off_peak = off_peak + excluded.off_peak",
        ((str(day), *key, on_peak, off_peak) for day, key, on_peak, off_peak in ledger.shares),
    )


def _counters(database: sqlite3.Connection) -> Iterator[tuple[str, Counter]]:
    for ip, mac, *rest, packets, size, since, times, jump in database.execute("SELECT * FROM counter"):
        doubt = None if since is None else Doubt(packets, size, since, times, jump)
        yield ip, replace(Counter(None if mac is None else Mac(mac), *rest), doubt=doubt)


def _devices(database: sqlite3.Connection) -> Iterator[tuple[Mac, Device]]:
    for mac, ip, hostname, user, present, first_seen, last_active, *series, name, link in database.execute(
        "SELECT * FROM device"
    ):
        about = (ip, hostname, user, bool(present), first_seen, last_active)
        yield Mac(mac), Device(Mac(mac), *about, _series(series), name, link)


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
            yield (*where, device.first_seen, device.last_active, *_figures(device.series), device.name, device.link)


def _sum_rows(saved: Ledger, ledger: Ledger) -> Iterator[tuple[Any, ...]]:
    for name, series in ledger.users.items():
        if series is not saved.users.get(name):
            yield ("user", name, *_figures(series))
    if ledger.total is not saved.total:
        yield ("total", "", *_figures(ledger.total))
