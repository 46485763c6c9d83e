"""Where readings come from."""

from __future__ import annotations

import time
from collections.abc import Callable

from dalla_mqtt.config import RouterConfig
from dalla_mqtt.router.seam import Memory, Router
from dalla_mqtt.usage.reading import Reading

__all__ = ["Memory", "Router", "advice", "open_router"]


def advice(reading: Reading) -> dict[str, str | None]:
    """What the router's owner may mend, by what it is about; None where all is well."""
    where = "in its page, under System Tools, Statistics"
    off = f"the router's statistics are switched off: switch them on {where}, or set router.enable_statistics"
    full = f"the router's table is full, and counts no further device: delete all {where}, or restart it"
    return {"statistics": None if reading.statistics_enabled else off, "table": full if reading.full else None}


def open_router(
    config: RouterConfig,
    memory: Memory | None = None,
    *,
    once_more: bool = False,
    clock: Callable[[], float] = time.time,
) -> Router:
    """The router of the configuration. Sends nothing yet. Raises ConfigError.

    `once_more`: the first poll is made even where the router has refused this password before.
    """
    from dalla_mqtt.router.guard import Guard  # noqa: PLC0415  # not every command polls

    return Guard(_open_driver(config, memory), config, memory, once_more=once_more, clock=clock)


def _open_driver(config: RouterConfig, memory: Memory | None) -> Router:
    # requests costs 100 ms
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
        memory=memory,
    )
