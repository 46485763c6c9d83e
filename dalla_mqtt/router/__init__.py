"""Where readings come from."""

from __future__ import annotations

from typing import Protocol

from dalla_mqtt.config import RouterConfig
from dalla_mqtt.usage.reading import Reading


class Router(Protocol):
    """A router that counts bytes for each address."""

    def poll(self) -> Reading:
        """All counters, in one exchange that leaves the login free for the owner.

        Raises LoginRefused, AdminBusy, RouterUnreachable or BadReply; then nothing was read.
        """

    def leave(self) -> None:
        """Give the login back, within a second, where an interrupted poll may still hold it. Raises nothing."""


class Memory(Protocol):
    """What a driver found out once, and need not find out again after a restart."""

    def recall(self, key: str) -> str | None:
        """What was kept under `key`."""

    def keep(self, key: str, value: str) -> None:
        """Keep `value` under `key`. From any thread. Raises ArchiveError."""


def advice(reading: Reading) -> dict[str, str | None]:
    """What the router's owner may mend, by what it is about; None where all is well."""
    where = "in its page, under System Tools, Statistics"
    off = f"the router's statistics are switched off: switch them on {where}, or set router.enable_statistics"
    full = f"the router's table is full, and counts no further device: delete all {where}, or restart it"
    return {"statistics": None if reading.statistics_enabled else off, "table": full if reading.full else None}


def open_router(config: RouterConfig, memory: Memory | None = None) -> Router:
    """The router of the configuration. Sends nothing yet. Raises ConfigError."""
    # requests costs 100 ms, and not every command polls
    if config.driver == "tplink":
        from dalla_mqtt.router.tplink import Tplink  # noqa: PLC0415

        return Tplink(config, memory)

    from dalla_mqtt.router.archer_c20 import ArcherC20  # noqa: PLC0415

    return ArcherC20(
        config.url,
        config.username,
        config.password.value,
        config.timeout,
        enable_statistics=config.enable_statistics,
    )
