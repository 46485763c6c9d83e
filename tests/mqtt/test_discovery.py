from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from dalla_mqtt.mqtt.discovery import Discovery, Offer
from dalla_mqtt.mqtt.payloads import Known, router_message, usage_messages
from dalla_mqtt.mqtt.quota import quota_messages
from dalla_mqtt.mqtt.topics import NAME_SET, Topics
from dalla_mqtt.usage.ledger import Ledger, Rules, Series, account
from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.quota import Allowance, Standing, Subject, Window
from dalla_mqtt.usage.reading import Host, Mac, Reading, Row
from dalla_mqtt.usage.status import RouterStatus
from dalla_mqtt.usage.tariff import Tariff

PHONE, LAPTOP = Mac.parse("CB:BD:AB:90:2D:38"), Mac.parse("02:00:00:00:00:02")
ROUTER = RouterStatus("ok", 0, model="Archer C20", firmware="0.9.1", hardware="v1")
OFFER = Offer(2**30, by_time=True)
ROOT_KEYS = {"dev", "o", "cmps", "avty", "stat_t", "qos"}  # an unknown one rejects the whole device


def after(*names: tuple[Mac, str | None], before: Ledger | None = None) -> Ledger:
    rows = tuple(Row(f"192.168.1.{number}", mac, 1, 1) for number, (mac, _) in enumerate(names))
    hosts = tuple(Host(row.ip, mac, name) for row, (mac, name) in zip(rows, names, strict=True))
    rules = Rules(People(("Alice",), {PHONE: "Alice"}), Tariff(), 60, 1e9)
    return account(before or Ledger(), Reading(rows, hosts), rules, at=1_000_000, elapsed_s=60)[0]


ALICE, NOBODY, FAMILY = Subject("user", "Alice"), Subject("user", UNKNOWN), Subject("pool", "The family")
OWN = Subject("device", PHONE.dashed)
WINDOW = Window(date(2026, 11, 1), date(2026, 11, 30))
Standings = dict[Subject, Standing]


def standings(*with_quota: Subject, without: tuple[Subject, ...] = (ALICE, NOBODY, FAMILY)) -> Standings:
    """How it stands with those `with_quota`, and those of `without` that are not among them."""
    quota = (Allowance("together", 10**9, 0, 0, 5),)
    return {
        subject: Standing(subject, WINDOW, quota if subject in with_quota else (), "notify", limited=False, text=None)
        for subject in dict.fromkeys((*without, *with_quota))
    }


def topics_of_home() -> Topics:
    made = Topics("dalla", "home", pools=["The family"])
    made.ids.meet(("Alice", UNKNOWN))
    return made


class Home:
    """What Home Assistant was told, by device."""

    def __init__(self, offer: Offer = OFFER) -> None:
        self.discovery = Discovery(topics_of_home(), "homeassistant", ("Alice",), "http://192.168.1.1", offer)

    def announced(
        self,
        now: Ledger,
        router: RouterStatus = ROUTER,
        hidden: frozenset[str] = frozenset(),
        stand: Standings | None = None,
    ) -> dict[str, Any]:
        messages = self.discovery.messages(Known(now, stand or {}), router, hidden)
        return {topic.split("/")[2]: json.loads(payload) for topic, payload in messages}


def everything() -> dict[str, Any]:
    return Home().announced(after((PHONE, "alices-phone"), (LAPTOP, None)), stand=standings(ALICE, OWN, FAMILY))


