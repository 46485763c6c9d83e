"""What is told of a quota, and when it is told again."""

from pathlib import Path

import pytest

from tests.quotas.house import FAMILY, PHONE, House, Restart, Step, at, evenly, moved, quota, tell, topup

Case = tuple[str, list[Step]]


def alice(warn_at: str = "") -> str:
    return f"users: {{Alice: {{quota: {{together: 100 B, per: day}}}}}}\nquota: {{{warn_at}}}"


PLAIN = alice()
MONTH = "users: {Alice: {quota: 100 B}}"
NIGHTS = "tariff: {timezone: UTC, off_peak: ['00:00-06:00']}\n"
ALL = ["Alice 80 %", "Alice 100 %", "Alice reached"]

THRESHOLDS: dict[str, Case] = {
    "below and at a threshold": (
        PLAIN,
        [
            at("2026-11-24 12:00", moved(phone=79), Alice="79/100"),
            at("2026-11-24 12:01", moved(phone=1), told=["Alice 80 %"]),
        ],
    ),
    "exactly at the limit is not beyond it": (
        PLAIN,
        [
            at("2026-11-24 12:00", moved(phone=99), told=["Alice 80 %"]),
            at("2026-11-24 12:01", moved(phone=1), told=["Alice 100 %"], Alice="100/100"),
            at("2026-11-24 12:02", moved(phone=1), told=["Alice reached"], Alice="101/100"),
        ],
    ),
    "from 79 to 101 % in one poll": (
        alice("warn_at: [150%, 100%, 80%, 90%]"),
        [
            at("2026-11-24 12:00", moved(phone=79)),
            at("2026-11-24 12:01", moved(phone=22), told=["Alice 80 %", "Alice 90 %", "Alice 100 %", "Alice reached"]),
            at("2026-11-24 12:02", moved(phone=48)),
            at("2026-11-24 12:03", moved(phone=1), told=["Alice 150 %"], Alice="150/100"),
        ],
    ),
    "nothing but the end where no warning is wanted": (
        alice("warn_at: []"),
        [at("2026-11-24 12:00", moved(phone=100)), at("2026-11-24 12:01", moved(phone=1), told=["Alice reached"])],
    ),
    "each once in a window, and again in the next": (
        PLAIN,
        [
            at("2026-11-24 12:00", moved(phone=200), told=ALL),
            at("2026-11-24 12:01", moved(phone=200)),
            at("2026-11-24 23:59:59", moved(phone=200)),
            at("2026-11-25 00:00:00", moved(phone=200), Alice="0/100"),
            at("2026-11-25 00:00:01", moved(phone=101), told=ALL),
            at("2026-11-26 12:00", moved(phone=85), told=["Alice 80 %"]),
        ],
    ),
    "each part for itself": (
        f"{NIGHTS}users: {{Alice: {{quota: {{on_peak: 100 B, together: 200 B, off_peak: 50 B}}}}}}",
        [
            at(
                "2026-11-24 05:00",
                moved(phone=51),
                told=["Alice off_peak 80 %", "Alice off_peak 100 %", "Alice off_peak reached"],
            ),
            at(
                "2026-11-24 07:00",
                moved(phone=80),
                told=["Alice on_peak 80 %"],
                Alice="131/200, on_peak 80/100, off_peak 51/50",
            ),
            at(
                "2026-11-24 08:00",
                moved(phone=69),
                told=["Alice 80 %", "Alice 100 %", "Alice on_peak 100 %", "Alice on_peak reached"],
            ),
        ],
    ),
    "of users, devices and pools at once": (
        f"{MONTH}\nquota: {{devices: {{{PHONE.name}: {{quota: 50 B}}}}, pool: {{Family: {{quota: 120 B}}}}}}",
        [
            at(
                "2026-11-24 12:00",
                moved(phone=45, tablet=35, tv=16),
                told=["Alice 80 %", "Family 80 %", "phone 80 %"],
                Alice="80/100",
                Family="96/120",
                phone="45/50",
                Bob="",
                laptop=None,
            )
        ],
    ),
}


@pytest.mark.parametrize("case", THRESHOLDS)
def test_a_threshold_is_told_once_in_a_window(tmp_path: Path, case: str) -> None:
    tell(tmp_path, *THRESHOLDS[case])


