"""What a poll costs, held against the same work written straight down: `poll.py [--quick]`.

CPU is that of this process with all its threads; the router and the broker are processes of their own. The two sides
take turns, and a ratio is the median of the ratios of neighbours: whatever else the machine does hits both alike.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import paho.mqtt.client as paho  # noqa: E402  # below the path on which tests/ is found
from paho.mqtt.enums import CallbackAPIVersion  # noqa: E402

from dalla_mqtt import books, daemon  # noqa: E402
from dalla_mqtt.archive.store import Store  # noqa: E402
from dalla_mqtt.config import load  # noqa: E402
from dalla_mqtt.log import set_up_logging  # noqa: E402
from dalla_mqtt.publishing import open_publisher  # noqa: E402
from dalla_mqtt.router import open_router  # noqa: E402
from tests.bench.router import LargeRouter  # noqa: E402
from tests.bench.straight import ROOT as STRAIGHT  # noqa: E402
from tests.bench.straight import Straight  # noqa: E402
from tests.processes import Dalla, Listener, Mosquitto, wait_until  # noqa: E402

OURS = "dalla/home"
_OWNERS = {"alices": "Alice", "bobs": "Bob", "kitchen": "Family", "living": "Family", "games": "Family"}  # by host name
_TICK_S = 0.26  # after so long every device has moved again
_FLUSH_S = 60.0
_WARM_UP = 3  # polls that are not measured
_POLLS_TO_FILL = 25  # after which memory grows no more
BROKER = "allow_anonymous true\nmax_queued_messages 0\n"  # the listener that counts messages gets all of them

Place = tuple[Any, str]  # an object or a module, and the name of what is called on it
Told = tuple[int, int]  # messages, and bytes of their payloads
Phases = dict[str, float]
Pairs = list[tuple[float, float]]  # ours, straight


@dataclass(frozen=True, slots=True)
class Plan:
    """How often things are done."""

    starts: int
    pairs: dict[int, int]  # by number of devices


FULL = Plan(starts=15, pairs={10: 40, 50: 40, 200: 24, 1000: 20, 4000: 7})
QUICK = Plan(starts=5, pairs={10: 15, 50: 15, 200: 7, 1000: 9, 4000: 3})


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of a poll in which every device moved, with all that is published acknowledged."""

    ours_ms: float
    straight_ms: float
    ratio: float
    ratio_quartiles: tuple[float, float]
    told: tuple[Told, Told]  # ours, straight
    phases_us: tuple[Phases, Phases]  # a device: ours, straight
    idle_ms: float
    idle_told: int

    @property
    def ratio_unpublished(self) -> float:
        """Of all but what paho does, which is most of both."""
        ours, straight = (phases["all"] - phases["publish"] for phases in self.phases_us)
        return ours / straight


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB of `dalla-mqtt run`."""

    resident: float
    peak: float


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured."""

    start_s: float
    bare_s: float  # of a Python that does nothing
    libraries: float  # MiB of one that has what ours works with
    costs: dict[int, Cost]  # by number of devices
    memories: dict[int, Memory]


class Ours:
    """The daemon with all that it works with, in this process."""

    def __init__(self, folder: Path, router_url: str, broker_url: str, site: str = "home") -> None:
        config = load(_write_config(folder, router_url, broker_url, "60s", site), {}, {})
        with redirect_stdout(Path(os.devnull).open("w", encoding="utf-8")):  # a line a poll, formatted and written
            set_up_logging(config.log)
        self._store = Store(config.state)
        self._publisher = open_publisher(config, self._store)
        self.daemon = daemon.Daemon(config, open_router(config.router), self._store, self._publisher)
        self.daemon._begin()  # as run() does: the benchmark says when to poll
        assert self._publisher.flush(_FLUSH_S), "the broker is not there"

    def poll(self) -> None:
        """One poll, from the question to the last acknowledgement."""
        self.daemon.poll()
        assert self._publisher.flush(_FLUSH_S), "the broker has not taken everything"

    def close(self) -> None:
        self._publisher.stop()
        self._store.close()

    def devices_moved(self) -> int:
        return sum(device.series.delta > 0 for device in self.daemon.ledger.devices.values())

    @property
    def phases(self) -> dict[str, list[Place]]:
        """What is called in each phase of a poll. Writing a line of the log lets the network's thread publish on."""
        logs = self.daemon._books._logs
        assert logs is not None
        return {
            "exchange": [(self.daemon._asker, "ask")],
            "account": [(books, "account")],
            "store": [(self._store, "save")],
            "csv": [(logs, "rows"), (logs, "append")],
            "publish": [(self._publisher, "tell"), (self._publisher, "flush"), (daemon._log, "info")],
            "all": [(self, "poll")],
        }


