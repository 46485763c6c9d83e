"""A large household: 200 devices and 20 users."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tests.home_assistant.conftest import House, home_assistant
from tests.processes import Listener, Router

DEVICES, USERS = 200, 20


def test_two_hundred_devices_and_twenty_users_are_complete(tmp_path: Path) -> None:
    """Prints how long the daemon took to announce them, by the clock of mosquitto_sub.

    They are in a Home Assistant of their own: it would take longer to forget them than to start.
    """
    router = Router("--devices", str(DEVICES), "--traffic", "busy")
    with router, home_assistant(tmp_path) as ha, Listener(ha.broker.mosquitto) as listener:
        house = House(tmp_path, router, ha)
        house.name_users({"User1": "printer"} | {f"User{number}": f"*-{number}" for number in range(2, USERS + 1)})
        with house.run() as dalla:
            house.settle(dalla, DEVICES)
            heard = [(_time(message["tst"]), message["topic"]) for message in listener.messages]
            house.all_is_right()
        assert ha.complaints() == []
    announced = [(time, topic) for time, topic in heard if topic.endswith("/config")]
    print(f"\n{len(announced)} announcements within {announced[-1][0] - announced[0][0]}")
    assert len(announced) == DEVICES + USERS + len(("router", "total", "unknown"))


def _time(stamp: str) -> datetime:
    """Of `2026-11-24T06:01:00.000000Z+0000`, as mosquitto_sub has it."""
    return datetime.fromisoformat(stamp.partition("Z")[0])
