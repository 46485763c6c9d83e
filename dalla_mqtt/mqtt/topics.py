"""Every topic there is; the one place that knows them. docs/mqtt.md is made from its table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from dalla_mqtt.usage.ids import Ids, device_id
from dalla_mqtt.usage.quota import Subject
from dalla_mqtt.usage.reading import Mac

Message = tuple[str, bytes]

_SUBJECT = "<subject>"  # a user, a device or a pool: who may have a quota


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
        self.ids = Ids(slugs, pools)

    def device(self, mac: Mac) -> str:
        """`dalla/home/device/cb-bd-ab-90-2d-38`."""
        return f"{self.root}/device/{device_id(mac)}"

    def user(self, name: str) -> str:
        """`dalla/home/user/alice`."""
        return f"{self.root}/user/{self.ids.user(name)}"

    def of_subject(self, subject: Subject, topic: Topic) -> str:
        """`topic` of a user, who must have been met, of a device or a pool: `dalla/home/user/alice/quota`."""
        return f"{self.root}/{subject.kind}/{self.ids.of(subject)}{topic.path.removeprefix(_SUBJECT)}"

    def tells_of_quota(self, topic: str) -> bool:
        """Whether `topic` is that of somebody's quota."""
        return topic.startswith(f"{self.root}/") and topic.endswith(QUOTA.path.removeprefix(_SUBJECT))

    def about(self, mac: Mac, command: Topic) -> str:
        """Where a command about a device is given: `dalla/home/device/cb-bd-ab-90-2d-38/name/set`."""
        return f"{self.root}/{command.path.replace('<id>', device_id(mac))}"

    def announced_id(self, part: str) -> str:
        """`dalla_home_total`: what Home Assistant knows `router`, `total`, a user's or a device's id by."""
        return f"dalla_{self.site}_{part}"


def of_series(topic: str) -> Iterable[str]:
    """The retained topics of a series: `…/usage`, `…/delta`, `…/state`."""
    return (f"{topic}{part}" for part in _OF_SERIES)
