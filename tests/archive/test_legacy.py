"""Folders as the versions of dalla-stats left them, and what each device used by them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dalla_mqtt.archive.legacy import (
    DeviceLogs,
    Kind,
    LastCounter,
    LegacyFile,
    LegacyRow,
    find_logs,
    read_totals,
)
from dalla_mqtt.usage.counters import Cause
from dalla_mqtt.usage.reading import Mac

PHONE = Mac("CB-BD-AB-90-2D-38")
LAPTOP = Mac("F8-B1-56-C1-22-11")
NOBODY = "00-00-00-00-00-00"
IP, IP2 = "192.168.1.100", "192.168.1.101"
T = 1477226416
NOW = T + 10**8
LINE_RATE = 125e6  # bytes a second
HEADER = "Time, Total Bytes, Delta, On-Peak, Off-Peak\n"
CACHE_HEADER = "MAC Address, IP Address, Time,Total Bytes, Delta, On-Peak, Off-Peak\n"  # one blank is missing there
PHONE_FILE = f"devices/{PHONE}_{IP}.csv"


class Folder:
    """A folder of logs, and what is read from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[LegacyRow] = []
        self.files: dict[str, LegacyFile] = {}
        self.counters: dict[str, LastCounter] = {}

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def log(self, name: str, *rows: tuple[int, int], header: str = HEADER) -> None:
        """Rows of time and counter, the time counted from T."""
        self.write(name, header + "".join(f"{T + time}, {total}, 0, {total}, 0\n" for time, total in rows))

    def cache(self, name: str, *rows: tuple[Mac, str, int, int]) -> None:
        text = "".join(f"{mac.colons}, {ip}, {T + time}, {total}, 0, 0, 0\n" for mac, ip, time, total in rows)
        self.write(name, CACHE_HEADER + text)

    def read(self) -> list[LegacyRow]:
        files = find_logs(self.path, NOW)
        logs = DeviceLogs(files, LINE_RATE)
        self.rows = list(logs)
        self.counters = logs.counters
        read_totals(files)
        self.files = {str(file.path.relative_to(self.path)): file for file in files}
        return self.rows

    def used(self, mac: Mac = PHONE) -> list[tuple[int, int, int]]:
        """Time after T, usage and delta of a device's rows."""
        return [(row.time - T, row.total, row.delta) for row in self.read() if row.mac == mac]

    def told(self, name: str) -> list[tuple[int, str]]:
        file = self.files[name]
        return [(problem.line, problem.why) for problem in file.problems + file.remarks]


# The layouts, oldest first. Dates and versions are those of the CHANGELOG.md of dalla-stats.


def test_the_first_versions_logs_are_read(tmp_path: Path) -> None:
    # Before 0.0.1 (2016-10-23): `Delta Bytes`; devices/, users/ and commune.csv beside the script.
    folder = Folder(tmp_path)
    header = "Time, Total Bytes, Delta Bytes, On-Peak, Off-Peak\n"
    rows = f"{T}, 1000, 0, 1000, 0\n{T + 1}, 1500, 500, 1500, 0\n"
    for name in (PHONE_FILE, "users/Unknown.csv", "commune.csv"):
        folder.write(name, header + rows)
    assert folder.used() == [(0, 1000, 0), (1, 1500, 500)]
    user, total = folder.files["users/Unknown.csv"], folder.files["commune.csv"]
    assert (user.kind, user.name, user.rows, user.first, user.last, user.total, user.billed) == (
        Kind.USER,
        "UNKNOWN",
        2,
        T,
        T + 1,
        1500,
        1500,
    )
    assert (total.kind, total.rows, total.total) == (Kind.TOTAL, 2, 1500)


def test_a_folder_flag_without_its_slash_still_shows_whose_the_file_is(tmp_path: Path) -> None:
    # 0.0.1 (2016-10-23): `-d devices` is put before the file name as it is.
    folder = Folder(tmp_path)
    folder.log(f"devices{PHONE}_{IP}.csv", (0, 1000), (60, 1500))
    assert folder.used() == [(0, 1000, 0), (60, 1500, 500)]


def test_the_row_of_a_vanished_device_that_is_written_again_and_again_is_one_row(tmp_path: Path) -> None:
    # 0.0.2 (2016-10-24): logs/devices.csv is the cache; what was merged in from it is logged with its old time.
    folder = Folder(tmp_path)
    folder.log("logs/" + PHONE_FILE, (0, 1000), (60, 1500), (60, 1500), (60, 1500), (240, 1700))
    folder.cache("logs/devices.csv", (PHONE, IP, 240, 1700))
    folder.write("logs/user-map.csv", "Name, MAC\nAlice, CB-BD-AB-90-2D-38\n")
    assert folder.used() == [(0, 1000, 0), (60, 1500, 500), (240, 1700, 200)]
    assert folder.files["logs/" + PHONE_FILE].repeated == 2
    assert folder.files["logs/devices.csv"].repeated == 1
    assert folder.files["logs/user-map.csv"].kind is Kind.MAP


