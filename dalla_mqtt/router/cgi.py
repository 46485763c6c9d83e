"""The wire format of TP-Link's `/cgi`: sections out, blocks in, error numbers.

Source: the router's own `lib.js` (`$.act`, `$.exe`) and captures; docs/router.md, "Transport and grammar".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from dalla_mqtt.errors import BadReply

# ACT_GET, _SET, _ADD, _DEL, _GL, _GS, _OP and _CGI in lib.js
GET, SET, ADD, DELETE, LIST, SUBLIST, OPERATE, CALL = range(1, 9)

_ZEROS = "0,0,0,0,0,0"
_HEADER = re.compile(r"\[(\d{1,9}(?:,\d{1,9}){5}|cgi|error)\](\d{1,9})", re.ASCII)
_STATEMENT = re.compile(r'var (\w{1,64})="([^"\\]{0,256})";', re.ASCII)


class Section(Struct, frozen=True):
    """One question: an action on an object, and which attributes are wanted (none named: all of them), or `name=value`.

    `stack` and `parent` say which object, and of what it is a part: six numbers each.
    """

    action: int
    oid: str
    attributes: tuple[str, ...] = ()
    stack: str = _ZEROS
    parent: str = _ZEROS


class Block(Struct, frozen=True):
    """One object of an answer; a list answers with one block a row, all with the index of its section.

    `stack` says which object it is, until one is deleted: then the router may number them anew.
    """

    index: int
    values: dict[str, str]
    stack: str = _ZEROS


class Reply(Struct, frozen=True):
    """A whole answer. `error` is 0 where every section was accepted; else nothing of it is to be trusted.

    `script`: what [cgi] blocks say in lines such as `var clientIp="192.168.1.100";`.
    """

    blocks: tuple[Block, ...]
    error: int
    script: dict[str, str] = {}


def encode(sections: tuple[Section, ...]) -> tuple[str, bytes]:
    """The query string and the body that ask `sections`. Lines end in CRLF: LF alone gets `[error]71111`."""
    query = "&".join(str(section.action) for section in sections)
    lines = []
    for index, section in enumerate(sections):
        lines.append(f"[{section.oid}#{section.stack}#{section.parent}]{index},{len(section.attributes)}\r\n")
        lines += [f"{name}\r\n" for name in section.attributes]
    return query, "".join(lines).encode()


def decode(text: str) -> Reply:
    """The answer in `text`, used whole or not at all. Raises BadReply where it is cut short, HTML or malformed.

    LF or CRLF, blank lines and a newline after the last line are all seen in the field. A value may contain `=`.
    """
    if not text.startswith("["):
        raise BadReply(f"the router answered something else than data: {_excerpt(text)}")
    blocks: list[Block] = []
    values: dict[str, str] | None = None
    script: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for raw in lines:
        line = raw.removesuffix("\r")
        if line.startswith("["):
            kind, number = _header(line)
            if kind == "error":
                _expect_end(lines)
                return Reply(tuple(blocks), number, script)
            values = None if kind == "cgi" else {}
            if values is not None:
                blocks.append(Block(number, values, kind))
        elif values is None:  # lines of a [cgi] block are JavaScript, and not ours to run
            if statement := _STATEMENT.fullmatch(line):
                script.setdefault(statement[1], statement[2])
        elif line:
            key, equals, value = line.partition("=")
            if not equals or values.setdefault(key, value) != value:
                raise BadReply(f"a line of the router's answer makes no sense: {_excerpt(line)}")
    raise BadReply("the router's answer was cut short: its last line, [error]0, is missing")


def by_section(blocks: tuple[Block, ...], count: int) -> tuple[list[Block], ...]:
    """The blocks of each of the `count` sections that were asked. Raises BadReply where one is of another."""
    sections: tuple[list[Block], ...] = tuple([] for _ in range(count))
    for block in blocks:
        if block.index >= count:
            raise BadReply(f"the router answered section {block.index}, which was not asked")
        sections[block.index].append(block)
    return sections


def _header(line: str) -> tuple[str, int]:
    match = _HEADER.fullmatch(line)
    if not match:
        raise BadReply(f"a line of the router's answer makes no sense: {_excerpt(line)}")
    return match[1], int(match[2])


def _expect_end(lines: Iterator[str]) -> None:
    for line in lines:
        if line.strip():
            raise BadReply(f"the router's answer goes on after its end: {_excerpt(line)}")


def _excerpt(text: str) -> str:
    return repr(text[:60]) if text.strip() else "nothing at all"
