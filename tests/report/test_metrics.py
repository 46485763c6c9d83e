"""What Prometheus is told, and what Grafana asks it for."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from dalla_mqtt.report.metrics import FAMILIES, Family, metrics
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.status import RouterStatus
from tests.report.households import GB, MB, OK, snapshot
from tests.usage.house import LAPTOP, PHONE, utc

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"
NASTY = ['"', "\\", "\n", '\\"} 1\ndalla_evil 1', "{}", "手机 📱", "\x1b[2J", "\u2028", "a,b", "#"]


def scraped(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Each sample once, by name and labels, as Prometheus' own parser reads it."""
    samples = [one for family in text_string_to_metric_families(text.decode("utf-8")) for one in family.samples]
    found = {(one.name, frozenset(one.labels.items())): one.value for one in samples}
    assert len(found) == len(samples)
    return found


def value(text: bytes, metric: str, **labels: str) -> float | None:
    return scraped(text).get((metric, frozenset(labels.items())))


def test_figures_are_told_to_the_byte_by_kind_and_id() -> None:
    told = metrics(snapshot())
    phone = {"kind": "device", "id": PHONE.dashed.lower()}
    assert value(told, "dalla_usage_bytes_total", kind="total", id="total") == 3 * GB + 40 * MB
    assert value(told, "dalla_usage_bytes_total", kind="user", id="alice") == 3 * GB
    assert value(told, "dalla_usage_bytes_total", **phone) == 3 * GB
    laptop = {"kind": "device", "id": LAPTOP.dashed.lower()}
    parts = [value(told, "dalla_period_bytes", **laptop, tariff=tariff) for tariff in ("on_peak", "off_peak")]
    assert parts == [30_400_000, 9_600_000]
    assert value(told, "dalla_today_bytes", **laptop) == pytest.approx(40 * MB, rel=0.5)
    assert value(told, "dalla_device_present", **phone) == 1


def test_quotas_are_told_by_part() -> None:
    told = metrics(snapshot())
    alice = {"kind": "user", "id": "alice"}
    assert value(told, "dalla_quota_limit_bytes", **alice, part="together") == 4 * GB
    assert value(told, "dalla_quota_used_bytes", **alice, part="together") == 3 * GB
    assert value(told, "dalla_quota_used_ratio", **alice, part="together") == 0.75
    assert value(told, "dalla_quota_used_ratio", **alice, part="off_peak") == 2
    assert value(told, "dalla_quota_expected_bytes", **alice, part="together") == 5 * GB
    assert value(told, "dalla_quota_expected_bytes", **alice, part="off_peak") is None
    assert value(told, "dalla_limited", kind="device", id=LAPTOP.dashed.lower()) == 1
    assert value(told, "dalla_limited", **alice) == 0
    assert value(told, "dalla_quota_used_ratio", kind="pool", id="family", part="together") == 0.25


def test_the_router_is_in_one_state_and_rates_are_there_while_it_answers() -> None:
    told = metrics(snapshot())
    states = {dict(labels)["state"]: on for (name, labels), on in scraped(told).items() if name == "dalla_router_state"}
    assert [state for state, on in states.items() if on] == ["ok"]
    assert len(states) == 6
    assert value(told, "dalla_poll_duration_seconds") == 0.412
    assert value(told, "dalla_last_poll_timestamp_seconds") == utc(24, 13)
    assert (value(told, "dalla_polls_total"), value(told, "dalla_poll_failures_total")) == (1441, 3)
    assert value(told, "dalla_on_peak") == 1
    assert value(metrics(snapshot(at=utc(24, 3))), "dalla_on_peak") == 0
    away = metrics(snapshot(router=OK.missed("unreachable", utc(24, 14))))
    assert b"dalla_rate_bytes_per_second" in told
    assert b"dalla_rate_bytes_per_second" not in away
    assert value(away, "dalla_router_state", state="unreachable") == 1
    assert value(away, "dalla_usage_bytes_total", kind="user", id="alice") == 3 * GB


