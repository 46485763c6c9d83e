"""The simulated router, as its clients and its users meet it: over a real socket, with a clock that the test turns."""

import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from dalla_mqtt.router.simulator import Fault, Firmware, Household, Simulator, Truth
from dalla_mqtt.usage.reading import Mac
from tests.router.simulator.admin import PAIR, ZEROS, Admin, Clock, batch, order, state, values

ALICE = Mac.parse("CB-BD-AB-90-2D-38")
BOB = Mac.parse("F8-B1-56-C1-22-11")
IP = "192.168.1.100"
BUSY_PAGE = (
    b"<html><head><title>500 Internal Server Error</title></head>"
    b"<body><center><h1>500 Internal Server Error</h1></center></body></html>"
)


def shown_and_moved(simulator: Simulator) -> tuple[int, int]:
    truth = simulator.truth().values()
    return sum(true.shown for true in truth), sum(true.moved for true in truth)


# What is asked, and how it is answered


def test_the_classic_poll_is_answered_byte_for_byte_as_the_firmware_does(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 1843, packets=13)
    assert admin.ask(*PAIR) == (
        "[0,0,0,0,0,0]0\nenable=1\ninterval=10\naction=0\n"
        "[1,0,0,0,0,0]1\nipAddress=3232235876\nmacAddress=CB:BD:AB:90:2D:38\ntotalPkts=13\ntotalBytes=1843\n"
        "currPkts=0\ncurrBytes=0\ncurrIcmp=0\ncurrUdp=0\ncurrSyn=0\ncurrIcmpMax=0\ncurrUdpMax=0\ncurrSynMax=0\n"
        "[error]0"
    )


def test_an_empty_table_is_no_block_at_all(admin: Admin) -> None:
    assert admin.ask((5, "STAT_ENTRY")) == "[error]0"


def test_only_what_was_named_is_answered_in_the_firmwares_order(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 5)
    assert admin.ask((5, "STAT_ENTRY", "TotalBytes", "ipAddress")) == (
        "[1,0,0,0,0,0]0\nipAddress=3232235876\ntotalBytes=5\n[error]0"
    )


def test_the_first_screen_looks_like_the_one_of_a_real_c20(admin: Admin) -> None:
    reply = admin.ask(
        (1, "IGD_DEV_INFO", "modelName", "description", "X_TP_isFD"),
        (1, "ETH_SWITCH", "numberOfVirtualPorts"),
        (1, "SYS_MODE", "mode"),
        (8, "/cgi/info"),
    )
    assert reply.split("\n") == [
        *("[0,0,0,0,0,0]0", "modelName=Archer C20", "description=AC750 Wireless Dual Band Router", "X_TP_isFD=0"),
        *("[0,0,0,0,0,0]1", "numberOfVirtualPorts=4"),
        *("[0,0,0,0,0,0]2", "mode=ETH"),
        *("[cgi]3", 'var userType="Admin";', "var bSecured=0;", "var clientLocal=1;", 'var clientIp="laptop";'),
        *('var clientMac="00:00:00:00:00:00";', "$.ret=0;", "[error]0"),
    ]


def test_the_lease_table_names_every_device(clock: Clock, admin: Admin) -> None:
    clock.now += 100
    reply = admin.ask((5, "LAN_HOST_ENTRY", "leaseTimeRemaining", "MACAddress", "hostName", "IPAddress"))
    assert reply.startswith("[1,0,0,0,0,0]0\nleaseTimeRemaining=7100\nMACAddress=")
    assert values(reply, "hostName")[0] == "alices-phone"
    assert values(reply, "IPAddress") == [f"192.168.1.{host}" for host in range(100, 110)]


def test_uptime_is_told_in_seconds(clock: Clock, admin: Admin) -> None:
    clock.now += 61.9
    assert values(admin.ask((1, "IGD_DEV_INFO")), "upTime") == ["61"]


def test_line_feeds_alone_are_an_error(admin: Admin) -> None:
    query, body = batch(*PAIR)
    assert admin.post(query, body.replace("\r\n", "\n")).text == "[error]71111"
    assert admin.post(query, body.removesuffix("\r\n")).text == "[error]71111"


