"""Logs of dalla-stats brought into the archive, the days and the ledger of a household."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from dalla_mqtt.archive.csv_logs import HEADER, CsvLogs, insert, read_records
from dalla_mqtt.archive.history import Import, bring_in, check_folder
from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import ArchiveConfig, LocalConfig
from dalla_mqtt.errors import ArchiveError, ConfigError
from dalla_mqtt.usage.ledger import TOTAL, Key, Ledger, Rules, account
from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.quota import Quotas
from dalla_mqtt.usage.reading import Host, Mac, Reading, RouterInfo, Row
from dalla_mqtt.usage.tariff import Tariff, Window

PHONE, LAPTOP = Mac("CB-BD-AB-90-2D-38"), Mac("F8-B1-56-C1-22-11")
T = 1_477_900_860  # 2016-10-31 08:01 UTC
DAY = 86_400
NOW = T + 10**8
ALWAYS = (date.min, date.max)


class Home:
    """A household of dalla-stats that goes over to dalla-mqtt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.old = folder / "old"
        where = str(folder / "logs" / "%Y-%m")
        archive = ArchiveConfig(f"{where}/devices", f"{where}/users", f"{where}/total.csv")
        tariff = Tariff(ZoneInfo("UTC"), (Window.parse("00:00-06:00"),))
        people = People(("Alice",), {PHONE: "Alice"})
        self.config = LocalConfig("home", archive, folder / "state.db", people, tariff, Quotas(), 125e6)
        self.told: list[tuple[int, int]] = []

    def log(self, mac: Mac, *rows: tuple[int, int], ip: str = "192.168.1.100", month: str = "2016-10") -> None:
        """Rows of dalla-stats: seconds after T, and the router's counter."""
        path = self.old / month / "devices" / f"{mac}_{ip}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER + "".join(f"{T + time}, {counter}, 0, 0, 0\n" for time, counter in rows))

    def bring_in(self, folder: Path | None = None) -> Import:
        check_folder(folder or self.old, self.config)
        store = Store(self.config.state)
        try:
            return bring_in(folder or self.old, self.config, store, NOW, lambda *how_far: self.told.append(how_far))
        finally:
            store.close()

    def reads(self, at: int, counter: int, *, uptime_s: int = 10**9, name: str | None = None) -> None:
        """Count here, `at` seconds after T."""
        store = Store(self.config.state)
        rules = Rules(self.config.people, self.config.tariff, 60, 125e6, moved=store.moved)
        row = Row("192.168.1.100", PHONE, counter // 500, counter)
        before = store.load()
        elapsed_s = T + at - before.at if before.at is not None else 0
        reading = Reading((row,), (Host(row.ip, PHONE, name),), RouterInfo(uptime_s=uptime_s))
        ledger, _ = account(before, reading, rules, at=T + at, elapsed_s=elapsed_s)
        assert self.config.archive is not None
        logs = CsvLogs(self.config.archive, self.config.tariff)
        store.save(ledger, logs.rows(ledger))
        logs.pay(store)
        store.close()

    @property
    def ledger(self) -> Ledger:
        store = Store(self.config.state)
        store.close()
        ledger = store.load()
        for figure in ("usage", "on_peak", "off_peak", "today"):
            sums = {sum(getattr(device.series, figure) for device in ledger.devices.values())}
            sums |= {sum(getattr(series, figure) for series in ledger.users.values()), getattr(ledger.total, figure)}
            assert len(sums) == 1, figure
        return ledger

    def usage(self, mac: Mac = PHONE) -> int:
        return self.ledger.devices[mac].series.usage

    def moved(self, first: date = date.min, last: date = date.max) -> dict[str, tuple[int, int]]:
        store = Store(self.config.state)
        moved = store.moved(first, last)
        store.close()
        for kind in ("device", "user"):
            sums = [share for key, share in moved.items() if key.kind == kind]
            assert moved.get(TOTAL, (0, 0)) == (sum(on for on, _ in sums), sum(off for _, off in sums))
        return {key.name: share for key, share in moved.items()}

    def rows(self, name: str, month: str = "2016-10") -> list[tuple[int, ...]]:
        """The rows of one of our files, with the time counted from T."""
        path = self.folder / "logs" / month / name
        assert path.read_text().startswith(HEADER)
        return [(record.time - T, *record[1:]) for record in read_records(path)]

    def everything(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted((self.folder / "logs").rglob("*.csv"))}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.log(PHONE, (0, 1_000), (60, 1_400), (120, 2_000))
    home.log(LAPTOP, (0, 500), (60, 500), (120, 700), ip="192.168.1.101")
    return home


def twin(home: Home) -> Home:
    """Another household, into which the same logs are brought without trouble."""
    whole = Home(home.folder / "whole")
    whole.old = home.old
    whole.bring_in()
    return whole


DEVICE = f"devices/{PHONE}_192.168.1.100.csv"


def test_logs_of_dalla_stats_become_rows_of_devices_users_and_the_total(home: Home) -> None:
    came = home.bring_in()
    assert (came.rows, came.there, home.told[-1]) == (6, 0, (6, T + 120))
    assert home.rows(DEVICE) == [(0, 1_000, 0, 0, 0), (60, 1_400, 400, 400, 0), (120, 2_000, 600, 1_000, 0)]
    assert home.rows("users/Alice.csv") == home.rows(DEVICE)
    assert home.rows("users/UNKNOWN.csv") == [(0, 500, 0, 0, 0), (60, 500, 0, 0, 0), (120, 700, 200, 200, 0)]
    assert home.rows("total.csv") == [(0, 1_500, 0, 0, 0), (60, 1_900, 400, 400, 0), (120, 2_700, 800, 1_200, 0)]
    assert home.moved() == {
        PHONE.dashed: (1_000, 0),
        LAPTOP.dashed: (200, 0),
        "Alice": (1_000, 0),
        UNKNOWN: (200, 0),
        "": (1_200, 0),
    }
    assert (home.usage(), home.usage(LAPTOP), home.ledger.total.usage) == (2_000, 700, 2_700)
    assert home.ledger.devices[PHONE].first_seen == T


def test_the_ledger_goes_on_from_what_was_brought_in_without_a_phantom_byte(home: Home) -> None:
    home.bring_in()
    home.reads(DAY, 900_000)
    assert home.usage() == 2_000
    home.reads(DAY + 60, 900_300)
    assert (home.usage(), home.ledger.devices[PHONE].series.on_peak) == (2_300, 300)
    assert home.ledger.devices[PHONE].series.today == 300


def test_what_the_router_counted_since_the_last_row_is_counted_where_that_is_certain(home: Home) -> None:
    home.bring_in()
    home.reads(DAY, 900_000, uptime_s=3_600)
    assert home.usage() == 2_000 + 900_000


def test_figures_of_the_same_period_include_what_was_brought_in(home: Home) -> None:
    home.bring_in()
    home.reads(600, 9_000)
    assert (home.ledger.devices[PHONE].series.on_peak, home.ledger.devices[PHONE].series.today) == (1_000, 1_000)


def test_bringing_in_twice_changes_nothing(home: Home) -> None:
    home.bring_in()
    before, ledger, moved = home.everything(), home.ledger, home.moved()
    came = home.bring_in()
    assert (came.rows, came.there) == (0, 6)
    assert (home.everything(), home.ledger, home.moved()) == (before, ledger, moved)


def test_what_was_broken_off_before_the_ledger_knew_of_it_came_to_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = twin(home)
    monkeypatch.setattr("dalla_mqtt.archive.history._AT_ONCE", 3)

    def interrupt(rows: int, _: int) -> None:
        if rows > 3:
            raise KeyboardInterrupt

    store = Store(home.config.state)
    with pytest.raises(KeyboardInterrupt):
        bring_in(home.old, home.config, store, NOW, interrupt)
    store.close()
    assert (home.everything(), home.ledger.at) == ({}, None)
    home.reads(DAY, 9_000)  # a daemon that is started meanwhile
    home.bring_in()
    assert home.moved()["Alice"] == whole.moved()["Alice"] == (1_000, 0)
    assert home.rows(DEVICE) == whole.rows(DEVICE)
    assert not [*home.folder.glob("state.db.import*")]


def test_logs_of_a_time_between_those_that_are_counted_fill_it(home: Home) -> None:
    home.bring_in()
    home.reads(3 * DAY, 10**6)
    home.reads(3 * DAY + 60, 10**6 + 5)
    home.log(PHONE, (DAY, 2_500), (DAY + 60, 2_900), month="2016-11")
    came = home.bring_in(home.old / "2016-11")
    assert (came.rows, came.there) == (2, 0)
    assert home.moved()["Alice"] == (1_000 + 400 + 5, 0)
    assert home.usage() == 2_000 + 400 + 500 + 5  # 500: from its last counter there to its first one here
    assert home.bring_in(home.old / "2016-11").rows == 0
    assert home.bring_in().rows == 0
    home.reads(3 * DAY + 120, 10**6 + 7)
    assert home.usage() == 2_907


def test_devices_that_are_known_by_name_are_brought_in_for_their_owner(home: Home) -> None:
    home.config = replace(home.config, people=People(("Bob",), {}, (("bobs-*", "Bob"),)))
    home.reads(DAY, 5_000, name="bobs-phone")
    home.bring_in()
    assert home.moved()["Bob"] == (1_000, 0)
    assert home.rows("users/Bob.csv")[-1] == (120, 2_000, 600, 1_000, 0)
    assert home.ledger.users["Bob"].usage == 5_000


@pytest.mark.parametrize("nth", range(1, 6))
def test_what_was_broken_off_is_made_whole_by_the_next_try(
    home: Home, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    whole = twin(home)
    calls = 0
    true_replace = Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise OSError(28, "No space left on device", str(self))
        return true_replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(OSError, match="No space left"):
            home.bring_in()
    home.bring_in()
    assert [*home.everything().values()] == [*whole.everything().values()]
    assert (home.ledger, home.moved()) == (whole.ledger, whole.moved())


def test_rows_that_are_written_a_few_at_a_time_make_the_same_files(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = twin(home)
    monkeypatch.setattr("dalla_mqtt.archive.history._AT_ONCE", 3)
    home.bring_in()
    assert [*home.everything().values()] == [*whole.everything().values()]


def test_what_was_counted_here_already_is_joined_and_counted_once(home: Home) -> None:
    home.reads(DAY, 5_000)  # the router's counter, which holds what dalla-stats logged of it
    home.reads(DAY + 60, 5_800)
    home.log(PHONE, (0, 1_000), (60, 1_400), (DAY + 30, 5_500), (DAY + 90, 6_000))
    came = home.bring_in()
    assert (came.rows, came.there) == (5, 2)
    assert home.usage() == 5_800
    assert home.rows(DEVICE) == [(0, 1_000, 0, 0, 0), (60, 1_400, 400, 400, 0)]
    assert home.rows(DEVICE, "2016-11") == [(DAY, 5_000, 0, 0, 0), (DAY + 60, 5_800, 800, 800, 0)]
    assert home.moved()["Alice"] == (1_200, 0)
    home.reads(DAY + 120, 6_000)
    assert (home.usage(), home.ledger.total.usage) == (6_000, 6_700)
    assert home.ledger.devices[PHONE].first_seen == T


def test_a_counter_that_began_again_before_counting_here_adds_what_was_logged(home: Home) -> None:
    home.reads(DAY, 300)
    home.bring_in()
    assert home.usage() == 2_000  # of which the 300 may be a part: none is counted twice
    home.reads(DAY + 60, 400)
    assert home.usage() == 2_100


@pytest.mark.parametrize("order", [("2016-10", "2016-11"), ("2016-11", "2016-10")])
def test_months_brought_in_one_by_one_make_one_history_in_any_order(tmp_path: Path, order: tuple[str, str]) -> None:
    home = Home(tmp_path)
    home.log(PHONE, (0, 1_000), (60, 1_400))
    home.log(PHONE, (DAY, 2_000), (DAY + 60, 2_700), (DAY + 72_000, 2_700), month="2016-11")
    for month in order:
        home.bring_in(home.old / month)
    assert home.moved() == {PHONE.dashed: (1_100, 0), "Alice": (1_100, 0), "": (1_100, 0)}
    assert home.usage() == 2_700
    assert home.rows(DEVICE)[-1][2:] == (400, 400, 0)
    assert home.rows(DEVICE, "2016-11")[-2:] == [(DAY + 60, 2_700, 700, 700, 0), (DAY + 72_000, 2_700, 0, 700, 0)]
    home.reads(2 * DAY, 10**6)
    assert home.usage() == 2_700


def test_our_own_folder_is_refused(home: Home) -> None:
    home.bring_in()
    with pytest.raises(ConfigError, match="where dalla-mqtt writes its own logs"):
        home.bring_in(home.folder / "logs")


def test_a_folder_without_logs_is_named(home: Home) -> None:
    (home.folder / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty holds no CSV files"):
        home.bring_in(home.folder / "empty")


def test_a_folder_that_is_none_is_named(home: Home) -> None:
    with pytest.raises(ArchiveError, match="nowhere is not a folder"):
        home.bring_in(home.folder / "nowhere")


def test_without_csv_files_the_days_and_the_ledger_know_all(home: Home) -> None:
    home.config = replace(home.config, archive=None)
    home.bring_in()
    assert (home.usage(), home.moved()["Alice"], home.everything()) == (2_000, (1_000, 0), {})


def test_a_device_whose_file_names_no_address_has_a_file(tmp_path: Path) -> None:
    home = Home(tmp_path)
    path = home.old / "devices" / f"{PHONE}.csv"
    path.parent.mkdir(parents=True)
    path.write_text(f"Time, Total Bytes\n{T}, 1000\n{T + 60}, 1500\n")
    home.bring_in()
    assert home.rows(f"devices/{PHONE}_0.0.0.0.csv")[-1] == (60, 1_500, 500, 500, 0)


def test_rows_are_inserted_where_their_times_say_and_none_twice(tmp_path: Path) -> None:
    file = tmp_path / "total.csv"
    insert(str(file), "20, 2, 0, 0, 0\n")
    file.write_text(file.read_text() + "30, 3, 1, 1, 0")  # torn
    insert(str(file), "10, 1, 0, 0, 0\n20, 9, 9, 9, 9\n40, 4, 1, 1, 0\n")
    assert file.read_text() == f"{HEADER}10, 1, 0, 0, 0\n20, 2, 0, 0, 0\n30, 3, 1, 1, 0\n40, 4, 1, 1, 0\n"
    before = file.stat().st_ino
    insert(str(file), "10, 7, 7, 7, 7\n")
    assert file.stat().st_ino == before


def test_the_figures_of_a_series_are_looked_up_by_its_key(home: Home) -> None:
    came = home.bring_in()
    assert came.days.moved(*ALWAYS)[Key("user", "Alice")] == (1_000, 0)
    assert came.days.moved(date(2016, 11, 1), date.max) == {}
