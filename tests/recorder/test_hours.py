"""The arithmetic of what is handed over to Home Assistant, against a household of which all is known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.recorder.hours import Hours, Meter, Row, read_hours
from dalla_mqtt.recorder.statistics import BYTES
from dalla_mqtt.usage.hours import HOUR_S, hour_of

T = 1_477_224_000  # a full hour
_steps = st.lists(
    st.tuples(st.integers(1, 5000), st.one_of(st.just(0), st.integers(1, 10**12))), min_size=2, max_size=60
)


@dataclass
class Home:
    """What each record says: its time, the usage, the delta. `ha`: the hours that Home Assistant has."""

    samples: list[tuple[int, int, int]]
    ha: dict[int, Row] = field(default_factory=dict)

    @classmethod
    def of(cls, steps: list[tuple[int, int]], start: int, at: int, brought_in: int) -> Home:
        """`brought_in` is added to the usage with the record number `at`."""
        samples, time, usage = [], T, start
        for number, (seconds, delta) in enumerate(steps):
            time += seconds
            usage += delta + (brought_in if number == at else 0)
            samples.append((time, usage, delta))
        return cls(samples)

    @property
    def hours(self) -> list[int]:
        return [*range(hour_of(self.samples[0][0]), hour_of(self.samples[-1][0]) + 1, HOUR_S)]

    @property
    def moved(self) -> dict[int, int]:
        moved: dict[int, int] = defaultdict(int)
        for time, _, delta in self.samples:
            moved[hour_of(time)] += delta
        return moved

    def record(self, since: int, upto: int) -> None:
        """Home Assistant records these hours by itself: its sum rises with the state."""
        for hour in range(since, upto + 1, HOUR_S):
            state = [usage for time, usage, _ in self.samples if time <= hour + HOUR_S][-1]
            before = self.ha[max(self.ha)] if self.ha else Row(0, state, 0)
            self.ha[hour] = Row(hour, state, before.sum + state - before.state)

    def hand_over(self, known: list[tuple[int, int, int]] | None = None) -> Hours | None:
        """What `hand_over` in series.py does."""
        last = self.ha[max(self.ha)]
        hours = read_hours(self.samples if known is None else known, last)
        if hours is None or min(hours.moved) > last.hour:
            return hours
        first = min(hours.moved)
        base = self.ha[max(hour for hour in self.ha if hour <= first)] if min(self.ha) < first else None
        sums = {row.hour: row.sum for row in self.ha.values() if row.hour >= (base.hour if base else first)}
        meter = Meter(hours, base, last, sums)
        more = meter.sum - last.sum
        for hour, row in self.ha.items():
            if hour >= (base.hour + HOUR_S if base else first):
                self.ha[hour] = Row(hour, row.state, row.sum + more)
        for hour in hours.moved.keys() | sums.keys():
            if (base.hour if base else first) <= hour < last.hour:
                self.ha[hour] = meter.row(hour)
        return hours

    def changes(self) -> dict[int, int]:
        """By how much the sum of each hour is more than that of the hour before it."""
        changes, before = {}, 0
        for hour in sorted(self.ha):
            changes[hour] = self.ha[hour].sum - before
            before = self.ha[hour].sum
        return changes


homes = st.builds(Home.of, _steps, st.integers(0, 10**13), st.integers(0, 59), st.integers(0, 10**13))


@given(homes, st.data())
def test_each_hour_changes_by_what_moved_in_it_whenever_home_assistant_began_and_ends(
    home: Home, data: st.DataObject
) -> None:
    began, ended = sorted(data.draw(st.tuples(st.sampled_from(home.hours), st.sampled_from(home.hours))))
    home.record(began, ended)
    hours = home.hand_over()
    assert hours is not None
    assert home.changes() == {hour: home.moved[hour] for hour in hours.moved.keys() | home.ha.keys() if hour <= ended}
    assert all(row.state >= 0 for row in home.ha.values())


@given(homes, st.data())
def test_done_again_and_with_more_hours_of_home_assistant_all_rows_stay_what_they_are(
    home: Home, data: st.DataObject
) -> None:
    began, ended = sorted(data.draw(st.tuples(st.sampled_from(home.hours), st.sampled_from(home.hours))))
    home.record(began, ended)
    home.hand_over()
    once = dict(home.ha)
    home.hand_over()
    assert home.ha == once
    home.record(ended + HOUR_S, home.hours[-1])
    home.hand_over()
    assert {hour: home.ha[hour].sum for hour in once} == {hour: row.sum for hour, row in once.items()}


@given(homes, st.data())
def test_rows_stay_what_they_are_when_records_are_purged(home: Home, data: st.DataObject) -> None:
    home.record(data.draw(st.sampled_from(home.hours)), home.hours[-1])
    home.hand_over()
    whole = dict(home.ha)
    since = data.draw(st.sampled_from(home.hours))
    home.hand_over([sample for sample in home.samples if hour_of(sample[0]) >= since])
    assert home.ha == whole


@given(homes, st.data())
def test_what_moved_while_nothing_was_written_to_the_files_is_as_home_assistant_has_it(
    home: Home, data: st.DataObject
) -> None:
    lost = data.draw(st.tuples(st.sampled_from(home.hours), st.sampled_from(home.hours)))
    known = [sample for sample in home.samples if not min(lost) <= hour_of(sample[0]) <= max(lost)]
    home.record(home.hours[0], home.hours[-1])
    before = home.changes()
    home.hand_over(known)
    for hour in range(min(lost), max(lost) + 1, HOUR_S):
        assert home.changes()[hour] == before[hour]
    once = dict(home.ha)
    home.hand_over(known)
    assert home.ha == once


def test_what_home_assistant_learnt_an_hour_late_is_not_counted_twice() -> None:
    home = Home([(T + 10, 5, 0), (T + 3599, 105, 100), (T + 9000, 107, 2)])
    home.ha = {T: Row(T, 5, 0), T + HOUR_S: Row(T + HOUR_S, 105, 100), T + 2 * HOUR_S: Row(T + 2 * HOUR_S, 107, 102)}
    home.hand_over()
    assert home.changes() == {T: 100, T + HOUR_S: 0, T + 2 * HOUR_S: 2}


@given(homes, st.data())
def test_what_was_brought_in_is_told_until_home_assistant_has_it(home: Home, data: st.DataObject) -> None:
    ended = data.draw(st.sampled_from(home.hours))
    home.record(home.hours[0], ended)
    hours = home.hand_over()
    assert hours is not None
    rise = home.samples[-1][1] - home.ha[ended].state
    assert hours.later == rise - sum(delta for time, _, delta in home.samples if time > ended + HOUR_S)
    assert hours.latest == home.samples[-1][1]


def test_a_delta_belongs_to_the_hour_of_its_record_and_one_on_the_hour_to_the_hour_that_ends() -> None:
    hours = read_hours([(T, 5, 5), (T + 1, 7, 2), (T + 9000, 10, 3)], Row(T + 2 * HOUR_S, 10, 0))
    assert hours is not None
    assert hours.moved == {T - HOUR_S: 5, T: 2, T + 2 * HOUR_S: 3}


@pytest.mark.parametrize(("usage", "seen"), [(100, 0), (103, 3), (108, 8), (50, 3)])
def test_the_record_that_home_assistant_saw_last_is_known_by_its_usage_or_else_by_its_time(
    usage: int, seen: int
) -> None:
    samples = [(T - 60, 100, 0), (T - 1, 103, 3), (T + 2, 108, 5)]
    hours = read_hours(samples, Row(T - HOUR_S, usage, 0))
    assert hours is not None
    assert (hours.seen, hours.later) == (seen, 0)


def test_a_usage_of_long_ago_is_not_taken_for_the_last_one() -> None:
    samples = [(T - 10**7, 200, 0), (T - 60, 100, 50), (T - 50, 300, 50)]
    hours = read_hours(samples, Row(T - HOUR_S, 200, 0))
    assert hours is not None
    assert hours.seen == 100


def test_an_hour_that_ends_before_all_records_has_nothing_to_go_by() -> None:
    assert read_hours([], Row(T, 5, 0)) is None
    assert read_hours([(T + 9000, 5, 5)], Row(T, 5, 0)) is None


def test_rows_go_on_from_what_stands_before_the_first_record() -> None:
    last = Row(T + HOUR_S, 1011, 0)
    hours = read_hours([(T + 60, 1000, 7), (T + 3700, 1011, 11)], last)
    assert hours is not None
    meter = Meter(hours, Row(T - 7200, 5, 400), last, {T + HOUR_S: 0})
    assert (meter.row(T), meter.sum) == (Row(T, 1000, 407), 418)


@given(st.sampled_from(sorted(BYTES)), st.integers(-(2**51), 2**51))
def test_two_petabytes_are_exact_to_the_byte_in_every_unit(unit: str, size: int) -> None:
    assert round(size / BYTES[unit] * BYTES[unit]) == size
