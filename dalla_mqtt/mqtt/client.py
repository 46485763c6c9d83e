"""The connection to the broker: it comes back by itself, and never holds more than one batch of messages."""

from __future__ import annotations

import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from dalla_mqtt.config import MqttConfig
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.log import about
from dalla_mqtt.mqtt.payloads import OFFLINE
from dalla_mqtt.mqtt.topics import Message

_log = logging.getLogger(__name__)

_KEEPALIVE_S = 30
_CONNECT_TIMEOUT_S = 5
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0  # between two tries to connect
_AWAY = {"unreachable": "cannot be reached", "mute": "does not answer", "refused": "refused us", "gone": "is gone"}
_BROKE = "Unspecified error"  # how paho calls the end of a connection without a word
_LOOK_AGAIN_S = 0.002
_FAREWELL_S = 1.0  # a stopping daemon has two seconds


class Client:
    """Publishes to the broker of `config`, which says `offline` on `will_topic` when we are gone without a word.

    It queues nothing: what is published while the broker is away is lost, and so is what was under way when the
    connection broke. `on_connect` says that everything should be published again; `on_message` brings topic and payload
    of what is said on one of `subscriptions`, but for what was said before. Both are called from the network's thread.
    Raises ConfigError for certificates that are none.
    """

    def __init__(
        self,
        config: MqttConfig,
        will_topic: str,
        subscriptions: Sequence[str],
        on_connect: Callable[[], None],
        on_message: Callable[[str, bytes], None],
    ) -> None:
        self._config = config
        self._will_topic = will_topic
        self._subscriptions = subscriptions
        self._on_connect = on_connect
        self._on_message = on_message
        self._address = config.addresses[0]
        self._tls = tls_context(config) if self._address.tls else None
        self._broker = f"the broker at {self._address}"
        self._away: str | None = None  # how, while it is
        self._deaf = False
        self._stopping = threading.Event()
        self._connection: _Connection | None = None
        self.connections = 0  # so far: on another one, nobody knows what became of what was said before

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection breaks. Returns at once."""
        threading.Thread(target=self._keep_connected, name="broker", daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether the broker is there and has taken all that it was given."""
        return self._connection is not None and self._connection.idle

    @property
    def connected(self) -> bool:
        """Whether the broker is there, busy or not."""
        return self._connection is not None and self._connection.up

    def publish(self, messages: Iterable[Message], *, retain: bool = True) -> bool:
        """Hand `messages` over, in their order; whether the broker is there to take them."""
        connection = self._connection
        if connection is None or not connection.up:
            return False
        for topic, payload in messages:
            connection.publish(topic, payload, self._config.qos, retain=retain)
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has taken everything; False where it has not in time."""
        return _wait(lambda: self.ready, timeout_s)

    def stop(self) -> None:
        """Say `offline` and part in peace, within a second.

        A broker that has not taken everything by then is left without a word, and says `offline` itself: the farewell
        would overtake what is under way.
        """
        self._stopping.set()
        connection, self._connection = self._connection, None
        if connection is None or not connection.up:
            return
        connection.publish(self._will_topic, OFFLINE, self._config.qos, retain=True)
        if _wait(lambda: connection.idle or not connection.up, _FAREWELL_S) and connection.up:
            connection.client.disconnect()
            connection.ended.wait(_FAREWELL_S / 10)

    def _keep_connected(self) -> None:
        """One connection after the other. A broken one is thrown away with all that was under way on it.

        paho's own way to reconnect would send it again, out of date by then; the latest values go out instead.
        """
        pause_s = _SHORTEST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            self._connect()
            if time.monotonic() - began > _LONGEST_PAUSE_S:
                pause_s = _SHORTEST_PAUSE_S
            self._stopping.wait(random.uniform(pause_s / 2, pause_s))  # noqa: S311  # jitter
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _connect(self) -> None:
        """Connect, and return when there is nothing left of the connection."""
        connection = _Connection(self._paho())
        client = connection.client
        client.on_connect = lambda _client, _data, _flags, reason, _properties: self._answered(connection, reason)
        client.on_disconnect = lambda _client, _data, _flags, reason, _properties: self._ended(connection, reason)
        client.on_publish = lambda *_: connection.acknowledge()
        client.on_message = lambda _client, _data, message: self._heard(message)
        client.on_subscribe = lambda _client, _data, _id, reasons, _properties: self._granted(reasons)
        try:
            client.connect(self._address.host, self._address.port, _KEEPALIVE_S)
        except (OSError, ValueError) as error:  # ValueError: a WebSocket handshake that fails
            self._tell_away("unreachable", f"{error}")
            return
        self._connection = connection
        client.loop_start()
        connection.ended.wait()
        client.loop_stop()

    def _heard(self, message: paho.MQTTMessage) -> None:
        if message.retain:  # an old birth says nothing, and an old command was done, or is out of date
            return
        with suppress(UnicodeDecodeError):  # of a broker that checks no topic; the network's thread would end of it
            topic = message.topic
            self._on_message(topic, bytes(message.payload))

    def _granted(self, reasons: Sequence[ReasonCode]) -> None:
        """Tell once what the broker does not let us hear."""
        refused = [topic for topic, reason in zip(self._subscriptions, reasons, strict=False) if reason.is_failure]
        if refused and not self._deaf:
            _log.warning("%s does not let us hear %s; see its access control list", self._broker, ", ".join(refused))
        self._deaf = bool(refused)

    def _answered(self, connection: _Connection, reason: ReasonCode) -> None:
        connection.answered = True
        if reason.is_failure:
            self._tell_away("refused", f"{reason}; see mqtt.username, mqtt.password_file and the broker's log")
            return
        connection.client.subscribe([(topic, 1) for topic in self._subscriptions])
        self.connections += 1
        connection.up = True
        level = logging.INFO if self._away is None else logging.WARNING
        _log.log(level, "connected to %s", self._broker, extra=about("broker_connected"))
        self._away = None
        self._on_connect()

    def _ended(self, connection: _Connection, reason: ReasonCode) -> None:
        if connection.up:
            self._tell_away("gone", "the connection broke" if reason == _BROKE else f"{reason}")
        elif not connection.answered:
            self._tell_away(
                "mute", "it ended the connection without an answer; is it the port for MQTT, or for mqtts://?"
            )
        connection.up = False
        connection.ended.set()

    def _tell_away(self, how: str, why: str) -> None:
        """Tell once that the broker is away, and once more where it turns out that it does not want us."""
        news = self._away is None or (how != self._away and how in ("refused", "mute"))
        if not self._stopping.is_set():
            level = logging.WARNING if news else logging.DEBUG
            _log.log(level, "%s %s: %s", self._broker, _AWAY[how], why, extra=about("broker_away", how=how))
            self._away = how if news else self._away

    def _paho(self) -> paho.Client:
        config = self._config
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id,
            protocol=paho.MQTTv311,
            transport=self._address.transport,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.will_set(self._will_topic, OFFLINE, qos=1, retain=True)
        if config.username is not None:
            client.username_pw_set(config.username, config.password.value if config.password else None)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        return client


class _Connection:
    """One connection to the broker, and how much is under way on it."""

    def __init__(self, client: paho.Client) -> None:
        self.client = client
        self.up = False
        self.answered = False
        self.ended = threading.Event()
        self._given = 0  # counted by the daemon's thread
        self._taken = 0  # counted by the network's thread

    @property
    def idle(self) -> bool:
        return self.up and self._given == self._taken

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        self._given += 1
        self.client.publish(topic, payload, qos, retain)

    def acknowledge(self) -> None:
        self._taken += 1


def _wait(true: Callable[[], bool], timeout_s: float) -> bool:
    """Whether `true` became so in time."""
    deadline = time.monotonic() + timeout_s
    while not true() and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)
    return true()


def tls_context(config: MqttConfig) -> ssl.SSLContext:
    """Whom we trust, and who we are. Raises ConfigError for certificates that are none."""
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
        if config.cert_file is not None:
            context.load_cert_chain(config.cert_file, config.key_file)
    except OSError as error:  # ssl's errors are some
        files = "mqtt.ca_file, mqtt.cert_file, mqtt.key_file"
        raise ConfigError(f"{files}: not a certificate and its key in PEM: {error.strerror or error}") from error
    return context
