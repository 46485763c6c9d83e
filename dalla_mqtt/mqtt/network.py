"""One thread that reads and writes for every connection to a broker there is, and a few that connect."""

from __future__ import annotations

import errno
import heapq
import itertools
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple

import paho.mqtt.client as paho

_log = logging.getLogger(__name__)

_MOST_ATTEMPTS = 32  # at once: each may wait for seconds, for a name, an answer or a handshake
_HIRE_AGAIN_S = 1.0
_KEEPALIVE_STEP_S = 1.0
_LARGEST = 1 << 20  # bytes of a message; paho takes up to 256 MiB, several times over
_WAKE = b"\0"
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class _Driven(NamedTuple):
    client: paho.Client
    context: Context  # which says whose log it is


class Network:
    """The thread runs while somebody is in: between `enter` and `leave`, and while there is an attempt to connect.

    What is called by it must not wait. Whatever is called may raise: it is logged, a connection on which that
    happened is cut, and the others go on. All methods but `drive` and `cut` may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._running = False
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._due: list[tuple[float, int, Callable[[], None]]] = []  # a heap, by the monotonic clock
        self._numbers = itertools.count()
        self._unread: dict[paho.Client, _Driven] = {}  # of which bytes are left where no selector sees them
        self._attempts: deque[Callable[[], None]] = deque()
        self._attempting = 0  # threads

    def enter(self) -> None:
        """Keep the thread running until `leave`."""
        with self._lock:
            self._inside += 1
            if not self._running:
                self._running = True
                self._selector = selectors.DefaultSelector()
                ear, self._voice = socket.socketpair()
                for end in (ear, self._voice):
                    end.settimeout(0.0)
                self._selector.register(ear, _READ)
                run = partial(self._run, self._selector, ear, self._voice)
                threading.Thread(target=run, name="brokers", daemon=True).start()

    def leave(self) -> None:
        """What was called before is done, and all that was to be called later is not, where nobody is left."""
        with self._lock:
            self._inside -= 1
        self._wake()

    def soon(self, call: Callable[[], None]) -> None:
        """Call it from the network's thread, in the order of these calls."""
        self._calls.put(partial(copy_context().run, call))
        self._wake()

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call it from the network's thread, then."""
        at = time.monotonic() + delay_s
        self._calls.put(partial(self._remember, at, partial(copy_context().run, call)))
        self._wake()

    def attempt(self, call: Callable[[], None]) -> None:
        """Call what may wait for seconds, from another thread; in its turn where many do."""
        self.enter()
        with self._lock:
            self._attempts.append(partial(copy_context().run, call))
        self._hire()

    def prepare(self, client: paho.Client) -> None:
        """Before `client` connects: nothing is written but from the network's thread, and nothing huge is read."""
        receive = client._sock_recv  # noqa: SLF001  # there is no other place where it could be bounded
        client._sock_recv = partial(_receive, receive)  # type: ignore[method-assign]  # noqa: SLF001
        client.on_socket_register_write = _leave_it_to_look
        client.on_socket_close = lambda _client, _data, connection: self._forget(client, connection)

    def drive(self, client: paho.Client) -> None:
        """Read and write for `client`, which is connected, until its connection ends or is cut."""
        connection = client.socket()
        if connection is not None:
            self._selector.register(connection, _READ, _Driven(client, copy_context()))
            self._look(client)

    def look(self, client: paho.Client) -> None:
        """There may be something to write for `client`."""
        self._calls.put(partial(self._look, client))
        self._wake()

    def cut(self, client: paho.Client) -> None:
        """End its connection without a word to the broker, whatever is under way on it."""
        connection = client.socket()
        if connection is None:
            return
        with suppress(OSError), socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as twin:
            twin.shutdown(socket.SHUT_RDWR)
        client.disconnect()  # goes nowhere, and paho closes what it cannot write to
        client.loop_write()

    def _run(self, selector: selectors.BaseSelector, ear: socket.socket, voice: socket.socket) -> None:
        self.after(_KEEPALIVE_STEP_S, self._keep_alive)
        with selector, ear, voice:
            while not self._over():
                self._go_round(selector, ear)

    def _remember(self, at: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), call))

    def _over(self) -> bool:
        with self._lock:
            if self._inside or not self._calls.empty():
                return False
            self._running = False
            self._due.clear()
            return True

    def _go_round(self, selector: selectors.BaseSelector, ear: socket.socket) -> None:
        pause_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
        ready = selector.select(0.0 if self._unread else pause_s)
        unread, self._unread = self._unread, {}
        for driven in unread.values():
            self._guard(driven, _READ)
        for key, events in ready:
            if key.data is None:
                with suppress(BlockingIOError):
                    ear.recv(4096)
            else:
                self._guard(key.data, events)
        with suppress(Empty):
            while True:
                _guarded(self._calls.get_nowait())
        while self._due and self._due[0][0] <= time.monotonic():
            _guarded(heapq.heappop(self._due)[2])

    def _guard(self, driven: _Driven, events: int) -> None:
        """Serve it; without `events` because time has passed.

        After whatever was not expected paho would take the same packet up again, for ever.
        """
        try:
            driven.context.run(self._serve, driven, events)
        except Exception:  # noqa: BLE001  # the other connections go on
            driven.context.run(_log.exception, "a connection to a broker is cut")
            _guarded(partial(driven.context.run, self.cut, driven.client))

    def _serve(self, driven: _Driven, events: int) -> None:
        client = driven.client
        if not events:
            client.loop_misc()
        if events & _READ:
            client.loop_read()
        if events & _WRITE:
            client.loop_write()
        connection = client.socket()
        pending = getattr(connection, "pending", None)
        if pending is not None and pending():
            self._unread[client] = driven
        self._look(client)

    def _look(self, client: paho.Client) -> None:
        """Wait until it can be written where something is to be. Whoever queues more calls `look` after that."""
        connection = client.socket()
        if connection is None:
            return
        with suppress(KeyError):  # not driven yet
            key = self._selector.get_key(connection)
            events = _READ | _WRITE if client.want_write() else _READ
            if key.events != events:
                self._selector.modify(connection, events, key.data)

    def _keep_alive(self) -> None:
        """Have paho ask who was silent for long, and end the connection where there was no answer."""
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._guard(key.data, 0)
        self.after(_KEEPALIVE_STEP_S, self._keep_alive)

    def _forget(self, client: paho.Client, connection: object) -> None:
        self._unread.pop(client, None)
        with suppress(KeyError, ValueError):  # never driven
            self._selector.unregister(connection)  # type: ignore[arg-type]  # it has a fileno()

    def _hire(self) -> None:
        """One thread more for what waits to be attempted."""
        with self._lock:
            if not self._attempts or self._attempting == _MOST_ATTEMPTS:
                return
            self._attempting += 1
        try:
            threading.Thread(target=self._attempt, name="connect", daemon=True).start()
        except RuntimeError:  # the system has none to give
            with self._lock:
                self._attempting -= 1
            self.after(_HIRE_AGAIN_S, self._hire)

    def _attempt(self) -> None:
        while True:
            with self._lock:
                if not self._attempts:
                    self._attempting -= 1
                    return
                call = self._attempts.popleft()
            _guarded(call)
            self.leave()

    def _wake(self) -> None:
        with suppress(OSError):  # it has much to do anyway; or it has ended
            self._voice.send(_WAKE)


def _receive(receive: Callable[[int], bytes], size: int) -> bytes:
    """What is there of the `size` bytes that are left of a packet. Raises OSError, for paho, where it is too large."""
    if size > _LARGEST:
        _log.warning("a broker sends a message of more than %d bytes: its connection is cut", _LARGEST)
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
    return receive(size)


def _leave_it_to_look(*_: object) -> None:
    """For paho, which writes from any thread where nobody is told of what there is to write.

    What it says is not enough: it says nothing of what is queued in the moment in which it finds that all is written.
    """


def _guarded(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:  # noqa: BLE001  # the thread goes on
        _log.exception("something went wrong with a broker")
