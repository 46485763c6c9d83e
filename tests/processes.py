"""The programs that are tested with, started for real on free loopback ports and ended by their process ids."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import requests

CANARY = "c4n4ry"  # a password that nothing may ever say
COMMAND = (sys.executable, "-m", "dalla_mqtt")
PATIENCE_S = 20.0  # how long to wait for what must happen; nothing waits this long when all is well


def free_port() -> int:
    """A port below those that the system gives to clients: one that tries to connect there may meet itself."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311  # no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(true: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:  # noqa: ANN401
    """What `true` returns, as soon as it is something."""
    deadline = time.monotonic() + patience_s
    while not (result := true()):
        assert time.monotonic() < deadline, f"waited {patience_s} s in vain: {what}"
        time.sleep(0.01)
    return result


class Process:
    """A program and all that it says."""

    def __init__(self, *command: str, cwd: Path | None = None, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=clean(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def says(self, text: str) -> None:
        """Wait until it has said `text`."""
        wait_until(lambda: text in self.output, f"{text!r} in the output:\n{self.output}")

    def terminate(self) -> int:
        """Its exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))


class Mosquitto(Process):
    """A real broker on a port of its own. `persistent`: ended by SIGTERM, it keeps what it retains in `folder`."""

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        settings: str = "allow_anonymous true\n",
        persistent: bool = False,
    ) -> None:
        self.port = port or free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        if persistent:
            # Started by root, it would become a user who may not write there.
            settings += f"user root\npersistence true\npersistence_location {folder}/\n"
        file = folder / f"mosquitto-{self.port}.conf"
        file.write_text(f"listener {self.port} 127.0.0.1\nset_tcp_nodelay true\n{settings}", "utf-8")
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program, "mosquitto is not installed: sh scripts/test installs it"
        super().__init__(program, "-c", str(file))
        try:
            wait_until(lambda: answers(self.port), "mosquitto")
        except AssertionError as error:
            self.kill()
            raise AssertionError(self.output) from error

    def publish(self, topic: str, payload: str = "", *options: str) -> None:
        """By `mosquitto_pub`, at QoS 1: with 0 it would overtake what is retained."""
        where = ("mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-q", "1", *options)
        subprocess.run([*where, "-t", topic, "-m", payload], check=True)

    def retained(self) -> dict[str, str]:
        """All that somebody hears who comes now: every retained topic and its payload."""
        with Listener(self) as listener:
            return {message["topic"]: message["payload"] for message in listener.messages if message["retain"]}


class Listener(Process):
    """`mosquitto_sub`, and what it hears."""

    def __init__(self, broker: Mosquitto, topic: str = "#", *options: str) -> None:
        where = ("-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t", topic, "-t", "listener/ready")
        super().__init__("mosquitto_sub", *where, "-F", "%j", *options)
        while not any('"listener/ready"' in line for line in self.lines):  # until its subscription is there
            broker.publish("listener/ready", "1")

    @property
    def messages(self) -> list[dict[str, Any]]:
        """`topic`, `payload`, `retain`, `qos` of each message, in the order of their arrival."""
        heard = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [message for message in heard if message["topic"] != "listener/ready"]

    def forget(self) -> None:
        """Listen anew."""
        self.lines.clear()

    @property
    def latest(self) -> dict[str, str]:
        """The last payload of each topic."""
        return {message["topic"]: message["payload"] for message in self.messages}


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Router(Process):
    """`dalla-mqtt simulate`, frozen and thawed at will."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(sys.executable, "-m", "dalla_mqtt", "simulate", "--port", str(self.port), *options)
        self.says("Ctrl-C ends it")

    def do(self, what: str, **about: object) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/simulator", json={"do": what, **about}, timeout=PATIENCE_S)
        assert answer.ok, answer.text
        state: dict[str, Any] = answer.json()
        return state

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = requests.get(f"{self.url}/simulator", timeout=PATIENCE_S).json()
        return state


class Dalla(Process):
    """`dalla-mqtt`, in `folder`."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        environment: dict[str, str] | None = None,
        program: tuple[str, ...] = ("-m", "dalla_mqtt"),
    ) -> None:
        super().__init__(sys.executable, *program, *options, cwd=folder, environment=environment)

    def polls(self) -> int:
        return self.output.count(" polled in ")

    def polls_again(self, times: int = 2) -> None:
        """Wait for `times` more polls: the second of them began after this call."""
        before = self.polls()
        wait_until(lambda: self.polls() >= before + times, f"{times} more polls:\n{self.output}")


def clean(environment: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a program under test. Many run at once, and the page has one port: it is off."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("DALLA_")}
    return {**ours, "PYTHONUNBUFFERED": "1", "DALLA_WEB_LISTEN": "off", **(environment or {})}


class Ran:
    """A command that has ended."""

    def __init__(
        self, folder: Path, *words: str, environment: dict[str, str] | None = None, typed: str | None = None
    ) -> None:
        ran = subprocess.run(
            [*COMMAND, *words],
            cwd=folder,
            env=clean(environment),
            input=typed or "",
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        self.code, self.out, self.err = ran.returncode, ran.stdout, ran.stderr
        assert CANARY not in self.out + self.err

    @property
    def complaint(self) -> str:
        """The one line on standard error, of a command that ended with exit code 2 and said nothing else."""
        assert (self.code, self.out) == (2, ""), self.err
        assert re.fullmatch(r"dalla-mqtt: [^\n]+\n", self.err)
        return self.err.removeprefix("dalla-mqtt: ").rstrip("\n")
