"""What is out of the ordinary, and told once."""

from __future__ import annotations

from msgspec import Struct


class Event(Struct, frozen=True):
    """What happened: `text` is for people, `bytes` what it is about; the rest where it concerns a quota.

    `part` of the quota, `threshold` in per cent, `used`, `quota` (all that may be used) and `remaining` in bytes.
    """

    event: str
    text: str
    mac: str | None = None
    ip: str | None = None
    bytes: int | None = None
    user: str | None = None
    pool: str | None = None
    part: str | None = None
    threshold: int | None = None
    used: int | None = None
    quota: int | None = None
    remaining: int | None = None
    used_percent: float | None = None
