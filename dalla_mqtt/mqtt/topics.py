"""Every topic there is; the one place that knows them. docs/mqtt.md is made from its table."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.reading import Mac

Message = tuple[str, bytes]

_RESERVED = re.compile(r"total|router|unknown|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}")  # ids that are not a user's


class Topic(Struct, frozen=True):
    """A row of the table: `path` is below `<base>/<site>/`, the rest is for people."""

    path: str
    payload: str
    about: str
    retained: bool = True


STATUS = Topic("status", "`online`, `offline`", "whether dalla-mqtt runs; `offline` is also its will")
ROUTER = Topic("router", "JSON", "how the router fared at the last poll")
PEAK = Topic("peak", "`ON`, `OFF`", "whether it is on-peak now, by `tariff.off_peak`")
EVENT = Topic("event", "JSON", "what is out of the ordinary, once", retained=False)
USAGE = Topic("<series>/usage", "a whole number", "bytes since it was first seen; never falls")
DELTA = Topic("<series>/delta", "a whole number", "bytes since the record before")
STATE = Topic("<series>/state", "JSON", "all figures of the series, and what it is")
POLL_SET = Topic("poll/set", "anything", "poll now", retained=False)
PAUSE_SET = Topic(
    "pause/set", "`ON`, `OFF`", "leave the router's login to its owner, for 20 minutes at most", retained=False
)
USER_SET = Topic("device/<id>/user/set", "a user's name", "give the device to that user, from now on", retained=False)
NAME_SET = Topic("device/<id>/name/set", "text", "name the device; empty: by its host name again", retained=False)

PUBLISHED = (STATUS, ROUTER, PEAK, USAGE, DELTA, STATE, EVENT)
COMMANDS = (POLL_SET, PAUSE_SET, USER_SET, NAME_SET)
_OF_SERIES = tuple(topic.path.removeprefix("<series>") for topic in (USAGE, DELTA, STATE))


class Topics:
    """The names of things on the broker, for one site. `slugs`: ids that users have already, by name."""

    def __init__(self, base: str, site: str, slugs: Mapping[str, str] | None = None) -> None:
        self.site = site
        self.root = f"{base}/{site}"
        self.status = f"{self.root}/{STATUS.path}"
        self.router = f"{self.root}/{ROUTER.path}"
        self.peak = f"{self.root}/{PEAK.path}"
        self.event = f"{self.root}/{EVENT.path}"
        self.total = f"{self.root}/total"
        self.commands = {topic: f"{self.root}/{topic.path.replace('<id>', '+')}" for topic in COMMANDS}
        self.slugs = dict(slugs or {})

    def device(self, mac: Mac) -> str:
        """`dalla/home/device/cb-bd-ab-90-2d-38`."""
        return f"{self.root}/device/{device_id(mac)}"

    def user(self, name: str) -> str:
        """`dalla/home/user/alice`."""
        return f"{self.root}/user/{self.user_id(name)}"

    def user_id(self, name: str) -> str:
        """The id of a user, which must have been met."""
        return self.slugs[name]

    def about(self, mac: Mac, command: Topic) -> str:
        """Where a command about a device is given: `dalla/home/device/cb-bd-ab-90-2d-38/name/set`."""
        return f"{self.root}/{command.path.replace('<id>', device_id(mac))}"

    def announced_id(self, part: str) -> str:
        """`dalla_home_total`: what Home Assistant knows `router`, `total`, a user's or a device's id by."""
        return f"dalla_{self.site}_{part}"

    def meet(self, names: Iterable[str]) -> dict[str, str]:
        """Give every user an id, and return those that are new: a slug, with a number where that one is taken."""
        new = {}
        for name in names:
            if name not in self.slugs:
                new[name] = self.slugs[name] = "unknown" if name == UNKNOWN else self._free_slug(name)
        return new

    def _free_slug(self, name: str) -> str:
        slug = _slug(name)
        taken = Counter(self.slugs.values())
        number = 1
        while (candidate := slug if number == 1 else f"{slug}-{number}") in taken or _RESERVED.fullmatch(candidate):
            number += 1
        return candidate


def of_series(topic: str) -> Iterable[str]:
    """The retained topics of a series: `…/usage`, `…/delta`, `…/state`."""
    return (f"{topic}{part}" for part in _OF_SERIES)


def device_id(mac: Mac) -> str:
    """`cb-bd-ab-90-2d-38`."""
    return mac.dashed.lower()


def _slug(name: str) -> str:
    """`name` in a-z, 0-9 and `-`; `user` where nothing of it is left."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-") or "user"