def straight_phases(straight: Straight) -> dict[str, list[Place]]:
    """The same phases on the other side."""
    return {
        "exchange": [(straight, "_exchange")],
        "account": [(straight, "_count")],
        "store": [(straight, "_store")],
        "csv": [(straight, "_rows"), (straight, "_append")],
        "publish": [(straight, "_publish")],
        "all": [(straight, "poll")],
    }


def _write_config(folder: Path, router_url: str, broker_url: str, interval: str, site: str = "home") -> Path:
    """The configuration of a household with three users, to whom eight of ten devices belong."""
    folder.mkdir(parents=True)
    users: dict[str, list[str]] = defaultdict(list)
    for part, user in _OWNERS.items():
        users[user].append(f"{part}-*")
    lines = [f"  {user}: {{hostnames: {patterns}}}\n" for user, patterns in users.items()]
    file = folder / "config.yaml"
    file.write_text(
        f"site: {site}\nrouter: {{url: '{router_url}', password: admin, interval: {interval}}}\n"
        f"web: {{listen: off}}\nmqtt: {{url: '{broker_url}'}}\nusers:\n{''.join(lines)}",
        "utf-8",
    )
    file.chmod(0o600)
    return file


def cost(folder: Path, broker: Mosquitto, devices: int, pairs: int) -> Cost:
    """Both sides count the same household and take turns."""
    with (
        LargeRouter(devices) as router,
        closing(Ours(folder / "ours", router.url, broker.url)) as ours,
        closing(Straight(folder / "straight", router.url, broker.port, _OWNERS)) as straight,
    ):
        take_turns(ours.poll, straight.poll, _WARM_UP)
        busy = take_turns(ours.poll, straight.poll, pairs)
        assert ours.devices_moved() == devices, f"{ours.devices_moved()} of {devices} devices moved"
        phases = (phases_us(ours, devices, pairs), phases_us(straight, devices, pairs))
        told = (told_by(broker, OURS, ours.poll), told_by(broker, STRAIGHT, straight.poll))
        assert alike(*told), f"the two sides tell different things: {told}; mend straight.py"
        router.do("freeze")
        take_turns(ours.poll, straight.poll, 2)  # the first brings the last traffic, the second deltas of 0
        idle = take_turns(ours.poll, straight.poll, pairs)
        return summed_up(busy, idle, told, phases, told_by(broker, OURS, ours.poll)[0])


def summed_up(busy: Pairs, idle: Pairs, told: tuple[Told, Told], phases: tuple[Phases, Phases], idle_told: int) -> Cost:
    """Medians, of CPU seconds of ours and straight."""
    ratios = [one / other for one, other in busy]
    low, ratio, high = quantiles(ratios)
    return Cost(
        ours_ms=median(one for one, _ in busy) * 1000,
        straight_ms=median(other for _, other in busy) * 1000,
        ratio=ratio,
        ratio_quartiles=(low, high),
        told=told,
        phases_us=phases,
        idle_ms=median(one for one, _ in idle) * 1000,
        idle_told=idle_told,
    )


def take_turns(one: Callable[[], None], other: Callable[[], None], pairs: int) -> Pairs:
    """CPU seconds of both, pair by pair; now the one goes first, now the other."""
    spent = []
    for turn in range(pairs):
        time.sleep(_TICK_S)
        if turn % 2:
            spent.append((cpu_s(one), cpu_s(other)))
        else:
            spent.append((cpu_s(other), cpu_s(one))[::-1])
    return spent


