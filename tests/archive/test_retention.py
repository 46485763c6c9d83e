"""Rows that are older than `archive.keep`, and what stays of them."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from dalla_mqtt.archive.csv_logs import HEADER, Record, read_records
from dalla_mqtt.archive.files import locked
from dalla_mqtt.archive.layout import Layout, named
from dalla_mqtt.archive.retention import (
    SUMMARY_HEADER,
    cutoff,
    keep_sums,
    plan_purge,
    purge,
    purge_due,
    read_summary,
)
from dalla_mqtt.usage.ledger import TOTAL, Key, Moved
from dalla_mqtt.usage.people import People
from dalla_mqtt.usage.tariff import Tariff
from tests.archive.house import DAY_S, ArchivedHouse, archive, figures, tree
from tests.processes import wait_until
from tests.usage.house import FAMILY, IP, IP2, IP3, LAPTOP, NIGHTS, PHONE, TV, utc

ROOT = Path(__file__).parents[2]
DEVICE = Key("device", PHONE.dashed)
STRANGE = People(
    ("../x", "=1+1", "Alice, Bob", 'Bob "the" Bob', "Zoë"), {PHONE: "../x", LAPTOP: "Alice, Bob", TV: 'Bob "the" Bob'}
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[ArchivedHouse]:
    with closing(ArchivedHouse(tmp_path)) as house:
        yield house


def days_of(house: ArchivedHouse, key: Key = TOTAL) -> set[date]:
    """The days on which rows of a series are left."""
    return {house.rules.tariff.local(record.time).date() for record in house.records()[key]}


def test_months_lose_whole_files_once_all_of_them_is_old(house: ArchivedHouse) -> None:
    house.lives(85)  # to 24 November
    before = tree(house.folder / "logs")
    done = house.purges()
    after = tree(house.folder / "logs")
    assert {path for path in before if path not in after} == {path for path in before if path.startswith("2026-09/")}
    assert {path for path in after if path not in before} == {"2026-09/summary.csv", "2026-10/summary.csv"}
    assert {path: content for path, content in after.items() if path in before} == {
        path: content for path, content in before.items() if not path.startswith("2026-09/")
    }
    assert {job.what for job in done} == {"delete"}
    assert sorted(path.name for path in (house.folder / "logs" / "2026-09").iterdir()) == ["summary.csv"]


def test_files_without_months_lose_the_rows_that_are_too_old_a_month_of_them_at_a_time(tmp_path: Path) -> None:
    with closing(ArchivedHouse(tmp_path, months=False)) as house:
        house.lives(59)
        assert house.purges() == []  # 29 days of rows that are too old
        house.lives(3)
        before = house.records()
        done = house.purges()
        assert {job.what for job in done} == {"shorten"}
        since = cutoff(house.rules.tariff, house.at - 30 * DAY_S)
        assert house.records() == {
            key: [record for record in records if record.time >= since] for key, records in before.items()
        }
        assert house.purges() == []
        assert all(file.path.read_text().startswith(HEADER) for file in house.layout.files())
        house.lives(1)
        assert house.records()[TOTAL][-1].total == house.total.usage


def delta_sums(records: dict[Key, list[Record]], tariff: Tariff) -> dict[tuple[date, Key], int]:
    """What the deltas of whole periods add up to. A record tells of the time before it."""
    sums: dict[tuple[date, Key], int] = defaultdict(int)
    for key, of_key in records.items():
        for record in of_key:
            sums[tariff.period_of(tariff.local(record.time - 1).date()), key] += record.delta
    return {of: size for of, size in sums.items() if size}


@pytest.mark.parametrize("months", [True, False])
@pytest.mark.parametrize("period_starts", [1, 15, 31, -1])
def test_the_summary_has_what_was_purged_to_the_byte(tmp_path: Path, period_starts: int, *, months: bool) -> None:
    tariff = Tariff(ZoneInfo("Europe/Berlin"), NIGHTS.off_peak, period_starts)
    at = tariff.midnight(date(2026, 1, 1)).timestamp()
    with closing(ArchivedHouse(tmp_path, STRANGE, tariff, at, months=months)) as house:
        all_three = ((IP, PHONE), (IP2, LAPTOP), (IP3, TV))
        house.lives(87.5, *all_three, every_h=12)
        house.lives(11 / 24, *all_three, every_h=11)  # summer time begins, and there is still a record at each midnight
        house.lives(42, *all_three, every_h=12)
        before = house.records()
        assert house.purges()
        left = {key: house.records()[key][0].time for key in before}
        sums = delta_sums(before, tariff)
        summary = {of: sizes for path in house.layout.summaries() for of, sizes in read_summary(path).items()}
        whole = {period for period, _ in summary if tariff.last_day(period) < tariff.local(left[TOTAL] - 1).date()}
        assert len(whole) >= 2
        for period, key in sums:
            if period in whole:
                assert sum(summary[period, key]) == sums[period, key], (period, key)
                assert summary[period, key] == house.days.moved(period, tariff.last_day(period))[key]
        for period in {period for period, _ in summary}:
            of_kind = dict.fromkeys(("device", "user", "total"), 0)
            for (when, key), sizes in summary.items():
                of_kind[key.kind] += sum(sizes) if when == period else 0
            assert len(set(of_kind.values())) == 1


def test_a_summary_is_a_table_that_everybody_can_read_and_no_name_in_it_is_a_formula_or_a_path(tmp_path: Path) -> None:
    with closing(ArchivedHouse(tmp_path, replace(STRANGE, macs={**STRANGE.macs, TV: "=1+1"}), months=False)) as house:
        house.lives(70, (IP, PHONE), (IP2, LAPTOP), (IP3, TV))
        house.purges()
        text = (house.folder / "logs" / "summary.csv").read_text("utf-8")
        lines = text.splitlines()
        assert lines[0] == "Period, Kind, Name, On-Peak, Off-Peak, Total"
        assert '2026-09-01, user, "Alice, Bob", ' in text
        rows = [*csv.DictReader(lines, skipinitialspace=True)]
        assert all(int(row["On-Peak"]) + int(row["Off-Peak"]) == int(row["Total"]) for row in rows)
        assert all(row["Name"][:1] not in "=+-@." or not row["Name"] for row in rows)
        september = [row for row in rows if row["Period"] == "2026-09-01"]
        assert [row["Kind"] for row in september] == ["total"] + ["user"] * 3 + ["device"] * 3
        assert {named(row["Name"]) for row in september if row["Kind"] == "user"} == {"../x", "=1+1", "Alice, Bob"}
        assert {key.name for _, key in read_summary(house.folder / "logs" / "summary.csv")} >= {"../x", "=1+1"}


@pytest.mark.parametrize("months", [True, False])
def test_purging_twice_changes_nothing(tmp_path: Path, *, months: bool) -> None:
    with closing(ArchivedHouse(tmp_path, months=months)) as house:
        house.lives(40)
        house.lives(45, (IP3, PHONE))
        assert house.purges()
        once = tree(house.folder / "logs")
        assert house.purges() == []
        assert tree(house.folder / "logs") == once


@pytest.mark.parametrize("months", [True, False])
def test_the_last_row_of_each_series_stays(tmp_path: Path, *, months: bool) -> None:
    with closing(ArchivedHouse(tmp_path, months=months)) as house:
        house.lives(10)
        usage = house.of(LAPTOP).usage
        house.lives(120, (IP3, PHONE))  # another address, and the laptop is gone
        done = house.purges()
        assert {job.what for job in done if job.key == Key("device", LAPTOP.dashed)} == {"keep the last row"}
        (last,) = house.records()[Key("device", LAPTOP.dashed)]
        assert last.total == usage
        assert {file.ip for file in house.layout.files() if file.key == DEVICE} == {IP3}
        before = figures(house.ledger)
        assert house.loses_its_state() is not None
        assert {key: usage for key, (usage, _, _) in figures(house.ledger).items()} == {
            key: usage for key, (usage, _, _) in before.items()
        }


def copy_of(house: ArchivedHouse, folder: Path) -> Callable[[], None]:
    """The archive as it is now is put back whenever the result is called."""
    shutil.copytree(house.folder / "logs", folder)

    def put_back() -> None:
        shutil.rmtree(house.folder / "logs")
        shutil.copytree(folder, house.folder / "logs")

    return put_back


def purgeable(tmp_path: Path, *, months: bool) -> ArchivedHouse:
    house = ArchivedHouse(tmp_path / "house", months=months)
    house.lives(5)
    house.lives(75, (IP3, PHONE), every_h=12)
    return house


def check_unharmed(house: ArchivedHouse, usage: int) -> None:
    """Every series still tells its usage."""
    assert house.records()[TOTAL][-1].total == usage
    assert sum(of_key[-1].total for key, of_key in house.records().items() if key.kind == "device") == usage
    assert sum(of_key[-1].total for key, of_key in house.records().items() if key.kind == "user") == usage


@pytest.mark.parametrize("months", [True, False])
def test_a_purge_that_is_stopped_after_any_file_is_completed_by_the_next(tmp_path: Path, *, months: bool) -> None:
    with closing(purgeable(tmp_path, months=months)) as house:
        put_back = copy_of(house, tmp_path / "copy")
        steps = len(house.purges())
        expected = tree(house.folder / "logs")
        for stop_after in range(steps):
            put_back()
            for number, _ in enumerate(purge_due(house.config, house.rules.tariff, house.store.moved, house.at)):
                if number == stop_after:
                    break
            check_unharmed(house, house.total.usage)
            assert len(house.purges()) == steps - stop_after - 1
            assert tree(house.folder / "logs") == expected


class Killed(BaseException):
    """The end of the process: nothing that it would have done afterwards is done."""


class Disk:
    """Fails at the n-th call: once, with an error, or from then on, as for a process that is killed."""

    def __init__(self, patch: pytest.MonkeyPatch, fails_at: int, *, killed: bool) -> None:
        self._left, self._killed, self.failed = fails_at, killed, False
        for name in ("replace", "unlink", "fsync", "rmdir", "fchmod", "ftruncate"):
            patch.setattr(os, name, self._wrap(getattr(os, name)))

    def _wrap(self, call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **named: object) -> object:
            self._left -= 1
            if self._left == 0 or (self._left < 0 and self._killed):
                self.failed = True
                raise Killed if self._killed else OSError(28, "No space left on device")
            return call(*arguments, **named)

        return wrapped


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("months", [True, False])
def test_a_purge_that_fails_or_is_killed_at_any_point_harms_nothing(
    tmp_path: Path, *, months: bool, killed: bool
) -> None:
    with closing(purgeable(tmp_path, months=months)) as house:
        put_back = copy_of(house, tmp_path / "copy")
        house.purges()
        expected = tree(house.folder / "logs")
        for fails_at in range(1, 1000):
            put_back()
            with pytest.MonkeyPatch.context() as patch:
                disk = Disk(patch, fails_at, killed=killed)
                with suppress(Killed, OSError):
                    house.purges()
            check_unharmed(house, house.total.usage)
            if not killed:
                assert not [*(house.folder / "logs").rglob("*.new")]
            house.purges()
            assert tree(house.folder / "logs") == expected
            if not disk.failed:
                break
        assert fails_at > 10


def test_a_file_that_cannot_be_purged_is_named_and_the_others_are_purged(house: ArchivedHouse) -> None:
    house.lives(85)
    (blocked,) = house.folder.glob(f"logs/2026-09/devices/{PHONE.dashed}*")
    with locked(blocked), pytest.raises(OSError, match="temporarily unavailable") as caught:
        house.purges()
    assert caught.value.filename == str(blocked)
    assert [path for path in tree(house.folder / "logs" / "2026-09") if path != "summary.csv"] == [
        f"devices/{blocked.name}"
    ]
    assert len(house.purges()) == 1


def test_files_that_are_not_ours_are_not_touched(house: ArchivedHouse) -> None:
    house.lives(85)
    month = house.folder / "logs" / "2026-09"
    ours = (month / "total.csv").read_text()
    others = {
        "backup-2025/total.csv": ours,
        "2026-09/notes.csv": ours,
        "2026-09/users/Carol.csv": f"Time, Bytes\n{ours}",
        "2026-09/users/empty.csv": "",
        "2026-09/users/header.csv": HEADER,
        "2026-09/users/other columns.csv": HEADER + "1, 2, 3\n" * 3000,
        f"2026-09/devices/{PHONE.dashed}_{IP}.csv.bak": ours,
        f"2026-09 copy/devices/{PHONE.dashed}_{IP}.csv": ours,
    }
    for name, content in others.items():
        (house.folder / "logs" / name).parent.mkdir(exist_ok=True, parents=True)
        (house.folder / "logs" / name).write_text(content)
    house.purges()
    after = tree(house.folder / "logs")
    assert {name: after[name].decode() for name in others} == others
    assert "2026-09/total.csv" not in after


def test_rows_that_are_not_on_record_stay(house: ArchivedHouse) -> None:
    house.lives(85)
    stranger = house.folder / "logs" / "2026-09" / "users" / "Carol.csv"
    stranger.write_text((house.folder / "logs" / "2026-09" / "users" / "Alice.csv").read_text())
    later = stranger.parents[2] / "2026-10" / "users" / "Carol.csv"
    later.write_text((house.folder / "logs" / "2026-10" / "users" / "Alice.csv").read_text())
    with pytest.raises(OSError, match="it tells of more than is on record") as caught:
        house.purges()
    assert caught.value.filename == str(stranger)
    assert [*tree(house.folder / "logs" / "2026-09")] == ["summary.csv", "users/Carol.csv"]


def test_another_file_in_the_place_of_the_summary_is_not_touched_and_nothing_is_purged(house: ArchivedHouse) -> None:
    house.lives(85)
    (house.folder / "logs" / "2026-09" / "summary.csv").write_text("my own summary\n")
    before = tree(house.folder / "logs")
    with pytest.raises(FileExistsError, match="in the place of the summary"):
        house.purges()
    before.pop("2026-10/summary.csv", None)
    assert {path: text for path, text in tree(house.folder / "logs").items() if path in before} == before


def test_a_summary_in_which_there_is_more_keeps_it(house: ArchivedHouse) -> None:
    house.lives(85)
    summary = house.folder / "logs" / "2026-09" / "summary.csv"
    summary.write_text(
        f"{SUMMARY_HEADER}2026-09-01, total, , 1, 2, 3\n2026-09-01, user, Bob, {2**60}, 7, 0\n"
        "2026-09-01, user, Gone, 5, 6, 11\n2026-09-01, pet, Rex, 1, 1, 2\nnonsense\n2026-13-01, user, Bob, 1, 2, 3\n"
        f'2026-09-01, user, "{"x" * 200_000}\n'
    )
    house.purges()
    kept = read_summary(summary)
    period = date(2026, 9, 1)
    assert kept[period, Key("user", "Bob")] == (2**60, 7)
    assert kept[period, Key("user", "Gone")] == (5, 6)
    assert kept[period, TOTAL] == house.days.moved(period, date(2026, 9, 30))[TOTAL]
    assert summary.read_text().endswith("\n")
    assert "Rex" not in summary.read_text()
    assert read_summary(summary.with_name("nowhere.csv")) == {}


def test_an_empty_file_in_the_place_of_the_summary_is_filled(house: ArchivedHouse) -> None:
    house.lives(85)
    summary = house.folder / "logs" / "2026-09" / "summary.csv"
    summary.write_text("")
    house.purges()
    assert summary.read_text().startswith(SUMMARY_HEADER)


def test_permissions_and_links_of_a_file_survive_its_purge(tmp_path: Path) -> None:
    with closing(ArchivedHouse(tmp_path, months=False)) as house:
        house.lives(70)
        total = house.folder / "logs" / "total.csv"
        elsewhere = total.rename(house.folder / "elsewhere.csv")
        total.symlink_to(elsewhere)
        elsewhere.chmod(0o640)
        house.purges()
        assert total.is_symlink()
        assert elsewhere.stat().st_mode & 0o777 == 0o640
        assert min(days_of(house)) == date(2026, 10, 10)
        house.lives(1)
        assert house.records()[TOTAL][-1].total == house.total.usage


def test_folders_that_are_left_empty_are_deleted(tmp_path: Path) -> None:
    with closing(ArchivedHouse(tmp_path)) as house:
        where = f"{tmp_path}/logs"
        house.config = replace(
            house.config, devices=f"{where}/%Y/%m/devices", users=f"{where}/%Y/%m/users", commune=f"{where}/total.csv"
        )
        house.logs = type(house.logs)(house.config, house.rules.tariff)
        house.lives(85)
        house.purges()
        assert sorted(path.name for path in (tmp_path / "logs" / "2026").iterdir()) == ["10", "11"]
        (tmp_path / "logs" / "2026" / "10" / "note").write_text("mine")
        house.lives(60)
        house.purges()
        assert [*(tmp_path / "logs" / "2026" / "10").iterdir()] == [tmp_path / "logs" / "2026" / "10" / "note"]


def rich(*_: object) -> Moved:
    """A record that knows of more than any file tells."""
    return {TOTAL: (2**50, 0), DEVICE: (2**50, 0)}


def test_files_that_were_written_or_deleted_between_plan_and_purge_are_left_alone(tmp_path: Path) -> None:
    layout = Layout(archive(tmp_path, months=False), Tariff())
    devices = tmp_path / "devices"
    devices.mkdir()
    files = [devices / f"{PHONE.dashed}_{ip}.csv" for ip in (IP, IP2, IP3)]
    for number, file in enumerate(files):
        file.write_text(f"{HEADER}{1000 + number}, 5, 5, 5, 0\n{2000 + number}, 5, 0, 5, 0\n")
    plan = plan_purge(layout, 5000)
    assert [job.what for job in plan] == ["delete", "delete", "keep the last row"]
    with files[0].open("a") as file:
        file.write("9000, 6, 1, 6, 0\n")
    files[1].unlink()
    files[2].write_text(HEADER)
    before = tree(devices)
    assert [*purge(plan, layout, Tariff(), rich, 5000)] == []
    assert tree(devices) == before


def test_time_before_1970_is_before_all_rows() -> None:
    assert cutoff(Tariff(), -1e15) == 0


_APPEND = """
import sys
from pathlib import Path
from dalla_mqtt.archive.csv_logs import CsvLogs
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.usage.tariff import Tariff

