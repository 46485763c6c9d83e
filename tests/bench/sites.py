"""What many sites cost in one process: `sites.py [--sites 1000] [--minutes 5] [--slow 100] [--quick]`.

A street of routers, a Mosquitto, and `dalla-mqtt run` with a page and an archive for each site, all with a poll a
minute. Measured is from when each was polled once, until `--minutes` later; then all traffic ends, and what the broker
keeps of every device must be what its router has shown, to the byte.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import paho.mqtt.client as paho  # noqa: E402  # below the path on which tests/ is found
from paho.mqtt.enums import CallbackAPIVersion  # noqa: E402

from tests.bench.poll import print_table, status_mib  # noqa: E402
from tests.processes import Dalla, Mosquitto, free_port  # noqa: E402
from tests.sites.street import Street, Told  # noqa: E402

_DEVICES = 20
_BROKER = "allow_anonymous true\nmax_queued_messages 0\nmax_connections -1\nsys_interval 1\n"
_TICKS = os.sysconf("SC_CLK_TCK")
_ROOM_S = 10.0  # beyond an interval, in which each is polled whatever happens
_BEGIN_S = 300.0  # until all were polled once
_RECEIVED = "$SYS/broker/messages/received"  # of any kind: QoS 1 has one more of each, but for what we publish


@dataclass(frozen=True, slots=True)
class Plan:
    """How many sites, how often each is polled, and how long that is measured."""

    sites: int
    slow: int
    interval_s: int
    measured_s: float


FULL = Plan(sites=1000, slow=0, interval_s=60, measured_s=300)
QUICK = Plan(sites=200, slow=0, interval_s=12, measured_s=60)


@dataclass(frozen=True, slots=True)
class Found:
    """What the daemon took; its lateness is that of sites whose routers answer."""

    begun_s: float
    cpu_percent: float
    street_percent: float
    resident_mib: float
    peak_mib: float
    threads: int
    files: int
    latest_s: float
    polls: int
    missed: int
    messages_per_s: float
    devices: int
    wrong: int
    stopped_s: float


def write_config(folder: Path, urls: Sequence[str], broker_url: str, interval_s: int) -> None:
    sites = "".join(f"  s{number:04}: {{router: {{url: '{url}'}}}}\n" for number, url in enumerate(urls, 1))
    file = folder / "config.yaml"
    file.write_text(
        f"router: {{password: admin, interval: {interval_s}s}}\nmqtt: {{url: '{broker_url}'}}\n"
        f"web: {{listen: '127.0.0.1:{free_port()}'}}\n"
        f"users: {{Alice: {{hostnames: ['alices-*']}}, Bob: {{hostnames: ['bobs-*']}}}}\nsites:\n{sites}",
        "utf-8",
    )
    file.chmod(0o600)


def measure(folder: Path, plan: Plan) -> Found:
    with (
        Mosquitto(folder, settings=_BROKER) as broker,
        Street(plan.sites, _DEVICES, "--hang", str(plan.slow)) as street,
    ):
        write_config(folder, street.urls, broker.url, plan.interval_s)
        good = plan.sites - plan.slow
        began = time.monotonic()
        with Dalla(folder, "run", environment=_with_a_page()) as dalla:
            pid = dalla.process.pid
            while not all(_polls(street, good)):
                assert time.monotonic() - began < _BEGIN_S, dalla.output
                time.sleep(1)
            begun_s = time.monotonic() - began
            before = time.monotonic(), cpu_s(pid), street.cpu_s(), _received(broker)
            time.sleep(plan.measured_s)
            after = time.monotonic(), cpu_s(pid), street.cpu_s(), _received(broker)
            passed_s, cpu, of_street, received = (now - then for now, then in zip(after, before, strict=True))
            told = street.told()[:good]
            has = (
                status_mib(pid, "VmRSS"),
                status_mib(pid, "VmHWM"),
                _number_of(pid, "task"),
                _number_of(pid, "fd"),
            )
            wrong, devices = _differences(broker, street, good, plan.interval_s)
            stopping = time.monotonic()
            assert dalla.terminate() == 0, dalla.output[-2000:]
            stopped_s = time.monotonic() - stopping
    return Found(
        begun_s,
        cpu / passed_s * 100,
        of_street / passed_s * 100,
        *has,
        latest_s=max(one.latest_s(plan.interval_s) for one in told),
        polls=sum(len(one.polls) for one in told),
        missed=sum(beats_missed(one, plan.interval_s) for one in told),
        messages_per_s=received / passed_s,
        devices=devices,
        wrong=wrong,
        stopped_s=stopped_s,
    )


def beats_missed(told: Told, interval_s: float) -> int:
    """How many polls there should have been besides."""
    return round((told.polls[-1] - told.polls[0]) / interval_s) + 1 - len(told.polls)


def cpu_s(pid: int) -> float:
    """Of all threads of a process, so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


