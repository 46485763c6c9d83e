"""Which devices the router is to slow down or shut out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from dalla_mqtt.usage.ledger import Device
from dalla_mqtt.usage.quota import AtQuota, Quotas, Rate, Subject, subjects_of
from dalla_mqtt.usage.reading import NOWHERE, Mac, Reading


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

    `spared`: devices that are not limited although they should be, since they are this machine or the router, each with
    the reason in words.
    """

    steps: tuple[str, ...] = ()
    spared: dict[Mac, str] = {}


def addresses(reading: Reading) -> dict[str, Mac]:
    """Who has which address: as the router lends them, or else as its counters were moved last."""
    counted = {row.ip: row.mac for row in reading.rows if row.mac is not None}
    lent = {host.ip: host.mac for host in reading.hosts}
    return {ip: mac for ip, mac in {**counted, **lent}.items() if ip != NOWHERE}


def limits_of(
    due: Mapping[Subject, AtQuota],
    devices: Iterable[Device],
    present: Mapping[str, Mac],
    quotas: Quotas,
    before: Limits,
) -> Limits:
    """What the router is to limit where the limits of the subjects in `due` are.

    All of their devices that are `present`, by address, and those that were blocked `before`: one that comes back finds
    its rule still there. Of two limits a block is the harder one.
    """
    harder = {device.mac: _hardest(due, device, quotas) for device in devices}
    there = {*present.values(), *before.blocked}
    return Limits(
        throttled={ip: mac for ip, mac in present.items() if harder.get(mac) == "throttle"},
        blocked=frozenset(mac for mac in there if harder.get(mac) == "block"),
        rate=quotas.throttle,
        line=quotas.line,
    )


def _hardest(due: Mapping[Subject, AtQuota], device: Device, quotas: Quotas) -> AtQuota | None:
    wanted = {due[subject] for subject in subjects_of(device.mac.dashed, device.user, due, quotas)}
    return "block" if "block" in wanted else next(iter(wanted), None)
