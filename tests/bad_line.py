"""The line between a client and its router, and all that can happen to an answer on it: a proxy, over real sockets.

All is passed on as it is but for answers with statistics, which are spoilt for as long as `fault` says how.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

from tests.processes import PATIENCE_S

Pieces = Iterable[bytes | float]  # what is sent, and for how many seconds nothing is


@dataclass(frozen=True)
class Fault:
    """`pieces` makes of the body that the router answered what the client is sent, head and all.

    After that the line closes (for its own part: the client may still speak), is reset, or stays open in silence.
    `reached`: whether the router has heard of the request at all; if not, the body is empty.
    """

    pieces: Callable[[bytes], Pieces]
    end: Literal["close", "reset", "hold"] = "close"
    reached: bool = True


class BadLine:
    """Leads from `url` to the router at `port`."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = socket.create_server((host, 0), family=family, backlog=128)
        self._port = port
        self._open: set[socket.socket] = set()  # connections with a spoilt answer on them
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._server.getsockname()[1]}"
        self.fault: Fault | None = None
        self.asked: list[float] = []  # when each request came whose answer was spoilt, on the monotonic clock
        self.gone: list[float] = []  # when the client had hung up on it, or been hung up on

    def __enter__(self) -> Self:
        serve_each(self._server, self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        serve_no_more(self._server)
        self.heal()

    def heal(self) -> None:
        """Spoil no more, and cut what is being spoilt."""
        self.fault = None
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(PATIENCE_S)
            while request := message(client):
                fault = self.fault if b"[STAT_ENTRY#" in request else None
                if fault is not None:
                    self._spoil(client, fault, request)
                    return
                client.sendall(answered(self._port, request))

    def _spoil(self, client: socket.socket, fault: Fault, request: bytes) -> None:
        self.asked.append(time.monotonic())
        body = answered(self._port, request).partition(b"\r\n\r\n")[2] if fault.reached else b""
        self._open.add(client)
        try:
            for piece in fault.pieces(body):
                if isinstance(piece, bytes):
                    client.sendall(piece)
                elif gone(client, piece):
                    return
            if fault.end == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if fault.end == "close":
                client.shutdown(socket.SHUT_WR)
            gone(client, PATIENCE_S)
        finally:
            self._open.discard(client)
            self.gone.append(time.monotonic())


def serve_each(server: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    """Give each client of `server` to `serve`, in threads of their own, until it is shut down. Returns at once."""

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def serve_no_more(server: socket.socket) -> None:
    """End what `serve_each` began: no further client is let in."""
    server.shutdown(socket.SHUT_RDWR)  # which ends accept()
    server.close()


def answered(port: int, request: bytes) -> bytes:
    """What the router at `port` answers, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as router:
        router.sendall(request)
        return message(router)


def gone(client: socket.socket, patience_s: float) -> bool:
    """Wait so long, or until the client hangs up: whether it did. It has nothing more to say after its request."""
    return bool(select.select([client], [], [], patience_s)[0])


def message(peer: socket.socket) -> bytes:
    """A whole request or answer, by its Content-Length; nothing where the peer hangs up before its head is there."""
    text = b""
    while b"\r\n\r\n" not in text:
        more = peer.recv(2**16)
        if not more:
            return b""
        text += more
    head = text.partition(b"\r\n\r\n")[0]
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    size = len(head) + 4 + (int(length[1]) if length else 0)
    while len(text) < size and (more := peer.recv(2**16)):
        text += more
    return text


# What a client may be sent


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer of which these headers say whatever they like."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]).encode() + body


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer as it should be."""
    return answer(body, f"Content-Length: {len(body)}", *headers, status=status)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked(*parts: bytes) -> bytes:
    """An answer as it should be, in so many chunks."""
    return answer(b"".join(chunk(part) for part in (*parts, b"")), "Transfer-Encoding: chunked")


def drip(data: bytes, every_s: float) -> Iterator[bytes | float]:
    """Byte by byte."""
    for byte in data:
        yield bytes([byte])
        yield every_s


def endless(data: bytes, first: bytes = b"") -> Iterator[bytes]:
    """`first`, and then `data` for ever."""
    yield first
    much = data * (2**16 // len(data) + 1)
    while True:
        yield much


FULL_WIDTH = "１２３"  # noqa: RUF001  # digits for Unicode, but not for a router


def bomb(wbits: int = 31) -> bytes:
    """200 MB of zeros in 1 MB; `wbits` as zlib has it: 31 for gzip, 15 for deflate."""
    squeeze, zeros = zlib.compressobj(1, wbits=wbits), bytes(2**20)
    return b"".join(squeeze.compress(zeros) for _ in range(200)) + squeeze.flush()
