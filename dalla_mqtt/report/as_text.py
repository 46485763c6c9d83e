"""A summary as a table for a terminal, aligned to the character."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from dalla_mqtt.log import printable
from dalla_mqtt.report.days import Moment
from dalla_mqtt.report.sizes import per_cent, size
from dalla_mqtt.report.summary import Summary, UserRow
from dalla_mqtt.report.words import MOVED_OVER, TOTAL, UNCLAIMED, is_there, notes, percent, reach, title
from dalla_mqtt.usage.quota import Standing, Used

NARROWEST = 80
_GAP = "  "
_INDENT = "  "
_BAR = 10
_HEADS = ("On-peak", "Off-peak", "Total", "Share")


class _Line(NamedTuple):
    """A name, the figures below _HEADS, and a bar."""

    name: str
    figures: tuple[str, ...]
    bar: str = ""


def as_text(summary: Summary, moment: Moment, *, columns: int | None, encoding: str) -> str:
    """The lines of a table no wider than `columns`, at least NARROWEST; None: as wide as it is.

    Names are printable, and in characters that `encoding` has.
    """
    width = None if columns is None else max(columns, NARROWEST)
    above = [title(summary, moment), *filter(None, [reach(summary, moment)])]
    below = [line for note in notes(summary) for line in _wrapped(_shown(note, encoding), width)]
    table = list(_table(summary, width, encoding)) if moment.known(summary.window) else []
    parts = [part for part in (above, table, below) if part]
    text = "\n\n".join("\n".join(_shown(line, encoding) for line in part) for part in parts)
    return f"{text}\n"


def _table(summary: Summary, width: int | None, encoding: str) -> Iterator[str]:
    users = [line for user in summary.users for line in _of_user(user, encoding)]
    if is_there(summary.unclaimed):
        users.append(_Line(UNCLAIMED, _sizes(summary.unclaimed)))
    bars = any(line.bar for line in users)
    head = _Line("", _HEADS, "Quota" if bars else "")
    total = _Line(TOTAL, _sizes(summary.total))
    lines = [head, *users, total]
    widths = [
        max(cell_len(line.figures[column]) for line in lines if column < len(line.figures)) for column in range(4)
    ]
    rest = sum(len(_GAP) + one for one in widths) + max(len(_GAP) + len(line.bar) if line.bar else 0 for line in lines)
    name = max(cell_len(line.name) for line in lines)
    if width is not None:
        name = min(name, width - rest)
    yield _line(head, name, widths, encoding)
    yield from (_line(line, name, widths, encoding) for line in users)
    yield "-" * (name + rest)
    yield _line(total, name, widths, encoding)


def _of_user(user: UserRow, encoding: str) -> Iterator[_Line]:
    yield _Line(_shown(user.name, encoding), (*_sizes(user.used), per_cent(user.share)), _bar(user.standing))
    for device in user.devices:
        yield _Line(_INDENT + _shown(device.name, encoding), _sizes(device.used), _bar(device.standing))
    if is_there(user.elsewhere):
        yield _Line(_INDENT + MOVED_OVER, _sizes(user.elsewhere))


def _line(line: _Line, name: int, widths: Sequence[int], encoding: str) -> str:
    cells = [_cut(line.name, name, encoding)]
    cells += [f"{figure:>{width}}" for figure, width in zip(line.figures, widths, strict=False)]
    cells += [" " * width for width in widths[len(line.figures) :]] if line.bar else []
    return _GAP.join([*cells, line.bar]).rstrip()


def _sizes(used: Used) -> tuple[str, ...]:
    """With their units below each other."""
    amounts = (size(amount).split(" ") for amount in (used.on_peak, used.off_peak, sum(used)))
    return tuple(f"{number} {unit:>2}" for number, unit in amounts)


def _bar(standing: Standing | None) -> str:
    used = percent(standing) if standing is not None else None
    if used is None:
        return ""
    full = min(_BAR, used * _BAR // 100)
    return f"[{'#' * full}{'-' * (_BAR - full)}] {used:3} %"


def _cut(name: str, width: int, encoding: str) -> str:
    """`name` in just so many columns."""
    if cell_len(name) <= width:
        return set_cell_size(name, width)
    end = "…" if _shown("…", encoding) == "…" else "~"
    return set_cell_size(set_cell_size(name, width - 1).rstrip() + end, width)


def _wrapped(text: str, width: int | None) -> list[str]:
    """In lines that fit, broken at blanks; a single word may be longer."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width is None or not lines[-1] or cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _shown(text: str, encoding: str) -> str:
    """`text` in one line, in characters that are there."""
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)
