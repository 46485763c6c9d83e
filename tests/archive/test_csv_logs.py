from __future__ import annotations

import fcntl
import os
import resource
import signal
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.archive.csv_logs import HEADER, CsvLogs, cut_torn, read_records, read_span
from dalla_mqtt.archive.files import locked
from dalla_mqtt.archive.store import Store
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


@pytest.mark.parametrize("size", [1, 5, 4096, 5000, 20_000])
def test_room_that_a_power_loss_left_without_its_content_is_given_back(tmp_path: Path, size: int) -> None:
    csv = logs(tmp_path)
    write(csv, *(ledger(AT - 60 * number) for number in range(300, 0, -1)))
    file = tmp_path / "total.csv"
    before = file.read_bytes()
    row = csv.rows(ledger())[str(file)]
    for torn in (0, 20):  # of the row before
        file.write_bytes(before[: len(before) - torn] + b"\x00" * size)
        last = logs(tmp_path).rows(ledger(AT - 60))[str(file)]
        for text in (last, row):
            assert logs(tmp_path).append({str(file): text}, again=True) == ({}, None)
        assert file.read_bytes() == before + row.encode()


def test_a_file_that_is_nothing_but_room_without_content_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "total.csv"
    file.write_bytes(b"\x00" * 10_000)
    write(logs(tmp_path), ledger())
    assert file.read_text().startswith(HEADER)
    assert len(file.read_text().splitlines()) == 2


def test_many_rows_that_are_there_already_are_found_however_far_back_they_begin(tmp_path: Path) -> None:
    csv = logs(tmp_path)
    file = str(tmp_path / "total.csv")
    text = "".join(csv.rows(ledger(AT + 60 * number))[file] for number in range(1000))
    csv.append({file: "".join(csv.rows(ledger(AT - 60))[file])})
    csv.append({file: text})
    before = Path(file).read_text()
    assert logs(tmp_path).append({file: text}, again=True) == ({}, None)
    assert Path(file).read_text() == before
    with Path(file).open("a") as other:
        other.write("a remark\n" * 1000)
    assert logs(tmp_path).append({file: text}, again=True) == ({}, None)
    assert Path(file).read_text() == before + "a remark\n" * 1000


def test_the_records_of_a_file_are_its_whole_rows(tmp_path: Path) -> None:
    file = tmp_path / "total.csv"
    rows = [
        "1, 2, 3, 4, 5\n",
        "2,3,4,5,6\r\n",
        "x, 1, 2, 3, 4\n",
        "1, 2, 3\n",
        "\n",
        "0, 1, 1, 1, 0\n",
        "-1, 1, 1, 1, 0\n",
    ]
    rows += [f"{2**33}, 1, 1, 1, 0\n", f"5, {2**63}, 1, 1, 0\n", "6, 1, 1, -1, 0\n", "7, 1, 1, 1, 0"]
    file.write_text(HEADER + "".join(rows), newline="")
    assert [*read_records(file)] == [(1, 2, 3, 4, 5), (2, 3, 4, 5, 6)]
    assert read_span(file) == ((1, 2, 3, 4, 5), (2, 3, 4, 5, 6))


def test_the_first_and_the_last_record_are_found_whatever_follows_them(tmp_path: Path) -> None:
    file = tmp_path / "total.csv"
    file.write_text(HEADER)
    assert read_span(file) is None
    file.write_text(HEADER + "".join(f"{number}, 1, 1, 1, 0\n" for number in range(1, 999)))
    assert read_span(file) == ((1, 1, 1, 1, 0), (998, 1, 1, 1, 0))
    with file.open("ab") as other:
        other.write(b"\x00" * 70_000)
    assert read_span(file) == ((1, 1, 1, 1, 0), (998, 1, 1, 1, 0))


def test_only_a_torn_row_of_ours_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "total.csv"
    row = "1, 2, 3, 4, 5\n"
    contents = {
        HEADER: HEADER,
        HEADER + row: HEADER + row,
        f"{HEADER}{row}2, 3": HEADER + row,
        f"{HEADER}{row}2, 3\0\0": HEADER + row,
        f"{HEADER}{row}" + "\0" * 9000: HEADER + row,
        HEADER[:9]: HEADER[:9],
        "Another, Header\n5, 6": "Another, Header\n5, 6",
    }
    for before, after in contents.items():
        file.write_text(before)
        cut_torn(file)
        assert file.read_text() == after


