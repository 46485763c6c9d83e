"""Whether all is well, for whoever restarts a program that hangs."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.usage.telling import iso_or_none

_LATE_S = 300
_LATE_POLLS = 3
_LEFT_ALONE = ("busy", "paused")  # its owner is at the router: that is as it should be

_encode = msgspec.json.Encoder().encode


class _Health(Struct, frozen=True):
    status: str
    text: str
    router: str | None = None
    last_poll: str | None = None


def health(snapshot: Snapshot | None, steady: float) -> tuple[bool, bytes]:
    """Whether all is well at `steady` on the monotonic clock, and that as JSON, with words.

    It is not where nothing is known yet, and where the last poll that brought figures is older than three intervals and
    five minutes; but for a router that is busy, or left to its owner, as long as the program goes on.
    """
    if snapshot is None:
        return False, _encode(_Health("starting", "the router was not asked yet"))
    silent_s = steady - snapshot.steady
    router, since = snapshot.router, snapshot.router.last_poll
    late_s = max(_LATE_POLLS * snapshot.household.interval_s, _LATE_S)
    about = router.state, iso_or_none(since)
    if silent_s > late_s:
        return False, _encode(_Health("stuck", f"nothing was heard of the daemon for {silent_s:.0f} s", *about))
    if router.state in _LEFT_ALONE:
        return True, _encode(_Health("ok", f"the router is {router.state}: that is waited for", *about))
    if since is None or snapshot.at + silent_s - since > late_s:
        return False, _encode(_Health("late", f"there are no new figures: the router is {router.state}", *about))
    return True, _encode(_Health("ok", "the router is asked, and answers", *about))
