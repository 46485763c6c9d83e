"""Many sites on one socket: each has its own page, and no name, router or visitor of one is in the way of another."""

from __future__ import annotations

import logging
import socket
import time
import tracemalloc
from collections import Counter
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from dalla_mqtt.log import SITE
from dalla_mqtt.report.metrics import metrics
from dalla_mqtt.report.web.server import Server
from dalla_mqtt.usage.commands import GiveDevice, PollNow
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.status import RouterState
from tests.processes import Dalla, Router, answers, free_port, wait_until
from tests.report.house import BEARER, PATIENCE_S, TOKEN, Served
from tests.report.households import snapshot
from tests.report.village import WEB, Village, ledger_of, moves
from tests.usage.house import PHONE, row

RESERVED = ["api", "static", "health", "metrics", "site", "sites", "page", "now"]
MB = 10**6
READ_BY_TOKEN = replace(WEB, read="token")
THOUSAND = [f"house-{number:04}" for number in range(1000)]


def thousand() -> Village:
    """A thousand sites of 20 devices, that have all been polled."""
    ledger = ledger_of(5 * MB, 20)
    village = Village(THOUSAND)
    for number, name in enumerate(THOUSAND):
        village.tell(name, moves(ledger, number * MB))
    return village


# what is where


def test_each_site_has_its_page_its_figures_and_its_wishes(tmp_path: Path) -> None:
    server = Server(WEB, ["alices", "bobs"])
    for name in ("alices", "bobs"):
        (tmp_path / name).mkdir()
    with (
        Served(tmp_path / "alices", site="alices", server=server, days=2) as alices,
        Served(tmp_path / "bobs", site="bobs", server=server) as bobs,
    ):
        bobs.house.reads(row(0))
        bobs.house.reads(row(7 * MB))
        alices.tell()
        bobs.tell()
        assert alices.page.port == bobs.page.port == server.port
        assert alices.json("/site/bobs/api/now")["total"]["usage"] == 7 * MB
        assert alices.json("/site/alices/api/now")["total"]["usage"] == alices.house.ledger.total.usage > 7 * MB
        again = alices.get(
            "/site/alices/api/now", {"If-None-Match": alices.get("/site/alices/api/now").headers["ETag"]}
        )
        assert again.status_code == 304
        history = alices.json("/site/alices/api/history?of=total&by=day")
        assert history["total"][-1] == alices.house.ledger.total.usage
        assert alices.post("/site/bobs/api/poll", {}).status_code == 202
        given = alices.post(f"/site/alices/api/device/{PHONE.dashed.lower()}/user", {"user": "Bob"})
        assert given.status_code == 202
        assert (alices.commands, bobs.commands) == ([GiveDevice(PHONE, "Bob")], [PollNow()])
        assert alices.post("/site/bobs/api/poll", {}, {}).status_code == 401
        for path in ("/api/now", "/api/history?of=total&by=day", "/site/alices/metrics"):
            assert alices.get(path).status_code == 404


@pytest.mark.parametrize("name", RESERVED)
def test_a_site_may_be_called_like_an_address(name: str) -> None:
    with Village([name, "home"]) as village:
        village.tell(name, ledger_of(MB))
        assert village.get(f"/site/{name}/api/now").json()["site"] == name
        assert b"All sites" in village.get(f"/site/{name}/").content
        assert [site["name"] for site in village.get("/api/sites").json()["site"]] == [name, "home"]
        assert village.get("/health").status_code == 200
        assert b"dalla_build_info" in village.get("/metrics").content
        assert village.get("/static/page.css").status_code == 200


def test_the_way_to_the_other_sites_is_there_where_there_are_some(tmp_path: Path) -> None:
    with Village(["home"]) as village:
        page = village.get("/site/home/")
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert '<a href="../../" id="back">All sites</a>' in page.text
        assert village.get("/site/home/", {"If-None-Match": page.headers["ETag"]}).status_code == 304
        with Served(tmp_path) as served:
            assert served.get("/").text == page.text.replace('id="back"', 'id="back" hidden')
            assert served.get("/api/sites").status_code == 404
            assert served.get("/site/home/").status_code == 404