logs = CsvLogs(ArchiveConfig("", "", sys.argv[1]), Tariff())
time = 1_000_000
while not Path(sys.argv[2]).exists():
    time += 1
    owed, again = {sys.argv[1]: f"{time}, 7, 7, 7, 0\\n"}, False
    while owed:
        owed, reason = logs.append(owed, again=again)
        again = True
print(time)
"""


@pytest.mark.parametrize("linked", [True, False])
def test_a_daemon_that_appends_while_another_process_purges_loses_no_row(tmp_path: Path, *, linked: bool) -> None:
    file, enough, purges, old = tmp_path / "total.csv", tmp_path / "enough", 60, 500
    file.write_text(HEADER + "".join(f"{time}, 1, 1, 1, 0\n" for time in range(1, old)))
    layout = Layout(archive(tmp_path, months=False), Tariff())
    command = (sys.executable, "-c", _APPEND, str(file), str(enough))
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    ) as daemon:
        wait_until(lambda: [*read_records(file)][-1].time > 1_000_000, "a row")
        for number in range(purges):
            if linked:  # as by a backup program: a file that is replaced lives on under another name
                (tmp_path / f"backup-{number}").hardlink_to(file)
            assert len([*purge(plan_purge(layout, 2.0 + number), layout, Tariff(), rich, 2.0 + number)]) == 1
        enough.touch()
        last = int(daemon.communicate(timeout=60)[0])
    assert last > 1_000_001
    times = [record.time for record in read_records(file)]
    assert times == [*range(1 + purges, old), *range(1_000_001, last + 1)]


def io_bytes() -> tuple[int, int]:
    """Bytes that this process has read and written by system calls so far."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text("ascii").splitlines())
    return int(lines["rchar"]), int(lines["wchar"])


