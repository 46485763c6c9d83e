"""The page's socket and its threads. Who asks slowly, or only holds a connection, keeps nobody else waiting."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable

from dalla_mqtt.config import WebConfig
from dalla_mqtt.report.records import Records
from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.usage.commands import Command

_log = logging.getLogger(__name__)

_STOP_S = 0.8


class Server:
    """Serves in threads of its own. `snapshot`: what is known now; None: nothing yet."""

    def __init__(self, web: WebConfig, snapshot: Callable[[], Snapshot | None], records: Records) -> None:
        self._web = web
        self._snapshot = snapshot
        self._records = records
        self._lock = threading.Lock()  # for whether it stops
        self._stopping = False
        self._wake: Callable[[], None] = lambda: None
        self._thread: threading.Thread | None = None
        self.port: int | None = None

    def start(self, command: Callable[[Command], None]) -> None:
        """Listen, if that can be, and say where; returns at once. `command` is called from any thread."""
        host, port = self._web.host, self._web.port
        try:
            listening = _listen(host, port)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            _log.warning("there is no page: cannot listen on %s: %s; set web.listen", _shown(host, port), why)
            return
        self.port = listening.getsockname()[1]
        _log.info("the page is at http://%s/", _shown(host, self.port))
        self._thread = threading.Thread(target=self._serve, args=(listening, command), name="page", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close all connections. An answer that is being made is not waited for long."""
        with self._lock:
            self._stopping = True
            self._wake()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def _serve(self, listening: socket.socket, command: Callable[[Command], None]) -> None:
        with listening:
            from dalla_mqtt.report.web.app import App  # noqa: PLC0415  # costs 60 ms: the first poll goes ahead
            from dalla_mqtt.report.web.channel import Loop  # noqa: PLC0415

            app = App(self._web, self._snapshot, self._records, command)
            loop = Loop(app, listening)
            with self._lock:
                self._wake = loop.wake
            while not self._stopping:
                loop.turn()
            with self._lock:
                self._wake = lambda: None
            loop.end()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
