"""Which devices the router is to slow down or shut out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from dalla_mqtt.usage.ledger import Device
from dalla_mqtt.usage.quota import AtQuota, Quotas, Rate, Subject, subjects_of
from dalla_mqtt.usage.reading import NOWHERE, Mac, Reading

_ABSENT_S = 7 * 86_400  # after which who has moved nothing is gone, and limited again when it is back


class Limits(Struct, frozen=True):
    """What the router is to limit: `throttled` addresses, with the MAC that has each, to `rate`; and `blocked` MACs.

    `line` as in Quotas.
    """

    throttled: dict[str, Mac] = {}
    blocked: frozenset[Mac] = frozenset()
    rate: Rate = Rate(512, 128)
    line: Rate | None = None


class Limited(Struct, frozen=True):
    """What was done for that, or would be: `steps` in words; none where all was in place.

    `spared`: devices that are not limited although they should be, with a sentence each that says why: it is this
    machine or the router, a rule of somebody else's is for it, or nobody knows its address.
    """

    steps: tuple[str, ...] = ()
    spared: dict[Mac, str] = {}


def limits_of(
    due: Mapping[Subject, AtQuota], devices: Iterable[Device], reading: Reading, quotas: Quotas, at: float
) -> Limits:
    """What the router is to limit at `at`, after `reading`, where the limits of the subjects in `due` are due.

    All of their devices that it has leased an address to, or that moved something in the last week: a list of rules is
    short. Of two limits a block is the harder one.
    """
    leased = {host.mac for host in reading.hosts}
    there = [device for device in devices if device.mac in leased or at - (device.last_active or 0.0) < _ABSENT_S]
    above = {user: subjects_of(user, quotas) for user in {device.user for device in there}}
    harder = {
        device.mac: hardest
        for device in there
        if (hardest := _hardest(due, Subject("device", device.mac.dashed), *above[device.user]))
    }
    return Limits(
        throttled={ip: mac for ip, mac in _addresses(reading).items() if harder.get(mac) == "throttle"},
        blocked=frozenset(mac for mac, hardest in harder.items() if hardest == "block"),
        rate=quotas.throttle,
        line=quotas.line,
    )


def _addresses(reading: Reading) -> dict[str, Mac]:
    """Who has which address: as the router lends them, or else as its counters were moved last."""
    counted = {row.ip: row.mac for row in reading.rows if row.mac is not None}
    lent = {host.ip: host.mac for host in reading.hosts}
    return {ip: mac for ip, mac in {**counted, **lent}.items() if ip != NOWHERE}


def _hardest(due: Mapping[Subject, AtQuota], *subjects: Subject) -> AtQuota | None:
    wanted = {due[subject] for subject in subjects if subject in due}
    return "block" if "block" in wanted else next(iter(wanted), None)
