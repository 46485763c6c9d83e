from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from dalla_mqtt.errors import AdminBusy, BadReply, DallaError, LoginRefused, RouterUnreachable
from dalla_mqtt.router.archer_c20 import ArcherC20
from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.usage.reading import Host, Mac, Row

SAMPLES = Path(__file__).parent.parent / "samples"
PHONE = Mac.parse("02:00:00:00:00:01")


class Script:
    """A peer that gives prepared answers, one a connection, and remembers what it was asked."""

    def __init__(self, *answers: bytes, linger_s: float = 0.0) -> None:
        self._answers = answers
        self._linger_s = linger_s
        self.asked: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        for answer in self._answers:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                self.asked.append(_request(connection))
                self._answer(connection, answer)

    def _answer(self, connection: socket.socket, answer: bytes) -> None:
        with suppress(OSError):  # the client may have gone
            if not self._linger_s:
                connection.sendall(answer)
                return
            for byte in answer:
                connection.sendall(bytes([byte]))
                time.sleep(self._linger_s)


def _request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)


LOGOUT = ok((SAMPLES / "logout.txt").read_bytes())
STATISTICS = (SAMPLES / "stat-12-attributes.txt").read_bytes()


def poll(url: str, *, password: str = "admin", timeout_s: float = 5.0) -> object:  # noqa: S107  # invented
    return ArcherC20(url, "admin", password, timeout_s).poll()


@contextmanager
def simulator(**options: object) -> Iterator[Simulator]:
    with Simulator(Household.of(3, quiet=True), **options) as router:  # type: ignore[arg-type]
        yield router


def test_a_poll_is_one_batch_and_a_logout_each_on_a_connection_of_its_own() -> None:
    with Script(ok(STATISTICS), LOGOUT) as router:
        poll(router.url)
        batch, logout = router.asked
    assert batch.startswith(b"POST /cgi?1&5&5&1 HTTP/1.1\r\n")
    assert b"\r\nReferer: %s/mainFrame.htm\r\n" % router.url.encode() in batch
    assert b"\r\nCookie: Authorization=Basic YWRtaW46YWRtaW4=\r\n" in batch
    assert b"\r\nConnection: close\r\n" in batch
    assert [line.split(b"#")[0] for line in batch.split(b"\r\n\r\n")[1].split(b"\r\n") if line.startswith(b"[")] == [
        b"[STAT_CFG",
        b"[STAT_ENTRY",
        b"[LAN_HOST_ENTRY",
        b"[IGD_DEV_INFO",
    ]
    assert logout.endswith(b"[/cgi/logout#0,0,0,0,0,0#0,0,0,0,0,0]0,0\r\n")


def test_rows_host_names_and_the_routers_own_story_are_read_in_one_go() -> None:
    with simulator() as router:
        router.add(PHONE, "192.168.1.50", 5000, packets=7)
        reading = ArcherC20(router.url, "admin", "admin", 5).poll()
    assert Row("192.168.1.50", PHONE, 7, 5000) in reading.rows
    assert [host.name for host in reading.hosts] == ["alices-phone", "alices-laptop", "bobs-phone"]
    assert reading.info.model == "Archer C20"
    assert reading.info.firmware
    assert reading.info.uptime_s == 0
    assert reading.statistics_enabled


def test_where_the_batch_is_refused_the_classic_pair_does_and_the_batch_is_asked_ever_more_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with simulator(firmware=Firmware(classic_pair_only=True)) as router:
        router.add(PHONE, "192.168.1.50", 5000)
        client = ArcherC20(router.url, "admin", "admin", 5)
        for _ in range(10):
            reading = client.poll()
            assert [row.bytes for row in reading.rows] == [5000]
            assert reading.info.uptime_s is None
        assert router.state()["replies"] == 3 + 10 + 10  # the batch at polls 1, 3 and 6, the pairs, the logouts
    assert caplog.text.count("not names and uptime") == 1


def test_a_batch_that_was_refused_once_is_asked_again_soon() -> None:
    with simulator() as router:
        client = ArcherC20(router.url, "admin", "admin", 5)
        router.fault("error")
        uptimes = [client.poll().info.uptime_s for _ in range(4)]
    assert uptimes == [None, None, 0, 0]


