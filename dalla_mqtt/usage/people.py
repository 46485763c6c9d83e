"""Which user a device belongs to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.usage.reading import Mac

UNKNOWN = "UNKNOWN"  # the user of all devices that nobody was given
_NAME_LENGTH = 60  # in UTF-8 at most 240 bytes: a file name has 255
_HEADER = ("name", "mac")


class People(Struct, frozen=True):
    """The users of a household: who owns which MAC, and whose devices bear which names.

    `names` has every user once, in the order in which they were named, without UNKNOWN. The first pattern that fits a
    host name, `alices-*`, wins.
    """

    names: tuple[str, ...] = ()
    macs: dict[Mac, str] = {}
    patterns: tuple[tuple[str, str], ...] = ()

    def owner(self, mac: Mac, hostname: str | None) -> str:
        """The user to whom the device belongs, or UNKNOWN."""
        if mac in self.macs:
            return self.macs[mac]
        if hostname is not None:
            for pattern, name in self.patterns:
                if fnmatchcase(hostname.lower(), pattern):
                    return name
        return UNKNOWN

    def given(self, mac: Mac, name: str) -> People:
        """The same, but for the device that is now `name`'s, whatever it calls itself; UNKNOWN: nobody's."""
        return replace(self, macs={**self.macs, mac: name})


def check_name(name: str) -> str:
    """`name` without the blanks around it. Raises ValueError where it cannot be a user's."""
    name = name.strip()
    if not name:
        raise ValueError("a user has no name")
    if len(name) > _NAME_LENGTH or not name.isprintable():
        raise ValueError(f"{name[:_NAME_LENGTH]!r} is no name for a user: at most {_NAME_LENGTH} printable characters")
    return name


class UserMap(Struct, frozen=True):
    """What a file of `Name, MAC` lines says: every user once, also one who has no device now, and whose each MAC is."""

    names: tuple[str, ...]
    macs: dict[Mac, str]


def parse_user_map(lines: Iterable[str]) -> UserMap:
    """`Name, MAC` lines with a header row; `Name,` is a user without devices. Raises ValueError that names the line."""
    names: dict[str, None] = {}
    macs: dict[Mac, str] = {}
    rows = csv.reader(lines, skipinitialspace=True, strict=True)
    try:
        for fields in rows:
            cells = [field.strip() for field in fields]
            if not any(cells) or (not names and tuple(cell.lower() for cell in cells) == _HEADER):
                continue
            name, mac = _entry(cells)
            names[name] = None
            if mac is not None and macs.setdefault(mac, name) != name:
                raise ValueError(f"{mac} belongs to {macs[mac]} already")
    except UnicodeDecodeError:
        raise  # it names its place itself
    except (ValueError, csv.Error) as error:
        raise ValueError(f"line {rows.line_num}: {error}") from error
    return UserMap(tuple(names), macs)


def edit_user_map(text: str, mac: Mac, name: str) -> str:
    """The `Name, MAC` lines of `text`, in which the device is now `name`'s; all other lines stay as they are.

    Whose last device it was stays a user. Raises ValueError that names the line where `text` is no user map.
    """
    lines = text.splitlines(keepends=True) or ["Name, MAC\n"]
    owner = parse_user_map(lines).macs.get(mac)
    end = "\r\n" if lines[0].endswith("\r\n") else "\n"
    mine = [mac in parse_user_map([line]).macs for line in lines]
    place = mine.index(True) if owner else len(lines)
    if not owner:
        lines[-1] = lines[-1].rstrip("\r\n") + end
    kept = [line for line, gone in zip(lines, mine, strict=True) if not gone]
    kept.insert(place, f"{_cell(name)}, {mac}{end}")
    if owner and owner not in (UNKNOWN, *parse_user_map(kept).names):
        kept.insert(place + 1, f"{_cell(owner)},{end}")
    return "".join(kept)


def _cell(name: str) -> str:
    cell = io.StringIO()
    csv.writer(cell, lineterminator="").writerow([name])
    return cell.getvalue()


def _entry(cells: list[str]) -> tuple[str, Mac | None]:
    if len(cells) != len(_HEADER):
        raise ValueError("expected `Name, MAC`")
    return check_name(cells[0]), Mac.parse(cells[1]) if cells[1] else None