HEAD = f"[STAT_CFG#{ZEROS}#{ZEROS}]"


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("1", ""),
        ("1", "STAT_CFG\r\n"),
        ("1", f"{HEAD}1,0\r\n"),
        ("1", f"{HEAD}0,1\r\n"),
        ("1", f"{HEAD}0,0\r\nenable\r\n"),
        ("1", f"{HEAD}0,0\r\n\r\n"),
        ("1&5", f"{HEAD}0,0\r\n"),
        ("1", f"{HEAD}0,0\r\n{HEAD}1,0\r\n"),
        ("1&1", f"{HEAD}0,1\r\n{HEAD}1,0\r\n"),
        ("get", f"{HEAD}0,0\r\n"),
        ("", f"{HEAD}0,0\r\n"),
        ("2", f"{HEAD}0,1\r\nenable\r\n"),
        ("1", "[STAT_CFG#0,0#0,0]0,0\r\n"),
    ],
)
def test_a_malformed_request_is_an_error(admin: Admin, query: str, body: str) -> None:
    assert admin.post(query, body).text == "[error]71014"


@pytest.mark.parametrize(
    ("section", "number"),
    [
        ((1, "WARP_DRIVE"), 9804),
        ((8, "/cgi/softup"), 9804),
        ((1, "STAT_CFG", "colour"), 9005),
        ((5, "STAT_ENTRY", "totalbytes"), 9005),
        ((2, "STAT_CFG", "colour=1"), 9005),
        ((2, "STAT_CFG", "enable=yes"), 9007),
        ((2, "STAT_CFG", "interval=61"), 9007),
        ((9, "STAT_CFG"), 9000),
        ((3, "STAT_ENTRY"), 9000),
    ],
)
def test_what_the_router_does_not_have_fails_the_whole_batch(
    admin: Admin, section: tuple[int | str, ...], number: int
) -> None:
    assert admin.ask(*PAIR, section) == f"[error]{number}"


def test_a_refused_setting_leaves_the_others_of_its_section_alone(admin: Admin) -> None:
    assert admin.ask((2, "STAT_CFG", "interval=30", "enable=2")) == "[error]9007"
    assert values(admin.ask((1, "STAT_CFG")), "interval") == ["10"]


def test_a_firmware_that_takes_the_classic_pair_only_refuses_a_longer_batch(clock: Clock) -> None:
    with Simulator(Household.of(), clock=clock, firmware=Firmware(classic_pair_only=True)) as simulator:
        admin = Admin(simulator)
        assert admin.ask(*PAIR, (1, "IGD_DEV_INFO")) == "[error]9804"
        assert admin.ask(*PAIR).endswith("[error]0")


# Who is let in


@pytest.mark.parametrize("referer", [None, "http://example.org/", "http://[", "nonsense"])
def test_a_request_that_comes_from_no_page_of_the_router_is_forbidden(admin: Admin, referer: str | None) -> None:
    reply = admin.post(*batch(*PAIR), Referer=referer)
    assert reply.status_code == 403
    assert reply.text == BUSY_PAGE.decode().replace("500 Internal Server Error", "403 Forbidden")


@pytest.mark.parametrize("referer", ["http://127.0.0.1/", "http://tplinkwifi.net/main.htm", "http://tplinklogin.net"])
def test_any_name_of_the_router_will_do_as_a_referer(admin: Admin, referer: str) -> None:
    assert admin.post(*batch(*PAIR), Referer=referer).status_code == 200


def test_a_wrong_password_gets_the_page_of_the_old_firmware_byte_for_byte(quiet: Simulator) -> None:
    reply = Admin(quiet, login="admin:wrong").post(*batch(*PAIR))
    assert (reply.status_code, reply.content, reply.headers["Connection"]) == (500, BUSY_PAGE, "close")
    assert state(quiet)["refused"] == 1


@pytest.mark.parametrize(
    "cookie",
    [
        'Authorization="Basic YWRtaW46YWRtaW4="',
        "Authorization=Basic%20YWRtaW46YWRtaW4=",
        "Basic YWRtaW46YWRtaW4=",
        None,
    ],
)
def test_only_the_literal_cookie_opens_the_door(admin: Admin, cookie: str | None) -> None:
    assert admin.post(*batch(*PAIR), Cookie=cookie).status_code == 500
    assert admin.post(*batch(*PAIR), Cookie="a=b; Authorization=Basic YWRtaW46YWRtaW4=").status_code == 200


