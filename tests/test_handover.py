"""`dalla-mqtt import --home-assistant`, from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from dalla_mqtt.archive.store import Store
from dalla_mqtt.usage.ledger import Ledger, Series
from tests.processes import CANARY, Ran
from tests.recorder.house import House

PHONE = "CB-BD-AB-90-2D-38"
HEADER = "Time, Total Bytes, Delta, On-Peak, Off-Peak\n"
T = 1_795_525_200  # a full hour
DAY = date(2026, 11, 24)
OLD = T - 10 * 3600
TOKEN = {"DALLA_HOMEASSISTANT_TOKEN": CANARY}
TOTAL = "sensor.dalla_home_total_usage"


@pytest.fixture
def house() -> Iterator[House]:
    """One that has one hour, in which 2 GB moved and 5 GB were brought in."""
    with House() as house:
        house.rows = {T: (7.0, 7.0)}
        yield house


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with records of the total alone."""
    (tmp_path / "config.yaml").write_text("archive: {commune: total.csv}\ntariff: {timezone: UTC}\n")
    rows = f"{OLD}, 0, 0, 0, 0\n{OLD + 60}, 1000000000, 1000000000, 0, 0\n{T + 9}, 7000000000, 1000000000, 0, 0\n"
    (tmp_path / "total.csv").write_text(HEADER + rows)
    return tmp_path


def over(home: Path, house: House, *words: str, environment: dict[str, str] | None = None) -> Ran:
    return Ran(home, "import", "--home-assistant", house.url, *words, environment=TOKEN | (environment or {}))


def test_records_are_handed_over_and_one_line_tells_of_each_series(home: Path, house: House) -> None:
    ran = over(home, house)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{TOTAL}: 2 hours from 2026-11-24 02:00 UTC to 2026-11-24 13:00 UTC, 2 written\n"
    assert house.rows == {OLD - 3600: (5.0, 0.0), OLD: (6.0, 1.0), T: (7.0, 2.0)}


def test_the_token_may_stand_in_a_file(home: Path, house: House) -> None:
    (home / "token").write_text(f"\ufeff{CANARY}\r\nand more\n")
    assert over(home, house, "--token-file", "token", environment={"DALLA_HOMEASSISTANT_TOKEN": "wrong"}).code == 0


@pytest.mark.parametrize(
    ("words", "token", "told"),
    [
        ((), b"", "there is no token in DALLA_HOMEASSISTANT_TOKEN: make a long-lived one on your profile's page"),
        (("--token-file", "token"), b"\n", "there is no token in token: make a long-lived one"),
        (("--token-file", "nowhere"), b"", "--token-file: cannot read nowhere: No such file or directory"),
        (("--token-file", "token"), b"\xff", "--token-file: cannot read token: it is not text in UTF-8"),
    ],
)
def test_without_a_token_it_is_told_how_to_come_by_one(
    home: Path, house: House, words: tuple[str], token: bytes, told: str
) -> None:
    (home / "token").write_bytes(token)
    ran = over(home, house, *words, environment={"DALLA_HOMEASSISTANT_TOKEN": ""})
    assert ran.complaint.startswith(told)


def test_a_slip_is_told_before_anything_is_done(home: Path, house: House) -> None:
    assert Ran(home, "import").complaint.startswith("name the folder in which dalla-stats wrote its logs, or --home-as")
    assert Ran(home, "import", "old", "--token-file", "x").complaint == "--token-file goes with --home-assistant URL"
    assert "--home-assistant: expected" in Ran(home, "import", "--home-assistant", "x", environment=TOKEN).complaint
    (home / "config.yaml").write_text("archive: {enabled: false}\n")
    assert "archive.enabled is false: there are no records to hand over" in over(home, house).complaint


def test_a_token_that_is_refused_ends_it(home: Path, house: House) -> None:
    ran = over(home, house, "old", environment={"DALLA_HOMEASSISTANT_TOKEN": "wr0ng"})
    assert (ran.code, ran.out) == (1, "")
    assert "Home Assistant refused the token" in ran.err
    assert "wr0ng" not in ran.err


def test_a_home_assistant_without_the_devices_is_told(home: Path, house: House) -> None:
    house.answers["config/entity_registry/list"] = lambda _: []
    ran = over(home, house)
    assert ran.code == 1
    assert "knows no usage of dalla-mqtt: set up its MQTT integration with the daemon's broker, let the" in ran.err


def test_a_home_assistant_without_an_hour_is_told(home: Path, house: House) -> None:
    house.rows.clear()
    ran = over(home, house)
    assert ran.code == 1
    assert ran.out == f"{TOTAL}: Home Assistant has no hour of it yet; hand over once more after the next full hour\n"
    assert "nothing is handed over: Home Assistant has no full hour of it yet" in ran.err


def test_what_is_not_in_home_assistant_or_has_no_hours_is_told(home: Path, house: House) -> None:
    users = home / "logs/2026-11/users"
    users.mkdir(parents=True)
    (users / "Alice.csv").write_text(f"{HEADER}{OLD}, 0, 0, 0, 0\n")
    (home / "summary.csv").write_text("Period, Kind, Name, On-Peak, Off-Peak, Total\n")
    ran = over(home, house)
    assert ran.code == 0
    assert ran.out.splitlines()[1:] == [
        "dalla_home_alice_usage: no entity of Home Assistant, or it is disabled there; left out",
        "what is purged, and stands in summary.csv only, has no hours and is left out",
    ]


def test_what_was_brought_in_and_is_in_no_record_yet_is_told(home: Path, house: House) -> None:
    with closing(Store(home / "state.db")) as store:
        day = replace(Ledger(), at=float(T + 9), total=Series(usage=10**10), day=DAY, period=DAY)
        store.save(day, {})
    told = "3.000 GB were brought in that Home Assistant will take for moved now; hand over once more after the next"
    assert told in over(home, house).out


def test_logs_of_dalla_stats_are_brought_in_first(home: Path, house: House) -> None:
    (home / "total.csv").unlink()
    devices = home / "old/logs/2016-9/devices"
    devices.mkdir(parents=True)
    rows = "1473000000, 1000, 0, 0, 0\n1473000060, 1700, 700, 700, 0\n"
    (devices / f"{PHONE}_192.168.1.100.csv").write_text(HEADER + rows)
    ran = over(home, house, "old")
    assert ran.code == 0, ran.err
    assert "brought in 2 rows, 2016-09-04 to 2016-09-04\n" in ran.out
    assert f"{TOTAL}: 1 hours from 2016-09-04 14:00 UTC to 2026-11-24 13:00 UTC, 1 written\n" in ran.out
    assert house.rows[1472997600][1] == 700 / 1e9
