"""What was agreed that Home Assistant shows, as data."""

from __future__ import annotations

import re
from typing import NamedTuple

STATES = ["ok", "busy", "unreachable", "login_refused", "bad_reply", "paused"]
EVENTS = [
    *("new_device", "router_reboot", "counter_reset", "counter_wrap", "held_back", "accepted", "dropped"),
    *("router_busy", "router_back", "quota_warning", "quota_reached", "quota_projected", "limited", "released"),
    "command_refused",
]


class Row(NamedTuple):
    """One entity. `statistics`: whether long-term statistics keep its mean or its sum."""

    platform: str
    key: str
    name: str
    unit: str | None = None
    device_class: str | None = None
    state_class: str | None = None
    category: str | None = None
    enabled: bool = True

    @property
    def statistics(self) -> tuple[str, str | None] | None:
        if self.state_class is None:
            return None
        unit_class = {"data_size": "information"}.get(str(self.device_class), self.device_class)
        return ("mean" if self.state_class == "measurement" else "sum", unit_class)


USAGE = Row("sensor", "usage", "Usage", "GB", "data_size", "total")
DELTA = Row("sensor", "delta", "Delta", "MB", "data_size", "measurement")
FIGURES = (
    Row("sensor", "rate", "Rate", "Mbit/s", "data_rate", "measurement"),
    Row("sensor", "today", "Today", "GB", "data_size", "total"),
    Row("sensor", "period", "This period", "GB", "data_size", "total"),
    Row("sensor", "on_peak", "On-peak", "GB", "data_size", "total"),
    Row("sensor", "off_peak", "Off-peak", "GB", "data_size", "total"),
)
USER = (USAGE, DELTA, *FIGURES)
TOTAL = (*USER, Row("binary_sensor", "peak", "Peak hours"))
DEVICE = (
    USAGE,
    DELTA._replace(enabled=False),
    *FIGURES,
    Row("sensor", "ip", "IP address", category="diagnostic"),
    Row("sensor", "last_active", "Last active", device_class="timestamp", category="diagnostic", enabled=False),
    Row("select", "user", "User", category="config"),
    Row("text", "name", "Name", category="config"),
)
ROUTER = (
    Row("sensor", "state", "State", device_class="enum", category="diagnostic"),
    Row("sensor", "firmware", "Firmware", category="diagnostic"),
    Row("sensor", "devices", "Devices", state_class="measurement", category="diagnostic"),
    Row("sensor", "failures", "Failures", state_class="total_increasing", category="diagnostic"),
    Row("sensor", "last_poll", "Last poll", device_class="timestamp", category="diagnostic", enabled=False),
    Row("sensor", "poll_ms", "Poll time", "ms", "duration", "measurement", category="diagnostic", enabled=False),
    Row("button", "poll", "Poll now", category="config"),
    Row("switch", "pause", "Pause polling", category="config"),
    Row("event", "event", "Event"),
)


def rows(part: str) -> tuple[Row, ...]:
    """The entities of `router`, `total`, a user's slug, or a MAC such as `cb-bd-ab-90-2d-38`."""
    if re.fullmatch("(..-){5}..", part):
        return DEVICE
    return {"router": ROUTER, "total": TOTAL}.get(part, USER)


def unique_id(site: str, part: str, row: Row) -> str:
    """`dalla_home_cb-bd-ab-90-2d-38_usage`."""
    return f"dalla_{site}_{part}_{row.key}"


def entity_id(site: str, part: str, row: Row) -> str:
    """`sensor.dalla_home_cb_bd_ab_90_2d_38_usage`."""
    return f"{row.platform}.{unique_id(site, part, row)}".replace("-", "_")


def topics(base: str, site: str, parts: list[str]) -> set[str]:
    """What is retained of a site with the series `parts`, but for its announcements."""
    root = f"{base}/{site}"
    users = [part for part in parts if rows(part) is USER]
    devices = [part for part in parts if rows(part) is DEVICE]
    series = [f"{root}/total", *(f"{root}/user/{user}" for user in users), *(f"{root}/device/{mac}" for mac in devices)]
    figures = {f"{topic}/{figure}" for topic in series for figure in ("usage", "delta", "state")}
    return figures | {f"{root}/{topic}" for topic in ("status", "router", "peak")}
