"""What the owner of the router notices: never locked out, never in the way, gone at once when told to go."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest
import requests

from tests.processes import wait_until

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Home

OWNER = {
    "Cookie": "Authorization=Basic YWRtaW46YWRtaW4=",
    "Referer": "http://tplinkwifi.net/",
    "X-Simulated-Client": "the owner's laptop",
    "Content-Type": "text/plain",
}


def owner_looks(home: Home, query: str = "1", section: str = "IGD_DEV_INFO") -> int:
    body = f"[{section}#0,0,0,0,0,0#0,0,0,0,0,0]0,0\r\n"
    return requests.post(f"{home.router.url}/cgi?{query}", body, headers=OWNER, timeout=10).status_code


def events(home: Home) -> list[str]:
    return [
        json.loads(heard["payload"])["event"] for heard in home.listener.messages if heard["topic"].endswith("/event")
    ]


def test_the_login_is_free_between_two_polls(home: Home) -> None:
    with home.run(DALLA_ROUTER_INTERVAL="5s") as dalla:
        dalla.polls_again(1)
        assert owner_looks(home) == 200
        state = home.router.state
        assert state["logins"] == state["logouts"] + 1  # the owner's own


def test_another_administrator_is_told_once_and_the_daemon_comes_back_by_itself(home: Home) -> None:
    with home.run() as dalla:
        dalla.polls_again(1)
        wait_until(lambda: owner_looks(home) == 200, "a moment between two polls")
        wait_until(lambda: "router_busy" in events(home), "the event")
        assert json.loads(home.listener.latest["dalla/home/router"])["state"] == "busy"
        assert owner_looks(home, "8", "/cgi/logout") == 200
        dalla.polls_again(1)
        wait_until(lambda: "router_back" in events(home), "the event")
        assert events(home).count("router_busy") == 1
        assert dalla.output.count("another administrator") == 1
        assert json.loads(home.listener.latest["dalla/home/router"])["state"] == "ok"


def test_a_wrong_password_is_tried_three_times_and_not_a_fourth(home: Home) -> None:
    with home.run(DALLA_ROUTER_PASSWORD="wrong") as dalla:
        dalla.says("the password is wrong")
        wait_until(lambda: home.router.state["wrong_passwords"] == 3, "three tries")
        # the fourth would have come a second later
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            assert home.router.state["wrong_passwords"] == 3
        assert dalla.terminate() == 0


def refuse(server: socket.socket) -> bytes:
    connection, _ = server.accept()
    with connection:
        request = connection.recv(65536)
        connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    return request


def test_a_password_that_is_refused_in_so_many_words_ends_it_with_exit_code_3(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with home.run(DALLA_ROUTER_URL=f"http://127.0.0.1:{server.getsockname()[1]}") as dalla:
            asked = [refuse(server) for _ in range(3)]  # what comes after the first looks for another kind of login
            assert [b"Authorization" in request for request in asked] == [True, False, False]
            assert dalla.wait() == 3
        assert json.loads(home.listener.latest["dalla/home/router"])["state"] == "login_refused"
        assert "refused the user name or the password" in dalla.output
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):  # not even to log out
            server.accept()


@pytest.mark.alone
def test_it_ends_within_two_seconds_while_the_router_says_nothing(home: Home) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        home.run(DALLA_ROUTER_URL=f"http://127.0.0.1:{server.getsockname()[1]}") as dalla,
    ):
        connection, _ = server.accept()
        with connection:
            began = time.monotonic()
            assert dalla.terminate() == 0
            assert time.monotonic() - began < 2


@pytest.mark.alone
def test_it_ends_within_two_seconds_while_router_and_broker_say_nothing_and_the_will_is_heard(home: Home) -> None:
    with home.run() as dalla:
        dalla.polls_again(1)
        os.kill(home.broker.process.pid, signal.SIGSTOP)
        os.kill(home.router.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        assert dalla.terminate() == 0
        assert time.monotonic() - began < 2
    os.kill(home.router.process.pid, signal.SIGCONT)
    os.kill(home.broker.process.pid, signal.SIGCONT)
    wait_until(lambda: home.listener.latest.get("dalla/home/status") == "offline", "offline, or the will")


@pytest.mark.router("--login", "gdpr", "--firmware", "late_s=0.3")
def test_a_poll_that_is_stopped_in_the_middle_leaves_the_login_free(home: Home) -> None:
    with home.run() as dalla:
        dalla.polls_again(1)
        home.router.do("fault", kind="late")
        logins = home.router.state["logins"]
        wait_until(lambda: home.router.state["logins"] > logins, "the next login")
        assert dalla.terminate() == 0
    assert home.router.state["session"] is None


@pytest.mark.router("--login", "gdpr-pkcs1")
def test_newer_firmware_that_refuses_the_password_is_asked_once_and_it_ends_with_exit_code_3(home: Home) -> None:
    with home.run(DALLA_ROUTER_PASSWORD="wrong") as dalla:
        assert dalla.wait() == 3
    assert home.router.state["wrong_passwords"] == 1
    assert json.loads(home.listener.latest["dalla/home/router"])["state"] == "login_refused"


@pytest.mark.router("--login", "gdpr")
def test_a_program_that_is_started_again_and_again_with_a_wrong_password_tries_it_once(home: Home) -> None:
    for _ in range(4):
        with home.run(DALLA_ROUTER_PASSWORD="wrong") as dalla:
            assert dalla.wait() == 3
    assert "is not asked again" in dalla.output
    assert home.router.state["wrong_passwords"] == 1
    with home.run() as dalla:
        dalla.polls_again(1)


@pytest.mark.router("--login", "gdpr")
def test_a_password_that_is_changed_while_it_runs_is_tried_once_and_the_daemon_stays(home: Home) -> None:
    with home.run() as dalla:
        dalla.polls_again(1)
        home.router.do("password", new="another")
        wait_until(lambda: '"state":"login_refused"' in home.listener.latest.get("dalla/home/router", ""), "the state")
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            assert home.router.state["wrong_passwords"] == 1
        assert dalla.terminate() == 0


def test_a_single_poll_that_is_stopped_ends_well(home: Home) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        home.run("--once", DALLA_ROUTER_URL=f"http://127.0.0.1:{server.getsockname()[1]}") as dalla,
    ):
        connection, _ = server.accept()
        with connection:
            assert dalla.terminate() == 0


def test_it_says_offline_when_it_ends_and_the_broker_says_so_when_it_is_killed(home: Home) -> None:
    with home.run() as dalla:
        wait_until(lambda: home.listener.latest.get("dalla/home/status") == "online", "online")
        assert dalla.terminate() == 0
    wait_until(lambda: home.listener.latest["dalla/home/status"] == "offline", "offline")
    with home.run() as dalla:
        wait_until(lambda: home.listener.latest["dalla/home/status"] == "online", "online again")
    wait_until(lambda: home.listener.latest["dalla/home/status"] == "offline", "the will")


def test_a_second_instance_on_the_same_state_file_leaves_with_exit_code_4(home: Home) -> None:
    with home.run() as first:
        first.polls_again(1)
        with home.run() as second:
            assert second.wait() == 4
        assert second.output.count("\n") == 1
        assert "another dalla-mqtt works with this state file" in second.output
        first.polls_again(1)


def test_no_secret_is_said_anywhere(home: Home) -> None:
    (home.folder / "secret").write_text("canary-broker\n", "utf-8")
    with home.run(
        "--log-level",
        "debug",
        DALLA_ROUTER_PASSWORD="canary-router",
        DALLA_MQTT_USERNAME="somebody",
        DALLA_MQTT_PASSWORD_FILE=str(home.folder / "secret"),
    ) as dalla:
        wait_until(lambda: home.router.state["refused"] >= 2, "polls")
        wait_until(lambda: "dalla/home/router" in home.listener.latest, "topics")
    assert "canary" not in dalla.output
    assert "canary" not in home.listener.output
