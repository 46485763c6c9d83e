"""A large household: 200 devices and 20 users."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.home_assistant.conftest import House
from tests.processes import Listener

DEVICES, USERS = 200, 20


@pytest.mark.router("--devices", str(DEVICES), "--traffic", "busy")
def test_two_hundred_devices_and_twenty_users_are_complete(house: House) -> None:
    """Prints how long the daemon took to announce them, by the clock of mosquitto_sub."""
    house.name_users({"User1": "printer"} | {f"User{number}": f"*-{number}" for number in range(2, USERS + 1)})
    with Listener(house.broker.mosquitto) as listener:
        house.settle(house.run(), DEVICES)
        heard = [(_time(message["tst"]), message["topic"]) for message in listener.messages]
    announced = [time for time, topic in heard if topic.endswith("/config")]
    print(f"\n{len(announced)} announcements within {announced[-1] - announced[0]}")
    assert len(announced) == DEVICES + USERS + len(("router", "total", "unknown"))
    house.all_is_right()


def _time(stamp: str) -> datetime:
    """Of `2026-11-24T06:01:00.000000Z+0000`, as mosquitto_sub has it."""
    return datetime.fromisoformat(stamp.partition("Z")[0])
