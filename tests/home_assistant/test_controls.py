"""What is pressed, switched, chosen and typed in Home Assistant, and what it is told as an event."""

from __future__ import annotations

import json
from typing import Any

from tests.home_assistant.conftest import House
from tests.processes import wait_until

STRANGER = {"mac": "02:00:00:00:00:01", "ip": "192.168.1.77"}
EVENT = "event.dalla_home_router_event"


def happens(house: House, event: str, text: str) -> dict[str, Any]:
    """The attributes of the event entity when it shows `event` with `text` in its words; it remembers others."""

    def shown() -> dict[str, Any] | None:
        attributes: dict[str, Any] = house.ha.states()[EVENT]["attributes"]
        return attributes if attributes["event_type"] == event and text in attributes["text"] else None

    found: dict[str, Any] = wait_until(shown, event)
    return found


def test_poll_now_polls_now(house: House) -> None:
    dalla = house.run(DALLA_ROUTER_INTERVAL="1h")
    wait_until(lambda: house.ha.state("button.dalla_home_router_poll") == "unknown", "the button")
    wait_until(lambda: dalla.polls() == 1, "the first poll")
    house.ha.use("button.press", "button.dalla_home_router_poll")
    wait_until(lambda: dalla.polls() == 2, "a poll long before its time")


def test_a_pause_leaves_the_router_to_its_owner_until_it_is_switched_off(house: House) -> None:
    dalla = house.run()
    switch, state = "switch.dalla_home_router_pause", "sensor.dalla_home_router_state"
    wait_until(lambda: house.ha.state(state) == "ok", "a poll")
    house.ha.use("switch.turn_on", switch)
    wait_until(lambda: (house.ha.state(switch), house.ha.state(state)) == ("on", "paused"), "a pause")
    assert house.router.state["session"] is None
    house.ha.use("switch.turn_off", switch)
    wait_until(lambda: (house.ha.state(switch), house.ha.state(state)) == ("off", "ok"), "its end")
    dalla.polls_again()


def test_a_device_is_given_to_a_user_and_stays_theirs(house: House) -> None:
    dalla = house.run()
    house.settle(dalla)
    select = house.entity("select", "printer", "user")
    wait_until(lambda: house.ha.state(select) == "UNKNOWN", "nobody's printer")
    house.ha.use("select.select_option", select, option="Bob")
    wait_until(lambda: house.ha.state(select) == "Bob", "Bob's printer")
    mac = house.part("printer").upper()
    assert f"Bob, {mac}" in (house.folder / "user-map.csv").read_text("utf-8").splitlines()
    told = json.loads(house.broker.retained()[f"dalla/home/device/{house.part('printer')}/state"])
    assert told["user"] == "Bob"
    dalla.terminate()
    house.run().polls_again()
    assert house.ha.state(select) == "Bob"


def test_a_device_is_named_and_goes_by_its_own_name_again_when_that_is_taken_away(house: House) -> None:
    house.settle(house.run())
    text = house.entity("text", "printer", "name")
    device = f"dalla_home_{house.part('printer')}"
    wait_until(lambda: house.ha.state(text) == "printer", "the printer")
    for typed, shown in (("Bob's \N{PRINTER} {{ 1 + 1 }}",) * 2, ("", "printer")):
        house.ha.use("text.set_value", text, value=typed)
        wait_until(lambda: house.ha.state(text) == shown, shown)  # noqa: B023  # over within this turn
        wait_until(lambda: house.ha.devices()[device]["name"] == shown, shown)  # noqa: B023  # the same
    house.all_is_right()


def test_a_new_device_is_an_event_and_is_there(house: House) -> None:
    house.settle(house.run())
    house.all_is_right()
    house.router.do("add", **STRANGER, bytes=5_000_000)
    event = happens(house, "new_device", STRANGER["ip"])
    assert (event["mac"], event["ip"]) == (STRANGER["mac"], STRANGER["ip"])
    assert "time" in event
    house.all_is_right()


def test_a_command_that_cannot_be_done_changes_nothing_and_says_why(house: House) -> None:
    house.settle(house.run())
    house.all_is_right()
    house.broker.publish(f"dalla/home/device/{house.part('printer')}/user/set", "Nobody's uncle")
    happens(house, "command_refused", "Nobody's uncle")
    house.all_is_right()
    assert house.ha.state(house.entity("select", "printer", "user")) == "UNKNOWN"
