"""Several sites are looked at one after another, each with what belongs to it, or one of them alone."""

from __future__ import annotations

import re
from pathlib import Path

from tests.doctor.house import NOWHERE, Doctor, diagnose
from tests.processes import CANARY, Router


def write(folder: Path, attic: str = NOWHERE) -> None:
    text = f"""
sites:
  canary-home: {{users: {{Canary Alice: {{devices: ["02:00:00:00:00:77"]}}}}}}
  canary-attic: {{router: {{url: "{attic}", password: "{CANARY}"}}}}
"""
    (folder / "config.yaml").write_text(text, "utf-8")
    (folder / "config.yaml").chmod(0o600)


def of_each(doctor: Doctor) -> dict[str, str]:
    """What was said below the heading of each site."""
    _, *parts = re.split(r"^Site (\S+)$", doctor.output, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_each_site_has_a_heading_and_the_worst_of_them_decides_the_exit_code(tmp_path: Path) -> None:
    with Router("--firmware", "wrong_cookie=401") as router:  # whose password is another one
        write(tmp_path, router.url)
        code, doctor = diagnose(tmp_path, "--report", "report.txt")
    assert code == 3
    home, attic = (of_each(doctor)[name] for name in ("canary-home", "canary-attic"))
    assert "canary-home/state.db can be made" in home
    assert "canary-attic/state.db can be made" in attic
    assert "1 user, 1 device" in home
    assert "nobody has a device" in attic
    assert re.search("^wrong  router ", home, re.MULTILINE)
    assert "2 things to mend" in attic.splitlines()[-2]
    report = (tmp_path / "report.txt").read_text("utf-8")
    assert [line for line in report.splitlines() if line.startswith("Site ")] == ["Site 1 of 2", "Site 2 of 2"]
    assert report.count("dalla-mqtt doctor, ") == 1
    assert not re.search(f"(?i)canary|{CANARY}", report), report


def test_one_site_is_looked_at_alone(tmp_path: Path) -> None:
    write(tmp_path)
    code, doctor = diagnose(tmp_path, "--site", "canary-attic")
    assert code == 1
    assert of_each(doctor) == {}
    assert "canary-attic/state.db" in doctor.output
    assert "canary-home" not in doctor.output


def test_sites_that_are_in_each_others_way_are_told(tmp_path: Path) -> None:
    write(tmp_path)
    code, doctor = diagnose(tmp_path, DALLA_STATE="/var/state.db")
    assert code == 2
    assert "canary-home and canary-attic would both write to /var/state.db" in doctor.output
