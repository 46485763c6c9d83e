"""What Home Assistant shows of a household: every entity, as it was agreed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.home_assistant import agreed
from tests.home_assistant.agreed import Row
from tests.home_assistant.conftest import BUSY, FAMILY, House, household
from tests.home_assistant.server import HomeAssistant

FIRMWARE = "0.9.1 4.0 v0044.0 (simulated)"


@pytest.fixture(scope="module")
def settled(ha: HomeAssistant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A household of which all has been counted, and Home Assistant knows it; for tests that change nothing."""
    with household(ha, tmp_path_factory.mktemp("settled"), *BUSY) as house:
        house.name_users(FAMILY, {"alice": 40 * 10**9, "pool_family": 10**12, house.part("printer"): 1000})
        dalla = house.run()
        house.settle(dalla)
        dalla.polls_again()
        house.all_is_right()
        yield house


def mac_of(part: str) -> str:
    return part.upper().replace("-", ":")


def parts_of(house: House) -> list[str]:
    return ["router", *house.shown(), *house.pools]


def test_what_is_disabled_by_default_is_right_once_it_is_enabled(house: House) -> None:
    house.site = "cabin"  # Home Assistant would remember what was enabled, for the tests that come later
    dalla = house.run()
    house.settle(dalla)
    dalla.polls_again()
    house.all_is_right()
    disabled = {key: row for key, (_, row) in house.agreed(parts_of(house)).items() if not row.enabled}
    house.ha.enable(*disabled)
    house.all_is_right()
    entities = house.ha.entities()
    for entity_id, row in disabled.items():
        attributes = entities[entity_id].attributes
        seen = [attributes.get(key) for key in ("unit_of_measurement", "device_class", "state_class")]
        assert seen == [row.unit, row.device_class, row.state_class]
        if row.key == "delta":
            assert entities[entity_id].state == "0.0"
        else:  # nothing is said of the quota of a device that has none
            assert (entities[entity_id].state == "unknown") == (row.key in ("quota", "limited"))


def test_every_entity_has_the_agreed_name_classes_unit_and_category(settled: House) -> None:
    entities = settled.ha.entities()
    for entity_id, (part, row) in settled.agreed(parts_of(settled)).items():
        entity = entities[entity_id]
        kept = settled.ha.registered(entity_id)
        capabilities = kept["capabilities"] or {}
        assert entity.unique_id == agreed.unique_id("home", part, row)
        assert entity.device == f"dalla_home_{part}"
        assert row == Row(
            entity.platform,
            row.key,
            entity.name or "",
            row.unit if entity.disabled else entity.attributes.get("unit_of_measurement"),
            kept["original_device_class"],
            capabilities.get("state_class"),
            entity.category,
            not entity.disabled,
        )


def test_what_can_be_chosen_is_listed(settled: House) -> None:
    entities = settled.ha.entities()
    assert entities["sensor.dalla_home_router_state"].attributes["options"] == agreed.STATES
    assert entities["event.dalla_home_router_event"].attributes["event_types"] == agreed.EVENTS
    (select, *_) = (entity for entity in entities.values() if entity.platform == "select")
    assert sorted(select.attributes["options"]) == ["Alice", "Bob", "UNKNOWN"]


def test_every_device_hangs_under_the_router(settled: House) -> None:
    devices = settled.ha.devices()
    router = devices["dalla_home_router"]
    assert (router["name"], router["manufacturer"], router["model"]) == ("Archer C20", "TP-Link", "Archer C20")
    assert router["sw_version"] == FIRMWARE
    assert router["via_device_id"] is None
    names = {"total": "Home total", "alice": "Alice", "bob": "Bob", "unknown": "Unknown user"}
    for part in settled.shown():
        device = devices[f"dalla_home_{part}"]
        assert device["via_device_id"] == router["id"]
        if part in names:
            assert (device["name"], device["connections"]) == (names[part], [])
        else:
            assert device["name"] == settled.host_names[mac_of(part)]
            assert device["connections"] == [["mac", mac_of(part).lower()]]


