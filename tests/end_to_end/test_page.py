"""The page of a real daemon with a real router: its figures, what is wanted on it, and whom it never keeps waiting."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests

from dalla_mqtt.archive.beside import History
from dalla_mqtt.usage.ledger import TOTAL, Key
from tests.bench.poll import status_mib
from tests.end_to_end.conftest import Home
from tests.processes import PATIENCE_S, Dalla, Mosquitto, Router, answers, free_port, wait_until

TOKEN = "c4n4ry-of-alice"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Page:
    """What a browser would see of a daemon."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {"DALLA_WEB_LISTEN": f"127.0.0.1:{self.port}", "DALLA_WEB_TOKEN": TOKEN}

    def run(self, *options: str, **environment: str) -> Dalla:
        dalla = self.home.run(*options, **self.settings | environment)
        wait_until(lambda: answers(self.port), f"the page:\n{dalla.output}")
        dalla.polls_again()
        return dalla

    def get(self, path: str = "/api/now") -> Any:  # noqa: ANN401
        answer = requests.get(f"{self.url}{path}", timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, object]) -> None:
        answer = requests.post(f"{self.url}{path}", json=body, headers=BEARER, timeout=PATIENCE_S)
        assert answer.status_code == 202, answer.text

    def device(self, key: str, value: str) -> dict[str, Any]:
        """The first with that."""
        found: dict[str, Any] = wait_until(
            lambda: next((device for device in self.get()["device"] if device[key] == value), None), value
        )
        return found

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)


@pytest.fixture
def page(home: Home) -> Iterator[Page]:
    (home.folder / "config.yaml").write_text(
        "users: {Alice: {hostnames: ['alices-*'], quota: 1 GB}, Bob: {}}\n", "utf-8"
    )
    return Page(home)


def test_it_shows_what_the_store_holds(page: Page) -> None:
    with page.run() as dalla:
        page.home.settle(dalla)
        now = page.get()
        days = page.get("/api/history?of=total&by=day")
        hours = page.get("/api/history?of=user/alice&by=hour")
        assert dalla.terminate() == 0
    with closing(History(page.home.folder / "state.db")) as history:
        usage, moved = history.usage(), history.moved(date.min, date.max)
    assert now["total"]["usage"] == usage[TOTAL] > 0
    assert {user["name"]: user["usage"] for user in now["user"]} == {
        key.name: size for key, size in usage.items() if key.kind == "user"
    }
    assert {device["mac"].replace(":", "-"): device["usage"] for device in now["device"]} == {
        key.name: size for key, size in usage.items() if key.kind == "device"
    }
    assert sum(days["delta"]) == sum(moved[TOTAL])
    assert sum(hours["delta"]) == sum(moved[Key("user", "Alice")])
    assert days["total"][-1] == usage[TOTAL]


def test_a_device_that_is_given_to_a_user_is_theirs_at_once_and_after_a_restart(page: Page) -> None:
    with page.run() as dalla:
        tv = page.device("user", "UNKNOWN")
        page.post(f"/api/device/{tv['id']}/user", {"user": "Bob"})
        wait_until(lambda: page.device("id", tv["id"])["user"] == "Bob", "Bob's television")
        page.post(f"/api/device/{tv['id']}/name", {"name": "<img src=x onerror=alert(1)>"})
        wait_until(lambda: page.device("id", tv["id"])["name"] == "<img src=x onerror=alert(1)>", "its name")
        assert dalla.terminate() == 0
    assert f"Bob, {tv['mac'].replace(':', '-')}\n" in (page.home.folder / "user-map.csv").read_text("utf-8")
    with page.run():
        assert page.device("id", tv["id"])["user"] == "Bob"


def test_a_quota_is_set_and_topped_up(page: Page) -> None:
    def alice() -> dict[str, Any]:
        found: dict[str, Any] = next(user["quota"] for user in page.get()["user"] if user["id"] == "alice")
        return found

    with page.run():
        assert alice()["quota"] == 10**9
        page.post("/api/user/alice/quota", {"part": "together", "size": "40 GiB"})
        wait_until(lambda: alice()["quota"] == 40 * 2**30, "a quota of 40 GiB")
        page.post("/api/user/alice/topup", {"size": "1 GiB"})
        wait_until(lambda: alice()["limit"] == 41 * 2**30, "a GiB more")
        page.post("/api/user/alice/quota", {"part": "together", "size": None})
        wait_until(lambda: alice()["quota"] == 10**9, "the quota as configured")


