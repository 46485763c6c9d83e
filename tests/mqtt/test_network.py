"""Many clients on one thread, tried on a real Mosquitto."""

from __future__ import annotations

import mmap
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import pytest

from dalla_mqtt.mqtt.network import Network
from tests.mqtt.house import Connected, at, certify, connected
from tests.processes import Mosquitto, free_port, wait_until

HOMES = range(200)


@contextmanager
def many(port: int) -> Iterator[list[Connected]]:
    """One client for each of HOMES, all on one network."""
    network = Network()
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                connected(
                    at(port),
                    will=f"dalla/{home}/status",
                    topics=(f"dalla/{home}/poll/set",),
                    client_id=f"dalla-{home}",
                    network=network,
                )
            )
            for home in HOMES
        ]


def say(homes: list[Connected], what: bytes) -> None:
    for number, home in enumerate(homes):
        home.client.publish([(f"dalla/{number}/status", b"online"), (f"dalla/{number}/total/usage", what)])


def resident_bytes() -> int:
    """The memory of this process. Source: proc(5)."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * mmap.PAGESIZE


def test_each_of_many_takes_less_than_40_kib(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        before = resident_bytes()
        with many(broker.port) as homes:
            wait_until(lambda: all(home.client.ready for home in homes), "all of them")
            assert (resident_bytes() - before) / len(homes) < 40 * 1024


def test_many_share_a_thread_and_all_come_back_when_the_broker_does(tmp_path: Path) -> None:
    port, before = free_port(), threading.active_count()
    with many(port) as homes:
        for times in (1, 2):
            with Mosquitto(tmp_path, port) as broker:  # which knows nothing, and is killed
                wait_until(lambda: all(home.client.ready for home in homes), "all of them")
                wait_until(lambda: threading.active_count() <= before + 2, "the end of those that connected")
                assert [home.times for home in homes] == [times] * len(homes)
                say(homes, b"%d" % times)
                wait_until(lambda: all(home.client.ready for home in homes), "that it has taken all")
                kept = broker.retained()
                assert {kept[f"dalla/{number}/total/usage"] for number in HOMES} == {str(times)}
                for number in HOMES[times::50]:
                    broker.publish(f"dalla/{number}/poll/set", str(number))
            wait_until(lambda: not any(home.client.connected for home in homes), "the end of all connections")
            assert threading.active_count() - before < 35
        heard = {number: [payload for _, payload in home.heard] for number, home in enumerate(homes) if home.heard}
        assert heard == {number: [b"%d" % number] for number in HOMES if number % 50 in (1, 2)}


def test_of_many_that_are_gone_without_a_word_each_is_offline(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, many(broker.port) as homes:
        wait_until(lambda: all(home.client.ready for home in homes), "all of them")
        say(homes, b"1")
        wait_until(lambda: all(home.client.ready for home in homes), "that it has taken all")
        for home in homes[::2]:  # as a power cut would
            home.client._network.soon(home.client._cut)
        gone = {f"dalla/{number}/status": "offline" for number in HOMES[::2]}
        wait_until(lambda: gone.items() <= broker.retained().items(), "the last word of those that are gone")


def test_what_goes_wrong_with_one_is_told_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = Network()
    with (
        Mosquitto(tmp_path) as broker,
        connected(at(broker.port), client_id="good", network=network) as good,
        connected(at(broker.port), client_id="bad", network=network) as bad,
    ):
        wait_until(lambda: good.client.ready and bad.client.ready, "both")
        bad.client._on_message = lambda *_: 1 / 0  # type: ignore[assignment]
        wait_until(lambda: broker.publish("homeassistant/status", "online") or good.heard, "the birth")
        wait_until(lambda: bad.times == 2, "another connection")
        assert "ZeroDivisionError" in caplog.text
        assert caplog.text.count("is gone: we have cut the connection") == 1
        assert good.times == 1


def test_nothing_is_left_of_it_when_all_have_gone(tmp_path: Path) -> None:
    before = threading.active_count()
    network = Network()
    for _ in range(2):
        with Mosquitto(tmp_path) as broker:
            with (
                connected(at(broker.port), client_id="one", network=network) as one,
                connected(at(broker.port), client_id="other", network=network) as other,
            ):
                wait_until(lambda: one.client.ready, "the connection")
                one.client.stop()
                other.client.publish([("dalla/other", b"still there")])
                wait_until(lambda: other.client.ready, "what the other says")
            wait_until(lambda: threading.active_count() == before + 1, "the end of the thread")


def test_a_broker_that_hangs_costs_a_second_and_says_offline_itself(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        with connected(at(broker.port)) as home:
            wait_until(lambda: home.client.ready, "the connection")
            home.client.publish([("dalla/home/status", b"online")])
            assert home.client.flush(5)
            os.kill(broker.process.pid, signal.SIGSTOP)
            home.client.publish([("dalla/home/total/usage", b"1")])
            began = time.monotonic()
            home.client.stop()
            assert time.monotonic() - began < 1.5
        os.kill(broker.process.pid, signal.SIGCONT)
        wait_until(lambda: broker.retained()["dalla/home/status"] == "offline", "its last word")


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
@pytest.mark.parametrize("tls", [False, True])
def test_much_at_once_goes_and_comes_over_every_transport(
    tmp_path: Path, transport: Literal["tcp", "websockets"], *, tls: bool
) -> None:
    port, settings = free_port(), "allow_anonymous true\nuser root\n"
    settings += f"listener {port} 127.0.0.1\nprotocol {'mqtt' if transport == 'tcp' else transport}\n"
    if tls:
        certify(tmp_path, "broker")
        settings += f"certfile {tmp_path}/broker.pem\nkeyfile {tmp_path}/broker.key\n"
    said = [b"%d %s" % (number, b"x" * 3000) for number in range(300)]
    with (
        Mosquitto(tmp_path, settings=settings),
        connected(at(port, transport, tls=tls), ca_file=tmp_path / "broker.pem" if tls else None) as home,
    ):
        wait_until(lambda: home.client.ready, "the connection")
        home.client.publish([("homeassistant/status", payload) for payload in said], retain=False)
        wait_until(lambda: len(home.heard) == len(said) and home.client.ready, "all of it")
        assert [payload for _, payload in home.heard] == said
