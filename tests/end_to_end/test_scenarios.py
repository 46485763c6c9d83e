"""What made the script of 2016 lose bytes or count them twice: every such day in a household ends exact."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
import requests

from dalla_mqtt.archive.store import Store
from dalla_mqtt.router import open_router
from dalla_mqtt.router.simulator import Fault
from dalla_mqtt.usage.ledger import Ledger
from tests.end_to_end.house import Disk, House, rows, rows_of
from tests.processes import PATIENCE_S, Dalla

NEW_YEARS_EVE = datetime(2026, 12, 31, 23, 30, 30, tzinfo=UTC)
CRASHED_THE_SCRIPT: list[Fault] = ["malformed", "bad_number", "blank_line"]
DID_NOT: list[Fault] = ["truncate", "cut", "html", "empty", "busy", "error", "silent", "hang_up"]


# What the router answers


def test_without_any_fault_all_that_moves_is_counted(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        house.start()
        house.poll(30)
        house.settle()
        assert house.missed_by_all() == 0


def test_devices_that_come_while_it_counts_are_counted_from_their_first_byte(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        house.start()
        house.poll(before=lambda _: house.simulator.clear())
        before = house.missed_by_all()
        house.poll(30)
        house.settle()
        assert house.missed_by_all() == before
        assert all(true.baseline == 0 for true in house.simulator.truth().values())


@pytest.mark.parametrize("interval_s", [1, 60])
def test_a_router_that_reboots_time_and_again_costs_only_what_it_never_showed(tmp_path: Path, interval_s: int) -> None:
    with House(tmp_path, interval_s=interval_s) as house:
        house.start()
        for _ in range(8):
            house.poll(6)
            house.now += house.interval_s * house.random.random()
            house.simulator.reboot()
        house.settle()
        assert house.missed_by_all() > 0


@pytest.mark.parametrize(("interval_s", "most"), [(1, 120_000_000), (60, 4_000_000_000)], ids=["often", "seldom"])
def test_counters_that_wrap_at_4_gib_go_on(tmp_path: Path, interval_s: int, most: int) -> None:
    with House(tmp_path, interval_s=interval_s, quiet=True) as house:
        house.start()
        house.poll(100 if interval_s == 1 else 20, before=lambda _: house.move(most))
        house.settle()
        assert house.missed_by_all() == 0
        assert min(true.moved for true in house.simulator.truth().values()) > 2**32


@pytest.mark.parametrize(
    ("kinds", "share"),
    [(DID_NOT, 0.2), (CRASHED_THE_SCRIPT, 0.2), (list(get_args(Fault)), 0.05)],
    ids=["without", "with", "all"],
)
def test_replies_that_are_spoilt_with_or_without_what_crashed_the_script_cost_nothing(
    tmp_path: Path, kinds: list[Fault], share: float
) -> None:
    with House(tmp_path, interval_s=1, timeout_s=0.2) as house:
        faults = 0

        def spoil(number: int) -> None:
            nonlocal faults
            if number and house.random.random() < share:
                house.simulator.fault(kinds[faults % len(kinds)])
                faults += 1

        house.start()
        house.poll(100, before=spoil)
        house.settle()
        assert faults > 3
        assert house.missed_by_all() == 0


@pytest.mark.parametrize(
    ("kind", "polls", "times", "interval_s"),
    [
        pytest.param("drop_row", 100, 1, 1, id="a_device_missing_from_1_percent"),
        pytest.param("drop_row", 100, 5, 60, id="a_device_missing_from_5_percent"),
        pytest.param("drop_third", 75, 1, 60, id="a_third_of_the_list_missing"),
        pytest.param("zeros", 58, 2, 1, id="all_zeros_seen_often"),
        pytest.param("zeros", 58, 2, 60, id="all_zeros_seen_seldom"),
        pytest.param("double_row", 40, 2, 60, id="a_row_twice"),
        pytest.param("double_line", 40, 2, 60, id="a_line_twice"),
    ],
)
def test_replies_that_look_well_and_are_not_whole_cost_nothing(
    tmp_path: Path, kind: Fault, polls: int, times: int, interval_s: int
) -> None:
    with House(tmp_path, interval_s=interval_s) as house:
        house.start()
        for _ in range(times):
            house.poll(polls // times // 2)
            house.simulator.fault(kind)
            house.poll()
            if kind != "zeros":  # which say nothing; the others are used as far as they go
                assert house.ledger.total.usage == house.shown_in_all()
            house.poll(polls // times // 2)
        house.settle()
        assert house.missed_by_all() == 0


def test_devices_that_get_other_addresses_keep_every_byte_in_one_file_or_another(tmp_path: Path) -> None:
    with House(tmp_path, interval_s=5) as house:
        addresses = [f"192.168.1.{number}" for number in range(100, 130)]
        taken = dict(zip(house.macs, addresses, strict=False))

        def churn(number: int) -> None:
            if number and number % 10 == 0:
                mac = house.random.choice(house.macs)
                taken[mac] = house.random.choice([ip for ip in addresses if ip not in taken.values()])
                house.simulator.move(taken[mac], mac)

        house.start()
        house.poll(200, before=churn)
        house.settle()
        assert len({file.name for file in tmp_path.glob("logs/*/devices/*")}) > len(house.macs) + 5


def test_another_administrator_for_8_in_every_20_minutes_costs_nothing(tmp_path: Path) -> None:
    with House(tmp_path, interval_s=60) as house:

        def visit(number: int) -> None:
            if number % 20 == 5:
                assert owner_asks(house, "1", "SYS_MODE") == 200
            elif number % 20 == 13:
                assert owner_asks(house, "8", "/cgi/logout") == 200

        house.start()
        house.poll(58, before=visit)
        assert house.simulator.state()["refused"] == 3 * 4, "four polls in eight minutes, and ever more rarely in more"
        house.settle()
        assert house.missed_by_all() == 0


def owner_asks(house: House, query: str, section: str) -> int:
    headers = {
        "Cookie": "Authorization=Basic YWRtaW46YWRtaW4=",
        "Referer": "http://tplinkwifi.net/",
        "X-Simulated-Client": "the owner's laptop",
        "Content-Type": "text/plain",
    }
    body = f"[{section}#0,0,0,0,0,0#0,0,0,0,0,0]0,0\r\n"
    return requests.post(f"{house.simulator.url}/cgi?{query}", body, headers=headers, timeout=PATIENCE_S).status_code


# Killed


class Killed:
    """The real program, and the moments at which it is killed."""

    def __init__(self, house: House) -> None:
        self.house = house

    def at(self, moment: str, dalla: Dalla) -> None:
        """Kill -9 once a reply has gone out, the state file is being written, rows are, or a poll is over."""
        polls, replies, files = dalla.polls(), self._replies(), self._files(moment)
        for _ in spin(lambda: self._replies() > replies, dalla):
            files = self._files(moment)
        if moment == "line":
            for _ in spin(lambda: dalla.polls() > polls, dalla):
                pass
        elif moment != "reply":
            for _ in spin(lambda: self._files(moment) != files, dalla):
                pass
        dalla.kill()

    def _replies(self) -> int:
        replies = self.house.simulator.state()["replies"]
        assert isinstance(replies, int)
        return replies

    def _files(self, moment: str) -> list[tuple[str, int, int]]:
        pattern = "*.db-wal" if moment == "state" else "logs/*/devices/*"
        found = [(path.name, path.stat()) for path in self.house.folder.glob(pattern)]
        return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]


def spin(done: Callable[[], bool], dalla: Dalla) -> Iterator[None]:
    """Look without a pause: what is waited for takes less than a millisecond."""
    deadline = datetime.now(UTC) + timedelta(seconds=PATIENCE_S)
    while not done():
        assert datetime.now(UTC) < deadline, dalla.output
        yield


def test_after_8_kills_the_figures_go_on_where_they_were(tmp_path: Path) -> None:
    with House(tmp_path, interval_s=1) as house:
        for moment in ("line", "reply", "state", "rows") * 2:
            house.pass_time(10)
            with house.run() as dalla:
                Killed(house).at(moment, dalla)
        house.settle_for_real()
        assert house.missed_by_all() == 0


def test_8_kills_and_7_reboots_cost_nothing_where_a_record_was_stored_before_the_reboot(tmp_path: Path) -> None:
    with House(tmp_path, interval_s=1, quiet=True) as house:
        steps = (2**power for power in range(13, 0, -1))  # after a reboot the uptime never gets to what it was before

        def time_goes_by() -> None:
            step = next(steps)
            house.pass_time(step)
            house.move(step * 100_000)

        reboots = 0
        for number, moment in enumerate(("rows", "reply", "line", "state") * 2):
            time_goes_by()
            with house.run() as dalla:
                if moment in ("reply", "state"):  # kills that may come before the record is stored: no reboot is next
                    dalla.polls_again(1)
                    house.simulator.reboot()
                    reboots += 1
                    time_goes_by()
                Killed(house).at(moment, dalla)
            if moment in ("rows", "line") and number:
                house.simulator.reboot()
                reboots += 1
        assert reboots == 7
        house.settle_for_real()
        assert house.missed_by_all() == 0


def test_a_kill_and_a_reboot_before_the_record_is_stored_cost_that_record_alone(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        house.start()
        house.poll(5)
        house.crash()
        booked = {mac: true.shown for mac, true in house.simulator.truth().items()}
        house.now += 60
        open_router(house.config.router).poll()  # the last that a daemon heard before it was killed
        lost = {mac: true.shown - booked[mac] for mac, true in house.simulator.truth().items()}
        house.simulator.reboot()
        house.start()
        house.poll(5)
        house.simulator.freeze()
        house.poll(5)
        assert sum(lost.values()) > 100_000
        for mac, true in house.simulator.truth().items():
            assert house.ledger.devices[mac].series.usage == true.shown - lost[mac]


def test_a_kill_between_the_state_file_and_the_last_csv_row_leaves_each_row_there_once(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        house.start()
        house.poll(3)
        before = house.disk()
        house.poll()
        after = house.disk()
        files = [path for path in after if path.suffix == ".csv"]
        for number, path in enumerate(files):
            row = after[path].removeprefix(before[path])
            for cut in {0, 1, len(row) // 2, len(row) - 1}:
                torn = {path: before[path] + row[:cut]}
                house.crash(after | torn | {other: before[other] for other in files[number + 1 :]})
                house.start()
                assert {file: file.read_bytes() for file in files} == {file: after[file] for file in files}
        house.settle()


@pytest.mark.parametrize("begun_anew", [False, True], ids=["its_log_goes_on", "its_log_begins_anew"])
def test_a_state_file_torn_anywhere_is_what_it_was_before_or_after(tmp_path: Path, *, begun_anew: bool) -> None:
    with House(tmp_path / "house") as house:
        house.start()
        house.poll(3)
        if begun_anew:  # as it does by itself every now and then
            sqlite3.connect(house.state).execute("PRAGMA wal_checkpoint").connection.close()
        before = house.disk()
        house.poll()
        after = house.disk()
        log = Path(f"{house.state}-wal")
        assert before[house.state] == after[house.state]
        assert after[log].startswith(before[log]) != begun_anew
        ledgers = [loaded(tmp_path / "looked-at", disk, house) for disk in (before, after)]
        found = []
        for torn in cuts(before[log], after[log], every=331):
            ledger = loaded(tmp_path / "looked-at", after | {log: torn}, house)
            assert ledger in ledgers
            found.append(ledgers.index(ledger))
        assert found[0] == 0
        assert found[-1] == 1
        for torn in cuts(before[log], after[log], every=9001):
            house.crash(before | {log: torn})
            house.start()
            house.poll()
        house.settle()


def cuts(before: bytes, after: bytes, every: int) -> Iterator[bytes]:
    """What may be on the disk while `after` is written over `before`, the rest as it was or of zeros."""
    first = next(
        (place for place, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), len(before)
    )
    last = max(place for place in range(len(after)) if place >= len(before) or before[place] != after[place]) + 1
    for cut in (*range(first, last, every), last):
        yield after[:cut] + before[cut:]
        yield after[:cut] + bytes(len(after) - cut)


def loaded(folder: Path, disk: Disk, house: House) -> Ledger:
    """What a daemon that starts from `disk` knows."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in (house.state, Path(f"{house.state}-wal")):
        (folder / path.name).write_bytes(disk[path])
    store = Store(folder / house.state.name)
    ledger = store.load()
    store.close()
    return ledger