def test_ten_wrong_passwords_lock_everybody_out_for_two_hours(quiet: Simulator, clock: Clock) -> None:
    right, wrong = Admin(quiet), Admin(quiet, login="admin:wrong")
    assert {wrong.status() for _ in range(10)} == {500}
    clock.now += 7199
    assert right.status() == 500
    clock.now += 1
    assert right.status() == 200


def test_a_success_forgives_nine_failures_and_no_cookie_is_no_failure(quiet: Simulator) -> None:
    right, wrong = Admin(quiet), Admin(quiet, login="admin:wrong")
    for _ in range(2):
        assert {wrong.status() for _ in range(9)} == {500}
        assert {right.post(*batch(*PAIR), Cookie=None).status_code for _ in range(3)} == {500}
        assert right.status() == 200


def test_of_long_credentials_the_first_fifteen_characters_count(clock: Clock) -> None:
    household = Household.of(quiet=True)
    with Simulator(household, clock=clock, username="administrator-of-all", password="0123456789abcdefgh") as simulator:
        assert Admin(simulator, login="administrator-o:0123456789abcde").status() == 200
        assert Admin(simulator, login="administrator-of-all:0123456789abcdefgh").status() == 500


def test_one_administrator_at_a_time_until_logged_out(quiet: Simulator) -> None:
    laptop, phone = Admin(quiet, "laptop"), Admin(quiet, "phone")
    assert laptop.status() == 200
    assert [phone.status() for _ in range(12)] == [500] * 12, "and none of them counts as a wrong password"
    assert laptop.ask((8, "/cgi/logout")) == "[cgi]0\n[error]0"
    assert state(quiet)["session"] is None
    assert phone.status() == 200
    now = state(quiet)
    assert (now["session"], now["logins"], now["logouts"], now["refused"]) == ("phone", 2, 1, 12)


def test_a_session_idle_for_ten_minutes_is_free(quiet: Simulator, clock: Clock) -> None:
    laptop, phone = Admin(quiet, "laptop"), Admin(quiet, "phone")
    assert laptop.status() == 200
    clock.now += 599
    assert phone.status() == 500
    clock.now += 1
    assert phone.status() == 200
    assert laptop.status() == 500


def test_clients_without_a_name_of_their_own_are_told_apart_by_address(admin: Admin) -> None:
    assert admin.post(*batch(*PAIR), X_Simulated_Client=None).status_code == 200
    assert admin.status() == 500


# Counters


def test_bytes_and_packets_wrap_at_32_bits_and_the_truth_does_not(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 2**32 - 1, packets=2**32 + 3)
    assert values(admin.ask(*PAIR), "totalBytes") == ["4294967295"]
    quiet.add(ALICE, IP, 11)
    reply = admin.ask(*PAIR)
    assert (values(reply, "totalBytes"), values(reply, "totalPkts")) == (["10"], ["4"])
    assert quiet.truth() == {ALICE: Truth(moved=2**32 + 10, shown=2**32 + 10, baseline=2**32 - 1)}


def test_a_64_bit_firmware_does_not_wrap(clock: Clock) -> None:
    with Simulator(Household.of(quiet=True), clock=clock, firmware=Firmware(counter_bits=64)) as simulator:
        simulator.add(ALICE, IP, 2**40)
        assert values(Admin(simulator).ask(*PAIR), "totalBytes") == [str(2**40)]


def test_a_row_has_no_mac_before_its_host_uploads(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 100, direction="down")
    assert values(admin.ask(*PAIR), "macAddress") == ["00:00:00:00:00:00"]
    assert shown_and_moved(quiet) == (0, 100)
    quiet.add(ALICE, IP, 1)
    assert values(admin.ask(*PAIR), "macAddress") == ["CB:BD:AB:90:2D:38"]
    assert quiet.truth()[ALICE] == Truth(moved=101, shown=101, baseline=100)


