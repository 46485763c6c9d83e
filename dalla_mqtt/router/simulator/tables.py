"""Settings that clients of a simulated router write: what may stand in them, and tables of them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from dalla_mqtt.router.simulator import cgi

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dalla_mqtt.router.simulator.firmware import Firmware

MAX_INSTANCES = 9812

_FIRST_NUMBER = 170  # a real record has 170 and 197; docs/router.md, "Adding a block rule"
_LONGEST_NUMBER = 10

Allowed = Mapping[str, Container[str]]  # the values that each attribute may have
Settings = dict[str, str]  # attributes, in the firmware's order, and their values as they are written


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole numbers from `least` to `most`, in decimal."""

    least: int
    most: int

    def __contains__(self, text: object) -> bool:
        digits = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
        return digits and self.least <= int(str(text)) <= self.most


class AnyText:
    """Whatever is written; what else is asked of it has error numbers of its own."""

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str)


SWITCH = {"0", "1"}
ADDRESS = Whole(0, 2**32 - 1)
PORT = Whole(0, 2**16 - 1)


class Table:
    """Rows under their numbers, which are never given twice; or, where the firmware renumbers, their places from 1 on.

    `names` are the attributes of a row, and `full` is the error number of a row too many.
    """

    def __init__(self, names: Sequence[str], firmware: Firmware, full: int = MAX_INSTANCES) -> None:
        self.names = tuple(names)
        self.rows: dict[int, Settings] = {}
        self._firmware = firmware
        self._full = full
        self._numbers = count(_FIRST_NUMBER)

    def __iter__(self) -> Iterator[Settings]:
        return iter(self.rows.values())

    def listed(self) -> Iterator[tuple[str, Sequence[object]]]:
        """Each row's stack and values."""
        for number, row in self.rows.items():
            yield f"{number},0,0,0,0,0", [row[name] for name in self.names]

    def shown(self) -> list[dict[str, object]]:
        """The rows with their numbers."""
        return [{"id": number, **row} for number, row in self.rows.items()]

    def number(self, section: cgi.Section) -> int:
        """Which row the section is about. Raises CgiError."""
        number = int(section.stack.partition(",")[0])
        if number not in self.rows:
            raise cgi.CgiError(cgi.NO_SUCH_INSTANCE)
        return number

    def add(self, section: cgi.Section, row: Settings) -> str:
        """The block that answers an ADD: the number of the new row; in newer firmware what was written, too.

        Raises CgiError where there is no room for it.
        """
        if len(self.rows) >= self._firmware.max_rules:
            raise cgi.CgiError(self._full)
        number = len(self.rows) + 1 if self._firmware.renumbers else next(self._numbers)
        self.rows[number] = row
        written = section.attributes if self._firmware.newer else ()
        return "".join(f"{line}\n" for line in (f"[{number},0,0,0,0,0]{section.index}", *written))

    def delete(self, section: cgi.Section) -> str:
        """The answer, which is empty, to a DELETE. Raises CgiError."""
        del self.rows[self.number(section)]
        if self._firmware.renumbers:
            self.rows = dict(enumerate(self.rows.values(), start=1))
        return ""
