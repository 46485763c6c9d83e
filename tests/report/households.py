"""Households to look at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

from msgspec.structs import replace

from dalla_mqtt.report.days import Moment
from dalla_mqtt.report.snapshot import Household, Snapshot
from dalla_mqtt.report.summary import Summary, summarise
from dalla_mqtt.usage.ids import Ids
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import Allowance, AtQuota, Standing, Subject, Window
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.status import RouterStatus
from tests.usage.house import FAMILY, IP2, LAPTOP, NIGHTS, PHONE, House, row, utc

NOVEMBER = Window(date(2026, 11, 1), date(2026, 11, 30))
MB, GB = 10**6, 10**9
OK = RouterStatus("ok", utc(20, 0), utc(24, 13), 412, 1441, 3, "Archer C20", "0.9.1 4.18", "C20 v5", 86_400)
NO_NAMES: Mapping[Mac, str] = MappingProxyType({})


def household() -> House:
    """Alice's phone moves 3 GB on 23 November, and is Bob's from then on; Bob's laptop moves 40 MB a day later."""
    house = House(at=utc(23, 12))
    house.reads(row(0), row(0, mac=LAPTOP, ip=IP2))
    house.reads(row(3 * GB), row(0, mac=LAPTOP, ip=IP2), after=3600)
    house.belongs_to(replace(FAMILY, macs={PHONE: "Bob", LAPTOP: "Bob"}))
    house.reads(row(3 * GB), row(40 * MB, mac=LAPTOP, ip=IP2), after=86_400)
    return house


def ledger_of(house: House, names: Mapping[Mac, str]) -> Ledger:
    """Its ledger, with names given to devices."""
    devices = {mac: replace(device, name=names.get(mac, device.name)) for mac, device in house.ledger.devices.items()}
    return replace(house.ledger, devices=devices)


def moment(ledger: Ledger, now: float = utc(24, 14)) -> Moment:
    recorded = None
    if ledger.at is not None and ledger.since is not None:
        recorded = Window(*(NIGHTS.local(at).date() for at in (ledger.since, ledger.at)))
    return Moment("home", NIGHTS, now, recorded, ledger.at)


def a_standing(  # noqa: PLR0917  # as it is said
    kind: str,
    name: str,
    used: int,
    limit: int,
    window: Window = NOVEMBER,
    at_quota: AtQuota = "notify",
    *,
    limited: bool = False,
) -> tuple[Subject, Standing]:
    subject = Subject(kind, name)  # type: ignore[arg-type]
    allowance = Allowance("together", limit, 0, 0, used)
    text = f"{name} has used {used} of {limit}."
    return subject, Standing(subject, window, (allowance,), at_quota, limited, text)


def summary_of(
    house: House, window: Window = NOVEMBER, *standings: tuple[Subject, Standing], names: Mapping[Mac, str] = NO_NAMES
) -> Summary:
    moved = house.days.moved(*window)
    return summarise(window, moved, ledger_of(house, names), house.rules.people.names, dict(standings))


def snapshot(names: Mapping[Mac, str] = NO_NAMES, router: RouterStatus = OK, at: float = utc(24, 14)) -> Snapshot:
    """Of that household, some of whom have quotas."""
    house = household()
    ids = Ids({}, ["Family"])
    ids.meet(house.ledger.users)
    together = a_standing("user", "Alice", 3 * GB, 4 * GB)
    parts = (replace(together[1].allowances[0], expected=5 * GB), Allowance("off_peak", MB, 0, 0, 2 * MB))
    standings = dict(
        [
            (together[0], replace(together[1], allowances=parts)),
            a_standing("device", LAPTOP.dashed, 1, 2, limited=True),
            a_standing("pool", "Family", 1, 4),
        ]
    )
    users = (*house.rules.people.names, "UNKNOWN")
    about = Household("home", 60, users, NIGHTS, ids)
    return Snapshot(about, ledger_of(house, names), router, standings, at, 0)
