"""Windows, periods and local time, checked against a clock that is read minute by minute."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dalla_mqtt.usage.tariff import Span, Tariff, Window, divide

BERLIN = ZoneInfo("Europe/Berlin")
SANTIAGO = ZoneInfo("America/Santiago")  # its clocks change at midnight
ZONES = [
    UTC,
    BERLIN,
    SANTIAGO,
    ZoneInfo("America/New_York"),
    ZoneInfo("Australia/Lord_Howe"),  # by half an hour
    ZoneInfo("Africa/Johannesburg"),
]
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def seconds(zone: ZoneInfo, *moment: int) -> float:
    return datetime(*moment, tzinfo=zone).timestamp()  # type: ignore[arg-type,misc]


# windows


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("00:00-06:00", ["Mon 00:00", "Thu 05:59", "Sun 00:00"], ["Mon 06:00", "Sun 23:59"]),
        ("22:00-06:00", ["Mon 22:00", "Tue 05:59", "Sun 23:59"], ["Mon 06:00", "Mon 21:59"]),
        ("Sat-Sun 00:00-24:00", ["Sat 00:00", "Sun 23:59"], ["Fri 23:59", "Mon 00:00"]),
        ("Fri 18:00-24:00", ["Fri 18:00", "Fri 23:59"], ["Fri 17:59", "Sat 00:00", "Thu 18:00"]),
        ("Fri 18:00-00:00", ["Fri 18:00", "Fri 23:59"], ["Fri 17:59", "Sat 00:00", "Thu 18:00"]),
        ("Fri 22:00-06:00", ["Fri 22:00", "Sat 05:59"], ["Fri 05:59", "Sat 06:00", "Sat 22:00"]),
        ("Sun 22:00-06:00", ["Sun 22:00", "Mon 05:59"], ["Sun 05:59", "Mon 22:00"]),
        ("Sat-Mon 1:00-2:00", ["Sat 01:00", "Sun 01:59", "Mon 01:30"], ["Fri 01:30", "Tue 01:30"]),
        ("Wed-Wed 01:00-02:00", ["Wed 01:00"], ["Tue 01:00", "Thu 01:00"]),
        ("  mon - FRI   09:30 - 17:45 ", ["Mon 09:30", "Fri 17:44"], ["Mon 09:29", "Fri 17:45", "Sat 10:00"]),
    ],
)
def test_a_window_holds_the_minutes_that_it_says(text: str, inside: list[str], outside: list[str]) -> None:
    window = Window.parse(text)
    for moment in inside + outside:
        day, clock = moment.split()
        local = datetime.fromisoformat(f"2026-06-{1 + DAYS.index(day):02} {clock}")  # the 1st is a Monday
        assert window.holds(local) == (moment in inside), moment


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"'' is not a window such as \"00:00-06:00\" or \"Sat-Sun 00:00-24:00\""),
        ("night", "is not a window such as"),
        ("00:00", "is not a window such as"),
        ("00:00-06:00 Sat", "is not a window such as"),
        ("0-6", "is not a window such as"),
        ("00:00-06:0\uff10", "is not a window such as"),
        ("Saturday 00:00-06:00", "is not a window such as"),
        ("Sam 00:00-06:00", "'Sam' is not a day: Mon Tue Wed Thu Fri Sat Sun"),
        ("Sat-Dom 00:00-06:00", "'Dom' is not a day: Mon Tue Wed Thu Fri Sat Sun"),
        ("00:60-06:00", "00:60 is not a time from 00:00 to 24:00"),
        ("22:00-25:00", "25:00 is not a time from 00:00 to 24:00"),
        ("22:00-24:01", "24:01 is not a time from 00:00 to 24:00"),
        ("06:00-06:00", "the window '06:00-06:00' is empty"),
        ("24:00-06:00", "the window '24:00-06:00' is empty"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused_with_how_to_mend_it(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Window.parse(text)


# billing periods


@pytest.mark.parametrize(
    ("starts", "day", "began"),
    [
        (1, "2026-11-01", "2026-11-01"),
        (1, "2026-11-30", "2026-11-01"),
        (1, "2027-01-01", "2027-01-01"),
        (15, "2026-11-14", "2026-10-15"),
        (15, "2026-11-15", "2026-11-15"),
        (15, "2027-01-14", "2026-12-15"),
        (29, "2027-02-27", "2027-01-29"),
        (29, "2027-02-28", "2027-02-28"),  # a short February
        (29, "2027-03-28", "2027-02-28"),
        (29, "2028-02-28", "2028-01-29"),  # a leap year
        (29, "2028-02-29", "2028-02-29"),
        (30, "2028-02-28", "2028-01-30"),
        (30, "2028-02-29", "2028-02-29"),
        (30, "2028-03-29", "2028-02-29"),
        (31, "2026-04-29", "2026-03-31"),
        (31, "2026-04-30", "2026-04-30"),
        (31, "2026-05-30", "2026-04-30"),
        (31, "2026-05-31", "2026-05-31"),
        (-1, "2026-05-30", "2026-04-30"),
        (-1, "2026-05-31", "2026-05-31"),
        (-1, "2027-02-28", "2027-02-28"),
        (-1, "2028-02-28", "2028-01-31"),
        (-1, "2028-02-29", "2028-02-29"),
        (-1, "2027-01-01", "2026-12-31"),
    ],
)
def test_a_billing_period_begins_on_its_day_or_on_the_last_of_a_shorter_month(
    starts: int, day: str, began: str
) -> None:
    assert Tariff(period_starts=starts).period_of(date.fromisoformat(day)) == date.fromisoformat(began)


@given(st.dates(date(1971, 1, 1), date(2100, 1, 1)), st.sampled_from([*range(1, 32), -1]))
def test_every_day_lies_in_one_period_of_about_a_month(day: date, starts: int) -> None:
    tariff = Tariff(period_starts=starts)
    began = tariff.period_of(day)
    assert timedelta(0) <= day - began <= timedelta(30)
    assert tariff.period_of(began) == began
    assert tariff.period_of(day + timedelta(1)) in (began, day + timedelta(1))
    assert tariff.period_of(tariff.last_day(began)) == began
    assert tariff.period_of(tariff.last_day(began) + timedelta(1)) == tariff.last_day(began) + timedelta(1)


# the local clock


def test_the_local_clock_is_that_of_the_zone() -> None:
    tariff = Tariff(zone=BERLIN)
    assert tariff.local(0).isoformat() == "1970-01-01T01:00:00+01:00"
    assert tariff.midnight(date(2026, 7, 1)).timestamp() == datetime(2026, 6, 30, 22, tzinfo=UTC).timestamp()


def test_a_day_begins_at_one_where_the_clocks_are_set_forward_at_midnight() -> None:
    midnight = Tariff(zone=SANTIAGO).midnight(date(2026, 9, 6)).timestamp()
    before, after = (Tariff(zone=SANTIAGO).local(midnight + step) for step in (-1, 0))
    assert (before.isoformat(), after.isoformat()) == ("2026-09-05T23:59:59-04:00", "2026-09-06T01:00:00-03:00")


def test_one_moment_has_its_day_its_period_and_its_tariff() -> None:
    tariff = Tariff(BERLIN, (Window.parse("00:00-06:00"),), 15)
    at = seconds(BERLIN, 2026, 11, 1, 5, 59, 59)
    assert tariff.span_at(at) == Span(at, at, date(2026, 11, 1), date(2026, 10, 15), off_peak=True)
    assert not tariff.span_at(at + 1).off_peak


# time in pieces


def pieces(tariff: Tariff, start: float, end: float) -> list[tuple[float, str, bool]]:
    """Hours, day and tariff of each piece."""
    return [((span.end - span.start) / 3600, str(span.day), span.off_peak) for span in tariff.spans(start, end)]


NIGHTS = Tariff(BERLIN, (Window.parse("00:00-06:00"),))


def test_time_within_one_tariff_is_one_piece() -> None:
    noon = seconds(BERLIN, 2026, 11, 24, 12)
    assert NIGHTS.spans(noon, noon + 60) == (Span(noon, noon + 60, date(2026, 11, 24), date(2026, 11, 1), False),)  # noqa: FBT003  # not off-peak


def test_a_day_without_windows_is_cut_at_midnight_alone() -> None:
    start = seconds(BERLIN, 2026, 11, 24, 12)
    assert pieces(Tariff(BERLIN), start, start + 86400) == [(12, "2026-11-24", False), (12, "2026-11-25", False)]


def test_windows_that_overlap_or_touch_make_one_piece() -> None:
    tariff = Tariff(BERLIN, tuple(map(Window.parse, ["22:00-03:00", "01:00-05:00", "05:00-06:00", "10:00-11:00"])))
    start = seconds(BERLIN, 2026, 11, 24)
    assert pieces(tariff, start, start + 86400) == [
        (6, "2026-11-24", True),
        (4, "2026-11-24", False),
        (1, "2026-11-24", True),
        (11, "2026-11-24", False),
        (2, "2026-11-24", True),
    ]


def test_the_night_of_a_23_hour_day_has_five_hours() -> None:
    start, end = seconds(BERLIN, 2026, 3, 29), seconds(BERLIN, 2026, 3, 30)
    assert pieces(NIGHTS, start, end) == [(5, "2026-03-29", True), (18, "2026-03-29", False)]


def test_the_night_of_a_25_hour_day_has_seven_hours() -> None:
    start, end = seconds(BERLIN, 2026, 10, 25), seconds(BERLIN, 2026, 10, 26)
    assert pieces(NIGHTS, start, end) == [(7, "2026-10-25", True), (18, "2026-10-25", False)]


def test_a_window_within_the_repeated_hour_is_there_twice() -> None:
    tariff = Tariff(BERLIN, (Window.parse("02:15-02:45"),))
    start = seconds(BERLIN, 2026, 10, 25, 1)
    lengths = [(hours, off_peak) for hours, _, off_peak in pieces(tariff, start, start + 4 * 3600)]
    assert lengths == [(1.25, False), (0.5, True), (0.5, False), (0.5, True), (1.25, False)]


def test_a_window_within_the_skipped_hour_is_not_there_at_all() -> None:
    tariff = Tariff(BERLIN, (Window.parse("02:15-02:45"),))
    start = seconds(BERLIN, 2026, 3, 29, 1)
    assert pieces(tariff, start, start + 4 * 3600) == [(4, "2026-03-29", False)]


def test_a_window_that_begins_within_the_skipped_hour_begins_after_it() -> None:
    tariff = Tariff(BERLIN, (Window.parse("02:30-04:00"),))
    start = seconds(BERLIN, 2026, 3, 29)
    assert pieces(tariff, start, start + 5 * 3600)[:2] == [(2, "2026-03-29", False), (1, "2026-03-29", True)]


def test_both_clock_changes_of_a_year_are_found_in_one_long_stretch() -> None:
    tariff = Tariff(BERLIN, (Window.parse("02:30-04:00"),))
    told = pieces(tariff, seconds(BERLIN, 2026, 3, 1), seconds(BERLIN, 2026, 12, 1))
    lengths = {day: [hours for hours, on, off_peak in told if off_peak and on == day] for _, day, _ in told}
    assert lengths.pop("2026-03-29") == [1]
    assert lengths.pop("2026-10-25") == [0.5, 1.5]
    assert set(map(tuple, lengths.values())) == {(1.5,)}


def test_the_hour_before_midnight_comes_twice_in_santiago_and_stays_on_its_day() -> None:
    tariff = Tariff(SANTIAGO, (Window.parse("23:00-24:00"),))
    start = seconds(SANTIAGO, 2026, 4, 4, 22)
    assert pieces(tariff, start, start + 4 * 3600) == [
        (1, "2026-04-04", False),
        (2, "2026-04-04", True),
        (1, "2026-04-05", False),
    ]


@pytest.mark.parametrize("back_s", [0, 1, 3600, 40 * 86400])
def test_a_clock_that_was_set_back_leaves_the_tariff_of_now(back_s: int) -> None:
    now = seconds(BERLIN, 2026, 11, 24, 5)
    assert NIGHTS.spans(now + back_s, now) == (NIGHTS.span_at(now),)
    assert divide(1000, NIGHTS.spans(now + back_s, now)) == (1000,)


def off_peak_minutes(windows: list[tuple[int, int, int, int]]) -> set[int]:
    """The minutes of the week, from Monday 00:00, that `windows` (first day, number of days, start, end) hold."""
    return {
        ((first + day) * 1440 + start + minute) % 10080
        for first, number, start, end in windows
        for day in range(number)
        for minute in range((end - start) % 1440 or 1440)
    }


def read_minute_by_minute(
    tariff: Tariff, off_peak: set[int], start: int, end: int
) -> list[tuple[int, int, date, date, bool]]:
    """The spans from `start` to `end` by reading the local clock at every minute: slow, and easy to believe."""
    spans: list[tuple[int, int, date, date, bool]] = []
    for at in range(start - start % 60, end, 60):
        local = datetime.fromtimestamp(at, tariff.zone)
        state = (local.weekday() * 1440 + local.hour * 60 + local.minute) in off_peak
        left, right = max(at, start), min(at + 60, end)
        if spans and spans[-1][2] == local.date() and spans[-1][4] == state:
            left = spans.pop()[0]
        spans.append((left, right, local.date(), tariff.period_of(local.date()), state))
    return spans


clock_changes = st.sampled_from(
    [
        *(datetime(2026, 3, day, 2, tzinfo=UTC) for day in (8, 29)),
        *(datetime(2026, 4, day, 2, tzinfo=UTC) for day in (4, 5)),
        *(datetime(2026, 9, 6, hour, tzinfo=UTC) for hour in (2, 6)),
        *(datetime(2026, 10, day, 2, tzinfo=UTC) for day in (3, 25)),
        datetime(2026, 11, 1, 6, tzinfo=UTC),
        datetime(2028, 2, 29, tzinfo=UTC),
    ]
)
minutes = st.integers(0, 1439) | st.sampled_from([0, 60, 120, 150, 180, 1380])
windows_of_a_week = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 7), minutes, minutes | st.just(1440)).filter(lambda it: it[2] != it[3]),
    max_size=3,
)


def written(first: int, number: int, start: int, end: int) -> str:
    last = (first + number - 1) % 7
    return f"{DAYS[first]}-{DAYS[last]} {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"


@settings(deadline=None, max_examples=150)
@given(
    zone=st.sampled_from(ZONES),
    windows=windows_of_a_week,
    starts=st.sampled_from([1, 15, 29, -1]),
    around=clock_changes,
    shift_s=st.integers(-100_000, 100_000),
    length_s=st.integers(1, 3 * 86400),
)
def test_the_pieces_are_what_a_clock_says_that_is_read_every_minute(
    *,
    zone: ZoneInfo,
    windows: list[tuple[int, int, int, int]],
    starts: int,
    around: datetime,
    shift_s: int,
    length_s: int,
) -> None:
    tariff = Tariff(zone, tuple(Window.parse(written(*window)) for window in windows), starts)
    start = int(around.timestamp()) + shift_s
    spans = tariff.spans(start, start + length_s)
    told = [(span.start, span.end, span.day, span.period, span.off_peak) for span in spans]
    assert told == read_minute_by_minute(tariff, off_peak_minutes(windows), start, start + length_s)


def test_a_year_in_pieces_loses_no_second_and_has_every_night() -> None:
    start, end = seconds(BERLIN, 2026, 1, 1), seconds(BERLIN, 2027, 1, 1)
    spans = NIGHTS.spans(start, end)
    assert [span.start for span in spans[1:]] == [span.end for span in spans[:-1]]
    assert (spans[0].start, spans[-1].end) == (start, end)
    assert sum(span.end - span.start for span in spans if span.off_peak) == 365 * 6 * 3600  # one of 5 hours, one of 7
    assert len({span.day for span in spans}) == 365


# bytes in proportion to time


def in_a_row(lengths: list[float], start: float = 1_795_000_000.0) -> tuple[Span, ...]:
    spans = []
    for length in lengths:
        spans.append(Span(start, start + length, date(2026, 11, 24), date(2026, 11, 1), off_peak=False))
        start += length
    return tuple(spans)


def test_bytes_are_divided_in_proportion_to_time_and_the_odd_one_is_not_lost() -> None:
    assert divide(100, in_a_row([60])) == (100,)
    assert divide(100, in_a_row([30, 90])) == (25, 75)
    assert divide(101, in_a_row([30, 30])) == (50, 51)
    assert divide(1, in_a_row([30, 30, 30])) == (0, 0, 1)
    assert divide(0, in_a_row([30, 30])) == (0, 0)


@given(
    st.integers(0, 2**56) | st.sampled_from([2**32, 2**53 - 1, 2**53 + 1, 2**56]),
    st.lists(st.floats(1e-3, 1e7) | st.sampled_from([1e-6, 60.0, 86400.0]), min_size=1, max_size=12),
)
@example(2**56, [1e-6, 1e7, 1e-6])
@example(2**56 - 1, [0.1] * 12)
def test_the_shares_add_up_to_the_byte_and_none_is_negative_or_out_of_proportion(
    amount: int, lengths: list[float]
) -> None:
    spans = in_a_row(lengths)
    shares = divide(amount, spans)
    assert sum(shares) == amount
    assert min(shares) >= 0
    whole = Fraction(spans[-1].end) - Fraction(spans[0].start)
    for share, span in zip(shares, spans, strict=True):
        due = amount * (Fraction(span.end) - Fraction(span.start)) / whole
        assert abs(share - due) <= 1 + amount / 2**50
