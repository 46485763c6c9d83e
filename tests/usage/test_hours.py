"""Hours, and which of them a record belongs to."""

from __future__ import annotations

from dalla_mqtt.usage.hours import HOUR_S, Hour, hour_of

NOON = 1795521600


def test_a_record_on_the_full_hour_belongs_to_the_hour_that_ends_there() -> None:
    assert [hour_of(NOON + late) for late in (0, 1, HOUR_S, HOUR_S + 1)] == [NOON - HOUR_S, NOON, NOON, NOON + HOUR_S]


def test_an_hour_says_when_it_begins_and_what_was_moved() -> None:
    assert Hour(NOON, 2, 1)._asdict() == {"start": NOON, "on_peak": 2, "off_peak": 1}