def test_an_address_without_its_last_slash_leads_there_below_any_path() -> None:
    with Village(["home"]) as village:
        answer = village.get("/site/home")
        assert (answer.status_code, answer.headers["Location"]) == (308, "./home/")
        assert village.get("/site/javascript:alert(1)").headers["Location"] == "./javascript%3Aalert%281%29/"
        assert village.get("/site/%2F%2Fevil.example").status_code == 404


def test_a_site_that_there_is_not_is_told() -> None:
    with Village(["home"]) as village:
        for path in ("/site/other/", "/site/other/api/now", "/site/HOME/api/now", "/site/../api/now"):
            answer = village.get(path)
            assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json"), path
        wish = requests.post(f"{village.url}/site/other/api/poll", json={}, headers=BEARER, timeout=PATIENCE_S)
        assert (wish.status_code, wish.json()) == (404, {"error": "there is no such site"})
        assert village.get("/site/home/api/now").status_code == 503
        assert village.commands == []


def test_who_does_not_say_the_token_learns_not_even_which_sites_there_are() -> None:
    with Village(["home"], READ_BY_TOKEN) as village:
        village.tell("home", ledger_of(MB))
        for path in ("/api/sites", "/metrics", "/site/home/api/now", "/site/other/api/now"):
            assert village.get(path).status_code == 401
        for path in ("/", "/static/page.css", "/health"):
            assert village.get(path).status_code == 200
            assert b"home" not in village.get(path).content
        pages = [village.get(f"/site/{name}/") for name in ("home", "other")]
        assert pages[0].content == pages[1].content
        assert village.get("/api/sites", BEARER).json()["site"][0]["name"] == "home"
        assert village.get("/site/other/", BEARER).status_code == 404


def test_a_name_that_somebody_else_had_lead_here_gets_nothing() -> None:
    with Village(["home"]) as village:
        for path in ("/", "/api/sites", "/health", "/metrics", "/site/home/", "/site/home"):
            assert village.get(path, {"Host": "evil.example"}).status_code == 421


# who joins, and who leaves


def test_the_socket_is_there_from_the_first_site_to_the_last() -> None:
    village = Village(["alices", "bobs"])
    assert village.server.port is None
    with village:
        port = village.server.port
        assert port is not None
        village.pages["alices"].stop()
        assert village.server.port == port
        assert village.get("/api/sites").status_code == 200
        village.pages["bobs"].stop()
        assert village.server.port is None
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        village.pages["bobs"].start(lambda _: None, lambda _: None)
        assert village.get("/api/sites").status_code == 200


def test_a_site_that_has_left_or_not_come_yet_is_there_but_takes_no_orders() -> None:
    with Village(["alices", "bobs"]) as village:
        village.tell("alices", ledger_of(MB), "login_refused")
        village.pages["alices"].stop()
        alices, bobs = village.get("/api/sites").json()["site"]
        assert (alices["router"], alices["devices"], bobs["status"]) == ("login_refused", 2, "starting")
        assert village.get("/site/alices/api/now").json()["total"]["usage"] == 2 * MB
        assert village.get("/site/bobs/").status_code == 200
        wish = requests.post(f"{village.url}/site/alices/api/poll", json={}, headers=BEARER, timeout=PATIENCE_S)
        assert wish.status_code == 400
        assert wish.json() == {"error": "this site is not counted just now: the log of dalla-mqtt says why"}
        assert village.commands == []
        village.pages["alices"].start(lambda _: None, lambda command: village.commands.append(("again", command)))
        requests.post(f"{village.url}/site/alices/api/poll", json={}, headers=BEARER, timeout=PATIENCE_S)
        assert village.commands == [("again", PollNow())]


def test_a_site_that_has_not_begun_is_in_the_list(tmp_path: Path) -> None:
    with Served(tmp_path, site="alices", server=Server(WEB, ["alices", "bobs"])) as served:
        listed = served.json("/api/sites")["site"]
        assert [(site["name"], site["status"]) for site in listed] == [("alices", "starting"), ("bobs", "starting")]
        assert served.get("/site/bobs/").status_code == 200
        assert served.get("/site/bobs/api/now").status_code == 503
        assert served.post("/site/bobs/api/poll", {}).status_code == 503


