"""What Home Assistant shows of a household: every entity, as it was agreed."""

from __future__ import annotations

from tests.home_assistant.conftest import House
from tests.processes import wait_until


def test_the_total_is_what_the_router_truly_counted(house: House) -> None:
    total = sum(figures["shown"] for figures in house.settle(house.run()).values())
    wait_until(lambda: house.ha.state("sensor.dalla_home_total_usage") == str(total / 1e9), "the truth")
