"""What is remembered of quotas: over restarts, kills, lost files, and other configurations and users."""

import shutil
from pathlib import Path

import pytest

from dalla_mqtt.usage.quota import Subject
from tests.quotas.house import ALICE, House, Leap, Restart, Step, at, hold, moved, quota, tell, topup

Case = tuple[str, list[Step]]

QUOTA = "users: {Alice: {quota: {together: 100 B, per: day}, at_quota: throttle}, Bob: }"
BOTH = "phone tablet"
THROTTLED = {"limited": "Alice", "throttled": BOTH}
WARNED = ["Alice 80 %", "Alice 100 %"]
ALL = [*WARNED, "Alice reached", "Alice limited"]
LEFT = {"phone": "Alice Smith", "tablet": "Alice Smith", "laptop": "Bob"}

RESTARTS: dict[str, Case] = {
    "nothing is told twice, and who is limited stays so": (
        QUOTA,
        [
            at("2026-11-24 12:00", moved(phone=101), told=ALL, **THROTTLED),
            at("2026-11-24 12:01", Restart(), **THROTTLED, Alice="101/100"),
            at("2026-11-24 12:02", Restart(), moved(phone=1), **THROTTLED, Alice="102/100"),
        ],
    ),
    "what was topped up and set counts": (
        QUOTA,
        [
            at("2026-11-24 12:00", quota(200), topup(50), moved(phone=150), Alice="150/250 topped up 50"),
            at("2026-11-24 12:01", Restart(), Alice="150/250 topped up 50"),
            at("2026-11-24 12:02", Restart(QUOTA), Alice="150/250 topped up 50"),
        ],
    ),
    "a window that ended meanwhile lets go": (
        QUOTA,
        [
            at("2026-11-24 12:00", moved(phone=101), told=ALL, **THROTTLED),
            at("2026-11-26 12:00", Restart(), told=["Alice released"], Alice="0/100"),
        ],
    ),
    "another configuration wins over what was set before": (
        QUOTA,
        [
            at("2026-11-24 12:00", quota(200), Alice="0/200"),
            at("2026-11-24 12:01", Restart(QUOTA.replace("100 B", "300 B")), Alice="0/300"),
            at("2026-11-24 12:02", Restart(QUOTA), Alice="0/100"),
        ],
    ),
    "each part of a configuration wins for itself": (
        "users: {Alice: {quota: {on_peak: 100 B, off_peak: 100 B}}}",
        [
            at(
                "2026-11-24 12:00",
                quota(200, part="on_peak"),
                quota(200, part="off_peak"),
                quota(0, part="together"),
                Alice="on_peak 0/200, off_peak 0/200",
            ),
            at(
                "2026-11-24 12:01",
                Restart("users: {Alice: {quota: {on_peak: 100 B, off_peak: 300 B}}}"),
                Alice="on_peak 0/200, off_peak 0/300",
            ),
            at("2026-11-24 12:02", Restart("users: {Alice: {quota: 400 B}}"), Alice="0/400"),
        ],
    ),
    "of who has no quota, one that was set stays until there is another": (
        "users: {Alice: }",
        [
            at("2026-11-24 12:00", quota(200), Alice="0/200"),
            at("2026-11-24 12:01", Restart("users: {Alice: {at_quota: block}}"), Alice="0/200"),
            at("2026-11-24 12:02", Restart("users: {Alice: {quota: 5 B}}"), Alice="0/5"),
        ],
    ),
    "a quota taken out of the configuration lets go": (
        QUOTA,
        [
            at("2026-11-24 12:00", moved(phone=101), told=ALL, **THROTTLED),
            at("2026-11-24 12:01", Restart("users: {Alice: }"), told=["Alice released"], Alice=""),
        ],
    ),
    "another shape of the window begins anew, with what was used in it": (
        QUOTA,
        [
            at("2026-11-23 12:00", moved(phone=30), topup(10), Alice="30/110 topped up 10"),
            at("2026-11-24 12:00", moved(phone=101), told=ALL, **THROTTLED, Alice="101/100"),
            at(
                "2026-11-24 12:01",
                Restart(QUOTA.replace("day", "week")),
                told=[*WARNED, "Alice reached"],
                **THROTTLED,
                Alice="131/100",
            ),
            at("2026-11-24 12:02", Restart(QUOTA), **THROTTLED, Alice="101/100"),
            at(
                "2026-11-24 12:03",
                Restart(QUOTA.replace("day", "period")),
                told=[*WARNED, "Alice reached"],
                **THROTTLED,
                Alice="131/100",
            ),
        ],
    ),
    "a renamed user begins with nothing, whose devices are free": (
        QUOTA,
        [
            at("2026-11-24 12:00", moved(phone=101), told=ALL, **THROTTLED),
            at(
                "2026-11-24 12:01",
                Restart(QUOTA.replace("Alice", "Alice Smith"), LEFT),
                moved(phone=5),
                Alice=None,
                **{"Alice Smith": "5/100"},
            ),
            at("2026-11-24 12:02", Restart(QUOTA, {"phone": "Alice"}), told=ALL, limited="Alice", throttled="phone"),
        ],
    ),
    "a removed user is forgotten, and counts for everybody's pool": (
        f"{QUOTA}\nquota: {{pool: {{Family: {{quota: 1 kB}}}}}}",
        [
            at("2026-11-24 12:00", moved(phone=101, laptop=10), told=ALL, **THROTTLED, Family="111/1000"),
            at(
                "2026-11-24 12:01",
                Restart("users: {Bob: }\nquota: {pool: {Family: {quota: 1 kB}}}", {"laptop": "Bob"}),
                moved(phone=7),
                Alice=None,
                UNKNOWN="",
                Family="118/1000",
            ),
            at("2026-11-24 12:02", Restart(QUOTA, {"phone": "Alice"}), told=ALL, limited="Alice", throttled="phone"),
        ],
    ),
    "a lost state file has nothing used, topped up or held": (
        QUOTA,
        [
            at(
                "2026-11-24 12:00",
                moved(phone=101),
                hold(),
                topup(5),
                told=["Alice 80 %", "Alice limited"],
                **THROTTLED,
            ),
            at("2026-11-24 12:01", Restart(lost=True), Alice="0/100"),
            at("2026-11-24 12:02", moved(phone=90), told=["Alice 80 %"], Alice="90/100"),
        ],
    ),
}


