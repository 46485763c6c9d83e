"""Whatever breaks, goes away or is set otherwise: all is right again, and nothing is there twice or left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.home_assistant.conftest import House
from tests.processes import Dalla, wait_until

TOTAL = "sensor.dalla_home_total_usage"


@pytest.fixture
def dalla(house: House) -> Dalla:
    """It runs, and all is right."""
    dalla = house.run()
    house.settle(dalla)
    house.all_is_right()
    return dalla


def bytes_move(house: House, host_name: str = "alices-phone") -> None:
    house.router.do("add", mac=house.mac(host_name), ip=house.addresses[host_name], bytes=3_000_000)


@pytest.mark.parametrize("forget", [False, True], ids=["with what it retained", "without"])
def test_the_broker_is_restarted(house: House, dalla: Dalla, *, forget: bool) -> None:
    house.broker.stop(forget=forget)
    wait_until(lambda: house.ha.state(TOTAL) == "unavailable", "Home Assistant misses the broker")
    bytes_move(house)
    dalla.polls_again()
    house.broker.start()
    house.all_is_right()
    others = [complaint for complaint in house.ha.complaints() if not re.search(r"MQTT|\[paho", complaint)]
    assert others == [], "it may tell of the broker, and of nothing else"


def test_home_assistant_is_restarted(house: House, dalla: Dalla) -> None:
    house.ha.stop()
    bytes_move(house)
    dalla.polls_again()
    house.ha.start()
    house.all_is_right()


def test_home_assistant_is_restarted_while_the_daemon_is_down(house: House, dalla: Dalla) -> None:
    dalla.terminate()
    house.ha.restart()
    wait_until(lambda: house.ha.state(TOTAL) == "unavailable", "nobody tells")
    house.run()
    house.all_is_right()


def test_the_daemon_is_killed(house: House, dalla: Dalla) -> None:
    dalla.kill()
    wait_until(lambda: house.ha.state(TOTAL) == "unavailable", "the will")
    assert {entity.state for entity in house.ha.entities().values() if not entity.disabled} == {"unavailable"}
    bytes_move(house)
    house.run()
    house.all_is_right()


@pytest.mark.usefixtures("dalla")
def test_a_device_is_gone_from_the_routers_table(house: House) -> None:
    house.router.do("clear")
    wait_until(lambda: house.ha.state("sensor.dalla_home_router_devices") == "0", "an empty table")
    house.all_is_right()
    assert house.ha.state(house.entity("sensor", "alices-phone", "rate")) == "0.0"


def test_a_user_is_renamed(house: House, dalla: Dalla) -> None:
    dalla.terminate()
    former = house.shown()
    house.name_users({"Alice": "alices-*", "Bobs": "bobs-*"})
    dalla = house.run()
    house.all_is_right(former | {"bobs": 0}, former=["bob"])
    bytes_move(house, "bobs-phone")
    dalla.polls_again()
    now = house.shown() | {"bobs": 3_000_000, "bob": former["bob"]}
    house.all_is_right(now, former=["bob"])
    dalla.terminate()
    house.name_users({"Alice": "alices-*", "Bob": "bobs-*"})
    house.run()
    house.all_is_right(now, former=["bobs"])


@pytest.mark.parametrize(("what", "other"), [("base", "data/usage"), ("site", "cabin")])
def test_base_topic_or_site_is_another_one(house: House, dalla: Dalla, what: str, other: str) -> None:
    dalla.terminate()
    setattr(house, what, other)
    house.run()
    house.all_is_right()


@pytest.fixture
def other_prefix(house: House) -> Iterator[dict[str, str]]:
    """What Home Assistant's dialogue is told; afterwards it is told the former again."""
    entry = house.ha.mqtt_entry()["entry_id"]

    def options(prefix: str) -> dict[str, str]:
        return {"discovery_prefix": prefix, "birth_topic": f"{prefix}/status", "birth_payload": "online"}

    yield options("ha")
    house.leave()
    house.ha.set_options(entry, **options("homeassistant"))


def test_the_prefix_is_another_one(house: House, dalla: Dalla, other_prefix: dict[str, str]) -> None:
    dalla.terminate()
    house.prefix = other_prefix["discovery_prefix"]
    house.run()
    wait_until(lambda: not house.ha.devices(), "nothing is announced under the former prefix")
    house.ha.set_options(house.ha.mqtt_entry()["entry_id"], **other_prefix)
    house.all_is_right()


def test_discovery_is_switched_off_and_on(house: House, dalla: Dalla) -> None:
    dalla.terminate()
    dalla = house.run(DALLA_HOMEASSISTANT_DISCOVERY="false")
    house.all_is_right(hidden=["router", *house.shown()])
    dalla.terminate()
    house.run()
    house.all_is_right()


def test_a_deleted_device_stays_away_until_it_moves_something(house: House, dalla: Dalla) -> None:
    hidden = house.part("alices-phone")
    house.ha.delete_device(f"dalla_home_{hidden}")
    house.all_is_right(hidden=[hidden])
    house.ha.restart()
    bytes_move(house, "bobs-phone")
    dalla.polls_again()
    house.all_is_right(hidden=[hidden])
    dalla.terminate()
    dalla = house.run()
    dalla.polls_again()
    house.all_is_right(hidden=[hidden])
    bytes_move(house, "alices-phone")
    house.all_is_right()
