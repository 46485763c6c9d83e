"""Clients of a broker, and what they are told."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from dalla_mqtt.config import BrokerAddress, MqttConfig
from dalla_mqtt.mqtt.client import Client
from dalla_mqtt.mqtt.network import Network

WILL = "dalla/home/status"
TOPICS = ("homeassistant/status", "dalla/home/device/+/name/set")


def at(port: int, transport: Literal["tcp", "websockets"] = "tcp", *, tls: bool = False) -> BrokerAddress:
    return BrokerAddress("127.0.0.1", port, transport, tls)


def certify(folder: Path, name: str) -> None:
    """A certificate for this machine, which nobody but itself has signed, and its key."""
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    make += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / f"{name}.key")]
    subprocess.run([*make, "-out", str(folder / f"{name}.pem")], check=True, capture_output=True)


class Connected:
    """A client, and what it was told. `network`: that of others."""

    def __init__(
        self,
        *addresses: BrokerAddress,
        will: str = WILL,
        topics: tuple[str, ...] = TOPICS,
        network: Network | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        defaults: dict[str, Any] = {
            "addresses": addresses,
            "username": None,
            "password": None,
            "ca_file": None,
            "cert_file": None,
            "key_file": None,
            "client_id": "dalla-home",
            "base_topic": "dalla",
            "qos": 1,
        }
        self.times = 0
        self.heard: list[tuple[str, bytes]] = []
        self.client = Client(
            MqttConfig(**{**defaults, **settings}),
            will,
            topics,
            again=self._count,
            on_message=lambda *heard: self.heard.append(heard),
            network=network or Network(),
        )

    def _count(self) -> None:
        self.times += 1


@contextmanager
def connected(*addresses: BrokerAddress, **settings: Any) -> Iterator[Connected]:  # noqa: ANN401
    made = Connected(*addresses, **settings)
    made.client.start()
    try:
        yield made
    finally:
        made.client.stop()
