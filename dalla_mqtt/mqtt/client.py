"""The connection to the broker: it comes back by itself, and never holds more than one batch of messages."""

from __future__ import annotations

import logging
import random
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from dalla_mqtt.config import BrokerAddress, MqttConfig
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.log import about
from dalla_mqtt.mqtt.connection import Connection, Keeping, Subscriptions
from dalla_mqtt.mqtt.network import Network
from dalla_mqtt.mqtt.payloads import OFFLINE
from dalla_mqtt.mqtt.topics import Message
from dalla_mqtt.mqtt.trust import WITH_TLS, WITHOUT_TLS, distrusted, refused, tls_context

_log = logging.getLogger(__name__)

_KEEPALIVE_S = 30
_CONNECT_TIMEOUT_S = 5
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0  # between two tries to connect
_AWAY = {
    "unreachable": "cannot be reached",
    "untrusted": "is not trusted",
    "mute": "does not answer",
    "refused": "refused us",
    "gone": "is gone",
}
# How paho calls the end of a connection without a word, and one that we have cut.
_ENDS = {"Unspecified error": "the connection broke", "Normal disconnection": "we have cut the connection"}
_LOOK_AGAIN_S = 0.002
_FAREWELL_S = 1.0  # a stopping daemon has two seconds
_REPEAT_S = 300.0


