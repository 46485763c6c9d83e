from __future__ import annotations

from collections.abc import Iterator

import pytest

from dalla_mqtt.errors import RouterUnreachable
from dalla_mqtt.router.archer_c20 import ArcherC20
from tests.processes import wait_until
from tests.sites.street import Street


@pytest.fixture(scope="module")
def street() -> Iterator[Street]:
    with Street(6, 3, "--busy", "--hang", "1", "--drip", "1", "--reset", "1") as street:
        yield street


def driver(street: Street, number: int) -> ArcherC20:
    return ArcherC20(street.urls[number], "admin", "admin", 0.3)


def test_each_router_tells_of_its_own_household(street: Street) -> None:
    wait_until(lambda: all(len(driver(street, number).poll().rows) == 3 for number in (0, 1)), "rows of all devices")
    for number in (0, 1):
        street.do(number, "freeze")
        reading = driver(street, number).poll()
        shown = {row.mac.dashed: row.bytes for row in reading.rows if row.mac}
        assert shown == street.told()[number].shown
    first, second, *_ = street.told()
    assert not first.shown.keys() & second.shown.keys()


@pytest.mark.parametrize("number", [3, 4, 5])
def test_a_router_of_bad_manners_gives_no_answer(street: Street, number: int) -> None:
    with pytest.raises(RouterUnreachable):
        driver(street, number).poll()
    assert street.told()[number].shown == {}


def test_polls_are_known_and_how_far_they_are_from_their_beat(street: Street) -> None:
    assert street.told()[2].polls == []
    for _ in range(3):
        driver(street, 2).poll()
    told = street.told()[2]
    assert len(told.polls) == 3
    assert 119 < told.latest_s(60) < 120


def test_a_router_whose_clock_goes_by_polls_moves_as_much_each_time() -> None:
    with Street(1, 2, "--busy", "--step", "60") as street:
        totals = [sum(row.bytes for row in driver(street, 0).poll().rows) for _ in range(3)]
    assert totals[2] - totals[1] == totals[1] - totals[0] > 0
