"""The page's socket and its threads. Who asks slowly, or only holds a connection, keeps nobody else waiting."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dalla_mqtt.config import WebConfig
from dalla_mqtt.report.records import Records
from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.usage.commands import Command

if TYPE_CHECKING:
    from waitress.server import BaseWSGIServer

_log = logging.getLogger(__name__)

_THREADS = 4
_LONGEST_BODY = 64 * 1024  # bytes that are taken in before the answer that they are too many
_LIMITS = {
    "connection_limit": 400,  # of the 1024 files that a program may open
    "channel_timeout": 20,  # seconds after which a connection that says nothing is closed
    "cleanup_interval": 5,
    "max_request_header_size": 16 * 1024,
    "max_request_body_size": _LONGEST_BODY,
    "inbuf_overflow": 2 * _LONGEST_BODY,  # nothing of it goes to a file
}
_STOP_S = 0.3  # how long an answer that is being made may take


class Server:
    """Serves in threads of its own. `snapshot`: what is known now; None: nothing yet."""

    def __init__(self, web: WebConfig, snapshot: Callable[[], Snapshot | None], records: Records) -> None:
        self._web = web
        self._snapshot = snapshot
        self._records = records
        self._lock = threading.Lock()
        self._stopping = False
        self._socket: socket.socket | None = None
        self._server: BaseWSGIServer | None = None
        self._sockets: dict[int, Any] = {}
        self.port: int | None = None

    def start(self, command: Callable[[Command], None]) -> None:
        """Listen, if that can be, and say where; returns at once. `command` is called from any thread."""
        host, port = self._web.host, self._web.port
        try:
            self._socket = _listen(host, port)
        except OSError as error:
            mend = "set another web.listen, or off"
            _log.warning("there is no page: cannot listen on %s: %s; %s", _shown(host, port), error.strerror, mend)
            return
        self.port = self._socket.getsockname()[1]
        _log.info("the page is at http://%s/", _shown(host, self.port))
        threading.Thread(target=self._serve, args=(command,), name="page", daemon=True).start()

    def stop(self) -> None:
        """Close all connections."""
        with self._lock:
            self._stopping = True
            if self._server is None:
                if self._socket is not None:
                    self._socket.close()
                return
        self._server.trigger.pull_trigger(self._close)
        self._server.task_dispatcher.shutdown(timeout=_STOP_S)

    def _serve(self, command: Callable[[Command], None]) -> None:
        from dalla_mqtt.report.web.app import App  # noqa: PLC0415  # costs 60 ms: the first poll goes ahead
        from dalla_mqtt.report.web.channel import make_server  # noqa: PLC0415

        app = App(self._web, self._snapshot, self._records, command)
        with self._lock:
            if self._stopping or self._socket is None:
                return
            self._server = make_server(app, self._socket, self._sockets, threads=_THREADS, **_LIMITS)
        self._server.run()

    def _close(self) -> None:
        """In the thread that serves, which ends when nothing is open any more."""
        from waitress.wasyncore import close_all  # noqa: PLC0415

        close_all(self._sockets, ignore_all=True)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
