"""Which days a quota is for: edges of windows, clocks set forward and back, peak hours, what is carried over."""

from pathlib import Path

import pytest

from tests.quotas.house import Leap, Restart, Step, at, evenly, moved, quota, tell, topup

Case = tuple[str, list[Step]]


def alice(said: str, above: str = "") -> str:
    """Alice has a quota of 100 bytes."""
    return f"{above}\nusers: {{Alice: {{quota: {{together: 100 B{said}}}}}, Bob: }}"


def edges(said: str, last: str, first: str, *, above: str = "") -> Case:
    """A window ends with `last`, and the next begins with `first`."""
    return alice(said, above), [
        at(f"{last} 12:00", moved(phone=60), Alice="60/100"),
        at(f"{last} 23:59:59", moved(phone=10), Alice="70/100"),
        at(f"{first} 00:00:00", moved(phone=20), Alice="0/100"),  # in the second before midnight
        at(f"{first} 00:00:01", moved(phone=1), Alice="1/100"),
        at(f"{first} 00:01", evenly(phone=59), Alice="60/100"),
    ]


BERLIN, AFRICA = "tariff: {timezone: Europe/Berlin}", "tariff: {timezone: Africa/Johannesburg}"

EDGES = {
    "a day": edges(", per: day", "2026-11-24", "2026-11-25"),
    "the last day of a year": edges(", per: day", "2026-12-31", "2027-01-01"),
    "a week from Monday on": edges(", per: week", "2026-11-29", "2026-11-30"),
    "a week from Wednesday on": edges(", per: week, starts: Wed", "2026-11-24", "2026-11-25"),
    "a week over the end of a year": edges(", per: week, starts: Sun", "2027-01-02", "2027-01-03"),
    "a calendar month": edges("", "2026-11-30", "2026-12-01"),
    "a month from the 15th on": edges(", starts: 15", "2026-11-14", "2026-11-15"),
    "the 31st in a month of 30 days": edges(", starts: 31", "2026-11-29", "2026-11-30"),
    "the 31st in a month of 31 days": edges(", starts: 31", "2026-12-30", "2026-12-31"),
    "the 31st in February": edges(", starts: 31", "2027-02-27", "2027-02-28"),
    "the 31st in a leap year": edges(", starts: 31", "2028-02-28", "2028-02-29"),
    "the last day of a month": edges(", starts: -1", "2026-11-29", "2026-11-30"),
    "the tariff's billing period": edges("", "2026-12-09", "2026-12-10", above="tariff: {period_starts: 10}"),
    "not the tariff's": edges(", starts: 1", "2026-11-30", "2026-12-01", above="tariff: {period_starts: 10}"),
    "in Berlin in winter": edges("", "2026-11-30", "2026-12-01", above=BERLIN),
    "in Berlin in summer": edges("", "2026-07-31", "2026-08-01", above=BERLIN),
    "in Berlin before the clock is set forward": edges(", per: day", "2026-03-28", "2026-03-29", above=BERLIN),
    "in Berlin after it was set forward": edges(", per: day", "2026-03-29", "2026-03-30", above=BERLIN),
    "in Berlin after it was set back": edges(", per: day", "2026-10-25", "2026-10-26", above=BERLIN),
    "in Johannesburg": edges(", per: day", "2026-10-25", "2026-10-26", above=AFRICA),
}


@pytest.mark.parametrize("case", EDGES)
def test_a_window_ends_with_the_last_second_of_its_last_day(tmp_path: Path, case: str) -> None:
    tell(tmp_path, *EDGES[case])


NIGHTS = "\ntariff: {timezone: Europe/Berlin, off_peak: ['00:00-06:00']}"
PARTS = f"{NIGHTS}\nusers: {{Alice: {{quota: {{together: 150 B, on_peak: 100 B, off_peak: 60 B, per: day}}}}}}"

