"""Who used what is for the eyes of the one user that it runs as: every file that is made, even without a umask."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Dalla, Ran, Router, free_port, wait_until

CONFIG = """\
router: {{url: "{router}", password: admin, interval: 1s, timeout: 1s}}
mqtt: {{url: off}}
users: {{Alice: {{hostnames: ["*"]}}}}
tariff: {{timezone: UTC}}
"""
OLD_LOG = "Time, Total Bytes, Delta, On-Peak, Off-Peak\n1477226416, 1620964, 5120, 1620964, 0\n"


@pytest.fixture
def loose() -> Iterator[None]:
    """What is made is open to all others, where nobody sees to it."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    with Router("--devices", "3", "--traffic", "busy") as made:
        yield made


def count(folder: Path, router: Router) -> None:
    """Run a daemon there for a few polls, and end it as a power cut would."""
    (folder / "config.yaml").write_text(CONFIG.format(router=router.url))
    (folder / "config.yaml").chmod(0o600)
    with Dalla(folder, "run") as dalla:
        dalla.polls_again()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def modes(folder: Path) -> dict[str, int]:
    """Of all that is below `folder`."""
    return {str(path.relative_to(folder)): mode(path) for path in folder.rglob("*")}


@pytest.mark.usefixtures("loose")
def test_what_any_command_makes_is_for_its_owner_alone(tmp_path: Path, router: Router) -> None:
    old = tmp_path / "old"
    (old / "devices").mkdir(parents=True)
    (old / "devices" / "CB-BD-AB-90-2D-38_192.168.1.100.csv").write_text(OLD_LOG)
    home = tmp_path / "home"
    home.mkdir()
    count(home, router)
    assert (home / "state.db-wal").exists()
    assert Ran(home, "import", str(old)).code == 0
    assert Ran(home, "purge", "--older-than", "1d").code == 0
    assert Ran(home, "plot", "--total", "-o", "usage.svg").code == 0
    nobody = {"DALLA_ROUTER_URL": f"http://127.0.0.1:{free_port()}"}  # who is quick to say so
    assert Ran(home, "doctor", "--report", "report.txt", environment=nobody).code == 1
    (home / "state.db").write_bytes(b"nonsense" * 999)
    count(home, router)
    made = modes(home)
    for one in ("state.db", "state.db.damaged-1", "state.db.lock", "usage.svg", "report.txt"):
        assert one in made
    assert any(name.endswith("summary.csv") for name in made)
    assert {name: oct(is_) for name, is_ in made.items() if is_ not in (0o600, 0o700)} == {}
    assert all((is_ == 0o700) == (home / name).is_dir() for name, is_ in made.items())


@pytest.mark.usefixtures("loose")
def test_files_that_are_there_keep_what_others_may_do_with_them(tmp_path: Path, router: Router) -> None:
    shared = tmp_path / "logs"
    shared.mkdir(mode=0o755)
    shared.chmod(0o755)
    for name in ("user-map.csv", "picture.svg"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    count(tmp_path, router)
    (total,) = shared.glob("*/total.csv")
    total.chmod(0o640)
    with Dalla(tmp_path, "run") as dalla:
        dalla.polls_again()
    assert Ran(tmp_path, "plot", "--total", "-o", "picture.svg").code == 0
    assert (mode(shared), mode(total), mode(tmp_path / "picture.svg")) == (0o755, 0o640, 0o644)


@pytest.mark.usefixtures("loose")
def test_who_is_named_in_the_acl_of_the_folder_may_read_the_csv_files(tmp_path: Path, router: Router) -> None:
    """As `setfacl -m u:12345:rX -m d:u:12345:rX logs` says it: what is made in there later is for that user, too."""
    logs = tmp_path / "logs"
    logs.mkdir(0o700)
    reader, nobody = 12345, 0xFFFFFFFF
    entries = ((1, 7, nobody), (2, 5, reader), (4, 0, nobody), (16, 5, nobody), (32, 0, nobody))  # acl(5)
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(logs, "system.posix_acl_default", acl)
    except OSError:
        pytest.skip("this file system has no access control lists")
    count(tmp_path, router)
    (total,) = logs.glob("*/total.csv")
    rights = os.getxattr(total, "system.posix_acl_access")
    found = {tag: perm for tag, perm, _ in struct.iter_unpack("<HHI", rights[4:])}
    assert found[2] & found[16] & 4, "the reader may read it"
    assert found[32] == 0, "others may not"


def test_the_demonstration_shows_nobody_its_folder(tmp_path: Path) -> None:
    with Dalla(tmp_path, "demo", "--mqtt-port", "0", "--web-port", "0", environment={"TMPDIR": str(tmp_path)}) as demo:
        (folder,) = wait_until(lambda: list(tmp_path.glob("dalla-demo-*")), "its folder")
        wait_until(lambda: list(folder.glob("logs/*.csv")), "its files")
        assert mode(folder) == 0o700
        assert {is_ for name, is_ in modes(folder).items() if (folder / name).is_file()} == {0o600}
        assert demo.terminate() == 0
