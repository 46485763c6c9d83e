"""A list of brokers, of which one or the other dies: real Mosquittos, killed."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import load
from dalla_mqtt.mqtt import Broker
from dalla_mqtt.usage.ledger import Ledger, Rules, account
from dalla_mqtt.usage.reading import Mac, Reading, Row
from dalla_mqtt.usage.status import RouterStatus
from tests.mqtt.house import at, certify, connected
from tests.processes import Mosquitto, free_port, wait_until

PHONE = Mac.parse("02:00:00:00:00:01")
AT = 1_795_500_000  # 2026-11-24 06:00:00 UTC


def test_when_the_first_dies_all_is_said_to_the_second_and_it_stays_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first_port, second_port = free_port(), free_port()
    file = tmp_path / "config.yaml"
    file.write_text(f"mqtt: {{url: ['mqtt://127.0.0.1:{first_port}', 'mqtt://127.0.0.1:{second_port}']}}", "utf-8")
    config = load(file, {"DALLA_ROUTER_PASSWORD": "x"}, {})
    rules = Rules(config.people, config.tariff, 60, 1e9)
    ledger, _ = account(Ledger(), Reading((Row("192.168.1.2", PHONE, 1, 1),)), rules, at=AT, elapsed_s=60)
    status = RouterStatus("ok", AT)
    again = threading.Event()

    def told(*brokers: Mosquitto) -> list[dict[str, str]]:
        """All that the brokers keep, after it was told as the daemon tells it."""
        assert again.wait(5)
        again.clear()
        wait_until(lambda: publisher._client.ready, "the connection")
        publisher.tell(ledger, status, {}, AT)
        assert publisher.flush(5)
        return [broker.retained() for broker in brokers]

    with (
        closing(Store(tmp_path / "state.db")) as store,
        Mosquitto(tmp_path, second_port) as second,
        ExitStack() as stack,
    ):
        publisher = Broker(config, store)
        stack.callback(publisher.stop)
        with Mosquitto(tmp_path, first_port) as first:
            publisher.start(lambda _: again.set(), lambda _: None)
            before, nothing = told(first, second)
            assert "homeassistant/device/dalla_home_total/config" in before
            assert before["dalla/home/total/usage"] == "1"
            assert nothing == {}
        ledger, _ = account(ledger, Reading((Row("192.168.1.2", PHONE, 6, 501),)), rules, at=AT + 60, elapsed_s=60)
        (after,) = told(second)
        assert after.keys() == before.keys()
        assert after["dalla/home/total/usage"] == "501"
        with Mosquitto(tmp_path, first_port) as back:
            assert not again.wait(2), "it stays where it is"
            assert back.retained() == {}
        publisher.stop()
        assert second.retained()["dalla/home/status"] == "offline"
    assert f"the broker at 127.0.0.1:{first_port} is gone" in caplog.text
    assert f"connected to the broker at 127.0.0.1:{second_port}" in caplog.text


def test_it_goes_round_the_list_without_a_pause_but_then_waits_and_tells_each_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = [at(free_port()) for _ in range(2)]
    port = free_port()
    with connected(*away, at(port)) as home:
        for address in (*away, at(port)):
            wait_until(lambda address=address: f"{address} cannot be reached" in caplog.text, "the complaint")
        with Mosquitto(tmp_path, port):
            wait_until(lambda: home.client.ready, "the one that is there")
    assert caplog.text.count("cannot be reached") == 3
    assert caplog.text.count("connected to") == 1


def test_each_has_tls_or_not_as_its_address_says(tmp_path: Path) -> None:
    certify(tmp_path, "broker")
    settings = f"certfile {tmp_path}/broker.pem\nkeyfile {tmp_path}/broker.key\nallow_anonymous true\nuser root\n"
    with (
        Mosquitto(tmp_path) as plain,
        Mosquitto(tmp_path, settings=settings) as secure,
        connected(at(secure.port, tls=True), at(plain.port), ca_file=tmp_path / "broker.pem") as home,
    ):
        wait_until(lambda: home.client.ready, "the first")
        secure.kill()
        wait_until(lambda: home.times == 2 and home.client.ready, "the second")
