"""Quotas: set, seen and enforced from Home Assistant, and told to a phone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.home_assistant.conftest import FAMILY, House, household
from tests.home_assistant.layout import ROOT
from tests.home_assistant.phone import Phone
from tests.home_assistant.server import HomeAssistant
from tests.processes import Listener, wait_until

BLUEPRINT = ROOT / "homeassistant/blueprints/automation/dalla-mqtt/quota-alert.yaml"
EVENTS = "event.dalla_home_router_event"
MB, GB, GIB = 1_000_000, 1_000_000_000, 2**30


class Home:
    """Alice, and Bob with a quota; on a quiet router their devices move only what a test says."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.ha = house.ha
        house.name_users(FAMILY, {"bob": GB})
        for name in ("alices-phone", "bobs-phone"):
            self.use(MB, name)
        self.run()

    def run(self) -> None:
        self.dalla = self.house.run(DALLA_ROUTER_LINE_RATE="1000 Gbit/s")
        self.there()

    def there(self) -> None:
        """Wait until Home Assistant hears the events."""
        wait_until(lambda: self.ha.state(EVENTS) not in (None, "unavailable"), "the router's events")

    def shows(self, entity_id: str, state: str) -> None:
        wait_until(lambda: self.ha.state(entity_id) == state, f"{entity_id} is {state}, not {self.ha.state(entity_id)}")

    def use(self, size: int, name: str) -> None:
        """One of their machines moves so many bytes."""
        self.house.router.do("add", mac=self.house.mac(name), ip=self.house.addresses[name], bytes=size)

    def quota(self, user: str) -> dict[str, Any]:
        """What the broker retains of the quota of a user."""
        found: dict[str, Any] = json.loads(self.house.broker.retained()[f"dalla/home/user/{user}/quota"])
        return found

    def tell(self, event: str, text: str, **about: object) -> None:
        """An event that no daemon has seen."""
        payload = {"time": "2026-11-24T06:00:00Z", "event": event, "text": text, **about}
        self.house.broker.publish("dalla/home/event", json.dumps(payload))

    def notifications(self) -> list[str]:
        """Those of the blueprint in Home Assistant itself, oldest first."""
        every = sorted(self.ha.call("persistent_notification/get"), key=lambda one: one["created_at"])
        return [one["message"] for one in every if one["title"] == "Data quota"]


@pytest.fixture(scope="module")
def home(ha: HomeAssistant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with household(ha, tmp_path_factory.mktemp("quota"), "--traffic", "quiet") as house:
        yield Home(house)


@pytest.fixture(scope="module")
def phone(home: Home) -> Iterator[Phone]:
    with Phone(home.ha, "Alices phone") as phone:
        yield phone


@pytest.fixture
def alert(home: Home) -> Iterator[Callable[..., str]]:
    """Makes automations of the blueprint, for as long as a test."""
    yield lambda **inputs: home.ha.load_blueprint(BLUEPRINT, inputs)
    (home.ha.config / "automations.yaml").write_text("[]\n")
    home.ha.use("automation.reload")
    home.ha.use("persistent_notification.dismiss_all")


def test_a_quota_that_is_set_in_home_assistant_is_obeyed_to_the_byte_and_kept(home: Home) -> None:
    number, exceeded = "number.dalla_home_alice_quota", "binary_sensor.dalla_home_alice_quota_exceeded"
    home.shows(number, "0.0")
    assert home.ha.state(exceeded) is None
    home.ha.use("number.set_value", number, value=2.5)
    home.shows(number, "2.5")
    home.house.quotas["alice"] = 2_500 * MB
    home.use(2_500 * MB, "alices-phone")
    home.shows("sensor.dalla_home_alice_used_percent", "100.0")
    home.shows("sensor.dalla_home_alice_remaining", "0.0")
    assert home.ha.state(exceeded) == "off"
    home.use(1, "alices-phone")
    home.shows(exceeded, "on")
    home.dalla.kill()
    home.run()
    home.shows(number, "2.5")
    home.shows(exceeded, "on")
    told = home.quota("alice")
    assert (told["parts"]["together"]["quota"], told["exceeded"]) == (2_500 * MB, True)
    assert told["text"] == home.ha.state("sensor.dalla_home_alice_quota_text")


def test_alerts_reach_a_phone_and_one_tap_there_tops_up_once(
    home: Home, phone: Phone, alert: Callable[..., str]
) -> None:
    buttons = [f"button.dalla_home_{who}_topup" for who in ("alice", "bob")]
    home.shows(buttons[1], "unknown")
    both = [alert(phones=[phone.device], topups=buttons) for _ in "12"]
    with Listener(home.house.broker.mosquitto, "dalla/home/event") as listener:
        home.use(GB, "bobs-phone")  # at once 80 % and all of it
        wait_until(lambda: len(listener.messages) == 2, "two warnings")
        warnings = [json.loads(message["payload"]) for message in listener.messages]
    assert [warning["threshold"] for warning in warnings] == [80, 100]
    shown = [one for warning in warnings for one in phone.shows(warning["text"], times=2)]
    assert {one["data"]["tag"] for one in shown} == {"dalla-mqtt Bob"}
    actions = {action["action"] for one in shown for action in one["data"]["actions"]}
    assert actions == {f"{automation} {buttons[1]}" for automation in both}
    assert [one["message"] for one in phone.notifications if f"'{both[0]} " in str(one)] == [
        one["text"] for one in warnings
    ]
    phone.tap(actions.pop())
    home.shows("sensor.dalla_home_bob_remaining", str(GIB / 1e9))
    home.dalla.polls_again()
    assert home.quota("bob")["parts"]["together"]["topup"] == GIB


def test_only_what_is_chosen_is_told_and_once(home: Home, alert: Callable[..., str]) -> None:
    """Not again when the entity is back, nor when it is given another name."""
    alert(user="Bob", kinds=["quota_reached", "released", "limit_failed"])
    home.tell("quota_reached", "of Alice", user="Alice")
    home.tell("quota_warning", "of another kind", user="Bob")
    home.tell("router_back", "of nobody")
    home.tell("quota_reached", "the first", user="Bob")
    home.tell("limit_failed", "the second")
    wait_until(lambda: len(home.notifications()) == 2, "two notifications")
    home.ha.reload_mqtt()
    home.there()
    home.ha.call("config/entity_registry/update", entity_id=EVENTS, name="What happens")
    home.tell("released", "the third", user="Bob")
    wait_until(lambda: len(home.notifications()) >= 3, "the third")
    assert home.notifications() == ["the first", "the second", "the third"]
    home.ha.call("config/entity_registry/update", entity_id=EVENTS, name=None)


def test_who_is_limited_in_home_assistant_is_limited_by_the_router_until_it_is_switched_off(home: Home) -> None:
    limited = "switch.dalla_home_alice_limited"
    home.shows(limited, "off")
    for service, state, addresses in (
        ("switch.turn_on", "on", {home.house.addresses["alices-phone"]}),
        ("switch.turn_off", "off", set()),
    ):
        before = len(home.dalla.output)
        home.ha.use(service, limited)
        home.shows(limited, state)
        assert set(home.house.router.state["throttled"]) == addresses
        until, told, _ = home.dalla.output[before:].partition("Alice is ")
        assert told
        assert until.count(" polled in ") <= 2


def test_all_that_was_agreed_of_quotas_is_there(home: Home) -> None:
    home.house.all_is_right()
