"""What is said of quotas: how it stands with each, in bytes, in GB and in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Struct

from dalla_mqtt.mqtt.payloads import Known, iso_local, iso_or_none
from dalla_mqtt.mqtt.topics import QUOTA, Message, Topics
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import PARTS, Allowance, AtQuota, Part, Standing, Subject
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Tariff

_LONGEST = 255  # characters: what Home Assistant lets a state be
_IN_GB = ("limit", "used", "remaining", "allowed_per_day", "expected", "topup")

_encode = msgspec.json.Encoder().encode


class _Figures(Struct, frozen=True, kw_only=True):
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


class _QuotaPayload(_Figures, frozen=True, kw_only=True):
    """That of the tightest part, of all parts, and again in the units that Home Assistant shows, exact to the byte."""

    name: str
    start: str
    end: str
    at_quota: AtQuota
    limited: bool
    exceeded: bool | None
    projected: bool | None
    part: Part | None
    text: str | None
    parts: dict[Part, _Figures | None]
    quota_gb: float
    quota_on_peak_gb: float
    quota_off_peak_gb: float
    limit_gb: float | None = None
    used_gb: float | None = None
    remaining_gb: float | None = None
    allowed_per_day_gb: float | None = None
    expected_gb: float | None = None
    topup_gb: float | None = None


def quota_messages(topics: Topics, tariff: Tariff, before: Known, after: Known) -> Iterator[Message]:
    """The retained topics of all standings whose payload is not what it was with `before`."""
    for subject, standing in after.standings.items():
        name = _name(subject, after.ledger)
        if before.standings.get(subject) is not standing or _name(subject, before.ledger) != name:
            yield topics.of_subject(subject, QUOTA), _encode(_payload(name, standing, tariff))


def _name(subject: Subject, ledger: Ledger) -> str:
    """What people call the subject."""
    if subject.kind != "device":
        return subject.name
    mac = Mac(subject.name)
    device = ledger.devices.get(mac)
    return mac.colons if device is None else device.called


def _payload(name: str, standing: Standing, tariff: Tariff) -> _QuotaPayload:
    window, tightest, allowances = standing.window, standing.tightest, standing.allowances
    parts = {allowance.part: allowance for allowance in allowances}
    set_gb = {part: parts[part].quota / 1e9 if part in parts else 0.0 for part in PARTS}
    expected = [allowance.projected for allowance in allowances if allowance.projected is not None]
    return _QuotaPayload(
        name=name,
        start=iso_local(tariff.midnight(window.first)),
        end=iso_local(tariff.midnight(window.last + timedelta(days=1))),
        at_quota=standing.at_quota,
        limited=standing.limited,
        exceeded=any(allowance.exceeded for allowance in allowances) if allowances else None,
        projected=any(expected) if expected else None,
        part=tightest.part if tightest else None,
        text=standing.text and standing.text[:_LONGEST],
        parts={part: _Figures(**_figures(parts[part])) if part in parts else None for part in PARTS},
        quota_gb=set_gb["together"],
        quota_on_peak_gb=set_gb["on_peak"],
        quota_off_peak_gb=set_gb["off_peak"],
        **(_tightest(tightest) if tightest else {}),
    )


def _figures(allowance: Allowance) -> dict[str, Any]:
    figures = {key: getattr(allowance, key) for key in _Figures.__struct_fields__}
    return figures | {"exhausted_at": iso_or_none(allowance.exhausted_at)}


def _tightest(allowance: Allowance) -> dict[str, Any]:
    figures = _figures(allowance)
    return figures | {f"{key}_gb": figures[key] / 1e9 for key in _IN_GB if figures[key] is not None}