def test_before_the_first_reading_nothing_is_made_up() -> None:
    nothing = scraped(metrics(None))
    assert [name for name, _ in nothing] == ["dalla_build_info"]
    early = replace(snapshot(router=RouterStatus("busy", 0.0)), ledger=Ledger(), standings={})
    names = {name for name, _ in scraped(metrics(early))}
    assert "dalla_router_state" in names
    assert not names & {"dalla_usage_bytes_total", "dalla_last_poll_timestamp_seconds", "dalla_poll_duration_seconds"}


def test_who_is_renamed_or_given_something_stays_the_same_series() -> None:
    def series(text: bytes) -> set[Any]:
        return {key for key in scraped(text) if key[0] != "dalla_name_info"}

    before, after = metrics(snapshot()), metrics(snapshot({PHONE: "Alice's old phone"}))
    assert series(before) == series(after)
    phone = {"kind": "device", "id": PHONE.dashed.lower(), "user": "Bob", "mac": PHONE.colons, "hostname": ""}
    assert value(before, "dalla_name_info", **phone, name=PHONE.colons) == 1
    assert value(after, "dalla_name_info", **phone, name="Alice's old phone") == 1


@given(st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_whatever_a_name_holds_it_is_one_label(name: str) -> None:
    plain, odd = scraped(metrics(snapshot({LAPTOP: "x"}))), scraped(metrics(snapshot({LAPTOP: name or "x"})))
    assert len(odd) == len(plain)
    names = {dict(labels)["name"] for metric, labels in odd if metric == "dalla_name_info"}
    assert (name or "x") in names


def test_each_metric_has_its_type_and_its_labels() -> None:
    families = {family.name: family for family in FAMILIES}
    assert len(families) == len(FAMILIES)
    told = list(text_string_to_metric_families(metrics(snapshot()).decode()))
    for one in told:
        for sample in one.samples:
            family = families[sample.name]
            assert (one.type, one.documentation) == (family.type, family.about)
            assert sorted(sample.labels) == sorted(family.labels)
    assert {sample.name for one in told for sample in one.samples} == set(families)


def row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.type} | {labels} | {family.about} |"


def test_what_the_reference_lists_is_what_there_is() -> None:
    made = "\n".join(("| metric | type | labels | |", "|---|---|---|---|", *map(row, FAMILIES), ""))
    before, _, rest = REFERENCE.read_text("utf-8").partition("<!-- metrics -->\n")
    listed, end, after = rest.partition("<!-- end -->")
    if os.environ.get("WRITE_DOCS"):
        listed = made
        REFERENCE.write_text(f"{before}<!-- metrics -->\n{listed}{end}{after}", "utf-8")
    assert listed == made


# the dashboard


@pytest.fixture
def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return board


def test_each_metric_of_the_dashboard_exists_with_the_labels_that_it_is_asked_for(dashboard: dict[str, Any]) -> None:
    labels = {family.name: {*family.labels, "instance", "job", "site"} for family in FAMILIES}
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries += [variable["definition"] for variable in dashboard["templating"]["list"] if "definition" in variable]
    asked = {name for query in queries for name in re.findall(r"\bdalla_\w+", query)}
    assert asked <= set(labels)
    for query in queries:
        for name, selected in re.findall(r"\b(dalla_\w+)\{([^}]*)\}", query):
            assert set(re.findall(r"(\w+)=", selected)) <= labels[name], query
    needed = {"dalla_rate_bytes_per_second", "dalla_today_bytes", "dalla_period_bytes", "dalla_quota_used_ratio"}
    assert needed | {"dalla_router_state"} <= asked


def test_the_dashboard_is_for_any_data_source_any_instance_and_any_site(dashboard: dict[str, Any]) -> None:
    assert dashboard["id"] is None
    variables = {variable["name"]: variable["type"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource": "datasource", "instance": "query", "site": "query"}
    for panel in dashboard["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        for target in panel["targets"]:
            asked = re.findall(r"dalla_\w+\{[^}]*instance=\"\$instance\", site=\"\$site\"\}", target["expr"])
            assert len(asked) == len(re.findall(r"\bdalla_\w+\{", target["expr"])) > 0, panel["title"]


def test_panels_do_not_lie_on_each_other_and_each_says_what_it_is(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(panel["title"] and panel["description"] for panel in dashboard["panels"])
