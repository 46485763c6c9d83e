"""A real broker that may be restarted, with what it retained or without."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from paho.mqtt import publish

from tests.processes import Mosquitto, free_port


class Broker:
    """Mosquitto, which writes down what it retains."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        settings = "allow_anonymous true\nlog_type error\nlog_type subscribe\n"
        self.mosquitto = Mosquitto(self._folder, self.port, settings=settings, persistent=True)

    @property
    def subscriptions(self) -> int:
        """How often Home Assistant began to listen to what is announced, since the broker has started."""
        return self.mosquitto.output.count("/device/+/config")

    def stop(self, *, forget: bool = False) -> None:
        """`forget`: the power went before anything was written down."""
        self.mosquitto.terminate()
        self.mosquitto.kill()
        if forget:
            (self._folder / "mosquitto.db").unlink(missing_ok=True)

    def retained(self) -> dict[str, str]:
        """Every retained topic and its payload."""
        return self.mosquitto.retained()

    def publish(self, topic: str, payload: str = "", *, retain: bool = False) -> None:
        self._publish([topic], payload, retain=retain)

    def clear(self, topics: Iterable[str]) -> None:
        """Retain nothing there any more; who listens is told so."""
        self._publish(topics, "", retain=True)

    def _publish(self, topics: Iterable[str], payload: str, *, retain: bool) -> None:
        messages: list[Any] = [{"topic": topic, "payload": payload, "qos": 1, "retain": retain} for topic in topics]
        if messages:
            publish.multiple(messages, "127.0.0.1", self.port)
