from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dalla_mqtt.archive.beside import History
from dalla_mqtt.archive.store import Facts, StateHeld, Store, held
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.ledger import TOTAL, Key, Ledger, Rules, Series, account
from dalla_mqtt.usage.people import People
from dalla_mqtt.usage.quota import Remembered, Subject, Used, WindowRecord
from dalla_mqtt.usage.reading import Mac, Reading, RouterInfo, Row
from dalla_mqtt.usage.tariff import Tariff

PHONE, LAPTOP = Mac.parse("02:00:00:00:00:01"), Mac.parse("02:00:00:00:00:02")
RULES = Rules(People(("Alice",), {PHONE: "Alice"}), Tariff(), 60, 1e9)


def reading(*rows: Row, uptime_s: int | None = 100) -> Reading:
    return Reading(rows, info=RouterInfo(uptime_s=uptime_s))


def ledger_after(*readings: Reading) -> Ledger:
    ledger = Ledger()
    for number, one in enumerate(readings):
        ledger, _ = account(ledger, one, RULES, at=1_000_000 + 60 * number, elapsed_s=60)
    return ledger


def remembered(*readings: Reading) -> Ledger:
    """As a store gives it back: what the last reading added to its day is with the days."""
    return replace(ledger_after(*readings), shares=())


FIRST = reading(Row("192.168.1.2", PHONE, 10, 5000), Row("192.168.1.3", None, 1, 100))
SECOND = reading(Row("192.168.1.2", PHONE, 20, 9000), Row("192.168.1.4", LAPTOP, 7, 700), uptime_s=160)
HELD_BACK = reading(Row("192.168.1.2", PHONE, 2**30, 2**40), Row("192.168.1.4", LAPTOP, 1, 70), uptime_s=220)
REBOOTED = reading(Row("192.168.1.2", PHONE, 1, 50), uptime_s=3)


def test_a_new_file_holds_an_empty_ledger_and_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "state.db"
    store = Store(file)
    assert store.load() == Ledger()
    store.close()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "readings", [(FIRST,), (FIRST, SECOND), (FIRST, SECOND, REBOOTED), (FIRST, SECOND, HELD_BACK), (reading(),)]
)
def test_what_was_saved_is_there_after_a_restart(tmp_path: Path, readings: tuple[Reading, ...]) -> None:
    store = Store(tmp_path / "state.db")
    store.load()
    for number in range(len(readings)):
        store.save(ledger_after(*readings[: number + 1]), {})
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.load() == remembered(*readings)
    again.close()


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(
            st.builds(
                Row,
                st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
                st.sampled_from([PHONE, LAPTOP, None]),
                st.integers(0, 2**20),
                st.integers(0, 2**40),
            ),
            unique_by=lambda row: row.ip,
        ),
        min_size=1,
        max_size=6,
    )
)
def test_saving_only_what_changed_keeps_everything(
    tmp_path_factory: pytest.TempPathFactory, polls: list[list[Row]]
) -> None:
    file = tmp_path_factory.mktemp("store") / "state.db"
    store, ledger = Store(file), Ledger()
    for number, rows in enumerate(polls):
        ledger, _ = account(ledger, reading(*rows), RULES, at=1_000_000 + 60 * number, elapsed_s=60)
        store.save(ledger, {})
    store.close()
    again = Store(file)
    assert again.load() == replace(ledger, shares=())
    again.close()


def test_what_moved_on_each_day_adds_up_and_is_there_after_a_restart(tmp_path: Path) -> None:
    first_day, last_day = date(1970, 1, 12), date(1970, 1, 13)
    store = Store(tmp_path / "state.db")
    store.save(ledger_after(FIRST), {})
    assert store.load() == remembered(FIRST)
    assert store.moved(date.min, date.max) == {}
    for after in (60, 120, 86_400):
        row = Row("192.168.1.2", PHONE, 10 + after, 5000 + after)
        ledger, _ = account(store.load(), reading(row, uptime_s=100 + after), RULES, at=1_000_000 + after, elapsed_s=60)
        store.save(ledger, {})
    store.close()
    again = Store(tmp_path / "state.db")
    alices = {Key("device", PHONE.dashed): (120, 0), Key("user", "Alice"): (120, 0), TOTAL: (120, 0)}
    assert again.moved(first_day, first_day) == alices
    assert again.moved(last_day, last_day)[TOTAL] == (86_280, 0)
    assert again.moved(first_day, last_day)[Key("user", "Alice")] == (86_400, 0)
    again.close()


