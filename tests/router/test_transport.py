"""Whatever becomes of an answer on its way: it is read whole, or told in words to be none, and the next one is good."""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Literal

import pytest

from dalla_mqtt.config import load
from dalla_mqtt.errors import AdminBusy, BadReply, DallaError, LoginRefused, RouterUnreachable
from dalla_mqtt.router import Router, open_router
from dalla_mqtt.router.simulator import Household, Simulator
from dalla_mqtt.usage.reading import Mac, Reading
from tests.bad_line import FULL_WIDTH, BadLine, Fault, Pieces, answer, bomb, chunk, chunked, drip, endless, whole
from tests.processes import wait_until

# http.client leaves the file of a socket to the garbage collector where the size of a chunk is no number
pytestmark = pytest.mark.filterwarnings(r"ignore:unclosed <socket.socket \[closed\]:ResourceWarning")

TIMEOUT_S = 0.5
SLACK = 6  # time-outs: a poll may ask twice and log out, on a machine that has other things to do
CHUNKED = "Transfer-Encoding: chunked"
PHONE, LAPTOP = Mac.parse("02:00:00:00:00:01"), Mac.parse("02:00:00:00:00:02")


class Way:
    """A client, a line, and a router whose counters stand still."""

    def __init__(self, line: BadLine, another: Callable[[], Router], simulator: Simulator) -> None:
        self._another = another
        self._client = another()
        self.truth = self._client.poll()
        self._line = line
        self._simulator = simulator

    def poll(self, fault: Fault) -> Reading | DallaError:
        """What a poll comes to while this happens to answers. The login is free then, and the poll after it is good."""
        came = self.poll_only(fault)
        self._line.heal()
        assert self._simulator.state()["session"] is None
        assert self._client.poll().rows == self.truth.rows
        return came

    def poll_only(self, fault: Fault) -> Reading | DallaError:
        self._line.fault = fault
        overdue = threading.Timer(SLACK * TIMEOUT_S, self._line.heal)
        overdue.start()
        try:
            came: Reading | DallaError = self._client.poll()
        except DallaError as error:
            came = error
        if isinstance(came, AdminBusy | LoginRefused):
            self._client = self._another()  # this one will not ask again so soon
        assert overdue.is_alive(), "it ends in time by itself"
        overdue.cancel()
        assert isinstance(came, Reading) or str(came).isprintable(), "it is told in one line, in words"
        return came

    def is_whole_or_none(self, came: Reading | DallaError) -> None:
        """Of the answer that a poll came to."""
        if isinstance(came, Reading):
            assert came.rows == self.truth.rows
        else:
            assert isinstance(came, BadReply | RouterUnreachable)


@pytest.fixture(scope="module")
def way() -> Iterator[Way]:
    threads = threading.active_count()
    with Simulator(Household.of(3, quiet=True)) as simulator, BadLine(simulator.port) as line:
        simulator.add(PHONE, "192.168.1.50", 5000)
        simulator.add(LAPTOP, "192.168.1.51", 7000)
        settings = {"url": line.url, "password": "admin", "timeout": f"{TIMEOUT_S}s"}
        config = load(None, {}, {f"router.{key}": value for key, value in settings.items()})
        yield Way(line, lambda: open_router(config.router), simulator)
    gc.collect()  # what the warnings above are of
    wait_until(lambda: threading.active_count() <= threads, "the end of every thread")


def spoilt(change: Callable[[bytes], bytes]) -> Fault:
    """The whole answer, with this done to its body."""
    return Fault(lambda body: [whole(change(body))])


def sent(pieces: Callable[[bytes], Pieces], end: Literal["close", "reset", "hold"] = "close") -> Fault:
    return Fault(pieces, end)


def in_three(body: bytes) -> bytes:
    return chunked(body[:100], body[100:101], body[101:])


# Cut and reset


