"""What a household says to `dalla-mqtt` over its broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import Dalla, wait_until

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Home

pytestmark = pytest.mark.router("--traffic", "busy")


def say(home: Home, path: str, payload: str, *options: str) -> None:
    home.broker.publish(f"dalla/home/{path}", payload, *options)


def state(home: Home, of: str) -> dict[str, Any]:
    """What was said of it last; nothing yet is an empty one."""
    found: dict[str, Any] = json.loads(home.listener.latest.get(f"dalla/home/{of}", "{}"))
    return found


def events(home: Home) -> list[dict[str, Any]]:
    return [json.loads(heard["payload"]) for heard in home.listener.messages if heard["topic"] == "dalla/home/event"]


@contextmanager
def running(home: Home, **environment: str) -> Iterator[Dalla]:
    wait_until(lambda: home.router.state["rows"], "a device in the router's table")
    with home.run(DALLA_ROUTER_INTERVAL="1h", **environment) as dalla:
        wait_until(lambda: home.listener.latest.get("dalla/home/status") == "online", "the daemon")
        wait_until(lambda: state(home, "router").get("state") == "ok", "the first figures, of which it is the last")
        yield dalla


def a_device(home: Home) -> str:
    topics = home.listener.latest
    return next(topic.split("/")[3] for topic in topics if topic.startswith("dalla/home/device/"))


def test_a_poll_is_made_when_somebody_wants_one_and_however_many_do_the_router_may_breathe(home: Home) -> None:
    with running(home) as dalla:
        say(home, "poll/set", "")
        wait_until(lambda: dalla.polls() == 2, "a poll")
        for _ in range(5):
            say(home, "poll/set", "now")
        wait_until(lambda: dalla.polls() == 3, "one for all of them")
        say(home, "pause/set", "ON")
        wait_until(lambda: state(home, "router")["state"] == "paused", "the pause")
        assert dalla.polls() == 3


def test_a_pause_leaves_the_login_to_the_owner_and_ends_with_a_poll(home: Home) -> None:
    with running(home) as dalla:
        say(home, "pause/set", "ON")
        wait_until(lambda: state(home, "router")["state"] == "paused", "the pause")
        assert home.router.state["session"] is None
        say(home, "poll/set", "")
        wait_until(lambda: events(home), "the answer")
        assert events(home)[-1]["event"] == "command_refused"
        assert events(home)[-1]["text"] == "polling is paused: pause/set OFF ends that"
        assert dalla.polls() == 1
        say(home, "pause/set", "OFF")
        wait_until(lambda: state(home, "router")["state"] == "ok", "the end of it")
        wait_until(lambda: dalla.polls() == 2, "a poll")
    assert "router_back" not in {event["event"] for event in events(home)}, "a router that is left alone is not away"


def test_a_device_is_given_to_a_user_at_once_and_for_ever(home: Home) -> None:
    (home.folder / "config.yaml").write_text("users: {Alice: {}, Bob: {}}\n")
    with running(home):
        mac = a_device(home)
        used = state(home, f"device/{mac}/state")["usage"]
        say(home, f"device/{mac}/user/set", "Bob")
        wait_until(lambda: state(home, f"device/{mac}/state")["user"] == "Bob", "the new owner")
        wait_until(lambda: state(home, "user/bob/state")["devices"] == 1, "what he has")
        assert (home.folder / "user-map.csv").read_text() == f"Name, MAC\nBob, {mac.upper()}\n"
        assert state(home, "user/bob/state")["usage"] == 0, "what it used before was not his"
        say(home, f"device/{mac}/user/set", "Carol")
        wait_until(lambda: events(home), "the answer")
        assert events(home)[0]["text"] == "there is no user 'Carol'; there are Alice, Bob, UNKNOWN"
    home.listener.forget()
    with running(home) as dalla:
        assert state(home, f"device/{mac}/state")["user"] == "Bob"
        assert state(home, f"device/{mac}/state")["usage"] >= used
        say(home, f"device/{mac}/user/set", "UNKNOWN")
        wait_until(lambda: state(home, f"device/{mac}/state")["user"] == "UNKNOWN", "nobody's again")
        assert "Traceback" not in dalla.output


def test_a_device_is_named_at_once_and_for_ever_and_an_empty_name_takes_it_back(home: Home) -> None:
    with running(home):
        mac = a_device(home)
        before = state(home, f"device/{mac}/state")
        say(home, f"device/{mac}/name/set", "Bob's “phone” 📱 {{ 1 }}")
        wait_until(lambda: state(home, f"device/{mac}/state")["name"] == "Bob's “phone” 📱 {{ 1 }}", "the name")
        announced = f"homeassistant/device/dalla_home_{mac}/config"
        wait_until(lambda: "Bob's “phone”" in home.listener.latest[announced], "the announcement")
    home.listener.forget()
    with running(home):
        assert state(home, f"device/{mac}/state")["name"] == "Bob's “phone” 📱 {{ 1 }}"
        say(home, f"device/{mac}/name/set", "")
        wait_until(lambda: state(home, f"device/{mac}/state")["name"] == before["name"], "its own name")


def test_what_cannot_be_understood_changes_nothing_and_is_answered(home: Home) -> None:
    with running(home) as dalla:
        mac = a_device(home)
        before = dict(home.listener.latest)
        say(home, "pause/set", "perhaps")
        say(home, f"device/{mac}/name/set", "\x1b[2J")
        say(home, "device/02-00-00-00-00-99/name/set", "nobody")
        wait_until(lambda: len(events(home)) == 3, "the answers")
        assert {event["event"] for event in events(home)} == {"command_refused"}
        assert dalla.output.count("a command is refused") == 3
        changed = {topic for topic, payload in home.listener.latest.items() if before.get(topic) != payload}
        assert not {topic for topic in changed if not topic.endswith(("/set", "/event"))}


def test_a_command_that_a_broker_keeps_is_done_once(home: Home) -> None:
    with running(home):
        say(home, "pause/set", "ON", "-r")
        wait_until(lambda: state(home, "router")["state"] == "paused", "the pause")
    home.listener.forget()
    with running(home) as dalla:
        say(home, "poll/set", "")
        wait_until(lambda: dalla.polls() == 2, "a poll")
        assert state(home, "router")["state"] == "ok"