def test_rows_are_owed_until_they_have_outlived_a_power_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("dalla_mqtt.archive.store.time.monotonic", lambda: now)

    def debts(store: Store) -> list[object]:
        return [store.rows_owed(number) for number in store.owed()]

    store = Store(tmp_path / "state.db")
    store.save(ledger_after(FIRST), {"a.csv": "1\n", "b.csv": "2\n"})
    assert debts(store) == [{"a.csv": "1\n", "b.csv": "2\n"}]
    store.settle(store.owed()[0], {"b.csv": "2\n"})
    assert debts(store) == [{"b.csv": "2\n"}]
    store.save(ledger_after(FIRST, SECOND), {"a.csv": "3\n"})
    assert debts(store) == [{"b.csv": "2\n"}, {"a.csv": "3\n"}]
    for number in store.owed():
        store.settle(number, {})
    store.save(ledger_after(FIRST), {})
    assert store.owed() == []
    after_a_crash = copy_of(tmp_path, "early")  # they may have been lost with the page cache: they are checked again
    assert len(after_a_crash.owed()) == 2
    after_a_crash.close()
    now += 61
    store.save(ledger_after(FIRST, SECOND), {})
    after_a_crash = copy_of(tmp_path, "late")
    assert after_a_crash.owed() == []
    after_a_crash.close()
    store.close()


def test_an_end_in_order_leaves_nothing_owed_that_is_in_its_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.save(ledger_after(FIRST), {"a.csv": "1\n"})
    store.save(ledger_after(FIRST, SECOND), {"a.csv": "2\n"})
    store.settle(store.owed()[0], {})
    store.close()
    again = Store(tmp_path / "state.db")
    assert [again.rows_owed(number) for number in again.owed()] == [{"a.csv": "2\n"}]
    again.close()


def copy_of(folder: Path, name: str) -> Store:
    """What a crash at this instant would leave."""
    shutil.copytree(folder, folder / name, ignore=shutil.ignore_patterns("early"))
    return Store(folder / name / "state.db")


def test_a_sum_that_no_database_holds_is_told_and_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.save(ledger_after(FIRST), {})
    with pytest.raises(ArchiveError, match="cannot be used"):
        store.save(replace(ledger_after(FIRST), total=Series(usage=2**63)), {})
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.load() == remembered(FIRST)
    again.close()


def test_a_save_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.load()
    store.save(ledger_after(FIRST), {})
    other = sqlite3.connect(tmp_path / "state.db")
    other.execute("PRAGMA journal_mode")
    other.execute("CREATE TRIGGER full BEFORE INSERT ON sum BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END")
    with pytest.raises(ArchiveError, match="disk I/O error"):
        store.save(ledger_after(FIRST, SECOND), {"a.csv": "1\n"})
    other.execute("DROP TRIGGER full")
    other.close()
    assert store.owed() == []
    store.save(ledger_after(FIRST, SECOND), {})
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.load() == remembered(FIRST, SECOND)
    again.close()


def test_a_second_instance_is_turned_away_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    hold = "import sys, pathlib; from dalla_mqtt.archive.store import Store\n"
    hold += "store = Store(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    command = (sys.executable, "-c", hold, str(tmp_path / "state.db"))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StateHeld, match="another dalla-mqtt"):
            Store(tmp_path / "state.db")
        other.kill()
    Store(tmp_path / "state.db").close()


