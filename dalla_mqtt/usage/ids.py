"""Ids of users, devices and pools: the same in topics and in addresses of the page."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Literal

from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Subject
from dalla_mqtt.usage.reading import Mac

_RESERVED = re.compile(r"total|router|unknown|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}")  # ids that are not a user's


class Ids:
    """The ids of one household. `slugs`: those that users have already, by name. `pools`: all, in their order."""

    def __init__(self, slugs: Mapping[str, str] | None = None, pools: Iterable[str] = ()) -> None:
        self.slugs = dict(slugs or {})
        self._subjects = {f"user/{slug}": Subject("user", name) for name, slug in self.slugs.items()}
        self.pools = {name: self._take("pool", name) for name in pools}

    def user(self, name: str) -> str:
        """The id of a user, who must have been met."""
        return self.slugs[name]

    def pool(self, name: str) -> str:
        """The id of a pool, which must be configured."""
        return self.pools[name]

    def of(self, subject: Subject) -> str:
        """The id of a user, a device or a pool."""
        if subject.kind == "device":
            return device_id(Mac(subject.name))
        return self.user(subject.name) if subject.kind == "user" else self.pool(subject.name)

    def subject_at(self, path: str) -> Subject | None:
        """Who has the path `user/alice`, `device/cb-bd-ab-90-2d-38` or `pool/family`; None: nobody. For any thread."""
        kind, _, part = path.partition("/")
        if kind == "device":
            with suppress(ValueError):
                mac = Mac.parse(part)
                return Subject("device", mac.dashed) if device_id(mac) == part else None
        return self._subjects.get(path)

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


def device_id(mac: Mac) -> str:
    """`cb-bd-ab-90-2d-38`."""
    return mac.dashed.lower()


def _slug(name: str) -> str:
    """`name` in a-z, 0-9 and `-`: as much of it as is left."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")
