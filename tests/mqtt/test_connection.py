"""Brokers that refuse what we would hear, and such that tell nobody what they keep.

No broker does either at a wish: these tests have one that does, and pauses that are shorter.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest

from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import load
from dalla_mqtt.mqtt import Broker, client, connection
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.status import RouterStatus
from tests.mqtt.house import TOPICS, WILL, at, connected
from tests.mqtt.scripted import Scripted
from tests.processes import PATIENCE_S, Listener, Mosquitto, wait_until

BIRTH, NAME = TOPICS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_ASK_AGAIN_S", 0.2)
    monkeypatch.setattr(connection, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(connection, "_KEPT_S", 0.1)
    monkeypatch.setattr(connection, "_ANSWER_S", 0.3)
    monkeypatch.setattr(client, "_REPEAT_S", 0.4)


@pytest.fixture
def broker() -> Iterator[Scripted]:
    with Scripted() as made:
        yield made


def test_what_a_broker_refuses_to_let_us_hear_is_asked_for_until_it_is_granted(
    broker: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    broker.refuses = {NAME}
    with connected(at(broker.port)) as home:
        wait_until(lambda: broker.asked.count([NAME]) >= 2, "two more questions, for what was refused only")
        broker.refuses = set()
        wait_until(lambda: NAME in broker.granted, "the grant")
        wait_until(lambda: "lets us hear everything again" in caplog.text, "that it is told")
        broker.tell("dalla/home/device/one/name/set", b"Phone")
        wait_until(lambda: home.heard == [("dalla/home/device/one/name/set", b"Phone")], "the name")
        assert home.times == 1, "the connection is the same"
        asked = len(broker.asked)
    assert caplog.text.count(f"does not let us hear {NAME}; see") == 1
    assert broker.granted.count(BIRTH) == 1
    assert asked == len(broker.asked)


def test_a_broker_that_does_not_answer_to_a_subscription_is_asked_again(
    broker: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    broker.mute = True
    with connected(at(broker.port)):
        wait_until(lambda: broker.asked.count(list(TOPICS)) >= 3, "more questions")
        broker.mute = False
        wait_until(lambda: set(TOPICS) <= set(broker.granted), "the grant")
        wait_until(lambda: "lets us hear everything again" in caplog.text, "that it is told")
    assert caplog.text.count("does not let us hear") == 1


def test_where_wildcards_find_nothing_all_is_said_again_from_time_to_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with Scripted(wildcards=False) as broker, connected(at(broker.port)) as home:
        wait_until(lambda: home.client.ready, "the connection")
        home.client.publish([(WILL, b"online")])
        wait_until(lambda: home.times >= 4, "three more occasions")
        assert home.client.occasions >= 4
        assert broker.subscribed == [set(TOPICS)], "it listens to itself no longer"
        assert home.heard == []
    assert caplog.text.count("keeps nothing for those who subscribe by wildcard, as Home Assistant does") == 1


def test_that_is_all_of_discovery_and_all_states(tmp_path: Path) -> None:
    with Scripted(wildcards=False) as broker, closing(Store(tmp_path / "state.db")) as store:
        environment = {"DALLA_ROUTER_PASSWORD": "x", "DALLA_MQTT_URL": f"mqtt://127.0.0.1:{broker.port}"}
        publisher = Broker(load(None, environment, {}), store)
        wishes: SimpleQueue[float] = SimpleQueue()
        publisher.start(wishes.put, lambda _: None)
        told = []
        for _ in range(3):
            wishes.get(timeout=PATIENCE_S)
            wait_until(lambda: publisher._client.ready, "the batch before")
            publisher.tell(Ledger(), RouterStatus("ok", 0), {}, 1_800_000_000)
            assert publisher.flush(5)
            told.append({topic for topic, _ in broker.said})
            broker.said.clear()
        publisher.stop()
        assert {"homeassistant/device/dalla_home_router/config", WILL, "dalla/home/router"} <= told[0]
        assert told[0] == told[1] == told[2]


def test_where_they_find_it_nothing_is_said_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with Mosquitto(tmp_path) as broker, Listener(broker, "dalla/#") as listener, connected(at(broker.port)) as home:
        wait_until(lambda: home.client.ready, "the connection")
        assert "by wildcard" not in caplog.text
        home.client.publish([(WILL, b"online")])
        wait_until(lambda: "tells what it keeps to those who subscribe by wildcard" in caplog.text, "the verdict")
        threading.Event().wait(1)  # it would be two times
        assert home.client.occasions == home.times == 1
        assert [heard["payload"] for heard in listener.messages] == ["online"]
    assert "keeps nothing" not in caplog.text


def test_what_a_broker_keeps_of_the_last_time_is_found_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with Mosquitto(tmp_path) as broker:
        broker.publish(WILL, "offline", "-r")
        with connected(at(broker.port)) as home:
            wait_until(lambda: "tells what it keeps to those who subscribe by wildcard" in caplog.text, "the verdict")
            assert home.heard == []


def test_where_we_may_not_hear_ourselves_nothing_is_said_again(broker: Scripted) -> None:
    broker.refuses = {f"{WILL}/#"}
    with connected(at(broker.port)) as home:
        wait_until(lambda: home.client.ready, "the connection")
        home.client.publish([(WILL, b"online")])
        wait_until(lambda: home.client.ready and broker.said, "that all is said")
        assert home.times == 1
