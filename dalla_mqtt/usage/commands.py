"""What somebody may want of a daemon. Whether it can be done is the daemon's to say."""

from __future__ import annotations

from msgspec import Struct

from dalla_mqtt.usage.quota import Part, Subject
from dalla_mqtt.usage.reading import Mac


class PollNow(Struct, frozen=True):
    """Poll as soon as that may be."""


class Pause(Struct, frozen=True):
    """Leave the router alone, or be back."""

    on: bool


class GiveDevice(Struct, frozen=True):
    """The device is now that user's."""

    mac: Mac
    user: str


class NameDevice(Struct, frozen=True):
    """The device is called so; None: as it calls itself."""

    mac: Mac
    name: str | None


class SetQuota(Struct, frozen=True):
    """That part of a quota is now `limit` bytes, 0 for none; None: as configured again."""

    subject: Subject
    part: Part
    limit: int | None


class TopUp(Struct, frozen=True):
    """So many bytes more in this window; 0: what was topped up in it is taken back."""

    subject: Subject
    amount: int


class Limit(Struct, frozen=True):
    """Limit by hand, or let go."""

    subject: Subject
    on: bool


class Misunderstood(Struct, frozen=True):
    """What is no command; `why` is for people."""

    why: str


Command = PollNow | Pause | GiveDevice | NameDevice | SetQuota | TopUp | Limit | Misunderstood