def test_a_cache_beside_no_logs_is_where_the_counters_stood(tmp_path: Path) -> None:
    # 0.0.3 (2016-10-24): logs are off without -l, deviceSummary.csv is written all the same.
    folder = Folder(tmp_path)
    folder.cache("logs/deviceSummary.csv", (PHONE, IP, 60, 1500), (LAPTOP, IP2, 60, 700))
    folder.write("logs/overview.csv", "Name, Total, On-Peak, Off-Peak\nTOTAL, 1, 1, 0\n")  # 0.0.4 (2016-10-25)
    assert folder.used() == [(60, 1500, 0)]
    assert folder.counters == {IP: LastCounter(PHONE, T + 60, 1500), IP2: LastCounter(LAPTOP, T + 60, 700)}
    assert folder.files["logs/overview.csv"].kind is Kind.SUMMARY


def test_months_go_on_from_each_other(tmp_path: Path) -> None:
    # 0.1.0 (2016-10-29): a folder a month, its number not padded, each with its own cache.csv.
    folder = Folder(tmp_path)
    folder.log(f"logs/2016-9/{PHONE_FILE}", (0, 1000), (60, 1500))
    folder.cache("logs/2016-9/cache.csv", (PHONE, IP, 60, 1500))
    folder.log(f"logs/2016-10/{PHONE_FILE}", (120, 1800), (180, 2000))
    folder.cache("logs/2016-10/cache.csv", (PHONE, IP, 180, 2000))
    folder.log("logs/2016-10/users/Unkown.csv", (120, 1800), (180, 2000))
    folder.log("logs/2016-10/total.csv", (120, 1800), (180, 2000))
    assert folder.used() == [(0, 1000, 0), (60, 1500, 500), (120, 1800, 300), (180, 2000, 200)]
    assert all(not file.problems and not file.remarks for file in folder.files.values())
    assert folder.files["logs/2016-10/users/Unkown.csv"].name == "UNKNOWN"


def test_total_is_a_user_and_still_the_total(tmp_path: Path) -> None:
    # 0.2.0 (2016-10-31): users/TOTAL.csv, users/UNKNOWN.csv; read as of 0.2.3, the last layout.
    folder = Folder(tmp_path)
    for name in ("TOTAL", "UNKNOWN", "Alice", "total"):
        folder.log(f"logs/2017-2/users/{name}.csv", (0, 1000))
    folder.read()
    kinds = [(file.kind, file.name) for file in folder.files.values()]
    users = [(Kind.USER, "Alice"), (Kind.TOTAL, None), (Kind.USER, "UNKNOWN"), (Kind.USER, "total")]
    assert kinds == users


def test_the_two_columns_of_dalla_logger_are_a_devices_counter(tmp_path: Path) -> None:
    # dalla-logger 0.0.1 (dalla-logger/dalla-logger.py): no users, no total, no cache.
    folder = Folder(tmp_path)
    folder.write(f"{PHONE}_{IP}.csv", f"Time, Total Bytes\n{T}, 1000\n{T + 60}, 1500\n")
    assert folder.used() == [(0, 1000, 0), (60, 1500, 500)]
    assert folder.files[f"{PHONE}_{IP}.csv"].billed is None


# What a counter may do.


def test_what_the_first_rows_of_all_show_is_a_start_and_what_later_ones_show_is_used(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 1000), (60, 1500))
    folder.log(f"devices/{LAPTOP}_{IP2}.csv", (60, 700), (120, 900))
    rows = folder.read()
    assert [(row.mac, row.since - T, row.start, row.delta, row.cause) for row in rows] == [
        (PHONE, 0, 1000, 0, Cause.FIRST_SEEN),
        (PHONE, 0, 0, 500, Cause.NORMAL),
        (LAPTOP, 0, 0, 700, Cause.NEWCOMER),
        (LAPTOP, 60, 0, 200, Cause.NORMAL),
    ]


def test_a_newcomer_with_more_than_the_line_carries_is_a_start(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 1000))
    folder.log(f"devices/{LAPTOP}_{IP2}.csv", (60, 10**12))
    assert folder.used(LAPTOP) == [(60, 10**12, 0)]
    assert "more than the line carries" in folder.told(f"devices/{LAPTOP}_{IP2}.csv")[0][1]