# The calendar and the clock


def test_a_new_day_begins_at_nothing_and_usage_goes_on(tmp_path: Path) -> None:
    with House(tmp_path, at=datetime(2026, 11, 24, 23, 25, tzinfo=UTC)) as house:
        house.start()
        house.poll(30)
        assert house.wall == datetime(2026, 11, 25, tzinfo=UTC)
        at_midnight = house.simulator.truth()
        house.poll(30)
        for mac, true in house.simulator.truth().items():
            assert house.ledger.devices[mac].series.today == true.shown - at_midnight[mac].shown
        house.settle()
        assert house.missed_by_all() == 0


def test_at_the_end_of_a_month_every_delta_is_in_one_folder_and_none_is_lost(tmp_path: Path) -> None:
    with House(tmp_path, at=NEW_YEARS_EVE) as house:
        house.start()
        house.poll(60)
        house.settle()
        assert house.missed_by_all() == 0
        assert months(tmp_path) == {"2026-12", "2027-01"}


def test_a_restart_in_another_month_goes_on_from_the_last(tmp_path: Path) -> None:
    with House(tmp_path, at=NEW_YEARS_EVE) as house:
        house.start()
        house.poll(20)
        house.end()
        house.now += 1200
        house.start()
        house.poll(20)
        house.settle()
        assert house.missed_by_all() == 0
        assert months(tmp_path) == {"2026-12", "2027-01"}