class Client:
    """Publishes to one of the brokers of `config`; it says `offline` on `will_topic` when we are gone without a word.

    It queues nothing: what is published while the broker is away is lost, and so is what was under way when the
    connection broke, after which it goes on at the next broker of the list. `again` says that everything should be
    published again; `on_message` brings topic and payload of what is said on one of `subscriptions`, but for what was
    said before. Both are called from the thread of `network`, which may be that of other clients, too.
    Raises ConfigError for certificates that are none.
    """

    def __init__(  # noqa: PLR0913  # a whole connection, and whom it serves
        self,
        config: MqttConfig,
        will_topic: str,
        subscriptions: Sequence[str],
        *,
        again: Callable[[], None],
        on_message: Callable[[str, bytes], None],
        network: Network,
    ) -> None:
        self._config = config
        self._will_topic = will_topic
        self._subscriptions = dict.fromkeys(subscriptions)
        self._again = again
        self._on_message = on_message
        self._network = network
        if any(address.tls for address in config.addresses):
            tls_context(config)
        self._at = 0  # the address in hand
        self._tried = 0  # addresses since the last connection that lasted
        self._pause_s = _SHORTEST_PAUSE_S
        self._began = 0.0
        self._away: dict[BrokerAddress, str] = {}  # how, of those that are
        self._deaf = False
        self._keeps: bool | None = None
        self._stopping = False
        self._connection: Connection | None = None
        self.occasions = 0  # to publish everything again, so far: nobody knows what became of what was said before

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection breaks. Returns at once."""
        self._network.enter()
        self._network.attempt(self._try)

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
        connection.publish(messages, self._config.qos, retain=retain)
        return True

    def listen(self, topics: Iterable[str]) -> None:
        """Hear what is said on these, too, from now on."""
        new = [topic for topic in topics if topic not in self._subscriptions]
        if new:
            self._subscriptions |= dict.fromkeys(new)
            self._network.soon(partial(self._listen, new))

    def _listen(self, topics: Sequence[str]) -> None:
        connection = self._connection
        if connection is not None and connection.subscriptions is not None:
            connection.subscriptions.add(topics)

    def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has taken everything; False where it has not in time."""
        return _wait(lambda: self.ready, timeout_s)

    def stop(self) -> None:
        """Say `offline` and part in peace, within a second.

        A broker that has not taken everything by then is left without a word, and says `offline` itself: the farewell
        would overtake what is under way.
        """
        if self._stopping:
            return
        self._stopping = True
        connection = self._connection
        if connection is not None and connection.up:
            connection.publish([(self._will_topic, OFFLINE)], self._config.qos, retain=True)
            if _wait(lambda: connection.idle or not connection.up, _FAREWELL_S) and connection.up:
                connection.part()
                _wait(lambda: connection.ended, _FAREWELL_S / 10)
        self._network.soon(self._cut)
        self._network.leave()

    def _cut(self) -> None:
        if self._connection is not None:
            self._network.cut(self._connection.client)

    @property
    def _address(self) -> BrokerAddress:
        return self._config.addresses[self._at]

    def _try(self) -> None:
        """Connect. Whatever comes of that, it is not the last time."""
        try:
            self._connect()
        except IndexError:  # of paho, where a header is none
            self._tell_away("unreachable", "it does not speak MQTT over websockets")
            self._network.soon(self._go_on)
        except Exception:  # which is told where it was called
            self._network.soon(self._go_on)
            raise

    def _connect(self) -> None:
        """Connect; one connection after the other. A broken one is thrown away with all that was under way on it.

        paho's own way to reconnect would send it again, out of date by then; the latest values go out instead.
        """
        if self._stopping:
            return
        self._began = time.monotonic()
        try:
            connection = self._new_connection()
            connection.client.connect(self._address.host, self._address.port, _KEEPALIVE_S)
        except (OSError, ValueError, ConfigError) as error:
            self._tell_away(*self._reason(error))
            self._network.soon(self._go_on)
        else:
            self._network.soon(partial(self._take_up, connection))

    def _reason(self, error: Exception) -> tuple[str, str]:
        """How the broker is away, and why, where there is no connection at all."""
        if isinstance(error, ssl.SSLError):
            return "untrusted", ": ".join(distrusted(self._address.host, error))
        if self._address.tls and isinstance(error, ConnectionResetError):
            return "unreachable", f"{error}; {WITHOUT_TLS}"
        return "unreachable", f"{error}"  # ConfigError: of files that are renewed just now; ValueError: of WebSockets

    def _take_up(self, connection: Connection) -> None:
        self._connection = connection
        if self._stopping:
            self._cut()
        else:
            self._network.drive(connection.client)

    def _go_on(self) -> None:
        """Connect to the next broker of the list at once, but for a pause when all of them were tried."""
        if time.monotonic() - self._began > _LONGEST_PAUSE_S:
            self._pause_s, self._tried = _SHORTEST_PAUSE_S, 0
        self._at = (self._at + 1) % len(self._config.addresses)
        self._tried += 1
        pause_s = 0.0
        if self._tried % len(self._config.addresses) == 0:
            pause_s = random.uniform(self._pause_s / 2, self._pause_s)  # noqa: S311  # jitter
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        self._network.after(pause_s, self._try_again)

    def _try_again(self) -> None:
        if not self._stopping:
            self._network.attempt(self._try)

    def _heard(self, keeping: Keeping, message: paho.MQTTMessage) -> None:
        with suppress(UnicodeDecodeError):  # of a broker that checks no topic; the connection would be cut for it
            topic = message.topic
            if not keeping.hears(topic, kept=message.retain) and not message.retain:
                self._on_message(topic, bytes(message.payload))  # an old birth says nothing, an old command was done

    def _answered(self, connection: Connection, reason: ReasonCode) -> None:
        connection.answered = True
        if reason.is_failure:
            self._tell_away("refused", f"{reason}; see mqtt.username, mqtt.password_file and the broker's log")
            return
        self.occasions += 1
        connection.up = True
        level = logging.WARNING if self._away else logging.INFO
        _log.log(level, "connected to %s", self._broker, extra=about("broker_connected"))
        self._away.clear()
        self._again()

    def _ended(self, connection: Connection, reason: ReasonCode) -> None:
        if connection.up:
            self._tell_away("gone", _ENDS.get(f"{reason}", f"{reason}"))
        elif not connection.answered and not self._address.tls:
            self._tell_away("mute", f"it ended the connection without an answer; {WITH_TLS}")
        connection.up = False
        connection.ended = True
        if self._stopping:
            return
        if connection.answered or not self._address.tls or self._away.get(self._address) == "refused":
            self._go_on()
        else:
            self._network.attempt(self._find_out)

    def _find_out(self) -> None:
        """Ask a broker that hung up why it does not want us, and go on."""
        try:
            why = refused(self._address, tls_context(self._config))
        except ConfigError as error:  # a file is being renewed just now
            self._tell_away(*self._reason(error))
        else:
            self._tell_away("refused", ": ".join(why))
        self._network.soon(self._go_on)

    @property
    def _broker(self) -> str:
        return f"the broker at {self._address}"

    def _tell_away(self, how: str, why: str) -> None:
        """Tell once that a broker is away, and once more where it turns out that it does not want us."""
        before = self._away.get(self._address)
        news = before is None or (how != before and how in ("refused", "mute", "untrusted"))
        if not self._stopping:
            level = logging.WARNING if news else logging.DEBUG
            _log.log(level, "%s %s: %s", self._broker, _AWAY[how], why, extra=about("broker_away", how=how))
            if news:
                self._away[self._address] = how

    def _tell_deaf(self, refused: Sequence[str]) -> None:
        """Tell once what the broker does not let us hear, and once that it does."""
        if refused and not self._deaf:
            text = "%s does not let us hear %s; see its access control list. It is asked again until it does"
            _log.warning(text, self._broker, ", ".join(refused))
        elif self._deaf and not refused:
            _log.warning("%s lets us hear everything again", self._broker)
        self._deaf = bool(refused)

    def _know(self, connection: Connection, *, keeps: bool) -> None:
        """Publish everything again from time to time where nobody is told what the broker keeps; many take turns."""
        if keeps != self._keeps:
            text = "%s tells what it keeps to those who subscribe by wildcard"
            if not keeps:
                text = "%s keeps nothing for those who subscribe by wildcard, as Home Assistant does: all is published "
                text += f"again every {_REPEAT_S / 60:g} minutes"
            _log.log(logging.DEBUG if keeps else logging.INFO, text, self._broker)
            self._keeps = keeps
        if not keeps:
            self._network.after(random.uniform(0, _REPEAT_S), partial(self._repeat, connection))  # noqa: S311

    def _repeat(self, connection: Connection) -> None:
        if connection.up and not self._stopping:
            self.occasions += 1
            self._again()
            self._network.after(_REPEAT_S, partial(self._repeat, connection))

    def _new_connection(self) -> Connection:
        client, network = self._paho(), self._network
        connection = Connection(client, network)
        keeping = Keeping(client, network, self._will_topic, lambda keeps: self._know(connection, keeps=keeps))

        def connected(reason: ReasonCode) -> None:
            if not reason.is_failure:
                connection.subscriptions = subscriptions = Subscriptions(
                    client, network, self._subscriptions, self._tell_deaf
                )
                subscriptions.ask()
                keeping.listen()
            self._answered(connection, reason)

        def granted(number: int, reasons: Sequence[ReasonCode]) -> None:
            if connection.subscriptions is not None:
                connection.subscriptions.answered(number, reasons)
            keeping.answered(number, reasons)

        client.on_connect = lambda _client, _data, _flags, reason, _properties: connected(reason)
        client.on_disconnect = lambda _client, _data, _flags, reason, _properties: self._ended(connection, reason)
        client.on_publish = lambda *_: connection.acknowledge()
        client.on_message = lambda _client, _data, message: self._heard(keeping, message)
        client.on_subscribe = lambda _client, _data, number, reasons, _properties: granted(number, reasons)
        return connection

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
        if self._address.tls:
            client.tls_set_context(tls_context(config))
        self._network.prepare(client)
        return client


def _wait(true: Callable[[], bool], timeout_s: float) -> bool:
    """Whether `true` became so in time."""
    deadline = time.monotonic() + timeout_s
    while not true() and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)
    return true()
