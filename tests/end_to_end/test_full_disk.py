"""A disk that is full, files that vanish or cannot be written, and programs that write into them, while it counts.

The disk is a small one in memory, in a mount namespace of its own: what is done to it is seen by nobody else.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dalla_mqtt.router.simulator import Household
from tests import accounts
from tests.processes import Process, Router, wait_until

DEVICES = 4
SIZE_KB = 1024
NAMESPACES = (
    "-m" if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0 else "-rm"
)


class Home:
    """A busy router, and a folder that is a disk of its own; `run` starts the daemon there."""

    def __init__(self, where: Path, router: Router, keeper: Process) -> None:
        self.router = router
        self.folder = Path(f"/proc/{keeper.process.pid}/root{where}")  # the disk, seen from here
        user = () if NAMESPACES == "-m" else ("-U", "--preserve-credentials")
        self._enter = ("nsenter", "-t", str(keeper.process.pid), *user, "-m", "-r", "-w")
        self._where = where
        names = [(device.mac.colons, device.name) for device in Household.of(DEVICES, busy=True).devices]
        self.owners = {mac: "Alice" for mac, name in names if name.startswith("alices-")}
        accounts.write_user_map(self.folder, self.owners)

    @property
    def files(self) -> list[Path]:
        """The CSV files."""
        return accounts.files(self.folder)

    def run(self) -> Process:
        daemon = f"cd '{self._where}' && exec '{sys.executable}' -m dalla_mqtt run"
        return Process(*self._enter, "sh", "-c", daemon, environment=accounts.settings(self.router.url))

    def sh(self, script: str) -> None:
        """Do something to the disk that only its own namespace can."""
        with Process(*self._enter, "sh", "-ec", f"cd {self._where}; {script}") as shell:
            assert shell.wait() == 0, shell.output

    def fill(self) -> None:
        """Leave not a byte."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(1024))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017  # the loop has no other end

    def free(self) -> None:
        (self.folder / "filler").unlink()

    def polls_in_vain(self, times: int = 2) -> None:
        """Wait for so many more polls, stored or not: each ends with a logout."""
        before = self.router.state["logouts"]
        wait_until(lambda: self.router.state["logouts"] >= before + times, f"{times} more polls")

    def settle(self, dalla: Process) -> None:
        """Stop the traffic, let it be counted, end the daemon and compare everything with the router."""
        self.router.do("freeze")
        stores_again(dalla)
        assert dalla.terminate() == 0
        assert "Traceback" not in dalla.output
        accounts.hold_against(self.folder, self.router.state["truth"], self.owners)
        accounts.hold_records(self.folder, accounts.records(dalla.output))


def stores_again(dalla: Process, times: int = 2) -> None:
    """Wait for `times` more polls that are stored: the second of them began after this call."""
    before = len(accounts.records(dalla.output))
    wait_until(
        lambda: len(accounts.records(dalla.output)) >= before + times, f"{times} more polls stored:\n{dalla.output}"
    )


def complaints(dalla: Process) -> list[str]:
    return [line for line in dalla.lines if " ERROR " in line]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={SIZE_KB}k,mode=700 disk '{disk}' && echo mounted && exec sleep infinity"
    with (
        Process("unshare", NAMESPACES, "sh", "-ec", mount) as keeper,
        Router("--devices", str(DEVICES), "--traffic", "busy") as router,
    ):
        wait_until(lambda: keeper.output or keeper.process.poll() is not None, "a disk")
        assert keeper.output == "mounted\n", f"a disk of one's own needs user namespaces, or root: {keeper.output}"
        yield Home(disk, router, keeper)


def test_a_full_disk_is_told_once_and_everything_is_made_up_for_when_there_is_room(home: Home) -> None:
    with home.run() as dalla:
        stores_again(dalla)
        home.fill()
        wait_until(lambda: complaints(dalla), f"a complaint:\n{dalla.output}")
        home.polls_in_vain(3)
        told = complaints(dalla)
        assert len(told) == len({line.partition(" ERROR ")[2].partition(": ")[0] for line in told}), told
        assert all(".db" in line or ".csv" in line for line in told), told
        home.free()
        dalla.says("all is well again")
        home.settle(dalla)


def test_killed_on_a_full_disk_it_makes_up_for_everything_when_there_is_room(home: Home) -> None:
    with home.run() as dalla:
        stores_again(dalla)
        home.fill()
        wait_until(lambda: complaints(dalla), f"a complaint:\n{dalla.output}")
        home.polls_in_vain(1)
    with home.run() as dalla:  # while it is full
        wait_until(lambda: " ERROR " in dalla.output or "dalla-mqtt: " in dalla.output, "a complaint, or an end")
    assert "Traceback" not in dalla.output
    home.free()
    with home.run() as dalla:
        home.settle(dalla)