def test_an_address_handed_to_another_host_counts_on_under_the_new_mac(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 100)
    admin.ask(*PAIR)
    quiet.move(IP, BOB, name="bobs-new-phone")
    quiet.add(BOB, IP, 7)
    reply = admin.ask(*PAIR, (5, "LAN_HOST_ENTRY"))
    assert (values(reply, "macAddress"), values(reply, "totalBytes")) == (["F8:B1:56:C1:22:11"], ["107"])
    assert values(reply, "hostName")[0] == "bobs-new-phone"
    assert quiet.truth() == {ALICE: Truth(100, 100, 100), BOB: Truth(7, 7, 0)}


def test_a_full_table_counts_no_newcomer(clock: Clock) -> None:
    with Simulator(Household.of(devices=300, busy=True), clock=clock) as simulator:
        clock.now += 10
        assert len(values(Admin(simulator).ask(*PAIR), "ipAddress")) == 256
        shown, moved = shown_and_moved(simulator)
        assert 0 < shown < moved


def test_statistics_switched_off_have_no_rows_and_start_at_nothing(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 100)
    assert admin.ask((2, "STAT_CFG", "enable=0")) == "[error]0"
    quiet.add(ALICE, IP, 100)
    assert admin.ask(*PAIR) == "[0,0,0,0,0,0]0\nenable=0\ninterval=10\naction=0\n[error]0"
    admin.ask((2, "STAT_CFG", "Enable=1"))
    quiet.add(ALICE, IP, 1)
    assert values(admin.ask(*PAIR), "totalBytes") == ["1"]


def test_reset_all_keeps_the_rows_and_delete_all_does_not(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 100)
    assert admin.ask((2, "STAT_CFG", "action=1")) == "[error]0"
    reply = admin.ask(*PAIR)
    assert [values(reply, name) for name in ("macAddress", "totalBytes", "action")] == [[ALICE.colons], ["0"], ["0"]]
    assert admin.ask((2, "STAT_CFG", "action=2")) == "[error]0"
    assert values(admin.ask(*PAIR), "ipAddress") == []


def test_current_values_are_those_of_the_interval_that_ended_last(quiet: Simulator, clock: Clock, admin: Admin) -> None:
    quiet.add(ALICE, IP, 9000, packets=80)
    clock.now += 10
    quiet.add(ALICE, IP, 1)
    reply = admin.ask(*PAIR)
    assert [values(reply, name) for name in ("currBytes", "currPkts", "currUdp")] == [["9000"], ["80"], ["10"]]
    clock.now += 20
    reply = admin.ask(*PAIR)
    assert [values(reply, name) for name in ("currBytes", "currUdp", "currUdpMax")] == [["0"], ["0"], ["10"]]


def test_polls_do_not_change_what_moves(clock: Clock) -> None:
    once, often = (Simulator(Household.of(seed=5), clock=clock) for _ in range(2))
    with often:
        for _ in range(100):
            clock.now += 0.6
            Admin(often).ask(*PAIR)
        assert {mac: true.moved for mac, true in once.truth().items()} == {
            mac: true.moved for mac, true in often.truth().items()
        }


def test_nothing_moves_while_frozen_and_nothing_is_made_up_for_afterwards(lively: Simulator, clock: Clock) -> None:
    clock.now += 30
    lively.freeze()
    before = lively.truth()
    clock.now += 3600
    lively.thaw()
    assert lively.truth() == before
    clock.now += 30
    assert lively.truth() != before


# Reboot


def test_a_reboot_is_answered_then_rows_session_and_uptime_are_gone_but_not_the_settings(
    quiet: Simulator, clock: Clock, admin: Admin
) -> None:
    quiet.add(ALICE, IP, 100)
    clock.now += 50
    admin.ask((2, "STAT_CFG", "interval=20"))
    assert admin.ask((7, "ACT_REBOOT")) == "[error]0"
    now = state(quiet)
    assert (now["rows"], now["session"], now["uptime_s"]) == ([], None, 0)
    assert values(admin.ask(*PAIR), "interval") == ["20"]


def test_connections_are_dropped_and_nothing_moves_while_it_boots(clock: Clock) -> None:
    with Simulator(Household.of(busy=True), clock=clock, firmware=Firmware(reboot_s=45)) as simulator:
        admin = Admin(simulator)
        clock.now += 10
        simulator.reboot()
        moved = shown_and_moved(simulator)
        clock.now += 44.9
        for ask in (lambda: admin.ask(*PAIR), lambda: requests.get(simulator.url, timeout=5)):
            with pytest.raises(requests.ConnectionError):
                ask()
        assert shown_and_moved(simulator) == moved, "and its users may still look"
        clock.now += 1
        assert values(admin.ask(*PAIR, (1, "IGD_DEV_INFO")), "upTime") == ["0"]


