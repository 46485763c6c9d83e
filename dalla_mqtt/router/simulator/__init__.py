"""An Archer C20 to demonstrate on and to test against, over a real socket.

It speaks the protocol of docs/router.md with any of its logins, and beside it, under /simulator, tells what it truly
moved and takes orders from whoever runs it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, Self

from dalla_mqtt.router.simulator.doors import open_door
from dalla_mqtt.router.simulator.firmware import Firmware
from dalla_mqtt.router.simulator.household import Household, Traffic
from dalla_mqtt.router.simulator.memory import SimulatedRouter
from dalla_mqtt.router.simulator.replies import Fault, Reply
from dalla_mqtt.router.simulator.statistics import Truth
from dalla_mqtt.router.simulator.wire import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from dalla_mqtt.router.simulator.cgi import Request
    from dalla_mqtt.router.simulator.firmware import HardwareNat
    from dalla_mqtt.usage.reading import Mac

__all__ = ["Fault", "Firmware", "Household", "Simulator", "Truth"]

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
        self.firmware = firmware
        self._username = username
        self._router = SimulatedRouter(household, firmware, open_door(firmware, username, password), clock)
        self._lock = threading.Lock()
        self._host = host
        self._port = port
        self._server: Server | None = None
        self._until_back: threading.Timer | None = None

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
            server.server_close()
            server.hang_up()
            self._server = None

    def stop(self) -> None:
        """Take no more connections and cut the open ones. What the router remembers stays for another `start`."""
        server = self._server
        if self._until_back:
            self._until_back.cancel()
        self._stop_listening()
        if server is not None:
            server.hang_up()

    def refuse(self, seconds: float) -> None:
        """Refuse connections for so long; those that are open stay. Only of one that was started by `start`."""
        if self._until_back:
            self._until_back.cancel()
        self._until_back = threading.Timer(seconds, self.start)
        self._until_back.daemon = True
        self._stop_listening()
        self._until_back.start()

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

    def factory_reset(self) -> None:
        """As from the shop: statistics are off. Then as `reboot`."""
        with self._lock:
            self._router.factory_reset()

    def statistics(self, *, enabled: bool) -> None:
        """Switch them on or off; either way the table is empty after it."""
        with self._lock:
            self._router.catch_up()
            self._router.statistics.switch(enabled=enabled)

    def hardware_nat(self, mode: HardwareNat) -> None:
        """Let the hardware forward from now on what nobody then counts, unless bandwidth control is on."""
        with self._lock:
            self._router.catch_up()
            self._router.hardware_nat = mode

    def bandwidth_control(self, *, enabled: bool) -> None:
        """Switch it on or off: while it is on, there is no hardware NAT."""
        with self._lock:
            self._router.catch_up()
            self._router.control.bandwidth.switch(enabled=enabled)

    def here(self, ip: str) -> None:
        """Who asks from this machine is told that it has that address of the household, and its MAC."""
        with self._lock:
            self._router.here = ip

    def rule(self, oid: str, values: dict[str, str]) -> None:
        """Its owner makes a rule, or what that needs: a row of TC_RULE, say, or the settings of FIREWALL.

        ValueError tells what the router would say to it.
        """
        with self._lock:
            self._router.catch_up()
            self._router.control.write(oid, values)

    def log_in(self, client: str) -> None:
        """`client` is the administrator now, and whoever was is none any more."""
        with self._lock:
            self._router.door.seat.give(client, self._router.now)

    def log_out(self) -> None:
        """There is no administrator."""
        with self._lock:
            self._router.door.log_out()

    def password(self, new: str) -> None:
        """Its owner changes the password; who was tried for in vain, and how often, stays."""
        with self._lock:
            seat = self._router.door.seat
            self._router.door = open_door(self.firmware, self._username, new)
            self._router.door.seat = seat
            self._router.door.log_out()

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
            self._router.move(ip, mac, traffic, bytes if traffic.uploaded else 0)

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
                "rows": [router.shown(row) for row in router.statistics.rows],
                "truth": {mac.colons: asdict(truth) for mac, truth in router.witness.truth().items()},
                "uptime_s": router.uptime_s,
                "logins": router.door.seat.logins,
                "logouts": router.door.seat.logouts,
                "wrong_passwords": router.door.seat.wrong,
                "replies": router.replies,
                "refused": router.refused,
                "session": router.owner,
                **router.control.state(),
            }

    def answer(self, request: Request, send: Callable[[Reply], None]) -> None:
        """Answer through `send`, one client at a time as the router does.

        The lock is held until all is sent, so that nobody can ask for the truth between a reply and its being known.
        """
        with self._lock:
            reply = self._router.answer(request)
            send(reply)
            self._router.sent(reply)

    def page(self, request: Request) -> Reply:
        """What a browser gets to see."""
        with self._lock:
            return self._router.page(request)

    def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _bind(self) -> Server:
        self._server = Server((self._host, self._port), self)
        self._port = self._server.server_address[1]
        return self._server
