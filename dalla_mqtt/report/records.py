"""What is on record, as those who show it ask for it. `archive/records.py` keeps the promise."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from dalla_mqtt.usage.hours import Hour
from dalla_mqtt.usage.ledger import Key, Moved
from dalla_mqtt.usage.quota import Used

__all__ = ["Hour", "Records"]


class Records(Protocol):
    """For any thread, also while a daemon adds to them. Each raises ArchiveError."""

    def moved(self, first: date, last: date) -> Moved:
        """What is on record for the local days from `first` to `last`."""

    def days(self, key: Key, first: date, last: date) -> dict[date, Used]:
        """The same of one series, for each day on which it moved something."""

    def hours(self, key: Key, since: float, until: float) -> list[Hour]:
        """Its hours that begin in `since` <= start < `until`, UTC epoch seconds, and of which there are records."""
