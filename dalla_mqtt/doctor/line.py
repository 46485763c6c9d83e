"""One connection to the broker, on which each thing said is answered: by MQTT 5, where the broker speaks that."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from dalla_mqtt.config import BrokerAddress, MqttConfig

_CONNECT_S = 5
_ANSWER_S = 5.0
_ECHO_S = 2.0


class Line:
    """A connection, closed when it is left. It is another client than the daemon: that one is not thrown out.

    `welcome`: what the broker said to us, or None where it hung up. Raises OSError and ValueError where there is no
    connection at all.
    """

    def __init__(self, config: MqttConfig, address: BrokerAddress, tls: ssl.SSLContext | None, *, newest: bool) -> None:
        self.newest = newest
        self.keeps_retained = True
        self._answers: SimpleQueue[tuple[int, ReasonCode | None]] = SimpleQueue()
        self._messages: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{config.client_id}-doctor",
            protocol=paho.MQTTv5 if newest else paho.MQTTv311,
            transport=address.transport,
            reconnect_on_failure=False,
        )
        client = self._client
        client.connect_timeout = _CONNECT_S
        if config.username is not None:
            client.username_pw_set(config.username, config.password.value if config.password else None)
        if tls is not None:
            client.tls_set_context(tls)
        client.on_connect = self._connected
        client.on_disconnect = lambda *_: self._answers.put((0, None))
        client.on_publish = lambda _client, _data, number, reason, _properties: self._answers.put((number, reason))
        client.on_subscribe = lambda _client, _data, number, reasons, _properties: self._answers.put(
            (number, reasons[0])
        )
        client.on_message = self._heard
        client.connect(address.host, address.port)
        client.loop_start()
        self.welcome = self._answer(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes) -> ReasonCode | None:
        """Say something, which nobody keeps; what the broker thinks of it, or None where it says nothing."""
        sent = self._client.publish(topic, payload, qos=1)
        return self._answer(sent.mid) if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def subscribe(self, topic: str) -> ReasonCode | None:
        """Listen; the same."""
        result, number = self._client.subscribe(topic, 1)
        return self._answer(number or 0) if result == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def hears(self, fits: Callable[[str, bytes], bool]) -> bytes | None:
        """The payload of the first message that fits, or None where there is none in time."""
        deadline = time.monotonic() + _ECHO_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                topic, payload = self._messages.get(timeout=left)
            except Empty:
                break
            if fits(topic, payload):
                return payload
        return None

    def _answer(self, number: int) -> ReasonCode | None:
        """What the broker says to the packet of that number; 0: to the connection, or that it is gone."""
        deadline = time.monotonic() + _ANSWER_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                answered, reason = self._answers.get(timeout=left)
            except Empty:
                break
            if answered == number or reason is None:
                return reason
        return None

    def _connected(self, _client: object, _data: object, _flags: object, reason: ReasonCode, properties: Any) -> None:  # noqa: ANN401  # paho's
        self.keeps_retained = getattr(properties, "RetainAvailable", 1) != 0
        self._answers.put((0, reason))

    def _heard(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        try:
            self._messages.put((message.topic, bytes(message.payload)))
        except UnicodeDecodeError:  # a topic that is no text is not ours
            return
