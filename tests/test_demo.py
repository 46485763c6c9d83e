"""The demonstration, as a new user starts it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests

from tests.processes import Process, answers, free_port, wait_until


def demo(*options: str) -> Process:
    return Process(sys.executable, "-m", "dalla_mqtt", "demo", *options)


def said(process: Process, pattern: str) -> str:
    match = wait_until(lambda: re.search(pattern, process.output), f"{pattern} in the output:\n{process.output}")
    found: str = match[1]
    return found


def test_it_says_where_to_look_shows_what_moved_and_leaves_nothing_behind() -> None:
    port = free_port()
    with demo("--mqtt-port", str(port)) as process:
        folder = Path(said(process, r"(\S+)/logs, deleted at the end"))
        router = said(process, r"(http://\S+/simulator)")
        page = said(process, r"(http://\S+/) shows it; its token is demonstration")
        topic = f"mosquitto_sub -h 127.0.0.1 -p {port} -t dalla/demo/user/alice/usage"
        assert topic in process.output
        heard = subprocess.run([*topic.split(), "-C", "1", "-W", "20"], capture_output=True, text=True, check=True)
        assert int(heard.stdout) >= 0
        wait_until((folder / "logs" / "total.csv").exists, "the CSV files")
        wait_until(lambda: len(requests.get(router, timeout=10).json()["truth"]) == 10, "ten devices that moved")
        wait_until(lambda: "Alice" in process.output, "the table")
        late = subprocess.run([*topic.split(), "-C", "1", "-W", "20"], capture_output=True, text=True, check=True)
        assert int(late.stdout) > 0, "what it subscribed to, and nothing else"
        for user in ("Bob", "Family", "Guests", "UNKNOWN", "Total"):
            assert user in process.output
        bearer = {"Authorization": "Bearer demonstration"}
        shown = lambda: requests.get(f"{page}api/now", headers=bearer, timeout=10).json()  # noqa: E731
        wait_until(lambda: len(shown()["device"]) == 10, "ten devices on the page")
        assert shown()["may_change"]
        process.process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.output.endswith("Ended; nothing is left behind.\n")
    assert not folder.exists()
    assert not answers(port)


def test_it_ends_by_itself_when_told_to() -> None:
    with demo("--for", "3s", "--mqtt-port", str(free_port())) as process:
        began = time.monotonic()
        assert process.wait() == 0
        assert time.monotonic() - began >= 3
    assert re.search(r"^Total +\d", process.output, re.MULTILINE)


def test_a_port_that_is_taken_is_named() -> None:
    with demo("--mqtt-port", str(free_port())) as first:
        port = said(first, r"-p (\d+) -v")
        wait_until(lambda: answers(int(port)), "the broker")
        with demo("--mqtt-port", port) as second:
            assert second.wait() == 2
        assert second.output == f"dalla-mqtt: port {port} is taken; another one, or none, would do\n"
        assert first.terminate() == 0
