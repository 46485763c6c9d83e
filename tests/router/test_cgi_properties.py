"""What no answer can do, however spoilt: be taken for another one, end in anything but BadReply, or take its time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.errors import BadReply
from dalla_mqtt.router.answers import reading_of
from dalla_mqtt.router.cgi import Block, Reply, Section, decode, encode
from dalla_mqtt.router.simulator.cgi import parse_batch
from dalla_mqtt.usage.reading import Mac, Row

NO_MAC = "00:00:00:00:00:00"
ZEROS = "0,0,0,0,0,0"
ODD = "\x00\t\v\f\r\x1c\x1b\x85\xa0\u2028\u2029\ufeff\ufffd٣۳³½"  # what str.splitlines, strip and isdigit fall for
SIGNS = f"\n =[]{{}}#,:;-+_.e0179aAbfxZ{ODD}"
ANSWER = """\
[0,0,0,0,0,0]0
enable=1
interval=10
[1,0,0,0,0,0]1
ipAddress=3232235876
macAddress=CB:BD:AB:90:2D:38
totalPkts=24005898
totalBytes=2369574771
currPkts=13
[2,0,0,0,0,0]1
ipAddress=3232235877
macAddress=00:00:00:00:00:00
totalPkts=1
totalBytes=60
currPkts=0
[3,0,0,0,0,0]1
ipAddress=3232235878
macAddress=02:00:00:00:00:01
totalPkts=10
totalBytes=9000
currPkts=0
[1,0,0,0,0,0]2
leaseTimeRemaining=6231
MACAddress=CB:BD:AB:90:2D:38
hostName=[error]0 a=b
IPAddress=192.168.1.100
[1,0,0,0,0,0]3
modelName=Archer C20
upTime=86400
[error]0"""

APART = """\
[0,0,0,0,0,0]0
enable=1
[1,0,0,0,0,0]1
ipAddress=3232235876
macAddress=AA:BB:CC:DD:EE:01
totalBytesRx=1000
totalBytesTx=2000
[2,0,0,0,0,0]1
ipAddress=3232235877
macAddress=AA:BB:CC:DD:EE:02
totalBytesRx=0
totalBytesTx=0
[1,0,0,0,0,0]2
MACAddress=AA:BB:CC:DD:EE:01
IPAddress=192.168.1.100
[error]0"""

odd_text = st.text(st.sampled_from(SIGNS) | st.characters(exclude_categories=()), max_size=12)
names = odd_text.map(lambda text: text.replace("\n", "").replace("=", "").lstrip("[")).filter(bool)
values = odd_text.map(lambda text: text.replace("\n", "").rstrip("\r"))
words = st.text("ABCdefXYZ_019/", min_size=1, max_size=12)
stacks = st.lists(st.integers(0, 999_999_999), min_size=6, max_size=6).map(lambda stack: ",".join(map(str, stack)))
blocks = st.lists(
    st.tuples(stacks, st.integers(0, 999_999_999), st.dictionaries(names, values, max_size=5)), max_size=5
)


def written(told: list[tuple[str, int, dict[str, str]]], newline: str = "\n", error: int = 0) -> str:
    lines = []
    for stack, index, attributes in told:
        lines += [f"[{stack}]{index}", *(f"{name}={value}" for name, value in attributes.items())]
    return newline.join([*lines, f"[error]{error}"])


def read(text: str) -> Reply | None:
    """None where the answer is thrown away."""
    with suppress(BadReply):
        return decode(text)
    return None


def rows_in(text: str) -> dict[str, Row] | None:
    with suppress(BadReply):
        return {row.key: row for row in reading_of(decode(text).blocks).rows}
    return None


@given(blocks, st.sampled_from(["\n", "\r\n", "\n\n"]), st.integers(0, 99_999))
def test_whatever_is_written_comes_back(told: list[tuple[str, int, dict[str, str]]], newline: str, error: int) -> None:
    assert decode(written(told, newline, error)) == Reply(
        tuple(Block(index, attributes, stack) for stack, index, attributes in told), error
    )


@given(st.lists(st.tuples(st.integers(1, 8), words, st.lists(words, max_size=4)), max_size=6))
def test_whatever_is_asked_arrives(asked: list[tuple[int, str, list[str]]]) -> None:
    query, body = encode(tuple(Section(action, oid, tuple(attributes)) for action, oid, attributes in asked))
    if asked:
        arrived = [
            (section.action, section.oid, list(section.attributes))
            for section in parse_batch(query, body, blank_lines=False)
        ]
        assert arrived == asked


@given(st.lists(st.sampled_from(["[error]0", "[cgi]0", f"[{ZEROS}]0", "a=1", "a=2", *SIGNS]) | odd_text))
def test_any_text_is_a_reading_or_a_bad_reply(parts: list[str]) -> None:
    with suppress(BadReply):
        reading_of(decode("".join(parts)).blocks)


@given(blocks, st.integers(0, 99_999), st.data())
def test_the_beginning_of_an_answer_is_no_answer(
    told: list[tuple[str, int, dict[str, str]]], error: int, data: st.DataObject
) -> None:
    whole = written(told, error=error)
    beginning = read(whole[: data.draw(st.integers(0, len(whole) - 1))])
    # a number that is cut short is a refusal still, as no number of an error begins with 0
    assert beginning is None or (error >= 10 and beginning.error > 0)


@given(blocks, st.text(" \r\n\t\x85\u2028"), odd_text.filter(str.strip))
def test_after_the_end_nothing_may_follow_but_blanks(
    told: list[tuple[str, int, dict[str, str]]], blanks: str, more: str
) -> None:
    whole = written(told)
    assert decode(f"{whole}\n{blanks}") == decode(whole)
    assert read(f"{whole}\n{blanks}{more}") is None
    assert read(f"{whole}\n{blanks}[error]0") is None


@given(blocks, blocks, st.lists(odd_text.map(lambda text: text.replace("\n", "").lstrip("["))))
def test_a_block_of_script_between_others_changes_nothing(
    told: list[tuple[str, int, dict[str, str]]], more: list[tuple[str, int, dict[str, str]]], script: list[str]
) -> None:
    before, after = written(told).removesuffix("[error]0"), written(more)
    assert decode(before + "\n".join(["[cgi]7", *script, after])) == decode(before + after)


def once_changed(text: str) -> Iterator[str]:
    """`text` with one character less, more or another, of all that are odd and all that an answer is made of."""
    for at in range(len(text) + 1):
        yield text[:at] + text[at + 1 :]
        for sign in SIGNS:
            yield text[:at] + sign + text[at:]
            yield text[:at] + sign + text[at + 1 :]


def says(text: str, row: Row) -> bool:
    """Whether `text` has this very row, each of its values on a line of its own."""
    number = int(IPv4Address(row.ip))
    mac = row.mac.colons if row.mac else NO_MAC
    lines = (f"ipAddress=0*{number}", rf"macAddress=\s*(?i:{mac})\s*", f"totalPkts=0*{row.packets}")
    return (
        re.search("\n+".join((*(f"{line}\r?" for line in lines), f"totalBytes=0*{row.bytes}\r?\n")), text) is not None
    )


def test_one_character_more_less_or_another_never_makes_another_answer_but_of_what_it_says() -> None:
    before = rows_in(ANSWER)
    assert before is not None
    for text in once_changed(ANSWER):
        after = rows_in(text)
        if after not in (None, before):
            assert after is not None
            (was,), (now,) = before.items() - after.items(), after.items() - before.items()
            assert says(text, now[1]), repr(text)
            assert now[1].mac != Mac.parse(NO_MAC)
            assert (
                sum(getattr(was[1], name) != getattr(now[1], name) for name in ("ip", "mac", "packets", "bytes")) == 1
            )


@pytest.mark.parametrize("answer", [APART, re.sub(r"\nipAddress=\d+", "", APART)], ids=["addresses", "no addresses"])
def test_counters_of_each_direction_are_as_safe_and_no_character_touches_more_than_one_row(answer: str) -> None:
    before = rows_in(answer)
    assert before is not None
    for text in once_changed(answer):
        after = rows_in(text)
        if after is not None:
            changed = before.items() - after.items()
            assert len(after) == len(before), repr(text)
            assert len({row.mac for _, row in changed}) <= 1, repr(text)


@pytest.mark.parametrize("answer", [ANSWER, APART])
def test_a_line_that_is_lost_loses_no_row_and_one_that_is_there_twice_changes_nothing(answer: str) -> None:
    lines = answer.split("\n")
    before = rows_in(answer)
    for at, line in enumerate(lines):
        assert rows_in("\n".join([*lines[:at], *lines[at + 1 :]])) in (None, before), line
        assert rows_in("\n".join([*lines[:at], line, *lines[at:]])) in (None, before), line


@given(st.data())
def test_lines_in_another_order_are_no_other_rows(data: st.DataObject) -> None:
    """Within a block, and blocks of a list."""
    head, *told = ANSWER.split("\n[")[:4]
    rest = ANSWER.split("\n[")[4:]
    rows = [row.split("\n") for row in data.draw(st.permutations(told))]
    mixed = ["\n".join([title, *data.draw(st.permutations(lines))]) for title, *lines in rows]
    assert rows_in("\n[".join([head, *mixed, *rest])) == rows_in(ANSWER)


SHAPES: tuple[Callable[[int], str], ...] = (
    lambda size: "[" * size,
    lambda size: f"[{'0,' * size}",
    lambda size: f"[{ZEROS}]{'1' * size}",
    lambda size: f"[{ZEROS}]0\n{'=' * size}\n[error]0",
    lambda size: f"[{ZEROS}]0\n" * (size // 16) + "[error]0",
    lambda size: f"[{ZEROS}]0\n" + "".join(f"a{number}=\n" for number in range(size // 8)) + "[error]0",
    lambda size: f"[{ZEROS}]0\n" + "a=1\n" * (size // 4) + "[error]0",
    lambda size: "[cgi]0\n" + "x" * size,
    lambda size: "[error]0" + "\n" * size + "x",
    lambda size: f"[error]0\n{' ' * size}x",
    lambda size: "[error]0" + "\r" * size,
    lambda size: f"[{ZEROS}]0\n" + "\r" * size,
)


@pytest.mark.alone
@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_eight_times_as_long_takes_not_much_more_than_eight_times_as_long(
    shape: Callable[[int], str],
) -> None:
    short, long = (min(cost(shape(size)) for _ in range(5)) for size in (2**17, 2**20))
    assert long < 30 * short + 0.005


def cost(text: str) -> float:
    """Seconds of this thread's work."""
    before = time.thread_time()
    read(text)
    return time.thread_time() - before
