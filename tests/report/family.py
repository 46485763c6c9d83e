"""A family with a past, whose page is on: a simulated router, a folder, and `dalla-mqtt run` between them."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.request import pathname2url

import requests
import yaml

from dalla_mqtt.archive.beside import History
from dalla_mqtt.archive.tables import read_ledger
from dalla_mqtt.router.simulator import Household
from dalla_mqtt.usage.hours import hour_of
from dalla_mqtt.usage.ledger import Key, Ledger, Moved
from tests.end_to_end.house import House, Row, rows
from tests.processes import CANARY, Dalla, Router, free_port, wait_until

USERS = {
    "Alice": {"hostnames": ["alices-*"], "quota": "40 GiB"},
    "Bob": {"hostnames": ["bobs-*"], "quota": "30 GiB", "at_quota": "throttle"},
}
TOKEN = f"{CANARY}-of-the-page"
ZONE = "Europe/Athens"
OFF_PEAK = ["23:00-07:00"]
# What is moved in an hour of a day, from 0 to 9, and MB that a device moves at most in an hour with a 1.
_OF_DAY = "331001135334434344568996"
_OF_DEVICE = (22, 45, 16, 38, 74, 12, 90, 30, 9, 1)


class Family:
    """Its first devices are Alice's and Bob's, the others are nobody's. It has lived for some `days` when it comes."""

    def __init__(self, folder: Path, days: int = 3, traffic: str = "quiet", **settings: object) -> None:
        self.folder = folder
        self.token = TOKEN
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.devices = Household.of(10).devices
        self._settings: dict[str, object] = {"users": USERS} | settings
        self._live(days)
        self.router = Router("--traffic", traffic)
        self.dalla: Dalla | None = None

    def close(self) -> None:
        self.stop()
        self.router.kill()

    def stop(self) -> None:
        if self.dalla is not None:
            self.dalla.kill()
            self.dalla = None

    def run(self) -> Dalla:
        """`dalla-mqtt run`, until its page is there."""
        self.stop()
        self._configure(self.router.url, 1)
        self.dalla = Dalla(self.folder, "run", environment={"DALLA_WEB_LISTEN": f"127.0.0.1:{self.port}"})
        self.dalla.polls_again(1)
        wait_until(self._serves, f"the page:\n{self.dalla.output}")
        return self.dalla

    def add(self, name: str, size: int) -> None:
        """The device of that name moves so many bytes."""
        device = next(device for device in self.devices if device.name == name)
        self.router.do("add", mac=device.mac.colons, ip=device.ip, bytes=size)

    def settle(self) -> None:
        """Until all that moved is counted."""
        assert self.dalla is not None
        self.dalla.polls_again()

    @property
    def ledger(self) -> Ledger:
        """As the state file has it."""
        where = f"file:{pathname2url(str(self.folder / 'state.db'))}?mode=ro"
        with closing(sqlite3.connect(where, uri=True)) as database:
            return read_ledger(database)

    def moved(self, first: date, last: date) -> Moved:
        """As the state file has it."""
        with closing(History(self.folder / "state.db")) as history:
            return history.moved(first, last)

    def hours(self, key: Key) -> dict[int, int]:
        """Bytes by the start of each hour in which there were some, as the CSV files have it."""
        hours: Counter[int] = Counter()
        for at, _, delta in self._rows(key):
            hours[hour_of(at)] += delta
        return +hours

    def _rows(self, key: Key) -> list[Row]:
        pattern = {"device": f"devices/{key.name}_*.csv", "user": f"users/{key.name}.csv", "total": "total.csv"}
        return rows(self.folder, pattern[key.kind])

    def _serves(self) -> bool:
        try:
            return requests.get(f"{self.url}health", timeout=1).ok
        except requests.ConnectionError:
            return False

    def _live(self, days: int) -> None:
        random = Random(7)  # noqa: S311  # no secret
        hours = days * 24
        now = datetime.now(UTC)
        with House(self.folder, interval_s=3600, quiet=True, at=now - timedelta(hours=hours, seconds=600)) as house:
            self._configure(house.simulator.url, 3600)

            def an_hour(_: int) -> None:
                size = int(_OF_DAY[(house.wall.hour + 2) % 24]) * random.randrange(200, 1000) * 1000
                for device, weight in zip(self.devices, _OF_DEVICE, strict=True):
                    own = int(size * weight * random.random())
                    if own:
                        house.simulator.add(device.mac, device.ip, own, own // 900 + 1)

            house.start()
            house.poll(hours, before=an_hour)
            house.end()

    def _configure(self, router_url: str, interval_s: int) -> None:
        file = self.folder / "config.yaml"
        settings = {
            "router": {"url": router_url, "password": "admin", "interval": f"{interval_s}s", "timeout": "5s"},
            "mqtt": {"url": "off"},
            "tariff": {"timezone": ZONE, "off_peak": OFF_PEAK},
            "web": {"token": self.token},
        }
        for key, value in self._settings.items():
            settings[key] = settings[key] | value if key in settings else value  # type: ignore[operator]
        file.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
        os.chmod(file, 0o600)  # noqa: PTH101  # it has secrets in it
