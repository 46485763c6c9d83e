"""Many simulated routers in one process: `python -m tests.sites.street --routers 1000 --devices 20`.

Each answers at an address of its own, 127.1.0.0 and on, all of them at one port; they keep the time of this machine,
or with `--step` one that goes on with each poll only. What they are asked and tell is that of the simulator, with its
orders under /simulator. At 127.0.0.1, /truth has for each router when it was polled, on this machine's monotonic clock,
and for each MAC the bytes that any client could know of.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http import HTTPStatus
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Literal, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

import requests

from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.router.simulator.cgi import Request
from dalla_mqtt.router.simulator.orders import obey
from dalla_mqtt.router.simulator.replies import Reply
from tests.processes import PATIENCE_S, Process, free_port

Manners = Literal["good", "hang", "drip", "reset"]

_FIRST = IPv4Address("127.1.0.0")
_ITSELF = "127.0.0.1"
_HANG_S = 300.0  # longer than anybody waits
_DRIP_S = 0.5  # a byte
_BACKLOG = 4096
_STAT_ENTRY = b"[STAT_ENTRY#"


class Home:
    """One router of the street. `manners`: how it treats who asks; `step_s`: what a poll moves its clock by."""

    def __init__(self, household: Household, firmware: Firmware, manners: Manners, step_s: float | None) -> None:
        self.manners = manners
        self.polls: list[float] = []
        self._step_s = step_s
        self._ahead_s = 0.0
        self.simulator = Simulator(household, firmware=firmware, clock=self._now)

    def answer(self, request: Request, send: Callable[[Reply], None]) -> None:
        """As the web server of the simulator does."""
        if request.path == "/simulator":
            send(self._obey(request.body))
        elif request.path == "/cgi":
            if _STAT_ENTRY in request.body:
                self.polls.append(time.monotonic())
                self._ahead_s += self._step_s or 0.0
            self.simulator.answer(request, send)
        else:
            send(self.simulator.page(request))

    def truth(self) -> dict[str, object]:
        shown = {mac.dashed: true.shown for mac, true in self.simulator.truth().items() if true.shown}
        return {"polls": self.polls, "shown": shown}

    def _now(self) -> float:
        return time.monotonic() if self._step_s is None else self._ahead_s

    def _obey(self, order: bytes) -> Reply:
        try:
            if order:
                obey(self.simulator, order)
        except ValueError as error:
            return Reply(HTTPStatus.BAD_REQUEST, f"{error}\n".encode())
        return _json(self.simulator.state())


class Connection(asyncio.Protocol):
    """One client of one router: a request, its answer, and no more, as the header says."""

    def __init__(self, homes: dict[str, Home]) -> None:
        self._homes = homes
        self._came = bytearray()
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = transport.get_extra_info("sockname")[0]
        self._client, self._port = transport.get_extra_info("peername")
        if self._address != _ITSELF and self._address not in self._homes:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, end, body = self._came.partition(b"\r\n\r\n")
        if not end or self._waiting:
            return
        (method, target, _), headers = _parsed(head.decode("latin-1"))
        if len(body) < int(headers["content-length"] or 0):
            return
        path, _, query = target.partition("?")
        request = Request(
            path,
            query,
            bytes(body),
            client=self._client,
            connection=self._port,
            host=headers["host"],
            referer=headers["referer"],
            token=headers["tokenid"],
            cookies=tuple(cookie.strip() for cookie in headers["cookie"].split(";")),
        )
        if self._address == _ITSELF:
            known = (method, path) == ("GET", "/truth")
            self._send(_json(self._truth()) if known else Reply.page(HTTPStatus.NOT_FOUND))
        else:
            self._treat(self._homes[self._address], request)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._waiting:
            self._waiting.cancel()

    def _treat(self, home: Home, request: Request) -> None:
        loop = asyncio.get_running_loop()
        match home.manners if request.path != "/simulator" else "good":
            case "good":
                home.answer(request, self._send)
            case "hang":
                self._waiting = loop.call_later(_HANG_S, self._transport.abort)
            case "drip":
                self._transport.write(b"HTTP/1.1 200 OK\r\nServer: ")
                self._drip()
            case "reset":
                self._transport.abort()

    def _drip(self) -> None:
        self._transport.write(b".")
        self._waiting = asyncio.get_running_loop().call_later(_DRIP_S, self._drip)

    def _send(self, reply: Reply) -> None:
        head = (
            f"HTTP/1.1 {reply.status.value} {reply.status.phrase}\r\nContent-Type: {reply.content_type}\r\n"
            f"Content-Length: {len(reply.body)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + reply.body)
        self._transport.close()

    def _truth(self) -> dict[str, object]:
        cpu_s = time.process_time()
        return {"cpu_s": cpu_s, "homes": {address: home.truth() for address, home in self._homes.items()}}


def _parsed(head: str) -> tuple[list[str], defaultdict[str, str]]:
    """The words of the first line, and the headers by their names in lower case."""
    first, *lines = head.split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first.split(" "), defaultdict(str, {name.lower(): value.strip() for name, _, value in pairs})


def _json(value: object) -> Reply:
    return Reply(HTTPStatus.OK, json.dumps(value).encode(), "application/json")


def addresses(routers: int) -> list[str]:
    return [str(_FIRST + 1 + number) for number in range(routers)]


async def serve(homes: dict[str, Home], port: int) -> None:
    """Until the process is ended. On the loopback interface alone, but at every address of it."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    listener.bind(("0.0.0.0", port))  # noqa: S104  # of one interface
    await asyncio.get_running_loop().create_server(lambda: Connection(homes), sock=listener, backlog=_BACKLOG)
    print(f"{len(homes)} routers at http://{next(iter(homes), _ITSELF)}:{port} and on", flush=True)
    print(f"what they were asked and told: http://{_ITSELF}:{port}/truth", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routers", type=int, default=1000)
    parser.add_argument("--devices", type=int, default=20, help="behind each")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--busy", action="store_true", help="everybody moves something all the time")
    parser.add_argument("--step", type=float, metavar="S", help="let clocks stand, but for S seconds at each poll")
    for manners, what in (
        ("hang", "never answer"),
        ("drip", "answer a byte at a time, without end"),
        ("reset", "take no question"),
    ):
        parser.add_argument(f"--{manners}", type=int, default=0, metavar="N", help=f"so many, of the last, {what}")
    options = parser.parse_args()
    odd: list[Manners] = ["hang"] * options.hang + ["drip"] * options.drip + ["reset"] * options.reset
    manners: Iterable[Manners] = ["good"] * (options.routers - len(odd)) + odd
    homes = {
        address: Home(
            Household.of(options.devices, seed, busy=options.busy), Firmware(max_rows=4096), how, options.step
        )
        for seed, (address, how) in enumerate(zip(addresses(options.routers), manners, strict=True), 1)
    }
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(homes, options.port or free_port()))