def test_every_state_is_what_the_router_truly_counted(settled: House) -> None:
    states = settled.ha.states()
    shown, baseline = settled.shown(), settled.shown("baseline")
    for part, usage in shown.items():
        counted = (usage - baseline[part]) / 1e9
        figures = {"usage": usage / 1e9, "today": counted, "period": counted, "on_peak": counted}
        for key, value in {**figures, "off_peak": 0, "rate": 0}.items():
            assert float(states[f"sensor.dalla_home_{part}_{key}".replace("-", "_")]["state"]) == value, (part, key)
    expected: dict[str, str] = {
        "sensor.dalla_home_total_delta": "0.0",
        "sensor.dalla_home_router_state": "ok",
        "sensor.dalla_home_router_firmware": FIRMWARE,
        "sensor.dalla_home_router_devices": str(len(settled.truth)),
        "sensor.dalla_home_router_failures": "0",
        "button.dalla_home_router_poll": "unknown",  # never pressed
        "switch.dalla_home_router_pause": "off",
        "binary_sensor.dalla_home_total_peak": "on",  # all hours are, without others being named
    }
    for mac in settled.truth:
        part = mac.lower().replace(":", "_")
        expected[f"sensor.dalla_home_{part}_ip"] = settled.addresses[settled.host_names[mac]]
        expected[f"select.dalla_home_{part}_user"] = settled.owner(mac)
        expected[f"text.dalla_home_{part}_name"] = settled.host_names[mac]
    assert {entity_id: states[entity_id]["state"] for entity_id in expected} == expected


def test_every_quota_stands_as_the_router_truly_counted(settled: House) -> None:
    states = settled.ha.states()
    shown, baseline = settled.shown(), settled.shown("baseline")
    for part, quota in settled.quotas.items():
        series = "total" if part in settled.pools else part
        used = shown[series] - baseline[series]
        about = part.replace("-", "_")
        told = {
            f"sensor.dalla_home_{about}_remaining": str(max(0, quota - used) / 1e9),
            f"sensor.dalla_home_{about}_used_percent": str(used * 10_000 // quota / 100),
            f"binary_sensor.dalla_home_{about}_quota_exceeded": "on" if used > quota else "off",
            f"button.dalla_home_{about}_topup": "unknown",  # never pressed
        }
        if "-" not in part:  # those of a device are disabled
            told |= {f"number.dalla_home_{about}_quota": str(quota / 1e9), f"switch.dalla_home_{about}_limited": "off"}
        assert {entity_id: states[entity_id]["state"] for entity_id in told} == told


def test_figures_of_a_day_and_a_period_say_when_they_began(settled: House) -> None:
    entities = settled.ha.entities()
    for key, clock in {"today": "T00:00:00+00:00", "period": "-01T00:00:00+00:00"}.items():
        assert entities[f"sensor.dalla_home_total_{key}"].attributes["last_reset"].endswith(clock)
    assert "last_reset" not in entities["sensor.dalla_home_total_usage"].attributes


def test_statistics_are_kept_of_every_figure_and_nobody_has_to_mend_anything(settled: House) -> None:
    settled.ha.compile_statistics()
    known = settled.agreed(parts_of(settled))
    rows = {key: row for key, (_, row) in known.items() if row.state_class and row.enabled}
    found = {key: about for key, about in settled.ha.statistic_ids().items() if key in settled.ha.entities()}
    assert {key: _kept(about) for key, about in found.items()} == {key: row.statistics for key, row in rows.items()}
    assert all(about["statistics_unit_of_measurement"] == rows[key].unit for key, about in found.items())
    assert not settled.ha.statistics_issues().keys() & rows.keys()
    assert settled.ha.repairs() == []


def _kept(about: dict[str, Any]) -> tuple[str, str | None]:
    assert about["has_mean"] != about["has_sum"]
    return "mean" if about["has_mean"] else "sum", about["unit_class"]
