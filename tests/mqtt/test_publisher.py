"""Whoever tells the broker, on a real Mosquitto."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import date
from pathlib import Path

from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import load
from dalla_mqtt.mqtt import Broker
from dalla_mqtt.usage.commands import Command, Limit, SetQuota, TopUp
from dalla_mqtt.usage.ledger import Ledger, Rules, account
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Allowance, Standing, Subject, Window
from dalla_mqtt.usage.reading import Mac, Reading, Row
from dalla_mqtt.usage.status import RouterStatus
from tests.processes import Listener, Mosquitto, free_port, wait_until


def test_what_the_last_connection_did_not_carry_is_said_again_even_before_a_new_one_is_reported(tmp_path: Path) -> None:
    port = free_port()
    environment = {"DALLA_ROUTER_PASSWORD": "x", "DALLA_MQTT_URL": f"mqtt://127.0.0.1:{port}"}
    status = RouterStatus("ok", 0)
    with closing(Store(tmp_path / "state.db")) as store:
        store.keep_retained({"homeassistant/device/dalla_old_router/config": None})
        publisher = Broker(load(None, environment, {}), store)
        publisher._client._again = lambda: None
        publisher.start(lambda _: None, lambda _: None)
        for _ in range(2):
            with Mosquitto(tmp_path, port):
                wait_until(lambda: publisher._client.ready, "the connection")
                publisher.tell(Ledger(), status, {}, 1_800_000_000)
                assert "homeassistant/device/dalla_old_router/config" in store.retained(), "nobody knows yet"
            wait_until(lambda: not publisher._client.connected, "the end of it")
        publisher.stop()


PHONE = Mac.parse("02:00:00:00:00:01")
ALICE, OWN, FAMILY = Subject("user", "Alice"), Subject("device", PHONE.dashed), Subject("pool", "The family")
AT = 1_795_500_000  # 2026-11-24 06:00:00 UTC
SETTINGS = """
users: {Alice: {devices: ["02:00:00:00:00:01"]}}
quota: {pool: {The family: {quota: 100 GB}}, topup: 3 GB}
"""


def standing(subject: Subject, *used: int) -> Standing:
    window = Window(date(2026, 11, 1), date(2026, 11, 30))
    allowances = tuple(Allowance("together", 10**9, 0, 0, one) for one in used)
    return Standing(subject, window, allowances, "notify", limited=False, text=None)


def test_quotas_are_told_as_they_change_and_taken_back_and_heard_of(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "config.yaml"
    file.write_text(SETTINGS, "utf-8")
    environment = {"DALLA_ROUTER_PASSWORD": "x", "DALLA_MQTT_URL": f"mqtt://127.0.0.1:{port}"}
    config = load(file, environment, {})
    rules = Rules(config.people, config.tariff, 60, 1e9)
    ledger, _ = account(Ledger(), Reading((Row("192.168.1.2", PHONE, 1, 1),)), rules, at=AT, elapsed_s=60)
    users = {one: standing(one) for one in (ALICE, Subject("user", UNKNOWN))}
    with closing(Store(tmp_path / "state.db")) as store, Mosquitto(tmp_path, port) as broker, Listener(broker) as heard:
        commands: list[Command] = []
        publisher = Broker(config, store)
        publisher.start(lambda _: None, commands.append)
        wait_until(lambda: publisher._client.ready, "the connection")

        stand = dict(users)

        def told(*of: Standing) -> set[str]:
            """What is said where how it stands is now `of`."""
            before = len(heard.messages)
            wait_until(lambda: publisher._client.ready, "the batch before")
            stand.clear()
            stand.update(users | {one.subject: one for one in of})
            publisher.tell(ledger, RouterStatus("ok", 0), stand, AT)
            assert publisher.flush(5)
            broker.publish("done", str(before))
            wait_until(lambda: heard.latest.get("done") == str(before), "all that was told")
            topics = {message["topic"] for message in heard.messages[before:]} - {"done"}
            return {topic.removeprefix("dalla/home/") for topic in topics}

        family, own = standing(FAMILY, 1), standing(OWN, 1)
        quotas = {"user/alice/quota", "user/unknown/quota", "pool/the-family/quota"}
        pool = "homeassistant/device/dalla_home_pool_the-family/config"
        assert quotas | {pool} < told(family)
        button = json.loads(heard.latest[pool])["cmps"]["topup"]
        assert told(family) == set()
        assert told(family, own) == {
            "device/02-00-00-00-00-01/quota",
            "homeassistant/device/dalla_home_02-00-00-00-00-01/config",
        }
        used = standing(FAMILY, 2)
        assert told(used, own) == {"pool/the-family/quota"}
        assert told(used) == {"device/02-00-00-00-00-01/quota"}
        assert not heard.latest["dalla/home/device/02-00-00-00-00-01/quota"], "it is emptied"
        retained = broker.retained()
        assert {topic.removeprefix("dalla/home/") for topic in retained if topic.endswith("/quota")} == quotas
        assert json.loads(retained["dalla/home/pool/the-family/quota"])["used"] == 2

        broker.publish("dalla/home/user/alice/quota_on_peak/set", "40 GiB")
        broker.publish("dalla/home/device/02-00-00-00-00-01/limited/set", "ON")
        broker.publish(button["cmd_t"], button["pl_prs"])
        wait_until(lambda: len(commands) == 3, "the commands")
        assert commands == [SetQuota(ALICE, "on_peak", 40 * 2**30), Limit(OWN, on=True), TopUp(FAMILY, 3 * 10**9)]
        publisher.stop()
