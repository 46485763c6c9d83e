"""Brokers and Home Assistants come and go; the latest values are always there again."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.processes import Dalla, Listener, Mosquitto, free_port, wait_until

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Home


def test_everything_is_retained_but_the_events(home: Home) -> None:
    with home.run() as dalla:
        dalla.polls_again(2)
        home.router.do("reboot")
        wait_until(lambda: "dalla/home/event" in home.listener.latest, "an event")
        truth = home.settle(dalla)
        topics = home.broker.retained()
    assert "dalla/home/event" not in topics
    assert topics["dalla/home/status"] == "online"
    assert json.loads(topics["dalla/home/router"])["model"] == "Archer C20"
    for series in ("total", "user/unknown"):
        assert topics[f"dalla/home/{series}/usage"] == str(json.loads(topics[f"dalla/home/{series}/state"])["usage"])
        assert f"dalla/home/{series}/delta" in topics
    devices = [topic for topic in topics if topic.startswith("homeassistant/device/dalla_home_")]
    known = [mac for mac, figures in truth.items() if figures["shown"]]
    assert len(devices) == 3 + len(known)  # the router, UNKNOWN, the total


def test_a_broker_that_comes_late_or_forgets_everything_is_told_everything(home: Home, tmp_path: Path) -> None:
    port = free_port()
    with home.run(DALLA_MQTT_URL=f"mqtt://127.0.0.1:{port}") as dalla:
        dalla.polls_again(2)
        for _ in range(2):  # without persistence: the second one knows nothing of the first
            with Mosquitto(tmp_path, port) as broker, Listener(broker) as listener:
                wait_until(lambda listener=listener: "dalla/home/total/usage" in listener.latest, "the total")
                truth = home.settle(dalla)
                shown = str(sum(figures["shown"] for figures in truth.values()))
                wait_until(
                    lambda listener=listener, shown=shown: listener.latest["dalla/home/total/usage"] == shown, "it"
                )
                assert listener.latest["dalla/home/status"] == "online"
                assert "homeassistant/device/dalla_home_total/config" in listener.latest
            home.router.do("thaw")
        wait_until(lambda: dalla.output.count("is gone") == 2, "what is said of it, once each time")


def test_of_three_brokers_each_that_dies_is_followed_by_the_next_which_is_told_everything(
    home: Home, tmp_path: Path
) -> None:
    environment = {key: value for key, value in home.environment.items() if key != "DALLA_MQTT_URL"}
    with ExitStack() as stack:
        brokers = [stack.enter_context(Mosquitto(tmp_path)) for _ in range(3)]
        (home.folder / "config.yaml").write_text(f"mqtt: {{url: {json.dumps([one.url for one in brokers])}}}\n")
        dalla = stack.enter_context(Dalla(home.folder, "run", environment=environment))
        dalla.polls_again(2)
        for broker in brokers:
            dalla.says(f"connected to the broker at 127.0.0.1:{broker.port}")
            listener = stack.enter_context(Listener(broker, "dalla/#"))
            truth = home.settle(dalla)
            shown = str(sum(figures["shown"] for figures in truth.values()))
            wait_until(lambda heard=listener, shown=shown: heard.latest.get("dalla/home/total/usage") == shown, "it")
            assert listener.latest["dalla/home/status"] == "online"
            home.router.do("thaw")
            broker.kill()
        assert dalla.output.count("connected to the broker") == 3


def test_nothing_queues_while_the_broker_hangs_and_then_the_latest_values_go_out(home: Home) -> None:
    with home.run() as dalla:
        dalla.polls_again(2)
        os.kill(home.broker.process.pid, signal.SIGSTOP)
        before = len(home.listener.messages)
        dalla.polls_again(5)
        os.kill(home.broker.process.pid, signal.SIGCONT)
        truth = home.settle(dalla)
        shown = str(sum(figures["shown"] for figures in truth.values()))
        wait_until(lambda: home.listener.latest["dalla/home/total/usage"] == shown, "the total")
        totals = [heard for heard in home.listener.messages[before:] if heard["topic"] == "dalla/home/total/usage"]
        assert len(totals) <= 4  # what was under way, and one for each poll that found the broker awake


def test_home_assistant_is_told_everything_again_when_it_starts(home: Home) -> None:
    with home.run(DALLA_ROUTER_INTERVAL="60s") as dalla:
        dalla.polls_again(1)
        wait_until(lambda: "dalla/home/router" in home.listener.latest, "the last of the messages")
        before = dict(home.listener.latest)
        home.listener.forget()
        home.broker.publish("homeassistant/status", "online")
        wait_until(lambda: "dalla/home/router" in home.listener.latest, "the last of them again")
        again = dict(home.listener.latest)
        del again["homeassistant/status"]
        assert again == before
        order = [heard["topic"] for heard in home.listener.messages]
        assert order.index("homeassistant/device/dalla_home_router/config") < order.index("dalla/home/total/state")


def test_a_quiet_household_publishes_nothing_but_the_router(home: Home) -> None:
    with home.run() as dalla:
        dalla.polls_again(2)
        home.settle(dalla)
        dalla.polls_again(1)
        home.listener.forget()
        dalla.polls_again(3)
        assert {heard["topic"] for heard in home.listener.messages} == {"dalla/home/router"}


def test_what_was_said_under_other_names_is_cleared_within_an_interval(home: Home) -> None:
    changes: list[dict[str, str]] = [
        {"DALLA_MQTT_BASE_TOPIC": "usage/of"},
        {"DALLA_SITE": "dorm"},
        {"DALLA_HOMEASSISTANT_PREFIX": "ha"},
        {"DALLA_HOMEASSISTANT_DISCOVERY": "false"},
    ]
    with home.run() as dalla:
        dalla.polls_again(2)
        dalla.terminate()
    for change in changes:
        base, site = change.get("DALLA_MQTT_BASE_TOPIC", "dalla"), change.get("DALLA_SITE", "home")
        prefix = change.get("DALLA_HOMEASSISTANT_PREFIX", "homeassistant")
        with home.run(**change) as dalla:
            dalla.polls_again(3)
            ours = (f"{base}/{site}/", f"{prefix}/device/dalla_{site}_")
            topics = wait_until(
                lambda ours=ours: (found := home.broker.retained()) and all(map(ours_only(ours), found)) and found,
                "nothing but what is said now",
            )
            announced = [topic for topic in topics if topic.startswith(ours[1])]
            assert bool(announced) is (change != changes[-1])
            assert topics[f"{base}/{site}/status"] == "online"
            dalla.terminate()


def test_what_a_single_poll_cleared_is_not_cleared_again(home: Home) -> None:
    for change, cleared in (
        ({}, False),
        ({"DALLA_MQTT_BASE_TOPIC": "usage"}, True),
        ({"DALLA_MQTT_BASE_TOPIC": "usage"}, False),
    ):
        home.listener.forget()
        with home.run("--once", **change) as dalla:
            assert dalla.wait() == 0
        empty = {heard["topic"] for heard in home.listener.messages if heard["payload"] in ("", None)}
        assert bool(empty) is cleared, empty


def ours_only(prefixes: tuple[str, ...]) -> Callable[[str], bool]:
    return lambda topic: topic.startswith(prefixes)


def test_users_keep_their_ids_in_whichever_order_they_are_named(home: Home) -> None:
    for users in ('{"A/B": {}, "A+B": {}}', '{"A+B": {}, "A/B": {}}'):
        (home.folder / "config.yaml").write_text(f"users: {users}\n")
        home.listener.forget()
        with home.run() as dalla:
            dalla.polls_again(1)
            wait_until(lambda: "dalla/home/router" in home.listener.latest, "the last of the messages")
        names = [json.loads(home.listener.latest[f"dalla/home/user/{slug}/state"])["name"] for slug in ("a-b", "a-b-2")]
        assert names == ["A/B", "A+B"]


@pytest.mark.router("--traffic", "busy")
def test_a_device_that_was_removed_in_home_assistant_stays_away_until_it_moves_something(home: Home) -> None:
    with home.run() as dalla:
        dalla.polls_again(2)
        home.settle(dalla)
        where = next(
            topic for topic in home.broker.retained() if re.fullmatch(r".*/dalla_home_[0-9a-f-]{17}/config", topic)
        )
        home.broker.publish(where, "", "-r")
        dalla.polls_again(2)
        home.listener.forget()
        home.broker.publish("homeassistant/status", "online")
        dalla.polls_again(3)
        wait_until(lambda: "dalla/home/router" in home.listener.latest, "an answer")
    home.listener.forget()
    with home.run() as dalla:
        dalla.polls_again(2)
        assert "homeassistant/device/dalla_home_total/config" in home.listener.latest
        assert where not in home.listener.latest
        home.router.do("thaw")
        wait_until(lambda: home.listener.latest.get(where), "its return")
