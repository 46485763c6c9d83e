from __future__ import annotations

import json
import re
from typing import Any

from msgspec.structs import replace

from dalla_mqtt.mqtt.discovery import Discovery
from dalla_mqtt.mqtt.topics import RouterStatus, Topics, usage_messages
from dalla_mqtt.usage.ledger import Ledger, Rules, account
from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.reading import Host, Mac, Reading, Row
from dalla_mqtt.usage.tariff import Tariff

PHONE, LAPTOP = Mac.parse("CB:BD:AB:90:2D:38"), Mac.parse("02:00:00:00:00:02")
ROUTER = RouterStatus("ok", 0, model="Archer C20", firmware="0.9.1", hardware="v1")
ROOT_KEYS = {"dev", "o", "cmps", "avty", "stat_t", "qos"}  # an unknown one rejects the whole device


def after(*names: tuple[Mac, str | None], before: Ledger | None = None) -> Ledger:
    rows = tuple(Row(f"192.168.1.{number}", mac, 1, 1) for number, (mac, _) in enumerate(names))
    hosts = tuple(Host(row.ip, mac, name) for row, (mac, name) in zip(rows, names, strict=True))
    rules = Rules(People(("Alice",), {PHONE: "Alice"}), Tariff(), 60, 1e9)
    return account(before or Ledger(), Reading(rows, hosts), rules, at=1_000_000, elapsed_s=60)[0]


def topics() -> Topics:
    made = Topics("dalla", "home")
    made.meet(("Alice", UNKNOWN))
    return made


def announced(before: Ledger, now: Ledger, router_before: RouterStatus | None, router: RouterStatus) -> dict[str, Any]:
    discovery = Discovery(topics(), "homeassistant", "http://192.168.1.1")
    messages = list(discovery.messages(before, now, router_before, router))
    return {topic.split("/")[2]: json.loads(payload) for topic, payload in messages}


def everything() -> dict[str, Any]:
    return announced(Ledger(), after((PHONE, "alices-phone"), (LAPTOP, None)), None, ROUTER)


def test_the_router_comes_first_and_then_the_total_the_users_and_the_devices() -> None:
    assert list(everything()) == [
        "dalla_home_router",
        "dalla_home_total",
        "dalla_home_alice",
        "dalla_home_unknown",
        "dalla_home_cb-bd-ab-90-2d-38",
        "dalla_home_02-00-00-00-00-02",
    ]


def test_there_is_no_key_that_home_assistant_would_reject_a_device_for() -> None:
    for payload in everything().values():
        assert payload.keys() == ROOT_KEYS
        assert payload["o"]["name"] == "dalla-mqtt"
        for component in payload["cmps"].values():
            assert {"p", "uniq_id", "def_ent_id", "name", "val_tpl"} <= component.keys()
            assert re.fullmatch(r"sensor\.[a-z0-9_]+", component["def_ent_id"])


def test_unique_ids_hold_no_name_and_no_address_and_are_never_said_twice() -> None:
    ids = [component["uniq_id"] for payload in everything().values() for component in payload["cmps"].values()]
    assert len(ids) == len(set(ids))
    assert "dalla_home_cb-bd-ab-90-2d-38_usage" in ids
    assert not any("phone" in one or "192" in one for one in ids)


def test_devices_hang_under_the_router_and_carry_their_mac() -> None:
    device = everything()["dalla_home_cb-bd-ab-90-2d-38"]["dev"]
    assert device["name"] == "alices-phone"
    assert device["via_device"] == "dalla_home_router"
    assert device["cns"] == [["mac", "cb:bd:ab:90:2d:38"]]
    router = everything()["dalla_home_router"]["dev"]
    assert router["name"] == router["mdl"] == "Archer C20"
    assert router["cu"] == "http://192.168.1.1"
    assert "via_device" not in router


def test_a_device_without_a_name_goes_by_its_mac() -> None:
    assert everything()["dalla_home_02-00-00-00-00-02"]["dev"]["name"] == "02:00:00:00:00:02"


def test_figures_that_begin_anew_say_since_when_as_home_assistant_may_not_see_it_happen() -> None:
    sensors = everything()["dalla_home_total"]["cmps"]
    told = {
        key: (sensor["stat_cla"], sensor["unit_of_meas"], sensor.get("lrst_val_tpl")) for key, sensor in sensors.items()
    }
    assert told == {
        "usage": ("total", "GB", None),
        "delta": ("measurement", "MB", None),
        "rate": ("measurement", "Mbit/s", None),
        "today": ("total", "GB", "{{ value_json.today_start }}"),
        "period": ("total", "GB", "{{ value_json.period_start }}"),
        "on_peak": ("total", "GB", "{{ value_json.period_start }}"),
        "off_peak": ("total", "GB", "{{ value_json.period_start }}"),
    }


def test_rates_are_unavailable_while_the_router_is_and_totals_stay() -> None:
    sensors = everything()["dalla_home_total"]["cmps"]
    assert {key for key, sensor in sensors.items() if "avty" in sensor} == {"rate", "delta"}
    assert [where["t"] for where in sensors["rate"]["avty"]] == ["dalla/home/status", "dalla/home/router"]
    assert sensors["rate"]["avty_mode"] == "all"


def test_every_template_picks_a_key_that_the_state_always_has() -> None:
    now = after((PHONE, "alices-phone"), (LAPTOP, None))
    states = {topic: json.loads(payload) for topic, payload in usage_messages(topics(), Tariff(), Ledger(), now)}
    for payload in everything().values():
        if payload["stat_t"] == "dalla/home/router":
            continue
        for component in payload["cmps"].values():
            for template in (component["val_tpl"], component.get("lrst_val_tpl", component["val_tpl"])):
                match = re.fullmatch(r"\{\{ value_json\.(\w+) \}\}", template)
                assert match
                assert match[1] in states[payload["stat_t"]]


def test_only_the_new_and_the_renamed_are_announced_later() -> None:
    first = after((PHONE, None))
    assert announced(first, after((PHONE, None), before=first), ROUTER, ROUTER) == {}
    second = after((PHONE, "alices-phone"), (LAPTOP, None), before=first)
    assert list(announced(first, second, ROUTER, ROUTER)) == [
        "dalla_home_cb-bd-ab-90-2d-38",
        "dalla_home_02-00-00-00-00-02",
    ]
    updated = replace(ROUTER, firmware="0.9.2")
    assert list(announced(second, second, ROUTER, updated)) == ["dalla_home_router"]
    assert announced(second, second, ROUTER, replace(ROUTER, polls=7)) == {}


def test_before_the_first_reading_only_the_router_is_announced() -> None:
    assert list(announced(Ledger(), Ledger(), None, RouterStatus("unreachable", 0))) == ["dalla_home_router"]
