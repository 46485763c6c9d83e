"""The n-th write, fsync, truncation or removal fails for real, SQLite's own among them, for every n of a run.

strace makes the system call fail in the running process, where it is about one of our files.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.router.simulator import Household, Simulator
from tests import accounts
from tests.processes import Dalla, Process, wait_until

AT_ONCE = 12  # runs beside each other: they sleep most of the time
OWN_FILES = ("state.db", "state.db.lock", "state.db-journal", "state.db-wal", "state.db-shm", "total.csv")
CALLS = (  # those that a run never makes cost nothing, and whichever another SQLite makes are there
    *("write", "pwrite64", "writev", "pwritev"),
    *("fsync", "fdatasync"),
    *("openat", "mkdir", "mkdirat"),
    *("rename", "renameat", "renameat2"),
    *("ftruncate", "truncate", "fallocate"),
    *("unlink", "unlinkat"),
)
SPOILT = "something else than data"  # what is told of the third poll


class Home:
    """A router in this process that shows two devices, one of them Alice's, and an empty folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.household = Household.of(2, quiet=True)
        self.router = Simulator(self.household)
        self.owners = {self.household.devices[0].mac.colons: "Alice"}
        accounts.write_user_map(folder, self.owners)
        self.move(1_000_000)

    @property
    def truth(self) -> dict[str, dict[str, int]]:
        return {mac.colons: asdict(figures) for mac, figures in self.router.truth().items()}

    def move(self, size: int) -> None:
        for device in self.household.devices:
            self.router.add(device.mac, device.ip, size)

    def run_two_polls(self, trace: Path, *options: str) -> Process:
        """A daemon under strace, as long as it wants to live and for two polls at most."""
        devices = [f"devices/{device.mac.dashed}_{device.ip}.csv" for device in self.household.devices]
        names = [*OWN_FILES, "devices", "users", "users/Alice.csv", "users/UNKNOWN.csv", *devices]
        files = [*names, str(self.folder), *(str(self.folder / name) for name in names)]  # as they are named, or open
        paths = [word for file in files for word in ("-P", file)]
        tracer = ("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", str(trace), *paths, *options)
        daemon = (sys.executable, "-P", "-m", "dalla_mqtt", "run")  # -P: Python itself does not look into the folder
        environment = accounts.settings(self.router.url)
        with Process(*tracer, *daemon, cwd=self.folder, environment=environment) as dalla:
            if self._goes_on(dalla, lambda: self._replies() >= 3):  # a batch, the wireless stations, the logout
                self.move(50_000)
            if self._goes_on(dalla, lambda: self._replies() >= 5):
                self.router.fault("html")  # the third poll stores nothing, and tells that the second is done with
            code = dalla.terminate() if self._goes_on(dalla, lambda: SPOILT in dalla.output) else dalla.wait()
        assert code in (0, 1), dalla.output
        return dalla

    def run_once(self) -> None:
        """On a disk that works. A reply may be left to spoil, where the third poll was never made."""
        code, output = self._run_once()
        if SPOILT in output:
            code, output = self._run_once()
        assert (code, len(accounts.records(output))) == (0, 1), output

    def _run_once(self) -> tuple[int, str]:
        with Dalla(self.folder, "run", "--once", environment=accounts.settings(self.router.url)) as dalla:
            return dalla.wait(), dalla.output

    def _goes_on(self, dalla: Process, done: Callable[[], bool]) -> bool:
        """Whether that is `done`, and not the daemon."""
        wait_until(lambda: dalla.process.poll() is not None or done(), f"a poll more:\n{dalla.output}")
        return dalla.process.poll() is None

    def _replies(self) -> int:
        """Two for each poll: the statistics and the logout."""
        return int(str(self.router.state()["replies"]))


def run_and_fail(folder: Path, call: str, injection: str) -> str:
    """What is wrong after a run in which system calls failed as `injection` says; nothing if all is well."""
    home = Home(folder)
    trace = folder.with_suffix(".trace")
    with home.router:
        try:
            dalla = home.run_two_polls(trace, "-e", f"trace={call}", "-e", f"inject={call}:{injection}")
            told = told_well(dalla, folder)
            home.move(7_000)
            home.run_once()
            accounts.hold_against(folder, home.truth, home.owners, first_seen=told)
            accounts.hold_records(folder, accounts.records(dalla.output))
            hit = "(INJECTED)" in trace.read_text("utf-8")
            assert hit, f"nothing failed in {trace}"
        except (AssertionError, ArchiveError) as error:
            return f"{call}:{injection}: {error}"
    return ""


def told_well(dalla: Process, folder: Path) -> bool:
    """Whether the first poll was stored, and all went well as far as the owner is told; what did not, names a file."""
    assert "Traceback" not in dalla.output, dalla.output
    complaints = [line for line in dalla.lines if ("ERROR" in line or "dalla-mqtt: " in line) and SPOILT not in line]
    for line in complaints:
        assert str(folder) in line or any(name in line for name in ("state.db", "devices", "users", "total.csv")), line
    stored = len(accounts.records(dalla.output))
    if not complaints:
        assert (dalla.process.returncode, stored) == (0, 2), f"it does not say what is wrong: {dalla.output}"
    return stored == 2


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How often a run of two polls makes each kind of call in one thread: strace counts the n-th in each."""
    assert shutil.which("strace"), "strace is not installed: sh scripts/test installs it"
    folder = tmp_path_factory.mktemp("counted")
    home = Home(folder / "home")
    with home.router:
        dalla = home.run_two_polls(folder / "trace", "-e", f"trace={','.join(CALLS)}")
    text = (folder / "trace").read_text("utf-8")
    assert len(accounts.records(dalla.output)) == 2, f"can strace trace here? {dalla.output}"
    made = Counter(re.findall(r"^(\d+) +(\w+)\(", text, re.MULTILINE))
    return {call: max((times for (_, made_it), times in made.items() if made_it == call), default=0) for call in CALLS}


@pytest.mark.alone
@pytest.mark.parametrize(
    ("error", "ever_after", "calls"),
    [
        ("EIO", "", CALLS),
        ("ENOSPC", "+", CALLS),
        ("ENOSPC", "", ("write", "pwrite64")),
    ],
    ids=["with EIO once", "with ENOSPC from then on", "with ENOSPC once"],
)
def test_whichever_call_to_the_disk_fails_no_byte_is_lost_and_no_row_is_torn(
    tmp_path: Path, counted: dict[str, int], error: str, ever_after: str, calls: tuple[str, ...]
) -> None:
    assert all(counted[call] for call in ("write", "pwrite64", "fdatasync", "unlink"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = pool.map(
            lambda job: run_and_fail(
                tmp_path / f"{job[0]}-{job[1]}", job[0], f"error={error}:when={job[1]}{ever_after}"
            ),
            [(call, n) for call in calls for n in range(1, counted[call] + 1)],
        )
        assert "\n".join(told for told in wrong if told) == ""
