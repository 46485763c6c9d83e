"""All sites, each in a line: what the list of them asks for."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.report.health import Status, health
from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.status import RouterState
from dalla_mqtt.usage.telling import iso

_encode = msgspec.json.Encoder().encode


class _Figures(Struct, frozen=True):
    usage: int
    rate: int
    period: int
    today: int


class _Site(Struct, frozen=True, kw_only=True):
    name: str
    status: Status
    router: RouterState | None
    since: str | None
    last_poll: str | None
    total: _Figures | None = None
    users: int | None = None
    devices: int | None = None


class _All(Struct, frozen=True):
    site: list[_Site]
    schema: int = 1


def sites_json(snapshots: Mapping[str, Snapshot | None], steady: float) -> bytes:
    """What is known of each at `steady` on the monotonic clock, by name: of some, nothing yet."""
    return _encode(_All([_site(name, snapshot, steady) for name, snapshot in snapshots.items()]))


def _site(name: str, snapshot: Snapshot | None, steady: float) -> _Site:
    told = health(snapshot, steady)
    site = _Site(
        name=name,
        status=told.status,
        router=told.router,
        since=iso(snapshot.router.since) if snapshot else None,
        last_poll=told.last_poll,
    )
    if snapshot is None or snapshot.ledger.at is None:
        return site
    ledger, total = snapshot.ledger, snapshot.ledger.total
    return replace(
        site,
        total=_Figures(total.usage, total.rate, total.on_peak + total.off_peak, total.today),
        users=len(ledger.users) - (UNKNOWN in ledger.users),
        devices=len(ledger.devices),
    )