def entities(payload: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All that is announced of a device, but for what is taken back."""
    return {key: one for key, one in payload["cmps"].items() if one.keys() != {"p"}}


def test_the_router_comes_first_and_then_the_total_the_users_and_the_devices() -> None:
    assert list(everything()) == [
        "dalla_home_router",
        "dalla_home_total",
        "dalla_home_alice",
        "dalla_home_unknown",
        "dalla_home_pool_the-family",
        "dalla_home_cb-bd-ab-90-2d-38",
        "dalla_home_02-00-00-00-00-02",
    ]


def test_there_is_no_key_that_home_assistant_would_reject_a_device_for() -> None:
    for payload in everything().values():
        assert payload.keys() == ROOT_KEYS
        assert payload["o"]["name"] == "dalla-mqtt"
        for component in entities(payload).values():
            assert {"p", "uniq_id", "def_ent_id", "name"} <= component.keys()
            assert re.fullmatch(rf"{component['p']}\.[a-z0-9_]+", component["def_ent_id"])


def test_unique_ids_hold_no_name_and_no_address_and_are_never_said_twice() -> None:
    ids = [component["uniq_id"] for payload in everything().values() for component in entities(payload).values()]
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
        key: (sensor["stat_cla"], sensor["unit_of_meas"], sensor.get("lrst_val_tpl"))
        for key, sensor in sensors.items()
        if sensor["p"] == "sensor"
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


def test_every_template_picks_a_key_that_its_topic_always_has() -> None:
    now = after((PHONE, "alices-phone"), (LAPTOP, None))
    known = Known(now, standings(ALICE, OWN, FAMILY))
    messages = [
        *usage_messages(topics_of_home(), Tariff(), Known(), known),
        *quota_messages(topics_of_home(), Tariff(), Known(), known),
        router_message(topics_of_home(), ROUTER, now),
    ]
    states = {topic: json.loads(payload) for topic, payload in messages if not topic.endswith(("/usage", "/delta"))}
    for payload in everything().values():
        for component in payload["cmps"].values():
            for template in filter(None, (component.get("val_tpl"), component.get("lrst_val_tpl"))):
                for key in re.findall(r"value_json\.(\w+)", template):
                    topic = component.get("stat_t", payload["stat_t"])
                    empty = topic == "dalla/home/device/02-00-00-00-00-02/quota"
                    assert key in states.get(topic, {"event": "new_device"}) or empty


def test_controls_know_their_topics_and_are_no_primary_entities() -> None:
    told = everything()
    router, phone = told["dalla_home_router"]["cmps"], told["dalla_home_cb-bd-ab-90-2d-38"]["cmps"]
    controls = (router["poll"], router["pause"], phone["user"], phone["name"])
    assert [control["cmd_t"].removeprefix("dalla/home/") for control in controls] == [
        "poll/set",
        "pause/set",
        "device/cb-bd-ab-90-2d-38/user/set",
        "device/cb-bd-ab-90-2d-38/name/set",
    ]
    assert {control["ent_cat"] for control in controls} == {"config"}
    assert phone["user"]["ops"] == ["Alice", "UNKNOWN"]


def test_only_the_new_and_the_renamed_are_announced_later() -> None:
    home = Home()
    first = after((PHONE, None))
    assert len(home.announced(first)) == 5
    assert home.announced(after((PHONE, None), before=first)) == {}
    second = after((PHONE, "alices-phone"), (LAPTOP, None), before=first)
    assert list(home.announced(second)) == ["dalla_home_cb-bd-ab-90-2d-38", "dalla_home_02-00-00-00-00-02"]
    updated = replace(ROUTER, firmware="0.9.2")
    assert list(home.announced(second, updated)) == ["dalla_home_router"]
    assert home.announced(second, replace(updated, polls=7)) == {}
    home.discovery.forget()
    assert len(home.announced(second, updated)) == 6


def test_before_the_first_reading_only_the_router_is_announced() -> None:
    assert list(Home().announced(Ledger(), RouterStatus("unreachable", 0))) == ["dalla_home_router"]


def test_two_devices_of_one_name_are_told_apart_and_one_alone_keeps_it() -> None:
    home = Home()
    alone = after((PHONE, "iPhone"))
    assert home.announced(alone)["dalla_home_cb-bd-ab-90-2d-38"]["dev"]["name"] == "iPhone"
    both = home.announced(after((PHONE, "iPhone"), (LAPTOP, "iPhone"), before=alone))
    assert [device["dev"]["name"] for device in both.values()] == ["iPhone (2D:38)", "iPhone (00:02)"]


def test_a_name_that_its_household_gave_goes_before_its_own() -> None:
    ledger = after((PHONE, "alices-phone"))
    named = replace(ledger, devices={PHONE: replace(ledger.devices[PHONE], name="Alice's phone")})
    assert Home().announced(named)["dalla_home_cb-bd-ab-90-2d-38"]["dev"]["name"] == "Alice's phone"


def test_a_user_who_left_the_household_is_announced_no_more() -> None:
    ledger = after((PHONE, None))
    assert "dalla_home_bob" not in Home().announced(replace(ledger, users={**ledger.users, "Bob": Series(usage=7)}))


def test_what_is_hidden_is_announced_when_it_is_hidden_no_more() -> None:
    home = Home()
    hidden = frozenset({"homeassistant/device/dalla_home_cb-bd-ab-90-2d-38/config"})
    ledger = after((PHONE, None))
    assert "dalla_home_cb-bd-ab-90-2d-38" not in home.announced(ledger, hidden=hidden)
    assert list(home.announced(ledger)) == ["dalla_home_cb-bd-ab-90-2d-38"]


def keys(payload: dict[str, Any], *, enabled: bool = True) -> set[str]:
    """Of those entities of a device that are about a quota."""
    cmps = entities(payload).items()
    return {key for key, one in cmps if one.get("stat_t", "").endswith("/quota") and one.get("en", True) is enabled}


def taken_back(payload: dict[str, Any]) -> dict[str, str]:
    """Platforms of entities that Home Assistant is told to forget."""
    return {key: one["p"] for key, one in payload["cmps"].items() if one.keys() == {"p"}}


STANDING_KEYS = {
    *("used_percent", "remaining", "expected", "allowed_per_day", "exhausted_at", "quota_text"),
    *("quota_exceeded", "quota_projected", "topup"),
}
SETTABLE = {"quota", "quota_on_peak", "quota_off_peak", "limited"}


def test_a_user_can_be_given_a_quota_and_only_who_has_one_shows_how_it_stands() -> None:
    told = everything()
    assert keys(told["dalla_home_alice"]) == SETTABLE | STANDING_KEYS
    assert keys(told["dalla_home_unknown"]) == SETTABLE
    assert keys(told["dalla_home_total"]) == keys(told["dalla_home_router"]) == set()


def test_quotas_by_time_of_day_are_for_tariffs_that_have_off_peak_hours() -> None:
    told = Home(Offer(1, by_time=False)).announced(after((PHONE, None)), stand=standings(ALICE))
    assert keys(told["dalla_home_alice"]) == {"quota", "limited"} | STANDING_KEYS


def test_before_anything_is_known_of_quotas_none_can_be_set_for_a_user_and_none_is_taken_back() -> None:
    told = Home().announced(after((PHONE, None)))
    assert keys(told["dalla_home_alice"]) == set()
    assert "dalla_home_pool_the-family" not in told
    assert [taken_back(payload) for payload in told.values()] == [{}] * len(told)


def test_what_was_there_of_a_quota_is_taken_back_where_there_is_none_at_the_next_start() -> None:
    now = after((PHONE, None))
    told = Home(Offer(1, by_time=False)).announced(now, stand=standings())
    by_time = {"quota_on_peak", "quota_off_peak"}
    assert taken_back(told["dalla_home_alice"]).keys() == STANDING_KEYS | by_time
    assert taken_back(told["dalla_home_pool_the-family"]).keys() == STANDING_KEYS | by_time
    assert taken_back(told["dalla_home_cb-bd-ab-90-2d-38"]) == {
        "used_percent": "sensor",
        "remaining": "sensor",
        "quota_exceeded": "binary_sensor",
        "topup": "button",
    }
    told = Home().announced(now, stand=standings(ALICE, OWN))
    assert taken_back(told["dalla_home_alice"]) == taken_back(told["dalla_home_cb-bd-ab-90-2d-38"]) == {}


def test_devices_may_have_a_quota_once_somebody_wants_that() -> None:
    told = everything()
    for part, shown in (
        ("cb-bd-ab-90-2d-38", {"used_percent", "remaining", "quota_exceeded", "topup"}),
        ("02-00-00-00-00-02", set()),
    ):
        assert keys(told[f"dalla_home_{part}"]) == shown
        assert keys(told[f"dalla_home_{part}"], enabled=False) == {"quota", "limited"}


def test_a_pool_is_a_device_of_its_own() -> None:
    pool = everything()["dalla_home_pool_the-family"]
    assert pool["dev"]["name"] == "Pool The family"
    assert pool["dev"]["via_device"] == "dalla_home_router"
    assert pool["stat_t"] == "dalla/home/pool/the-family/quota"
    assert keys(pool) == pool["cmps"].keys() == SETTABLE | STANDING_KEYS


def test_controls_of_a_quota_know_what_to_say_and_what_is_said() -> None:
    alice = everything()["dalla_home_alice"]["cmps"]
    more = {"p", "cmd_t", "cmd_tpl", "min", "max", "step", "mode", "unit_of_meas", "dev_cla", "stat_t", "ent_cat"}
    assert {key: alice["quota"][key] for key in more} == {
        "p": "number",
        "cmd_t": "dalla/home/user/alice/quota/set",
        "cmd_tpl": "{{ value }} GB",
        "min": 0,
        "max": 4_503_599,
        "step": 0.001,
        "mode": "box",
        "unit_of_meas": "GB",
        "dev_cla": "data_size",
        "stat_t": "dalla/home/user/alice/quota",
        "ent_cat": "config",
    }
    assert [alice[key]["cmd_t"].split("/")[-2] for key in SETTABLE] == list(SETTABLE)
    assert {alice[key]["ent_cat"] for key in (*SETTABLE, "topup")} == {"config"}
    assert (alice["topup"]["cmd_t"], alice["topup"]["pl_prs"]) == ("dalla/home/user/alice/topup/set", "1073741824 B")
    assert (alice["limited"]["stat_on"], alice["limited"]["stat_off"]) == ("True", "False")
    for key in ("quota_exceeded", "quota_projected"):
        assert [alice[key][of] for of in ("p", "dev_cla", "pl_on", "pl_off")] == [
            "binary_sensor",
            "problem",
            "True",
            "False",
        ]


def test_what_is_shown_of_a_quota_comes_with_it_and_stays_when_it_is_taken_away() -> None:
    home, ledger = Home(), after((PHONE, None))
    assert len(home.announced(ledger, stand=standings())) == 6
    given = home.announced(ledger, stand=standings(ALICE, OWN))
    assert list(given) == ["dalla_home_alice", "dalla_home_cb-bd-ab-90-2d-38"]
    assert home.announced(ledger, stand=standings()) == {}, "it stays"
    home.discovery.forget()
    again = home.announced(ledger, stand=standings())
    assert {part: again[part] for part in given} == given


@pytest.mark.parametrize("name", ['"quoted"', "a/b+c#d$e", "{{ 1 + 1 }}", "📱" * 300, "x" * 300, "<b>'\\"])
def test_names_are_data_and_never_part_of_an_id_or_a_template(name: str) -> None:
    payload = Home().announced(after((PHONE, name)))["dalla_home_cb-bd-ab-90-2d-38"]
    assert payload["dev"].pop("name") == name[:255]
    plain = Home().announced(after((PHONE, "plain")))["dalla_home_cb-bd-ab-90-2d-38"]
    del plain["dev"]["name"]
    assert payload == plain


def test_what_others_announce_and_commands_below_the_same_prefix_are_no_announcements_of_ours() -> None:
    topics = Topics("homeassistant", "device")
    discovery = Discovery(topics, "homeassistant", (), "http://192.168.1.1", OFFER)
    assert discovery.announces_on("homeassistant/device/dalla_device_cb-bd-ab-90-2d-38/config")
    assert not discovery.announces_on("homeassistant/device/dalla_dorm_cb-bd-ab-90-2d-38/config")
    assert not discovery.announces_on("homeassistant/device/zigbee/config")
    assert not discovery.announces_on(topics.about(PHONE, NAME_SET))
