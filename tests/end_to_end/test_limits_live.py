"""Limits of a household as it lives: daemon, router, broker and listener are processes, and time is everybody's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from dalla_mqtt.router.simulator import Household
from dalla_mqtt.router.simulator.household import TICK_S
from tests.end_to_end.watched_line import WatchedLine
from tests.processes import Dalla, Ran, wait_until

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Home

pytestmark = pytest.mark.router("--traffic", "busy")

DEVICES = {device.name: device for device in Household.of(busy=True).devices}
NAMES = {device.mac.colons: name for name, device in DEVICES.items()}
FULL = {device.name: traffic.bytes for device, traffic in Household.of(busy=True).run(1)}  # in a tick
SLOW = int(2 * 64_000 / 8 * TICK_S)
HERS = {"alices-phone", "alices-laptop"}
HIS = {"bobs-phone", "bobs-laptop", "bobs-tv"}
ID = {name: device.mac.dashed.lower() for name, device in DEVICES.items()}
TICKS = 4
RULES = b"LAN_IP_INTF"  # asked for after a poll, and before any rule is made


def configure(home: Home, *, at_quota: str = "throttle", **alice: object) -> None:
    users = {
        "Alice": {"hostnames": ["alices-*"], "at_quota": at_quota, **alice},
        "Bob": {"hostnames": ["bobs-*"], "at_quota": at_quota},
    }
    quota = {
        "throttle": {"down": "64 kbit/s", "up": "64 kbit/s"},
        "pool": {"Both": {"users": ["Alice", "Bob"], "at_quota": at_quota}},
    }
    (home.folder / "config.yaml").write_text(json.dumps({"users": users, "quota": quota}), "utf-8")


@contextmanager
def running(home: Home, *options: str, router: str | None = None) -> Iterator[Dalla]:
    """`router`: another way to it."""
    wait_until(lambda: len(home.router.state["rows"]) == len(DEVICES), "all devices in the router's table")
    with home.run(*options, DALLA_ROUTER_URL=router or home.router.url) as dalla:
        dalla.polls_again(1)
        yield dalla
        assert "Traceback" not in dalla.output, dalla.output


def say(home: Home, path: str, payload: str) -> None:
    home.broker.publish(f"dalla/home/{path}", payload)


def told(home: Home, of: str) -> dict[str, Any]:
    """What was said of it last; nothing yet is an empty one."""
    found: dict[str, Any] = json.loads(home.listener.latest.get(f"dalla/home/{of}", "{}"))
    return found


def events(home: Home) -> list[str]:
    """What was told of limits and quotas, in its order."""
    heard = [json.loads(one["payload"]) for one in home.listener.messages if one["topic"] == "dalla/home/event"]
    words = ("quota", "limit", "released", "command")
    return [event["event"] for event in heard if event["event"].startswith(words)]


def limited(home: Home) -> set[str]:
    """Who is slowed down or shut out, by the router's rules; `half` is nobody's name, and limited by IPv4 alone."""
    state = home.router.state
    if state["firewall6"] and state["blocked"] != state["blocked6"]:
        return {"half"}
    names = {device.ip: name for name, device in DEVICES.items()}
    return {names[ip] for ip in state["throttled"]} | {NAMES[mac] for mac in state["blocked"]}


def nothing_left(home: Home) -> bool:
    state = home.router.state
    walls = state["firewall"], state["firewall6"]
    rows = [state["tc"]["rules"], *(wall[part] for wall in walls if wall for part in ("hosts", "rules"))]
    switches = [state["tc"]["enable"], *(wall["enable"] for wall in walls if wall)]
    return not any(rows) and set(switches) == {"0"}


def comes_to(home: Home, dalla: Dalla, *names: str) -> None:
    """Those and nobody else are limited within two polls that began after this."""
    before = dalla.polls()
    wait_until(lambda: limited(home) == set(names), f"limits of {names}, not {limited(home)}:\n{dalla.output}")
    assert dalla.polls() <= before + 3, "the first of them may have been under way"


def moved(home: Home) -> dict[str, int]:
    return {NAMES[mac]: true["moved"] for mac, true in home.router.state["truth"].items()}


def speeds(home: Home) -> Mapping[str, float]:
    """What each device moves in a tick of the router's, which a printer counts that nobody limits."""
    began, before = time.monotonic(), moved(home)
    enough = before["printer"] + TICKS * FULL["printer"]
    wait_until(lambda: moved(home)["printer"] >= enough, "a second of the router's")
    after, lasted_s = moved(home), time.monotonic() - began
    ticks = (after["printer"] - before["printer"]) / FULL["printer"]
    assert TICKS <= ticks <= lasted_s / TICK_S + 1
    return {name: (after[name] - size) / ticks for name, size in before.items()}


def slowed(*names: str, to: int = SLOW) -> dict[str, int]:
    return FULL | dict.fromkeys(names, to)


