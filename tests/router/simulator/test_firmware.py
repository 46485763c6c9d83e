"""What differs from one router to another: each behaviour that a client may meet, by name, and what turns it on."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from dalla_mqtt.router.simulator import Fault, Firmware, Household, Simulator, Truth
from dalla_mqtt.router.simulator.firmware import Login
from dalla_mqtt.usage.reading import Mac
from tests.processes import Ran, Router, wait_until
from tests.router.simulator.admin import PAIR, ZEROS, Admin, Clock, batch, order, state, values
from tests.router.simulator.caller import STATISTICS, Caller

ALICE = Mac.parse("CB-BD-AB-90-2D-38")
BOB = Mac.parse("F8-B1-56-C1-22-11")
IP = "192.168.1.100"


@contextmanager
def router(clock: Clock, **firmware: object) -> Iterator[tuple[Simulator, Admin]]:
    """A quiet router of a firmware that is odd in the way of `firmware`, and its administrator."""
    odd = Firmware(**firmware)  # type: ignore[arg-type]
    with Simulator(Household.of(quiet=True), clock=clock, firmware=odd) as simulator:
        yield simulator, Admin(simulator)


def one(admin: Admin, action: int, oid: str, stack: str, *lines: str) -> str:
    """The answer to a section about one instance."""
    body = "".join(f"{line}\r\n" for line in (f"[{oid}#{stack}#{ZEROS}]0,{len(lines)}", *lines))
    return admin.post(str(action), body).text


# Who is let in


@pytest.mark.parametrize("status", [500, 401, 406])
def test_a_wrong_cookie_gets_the_status_of_the_firmware(clock: Clock, status: int) -> None:
    with router(clock, wrong_cookie=status) as (simulator, admin):
        assert Admin(simulator, login="admin:wrong").status() == status
        assert admin.status() == 200


@pytest.mark.parametrize("attempts", [5, 10])
def test_the_limit_of_attempts_is_the_firmwares(clock: Clock, attempts: int) -> None:
    with router(clock, attempts=attempts) as (simulator, admin):
        wrong = Admin(simulator, login="admin:wrong")
        for _ in range(attempts - 1):
            wrong.status()
        assert admin.status() == 200
        for _ in range(attempts):
            wrong.status()
        assert admin.status() == 500


@pytest.mark.parametrize("login", ["rsa", "gdpr", "mr"])
def test_the_limit_of_attempts_is_the_firmwares_with_a_login_too(clock: Clock, login: Login) -> None:
    with router(clock, login=login, attempts=2) as (simulator, _):
        wrong = Caller(simulator, password="wrong")
        wrong.enter()
        assert "currAuthTimes=2;" in wrong.enter()
        assert "71233" in Caller(simulator).enter()


@pytest.mark.parametrize("status", [500, 406])
def test_the_session_of_another_gets_the_status_of_the_firmware(clock: Clock, status: int) -> None:
    with router(clock, busy=status) as (simulator, admin):
        admin.status()
        assert Admin(simulator, "phone").status() == status


# What is asked


@pytest.mark.parametrize("number", [71014, 71011, 9003])
def test_a_malformed_request_gets_the_number_of_the_firmware(clock: Clock, number: int) -> None:
    with router(clock, malformed=number) as (_, admin):
        assert admin.post("1&1", f"[STAT_CFG#{ZEROS}#{ZEROS}]0,0\r\n").text == f"[error]{number}"


def test_what_is_unknown_gets_the_numbers_of_the_firmware(clock: Clock) -> None:
    with router(clock, unknown_object=1, unknown_attribute=2, unknown_instance=3) as (_, admin):
        assert admin.ask((1, "WARP_DRIVE")) == "[error]1"
        assert admin.ask((1, "STAT_CFG", "colour")) == "[error]2"
        assert one(admin, 1, "STAT_ENTRY", "9,0,0,0,0,0") == "[error]3"


def test_one_row_can_be_read_by_its_position_and_none_without_one(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 5)
    quiet.add(BOB, "192.168.1.101", 6)
    assert one(admin, 1, "STAT_ENTRY", "2,0,0,0,0,0", "totalBytes") == "[2,0,0,0,0,0]0\ntotalBytes=6\n[error]0"
    assert one(admin, 1, "STAT_ENTRY", "3,0,0,0,0,0") == "[error]9805"
    assert admin.ask((1, "LAN_WLAN", "name", "SSID")) == "[error]9003"


def test_an_answer_may_end_in_a_newline(clock: Clock) -> None:
    with router(clock, last_newline=True) as (_, admin):
        assert admin.ask(*PAIR).endswith("\n[error]0\n")
        assert admin.ask((1, "WARP_DRIVE")) == "[error]9804\n"


@pytest.mark.parametrize(("told", "ends"), [({}, "[error]0\n"), ({"last_newline": False}, "[error]0")])
def test_newer_firmware_ends_its_answers_in_a_newline_unless_told(
    clock: Clock, told: dict[str, object], ends: str
) -> None:
    with router(clock, login="mr", **told) as (simulator, _):
        caller = Caller(simulator)
        caller.enter()
        assert caller.ask(STATISTICS).endswith(ends)


def test_what_there_is_one_of_may_have_a_stack_of_its_own(clock: Clock) -> None:
    with router(clock, single_stack="1,1,0,0,0,0") as (_, admin):
        assert admin.ask((1, "SYS_MODE")) == "[1,1,0,0,0,0]0\nmode=ETH\n[error]0"


# Counters


def test_without_statistics_there_are_no_rows(clock: Clock) -> None:
    with router(clock, statistics_enabled=False) as (simulator, admin):
        simulator.add(ALICE, IP, 5)
        assert values(admin.ask(*PAIR), "enable") == ["0"]
        assert values(admin.ask(*PAIR), "macAddress") == []
        order(simulator, do="statistics", enabled=True)
        simulator.add(ALICE, IP, 5)
        assert values(admin.ask(*PAIR), "totalBytes") == ["5"]
        assert simulator.truth() == {ALICE: Truth(10, 5, 0)}


def test_with_hardware_nat_rows_appear_and_hardly_grow_until_bandwidth_control_is_on(clock: Clock) -> None:
    with router(clock, hardware_nat="first") as (simulator, admin):
        simulator.add(ALICE, IP, 1_000_000, packets=1000)
        reply = admin.ask(*PAIR)
        assert (values(reply, "totalPkts"), values(reply, "totalBytes")) == (["16"], ["16000"])
        assert (
            admin.ask(
                (
                    2,
                    "TC",
                    "enable=3",
                )
            )
            == "[error]0"
        )
        assert values(admin.ask((1, "TC", "enable")), "enable") == ["3"]
        simulator.add(ALICE, IP, 1000, packets=1)
        assert values(admin.ask(*PAIR), "totalBytes") == ["17000"]
        assert admin.ask((2, "TC", "enable=0")) == "[error]0"
        simulator.add(ALICE, IP, 64_000, packets=64)
        assert values(admin.ask(*PAIR), "totalBytes") == ["18000"]
        assert simulator.truth()[ALICE] == Truth(1_065_000, 18_000, 16_000)


def test_with_hardware_nat_there_may_be_no_rows_at_all(clock: Clock) -> None:
    with router(clock, hardware_nat="none") as (simulator, admin):
        simulator.add(ALICE, IP, 1_000_000)
        assert values(admin.ask(*PAIR), "totalBytes") == []
        order(simulator, do="bandwidth_control", enabled=True)
        simulator.add(ALICE, IP, 1000)
        assert values(admin.ask(*PAIR), "totalBytes") == ["1000"]
        order(simulator, do="bandwidth_control", enabled=False)
        order(simulator, do="hardware_nat", mode="off")
        simulator.add(ALICE, IP, 1000)
        assert values(admin.ask(*PAIR), "totalBytes") == ["2000"]


@pytest.mark.parametrize(("bits", "shown"), [(32, 10), (64, 2**32 + 10)])
def test_counters_have_the_bits_of_the_firmware(clock: Clock, bits: int, shown: int) -> None:
    with router(clock, counter_bits=bits) as (simulator, admin):
        simulator.add(ALICE, IP, 2**32 + 10)
        assert values(admin.ask(*PAIR), "totalBytes") == [str(shown)]


def test_directions_apart_wrap_each_by_itself(clock: Clock) -> None:
    with router(clock, statistics="rx-tx") as (simulator, admin):
        simulator.add(ALICE, IP, 2**32 + 7, direction="down")
        simulator.add(ALICE, IP, 5)
        clock.now += 10
        assert admin.ask((5, "STAT_ENTRY")) == (
            "[1,0,0,0,0,0]0\nipAddress=3232235876\nmacAddress=CB:BD:AB:90:2D:38\n"
            "currBytesRx=4294967303\ncurrBytesTx=5\ntotalBytesRx=7\ntotalBytesTx=5\n[error]0"
        )
        assert simulator.truth() == {ALICE: Truth(2**32 + 12, 2**32 + 12, 2**32 + 12)}
        assert state(simulator)["rows"] == [{"ip": IP, "mac": ALICE.colons, "packets": None, "bytes": 12}]


def test_of_lively_traffic_both_directions_add_up_to_the_truth(clock: Clock) -> None:
    with Simulator(Household.of(), clock=clock, firmware=Firmware(statistics="rx-tx")) as simulator:
        for _ in range(50):
            clock.now += 7.25
            reply = Admin(simulator).ask(*PAIR)
        received, sent = ([int(text) for text in values(reply, f"totalBytes{way}")] for way in ("Rx", "Tx"))
        assert all(received)
        assert any(sent)
        assert sum(received) + sum(sent) == sum(true.shown for true in simulator.truth().values())


def test_rows_may_have_no_address(clock: Clock) -> None:
    with router(clock, statistics="rx-tx-macs") as (simulator, admin):
        simulator.add(ALICE, IP, 5)
        assert admin.ask((5, "STAT_ENTRY")).startswith("[1,0,0,0,0,0]0\nmacAddress=CB:BD:AB:90:2D:38\ncurrBytesRx=0\n")
        assert simulator.truth()[ALICE].shown == 5


def test_a_deleted_row_leaves_its_place_to_the_last(quiet: Simulator, admin: Admin) -> None:
    for host, size in (("100", 1), ("101", 2), ("102", 3)):
        quiet.add(ALICE, f"192.168.1.{host}", size)
    assert one(admin, 4, "STAT_ENTRY", "1,0,0,0,0,0") == "[error]0"
    assert values(admin.ask(*PAIR), "totalBytes") == ["3", "2"]
    assert one(admin, 4, "STAT_ENTRY", "2,0,0,0,0,0") == "[error]0"
    assert values(admin.ask(*PAIR), "totalBytes") == ["3"]
    assert {one(admin, 4, "STAT_ENTRY", f"{n},0,0,0,0,0") for n in (0, 2)} == {"[error]9805"}


def test_one_row_can_be_zeroed_and_keeps_its_place(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 1)
    quiet.add(BOB, "192.168.1.101", 2)
    assert one(admin, 2, "STAT_ENTRY", "1,0,0,0,0,0", "action=1") == "[error]0"
    reply = admin.ask(*PAIR)
    assert (values(reply, "totalBytes"), values(reply, "macAddress")) == (["0", "2"], [ALICE.colons, BOB.colons])
    assert one(admin, 2, "STAT_ENTRY", "3,0,0,0,0,0", "action=1") == "[error]9805"
    assert one(admin, 2, "STAT_ENTRY", "1,0,0,0,0,0", "action=2") == "[error]9007"


@pytest.mark.parametrize("how", ["asked", "ordered"])
def test_after_a_factory_reset_statistics_are_off(quiet: Simulator, admin: Admin, how: str) -> None:
    quiet.add(ALICE, IP, 1)
    admin.ask((2, "STAT_CFG", "interval=30"))
    admin.ask((2, "TC", "enable=3"))
    if how == "asked":
        assert admin.ask((7, "ACT_FACTORY_RESET")) == "[error]0"
    else:
        order(quiet, do="factory_reset")
    assert state(quiet)["session"] is None
    reply = admin.ask((1, "STAT_CFG"), (5, "STAT_ENTRY"), (1, "TC", "enable"))
    assert reply == ("[0,0,0,0,0,0]0\nenable=0\ninterval=10\naction=0\n[0,0,0,0,0,0]2\nenable=0\n[error]0")


# Transport


def test_a_request_that_came_too_slowly_gets_a_page(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 5)
    quiet.fault("overdue")
    assert admin.post(*batch(*PAIR)).status_code == 408
    assert quiet.truth()[ALICE].shown == 0
    assert admin.status() == 200


def test_a_late_answer_comes_after_a_while(clock: Clock) -> None:
    with router(clock, late_s=0.25) as (simulator, admin):
        simulator.add(ALICE, IP, 5)
        simulator.fault("late")
        begun = time.monotonic()
        assert values(admin.ask(*PAIR), "totalBytes") == ["5"]
        assert time.monotonic() - begun >= 0.25


def test_a_leak_is_a_line_before_the_answer(quiet: Simulator, admin: Admin) -> None:
    quiet.fault("leak")
    with pytest.raises(requests.ConnectionError, match="18"):
        admin.ask(*PAIR)
    assert admin.status() == 200


def test_a_router_that_refuses_connections_takes_them_again_afterwards(quiet: Simulator, admin: Admin) -> None:
    assert order(quiet, do="refuse", seconds=0.5).status_code == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", quiet.port), timeout=5)

    def takes() -> bool:
        try:
            return admin.status() == 200
        except requests.ConnectionError:
            return False

    wait_until(takes, "a connection")


def test_another_administrator_comes_and_goes(quiet: Simulator, admin: Admin) -> None:
    assert admin.status() == 200
    assert order(quiet, do="log_in", client="phone").json()["session"] == "phone"
    assert admin.status() == 500
    order(quiet, do="log_out")
    assert admin.status() == 200


def test_another_administrator_ends_a_session_that_had_a_login(clock: Clock) -> None:
    with router(clock, login="gdpr") as (simulator, _):
        laptop = Caller(simulator)
        laptop.enter()
        order(simulator, do="log_in", client="phone")
        assert laptop.send(STATISTICS).status_code == 406
        order(simulator, do="log_out")
        assert laptop.send(STATISTICS, "long").status_code == 406
        assert "$.ret=0;" in laptop.enter()


@pytest.mark.parametrize(
    ("kind", "looks"),
    [
        ("zeros", lambda text: values(text, "totalBytesRx") == values(text, "totalBytesTx") == ["0"]),
        ("bad_number", lambda text: values(text, "totalBytesRx") == ["-0"]),
        ("html", lambda text: text.startswith("<html>")),
        ("empty", lambda text: not text),
        ("truncate", lambda text: "[error]" not in text),
    ],
)
def test_encrypted_answers_are_spoilt_as_plain_ones_are(
    clock: Clock, kind: Fault, looks: Callable[[str], bool]
) -> None:
    with router(clock, login="gdpr", statistics="rx-tx") as (simulator, _):
        laptop = Caller(simulator)
        laptop.enter()
        simulator.add(ALICE, IP, 5)
        simulator.fault(kind)
        answer = laptop.send(STATISTICS).text
        assert looks(answer if kind in ("html", "empty") else laptop.decrypt(answer))
        assert simulator.truth()[ALICE].shown == 0


# By name


def test_a_firmware_can_be_told_by_texts() -> None:
    told = {"login": "mr", "attempts": "3", "wrong_cookie": "401", "leaky_chunks": "true", "late_s": "0.5"}
    assert Firmware.of(told) == Firmware("mr", attempts=3, wrong_cookie=401, leaky_chunks=True, late_s=0.5)


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"colour": "red"}, "a firmware has no colour"),
        ({"wrong_cookie": "402"}, "a firmware is not like that: Invalid enum value 402"),
        ({"leaky_chunks": "maybe"}, "a firmware is not like that: Expected `bool`"),
    ],
)
def test_a_firmware_that_there_is_not_is_refused(told: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Firmware.of(told)


def test_the_command_says_what_firmware_there_is_not(tmp_path: Path) -> None:
    complaint = Ran(tmp_path, "simulate", "--port", "0", "--firmware", "colour=red").complaint
    assert complaint == "the simulated router cannot start: a firmware has no colour"


def test_the_firmware_without_a_login_needs_no_cryptography() -> None:
    program = (
        "import sys; from dalla_mqtt.router.simulator import Household, Simulator; "
        "Simulator(Household.of()); print('cryptography' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_the_command_takes_a_login_counters_and_more() -> None:
    options = ("--login", "gdpr", "--statistics", "rx-tx", "--firmware", "busy=500", "--firmware", "false_chunks=true")
    with Router(*options) as simulated:
        answer = requests.post(f"{simulated.url}/cgi_gdpr", headers={"Referer": simulated.url}, stream=True, timeout=5)
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert "tpEncrypt" not in requests.get(f"{simulated.url}/", timeout=5).text
        assert "512, 0)" in requests.get(f"{simulated.url}/js/tpEncrypt.js", timeout=5).text
        answer.close()