def test_a_port_that_is_taken_is_told_once_by_all_of_them(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), Village(["alices", "bobs"], replace(WEB, port=port)) as village:
        village.tell("alices", ledger_of(MB))
        assert village.server.port is None
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == [f"there is no page: cannot listen on 127.0.0.1:{port}: Address already in use; set web.listen"]


def test_where_it_is_is_told_once_and_of_no_single_site(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[str, str]] = []

    class Hears(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append((SITE.get(), record.getMessage()))

    def start() -> str:
        SITE.set("alices")
        with Village(["alices", "bobs"]) as village:
            return village.url

    caplog.set_level(logging.INFO, "dalla_mqtt")
    ours, hears = logging.getLogger("dalla_mqtt"), Hears()
    ours.addHandler(hears)
    url = copy_context().run(start)
    ours.removeHandler(hears)
    assert told == [("", f"the page is at {url}/")]


# the list


def test_the_list_says_of_each_how_it_stands() -> None:
    with Village(["alices", "bobs", "new"]) as village:
        village.tell("alices", ledger_of(3 * MB, 4))
        village.tell("bobs", Ledger(), "unreachable", last_poll=None)
        first = village.get("/api/sites")
        figures = {"usage": 12 * MB, "rate": 200_000, "period": 12 * MB, "today": 12 * MB}
        assert first.json() == {
            "site": [
                {
                    "name": "alices",
                    "status": "ok",
                    "router": "ok",
                    "since": "2026-11-24T13:00:00Z",
                    "last_poll": "2026-11-24T13:00:00Z",
                    "total": figures,
                    "users": 2,
                    "devices": 4,
                },
                {
                    "name": "bobs",
                    "status": "late",
                    "router": "unreachable",
                    "since": "2026-11-24T13:00:00Z",
                    "last_poll": None,
                    "users": None,
                    "devices": None,
                    "total": None,
                },
                {
                    "name": "new",
                    "status": "starting",
                    "router": None,
                    "since": None,
                    "last_poll": None,
                    "total": None,
                    "users": None,
                    "devices": None,
                },
            ],
            "schema": 1,
        }
        assert village.get("/api/sites", {"If-None-Match": first.headers["ETag"]}).status_code == 304
        assert village.get("/api/sites", {"Accept-Encoding": "identity"}).json() == first.json()


def test_a_daemon_of_several_routers_shows_each_and_takes_orders_for_each(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Router("--devices", "3") as alices, Router("--devices", "5") as bobs:
        settings = {
            "router": {"password": "admin", "interval": "1s"},
            "mqtt": {"url": "off"},
            "web": {"token": TOKEN},
            "sites": {"alices": {"router": {"url": alices.url}}, "bobs": {"router": {"url": bobs.url}}},
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings), "utf-8")
        (tmp_path / "config.yaml").chmod(0o600)

        def devices() -> list[tuple[str, int | None]]:
            listed = requests.get(f"{url}/api/sites", timeout=PATIENCE_S).json()["site"]
            return [(site["name"], site["devices"]) for site in listed]

        with Dalla(tmp_path, "run", environment={"DALLA_WEB_LISTEN": f"127.0.0.1:{port}"}) as dalla:
            wait_until(lambda: answers(port), f"the page:\n{dalla.output}")
            wait_until(lambda: all(dict(devices()).values()), "devices of both")
            assert [name for name, _ in devices()] == ["alices", "bobs"]
            first = requests.get(f"{url}/site/bobs/api/now", timeout=PATIENCE_S).json()["device"][0]["id"]
            wish = f"{url}/site/bobs/api/device/{first}/name"
            requests.post(wish, json={"name": "Television"}, headers=BEARER, timeout=PATIENCE_S)

            def called(site: str) -> list[str]:
                now = requests.get(f"{url}/site/{site}/api/now", timeout=PATIENCE_S).json()
                return [device["name"] for device in now["device"]]

            wait_until(lambda: "Television" in called("bobs"), "its name")
            assert "Television" not in called("alices")
            assert dalla.terminate() == 0
    assert f"INFO    the page is at {url}/\n" in dalla.output


# metrics


def samples(text: str) -> Counter[tuple[str, frozenset[tuple[str, str]], float]]:
    return Counter(
        (one.name, frozenset(one.labels.items()), one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
    )


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_prometheus_is_told_of_all_by_site(encoding: str) -> None:
    with Village(["alices", "bobs", "new"]) as village:
        expected: Counter[Any] = Counter()
        for name, size in (("alices", 3 * MB), ("bobs", 5 * MB)):
            village.tell(name, ledger_of(size, 3))
            alone = village.pages[name]._snapshot
            expected += Counter(
                (metric, labels if metric == "dalla_build_info" else labels | {("site", name)}, value)
                for metric, labels, value in samples(metrics(alone).decode())
            )
        answer = village.get("/metrics", {"Accept-Encoding": encoding})
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers.get("Content-Encoding", "identity") == encoding
        found = samples(answer.text)
        assert found == Counter(dict.fromkeys(expected, 1))
        assert len(found) > 100
        names = [family.name for family in text_string_to_metric_families(answer.text)]
        assert len(names) == len({*names}), "each metric is in one piece"


def test_quotas_and_names_of_people_have_the_site_as_well() -> None:
    with Village(["home"]) as village:
        village.pages["home"]._snapshot = snapshot()
        found = samples(village.get("/metrics").text)
        assert {dict(labels)["site"] for name, labels, _ in found if name != "dalla_build_info"} == {"home"}
        assert {name for name, _, _ in found} == {name for name, _, _ in samples(metrics(snapshot()).decode())}


# health


@pytest.mark.parametrize(
    ("states", "silent", "code", "status"),
    [
        ([], 0, 503, "starting"),
        (["ok"], 0, 200, "ok"),
        (["ok", "unreachable", "unreachable", "login_refused"], 0, 200, "ok"),
        (["unreachable"] * 3, 0, 200, "ok"),
        (["ok"] * 4, 2, 200, "ok"),
        (["ok"] * 4, 3, 503, "stuck"),
        (["ok"] * 4, 4, 503, "stuck"),
        (["ok", "busy", None, None], 0, 200, "ok"),
        (["ok", None, None], 0, 503, "starting"),
    ],
)
def test_it_is_well_while_it_asks_whatever_routers_answer(
    states: list[RouterState | None], silent: int, code: int, status: str
) -> None:
    names = [f"site-{number}" for number in range(len(states))]
    with Village([*names, *([] if names else ["home"])]) as village:
        for name, state in zip(names, states, strict=True):
            if state is not None:
                village.tell(name, ledger_of(MB), state, last_poll=None if state == "unreachable" else 1.0)
        for name in names[:silent]:
            known = village.pages[name]._snapshot
            assert known is not None
            village.pages[name]._snapshot = replace(known, steady=time.monotonic() - 301)
        answer = village.get("/health")
        told = answer.json()
        assert (answer.status_code, told["status"]) == (code, status)
        assert sum(told["sites"].values()) == len(village.pages)
        assert told["sites"]["stuck"] == silent
        assert village.get("/alive").status_code == (503 if 0 < silent == len(states) else 200)
        assert told["routers"]["unreachable"] == states.count("unreachable")


# a thousand


@pytest.mark.alone
def test_a_thousand_sites_cost_little_until_somebody_looks() -> None:
    ledger = ledger_of(5 * MB, 20)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    with Village(THOUSAND) as village:
        for name in THOUSAND:
            village.tell(name, ledger)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        each = (after - before) / len(THOUSAND)
        print(f"{each:.0f} bytes a site")
        assert each < 10 * 1024
        for name in THOUSAND[:100]:
            assert village.get(f"/site/{name}/api/now").status_code == 200


@pytest.mark.alone
def test_a_thousand_sites_are_told_soon() -> None:
    with thousand() as village, requests.Session() as browser:
        spent = {}
        for path, bound_s in (("/api/sites", 0.3), ("/health", 0.1), ("/metrics", 10.0)):
            began = time.monotonic()
            answer = browser.get(f"{village.url}{path}", timeout=PATIENCE_S)
            spent[path] = time.monotonic() - began
            assert answer.status_code == 200
            print(f"{path}: {1000 * spent[path]:.0f} ms, {len(answer.content):_} bytes")
            assert spent[path] < bound_s
        assert (
            answer.text.count("\ndalla_usage_bytes_total{") == 1000 * 24
        )  # the total, Alice, Bob, nobody, and 20 devices
