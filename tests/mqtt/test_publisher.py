"""Whoever tells the broker, on a real Mosquitto."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import load
from dalla_mqtt.mqtt import Broker
from dalla_mqtt.mqtt.payloads import RouterStatus
from dalla_mqtt.usage.ledger import Ledger
from tests.processes import Mosquitto, free_port, wait_until


def test_what_the_last_connection_did_not_carry_is_said_again_even_before_a_new_one_is_reported(tmp_path: Path) -> None:
    port = free_port()
    environment = {"DALLA_ROUTER_PASSWORD": "x", "DALLA_MQTT_URL": f"mqtt://127.0.0.1:{port}"}
    status = RouterStatus("ok", 0)
    with closing(Store(tmp_path / "state.db")) as store:
        store.keep_retained({"homeassistant/device/dalla_old_router/config": None})
        publisher = Broker(load(None, environment, {}), store)
        publisher._client._on_connect = lambda: None
        publisher.start(lambda _: None, lambda _: None)
        for _ in range(2):
            with Mosquitto(tmp_path, port):
                wait_until(lambda: publisher._client.ready, "the connection")
                publisher.tell(Ledger(), status, {}, 1_800_000_000)
                assert "homeassistant/device/dalla_old_router/config" in store.retained(), "nobody knows yet"
            wait_until(lambda: not publisher._client.connected, "the end of it")
        publisher.stop()