def spoil(file: Path, how: str) -> None:
    """Damage a state file as disks and people do."""
    if how == "overwritten":
        file.write_bytes(b"not a database" * 100)
    elif how == "zeros":
        file.write_bytes(b"\x00" * 4096)
    elif how == "a page of noise":
        content = bytearray(file.read_bytes())
        content[8192:12_288] = b"\xa5" * 4096
        file.write_bytes(content)
    elif how == "cut short":
        file.write_bytes(file.read_bytes()[:10_000])
    else:
        with closing(sqlite3.connect(file)) as database, database:
            database.execute(how)


@pytest.mark.parametrize(
    "how",
    [
        "overwritten",
        "zeros",
        "a page of noise",
        "cut short",
        "DROP TABLE sum",
        "UPDATE moment SET day = 'yesterday'",
        "DELETE FROM sum WHERE kind = 'total'",
        "UPDATE device SET cause = 'magic'",
        "UPDATE owed SET rows = x'7b2278'",
        "UPDATE day SET name = CAST(x'42ff62' AS TEXT) WHERE kind = 'total'",
        "UPDATE day SET on_peak = 'many' WHERE kind = 'total'",
        "INSERT INTO retained VALUES ('dalla/#', NULL)",
        "INSERT INTO retained VALUES (x'ff', NULL)",
        "INSERT INTO retained VALUES (CAST(x'ff' AS TEXT), NULL)",
        "INSERT INTO slug VALUES ('Alice', NULL)",
        "INSERT INTO slug VALUES ('Alice', 'a/b')",
    ],
)
def test_a_damaged_state_file_is_kept_and_named_and_a_new_one_begun(tmp_path: Path, how: str) -> None:
    file = tmp_path / "state.db"
    store = Store(file)
    store.save(ledger_after(FIRST, SECOND), {"a.csv": "1\n"})
    assert store.set_aside is None
    store.close()
    spoil(file, how)
    content = file.read_bytes()
    for number in (1, 2):
        new = Store(file)
        assert new.set_aside == tmp_path / f"state.db.damaged-{number}"
        assert new.set_aside.read_bytes() == content
        assert (new.load(), new.owed()) == (Ledger(), [])
        new.save(ledger_after(FIRST), {})
        new.close()
        again = Store(file)
        assert (again.load(), again.set_aside) == (remembered(FIRST), None)
        again.close()
        file.write_bytes(content)


@pytest.mark.parametrize("what", ["the file", "its log", "its folder", "replaced"])
def test_a_state_file_that_is_deleted_or_replaced_meanwhile_is_made_again_with_all_it_held(
    tmp_path: Path, what: str
) -> None:
    file = tmp_path / "folder" / "state.db"
    store = Store(file)
    store.save(ledger_after(FIRST), {"a.csv": "1\n"})
    if what == "the file":
        file.unlink()
    elif what == "its log":
        Path(f"{file}-wal").unlink()
    elif what == "its folder":
        shutil.rmtree(file.parent)
    else:
        (tmp_path / "other").write_text("another file")
        (tmp_path / "other").rename(file)
    store.save(ledger_after(FIRST, SECOND), {})
    if what == "replaced":
        assert store.set_aside is not None
        assert store.set_aside.read_text() == "another file"
    with pytest.raises(StateHeld):
        Store(file)
    store.close()
    again = Store(file)
    assert again.load() == remembered(FIRST, SECOND)
    assert [again.rows_owed(number) for number in again.owed()] == [{"a.csv": "1\n"}]
    again.close()


