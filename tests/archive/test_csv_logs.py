from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.archive.csv_logs import HEADER, CsvLogs
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.usage.ledger import Device, Ledger, Series
from dalla_mqtt.usage.people import check_name
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Tariff

AT = 1477226416
PHONE = Mac.parse("CB:BD:AB:90:2D:38")


def logs(folder: Path, *, skip_idle: bool = False, months: bool = False, zone: str = "UTC") -> CsvLogs:
    where = f"{folder}/%Y-%m" if months else str(folder)
    return CsvLogs(
        ArchiveConfig(f"{where}/devices", f"{where}/users", f"{where}/total.csv", skip_idle), Tariff(ZoneInfo(zone))
    )


def ledger(
    at: int = AT, delta: int = 5120, *, present: bool = True, ip: str = "192.168.1.100", user: str = "Alice"
) -> Ledger:
    series = Series(usage=1620964, delta=delta, on_peak=1620964, off_peak=0)
    device = Device(PHONE, ip, "phone", user, present, AT, AT, series)
    return Ledger(at=at, devices={PHONE: device}, users={user: series, "UNKNOWN": Series()}, total=series)


def write(csv: CsvLogs, *ledgers: Ledger) -> None:
    for one in ledgers:
        assert csv.append(csv.rows(one)) == ({}, None)


def test_the_files_are_those_of_the_contract_to_the_byte(tmp_path: Path) -> None:
    write(logs(tmp_path), ledger())
    row = "Time, Total Bytes, Delta, On-Peak, Off-Peak\n1477226416, 1620964, 5120, 1620964, 0\n"
    assert (tmp_path / "devices" / "CB-BD-AB-90-2D-38_192.168.1.100.csv").read_text() == row
    assert (tmp_path / "users" / "Alice.csv").read_text() == row
    assert (tmp_path / "users" / "UNKNOWN.csv").read_text() == f"{HEADER}1477226416, 0, 0, 0, 0\n"
    assert (tmp_path / "total.csv").read_text() == row


def test_a_record_adds_one_row_to_each_file(tmp_path: Path) -> None:
    write(logs(tmp_path), ledger(AT), ledger(AT + 60, 0))
    write(logs(tmp_path), ledger(AT + 120))
    lines = (tmp_path / "total.csv").read_text().splitlines()
    assert [line.split(", ")[0] for line in lines[1:]] == ["1477226416", "1477226476", "1477226536"]


def test_a_device_that_is_not_in_the_routers_table_has_no_row(tmp_path: Path) -> None:
    write(logs(tmp_path), ledger(present=False))
    assert not (tmp_path / "devices").exists()
    assert (tmp_path / "users" / "Alice.csv").exists()


def test_a_device_that_moves_to_another_address_goes_on_in_a_file_of_that_name(tmp_path: Path) -> None:
    write(logs(tmp_path), ledger(), ledger(AT + 60, ip="192.168.1.101"))
    assert {file.name for file in (tmp_path / "devices").iterdir()} == {
        "CB-BD-AB-90-2D-38_192.168.1.100.csv",
        "CB-BD-AB-90-2D-38_192.168.1.101.csv",
    }


def test_months_have_folders_of_their_own_in_local_time(tmp_path: Path) -> None:
    new_year_in_utc = 1483228800
    write(
        logs(tmp_path, months=True, zone="America/New_York"),
        ledger(new_year_in_utc),
        ledger(new_year_in_utc + 5 * 3600),
    )
    assert (tmp_path / "2016-12" / "total.csv").exists()
    assert (tmp_path / "2017-01" / "total.csv").exists()


