"""What a router said at one moment."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Struct

Link = Literal["wired", "2.4 GHz", "5 GHz", "guest 2.4 GHz", "guest 5 GHz"]
NOWHERE = "0.0.0.0"  # noqa: S104  # the address of what is told without one
TABLE_ROWS = 256  # what comes later is not counted. Source: docs/router.md, "How the router counts"

_MAC = re.compile(r"[0-9A-Fa-f]{2}(?:([:-]?)[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}")
_LOCALLY_ADMINISTERED = 0x02  # second-lowest bit of the first octet, IEEE 802: set in randomised addresses of phones


class Mac(Struct, frozen=True, order=True):
    """A hardware address, kept as `CB-BD-AB-90-2D-38`: upper case, dashes, as CSV file names have it."""

    dashed: str

    @classmethod
    def parse(cls, text: str) -> Mac:
        """The address in `text`, with `:` or `-` or neither, in any case. Raises ValueError."""
        return _parse_mac(text)

    @property
    def colons(self) -> str:
        """`CB:BD:AB:90:2D:38`, as people and routers write it."""
        return self.dashed.replace("-", ":")

    @property
    def private(self) -> bool:
        """Whether the owner's device made this address up, and may make up another tomorrow."""
        return bool(int(self.dashed[:2], 16) & _LOCALLY_ADMINISTERED)

    def __str__(self) -> str:
        return self.dashed


@lru_cache(maxsize=8192)
def _parse_mac(text: str) -> Mac:
    if not _MAC.fullmatch(text.strip()):
        raise ValueError(f"{text!r} is not a MAC address such as CB-BD-AB-90-2D-38")
    digits = re.sub("[:-]", "", text.strip()).upper()
    return Mac("-".join(digits[i : i + 2] for i in range(0, 12, 2)))


class Row(Struct, frozen=True):
    """A counter of the router's statistics. It belongs to the address; the MAC is the last one seen uploading from it.

    Newer firmware has two for each address, one down and one up, and may not tell the address.
    Source: GPL module ipt_STAT.ko of a sibling; docs/router.md, "How the router counts" and "Fields".
    """

    ip: str
    mac: Mac | None  # None while the router shows 00:00:00:00:00:00
    packets: int | None  # up and down together, since the row was made or reset; None where they are not counted
    bytes: int  # the same; wraps at 2**32 on old firmware
    key: str = ""  # what tells this counter from all others, always the same: the address, where nothing is said

    def __post_init__(self) -> None:
        if not self.key:
            msgspec.structs.force_setattr(self, "key", self.ip)

    @property
    def twin(self) -> str | None:
        """The key of the other direction, where the router counts them apart."""
        whose, _, direction = self.key.rpartition(" ")
        return f"{whose} {'tx' if direction == 'rx' else 'rx'}" if whose else None


class Host(Struct, frozen=True):
    """One line of the router's table of DHCP leases. `link`: how it is connected, where the router says so."""

    ip: str
    mac: Mac
    name: str | None
    link: Link | None = None


class RouterInfo(Struct, frozen=True):
    """What the router says of itself; None for what it did not say. `login`: by which of its kinds we were let in."""

    model: str | None = None
    firmware: str | None = None
    hardware: str | None = None
    uptime_s: int | None = None
    login: str | None = None


class Reading(Struct, frozen=True):
    """One whole answer of the router. Every counter is at most once in `rows`. `sampling_s`: its own interval."""

    rows: tuple[Row, ...]
    hosts: tuple[Host, ...] = ()
    info: RouterInfo = RouterInfo()
    statistics_enabled: bool = True
    sampling_s: int | None = None

    @property
    def size(self) -> int:
        """How many rows the router's table has; one of them may hold two counters."""
        return len(self.rows) - sum(row.twin is not None for row in self.rows) // 2

    @property
    def full(self) -> bool:
        """Whether the router's table has no room for another address."""
        return self.size >= TABLE_ROWS
