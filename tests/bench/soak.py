"""Whether anything grows: `soak.py [--polls 100000]`.

The daemon polls a router in a process of its own over a real socket, keeps its state file and its CSV files, has its
page asked now and then, and publishes to a real broker, which acknowledges all of a poll before the next one. Its
clocks and the router's go on by a minute with each poll: 100,000 polls are 69 days, with their billing periods, a
folder a day, and what is older than a week purged.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from statistics import linear_regression, mean
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import requests  # noqa: E402  # below the path on which tests/ is found

from dalla_mqtt.archive import store as store_module  # noqa: E402
from dalla_mqtt.archive.store import Store  # noqa: E402
from dalla_mqtt.config import load  # noqa: E402
from dalla_mqtt.daemon import Daemon  # noqa: E402
from dalla_mqtt.log import set_up_logging  # noqa: E402
from dalla_mqtt.publishing import open_publisher  # noqa: E402
from dalla_mqtt.router import open_router  # noqa: E402
from tests.processes import Mosquitto, free_port  # noqa: E402
from tests.sites.street import Street  # noqa: E402

POLLS, QUICK, DEVICES = 100_000, 3000, 10
_STEP_S = 60
_BEGIN = datetime(2026, 9, 20, 12, tzinfo=UTC).timestamp()  # clocks are put back on 25 October
_FLUSH_S = 10.0
_LATE_ONE_IN = 1000  # a connection may break on a machine that is busy with other things
_SAMPLES = 100
_WARM_UP = 0.3  # of the samples: until each kind of thing was done once, and the heap has its size
_GROWTH_MIB = 2.0  # from the first third of the samples after that to the last third, at most
_PAGES = ("", "api/now", "metrics", "health")


class Sample(NamedTuple):
    """What this process has after so many polls."""

    polls: int
    resident_mib: float
    files: int
    threads: int


class Trend(NamedTuple):
    """Of one figure, after the warm-up: means of its first and its last third, and how it grows."""

    what: str
    first: float
    last: float
    slope: float  # per 10,000 polls


class Soak:
    """One household, whose time goes on by polls."""

    def __init__(self, folder: Path, router_url: str, broker_url: str) -> None:
        self.now = _BEGIN
        self.late = 0  # polls of which the broker had not taken everything in time: the next one tells it anew
        self._page_url = f"http://127.0.0.1:{free_port()}/"
        config = load(_write_config(folder, router_url, broker_url, self._page_url), {}, {})
        with redirect_stdout(Path(os.devnull).open("w", encoding="utf-8")):
            set_up_logging(config.log)
        clock = lambda: self.now  # noqa: E731  # that of the wall
        self._store = Store(config.state)
        self._publisher = open_publisher(config, self._store)
        self.daemon = Daemon(config, open_router(config.router), self._store, self._publisher, clock=clock)
        self.daemon._begin()  # as run() does: here it is said when to poll

    def poll(self) -> None:
        self.now += _STEP_S
        self.daemon.poll()
        self.late += not self._publisher.flush(_FLUSH_S)

    def look(self) -> None:
        for page in _PAGES:
            requests.get(self._page_url + page, timeout=_FLUSH_S).raise_for_status()

    def close(self) -> None:
        self.daemon._end()
        self._store.close()

    @contextmanager
    def clocks(self) -> Iterator[None]:
        """The steady one, and the one by which the state file's rows grow old, go on with the others."""
        steady = lambda *_: self.now  # noqa: E731
        with (
            mock.patch("time.clock_gettime", steady),
            mock.patch.object(store_module, "time", SimpleNamespace(monotonic=steady)),
        ):
            yield