@pytest.mark.parametrize("frame", [whole, in_three, answer], ids=["with_its_length", "chunked", "without_a_length"])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_an_answer_that_ends_after_any_of_its_bytes_is_whole_or_none(
    way: Way, frame: Callable[[bytes], bytes], end: Literal["close", "reset"]
) -> None:
    whole_size = []
    way.poll(Fault(lambda body: [whole_size.append(len(frame(body))) or frame(body)], end))  # type: ignore[func-returns-value]
    (size,) = whole_size
    places = {*range(0, 20, 4), *range(20, size - 16, 23), *range(size - 16, size + 1)}
    for place in sorted(places):
        way.is_whole_or_none(way.poll_only(Fault(lambda body, place=place: [frame(body)[:place]], end)))  # type: ignore[misc]
    assert isinstance(way.poll(sent(lambda body: [frame(body)])), Reading)


# Lengths, chunks and headers


def with_length(*lengths: str) -> Fault:
    return sent(lambda body: [answer(body, *[f"Content-Length: {length}" for length in lengths])])


def in_chunks(*parts: Callable[[bytes], bytes]) -> Fault:
    return sent(lambda body: [answer(b"".join(part(body) for part in parts), CHUNKED)])


FRAMES = {
    "a_length_that_is_too_long": sent(lambda body: [answer(body, f"Content-Length: {len(body) + 9}")]),
    "a_length_that_is_too_long_and_silence": sent(
        lambda body: [answer(body, f"Content-Length: {len(body) + 9}")], "hold"
    ),
    "a_length_that_is_too_short": sent(lambda body: [answer(body, f"Content-Length: {len(body) - 9}")]),
    "a_length_of_nothing": with_length("0"),
    "a_negative_length": with_length("-1"),
    "a_length_that_is_no_number": with_length("many"),
    "a_length_in_full_width_digits": with_length(FULL_WIDTH),
    "a_length_of_a_thousand_digits": with_length("9" * 1000),
    "two_lengths": with_length("9", "12"),
    "two_lengths_in_one": with_length("9, 12"),
    "a_length_and_chunks": sent(lambda body: [answer(body, "Content-Length: 9", CHUNKED)]),
    "chunks_that_are_announced_and_are_none": sent(lambda body: [answer(body, CHUNKED)]),
    "a_chunk_of_no_number": in_chunks(lambda body: b"many\r\n" + body, lambda _: b"\r\n0\r\n\r\n"),
    "a_negative_chunk": in_chunks(lambda body: b"-1\r\n" + body, lambda _: b"\r\n0\r\n\r\n"),
    "a_chunk_that_is_too_long": in_chunks(lambda body: b"%x\r\n%s\r\n" % (len(body) + 99, body)),
    "a_chunk_that_is_too_short": in_chunks(lambda body: b"9\r\n%s\r\n" % body),
    "a_chunk_of_a_thousand_digits": in_chunks(lambda body: b"f" * 1000 + b"\r\n" + body),
    "no_last_chunk": in_chunks(chunk),
    "no_last_chunk_and_silence": sent(lambda body: [answer(chunk(body), CHUNKED)], "hold"),
    "another_encoding": sent(lambda body: [whole(body, "Transfer-Encoding: gzip")]),
    "a_stray_chunk_line_before_the_answer": sent(lambda body: [b"18\r\n", whole(body)]),
    "a_stray_chunk_line_in_the_body": spoilt(lambda body: b"18\r\n" + body),
    "a_stray_chunk_line_after_the_body": spoilt(lambda body: body + b"\r\n18\r\n"),
    "the_answer_twice": sent(lambda body: [whole(body) * 2]),
    "a_header_line_without_a_colon": sent(lambda body: [whole(body, "nonsense")]),
    "a_header_line_of_100_kB": sent(lambda body: [whole(body, "X: " + "x" * 100_000)]),
    "100_000_header_lines": sent(lambda body: [whole(body, *repeat("X: x", 100_000))]),
    "control_characters_in_the_status_line": sent(lambda _: [b"\x1b[2J\x07\x00\xff HTTP\r\n\r\n"]),
    "control_characters_in_the_reason": sent(lambda body: [whole(body, status="200 \x1b[2J\x07")]),
    "another_protocol": sent(lambda _: [b"SSH-2.0-dropbear\r\n"]),
    "http_0.9": sent(lambda body: [body]),
    "a_thousand_times_100_continue": sent(lambda body: [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, whole(body)]),
    "half_closed_without_a_word": sent(lambda _: []),
}