def test_what_moved_between_the_last_reply_and_a_reboot_is_never_shown(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 100)
    admin.ask(*PAIR)
    quiet.add(ALICE, IP, 20)
    quiet.reboot()
    quiet.add(ALICE, IP, 3)
    admin.ask(*PAIR)
    assert quiet.truth() == {ALICE: Truth(moved=123, shown=103, baseline=100)}


# The truth


def test_after_a_poll_of_frozen_traffic_all_that_moved_is_shown(lively: Simulator, clock: Clock) -> None:
    for _ in range(5):
        clock.now += 60
        lively.freeze()
        Admin(lively).ask(*PAIR)
        assert all(true.shown == true.moved > 0 for true in lively.truth().values())
        lively.thaw()


def test_looking_at_the_state_shows_nothing(lively: Simulator, clock: Clock) -> None:
    clock.now += 60
    assert state(lively)["rows"]
    shown, moved = shown_and_moved(lively)
    assert shown == 0 < moved


def test_the_first_reply_is_the_baseline_and_newcomers_have_none(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 100)
    assert quiet.truth() == {ALICE: Truth(100, 0, 0)}
    admin.ask(*PAIR)
    quiet.add(ALICE, IP, 5)
    quiet.add(BOB, "192.168.1.101", 9)
    admin.ask(*PAIR)
    assert quiet.truth() == {ALICE: Truth(105, 105, 100), BOB: Truth(9, 9, 0)}


def test_a_reply_without_counters_shows_nothing(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 100)
    admin.ask((1, "STAT_CFG"))
    admin.ask((5, "STAT_ENTRY", "macAddress"))
    admin.ask(*PAIR, (1, "WARP_DRIVE"))
    assert quiet.truth() == {ALICE: Truth(100, 0, 0)}


def test_a_reply_that_its_client_did_not_stay_for_shows_nothing(clock: Clock) -> None:
    firmware = Firmware(max_rows=20_000)
    with Simulator(Household.of(devices=20_000, busy=True), clock=clock, firmware=firmware) as simulator:
        clock.now += 1
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.connect(("127.0.0.1", simulator.port))
            client.sendall(raw_request(simulator))
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert state(simulator)["replies"] == 0
        assert shown_and_moved(simulator)[0] == 0


MOVES = st.one_of(
    st.tuples(st.just("pass"), st.floats(0, 90)),
    st.tuples(st.just("poll"), st.none()),
    st.tuples(st.just("add"), st.integers(0, 2**33)),
    st.tuples(st.just("download"), st.integers(0, 2**33)),
    st.tuples(
        st.just("fault"), st.sampled_from(sorted(set(get_args(Fault)) - {"cut", "hang_up", "silent", "leak", "late"}))
    ),
    st.tuples(st.sampled_from(["reboot", "reset", "clear"]), st.none()),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(MOVES, max_size=20))
def test_nothing_is_ever_shown_that_did_not_move(moves: list[tuple[str, object]]) -> None:
    clock = Clock()
    with Simulator(Household.of(devices=3), clock=clock) as simulator:
        admin = Admin(simulator)
        for verb, how in moves:
            act(simulator, clock, admin, verb, how)
            for true in simulator.truth().values():
                assert 0 <= true.baseline <= true.shown <= true.moved


def act(simulator: Simulator, clock: Clock, admin: Admin, verb: str, how: object) -> None:
    match verb, how:
        case "pass", float(seconds):
            clock.now += seconds
        case "poll", _:
            admin.post(*batch(*PAIR))
        case (("add" | "download"), int(size)):
            simulator.add(ALICE, "192.168.1.7", size, direction="up" if verb == "add" else "down")
        case _:
            order(simulator, do=verb, **({"kind": how} if how else {})).raise_for_status()


