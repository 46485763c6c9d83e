"""No owner is locked out by us: what counts is how often the router was shown a wrong password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import load
from dalla_mqtt.errors import AdminBusy, ArchiveError, DallaError, LoginRefused
from dalla_mqtt.router import Router, open_router
from dalla_mqtt.router.archer_c20 import ArcherC20
from dalla_mqtt.router.guard import Guard
from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.usage.limits import Limits
from dalla_mqtt.usage.reading import Mac, Reading

DAY_S = 86_400


class House:
    """A router, a state file, and a clock of its own; `polls` polls once a minute, as a program newly started."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self._folder = folder
        self.simulator = simulator
        self.now = 1_795_000_000.0

    def guard(self, store: Store, password: str, *, once_more: bool = False) -> Router:
        environment = {"DALLA_ROUTER_URL": self.simulator.url, "DALLA_ROUTER_PASSWORD": password}
        config = load(None, environment, {}).router
        return open_router(config, store, once_more=once_more, clock=lambda: self.now)

    def polls(self, minutes: int, password: str = "wrong", *, restarts: bool = True) -> None:  # noqa: S107  # invented
        with closing(Store(self._folder / "state.db")) as store:
            guard = self.guard(store, password)
            for _ in range(minutes):
                with suppress(DallaError):
                    guard.poll()
                self.now += 60
                if restarts:
                    guard = self.guard(store, password)

    @property
    def wrong(self) -> object:
        return self.simulator.state()["wrong_passwords"]


@pytest.fixture(params=["cookie", "gdpr", "rsa"])
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    with Simulator(Household.of(3), firmware=Firmware(login=request.param)) as simulator:
        yield House(tmp_path, simulator)


only_cookie = pytest.mark.parametrize("house", ["cookie"], indirect=True)
only_newer = pytest.mark.parametrize("house", ["gdpr", "rsa"], indirect=True)


@only_newer
def test_a_password_that_was_refused_is_never_tried_again_however_often_the_program_is_started(house: House) -> None:
    house.polls(30)
    assert house.wrong == 1
    with closing(Store(house._folder / "state.db")) as store, pytest.raises(LoginRefused, match="not asked again"):
        house.guard(store, "wrong").poll()


def test_to_limit_somebody_is_one_more_try_and_is_not_made_where_a_poll_would_not_be(house: House) -> None:
    house.polls(10)
    tries = house.wrong
    phone = Limits({"192.168.1.100": Mac.parse("02:00:00:00:00:01")})
    with closing(Store(house._folder / "state.db")) as store:
        for limits in (phone, Limits()):
            with pytest.raises((LoginRefused, AdminBusy), match="not asked"):
                house.guard(store, "wrong").enforce(limits)
    assert house.wrong == tries


def test_a_password_that_was_wrong_for_limits_is_wrong_for_polls(house: House) -> None:
    with closing(Store(house._folder / "state.db")) as store:
        for _ in range(5):
            with pytest.raises((LoginRefused, AdminBusy)):
                house.guard(store, "wrong").enforce(Limits(), dry_run=True)
            house.now += 60
    tries = house.wrong
    assert tries in (1, 3)
    house.polls(1)
    assert house.wrong == tries


def test_what_was_switched_on_is_remembered_in_the_state_file_and_switched_off_after_a_restart(house: House) -> None:
    for limits in (Limits({"192.168.1.100": Mac.parse("02:00:00:00:00:01")}), Limits()):
        with closing(Store(house._folder / "state.db")) as store:
            house.guard(store, "admin").enforce(limits)
        control = house.simulator.state()["tc"]
        assert isinstance(control, dict)
        assert control["enable"] == ("3" if limits.throttled else "0")


@only_cookie
@pytest.mark.parametrize("restarts", [True, False])
def test_where_busy_and_wrong_look_alike_three_tries_are_free_and_the_next_are_rare(
    house: House,
    restarts: bool,  # noqa: FBT001
) -> None:
    house.polls(10, restarts=restarts)
    assert house.wrong == 3
    house.polls(60, restarts=restarts)
    assert house.wrong == 7
    house.now += DAY_S
    house.polls(1)
    assert house.wrong == 8


def test_another_password_is_tried_at_once_and_what_was_wrong_before_is_forgotten(house: House) -> None:
    house.polls(10)
    tries = house.wrong
    house.polls(2, "admin")
    assert house.simulator.state()["logouts"] == 2
    assert house.wrong == tries


@only_cookie
def test_the_owners_session_of_an_hour_is_waited_for_and_the_next_poll_brings_a_reading(house: House) -> None:
    house.polls(2, "admin", restarts=False)
    house.simulator.log_in("the owner's laptop")
    house.polls(60, "admin", restarts=False)
    house.simulator.log_out()
    house.polls(20, "admin", restarts=False)
    assert house.wrong == 0
    assert house.simulator.state()["session"] is None
    with closing(Store(house._folder / "state.db")) as store:
        assert house.guard(store, "admin").poll().rows is not None