@pytest.mark.parametrize("fault", FRAMES.values(), ids=FRAMES)
def test_an_answer_in_a_wrong_frame_is_whole_or_none(way: Way, fault: Fault) -> None:
    way.is_whole_or_none(way.poll(fault))


# Without end


def dripping(head: str) -> Fault:
    return sent(lambda _: chain([answer(b"", head)], drip(b"[" * 10_000, TIMEOUT_S / 10)))


def dripping_chunks() -> Pieces:
    yield answer(b"", CHUNKED)
    for byte in b"[" * 10_000:
        yield chunk(bytes([byte]))
        yield TIMEOUT_S / 10


ENDLESS = {
    "silence": sent(lambda _: [], "hold"),
    "silence_after_the_head": sent(lambda _: [answer(b"", "Content-Length: 9")], "hold"),
    "a_byte_now_and_then_with_its_length": dripping("Content-Length: 10000"),
    "a_byte_now_and_then_without_a_length": dripping("X: x"),
    "a_byte_now_and_then_in_chunks": sent(lambda _: dripping_chunks()),
    "a_byte_of_the_size_of_a_chunk_now_and_then": dripping(CHUNKED),
    "a_byte_of_the_head_now_and_then": sent(lambda body: drip(whole(body), TIMEOUT_S / 10)),
    "a_header_line_now_and_then": sent(
        lambda _: chain([b"HTTP/1.1 200 OK\r\n"], *repeat([b"X: x\r\n", TIMEOUT_S / 10], 1000))
    ),
    "header_lines": sent(lambda _: endless(b"X: x\r\n", b"HTTP/1.1 200 OK\r\n")),
    "a_header_line": sent(lambda _: endless(b"x", b"HTTP/1.1 200 OK\r\nX: ")),
    "100_continue": sent(lambda _: endless(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "100_continue_now_and_then": sent(
        lambda _: chain.from_iterable(repeat([b"HTTP/1.1 100 Continue\r\n\r\n", TIMEOUT_S / 10], 1000))
    ),
    "a_status_line": sent(lambda _: endless(b"x", b"HTTP/1.1 200 ")),
    "the_size_of_a_chunk": sent(lambda _: endless(b"0", answer(b"", CHUNKED))),
    "what_follows_the_last_chunk": sent(lambda body: endless(b"X: x\r\n", answer(chunk(body) + b"0\r\n", CHUNKED))),
    "chunks_of_a_byte": sent(lambda _: endless(chunk(b"["), answer(b"", CHUNKED))),
    "a_redirect": sent(lambda _: endless(b"[", answer(b"", "Location: /", status="302 Found"))),
    "an_error_page": sent(lambda _: endless(b"[", answer(b"", status="404 Not Found"))),
    "200_MB_with_their_length": sent(lambda _: endless(b"[", answer(b"", "Content-Length: 200000000"))),
    "200_MB_in_chunks": sent(lambda _: endless(chunk(b"[" * 2**16), answer(b"", CHUNKED))),
    "200_MB_without_a_length": sent(lambda _: endless(b"[" * 2**16, answer(b""))),
}


@pytest.mark.parametrize("fault", ENDLESS.values(), ids=ENDLESS)
def test_an_answer_without_end_is_given_up_in_time(way: Way, fault: Fault) -> None:
    assert isinstance(way.poll(fault), BadReply | RouterUnreachable)


# Bodies that are no data


GZIP, DEFLATE = bomb(31), bomb(15)

NO_DATA = {
    "gzip_bomb": sent(lambda _: [whole(GZIP, "Content-Encoding: gzip")]),
    "gzip_bomb_that_says_nothing_of_it": sent(lambda _: [whole(GZIP)]),
    "deflate_bomb": sent(lambda _: [whole(DEFLATE, "Content-Encoding: deflate")]),
    "gzip_that_is_none": sent(lambda _: [whole(b"\x1f\x8b\x08nonsense", "Content-Encoding: gzip")]),
    "utf_16": spoilt(lambda body: body.decode().encode("utf-16")),
    "utf_32": spoilt(lambda body: body.decode().encode("utf-32")),
    "ebcdic": spoilt(lambda body: body.decode().encode("cp500")),
    "a_byte_order_mark": spoilt(lambda body: b"\xef\xbb\xbf" + body),
    "nothing": spoilt(lambda _: b""),
    "blanks": spoilt(lambda _: b" \r\n" * 100),
    "html": spoilt(lambda _: b"<html><body>Please log in</body></html>"),
    "html_after_the_data": spoilt(lambda body: body + b"\n<html></html>"),
    "json": spoilt(lambda _: b'[{"error": 0}]'),
    "random_bytes": spoilt(lambda _: bytes(range(255, -1, -1)) * 40),
    "only_nul_bytes": spoilt(lambda _: bytes(1000)),
    "nul_bytes_between_the_lines": spoilt(lambda body: body.replace(b"\n[", b"\n\0\n[")),
    "nul_bytes_in_a_counter": spoilt(lambda body: body.replace(b"totalBytes=", b"totalBytes=\0")),
    "nul_bytes_in_a_name": spoilt(lambda body: body.replace(b"totalBytes=", b"total\0Bytes=")),
    "nul_bytes_after_the_end": spoilt(lambda body: body + b"\0"),
    "nul_bytes_in_a_header_of_a_block": spoilt(lambda body: body.replace(b"]1\n", b"]\x001\n")),
    "an_index_of_many_digits": spoilt(lambda body: body.replace(b"]1\n", b"]%s\n" % (b"1" * 5000))),
    "an_error_of_many_digits": spoilt(lambda body: body + b"0" * 5000),
    "2_MB_of_lines": spoilt(lambda body: body.replace(b"[error]0", b"\n" * (2**21 - 1 - len(body)))),
}


@pytest.mark.parametrize("fault", NO_DATA.values(), ids=NO_DATA)
def test_a_body_that_is_no_data_is_told_as_such(way: Way, fault: Fault) -> None:
    assert isinstance(way.poll(fault), BadReply)


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "206 Partial Content", "302 Found", "404 No"])
def test_another_status_is_no_data_whatever_comes_with_it(way: Way, status: str) -> None:
    came = way.poll(sent(lambda body: [whole(body, "Location: /", status=status)]))
    assert isinstance(came, BadReply)
    assert status[:3] in str(came)


