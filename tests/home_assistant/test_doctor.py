"""`dalla-mqtt doctor` sees whether Home Assistant listens, and Home Assistant hears nothing worth a word."""

from __future__ import annotations

from tests.doctor.house import Doctor, diagnose
from tests.home_assistant.conftest import House


def asked(house: House) -> Doctor:
    _, doctor = diagnose(house.folder, DALLA_MQTT_URL=house.broker.url)
    return doctor


def test_home_assistant_is_seen_while_it_listens_and_says_nothing_of_it(house: House) -> None:
    before = house.ha.entities().keys(), house.ha.devices().keys(), house.broker.retained()
    assert asked(house).about("Home Assistant") == ("ok", "listens on homeassistant/…")
    other = diagnose(house.folder, DALLA_MQTT_URL=house.broker.url, DALLA_HOMEASSISTANT_PREFIX="elsewhere")[1]
    assert other.about("Home Assistant")[0] == "hint"
    assert house.ha.complaints() == []
    assert (house.ha.entities().keys(), house.ha.devices().keys(), house.broker.retained()) == before


def test_home_assistant_is_seen_beside_a_daemon(house: House) -> None:
    dalla = house.run()
    house.settle(dalla)
    assert asked(house).about("Home Assistant")[0] == "ok"
    house.all_is_right()


def test_home_assistant_is_missed_when_it_is_stopped(house: House) -> None:
    house.ha.stop()
    try:
        assert asked(house).about("Home Assistant")[0] == "hint"
    finally:
        house.ha.start()
    assert asked(house).about("Home Assistant")[0] == "ok"
