"""What somebody wants on the page -> Command. Whether it can be done is the daemon's to say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from dalla_mqtt.config.values import parse_size
from dalla_mqtt.errors import CommandRefused
from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.usage.commands import Command, GiveDevice, Limit, NameDevice, PollNow, SetQuota, TopUp
from dalla_mqtt.usage.quota import Part, Subject
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.telling import checked_text

S = TypeVar("S", bound=Struct)
_SHOWN = 100  # characters of what is wrong


class Unknown(LookupError):
    """There is no such user, device or pool; the text says so."""


class _User(Struct, forbid_unknown_fields=True):
    user: str


class _Name(Struct, forbid_unknown_fields=True):
    name: str | None


class _Size(Struct, forbid_unknown_fields=True):
    size: str


class _Quota(Struct, forbid_unknown_fields=True):
    part: Part
    size: str | None


class _Switch(Struct, forbid_unknown_fields=True):
    on: bool


class _Nothing(Struct, forbid_unknown_fields=True):
    pass


def poll_now(body: bytes) -> Command:
    """Raises CommandRefused, as all of these do where `body` is not the JSON that they expect."""
    _read(_Nothing, body or b"{}")
    return PollNow()


def about(what: str, path: str, body: bytes, snapshot: Snapshot) -> Command:
    """What is wanted of the subject at `path`, such as `user/alice`. Raises CommandRefused, and Unknown."""
    subject = _subject(path, snapshot)
    return _WISHES[what](subject, body, snapshot)


def _give(subject: Subject, body: bytes, snapshot: Snapshot) -> Command:
    user, users = _read(_User, body).user, snapshot.household.users
    if user not in users:
        raise CommandRefused(f"there is no user {user!r:.{_SHOWN}}; there are {', '.join(users)}")
    return GiveDevice(Mac(subject.name), user)


def _name(subject: Subject, body: bytes, _: Snapshot) -> Command:
    try:
        name = checked_text(_read(_Name, body).name or "")
    except ValueError as error:
        raise CommandRefused(f"name: {error}") from error
    return NameDevice(Mac(subject.name), name or None)


def _top_up(subject: Subject, body: bytes, _: Snapshot) -> Command:
    return TopUp(subject, _bytes(_read(_Size, body).size))


def _set_quota(subject: Subject, body: bytes, _: Snapshot) -> Command:
    quota = _read(_Quota, body)
    return SetQuota(subject, quota.part, _bytes(quota.size) if quota.size and quota.size.strip() else None)


def _limit(subject: Subject, body: bytes, _: Snapshot) -> Command:
    return Limit(subject, _read(_Switch, body).on)


_WISHES: dict[str, Callable[[Subject, bytes, Snapshot], Command]] = {
    "user": _give,
    "name": _name,
    "topup": _top_up,
    "quota": _set_quota,
    "limited": _limit,
}


def _subject(path: str, snapshot: Snapshot) -> Subject:
    subject = snapshot.household.ids.subject_at(path)
    known = subject is not None and (
        subject.kind == "pool"
        or (subject.kind == "user" and subject.name in snapshot.household.users)
        or (subject.kind == "device" and Mac(subject.name) in snapshot.ledger.devices)
    )
    if subject is None or not known:
        raise Unknown(f"there is no user, device or pool with the id {path!r:.{_SHOWN}}")
    return subject


def _read(kind: type[S], body: bytes) -> S:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise CommandRefused(f"expected JSON with {_keys(kind)}: {error}") from error


def _keys(kind: type[Struct]) -> str:
    return " and ".join(kind.__struct_fields__) or "nothing in it"


def _bytes(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise CommandRefused("expected a size such as 40 GiB, at most 4 PiB, or 0") from error