def test_many_clients_at_once_are_all_answered_whole(lively: Simulator, clock: Clock) -> None:
    def poll(_: int) -> bool:
        clock.now += 0.1
        return Admin(lively).ask(*PAIR).endswith("[error]0")

    with ThreadPoolExecutor(8) as clients:
        assert all(clients.map(poll, range(100)))
    lively.freeze()
    Admin(lively).ask(*PAIR)
    shown, moved = shown_and_moved(lively)
    assert shown == moved


# Faults


@pytest.mark.parametrize(
    ("kind", "status", "looks"),
    [
        ("truncate", 200, lambda text: text.startswith("[0,0,0,0,0,0]0") and "[error]" not in text),
        ("html", 200, lambda text: text.startswith("<html>")),
        ("empty", 200, lambda text: not text),
        ("malformed", 200, lambda text: any("=" not in line and line[0] != "[" for line in text.split("\n"))),
        ("bad_number", 200, lambda text: values(text, "totalBytes") == ["-100"]),
        ("zeros", 200, lambda text: values(text, "totalBytes") == values(text, "totalPkts") == ["0"]),
        ("error", 200, lambda text: text == "[error]9002"),
        ("busy", 500, lambda text: text == BUSY_PAGE.decode()),
    ],
)
def test_a_spoilt_reply_shows_nothing_and_the_next_one_is_well(
    quiet: Simulator, admin: Admin, kind: Fault, status: int, looks: Callable[[str], bool]
) -> None:
    quiet.add(ALICE, IP, 100)
    quiet.fault(kind, count=2)
    assert admin.ask((1, "STAT_CFG")).endswith("[error]0"), "only a poll of the counters is spoilt"
    for _ in range(2):
        reply = admin.post(*batch(*PAIR))
        assert (reply.status_code, looks(reply.text)) == (status, True)
        assert quiet.truth() == {ALICE: Truth(100, 0, 0)}
    assert values(admin.ask(*PAIR), "totalBytes") == ["100"]
    assert quiet.truth() == {ALICE: Truth(100, 100, 100)}


def test_a_dropped_row_is_missing_from_one_reply_that_shows_the_others(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 100)
    quiet.add(BOB, "192.168.1.101", 9)
    quiet.fault("drop_row")
    assert values(admin.ask(*PAIR), "macAddress") == [BOB.colons]
    assert quiet.truth() == {ALICE: Truth(100, 0, 0), BOB: Truth(9, 9, 9)}
    assert values(admin.ask(*PAIR), "macAddress") == [ALICE.colons, BOB.colons]
    assert quiet.truth() == {ALICE: Truth(100, 100, 0), BOB: Truth(9, 9, 9)}


def test_a_third_of_the_rows_is_missing_from_one_reply_that_shows_the_others(quiet: Simulator, admin: Admin) -> None:
    for number in range(7):
        quiet.add(BOB, f"192.168.1.{number}", number)
    quiet.fault("drop_third")
    assert values(admin.ask(*PAIR), "totalBytes") == ["2", "3", "4", "5", "6"]
    assert quiet.truth()[BOB] == Truth(moved=21, shown=20, baseline=20)
    assert len(values(admin.ask(*PAIR), "totalBytes")) == 7
    assert quiet.truth()[BOB] == Truth(moved=21, shown=21, baseline=20)


@pytest.mark.parametrize(
    ("kind", "looks"),
    [
        ("double_row", lambda text: values(text, "totalBytes") == ["100", "100", "9"]),
        ("double_line", lambda text: "\ntotalPkts=7\ntotalPkts=7\n" in text),
        ("blank_line", lambda text: text.count("\n\n[") == 3),
    ],
)
def test_a_reply_that_is_odd_but_legible_shows_everything(
    quiet: Simulator, admin: Admin, kind: Fault, looks: Callable[[str], bool]
) -> None:
    quiet.add(ALICE, IP, 100, packets=7)
    quiet.add(BOB, "192.168.1.101", 9)
    quiet.fault(kind)
    assert looks(admin.ask(*PAIR))
    assert quiet.truth() == {ALICE: Truth(100, 100, 100), BOB: Truth(9, 9, 9)}


@pytest.mark.parametrize("kind", ["cut", "hang_up"])
def test_a_reply_that_does_not_come_whole_shows_nothing(quiet: Simulator, admin: Admin, kind: Fault) -> None:
    quiet.add(ALICE, IP, 100)
    quiet.fault(kind)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        admin.ask(*PAIR)
    assert state(quiet)["replies"] == 0
    assert quiet.truth() == {ALICE: Truth(100, 0, 0)}
    assert values(admin.ask(*PAIR), "totalBytes") == ["100"]


