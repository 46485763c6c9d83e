"""Killed with -9 at any instant, again and again, while the router counts, fails and restarts."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from dalla_mqtt.router.simulator import Household
from tests import accounts
from tests.processes import PATIENCE_S, Dalla, Listener, Mosquitto, Router, wait_until

KILLS = 200
HOUSES = 4
DEVICES = 30
SEED = int(os.environ.get("KILL_SEED", "1"))
BUSY = "busy"
FAULTS = ("truncate", "html", "empty", "malformed", "error", "drop_row", BUSY)
KILLS_BEFORE_THE_FIRST_RECORD = 5
KILLS_BETWEEN_REBOOTS = 12
OLD_ENOUGH_S = 10  # an uptime that is not reached again before the restart is noticed


class House:
    """A router with its faults, and a daemon that is killed."""

    def __init__(self, folder: Path, broker: Mosquitto, router: Router, random: Random) -> None:
        self.folder = folder
        self.router = router
        self.random = random
        self.environment = accounts.settings(router.url) | {"DALLA_MQTT_URL": broker.url, "DALLA_SITE": folder.name}
        devices = Household.of(DEVICES, busy=True).devices
        people = {"alices": "Alice", "bobs": "Bob"}
        names = [(device.mac.colons, device.name.partition("-")[0]) for device in devices]
        self.owners = {mac: people[name] for mac, name in names if name in people}
        accounts.write_user_map(folder, self.owners)
        self.told: list[accounts.Record] = []
        self.kills = self.faults = self.reboots = 0
        self.busy = 0  # answers that were spoilt with that, since the last good poll that is known of

    def live_through(self, kills: int) -> None:
        """The first starts find a router at rest: whichever stores first, the starting values are known."""
        self.router.do("freeze")
        for _ in range(KILLS_BEFORE_THE_FIRST_RECORD):
            self._kill()
        self._come_to_rest()
        self.router.do("thaw")
        while self.kills < kills:
            if self.kills % KILLS_BETWEEN_REBOOTS == 0 and self.router.state["uptime_s"] >= OLD_ENOUGH_S:
                self._reboot()
            elif self.random.random() < 0.3:
                self._spoil()
            self._kill()
        self.total = self._come_to_rest()

    def _reboot(self) -> None:
        """What is not stored before cannot be known afterwards; the next kills find a router that just came up."""
        self._come_to_rest()
        self.router.do("reboot")
        self.router.do("thaw")
        self.reboots += 1
        for _ in range(2):
            if self.router.state["uptime_s"] < OLD_ENOUGH_S / 2:
                self._kill()
        self._come_to_rest()
        self.router.do("thaw")

    def _spoil(self) -> None:
        """With anything, but not busy thrice in a row: the router would then not be asked for five minutes."""
        count = self.random.randint(1, 2)
        kind = self.random.choice([kind for kind in FAULTS if kind != BUSY or self.busy + count < 3])
        self.router.do("fault", kind=kind, count=count)
        self.faults += count
        self.busy += count if kind == BUSY else 0

    def _come_to_rest(self) -> int:
        """Let nothing move, until a poll that no fault has spoilt; the total, which is all that was ever shown."""
        self.router.do("freeze")
        while True:
            with Dalla(self.folder, "run", "--once", environment=self.environment) as dalla:
                code = dalla.wait()
            self._note(dalla)
            state = self.router.state
            if code == 0 and "names and uptime" not in dalla.output and self.told[-1].rows == len(state["rows"]):
                assert self.told[-1].usage == sum(figures["shown"] for figures in state["truth"].values())
                self.busy = 0
                return self.told[-1].usage

    def _kill(self) -> None:
        wait = self._instant()
        with Dalla(self.folder, "run", environment=self.environment) as dalla:
            wait(dalla)
        self._note(dalla)
        assert dalla.process.returncode == -signal.SIGKILL, dalla.output
        self.kills += 1

    def _note(self, dalla: Dalla) -> None:
        assert "Traceback" not in dalla.output, dalla.output
        self.told += accounts.records(dalla.output)

    def _instant(self) -> Callable[[Dalla], None]:
        """When to kill: in the start or the first poll, while that is saved, appended or published, or later."""
        shortly_s, soon_s = self.random.random() ** 2, self.random.uniform(0, 1.2)
        log, file = (
            self.folder / "state.db-wal",
            self.random.choice(accounts.files(self.folder) or [self.folder / "total.csv"]),
        )
        before = _look(log), _look(file)
        return self.random.choice(
            [
                lambda _: time.sleep(soon_s / 2),
                lambda dalla: self._after(dalla, lambda: _look(log) != before[0], shortly_s * 0.02),
                lambda dalla: self._after(dalla, lambda: _look(file) != before[1], shortly_s * 0.005),
                lambda dalla: self._after(dalla, lambda: dalla.polls() > 0, soon_s),
            ]
        )

    def _after(self, dalla: Dalla, true: Callable[[], object], delay_s: float) -> None:
        """Wait for what need not come, as the router may fail, and a little longer."""
        deadline = time.monotonic() + PATIENCE_S
        while not true() and "ERROR" not in dalla.output:
            assert dalla.process.poll() is None, dalla.output
            assert time.monotonic() < deadline, f"nothing was stored: {dalla.output}"
            time.sleep(0.0005)
        time.sleep(delay_s)


def _look(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.mark.alone
def test_killed_200_times_at_any_instant_it_loses_no_byte_and_has_no_row_twice_or_torn(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(Listener(broker, "dalla/+/total/usage"))
        houses = []
        for number in range(HOUSES):
            folder = tmp_path / f"house-{number}"
            folder.mkdir()
            router = stack.enter_context(Router("--devices", str(DEVICES), "--traffic", "busy"))
            houses.append(House(folder, broker, router, Random(f"{SEED}/{number}")))  # noqa: S311  # no secret
        try:
            with ThreadPoolExecutor(HOUSES) as pool:
                list(pool.map(lambda house: house.live_through(KILLS // HOUSES), houses))
            for house in houses:
                accounts.hold_against(house.folder, house.router.state["truth"], house.owners)
                accounts.hold_records(house.folder, house.told)
            totals = {f"dalla/{house.folder.name}/total/usage": str(house.total) for house in houses}
            wait_until(lambda: totals.items() <= listener.latest.items(), f"the broker to hold {totals}")
        except BaseException as error:
            error.add_note(f"again with the same plan: KILL_SEED={SEED}")
            raise
        assert sum(house.kills for house in houses) >= KILLS
        assert all(house.reboots and house.faults for house in houses)