@pytest.mark.parametrize("what", ["replace", "connect", "check"])
def test_a_state_file_that_cannot_be_made_again_at_once_is_made_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    file = tmp_path / "state.db"
    store = Store(file)
    store.save(ledger_after(FIRST), {"a.csv": "1\n"})
    file.unlink()

    def fail(*_: object) -> None:
        if what == "check":
            raise ValueError("row 1 missing from index")
        raise OSError(28, "No space left on device")

    where = {"replace": "dalla_mqtt.archive.store.Path.replace"}.get(what, "dalla_mqtt.archive.store.Store._prepare")
    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        for _ in range(2):
            with pytest.raises(ArchiveError, match="cannot be used"):
                store.save(ledger_after(FIRST, SECOND), {})
    store.save(ledger_after(FIRST, SECOND), {})
    store.close()
    again = Store(file)
    assert again.load() == remembered(FIRST, SECOND)
    assert [again.rows_owed(number) for number in again.owed()] == [{"a.csv": "1\n"}]
    again.close()


def test_a_state_file_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    Store(tmp_path / "state.db").close()
    database = sqlite3.connect(tmp_path / "state.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ArchiveError, match="another version of dalla-mqtt: 99"):
        Store(tmp_path / "state.db")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match=r"state\.db"):
        Store(tmp_path / "file" / "state.db")


def test_what_moved_is_read_beside_a_daemon_that_works_with_the_file_and_after_it(tmp_path: Path) -> None:
    file = tmp_path / "state ?#%41.db"
    store = Store(file)
    store.save(ledger_after(FIRST, SECOND), {})
    days = (date(1970, 1, 12), date(1970, 1, 13))
    for _ in range(2):
        with closing(History(file)) as history:
            assert history.moved(*days) == store.moved(*days)
            assert history.moved(*days)[TOTAL] == (4700, 0)
            assert history.moved(days[1], days[1]) == {}
        store.save(ledger_after(FIRST), {})
    expected = store.moved(*days)
    store.close()
    with closing(History(file)) as history:
        assert history.moved(*days) == expected


def test_usages_and_ids_are_read_beside_a_daemon(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    store = Store(file)
    ledger = ledger_after(FIRST)
    store.save(ledger, {})
    with closing(History(file)) as history:
        devices = {Key("device", mac.dashed): device.series.usage for mac, device in ledger.devices.items()}
        users = {Key("user", name): series.usage for name, series in ledger.users.items()}
        assert history.usage() == {**devices, **users, TOTAL: ledger.total.usage}
        store.keep_slugs({"Alice": "alice", "ALICE": "alice-2"})
        assert history.slugs() == {"Alice": "alice", "ALICE": "alice-2"}
    store.close()


def test_all_that_a_store_tells_is_read_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with closing(Store(file)) as store, closing(History(file)) as history:
        assert history.ledger() == Ledger()
        store.save(ledger_after(FIRST, SECOND), {})
        store.keep_quotas({Subject("user", "Alice"): Remembered(held=True)})
        assert history.ledger() == store.load() == remembered(FIRST, SECOND)
        assert history.quotas() == store.quotas() != {}
        alice = Key("user", "Alice"), date.min, date.max
        assert history.days(*alice) == store.days(*alice) != {}


def test_what_stands_still_is_not_changed_by_what_a_daemon_adds(tmp_path: Path) -> None:
    file, days = tmp_path / "state.db", (date.min, date.max)
    with closing(Store(file)) as store, closing(History(file)) as history:
        store.save(ledger_after(FIRST), {})
        history.stand_still()
        before = history.moved(*days)
        store.save(ledger_after(FIRST, SECOND), {})
        assert history.moved(*days) == before != store.moved(*days)
        assert history.ledger() == remembered(FIRST)


@pytest.mark.parametrize(
    "damage", ["UPDATE moment SET day = 'what'", "DELETE FROM sum", "INSERT INTO quota VALUES ('user', 'Alice', '?')"]
)
def test_what_is_damaged_is_told_and_left_to_the_daemon(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "state.db"
    with closing(Store(file)) as store:
        store.save(ledger_after(FIRST), {})
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(damage)
    with (
        closing(History(file)) as history,
        pytest.raises(ArchiveError, match=r"state\.db: the state file cannot be used"),
    ):
        _ = history.quotas(), history.ledger()
    assert not [*tmp_path.glob("*damaged*")]


def test_where_there_is_no_history_that_is_told_and_none_is_made(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with pytest.raises(ArchiveError, match=r"state\.db: the state file cannot be used"):
        History(file)
    assert not [*tmp_path.iterdir()]
    file.write_text("no database" * 100)
    with pytest.raises(ArchiveError, match="not a database"):
        History(file)


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (4, "it is of another version, 4 and not 5: start `dalla-mqtt run`, which brings it up to date"),
        (0, "it is of another version, 0 and not 5: start `dalla-mqtt run`"),
        (99, "it is of another version, 99 and not 5: use that one"),
    ],
)
def test_who_only_reads_a_state_file_of_another_version_is_told_the_mend(
    tmp_path: Path, version: int, told: str
) -> None:
    file = tmp_path / "state.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    before = file.read_bytes()
    with pytest.raises(ArchiveError, match=re.escape(told)):
        History(file)
    assert file.read_bytes() == before


def test_a_state_file_that_another_program_locks_is_not_taken_for_damaged(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    store = Store(file)
    store.save(ledger_after(FIRST), {})
    store.close()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ArchiveError, match="database is locked"):
            Store(file)
    assert not [*tmp_path.glob("*damaged*")]
    again = Store(file)
    assert again.load() == remembered(FIRST)
    again.close()


def test_what_brokers_keep_and_the_ids_of_users_are_there_after_a_restart(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "state.db")) as store:
        assert (store.retained(), store.slugs()) == ({}, {})
        store.keep_retained({"dalla/home/status": None, "a/config": None, "b/config": None})
        store.keep_retained({"a/config": 7}, gone=["b/config"])
        store.keep_slugs({"Alice": "alice"})
        store.keep("router.client", "TPLinkMRClient")
        store.keep_slugs({"Ali ce": "ali-ce"})
    with closing(Store(tmp_path / "state.db")) as store:
        assert store.retained() == {"dalla/home/status": None, "a/config": 7}
        assert store.slugs() == {"Alice": "alice", "Ali ce": "ali-ce"}


