"""waitress, with its own complaints in the words and with the headers of all other answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask

from dalla_mqtt.report.web.answers import HEADERS, error_json

_LONGEST_BODY = 64 * 1024  # bytes that are taken in before the answer that they are too many
_LIMITS: dict[str, int] = {
    "threads": 4,
    "connection_limit": 400,  # of the 1024 files that a program may open
    "channel_timeout": 20,  # seconds after which a connection that says nothing is closed
    "cleanup_interval": 5,
    "max_request_header_size": 16 * 1024,
    "max_request_body_size": _LONGEST_BODY,
    "inbuf_overflow": 2 * _LONGEST_BODY,  # nothing of it goes to a file
}
LONGEST_REQUEST_S = 20.0
_LEAVE_S = 0.3  # how long an answer that is being made may take when all ends


class _Complaint(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """The answer to what is no request: JSON, and then the connection is closed."""

    def execute(self) -> None:
        error = self.request.error
        body = error_json(f"{error.reason}: {error.body}")
        self.status = f"{error.code} {error.reason}"
        self.response_headers.extend([("Content-Type", "application/json"), *HEADERS.items()])
        self.response_headers.append(("Cache-Control", "no-store"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    error_task_class = _Complaint
    _began = 0.0  # when the first bytes of a request came, which is not whole yet; monotonic

    def received(self, data: bytes) -> bool:
        """Take in what came. Who says one request for too long is cut off, however often something comes."""
        now = time.monotonic()
        if self.request is None:
            self._began = now
        elif now - self._began > LONGEST_REQUEST_S:
            self.will_close = True
            return False
        taken: bool = super().received(data)
        return taken


class Loop:
    """Serves `app` on a socket that listens, turn by turn; answers are made in threads of their own."""

    def __init__(self, app: Callable[..., Any], listening: socket.socket) -> None:
        self._open: dict[int, Any] = {}
        self._server = create_server(app, map=self._open, sockets=[listening], ident="dalla-mqtt", **_LIMITS)
        self._server.channel_class = _Channel
        self._workers = self._server.task_dispatcher

    def turn(self) -> None:
        """Pass on what has come, or wait for it a second."""
        wasyncore.loop(timeout=1, use_poll=True, map=self._open, count=1)

    def wake(self) -> None:
        """End the turn that is under way. For any thread, until `end` is called."""
        self._server.pull_trigger()

    def end(self) -> None:
        """Close all that was opened since, but for what a worker that is still at it will write to.

        The number of that file could be another one's by then.
        """
        self._workers.shutdown(timeout=_LEAVE_S)
        spared = self._server.trigger if self._workers.threads else None
        for one in [*self._open.values()]:
            if one is not self._server and one is not spared:
                one.handle_close()
