from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dalla_mqtt.archive.store import StateHeld, Store
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.ledger import Ledger, Rules, Series, account
from dalla_mqtt.usage.people import People
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


FIRST = reading(Row("192.168.1.2", PHONE, 10, 5000), Row("192.168.1.3", None, 1, 100))
SECOND = reading(Row("192.168.1.2", PHONE, 20, 9000), Row("192.168.1.4", LAPTOP, 7, 700), uptime_s=160)
REBOOTED = reading(Row("192.168.1.2", PHONE, 1, 50), uptime_s=3)


def test_a_new_file_holds_an_empty_ledger_and_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "state.db"
    store = Store(file)
    assert store.load() == Ledger()
    store.close()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("readings", [(FIRST,), (FIRST, SECOND), (FIRST, SECOND, REBOOTED), (reading(),)])
def test_what_was_saved_is_there_after_a_restart(tmp_path: Path, readings: tuple[Reading, ...]) -> None:
    store = Store(tmp_path / "state.db")
    store.load()
    for number in range(len(readings)):
        store.save(ledger_after(*readings[: number + 1]), {})
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.load() == ledger_after(*readings)
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
    assert again.load() == ledger
    again.close()


def test_rows_are_owed_until_they_are_settled_and_that_is_saved(tmp_path: Path) -> None:
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
    assert store.owed() == []
    store.close()
    again = Store(tmp_path / "state.db")  # settled, but never saved: they are checked again
    again.load()
    assert len(again.owed()) == 2
    for number in again.owed():
        again.settle(number, {})
    again.save(ledger_after(FIRST), {})
    again.close()
    last = Store(tmp_path / "state.db")
    assert last.owed() == []
    last.close()


def test_a_sum_that_no_database_holds_is_told_and_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.save(ledger_after(FIRST), {})
    with pytest.raises(ArchiveError, match="cannot be used"):
        store.save(replace(ledger_after(FIRST), total=Series(usage=2**63)), {})
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.load() == ledger_after(FIRST)
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
    assert again.load() == ledger_after(FIRST, SECOND)
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


@pytest.mark.parametrize("content", [b"not a database" * 100, b"\x00" * 4096])
def test_a_file_that_is_no_state_file_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "state.db"
    file.write_bytes(content)
    with pytest.raises(ArchiveError, match=str(file)):
        Store(file)
    assert file.read_bytes() == content


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