def test_who_is_over_the_quota_is_slowed_down_and_let_go_by_a_top_up_by_hand_and_never_by_a_restart(home: Home) -> None:
    configure(home, quota={"together": "2 MB", "per": "week"})
    with running(home) as dalla:
        wait_until(lambda: limited(home) == HERS, "the limit")
        dalla.says("Alice is throttled to 64/64 kbit/s")
        since = dalla.output[dalla.output.index("Alice has used more than the quota") :]
        assert " polled in " not in since[: since.index("Alice is throttled")]
        assert speeds(home) == slowed(*HERS)
        wait_until(lambda: told(home, "user/alice/state").get("limited") is True, "what is told of Alice")
        wait_until(lambda: told(home, "user/alice/quota").get("limited") is True, "what is told of her quota")
        assert told(home, "user/alice/quota")["exceeded"] is True
        assert told(home, "user/bob/state")["limited"] is False
        say(home, "user/alice/topup/set", "50 MB")
        comes_to(home, dalla)
        assert speeds(home) == FULL
        wait_until(lambda: told(home, "user/alice/state")["limited"] is False, "what is told of Alice")
        say(home, "user/alice/topup/set", "0")
        comes_to(home, dalla, *HERS)
        say(home, "user/alice/limited/set", "OFF")
        comes_to(home, dalla)
        dalla.polls_again()
        assert speeds(home) == FULL, "let go by hand until the week ends"
        say(home, "user/alice/quota/set", "1 MB")
        comes_to(home, dalla, *HERS)
        wait_until(lambda: events(home).count("limited") == 3, "the last event")
        wait_until(lambda: told(home, "user/alice/quota")["limited"] is True, "what is told of her quota")
        assert dalla.terminate() == 0
    assert limited(home) == HERS
    retained = home.broker.retained()
    assert json.loads(retained["dalla/home/user/alice/state"])["limited"] is True
    assert json.loads(retained["dalla/home/user/alice/quota"])["limited"] is True
    before = events(home)
    home.listener.forget()
    with running(home) as dalla:
        wait_until(lambda: told(home, "user/alice/state"), "the first figures after a restart")
        assert told(home, "user/alice/state")["limited"] is True
        dalla.polls_again()
        assert limited(home) == HERS
        assert len(home.router.state["tc"]["rules"]) == len(HERS)
        assert "limited" not in events(home)
        assert "released" not in events(home)
        assert dalla.terminate() == 0
    assert [event for event in before if event in ("limited", "released")] == ["limited", "released"] * 2 + ["limited"]
    assert before.index("quota_warning") < before.index("quota_reached") < before.index("limited")


@pytest.mark.router("--traffic", "busy", "--firmware", "ipv6=true")
def test_by_hand_a_user_a_device_and_a_pool_are_shut_out_and_let_go_and_who_is_given_a_device_too(home: Home) -> None:
    configure(home, at_quota="block")
    with running(home) as dalla:
        say(home, "user/alice/limited/set", "ON")
        comes_to(home, dalla, *HERS)
        assert dict(speeds(home)) == slowed(*HERS, to=0)
        say(home, f"device/{ID['guest-phone']}/limited/set", "ON")
        comes_to(home, dalla, *HERS, "guest-phone")
        say(home, "user/alice/limited/set", "OFF")
        comes_to(home, dalla, "guest-phone")
        say(home, f"device/{ID['guest-phone']}/limited/set", "OFF")
        comes_to(home, dalla)
        say(home, "pool/both/limited/set", "ON")
        comes_to(home, dalla, *HERS, *HIS)
        assert dict(speeds(home)) == slowed(*HERS, *HIS, to=0)
        say(home, "pool/both/limited/set", "OFF")
        comes_to(home, dalla)
        assert dict(speeds(home)) == FULL
        say(home, "user/bob/limited/set", "ON")
        comes_to(home, dalla, *HIS)
        say(home, f"device/{ID['kitchen-tablet']}/user/set", "Bob")
        comes_to(home, dalla, *HIS, "kitchen-tablet")
        say(home, f"device/{ID['bobs-tv']}/user/set", "Alice")
        comes_to(home, dalla, *HIS - {"bobs-tv"}, "kitchen-tablet")
        say(home, "user/bob/limited/set", "OFF")
        comes_to(home, dalla)
        wait_until(lambda: nothing_left(home), "the end of all that is ours")
        expected = ["limited", "limited", "released", "released"] + ["limited", "released"] * 2
        wait_until(lambda: events(home) == expected, f"the events, and not {events(home)}")


def test_where_another_administrator_is_in_what_is_due_is_done_as_soon_as_the_router_is_free(home: Home) -> None:
    configure(home)
    with running(home) as dalla:
        home.router.do("log_in", client="the owner's laptop")
        say(home, "user/alice/limited/set", "ON")
        wait_until(lambda: told(home, "router").get("state") == "busy", "the daemon to find that out")
        assert limited(home) == set()
        assert told(home, "user/alice/state")["limited"] is False
        home.router.do("log_out")
        comes_to(home, dalla, *HERS)
        wait_until(lambda: told(home, "user/alice/state")["limited"] is True, "what is told of it")