def test_a_silent_router_says_nothing_until_the_client_leaves(quiet: Simulator, admin: Admin) -> None:
    quiet.add(ALICE, IP, 100)
    quiet.fault("silent")
    with socket.create_connection(("127.0.0.1", quiet.port), timeout=0.2) as client:
        client.sendall(raw_request(quiet))
        with pytest.raises(TimeoutError):
            client.recv(1)
    assert values(admin.ask(*PAIR), "totalBytes") == ["100"]


def test_the_busy_fault_leaves_no_session_behind(quiet: Simulator, admin: Admin) -> None:
    quiet.fault("busy")
    admin.ask(*PAIR)
    assert state(quiet)["session"] is None


# The control face


def test_the_state_tells_all_there_is_to_know(quiet: Simulator, clock: Clock, admin: Admin) -> None:
    clock.now += 5
    quiet.add(ALICE, IP, 2**32 + 100, packets=7)
    quiet.add(BOB, "192.168.1.101", 9, direction="down")
    admin.ask(*PAIR)
    assert state(quiet) == {
        "rows": [
            {"ip": IP, "mac": "CB:BD:AB:90:2D:38", "packets": 7, "bytes": 100},
            {"ip": "192.168.1.101", "mac": None, "packets": 1, "bytes": 9},
        ],
        "truth": {
            "CB:BD:AB:90:2D:38": {"moved": 2**32 + 100, "shown": 2**32 + 100, "baseline": 2**32 + 100},
            "F8:B1:56:C1:22:11": {"moved": 9, "shown": 0, "baseline": 0},
        },
        "uptime_s": 5,
        "logins": 1,
        "logouts": 0,
        "wrong_passwords": 0,
        "replies": 1,
        "refused": 0,
        "session": "laptop",
        "throttled": {},
        "blocked": [],
        "blocked6": [],
        "tc": {"enable": "0", "linkType": "0", "upTotalBW": "10000", "downTotalBW": "50000", "rules": []},
        "firewall": {"enable": "0", "defaultAction": "0", "hosts": [], "rules": []},
        "firewall6": None,
    }


def test_every_order_answers_the_state_that_it_led_to(lively: Simulator, clock: Clock) -> None:
    clock.now += 60
    assert order(lively, do="freeze").json()["rows"]
    assert {row["bytes"] for row in order(lively, do="reset").json()["rows"]} == {0}
    assert order(lively, do="clear").json()["rows"] == []
    row = {"mac": ALICE.colons, "ip": "192.168.1.7", "bytes": 5, "packets": 2}
    assert order(lively, do="add", **row).json()["rows"] == [row]
    assert order(lively, do="add", **row, direction="down").json()["rows"][0]["bytes"] == 10
    assert order(lively, do="move", ip=IP, mac=BOB.dashed, name="bobs-watch").status_code == 200
    assert order(lively, do="fault", kind="error").status_code == 200
    assert Admin(lively).ask(*PAIR) == "[error]9002"
    assert order(lively, do="reboot").json()["uptime_s"] == 0
    assert order(lively, do="thaw").json()["rows"] == []
    clock.now += 60
    assert state(lively)["rows"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Expecting value"),
        ("[]", "an order is an object"),
        ("{}", "do: None is none of freeze, thaw,"),
        ('{"do": "explode"}', "do: 'explode' is none of"),
        ('{"do": ["freeze"]}', "do: ['freeze'] is none of"),
        ('{"do": "freeze", "for": 3}', "freeze does not know for"),
        ('{"do": "move", "ip": "192.168.1.100"}', "move: missing a required argument: 'mac'"),
        ('{"do": "move", "ip": "192.168.1.300", "mac": "CB-BD-AB-90-2D-38"}', "ip: "),
        ('{"do": "move", "ip": "192.168.7.7", "mac": "CB-BD-AB-90-2D-38"}', "nobody has the address 192.168.7.7"),
        ('{"do": "move", "ip": 7, "mac": "CB-BD-AB-90-2D-38"}', "ip: 7 is not a text"),
        ('{"do": "add", "mac": "CB-BD", "ip": "192.168.1.7", "bytes": 1}', "mac: 'CB-BD' is not a MAC address"),
        ('{"do": "add", "mac": "CB-BD-AB-90-2D-38", "ip": "192.168.1.7", "bytes": -1}', "bytes: -1 is not a whole"),
        ('{"do": "fault", "kind": "fire"}', "kind: 'fire' is none of truncate, html"),
        ('{"do": "fault", "kind": "html", "count": true}', "count: True is not a whole number"),
    ],
)
def test_a_senseless_order_is_refused_with_the_reason(quiet: Simulator, text: str, complaint: str) -> None:
    reply = requests.post(f"{quiet.url}/simulator", data=text, timeout=5)
    assert reply.status_code == 400
    assert complaint in reply.text


