"""What is asked of a simulated Archer C20: the grammar of a request.

Sources: docs/router.md, "Transport and grammar", "Error numbers".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

GET, SET, ADD, DELETE, LIST, SUBLIST, OPERATE, CALL = 1, 2, 3, 4, 5, 6, 7, 8  # ACT_GET and on of the firmware's lib.js

NOT_SUPPORTED = 9000
INTERNAL_ERROR = 9002
BAD_ARGUMENTS = 9003
BAD_NAME = 9005
BAD_VALUE = 9007
NO_SUCH_OBJECT = 9804
NO_SUCH_INSTANCE = 9805
BAD_FORMAT = 71014
LINES_WITHOUT_CR = 71111

ZEROS = "0,0,0,0,0,0"

_OWN_NAMES = ("tplinkwifi.net", "tplinklogin.net")
_SECTION = re.compile(r"\[([^#\]]+)#([0-9]+(?:,[0-9]+){5})#([0-9]+(?:,[0-9]+){5})\]([0-9]{1,5}),([0-9]{1,5})")
_ACTION = re.compile("([0-9]{1,5})(?:=.*)?")  # the firmware's own pages write `1=x` at times


@dataclass(frozen=True, slots=True)
class Request:
    """What came over the wire. `client` is the machine that it came from, `connection` one of that machine's."""

    path: str
    query: str
    body: bytes
    client: str
    connection: int
    host: str
    referer: str
    token: str
    cookies: tuple[str, ...]

    @property
    def from_own_page(self) -> bool:
        """Whether the Referer's host is the router, under the name it was called by or one of its own."""
        try:
            page, called = urlsplit(self.referer).hostname, urlsplit(f"//{self.host}").hostname
        except ValueError:
            return False
        return page is not None and page in (called, *_OWN_NAMES)

    def cookie(self, name: str) -> str | None:
        """What the client keeps under that name: the text after the `=` as it stands, nothing taken off or decoded."""
        return next((cookie[len(name) + 1 :] for cookie in self.cookies if cookie.startswith(f"{name}=")), None)


class CgiError(Exception):
    """The router's `[error]N`."""

    def __init__(self, number: int) -> None:
        super().__init__(f"[error]{number}")
        self.number = number


@dataclass(frozen=True, slots=True)
class Section:
    """One action of a batch."""

    action: int
    oid: str
    index: int
    attributes: tuple[str, ...]
    stack: str = ZEROS
    parent: str = ZEROS

    def show(self, names: Sequence[str], objects: Iterable[tuple[object, Sequence[object]]]) -> str:
        """A block for each of `objects`, a pair of stack and values of `names`: of these what was asked for."""
        places = [names.index(name) for name in self.chosen(names)]
        template = f"[%s]{self.index}\n" + "".join(f"{names[place]}=%s\n" for place in places)
        return "".join([template % (stack, *[values[place] for place in places]) for stack, values in objects])

    def show_one(self, values: dict[str, object], stack: str = ZEROS) -> str:
        """The block of an object that there is one of."""
        return self.show(tuple(values), [(stack, tuple(values.values()))])

    def wants(self, stack: str) -> bool:
        """Whether the object of that stack is among those of the section: below its parent, or the very one."""
        if self.action == SUBLIST:
            return stack.startswith(_levels(self.parent))
        return self.action == LIST or stack == self.stack

    def chosen(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that were asked for, in the firmware's order: all where none was named."""
        wanted = {uncapitalised(attribute) for attribute in self.attributes}
        if wanted - {uncapitalised(name) for name in names}:
            raise CgiError(BAD_NAME)
        return [name for name in names if not wanted or uncapitalised(name) in wanted]

    def changes(self, settings: Mapping[str, Container[str]]) -> dict[str, str]:
        """What is to be written. Raises CgiError where one of it is none of `settings`, or not one of its values."""
        names = {uncapitalised(name): name for name in settings}
        changes = {}
        for name, value in map(parse_assignment, self.attributes):
            if name not in names:
                raise CgiError(BAD_NAME)
            if value not in settings[names[name]]:
                raise CgiError(BAD_VALUE)
            changes[names[name]] = value
        return changes


def parse_batch(query: str, body: bytes, *, blank_lines: bool) -> list[Section]:
    """The sections of a request; docs/router.md, "Request". `blank_lines`: whether they do no harm. Raises CgiError."""
    *lines, rest = body.decode("latin-1").split("\r\n")
    if rest or any("\n" in line for line in lines):
        raise CgiError(LINES_WITHOUT_CR)
    remaining = filter(None, lines) if blank_lines else iter(lines)
    sections = [
        _parse_section(action, index, next(remaining, ""), remaining) for index, action in enumerate(query.split("&"))
    ]
    if next(remaining, None) is not None:
        raise CgiError(BAD_FORMAT)
    return sections


def _parse_section(action: str, index: int, head: str, remaining: Iterator[str]) -> Section:
    """The section under the line `head`; takes the lines of its attributes from `remaining`."""
    code, parts = _ACTION.fullmatch(action), _SECTION.fullmatch(head)
    if not code or not parts or int(parts[4]) != index:
        raise CgiError(BAD_FORMAT)
    attributes = tuple(islice(remaining, int(parts[5])))
    if len(attributes) != int(parts[5]) or any(attribute.startswith("[") for attribute in attributes):
        raise CgiError(BAD_FORMAT)
    return Section(int(code[1]), parts[1], index, attributes, parts[2], parts[3])


def parse_assignment(line: str) -> tuple[str, str]:
    """Name and value of what a SET is to write. Raises CgiError."""
    name, equals, value = line.partition("=")
    if not equals:
        raise CgiError(BAD_FORMAT)
    return uncapitalised(name), value


def _levels(stack: str) -> str:
    """`1,2,` of `1,2,0,0,0,0`: what the stacks of all instances below it begin with."""
    return "".join(f"{level}," for level in stack.split(",") if level != "0")


def uncapitalised(name: str) -> str:
    """`name` as the router compares it: it does not care for the case of the first letter."""
    return name[:1].lower() + name[1:]