# What rows say


def row_with(name: str, value: str) -> Fault:
    """The first row's attribute is that."""
    return spoilt(lambda body: re.sub(rb"\n%s=[^\n]*" % name.encode(), f"\n{name}={value}".encode(), body, count=1))


NUMBERS = [
    *("-1", "+1", "", " 1", "1 ", "1.0", "1e9", "0x10", "1_000", "1,000", "nan", "inf", "one"),
    *(str(2**64), str(2**63), str(10**400), "9" * 5000, FULL_WIDTH, "١٢٣", "²", "1\u200b"),
]


@pytest.mark.parametrize("name", ["ipAddress", "totalBytes"])
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: ascii(number[:12]))
def test_a_number_that_is_none_spoils_the_answer(way: Way, name: str, number: str) -> None:
    came = way.poll(row_with(name, number))
    assert isinstance(came, BadReply)
    assert "makes no sense" in str(came)


@pytest.mark.parametrize(
    "mac", ["", "0", "02:00:00:00:00", "02:00:00:00:00:01:02", "zz:zz:zz:zz:zz:zz", f"02:00:00:00:00:{FULL_WIDTH[:2]}"]
)
def test_a_mac_that_is_none_spoils_the_answer(way: Way, mac: str) -> None:
    assert isinstance(way.poll(row_with("macAddress", mac)), BadReply)


def test_a_row_with_11_attributes_spoils_the_answer_only_where_it_is_the_counter_that_is_missing(way: Way) -> None:
    for name in ("totalBytes", "currSynMax", "currPkts"):
        came = way.poll(spoilt(lambda body, name=name: re.sub(rb"\n%s=\d+" % name.encode(), b"", body)))  # type: ignore[misc]
        if name == "totalBytes":
            assert isinstance(came, BadReply)
            assert "totalBytes" in str(came)
        else:
            assert isinstance(came, Reading)
            assert came.rows == way.truth.rows


