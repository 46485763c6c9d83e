"""A summary for programs: JSON, and CSV as it is in summary.csv. All figures are whole bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import msgspec

from dalla_mqtt.log import printable
from dalla_mqtt.report.days import Moment, is_period
from dalla_mqtt.report.summary import Quoted, Summary, UserRow
from dalla_mqtt.usage.ledger import Kind
from dalla_mqtt.usage.quota import Used, Window
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Tariff
from dalla_mqtt.usage.telling import iso_local, iso_or_none, quota_told

SCHEMA = 1
CSV_HEADER = "Period, Kind, Name, On-Peak, Off-Peak, Total, User, Called"


def as_json(summary: Summary, moment: Moment) -> bytes:
    """One object; docs/reference.md, "Summaries", explains its keys."""
    known = moment.known(summary.window)
    text = msgspec.json.encode(
        {
            "schema": SCHEMA,
            "site": moment.site,
            "at": iso_or_none(moment.at),
            "period": _days(summary.window, moment.tariff),
            "recorded": None if known is None else _days(known, moment.tariff),
            "total": _used(summary.total),
            "users": [_user(user) for user in summary.users],
            "unclaimed": _used(summary.unclaimed),
            "quotas": [_quota(quoted, moment.tariff) for quoted in summary.quotas],
        }
    )
    return msgspec.json.format(text) + b"\n"


def as_csv(summary: Summary, moment: Moment, safe: Callable[[str], str]) -> str:
    """A row for each user, each device that moved something, and the total; `safe`: as no spreadsheet obeys it."""
    first, last = map(str, summary.window)
    plain = first == last or is_period(summary.window, moment.tariff)
    rows = _csv_rows(summary, first if plain else f"{first}..{last}", lambda name: _cell(safe(printable(name))))
    return "".join(f"{row}\n" for row in (CSV_HEADER, *rows))


def _csv_rows(summary: Summary, period: str, cell: Callable[[str], str]) -> Iterator[str]:
    def row(kind: Kind, name: str, used: Used, user: str = "", called: str = "") -> str:
        figures = (used.on_peak, used.off_peak, sum(used))
        return ", ".join((period, kind, name, *map(str, figures), user, called)).rstrip()

    for user in summary.users:
        owner = cell(user.name)
        yield row("user", owner, user.used, owner, owner)
        for device in user.devices:
            yield row("device", device.mac.dashed, device.used, owner, cell(device.name))
    yield row("total", "total", summary.total)


def _cell(text: str) -> str:
    return f'"{text}"' if "," in text else text


def _user(user: UserRow) -> dict[str, Any]:
    devices = [
        {"name": device.name, "mac": device.mac.colons, "ip": device.ip, **_used(device.used)}
        for device in user.devices
    ]
    figures = {**_used(user.used), "share_percent": user.share / 10}
    return {"name": user.name, **figures, "devices": devices, "elsewhere": _used(user.elsewhere)}


def _quota(quoted: Quoted, tariff: Tariff) -> dict[str, Any]:
    kind, name = quoted.standing.subject
    mac = Mac(name).colons if kind == "device" else None
    return {"kind": kind, "mac": mac, **msgspec.structs.asdict(quota_told(quoted.name, quoted.standing, tariff))}


def _used(used: Used) -> dict[str, int]:
    return {"on_peak": used.on_peak, "off_peak": used.off_peak, "total": sum(used)}


def _days(window: Window, tariff: Tariff) -> dict[str, Any]:
    """First and last day, and the moments between which they are."""

    def start(day: date) -> str:
        return iso_local(tariff.midnight(day))

    after = window.last + timedelta(days=1)
    return {"first": str(window.first), "last": str(window.last), "start": start(window.first), "end": start(after)}
