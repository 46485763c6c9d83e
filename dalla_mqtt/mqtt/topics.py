"""Every topic and payload there is; the one place that knows them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Struct

from dalla_mqtt.usage.counters import Event
from dalla_mqtt.usage.ledger import Device, Ledger, Series
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Tariff

Message = tuple[str, bytes]

RouterState = Literal["ok", "busy", "unreachable", "login_refused", "bad_reply", "paused"]

ONLINE, OFFLINE = b"online", b"offline"

_RESERVED = re.compile(r"total|router|unknown|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}")  # ids that are not a user's
_encode = msgspec.json.Encoder().encode


class RouterStatus(Struct, frozen=True):
    """What the topic `router` says: how the router fared at the last poll. Times are UTC epoch seconds."""

    state: RouterState
    since: float
    last_poll: float | None = None  # the last that brought a reading
    poll_ms: int | None = None
    polls: int = 0
    failures: int = 0
    model: str | None = None
    firmware: str | None = None
    hardware: str | None = None
    uptime_s: int | None = None


class _RouterPayload(Struct, frozen=True):
    state: RouterState
    since: str
    model: str | None
    firmware: str | None
    hardware: str | None
    uptime_s: int | None
    devices: int
    last_poll: str | None
    poll_ms: int | None
    polls: int
    failures: int


class _State(Struct, frozen=True, kw_only=True):
    """Bytes as whole numbers; the same again in the units that Home Assistant shows, exact to the byte."""

    time: str
    name: str
    usage: int
    delta: int
    rate: int
    on_peak: int
    off_peak: int
    period: int
    today: int
    period_start: str
    today_start: str
    cause: str
    mac: str | None = None
    ip: str | None = None
    hostname: str | None = None
    user: str | None = None
    private_mac: bool | None = None
    first_seen: str | None = None
    last_active: str | None = None
    usage_gb: float
    delta_mb: float
    today_gb: float
    period_gb: float
    on_peak_gb: float
    off_peak_gb: float
    rate_mbit: float


class _UserState(_State, frozen=True, kw_only=True):
    """No quota is kept yet: what depends on one is unknown."""

    devices: int
    quota: int | None = None
    used_percent: float | None = None
    remaining: int | None = None
    pace: float | None = None
    exhausted_at: str | None = None
    limited: bool | None = None


class Topics:
    """The names of things on the broker, for one site."""

    def __init__(self, base: str, site: str) -> None:
        self.site = site
        self.root = f"{base}/{site}"
        self.status = f"{self.root}/status"
        self.router = f"{self.root}/router"
        self.event = f"{self.root}/event"
        self._slugs: dict[str, str] = {}

    def device(self, mac: Mac) -> str:
        """`dalla/home/device/cb-bd-ab-90-2d-38`."""
        return f"{self.root}/device/{device_id(mac)}"

    def user(self, name: str) -> str:
        """`dalla/home/user/alice`."""
        return f"{self.root}/user/{self.user_id(name)}"

    @property
    def total(self) -> str:
        """`dalla/home/total`."""
        return f"{self.root}/total"

    def user_id(self, name: str) -> str:
        """The id of a user, which must have been met."""
        return self._slugs[name]

    def meet(self, names: Iterable[str]) -> None:
        """Give every user an id: a slug, with a number where that one is taken already."""
        for name in names:
            if name not in self._slugs:
                self._slugs[name] = "unknown" if name == UNKNOWN else self._free_slug(name)

    def _free_slug(self, name: str) -> str:
        slug = _slug(name)
        taken = Counter(self._slugs.values())
        number = 1
        while (candidate := slug if number == 1 else f"{slug}-{number}") in taken or _RESERVED.fullmatch(candidate):
            number += 1
        return candidate


def device_id(mac: Mac) -> str:
    """`cb-bd-ab-90-2d-38`."""
    return mac.dashed.lower()


def router_message(topics: Topics, status: RouterStatus, ledger: Ledger) -> Message:
    """The retained topic `router`."""
    payload = _RouterPayload(
        state=status.state,
        since=iso(status.since),
        model=status.model,
        firmware=status.firmware,
        hardware=status.hardware,
        uptime_s=status.uptime_s,
        devices=sum(device.present for device in ledger.devices.values()),
        last_poll=None if status.last_poll is None else iso(status.last_poll),
        poll_ms=status.poll_ms,
        polls=status.polls,
        failures=status.failures,
    )
    return topics.router, _encode(payload)


def event_message(topics: Topics, event: Event, at: float) -> Message:
    """The topic `event`, which is not retained: what it is about, in words and in figures."""
    about = {key: value for key, value in msgspec.structs.asdict(event).items() if value is not None}
    return topics.event, _encode({"time": iso(at), **about})


def usage_messages(topics: Topics, tariff: Tariff, before: Ledger, after: Ledger) -> Iterator[Message]:
    """The retained topics of all devices, users and the total whose payload is not what it was with `before`.

    An empty `before` has them all.
    """
    assert after.period is not None
    assert after.day is not None
    writer = _Writer(
        iso_local(tariff.midnight(after.period)),
        iso_local(tariff.midnight(after.day)),
        same_day=(before.day, before.period) == (after.day, after.period),
    )
    for mac, device in after.devices.items():
        known = before.devices.get(mac)
        if writer.must(known is device):
            was = known.series if known else None
            yield from writer.messages(topics.device(mac), was, device.series, _of_device(device))
    counts = Counter(device.user for device in after.devices.values())
    counts_before = Counter(device.user for device in before.devices.values())
    for name, series in after.users.items():
        was = before.users.get(name)
        if writer.must(was is series and counts[name] == counts_before[name]):
            yield from writer.messages(topics.user(name), was, series, {"name": name, "devices": counts[name]})
    if writer.must(before.total is after.total):
        was = before.total if before.at is not None else None
        yield from writer.messages(topics.total, was, after.total, {"name": "Total"})


class _Writer:
    def __init__(self, period_start: str, today_start: str, *, same_day: bool) -> None:
        self._period_start = period_start
        self._today_start = today_start
        self._same_day = same_day

    def must(self, same: bool) -> bool:  # noqa: FBT001  # a question, not a mode
        return not (same and self._same_day)

    def messages(self, topic: str, was: Series | None, now: Series, about: dict[str, object]) -> Iterator[Message]:
        if was is None or was.usage != now.usage:
            yield f"{topic}/usage", b"%d" % now.usage
        if was is None or was.delta != now.delta:
            yield f"{topic}/delta", b"%d" % now.delta
        kind = _UserState if "devices" in about else _State
        yield f"{topic}/state", _encode(kind(**self._figures(now), **about))  # type: ignore[arg-type]

    def _figures(self, series: Series) -> dict[str, object]:
        period = series.on_peak + series.off_peak
        return {
            "time": iso(series.changed_at),
            "usage": series.usage,
            "delta": series.delta,
            "rate": series.rate,
            "on_peak": series.on_peak,
            "off_peak": series.off_peak,
            "period": period,
            "today": series.today,
            "period_start": self._period_start,
            "today_start": self._today_start,
            "cause": series.cause,
            "usage_gb": series.usage / 1e9,
            "delta_mb": series.delta / 1e6,
            "today_gb": series.today / 1e9,
            "period_gb": period / 1e9,
            "on_peak_gb": series.on_peak / 1e9,
            "off_peak_gb": series.off_peak / 1e9,
            "rate_mbit": series.rate * 8 / 1e6,
        }


def _of_device(device: Device) -> dict[str, object]:
    return {
        "name": device_name(device),
        "mac": device.mac.colons,
        "ip": device.ip,
        "hostname": device.hostname,
        "user": device.user,
        "private_mac": device.mac.private,
        "first_seen": iso(device.first_seen),
        "last_active": None if device.last_active is None else iso(device.last_active),
    }


def device_name(device: Device) -> str:
    """What people call the device: what it calls itself, or else its MAC."""
    return device.hostname or device.mac.colons


@lru_cache(maxsize=1024)
def iso(at: float) -> str:
    """`2026-11-24T06:00:00Z`."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_local(moment: datetime) -> str:
    """`2026-11-01T00:00:00+02:00`."""
    return moment.isoformat(timespec="seconds")


def _slug(name: str) -> str:
    """`name` in a-z, 0-9 and `-`; `user` where nothing of it is left."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-") or "user"
