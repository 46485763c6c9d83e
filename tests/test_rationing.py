"""Quotas from a poll to the broker and the router, where one of them fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dalla_mqtt.archive.store import Store
from dalla_mqtt.errors import ArchiveError, LimitRefused, LoginRefused, RouterUnreachable
from tests.quotas.house import ALICE, BOB, MACS, House, Restart, at, evenly, hold, let_go, moved, quota, topup

QUOTA = "users: {Alice: {quota: {together: 100 B, per: day}, at_quota: throttle}, Bob: }"
WAITS = "state.db: it is full"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, QUOTA, "2026-11-24 11:00")
    house.take_told()
    yield house
    house.end()


def logged(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in message for message in caplog.messages)


def break_store(house: House, monkeypatch: pytest.MonkeyPatch, *calls: str) -> None:
    def fail(*_: object) -> None:
        raise ArchiveError(WAITS)

    for call in calls:
        monkeypatch.setattr(house.store, call, fail)


def test_alerts_wait_for_the_broker_and_are_logged_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.publisher.away = True
    house.step(at("2026-11-24 12:00", moved(phone=85)))
    house.step(at("2026-11-24 12:01", moved(phone=5)))
    house.step(at("2026-11-24 12:02", moved(phone=20)))
    assert [logged(caplog, text) for text in ("has reached 80 %", "has reached 100 %", "more than the quota")] == [
        1
    ] * 3
    assert house.take_told() == []
    house.publisher.away = False
    house.step(at("2026-11-24 12:03"))
    house.step(at("2026-11-24 12:04"))
    assert house.take_told() == ["Alice 80 %", "Alice 100 %", "Alice reached", "Alice limited"]
    assert logged(caplog, "has reached 80 %") == 1


def test_alerts_that_wait_survive_a_restart(house: House) -> None:
    house.publisher.away = True
    house.step(at("2026-11-24 12:00", moved(phone=85)))
    house.publisher.away = False
    house.step(at("2026-11-24 12:01", Restart()))
    house.step(at("2026-11-24 12:02", Restart()))
    assert house.take_told() == ["Alice 80 %"]


def test_what_is_true_no_more_when_the_broker_is_back_is_not_told(house: House) -> None:
    house.publisher.away = True
    house.step(at("2026-11-24 12:00", moved(phone=101)))
    house.obey(topup(10), house.now)
    house.publisher.away = False
    house.step(at("2026-11-24 12:01"))
    assert house.take_told() == ["Alice 80 %", "Alice released"]


def test_an_alert_of_a_window_that_is_over_is_not_taken_for_one_of_the_next(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.publisher.away = True
    house.step(at("2026-11-24 23:59:59", moved(phone=101)))
    house.publisher.away = False
    midnight = house.moment("2026-11-25 00:00:10")
    house.rationing.alert(midnight)
    assert house.take_told() == ["Alice 80 %", "Alice 100 %", "Alice reached"]
    house.publisher.away = True
    house.step(at("2026-11-25 00:00:20", evenly(phone=2100)))
    house.publisher.away = False
    house.step(at("2026-11-25 00:01"))
    assert house.take_told() == ["Alice 80 %", "Alice 100 %", "Alice reached", "Alice limited"]
    assert logged(caplog, "has reached 80 %") == 2


def test_what_cannot_be_kept_counts_all_the_same_and_is_kept_later(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as disk:
        break_store(house, disk, "keep_quotas")
        house.step(at("2026-11-24 12:00", moved(phone=101)))
        house.step(at("2026-11-24 12:01", moved(phone=1)))
        house.step(at("2026-11-24 12:02", topup(20), quota(90)))
        house.step(at("2026-11-24 12:03"))
    told = ["Alice 80 %", "Alice 100 %", "Alice reached", "Alice limited", "Alice released"]
    assert house.take_told() == told
    assert house.stands["Alice"] == "102/110 topped up 20"
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [f"what is set of quotas and told of them cannot be kept: {WAITS}; it is tried again"]
    house.step(at("2026-11-24 12:04"))
    assert logged(caplog, "quotas: all is well again") == 1
    house.step(at("2026-11-24 12:05", Restart()))
    assert house.take_told() == []
    assert house.stands["Alice"] == "102/110 topped up 20"


def test_records_that_cannot_be_read_release_nobody_and_are_read_later(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house.step(at("2026-11-24 12:00", moved(phone=101)))
    house.take_told()
    with monkeypatch.context() as disk:
        break_store(house, disk, "days")
        for minute in range(5):
            house.step(at(f"2026-11-24 13:0{minute}:30", moved(phone=1)))
        house.obey(topup(1), house.now)
        assert (house.limited, house.throttled, house.stands["Alice"]) == ("Alice", "phone tablet", "101/100")
    house.step(at("2026-11-24 13:06"))
    assert house.stands["Alice"] == "106/101 topped up 1"
    assert house.take_told() == []
    assert logged(caplog, "quotas: all is well again") == 1


def test_records_that_cannot_be_read_at_midnight_are_read_with_the_next_poll(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.step(at("2026-11-24 12:00", moved(phone=101)))
    with monkeypatch.context() as disk:
        house.step(at("2026-11-24 23:59"))
        break_store(house, disk, "days")
        house.goes(house.moment("2026-11-25 00:00:30"))
        assert (house.stands["Alice"], house.limited) == ("101/100", "Alice")
    house.step(at("2026-11-25 00:01"))
    assert (house.stands["Alice"], house.limited) == ("0/100", "")


@pytest.mark.parametrize("call", ["moved", "days"])
def test_a_start_whose_records_cannot_be_read_lets_nobody_go(
    house: House, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise ArchiveError(WAITS)

    house.step(at("2026-11-24 12:00", moved(phone=101)))
    house.take_told()
    with monkeypatch.context() as disk:
        disk.setattr(Store, call, fail)
        house.restart(Restart(), house.now)
        house.step(at("2026-11-24 13:01"))
        assert house.throttled == "phone tablet"
    house.restart(Restart(), house.now)
    house.step(at("2026-11-24 13:02"))
    assert (house.limited, house.throttled, house.take_told()) == ("Alice", "phone tablet", [])


def test_that_the_router_takes_no_rule_is_told_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.router.fails = RouterUnreachable("nobody answers")
    house.step(at("2026-11-24 12:00", moved(phone=101)))
    house.router.fails = LimitRefused("its table of rules is full")
    for minute in range(1, 9):
        house.step(at(f"2026-11-24 12:0{minute}"))
    assert house.take_told() == ["Alice 80 %", "Alice 100 %", "Alice reached", " limit_failed"]
    assert logged(caplog, "what is to be limited is not: nobody answers") == 1
    assert house.limited == ""
    house.router.fails = None
    house.step(at("2026-11-24 12:30"))
    while house.limited != "Alice":
        house.goes(house.now + 60)
    assert house.take_told() == ["Alice limited"]
    assert logged(caplog, "limits: all is well again") == 1
    house.router.fails = LimitRefused("its table of rules is full")
    house.step(at("2026-11-24 20:00", hold(ALICE._replace(name="Bob"))))
    assert house.take_told() == [" limit_failed"]


def test_that_the_router_takes_no_rule_waits_for_the_broker(house: House) -> None:
    house.router.fails = LimitRefused("its table of rules is full")
    house.publisher.away = True
    house.step(at("2026-11-24 12:00", hold()))
    house.publisher.away = False
    for minute in range(1, 9):
        house.step(at(f"2026-11-24 12:0{minute}"))
    assert house.take_told() == [" limit_failed"]


def test_a_router_that_cannot_be_asked_keeps_who_is_limited_as_it_was(house: House) -> None:
    house.step(at("2026-11-24 12:00", moved(phone=101)))
    house.take_told()
    house.router.fails = LoginRefused("no")
    house.step(at("2026-11-24 12:01", topup(10)))
    assert (house.limited, house.take_told()) == ("Alice", [])
    house.router.fails = None
    house.step(at("2026-11-24 12:02"))
    assert (house.limited, house.take_told()) == ("", ["Alice released"])


def test_a_command_says_whether_the_router_should_hear_of_it(house: House) -> None:
    house.step(at("2026-11-24 12:00", moved(phone=101)))

    def hurries(command: object) -> bool:
        return house.rationing.obey(command, house.ledger, house.now)  # type: ignore[arg-type]

    commands = [topup(50), topup(1), quota(1), quota(0), hold(), quota(5), let_go(), let_go()]
    assert [hurries(command) for command in commands] == [True, False, True, True, True, False, True, False]


def test_a_dry_run_tells_what_is_used_up_but_of_no_limit(tmp_path: Path) -> None:
    house = House(tmp_path, QUOTA, "2026-11-24 11:00", dry_run=True)
    house.take_told()
    for minute in range(20):
        house.step(at(f"2026-11-24 12:{minute:02}", moved(phone=101)))
    assert house.take_told() == ["Alice 80 %", "Alice 100 %", "Alice reached"]
    assert (house.limited, house.throttled) == ("", "")
    house.end()


def test_a_reboot_of_the_router_has_it_asked_again(house: House) -> None:
    house.step(at("2026-11-24 12:00", moved(phone=101)))
    asked = house.router.asked
    house.poll(60)
    assert house.router.asked == asked
    house.poll(60, again=True)
    assert house.router.asked == asked + 1


def test_before_the_first_reading_a_command_waits_for_it(tmp_path: Path) -> None:
    house = House(tmp_path, QUOTA, "2026-11-24 11:00")
    house.restart(Restart(lost=True), house.now)
    house.obey(topup(50), house.now)
    assert house.stands == {}
    house.step(at("2026-11-24 12:00"))
    assert house.stands["Alice"] == "0/150 topped up 50"
    house.end()


def test_a_state_file_that_cannot_be_read_ends_the_start(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ArchiveError(WAITS)

    monkeypatch.setattr(Store, "quotas", fail)
    with pytest.raises(ArchiveError, match="it is full"):
        house.restart(Restart(), house.now)


def test_a_device_that_the_router_takes_no_rule_for_holds_nobody_else_up(house: House) -> None:
    house.step(at("2026-11-24 12:00", moved(phone=101)))
    house.take_told()
    house.router.fails = LimitRefused("its list is full", frozenset((MACS["laptop"].dashed,)))
    house.step(at("2026-11-24 12:01", hold(BOB), topup(10)))
    assert (house.limited, house.take_told()) == ("", [" limit_failed", "Alice released"])
    house.router.fails = None
    house.step(at("2026-11-24 12:05"))  # it rests a while after a refusal
    house.step(at("2026-11-24 12:06"))
    assert (house.limited, house.take_told()) == ("Bob", ["Bob limited"])


def test_who_is_spared_with_all_devices_is_not_called_limited(house: House) -> None:
    house.router.spares = {MACS["laptop"]: "it is the machine that this program runs on"}
    house.step(at("2026-11-24 12:00", hold(BOB), hold()))
    assert (house.limited, house.take_told()) == ("Alice", ["Alice limited"])
    house.router.spares = {MACS["phone"]: "a rule of somebody else's is for it"}
    house.step(at("2026-11-24 12:01", let_go(BOB)))
    house.step(at("2026-11-24 12:02"))
    assert (house.limited, house.take_told()) == ("Alice", [])


def test_of_who_was_limited_and_let_go_while_the_broker_was_away_the_last_is_told(house: House) -> None:
    house.publisher.away = True
    house.step(at("2026-11-24 12:00", hold(), hold(BOB)))
    house.step(at("2026-11-24 12:01", let_go()))
    house.publisher.away = False
    house.step(at("2026-11-24 12:02"))
    house.step(at("2026-11-24 12:03"))
    assert house.take_told() == ["Alice released", "Bob limited"]