def cpu_s(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def phases_us(side: Ours | Straight, devices: int, polls: int) -> Phases:
    """CPU of each phase of a poll, in microseconds a device. It reaches in: the sides know nothing of it."""
    with timed(side.phases if isinstance(side, Ours) else straight_phases(side)) as spent:
        for _ in range(polls):
            time.sleep(_TICK_S)
            side.poll()
    return {phase: seconds / polls / devices * 1e6 for phase, seconds in spent.items()}


@contextmanager
def timed(phases: dict[str, list[Place]]) -> Iterator[Phases]:
    """CPU seconds of what is called within."""
    spent = dict.fromkeys(phases, 0.0)
    undo = []
    for phase, places in phases.items():
        for owner, name in places:
            undo.append((owner, name, vars(owner).get(name)))
            setattr(owner, name, _timed(getattr(owner, name), spent, phase))
    yield spent
    for owner, name, function in undo:
        if function is None:
            delattr(owner, name)
        else:
            setattr(owner, name, function)


def _timed(function: Callable[..., Any], spent: Phases, phase: str) -> Callable[..., Any]:
    def call(*arguments: object, **named: object) -> object:
        began = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[phase] += time.process_time() - began

    return call


def told_by(broker: Mosquitto, root: str, poll: Callable[[], None]) -> Told:
    """How many messages a poll publishes under `root`, and the bytes of their payloads."""
    with Listener(broker, f"{root}/#") as listener:
        time.sleep(_TICK_S)  # what is retained has arrived
        poll()
        wait_until(lambda: any(message["topic"] == f"{root}/router" for message in fresh(listener)), root)
        count = -1
        while count != (count := len(listener.messages)):
            time.sleep(_TICK_S)
        messages = fresh(listener)
    return len(messages), sum(len(str(message["payload"]).encode()) for message in messages)


def alike(one: Told, other: Told) -> bool:
    """As many messages, and within 2 % as many bytes: no two deltas have quite the same digits."""
    return one[0] == other[0] and abs(one[1] / other[1] - 1) < 0.02


def fresh(listener: Listener) -> list[dict[str, Any]]:
    """What was heard that had not been kept by the broker."""
    return [message for message in listener.messages if not message["retain"]]


def first_reading_s(folder: Path, broker: Mosquitto, starts: int) -> tuple[float, float]:
    """Seconds from exec to the total on the broker, and those of a Python that does nothing: medians."""
    heard = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: None if message.retain else heard.set()
    client.connect("127.0.0.1", broker.port)
    client.subscribe(f"{OURS}/total/usage", 1)
    client.loop_start()
    ours, bare = [], []
    with LargeRouter(50) as router:
        for start in range(starts):
            home = _write_config(folder / str(start), router.url, broker.url, "60s").parent
            heard.clear()
            began = time.perf_counter()
            with Dalla(home, "run") as dalla:
                assert heard.wait(_FLUSH_S), dalla.output
                ours.append(time.perf_counter() - began)
                dalla.terminate()
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", "pass"], check=True)
            bare.append(time.perf_counter() - began)
    client.disconnect()
    client.loop_stop()
    return median(ours), median(bare)


def memory(folder: Path, broker: Mosquitto, devices: int) -> Memory:
    """Of a daemon that polls every second, and finds every device changed."""
    with LargeRouter(devices) as router:
        home = _write_config(folder, router.url, broker.url, "1s").parent
        with Dalla(home, "run") as dalla:
            wait_until(lambda: dalla.polls() >= _POLLS_TO_FILL, "polls", 10.0 * _POLLS_TO_FILL)
            return Memory(status_mib(dalla.process.pid, "VmRSS"), status_mib(dalla.process.pid, "VmHWM"))


def libraries_mib() -> float:
    """Memory of a Python that has loaded what the straight side works with."""
    code = "import msgspec, paho.mqtt.client, requests, sqlite3; print(open('/proc/self/status').read())"
    status = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return _mib(status, "VmRSS")


def status_mib(pid: int, key: str) -> float:
    return _mib(Path(f"/proc/{pid}/status").read_text("ascii"), key)


def _mib(status: str, key: str) -> float:
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{key}:")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer polls, rougher figures")
    run(QUICK if parser.parse_args().quick else FULL)


def run(plan: Plan) -> None:
    """Measure, and print it."""
    os.environ["PYTHONPATH"] = str(ROOT)  # processes start the package beside this file, whatever is installed
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name), settings=BROKER) as broker:
        folder = Path(name)
        found = Found(
            *first_reading_s(folder / "start", broker, plan.starts),
            libraries_mib(),
            {devices: cost(folder / f"cost-{devices}", broker, devices, n) for devices, n in plan.pairs.items()},
            {devices: memory(folder / f"memory-{devices}", broker, devices) for devices in plan.pairs},
        )
    print_goals(found)
    print_growth(found)
    print_costs(found.costs)