def months(folder: Path) -> set[str]:
    """The folders, in each of which there are rows of that month alone."""
    for month in folder.glob("logs/*"):
        times = [at for file in month.rglob("*.csv") for at, _, _ in rows_of(file)]
        assert {datetime.fromtimestamp(at, UTC).strftime("%Y-%m") for at in times} == {month.name}
    return {month.name for month in folder.glob("logs/*")}


@pytest.mark.parametrize("restarted", [False, True], ids=["while_it_runs", "while_it_is_stopped"])
@pytest.mark.parametrize("by", [timedelta(seconds=90), timedelta(hours=3), timedelta(days=40), timedelta(days=20_000)])
def test_a_clock_set_back_and_right_again_costs_nothing(tmp_path: Path, by: timedelta, *, restarted: bool) -> None:
    with House(tmp_path) as house:
        house.start()
        house.poll(5)
        for change in (-by, by):
            house.ahead += change.total_seconds()
            if restarted:
                house.end()
                house.start()
            house.poll(5)
            assert house.ledger.total.usage == house.shown_in_all()
        house.settle()
        assert house.missed_by_all() == 0


def test_several_polls_in_the_same_second_are_records_of_their_own(tmp_path: Path) -> None:
    with House(tmp_path, interval_s=1) as house:
        house.start()
        house.poll(5)
        house.interval_s = 0
        for _ in range(3):
            house.poll(5, before=lambda _: house.move(1_000_000))
            house.crash()
            house.start()
        house.settle()
        assert house.missed_by_all() == 0
        assert max(Counter(at for at, _, delta in rows(tmp_path, "total.csv") if delta).values()) > 10
