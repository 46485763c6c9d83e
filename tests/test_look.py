"""Summaries and pictures from the command line, beside a daemon and without one."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.archive.house import ArchivedHouse, tree
from tests.processes import COMMAND, Dalla, Ran, Router, clean
from tests.usage.house import IP2, LAPTOP, PHONE, row

GB = 10**9
CONFIG = """\
site: home
tariff: {timezone: UTC, off_peak: ["00:00-06:00"]}
users:
  Alice: {devices: ["CB-BD-AB-90-2D-38"], quota: 40 GB}
  Bob: {devices: ["F8-B1-56-C1-22-11"], quota: {together: 9 GB, per: day}}
archive: {devices: logs/%Y-%m/devices, users: logs/%Y-%m/users, commune: logs/%Y-%m/total.csv}
"""
NOW = datetime.now(UTC)
TODAY, YESTERDAY = NOW.date(), NOW.date() - timedelta(days=1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A household of two, whose devices moved 3 GB and 1 GB yesterday at noon, and that is not polled just now."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    noon = datetime(YESTERDAY.year, YESTERDAY.month, YESTERDAY.day, 12, tzinfo=UTC).timestamp()
    house = ArchivedHouse(tmp_path, at=noon - 3600)
    with closing(house):
        house.reads(row(0), row(0, mac=LAPTOP, ip=IP2))
        house.belongs_to(house.rules.people.given(LAPTOP, "Bob"))
        house.reads(row(3 * GB), row(GB, mac=LAPTOP, ip=IP2), after=3600)
    return tmp_path


def told(folder: Path, *words: str) -> dict[str, Any]:
    ran = Ran(folder, "summary", "--format", "json", *words)
    assert (ran.code, ran.err) == (0, "")
    summary: dict[str, Any] = json.loads(ran.out)
    return summary


def test_a_summary_is_told_without_a_daemon_and_changes_nothing(home: Path) -> None:
    before = tree(home)
    ran = Ran(home, "summary", "--period", str(YESTERDAY))
    assert (ran.code, ran.err) == (0, "")
    rows = [re.split(r" {2,}", line.strip()) for line in ran.out.splitlines()]
    assert [row for row in rows if len(row) > 3] == [
        ["On-peak", "Off-peak", "Total", "Share"],
        ["Alice", "3.00 GB", "0", "B", "3.00 GB", "75.0 %"],
        [PHONE.colons, "3.00 GB", "0", "B", "3.00 GB"],
        ["Bob", "1.00 GB", "0", "B", "1.00 GB", "25.0 %"],
        [LAPTOP.colons, "1.00 GB", "0", "B", "1.00 GB"],
        ["Total", "4.00 GB", "0", "B", "4.00 GB"],
    ]
    after = tree(home)
    assert {name: content for name, content in after.items() if "state.db-" not in name} == before


def test_words_and_dates_mean_the_same_days(home: Path) -> None:
    yesterday = told(home, "--period", "yesterday")
    assert yesterday == told(home, "--period", f"{YESTERDAY}..{YESTERDAY}")
    assert yesterday["total"]["total"] == 4 * GB
    assert told(home, "--period", f"{YESTERDAY}..{TODAY}")["total"]["total"] == 4 * GB
    assert told(home)["period"] == told(home, "--period", f"{TODAY:%Y-%m}")["period"]
    assert told(home, "--period", "1999-12")["recorded"] is None


def test_quotas_are_told_where_the_time_that_is_asked_for_holds_today(home: Path) -> None:
    today = told(home, "--period", f"{YESTERDAY}..{TODAY}")
    assert [(quota["name"], quota["limit"]) for quota in today["quotas"]] == [("Alice", 40 * GB), ("Bob", 9 * GB)]
    assert told(home, "--period", "yesterday")["quotas"] == []
    out = Ran(home, "summary", "--period", "today").out
    assert "Alice has used" in out


def test_csv_and_html_are_written_in_utf_8_whatever_the_terminal_takes(home: Path) -> None:
    (home / "config.yaml").write_text(CONFIG.replace("  Bob:", "  Zoë 手: {}\n  Bob:"), "utf-8")
    for form in ("csv", "html", "json"):
        command = [*COMMAND, "summary", "--format", form]
        environment = clean({"PYTHONIOENCODING": "ascii"})
        ran = subprocess.run(command, cwd=home, env=environment, capture_output=True, check=True)
        assert "Zoë 手" in ran.stdout.decode("utf-8")
    rows = list(csv.reader(Ran(home, "summary", "--format", "csv").out.splitlines(), skipinitialspace=True))
    assert rows[0][:6] == ["Period", "Kind", "Name", "On-Peak", "Off-Peak", "Total"]
    text = subprocess.run(
        [*COMMAND, "summary"], cwd=home, env=clean({"PYTHONIOENCODING": "ascii"}), capture_output=True, check=True
    )
    assert b"Zo\\xeb \\u624b" in text.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--period", "tomorrow"), "--period: expected this, last, today"),
        (("--period", "2026-11-30..2026-11-01"), "--period: 2026-11-30 is after 2026-11-01"),
        (("--format", "pdf"), "argument --format: invalid choice: 'pdf'"),
    ],
)
def test_what_is_asked_for_wrongly_is_told(home: Path, words: tuple[str, ...], told: str) -> None:
    assert told in Ran(home, "summary", *words).complaint


@pytest.mark.parametrize("words", [("summary",), ("plot", "--total", "-o", "x.svg")])
def test_where_nothing_was_ever_recorded_that_is_told_and_nothing_made(tmp_path: Path, words: tuple[str, ...]) -> None:
    ran = Ran(tmp_path, *words)
    assert (ran.code, ran.out) == (1, "")
    assert "state.db: there is no such state file: nothing is on record before `dalla-mqtt run`" in ran.err
    assert not [*tmp_path.iterdir()]


def test_a_state_file_that_was_never_polled_for_tells_of_nothing(home: Path) -> None:
    (home / "state.db").unlink()
    with closing(ArchivedHouse(home)):
        pass
    assert "Nothing is on record yet." in Ran(home, "summary").out
    assert told(home)["at"] is None
    ran = Ran(home, "plot", "--total", "-o", "x.svg")
    assert (ran.code, ran.err) == (1, "dalla-mqtt: nothing is on record of those days, so there is nothing to draw\n")


def test_a_damaged_state_file_is_told_in_a_line(home: Path) -> None:
    (home / "state.db").write_bytes(b"no database" * 1000)
    ran = Ran(home, "summary")
    assert (ran.code, ran.out) == (1, "")
    assert re.fullmatch(r"dalla-mqtt: state\.db: the state file cannot be used: [^\n]+\n", ran.err)


def test_beside_a_daemon_a_summary_tells_what_was_just_polled(tmp_path: Path) -> None:
    with Router("--devices", "3", "--traffic", "busy") as router:
        (tmp_path / "config.yaml").write_text(
            f'router: {{url: "{router.url}", password: admin, interval: 1s}}\n'
            "mqtt: {url: off}\nweb: {listen: off}\ntariff: {timezone: UTC}\n"
        )
        with Dalla(tmp_path) as dalla:
            dalla.polls_again(2)
            first = told(tmp_path)
            dalla.polls_again(2)
            second = told(tmp_path)
            assert dalla.terminate() == 0
    assert second["total"]["total"] > first["total"]["total"] > 0
    for summary in (first, second):
        assert sum(user["total"] for user in summary["users"]) == summary["total"]["total"]
        (unknown,) = summary["users"]
        assert sum(device["total"] for device in unknown["devices"]) == unknown["total"]


def test_who_reads_only_the_beginning_hears_no_complaint(home: Path) -> None:
    command = f"{sys.executable} -m dalla_mqtt summary --format json | head -c 1"
    ran = subprocess.run(["sh", "-c", command], cwd=home, env=clean(), capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("{", "")
    closed = subprocess.Popen(
        [*COMMAND, "summary"], cwd=home, env=clean(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert closed.stdout is not None
    closed.stdout.close()
    assert (closed.wait(20), closed.stderr.read() if closed.stderr else b"") == (0, b"")
    if closed.stderr:
        closed.stderr.close()


@pytest.mark.parametrize(("columns", "widest"), [(80, 80), (60, 80), (100, 100)])
def test_a_table_fits_the_terminal_down_to_80_columns(home: Path, columns: int, widest: int) -> None:
    (home / "config.yaml").write_text(CONFIG.replace("Alice:", f"{'A' * 60}:"), "utf-8")
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = clean()
    environment.pop("COLUMNS", None)
    ran = subprocess.Popen([*COMMAND, "summary"], cwd=home, env=environment, stdin=theirs, stdout=theirs)
    os.close(theirs)
    shown = b"".join(_read(ours)).decode()
    assert ran.wait(20) == 0
    widths = [len(line) for line in shown.replace("\r", "").split("\n")]
    assert max(widths) <= widest
    assert "…" in shown or columns == 100


def _read(file: int) -> Iterator[bytes]:
    try:
        while block := os.read(file, 4096):
            yield block
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(file)


def heights(svg: Path) -> int:
    return sum(1 for node in ET.parse(svg).iter("{http://www.w3.org/2000/svg}path"))  # noqa: S314  # our own


@pytest.mark.parametrize(
    "whose", [("--total",), ("--user", "Bob"), ("--device", PHONE.colons), ("--device", PHONE.dashed.lower())]
)
def test_a_picture_is_drawn_of_the_total_a_user_or_a_device(home: Path, whose: tuple[str, ...]) -> None:
    pytest.importorskip("matplotlib")
    (home / "out.svg").write_text("what was there before")
    ran = Ran(home, "plot", *whose, "--from", str(YESTERDAY), "-o", "out.svg")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    told = (home / "out.svg").read_text("utf-8")
    assert "Delta per hour" in told
    assert ">home: " in told
    assert heights(home / "out.svg") > 10


def test_without_csv_files_or_for_longer_times_days_are_drawn(home: Path) -> None:
    pytest.importorskip("matplotlib")
    (home / "config.yaml").write_text(CONFIG.replace("archive: {", "archive: {enabled: false, "))
    assert Ran(home, "plot", "--total", "--from", str(YESTERDAY), "-o", "out.svg").code == 0
    assert "Delta per day" in (home / "out.svg").read_text("utf-8")
    assert Ran(home, "plot", "--total", "--from", "2020-01-01", "--to", str(TODAY), "-o", "OUT.PNG").code == 0
    assert (home / "OUT.PNG").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--total",), "-o/--output"),
        (("-o", "x.svg"), "one of the arguments --total --user --device is required"),
        (("--total", "--user", "Bob", "-o", "x.svg"), "not allowed with argument"),
        (("--total", "-o", "x.pdf"), "--output: expected FILE.png or FILE.svg, not x.pdf"),
        (("--user", "Eve", "-o", "x.svg"), "--user: there is no user Eve; there are Alice, Bob, UNKNOWN"),
        (("--device", "tv", "-o", "x.svg"), "--device: there is no device tv"),
        (("--total", "--from", "x", "-o", "x.svg"), "--from: expected a day such as 2026-11-24, not 'x'"),
        (("--total", "--from", "2026-11-02", "--to", "2026-11-01", "-o", "x.svg"), "2026-11-02 is after 2026-11-01"),
    ],
)
def test_a_picture_that_cannot_be_meant_is_told(home: Path, words: tuple[str, ...], told: str) -> None:
    assert told in Ran(home, "plot", *words).complaint
    assert not [*home.glob("x.*")]


def test_a_picture_that_cannot_be_written_is_told(home: Path) -> None:
    pytest.importorskip("matplotlib")
    complaint = Ran(home, "plot", "--total", "--from", str(YESTERDAY), "-o", "nowhere/x.svg").complaint
    assert complaint == "--output: cannot write nowhere/x.svg: No such file or directory"


def test_a_device_that_shares_its_name_is_named_by_its_mac(home: Path) -> None:
    house = ArchivedHouse(home, at=NOW.timestamp())
    with closing(house):
        house.ledger = house.store.load()
        devices = {mac: replace(device, name="phone") for mac, device in house.ledger.devices.items()}
        house.store.save(replace(house.ledger, devices=devices, shares=()), {})
    assert Ran(home, "plot", "--device", "phone", "-o", "x.svg").complaint == (
        f"--device: name one of them: {PHONE.colons}, {LAPTOP.colons}"
    )
