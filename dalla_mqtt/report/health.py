"""Whether all is well, for whoever restarts a program that hangs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.usage.status import RouterState
from dalla_mqtt.usage.telling import iso_or_none

Status = Literal["ok", "starting", "late", "stuck"]

_LATE_S = 300
_LATE_POLLS = 3
_LEFT_ALONE = ("busy", "paused")  # its owner is at the router: that is as it should be

_encode = msgspec.json.Encoder().encode


class Health(Struct, frozen=True):
    """How a site fares; `text` is for people."""

    status: Status
    text: str
    router: RouterState | None = None
    last_poll: str | None = None


class _All(Struct, frozen=True):
    status: Status
    text: str
    sites: dict[str, int]
    routers: dict[str, int]


def health(snapshot: Snapshot | None, steady: float) -> Health:
    """Whether all is well at `steady` on the monotonic clock.

    It is not where nothing is known yet, and where the last poll that brought figures is older than three intervals and
    five minutes; but for a router that is busy, or left to its owner, as long as the program goes on.
    """
    if snapshot is None:
        return Health("starting", "the router was not asked yet")
    silent_s, late_s = steady - snapshot.steady, _late_s(snapshot)
    router, since = snapshot.router, snapshot.router.last_poll
    about = router.state, iso_or_none(since)
    if is_stuck(snapshot, steady):
        return Health("stuck", f"nothing was heard of the daemon for {silent_s:.0f} s", *about)
    if router.state in _LEFT_ALONE:
        return Health("ok", f"the router is {router.state}: that is waited for", *about)
    if since is None or snapshot.at + silent_s - since > late_s:
        return Health("late", f"there are no new figures: the router is {router.state}", *about)
    return Health("ok", "the router is asked, and answers", *about)


def health_json(snapshot: Snapshot | None, steady: float) -> tuple[bool, bytes]:
    """Whether all is well, and that as JSON."""
    told = health(snapshot, steady)
    return told.status == "ok", _encode(told)


def health_of_all_json(snapshots: Iterable[Snapshot | None], steady: float) -> tuple[bool, bytes]:
    """Whether the program goes on: at least half of the sites are heard of in time. And that as JSON, with counts.

    A router that does not answer is no reason to start all others anew.
    """
    known = [health(snapshot, steady) for snapshot in snapshots]
    sites = dict.fromkeys(get_args(Status), 0) | Counter(one.status for one in known)
    routers = dict.fromkeys(get_args(RouterState), 0) | Counter(one.router for one in known if one.router)
    heard = sites["ok"] + sites["late"]
    text = f"{heard} of {len(known)} sites are heard of in time"
    if 0 < len(known) <= 2 * heard:
        return True, _encode(_All("ok", text, sites, routers))
    return False, _encode(_All("stuck" if sites["stuck"] else "starting", text, sites, routers))


def is_stuck(snapshot: Snapshot | None, steady: float) -> bool:
    """Whether starting the program anew may help: nothing was heard of it for three intervals and five minutes.

    A router that is switched off, or refuses the password, is no reason.
    """
    return snapshot is not None and steady - snapshot.steady > _late_s(snapshot)


def _late_s(snapshot: Snapshot) -> float:
    return max(_LATE_POLLS * snapshot.household.interval_s, _LATE_S)
