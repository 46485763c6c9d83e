"""Which devices the router is to slow down or shut out."""

from __future__ import annotations

from msgspec import Struct

from dalla_mqtt.usage.quota import Rate
from dalla_mqtt.usage.reading import Mac


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
