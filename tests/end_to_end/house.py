"""A household whose time is the test's: a real router over a real socket, a real daemon, state file and CSV files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Self
from unittest import mock

from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import Config, load
from dalla_mqtt.daemon import Daemon
from dalla_mqtt.publishing import Everybody
from dalla_mqtt.router import open_router
from dalla_mqtt.router.simulator import Firmware, Household, Simulator, Truth
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import Standing, Subject
from dalla_mqtt.usage.reading import Mac
from tests.processes import Dalla

OTHER_CLOCK = Path(__file__).with_name("other_clock.py")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

Disk = dict[Path, bytes]
Row = tuple[int, int, int]  # time, usage, delta


class House(AbstractContextManager["House"]):
    """Ten devices of Alice, Bob and nobody in particular.

    `now` is what the router's clock and this machine's steady one say, in seconds; the wall clock is `ahead` of it.
    `more`: what is in config.yaml besides.
    """

    def __init__(  # all but the folder are named at the call and have a default
        self,
        folder: Path,
        *,
        interval_s: int = 60,
        quiet: bool = False,
        busy: bool = False,
        at: datetime = NOON,
        timeout_s: float = 10,
        firmware: Firmware = Firmware(),  # noqa: B008  # frozen
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.random = Random(1)  # noqa: S311  # no secret
        self.interval_s = interval_s
        self.timeout_s = timeout_s
        self.now = 1000.0
        self.ahead = at.timestamp() - self.now
        self.more = more or {}
        household = Household.of(quiet=quiet, busy=busy)
        self.macs = [device.mac for device in household.devices]
        self.owners = {device.mac: owner(device.name) for device in household.devices}
        self.simulator = Simulator(household, firmware=firmware, clock=lambda: self.now)
        self.url: str | None = None  # of another way to the router
        self._steady = mock.patch("time.clock_gettime", self._steady_clock)
        self._store: Store | None = None
        self._daemon: Daemon | None = None

    def __enter__(self) -> Self:
        self.simulator.start()
        self.folder.mkdir(exist_ok=True)
        self.configure()
        self._steady.start()
        self.now += 300  # until everybody has a row that shows its MAC
        return self

    def __exit__(self, *_: object) -> None:
        if self._store is not None:
            self._store.close()
        self._steady.stop()
        self.simulator.stop()

    @property
    def state(self) -> Path:
        return self.folder / "state.db"

    @property
    def wall(self) -> datetime:
        return datetime.fromtimestamp(self.now + self.ahead, UTC)

    @property
    def config(self) -> Config:
        return load(self.folder / "config.yaml", {}, {})

    @property
    def ledger(self) -> Ledger:
        """As the running daemon has it."""
        assert self._daemon is not None
        return self._daemon.ledger

    @property
    def standings(self) -> Mapping[Subject, Standing]:
        """How quotas stand, as the running daemon has it."""
        assert self._daemon is not None
        return self._daemon.standings

    def configure(self) -> None:
        """Write config.yaml anew, for the next start."""
        users = {name: [mac.dashed for mac, owner in self.owners.items() if owner == name] for name in ("Alice", "Bob")}
        settings = {
            "router": {
                "url": self.url or self.simulator.url,
                "password": "admin",
                "interval": f"{self.interval_s}s",
                "timeout": f"{self.timeout_s}s",
            },
            "mqtt": {"url": "off"},
            "tariff": {"timezone": "UTC"},
            "users": {name: {"devices": macs} for name, macs in users.items()},
        }
        (self.folder / "config.yaml").write_text(json.dumps(together(settings, self.more)), "utf-8")

    def start(self) -> None:
        """The daemon, in this process."""
        config = self.config
        self._store = Store(config.state)
        wall: Callable[[], float] = lambda: self.now + self.ahead  # noqa: E731  # a test sets both
        self._daemon = Daemon(
            config, open_router(config.router, self._store, clock=wall), self._store, Everybody(()), clock=wall
        )
        self._daemon._begin()

    def end(self) -> None:
        """As SIGTERM does."""
        assert self._daemon is not None
        assert self._store is not None
        self._daemon._end()
        self._store.close()
        self._store = self._daemon = None

    def crash(self, disk: Disk | None = None) -> None:
        """As kill -9 does: what is on the disk is left, or what was on it when `disk` was looked at."""
        left = disk or self.disk()
        assert self._store is not None
        self._store.close()
        self._store = self._daemon = None
        for path in self.disk().keys() - left.keys():
            path.unlink()
        Path(f"{self.state}-shm").unlink(missing_ok=True)
        for path, content in left.items():
            path.write_bytes(content)

    def poll(self, times: int = 1, *, before: Callable[[int], object] | None = None) -> None:
        """One poll an interval; `before` each of them happens what the test has in mind."""
        assert self._daemon is not None
        for number in range(times):
            self.now += self.interval_s
            if before is not None:
                before(number)
            self._daemon.poll()

    def move(self, most: int) -> None:
        """Every device moves up to so many bytes, in packets of any length."""
        for number, mac in enumerate(self.macs):
            size = self.random.randrange(1, most)
            packets = size // self.random.randrange(60, 1500)
            self.simulator.add(mac, f"192.168.1.{100 + number}", size, packets + 1)

    def settle(self) -> None:
        """No more traffic, and the last polls. The books must be right then."""
        self.simulator.freeze()
        self.poll(5)
        self.end()
        check_books(self.folder, self.simulator.truth(), self.owners)

    def run(self) -> Dalla:
        """The daemon as a process of its own, which keeps the time of this house."""
        self.pass_time(0)
        return Dalla(self.folder, "run", program=(str(OTHER_CLOCK), str(self.folder / "clock")))

    def pass_time(self, seconds: float) -> None:
        """In the house, the router and the daemon's process alike."""
        self.now += seconds
        clock = self.folder / "clock"
        (new := clock.with_suffix(".new")).write_text(f"{self.now + self.ahead}", "ascii")
        new.replace(clock)

    def settle_for_real(self) -> None:
        """As `settle` does, with the daemon as a process of its own."""
        self.simulator.freeze()
        with self.run() as dalla:
            dalla.polls_again(4)
            assert dalla.terminate() == 0
        check_books(self.folder, self.simulator.truth(), self.owners)

    def disk(self) -> Disk:
        """All that a power cut would leave, but for what SQLite makes anew."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in files if path.suffix not in (".db-shm", ".lock")}

    def shown_in_all(self) -> int:
        """Bytes that any client could know of by now."""
        return sum(true.shown for true in self.simulator.truth().values())

    def missed_by_all(self) -> int:
        """Bytes that moved and that no reply has shown."""
        return sum(true.moved - true.shown for true in self.simulator.truth().values())

    def _steady_clock(self, _: int) -> float:
        return self.now


def together(settings: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, and settings of the same keys in their place or among them."""
    both = {
        key: together(settings[key], value) if isinstance(settings.get(key), dict) else value
        for key, value in more.items()
    }
    return {**settings, **both}