def test_what_is_kept_from_any_thread_is_recalled_after_a_restart(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "state.db")) as store:
        assert store.recall("router.client") is None
        for value in ("TPLinkMRClient", "TPLinkC50Client"):
            thread = threading.Thread(target=store.keep, args=("router.client", value))
            thread.start()
            thread.join()
        store.save(ledger_after(FIRST), {})
    with closing(Store(tmp_path / "state.db")) as store:
        assert store.recall("router.client") == "TPLinkC50Client"


def test_nothing_is_kept_in_a_state_file_that_was_deleted(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "state.db")) as store:
        (tmp_path / "state.db").unlink()
        with pytest.raises(ArchiveError, match="cannot be used"):
            store.keep("router.client", "TPLinkMRClient")
        store.save(ledger_after(FIRST), {})
        assert store.recall("router.client") is None
        assert store.load() == remembered(FIRST)


def test_a_name_that_was_given_to_a_device_is_there_after_a_restart(tmp_path: Path) -> None:
    ledger = ledger_after(FIRST)
    named = replace(ledger, devices={PHONE: replace(ledger.devices[PHONE], name="Alice's phone")}, shares=())
    with closing(Store(tmp_path / "state.db")) as store:
        store.save(ledger, {})
        store.save(named, {})
    with closing(Store(tmp_path / "state.db")) as store:
        assert store.load() == named


AS_VERSION_4 = "DROP TABLE quota; PRAGMA user_version = 4;"
AS_VERSION_3 = AS_VERSION_4 + "ALTER TABLE device DROP COLUMN link; DROP TABLE fact; PRAGMA user_version = 3;"
AS_VERSION_2 = (
    AS_VERSION_3 + "ALTER TABLE device DROP COLUMN name; DROP TABLE retained; DROP TABLE slug; PRAGMA user_version = 2;"
)


