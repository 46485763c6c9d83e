"""How it stands now, as the page asks for it: bytes are whole numbers, times and ids as on the broker."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import msgspec
from msgspec import Struct

from dalla_mqtt.report.snapshot import Snapshot, Told
from dalla_mqtt.usage.ids import device_id
from dalla_mqtt.usage.ledger import Device, Series
from dalla_mqtt.usage.quota import Subject
from dalla_mqtt.usage.status import RouterState, RouterStatus
from dalla_mqtt.usage.telling import QuotaTold, iso, iso_local, iso_or_none, quota_told

_encode = msgspec.json.Encoder().encode


class _Router(Struct, frozen=True):
    state: RouterState
    since: str
    model: str | None
    firmware: str | None
    last_poll: str | None
    poll_ms: int | None
    failures: int


class _Period(Struct, frozen=True):
    start: str
    end: str


class _Figures(Struct, frozen=True, kw_only=True):
    usage: int
    delta: int
    rate: int
    on_peak: int
    off_peak: int
    period: int
    today: int


class _User(_Figures, frozen=True, kw_only=True):
    id: str
    name: str
    devices: int
    quota: QuotaTold | None


class _Pool(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    quota: QuotaTold


class _Device(_Figures, frozen=True, kw_only=True):
    id: str
    name: str
    mac: str
    ip: str
    hostname: str | None
    user: str
    private_mac: bool
    link: str | None
    first_seen: str
    last_active: str | None
    present: bool
    quota: QuotaTold | None


class _Event(Struct, frozen=True):
    time: str
    event: str
    text: str


class _Now(Struct, frozen=True, kw_only=True):
    schema: int = 1
    site: str
    at: str
    timezone: str | None  # None: this machine's, whose name is not known
    interval_s: float
    router: _Router
    peak: bool
    period: _Period
    today_start: str
    may_change: bool
    users: tuple[str, ...]
    total: _Figures
    user: list[_User]
    pool: list[_Pool]
    device: list[_Device]
    event: list[_Event]


def now_json(snapshot: Snapshot, *, may_change: bool) -> bytes:
    """All figures of the moment. `may_change`: whether who asks may change things, or would with the token."""
    household, ledger = snapshot.household, snapshot.ledger
    tariff = household.tariff
    span = tariff.span_at(snapshot.at)
    day, period = ledger.day or span.day, ledger.period or span.period
    now = _Now(
        site=household.site,
        at=iso(snapshot.at),
        timezone=getattr(tariff.zone, "key", None),
        interval_s=household.interval_s,
        router=_router(snapshot.router),
        peak=not span.off_peak,
        period=_Period(
            iso_local(tariff.midnight(period)),
            iso_local(tariff.midnight(tariff.last_day(period) + timedelta(days=1))),
        ),
        today_start=iso_local(tariff.midnight(day)),
        may_change=may_change,
        users=household.users,
        total=_Figures(**_figures(ledger.total)),
        user=_users(snapshot),
        pool=_pools(snapshot),
        device=[_device(snapshot, device) for device in ledger.devices.values()],
        event=[_event(told) for told in snapshot.events],
    )
    return _encode(now)


def _router(status: RouterStatus) -> _Router:
    return _Router(
        state=status.state,
        since=iso(status.since),
        model=status.model,
        firmware=status.firmware,
        last_poll=iso_or_none(status.last_poll),
        poll_ms=status.poll_ms,
        failures=status.failures,
    )


def _users(snapshot: Snapshot) -> list[_User]:
    ledger, ids = snapshot.ledger, snapshot.household.ids
    counts = Counter(device.user for device in ledger.devices.values())
    return [
        _User(
            id=ids.user(name),
            name=name,
            devices=counts[name],
            quota=_quota(snapshot, Subject("user", name), name),
            **_figures(series),
        )
        for name, series in ledger.users.items()
    ]


def _pools(snapshot: Snapshot) -> list[_Pool]:
    tariff, ids = snapshot.household.tariff, snapshot.household.ids
    return [
        _Pool(id=ids.pool(subject.name), name=subject.name, quota=quota_told(subject.name, standing, tariff))
        for subject, standing in snapshot.standings.items()
        if subject.kind == "pool"
    ]


def _device(snapshot: Snapshot, device: Device) -> _Device:
    return _Device(
        id=device_id(device.mac),
        name=device.called,
        mac=device.mac.colons,
        ip=device.ip,
        hostname=device.hostname,
        user=device.user,
        private_mac=device.mac.private,
        link=device.link,
        first_seen=iso(device.first_seen),
        last_active=iso_or_none(device.last_active),
        present=device.present,
        quota=_quota(snapshot, Subject("device", device.mac.dashed), device.called),
        **_figures(device.series),
    )


def _quota(snapshot: Snapshot, subject: Subject, name: str) -> QuotaTold | None:
    standing = snapshot.standings.get(subject)
    return None if standing is None else quota_told(name, standing, snapshot.household.tariff)


def _figures(series: Series) -> dict[str, int]:
    return {
        "usage": series.usage,
        "delta": series.delta,
        "rate": series.rate,
        "on_peak": series.on_peak,
        "off_peak": series.off_peak,
        "period": series.on_peak + series.off_peak,
        "today": series.today,
    }


def _event(told: Told) -> _Event:
    return _Event(iso(told.at), told.event.event, told.event.text)
