"""When the router is asked to limit, with a script in the place of the asking."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from dalla_mqtt.archive.store import Store
from dalla_mqtt.enforcer import Enforcer
from dalla_mqtt.errors import AdminBusy, ArchiveError, DallaError, LimitRefused
from dalla_mqtt.usage.limits import Limited, Limits
from dalla_mqtt.usage.reading import Mac

PHONE, TABLET = Mac("02-00-00-00-00-00"), Mac("02-00-00-00-00-01")
NOBODY = Limits()
SLOW = Limits(throttled={"192.168.1.100": PHONE})
SLOWER = Limits(throttled={"192.168.1.100": PHONE, "192.168.1.101": TABLET})
SHUT = Limits(blocked=frozenset((PHONE,)))


class Memory:
    """What is kept, unless the disk is full."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.full = False

    def recall(self, key: str) -> str | None:
        return self.kept.get(key)

    def keep(self, key: str, value: str) -> None:
        if self.full:
            raise ArchiveError("no space left")
        self.kept[key] = value


class Desk:
    """Wants a limit poll by poll. `answers` are given first, then everything is done."""

    def __init__(self, memory: Memory | None = None, *, may_limit: bool = False, dry_run: bool = False) -> None:
        self.memory = memory or Memory()
        self.asked: list[Limits] = []
        self.answers: list[DallaError | Limited | None] = []
        self.on_ask: Callable[[], object] = lambda: None
        self.enforcer = Enforcer(self._ask, self.memory, may_limit=may_limit, dry_run=dry_run)
        self.enforcer.begin()

    def wants(self, limits: Limits, polls: int = 1, *, again: bool = False) -> list[bool | str]:
        """What came of each poll: whether that is so, or what was raised."""
        return [self._poll(limits, again=again) for _ in range(polls)]

    def polls_until_asked(self, limits: Limits) -> int:
        before = len(self.asked)
        for poll in range(1, 100):
            self._poll(limits)
            if len(self.asked) > before:
                return poll
        raise AssertionError("it is never asked again")

    @property
    def ours(self) -> str | None:
        return self.memory.recall("limits.ours")

    def _poll(self, limits: Limits, *, again: bool = False) -> bool | str:
        try:
            return self.enforcer.enforce(limits, again=again)
        except DallaError as error:
            return str(error)

    def _ask(self, limits: Limits) -> Limited | None:
        self.asked.append(limits)
        self.on_ask()
        answer = self.answers.pop(0) if self.answers else Limited()
        if isinstance(answer, DallaError):
            raise answer
        return answer


def test_a_router_on_which_nobody_was_limited_is_left_alone() -> None:
    desk = Desk()
    assert desk.wants(NOBODY, 100) == [True] * 100
    assert desk.wants(NOBODY, again=True) == [True]
    assert desk.asked == []
    assert desk.ours is None


def test_it_is_asked_once_and_looked_after_again_ten_polls_later() -> None:
    desk = Desk()
    assert desk.wants(SLOW, 11) == [True] * 11
    assert desk.asked == [SLOW]
    assert desk.wants(SLOW) == [True]
    assert desk.asked == [SLOW] * 2


@pytest.mark.parametrize("other", [SLOWER, SHUT, NOBODY])
def test_it_is_asked_at_once_for_something_else(other: Limits) -> None:
    desk = Desk()
    assert desk.wants(SLOW) + desk.wants(other, 5) + desk.wants(SLOW) == [True] * 7
    assert desk.asked == [SLOW, other, SLOW]


def test_it_is_asked_at_once_after_it_may_have_forgotten() -> None:
    desk = Desk()
    desk.wants(SLOW, 3)
    assert desk.wants(SLOW, again=True) == [True]
    assert desk.asked == [SLOW] * 2


def test_what_was_asked_after_it_forgot_is_asked_until_it_answers() -> None:
    desk = Desk()
    desk.wants(SLOW, 3)
    desk.answers = [AdminBusy("somebody")]
    assert desk.wants(SLOW, again=True) + desk.wants(SLOW) == ["somebody", True]
    assert desk.asked == [SLOW] * 3


def test_a_refusal_is_asked_about_ever_more_rarely_and_at_once_for_something_else() -> None:
    desk = Desk()
    desk.answers = [LimitRefused("no")] * 12
    assert desk.wants(SLOW) == ["no"]
    assert [desk.polls_until_asked(SLOW) for _ in range(8)] == [2, 3, 5, 9, 17, 33, 65, 65]
    assert desk.wants(SLOW) == [False]
    assert desk.wants(SLOW, again=True) == ["no"]
    assert desk.wants(SHUT) == ["no"]
    assert desk.polls_until_asked(SHUT) == 2
    assert desk.wants(NOBODY) == [True]
    assert desk.ours == "no"


