from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.mqtt.payloads import EVENTS, Known, event_message, peak_message, router_message, usage_messages
from dalla_mqtt.mqtt.topics import Topics
from dalla_mqtt.usage.counters import _TEXTS
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import Ledger, Rules, account
from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.quota import Allowance, Standing, Subject
from dalla_mqtt.usage.quota import Window as Days
from dalla_mqtt.usage.reading import Host, Mac, Reading, Row
from dalla_mqtt.usage.status import RouterStatus
from dalla_mqtt.usage.tariff import Tariff, Window

PHONE, LAPTOP = Mac.parse("CB:BD:AB:90:2D:38"), Mac.parse("02:00:00:00:00:02")
TARIFF = Tariff(ZoneInfo("Africa/Johannesburg"), (Window.parse("00:00-06:00"),))
RULES = Rules(People(("Alice", "Bob"), {PHONE: "Alice"}), TARIFF, 60, 1e9)
AT = 1795500000  # 2026-11-24 06:00:00 UTC, 08:00 in Johannesburg
ALICE = Subject("user", "Alice")
HOSTS = (Host("192.168.1.100", PHONE, "alices-phone", "5 GHz"),)


def ledgers(*counters: tuple[int, int | None], at: float = AT) -> list[Ledger]:
    """One ledger for each pair of counters of phone and laptop; None: no row. A minute apart; the first is empty."""
    made = [Ledger()]
    for number, (phone, laptop) in enumerate(counters):
        rows = [Row("192.168.1.100", PHONE, phone, phone)]
        if laptop is not None:
            rows.append(Row("192.168.1.101", LAPTOP, laptop, laptop))
        ledger, _ = account(made[-1], Reading(tuple(rows), HOSTS), RULES, at=at + 60 * number, elapsed_s=60)
        made.append(ledger)
    return made


def topics() -> Topics:
    made = Topics("dalla", "home")
    made.ids.meet(("Alice", "Bob", UNKNOWN))
    return made


def told(
    before: Ledger, after: Ledger, stood: Mapping[Subject, Standing] = {}, stands: Mapping[Subject, Standing] = {}
) -> dict[str, str]:
    return {
        topic: payload.decode()
        for topic, payload in usage_messages(topics(), TARIFF, Known(before, stood), Known(after, stands))
    }


def test_the_state_of_a_device_is_that_of_the_contract() -> None:
    *_, before, after = ledgers((1_000_000, None), (1_620_964, None))
    state = json.loads(told(before, after)["dalla/home/device/cb-bd-ab-90-2d-38/state"])
    assert state == {
        "time": "2026-11-24T06:01:00Z",
        "name": "alices-phone",
        "usage": 1620964,
        "delta": 620964,
        "rate": 10349,
        "on_peak": 620964,
        "off_peak": 0,
        "period": 620964,
        "today": 620964,
        "period_start": "2026-11-01T00:00:00+02:00",
        "today_start": "2026-11-24T00:00:00+02:00",
        "cause": "normal",
        "mac": "CB:BD:AB:90:2D:38",
        "ip": "192.168.1.100",
        "hostname": "alices-phone",
        "user": "Alice",
        "private_mac": True,
        "first_seen": "2026-11-24T06:00:00Z",
        "last_active": "2026-11-24T06:01:00Z",
        "link": "5 GHz",
        "usage_gb": 0.001620964,
        "delta_mb": 0.620964,
        "today_gb": 0.000620964,
        "period_gb": 0.000620964,
        "on_peak_gb": 0.000620964,
        "off_peak_gb": 0.0,
        "rate_mbit": 0.082792,
    }


def test_users_and_the_total_have_the_same_keys_and_users_some_more() -> None:
    *_, before, after = ledgers((1000, 50), (3000, 100))
    said = told(before, after)
    device = json.loads(said["dalla/home/device/cb-bd-ab-90-2d-38/state"])
    total = json.loads(said["dalla/home/total/state"])
    alice = json.loads(said["dalla/home/user/alice/state"])
    assert total.keys() == device.keys()
    more = {"devices", "quota", "used_percent", "remaining", "pace", "exhausted_at", "limited"}
    assert alice.keys() == device.keys() | more
    assert alice["devices"] == 1
    assert [total[key] for key in ("mac", "ip", "hostname", "user", "first_seen")] == [None] * 5
    assert (alice["usage"], total["usage"]) == (3000, 3100)


def test_the_state_of_a_user_tells_how_it_stands_with_the_tightest_part_of_the_quota() -> None:
    window = Days(date(2026, 11, 1), date(2026, 11, 30))
    tight = Allowance("on_peak", 4000, 500, 500, 4500, 100, 6000, AT + 600)
    standing = Standing(ALICE, window, (Allowance("together", 9999, 0, 0, 1), tight), "throttle", True, "words")  # noqa: FBT003
    *_, now = ledgers((1000, 50), (1000, 50), (1000, 50))
    for stands, quota in (
        (standing, (5000, 90.0, 500, 1.2, "2026-11-24T06:10:00Z", True)),
        (msgspec.structs.replace(standing, allowances=(), limited=False), (None, None, None, None, None, False)),
    ):
        said = told(now, now, {}, {ALICE: stands})
        assert list(said) == ["dalla/home/user/alice/state"], "nothing else has changed"
        alice = json.loads(said["dalla/home/user/alice/state"])
        keys = ("quota", "used_percent", "remaining", "pace", "exhausted_at", "limited")
        assert tuple(alice[key] for key in keys) == quota
        assert told(now, now, {ALICE: stands}, {ALICE: stands}) == {}


