"""A Home Assistant and a broker for all tests, and a household of its own for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from dalla_mqtt.router.simulator import Household
from tests.home_assistant import agreed
from tests.home_assistant.broker import Broker
from tests.home_assistant.server import HomeAssistant
from tests.processes import Dalla, Router, wait_until

BUSY = ("--traffic", "busy")
FAMILY = {"Alice": "alices-*", "Bob": "bobs-*"}


class House:
    """A simulated router, a folder with a config.yaml, and Home Assistant; `run` starts `dalla-mqtt` between them."""

    def __init__(self, folder: Path, router: Router, ha: HomeAssistant) -> None:
        self.folder = folder
        self.router = router
        self.ha = ha
        self.broker = ha.broker
        self.site, self.base, self.prefix = "home", "dalla", "homeassistant"
        self.users: dict[str, str] = {}
        self.quotas: dict[str, int] = {}
        devices = Household.of(200).devices  # the first of them are those of any smaller one
        self.host_names = {device.mac.colons: device.name for device in devices}
        self.addresses = {device.name: device.ip for device in devices}
        self._running: list[Dalla] = []
        self.name_users(FAMILY)

    def name_users(self, users: dict[str, str], quotas: dict[str, int] | None = None) -> None:
        """Who there is, each with the pattern of the host names that are theirs; for the next start.

        `quotas`: bytes, by the part of ids of a user, a device or a pool of all users such as `pool_family`.
        """
        self.users, self.quotas = users, quotas or {}
        own = {part: {"quota": f"{size} B"} for part, size in self.quotas.items()}
        pools = {part.removeprefix("pool_").capitalize(): own[part] for part in self.pools}
        devices = {mac: own[mac] for mac in self.quotas if mac.count("-") == 5}
        settings = {
            "users": {name: {"hostnames": [pattern]} | own.get(name.lower(), {}) for name, pattern in users.items()},
            "quota": {"devices": devices, "pool": pools},
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False), "utf-8")

    @property
    def pools(self) -> list[str]:
        """The parts of their ids: `pool_family`."""
        return [part for part in self.quotas if part.startswith("pool_")]

    def run(self, *options: str, **environment: str) -> Dalla:
        """Started anew, with other settings where they are told: `DALLA_LOG_LEVEL="debug"`."""
        settings = {
            "DALLA_SITE": self.site,
            "DALLA_ROUTER_URL": self.router.url,
            "DALLA_ROUTER_PASSWORD": "admin",
            "DALLA_ROUTER_INTERVAL": "1s",
            "DALLA_MQTT_URL": self.broker.url,
            "DALLA_MQTT_BASE_TOPIC": self.base,
            "DALLA_HOMEASSISTANT_PREFIX": self.prefix,
            "DALLA_TARIFF_TIMEZONE": "UTC",
            "DALLA_ARCHIVE_ENABLED": "false",
        }
        dalla = Dalla(self.folder, "run", *options, environment=settings | environment)
        self._running.append(dalla)
        return dalla

    def settle(self, dalla: Dalla, devices: int = 10) -> None:
        """Wait until `devices` have been seen to move something, stop all traffic, and let it be counted."""

        def moved() -> int:
            return sum(figures["shown"] > figures["baseline"] for figures in self.truth.values())

        wait_until(lambda: moved() == devices, f"{devices} devices")
        self.router.do("freeze")
        dalla.polls_again()

    @property
    def truth(self) -> dict[str, dict[str, int]]:
        """Of each MAC that the router has shown: moved, shown, baseline."""
        truth: dict[str, dict[str, int]] = self.router.state["truth"]
        return {mac: figures for mac, figures in truth.items() if figures["shown"]}

    def shown(self, figure: str = "shown") -> dict[str, int]:
        """Bytes of the total, of each user and of each device, by the part of its ids: `total`, `alice`, `cb-bd-…`."""
        sums = dict.fromkeys(["total", "unknown", *(name.lower() for name in self.users)], 0)
        for mac, figures in self.truth.items():
            for part in ("total", self.owner(mac).lower(), mac.lower().replace(":", "-")):
                sums[part] = sums.get(part, 0) + figures[figure]
        return sums

    def owner(self, mac: str) -> str:
        """Whose a device is, by its host name."""
        name = self.host_names.get(mac, "")
        return next((user for user, pattern in self.users.items() if fnmatch(name, pattern)), "UNKNOWN")

    def mac(self, host_name: str) -> str:
        """`CB:BD:AB:90:2D:38`."""
        return next(mac for mac, name in self.host_names.items() if name == host_name)

    def part(self, host_name: str) -> str:
        """A device's part of its ids, such as `cb-bd-ab-90-2d-38`."""
        return self.mac(host_name).lower().replace(":", "-")

    def entity(self, platform: str, host_name: str, key: str) -> str:
        """`sensor.dalla_home_cb_bd_ab_90_2d_38_usage`."""
        return f"{platform}.dalla_{self.site}_{self.part(host_name)}_{key}".replace("-", "_")

    def agreed(self, parts: Iterable[str]) -> dict[str, tuple[str, agreed.Row]]:
        """What there is of those parts of ids, by its entity id, with its part."""
        return {
            agreed.entity_id(self.site, part, row): (part, row)
            for part in parts
            for row in agreed.rows(part, quota=part in self.quotas)
        }

    def all_is_right(
        self, shown: dict[str, int] | None = None, hidden: Iterable[str] = (), former: Iterable[str] = ()
    ) -> None:
        """Wait until Home Assistant and the broker know what they must and nothing else; all traffic has stopped.

        `shown`: the usage of the total, and of each user and device; what the router says, where it is not given.
        `hidden`: parts of those, and `router`, that are on the broker and not in Home Assistant. `former`: users who
        are no more, the same, and without a quota.
        """
        wrong: list[str] = []

        def right() -> bool:
            usage = self.shown() if shown is None else shown
            known = [part for part in ("router", *usage, *self.pools) if part not in (*hidden, *former)]
            wrong[:] = self._wrong_entities(known, usage) or self._wrong_topics(known, usage, former)
            return not wrong

        try:
            wait_until(right, "all is right")
        except AssertionError as error:
            raise AssertionError("\n".join(wrong[:20])) from error

    def leave(self) -> None:
        """Nothing of ours runs, is known to Home Assistant, or is retained."""
        for dalla in self._running:
            dalla.kill()

        def forgotten() -> bool:
            """A device that is only being made does not hear that it is to go: it is told again."""
            left = {f"{self.prefix}/device/{identifier}/config" for identifier in self.ha.devices()}
            announced = {topic for topic in self.broker.retained() if topic.endswith("/config")}
            self.broker.clear(left | announced)
            return not left | announced

        wait_until(forgotten, "Home Assistant forgets all")
        self.broker.clear(self.broker.retained())
        self.ha.clear_statistics()

    def _wrong_entities(self, parts: list[str], usage: dict[str, int]) -> list[str]:
        found = self.ha.entities()
        wanted = self.agreed(parts)
        wrong = _difference("entity", found, wanted)
        wrong += _difference("device", self.ha.devices(), {f"dalla_{self.site}_{part}" for part in parts})
        for entity_id in wanted.keys() & found.keys():
            part, row = wanted[entity_id]
            entity = found[entity_id]
            if not entity.disabled and (entity.state in (None, "unavailable") or "restored" in entity.attributes):
                wrong.append(f"{entity_id} is {entity.state}")
            elif row is agreed.USAGE and entity.state != str(usage[part] / 1e9):
                wrong.append(f"{entity_id} is {entity.state}, not {usage[part] / 1e9}")
        return wrong

    def _wrong_topics(self, parts: list[str], usage: dict[str, int], former: Iterable[str]) -> list[str]:
        configs = {f"{self.prefix}/device/dalla_{self.site}_{part}/config" for part in parts}
        states = agreed.topics(self.base, self.site, [*usage, *self.pools], self.quotas)
        gone = {f"{self.base}/{self.site}/user/{user}/quota" for user in former}
        return _difference("topic", self.broker.retained(), (configs | states) - gone)


def _difference(what: str, found: Iterable[str], wanted: Iterable[str]) -> list[str]:
    missing = [f"{what} {name} is missing" for name in sorted(set(wanted) - set(found))]
    return missing + [f"{what} {name} is too much" for name in sorted(set(found) - set(wanted))]


@pytest.fixture(scope="session")
def ha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    folder = tmp_path_factory.mktemp("home-assistant")
    broker = Broker(folder)
    ha = HomeAssistant(folder, broker)
    try:
        ha.start()
        yield ha
    finally:
        ha.kill()
        broker.stop()


@contextmanager
def household(ha: HomeAssistant, folder: Path, *options: str) -> Iterator[House]:
    """One whose router takes `options`. Home Assistant complains of nothing before it is left."""
    ha.complaints()
    with Router(*options) as router:
        house = House(folder, router, ha)
        yield house
        house.leave()
    assert ha.complaints() == []


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest, ha: HomeAssistant) -> Iterator[House]:
    """A household whose router takes the options of a `router` mark; ten busy devices, where there is none."""
    mark = request.node.get_closest_marker("router")
    folder = tmp_path / "household"
    folder.mkdir()
    with household(ha, folder, *(mark.args if mark else BUSY)) as house:
        yield house