def test_after_it_took_the_rule_a_refusal_begins_anew() -> None:
    desk = Desk()
    desk.answers = [LimitRefused("no")] * 3
    desk.wants(SLOW)
    assert [desk.polls_until_asked(SLOW) for _ in range(3)] == [2, 3, 5]
    desk.answers = [LimitRefused("no")]
    assert desk.polls_until_asked(SLOW) == 11
    assert desk.polls_until_asked(SLOW) == 2


@pytest.mark.parametrize("answer", [AdminBusy("somebody"), LimitRefused("no"), None])
def test_what_was_begun_and_failed_is_not_taken_for_what_was_done_before(answer: DallaError | None) -> None:
    desk = Desk()
    desk.wants(SLOW)
    desk.wants(NOBODY)
    desk.answers = [answer]
    desk.wants(SLOW)
    assert desk.wants(NOBODY) == [True]
    assert desk.asked == [SLOW, NOBODY, SLOW, NOBODY]


def test_a_stop_leaves_open_what_is_limited() -> None:
    desk = Desk()
    desk.answers = [None]
    assert desk.wants(SLOW, 2) == [False, True]


def test_that_rules_may_be_there_is_kept_before_they_are_and_after_they_are_gone() -> None:
    desk = Desk()
    kept: list[str | None] = []
    desk.on_ask = lambda: kept.append(desk.ours)
    desk.wants(SLOW)
    desk.wants(NOBODY, 3)
    assert kept == ["yes", "yes"]
    assert desk.ours == "no"


def test_rules_of_an_earlier_run_are_taken_back_at_the_start() -> None:
    desk = Desk()
    desk.wants(SLOW)
    later = Desk(desk.memory)
    assert later.wants(NOBODY, 3) == [True] * 3
    assert later.asked == [NOBODY]
    assert Desk(desk.memory).wants(NOBODY) == [True]
    assert later.ours == "no"


@pytest.mark.parametrize(("may_limit", "asked"), [(True, [NOBODY]), (False, [])])
def test_where_nothing_is_remembered_rules_are_looked_for_if_anybody_can_be_limited(
    *, may_limit: bool, asked: list[Limits]
) -> None:
    desk = Desk(may_limit=may_limit)
    assert desk.wants(NOBODY, 20) == [True] * 20
    assert desk.asked == asked
    again = Desk(desk.memory, may_limit=may_limit)
    again.wants(NOBODY, 20)
    assert again.asked == []


def test_rules_that_could_not_be_taken_back_are_not_forgotten() -> None:
    desk = Desk()
    desk.wants(SLOW)
    desk.answers = [AdminBusy("somebody"), LimitRefused("no")]
    assert desk.wants(NOBODY, 4) == ["somebody", "no", False, True]
    assert desk.asked == [SLOW, *[NOBODY] * 3]


def test_a_full_disk_keeps_nobody_from_being_limited_and_is_tried_again() -> None:
    memory = Memory()
    memory.kept["limits.ours"] = "no"
    memory.full = True
    desk = Desk(memory)
    assert desk.wants(SLOW) == [True]
    assert desk.ours == "no"
    memory.full = False
    assert desk.wants(SLOWER) == [True]
    assert desk.ours == "yes"
    memory.full = True
    assert desk.wants(NOBODY, 20) == [True] * 20
    assert desk.asked == [SLOW, SLOWER, NOBODY]
    assert Desk(memory).wants(NOBODY) == [True]


def test_a_dry_run_asks_as_ever_but_never_claims_to_limit_or_to_have_let_go(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk(may_limit=True, dry_run=True)
    desk.answers = [Limited(("throttle 192.168.1.100",))]
    claims = desk.wants(SLOW, 12) + desk.wants(NOBODY, 12) + desk.wants(SLOW)
    assert claims == [False] * 25
    assert desk.asked == [SLOW, SLOW, NOBODY, NOBODY, SLOW]
    assert caplog.messages == ["dry run, not done: throttle 192.168.1.100"]
    assert desk.ours is None
    assert Desk(dry_run=True).wants(NOBODY) == [False]


def test_steps_are_logged_and_who_is_spared_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk()
    spared = {PHONE: "02:00:00:00:00:00 is this machine"}
    desk.answers = [Limited(("throttle 192.168.1.100",), spared), Limited((), spared), Limited(), Limited((), spared)]
    for _ in range(4):
        desk.wants(SLOW, again=True)
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [("INFO", "throttle 192.168.1.100"), *[("WARNING", "02:00:00:00:00:00 is this machine")] * 2]


def test_the_state_file_keeps_it(tmp_path: Path) -> None:
    asked = []
    for limits in (SLOW, NOBODY, NOBODY):
        store = Store(tmp_path / "state.db")
        enforcer = Enforcer(lambda wanted: asked.append(wanted) or Limited(), store, may_limit=False, dry_run=False)
        enforcer.begin()
        assert enforcer.enforce(limits, again=False)
        store.close()
    assert asked == [SLOW, NOBODY]
