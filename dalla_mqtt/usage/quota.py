"""Quotas: what a user, a device or a pool may move, and in which days."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Annotated, Literal, NamedTuple, get_args

from msgspec import Meta, Struct
from msgspec.structs import replace

from dalla_mqtt.usage.tariff import Tariff

Part = Literal["together", "on_peak", "off_peak"]  # which bytes a quota is for
Per = Literal["day", "week", "period"]
AtQuota = Literal["notify", "throttle", "block"]  # what is done to who has used more than the quota
Action = Literal["throttle", "block"]  # how somebody is limited

PARTS: tuple[Part, ...] = get_args(Part)
MOST = 2**52  # bytes of a quota, and of what is topped up: sums stay below 2**63
_WEEK = 7
_Bytes = Annotated[int, Meta(ge=0, le=MOST)]  # of what is read back
_Moment = Annotated[float, Meta(ge=0, le=2**35)]  # which can be told as a date


class Subject(NamedTuple):
    """Who has a quota: a user by name, a device by its MAC with dashes, a pool by name."""

    kind: Literal["user", "device", "pool"]
    name: str


class Quota(Struct, frozen=True):
    """What somebody may move, in bytes of each part; a part that is not named has no quota.

    `starts`: the first day of a period, 1 to 31 of the month or -1 for its last, or of a week, 0 for Monday. None: as
    the tariff has it, and Monday. `carry_over`: what is left of `limits` may be used in the next window, but no later.
    `users`: who shares a pool; without any, everybody does, UNKNOWN included.
    """

    limits: dict[Part, int] = {}
    per: Per = "period"
    starts: int | None = None
    carry_over: bool = False
    at_quota: AtQuota = "notify"
    users: tuple[str, ...] = ()


def action_of(at_quota: AtQuota) -> Action:
    """How somebody is limited to whom that is done at the quota; by hand, who would only be notified, too."""
    return "block" if at_quota == "block" else "throttle"


class Rate(Struct, frozen=True):
    """What a throttled device may move at most, in kbit/s."""

    down: int
    up: int


class Quotas(Struct, frozen=True):
    """All that the configuration says of quotas. `warn_at`: per cent of a quota, ascending; `topup`: bytes a press.

    `at_quota`: what is done to those who are not among `subjects`, where a quota is set or they are limited by hand.
    `line`: what the router is told that the line can do, where its bandwidth control must be switched on; None: what it
    says already.
    """

    subjects: dict[Subject, Quota] = {}
    warn_at: tuple[int, ...] = (80, 100)
    throttle: Rate = Rate(512, 128)
    line: Rate | None = None
    topup: int = 2**30
    at_quota: AtQuota = "notify"


class Window(NamedTuple):
    """The local days, first and last, in which a quota may be used."""

    first: date
    last: date


def window_of(quota: Quota, tariff: Tariff, day: date) -> Window:
    """The window of `quota` that holds `day`."""
    if quota.per == "day":
        return Window(day, day)
    if quota.per == "week":
        first = day - timedelta(days=(day.weekday() - (quota.starts or 0)) % _WEEK)
        return Window(first, first + timedelta(days=_WEEK - 1))
    own = tariff if quota.starts is None else replace(tariff, period_starts=quota.starts)
    first = own.period_of(day)
    return Window(first, own.last_day(first))


class Used(NamedTuple):
    """Bytes that were moved."""

    on_peak: int = 0
    off_peak: int = 0

    def of(self, part: Part) -> int:
        """Those that a quota for `part` is for."""
        return self.on_peak + self.off_peak if part == "together" else getattr(self, part)


def summed(shares: Iterable[Used]) -> Used:
    """What all of them moved."""
    pairs = list(shares)
    return Used(sum(share.on_peak for share in pairs), sum(share.off_peak for share in pairs))


class Allowance(Struct, frozen=True):
    """How it stands with one part of a quota, in bytes. All that is None is not known (yet).

    `limit` is quota, what was carried over and what was topped up. `allowed_per_day`: what remains, for each day that
    is left. `expected`: what will be used at the end of the window; `exhausted_at`: when all will be used, or was, in
    UTC epoch seconds; None where that is after the window.
    """

    part: Part
    quota: int
    carried: int
    topup: int
    used: int
    allowed_per_day: int | None = None
    expected: int | None = None
    exhausted_at: float | None = None

    @property
    def limit(self) -> int:
        """All that may be used in this window."""
        return self.quota + self.carried + self.topup

    @property
    def remaining(self) -> int:
        """What may still be used; never less than 0."""
        return max(0, self.limit - self.used)

    @property
    def exceeded(self) -> bool:
        """Whether more was used than may be. Exactly at the limit is not more."""
        return self.used > self.limit

    @property
    def projected(self) -> bool | None:
        """Whether more will have been used at the end than may be; None where nothing is expected yet."""
        return None if self.expected is None else max(self.expected, self.used) > self.limit

    @property
    def used_percent(self) -> float:
        """To a hundredth, rounded down: nobody is at 100 before all is used."""
        return self.used * 10_000 // self.limit / 100 if self.limit else (100.0 if not self.used else 999.99)

    @property
    def pace(self) -> float | None:
        """What will have been used at the end, as a part of the limit: above 1 it does not last, be it by a byte.

        To a thousandth, rounded up. None where nothing is expected yet, or nothing may be used.
        """
        if self.expected is None or not self.limit:
            return None
        return -(-max(self.expected, self.used) * 1000 // self.limit) / 1000


class Standing(Struct, frozen=True):
    """How it stands with a quota, at one moment. `allowances` are in the order of PARTS, and there may be none.

    `at_quota` is what is done where it is exceeded; `limited`: whether it is done now. `text`: all of it in words. Of
    two standings that say the same, the earlier object is kept: what changed is `is not`.
    """

    subject: Subject
    window: Window
    allowances: tuple[Allowance, ...]
    at_quota: AtQuota
    limited: bool
    text: str | None

    @property
    def tightest(self) -> Allowance | None:
        """The part of which most is used, in per cent; the first of them where they are alike."""
        return max(self.allowances, key=lambda allowance: allowance.used_percent, default=None)


class WindowRecord(Struct, frozen=True):
    """What must be kept of one window, up to the day `last`. `limits`: the quota, as it was last; `told`: which alerts.

    `reached_at`: when it was seen first that more was used than may be, by part. `let_go`: released by hand, until the
    window ends, or something is topped up or set.
    """

    last: date
    limits: dict[Part, _Bytes] = {}
    topup: _Bytes = 0
    told: frozenset[str] = frozenset()
    reached_at: dict[Part, _Moment] = {}
    let_go: bool = False


class Remembered(Struct, frozen=True):
    """What must be kept of a subject, across restarts.

    `by_hand`: bytes of each part that were set by a command, 0 for none; `instead_of`: what the configuration said
    then: where it says something else now, that is newer. `windows`: by their first day, the newest few. `held`:
    limited by hand, until it is let go by hand. `limited`: whether its limit was told of, and no release since.
    """

    by_hand: dict[Part, _Bytes] = {}
    instead_of: dict[Part, _Bytes] = {}
    windows: dict[date, WindowRecord] = {}
    held: bool = False
    limited: bool = False


def subjects_of(user: str, quotas: Quotas) -> tuple[Subject, ...]:
    """Under whose quota all devices of the user fall, where there is one: the user's, and those of the user's pools."""
    pools = ((subject, quota.users) for subject, quota in quotas.subjects.items() if subject.kind == "pool")
    return Subject("user", user), *(pool for pool, users in pools if not users or user in users)
