"""Every payload there is: what is said on the topics, and in which words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from dalla_mqtt.mqtt.topics import Message, Topics, of_series
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import Device, Ledger, Series
from dalla_mqtt.usage.quota import Standing, Subject
from dalla_mqtt.usage.status import RouterState, RouterStatus
from dalla_mqtt.usage.tariff import Tariff
from dalla_mqtt.usage.telling import iso, iso_local, iso_or_none

EVENTS = {
    "new_device": "a device that was never seen before",
    "router_reboot": "the router restarted",
    "counter_reset": "a counter was set to zero",
    "counter_wrap": "a counter went over 4 GiB and began again",
    "held_back": "a counter jumped or fell: what it says waits until it is seen again",
    "accepted": "what was held back is counted",
    "dropped": "what was held back is not counted",
    "router_busy": "somebody else is logged in to the router",
    "router_back": "the router answers again",
    "quota_warning": "a part of a quota is used",
    "quota_reached": "a quota is used up",
    "quota_projected": "a quota will not last",
    "limited": "a user is throttled or blocked",
    "released": "a user is no longer throttled or blocked",
    "limit_failed": "a user cannot be limited: the router does not take the rule",
    "command_refused": "a command was not understood, or cannot be done",
}

ONLINE, OFFLINE = b"online", b"offline"
ON, OFF = b"ON", b"OFF"

_USAGE, _DELTA, _STATE = of_series("")
_encode = msgspec.json.Encoder().encode


class Known(NamedTuple):
    """All figures of one moment. Of standings that say the same, as of series, the very object is kept."""

    ledger: Ledger = Ledger()
    standings: Mapping[Subject, Standing] = {}


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
    login: str | None
    statistics: bool | None
    sampling_s: int | None
    table_full: bool | None


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
    link: str | None = None
    usage_gb: float
    delta_mb: float
    today_gb: float
    period_gb: float
    on_peak_gb: float
    off_peak_gb: float
    rate_mbit: float


class _UserState(_State, frozen=True, kw_only=True):
    """With how it stands with the tightest part of the quota, in bytes; `quota` is all that may be used of it."""

    devices: int
    quota: int | None = None
    used_percent: float | None = None
    remaining: int | None = None
    pace: float | None = None
    exhausted_at: str | None = None
    limited: bool | None = None


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
        last_poll=iso_or_none(status.last_poll),
        poll_ms=status.poll_ms,
        polls=status.polls,
        failures=status.failures,
        login=status.login,
        statistics=status.statistics,
        sampling_s=status.sampling_s,
        table_full=status.table_full,
    )
    return topics.router, _encode(payload)


def peak_message(topics: Topics, tariff: Tariff, at: float) -> Message:
    """The retained topic `peak`."""
    return topics.peak, OFF if tariff.span_at(at).off_peak else ON


def event_message(topics: Topics, event: Event, at: float) -> Message:
    """The topic `event`, which is not retained: what it is about, in words and in figures."""
    about = {key: value for key, value in msgspec.structs.asdict(event).items() if value is not None}
    return topics.event, _encode({"time": iso(at), **about})


def usage_messages(topics: Topics, tariff: Tariff, earlier: Known, now: Known) -> Iterator[Message]:
    """The retained topics of all devices, users and the total whose payload is not what it was `earlier`.

    With nothing known `earlier`, those are all.
    """
    before, after = earlier.ledger, now.ledger
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
        stood, stands = (known.standings.get(Subject("user", name)) for known in (earlier, now))
        if writer.must(was is series and stood is stands and counts[name] == counts_before[name]):
            yield from writer.messages(topics.user(name), was, series, _of_user(name, counts[name], stands))
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
            yield f"{topic}{_USAGE}", b"%d" % now.usage
        if was is None or was.delta != now.delta:
            yield f"{topic}{_DELTA}", b"%d" % now.delta
        kind = _UserState if "devices" in about else _State
        yield f"{topic}{_STATE}", _encode(kind(**self._figures(now), **about))  # type: ignore[arg-type]

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
        "name": device.called,
        "mac": device.mac.colons,
        "ip": device.ip,
        "hostname": device.hostname,
        "user": device.user,
        "private_mac": device.mac.private,
        "first_seen": iso(device.first_seen),
        "last_active": iso_or_none(device.last_active),
        "link": device.link,
    }


def _of_user(name: str, devices: int, standing: Standing | None) -> dict[str, object]:
    about: dict[str, object] = {"name": name, "devices": devices}
    if standing is not None:
        about["limited"] = standing.limited
        if (tightest := standing.tightest) is not None:
            about["quota"] = tightest.limit
            about["used_percent"], about["remaining"] = tightest.used_percent, tightest.remaining
            about["pace"], about["exhausted_at"] = tightest.pace, iso_or_none(tightest.exhausted_at)
    return about
