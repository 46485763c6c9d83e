"""A household: a simulated router, a real broker, a listener, and an empty folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Dalla, Listener, Mosquitto, Router


class Home:
    """Everything around `dalla-mqtt`; `run` starts it."""

    def __init__(self, folder: Path, broker: Mosquitto, router: Router, listener: Listener) -> None:
        self.folder = folder
        self.broker = broker
        self.router = router
        self.listener = listener

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DALLA_ROUTER_URL": self.router.url,
            "DALLA_ROUTER_PASSWORD": "admin",
            "DALLA_ROUTER_INTERVAL": "1s",
            "DALLA_MQTT_URL": self.broker.url,
            "DALLA_TARIFF_TIMEZONE": "UTC",
            "DALLA_ARCHIVE_DEVICES": "devices",
            "DALLA_ARCHIVE_USERS": "users",
            "DALLA_ARCHIVE_COMMUNE": "total.csv",
        }

    def run(self, *options: str, **environment: str) -> Dalla:
        return Dalla(self.folder, "run", *options, environment=self.environment | environment)

    def settle(self, dalla: Dalla) -> dict[str, dict[str, int]]:
        """Stop all traffic, let it be counted, and return what the router says of each MAC: moved, shown, baseline."""
        self.router.do("freeze")
        dalla.polls_again()
        truth: dict[str, dict[str, int]] = self.router.state["truth"]
        return truth

    def rows(self, file: str) -> list[list[int]]:
        """The rows of a CSV file, of which every single one must be whole."""
        header, *lines = (self.folder / file).read_text("ascii").splitlines(keepends=True)
        assert header == "Time, Total Bytes, Delta, On-Peak, Off-Peak\n"
        assert all(line.endswith("\n") for line in lines)
        rows = [[int(cell) for cell in line.split(", ")] for line in lines]
        assert all(len(row) == 5 for row in rows)
        return rows


@pytest.fixture
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Home]:
    """Its router takes the options of a `router` mark."""
    mark = request.node.get_closest_marker("router")
    household = tmp_path / "household"
    household.mkdir()
    with (
        Mosquitto(tmp_path) as broker,
        Router(*(mark.args if mark else ())) as router,
        Listener(broker, "#") as listener,
    ):
        yield Home(household, broker, router, listener)
