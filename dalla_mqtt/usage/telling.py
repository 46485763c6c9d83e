"""What brokers and the page are told alike: moments, and how it stands with a quota. Bytes are whole numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from msgspec import Struct

from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import PARTS, Allowance, AtQuota, Part, Standing, Subject
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Tariff

_LONGEST = 255  # characters: what Home Assistant lets a state be
_JOINER = "\u200d"  # of emoji


class Figures(Struct, frozen=True, kw_only=True):
    """How it stands with one part of a quota, in bytes."""

    quota: int | None = None
    carried: int | None = None
    topup: int | None = None
    limit: int | None = None
    used: int | None = None
    used_percent: float | None = None
    remaining: int | None = None
    allowed_per_day: int | None = None
    expected: int | None = None
    pace: float | None = None
    exhausted_at: str | None = None


class QuotaTold(Figures, frozen=True, kw_only=True):
    """Those of the tightest part, and of all parts."""

    name: str
    start: str
    end: str
    at_quota: AtQuota
    limited: bool
    exceeded: bool | None
    projected: bool | None
    part: Part | None
    text: str | None
    parts: dict[Part, Figures | None]


def quota_told(name: str, standing: Standing, tariff: Tariff) -> QuotaTold:
    """How it stands with the quota of whom people call `name`."""
    window, tightest, allowances = standing.window, standing.tightest, standing.allowances
    parts = {allowance.part: allowance for allowance in allowances}
    expected = [allowance.projected for allowance in allowances if allowance.projected is not None]
    return QuotaTold(
        name=name,
        start=iso_local(tariff.midnight(window.first)),
        end=iso_local(tariff.midnight(window.last + timedelta(days=1))),
        at_quota=standing.at_quota,
        limited=standing.limited,
        exceeded=any(allowance.exceeded for allowance in allowances) if allowances else None,
        projected=any(expected) if expected else None,
        part=tightest.part if tightest else None,
        text=standing.text and standing.text[:_LONGEST],
        parts={part: Figures(**_figures(parts[part])) if part in parts else None for part in PARTS},
        **(_figures(tightest) if tightest else {}),
    )


def name_of(subject: Subject, ledger: Ledger) -> str:
    """What people call the subject."""
    if subject.kind != "device":
        return subject.name
    mac = Mac(subject.name)
    device = ledger.devices.get(mac)
    return mac.colons if device is None else device.called


def checked_text(text: str) -> str:
    """What somebody calls a device or a user, without blanks around it. Raises ValueError where it is not one line."""
    text = text.strip()
    if len(text) > _LONGEST or not text.replace(_JOINER, "").isprintable():
        raise ValueError(f"expected at most {_LONGEST} characters, in one line")
    return text


@lru_cache(maxsize=1024)
def iso(at: float) -> str:
    """`2026-11-24T06:00:00Z`."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_or_none(at: float | None) -> str | None:
    """The same of a moment that may not be known."""
    return None if at is None else iso(at)


def iso_local(moment: datetime) -> str:
    """`2026-11-01T00:00:00+02:00`."""
    return moment.isoformat(timespec="seconds")


def _figures(allowance: Allowance) -> dict[str, Any]:
    figures = {key: getattr(allowance, key) for key in Figures.__struct_fields__}
    return figures | {"exhausted_at": iso_or_none(allowance.exhausted_at)}
