"""Purging and importing from the command line, beside a daemon and without one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.processes import Dalla, Ran, Router, wait_until

PHONE = "CB-BD-AB-90-2D-38"
HEADER = "Time, Total Bytes, Delta, On-Peak, Off-Peak\n"
CONFIG = """\
router: {{url: "{url}", password: admin, interval: 1s}}
mqtt: {{url: off}}
tariff: {{timezone: UTC}}
users: {{Alice: {{devices: ["{phone}"]}}}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a configuration that names no password, and with logs of dalla-stats in `old`."""
    (tmp_path / "config.yaml").write_text("users: {Alice: {devices: [CB-BD-AB-90-2D-38]}}\ntariff: {timezone: UTC}\n")
    devices, users = tmp_path / "old/logs/2016-9/devices", tmp_path / "old/logs/2016-9/users"
    devices.mkdir(parents=True)
    users.mkdir()
    rows = "1473000000, 1000, 0, 0, 0\n1473000060, 1700, 700, 700, 0\n1473000120, what?\n"
    (devices / f"{PHONE}_192.168.1.100.csv").write_text(HEADER + rows)
    (users / "Alice.csv").write_text(f"{HEADER}1473000000, 1000, 0, 0, 0\n1473000060, 2700, 1700, 1700, 0\n")
    return tmp_path


def test_an_import_says_file_by_file_what_it_took_and_what_not(home: Path) -> None:
    ran = Ran(home, "import", "old")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [
        f"logs/2016-9/devices/{PHONE}_192.168.1.100.csv: device, 2 rows, 2016-09-04 to 2016-09-04, 1 lines left out",
        f"  logs/2016-9/devices/{PHONE}_192.168.1.100.csv:4: has 2 fields instead of 5: torn, or not a row",
        "logs/2016-9/users/Alice.csv: user, 2 rows, 2016-09-04 to 2016-09-04",
        "logs/2016-9/users/Alice.csv: dalla-stats charged 1700 bytes; by the counters of its devices it is 700",
        "brought in 2 rows, 2016-09-04 to 2016-09-04",
        "  Alice: 0.000 GB",
        "  total: 0.000 GB",
    ]
    total = home / "logs/2016-09/total.csv"
    assert total.read_text() == f"{HEADER}1473000000, 1000, 0, 0, 0\n1473000060, 1700, 700, 700, 0\n"
    again = Ran(home, "import", "old")
    assert again.out.splitlines()[-2:] == [
        "brought in 0 rows",
        "left out 2 rows of times that are counted here already",
    ]


def test_an_import_goes_on_from_our_own_files_where_the_state_is_lost(home: Path) -> None:
    Ran(home, "import", "old")
    (home / "state.db").unlink()
    ran = Ran(home, "import", "old")
    assert ran.out.startswith("there is no state of before: it is made again from 4 CSV files, up to 2016-09-04")
    assert ran.out.endswith("left out 2 rows of times that are counted here already\n")


@pytest.mark.parametrize(
    ("folder", "code", "told"),
    [
        ("nowhere", 1, "nowhere is not a folder: name the one in which dalla-stats wrote its logs"),
        ("empty", 2, "empty holds no CSV files"),
        ("logs", 2, "_192.168.1.100.csv is where dalla-mqtt writes its own logs"),
    ],
)
def test_a_folder_that_cannot_be_imported_is_named(home: Path, folder: str, code: int, told: str) -> None:
    Ran(home, "import", "old")
    (home / "empty").mkdir()
    ran = Ran(home, "import", folder)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err


def test_an_import_beside_a_daemon_is_turned_away(home: Path) -> None:
    (home / "config.yaml").write_text(CONFIG.format(url="http://127.0.0.1:9", phone=PHONE))
    with Dalla(home) as dalla:
        dalla.says("ERROR")
        ran = Ran(home, "import", "old")
    assert ran.code == 4
    assert "another dalla-mqtt works with this state file" in ran.err


def test_a_purge_says_what_it_would_do_and_does_it(home: Path) -> None:
    Ran(home, "import", "old")
    (home / "old/logs/2016-9/devices" / f"{PHONE}_192.168.1.100.csv").write_text(
        f"{HEADER}1483000000, 9000, 0, 0, 0\n1483000060, 9400, 400, 400, 0\n"
    )
    Ran(home, "import", "old")
    before = sorted(home.glob("logs/**/*.csv"))
    assert len(before) == 8
    dry = Ran(home, "purge", "--older-than", "1000d", "--dry-run")
    assert (dry.code, sorted(home.glob("logs/**/*.csv"))) == (0, before)
    assert "logs/2016-09/total.csv would be deleted" in dry.out
    assert "logs/2016-12/total.csv would be shortened to its last row" in dry.out
    done = Ran(home, "purge", "--older-than", "1000d")
    assert (done.code, done.out) == (0, dry.out.replace("would be ", ""))
    summary = (home / "logs/2016-09/summary.csv").read_text().splitlines()
    assert summary == [
        "Period, Kind, Name, On-Peak, Off-Peak, Total",
        "2016-09-01, total, total, 700, 0, 700",
        "2016-09-01, user, Alice, 700, 0, 700",
        f"2016-09-01, device, {PHONE}, 700, 0, 700",
    ]
    assert (home / "logs/2016-12/total.csv").read_text() == f"{HEADER}1483000060, 9400, 400, 400, 0\n"
    assert Ran(home, "purge", "--older-than", "1000d").out.startswith("0 files with rows from before ")


def test_a_purge_asks_how_old_and_takes_it_from_the_configuration(home: Path) -> None:
    assert "archive.keep is forever: say how old" in Ran(home, "purge").complaint
    assert "expected a day or more" in Ran(home, "purge", "--older-than", "5h").complaint
    assert "expected a time such as 400d" in Ran(home, "purge", "--older-than", "long").complaint
    (home / "config.yaml").write_text("archive: {keep: 400d}\n")
    Ran(home, "import", "old")
    assert "logs/2016-09/total.csv shortened to its last row" in Ran(home, "purge").out
    (home / "config.yaml").write_text("archive: {enabled: false}\n")
    assert "archive.enabled is false" in Ran(home, "purge").complaint


def test_a_purge_beside_a_daemon_harms_neither(home: Path) -> None:
    Ran(home, "import", "old")
    with Router("--devices", "3", "--traffic", "busy") as router:
        (home / "config.yaml").write_text(CONFIG.format(url=router.url, phone=PHONE))
        with Dalla(home) as dalla:
            dalla.polls_again(2)
            ran = Ran(home, "purge", "--older-than", "400d")
            assert (ran.code, "logs/2016-09/total.csv deleted" in ran.out) == (0, True)
            dalla.polls_again(2)
            assert dalla.terminate() == 0
    assert not (home / "logs/2016-09/total.csv").exists()
    this_month = home / "logs" / datetime.now(UTC).strftime("%Y-%m") / "total.csv"
    assert len(this_month.read_text().splitlines()) >= 5


def test_a_daemon_purges_by_itself(home: Path) -> None:
    Ran(home, "import", "old")
    with Router("--devices", "3", "--traffic", "busy") as router:
        (home / "config.yaml").write_text(CONFIG.format(url=router.url, phone=PHONE) + "archive: {keep: 400d}\n")
        with Dalla(home) as dalla:  # from 2016 to now is a leap, after which it waits
            dalla.polls_again(1)
            assert "purged" not in dalla.output
        with Dalla(home) as dalla:
            dalla.says("purged old rows from")
            wait_until((home / "logs/2016-09/summary.csv").exists, "the summary")