def test_a_router_whose_statistics_are_switched_off_says_so_and_has_no_rows() -> None:
    with simulator(firmware=Firmware(statistics_enabled=False)) as router:
        reading = ArcherC20(router.url, "admin", "admin", 5).poll()
    assert not reading.statistics_enabled
    assert reading.rows == ()


def test_the_login_is_free_after_each_poll_and_after_each_spoilt_one() -> None:
    with simulator() as router:
        poll(router.url)
        assert router.state()["session"] is None
        router.fault("truncate")
        with pytest.raises(BadReply):
            poll(router.url)
        assert router.state()["session"] is None


def test_nothing_is_said_to_a_router_that_refused_us_as_that_would_count_as_one_more_try() -> None:
    with simulator() as router:
        with pytest.raises(
            AdminBusy, match="another administrator is logged in to the router, or the password is wrong"
        ):
            poll(router.url, password="wrong")
        assert router.state()["wrong_passwords"] == 1


def test_user_name_and_password_are_cut_to_15_characters_as_this_firmware_does() -> None:
    with simulator(username="administrator-of-the-house", password="longer than fifteen") as router:
        ArcherC20(router.url, "administrator-of-the-house", "longer than fifteen", 5).poll()


def answer(status: bytes, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


BUSY = (SAMPLES / "busy-500.html").read_bytes()


@pytest.mark.parametrize(
    ("reply", "error", "what"),
    [
        (answer(b"500 Internal Server Error", BUSY), AdminBusy, "another administrator"),
        (answer(b"406 Not Acceptable"), AdminBusy, "another administrator"),
        (answer(b"401 Unauthorized"), LoginRefused, "user name or the password"),
        (answer(b"403 Forbidden"), BadReply, "router.url"),
        (answer(b"302 Found"), BadReply, "302"),
        (ok(b"[error]71233"), LoginRefused, "71233"),
        (ok(b"[error]71145"), AdminBusy, "another administrator has logged in"),
        (ok(b"<html>Please log in</html>"), BadReply, "something else than data"),
        (ok(b""), BadReply, "nothing at all"),
        (ok(b"[0,0,0,0,0,0]" + b"1" * 5000 + b"\n[error]0"), BadReply, "makes no sense"),
        (answer(b"302 Found").replace(b"\r\n\r\n", b"\r\nLocation: http://[::\r\n\r\n"), BadReply, "302"),
        (ok(STATISTICS[:-9]), BadReply, "cut short"),
        (ok(b"[1,0,0,0,0,0]7\nx=1\n[error]0"), BadReply, "was not asked"),
        (ok(b"[1,0,0,0,0,0]1\nx=1\n[error]0"), BadReply, "STAT_CFG"),
        (ok(STATISTICS.replace(b"\n[1,0,0,0,0,0]1", b"[1,0,0,0,0,0]1")), BadReply, "among something else"),
        (ok(STATISTICS.replace(b"[1,0,0,0,0,0]1\n", b"[1,0,0,0,0,0]2\n")), BadReply, "among something else"),
        (ok(STATISTICS.replace(b"ipAddress=3200000000\n", b"")), BadReply, "lacks 'ipAddress'"),
        (ok(STATISTICS.replace(b"3200000000", b"4294967296")), BadReply, "not an address"),
        (ok(STATISTICS.replace(b"01:23:45", b"01:23")), BadReply, "not a MAC address"),
        (ok(STATISTICS.replace(b"2369574771", b"-1")), BadReply, "not a counter"),
        (ok(STATISTICS.replace(b"2369574771", b"9" * 30)), BadReply, "not a counter"),
        (ok(STATISTICS.replace(b"2369574771", "١٢٣".encode())), BadReply, "not a counter"),
        (ok(STATISTICS.replace(b"2369574771", b"1e9")), BadReply, "not a counter"),
        (answer(b"200 OK", STATISTICS).replace(b"Length: ", b"Length: 9"), RouterUnreachable, "no whole answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", BadReply, "nothing at all"),
        (b"18\r\n[error]0", RouterUnreachable, "no whole answer"),
        (b"", RouterUnreachable, "no whole answer"),
    ],
)
def test_every_way_to_fail_is_told_in_words_and_costs_one_reading(
    reply: bytes, error: type[DallaError], what: str
) -> None:
    with Script(reply, reply, LOGOUT) as router, pytest.raises(error) as caught:
        poll(router.url)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_router_that_does_not_answer_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(RouterUnreachable, match="Connection refused"):
        poll(url)


@pytest.mark.alone
def test_a_router_that_drips_is_given_up_when_its_time_is_over_and_not_byte_by_byte() -> None:
    drip = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000
    with Script(drip, LOGOUT, linger_s=0.004) as router:
        began = time.monotonic()
        with pytest.raises(RouterUnreachable, match="did not end in time"):
            poll(router.url, timeout_s=0.5)
        assert time.monotonic() - began < 5


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"[" * (9 * 2**20)
    with Script(endless, LOGOUT) as router, pytest.raises(BadReply, match="larger than"):
        poll(router.url, timeout_s=2)


def test_a_redirect_without_end_is_not_read_at_all() -> None:
    endless = b"HTTP/1.1 302 Found\r\nLocation: /\r\nConnection: close\r\n\r\n" + b"[" * (9 * 2**20)
    with Script(endless, LOGOUT) as router, pytest.raises(BadReply, match="HTTP 302"):
        poll(router.url, timeout_s=0.5)


def test_a_chunked_answer_is_read_like_any_other() -> None:
    chunks = (
        b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (STATISTICS[:100], STATISTICS[100:])) + b"0\r\n\r\n"
    )
    with Script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, LOGOUT) as router:
        reading = ArcherC20(router.url, "admin", "admin", 5).poll()
    assert reading.rows == (Row("190.188.32.0", Mac.parse("01:23:45:67:89:AB"), 24005898, 2369574771),)


