"""Which files are ours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.archive.layout import Layout, device_file, named, safe, user_file
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.usage.ledger import TOTAL, Key
from dalla_mqtt.usage.people import check_name
from dalla_mqtt.usage.tariff import Tariff

AT = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
MAC = "CB-BD-AB-90-2D-38"
DEVICE_FILE = device_file(MAC, "192.168.1.100")
NAMES = ["Alice", "../x", "=1+1", "Alice, Bob", 'Bob "the" Bob', "Zoë 漢", "50%", "a.", "CON", "-", "%41"]


def layout(folder: Path, where: str = "%Y-%m") -> Layout:
    at = f"{folder}/{where}"
    return Layout(ArchiveConfig(f"{at}/devices", f"{at}/users", f"{at}/total.csv"), Tariff())


def touch(*files: str | Path) -> None:
    for file in map(Path, files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")


def write_ours(ours: Layout, at: float = AT) -> set[str]:
    files = [f"{ours.devices(at)}/{DEVICE_FILE}", f"{ours.users(at)}/Alice.csv", ours.commune(at)]
    touch(*files)
    return set(files)


def found(ours: Layout) -> set[str]:
    return {str(file.path) for file in ours.files()}


@given(st.text(min_size=1, max_size=60))
def test_every_users_name_can_be_read_from_the_name_of_the_file(name: str) -> None:
    assert named(safe(name)) == name


def test_each_file_tells_whose_it_is(tmp_path: Path) -> None:
    ours = layout(tmp_path)
    write_ours(ours)
    touch(*(f"{ours.users(AT)}/{user_file(name)}" for name in NAMES))
    of = {file.path.name: (file.key, file.ip) for file in ours.files()}
    assert of.pop("total.csv") == (TOTAL, None)
    assert of.pop(DEVICE_FILE) == (Key("device", MAC), "192.168.1.100")
    assert {key.name for key, _ in of.values()} == set(NAMES)
    assert {(key.kind, ip) for key, ip in of.values()} == {("user", None)}


@pytest.mark.parametrize(
    "where",
    [
        "%Y-%m",
        "%Y/%m/%d",
        "%F",
        "%D",
        "%y-%-m-%-d",
        "%B %Y",
        "%b-%Y %A",
        "%G-W%V",
        "%Y-%j",
        "100%% %Y",
        "%s",
        "%c",
        "%Y *[x]",
        "%F %T",
        "plain",
        "all/%d",
    ],
)
def test_whatever_the_paths_are_made_of_our_files_are_found(tmp_path: Path, where: str) -> None:
    ours = layout(tmp_path, where)
    written: set[str] = set()
    for day in range(0, 400, 13):
        written |= write_ours(ours, AT + timedelta(days=day).total_seconds())
    assert found(ours) == written


def test_copies_of_our_files_and_files_of_others_are_not_ours(tmp_path: Path) -> None:
    ours = layout(tmp_path, "logs/%Y-%m")
    written = write_ours(ours)
    month = tmp_path / "logs" / "2026-01"
    for folder in ("logs/backup-2026", "logs/2026-01 copy", "logs/2026-1", "logs/2026-01/old", "2026-01", "logs"):
        write_ours(layout(tmp_path, folder))
    touch(
        month / "devices" / f"{DEVICE_FILE}.bak",
        month / "devices" / f"copy of {DEVICE_FILE}",
        month / "devices" / f"{DEVICE_FILE}.new",
        month / "users" / "Alice.csv.gz",
        month / "users" / DEVICE_FILE,
        month / "users" / ".hidden.csv",
        month / "users" / "=1+1.csv",
        month / "users" / f"{'x' * 61}.csv",
        month / "users" / " .csv",
        Path(str(month / "users" / "caf\udce9.csv")),
        month / "summary.csv",
        month / "other.csv",
    )
    (month / "users" / "folder.csv").mkdir()
    assert found(ours) == written


def test_names_of_months_and_days_are_names_of_months_and_days(tmp_path: Path) -> None:
    ours = layout(tmp_path, "%B/%a")
    written = write_ours(ours)
    write_ours(layout(tmp_path, "Backup/Sat"))
    write_ours(layout(tmp_path, "January/Caturday"))
    assert found(ours) == written


def test_a_star_in_a_path_is_a_star(tmp_path: Path) -> None:
    ours = layout(tmp_path, "my*logs")
    written = write_ours(ours)
    write_ours(layout(tmp_path, "my other logs"))
    assert found(ours) == written


def test_total_and_summary_among_the_users_are_no_users(tmp_path: Path) -> None:
    ours = Layout(ArchiveConfig(str(tmp_path), str(tmp_path), f"{tmp_path}/total.csv"), Tariff())
    touch(tmp_path / "total.csv", tmp_path / "summary.csv", tmp_path / "Bob.csv", tmp_path / DEVICE_FILE)
    keys = [file.key for file in ours.files()]
    assert keys == [TOTAL, Key("device", MAC), Key("user", "Bob")]
    assert ours.summaries() == [tmp_path / "summary.csv"]


@pytest.mark.parametrize(
    ("where", "rotates", "folders"),
    [
        ("%Y-%m", True, 2),
        ("a/%Y/%m/b", True, 4),
        ("%m/%Y", True, 2),
        ("%F", True, 2),
        ("%-y", True, 2),
        ("%m", False, 0),
        ("%d", False, 0),
        ("%%Y", False, 0),
        ("plain", False, 0),
    ],
)
def test_only_paths_with_a_year_are_never_written_again(
    tmp_path: Path, where: str, folders: int, *, rotates: bool
) -> None:
    ours = layout(tmp_path, where)
    write_ours(ours)
    (device,) = (file for file in ours.files() if file.key.kind == "device")
    assert (device.rotates, device.folders) == (rotates, folders)


def test_a_year_in_the_files_name_brings_no_folder_with_it(tmp_path: Path) -> None:
    ours = Layout(ArchiveConfig(f"{tmp_path}/d", f"{tmp_path}/u", f"{tmp_path}/total-%Y.csv"), Tariff())
    touch(ours.commune(AT))
    (total,) = ours.files()
    assert (total.rotates, total.folders) == (True, 0)


def test_the_summary_of_a_period_lies_beside_the_total_of_its_first_day(tmp_path: Path) -> None:
    ours = layout(tmp_path)
    assert ours.summary(date(2026, 1, 15)) == tmp_path / "2026-01" / "summary.csv"
    touch(tmp_path / "2026-01" / "summary.csv", tmp_path / "2025-12" / "summary.csv", tmp_path / "old" / "summary.csv")
    assert ours.summaries() == [tmp_path / "2025-12" / "summary.csv", tmp_path / "2026-01" / "summary.csv"]


def test_names_are_kept_whole(tmp_path: Path) -> None:
    for name in NAMES:
        assert check_name(name) == name
        assert Path(tmp_path / user_file(name)).parent == tmp_path
