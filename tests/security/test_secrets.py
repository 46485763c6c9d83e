"""Passwords and tokens: nobody finds them in `ps`, the log, a topic, the page, a bug report or the state file."""

from __future__ import annotations

import resource
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.processes import CANARY, Dalla, Mosquitto, Process, Ran, Router, free_port

ROUTER, BROKER, TOKEN = (f"{CANARY}-{what}" for what in ("router", "broker", "token"))  # 15 characters go to a router
CONFIG = """\
router: {{url: "{router}", interval: 1s, timeout: 1s}}
mqtt: {{url: "{broker}", username: dalla, password_file: broker-password}}
web: {{listen: "127.0.0.1:{page}", token_file: web-token}}
users: {{Alice: {{hostnames: ["*"], quota: 1 MB, at_quota: throttle}}}}
"""


def shown_to_all(pid: int) -> str:
    """What any user of this machine sees of a process: `ps` reads it there."""
    return " ".join(Path(f"/proc/{pid}/{name}").read_bytes().decode() for name in ("cmdline", "comm", "status"))


def broker(folder: Path, port: int, password: str) -> Mosquitto:
    passwords = folder / "passwords"
    passwords.touch(0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "dalla", password], check=True)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "listener", "hears"], check=True)
    return Mosquitto(folder, port, settings=f"allow_anonymous false\npassword_file {passwords}\nuser root\n")


@contextmanager
def house(folder: Path, how: str, *options: str) -> Iterator[tuple[Dalla, Router, int, int]]:
    """A daemon that says all that it can, with its secrets in files and flags; the ports of broker and page."""
    with Router("--devices", "3", "--traffic", "busy", "--password", ROUTER[:15]) as router:
        at, page = free_port(), free_port()
        config = CONFIG.format(router=router.url, broker=f"mqtt://127.0.0.1:{at}", page=page)
        (folder / "config.yaml").write_text(config)
        for name, secret in (("broker-password", BROKER), ("web-token", TOKEN)):
            (folder / name).touch(0o600)
            (folder / name).write_text(f"{secret}\n")
        command = ("run", "--log-level", "debug", "--log-format", how, *options)
        with Dalla(folder, *command, environment={"DALLA_WEB_LISTEN": f"127.0.0.1:{page}"}) as dalla:
            yield dalla, router, at, page


@pytest.mark.parametrize("how", ["text", "json"])
def test_no_secret_is_ever_told_whatever_goes_wrong(tmp_path: Path, how: str) -> None:
    with house(tmp_path, how, f"--password={ROUTER}") as (dalla, router, at, page):
        dalla.says("cannot be reached")
        with broker(tmp_path, at, "another"):
            dalla.says("refused us")
        as_listener = ("-u", "listener", "-P", "hears")
        with broker(tmp_path, at, BROKER) as right:
            dalla.says("connected to the broker")
            right.publish("listener/ready", "1", *as_listener)
            with Process("mosquitto_sub", "-p", str(at), *as_listener, "-v", "-t", "#") as all_topics:
                all_topics.says("dalla/home/total/state")
                answers = [
                    requests.get(f"http://127.0.0.1:{page}{path}", headers=headers, timeout=9).text
                    for path in ("/api/now", "/api/history?of=total&by=hour", "/metrics", "/health", "/nowhere")
                    for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": f"Bearer {TOKEN}x"})
                ]
                router.do("fault", kind="html", count=2)
                router.do("refuse", seconds=2)
                dalla.says("no whole answer from the router")
                dalla.says("router: all is well again")
                router.do("password", new="changed")
                dalla.says("refused")
                said = all_topics.output
            assert Ran(tmp_path, "doctor", "--report", "report.txt", "-p", ROUTER).code in (0, 1, 3)
        with sqlite3.connect(tmp_path / "state.db") as database:
            state = "\n".join(database.iterdump())
        report = (tmp_path / "report.txt").read_text()
    assert len(dalla.lines) > 10
    for place in (dalla.output, said, *answers, report, state):
        assert place
        assert CANARY not in place


@pytest.mark.parametrize("flag", [["-p", ROUTER], [f"--password={ROUTER}"]])
def test_a_password_on_the_command_line_is_gone_from_it_when_the_daemon_works(tmp_path: Path, flag: list[str]) -> None:
    with house(tmp_path, "text", *flag) as (dalla, _, _, _):
        shown = []
        while not dalla.polls():
            shown.append(shown_to_all(dalla.process.pid))
        assert sum(CANARY in one for one in shown) < len(shown) / 2  # until the program has read it
        assert CANARY not in shown[-1]
        assert "--log-level" in shown[-1]


def test_secrets_in_files_and_the_environment_are_never_in_ps(tmp_path: Path) -> None:
    with house(tmp_path, "text", "--once") as (dalla, _, _, _):
        while dalla.process.poll() is None:
            assert CANARY not in shown_to_all(dalla.process.pid)


def test_a_daemon_that_dies_of_a_fault_leaves_no_memory_behind(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        with house(tmp_path, "text", "-p", ROUTER) as (dalla, _, _, _):
            dalla.polls_again()
            limits = Path(f"/proc/{dalla.process.pid}/limits").read_text()
            dalla.process.send_signal(signal.SIGABRT)
            assert dalla.wait() == -signal.SIGABRT
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    (cores,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert cores.split()[4:6] == ["1", "1"], "not even for a program that cores are piped to"
    assert [path for path in tmp_path.rglob("*") if path.name.startswith("core")] == []
    assert CANARY not in dalla.output