def test_a_disk_that_is_full_at_the_first_start_is_named_and_later_everything_is_counted(home: Home) -> None:
    home.fill()
    with home.run() as dalla:
        assert dalla.wait() == 1
        assert dalla.output.count("\n") == 1
        assert "state.db" in dalla.output
    home.free()
    with home.run() as dalla:
        stores_again(dalla)
        home.settle(dalla)


def test_log_folders_that_are_deleted_while_it_runs_are_made_anew(home: Home) -> None:
    with home.run() as dalla:
        stores_again(dalla)
        for folder in ("devices", "users"):
            shutil.rmtree(home.folder / folder)
        (home.folder / "total.csv").unlink()
        stores_again(dalla)
        home.router.do("freeze")
        stores_again(dalla)
        assert dalla.terminate() == 0
    assert complaints(dalla) == []
    accounts.hold_against(home.folder, home.router.state["truth"], home.owners, first_seen=False)


def test_rows_wait_while_a_log_folder_is_read_only_and_are_all_there_afterwards(home: Home) -> None:
    with home.run() as dalla:
        stores_again(dalla)
        home.sh("mount --bind devices devices; mount -o remount,bind,ro devices")
        stores_again(dalla, 3)
        (told,) = complaints(dalla)
        assert "cannot write" in told
        assert "Read-only file system; its rows wait" in told
        home.sh("umount devices")
        dalla.says("all is well again")
        home.settle(dalla)


def test_rows_that_a_power_cut_tore_are_completed(home: Home) -> None:
    with home.run() as dalla:
        stores_again(dalla)
        home.router.do("freeze")
        stores_again(dalla)
    for number, file in enumerate(home.files):
        row = file.read_bytes().splitlines(keepends=True)[-1]
        os.truncate(file, file.stat().st_size - len(row) + number)
    with home.run() as dalla:
        stores_again(dalla, 1)
        home.settle(dalla)


def cut_in_a_row(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 7)


def end_without_a_line_end(file: Path) -> None:
    with file.open("ab") as end:
        end.write(b"that was Alice")


def convert_to_crlf(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))


CHANGES = pytest.mark.parametrize("change", [cut_in_a_row, end_without_a_line_end, convert_to_crlf])


def hold_rows_after(home: Home, lines_before: int, told: list[accounts.Record]) -> None:
    """Every record that is told to be stored has one whole row, after the lines that another program left."""
    lines = (home.folder / "total.csv").read_bytes().splitlines()[lines_before:]
    cells = [line.split(b", ") for line in lines if line]
    assert all(len(row) == 5 for row in cells), lines
    rows = [accounts.Row(*map(int, row)) for row in cells]
    assert [(row.delta, row.usage) for row in rows] == [(record.delta, record.usage) for record in told], lines


@CHANGES
def test_what_another_program_does_to_a_file_between_two_runs_spoils_no_row_that_follows(
    home: Home, change: Callable[[Path], None]
) -> None:
    file = home.folder / "total.csv"
    with home.run() as dalla:
        stores_again(dalla)
        assert dalla.terminate() == 0
    change(file)
    lines_before = len(file.read_bytes().splitlines())
    with home.run() as dalla:
        stores_again(dalla)
        assert dalla.terminate() == 0
    hold_rows_after(home, lines_before, accounts.records(dalla.output))


@CHANGES
def test_what_another_program_does_to_a_file_while_it_runs_spoils_no_row_that_follows(
    home: Home, change: Callable[[Path], None]
) -> None:
    file = home.folder / "total.csv"
    with home.run() as dalla:
        stores_again(dalla)
        before = len(accounts.records(dalla.output))
        change(file)
        lines_before = len(file.read_bytes().splitlines())
        stores_again(dalla)
        assert dalla.terminate() == 0
    told = accounts.records(dalla.output)[before:]
    with home.run() as dalla:  # what is looked after at a start must not be there twice
        stores_again(dalla, 1)
        assert dalla.terminate() == 0
    hold_rows_after(home, lines_before, told + accounts.records(dalla.output))


def test_a_state_file_that_is_deleted_while_it_runs_costs_no_figure(home: Home) -> None:
    with home.run() as dalla:
        stores_again(dalla)
        for file in home.folder.glob("state.db*"):
            file.unlink()
        stores_again(dalla)
    with home.run() as dalla:
        home.settle(dalla)
