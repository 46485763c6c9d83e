"""A broker that can be had to do less than it should: MQTT 3.1.1 over a real socket, as far as the tests need it.

It passes on what is published, and keeps what is retained. Some real ones find that by the very topic only, and some
refuse subscriptions for a while, or answer late. Sources: MQTT 3.1.1, 3.1 to 3.14; 4.7 for what a filter matches.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Self

from paho.mqtt.client import topic_matches_sub

from tests.bad_line import serve_each, serve_no_more

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 10, 12, 14
REFUSED = 0x80


class Scripted:
    """At `port` of the loopback. `wildcards`: whether what it keeps is found by them."""

    def __init__(self, *, wildcards: bool = True) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._wildcards = wildcards
        self.port: int = self._server.getsockname()[1]
        self.refuses: set[str] = set()
        self.mute = False  # to who subscribes
        self.asked: list[list[str]] = []  # the filters of each SUBSCRIBE
        self.granted: list[str] = []
        self.kept: dict[str, bytes] = {}
        self.said: list[tuple[str, bytes]] = []
        self._clients: dict[socket.socket, set[str]] = {}

    def __enter__(self) -> Self:
        serve_each(self._server, self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        serve_no_more(self._server)
        for client in list(self._clients):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    @property
    def subscribed(self) -> list[set[str]]:
        """The filters of each client that is connected."""
        return list(self._clients.values())

    def tell(self, topic: str, payload: bytes) -> None:
        """To all who are subscribed."""
        for client, filters in list(self._clients.items()):
            if any(topic_matches_sub(one, topic) for one in filters):
                client.sendall(published(topic, payload, kept=False))

    def _serve(self, client: socket.socket) -> None:
        self._clients[client] = set()
        with client, suppress(OSError), client.makefile("rb") as stream:
            while head := stream.read(1):
                size = shift = 0
                while (byte := stream.read(1)[0]) & 0x80:
                    size, shift = size | (byte & 0x7F) << shift, shift + 7
                self._answer(client, head[0], stream.read(size | byte << shift))
        del self._clients[client]

    def _answer(self, client: socket.socket, head: int, body: bytes) -> None:
        kind = head >> 4
        if kind == CONNECT:
            client.sendall(b"\x20\x02\x00\x00")
        elif kind == PUBLISH:
            self._publish(client, head, body)
        elif kind == SUBSCRIBE:
            self._subscribe(client, body)
        elif kind == UNSUBSCRIBE:
            self._clients[client] -= {topic for topic, _ in strings(body[2:], after=0)}
            client.sendall(b"\xb0\x02" + body[:2])
        elif kind == PINGREQ:
            client.sendall(b"\xd0\x00")

    def _publish(self, client: socket.socket, head: int, body: bytes) -> None:
        topic, rest = string(body)
        if head & 0b110:
            client.sendall(b"\x40\x02" + rest[:2])
            rest = rest[2:]
        if head & 1:
            self.kept[topic] = rest
        self.said.append((topic, rest))
        self.tell(topic, rest)

    def _subscribe(self, client: socket.socket, body: bytes) -> None:
        filters = [topic for topic, _ in strings(body[2:], after=1)]
        self.asked.append(filters)
        if self.mute:
            return
        granted = [one for one in filters if one not in self.refuses]
        self.granted += granted
        self._clients[client] |= set(granted)
        answers = bytes(1 if one in granted else REFUSED for one in filters)
        client.sendall(bytes([0x90, 2 + len(filters)]) + body[:2] + answers)
        for topic, payload in self.kept.items():
            if any(topic_matches_sub(one, topic) if self._wildcards else one == topic for one in granted):
                client.sendall(published(topic, payload, kept=True))


def published(topic: str, payload: bytes, *, kept: bool) -> bytes:
    """A PUBLISH at QoS 0."""
    body = struct.pack("!H", len(topic.encode())) + topic.encode() + payload
    size, digits = len(body), []
    while size > 0x7F:
        digits.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([PUBLISH << 4 | kept, *digits, size]) + body


def string(body: bytes) -> tuple[str, bytes]:
    """The string that `body` begins with, and the rest."""
    (size,) = struct.unpack_from("!H", body)
    return body[2 : 2 + size].decode(), body[2 + size :]


def strings(body: bytes, *, after: int) -> list[tuple[str, bytes]]:
    """All of them, each with `after` bytes that follow it."""
    found = []
    while body:
        text, body = string(body)
        found.append((text, body[:after]))
        body = body[after:]
    return found