def _with_a_page() -> dict[str, str]:
    return {"DALLA_WEB_LISTEN": f"127.0.0.1:{free_port()}", "PYTHONPATH": str(ROOT)}


def _number_of(pid: int, what: str) -> int:
    return len(list(Path(f"/proc/{pid}/{what}").iterdir()))


def _polls(street: Street, good: int) -> list[int]:
    return [len(told.polls) for told in street.told()[:good]]


def _received(broker: Mosquitto) -> int:
    """Messages that were published to it, up to a second ago."""
    return int(_heard(broker, _RECEIVED, 0.5)[_RECEIVED])


def _heard(broker: Mosquitto, topic: str, quiet_s: float) -> dict[str, str]:
    """What the broker keeps under a topic: once something came, until nothing did for a while."""
    heard: dict[str, str] = {}
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: heard.update({message.topic: message.payload.decode()})
    client.connect("127.0.0.1", broker.port)
    client.subscribe(topic, 1)
    client.loop_start()
    count = 0
    while not heard or count != len(heard):
        count = len(heard)
        time.sleep(quiet_s)
    client.disconnect()
    client.loop_stop()
    return heard


def _differences(broker: Mosquitto, street: Street, good: int, interval_s: float) -> tuple[int, int]:
    """Of how many devices and totals the broker says something else when traffic has ended, and how many there are."""
    for number in range(good):
        street.do(number, "freeze")
    time.sleep(interval_s + _ROOM_S)
    expected = {}
    for number, told in enumerate(street.told()[:good], 1):
        for mac, shown in told.shown.items():
            expected[f"dalla/s{number:04}/device/{mac.lower()}/usage"] = str(shown)
        expected[f"dalla/s{number:04}/total/usage"] = str(sum(told.shown.values()))
    kept = _heard(broker, "dalla/+/device/+/usage", 1.0) | _heard(broker, "dalla/+/total/usage", 1.0)
    return sum(kept.get(topic) != usage for topic, usage in expected.items()), len(expected)


def report(plan: Plan, found: Found) -> None:
    poll_ms = found.cpu_percent / 100 / (plan.sites / plan.interval_s) * 1000
    others = f", but for {plan.slow} whose routers hang" if plan.slow else ""
    print(
        f"{plan.sites} sites of {_DEVICES} devices, a poll every {plan.interval_s} s{others}; {plan.measured_s:.0f} s"
    )
    print_table(
        [
            ("CPU of the daemon", "< 60 % of a core", f"{found.cpu_percent:.1f} %, {poll_ms:.1f} ms a poll"),
            ("resident memory", "< 300 MiB", f"{found.resident_mib:.0f} MiB, peak {found.peak_mib:.0f}"),
            ("the latest poll", "< 5 s", f"{found.latest_s:.2f} s; {found.polls} polls, {found.missed} missed"),
            ("usage at the broker that is wrong", "0", f"{found.wrong} of {found.devices}"),
            ("messages to the broker", "", f"{found.messages_per_s:.0f} a second"),
            ("threads, descriptors", "", f"{found.threads}, {found.files}"),
            ("until each was polled once", "", f"{found.begun_s:.0f} s"),
            ("end, after SIGTERM", "", f"{found.stopped_s:.1f} s"),
            ("CPU of the routers", "", f"{found.street_percent:.1f} % of a core"),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=FULL.sites)
    parser.add_argument("--slow", type=int, default=0, help="of those, whose routers never answer")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--quick", action="store_true", help="200 sites, each polled every 12 s, in a minute")
    options = parser.parse_args()
    full = Plan(options.sites, options.slow, FULL.interval_s, options.minutes * 60)
    run(replace(QUICK, slow=options.slow) if options.quick else full)


def run(plan: Plan) -> None:
    """Measure, and print it."""
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), plan)
    report(plan, found)


if __name__ == "__main__":
    main()
