"""The line between a client and its router, with somebody on it who sees each request and may cut it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from tests.bad_line import message, serve_each, serve_no_more
from tests.processes import PATIENCE_S

Watch = Callable[[bytes], object]


class WatchedLine:
    """Leads from `url` to the router at `port`.

    Each request is shown to `before` when it has come, and to `after` when the router has answered it, of which the
    client has not heard then. An OSError that one of them raises cuts the line.
    """

    def __init__(self, port: int) -> None:
        self._router = ("127.0.0.1", port)
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.before: Watch = lambda _: None
        self.after: Watch = lambda _: None

    def __enter__(self) -> Self:
        serve_each(self._server, self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        serve_no_more(self._server)

    def _serve(self, client: socket.socket) -> None:
        """On a connection of its own to the router, which some firmware wants for all requests of a login."""
        with client, suppress(OSError), socket.create_connection(self._router, PATIENCE_S) as router:
            client.settimeout(PATIENCE_S)
            while request := message(client):
                self.before(request)
                router.sendall(request)
                answer = message(router)
                self.after(request)
                client.sendall(answer)
