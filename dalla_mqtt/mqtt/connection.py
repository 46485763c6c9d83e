"""One connection to a broker: what is under way on it, what we may hear, and whom the broker tells what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from dalla_mqtt.mqtt.network import Network
from dalla_mqtt.mqtt.topics import Message

_ASK_AGAIN_S, _ASK_AGAIN_LATER_S = 5.0, 60.0  # NATS refuses some for a while when one of its nodes has died
_PATIENCE_S = 60.0  # and takes half a minute to answer at all; asked meanwhile, it takes longer
_KEPT_S, _ANSWER_S = 1.0, 10.0
_STUCK_S = 20.0  # RabbitMQ may never say that it has taken a message, when a node has died

# With 1, nothing more would be kept for a session that ends with its connection. But NATS takes its time for each, and
# half a minute when a node has died; and RabbitMQ keeps a queue on one node, without which nobody has it elsewhere.
_QOS = 0


class Connection:
    """Counts what was given to the broker, and what it has taken. Where it takes nothing any more, it is left."""

    def __init__(self, client: paho.Client, network: Network) -> None:
        self.client = client
        self.up = False
        self.answered = False
        self.ended = False
        self.subscriptions: Subscriptions | None = None
        self._network = network
        self._given = 0  # counted by the daemon's thread
        self._taken = 0  # counted by the network's thread

    @property
    def idle(self) -> bool:
        """Whether the broker has taken everything."""
        return self.up and self._given == self._taken

    def publish(self, messages: Iterable[Message], qos: int, *, retain: bool) -> None:
        """Hand `messages` over, in their order."""
        if self.idle:
            self._network.after(_STUCK_S, partial(self._watch, self._taken))
        for topic, payload in messages:
            self._given += 1
            self.client.publish(topic, payload, qos, retain)
        self._network.look(self.client)

    def acknowledge(self) -> None:
        """The broker has taken one."""
        self._taken += 1

    def _watch(self, before: int) -> None:
        """Cut it where nothing was taken since `before`, and something is still to be."""
        if not self.up or self.idle:
            return
        if self._taken == before:
            self._network.cut(self.client)
        else:
            self._network.after(_STUCK_S, partial(self._watch, self._taken))

    def part(self) -> None:
        """Say goodbye, so that the broker does not say it for us."""
        self.client.disconnect()
        self._network.look(self.client)


class Subscriptions:
    """`topics`, asked for again and again until the broker grants each of them. From the network's thread.

    `tell` is told of those that it refused, or did not answer to; of none when it has granted all.
    """

    def __init__(
        self, client: paho.Client, network: Network, topics: Iterable[str], tell: Callable[[Sequence[str]], None]
    ) -> None:
        self._client = client
        self._network = network
        self._missing = list(topics)
        self._asked: Sequence[str] = ()
        self._granted: set[str] = set()
        self._tell = tell
        self._number: int | None = None  # of the question that is not answered
        self._pause_s = _ASK_AGAIN_S

    def add(self, topics: Iterable[str]) -> None:
        """Hear what is said on these, too."""
        self._missing += [topic for topic in topics if topic not in self._missing and topic not in self._granted]
        if self._number is None:
            self.ask()

    def ask(self) -> None:
        """For what is missing."""
        if self._client.is_connected() and self._missing:
            self._asked = tuple(self._missing)
            _, self._number = self._client.subscribe([(topic, _QOS) for topic in self._asked])
            self._network.look(self._client)
            self._network.after(_PATIENCE_S, partial(self._give_up, self._number))

    def answered(self, number: int, reasons: Sequence[ReasonCode]) -> None:
        """The broker has answered to question `number`."""
        if number != self._number:
            return
        granted = {topic for topic, reason in zip(self._asked, reasons, strict=False) if not reason.is_failure}
        self._granted |= granted
        refused = [topic for topic in self._asked if topic not in granted]
        self._missing = [topic for topic in self._missing if topic not in granted]
        self._number = None
        self._tell(refused)
        if len(self._missing) > len(refused):  # some were added meanwhile
            self.ask()
        elif refused:
            self._network.after(self._pause_s, self.ask)
            self._pause_s = min(self._pause_s * 2, _ASK_AGAIN_LATER_S)

    def _give_up(self, number: int | None) -> None:
        if self._number is not None and number == self._number and self._client.is_connected():
            self._tell(self._asked)
            self.ask()


class Keeping:
    """Finds out whether the broker tells what it keeps on `topic` to those who subscribe by wildcard.

    Home Assistant subscribes so, and some brokers look for the very topic only. The filter matches that topic alone.
    Once something was heard on it, the broker keeps it, and we may hear it. `tell` is told what came of that; of
    nothing, where nothing can be heard.
    """

    def __init__(self, client: paho.Client, network: Network, topic: str, tell: Callable[[bool], None]) -> None:
        self._client = client
        self._network = network
        self._topic = topic
        self._filter = f"{topic}/#"  # which is the topic itself, too. Source: MQTT 3.1.1, 4.7.1.2
        self._tell = tell
        self._heard = False
        self._number: int | None = None
        self._over = False

    def listen(self) -> None:
        """Begin, from the network's thread."""
        self._client.subscribe(self._filter, _QOS)
        self._network.look(self._client)

    def hears(self, topic: str, *, kept: bool) -> bool:
        """Whether what came on `topic` came for this; `kept`: the broker kept it."""
        if topic != self._topic:
            return False
        if kept:
            self._end(keeps=True)
        elif not self._heard:
            self._heard = True
            self._network.after(_KEPT_S, self._ask)
        return True

    def answered(self, number: int, reasons: Sequence[ReasonCode]) -> None:
        """The broker has answered to question `number`. One that refuses is not asked again, and may tell it."""
        if number == self._number and not any(reason.is_failure for reason in reasons):
            self._network.after(_ANSWER_S, partial(self._end, keeps=False))

    def _ask(self) -> None:
        if not self._over and self._client.is_connected():
            self._client.unsubscribe(self._filter)
            _, self._number = self._client.subscribe(self._filter, _QOS)
            self._network.look(self._client)

    def _end(self, *, keeps: bool) -> None:
        if not self._over and self._client.is_connected():
            self._over = True
            self._client.unsubscribe(self._filter)
            self._network.look(self._client)
            self._tell(keeps)
