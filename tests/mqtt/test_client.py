"""The connection, tried on a real Mosquitto."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dalla_mqtt.config import Secret
from dalla_mqtt.errors import ConfigError
from tests.mqtt.house import TOPICS, WILL, Connected, at, certify, connected
from tests.processes import Listener, Mosquitto, free_port, wait_until


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as made:
        yield made


def test_what_is_published_arrives_retained_and_in_order(broker: Mosquitto) -> None:
    with Listener(broker, "dalla/#") as listener, connected(at(broker.port)) as home:
        wait_until(lambda: home.client.ready, "the connection")
        home.client.publish([(f"dalla/{number}", b"%d" % number) for number in range(200)])
        assert home.client.flush(10)
        wait_until(lambda: len(listener.messages) >= 200, "all of them")
        assert [heard["payload"] for heard in listener.messages] == [str(number) for number in range(200)]
    with Listener(broker, "dalla/7") as late:
        wait_until(lambda: late.latest == {"dalla/7": "7"}, "the retained message")


def test_events_are_not_retained(broker: Mosquitto) -> None:
    with connected(at(broker.port)) as home:
        wait_until(lambda: home.client.ready, "the connection")
        home.client.publish([("dalla/event", b"{}")], retain=False)
        assert home.client.flush(10)
    with Listener(broker, "dalla/#") as late:
        assert set(late.latest) == {WILL}


def test_a_broker_that_comes_back_is_connected_to_and_nothing_old_is_sent(tmp_path: Path) -> None:
    port = free_port()
    with connected(at(port)) as home:
        for times in (1, 2, 3):
            with Mosquitto(tmp_path, port) as broker:
                wait_until(lambda times=times: home.times == times and home.client.ready, "the connection")
                os.kill(broker.process.pid, signal.SIGSTOP)
                home.client.publish([("dalla/old", b"old")])
                assert not home.client.ready
            wait_until(lambda: not home.client.ready, "the end of the connection")
            home.client.publish([("dalla/old", b"old")])
        with Mosquitto(tmp_path, port) as broker, Listener(broker, "dalla/#") as listener:
            wait_until(lambda: home.client.ready, "the connection")
            home.client.publish([("dalla/new", b"new")])
            wait_until(lambda: listener.latest == {"dalla/new": "new"}, "only what is new")


def test_two_instances_with_one_client_id_do_not_throw_each_other_out_in_a_storm(broker: Mosquitto) -> None:
    with connected(at(broker.port)) as one, connected(at(broker.port)) as other:
        wait_until(lambda: one.times + other.times >= 4, "a few rounds")
        before = one.times + other.times
        threading.Event().wait(2)  # a storm would be hundreds
        assert one.times + other.times - before < 12


def test_a_broker_that_refuses_the_password_is_asked_again_but_slowly_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "somebody", "canary"], check=True)
    settings = f"allow_anonymous false\npassword_file {passwords}\nuser root\n"
    with Mosquitto(tmp_path, settings=settings) as broker:
        with connected(at(broker.port), username="somebody", password=Secret("wrong-canary")):
            wait_until(lambda: "refused us" in caplog.text, "the refusal")
            wait_until(lambda: broker.output.count("not authorised") >= 2, "a second try")
        assert caplog.text.count("refused us") == 1
        assert "canary" not in caplog.text
        with connected(at(broker.port), username="somebody", password=Secret("canary")) as home:
            wait_until(lambda: home.client.ready, "the connection")


def test_a_broker_that_is_away_is_told_once_and_once_that_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    caplog.set_level("INFO")
    with connected(at(port)) as home:
        wait_until(lambda: "cannot be reached" in caplog.text, "the complaint")
        threading.Event().wait(1.5)  # more tries
        with Mosquitto(tmp_path, port):
            wait_until(lambda: home.client.ready, "the connection")
    assert caplog.text.count("cannot be reached") == 1
    assert caplog.text.count("connected to the broker") == 1


def test_a_port_that_does_not_speak_mqtt_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, connected(at(server.getsockname()[1])):
        for _ in range(2):
            connection, _ = server.accept()
            connection.close()
        wait_until(lambda: "does not answer" in caplog.text, "the complaint")
    assert caplog.text.count("does not answer") == 1


def test_what_is_said_on_topics_that_were_asked_for_is_heard(broker: Mosquitto) -> None:
    with connected(at(broker.port)) as home:
        wait_until(lambda: home.client.ready, "the connection")
        wait_until(lambda: broker.publish(TOPICS[0], "online") or home.heard, "the birth")
        assert home.heard[0] == (TOPICS[0], b"online")
        broker.publish("dalla/home/device/one/name/set", "Phone")
        wait_until(lambda: home.heard[-1] == ("dalla/home/device/one/name/set", b"Phone"), "the name")


def test_what_was_said_before_is_not_heard_as_it_was_done_then_or_is_out_of_date(broker: Mosquitto) -> None:
    broker.publish("dalla/home/device/one/name/set", "old", "-r")
    with connected(at(broker.port)) as home:
        wait_until(lambda: home.client.ready, "the connection")
        wait_until(lambda: broker.publish(TOPICS[0], "online") or home.heard, "what is said now")
        assert {payload for _, payload in home.heard} == {b"online"}


def test_what_a_broker_does_not_let_us_hear_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    access = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"defaultACLAccess": access}))
    (plugin,) = Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")
    settings = f"allow_anonymous true\nuser root\nplugin {plugin}\nplugin_opt_config_file {rules}\n"
    with Mosquitto(tmp_path, settings=settings) as broker, connected(at(broker.port)) as home:
        wait_until(lambda: home.client.ready, "the connection")
        told = f"does not let us hear {TOPICS[0]}, {TOPICS[1]}; see its access control list"
        wait_until(lambda: told in caplog.text, "the complaint")


def test_over_websockets_too(tmp_path: Path) -> None:
    port = free_port()
    settings = f"allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets\n"
    with Mosquitto(tmp_path, settings=settings), connected(at(port, "websockets")) as home:
        wait_until(lambda: home.client.ready, "the connection")


@pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")  # paho drops it
def test_a_handshake_that_is_none_is_told_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        connected(at(server.getsockname()[1], "websockets")),
    ):
        for _ in range(2):
            broker, _ = server.accept()
            with broker:
                broker.recv(4096)
                broker.sendall(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept\r\n\r\n")
        complaint = "does not speak MQTT over websockets"
        wait_until(lambda: caplog.text.count(complaint) == 2, "the complaint, and another one for who looks closer")
    assert [record.levelname for record in caplog.records if complaint in record.message] == ["WARNING", "DEBUG"]
    assert "Traceback" not in caplog.text


def test_over_tls_with_an_authority_that_must_be_the_right_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("right", "wrong"):
        certify(tmp_path, name)
    settings = f"certfile {tmp_path}/right.pem\nkeyfile {tmp_path}/right.key\nallow_anonymous true\nuser root\n"
    with Mosquitto(tmp_path, settings=settings) as broker:
        with connected(at(broker.port, tls=True), ca_file=tmp_path / "right.pem") as home:
            wait_until(lambda: home.client.ready, "the connection")
        with connected(at(broker.port, tls=True), ca_file=tmp_path / "wrong.pem"):
            wait_until(lambda: "is not trusted: the broker's certificate is signed by" in caplog.text, "the complaint")


def test_certificates_that_are_none_are_told_before_anything_begins(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for files in ({"ca_file": nonsense}, {"cert_file": nonsense, "key_file": nonsense}):
        with pytest.raises(ConfigError, match=r"mqtt\.ca_file, mqtt\.cert_file, mqtt\.key_file: not a certificate"):
            Connected(at(free_port(), tls=True), **files)


def test_a_topic_that_is_no_text_is_passed_over_and_the_next_one_is_heard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, connected(at(server.getsockname()[1])) as home:
        broker, _ = server.accept()
        with broker:
            broker.recv(4096)
            broker.sendall(b"\x20\x02\x00\x00")  # welcome
            for topic in (b"dalla/\xff/set", b"dalla/x/set"):
                broker.sendall(bytes([0x30, len(topic) + 3, 0, len(topic)]) + topic + b"1")
            wait_until(lambda: home.heard == [("dalla/x/set", b"1")], "the one that is text")


def test_a_broker_that_takes_nothing_any_more_is_left_for_the_next(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dalla_mqtt.mqtt.connection._STUCK_S", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        connected(at(server.getsockname()[1]), at(broker.port)) as home,
    ):
        stuck, _ = server.accept()
        with stuck:
            stuck.recv(4096)
            stuck.sendall(b"\x20\x02\x00\x00")  # welcome, and not a word more
            wait_until(lambda: home.client.connected, "the welcome")
            assert home.client.publish([("dalla/home/total/usage", b"1")])
            wait_until(lambda: home.times == 2 and home.client.ready, "the other broker")
