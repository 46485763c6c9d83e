"""What brokers and the page are told alike."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import Allowance, Standing, Subject, Window
from dalla_mqtt.usage.tariff import Tariff
from dalla_mqtt.usage.telling import Figures, checked_text, iso, iso_local, iso_or_none, name_of, quota_told
from tests.usage.house import GIB, LAPTOP, House, row

BERLIN = Tariff(ZoneInfo("Europe/Berlin"))
OCTOBER = Window(date(2026, 10, 1), date(2026, 10, 31))


def test_moments_are_told_to_the_second() -> None:
    assert (iso(1795500000.9), iso_or_none(None), iso_or_none(0)) == (
        "2026-11-24T06:00:00Z",
        None,
        "1970-01-01T00:00:00Z",
    )
    assert iso_local(BERLIN.midnight(date(2026, 11, 1))) == "2026-11-01T00:00:00+01:00"


def test_a_quota_is_told_by_its_tightest_part_and_by_all_of_them() -> None:
    night = Allowance("off_peak", 4 * GIB, 0, GIB, used=4 * GIB, exhausted_at=1795500000)
    standing = Standing(
        Subject("user", "Alice"),
        OCTOBER,
        (Allowance("together", 10 * GIB, 0, 0, GIB), night),
        "block",
        limited=True,
        text="x" * 300,
    )
    told = quota_told("Alice", standing, BERLIN)
    assert (told.start, told.end) == ("2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00")
    assert (told.part, told.limit, told.topup, told.used_percent) == ("off_peak", 5 * GIB, GIB, 80.0)
    assert told.exhausted_at == "2026-11-24T06:00:00Z"
    assert told.parts["together"] == Figures(
        quota=10 * GIB, carried=0, topup=0, limit=10 * GIB, used=GIB, used_percent=10.0, remaining=9 * GIB
    )
    assert told.parts["on_peak"] is None
    assert (told.exceeded, told.projected, told.limited, told.text) == (False, None, True, "x" * 255)


def test_a_quota_that_is_expected_to_be_exceeded_is_told_so() -> None:
    expected = Allowance("together", GIB, 0, 0, 0, expected=2 * GIB)
    told = quota_told(
        "Alice", Standing(Subject("user", "Alice"), OCTOBER, (expected,), "notify", limited=False, text=None), BERLIN
    )
    assert (told.projected, told.pace, told.text) == (True, 2.0, None)


def test_without_a_quota_nothing_is_made_up() -> None:
    told = quota_told(
        "Alice", Standing(Subject("user", "Alice"), OCTOBER, (), "notify", limited=False, text=None), BERLIN
    )
    assert (told.quota, told.exceeded, told.projected, told.part) == (None, None, None, None)
    assert set(told.parts.values()) == {None}


def test_a_subject_is_called_as_people_call_it() -> None:
    house = House()
    house.reads(row(1000))
    assert name_of(Subject("user", "Alice"), Ledger()) == "Alice"
    assert name_of(Subject("device", "CB-BD-AB-90-2D-38"), house.ledger) == "CB:BD:AB:90:2D:38"
    assert name_of(Subject("device", LAPTOP.dashed), house.ledger) == LAPTOP.colons


def test_a_name_is_one_line_of_any_alphabet() -> None:
    assert checked_text("  Zoë 手\u200d🦆 ") == "Zoë 手\u200d🦆"
    for text in ("a\nb", "a" * 256, "\x1b[31m", "\u202e", "\ud800"):
        with pytest.raises(ValueError, match="at most 255 characters, in one line"):
            checked_text(text)