@only_cookie
def test_a_password_that_its_owner_changes_is_not_tried_ten_times_in_two_hours(house: House) -> None:
    house.polls(2, "admin", restarts=False)
    house.simulator.password("another")
    house.polls(120, "admin", restarts=False)
    assert isinstance(house.wrong, int)
    assert house.wrong < 10


@only_newer
def test_another_administrator_is_no_try_and_is_asked_after_at_every_poll(house: House) -> None:
    house.simulator.log_in("the owner's laptop")
    for _ in range(2):
        house.polls(20, "admin")
    house.simulator.log_out()
    house.polls(1, "admin")
    assert house.simulator.state()["wrong_passwords"] == 0
    assert house.simulator.state()["logouts"] == 2, "the owner's, and ours"


def test_a_state_file_that_cannot_be_used_costs_the_memory_and_not_the_poll() -> None:
    class Broken:
        def recall(self, key: str) -> str:
            return f"nonsense about {key}"

        def keep(self, key: str, value: str) -> None:
            raise ArchiveError(f"cannot write {key}: {value}")

    with Simulator(Household.of(1), firmware=Firmware(login="gdpr")) as simulator:
        environment = {"DALLA_ROUTER_URL": simulator.url, "DALLA_ROUTER_PASSWORD": "wrong"}
        guard = open_router(load(None, environment, {}).router, Broken())
        with pytest.raises(LoginRefused):
            guard.poll()


def test_who_asks_for_it_may_try_once_more_and_what_comes_of_it_is_kept(house: House) -> None:
    house.polls(10)
    tries = house.simulator.state()["wrong_passwords"]
    assert isinstance(tries, int)
    with closing(Store(house._folder / "state.db")) as store:
        with pytest.raises(DallaError):
            house.guard(store, "wrong", once_more=True).poll()
        assert house.wrong == tries + 1
        house.simulator.password("wrong")
        house.guard(store, "wrong", once_more=True).poll()
    logouts = house.simulator.state()["logouts"]
    house.polls(1)
    assert house.simulator.state()["logouts"] == int(str(logouts)) + 1


def test_whoever_asks_again_and_again_is_told_to_wait_before_the_router_is_locked(house: House) -> None:
    with closing(Store(house._folder / "state.db")) as store:
        for _ in range(12):
            with pytest.raises(DallaError):
                house.guard(store, "wrong", once_more=True).poll()
            house.now += 10
    assert house.wrong == 6


@pytest.mark.parametrize("login", ["gdpr", "rsa"])
def test_the_right_password_at_a_router_that_somebody_else_has_locked_is_not_taken_for_wrong(
    tmp_path: Path, login: str
) -> None:
    with Simulator(Household.of(3), firmware=Firmware(login=login)) as simulator:  # type: ignore[arg-type]
        house = House(tmp_path, simulator)
        house.polls(1, "admin")
        for _ in range(10):
            with suppress(DallaError):
                ArcherC20(simulator.url, "admin", "typed wrong", 5).poll()
        house.polls(3, "admin")
        simulator.reboot()
        house.polls(7, "admin")
        assert simulator.state()["logouts"] == 1 + 3, "it is let in again five minutes later"


def test_a_try_that_is_killed_before_its_answer_counts_where_the_password_was_never_right() -> None:
    class Killed:
        tries = 0

        def poll(self) -> Reading:
            self.tries += 1
            raise KeyboardInterrupt

        def leave(self) -> None:
            pass

    class Kept(dict[str, str]):
        recall = dict.get

        def keep(self, key: str, value: str) -> None:
            self[key] = value

    router, memory = Killed(), Kept()
    config = load(None, {"DALLA_ROUTER_PASSWORD": "wrong"}, {}).router
    for second in range(12):
        with suppress(KeyboardInterrupt, AdminBusy):
            Guard(router, config, memory, once_more=False, clock=lambda now=second: 1e9 + now).poll()  # type: ignore[misc]
    assert router.tries == 3


@only_cookie
def test_a_clock_that_was_set_back_makes_nobody_wait(house: House) -> None:
    house.polls(5)
    house.now -= DAY_S
    house.polls(1)
    assert house.wrong == 4


@only_cookie
def test_how_long_it_waits_is_told(house: House) -> None:
    house.polls(5)
    with closing(Store(house._folder / "state.db")) as store, pytest.raises(AdminBusy, match=r"3 times.* for 1\d min"):
        house.guard(store, "wrong").poll()