def owner(device: str) -> str:
    """`Alice` of `alices-phone`."""
    return {"alices": "Alice", "bobs": "Bob"}.get(device.partition("-")[0], "UNKNOWN")


def check_books(folder: Path, truth: dict[Mac, Truth], owners: dict[Mac, str]) -> None:
    """State file and CSV files say of devices, users and the total what any client could know from the replies."""
    known = {mac: true for mac, true in truth.items() if true.shown}
    users: Counter[str] = Counter()
    starts: Counter[str] = Counter()
    for mac, true in known.items():
        users[owners.get(mac, "UNKNOWN")] += true.shown
        starts[owners.get(mac, "UNKNOWN")] += true.baseline
    store = Store(folder / "state.db")
    ledger = store.load()
    store.close()
    assert {mac.dashed: ledger.devices[mac].series.usage - true.shown for mac, true in known.items()} == {
        mac.dashed: 0 for mac in known
    }, "too much or too little"
    assert sum(device.series.usage for device in ledger.devices.values()) == users.total()
    assert {name: series.usage for name, series in ledger.users.items() if series.usage} == users
    assert ledger.total.usage == users.total()
    for mac, true in known.items():
        check_rows(rows(folder, f"devices/{mac.dashed}_*.csv"), true.shown, true.baseline)
    for name, shown in users.items():
        check_rows(rows(folder, f"users/{name}.csv"), shown, starts[name])
    check_rows(rows(folder, "total.csv"), users.total(), starts.total())


def rows(folder: Path, pattern: str) -> list[Row]:
    """Of all files of one series, month by month."""
    return [row for file in sorted(folder.glob(f"logs/*/{pattern}")) for row in rows_of(file)]


def rows_of(file: Path) -> Iterator[Row]:
    """Every single one must be whole."""
    header, *lines = file.read_text("ascii").splitlines(keepends=True)
    assert header == "Time, Total Bytes, Delta, On-Peak, Off-Peak\n"
    for line in lines:
        assert line.endswith("\n")
        at, usage, delta, _, _ = (int(cell) for cell in line.split(", "))
        yield at, usage, delta


def check_rows(found: Iterable[Row], shown: int, baseline: int) -> None:
    """Each delta leads from one usage to the next, and none is there twice; what is no delta is the starting value."""
    usage = start = deltas = 0
    for _, after, delta in sorted(found, key=lambda row: (row[1], -row[2])):
        gap = after - delta - usage
        assert gap >= 0, "a row is there twice"
        usage, start, deltas = after, start + gap, deltas + delta
    assert (usage, start, deltas) == (shown, baseline, shown - baseline)