SHARED: dict[str, Case] = {
    "a day of 23 hours: two of them in its peak": (
        PARTS,
        [
            at("2026-03-29 04:00", Alice="0/150, on_peak 0/100, off_peak 0/60"),
            at("2026-03-29 08:00", evenly(phone=40), Alice="40/150, on_peak 20/100, off_peak 20/60"),
        ],
    ),
    "five off-peak hours where the clock is set forward": (
        PARTS,
        [
            at("2026-03-28 23:00", Alice="0/150, on_peak 0/100, off_peak 0/60"),
            at(
                "2026-03-29 07:00",
                evenly(phone=70),
                Alice="60/150, on_peak 10/100, off_peak 50/60",
                told=["Alice off_peak 80 %"],
            ),
        ],
    ),
    "seven where it is set back": (
        PARTS,
        [
            at("2026-10-24 23:00", Alice="0/150, on_peak 0/100, off_peak 0/60"),
            at(
                "2026-10-25 07:00",
                evenly(phone=72),
                Alice="64/150, on_peak 8/100, off_peak 56/60",
                told=["Alice off_peak 80 %"],
            ),
        ],
    ),
    "a delta over a whole day of 25 hours": (
        alice(", per: day", BERLIN),
        [
            at("2026-10-24 12:00", Alice="0/100"),
            at("2026-10-26 11:00", evenly(phone=96), Alice="22/100"),  # 12 + 25 + 11 hours
        ],
    ),
    "the same hour twice": (
        alice(", per: day", BERLIN),
        [
            at("2026-10-25 02:30", moved(phone=10), Alice="10/100"),
            at("2026-10-25 02:20 again", moved(phone=10), Alice="20/100"),
            at("2026-10-25 02:40 again", moved(phone=10), Alice="30/100"),
        ],
    ),
    "no clock that is set in Johannesburg": (
        PARTS.replace("Europe/Berlin", "Africa/Johannesburg"),
        [
            at("2026-10-24 23:00", Alice="0/150, on_peak 0/100, off_peak 0/60"),
            at("2026-10-25 07:00", evenly(phone=56), Alice="49/150, on_peak 7/100, off_peak 42/60"),
        ],
    ),
    "a poll that was missed over midnight": (
        alice(", per: day"),
        [
            at("2026-11-24 23:59", moved(phone=50), Alice="50/100"),
            at("2026-11-25 00:03", evenly(phone=40), Alice="30/100"),
        ],
    ),
    "on-peak bytes only": (
        f"{NIGHTS}\nusers: {{Alice: {{quota: {{on_peak: 100 B}}}}}}",
        [
            at("2026-11-24 05:59:59", moved(phone=500), Alice="on_peak 0/100"),
            at("2026-11-24 06:00:01", moved(phone=20), Alice="on_peak 20/100"),
        ],
    ),
    "off-peak bytes only": (
        f"{NIGHTS}\nusers: {{Alice: {{quota: {{off_peak: 100 B}}}}}}",
        [
            at("2026-11-24 23:00", moved(phone=500), Alice="off_peak 0/100"),
            at("2026-11-25 00:00:01", moved(phone=20), Alice="off_peak 20/100"),
        ],
    ),
    "all bytes are on-peak where no hours are off-peak": (
        "users: {Alice: {quota: {together: 200 B, on_peak: 100 B, off_peak: 100 B}}}",
        [at("2026-11-24 03:00", moved(phone=50), Alice="50/200, on_peak 50/100, off_peak 0/100")],
    ),
}


@pytest.mark.parametrize("case", SHARED)
def test_bytes_count_in_the_days_and_the_hours_in_which_they_moved(tmp_path: Path, case: str) -> None:
    tell(tmp_path, *SHARED[case])


OVER = alice(", per: day, carry_over: yes")

