"""What is wrong with this machine is told with its mend."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dalla_mqtt.config import load
from dalla_mqtt.doctor.machine import examine_machine
from tests.doctor.house import SETTINGS, diagnose
from tests.processes import Dalla, Ran

NAMESPACES = (
    "-m" if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0 else "-rm"
)


def changed(script: str) -> tuple[str, ...]:
    """What stands before a command that sees other disks than everybody else, as `script` has mounted them."""
    return ("unshare", NAMESPACES, "sh", "-ec", f'{script}; cd "$PWD"; exec "$@"', "sh")


def small_disk(size: str, then: str = "true") -> tuple[str, ...]:
    return changed(f'mount -t tmpfs -o size={size} disk "$PWD"; cd "$PWD"; {then}')


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_all_is_well_in_an_empty_folder_and_nothing_is_left_there(tmp_path: Path) -> None:
    _, doctor = diagnose(tmp_path)
    assert doctor.about("settings") == ("ok", "no config.yaml here: defaults, DALLA_… variables and flags")
    assert doctor.about("CSV files")[0] == "ok"
    assert doctor.about("state") == ("ok", "state.db can be made")
    assert doctor.about("disk space")[0] == "ok"
    verdict, text = doctor.about("time zone")
    assert (verdict, text.startswith("Europe/Berlin, where it is ")) == ("ok", True)
    verdict, text = doctor.about("users")
    assert (verdict, "lines such as `Alice, CB:BD:AB:90:2D:38` into user-map.csv" in text) == ("hint", True)
    assert files(tmp_path) == []


def test_the_file_of_the_settings_and_its_warnings_are_told(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("router: {interval: 10m}\n")
    _, doctor = diagnose(tmp_path)
    told = [(verdict, text) for verdict, about, text in doctor.all if about == "settings"]
    assert told[0] == ("ok", "config.yaml is read")
    assert told[1][0] == "hint"
    assert told[1][1].startswith("router.interval is above 300 s -> at 100 Mbit/s a 32-bit counter wraps")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ruoter: {}\n", "config.yaml line 1: ruoter: there is no such setting; did you mean router?"),
        ("router: {password_file: none}\n", "config.yaml line 1: router.password_file: cannot read none: No such file"),
    ],
)
def test_settings_that_are_wrong_end_it_with_exit_code_2(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert Ran(tmp_path, "doctor", "--report", "report").complaint.startswith(told)
    assert files(tmp_path) == ["config.yaml"]


def test_a_clock_that_cannot_be_right_is_told(tmp_path: Path) -> None:
    config = load(None, SETTINGS, {"state": str(tmp_path / "state.db")})
    (told,) = [found for found in examine_machine(config, None, "UTC", 1_000_000.0) if found.about == "clock"]
    assert (told.verdict, told.text) == ("wrong", "it says 1970-01-12 13:46 UTC, which cannot be")
    assert "timedatectl set-ntp true" in told.mend


@pytest.mark.parametrize(
    ("answer", "verdict", "text"),
    [("yes", "ok", ", kept right over the network"), ("no", "hint", "timedatectl set-ntp true"), ("", "ok", "UTC")],
)
def test_whether_the_network_keeps_the_clock_right_is_told_where_it_is_known(
    tmp_path: Path, answer: str, verdict: str, text: str
) -> None:
    timedatectl = tmp_path / "bin/timedatectl"
    timedatectl.parent.mkdir()
    timedatectl.write_text(f"#!/bin/sh\necho {answer}\n")
    timedatectl.chmod(0o755)
    _, doctor = diagnose(tmp_path, PATH=f"{timedatectl.parent}:/usr/bin:/bin")
    told = doctor.about("clock")
    assert (told[0], text in told[1]) == (verdict, True)


def test_a_time_zone_that_nobody_has_chosen_is_told(tmp_path: Path) -> None:
    utc = changed("unset TZ; mount --bind /usr/share/zoneinfo/UTC /etc/localtime || true")
    _, doctor = diagnose(tmp_path, before=utc, DALLA_TARIFF_TIMEZONE="")
    verdict, text = doctor.about("time zone")
    assert (verdict, "set tariff.timezone in config.yaml, such as Europe/Berlin" in text) == ("hint", True)
    _, doctor = diagnose(tmp_path, DALLA_TARIFF_TIMEZONE="", TZ="Africa/Johannesburg")
    assert doctor.about("time zone")[1].startswith("Africa/Johannesburg, where it is ")


def test_a_folder_that_can_only_be_read_is_named(tmp_path: Path) -> None:
    code, doctor = diagnose(tmp_path, before=small_disk("200m", 'mount -o remount,ro "$PWD"'))
    assert code == 1
    (told,) = [(verdict, text) for verdict, about, text in doctor.all if about == "CSV files"]
    assert told[0] == "wrong"
    assert "/devices cannot be written: that disk can only be read -> make it writable, or name another" in told[1]
    assert doctor.about("state")[0] == "wrong"


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("")
    _, doctor = diagnose(tmp_path)
    verdict, text = doctor.about("CSV files")
    assert (verdict, "a file is in the place of a folder -> move it away" in text) == ("wrong", True)


def test_a_full_disk_is_told_with_the_way_to_make_room(tmp_path: Path) -> None:
    full = small_disk("64k", "head -c 1m /dev/zero > filler || true")
    code, doctor = diagnose(tmp_path, before=full)
    assert code == 1
    for about in ("CSV files", "state"):
        verdict, text = doctor.about(about)
        assert (verdict, "the disk is full -> free some space; `dalla-mqtt purge" in text) == ("wrong", True)
    verdict, text = doctor.about("disk space")
    assert (verdict, text.startswith("only 0 MB are free -> free some space")) == ("wrong", True)


def test_a_disk_with_no_room_for_a_year_is_told(tmp_path: Path) -> None:
    _, doctor = diagnose(tmp_path, before=small_disk("300m"), DALLA_ROUTER_INTERVAL="1s")
    verdict, text = doctor.about("disk space")
    assert verdict == "hint"
    assert text.startswith("315 MB are free; the CSV files take 18.9 GB in 365 days, roughly -> poll more rarely")
    _, doctor = diagnose(tmp_path, before=small_disk("300m"), DALLA_ROUTER_INTERVAL="1s", DALLA_ARCHIVE_KEEP="1d")
    assert doctor.about("disk space")[0] == "ok"


def test_a_state_file_in_the_hands_of_a_daemon_is_fine(tmp_path: Path) -> None:
    with Dalla(tmp_path, "run", environment=SETTINGS) as dalla:
        dalla.says(" ERROR ")
        _, doctor = diagnose(tmp_path)
        verdict, text = doctor.about("state")
        assert (verdict, "is in the hands of a dalla-mqtt that runs, which is fine" in text) == ("ok", True)
        assert dalla.terminate() == 0
    _, doctor = diagnose(tmp_path)
    assert doctor.about("state") == ("ok", "state.db can be written")


def test_a_user_map_is_counted(tmp_path: Path) -> None:
    (tmp_path / "user-map.csv").write_text("Name, MAC\nAlice, CB:BD:AB:90:2D:38\nAlice, CB:BD:AB:90:2D:39\nBob,\n")
    _, doctor = diagnose(tmp_path)
    told = "user-map.csv has 4 lines: 2 users, 2 devices; without a device: Bob"
    assert doctor.about("users") == ("ok", told)


def test_without_csv_files_and_without_a_broker_that_is_told(tmp_path: Path) -> None:
    _, doctor = diagnose(tmp_path, "--realtime-only")
    assert doctor.about("CSV files") == ("ok", "none are written: archive.enabled is false")
    assert doctor.about("broker") == ("ok", "none: mqtt.url is off")
