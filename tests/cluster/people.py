"""Those who are at the cluster: households with a daemon each, and who listens to them as Home Assistant does."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from dalla_mqtt.router.simulator import Household
from tests import accounts
from tests.cluster.brokers import PASSWORD, USER, Node
from tests.processes import Dalla, Router, wait_until

DEVICES = 20
EVERYTHING = ("homeassistant/#", "dalla/#")
GOES_ON_S = 60.0  # within which everything must be as it was after a node died
_number = count()


class Site:
    """A household with a busy router, and a daemon that knows all brokers, in an order of its own."""

    def __init__(self, folder: Path, name: str, nodes: Sequence[Node]) -> None:
        self.name = name
        self.folder = folder / name
        self.nodes = nodes
        devices = Household.of(DEVICES, busy=True).devices
        people = {"alices": "Alice", "bobs": "Bob"}
        whose = [(device.mac, people.get(device.name.partition("-")[0])) for device in devices]
        self.owners = {mac.colons: owner for mac, owner in whose if owner}
        self.device = devices[0].mac.dashed.lower()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.router = stack.enter_context(Router("--devices", str(DEVICES), "--traffic", "busy"))
            self.folder.mkdir(parents=True)
            (self.folder / "config.yaml").write_text(json.dumps(self._settings()), "utf-8")
            self.dalla = stack.enter_context(Dalla(self.folder, "run"))
            self._stack.push(stack.pop_all())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _settings(self) -> dict[str, Any]:
        owned = {name: [mac for mac, owner in self.owners.items() if owner == name] for name in ("Alice", "Bob")}
        return {
            "site": self.name,
            "router": {"url": self.router.url, "password": "admin", "interval": "1s"},
            "mqtt": {"url": [node.url for node in self.nodes], "username": USER, "password": PASSWORD},
            "tariff": {"timezone": "UTC"},
            "archive": {"devices": "devices", "users": "users", "commune": "total.csv"},
            "users": {name: {"devices": macs} for name, macs in owned.items()},
        }

    def goes_on_at(self, node: Node) -> None:
        """Wait until the daemon is connected to `node` and to no other."""
        wait_until(lambda: self.broker == node.address, f"{node.url}:\n{self.dalla.output}", GOES_ON_S)

    @property
    def broker(self) -> str | None:
        """Where the daemon is connected, by what it says."""
        assert self.dalla.process.poll() is None, self.dalla.output
        at = None
        for line in list(self.dalla.lines):
            if connected := re.search(r"connected to the broker at (\S+)", line):
                at = connected[1]
            elif at and f"the broker at {at} is gone" in line:
                at = None
        return at

    def come_to_rest(self) -> dict[str, str]:
        """Let nothing move, have it counted and stored; what topics must say then, by the router's own truth."""
        self.router.do("freeze")
        self.dalla.polls_again(3)
        truth = self.router.state["truth"]
        accounts.hold_against(self.folder, truth, self.owners)
        usage = {
            f"device/{mac.lower().replace(':', '-')}/usage": figures["shown"]
            for mac, figures in truth.items()
            if figures["shown"]
        }
        usage["total/usage"] = sum(usage.values())
        for name in ("Alice", "Bob"):
            theirs = (truth[mac]["shown"] for mac, owner in self.owners.items() if owner == name)
            usage[f"user/{name.lower()}/usage"] = sum(theirs)
        return {f"dalla/{self.name}/{topic}": str(figure) for topic, figure in usage.items()}

    @property
    def records(self) -> dict[int, accounts.Row]:
        """What was stored of the total, by time."""
        return {row.time: row for row in accounts.read(self.folder / "total.csv")}


@dataclass(frozen=True)
class Heard:
    """A message, and when it came."""

    at: float
    topic: str
    payload: bytes
    retained: bool


class Subscriber:
    """Subscribes at one node by wildcards, again where it is refused, and remembers all that it hears."""

    def __init__(self, node: Node, *topics: str) -> None:
        self.heard: list[Heard] = []
        self.refusals = 0
        self._topics = topics or EVERYTHING
        self._missing = set(self._topics)
        self._asked: dict[int | None, str] = {}
        self._port = node.port
        self._lock = threading.Lock()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, f"subscriber-{next(_number)}", protocol=paho.MQTTv311)
        self._client.username_pw_set(USER, PASSWORD)
        self._client.on_connect = lambda *_: self._ask(self._topics)
        self._client.on_subscribe = self._answered
        self._client.on_message = lambda _client, _data, message: self.heard.append(
            Heard(time.monotonic(), message.topic, bytes(message.payload), message.retain)
        )

    def __enter__(self) -> Self:
        wait_until(self._connects, f"to be let in at {self._port}", GOES_ON_S)
        self._client.loop_start()
        wait_until(lambda: not self._missing, f"subscriptions to {self._missing}", GOES_ON_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _connects(self) -> bool:
        with suppress(OSError):
            self._client.connect("127.0.0.1", self._port)
            return True
        time.sleep(0.2)
        return False

    def say(self, topic: str, payload: str) -> None:
        """Published here, and taken by the broker."""
        self._client.publish(topic, payload, 1).wait_for_publish(GOES_ON_S)

    @property
    def latest(self) -> dict[str, str]:
        """The last payload of each topic."""
        return {heard.topic: heard.payload.decode() for heard in list(self.heard)}

    def hears(self, what: dict[str, str]) -> None:
        """Wait until all of `what` was said, and nothing else of it afterwards."""
        try:
            wait_until(lambda: what.items() <= self.latest.items(), "to hear all that is said", GOES_ON_S)
        except AssertionError as error:
            latest = self.latest
            lacking = {topic: (latest.get(topic), said) for topic, said in what.items() if latest.get(topic) != said}
            error.add_note(f"heard and said: {lacking}")
            raise

    def hears_again(self, topic: str, since: float) -> None:
        """Wait until something is said on `topic` after that moment."""
        wait_until(lambda: any(h.topic == topic and h.at > since for h in list(self.heard)), topic, GOES_ON_S)

    def hears_of(self, topics: Iterable[str]) -> None:
        """Wait until something was said on each of `topics`."""
        wanted = set(topics)
        wait_until(lambda: wanted <= self.latest.keys(), f"to hear of {wanted - self.latest.keys()}", GOES_ON_S)

    def _ask(self, topics: Sequence[str]) -> None:
        with self._lock:
            for topic in topics:
                self._asked[self._client.subscribe(topic, 1)[1]] = topic

    def _answered(self, _client: object, _data: object, number: int, reasons: Any, _properties: object) -> None:  # noqa: ANN401
        with self._lock:
            topic = self._asked.pop(number)
        if not reasons[0].is_failure:
            self._missing.discard(topic)
        else:
            self.refusals += 1
            threading.Timer(0.5, self._ask, [(topic,)]).start()