@given(st.text(min_size=1))
def test_no_users_name_leaves_its_folder_or_collides_with_another(name: str) -> None:
    try:
        check_name(name)
    except ValueError:
        return
    csv = logs(Path("/archive"))
    (path,) = [
        path for path in csv.rows(ledger(user=name)) if path.startswith("/archive/users/") and "UNKNOWN" not in path
    ] or ["/archive/users/UNKNOWN.csv"]
    file = path.removeprefix("/archive/users/")
    assert "/" not in file
    assert file[0] not in ".=+-@"
    assert len(os.fsencode(file)) <= 255
    assert Path(path).parent == Path("/archive/users")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        ("=cmd()", "%3Dcmd()"),
        ("50% of us", "50%25 of us"),
        ("Bób", "Bób"),
    ],
)
def test_hostile_names_become_harmless_file_names(tmp_path: Path, name: str, file: str) -> None:
    write(logs(tmp_path), ledger(user=name))
    assert {path.name for path in (tmp_path / "users").iterdir()} == {f"{file}.csv", "UNKNOWN.csv"}


def test_rows_that_may_be_there_already_are_not_written_twice(tmp_path: Path) -> None:
    csv = logs(tmp_path)
    rows = csv.rows(ledger())
    csv.append(rows)
    before = (tmp_path / "total.csv").read_text()
    assert logs(tmp_path).append(rows, again=True) == ({}, None)
    assert (tmp_path / "total.csv").read_text() == before


def test_a_row_torn_at_any_byte_is_completed_when_it_is_written_again(tmp_path: Path) -> None:
    write(logs(tmp_path), ledger(AT - 60))
    whole = logs(tmp_path).rows(ledger())
    file = tmp_path / "total.csv"
    before = file.read_text()
    row = whole[str(file)]
    for length in range(len(row) + 1):
        file.write_text(before + row[:length])
        assert logs(tmp_path).append({str(file): row}, again=True) == ({}, None)
        assert file.read_text() == before + row


def test_a_header_torn_at_any_byte_is_completed(tmp_path: Path) -> None:
    file = tmp_path / "total.csv"
    row = logs(tmp_path).rows(ledger())[str(file)]
    for length in range(len(HEADER)):
        file.write_text(HEADER[:length])
        logs(tmp_path).append({str(file): row}, again=True)
        assert file.read_text() == HEADER + row


def test_what_another_program_left_without_a_line_end_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "total.csv"
    file.write_text(f"{HEADER}1477226356, 7, 7, 7, 0")
    write(logs(tmp_path), ledger())
    assert file.read_text() == f"{HEADER}1477226356, 7, 7, 7, 0\n1477226416, 1620964, 5120, 1620964, 0\n"


def test_a_file_that_cannot_be_written_is_named_and_the_others_are_written(tmp_path: Path) -> None:
    (tmp_path / "total.csv").mkdir()
    csv = logs(tmp_path)
    rows = csv.rows(ledger())
    failed, reason = csv.append(rows)
    assert failed == {str(tmp_path / "total.csv"): rows[str(tmp_path / "total.csv")]}
    assert reason is not None
    assert reason.filename == str(tmp_path / "total.csv")
    assert (tmp_path / "users" / "Alice.csv").exists()
    (tmp_path / "total.csv").rmdir()
    assert csv.append(failed, again=True) == ({}, None)
    assert len((tmp_path / "total.csv").read_text().splitlines()) == 2


def test_a_disk_that_fills_up_in_the_middle_of_a_row_costs_nothing_once_there_is_room(tmp_path: Path) -> None:
    csv = logs(tmp_path)
    write(csv, ledger(AT - 60))
    file = tmp_path / "total.csv"
    rows = {str(file): csv.rows(ledger())[str(file)]}
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 9, limits[1]))
    try:
        failed, reason = csv.append(rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failed == rows
    assert reason is not None
    assert csv.append(failed, again=True) == ({}, None)
    assert file.read_text().splitlines()[2:] == ["1477226416, 1620964, 5120, 1620964, 0"]


def test_idle_rows_can_be_left_out_but_for_the_first_and_the_last_of_them(tmp_path: Path) -> None:
    deltas = [5, 0, 0, 0, 0, 7, 0, 8, 0, 0, 0]
    csv = logs(tmp_path, skip_idle=True)
    write(csv, *(ledger(AT + 60 * number, delta) for number, delta in enumerate(deltas)))
    rows = [line.split(", ") for line in (tmp_path / "total.csv").read_text().splitlines()[1:]]
    assert [(int(row[0]) - AT) // 60 for row in rows] == [0, 1, 4, 5, 6, 7, 8]
