"""What a year of records costs: `year.py [--quick]`.

The archive has a record a minute of 50 devices, two users, UNKNOWN and the total, in months: 28 million rows. The rows
of one month are written once and linked into the place of all series; the state file is filled as the daemon does it.
Starts with and without that year take turns, and what is compared is their median.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from dalla_mqtt.archive.beside import History  # noqa: E402
from dalla_mqtt.archive.csv_logs import HEADER, read_records  # noqa: E402  # below the path on which tests/ is found
from dalla_mqtt.archive.layout import Layout, device_file, user_file  # noqa: E402
from dalla_mqtt.archive.rebuild import restore  # noqa: E402
from dalla_mqtt.archive.retention import cutoff, plan_purge  # noqa: E402
from dalla_mqtt.archive.store import Store  # noqa: E402
from dalla_mqtt.config import ArchiveConfig  # noqa: E402
from dalla_mqtt.usage.ledger import TOTAL, DayShare, Device, Key, Ledger, Series  # noqa: E402
from dalla_mqtt.usage.people import UNKNOWN, People  # noqa: E402
from dalla_mqtt.usage.reading import Mac  # noqa: E402
from dalla_mqtt.usage.tariff import Tariff  # noqa: E402
from tests.bench.poll import print_table  # noqa: E402
from tests.bench.router import LargeRouter  # noqa: E402
from tests.processes import Dalla, wait_until  # noqa: E402

USERS = ("Alice", "Bob", UNKNOWN)
OWNERS = (*["Alice"] * 20, *["Bob"] * 20, *[UNKNOWN] * 10)  # of 50 devices
MACS = [Mac(f"02-00-00-00-00-{number:02X}") for number in range(len(OWNERS))]
DELTA = 5120  # bytes a device in a minute
STEP_S = 60
TARIFF = Tariff()
PEOPLE = People(("Alice", "Bob"), {mac: user for mac, user in zip(MACS, OWNERS, strict=True) if user != UNKNOWN})


class Files(NamedTuple):
    """An archive: how many files and rows there are."""

    files: int
    rows: int


class Starts(NamedTuple):
    """Seconds from exec to the first reading that is stored, and CPU seconds of the program until it has ended."""

    wall_s: float
    cpu_s: float


def archive(folder: Path, keep_days: int | None = 400) -> ArchiveConfig:
    """The default layout."""
    where = f"{folder}/logs/%Y-%m"
    keep = None if keep_days is None else keep_days * 86_400.0
    return ArchiveConfig(f"{where}/devices", f"{where}/users", f"{where}/total.csv", keep=keep)


def series() -> Iterator[tuple[Key, int, str]]:
    """Each series, how many devices it is, and its file below the folder of a month."""
    for number, mac in enumerate(MACS):
        yield Key("device", mac.dashed), 1, f"devices/{device_file(mac.dashed, f'192.168.1.{number + 2}')}"
    for user in USERS:
        yield Key("user", user), OWNERS.count(user), f"users/{user_file(user)}"
    yield TOTAL, len(MACS), "total.csv"


def months(last: datetime, count: int = 12) -> list[tuple[datetime, datetime]]:
    """The months up to that of `last`, which ends there; the oldest first."""
    spans, end = [], last
    for _ in range(count):
        begin = end.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        spans.append((begin, end))
        end = begin - timedelta(seconds=STEP_S)
    return spans[::-1]


def write_archive(folder: Path, last: datetime, step_s: int = STEP_S, count: int = 12) -> Files:
    """A file for each series and month; series of as many devices share one file's content by hard links."""
    files = rows = minutes = 0
    for begin, end in months(last, count):
        times = range(int(begin.timestamp()), int(end.timestamp()) + 1, step_s)
        month = folder / "logs" / begin.strftime("%Y-%m")
        alike: dict[int, Path] = {}
        for _, weight, name in series():
            path = month / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if weight in alike:
                path.hardlink_to(alike[weight])
            else:
                alike[weight] = path
                path.write_text(HEADER + "".join(_rows(times, weight * DELTA, minutes)), "ascii")
            files, rows = files + 1, rows + len(times)
        minutes += len(times)
    return Files(files, rows)


def _rows(times: range, delta: int, before: int) -> Iterator[str]:
    for number, at in enumerate(times, 1):
        yield f"{at}, {(before + number) * delta}, {delta}, {number * delta}, 0\n"


def write_state(file: Path, last: datetime, days: int = 365) -> None:
    """The ledger after the last record, and what moved on each of the days before."""
    a_day = 1440 * DELTA
    shares = [
        DayShare(last.date() - timedelta(days=back), key, weight * a_day, 0)
        for back in range(days)
        for key, weight, _ in series()
    ]
    of = {
        key: Series(usage=weight * days * a_day, on_peak=weight * last.day * a_day, changed_at=last.timestamp())
        for key, weight, _ in series()
    }
    ledger = Ledger(
        at=last.timestamp(),
        uptime_s=1,
        day=last.date(),
        period=last.date().replace(day=1),
        devices={
            mac: _device(mac, user, of[Key("device", mac.dashed)]) for mac, user in zip(MACS, OWNERS, strict=True)
        },
        users={user: of[Key("user", user)] for user in USERS},
        total=of[TOTAL],
        shares=tuple(shares),
    )
    with closing(Store(file)) as store:
        store.save(ledger, {})