def test_a_device_that_was_missing_for_a_while_is_not_counted_twice(tmp_path: Path) -> None:
    # dalla-stats booked 1600 here: it sets the total of what one answer leaves out to 0 (0.1.0 and newer).
    folder = Folder(tmp_path)
    folder.write(PHONE_FILE, f"{HEADER}{T}, 1000, 1000, 1000, 0\n{T + 120}, 1600, 1600, 2600, 0\n")
    assert folder.used() == [(0, 1000, 0), (120, 1600, 600)]
    assert folder.files[PHONE_FILE].billed == 2600


def test_a_counter_that_falls_is_counted_from_zero_and_remarked_upon(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 9000), (60, 500), (120, 700))
    assert folder.used() == [(0, 9000, 0), (60, 9500, 500), (120, 9700, 200)]
    assert folder.rows[1].cause is Cause.COUNTER_RESET
    assert folder.told(PHONE_FILE) == [
        (3, "fell from 9000 to 500: the router restarted, or its counter was reset"),
    ]


def test_what_may_have_been_a_wrap_is_not_counted_as_one_but_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 2**32 - 100), (60, 500))
    assert folder.used()[1] == (60, 2**32 + 400, 500)
    assert folder.told(PHONE_FILE)[0][1].endswith("at 4 GiB, 100 bytes more would be counted")


def test_zeros_are_a_faulty_answer_where_the_counter_goes_on(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 9000), (60, 0), (120, 9500), (180, 9600))
    assert folder.used() == [(0, 9000, 0), (60, 9000, 0), (120, 9500, 500), (180, 9600, 100)]
    assert folder.rows[2].since == T
    assert [line for line, _ in folder.told(PHONE_FILE)] == [4]


def test_zeros_are_a_reset_where_the_counter_begins_anew(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 9000), (60, 0), (120, 0), (180, 300))
    assert folder.used() == [(0, 9000, 0), (60, 9000, 0), (120, 9000, 0), (180, 9300, 300)]


def test_a_device_that_never_moved_anything_has_rows(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 0), (60, 0), (120, 10))
    assert folder.used() == [(0, 0, 0), (60, 0, 0), (120, 10, 10)]


def test_a_jump_that_the_line_cannot_do_is_left_out(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 1000), (60, 10**13), (120, 1600), (180, 1700))
    assert folder.used() == [(0, 1000, 0), (120, 1600, 600), (180, 1700, 100)]
    assert [line for line, _ in folder.told(PHONE_FILE)] == [3]
    assert folder.files[PHONE_FILE].rows == 3


# Whose the bytes are.


def test_an_address_that_another_device_gets_goes_on_from_its_counter(tmp_path: Path) -> None:
    # The router's row is the address's: dalla-stats booked 9100 to the laptop here, and 200 twice.
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 9000), (180, 9250))
    folder.log(f"devices/{LAPTOP}_{IP}.csv", (60, 9100), (120, 9200))
    assert folder.used(LAPTOP) == [(60, 100, 100), (120, 200, 100)]
    assert folder.used() == [(0, 9000, 0), (180, 9050, 50)]


def test_a_device_that_gets_another_address_keeps_its_usage(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 9000), (60, 9100))
    folder.log(f"devices/{PHONE}_{IP2}.csv", (120, 50), (180, 80))
    assert folder.used() == [(0, 9000, 0), (60, 9100, 100), (120, 9150, 50), (180, 9180, 30)]
    assert [row.ip for row in folder.rows] == [IP, IP, IP2, IP2]


def test_a_device_with_two_addresses_at_a_time_has_one_row_for_both(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 9000), (60, 9010))
    folder.log(f"devices/{PHONE}_{IP2}.csv", (0, 500), (60, 900))
    assert folder.used() == [(0, 9500, 0), (60, 9910, 410)]
    assert [(row.ip, row.start) for row in folder.rows] == [(IP, 9500), (IP2, 0)]


def test_an_address_that_begins_below_another_devices_counter_is_a_start(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 9000))
    folder.log(f"devices/{LAPTOP}_{IP}.csv", (60, 400), (120, 500))
    assert folder.used(LAPTOP) == [(60, 400, 0), (120, 500, 100)]
    assert [line for line, _ in folder.told(f"devices/{LAPTOP}_{IP}.csv")] == [2]


def test_two_logs_that_are_mixed_up_make_no_bytes(tmp_path: Path) -> None:
    # Two households, each with its own counter of the same address.
    folder = Folder(tmp_path)
    folder.log(f"here/{PHONE_FILE}", (0, 9000), (120, 9010), (240, 9020))
    folder.log(f"there/devices/{LAPTOP}_{IP}.csv", (60, 400), (180, 500), (300, 600))
    assert folder.used() == [(0, 9000, 0), (120, 9010, 10), (240, 9020, 10)]
    assert folder.used(LAPTOP) == [(60, 400, 0), (180, 500, 100), (300, 600, 100)]
    assert "another device left the counter" in folder.told(f"here/{PHONE_FILE}")[0][1]


