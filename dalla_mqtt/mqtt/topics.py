"""Every topic there is; the one place that knows them. docs/mqtt.md is made from its table."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Subject
from dalla_mqtt.usage.reading import Mac

Message = tuple[str, bytes]

_SUBJECT = "<subject>"  # a user, a device or a pool: who may have a quota
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
QUOTA = Topic("<subject>/quota", "JSON", "how it stands with the quota of a user, a device or a pool")
_A_QUOTA = "a size such as `40 GiB`; `0`; nothing"
QUOTA_SET = Topic(
    "<subject>/quota/set", _A_QUOTA, "set the quota; `0`: there is none; nothing: as configured again", retained=False
)
QUOTA_ON_PEAK_SET = Topic("<subject>/quota_on_peak/set", _A_QUOTA, "the same, of on-peak hours", retained=False)
QUOTA_OFF_PEAK_SET = Topic("<subject>/quota_off_peak/set", _A_QUOTA, "the same, of off-peak hours", retained=False)
TOPUP_SET = Topic(
    "<subject>/topup/set", "a size; `0`", "add to the quota of this window; `0`: take all back", retained=False
)
LIMITED_SET = Topic("<subject>/limited/set", "`ON`, `OFF`", "limit by hand, or let go", retained=False)

PUBLISHED = (STATUS, ROUTER, PEAK, USAGE, DELTA, STATE, QUOTA, EVENT)
OF_QUOTAS = (QUOTA_SET, QUOTA_ON_PEAK_SET, QUOTA_OFF_PEAK_SET, TOPUP_SET, LIMITED_SET)
COMMANDS = (POLL_SET, PAUSE_SET, USER_SET, NAME_SET, *OF_QUOTAS)
_OF_SERIES = tuple(topic.path.removeprefix("<series>") for topic in (USAGE, DELTA, STATE))


class Topics:
    """The names of things on the broker, for one site.

    `slugs`: ids that users have already, by name. `pools`: all that are configured, in their order.
    """

    def __init__(self, base: str, site: str, slugs: Mapping[str, str] | None = None, pools: Iterable[str] = ()) -> None:
        self.site = site
        self.root = f"{base}/{site}"
        self.status = f"{self.root}/{STATUS.path}"
        self.router = f"{self.root}/{ROUTER.path}"
        self.peak = f"{self.root}/{PEAK.path}"
        self.event = f"{self.root}/{EVENT.path}"
        self.total = f"{self.root}/total"
        self.commands = {
            topic: f"{self.root}/{topic.path.replace('<id>', '+').replace(_SUBJECT, '+/+')}" for topic in COMMANDS
        }
        self.slugs = dict(slugs or {})
        self._subjects = {f"user/{slug}": Subject("user", name) for name, slug in self.slugs.items()}
        self.pools = {name: self._take("pool", name) for name in pools}  # their ids

    def device(self, mac: Mac) -> str:
        """`dalla/home/device/cb-bd-ab-90-2d-38`."""
        return f"{self.root}/device/{device_id(mac)}"

    def user(self, name: str) -> str:
        """`dalla/home/user/alice`."""
        return f"{self.root}/user/{self.user_id(name)}"

    def user_id(self, name: str) -> str:
        """The id of a user, which must have been met."""
        return self.slugs[name]

    def of_subject(self, subject: Subject, topic: Topic) -> str:
        """`topic` of a user, who must have been met, of a device or a pool: `dalla/home/user/alice/quota`."""
        if subject.kind == "device":
            path = self.device(Mac(subject.name))
        elif subject.kind == "user":
            path = self.user(subject.name)
        else:
            path = f"{self.root}/pool/{self.pools[subject.name]}"
        return f"{path}{topic.path.removeprefix(_SUBJECT)}"

    def tells_of_quota(self, topic: str) -> bool:
        """Whether `topic` is that of somebody's quota."""
        return topic.startswith(f"{self.root}/") and topic.endswith(QUOTA.path.removeprefix(_SUBJECT))

    def subject_at(self, path: str) -> Subject | None:
        """Who has the path `user/alice`, `device/cb-bd-ab-90-2d-38` or `pool/family`; None: nobody. For any thread."""
        kind, _, part = path.partition("/")
        if kind == "device":
            with suppress(ValueError):
                mac = Mac.parse(part)
                return Subject("device", mac.dashed) if device_id(mac) == part else None
        return self._subjects.get(path)

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
                new[name] = self.slugs[name] = self._take("user", name)
        return new

    def _take(self, kind: Literal["user", "pool"], name: str) -> str:
        """An id that is nobody else's, and from now on theirs."""
        slug = candidate = _slug(name) or kind
        as_others = kind == "user" and name != UNKNOWN
        number = 1
        while f"{kind}/{candidate}" in self._subjects or (as_others and _RESERVED.fullmatch(candidate)):
            number += 1
            candidate = f"{slug}-{number}"
        self._subjects[f"{kind}/{candidate}"] = Subject(kind, name)
        return candidate


def of_series(topic: str) -> Iterable[str]:
    """The retained topics of a series: `…/usage`, `…/delta`, `…/state`."""
    return (f"{topic}{part}" for part in _OF_SERIES)


def device_id(mac: Mac) -> str:
    """`cb-bd-ab-90-2d-38`."""
    return mac.dashed.lower()


def _slug(name: str) -> str:
    """`name` in a-z, 0-9 and `-`: as much of it as is left."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")