def print_goals(found: Found) -> None:
    costs, household = found.costs, found.memories[50]
    rows = [
        (
            "start to first reading published",
            "< 0.6 s",
            f"{found.start_s:.2f} s, {found.start_s / found.bare_s:.0f} x `python -c pass`",
        ),
        ("CPU of a poll, 50 devices", "<= 1.5 x straight", f"{costs[50].ratio:.2f} x"),
        ("CPU of a poll, 1000 devices", "<= 1.5 x straight", f"{costs[1000].ratio:.2f} x"),
        (
            "the same without publishing",
            "",
            f"{costs[50].ratio_unpublished:.2f} x, {costs[1000].ratio_unpublished:.2f} x",
        ),
        ("CPU of a poll, 1000 to 50 devices", "<= 20 x", f"{costs[1000].ours_ms / costs[50].ours_ms:.1f} x"),
        ("CPU of a poll, 4000 to 1000 devices", "<= 5 x", f"{costs[4000].ours_ms / costs[1000].ours_ms:.1f} x"),
        ("CPU of an idle poll, 50 devices", "", f"{costs[50].idle_ms / costs[50].ours_ms:.2f} x a busy one"),
        ("messages of an idle poll", "1", f"{costs[50].idle_told}, with 1000 devices {costs[1000].idle_told}"),
        (
            "resident memory, 50 devices",
            "<= 38 MiB",
            f"{household.resident:.1f} MiB, {household.resident / found.libraries:.2f} x its libraries",
        ),
    ]
    print_table(rows)


def print_growth(found: Found) -> None:
    """From the smallest household on, as multiples of it."""
    (least, first), (_, small) = next(iter(found.costs.items())), next(iter(found.memories.items()))
    print(f"\ngrowth, as multiples of {least} devices")
    print(f"{'devices':>8}{'':>8}{'CPU, ms':>16}{'straight':>10}{'resident, MiB':>20}{'peak':>8}")
    for devices, cost in found.costs.items():
        cpu = f"{cost.ours_ms:.1f} = {cost.ours_ms / first.ours_ms:.1f} x"
        straight = f"{cost.straight_ms / first.straight_ms:.1f} x"
        memory = found.memories[devices]
        resident = f"{memory.resident:.1f} = {memory.resident / small.resident:.2f} x"
        times = f"{devices // least} x"
        print(f"{devices:8}{times:>8}{cpu:>16}{straight:>10}{resident:>20}{memory.peak:8.1f}")


def print_table(rows: Iterable[tuple[str, str, str]]) -> None:
    """What was measured, its target, and the figure."""
    print(f"{'':38}{'target':20}measured")
    for what, target, measured in rows:
        print(f"{what:38}{target:20}{measured}")


def print_costs(costs: dict[int, Cost]) -> None:
    print("\nCPU of a poll in which every device moved, and of an idle one, ms; what the busy one tells")
    print(f"{'devices':>8}{'ours':>9}{'straight':>10}  ratio (quartiles)    idle  messages, bytes: ours | straight")
    for devices, cost in costs.items():
        low, high = cost.ratio_quartiles
        ratio = f"{cost.ratio:.2f} ({low:.2f} {high:.2f})"
        told = " | ".join(f"{count} {size}" for count, size in cost.told)
        print(f"{devices:8}{cost.ours_ms:9.1f}{cost.straight_ms:10.1f}{ratio:>19}{cost.idle_ms:8.1f}  {told}")
    print("\nwhere it goes, microseconds of CPU a device, ours | straight, and the ratio of them")
    print(f"{'devices':>8}" + "".join(f"{phase:>21}" for phase in costs[50].phases_us[0]))
    for devices, cost in costs.items():
        ours, straight = cost.phases_us
        pairs = (f"{ours[phase]:.1f} | {straight[phase]:.1f} {ours[phase] / straight[phase]:5.2f}" for phase in ours)
        print(f"{devices:8}" + "".join(f"{pair:>21}" for pair in pairs))


if __name__ == "__main__":
    main()
