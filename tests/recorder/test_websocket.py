"""Whatever answers in the place of Home Assistant: one line says what is wrong, and no token is shown."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from threading import Thread

import pytest

from dalla_mqtt.config import Secret
from dalla_mqtt.errors import ConfigError, HomeAssistantError
from dalla_mqtt.recorder import websocket
from dalla_mqtt.recorder.websocket import Connection, api_of
from tests.processes import CANARY, free_port
from tests.recorder.house import House, Refusal


@pytest.fixture
def house() -> Iterator[House]:
    with House() as house:
        yield house


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("http://homeassistant.local:8123", "ws://homeassistant.local:8123/api/websocket"),
        ("http://homeassistant.local:8123/", "ws://homeassistant.local:8123/api/websocket"),
        ("https://x.example/ha/", "wss://x.example/ha/api/websocket"),
        ("http://[::1]:8123", "ws://[::1]:8123/api/websocket"),
    ],
)
def test_the_api_is_below_the_address(url: str, api: str) -> None:
    assert api_of(url) == api


@pytest.mark.parametrize(
    "url", ["homeassistant.local", "ftp://x", "http://", "http://x:0", "http://x/?a=b", "http://x#y"]
)
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="--home-assistant: expected Home Assistant's address, such as http://home"):
        api_of(url)


def test_an_address_with_a_password_in_it_is_not_shown() -> None:
    with pytest.raises(ConfigError) as told:
        api_of(f"http://me:{CANARY}@x")
    assert CANARY not in str(told.value)


def test_a_question_gets_its_answer(house: House) -> None:
    house.answers["some/thing"] = lambda asked: asked["about"]
    with house.connect("/") as connection:
        assert connection.version == (2026, 11)
        assert connection.ask("some/thing", list[int], about=[1, 2]) == [1, 2]


def test_where_nobody_listens_the_mend_is_told() -> None:
    with pytest.raises(
        HomeAssistantError, match=r"cannot be reached: .*refused; is it running, and is that its address\?"
    ):
        Connection(f"http://127.0.0.1:{free_port()}", Secret(CANARY))


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "there is no Home Assistant: HTTP 404 for ws://"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://evil\r\nContent-Length: 0\r\n\r\n", "HTTP 301"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "cannot be reached"),
        (b"", "cannot be reached"),
    ],
)
def test_what_is_no_websocket_is_told(reply: bytes, told: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            accepted, _ = server.accept()
            with accepted:
                accepted.recv(4096)
                accepted.sendall(reply)

        Thread(target=answer, daemon=True).start()
        with pytest.raises(HomeAssistantError, match=re.escape(told)):
            Connection(f"http://127.0.0.1:{server.getsockname()[1]}", Secret(CANARY))


def test_a_token_that_is_refused_is_told_and_not_shown(house: House) -> None:
    with pytest.raises(HomeAssistantError, match="refused the token: make a long-lived one on your profile's") as told:
        Connection(house.url, Secret("wr0ng"))
    assert "wr0ng" not in str(told.value)


@pytest.mark.parametrize(
    ("hello", "told"),
    [
        ('{"type":"auth_required","ha_version":"2024.10.4"}', "Home Assistant 2024.10 is too old: 2024.11 or newer"),
        ('{"type":"auth_required","ha_version":"new"}', "what answers there is not Home Assistant"),
        ('{"type":"auth_ok","ha_version":"2026.11.0"}', "what answers there is not Home Assistant"),
        ('{"type":"auth_required","ha_version":5}', "an answer that cannot be used: "),
        ("welcome", "an answer that cannot be used: "),
        ("[" * 100_000, "an answer that cannot be used: "),
        ('{"type":"auth_required","x":' + "[" * 100_000, "an answer that cannot be used: "),
        ("x" * (2**25 + 1), "the connection to Home Assistant is lost: "),
    ],
)
def test_whoever_does_not_speak_as_home_assistant_gets_no_token(house: House, hello: str, told: str) -> None:
    house.hello = hello
    with pytest.raises(HomeAssistantError, match=re.escape(told)):
        house.connect()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ('{"id":$ID,"type":"result","success":true,"result":{"a":1}}', "an answer that cannot be used: "),
        ('{"id":$ID,"type":"result","success":true}', "an answer that cannot be used: "),
        ('{"id":"$ID","type":"result"}', "an answer that cannot be used: "),
        ('{"id":$ID,"type":"result","success":true,"result":[1e999]}', "an answer that cannot be used: "),
        ("[]", "an answer that cannot be used: "),
        ("nothing", "an answer that cannot be used: "),
        ('{"id":$ID,"type":"result","success":false}', "Home Assistant refused some/thing: "),
        (
            '{"id":$ID,"type":"result","success":false,"error":{"code":"x","message":"%s"}}' % ("y" * 9999),
            "Home Assistant refused some/thing: yyyy",
        ),
    ],
)
def test_an_answer_of_another_kind_is_told_in_short(house: House, answer: str, told: str) -> None:
    house.answers["some/thing"] = answer
    with house.connect() as connection, pytest.raises(HomeAssistantError) as error:
        connection.ask("some/thing", list[float])
    assert told in str(error.value)
    assert len(str(error.value)) < 400


def test_a_token_of_somebody_who_may_not_is_told(house: House) -> None:
    def refuse(_: object) -> object:
        raise Refusal("unauthorized", "Unauthorized")

    house.answers["some/thing"] = refuse
    with (
        house.connect() as connection,
        pytest.raises(HomeAssistantError, match="make the token as a user who is an adm"),
    ):
        connection.ask("some/thing", object)


@pytest.mark.parametrize("times", [1, 10**9])
def test_silence_and_talk_of_other_things_are_not_listened_to_for_ever(
    house: House, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    house.answers["some/thing"] = '{"id":7,"type":"event"}'
    house.times = times
    with house.connect() as connection:
        monkeypatch.setattr(websocket, "_ANSWER_S", 0.1)
        with pytest.raises(HomeAssistantError, match="is lost: no answer in time; hand over once more"):
            connection.ask("some/thing", object)


def test_without_the_package_its_name_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets.sync.client", None)
    with pytest.raises(ConfigError, match="needs the Python package websockets; install it beside dalla-mqtt: pip"):
        house.connect()
