"""The sixteen ways in which an answer of the router comes spoilt: a clear state, bounded time and memory, no byte lost.

tests/router/test_transport.py has many more of each kind, without a daemon around.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from itertools import chain, pairwise, repeat
from pathlib import Path

import pytest

from tests.bad_line import FULL_WIDTH, BadLine, Fault, answer, bomb, chunk, drip, endless, whole
from tests.end_to_end.conftest import Home
from tests.processes import Dalla, Listener, Mosquitto, Router, wait_until

TIMEOUT_S = 1.0
SLACK = 4  # time-outs: a poll may ask twice and log out, on a machine that has other things to do
BODY_LIMIT = 2 * 2**20  # bytes of an answer that are read at most
COPIES = 8  # of such an answer, 64 MiB, that may be in memory at once: in pieces, put together, as text
PHONE, LAPTOP = "02:00:00:00:00:01", "02:00:00:00:00:02"
CHUNKED = "Transfer-Encoding: chunked"
LOGIN_PAGE = b"<html><head><title>Archer C20</title></head><body><form>User name, password</form></body></html>"
BUSY_PAGE = (Path(__file__).parent.parent / "samples" / "busy-500.html").read_bytes()


class Household:
    """One daemon that polls over one bad line, through all that happens to it."""

    def __init__(self, home: Home, line: BadLine, dalla: Dalla) -> None:
        self.home = home
        self.line = line
        self.dalla = dalla
        self.memory = 0  # bytes that the daemon needs at most where nothing is wrong
        self.files = 0  # open ones

    @property
    def status(self) -> dict[str, object]:
        """What the topic `router` says."""
        status: dict[str, object] = json.loads(self.home.listener.latest.get("dalla/home/router", "{}"))
        return status

    def move(self) -> None:
        for number, mac in enumerate((PHONE, LAPTOP)):
            self.home.router.do("add", mac=mac, ip=f"192.168.1.{50 + number}", bytes=4321 + number)

    def polls(self, times: int = 1) -> None:
        """Wait for so many more polls, good or bad."""
        for _ in range(times):
            before = self.status["polls"]
            self.home.broker.publish("dalla/home/poll/set", "1")
            wait_until(lambda before=before: self.status["polls"] != before, f"a poll:\n{self.dalla.output}")

    def is_well(self) -> None:
        """Wait for a good poll. Every byte is counted, no socket is left open, and the login is free."""
        self.polls()
        while self.status["state"] != "ok":
            self.polls()
        truth = self.home.router.state["truth"].values()
        total = sum(figures["moved"] for figures in truth)
        assert total == sum(figures["shown"] for figures in truth)
        wait_until(lambda: self.home.listener.latest["dalla/home/total/usage"] == str(total), "the total")
        rows = self.home.rows("total.csv")
        assert rows[-1][1] == total
        assert sum(row[2] for row in rows) == total - sum(figures["baseline"] for figures in truth)
        wait_until(lambda: self._open_files() <= self.files, "no socket is left open")
        assert self.home.router.state["session"] is None

    def measure(self) -> None:
        """What is needed where nothing is wrong."""
        self.files = self._open_files() + 1  # a poll may be under way
        self.memory = self.peak()

    def peak(self) -> int:
        """The most memory that the daemon ever had, in bytes, since `forget_peak`."""
        status = Path(f"/proc/{self.dalla.process.pid}/status").read_text("ascii")
        (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
        return int(kilobytes) * 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.dalla.process.pid}/clear_refs").write_text("5", "ascii")

    def errors(self, since: int) -> list[str]:
        """What the daemon complained of after its first `since` lines."""
        return [line.rstrip("\n") for line in self.dalla.lines[since:] if " ERROR " in line]

    def _open_files(self) -> int:
        return len(list(Path(f"/proc/{self.dalla.process.pid}/fd").iterdir()))


@pytest.fixture(scope="module")
def household(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    folder = tmp_path_factory.mktemp("transport")
    with (
        Mosquitto(folder) as broker,
        Router("--traffic", "quiet", "--devices", "3") as router,
        Listener(broker, "dalla/#") as listener,
        BadLine(router.port) as line,
    ):
        home = Home(folder, broker, router, listener)
        with home.run(DALLA_ROUTER_URL=line.url, DALLA_ROUTER_TIMEOUT=f"{TIMEOUT_S}s") as dalla:
            house = Household(home, line, dalla)
            wait_until(lambda: house.status.get("state") == "ok", dalla.output)
            house.move()
            for _ in range(3):
                house.polls()
            house.measure()
            yield house
            assert dalla.terminate() == 0


def body(change: Callable[[bytes], bytes]) -> Fault:
    """The whole answer, with this done to its body."""
    return Fault(lambda data: [whole(change(data))])


def row_with(name: str, value: str) -> Fault:
    """The first row's attribute is that."""
    return body(lambda data: re.sub(rf"\n{name}=[^\n]*".encode(), f"\n{name}={value}".encode(), data, count=1))