@pytest.mark.parametrize("case", RESTARTS)
def test_after_a_restart(tmp_path: Path, case: str) -> None:
    tell(tmp_path, *RESTARTS[case])


def test_a_limit_that_was_told_is_kept_before_the_next_poll(tmp_path: Path) -> None:
    house = House(tmp_path, QUOTA, "2026-11-24 11:00")
    house.step(at("2026-11-24 12:00", moved(phone=101)))
    assert house.store.quotas()[ALICE].limited
    house.step(at("2026-11-25 00:00"))
    assert not house.store.quotas()[ALICE].limited
    house.end()


def test_what_was_told_just_before_a_kill_is_told_again(tmp_path: Path) -> None:
    house = House(tmp_path, QUOTA, "2026-11-24 11:00")
    house.take_told()
    left = tmp_path / "left"
    house.publisher.on_events = lambda: left.exists() or shutil.copytree(tmp_path, left)
    house.step(at("2026-11-24 12:00", moved(phone=85)))
    house.end()
    after = House(left, QUOTA, "2026-11-24 12:01")
    assert house.take_told() == after.take_told() == ["Alice 80 %"]
    after.end()


def test_how_it_stands_is_known_before_the_first_poll(tmp_path: Path) -> None:
    house = House(tmp_path, QUOTA, "2026-11-24 11:00")
    house.step(at("2026-11-24 12:00", moved(phone=101)))
    house.restart(Restart(), house.moment("2026-11-24 12:01"))
    assert (house.stands["Alice"], house.limited) == ("101/100", "Alice")
    house.end()


def test_of_each_quota_three_windows_are_remembered(tmp_path: Path) -> None:
    house = House(tmp_path, QUOTA, "2026-11-20 11:00")
    for day in (21, 22, 23, 24):
        house.step(at(f"2026-11-{day} 12:00"))
    house.step(at("2036-01-01 12:00", Leap()))
    house.step(at("2026-11-25 12:00", Leap()))
    kept = house.store.quotas()[ALICE].windows
    assert sorted(first.isoformat() for first in kept) == ["2026-11-24", "2026-11-25", "2036-01-01"]
    house.end()


def test_who_is_no_more_is_forgotten_on_the_disk_too(tmp_path: Path) -> None:
    house = House(tmp_path, f"{QUOTA}\nquota: {{pool: {{Family: {{quota: 1 kB}}}}}}", "2026-11-24 11:00")
    subjects = {ALICE, Subject("user", "Bob"), Subject("user", "UNKNOWN"), Subject("pool", "Family")}
    assert house.store.quotas().keys() == subjects
    house.restart(Restart("users: {Bob: }", {"laptop": "Bob"}), house.now)
    assert house.store.quotas().keys() == {Subject("user", "Bob"), Subject("user", "UNKNOWN")}
    house.end()
