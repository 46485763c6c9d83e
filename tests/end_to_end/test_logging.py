"""What a daemon says of its days: to people a line for each thing, to machines the same with all figures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Dalla, Mosquitto, Router, wait_until

CONFIG = """\
router: {{url: "{router}", interval: 1s, timeout: 1s}}
mqtt: {{url: "{broker}"}}
web: {{listen: off}}
users: {{Alice: {{hostnames: ["*"], quota: 20 MB, at_quota: throttle}}}}
"""
_TEXT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (?:DEBUG|INFO|WARNING|ERROR) +\S.*\n")


@pytest.fixture(params=["text", "json"])
def lines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """Those of a daemon whose router and broker go away and come back, and whose Alice uses up her quota."""
    with Router("--devices", "3", "--traffic", "busy") as router:
        broker = Mosquitto(tmp_path)
        (tmp_path / "config.yaml").write_text(CONFIG.format(router=router.url, broker=broker.url))
        command = ("run", "--log-format", request.param)
        with Dalla(tmp_path, *command, environment={"DALLA_ROUTER_PASSWORD": "admin"}) as dalla:
            _polls(dalla, 2)
            dalla.says("connected to the broker")
            router.do("refuse", seconds=3)
            dalla.says("router: all is well again")
            dalla.says("Alice is throttled")
            broker.terminate()
            dalla.says(" is gone: the connection broke")
            broker.kill()
            with Mosquitto(tmp_path, broker.port):
                wait_until(lambda: dalla.output.count("connected to the broker") == 2, "the broker to be back")
                _polls(dalla, 2)
                assert dalla.terminate() == 0
        yield dalla.lines


def _polls(dalla: Dalla, times: int) -> None:
    before = dalla.output.count("polled in ")
    wait_until(lambda: dalla.output.count("polled in ") >= before + times, f"{times} polls:\n{dalla.output}")


def test_each_thing_is_told_once_in_the_order_in_which_it_happened(lines: list[str]) -> None:
    told = [json.loads(line) if line.startswith("{") else {"message": line} for line in lines]
    if lines[0].startswith("{"):
        _hold_json(told)
    else:
        assert [line for line in lines if not _TEXT.fullmatch(line)] == []
    notable = [one["message"] for one in told if "polled in " not in one["message"]]
    for once in (
        "no whole answer from the router",
        "router: all is well again",
        "Alice has reached 80 %",
        "Alice has used more than the quota",
        "Alice is throttled to 512/128 kbit/s",
        "the connection broke",
    ):
        assert sum(once in message for message in notable) == 1, once
    assert sum("connected to the broker" in message for message in notable) == 2


def _hold_json(told: list[dict[str, Any]]) -> None:
    assert all(one.keys() >= {"time", "level", "message"} for one in told)
    times = [one["time"] for one in told]
    assert max(times) - min(times) < 60
    events = [one["event"] for one in told if "event" in one]
    for earlier, later in (("trouble", "well_again"), ("quota_reached", "limited"), ("limited", "broker_away")):
        assert events.index(earlier) < events.index(later)
    polls = [one for one in told if one.get("event") == "poll"]
    assert {one["level"] for one in polls} == {"info"}
    for before, after in pairwise(polls):
        assert after["usage"] - before["usage"] == after["delta"]
        assert (after["rows"], after["poll_ms"] >= 0) == (3, True)
    (reached,) = [one for one in told if one.get("event") == "quota_reached"]
    assert (reached["user"], reached["part"], reached["quota"]) == ("Alice", "together", 20_000_000)
    assert [one["what"] for one in told if one.get("event") == "trouble"] == ["router"]
    assert "text" not in reached
