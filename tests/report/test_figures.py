"""What is told of now and of before: the very numbers that the store holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dalla_mqtt.usage.hours import HOUR_S, hour_of
from dalla_mqtt.usage.ledger import TOTAL, Key, Series
from dalla_mqtt.usage.quota import Subject, Used
from tests.report.house import USERS, Served, iso, standing
from tests.usage.house import IP, IP2, LAPTOP, PHONE, row

FIGURES = ("usage", "delta", "rate", "on_peak", "off_peak", "today")
PHONE_ID = "cb-bd-ab-90-2d-38"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A month and a half of a reading an hour."""
    with Served(tmp_path_factory.mktemp("household"), days=45) as served:
        served.tell()
        yield served


def figures(series: Series) -> dict[str, int]:
    return {key: getattr(series, key) for key in FIGURES} | {"period": series.on_peak + series.off_peak}


def shown(of: dict[str, Any]) -> dict[str, int]:
    return {key: of[key] for key in (*FIGURES, "period")}


def epoch(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


# now


def test_all_figures_are_those_of_the_ledger(served: Served) -> None:
    ledger, now = served.house.ledger, served.json("/api/now")
    assert shown(now["total"]) == figures(ledger.total)
    assert {user["name"]: shown(user) for user in now["user"]} == {
        name: figures(series) for name, series in ledger.users.items()
    }
    assert {device["mac"]: shown(device) for device in now["device"]} == {
        mac.colons: figures(device.series) for mac, device in ledger.devices.items()
    }
    for key in FIGURES:
        if key != "rate":
            assert sum(user[key] for user in now["user"]) == now["total"][key], key
            assert sum(device[key] for device in now["device"]) == now["total"][key], key


def test_it_says_where_it_is_and_what_time_it_is_there(served: Served) -> None:
    now = served.json("/api/now")
    assert (now["schema"], now["site"], now["interval_s"], now["at"]) == (1, "home", 60, iso(served.at))
    assert now["period"] == {"start": "2026-10-01T00:00:00+00:00", "end": "2026-11-01T00:00:00+00:00"}
    assert now["today_start"] == datetime.fromtimestamp(served.at, UTC).strftime("%Y-%m-%dT00:00:00+00:00")
    assert now["users"] == list(USERS)
    assert now["peak"] is not (datetime.fromtimestamp(served.at, UTC).hour < 6)


def test_a_device_is_told_with_all_that_is_known_of_it(served: Served) -> None:
    (phone,) = (device for device in served.json("/api/now")["device"] if device["id"] == PHONE_ID)
    known = served.house.device(PHONE)
    assert {key: phone[key] for key in phone if key not in (*FIGURES, "period")} == {
        "id": PHONE_ID,
        "name": PHONE.colons,
        "mac": PHONE.colons,
        "ip": IP,
        "hostname": None,
        "user": "Alice",
        "private_mac": True,
        "link": None,
        "first_seen": iso(known.first_seen),
        "last_active": iso(known.last_active or 0),
        "present": True,
        "quota": None,
    }


def test_users_are_told_by_their_ids_and_how_many_devices_they_have(served: Served) -> None:
    users = {user["id"]: (user["name"], user["devices"]) for user in served.json("/api/now")["user"]}
    assert users == {"alice": ("Alice", 1), "bob": ("Bob", 0), "unknown": ("UNKNOWN", 1)}
    assert served.house.store.slugs() == {"Alice": "alice", "Bob": "bob", "UNKNOWN": "unknown"}, "and keep them"


def test_the_router_is_told_of(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        served.tell(state="busy", since=served.at - 60, model="Archer C20", firmware="1.0", failures=3, polls=7)
        assert served.json("/api/now")["router"] == {
            "state": "busy",
            "since": iso(served.at - 60),
            "model": "Archer C20",
            "firmware": "1.0",
            "last_poll": iso(served.at),
            "poll_ms": 12,
            "failures": 3,
        }


def test_how_it_stands_with_quotas_is_told_of_users_devices_and_pools(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        served.house.reads(row(1000), row(2000, mac=LAPTOP, ip=IP2))
        alice, phone = Subject("user", "Alice"), Subject("device", PHONE.dashed)
        family = standing(Subject("pool", "The family"), 10**12, 10**11)
        served.tell(standing(alice, 10**10, 9 * 10**9), standing(phone, 10**9, 2 * 10**9, limited=True), family)
        now = served.json("/api/now")
        by_user = {user["id"]: user["quota"] for user in now["user"]}
        of_phone = next(device["quota"] for device in now["device"] if device["id"] == PHONE_ID)
        assert by_user["bob"] is None
        assert (by_user["alice"]["used_percent"], by_user["alice"]["remaining"]) == (90.0, 10**9)
        assert by_user["alice"]["text"] == "Alice has used some."
        assert (of_phone["exceeded"], of_phone["limited"], of_phone["name"]) == (True, True, PHONE.colons)
        assert [(pool["id"], pool["name"], pool["quota"]["used"]) for pool in now["pool"]] == [
            ("the-family", "The family", 10**11)
        ]
        assert not any(key.endswith("_gb") for key in by_user["alice"])


def test_before_the_first_reading_of_all_there_is_nothing_and_no_zero_made_up(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        served.tell(state="unreachable", last_poll=None, poll_ms=None)
        now = served.json("/api/now")
        assert (now["device"], now["user"], now["router"]["last_poll"]) == ([], [], None)
        assert served.json("/api/history?of=total&by=day")["start"] == []
        assert served.json("/api/history?of=total&by=hour")["start"] == []


# events


def test_the_last_twenty_events_are_told_the_newest_first(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        served.event("new_device", "before anything is known")
        served.tell()
        for number in range(25):
            served.event("router_back", f"number {number}", at=served.at + number)
        events = served.json("/api/now")["event"]
        assert [event["text"] for event in events] == [f"number {number}" for number in range(24, 4, -1)]
        assert events[0] == {"time": iso(served.at + 24), "event": "router_back", "text": "number 24"}
        served.tell()
        assert served.json("/api/now")["event"] == events


def test_an_alert_that_waits_for_a_broker_is_told_once_a_day(tmp_path: Path) -> None:
    about: dict[str, Any] = {"user": "Alice", "part": "together", "threshold": 80}
    with Served(tmp_path) as served:
        served.tell()
        for used in range(5):
            served.event("quota_warning", "Alice has used much", used=used, **about)
        served.event("quota_warning", "Bob has used much", **{**about, "user": "Bob"})
        served.event("quota_warning", "Alice has used much again", at=served.at + 86_400, **about)
        texts = [event["text"] for event in served.json("/api/now")["event"]]
        assert texts == ["Alice has used much again", "Bob has used much", "Alice has used much"]


# history


@pytest.mark.parametrize(
    ("of", "key"),
    [
        ("total", TOTAL),
        ("user/alice", Key("user", "Alice")),
        (f"device/{PHONE_ID}", Key("device", PHONE.dashed)),
    ],
)
def test_days_are_those_of_the_store_without_a_hole(served: Served, of: str, key: Key) -> None:
    found = served.json(f"/api/history?of={of}&by=day&last=40")
    known = served.house.store.days(key, date.min, date.max)
    today = served.house.ledger.day
    assert today is not None
    days = [today - timedelta(days=number) for number in range(39, -1, -1)]
    assert (found["of"], found["by"]) == (of, "day")
    assert found["start"] == [epoch(day) for day in days]
    assert found["on_peak"] == [known.get(day, Used()).on_peak for day in days]
    assert found["off_peak"] == [known.get(day, Used()).off_peak for day in days]
    assert found["delta"] == [known.get(day, Used()).of("together") for day in days]


def test_the_usage_at_the_end_of_each_bin_leads_up_to_that_of_now(served: Served) -> None:
    for by in ("hour", "day", "month"):
        found = served.json(f"/api/history?of=total&by={by}")
        assert found["total"][-1] == served.house.total.usage
        steps = [after - before for before, after in zip(found["total"], found["total"][1:], strict=False)]
        assert steps == found["delta"][1:]


def test_months_are_billing_periods(served: Served) -> None:
    found = served.json("/api/history?of=total&by=month")
    assert found["start"] == [epoch(date(2026, 9, 1)), epoch(date(2026, 10, 1))]
    moved = served.house.store.moved
    assert list(zip(found["on_peak"], found["off_peak"], strict=True)) == [
        moved(date(2026, 9, 1), date(2026, 9, 30))[TOTAL],
        moved(date(2026, 10, 1), date(2026, 10, 31))[TOTAL],
    ]
    assert served.json("/api/history?of=total&by=month&last=1")["start"] == found["start"][1:]


def test_hours_are_those_of_the_records(served: Served) -> None:
    found = served.json("/api/history?of=user/alice&by=hour&last=48")
    last = hour_of(int(served.at))
    assert found["start"] == [last - number * HOUR_S for number in range(47, -1, -1)]
    known = {hour_of(record.time): record.delta for record in served.house.records()[Key("user", "Alice")]}
    assert found["delta"] == [known[start] for start in found["start"]]
    assert len(served.json("/api/history?of=total&by=hour")["start"]) == 48


def test_hours_without_records_are_nothing_between_others_and_not_there_at_the_ends(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        served.house.reads(row(1000))
        served.house.reads(row(2000), after=600)
        served.house.reads(row(5000), after=5 * HOUR_S)
        served.tell()
        found = served.json("/api/history?of=total&by=hour")
        assert found["delta"] == [0, 1000, 0, 0, 0, 0, 3000]  # at midnight, ten past it, and ten past five
        assert found["start"][-1] == hour_of(int(served.at))


def test_days_before_the_first_one_are_not_there(served: Served) -> None:
    found = served.json("/api/history?of=total&by=day&last=1000")
    assert found["start"][0] == epoch(min(served.house.store.days(TOTAL, date.min, date.max)))
    assert len(found["start"]) == 45


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("by=day", 404),
        ("of=user/nobody&by=day", 404),
        ("of=user/Alice&by=day", 404),
        ("of=pool/the-family&by=day", 404),
        ("of=device/00-00-00-00-00-00&by=day", 404),
        ("of=device/../../etc/passwd&by=hour", 404),
        ("of=total", 400),
        ("of=total&by=year", 400),
        ("of=total&by=day&last=0", 400),
        ("of=total&by=day&last=-1", 400),
        ("of=total&by=day&last=1e3", 400),
        ("of=total&by=day&last=99999999999999999999", 400),
        ("of=total&by=hour&last=1489", 400),
        ("of=total&by=day&last=%D9%A3", 400),
    ],
)
def test_what_cannot_be_told_is_answered_in_words(served: Served, query: str, code: int) -> None:
    answer = served.get(f"/api/history?{query}")
    assert answer.status_code == code
    assert answer.json()["error"]


def test_records_that_cannot_be_read_are_answered_in_words(tmp_path: Path) -> None:
    with Served(tmp_path, days=1) as served:
        served.tell()
        (tmp_path / "state.db").rename(tmp_path / "elsewhere.db")
        answer = served.get("/api/history?of=total&by=day")
        assert (answer.status_code, answer.json()) == (503, {"error": "the records cannot be read just now"})
        assert served.get("/api/now").status_code == 200