CARRIED: dict[str, Case] = {
    "what is left": (
        OVER,
        [at("2026-11-24 12:00", moved(phone=30), Alice="30/100"), at("2026-11-25 12:00", Alice="0/170 carried 70")],
    ),
    "nothing is left of what was used to the byte": (
        OVER,
        [
            at("2026-11-24 12:00", moved(phone=100), Alice="100/100", told=["Alice 80 %", "Alice 100 %"]),
            at("2026-11-25 12:00", Alice="0/100"),
        ],
    ),
    "what was used beyond it is forgiven": (
        OVER,
        [
            at("2026-11-24 12:00", moved(phone=300), told=["Alice 80 %", "Alice 100 %", "Alice reached"]),
            at("2026-11-25 12:00", Alice="0/100"),
        ],
    ),
    "for one window only": (
        OVER,
        [
            at("2026-11-24 12:00", moved(phone=40), Alice="40/100"),
            at("2026-11-25 12:00", moved(phone=30), Alice="30/160 carried 60"),
            at("2026-11-26 12:00", Alice="0/170 carried 70"),  # not 130: what is left of the quota itself
            at("2026-11-27 12:00", Alice="0/200 carried 100"),
        ],
    ),
    "what was carried over is used last": (
        OVER,
        [
            at("2026-11-24 12:00", moved(phone=40), Alice="40/100"),
            at("2026-11-25 12:00", moved(phone=130), Alice="130/160 carried 60", told=["Alice 80 %"]),
            at("2026-11-26 12:00", Alice="0/100"),
        ],
    ),
    "what was topped up is not carried over": (
        OVER,
        [
            at("2026-11-24 12:00", moved(phone=40), Alice="40/100"),
            at("2026-11-24 12:01", topup(50), Alice="40/150 topped up 50"),
            at("2026-11-25 12:00", Alice="0/160 carried 60"),
        ],
    ),
    "not where that is not said": (
        alice(", per: day"),
        [at("2026-11-24 12:00", moved(phone=40), Alice="40/100"), at("2026-11-25 12:00", Alice="0/100")],
    ),
    "of each part": (
        f"{NIGHTS}\nusers: {{Alice: {{quota: {{on_peak: 100 B, off_peak: 50 B, per: day, carry_over: yes}}}}}}",
        [
            at("2026-11-24 05:00", moved(phone=20), Alice="on_peak 0/100, off_peak 20/50"),
            at("2026-11-24 12:00", moved(phone=70), Alice="on_peak 70/100, off_peak 20/50"),
            at("2026-11-25 12:00", Alice="on_peak 0/130 carried 30, off_peak 0/80 carried 30"),
        ],
    ),
    "from a month that ended with a poll long after midnight": (
        alice(", carry_over: yes"),
        [
            at("2026-11-30 23:00", moved(phone=10), Alice="10/100"),
            at("2026-12-01 01:00", evenly(phone=40), Alice="20/170 carried 70"),  # half of it was in November
        ],
    ),
    "nothing of a window in which no quota was known: a first one": (
        alice(", per: day"),
        [
            at("2026-11-24 12:00", moved(phone=10), quota(0), Alice=""),
            at("2026-11-25 12:00", Restart(OVER), quota(None), Alice="0/100"),
            at("2026-11-26 12:00", Alice="0/200 carried 100"),
        ],
    ),
    "nothing of a window in which the daemon did not run": (
        OVER,
        [
            at("2026-11-24 12:00", moved(phone=10), Alice="10/100"),
            at("2026-11-26 12:00", Restart(), Alice="0/100"),
            at("2026-11-27 12:00", Alice="0/200 carried 100"),
        ],
    ),
    "the quota that was known then, not the one of now": (
        OVER,
        [
            at("2026-11-24 12:00", moved(phone=10), Alice="10/100"),
            at("2026-11-25 12:00", Restart(OVER.replace("100", "500")), Alice="0/590 carried 90"),
        ],
    ),
    "also where the clock was a month ahead for a while": (
        alice(", carry_over: yes"),
        [
            at("2026-10-31 12:00", moved(phone=30), Alice="30/100"),
            at("2026-11-02 12:00", moved(phone=5), Alice="5/170 carried 70"),
            at("2026-12-02 12:00", Leap(), Alice="0/195 carried 95"),
            at("2026-11-02 12:05", Leap(), moved(phone=5), Alice="10/170 carried 70"),
            at("2026-12-02 12:00", Alice="0/190 carried 90"),
        ],
    ),
}


@pytest.mark.parametrize("case", CARRIED)
def test_carried_over_is(tmp_path: Path, case: str) -> None:
    tell(tmp_path, *CARRIED[case])
