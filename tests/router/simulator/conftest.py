from collections.abc import Iterator

import pytest

from dalla_mqtt.router.simulator import Household, Simulator
from tests.router.simulator.admin import Admin, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quiet(clock: Clock) -> Iterator[Simulator]:
    """Nobody moves anything but the test."""
    with Simulator(Household.of(quiet=True), clock=clock) as simulator:
        yield simulator


@pytest.fixture
def lively(clock: Clock) -> Iterator[Simulator]:
    with Simulator(Household.of(), clock=clock) as simulator:
        yield simulator


@pytest.fixture
def admin(quiet: Simulator) -> Admin:
    return Admin(quiet)