def _write_config(folder: Path, router_url: str, broker_url: str, page_url: str) -> Path:
    """Two users with quotas, windows of a tariff, a folder for each day."""
    quota = {"quota": {"together": "40 GiB", "per": "week", "carry_over": True}}
    settings = {
        "router": {"url": router_url, "password": "admin", "interval": f"{_STEP_S}s"},
        "mqtt": {"url": broker_url},
        "archive": {
            "devices": "logs/%Y-%m-%d/devices",
            "users": "logs/%Y-%m-%d/users",
            "commune": "logs/%Y-%m-%d/total.csv",
            "keep": "7d",
        },
        "tariff": {"timezone": "Europe/Berlin", "off_peak": ["00:00-06:00"], "period_starts": 15},
        "users": {"Alice": {"hostnames": ["alices-*"], **quota}, "Bob": {"hostnames": ["bobs-*"], **quota}},
        "web": {"listen": page_url.removeprefix("http://").rstrip("/")},
    }
    file = folder / "config.yaml"
    file.write_text(json.dumps(settings), "utf-8")
    file.chmod(0o600)
    return file


def soak(
    folder: Path, polls: int, devices: int = DEVICES, tell: Callable[[Sample], None] = lambda _: None
) -> list[Sample]:
    """Samples, evenly spread; `tell` hears of each. What is on record is what the router has shown, to the byte."""
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder, settings="allow_anonymous true\nmax_queued_messages 0\n"))
        street = stack.enter_context(Street(1, devices, "--step", str(_STEP_S)))
        house = stack.enter_context(closing(Soak(folder, street.urls[0], broker.url)))
        stack.enter_context(house.clocks())
        samples = []
        for number in range(1, polls + 1):
            house.poll()
            if number % (polls // _SAMPLES) == 0:
                house.look()
                samples.append(sample(number))
                tell(samples[-1])
        shown = sum(street.told()[0].shown.values())
        assert house.late <= polls // _LATE_ONE_IN, f"{house.late} times the broker had not taken everything"
        assert house.daemon.ledger.total.usage == shown, f"{house.daemon.ledger.total.usage} counted, {shown} shown"
        return samples


def sample(polls: int) -> Sample:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("ascii").splitlines())
    return Sample(polls, int(status["VmRSS"].split()[0]) / 1024, len(os.listdir("/proc/self/fd")), _threads())  # noqa: PTH208


def _threads() -> int:
    """But for those of questions, which may be about to end."""
    return sum(thread.name != "router" for thread in threading.enumerate())


def trends(samples: Sequence[Sample]) -> list[Trend]:
    settled = samples[int(len(samples) * _WARM_UP) :]
    third = len(settled) // 3
    polls = [one.polls for one in settled]
    found = []
    for what, field in (("resident MiB", "resident_mib"), ("descriptors", "files"), ("threads", "threads")):
        figures = [getattr(one, field) for one in settled]
        slope = linear_regression(polls, figures).slope * 10_000
        found.append(Trend(what, mean(figures[:third]), mean(figures[-third:]), slope))
    return found


def growing(found: Sequence[Trend]) -> list[str]:
    """What is not flat: memory that grew by two MiB, or anything else that did at all."""
    bounds = {"resident MiB": _GROWTH_MIB}
    return [trend.what for trend in found if trend.last - trend.first > bounds.get(trend.what, 0.5)]


def _tell(one: Sample) -> None:
    what = f"{one.resident_mib:.2f} MiB resident, {one.files} descriptors, {one.threads} threads"
    print(f"{one.polls:7} polls: {what}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--polls", type=int, default=POLLS)
    parser.add_argument("--devices", type=int, default=DEVICES)
    options = parser.parse_args()
    run(options.polls, options.devices)


def run(polls: int, devices: int) -> None:
    """Measure, and print it. SystemExit where something is not flat."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        samples = soak(Path(name), polls, devices, _tell)
    took_s = time.perf_counter() - began
    print(f"{polls} polls of {devices} devices, {polls * _STEP_S / 86_400:.0f} days, in {took_s:.0f} s; to the byte")
    print(f"{'':16}{'first poll':>12}{'last poll':>12}{'first third':>14}{'last third':>12}{'per 10,000 polls':>18}")
    found = trends(samples)
    for trend, begin, end in zip(found, samples[0][1:], samples[-1][1:], strict=True):
        print(
            f"{trend.what:16}{begin:12.1f}{end:12.1f}{trend.first:14.2f}{trend.last:12.2f}{trend.slope:18.3f}",
            flush=True,
        )
    if grows := growing(found):
        sys.exit(f"not flat: {', '.join(grows)}")


if __name__ == "__main__":
    main()
