"""The wire format of TP-Link's `/cgi`: sections out, blocks in, error numbers.

Source: the router's own `lib.js` (`$.act`, `$.exe`) and captures; docs/router.md, "Transport and grammar".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from dalla_mqtt.errors import BadReply

GET, SET, LIST, SUBLIST, OPERATE, CALL = 1, 2, 5, 6, 7, 8  # ACT_GET, _SET, _GL, _GS, _OP, _CGI in lib.js

_ZEROS = "0,0,0,0,0,0"
_HEADER = re.compile(r"\[(\d{1,9}(?:,\d{1,9}){5}|cgi|error)\](\d{1,9})", re.ASCII)


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
    """One object of an answer; a list answers with one block a row, all with the index of its section."""

    index: int
    values: dict[str, str]


class Reply(Struct, frozen=True):
    """A whole answer. `error` is 0 where every section was accepted; else `blocks` is not to be trusted."""

    blocks: tuple[Block, ...]
    error: int


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
    lines = iter(text.split("\n"))
    for raw in lines:
        line = raw.removesuffix("\r")
        if line.startswith("["):
            kind, number = _header(line)
            if kind == "error":
                _expect_end(lines)
                return Reply(tuple(blocks), number)
            values = None if kind == "cgi" else {}
            if values is not None:
                blocks.append(Block(number, values))
        elif line and values is not None:  # lines of a [cgi] block are JavaScript, and not ours to run
            key, equals, value = line.partition("=")
            if not equals or values.setdefault(key, value) != value:
                raise BadReply(f"a line of the router's answer makes no sense: {_excerpt(line)}")
    raise BadReply("the router's answer was cut short: its last line, [error]0, is missing")


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
