"""Many households whose pages are served together, over a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

import requests
from msgspec.structs import replace

from dalla_mqtt.archive.records import StoredRecords
from dalla_mqtt.config import Secret, WebConfig, load
from dalla_mqtt.report.web import Page
from dalla_mqtt.report.web.server import Server
from dalla_mqtt.usage.commands import Command
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.status import RouterState, RouterStatus
from tests.processes import wait_until
from tests.report.house import PATIENCE_S, TOKEN
from tests.usage.house import House, row, utc

WEB = WebConfig("127.0.0.1", 0, Secret(TOKEN), "open", (), ingress=False)
AT = utc(24, 13)
_PLAIN = {"router.password": "x", "mqtt.url": "off"}


class _Slugs:
    """A memory that is asked nothing."""

    def slugs(self) -> dict[str, str]:
        return {}

    def keep_slugs(self, slugs: Mapping[str, str]) -> None:
        pass


class Village(AbstractContextManager["Village"]):
    """A site of each of the `names`, of which nothing is known yet."""

    def __init__(self, names: Iterable[str], web: WebConfig = WEB) -> None:
        known = tuple(names)
        self.server = Server(web, known)
        self.commands: list[tuple[str, Command]] = []
        config = replace(load(None, {}, _PLAIN), web=web)
        self.pages: dict[str, Page] = {}
        for name in known:
            records = StoredRecords(Path(name) / "state.db", None, config.tariff)
            self.pages[name] = Page(replace(config, site=name), _Slugs(), records, self.server)

    def __enter__(self) -> Self:
        self._others = _threads()
        for name, page in self.pages.items():
            page.start(lambda _: None, lambda command, name=name: self.commands.append((name, command)))  # type: ignore[misc]
        if self.server.port is not None:
            self.get("/health")  # its threads are there: they are no others' in tests that come
        return self

    def __exit__(self, *_: object) -> None:
        for page in self.pages.values():
            page.stop()
        wait_until(lambda: not _threads() - self._others, "the threads of the page to end")

    def tell(self, name: str, ledger: Ledger, state: RouterState = "ok", last_poll: float | None = AT) -> None:
        """As the daemon does after a poll."""
        assert self.pages[name].tell(ledger, RouterStatus(state, AT, last_poll, 12), {}, AT)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        return requests.get(f"{self.url}{path}", headers=headers, timeout=PATIENCE_S, allow_redirects=False)


def _threads() -> set[threading.Thread]:
    """Of pages: a browser has some, too."""
    return {one for one in threading.enumerate() if one.name == "page" or one.name.startswith("waitress")}


def ledger_of(size: int, devices: int = 2) -> Ledger:
    """Of so many devices, each of which has moved `size` bytes today."""
    house = House(at=AT - 60)
    rows = [(f"192.168.1.{number}", Mac.parse(f"02-00-00-00-00-{number:02X}")) for number in range(2, 2 + devices)]
    house.reads(*(row(0, mac=mac, ip=ip) for ip, mac in rows))
    house.reads(*(row(size, mac=mac, ip=ip) for ip, mac in rows))
    return house.ledger


def moves(ledger: Ledger, size: int) -> Ledger:
    """The same, where all together moved `size` bytes today and in this period."""
    total = replace(ledger.total, usage=size, on_peak=size, off_peak=0, today=size, rate=size // 60)
    return replace(ledger, total=total)
