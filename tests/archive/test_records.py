"""What is on record, as those who show it ask for it: the sums of the files, whatever happened to them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from statistics import median
from threading import Thread

import pytest

from dalla_mqtt.archive.beside import History
from dalla_mqtt.archive.csv_logs import HEADER, Record, insert
from dalla_mqtt.archive.records import StoredRecords
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.hours import HOUR_S, Hour, hour_of
from dalla_mqtt.usage.ledger import TOTAL, Key
from dalla_mqtt.usage.quota import Used
from dalla_mqtt.usage.tariff import Tariff, Window
from tests.archive.house import ArchivedHouse, a_month
from tests.usage.house import IP, IP3, NIGHTS, PHONE, row, utc

ALICE, BOB, ITS = Key("user", "Alice"), Key("user", "Bob"), Key("device", PHONE.dashed)
EVER = 2.0**40


@pytest.fixture
def house(tmp_path: Path) -> Iterator[ArchivedHouse]:
    house = ArchivedHouse(tmp_path)
    yield house
    house.close()


def records(house: ArchivedHouse) -> StoredRecords:
    return StoredRecords(house.folder / "state.db", house.config, house.rules.tariff)


def moved(hours: list[Hour]) -> dict[int, int]:
    return {hour.start: hour.on_peak + hour.off_peak for hour in hours}


def true(found: list[Record]) -> dict[int, int]:
    sums: dict[int, int] = defaultdict(int)
    for record in found:
        sums[hour_of(record.time)] += record.delta
    return dict(sums)


def summed(hours: list[Hour]) -> tuple[int, int]:
    return sum(hour.on_peak for hour in hours), sum(hour.off_peak for hour in hours)


def test_hours_are_what_the_records_say_and_add_up_to_the_days(house: ArchivedHouse) -> None:
    house.lives(40, every_h=0.75)  # over the end of a month, and of windows in the middle of a delta
    of_all = records(house)
    for key, found in house.records().items():
        hours = of_all.hours(key, 0, EVER)
        assert moved(hours) == true(found), key
        days = of_all.days(key, date.min, date.max).values()
        assert summed(hours) == (sum(day.on_peak for day in days), sum(day.off_peak for day in days)), key
        assert [hour.start for hour in hours] == sorted({hour.start for hour in hours})
    with closing(History(house.folder / "state.db")) as history:
        assert of_all.moved(date.min, date.max) == history.moved(date.min, date.max)


def test_days_are_those_of_the_store(house: ArchivedHouse) -> None:
    house.lives(3)
    first, last = date(2026, 9, 2), date(2026, 9, 3)
    found = records(house).days(TOTAL, first, last)
    assert list(found) == [first, last]
    assert found == house.store.days(TOTAL, first, last)
    assert found[first] == Used(*house.moved(utc(2, 0, month=9)))


def test_only_the_hours_that_are_asked_for_come(house: ArchivedHouse) -> None:
    house.lives(3, every_h=1)
    of_all = records(house)
    every = of_all.hours(TOTAL, 0, EVER)
    some = of_all.hours(TOTAL, every[20].start, every[30].start)
    assert some == every[20:30]
    assert of_all.hours(TOTAL, every[20].start - 1, every[30].start + 1) == every[20:31]
    assert records(house).hours(TOTAL, every[20].start, every[30].start) == some, "whatever was asked before"
    assert of_all.hours(TOTAL, EVER, EVER + 1) == []


def test_what_is_appended_is_added_and_the_rest_is_not_read_again(house: ArchivedHouse) -> None:
    house.lives(2, every_h=1)
    of_all = records(house)
    of_all.hours(TOTAL, 0, EVER)
    for _ in range(3):
        house.lives(0.25, every_h=0.5)
        assert moved(of_all.hours(TOTAL, 0, EVER)) == true(house.records()[TOTAL])
    path = house.file()
    tally = of_all._tallies[path]  # what it remembers shows nowhere else
    of_all.hours(TOTAL, 0, EVER)
    assert of_all._tallies[path] is tally
    assert moved(of_all.hours(TOTAL, -10.0, EVER)) == true(house.records()[TOTAL]), "more than what was read"


def test_a_file_that_was_replaced_or_made_shorter_is_read_anew(house: ArchivedHouse) -> None:
    house.lives(2, every_h=1)
    of_all, path = records(house), house.file()
    of_all.hours(TOTAL, 0, EVER)
    header, *lines = path.read_text("ascii").splitlines(keepends=True)
    path.write_text(header + "".join(lines[10:]), "ascii")  # the same inode
    assert moved(of_all.hours(TOTAL, 0, EVER)) == true(house.records()[TOTAL])
    insert(str(path), "".join(lines[:10]))  # another one
    assert moved(of_all.hours(TOTAL, 0, EVER)) == true(house.records()[TOTAL])
    path.write_text(HEADER, "ascii")
    assert of_all.hours(TOTAL, 0, EVER) == []
    path.unlink()
    assert of_all.hours(TOTAL, 0, EVER) == []


def test_a_device_that_moved_to_another_address_and_back_loses_no_byte(house: ArchivedHouse) -> None:
    house.lives(1, (IP, PHONE), every_h=0.5)
    house.lives(1, (IP3, PHONE), every_h=0.5)
    house.counters.clear()
    house.lives(1, (IP, PHONE), every_h=0.5)
    assert len([*house.layout.files_of(ITS)]) == 2
    hours = records(house).hours(ITS, 0, EVER)
    assert moved(hours) == true(house.records()[ITS])
    on_peak, off_peak = summed(hours)
    days = house.store.days(ITS, date.min, date.max).values()
    assert on_peak + off_peak == sum(day.on_peak + day.off_peak for day in days)


def test_where_idle_rows_are_left_out_hours_are_left_out_too(tmp_path: Path) -> None:
    house = ArchivedHouse(tmp_path, skip_idle=True)
    for number, counter in enumerate((1000, 2000, 2000, 2000, 2000, 2000, 7000)):
        house.reads(row(counter), after=60 if number == 0 else 7200)
    found = moved(records(house).hours(ITS, 0, EVER))
    house.close()
    assert sum(found.values()) == 6000
    assert len(found) < 7


@pytest.mark.parametrize("months", [True, False])
def test_only_the_end_of_a_long_file_is_read(tmp_path: Path, months: bool) -> None:  # noqa: FBT001
    house = ArchivedHouse(tmp_path, months=months)
    house.lives(0.1, every_h=0.1)
    path = house.file()
    at = int(house.at) - 60 * 9000
    rows = [f"{at + 60 * number}, {number * 10}, 10, {number * 10}, 0\n" for number in range(8999)]
    path.write_text(HEADER + "".join(rows), "ascii")
    of_all = records(house)
    hours = of_all.hours(TOTAL, house.at - 6 * HOUR_S, EVER)
    assert {hour.on_peak + hour.off_peak for hour in hours[:-1]} == {600}
    assert len(of_all._tallies[path]._hours) < 40, "a day more than was asked for"
    assert summed(of_all.hours(TOTAL, 0, EVER)) == (8998 * 10 + 10, 0)
    house.close()


def test_what_is_no_row_is_passed_over_and_a_torn_one_waits(house: ArchivedHouse) -> None:
    house.lives(1, every_h=1)
    path, at = house.file(), int(house.at)
    of_all = records(house)
    before = summed(of_all.hours(TOTAL, 0, EVER))
    junk = b"rubbish\n1,2\n\x00\xff\n" + f"{10**9}, {2**70}, 1, 1, 1\n".encode()
    with path.open("ab") as file:
        file.write(junk + b"x" * 200_000 + f"\n{at + 60}, 9, 7, 7, 0\n{at + 120}, 9, 5, 1".encode())
    assert sum(summed(of_all.hours(TOTAL, 0, EVER))) == sum(before) + 7
    with path.open("ab") as file:
        file.write(b"2, 0\n")
    assert sum(summed(of_all.hours(TOTAL, 0, EVER))) == sum(before) + 12


def test_rows_of_another_period_are_divided_by_the_tariff(tmp_path: Path) -> None:
    tariff = Tariff(off_peak=(Window.parse("00:00-06:00"),))
    config = ArchiveConfig(f"{tmp_path}/devices", f"{tmp_path}/users", f"{tmp_path}/total.csv")
    eve = int(utc(31, 23, month=10))
    rows = [(eve, 100, 0, 100, 0), (eve + 2 * HOUR_S, 300, 200, 0, 100)]  # an hour each, before and after midnight
    (tmp_path / "total.csv").write_text(HEADER + "".join(f"{', '.join(map(str, one))}\n" for one in rows), "ascii")
    found = StoredRecords(tmp_path / "state.db", config, tariff).hours(TOTAL, 0, EVER)
    assert found == [Hour(eve - HOUR_S, 0, 0), Hour(eve + HOUR_S, 100, 100)]


def test_a_household_without_csv_files_has_days_and_no_hours(house: ArchivedHouse) -> None:
    house.lives(1)
    without = StoredRecords(house.folder / "state.db", None, house.rules.tariff)
    assert without.hours(TOTAL, 0, EVER) == []
    assert without.days(TOTAL, date.min, date.max)


def test_what_cannot_be_read_is_told(house: ArchivedHouse, tmp_path: Path) -> None:
    house.lives(1)
    of_all = records(house)
    path = house.file()
    path.write_text(
        f"{10**9}, 1, {2**62}, 1, 1\n{10**9 + 1}, 1, {2**62}, 1, 1\n{10**9 + 2}, 1, {2**62}, 1, 1\n", "ascii"
    )
    with pytest.raises(ArchiveError, match="the CSV files of total cannot be read"):
        of_all.hours(TOTAL, 0, EVER)
    with pytest.raises(ArchiveError, match="the state file cannot be used"):
        StoredRecords(tmp_path / "nowhere.db", None, NIGHTS).days(TOTAL, date.min, date.max)


def test_many_may_ask_at_once_while_a_daemon_goes_on(house: ArchivedHouse) -> None:
    house.lives(2, every_h=1)
    of_all = records(house)
    wrong: list[object] = []

    def ask() -> None:
        try:
            for _ in range(20):
                known = sum(summed(of_all.hours(TOTAL, 0, EVER)))
                if known > sum(summed(of_all.hours(TOTAL, 0, EVER))):
                    wrong.append(known)
                of_all.days(ALICE, date.min, date.max)
        except Exception as error:  # noqa: BLE001  # told in the main thread
            wrong.append(error)

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    house.lives(2, every_h=1)
    for thread in threads:
        thread.join()
    assert wrong == []
    assert moved(of_all.hours(TOTAL, 0, EVER)) == true(house.records()[TOTAL])


def test_no_more_files_are_remembered_than_a_household_looks_at(tmp_path: Path) -> None:
    config = ArchiveConfig(f"{tmp_path}/devices", f"{tmp_path}/users", f"{tmp_path}/total.csv")
    (tmp_path / "users").mkdir()
    for number in range(70):
        (tmp_path / "users" / f"User {number}.csv").write_text(f"{HEADER}{10**9}, 1, 1, 1, 0\n", "ascii")
    of_all = StoredRecords(tmp_path / "state.db", config, NIGHTS)
    for number in range(70):
        assert len(of_all.hours(Key("user", f"User {number}"), 0, EVER)) == 1
    assert len(of_all._tallies) == 64


# what it costs


def seconds(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(5):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return median(spent)


@pytest.mark.alone
def test_a_month_of_minutes_costs_little_more_than_to_split_its_rows_and_next_to_nothing_again(tmp_path: Path) -> None:
    config = ArchiveConfig(f"{tmp_path}/devices", f"{tmp_path}/users", f"{tmp_path}/total.csv")
    now = int(time.time())
    a_month(tmp_path / "total.csv", now)

    def split() -> int:
        with (tmp_path / "total.csv").open("rb") as file:
            return sum(len([int(cell) for cell in line.split(b",")]) for line in file if line[:1].isdigit())

    def fresh(last_h: int) -> list[Hour]:
        return StoredRecords(tmp_path / "state.db", config, NIGHTS).hours(TOTAL, now - last_h * HOUR_S, EVER)

    assert split() == 31 * 1440 * 5
    assert len(fresh(744)) >= 744
    known = StoredRecords(tmp_path / "state.db", config, NIGHTS)
    known.hours(TOTAL, now - 744 * HOUR_S, EVER)
    plain, whole, two_days = seconds(split), seconds(lambda: fresh(744)), seconds(lambda: fresh(48))
    again = seconds(lambda: known.hours(TOTAL, now - 744 * HOUR_S, EVER))
    print(*(f"{name} {1000 * spent:.1f} ms" for name, spent in (("split", plain), ("month", whole), ("again", again))))
    assert whole < 4 * plain
    assert two_days < plain / 2
    assert again < plain / 4
