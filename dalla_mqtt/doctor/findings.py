"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

Notice = Callable[[str], None]  # tells why nothing is seen for a while


class Finding(Struct, frozen=True):
    """One line: what it is about, how it is, and what to do about it. A `hint` may be as it should be."""

    about: str
    verdict: Literal["ok", "hint", "wrong"]
    text: str
    mend: str = ""


def ok(about: str, text: str) -> Finding:
    """All is well."""
    return Finding(about, "ok", text)


def hint(about: str, text: str, mend: str) -> Finding:
    """What is worth a look."""
    return Finding(about, "hint", text, mend)


def wrong(about: str, text: str, mend: str) -> Finding:
    """What has to be mended."""
    return Finding(about, "wrong", text, mend)


def listed(names: list[str], most: int = 5) -> str:
    """`one, two and 3 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def counted(number: int, what: str) -> str:
    """`1 device`, `2 devices`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