def backwards(body: bytes) -> bytes:
    """Each block's attributes in the opposite order."""
    blocks = [block.split(b"\n") for block in re.split(rb"\n(?=\[)", body)]
    return b"\n".join(b"\n".join([head, *reversed(lines)]) for head, *lines in blocks)


WELL = {
    "13_attributes": lambda body: body.replace(b"\ntotalBytes=", b"\nnewFlag=\xe4\xbd\xa0\ntotalBytes="),
    "an_attribute_that_is_empty": lambda body: body.replace(b"\ntotalBytes=", b"\nnewFlag=\ntotalBytes="),
    "an_attribute_with_an_equals_sign": lambda body: body.replace(b"\ntotalBytes=", b"\nnewFlag=a=b\ntotalBytes="),
    "attributes_in_another_order": backwards,
    "an_attribute_twice_alike": lambda body: re.sub(rb"\ntotalBytes=\d+", rb"\g<0>\g<0>", body),
    "a_row_twice_alike": lambda body: re.sub(rb"\[1,0,0,0,0,0\]1\n[^[]+", rb"\g<0>\g<0>", body),
    "lines_that_end_in_crlf": lambda body: body.replace(b"\n", b"\r\n"),
    "host_names_in_latin_1": lambda body: body.replace(b"alices-phone", "Zoë".encode("latin-1")),
    "host_names_in_gbk": lambda body: body.replace(b"alices-phone", "手机电脑".encode("gbk")),
    "host_names_with_nul_bytes": lambda body: body.replace(b"alices-phone", b"alices\0phone"),
    "host_names_of_2_MB": lambda body: body.replace(b"alices-phone", b"x" * (2**21 - 2 * len(body))),
}


@pytest.mark.parametrize("change", WELL.values(), ids=WELL)
def test_what_is_new_or_strange_and_does_no_harm_is_read(way: Way, change: Callable[[bytes], bytes]) -> None:
    came = way.poll(spoilt(change))
    assert isinstance(came, Reading), came
    assert came.rows == way.truth.rows
    assert all(host.name is None or host.name.isprintable() for host in came.hosts)


def test_an_empty_table_is_no_rows(way: Way) -> None:
    came = way.poll(spoilt(lambda body: re.sub(rb"\[\d,0,0,0,0,0\]1\n[^[]+", b"", body)))
    assert isinstance(came, Reading)
    assert came.rows == ()


def test_two_counters_of_one_address_spoil_the_answer(way: Way) -> None:
    second = re.compile(rb"(\[1,0,0,0,0,0\]1\n[^[]+totalBytes=)(\d+)([^[]+)")
    came = way.poll(spoilt(lambda body: second.sub(rb"\1\2\3\g<1>1\2\3", body)))
    assert isinstance(came, BadReply)
    assert "two different counters" in str(came)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        *[(number, BadReply) for number in (1, 9003, 9804, 71014, 71111, 71234, 999_999_999)],
        (71145, AdminBusy),
        *[(number, LoginRefused) for number in (71230, 71231, 71232, 71233)],
    ],
)
@pytest.mark.parametrize("rest", [b"", b"\n", b"\r\n"], ids=["", "lf", "crlf"])
def test_an_error_number_is_told(way: Way, number: int, error: type[DallaError], rest: bytes) -> None:
    came = way.poll_only(Fault(lambda _: [whole(b"[error]%d%s" % (number, rest))], reached=False))
    assert type(came) is error
    assert str(number) in str(came) or error is AdminBusy


def test_an_error_number_that_is_cut_short_is_not_taken_for_a_wrong_password(way: Way) -> None:
    for place in range(1, len(b"[error]71233")):
        for frame in (chunk, bytes):
            came = way.poll_only(
                Fault(
                    lambda _, place=place, frame=frame: [  # type: ignore[misc]
                        answer(frame(b"[error]71233"[:place]), *([CHUNKED] if frame is chunk else []))
                    ],
                    reached=False,
                )
            )
            assert isinstance(came, BadReply | RouterUnreachable)
