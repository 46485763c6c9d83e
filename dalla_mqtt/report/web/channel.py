"""waitress, with its own complaints in the words and with the headers of all other answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ErrorTask

from dalla_mqtt.report.web.answers import HEADERS, error_json

LONGEST_REQUEST_S = 20.0


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


def make_server(
    app: Callable[..., Any], listening: socket.socket, sockets: dict[int, Any], **limits: int
) -> BaseWSGIServer:
    """A server of `app` on a socket that listens; all that is open is in `sockets`."""
    server = create_server(app, map=sockets, sockets=[listening], ident="dalla-mqtt", asyncore_use_poll=True, **limits)
    server.channel_class = _Channel
    return server
