"""A broker, or who may say something there, cannot keep the daemon from counting."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.processes import Dalla, Router, wait_until

CONFIG = """\
router: {{url: "{router}", interval: 1s, timeout: 2s, password: admin}}
mqtt: {{url: "mqtt://127.0.0.1:{port}"}}
"""
WELCOME = b"\x20\x02\x00\x00"


class Hostile:
    """A broker that says what it likes to whoever comes, and listens to nobody."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server

    def lets_in(self) -> socket.socket:
        line, _ = self._server.accept()
        line.recv(4096)
        line.sendall(WELCOME)
        threading.Thread(target=swallow, args=(line,), daemon=True).start()
        return line


def swallow(line: socket.socket) -> None:
    with suppress(OSError):
        while line.recv(65536):
            pass


@contextmanager
def at_work(folder: Path) -> Iterator[tuple[Hostile, Dalla]]:
    with Router("--devices", "3") as router, socket.create_server(("127.0.0.1", 0)) as server:
        config = CONFIG.format(router=router.url, port=server.getsockname()[1])
        (folder / "config.yaml").write_text(config)
        (folder / "config.yaml").chmod(0o600)
        with Dalla(folder, "run") as dalla:
            yield Hostile(server), dalla


def message(topic: bytes, size: int) -> bytes:
    """The beginning of one with a payload of `size` bytes."""
    left, length = len(topic) + 2 + size, b""
    while left >= 128:
        length += bytes([left % 128 | 128])
        left //= 128
    return b"\x30" + length + bytes([left]) + struct.pack(">H", len(topic)) + topic


def peak_mib(dalla: Dalla) -> float:
    status = Path(f"/proc/{dalla.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def test_a_message_without_end_is_cut_off_before_it_fills_the_memory(tmp_path: Path) -> None:
    with at_work(tmp_path) as (broker, dalla):
        line = broker.lets_in()
        dalla.says("connected to the broker")
        dalla.polls_again()
        before = peak_mib(dalla)
        with line, suppress(ConnectionError):
            line.sendall(message(b"dalla/home/poll/set", 200 * 2**20))
            for _ in range(200):
                line.sendall(bytes(2**20))
        dalla.says("a broker sends a message of more than 1048576 bytes: its connection is cut")
        with broker.lets_in():
            dalla.polls_again()
        assert peak_mib(dalla) - before < 32
        assert "Traceback" not in dalla.output
        assert dalla.terminate() == 0


def test_a_flood_of_orders_delays_no_poll_and_fills_no_log_and_orders_are_taken_again_after_it(tmp_path: Path) -> None:
    with at_work(tmp_path) as (broker, dalla):
        line = broker.lets_in()
        dalla.says("connected to the broker")
        dalla.polls_again()
        before, polls = peak_mib(dalla), dalla.polls()
        refused, online = (
            message(topic, len(payload)) + payload
            for topic, payload in ((b"dalla/home/device/x/name/set", b"1"), (b"homeassistant/status", b"online"))
        )
        began = time.monotonic()
        with line:
            for _ in range(30):
                line.sendall((refused + online) * 1000)
            took_s = time.monotonic() - began
            dalla.polls_again(3)
            assert dalla.polls() - polls >= int(took_s / 2)  # other tests take their part of the machine
            assert peak_mib(dalla) - before < 16
            assert dalla.output.count("a command is refused") < 200 + 10 * (time.monotonic() - began) + 10
            assert dalla.output.count("those above are left out") == 1
            quota = message(b"dalla/home/user/nobody/quota/set", 4) + b"1 GB"
            wait_until(lambda: line.sendall(quota) or "user/nobody" in dalla.output, "an order that is heard")
        assert dalla.terminate() == 0
