"""An Archer C20 to demonstrate on and to test against, over a real socket.

It speaks the plain-cookie protocol of docs/router.md, and beside it, under /simulator, tells what it truly moved and
takes orders from whoever runs it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from socketserver import TCPServer
from typing import TYPE_CHECKING, Literal, Self

from dalla_mqtt.router.simulator.cgi import Door, Request
from dalla_mqtt.router.simulator.household import Household, Traffic
from dalla_mqtt.router.simulator.memory import LOGIN_PAGE, Fault, Firmware, Reply, SimulatedRouter
from dalla_mqtt.router.simulator.orders import obey
from dalla_mqtt.router.simulator.statistics import Truth

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import TracebackType

    from dalla_mqtt.usage.reading import Mac

__all__ = ["Fault", "Firmware", "Household", "Simulator", "Truth"]

_LONGEST_LENGTH = 6  # digits of a Content-Length: below a megabyte
_PATIENCE_S = 10  # with a client that neither reads nor writes
_STOP_CHECK_S = 0.02  # what `stop` waits at most
_PACKET_BYTES = 900


class Simulator:
    """A router that serves `household` at `host`:`port` (0: any free one). Thread-safe; time is what `clock` says.

    Used as a context manager, it serves from a thread of its own between the two ends of the block.
    """

    def __init__(  # noqa: PLR0913  # all but the household are named at the call and have a default
        self,
        household: Household,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        username: str = "admin",
        password: str = "admin",  # noqa: S107  # what the box comes with
        firmware: Firmware = Firmware(),  # noqa: B008  # frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._router = SimulatedRouter(household, firmware, Door(username, password), clock)
        self._lock = threading.Lock()
        self._host = host
        self._port = port
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on; kept when it is stopped and started again."""
        return self._port

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"http://{self._host}:{self._port}"

    @property
    def booting(self) -> bool:
        """Whether it is too early after a reboot for any answer."""
        with self._lock:
            return self._router.booting

    def start(self) -> Self:
        """Serve from a thread of its own, where it does not yet: connections are taken when this returns.

        OSError where the port is taken.
        """
        if self._server is None:
            serve = self._bind().serve_forever
            threading.Thread(target=serve, args=(_STOP_CHECK_S,), name="simulator", daemon=True).start()
        return self

    def serve_forever(self) -> None:
        """Serve from the calling thread, until `stop` is called in another or an exception ends it."""
        server = self._bind()
        try:
            server.serve_forever(_STOP_CHECK_S)
        finally:
            server.close()
            self._server = None

    def stop(self) -> None:
        """Take no more connections and cut the open ones. What the router remembers stays for another `start`."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.close()

    def freeze(self) -> None:
        """Nothing moves any more but by `add`."""
        with self._lock:
            self._router.catch_up()
            self._router.frozen = True

    def thaw(self) -> None:
        """Everything moves again, from now on."""
        with self._lock:
            self._router.catch_up()
            self._router.frozen = False

    def reboot(self) -> None:
        """Drop rows and session; connections are dropped unanswered for as long as the firmware takes to boot."""
        with self._lock:
            self._router.reboot()

    def reset(self) -> None:
        """Zero every row."""
        with self._lock:
            self._router.catch_up()
            self._router.statistics.reset()

    def clear(self) -> None:
        """Delete every row."""
        with self._lock:
            self._router.catch_up()
            self._router.statistics.clear()

    def move(self, ip: str, mac: Mac, name: str = "Unknown") -> None:
        """Give the address to `mac`; its row carries on, under the new MAC from the next upload.

        A MAC of the household brings its own habits and name. A stranger takes the place of the one who had the
        address, and goes by `name`. ValueError where neither is known.
        """
        with self._lock:
            self._router.catch_up()
            self._router.household.hand_over(ip, mac, name)

    def add(
        self,
        mac: Mac,
        ip: str,
        bytes: int,  # noqa: A002  # what the row and the order call it, too
        packets: int | None = None,
        direction: Literal["up", "down"] = "up",
    ) -> None:
        """`mac` moves exactly `bytes` bytes from `ip`, in so many packets or a likely number of them.

        Makes the row where there is none; only what goes up tells the row its MAC.
        """
        likely = bytes // _PACKET_BYTES + 1
        traffic = Traffic(bytes, likely if packets is None else packets, uploaded=direction == "up")
        with self._lock:
            self._router.catch_up()
            self._router.move(ip, mac, traffic)

    def fault(self, kind: Fault, count: int = 1) -> None:
        """Spoil the next `count` replies to a batch with a STAT_ENTRY in it, after those already in line."""
        with self._lock:
            self._router.faults.extend([kind] * count)

    def truth(self) -> dict[Mac, Truth]:
        """What each MAC truly moved up to now, and how much of it the replies have shown."""
        with self._lock:
            self._router.catch_up()
            return self._router.witness.truth()

    def state(self) -> dict[str, object]:
        """What GET /simulator answers. The rows are as a client would see them now; looking shows them to nobody."""
        with self._lock:
            router = self._router
            router.catch_up()
            return {
                "rows": [
                    {
                        "ip": row.ip,
                        "mac": row.mac.colons if row.mac else None,
                        "packets": row.packets % router.modulus,
                        "bytes": row.bytes % router.modulus,
                    }
                    for row in router.statistics.rows
                ],
                "truth": {mac.colons: asdict(truth) for mac, truth in router.witness.truth().items()},
                "uptime_s": router.uptime_s,
                "logins": router.door.logins,
                "logouts": router.door.logouts,
                "replies": router.replies,
                "refused": router.refused,
                "session": router.owner,
            }

    def answer(self, request: Request, send: Callable[[Reply], None]) -> None:
        """Answer through `send`, one client at a time as the router does.

        The lock is held until all is sent, so that nobody can ask for the truth between a reply and its being known.
        """
        with self._lock:
            reply = self._router.answer(request)
            send(reply)
            self._router.sent(reply)

    def _bind(self) -> _Server:
        self._server = _Server((self._host, self._port), self)
        self._port = self._server.server_address[1]
        return self._server


class _Server(ThreadingHTTPServer):
    """Listens from the moment it is made."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's own looks the host up in the DNS, which may take seconds

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is nothing to report."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def close(self) -> None:
        """Stop listening and cut what is open."""
        self.server_close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        """The state for the simulator's users, the login page for anybody."""
        if self.path == "/simulator":
            self._send(self._state())
        elif self.server.simulator.booting:
            self.close_connection = True
        elif self.path == "/":
            self._send(Reply(HTTPStatus.OK, LOGIN_PAGE, "text/html"))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """A batch for the router, or an order for the simulator."""
        path, _, query = self.path.partition("?")
        body = self._body()
        if body is None:
            self.send_error(HTTPStatus.BAD_REQUEST)
        elif path == "/simulator":
            self._send(self._obey(body))
        elif self.server.simulator.booting:
            self.close_connection = True
        elif path == "/cgi":
            self.server.simulator.answer(self._request(query, body), self._send)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Errors that http.server finds have the router's page, too."""
        del message, explain
        self._send(Reply.page(HTTPStatus(code)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has in http.server
        """Say nothing: stderr belongs to whoever runs the simulator."""

    def _request(self, query: str, body: bytes) -> Request:
        """`X-Simulated-Client` stands for another machine, as all tests come from one."""
        return Request(
            query,
            body,
            client=self.headers.get("X-Simulated-Client", self.client_address[0]),
            host=self.headers.get("Host", ""),
            referer=self.headers.get("Referer", ""),
            cookie=self.headers.get("Cookie", ""),
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
        head = (
            f"HTTP/1.1 {reply.status.value} {reply.status.phrase}\r\n"
            f"Content-Type: {reply.content_type}\r\n"
            f"Content-Length: {len(reply.body)}\r\n"
            f"Connection: {'close' if self.close_connection else 'keep-alive'}\r\n\r\n"
        )
        message = head.encode() + reply.body
        match reply.fault:
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