AGAIN: dict[str, Case] = {
    "a top-up": (
        PLAIN,
        [
            at("2026-11-24 12:00", moved(phone=101), told=ALL),
            at("2026-11-24 12:01", topup(25), Alice="101/125 topped up 25"),  # still above 80 %
            at("2026-11-24 12:02", moved(phone=23), Alice="124/125 topped up 25"),
            at("2026-11-24 12:03", moved(phone=2), told=["Alice 100 %", "Alice reached"]),
            at("2026-11-24 12:04", topup(125), Alice="126/250 topped up 150"),
            at("2026-11-24 12:05", moved(phone=74), told=["Alice 80 %"], Alice="200/250 topped up 150"),
        ],
    ),
    "a top-up that was taken back": (
        PLAIN,
        [
            at("2026-11-24 12:00", moved(phone=101), told=ALL),
            at("2026-11-24 12:01", topup(25)),
            at("2026-11-24 12:02", topup(0), told=["Alice 100 %", "Alice reached"], Alice="101/100"),
            at("2026-11-24 12:03", topup(0), Alice="101/100"),
        ],
    ),
    "a top-up of the window before": (
        PLAIN,
        [
            at("2026-11-24 12:00", topup(900), Alice="0/1000 topped up 900"),
            at("2026-11-24 23:59:59", moved(phone=700), Alice="700/1000 topped up 900"),
            at("2026-11-25 12:00", moved(phone=70), Alice="70/100"),
        ],
    ),
    "a higher quota, by hand": (
        PLAIN,
        [
            at("2026-11-24 12:00", moved(phone=101), told=ALL),
            at("2026-11-24 12:01", quota(110), Alice="101/110"),
            at("2026-11-24 12:02", moved(phone=10), told=["Alice 100 %", "Alice reached"]),
        ],
    ),
    "a quota below what is used, by hand": (
        PLAIN,
        [
            at("2026-11-24 12:00", moved(phone=70)),
            at("2026-11-24 12:01", quota(60), told=ALL, Alice="70/60"),
            at("2026-11-24 12:02", quota(50), Alice="70/50"),  # all is true still
            at("2026-11-24 12:03", quota(0), Alice=""),
            at("2026-11-24 12:04", quota(50), told=ALL, Alice="70/50"),
            at("2026-11-24 12:05", quota(None), Alice="70/100"),
        ],
    ),
    "a quota below what is used, in the configuration": (
        PLAIN,
        [
            at("2026-11-24 12:00", moved(phone=70)),
            at("2026-11-24 12:01", Restart(PLAIN.replace("100 B", "60 B")), told=ALL, Alice="70/60"),
            at("2026-11-24 12:02", Restart(PLAIN), Alice="70/100"),
            at("2026-11-24 12:03", Restart(PLAIN.replace("100 B", "85 B")), told=["Alice 80 %"], Alice="70/85"),
        ],
    ),
    "another threshold in the configuration": (
        PLAIN,
        [
            at("2026-11-24 12:00", moved(phone=85), told=["Alice 80 %"]),
            at("2026-11-24 12:01", Restart(alice("warn_at: [50%, 80%]")), told=["Alice 50 %"]),
        ],
    ),
}


@pytest.mark.parametrize("case", AGAIN)
def test_what_is_true_no_more_may_be_told_again_after(tmp_path: Path, case: str) -> None:
    tell(tmp_path, *AGAIN[case])


PROJECTED: list[Step] = [
    at("2026-11-01 00:00"),
    at("2026-11-01 12:00", evenly(phone=200)),  # too early to say anything
    at("2026-11-02 00:00", evenly(phone=40), told=["Alice projected"]),  # 240 a day are 7200
    at("2026-11-05 00:00", Alice="240/7000"),  # it would last
    at("2026-11-07 00:00", evenly(phone=2000)),  # it would not: that is told already
    at("2026-11-07 00:10", Restart()),
    at("2026-11-07 00:20", topup(100), told=["Alice projected"]),  # under another limit that is news
    at("2026-11-07 00:30", topup(50_000)),
    at("2026-11-07 00:40", topup(0), told=["Alice projected"]),
    at("2026-11-07 00:50", moved(phone=4_900), told=["Alice 80 %", "Alice 100 %", "Alice reached"]),
    at("2026-12-02 00:00"),
]


def test_what_will_not_last_is_told_once_a_limit_however_the_outlook_wavers(tmp_path: Path) -> None:
    tell(tmp_path, MONTH.replace("100", "7000"), PROJECTED, projected=True)


def test_a_quota_that_is_set_by_hand_is_judged_by_what_is_known_already(tmp_path: Path) -> None:
    steps = [
        at("2026-11-01 00:00"),
        at("2026-11-10 12:00", evenly(phone=2280)),
        at("2026-11-10 12:01", quota(7000), told=["Alice projected"]),
    ]
    tell(tmp_path, "users: {Alice: }", steps, projected=True)


def test_an_event_has_the_figures_of_which_it_tells(tmp_path: Path) -> None:
    house = House(tmp_path, f"{MONTH}\nquota: {{pool: {{Family: {{quota: 1 kB}}}}}}", "2026-11-24 11:00")
    house.step(at("2026-11-24 12:00", topup(50), topup(100, FAMILY), moved(phone=121, tv=800)))
    user, pool = house.publisher.events
    assert (user.event, user.user, user.pool, user.mac) == ("quota_warning", "Alice", None, None)
    assert (user.part, user.threshold, user.used, user.quota) == ("together", 80, 121, 150)
    assert (user.remaining, user.used_percent) == (29, 80.66)
    assert user.text.startswith("Alice has reached 80 %: ")
    assert (pool.event, pool.user, pool.pool, pool.used, pool.quota) == ("quota_warning", None, "Family", 921, 1100)
    house.end()