class Told(NamedTuple):
    """What a street says of one of its routers."""

    polls: list[float]  # when, on the monotonic clock of this machine
    shown: dict[str, int]  # bytes, by MAC

    def latest_s(self, interval_s: float) -> float:
        """How much later than on its beat its latest poll came; the beat is that of its earliest."""
        lags = [at - number * interval_s for number, at in enumerate(self.polls)]
        return max(lags) - min(lags) if lags else 0.0


class Street(Process):
    """A street as a process of its own. `options` are those of the command."""

    def __init__(self, routers: int, devices: int = 20, *options: str) -> None:
        self.port = free_port()
        numbers = ("--routers", str(routers), "--devices", str(devices), "--port", str(self.port))
        super().__init__(sys.executable, __file__, *numbers, *options)
        self.addresses = addresses(routers)
        self.says("/truth")

    @property
    def urls(self) -> list[str]:
        return [f"http://{address}:{self.port}" for address in self.addresses]

    def told(self) -> list[Told]:
        """Of each router, in the order of `urls`."""
        return list(self._told(self._truth()))

    def cpu_s(self) -> float:
        cpu_s: float = self._truth()["cpu_s"]
        return cpu_s

    def do(self, number: int, what: str, **about: object) -> dict[str, Any]:
        """An order to one router."""
        answer = requests.post(f"{self.urls[number]}/simulator", json={"do": what, **about}, timeout=PATIENCE_S)
        assert answer.ok, answer.text
        state: dict[str, Any] = answer.json()
        return state

    def _told(self, truth: dict[str, Any]) -> Iterator[Told]:
        for address in self.addresses:
            yield Told(**truth["homes"][address])

    def _truth(self) -> dict[str, Any]:
        truth: dict[str, Any] = requests.get(f"http://{_ITSELF}:{self.port}/truth", timeout=PATIENCE_S).json()
        return truth


if __name__ == "__main__":
    main()