# The wire


def raw_request(simulator: Simulator, *extra: str) -> bytes:
    query, body = batch(*PAIR)
    head = [
        f"POST /cgi?{query} HTTP/1.1",
        f"Host: 127.0.0.1:{simulator.port}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in Admin(simulator).headers.items()),
        *extra,
    ]
    return ("\r\n".join([*head, "", ""]) + body).encode()


def test_a_reply_comes_in_one_piece_and_the_connection_stays_open(quiet: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", quiet.port), timeout=5) as client:
        for _ in range(3):
            client.sendall(raw_request(quiet))
            head, body = client.recv(65536).split(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert f"Content-Length: {len(body)}".encode() in head
            assert body.endswith(b"[error]0")


def test_a_client_that_wants_the_connection_closed_gets_it_closed(quiet: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", quiet.port), timeout=5) as client:
        client.sendall(raw_request(quiet, "Connection: close"))
        with client.makefile("rb") as stream:
            assert stream.read().endswith(b"[error]0")


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /main/stat.htm HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /admin HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "404 Not Found"),
        ("POST /cgi?1 HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("POST /cgi?1 HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n", "400 Bad Request"),
        ("BREW /pot HTTP/1.1\r\n\r\n", "501 Not Implemented"),
    ],
)
def test_whatever_else_is_asked_gets_the_routers_own_page_and_nothing_is_printed(
    quiet: Simulator, capfd: pytest.CaptureFixture[str], request_text: str, status: str
) -> None:
    with socket.create_connection(("127.0.0.1", quiet.port), timeout=5) as client:
        client.sendall(request_text.encode())
        with client.makefile("rb") as stream:
            reply = stream.read()
    assert reply.startswith(f"HTTP/1.1 {status}\r\n".encode())
    assert reply.endswith(b"\r\n\r\n" + BUSY_PAGE.replace(b"500 Internal Server Error", status.encode()))
    assert capfd.readouterr() == ("", "")


def test_half_a_request_changes_nothing(quiet: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", quiet.port), timeout=5) as client:
        client.sendall(raw_request(quiet)[:-1])
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as stream:
            assert stream.read().startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert state(quiet)["logins"] == 0


def test_the_front_page_is_a_login_page_for_anybody(quiet: Simulator) -> None:
    reply = requests.get(f"{quiet.url}/", timeout=5)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/html")


def test_a_stopped_router_cuts_its_connections_and_comes_back_on_the_same_port(quiet: Simulator) -> None:
    quiet.add(ALICE, IP, 100)
    port = quiet.port
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(raw_request(quiet))
        assert client.recv(65536)
        quiet.stop()
        assert client.recv(65536) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    quiet.start()
    assert quiet.port == port
    assert values(Admin(quiet).ask(*PAIR), "totalBytes") == ["100"]


def test_starting_it_twice_changes_nothing(quiet: Simulator) -> None:
    url = quiet.url
    with quiet.start() as same:
        assert same.url == url
        assert Admin(same).status() == 200


def test_it_serves_from_the_calling_thread_until_it_is_stopped(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    simulator = Simulator(Household.of(), port=port, clock=clock)
    caller = threading.Thread(target=simulator.serve_forever)
    caller.start()
    while True:
        try:
            assert Admin(simulator).ask(*PAIR).endswith("[error]0")
            break
        except requests.ConnectionError:
            assert caller.is_alive()
    simulator.stop()
    caller.join(timeout=5)
    assert not caller.is_alive()