ROW = b"[1,0,0,0,0,0]1\nipAddress=%d\nmacAddress=02:00:00:00:00:01\ntotalPkts=%d\ntotalBytes=5000\ncurrPkts=0\n"


def statistics(*rows: bytes, rest: bytes = b"") -> bytes:
    return ok(b"[0,0,0,0,0,0]0\nenable=1\n" + b"".join(rows) + rest + b"[error]0")


def test_addresses_below_128_come_out_right() -> None:
    with Script(statistics(ROW % (10 * 2**24 + 5, 1)), LOGOUT) as router:
        assert ArcherC20(router.url, "admin", "admin", 5).poll().rows[0].ip == "10.0.0.5"


def test_a_row_that_is_told_twice_alike_counts_once_and_one_that_differs_spoils_the_reply() -> None:
    with Script(statistics(ROW % (1, 7), ROW % (1, 7)), LOGOUT) as router:
        assert len(ArcherC20(router.url, "admin", "admin", 5).poll().rows) == 1
    with (
        Script(statistics(ROW % (1, 7), ROW % (1, 8)), LOGOUT) as router,
        pytest.raises(BadReply, match="two different"),
    ):
        poll(router.url)


@pytest.mark.parametrize("name", ["hosts-archer-c20.txt", "hosts-newer.txt"])
def test_the_leases_of_real_routers_give_names(name: str) -> None:
    lines = (SAMPLES / name).read_bytes().removesuffix(b"[error]0").replace(b"]0\n", b"]2\n").strip() + b"\n"
    with Script(statistics(rest=lines), LOGOUT) as router:
        (host,) = ArcherC20(router.url, "admin", "admin", 5).poll().hosts
    assert host in (
        Host("192.168.0.100", Mac.parse("AA:BB:CC:DD:EE:FF"), "Notebook-Teste"),
        Host("192.168.1.1", Mac.parse("F8:B1:56:C1:22:11"), "Host1", "wired"),
    )


def test_a_hostile_host_name_loses_what_cannot_be_shown_and_a_senseless_lease_costs_no_reading() -> None:
    leases = (
        b"[1,0,0,0,0,0]2\nMACAddress=02:00:00:00:00:01\nIPAddress=192.168.1.2\nhostName=\x1b[31m<b>\x00\xff phone\n"
        b"[2,0,0,0,0,0]2\nMACAddress=nonsense\nIPAddress=192.168.1.3\nhostName=x\n"
        b"[3,0,0,0,0,0]2\nMACAddress=02:00:00:00:00:03\nIPAddress=192.168.1.4\nhostName=Unknown\n"
    )
    with Script(statistics(rest=leases), LOGOUT) as router:
        hosts = ArcherC20(router.url, "admin", "admin", 5).poll().hosts
    assert [host.name for host in hosts] == ["[31m<b>\ufffd phone", None]