@pytest.mark.alone
def test_a_file_that_another_program_holds_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    csv = logs(tmp_path)
    write(csv, ledger())
    with locked(tmp_path / "total.csv"):
        began = time.monotonic()
        failed, reason = csv.append({str(tmp_path / "total.csv"): "1, 1, 1, 1, 0\n"})
        assert 0.3 < time.monotonic() - began < 2
        assert failed
        assert isinstance(reason, BlockingIOError)
    assert csv.append(failed, again=True) == ({}, None)


@pytest.mark.parametrize("what", ["replaced", "deleted"])
def test_a_file_that_is_replaced_or_deleted_before_it_can_be_locked_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    file = tmp_path / "total.csv"
    file.write_text(HEADER)
    (tmp_path / "backup.csv").hardlink_to(file)  # so that what was replaced lives on under another name
    flock = fcntl.flock

    waiting = [file]

    def late(number: int, how: int) -> None:
        if waiting and os.path.samestat(os.fstat(number), waiting[0].stat()):
            waiting.clear()
            if what == "replaced":
                (tmp_path / "new").write_text(f"{HEADER}1, 1, 1, 1, 0\n")
                (tmp_path / "new").replace(file)
            else:
                file.unlink()
        flock(number, how)

    monkeypatch.setattr("dalla_mqtt.archive.files.fcntl.flock", late)
    write(logs(tmp_path), ledger())
    before = f"{HEADER}1, 1, 1, 1, 0\n" if what == "replaced" else HEADER
    assert file.read_text() == f"{before}1477226416, 1620964, 5120, 1620964, 0\n"
    assert (tmp_path / "backup.csv").read_text() == HEADER


def test_a_file_that_fails_once_is_made_up_for_while_another_fails_for_ever(tmp_path: Path) -> None:
    (tmp_path / "stuck.csv").mkdir()
    hiccup = tmp_path / "hiccup.csv"
    csv, store = logs(tmp_path), Store(tmp_path / "state.db")
    for number in range(1, 11):
        row = f"{number}, 1, 1, 1, 0\n"
        store.save(ledger(), {str(tmp_path / name): row for name in ("stuck.csv", "hiccup.csv", "well.csv")})
        if number == 4:
            hiccup.rename(tmp_path / "away")
            hiccup.mkdir()
        reason = csv.pay(store)
        assert reason is not None
        assert reason.filename in (str(tmp_path / "stuck.csv"), str(hiccup))
        if number == 4:
            hiccup.rmdir()
            (tmp_path / "away").rename(hiccup)
    for file in (hiccup, tmp_path / "well.csv"):
        assert [record.time for record in read_records(file)] == [*range(1, 11)]
    (tmp_path / "stuck.csv").rmdir()
    assert csv.pay(store) is None
    assert [record.time for record in read_records(tmp_path / "stuck.csv")] == [*range(1, 11)]
    store.close()


def test_what_cannot_be_written_at_all_waits_as_a_whole(tmp_path: Path) -> None:
    stuck = tmp_path / "stuck.csv"
    stuck.mkdir()
    csv, store = logs(tmp_path), Store(tmp_path / "state.db")
    for number in range(1, 4):
        store.save(ledger(), {str(stuck): f"{number}, 1, 1, 1, 0\n"})
        reason = csv.pay(store)
        assert reason is not None
        assert reason.filename == str(stuck)
    stuck.rmdir()
    assert csv.pay(store) is None
    assert [record.time for record in read_records(stuck)] == [1, 2, 3]
    store.close()


def test_rows_that_are_owed_go_where_they_belong_wherever_the_daemon_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = CsvLogs(ArchiveConfig("devices", "./users", "./total.csv"), Tariff()).rows(ledger())
    assert {str(Path(path).relative_to(tmp_path)) for path in rows} >= {"total.csv"}
