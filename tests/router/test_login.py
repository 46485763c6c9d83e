"""Every way in that a router of this kind is known to have, and what its owner notices of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import get_args

import pytest

from dalla_mqtt.errors import AdminBusy, BadReply, DallaError, LoginRefused, RouterUnreachable
from dalla_mqtt.router.archer_c20 import ArcherC20
from dalla_mqtt.router.simulator import Fault, Firmware, Household, Simulator
from dalla_mqtt.usage.reading import Mac, Row
from tests.processes import wait_until

PHONE = Mac.parse("02:00:00:00:00:01")
NEWER = ["rsa", "gdpr", "gdpr-pkcs1", "mr"]
NAMES = {"cookie": "cookie", "rsa": "rsa", "gdpr": "gdpr", "gdpr-pkcs1": "gdpr", "mr": "gdpr"}


@contextmanager
def router(login: str, *, password: str = "admin", port: int = 0, **oddities: object) -> Iterator[Simulator]:  # noqa: S107  # invented
    firmware = Firmware(login=login, **oddities)  # type: ignore[arg-type]
    with Simulator(Household.of(3, quiet=True), firmware=firmware, password=password, port=port) as simulator:
        simulator.add(PHONE, "192.168.1.50", 5000, packets=7)
        yield simulator


def client(
    simulator: Simulator,
    password: str = "admin",  # noqa: S107  # invented
    *,
    timeout_s: float = 5,
    enable_statistics: bool = False,
) -> ArcherC20:
    return ArcherC20(simulator.url, "admin", password, timeout_s, enable_statistics=enable_statistics)


def state(simulator: Simulator, *keys: str) -> list[object]:
    return [simulator.state()[key] for key in keys]


@pytest.mark.parametrize("login", ["cookie", *NEWER])
def test_whichever_the_login_is_it_is_found_and_given_back_after_each_poll(login: str) -> None:
    with router(login) as simulator:
        poller = client(simulator)
        for polls in (1, 2, 3):
            reading = poller.poll()
            assert Row("192.168.1.50", PHONE, 7, 5000) in reading.rows
            assert reading.info.model == "Archer C20"
            assert reading.info.login == NAMES[login]
            assert state(simulator, "logins", "logouts", "session") == [polls, polls, None]


@pytest.mark.parametrize("login", NEWER)
def test_a_newer_router_that_refuses_the_password_is_asked_once(login: str) -> None:
    with router(login) as simulator:
        poller = client(simulator, "wrong")
        with pytest.raises(LoginRefused, match="user name or the password"):
            poller.poll()
        assert state(simulator, "wrong_passwords", "session") == [1, None]
        poller.leave()
        assert state(simulator, "wrong_passwords") == [1], "a logout would be one more try"


@pytest.mark.parametrize("login", NEWER)
def test_a_newer_router_with_another_administrator_is_not_even_told_the_password(login: str) -> None:
    with router(login) as simulator:
        simulator.log_in("the owner's laptop")
        poller = client(simulator, "wrong")
        with pytest.raises(AdminBusy, match="another administrator is logged in"):
            poller.poll()
        assert state(simulator, "wrong_passwords", "session") == [0, "the owner's laptop"]


@pytest.mark.parametrize("login", ["cookie", *NEWER])
def test_when_the_other_administrator_has_gone_it_is_let_in_again(login: str) -> None:
    with router(login) as simulator:
        poller = client(simulator)
        poller.poll()
        simulator.log_in("the owner's laptop")
        for _ in range(6):
            with pytest.raises(AdminBusy):
                poller.poll()
        simulator.log_out()
        assert poller.poll().rows
        assert state(simulator, "wrong_passwords") == [0]


@pytest.mark.parametrize("login", NEWER)
def test_newer_firmware_wants_the_whole_password(login: str) -> None:
    with router(login, password="longer than fifteen") as simulator:
        assert client(simulator, "longer than fifteen").poll().rows
        with pytest.raises(LoginRefused):
            client(simulator, "longer than fif").poll()


@pytest.mark.parametrize("login", ["gdpr", "rsa"])
def test_a_password_in_any_script_is_understood(login: str) -> None:
    with router(login, password="Schlüssel 🔑") as simulator:
        assert client(simulator, "Schlüssel 🔑").poll().rows


def test_firmware_that_hides_its_tables_from_a_login_over_several_connections_tells_them() -> None:
    with router("gdpr", one_connection=True) as simulator:
        poller = client(simulator)
        assert poller.poll().rows
        assert poller.poll().rows


def test_firmware_that_wants_one_connection_gets_it_again_after_an_answer_that_was_garbled_once() -> None:
    with router("gdpr", one_connection=True) as simulator:
        poller = client(simulator)
        poller.poll()
        simulator.fault("leak")
        with pytest.raises(RouterUnreachable):
            poller.poll()
        simulator.reboot()  # which forgets who came over one connection
        simulator.add(PHONE, "192.168.1.50", 300)
        polls(poller)
        assert [row.bytes for row in poller.poll().rows] == [300]


def test_firmware_that_leaks_chunks_into_the_next_answer_costs_one_reading_and_no_byte() -> None:
    with router("gdpr", leaky_chunks=True) as simulator:
        poller = client(simulator)
        with suppress(RouterUnreachable):
            poller.poll()
        for _ in range(3):
            assert Row("192.168.1.50", PHONE, 7, 5000) in poller.poll().rows
        assert state(simulator, "session") == [None]


@pytest.mark.parametrize("fault", get_args(Fault))
@pytest.mark.parametrize("login", ["rsa", "gdpr", "mr"])
def test_whatever_spoils_an_answer_the_next_poll_is_good_and_the_login_free(login: str, fault: Fault) -> None:
    with router(login, late_s=0.1) as simulator:
        poller = client(simulator, timeout_s=0.5)
        poller.poll()
        simulator.fault(fault)
        with suppress(AdminBusy, BadReply, RouterUnreachable):
            poller.poll()
        assert Row("192.168.1.50", PHONE, 7, 5000) in poller.poll().rows
        assert state(simulator, "session", "wrong_passwords") == [None, 0]


def test_another_firmware_on_the_same_router_is_found_by_itself() -> None:
    with router("cookie") as simulator:
        poller = client(simulator)
        poller.poll()
        port = simulator.port
    for login in ("gdpr", "cookie", "rsa"):
        with router(login, port=port) as simulator:
            polls(poller)
            assert poller.poll().info.login == login


def polls(poller: ArcherC20) -> None:
    """Until one brings a reading, within a few."""
    for _ in range(8):
        try:
            poller.poll()
        except DallaError:
            continue
        return


@pytest.mark.parametrize("login", ["cookie", "gdpr"])
def test_statistics_that_are_off_are_switched_on_where_that_is_wanted_and_else_left(login: str) -> None:
    with router(login, statistics_enabled=False) as simulator:
        for _ in range(2):
            assert not client(simulator).poll().statistics_enabled
        wanting = client(simulator, enable_statistics=True)
        wanting.poll()
        assert wanting.poll().statistics_enabled
        assert state(simulator, "session") == [None]


@pytest.mark.parametrize("login", ["cookie", "rsa", "gdpr"])
def test_a_poll_that_the_end_of_the_program_interrupts_gives_the_login_back(login: str) -> None:
    with router(login, late_s=0.3) as simulator:
        poller = client(simulator)
        poller.poll()
        simulator.fault("late")
        polling = threading.Thread(target=_poll, args=(poller,))
        polling.start()
        wait_until(lambda: simulator.state()["logins"] == 2, "the second login")
        poller.leave()
        polling.join()
        assert state(simulator, "session") == [None]
        with pytest.raises(RouterUnreachable, match="program is ending"):
            poller.poll()


def _poll(poller: ArcherC20) -> None:
    with suppress(DallaError):
        poller.poll()
