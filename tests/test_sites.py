"""Many routers, one process, over real sockets; only the broker and the page are left out."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dalla_mqtt.archive.beside import History
from dalla_mqtt.archive.store import StateHeld, Store
from dalla_mqtt.config import Config, load
from dalla_mqtt.errors import ArchiveError, LoginRefused
from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.sites import Sites
from tests.processes import wait_until


class Street:
    """Households, each with a router and a configuration of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configs: list[Config] = []

    def move_in(self, url: str, password: str = "admin", interval: str = "1s") -> Config:  # noqa: S107  # as it comes
        name = f"house-{len(self.configs)}"
        file = self.folder / name / "config.yaml"
        file.parent.mkdir()
        router = f"router: {{url: '{url}', password: {password}, interval: {interval}, timeout: 5s}}\n"
        file.write_text(f"site: {name}\n{router}mqtt: {{url: off}}\nweb: off\narchive: {{enabled: false}}\n", "utf-8")
        self.configs.append(load(file, {}, {}))
        return self.configs[-1]

    @contextmanager
    def running(self) -> Iterator[Future[None]]:
        """All of them, until the block ends: within two seconds."""
        sites = Sites(self.configs)
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(sites.run)
            try:
                yield future
            finally:
                began = time.monotonic()
                sites.stop()
                future.exception(10)
                assert time.monotonic() - began < 2


def known(config: Config) -> dict[str, int]:
    """Usage of each device by the state file of a site, which somebody works with."""
    try:
        with closing(History(config.state)) as history:
            return {mac.colons: device.series.usage for mac, device in history.ledger().devices.items()}
    except ArchiveError:
        return {}


def shown(router: Simulator) -> dict[str, int]:
    """The same by the router."""
    return {mac.colons: true.shown for mac, true in router.truth().items() if true.shown}


def last_reading(config: Config) -> float:
    try:
        with closing(History(config.state)) as history:
            return history.ledger().at or 0.0
    except ArchiveError:
        return 0.0


def polled_again(config: Config, times: int = 2) -> None:
    """Wait for that many more readings."""
    for _ in range(times):
        before = last_reading(config)
        wait_until(lambda: last_reading(config) > before, f"a reading of {config.site}")  # noqa: B023


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return Street(tmp_path)


@contextmanager
def simulators(number: int) -> Iterator[list[Simulator]]:
    with ExitStack() as stack:
        firmware = Firmware(wrong_cookie=401)  # says so where a password is wrong
        households = [Household.of(devices=5, seed=seed) for seed in range(number)]
        yield [stack.enter_context(Simulator(household, firmware=firmware)) for household in households]


@contextmanager
def hanging() -> Iterator[str]:
    """The address of a router that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_each_household_is_counted_for_itself(street: Street) -> None:
    with simulators(3) as routers:
        for router in routers:
            street.move_in(router.url)
        with street.running():
            for config in street.configs:
                polled_again(config)
        for router, config in zip(routers, street.configs, strict=True):
            assert sum(known(config).values()) > 0
            assert known(config) == shown(router)


def test_routers_that_hang_delay_nobody_else_even_where_they_are_more_than_threads(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dalla_mqtt.sites._THREADS", 6)
    monkeypatch.setattr("dalla_mqtt.sites._SLOW_THREADS", 3)
    monkeypatch.setattr("dalla_mqtt.pace._RAREST", 1)  # they are asked at each beat
    with simulators(1) as (router,), hanging() as url:
        for _ in range(5):
            street.move_in(url)
        good = street.move_in(router.url)
        with street.running():
            polled_again(good)
            time.sleep(3)  # all that hang have been asked, and are known to be slow
            times = []
            for _ in range(8):
                polled_again(good, times=1)
                times.append(last_reading(good))
            gaps = [later - earlier for earlier, later in pairwise(times)]
            assert max(gaps) < 2.5, "a beat, and a bit"


def test_a_stop_does_not_wait_for_routers_that_hang(street: Street) -> None:
    with hanging() as url:
        for _ in range(20):
            street.move_in(url)
        with street.running() as future:
            time.sleep(1)
        assert future.exception() is None


def test_a_wrong_password_ends_one_site_and_no_other(street: Street, caplog: pytest.LogCaptureFixture) -> None:
    with simulators(2) as (first, second):
        street.move_in(first.url, password="wrong")
        good = street.move_in(second.url)
        with street.running() as future:
            wait_until(lambda: "refuse" in caplog.text, "the complaint")
            polled_again(good)
        assert future.exception() is None


def test_where_no_router_lets_us_in_that_is_how_it_ends(street: Street) -> None:
    with simulators(2) as routers:
        for router in routers:
            street.move_in(router.url, password="wrong")
        with street.running() as future:
            assert isinstance(future.exception(30), LoginRefused)


def test_a_state_file_that_another_one_holds_ends_them_all(street: Street) -> None:
    with simulators(2) as routers:
        configs = [street.move_in(router.url) for router in routers]
        with closing(Store(configs[1].state)), street.running() as future:
            assert isinstance(future.exception(30), StateHeld)


def test_a_site_that_fails_begins_anew_by_itself(
    street: Street, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dalla_mqtt.sites._AGAIN_S", 0.2)
    with simulators(2) as (first, second):
        bad, good = street.move_in(first.url), street.move_in(second.url)
        bad.state.mkdir()
        with street.running():
            wait_until(lambda: str(bad.state) in caplog.text, "the complaint")
            polled_again(good)
            bad.state.rmdir()
            polled_again(bad)


def test_a_fault_of_the_program_ends_no_other_site(
    street: Street, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dalla_mqtt.sites._AGAIN_S", 0.2)
    with simulators(2) as (first, second):
        bad, good = street.move_in(first.url), street.move_in(second.url)
        save = Store.save

        def fail(store: Store, *what: Any) -> None:  # noqa: ANN401
            if store._path == bad.state and "this should not" not in caplog.text:
                raise ZeroDivisionError
            save(store, *what)

        monkeypatch.setattr(Store, "save", fail)
        with street.running():
            polled_again(good)
            polled_again(bad)
    assert "ZeroDivisionError" in caplog.text