def test_the_plain_topics_are_whole_bytes() -> None:
    *_, before, after = ledgers((1000, None), (3000, None))
    said = told(before, after)
    assert said["dalla/home/device/cb-bd-ab-90-2d-38/usage"] == "3000"
    assert said["dalla/home/user/alice/delta"] == "2000"
    assert said["dalla/home/total/usage"] == "3000"


def test_only_what_changed_is_said_and_once_more_when_it_becomes_idle() -> None:
    empty, first, busy, idle, still = ledgers((1000, 50), (3000, 50), (3000, 50), (3000, 50))
    assert len(told(empty, first)) == 3 * (2 + 3 + 1)
    # Bob and UNKNOWN with its laptop moved nothing; that they ceased to be new is said
    assert {topic for topic in told(first, busy) if topic.endswith(("usage", "delta"))} == {
        f"dalla/home/{series}/{figure}"
        for series in ("device/cb-bd-ab-90-2d-38", "user/alice", "total")
        for figure in ("usage", "delta")
    }
    now = told(busy, idle)
    assert now["dalla/home/total/delta"] == "0"
    assert "dalla/home/total/usage" not in now
    assert not any("laptop" in topic or "bob" in topic for topic in now)
    assert told(idle, still) == {}


def test_a_new_day_and_a_new_period_are_said_of_the_idle_too() -> None:
    december = 1796076000  # 2026-11-30 22:00 UTC: midnight in Johannesburg
    *_, before, after = ledgers((1000, 50), (1000, 50), at=december - 60)
    state = json.loads(told(before, after)["dalla/home/user/bob/state"])
    assert state["period_start"] == state["today_start"] == "2026-12-01T00:00:00+02:00"
    *_, before, after = ledgers((1000, 50), (1000, 50), at=december - 86_400 - 60)
    state = json.loads(told(before, after)["dalla/home/user/bob/state"])
    assert (state["period_start"][:10], state["today_start"][:10]) == ("2026-11-01", "2026-11-30")


@given(st.integers(0, 2**52))
def test_gigabytes_are_exact_to_the_byte(size: int) -> None:
    *_, after = ledgers((size, None))
    state = json.loads(told(Ledger(), after)["dalla/home/total/state"], parse_float=Decimal)
    assert Decimal(state["usage_gb"]) * 10**9 == size


def test_the_router_topic_is_that_of_the_contract() -> None:
    about = {"login": "cookie", "statistics": True, "sampling_s": 10, "table_full": False}
    status = RouterStatus("ok", AT, AT + 60, 23, 2, 1, "Archer C20", "0.9.1", "v1", 4711, **about)  # type: ignore[arg-type]
    topic, payload = router_message(topics(), status, ledgers((1, 1))[-1])
    assert topic == "dalla/home/router"
    assert json.loads(payload) == {
        "state": "ok",
        "since": "2026-11-24T06:00:00Z",
        "model": "Archer C20",
        "firmware": "0.9.1",
        "hardware": "v1",
        "uptime_s": 4711,
        "devices": 2,
        "last_poll": "2026-11-24T06:01:00Z",
        "poll_ms": 23,
        "polls": 2,
        "failures": 1,
        "login": "cookie",
        "statistics": True,
        "sampling_s": 10,
        "table_full": False,
    }


def test_an_event_says_what_it_is_about() -> None:
    topic, payload = event_message(topics(), Event("counter_wrap", "in words", "CB:BD", "192.168.1.2", 5), AT)
    assert topic == "dalla/home/event"
    assert json.loads(payload) == {
        "time": "2026-11-24T06:00:00Z",
        "event": "counter_wrap",
        "text": "in words",
        "mac": "CB:BD",
        "ip": "192.168.1.2",
        "bytes": 5,
    }
    about = {"user": "Alice", "part": "on_peak", "threshold": 80, "used": 8, "quota": 10, "remaining": 2}
    _, payload = event_message(topics(), Event("quota_warning", "in words", **about), AT)  # type: ignore[arg-type]
    assert json.loads(payload) == {
        "time": "2026-11-24T06:00:00Z",
        "event": "quota_warning",
        "text": "in words",
        **about,
    }


def test_peak_hours_are_those_of_the_tariff() -> None:
    tariff = Tariff(ZoneInfo("UTC"), (Window.parse("00:00-06:00"),))
    midnight = AT - AT % 86_400
    for hour, payload in ((0, b"OFF"), (5, b"OFF"), (6, b"ON"), (23, b"ON")):
        assert peak_message(topics(), tariff, midnight + hour * 3600) == ("dalla/home/peak", payload)


def test_every_event_that_is_told_is_one_that_home_assistant_knows() -> None:
    sources = [path.read_text() for path in Path("dalla_mqtt").rglob("*.py")]
    told = set(re.findall(r'Event\(\s*"(\w+)"', "\n".join(sources))) | _TEXTS.keys()
    assert {"new_device", "router_back", "held_back", "command_refused"} <= told <= EVENTS.keys()
