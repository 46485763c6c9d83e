"""What was agreed that Home Assistant shows, as data."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from typing import NamedTuple

STATES = ["ok", "busy", "unreachable", "login_refused", "bad_reply", "paused"]
EVENTS = [
    *("new_device", "router_reboot", "counter_reset", "counter_wrap", "held_back", "accepted", "dropped"),
    *("router_busy", "router_back", "quota_warning", "quota_reached", "quota_projected", "limited", "released"),
    *("limit_failed", "command_refused"),
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
LIMITS = (
    Row("number", "quota", "Quota", "GB", "data_size", category="config"),
    Row("switch", "limited", "Limited", category="config"),
)
BY_TIME = (  # where the tariff has off-peak hours
    Row("number", "quota_on_peak", "On-peak quota", "GB", "data_size", category="config"),
    Row("number", "quota_off_peak", "Off-peak quota", "GB", "data_size", category="config"),
)
STANDING_OF_DEVICES = (
    Row("sensor", "used_percent", "Quota used", "%", state_class="measurement"),
    Row("sensor", "remaining", "Quota remaining", "GB", "data_size", "measurement"),
    Row("binary_sensor", "quota_exceeded", "Quota exceeded", device_class="problem"),
    Row("button", "topup", "Top up", category="config"),
)
STANDING = (
    *STANDING_OF_DEVICES,
    Row("sensor", "expected", "Expected at the end", "GB", "data_size", "measurement"),
    Row("sensor", "allowed_per_day", "Allowed per day", "GB", "data_size", "measurement"),
    Row("sensor", "exhausted_at", "Runs out", device_class="timestamp"),
    Row("sensor", "quota_text", "Quota in words"),
    Row("binary_sensor", "quota_projected", "Quota will be exceeded", device_class="problem"),
)
USER = (USAGE, DELTA, *FIGURES, *LIMITS)
POOL = LIMITS
TOTAL = (USAGE, DELTA, *FIGURES, Row("binary_sensor", "peak", "Peak hours"))
DEVICE = (
    USAGE,
    DELTA._replace(enabled=False),
    *FIGURES,
    Row("sensor", "ip", "IP address", category="diagnostic"),
    Row("sensor", "last_active", "Last active", device_class="timestamp", category="diagnostic", enabled=False),
    Row("select", "user", "User", category="config"),
    Row("text", "name", "Name", category="config"),
    *(row._replace(enabled=False) for row in LIMITS),
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


def rows(part: str, *, quota: bool = False, by_time: bool = False) -> tuple[Row, ...]:
    """The entities of `router`, `total`, a user's slug, `pool_` with a pool's, or a MAC such as `cb-bd-ab-90-2d-38`.

    `quota`: it has one. `by_time`: some hours are off-peak.
    """
    kind = _kind(part)
    if kind == "device":
        return (*DEVICE, *(STANDING_OF_DEVICES if quota else ()))
    if kind in ("router", "total"):
        return ROUTER if kind == "router" else TOTAL
    own = POOL if kind == "pool" else USER
    return (*own, *(BY_TIME if by_time else ()), *(STANDING if quota else ()))


def _kind(part: str) -> str:
    if part in ("router", "total"):
        return part
    if part.startswith("pool_"):
        return "pool"
    return "device" if re.fullmatch("(..-){5}..", part) else "user"


def unique_id(site: str, part: str, row: Row) -> str:
    """`dalla_home_cb-bd-ab-90-2d-38_usage`."""
    return f"dalla_{site}_{part}_{row.key}"


def entity_id(site: str, part: str, row: Row) -> str:
    """`sensor.dalla_home_cb_bd_ab_90_2d_38_usage`."""
    return f"{row.platform}.{unique_id(site, part, row)}".replace("-", "_")


def topics(base: str, site: str, parts: Iterable[str], quotas: Container[str] = ()) -> set[str]:
    """What is retained of a site with the series and pools `parts`, but for its announcements.

    `quotas`: the devices of them that have one; every user and every pool is told of.
    """
    told = {"status", "router", "peak"}
    for part in {"total", *parts} - {"router"}:
        kind = _kind(part)
        path = part if kind == "total" else f"{kind}/{part.removeprefix('pool_')}"
        if kind != "pool":
            told |= {f"{path}/{figure}" for figure in ("usage", "delta", "state")}
        if kind in ("user", "pool") or part in quotas:
            told.add(f"{path}/quota")
    return {f"{base}/{site}/{topic}" for topic in told}
