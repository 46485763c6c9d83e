"""What a driver is, and what it is given."""

from __future__ import annotations

from typing import Protocol

from dalla_mqtt.usage.limits import Limited, Limits
from dalla_mqtt.usage.reading import Reading


class Router(Protocol):
    """A router that counts bytes for each address."""

    def poll(self) -> Reading:
        """All counters, in one exchange that leaves the login free for the owner.

        Raises LoginRefused, AdminBusy, RouterUnreachable or BadReply; then nothing was read.
        """

    def enforce(self, limits: Limits, *, dry_run: bool = False) -> Limited:
        """Limit what is to be limited, and nothing else: rules of ours that are not wanted any more are taken back.

        Rules of others stay as they are. `dry_run`: change nothing, and say what would be done. Raises LimitRefused,
        and what `poll` raises; then some of it may be done, and another call goes on from there.
        """

    def leave(self) -> None:
        """Give the login back, within a second, where an interrupted poll may still hold it. Raises nothing."""


class Memory(Protocol):
    """What a driver found out once, and need not find out again after a restart."""

    def recall(self, key: str) -> str | None:
        """What was kept under `key`."""

    def keep(self, key: str, value: str) -> None:
        """Keep `value` under `key`. From any thread. Raises ArchiveError."""