def test_a_purge_of_months_deletes_and_reads_and_writes_no_whole_file(tmp_path: Path) -> None:
    with closing(ArchivedHouse(tmp_path)) as house:
        house.lives(85)
        for file in house.layout.files():
            rows = file.path.read_text().splitlines(keepends=True)
            file.path.write_text("".join([*rows[:2], rows[2] * 20_000, *rows[3:]]))
        sizes = [file.path.stat().st_size for file in house.layout.files()]
        (read_before, written_before), files = io_bytes(), len(sizes)
        house.purges()
        read, written = (
            after - before for after, before in zip(io_bytes(), (read_before, written_before), strict=True)
        )
        assert min(sizes) > 400_000
        assert read < files * 50_000
        assert written < 50_000


def test_sums_are_kept_of_each_period_that_begins_before_the_rows_that_are_left(tmp_path: Path) -> None:
    asked: list[tuple[date, date]] = []

    def moved(first: date, last: date) -> Moved:
        asked.append((first, last))
        return {}

    layout = Layout(archive(tmp_path), Tariff())
    keep_sums(layout, Tariff(), moved, utc(5, 0, month=9), utc(1, 0, month=11))
    assert asked == [(date(2026, 9, 1), date(2026, 9, 30)), (date(2026, 10, 1), date(2026, 10, 31))]
    assert not [*tmp_path.iterdir()]


def test_a_household_keeps_all_its_rows_for_as_long_as_it_says(house: ArchivedHouse) -> None:
    for _ in range(9):
        house.lives(11)
        house.purges()
        today = house.rules.tariff.local(house.at).date()
        began = max(date(2026, 9, 1), today - timedelta(days=30))
        assert {began + timedelta(days=number) for number in range((today - began).days + 1)} <= days_of(house)
        assert FAMILY is house.rules.people
