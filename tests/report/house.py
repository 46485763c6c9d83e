"""A household and its page, over real sockets; what is wanted there is written down."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Self

import requests

from dalla_mqtt.archive.records import StoredRecords
from dalla_mqtt.config import load
from dalla_mqtt.report.web import Page
from dalla_mqtt.report.web.server import Server
from dalla_mqtt.usage.commands import Command
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Allowance, Standing, Subject, Window
from dalla_mqtt.usage.status import RouterStatus
from tests.archive.house import ArchivedHouse
from tests.processes import wait_until

TOKEN = "c4n4ry-of-alice"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WEB = f"{{listen: '127.0.0.1:0', token: {TOKEN}}}"
NOVEMBER = Window(date(2026, 11, 1), date(2026, 11, 30))
PATIENCE_S = 20.0

CONFIG = """\
site: {site}
router: {{password: x, interval: 60s}}
mqtt: {{url: 'off'}}
tariff: {{timezone: UTC, off_peak: ["00:00-06:00"]}}
users: {{Alice: {{}}, Bob: {{}}}}
quota: {{pool: {{The family: {{quota: 1 TB}}}}}}
archive: {{devices: 'logs/%Y-%m/devices', users: 'logs/%Y-%m/users', commune: 'logs/%Y-%m/total.csv'}}
web: {web}
"""


class Served(AbstractContextManager["Served"]):
    """Alice's phone and Bob's laptop, counted for some days; `web`: what is configured of the page.

    `server`: the one that it shares with others, as a site called `site`.
    """

    def __init__(
        self, folder: Path, web: str = WEB, *, days: float = 0, site: str = "home", server: Server | None = None
    ) -> None:
        self.house = ArchivedHouse(folder)
        if days:
            self.house.lives(days, every_h=1)
        file = folder / "config.yaml"
        file.write_text(CONFIG.format(web=web, site=site), "utf-8")
        config = load(file, {}, {})
        records = StoredRecords(folder / "state.db", config.archive, config.tariff)
        self.page = Page(config, self.house.store, records, server)
        self.commands: list[Command] = []

    def __enter__(self) -> Self:
        self._others = {*threading.enumerate()}
        self.page.start(lambda _: None, self.commands.append)
        return self

    def __exit__(self, *_: object) -> None:
        self.page.stop()
        if self.page.port is None:  # nobody shares it
            wait_until(lambda: not {*threading.enumerate()} - self._others, "the threads of the page to end")
        self.house.close()

    @property
    def at(self) -> float:
        return self.house.ledger.at or self.house.at

    def tell(self, *standings: Standing, **router: Any) -> None:  # noqa: ANN401  # as RouterStatus has it
        """As the daemon does after a poll."""
        status = RouterStatus(**{"state": "ok", "since": self.at, "last_poll": self.at, "poll_ms": 12, **router})
        known = {standing.subject: standing for standing in standings}
        assert self.page.tell(self.house.ledger, status, known, self.at)

    def event(self, event: str, text: str = "", at: float | None = None, **about: Any) -> None:  # noqa: ANN401  # as Event has it
        assert self.page.tell_events([Event(event, text, **about)], self.at if at is None else at)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.page.port}"

    def get(self, path: str, headers: dict[str, str] | None = None) -> requests.Response:
        return requests.get(f"{self.url}{path}", headers=headers, timeout=PATIENCE_S)

    def json(self, path: str) -> Any:  # noqa: ANN401
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> requests.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(BEARER if headers is None else headers)}
        return requests.post(f"{self.url}{path}", data=data, headers=sent, timeout=PATIENCE_S)

    def connect(self) -> socket.socket:
        assert self.page.port is not None
        return socket.create_connection(("127.0.0.1", self.page.port), PATIENCE_S)

    def says(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """The status, headers in lower case and body of the answer to what a browser would never send."""
        with self.connect() as client:
            client.sendall(request)
            said = b""
            while piece := client.recv(65_536):
                said += piece
        head, _, body = said.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return int(first.split()[1]), headers, body


def standing(subject: Subject, quota: int, used: int, *, limited: bool = False) -> Standing:
    allowances = (Allowance("together", quota, 0, 0, used),)
    return Standing(subject, NOVEMBER, allowances, "throttle", limited=limited, text=f"{subject.name} has used some.")


def iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


USERS = ("Alice", "Bob", UNKNOWN)
