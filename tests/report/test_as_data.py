"""A summary for programs."""

import csv
import io
import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.archive.layout import safe
from dalla_mqtt.report.as_data import CSV_HEADER, as_csv, as_json
from dalla_mqtt.usage.quota import Window
from tests.report.households import GB, MB, NOVEMBER, a_standing, household, moment, summary_of
from tests.usage.house import LAPTOP, PHONE

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "=cmd|' /C calc'!A0",
    '"=1',
    "a,b",
    '"a","b"',
    ";",
    "é手",
]


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), skipinitialspace=True, strict=True))


def test_json_has_all_figures_to_the_byte() -> None:
    house = household()
    standings = [a_standing("device", LAPTOP.dashed, 40 * MB, GB), a_standing("pool", "Family", 1, 2)]
    told = json.loads(as_json(summary_of(house, NOVEMBER, *standings), moment(house.ledger)))
    assert told["schema"] == 1
    assert (told["site"], told["at"]) == ("home", "2026-11-24T13:00:00Z")
    assert told["period"] == {
        "first": "2026-11-01",
        "last": "2026-11-30",
        "start": "2026-11-01T00:00:00+00:00",
        "end": "2026-12-01T00:00:00+00:00",
    }
    assert (told["recorded"]["first"], told["recorded"]["last"]) == ("2026-11-23", "2026-11-24")
    assert told["total"]["total"] == 3 * GB + 40 * MB
    alice, bob = told["users"]
    assert (alice["name"], alice["total"], alice["share_percent"], alice["devices"]) == ("Alice", 3 * GB, 98.7, [])
    assert [device["mac"] for device in bob["devices"]] == [PHONE.colons, LAPTOP.colons]
    assert bob["elsewhere"] == {"on_peak": -3 * GB, "off_peak": 0, "total": -3 * GB}
    assert told["unclaimed"] == {"on_peak": 0, "off_peak": 0, "total": 0}
    device, pool = told["quotas"]
    assert (device["kind"], device["mac"], device["used"], device["limit"]) == ("device", LAPTOP.colons, 40 * MB, GB)
    assert (pool["kind"], pool["mac"], pool["name"], pool["text"]) == (
        "pool",
        None,
        "Family",
        "Family has used 1 of 2.",
    )


def test_json_says_where_nothing_is_on_record() -> None:
    house = household()
    october = Window(date(2026, 10, 1), date(2026, 10, 31))
    told = json.loads(as_json(summary_of(house, october), moment(house.ledger)))
    assert told["recorded"] is None
    assert told["total"] == {"on_peak": 0, "off_peak": 0, "total": 0}


def test_every_key_of_the_json_is_explained() -> None:
    section = REFERENCE.read_text("utf-8").split("## 9. Summaries")[1].split("\n## ")[0]
    house = household()
    told = json.loads(as_json(summary_of(house, NOVEMBER, a_standing("user", "Bob", 1, 2)), moment(house.ledger)))
    parts = [told, told["period"], told["total"], told["users"][0], told["users"][1]["devices"][0]]
    for key in {key for part in parts for key in part}:
        assert f"`{key}`" in section, key


def test_csv_has_the_columns_of_summaries_of_the_archive_and_who_and_what_it_is() -> None:
    house = household()
    text = as_csv(summary_of(house), moment(house.ledger), safe)
    assert text.split("\n") == [
        CSV_HEADER,
        "2026-11-01, user, Alice, 3000000000, 0, 3000000000, Alice, Alice",
        "2026-11-01, user, Bob, 30400000, 9600000, 40000000, Bob, Bob",
        f"2026-11-01, device, {PHONE.dashed}, 3000000000, 0, 3000000000, Bob, CB%3ABD%3AAB%3A90%3A2D%3A38",
        f"2026-11-01, device, {LAPTOP.dashed}, 30400000, 9600000, 40000000, Bob, F8%3AB1%3A56%3AC1%3A22%3A11",
        "2026-11-01, total, total, 3030400000, 9600000, 3040000000, ,",
        "",
    ]


@pytest.mark.parametrize(
    ("first", "last", "period"),
    [
        ("2026-11-01", "2026-11-30", "2026-11-01"),
        ("2026-11-24", "2026-11-24", "2026-11-24"),
        ("2026-11-01", "2026-11-24", "2026-11-01..2026-11-24"),
    ],
)
def test_csv_names_a_period_by_its_first_day_and_other_days_by_first_and_last(
    first: str, last: str, period: str
) -> None:
    house = household()
    window = Window(date.fromisoformat(first), date.fromisoformat(last))
    assert {row[0] for row in rows(as_csv(summary_of(house, window), moment(house.ledger), safe))[1:]} == {period}


@given(st.sampled_from(FORMULAS) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_no_name_is_a_formula_breaks_a_row_or_shifts_a_column(name: str) -> None:
    house = household()
    text = as_csv(summary_of(house, names={LAPTOP: name}), moment(house.ledger), safe)
    table = rows(text)
    assert {len(row) for row in table} == {8}
    assert len(text.splitlines()) == len(table) == 6
    assert not [cell for row in table for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
