from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dalla_mqtt.mqtt.payloads import Known
from dalla_mqtt.mqtt.quota import quota_messages
from dalla_mqtt.mqtt.topics import Topics
from dalla_mqtt.usage.ledger import Ledger, Rules, account
from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.quota import Allowance, Standing, Subject, Window
from dalla_mqtt.usage.reading import Host, Mac, Reading, Row
from dalla_mqtt.usage.tariff import Tariff

GIB = 2**30
PHONE = Mac.parse("CB:BD:AB:90:2D:38")
TARIFF = Tariff(ZoneInfo("Africa/Johannesburg"))
ALICE, OWN, FAMILY = Subject("user", "Alice"), Subject("device", PHONE.dashed), Subject("pool", "The family")
TOGETHER = Allowance("together", 40 * GIB, 0, GIB, 30 * GIB, 2 * GIB, 45 * GIB, 1795795200)
OFF_PEAK = Allowance("off_peak", 100 * GIB, 5 * GIB, GIB, 90 * GIB)
NOVEMBER = Window(date(2026, 11, 1), date(2026, 11, 30))
TEXT = "Alice has used 90 of 106 GiB off-peak (84 %), 6 days left."


def standing(*allowances: Allowance, subject: Subject = ALICE, text: str | None = TEXT) -> Standing:
    return Standing(subject, NOVEMBER, allowances, "throttle", limited=False, text=text)


def told(now: Known, before: Known = Known()) -> dict[str, dict[str, Any]]:  # noqa: B008  # nothing changes it
    topics = Topics("dalla", "home", pools=["Attic", "The family"])
    topics.ids.meet(["Alice", UNKNOWN])
    return {topic: json.loads(payload) for topic, payload in quota_messages(topics, TARIFF, before, now)}


def stands(*of: Standing) -> Known:
    return Known(Ledger(), {one.subject: one for one in of})


def test_how_it_stands_is_told_of_the_tightest_part_and_of_each() -> None:
    together = {
        "quota": 40 * GIB,
        "carried": 0,
        "topup": GIB,
        "limit": 41 * GIB,
        "used": 30 * GIB,
        "used_percent": 73.17,
        "remaining": 11 * GIB,
        "allowed_per_day": 2 * GIB,
        "expected": 45 * GIB,
        "pace": 1.098,
        "exhausted_at": "2026-11-27T16:00:00Z",
    }
    off_peak = {
        "quota": 100 * GIB,
        "carried": 5 * GIB,
        "topup": GIB,
        "limit": 106 * GIB,
        "used": 90 * GIB,
        "used_percent": 84.9,
        "remaining": 16 * GIB,
        "allowed_per_day": None,
        "expected": None,
        "pace": None,
        "exhausted_at": None,
    }
    assert told(stands(standing(TOGETHER, OFF_PEAK))) == {
        "dalla/home/user/alice/quota": {
            **off_peak,
            "name": "Alice",
            "start": "2026-11-01T00:00:00+02:00",
            "end": "2026-12-01T00:00:00+02:00",
            "at_quota": "throttle",
            "limited": False,
            "exceeded": False,
            "projected": True,
            "part": "off_peak",
            "text": TEXT,
            "parts": {"together": together, "on_peak": None, "off_peak": off_peak},
            "quota_gb": 42.94967296,
            "quota_on_peak_gb": 0,
            "quota_off_peak_gb": 107.3741824,
            "limit_gb": 113.816633344,
            "used_gb": 96.63676416,
            "remaining_gb": 17.179869184,
            "allowed_per_day_gb": None,
            "expected_gb": None,
            "topup_gb": 1.073741824,
        }
    }


def test_without_a_quota_the_same_keys_are_there_and_nothing_is_made_up() -> None:
    (full,) = told(stands(standing(TOGETHER))).values()
    (none,) = told(stands(replace(standing(text=None), limited=True))).values()
    assert none.keys() == full.keys()
    assert {key: value for key, value in none.items() if value is not None} == {
        "name": "Alice",
        "start": "2026-11-01T00:00:00+02:00",
        "end": "2026-12-01T00:00:00+02:00",
        "at_quota": "throttle",
        "limited": True,
        "parts": {"together": None, "on_peak": None, "off_peak": None},
        "quota_gb": 0,
        "quota_on_peak_gb": 0,
        "quota_off_peak_gb": 0,
    }


@pytest.mark.parametrize(
    ("allowances", "problems"),
    [
        ((TOGETHER, replace(OFF_PEAK, used=106 * GIB)), (False, True)),
        ((TOGETHER, replace(OFF_PEAK, used=106 * GIB + 1)), (True, True)),
        ((replace(TOGETHER, expected=41 * GIB), OFF_PEAK), (False, False)),
        ((OFF_PEAK,), (False, None)),
    ],
)
def test_one_part_that_is_exceeded_or_will_be_is_enough(
    allowances: tuple[Allowance, ...], problems: tuple[bool, bool | None]
) -> None:
    (payload,) = told(stands(standing(*allowances))).values()
    assert (payload["exceeded"], payload["projected"]) == problems


@given(st.integers(0, 2**51), st.integers(0, 2**52), st.integers(0, 2**51))
def test_gigabytes_are_exact_to_the_byte(quota: int, used: int, topup: int) -> None:
    allowance = Allowance("together", quota, 0, topup, used, used, used)
    known, topics = stands(standing(allowance)), Topics("dalla", "home", {"Alice": "alice"})
    ((_, payload),) = quota_messages(topics, TARIFF, Known(), known)
    state = json.loads(payload, parse_float=Decimal)
    for key in ("quota", "limit", "used", "remaining", "allowed_per_day", "expected", "topup"):
        assert Decimal(state[f"{key}_gb"]) * 10**9 == state[key], key


def test_only_what_changed_is_said() -> None:
    alice, family = standing(TOGETHER), standing(subject=FAMILY)
    before = stands(alice, family)
    assert told(stands(alice, family), before) == {}
    assert list(told(stands(replace(alice, limited=True), family), before)) == ["dalla/home/user/alice/quota"]
    assert list(told(before)) == ["dalla/home/user/alice/quota", "dalla/home/pool/the-family/quota"]


def test_a_device_goes_by_the_name_that_it_has_now() -> None:
    own = {OWN: standing(TOGETHER, subject=OWN)}
    rows = (Row("192.168.1.100", PHONE, 1, 1),)
    reading = Reading(rows, (Host("192.168.1.100", PHONE, "alices-phone"),))
    ledger, _ = account(Ledger(), reading, Rules(People(), TARIFF, 60, 1e9), at=1_795_500_000, elapsed_s=60)
    topic = "dalla/home/device/cb-bd-ab-90-2d-38/quota"
    assert told(Known(Ledger(), own))[topic]["name"] == "CB:BD:AB:90:2D:38", "it was never seen"
    assert told(Known(ledger, own), Known(Ledger(), own))[topic]["name"] == "alices-phone"
    named = replace(ledger, devices={PHONE: replace(ledger.devices[PHONE], name="Alice's phone")})
    assert told(Known(named, own), Known(ledger, own))[topic]["name"] == "Alice's phone"
    assert told(Known(named, own), Known(named, own)) == {}


def test_words_are_no_longer_than_home_assistant_takes() -> None:
    (payload,) = told(stands(standing(TOGETHER, text="📱" * 300))).values()
    assert payload["text"] == "📱" * 255