def error(number: int, *, reached: bool = True) -> Fault:
    return Fault(lambda _: [whole(b"[error]%d" % number)], reached=reached)


ROW = re.compile(rb"\[\d+,0,0,0,0,0\]1\n[^[]+")
SPOILT = [  # the kind, how, the state, what is told
    ("cut_body", "with_its_length", Fault(lambda data: [whole(data)[: -len(data) // 2]]), "unreachable", "no whole"),
    ("cut_body", "without", Fault(lambda data: [answer(data[: len(data) // 2])]), "bad_reply", "cut short|no sense"),
    ("wrong_length", "too_long", Fault(lambda d: [answer(d, f"Content-Length: {len(d) + 9}")]), "unreachable", "whole"),
    (
        "wrong_length",
        "too_short",
        Fault(lambda d: [answer(d, f"Content-Length: {len(d) - 9}")]),
        "bad_reply",
        "short|no sense",
    ),
    ("reset", "at_the_first_byte", Fault(lambda _: [], "reset"), "unreachable", "no whole answer"),
    ("reset", "in_the_head", Fault(lambda data: [whole(data)[:20]], "reset"), "unreachable|bad_reply", "answer"),
    ("reset", "in_the_body", Fault(lambda data: [whole(data)[:-20]], "reset"), "unreachable", "no whole answer"),
    ("byte_by_byte", "of_the_body", Fault(lambda _: drip(whole(b"[" * 9999), 0.1)), "unreachable", "no whole|in time"),
    ("byte_by_byte", "of_the_head", Fault(lambda d: drip(whole(d), 0.1)), "unreachable", "no whole|in time"),
    (
        "200_MB",
        "length",
        Fault(lambda _: endless(b"[", answer(b"", f"Content-Length: {200 * 2**20}"))),
        "bad_reply",
        "large",
    ),
    ("200_MB", "chunked", Fault(lambda _: endless(chunk(b"[" * 2**16), answer(b"", CHUNKED))), "bad_reply", "large"),
    ("200_MB", "without_a_length", Fault(lambda _: endless(b"[", answer(b""))), "bad_reply", "larger than"),
    ("gzip_bomb", "", Fault(lambda _: [whole(BOMB, "Content-Encoding: gzip")]), "bad_reply", "else than data"),
    (
        "redirect",
        "to_itself",
        Fault(lambda _: [whole(b"", "Location: /", status="302 Found")]),
        "bad_reply",
        "HTTP 302",
    ),
    ("redirect", "without_end", Fault(lambda _: endless(b"[", answer(b"", status="302 Found"))), "bad_reply", "302"),
    ("wrong_charset", "utf_16", body(lambda data: data.decode().encode("utf-16")), "bad_reply", "else than data"),
    ("wrong_charset", "latin_1", body(lambda data: data.replace(b"alices-phone", b"Zo\xeb")), "ok", ""),
    ("wrong_charset", "gbk", body(lambda data: data.replace(b"alices-phone", "手机".encode("gbk"))), "ok", ""),
    ("nul_bytes", "between_the_lines", body(lambda data: data.replace(b"\n[", b"\n\0\n[")), "bad_reply", "no sense"),
    ("nul_bytes", "in_a_counter", row_with("totalBytes", "\0"), "bad_reply", "not a counter"),
    ("nul_bytes", "in_a_host_name", body(lambda data: data.replace(b"alices-", b"alices\0")), "ok", ""),
    ("stray_chunk_line", "", Fault(lambda data: [b"18\r\n", whole(data)]), "unreachable", "no whole answer"),
    ("html", "login_page", body(lambda _: LOGIN_PAGE), "bad_reply", "else than data"),
    ("html", "not_found", Fault(lambda _: [whole(LOGIN_PAGE, status="404 Not Found")]), "bad_reply", "HTTP 404"),
    ("html", "busy_page", Fault(lambda _: [answer(BUSY_PAGE, CHUNKED, status="500 No")], reached=False), "busy", "500"),
    ("11_attributes", "no_counter", body(lambda d: re.sub(rb"\ntotalBytes=\d+", b"", d)), "bad_reply", "totalBytes"),
    ("11_attributes", "the_last", body(lambda d: re.sub(rb"\ncurrSynMax=\d+", b"", d)), "ok", ""),
    ("13_attributes", "", body(lambda data: data.replace(b"\ncurrSyn=", b"\nnewFlag=1\ncurrSyn=")), "ok", ""),
    ("number", "negative", row_with("totalBytes", "-1"), "bad_reply", "not a counter"),
    ("number", "huge", row_with("totalBytes", str(10**400)), "bad_reply", "not a counter"),
    ("number", "above_any_line_rate", row_with("totalBytes", str(2**51)), "ok", ""),
    ("number", "non_ascii", row_with("totalBytes", FULL_WIDTH), "bad_reply", "not a counter"),
    ("duplicate_rows", "alike", body(lambda data: ROW.sub(rb"\g<0>\g<0>", data)), "ok", ""),
    (
        "duplicate_rows",
        "that_differ",
        body(lambda d: ROW.sub(lambda r: r[0] + r[0].replace(b"Bytes=", b"Bytes=1"), d)),
        "bad_reply",
        "two different",
    ),
    ("empty_table", "", body(lambda data: ROW.sub(b"", data)), "ok", ""),
    ("error_number", "9003", error(9003), "bad_reply", "9003"),
    ("error_number", "71111", error(71111), "bad_reply", "71111"),
    ("error_number", "71145", error(71145, reached=False), "busy", "another administrator"),
    ("head_without_end", "", Fault(lambda _: endless(b"X: x\r\n", b"HTTP/1.1 200 OK\r\n")), "unreachable", "no whole"),
    ("100_continue", "", Fault(lambda _: endless(b"HTTP/1.1 100 Continue\r\n\r\n")), "unreachable", "no whole"),
    ("silence", "", Fault(lambda _: [], "hold"), "unreachable", "no whole"),
    ("half_closed", "", Fault(lambda _: []), "unreachable", "no whole"),
    ("no_content", "", Fault(lambda _: [answer(b"", status="204 No Content")]), "bad_reply", "HTTP 204"),
]
BOMB = bomb()


@pytest.mark.parametrize(
    ("fault", "state", "told"),
    [case[2:] for case in SPOILT],
    ids=[f"{case[0]}_{case[1]}".rstrip("_") for case in SPOILT],
)
def test_a_spoilt_answer_ends_in_a_clear_state_in_time_and_costs_no_byte(
    household: Household, fault: Fault, state: str, told: str
) -> None:
    household.forget_peak()
    lines, asked = len(household.dalla.lines), len(household.line.asked)
    household.move()
    household.line.fault = fault  # where it passes for good once: what is said twice is believed
    household.polls(1 if state == "ok" else 2)
    household.line.heal()
    came, began = household.status, household.line.asked[asked]
    errors = household.errors(lines)
    household.is_well()
    assert re.fullmatch(state, str(came["state"]))
    if state == "ok":
        assert errors == []
    else:
        assert len(errors) == 1, "told once"
        assert re.search(told, errors[0])
        assert errors[0].isprintable()
        assert "router: all is well again" in "".join(household.dalla.lines[lines:])
        gone = wait_until(lambda: [at for at in household.line.gone if at > began], "the line to notice")
        assert min(gone) - began < SLACK * TIMEOUT_S
    assert household.peak() < household.memory + COPIES * BODY_LIMIT


def test_a_password_that_is_refused_after_good_polls_is_not_tried_again_after_a_restart_either(
    household: Household, tmp_path: Path
) -> None:
    home = Home(tmp_path, household.home.broker, household.home.router, household.home.listener)
    state = lambda: json.loads(home.listener.latest.get("dalla/refused/router", "{}")).get("state")  # noqa: E731
    with BadLine(home.router.port) as line:
        where = {"DALLA_ROUTER_URL": line.url, "DALLA_SITE": "refused"}
        with home.run(**where) as dalla:
            wait_until(lambda: state() == "ok", "a good poll")
            line.fault = error(71233, reached=False)
            wait_until(lambda: state() == "login_refused", "the refusal")
            line.heal()
            deadline = time.monotonic() + 1.5  # the next poll would have come after a second
            while time.monotonic() < deadline:
                assert state() == "login_refused"
            assert len(line.asked) == 1
            assert dalla.terminate() == 0
        with home.run(**where) as dalla:
            assert dalla.wait() == 3
        assert "let `dalla-mqtt doctor` try these once more" in dalla.output
        assert len(line.asked) == 1


LONG = {
    "silence": Fault(lambda _: [], "hold"),
    "byte_by_byte": Fault(lambda data: drip(whole(data), 0.1)),
    "head_without_end": Fault(lambda _: chain.from_iterable(repeat([b"HTTP/1.1 100 Continue\r\n\r\n", 0.01]))),
    "200_MB": Fault(lambda _: chain([answer(b"")], *repeat([b"[" * 4096, 0.01], 10_000))),
}


@pytest.mark.alone
@pytest.mark.parametrize("fault", LONG.values(), ids=LONG)
def test_it_ends_within_two_seconds_in_the_middle_of_a_spoilt_answer(
    household: Household, tmp_path: Path, fault: Fault
) -> None:
    home = Home(tmp_path, household.home.broker, household.home.router, household.home.listener)
    with BadLine(home.router.port) as line:
        line.fault = fault
        with home.run(DALLA_ROUTER_URL=line.url, DALLA_SITE="other", DALLA_ROUTER_TIMEOUT="60s") as dalla:
            wait_until(lambda: line.asked, "a poll")
            began = time.monotonic()
            dalla.process.send_signal(signal.SIGTERM)
            assert dalla.wait() == 0
            assert time.monotonic() - began < 2


@pytest.mark.alone
def test_polls_keep_their_beat_however_long_each_bad_one_takes(household: Household, tmp_path: Path) -> None:
    home = Home(tmp_path, household.home.broker, household.home.router, household.home.listener)
    with BadLine(home.router.port) as line:
        line.fault = Fault(lambda _: [0.4, whole(LOGIN_PAGE)])
        with home.run(DALLA_ROUTER_URL=line.url, DALLA_SITE="other"):
            wait_until(lambda: len(line.asked) == 4, "four polls")
    beats = [after - before for before, after in pairwise(line.asked)]
    assert all(abs(beat - round(beat)) < 0.4 and round(beat) >= 1 for beat in beats), beats
    assert sum(beats) < 3 * 1.5


@pytest.mark.parametrize("path", ["/", "/userRpm/?x=1#y"])
def test_what_follows_the_routers_address_does_not_matter(household: Household, tmp_path: Path, path: str) -> None:
    home = Home(tmp_path, household.home.broker, household.home.router, household.home.listener)
    with home.run("--once", DALLA_ROUTER_URL=f"{home.router.url}{path}", DALLA_MQTT_URL="off") as dalla:
        assert dalla.wait() == 0, dalla.output


def test_a_router_may_have_an_ipv6_address(household: Household, tmp_path: Path) -> None:
    home = Home(tmp_path, household.home.broker, household.home.router, household.home.listener)
    with (
        BadLine(home.router.port, "::1") as line,
        home.run("--once", DALLA_ROUTER_URL=line.url, DALLA_MQTT_URL="off") as dalla,
    ):
        assert dalla.wait() == 0, dalla.output


def test_a_router_whose_name_nobody_knows_is_unreachable(household: Household, tmp_path: Path) -> None:
    home = Home(tmp_path, household.home.broker, household.home.router, household.home.listener)
    with home.run("--once", DALLA_ROUTER_URL="http://router.invalid", DALLA_MQTT_URL="off") as dalla:
        assert dalla.wait() == 1, dalla.output
    assert re.search(r"ERROR +no whole answer from the router at http://router\.invalid: .*(name|Name)", dalla.output)
    assert dalla.output.count("\n") == 1
