from __future__ import annotations

import pytest
from msgspec.structs import replace

from dalla_mqtt.errors import CommandRefused
from dalla_mqtt.pace import Pace
from dalla_mqtt.usage.status import RouterState, RouterStatus

OK = RouterStatus("ok", 0, last_poll=0)


def after(*polls: tuple[float, float], status: RouterStatus = OK) -> Pace:
    """A pace of 60 s after polls that began and ended at these times."""
    pace = Pace(60, random=lambda: 0.0)
    for began, ended in polls:
        pace.asks(began)
        pace.asked(ended, status)
    return pace


def test_the_first_poll_is_due_at_once_and_the_others_on_its_beat_however_long_one_takes() -> None:
    assert Pace(60).due < 0
    assert after((1000, 1007)).due == 1060
    assert after((1000, 1007), (1060, 1121)).due == 1180


@pytest.mark.parametrize("state", ["busy", "unreachable"])
def test_a_router_that_is_busy_or_away_is_asked_ever_more_rarely_and_on_the_beat_again_when_it_is_back(
    state: RouterState,
) -> None:
    pace = after((1000, 1001))
    dues = []
    for _ in range(5):
        now = pace.due
        pace.asks(now)
        pace.asked(now + 1, replace(OK, state=state))
        dues.append(pace.due - now)
    assert dues == [60, 120, 240, 300, 300]
    now = pace.due
    pace.asks(now)
    pace.asked(now + 1, OK)
    assert pace.due == now + 60


def test_a_poll_every_five_minutes_is_not_made_rarer_and_a_bad_reply_changes_nothing() -> None:
    for interval_s, state in ((300, "busy"), (60, "bad_reply")):
        pace = Pace(interval_s, random=lambda: 0.0)
        for _ in range(4):
            now = pace.due if pace.due > 0 else 1000.0
            pace.asks(now)
            pace.asked(now + 1, replace(OK, state=state))
            assert pace.due == now + interval_s


def test_many_who_lost_the_same_router_do_not_come_back_in_the_same_moment() -> None:
    dues = set()
    for _ in range(20):
        pace = Pace(60)
        pace.asks(1000)
        pace.asked(1001, replace(OK, state="unreachable"))
        dues.add(pace.due)
    assert len(dues) > 10
    assert 1060 <= min(dues) < max(dues) <= 1066


def test_a_wished_poll_comes_soon_and_leaves_the_beat_as_it_is() -> None:
    pace = after((1000, 1007))
    pace.hurry(1030)
    assert pace.due == 1030
    pace.asks(1030)
    pace.asked(1031, OK)
    assert pace.due == 1060


def test_however_often_polls_are_wished_for_the_router_may_breathe() -> None:
    pace = after((1000, 1001))
    for _ in range(9):
        pace.hurry(1001)
    assert pace.due == 1006


def test_a_wished_poll_shortly_before_the_beat_is_that_of_the_beat() -> None:
    assert after((1000, 1001), (1054, 1055)).due == 1060
    assert after((1000, 1001), (1059, 1059.1)).due == 1120


def test_after_a_poll_that_took_long_the_router_may_breathe_too() -> None:
    pace = after((1000, 1030))
    pace.hurry(1031)
    assert pace.due == 1035


def test_a_pause_ends_by_itself_after_twenty_minutes() -> None:
    pace = after((1000, 1001))
    pace.pause(1010)
    assert pace.due == 1010 + 20 * 60
    with pytest.raises(CommandRefused, match="paused: pause/set OFF ends that"):
        pace.hurry(1020)
    pace.asks(2210)
    pace.asked(2211, OK)
    assert pace.due == 2260


def test_the_end_of_a_pause_is_a_poll() -> None:
    pace = after((1000, 1001))
    pace.resume(1002)
    assert pace.due == 1060, "there was none"
    pace.pause(1010)
    pace.resume(1011)
    assert pace.due == 1011


def test_a_password_that_was_refused_is_never_tried_again() -> None:
    pace = after((1000, 1001), status=replace(OK, state="login_refused"))
    assert pace.due == float("inf")
    for command in (pace.hurry, pace.pause):
        with pytest.raises(CommandRefused):
            command(1002)
    pace.resume(1003)
    assert pace.due == float("inf")
