"""A Home Assistant and a broker for all tests, and a household of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.home_assistant.server import Broker, HomeAssistant
from tests.processes import Dalla, Router, wait_until


class House:
    """A simulated router, an empty folder, and Home Assistant; `run` starts `dalla-mqtt` between them."""

    def __init__(self, folder: Path, router: Router, ha: HomeAssistant) -> None:
        self.folder = folder
        self.router = router
        self.ha = ha
        self.broker = ha.broker
        self._running: list[Dalla] = []

    def run(self, *options: str, **environment: str) -> Dalla:
        """Started anew, with other settings where they are told: `DALLA_SITE="cabin"`."""
        settings = {
            "DALLA_ROUTER_URL": self.router.url,
            "DALLA_ROUTER_PASSWORD": "admin",
            "DALLA_ROUTER_INTERVAL": "1s",
            "DALLA_MQTT_URL": self.broker.url,
            "DALLA_TARIFF_TIMEZONE": "UTC",
            "DALLA_ARCHIVE_ENABLED": "false",
        }
        dalla = Dalla(self.folder, "run", *options, environment=settings | environment)
        self._running.append(dalla)
        return dalla

    def settle(self, dalla: Dalla) -> dict[str, dict[str, int]]:
        """Stop all traffic, let it be counted, and return what the router says of each MAC: moved, shown, baseline."""
        dalla.polls_again(1)
        self.router.do("freeze")
        dalla.polls_again()
        truth: dict[str, dict[str, int]] = self.router.state["truth"]
        return truth

    def leave(self) -> None:
        """Nothing of ours runs, is retained, or is known to Home Assistant."""
        for dalla in self._running:
            dalla.kill()
        self.broker.clear()
        wait_until(lambda: not self.ha.entities(), "Home Assistant forgets all")


@pytest.fixture(scope="session")
def ha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    folder = tmp_path_factory.mktemp("home-assistant")
    broker = Broker(folder)
    ha = HomeAssistant(folder, broker)
    try:
        ha.start()
        yield ha
    finally:
        ha.stop()
        broker.stop()


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest, ha: HomeAssistant) -> Iterator[House]:
    """Its router takes the options of a `router` mark. Home Assistant has nothing to complain about, to the end."""
    mark = request.node.get_closest_marker("router")
    folder = tmp_path / "household"
    folder.mkdir()
    ha.complaints()
    with Router(*(mark.args if mark else ())) as router:
        house = House(folder, router, ha)
        yield house
        house.leave()
    assert ha.complaints() == []