def test_a_copy_of_a_log_counts_nothing_twice(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 1000), (60, 1500))
    folder.log(f"devices/{PHONE}_{IP} (1).csv", (0, 1000), (60, 1500), (120, 1600))
    assert folder.used() == [(0, 1000, 0), (60, 1500, 500), (120, 1600, 100)]
    assert sum(file.repeated for file in folder.files.values()) == 2


def test_two_files_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(f"a/{PHONE_FILE}", (0, 1000))
    folder.log(f"b/{PHONE_FILE}", (0, 1001))
    assert folder.used() == [(0, 1000, 0)]
    assert folder.told(f"b/{PHONE_FILE}") == [(2, "says 1001 where another file says 1000 of the same time")]


def test_bytes_of_an_address_without_mac_wait_for_one(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(f"devices/{NOBODY}_{IP}.csv", (0, 1000), (60, 1100))
    folder.log(PHONE_FILE, (120, 1150), (180, 1160))
    assert folder.used() == [(120, 1150, 150), (180, 1160, 10)]
    assert folder.rows[0].start == 1000


def test_bytes_of_an_address_that_never_shows_a_mac_are_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(f"devices/{NOBODY}_{IP}.csv", (0, 1000), (60, 1100))
    assert folder.used() == []
    assert folder.told(f"devices/{NOBODY}_{IP}.csv") == [
        (0, "1100 bytes are nobody's: the router never showed a MAC for them")
    ]


def test_a_file_without_an_address_is_a_counter_of_its_own(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log("devices/cb:bd:ab:90:2d:38.csv", (0, 1000), (60, 1100))
    folder.log(f"devices/{NOBODY}.csv", (0, 7))
    assert folder.used() == [(0, 1000, 0), (60, 1100, 100)]
    assert folder.rows[0].ip is None
    assert folder.counters == {}


def test_a_file_with_a_name_instead_of_a_mac_is_measured_and_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(f"devices/alices-phone_{IP}.csv", (0, 1000), (60, 1100))
    folder.log("devices/bobs-phone.csv", (0, 1000))
    assert folder.used() == []
    file = folder.files[f"devices/alices-phone_{IP}.csv"]
    assert (file.kind, file.name, file.ip, file.rows, file.total) == (Kind.DEVICE, "alices-phone", IP, 2, 1100)
    assert folder.told("devices/bobs-phone.csv") == [(0, "has no MAC in its name, so that its rows are nobody's")]


# The cache.


def test_a_cache_that_is_newer_than_the_log_is_one_more_row(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 1000), (60, 1500))
    folder.cache("cache.csv", (PHONE, IP, 120, 1600))
    assert folder.used() == [(0, 1000, 0), (60, 1500, 500), (120, 1600, 100)]
    assert folder.counters == {IP: LastCounter(PHONE, T + 120, 1600)}


def test_the_zero_of_an_absent_device_in_a_cache_is_no_counter(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.log(PHONE_FILE, (0, 1000), (60, 1500))
    folder.cache("cache.csv", (PHONE, IP, 90, 0))
    assert folder.used()[-1] == (60, 1500, 500)
    assert folder.counters == {IP: LastCounter(PHONE, T + 60, 1500)}
    assert folder.told("cache.csv")[0][1].startswith("has a total of 0")


# All of it.

moments = st.lists(
    st.fixed_dictionaries(
        {
            ip: st.tuples(st.sampled_from([PHONE, LAPTOP]), st.integers(0, 10**6), st.booleans())
            for ip in (IP, IP2, "192.168.1.102")
        }
    ),
    max_size=20,
)


@settings(max_examples=50)
@given(moments)
def test_each_device_used_what_moved_while_an_address_was_its_own(
    tmp_path_factory: pytest.TempPathFactory, moments: list[dict[str, tuple[Mac, int, bool]]]
) -> None:
    folder = Folder(tmp_path_factory.mktemp("logs"))
    counters: Counter[str] = Counter()
    unseen: Counter[str] = Counter()
    used: Counter[Mac] = Counter()
    for minute, moment in enumerate(moments):
        for ip, (mac, moved, listed) in moment.items():
            counters[ip] += moved
            unseen[ip] += moved
            if listed:
                used[mac] += unseen.pop(ip)
                name = folder.path / f"logs/2016-{9 + minute // 7}/devices/{mac}_{ip}.csv"
                text = name.read_text() if name.exists() else HEADER
                folder.write(str(name), f"{text}{T + 60 * minute}, {counters[ip]}, -1, -1, -1\n")
    rows = folder.read()
    assert {row.mac: row.total for row in rows} == {row.mac: used[row.mac] for row in rows}
    assert sum(row.start + row.delta for row in rows) == used.total()
    assert not any(file.problems or file.remarks for file in folder.files.values())
