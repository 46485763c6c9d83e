"""Rows of a series in a Home Assistant's hourly statistics, whatever unit, version and past they have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from dalla_mqtt.errors import HomeAssistantError
from dalla_mqtt.recorder import series as series_module
from dalla_mqtt.recorder import statistics as statistics_module
from dalla_mqtt.recorder.hours import Sample
from dalla_mqtt.recorder.series import Done, hand_over
from dalla_mqtt.recorder.statistics import BYTES, Recorder, Statistic
from dalla_mqtt.usage.hours import HOUR_S
from tests.recorder.house import HELLO, USAGE, House

T = 1_795_525_200  # a full hour
OLD = T - 100 * 86_400
GB = 10**9
BROUGHT_IN = [(OLD + 60, 5 * GB, 0), (OLD + 1800, 6 * GB, GB), (OLD + 4000, 8 * GB, 2 * GB)]
OWN = [(T + 10, 100 * GB, 0), (T + 70, 101 * GB, GB), (T + 3700, 112 * GB, 4 * GB)]  # 7 GB of it were brought in
TRUE = {OLD: (105.0, 1.0), OLD + HOUR_S: (107.0, 3.0), T: (108.0, 4.0), T + HOUR_S: (112.0, 8.0)}
NOW = T + 4 * HOUR_S


@pytest.fixture
def house() -> Iterator[House]:
    """Home Assistant has two hours: the sum rose with the state."""
    with House() as house:
        house.rows = {T: (101.0, 1.0), T + HOUR_S: (112.0, 12.0)}
        yield house


def over(house: House, samples: list[Sample] | None = None, before: int = NOW) -> Done | None:
    with house.connect() as connection:
        statistic = Recorder(connection).statistic(USAGE)
        assert isinstance(statistic, Statistic)
        return hand_over(statistic, BROUGHT_IN + OWN if samples is None else samples, before)


def test_old_hours_come_to_home_assistant_and_the_jump_goes(house: House) -> None:
    assert over(house) == Done(3, OLD, T + HOUR_S, 3, 0, 112 * GB)
    assert house.rows == TRUE


def test_done_again_nothing_is_written(house: House) -> None:
    over(house)
    house.asked.clear()
    assert over(house) == Done(3, OLD, T + HOUR_S, 0, 0, 112 * GB)
    assert {asked["type"].rpartition("/")[2] for asked in house.asked} == {
        "get_statistics_metadata",
        "info",
        "statistics_during_period",
    }


@pytest.mark.parametrize("commands", range(14))
def test_broken_off_anywhere_the_next_time_ends_with_the_same(
    house: House, commands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_module, "_AT_ONCE", 1)
    house.breaks_after(commands)
    with suppress(HomeAssistantError):
        over(house)
    house.breaks_after(None)
    over(house)
    assert house.rows == TRUE


def test_before_the_hour_of_what_was_brought_in_it_is_told_and_afterwards_mended(house: House) -> None:
    (late,) = [house.rows.pop(T + HOUR_S)]
    assert over(house) == Done(2, OLD, T, 2, 7 * GB, 112 * GB)
    assert house.rows == {OLD: (98.0, 1.0), OLD + HOUR_S: (100.0, 3.0), T: (101.0, 4.0)}
    house.rows[T + HOUR_S] = (late[0], house.rows[T][1] + 11.0)  # as Home Assistant goes on from what it has
    assert over(house) == Done(3, OLD, T + HOUR_S, 3, 0, 112 * GB)
    assert house.rows == TRUE


def test_rows_of_before_the_first_record_stay_and_what_follows_joins_on_to_them(house: House) -> None:
    over(house)
    assert over(house, OWN) == Done(1, T, T + HOUR_S, 0, 0, 112 * GB)
    house.rows |= {T: (0.0, 4.0), OLD: (0.0, 1.0), OLD + HOUR_S: (0.0, 3.0)}
    over(house, OWN)
    assert house.rows == TRUE | {OLD: (0.0, 1.0), OLD + HOUR_S: (0.0, 3.0)}


def test_hours_that_home_assistant_alone_has_rows_of_move_nothing(house: House) -> None:
    house.rows[T - 5 * HOUR_S] = (77.0, 77.0)
    over(house)
    assert house.rows == TRUE | {T - 5 * HOUR_S: (107.0, 3.0)}


def test_without_an_hour_or_a_record_nothing_is_done(house: House) -> None:
    assert over(house, []) == Done(0, T + HOUR_S, T + HOUR_S, 0, 0, 0)
    assert over(house, [(T + 4000, 112 * GB, 4 * GB)]) == Done(0, T + HOUR_S, T + HOUR_S, 0, 0, 112 * GB)
    house.rows.clear()
    assert over(house) is None
    assert not house.heard("recorder/import_statistics")
    assert not house.heard("recorder/adjust_sum_statistics")


@pytest.mark.parametrize("unit", sorted(BYTES))
def test_figures_are_in_the_unit_that_home_assistant_has(house: House, unit: str) -> None:
    house.unit = unit

    def converted(rows: dict[int, tuple[float, float]]) -> dict[int, tuple[float, float]]:
        return {hour: (state * GB / BYTES[unit], moved * GB / BYTES[unit]) for hour, (state, moved) in rows.items()}

    house.rows = converted(house.rows)
    over(house)
    assert house.rows == {hour: pytest.approx(row) for hour, row in converted(TRUE).items()}
    assert all(asked["units"] == {"information": unit} for asked in house.heard("recorder/statistics_during_period"))
    assert all(asked["metadata"]["unit_of_measurement"] == unit for asked in house.heard("recorder/import_statistics"))


@pytest.mark.parametrize(
    ("version", "form"),
    [
        ("2024.11.0", {"has_mean": False}),
        ("2025.10.4", {"has_mean": False}),
        ("2025.11.0", {"mean_type": 0, "unit_class": "information"}),
        ("2026.11.0", {"mean_type": 0, "unit_class": "information"}),
    ],
)
def test_each_version_is_told_of_no_mean_in_its_own_way(house: House, version: str, form: dict[str, object]) -> None:
    house.hello = HELLO % version
    over(house)
    common = {"statistic_id": USAGE, "source": "recorder", "name": None, "has_sum": True, "unit_of_measurement": "GB"}
    assert house.heard("recorder/import_statistics")[0]["metadata"] == common | form


def test_the_last_hour_is_found_however_long_ago_it_was(house: House) -> None:
    over(house, before=NOW + 50 * 86_400)
    over(house, before=NOW + 5000 * 86_400)
    assert house.rows == TRUE


def test_a_year_goes_in_messages_that_are_bounded(house: House) -> None:
    hours = [(OLD + 60 + number * HOUR_S, number * GB, GB) for number in range(2300)]
    done = over(house, hours + OWN)
    assert done is not None
    assert (done.hours, done.written) == (2301, 2301)
    assert [len(asked["stats"]) for asked in house.heard("recorder/import_statistics")] == [1000, 1000, 301]


@pytest.mark.parametrize(
    ("command", "answer", "told"),
    [
        ("recorder/get_statistics_metadata", None, "in kg: no unit of bytes"),
        ("recorder/statistics_during_period", {"start": T * 1000 + 1}, "tells of an hour that was not asked for"),
        ("recorder/statistics_during_period", {"start": T * 1000 + 60_000}, "an hour that was not asked for"),
        ("recorder/statistics_during_period", {"start": 10**17}, "an hour that was not asked for"),
        ("recorder/statistics_during_period", {"start": T * 1000, "state": 1e300}, "no state of ours"),
        ("recorder/statistics_during_period", {"start": "now"}, "an answer that cannot be used"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_written(house: House, command: str, answer: object, told: str) -> None:
    if isinstance(answer, dict):
        house.answers[command] = lambda _: {USAGE: [{"state": 1.0, "sum": 1.0} | answer]}
    else:
        house.unit = "kg"
    with pytest.raises(HomeAssistantError, match=told):
        over(house)
    assert not house.heard("recorder/import_statistics")


def test_a_home_assistant_that_does_not_write_is_not_waited_for_for_ever(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.answers["recorder/import_statistics"] = lambda _: None
    monkeypatch.setattr(statistics_module, "_DONE_WITHIN_S", 0.2)
    with pytest.raises(HomeAssistantError, match="does not write what it was given: its log may say why"):
        over(house)


def test_only_enabled_sensors_that_came_over_mqtt_are_known_by_their_unique_id(house: House) -> None:
    def entity(**about: object) -> dict[str, object]:
        return {"entity_id": USAGE, "unique_id": "x", "platform": "mqtt", "disabled_by": None} | about

    house.answers["config/entity_registry/list"] = lambda _: [
        entity(unique_id=5),
        entity(platform="other", unique_id="a"),
        entity(disabled_by="user", unique_id="b"),
        entity(entity_id="sensor.\x1b[2J", unique_id="c"),
        entity(entity_id="sensor.renamed_by_its_owner", unique_id="d", more={"a": 1}),
    ]
    with house.connect() as connection:
        assert Recorder(connection).entities() == {"d": "sensor.renamed_by_its_owner"}


def test_statistics_without_a_sum_are_none(house: House) -> None:
    house.answers["recorder/get_statistics_metadata"] = lambda asked: [
        {"statistic_id": asked["statistic_ids"][0], "source": "recorder", "has_sum": False},
        {"statistic_id": "sensor.other", "source": "recorder", "has_sum": True},
    ]
    with house.connect() as connection:
        assert Recorder(connection).statistic(USAGE) is None