def test_whoever_is_limited_is_told_to_be_so_long_before_the_next_poll(home: Home) -> None:
    configure(home)
    with running(home, "--interval", "6s") as dalla:
        wait_until(lambda: told(home, "user/alice/state"), "the first figures")
        say(home, "user/alice/limited/set", "ON")
        wait_until(lambda: "limited" in events(home), "the event")
        wait_until(lambda: told(home, "user/alice/state")["limited"] is True, "what is told of Alice")
        assert dalla.polls() == 2, "the first, and the one that was wished for"


@pytest.mark.router("--traffic", "busy", "--firmware", "max_rules=1")
def test_what_the_router_does_not_take_is_told_once_and_usage_goes_on_being_published(home: Home) -> None:
    configure(home)
    with WatchedLine(home.router.port) as line, running(home, router=line.url) as dalla:
        line.before = lambda request: home.router.do("log_in", client="the owner's") if RULES in request else None
        say(home, "user/alice/limited/set", "ON")
        dalla.says("what is to be limited is not: another administrator is logged in")
        line.before = lambda _: None
        home.router.do("log_out")
        wait_until(lambda: "limit_failed" in events(home), "the event")
        before = told(home, "user/alice/state")
        dalla.polls_again(4)
        wait_until(lambda: told(home, "user/alice/state")["usage"] > before["usage"], "her usage")
        assert events(home) == ["limit_failed"]
        assert told(home, "user/alice/state")["limited"] is False
        assert "its list is full" in dalla.output
        say(home, "user/alice/limited/set", "OFF")
        comes_to(home, dalla)
        say(home, f"device/{ID['bobs-tv']}/limited/set", "ON")
        comes_to(home, dalla, "bobs-tv")
        wait_until(lambda: events(home)[-1] == "limited", "the event")


def test_rules_of_the_owners_that_sleep_are_not_woken_by_ours(home: Home) -> None:
    configure(home)
    asleep = {"startIP": 3232235976, "endIP": 3232235976, "upMinBW": 1, "upMaxBW": 64, "downMinBW": 1, "downMaxBW": 64}
    before = home.router.do("rule", oid="TC_RULE", values=asleep)["tc"]
    with running(home) as dalla:
        say(home, "user/alice/limited/set", "ON")
        wait_until(lambda: "limit_failed" in events(home), "the event")
        dalla.polls_again()
        assert home.router.state["tc"] == before
        assert "switch it on in the router's page, or delete them" in dalla.output
        home.router.do("bandwidth_control", enabled=True)
        comes_to(home, dalla, *HERS)
        say(home, "user/alice/limited/set", "OFF")
        comes_to(home, dalla)
        assert home.router.state["tc"] == {**before, "enable": "3"}


def test_a_dry_run_says_what_it_would_do_and_release_does_it(home: Home) -> None:
    configure(home, quota={"together": "1 MB", "per": "week"})
    with running(home, "--dry-run") as dalla:
        dalla.says("dry run, not done: switch bandwidth control on")
        assert all(f"dry run, not done: throttle {DEVICES[name].ip} " in dalla.output for name in HERS)
        dalla.polls_again()
        assert limited(home) == set()
        assert "limited" not in events(home)
        assert told(home, "user/alice/quota")["exceeded"] is True
        assert told(home, "user/alice/quota")["limited"] is False
        assert dalla.terminate() == 0
    environment = home.environment
    before = home.router.state["tc"]
    with running(home) as dalla:
        wait_until(lambda: limited(home) == HERS, "the limit")
        dalla.says("Alice is throttled")
        beside = Ran(home.folder, "release", environment=environment)
        assert (beside.code, beside.out) == (4, "")
        assert "stop it first" in beside.err
        would = Ran(home.folder, "release", "--dry-run", environment=environment)
        assert would.code == 0
        assert all(f"would let {DEVICES[name].ip} go\n" in would.out for name in HERS)
        assert "would switch bandwidth control off" in would.out
        assert limited(home) == HERS
        assert dalla.terminate() == 0
    done = Ran(home.folder, "release", environment=environment)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("No rule of ours is left on the router.\n")
    assert home.router.state["tc"] == before
    with running(home) as dalla:
        wait_until(lambda: limited(home) == HERS, "the limit")
        dalla.says(" polled in ")
        dalla.kill()
    for file in home.folder.glob("state.db*"):
        file.unlink()
    done = Ran(home.folder, "release", environment=environment)
    assert done.code == 0
    assert "leave bandwidth control on: it may have been on before" in done.out
    assert home.router.state["tc"]["rules"] == []
    assert not list(home.folder.glob("state.db*")), "it needs none, and makes none"
    home.router.do("log_in", client="the owner's laptop")
    assert Ran(home.folder, "release", environment=environment).code == 1