@pytest.mark.parametrize("left_it", [AS_VERSION_4, AS_VERSION_3, AS_VERSION_2])
def test_a_state_file_of_a_version_before_is_brought_up_to_date_and_nothing_is_lost(
    tmp_path: Path, left_it: str
) -> None:
    with closing(Store(tmp_path / "state.db")) as store:
        store.save(ledger_after(FIRST, SECOND), {"total.csv": "row\n"})
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        database.executescript(left_it)
    with closing(Store(tmp_path / "state.db")) as store:
        assert store.set_aside is None
        assert store.load() == remembered(FIRST, SECOND)
        assert store.rows_owed(*store.owed()) == {"total.csv": "row\n"}
        store.keep_slugs({"Alice": "alice"})
        store.keep_quotas({ALICE: Remembered(held=True)})


ALICE, FAMILY = Subject("user", "Alice"), Subject("pool", "Family")


def test_what_is_remembered_of_a_quota_is_there_after_a_restart_until_it_is_forgotten(tmp_path: Path) -> None:
    first = date(2026, 11, 1)
    record = WindowRecord(date(2026, 11, 30), {"on_peak": 40 * 2**30}, 5, frozenset(("a", "b")), {"on_peak": 1.5}, True)  # noqa: FBT003
    kept = Remembered({"together": 0}, {"together": 7}, {first: record}, held=True, limited=True)
    with closing(Store(tmp_path / "state.db")) as store:
        store.keep_quotas({ALICE: kept, FAMILY: Remembered()})
        assert store.quotas() == {ALICE: kept, FAMILY: Remembered()}
    with closing(Store(tmp_path / "state.db")) as store:
        store.keep_quotas({FAMILY: None})
        assert store.quotas() == {ALICE: kept}


@pytest.mark.parametrize(
    "remembered",
    [
        "{",
        '{"by_hand": {"together": -1}}',
        '{"by_hand": {"together": 4503599627370497}}',
        '{"by_hand": {"at night": 1}}',
        '{"windows": {"2026-11-01": {"last": "2026-11-30", "topup": -1}}}',
        '{"windows": {"2026-11-01": {"last": "2026-11-30", "limits": {"together": 1e300}}}}',
        '{"windows": {"2026-11-01": {"last": "2026-11-30", "reached_at": {"together": 1e300}}}}',
    ],
)
def test_what_cannot_be_remembered_of_a_quota_is_damage(tmp_path: Path, remembered: str) -> None:
    with closing(Store(tmp_path / "state.db")) as store:
        store.keep_quotas({ALICE: Remembered(held=True)})
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        database.execute("UPDATE quota SET remembered = ?", (remembered,))
        database.commit()
    with closing(Store(tmp_path / "state.db")) as store:
        assert store.set_aside is not None
        assert store.quotas() == {}


def test_what_a_series_moved_is_told_day_by_day(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "state.db")) as store:
        store.save(ledger_after(FIRST, SECOND), {})
        assert store.days(Key("user", "Alice"), date.min, date.max) == {date(1970, 1, 12): Used(4000, 0)}
        assert store.days(Key("user", "Alice"), date(1970, 1, 13), date.max) == {}
        assert store.days(Key("user", "Nobody"), date.min, date.max) == {}


def test_facts_are_told_and_kept_beside_a_store_that_works_with_the_file(tmp_path: Path) -> None:
    facts = Facts(tmp_path / "state.db")
    with pytest.raises(ArchiveError):
        facts.recall("router.client")
    with closing(Store(tmp_path / "state.db")) as store:
        assert facts.recall("router.client") is None
        facts.keep("router.client", "TPLinkMRClient")
        assert facts.recall("router.client") == store.recall("router.client") == "TPLinkMRClient"


def test_whether_another_instance_works_with_the_file_is_told(tmp_path: Path) -> None:
    assert not held(tmp_path / "state.db")
    with closing(Store(tmp_path / "state.db")):
        assert held(tmp_path / "state.db")
    assert not held(tmp_path / "state.db")
