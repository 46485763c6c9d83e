"""A household whose router keeps rules: ours, and those of its owner; and what there is of them, number for number."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from typing import Any, Self

from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.router.archer_c20 import ArcherC20
from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.usage.limits import Limits
from dalla_mqtt.usage.quota import Rate
from dalla_mqtt.usage.reading import Mac
from tests.bad_line import answered, message, serve_each, serve_no_more
from tests.processes import PATIENCE_S

DEVICES = {device.ip: device.mac for device in Household.of(5, quiet=True).devices}
PHONE, LAPTOP, TABLET, CONSOLE, TELEVISION = DEVICES
NOTHING = Limits()


class Kept(dict[str, str]):
    """A memory. `full`: nothing more can be kept."""

    full = False

    def recall(self, key: str) -> str | None:
        return self.get(key)

    def keep(self, key: str, value: str) -> None:
        if self.full:
            raise ArchiveError("no space left")
        self[key] = value


def limits(throttled: str = "", blocked: str = "", rate: Rate = Rate(512, 128), line: Rate | None = None) -> Limits:  # noqa: B008  # frozen
    """Addresses of the household, with spaces between them."""
    macs = frozenset(DEVICES[ip] for ip in blocked.split())
    return Limits({ip: DEVICES[ip] for ip in throttled.split()}, macs, rate, line)


@contextmanager
def house(**firmware: object) -> Iterator[Simulator]:
    with Simulator(Household.of(5, quiet=True), firmware=Firmware(**firmware)) as simulator:  # type: ignore[arg-type]
        yield simulator


def driver(simulator: Simulator, memory: Kept | None = None, timeout_s: float = 5) -> ArcherC20:
    return ArcherC20(simulator.url, "admin", "admin", timeout_s, memory=memory)


def in_force(simulator: Simulator) -> tuple[dict[str, tuple[int, int]], set[str], set[str]]:
    """Which addresses are throttled to what, and which are blocked, over IPv4 and over IPv6."""
    state: Any = simulator.state()
    ips = {mac.colons: ip for ip, mac in DEVICES.items()}
    blocked, blocked6 = ({ips[mac] for mac in state[name]} for name in ("blocked", "blocked6"))
    return {ip: tuple(rate) for ip, rate in state["throttled"].items()}, blocked, blocked6


def kept_by(simulator: Simulator) -> Any:  # noqa: ANN401  # JSON
    """All that is set on the router, but for the numbers of the rows, which nobody can choose."""
    state = simulator.state()
    return _without_numbers({name: state[name] for name in ("tc", "firewall", "firewall6")})


def _without_numbers(value: Any) -> Any:  # noqa: ANN401  # JSON
    match value:
        case dict():
            return {name: _without_numbers(own) for name, own in value.items() if name != "id"}
        case list():
            return sorted((_without_numbers(own) for own in value), key=repr)
    return value


def owners_rate(ip: str, last: str | None = None, **more: str) -> dict[str, str]:
    """A bandwidth rule as somebody makes it in the router's page."""
    return {
        "enable": "1",
        "startIP": str(int(IPv4Address(ip))),
        "endIP": str(int(IPv4Address(last or ip))),
        "startPort": "0",
        "endPort": "0",
        "protocol": "0",
        "precedence": "5",
        "flag": "1",
        "upMinBW": "1",
        "upMaxBW": "900",
        "downMinBW": "1",
        "downMaxBW": "3000",
        **more,
    }


def owners_host(name: str, mac: Mac) -> dict[str, str]:
    return {"type": "1", "entryName": name, "mac": mac.colons}


def owners_rule(name: str, host: str, **more: str) -> dict[str, str]:
    return {"ruleName": name, "internalHostRef": host, "action": "1", "enable": "1", **more}


class Between:
    """Stands at `url` before `router`, and gives each request's turn to `takes`, with what asks the router.

    What that returns is answered; of nothing, the line breaks.
    """

    def __init__(self, router: Simulator, takes: Callable[[bytes, Callable[[bytes], bytes]], bytes]) -> None:
        self._router = router
        self.takes = takes
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> Self:
        serve_each(self._server, self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        serve_no_more(self._server)

    def driver(self, memory: Kept | None = None) -> ArcherC20:
        return ArcherC20(self.url, "admin", "admin", 5, memory=memory)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(PATIENCE_S)
            if request := message(client):
                client.sendall(self.takes(request, self.ask))

    def ask(self, request: bytes) -> bytes:
        return answered(self._router.port, request)
