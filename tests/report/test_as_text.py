"""A summary on a terminal, aligned to the character."""

import re
from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len

from dalla_mqtt.report.as_html import as_html
from dalla_mqtt.report.as_text import as_text
from dalla_mqtt.usage.people import People
from dalla_mqtt.usage.quota import Standing, Subject, Used, Window
from dalla_mqtt.usage.reading import Mac
from tests.report.households import GB, MB, NO_NAMES, NOVEMBER, a_standing, household, moment, summary_of
from tests.usage.house import LAPTOP, PHONE

OCTOBER = Window(date(2026, 10, 1), date(2026, 10, 31))
WEEK = Window(date(2026, 11, 23), date(2026, 11, 29))


def text(
    *standings: tuple[Subject, Standing],
    window: Window = NOVEMBER,
    columns: int | None = None,
    encoding: str = "utf-8",
    names: Mapping[Mac, str] = NO_NAMES,
) -> list[str]:
    house = household()
    summary = summary_of(house, window, *standings, names=names)
    return as_text(summary, moment(house.ledger), columns=columns, encoding=encoding).split("\n")


def test_users_devices_and_what_changed_hands_are_in_one_table() -> None:
    names = {PHONE: "phone", LAPTOP: "bobs-laptop"}
    assert text(a_standing("user", "Alice", 3 * GB, 4 * GB), names=names) == [
        "home: 1 to 30 November 2026, billing period",
        "On record from 23 November 2026 up to 24 November 2026, 13:00.",
        "",
        "                    On-peak  Off-peak     Total   Share  Quota",
        "Alice               3.00 GB      0  B   3.00 GB  98.7 %  [#######---]  75 %",
        "  change of owner   3.00 GB      0  B   3.00 GB",
        "Bob                 30.4 MB   9.60 MB   40.0 MB   1.3 %",
        "  phone             3.00 GB      0  B   3.00 GB",
        "  bobs-laptop       30.4 MB   9.60 MB   40.0 MB",
        "  change of owner  -3.00 GB      0  B  -3.00 GB",
        "---------------------------------------------------------------------------",
        "Total               3.03 GB   9.60 MB   3.04 GB",
        "",
        f"Alice has used {3 * GB} of {4 * GB}.",
        "",
    ]


def test_a_quota_of_other_days_is_told_in_its_own_words_and_who_is_limited_is_told() -> None:
    lines = text(
        a_standing("user", "Bob", 2, 1, WEEK, "block", limited=True),
        a_standing("pool", "Family", 1, 2, WEEK, "throttle", limited=True),
        a_standing("device", LAPTOP.dashed, 1, 2, WEEK),
    )
    assert not [line for line in lines if "[" in line or "Quota" in line]
    assert lines[-4:-1] == [
        "Bob has used 2 of 1. Now blocked.",
        "Family has used 1 of 2. Now throttled.",
        f"{LAPTOP.dashed} has used 1 of 2.",
    ]


@pytest.mark.parametrize(
    ("used", "bar"),
    [
        (0, "[----------]   0 %"),
        (99, "[#########-]  99 %"),
        (100, "[##########] 100 %"),
        (101, "[##########] 101 %"),
        (25_000, "[##########] 25000 %"),
    ],
)
def test_a_bar_is_full_when_all_is_used_and_not_before(used: int, bar: str) -> None:
    assert [line for line in text(a_standing("user", "Alice", used, 100)) if line.endswith(f"  {bar}")]


def test_where_nothing_is_on_record_that_is_said_and_no_table_of_zeros_shown() -> None:
    assert text(window=OCTOBER) == [
        "home: 1 to 31 October 2026, billing period",
        "Nothing is on record of that time: records are of 23 to 24 November 2026.",
        "",
    ]


def test_days_that_are_over_and_on_record_need_no_words() -> None:
    assert text(window=Window(date(2026, 11, 23), date(2026, 11, 23)))[:2] == ["home: 23 November 2026", ""]


NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    st.sampled_from(
        [
            "手机 家庭 电脑",
            "é" * 30,
            "📱" * 20,
            "\u0301x",
            "a\tb\n\x1b[2J",
            "<b>",
            "x" * 255,
            "\uff37\uff29\uff24\uff25",
        ]
    ),
)


@given(NAMES, NAMES, st.none() | st.integers(1, 200), st.sampled_from(["utf-8", "ascii", "latin-1"]))
def test_whatever_names_hold_columns_stand_below_each_other_and_no_line_is_too_wide(
    phone: str, laptop: str, columns: int | None, encoding: str
) -> None:
    names = {PHONE: phone, LAPTOP: laptop}
    lines = text(a_standing("user", "Alice", 3 * GB, 4 * GB), columns=columns, encoding=encoding, names=names)
    assert all(line.isprintable() and line.encode(encoding) for line in lines if line)
    table = lines[3 : lines.index("", 3)]
    ends = {cell_len(line[: line.rindex("B") + 1]) for line in table if line.endswith("B")}
    assert len(ends) == 1
    width = max(map(cell_len, table))
    assert cell_len(table[-2]) == width
    assert columns is None or width <= max(columns, 80)


def test_long_sentences_are_folded_at_blanks_to_the_width_in_cells() -> None:
    house = household()
    house.belongs_to(People(("手机" * 20,)))
    summary = summary_of(house, NOVEMBER, a_standing("pool", "手机 " * 40, 20 * MB, 50 * MB))
    lines = as_text(summary, moment(house.ledger), columns=20, encoding="utf-8").rstrip("\n").split("\n\n")[-1]
    assert len(lines.split("\n")) > 1
    assert all(cell_len(line) <= 80 for line in lines.split("\n"))
    assert lines.replace("\n", " ").endswith("手机  has used 20000000 of 50000000.")


def test_what_no_user_has_is_in_the_table_so_that_it_adds_up() -> None:
    house = household()
    summary = replace(summary_of(house), unclaimed=Used(GB, MB))
    told = as_text(summary, moment(house.ledger), columns=None, encoding="utf-8")
    assert re.search(r"\nnobody's any more +1.00 GB +1.00 MB +1.00 GB\n---", told)
    page = as_html(summary, moment(house.ledger))
    assert '<th scope="row">nobody&#x27;s any more</th><td>1.00 GB</td><td>1.00 MB</td>' in page
    assert "Nothing is on record of that time" in as_html(summary_of(house, OCTOBER), moment(house.ledger))
