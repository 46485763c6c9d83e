"""The web server of a simulated router: sockets and HTTP, and no more of the router than that."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from socketserver import TCPServer
from typing import TYPE_CHECKING

from dalla_mqtt.router.simulator.cgi import Request
from dalla_mqtt.router.simulator.orders import obey
from dalla_mqtt.router.simulator.replies import Reply

if TYPE_CHECKING:
    import socket

    from dalla_mqtt.router.simulator import Simulator

_LONGEST_LENGTH = 6  # digits of a Content-Length: below a megabyte
_PATIENCE_S = 10  # with a client that neither reads nor writes


class Server(ThreadingHTTPServer):
    """Listens from the moment it is made."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """As HTTPServer's own, which looks the host up in the DNS besides: that may take seconds."""
        TCPServer.server_bind(self)

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]
        """Know the connection, so that it can be cut."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Forget it."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is nothing to report."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def hang_up(self) -> None:
        """Cut what is open."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _PATIENCE_S
    _answered = False  # anything, on this connection

    def do_GET(self) -> None:
        """The state for the simulator's users, the router's pages for anybody."""
        path, _, query = self.path.partition("?")
        if path == "/simulator":
            self._send(self._state())
        elif self.server.simulator.booting:
            self.close_connection = True
        elif path.startswith("/cgi/"):
            self.server.simulator.answer(self._request(path, query, b""), self._send)
        else:
            self._send(self.server.simulator.page(self._request(path, query, b"")))

    def do_POST(self) -> None:
        """A request to the router, or an order for the simulator."""
        path, _, query = self.path.partition("?")
        body = self._body()
        if body is None:
            self.send_error(HTTPStatus.BAD_REQUEST)
        elif path == "/simulator":
            self._send(self._obey(body))
        elif self.server.simulator.booting:
            self.close_connection = True
        elif path in ("/cgi", "/cgi_gdpr") or path.startswith("/cgi/"):
            self.server.simulator.answer(self._request(path, query, body), self._send)
        else:  # a page may be posted for, too: the client of a real C20 does
            self._send(self.server.simulator.page(self._request(path, query, body)))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Errors that http.server finds have the router's page, too."""
        del message, explain
        self._send(Reply.page(HTTPStatus(code)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has in http.server
        """Say nothing: stderr belongs to whoever runs the simulator."""

    def _request(self, path: str, query: str, body: bytes) -> Request:
        """`X-Simulated-Client` stands for another machine, as all tests come from one."""
        cookies = self.headers.get("Cookie", "").split(";")
        return Request(
            path,
            query,
            body,
            client=self.headers.get("X-Simulated-Client", self.client_address[0]),
            connection=self.client_address[1],
            host=self.headers.get("Host", ""),
            referer=self.headers.get("Referer", ""),
            token=self.headers.get("TokenID", ""),
            cookies=tuple(cookie.strip() for cookie in cookies),
        )

    def _obey(self, body: bytes) -> Reply:
        try:
            obey(self.server.simulator, body)
        except ValueError as error:
            return Reply(HTTPStatus.BAD_REQUEST, f"{error}\n".encode())
        return self._state()

    def _state(self) -> Reply:
        return Reply(HTTPStatus.OK, json.dumps(self.server.simulator.state()).encode(), "application/json")

    def _body(self) -> bytes | None:
        """What was posted; None where its length is missing, nonsense or too much, or where less of it came."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > _LONGEST_LENGTH:
            return None
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    def _send(self, reply: Reply) -> None:
        """Header and body in one go, so that no part waits for the other's acknowledgement.

        ConnectionError where that is not what the fault lets happen.
        """
        if reply.status is not HTTPStatus.OK:
            self.close_connection = True
        message = self._leak(reply) + self._head(reply) + self._framed(reply)
        match reply.fault:
            case "late":
                time.sleep(self.server.simulator.firmware.late_s)
                self.wfile.write(message)
                return
            case "cut":
                self.wfile.write(message[: -len(reply.body) // 2])
            case "silent":
                self.rfile.read(1)
            case "hang_up":
                pass
            case _:
                self.wfile.write(message)
                return
        raise ConnectionAbortedError(reply.fault)

    def _leak(self, reply: Reply) -> bytes:
        """The line that firmware with leaky chunks puts before every answer of a connection but the first."""
        answered, self._answered = self._answered, True
        leaks = answered and self.server.simulator.firmware.leaky_chunks
        return b"18\r\n" if leaks or reply.fault == "leak" else b""

    def _head(self, reply: Reply) -> bytes:
        firmware = self.server.simulator.firmware
        chunked = firmware.leaky_chunks if reply.status is HTTPStatus.OK else firmware.false_chunks
        lines = [
            f"HTTP/1.1 {reply.status.value} {reply.status.phrase}",
            f"Content-Type: {reply.content_type}",
            "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(reply.body)}",
            f"Connection: {'close' if self.close_connection else 'keep-alive'}",
        ]
        if reply.session:
            lines.append(f"Set-Cookie: JSESSIONID={reply.session}; Path=/; HttpOnly")
        return "\r\n".join([*lines, "", ""]).encode()

    def _framed(self, reply: Reply) -> bytes:
        if reply.status is not HTTPStatus.OK or not self.server.simulator.firmware.leaky_chunks:
            return reply.body
        chunk = b"%X\r\n%b\r\n" % (len(reply.body), reply.body) if reply.body else b""
        return chunk + b"0\r\n\r\n"