def test_the_broker_hears_of_what_is_changed_on_the_page(page: Page) -> None:
    with page.run():
        tv = page.device("user", "UNKNOWN")["id"]
        page.post(f"/api/device/{tv}/user", {"user": "Alice"})
        topic = f"dalla/home/device/{tv}/state"
        wait_until(lambda: '"user":"Alice"' in page.home.listener.latest.get(topic, ""), "Alice's television")


def test_without_a_broker_it_is_all_there_is(page: Page) -> None:
    with page.run("--realtime-only", DALLA_MQTT_URL="off"):
        assert page.get()["total"]["usage"] > 0
        assert page.get("/api/history?of=total&by=hour")["start"] == []
        assert len(page.get("/api/history?of=total&by=day")["start"]) == 1


def test_where_the_port_is_taken_the_daemon_counts_on_and_says_so_once(page: Page) -> None:
    with socket.create_server(("127.0.0.1", page.port)), page.home.run(**page.settings) as dalla:
        dalla.polls_again(3)
        told = f"there is no page: cannot listen on 127.0.0.1:{page.port}: Address already in use; set web.listen"
        assert dalla.output.count(told) == 1
        assert dalla.terminate() == 0


def test_one_poll_by_hand_takes_no_port(page: Page) -> None:
    with page.home.run("--once", **page.settings) as dalla:
        assert dalla.wait() == 0
        assert "page" not in dalla.output


@pytest.mark.alone
def test_idle_connections_and_slow_readers_keep_neither_the_daemon_nor_others_waiting(page: Page) -> None:
    with page.run() as dalla, ExitStack() as open_:
        clients = [open_.enter_context(page.connect()) for _ in range(230)]
        for client in clients[:20]:  # ask much and read nothing of it
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /api/now HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300)
        for client in clients[20:30]:  # and never end their request
            client.sendall(b"POST /api/poll HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n{")
        before, began = dalla.polls(), time.monotonic()
        asked = 0
        while dalla.polls() < before + 6:
            at = time.monotonic()
            assert page.get()["device"]
            assert time.monotonic() - at < 1, "another client waits"
            asked += 1
        passed = time.monotonic() - began
        assert passed < 1.5 * 6 + 1, "six polls of one each second"
        assert asked > 6
        at = time.monotonic()
        assert dalla.terminate() == 0
        assert time.monotonic() - at < 2
        assert "page could not" not in dalla.output
        assert "Traceback" not in dalla.output


@pytest.mark.alone
def test_it_ends_with_the_daemon_within_two_seconds_whoever_is_connected(page: Page) -> None:
    with page.run() as dalla, ExitStack() as open_:
        for _ in range(100):
            open_.enter_context(page.connect()).sendall(b"GET /api/now HTTP/1.1\r\n")
        began = time.monotonic()
        assert dalla.terminate() == 0
        assert time.monotonic() - began < 2
        assert not answers(page.port)


def test_a_daemon_with_a_broker_and_a_page_that_are_used_stays_within_48_mib(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Router("--devices", "50") as router:
        page = Page(Home(tmp_path, broker, router, None))  # type: ignore[arg-type]  # nobody listens
        with page.run() as dalla, ExitStack() as open_:
            for _ in range(100):
                open_.enter_context(page.connect())
            for _ in range(50):
                devices = page.get()["device"]
                for of in ("total", "user/unknown", f"device/{devices[0]['id']}"):
                    for by in ("hour", "day", "month"):
                        page.get(f"/api/history?of={of}&by={by}")
                for path in ("/", "/metrics", "/health"):
                    assert requests.get(f"{page.url}{path}", timeout=PATIENCE_S).status_code == 200
            assert len(devices) >= 40
            used = status_mib(dalla.process.pid, "VmRSS")
            print(f"{used:.1f} MiB")
            assert used <= 48
