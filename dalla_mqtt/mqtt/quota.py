"""What is said of quotas: how it stands with each, in bytes, in GB and in words."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dalla_mqtt.mqtt.payloads import Known
from dalla_mqtt.mqtt.topics import QUOTA, Message, Topics
from dalla_mqtt.usage.quota import Standing
from dalla_mqtt.usage.tariff import Tariff
from dalla_mqtt.usage.telling import QuotaTold, name_of, quota_told

_IN_GB = ("limit", "used", "remaining", "allowed_per_day", "expected", "topup")

_encode = msgspec.json.Encoder().encode


class _QuotaPayload(QuotaTold, frozen=True, kw_only=True):
    """The same again in the units that Home Assistant shows, exact to the byte."""

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
        name = name_of(subject, after.ledger)
        if before.standings.get(subject) is not standing or name_of(subject, before.ledger) != name:
            yield topics.of_subject(subject, QUOTA), _encode(_payload(name, standing, tariff))


def _payload(name: str, standing: Standing, tariff: Tariff) -> _QuotaPayload:
    told = quota_told(name, standing, tariff)
    quotas = {allowance.part: allowance.quota / 1e9 for allowance in standing.allowances}
    figures = ((key, getattr(told, key)) for key in _IN_GB)
    return _QuotaPayload(
        **msgspec.structs.asdict(told),
        quota_gb=quotas.get("together", 0.0),
        quota_on_peak_gb=quotas.get("on_peak", 0.0),
        quota_off_peak_gb=quotas.get("off_peak", 0.0),
        **{f"{key}_gb": figure / 1e9 for key, figure in figures if figure is not None},
    )
