"""What is wrong with the router is told with its mend, and it is asked no more than it must be."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from tests.doctor.house import Doctor, diagnose
from tests.processes import Dalla, Listener, Mosquitto, Ran, Router, wait_until

OWNER = {"Cookie": "Authorization=Basic YWRtaW46YWRtaW4=", "Referer": "http://tplinkwifi.net/"}
SET, LOGOUT = "2", "8"
BUSY = ("--devices", "3", "--traffic", "busy")


def owner_asks(router: Router, action: str, section: str, attribute: str = "") -> None:
    """As its page does, from another machine."""
    lines = f"{attribute}\r\n" if attribute else ""
    body = f"[{section}#0,0,0,0,0,0#0,0,0,0,0,0]0,{int(bool(attribute))}\r\n{lines}"
    headers = OWNER | {"X-Simulated-Client": "the owner's laptop"}
    assert requests.post(f"{router.url}/cgi?{action}", body, headers=headers, timeout=10).ok


@contextmanager
def busy_router(*options: str) -> Iterator[Router]:
    with Router(*(options or BUSY)) as router:
        wait_until(lambda: router.state["rows"], "a row")
        yield router


def test_all_is_well(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with busy_router() as router, Mosquitto(tmp_path) as broker:
        macs = [mac for mac, _ in sorted(router.state["truth"].items())]
        (home / "user-map.csv").write_text("Name, MAC\n" + "".join(f"Alice, {mac}\n" for mac in macs))
        with Listener(broker, "homeassistant/sensor/+/config"):  # as Home Assistant does
            before = broker.retained()
            code, doctor = diagnose(home, DALLA_ROUTER_URL=router.url, DALLA_MQTT_URL=broker.url)
            assert broker.retained() == before
        state = router.state
    assert [line for line in doctor.all if line[0] != "ok" and line[1] != "clock"] == []
    assert (code, doctor.lines[-1].startswith("All is well")) == (0, True)
    assert (state["logins"], state["logouts"], state["session"]) == (2, 2, None)
    abouts = list(dict.fromkeys(about for _, about, _ in doctor.all))
    assert abouts == [
        *("settings", "clock", "time zone", "CSV files", "state", "disk space", "users"),
        *("router", "login", "model", "answer time", "statistics", "counting", "table", "names"),
        *("broker", "credentials", "publishing", "discovery", "Home Assistant"),
    ]
    assert doctor.about("counting") == ("ok", "3 of 3 counters grew within 10 s")
    assert doctor.about("model")[1].startswith("Archer C20, hardware Archer C20 v1 (simulated), firmware 0.9.1")
    assert [path.name for path in home.iterdir()] == ["user-map.csv"]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.0.0.1:9", "but no page of a router at port 9 -> see whether its page opens in a browser"),
        ("http://nobody.invalid", "nobody knows the name nobody.invalid -> put its number into router.url"),
        ("http://a..b", "nobody knows the name a..b -> put its number into router.url"),
    ],
)
def test_a_router_that_is_not_there(tmp_path: Path, url: str, text: str) -> None:
    code, doctor = diagnose(tmp_path, DALLA_ROUTER_URL=url)
    assert (code, doctor.about("router")[0]) == (1, "wrong")
    assert text in doctor.about("router")[1]


def test_something_else_than_a_router_is_told(tmp_path: Path) -> None:
    with refusing(404) as (url, _):
        code, doctor = diagnose(tmp_path, DALLA_ROUTER_URL=url)
    verdict, text = doctor.about("router")
    assert (code, verdict, "HTTP 404 -> see whether router.url" in text) == (1, "wrong", True)


@contextmanager
def refusing(status: int = 401) -> Iterator[tuple[str, list[str]]]:
    """The address of a page that answers everything with `status`, and what it was asked."""
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_error(status)

        do_GET = do_POST  # noqa: N815  # as http.server has it

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_password_that_may_be_wrong_is_tried_once(tmp_path: Path) -> None:
    with busy_router() as router:
        Ran(tmp_path, "--once", "-p", "wrong", environment={"DALLA_ROUTER_URL": router.url, "DALLA_MQTT_URL": "off"})
        one_poll = router.state["refused"]
    with busy_router() as router:
        code, doctor = diagnose(tmp_path, "-p", "wrong", DALLA_ROUTER_URL=router.url)
        assert router.state["refused"] == one_poll
    verdict, text = doctor.about("login")
    assert (code, verdict) == (1, "wrong")
    assert "another administrator is logged in to the router, or the password is wrong" in text
    assert (
        "-> log out of the router's page on every machine, or wait ten minutes, and make sure of the password" in text
    )
    assert doctor.all[-1][1] == "broker"  # nothing more of the router


def test_a_password_that_is_refused_ends_it_with_exit_code_3_after_one_try(tmp_path: Path) -> None:
    asked: list[int] = []
    for words in ((), ("doctor",)):
        with refusing() as (url, requests_made):
            where = {"DALLA_ROUTER_URL": url, "DALLA_ROUTER_PASSWORD": "x", "DALLA_MQTT_URL": "off"}
            assert Ran(tmp_path, *words, environment=where).code == 3
            asked.append(len(requests_made))
    assert asked[0] == asked[1]  # a daemon asks once, too
    with refusing() as (url, _):
        code, doctor = diagnose(tmp_path, DALLA_ROUTER_URL=url)
    verdict, text = doctor.about("login")
    assert (code, verdict) == (3, "wrong")
    assert "It was tried once, and is not tried again" in text


def test_its_owner_is_not_disturbed(tmp_path: Path) -> None:
    with busy_router() as router:
        owner_asks(router, "1", "IGD_DEV_INFO")
        code, doctor = diagnose(tmp_path, DALLA_ROUTER_URL=router.url)
        assert (code, doctor.about("login")[0], router.state["session"]) == (1, "wrong", "the owner's laptop")


def test_statistics_that_are_switched_off(tmp_path: Path) -> None:
    with busy_router() as router:
        owner_asks(router, SET, "STAT_CFG", "enable=0")
        owner_asks(router, LOGOUT, "/cgi/logout")
        code, doctor = diagnose(tmp_path, DALLA_ROUTER_URL=router.url)
        assert router.state["session"] is None
    verdict, text = doctor.about("statistics")
    assert (code, verdict) == (1, "wrong")
    assert "-> in the router's page, under System Tools, Statistics, press Enable" in text
    assert "waiting" not in doctor.output


@pytest.mark.parametrize(
    ("order", "exit_code", "verdict", "text"),
    [
        ("freeze", 0, "hint", "none of 3 counters grew within 10 s -> open some web page on a phone and ask again"),
        ("clear", 1, "wrong", "the router knows 3 devices and counts none of them -> switch Bandwidth Control on"),
    ],
)
def test_counters_that_do_not_grow_point_to_hardware_nat(
    tmp_path: Path, order: str, exit_code: int, verdict: str, text: str
) -> None:
    with busy_router() as router:
        router.do("freeze")
        router.do(order)
        code, doctor = diagnose(tmp_path, DALLA_ROUTER_URL=router.url)
    assert (code, doctor.about("counting")[0]) == (exit_code, verdict)
    assert text in doctor.about("counting")[1]
    assert "Bandwidth Control" in doctor.about("counting")[1]


def test_a_table_that_is_full(tmp_path: Path) -> None:
    with Router("--devices", "300", "--traffic", "busy") as router:
        wait_until(lambda: len(router.state["rows"]) == 256, "a full table")
        code, doctor = diagnose(tmp_path, DALLA_ROUTER_URL=router.url)
    verdict, text = doctor.about("table")
    assert (code, verdict) == (1, "wrong")
    assert "256 of 256 rows are taken" in text
    assert "-> press Delete All on its page" in text


def test_devices_that_the_router_does_not_know_are_named(tmp_path: Path) -> None:
    (tmp_path / "user-map.csv").write_text("Name, MAC\nAlice, 02:00:00:00:00:77\n")
    with busy_router() as router:
        _, doctor = diagnose(tmp_path, DALLA_ROUTER_URL=router.url)
    told = "the router does not know 02:00:00:00:00:77 (Alice) -> right if they are away; else compare their MACs"
    verdict, text = doctor.about("users")
    assert (verdict, text.startswith(told)) == ("hint", True)


def test_ctrl_c_ends_it_at_once_and_the_login_is_free(tmp_path: Path) -> None:
    with busy_router() as router, Doctor(tmp_path, DALLA_ROUTER_URL=router.url) as doctor:
        doctor.says("waiting 10 s")
        assert doctor.interrupted() == 1
        assert "Traceback" not in doctor.output
        state = router.state
        assert (state["logins"], state["logouts"], state["session"]) == (1, 1, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_the_router_says_nothing_and_logs_out(tmp_path: Path, number: signal.Signals) -> None:
    with busy_router() as router:
        router.do("fault", kind="silent")
        with Doctor(tmp_path, DALLA_ROUTER_URL=router.url) as doctor:
            wait_until(lambda: doctor.all and doctor.all[-1][1] == "router", "it is asked")
            asked = time.monotonic() + 0.5
            while time.monotonic() < asked:
                assert doctor.process.poll() is None
            doctor.process.send_signal(number)
            assert doctor.wait(5) == 1
            assert "Traceback" not in doctor.output
        wait_until(lambda: router.state["session"] is None, "the login is free")


def test_beside_a_daemon_whose_router_is_busy_it_is_not_asked(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with busy_router() as router, Mosquitto(tmp_path) as broker:
        owner_asks(router, "1", "IGD_DEV_INFO")
        where = {"DALLA_ROUTER_URL": router.url, "DALLA_MQTT_URL": broker.url, "DALLA_ROUTER_PASSWORD": "admin"}
        with Dalla(home, "run", environment=where | {"DALLA_ROUTER_INTERVAL": "1h"}) as dalla:
            wait_until(lambda: '"busy"' in broker.retained().get("dalla/home/router", ""), "what it says")
            refused = router.state["refused"]
            code, doctor = diagnose(home, **where)
            assert router.state["refused"] == refused
            assert broker.retained()["dalla/home/status"] == "online"
            assert dalla.terminate() == 0
    verdict, text = doctor.about("router")
    assert (code, verdict) == (1, "wrong")
    assert "the dalla-mqtt that runs says that somebody else is logged in to it, since 20" in text


def test_beside_a_daemon_that_fares_well_it_asks_as_ever(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with busy_router() as router, Mosquitto(tmp_path) as broker:
        where = {"DALLA_ROUTER_URL": router.url, "DALLA_MQTT_URL": broker.url, "DALLA_ROUTER_PASSWORD": "admin"}
        with Dalla(home, "run", environment=where | {"DALLA_ROUTER_INTERVAL": "5s"}) as dalla:
            wait_until(lambda: '"ok"' in broker.retained().get("dalla/home/router", ""), "what it says")
            code, doctor = diagnose(home, **where)
            assert (code, doctor.about("counting")[0]) == (0, "ok")
            dalla.polls_again()
            assert " ERROR " not in dalla.output
            assert dalla.terminate() == 0