def _device(mac: Mac, user: str, of: Series) -> Device:
    return Device(mac, f"192.168.1.{int(mac.dashed[-2:], 16) + 2}", None, user, False, 0, None, of)  # noqa: FBT003


def household(folder: Path, router_url: str) -> Path:
    """The configuration of a folder, with its rows kept for 400 days."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.yaml"
    users = "".join(
        f"  {user}: {{devices: {[mac.colons for mac in MACS if PEOPLE.owner(mac, None) == user]}}}\n"
        for user in PEOPLE.names
    )
    file.write_text(
        f"router: {{url: '{router_url}', password: admin, interval: 60s}}\nmqtt: {{url: 'off'}}\nweb: {{listen: off}}\n"
        f"archive: {{keep: 400d}}\ntariff: {{timezone: UTC}}\nusers:\n{users}",
        "utf-8",
    )
    file.chmod(0o600)
    return file


def start(folder: Path) -> Starts:
    """`dalla-mqtt run`, to its first reading; then it is ended."""
    before = os.times()
    began = time.perf_counter()
    with Dalla(folder, "run") as dalla:
        wait_until(lambda: dalla.polls() >= 1, "a reading")
        wall_s = time.perf_counter() - began
        dalla.terminate()
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Starts(wall_s, cpu_s)


def starts(full: Path, empty: Path, router: LargeRouter, times: int) -> tuple[Starts, Starts]:
    """Medians of starts with all that lies in `full`, and of starts in new folders below `empty`."""
    household(full, router.url)
    taken: list[tuple[Starts, Starts]] = []
    for number in range(times):
        new = empty / str(number)
        household(new, router.url)
        taken.append((start(full), start(new)))
    sides = zip(*taken, strict=True)
    first, second = (Starts(median(one.wall_s for one in side), median(one.cpu_s for one in side)) for side in sides)
    return first, second


def month_cpu_s(folder: Path, first: date, last: date) -> tuple[float, float]:
    """CPU seconds for what moved in a month: out of the state file, and out of the files of that month."""
    began = time.process_time()
    with closing(History(folder / "state.db")) as history:
        moved = history.moved(first, last)
    of_history = time.process_time() - began
    assert len(moved) == len(MACS) + len(USERS) + 1
    began = time.process_time()
    for file in Layout(archive(folder), TARIFF).files():
        if f"/{first:%Y-%m}/" in str(file.path):
            for record in read_records(file.path):
                assert record.delta
    return of_history, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a record every ten minutes, fewer starts, rougher figures"
    )
    run(quick=parser.parse_args().quick)


def run(*, quick: bool) -> None:
    """Measure, and print it."""
    os.environ["PYTHONPATH"] = str(ROOT)  # processes start the package beside this file, whatever is installed
    last = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(seconds=STEP_S)
    with tempfile.TemporaryDirectory() as name, LargeRouter(50) as router:
        folder = Path(name)
        began = time.perf_counter()
        files = write_archive(folder / "year", last, STEP_S * 10 if quick else STEP_S)
        write_state(folder / "year" / "state.db", last)
        print(
            f"{files.rows / 1e6:.1f} million rows in {files.files} files, {time.perf_counter() - began:.0f} s to write"
        )
        full, empty = starts(folder / "year", folder / "empty", router, 3 if quick else 9)
        first = last.date().replace(day=1) - timedelta(days=1)
        of_history, of_files = month_cpu_s(folder / "year", first.replace(day=1), first)
        began = time.perf_counter()
        plan = plan_purge(Layout(archive(folder / "year"), TARIFF), cutoff(TARIFF, last.timestamp() - 100 * 86_400))
        plan_s = time.perf_counter() - began
        began = time.perf_counter()
        rebuilt = restore(archive(folder / "year"), TARIFF, PEOPLE)
        rebuild_s = time.perf_counter() - began
        assert rebuilt is not None
        assert rebuilt.ledger.devices.keys() >= set(MACS)
    rows = [
        ("start to first reading stored", "< 1 s", f"{full.wall_s:.2f} s"),
        ("the same without the year", "", f"{empty.wall_s:.2f} s: {full.wall_s / empty.wall_s:.2f} x"),
        (
            "CPU of these starts",
            "<= 1.5 x",
            f"{full.cpu_s:.2f} s, {empty.cpu_s:.2f} s: {full.cpu_s / empty.cpu_s:.2f} x",
        ),
        ("summary of a month", "< 1 s", f"{of_history * 1000:.1f} ms, out of its files {of_files:.1f} s"),
        ("plan of a purge", "", f"{plan_s * 1000:.0f} ms, {len(plan)} of {files.files} files are due"),
        (
            "state made again from the files",
            "",
            f"{rebuild_s:.1f} s, {files.rows / rebuild_s / 1000:.0f} 000 rows a second",
        ),
    ]
    print_table(rows)


if __name__ == "__main__":
    main()
