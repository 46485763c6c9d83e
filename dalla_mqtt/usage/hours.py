"""Hours, named by their start in UTC epoch seconds, and what was moved in one."""

from __future__ import annotations

from typing import NamedTuple

HOUR_S = 3600


class Hour(NamedTuple):
    """What a series moved in the hour from `start` on, in bytes."""

    start: int
    on_peak: int
    off_peak: int


def hour_of(time: int) -> int:
    """The hour to which the delta of a record belongs: all of it to the one in which it was known, gap or not."""
    return (time - 1) // HOUR_S * HOUR_S
