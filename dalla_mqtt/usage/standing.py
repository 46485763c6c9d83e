"""How it stands with a quota: what is used of it, what is to be told, and whether its limit is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.usage import words
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.forecast import Outlook, forecast
from dalla_mqtt.usage.quota import (
    PARTS,
    Action,
    Allowance,
    Part,
    Quota,
    Rate,
    Remembered,
    Standing,
    Subject,
    Used,
    Window,
    WindowRecord,
    action_of,
    window_of,
)
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Span, Tariff
from dalla_mqtt.usage.words import Account, describe, limited, projected, reached, released, warning

_KEPT = 3  # windows of which something is remembered: this one, the one before, and one of a clock that leapt

UsedIn = Callable[[Window], Used]


class Alert(NamedTuple):
    """Something to be told once in `window`. `key` is what `WindowRecord.told` has when it was."""

    subject: Subject
    window: Window
    key: str
    event: Event


class Case(Struct, frozen=True):
    """One quota at one moment: `now` is of no length. `name`: what people call the subject."""

    subject: Subject
    name: str
    quota: Quota
    remembered: Remembered
    now: Span
    tariff: Tariff

    @property
    def window(self) -> Window:
        """The days in which what is left may be used."""
        return window_of(self.quota, self.tariff, self.now.day)

    @property
    def record(self) -> WindowRecord:
        """What is remembered of that window, which `turned` has seen to."""
        return self.remembered.windows[self.window.first]


class Due(NamedTuple):
    """A limit that is due now, and the part of the quota that is the reason; None where it was set by hand."""

    action: Action
    why: Allowance | None


def as_set(configured: Quota, remembered: Remembered) -> Quota:
    """The quota with what was set by hand in the place of what is configured."""
    limits = {**configured.limits, **remembered.by_hand}
    return replace(configured, limits={part: limits[part] for part in PARTS if limits.get(part)})


def turned(case: Case) -> Remembered:
    """What is remembered, with a record of the window that is now, and of the limits that it has now.

    The very same where nothing is new. A quota that was changed ends a release by hand.
    """
    kept, window, limits = case.remembered, case.window, case.quota.limits
    record = kept.windows.get(window.first)
    if record is None or record.last != window.last:
        record = WindowRecord(window.last, limits)
    elif record.limits != limits:
        record = replace(record, limits=limits, let_go=False)
    if kept.windows.get(window.first) is record:
        return kept
    windows = {**kept.windows, window.first: record}
    newest = sorted(windows.keys() - {window.first}, reverse=True)[: _KEPT - 1]
    return replace(kept, windows={first: windows[first] for first in (*newest, window.first)})


def stand(case: Case, used_in: UsedIn, outlook: Outlook) -> tuple[Standing, Remembered]:
    """How it stands, and what is to be remembered."""
    record = case.record
    used = used_in(case.window)
    left = dict(_left_before(case, used_in))
    allowances = []
    reached_at: dict[Part, float] = {}
    for part, size in case.quota.limits.items():
        allowance = Allowance(part, size, left.get(part, 0), record.topup, used.of(part))
        if allowance.exceeded:
            reached_at[part] = record.reached_at.get(part, case.now.end)
        ahead = forecast(part, allowance.used, allowance.limit, outlook, case.now.end)
        allowances.append(
            replace(
                allowance,
                allowed_per_day=ahead.allowed_per_day,
                expected=ahead.expected,
                exhausted_at=reached_at.get(part, ahead.exhausted_at),
            )
        )
    return _standing(case, tuple(allowances)), _with_record(case, replace(record, reached_at=reached_at))


def _standing(case: Case, allowances: tuple[Allowance, ...]) -> Standing:
    standing = Standing(
        subject=case.subject,
        window=case.window,
        allowances=allowances,
        at_quota=case.quota.at_quota,
        limited=case.remembered.limited,
        text=None,
    )
    if standing.tightest is None:
        return standing
    return replace(standing, text=describe(_account(case, standing.tightest)))


def _account(case: Case, allowance: Allowance) -> Account:
    return Account(case.name, allowance, case.window, case.now.end, case.tariff)


def _left_before(case: Case, used_in: UsedIn) -> Iterator[tuple[Part, int]]:
    """What is carried over of each part: what was left of the quota itself in the window before this one."""
    day = case.window.first - timedelta(days=1)
    before = window_of(case.quota, case.tariff, day)
    record = case.remembered.windows.get(before.first)
    if case.quota.carry_over and record is not None and record.last == day:
        used = used_in(before)
        for part, size in record.limits.items():
            yield part, max(0, size - used.of(part))


def _with_record(case: Case, record: WindowRecord) -> Remembered:
    first, kept = case.window.first, case.remembered
    return kept if kept.windows[first] == record else replace(kept, windows={**kept.windows, first: record})


def alerts(case: Case, standing: Standing, warn_at: tuple[int, ...]) -> tuple[list[Alert], Remembered]:
    """What is to be told now, and what is remembered: what is true no more may be told again."""
    due = {alert.key: alert for alert in _due(case, standing, warn_at)}
    record = case.record
    new = [alert for key, alert in due.items() if key not in record.told]
    return new, _with_record(case, replace(record, told=record.told & due.keys()))


def _due(case: Case, standing: Standing, warn_at: tuple[int, ...]) -> Iterator[Alert]:
    """All that is true now and worth telling, whether it was told or not."""
    for allowance in standing.allowances:
        account = _account(case, allowance)
        for threshold in warn_at:
            if allowance.used * 100 >= threshold * allowance.limit:
                event = replace(_event(case, "quota_warning", warning(account, threshold)), threshold=threshold)
                yield _alert(case, allowance, f"{threshold} %", event)
        if allowance.exceeded:
            yield _alert(case, allowance, "reached", _event(case, "quota_reached", reached(account)))
        # what was told stays told under the same limit, however the outlook wavers
        key = f"projected {allowance.limit}"
        if (allowance.projected and not allowance.exceeded) or f"{allowance.part} {key}" in case.record.told:
            yield _alert(case, allowance, key, _event(case, "quota_projected", projected(account)))


def _alert(case: Case, allowance: Allowance, key: str, event: Event) -> Alert:
    figures = replace(
        event,
        part=allowance.part,
        used=allowance.used,
        quota=allowance.limit,
        remaining=allowance.remaining,
        used_percent=allowance.used_percent,
    )
    return Alert(case.subject, case.window, f"{allowance.part} {key}", figures)


def _event(case: Case, event: str, text: str) -> Event:
    match case.subject.kind:
        case "device":
            return Event(event, text, mac=Mac(case.subject.name).colons)
        case "user":
            return Event(event, text, user=case.name)
        case _:
            return Event(event, text, pool=case.name)


def was_told(kept: Remembered, alert: Alert) -> Remembered:
    """What is remembered after that alert was told."""
    record = kept.windows[alert.window.first]
    told = replace(record, told=record.told | {alert.key})
    return replace(kept, windows={**kept.windows, alert.window.first: told})


def due_limit(case: Case, standing: Standing) -> Due | None:
    """The limit that is due now, if there is one.

    A quota for on-peak hours that is used up limits in on-peak hours only.
    """
    action = action_of(case.quota.at_quota)
    if case.remembered.held:
        return Due(action, None)
    if case.quota.at_quota == "notify" or case.record.let_go:
        return None
    now: Part = "off_peak" if case.now.off_peak else "on_peak"
    applies = (one for one in standing.allowances if one.exceeded and one.part in ("together", now))
    why = next(applies, None)
    return None if why is None else Due(action, why)


def enforced(case: Case, due: Due | None, rate: Rate) -> tuple[Event, Remembered]:
    """The router limits what is `due`, which it did not, or does not any more: what is to be told."""
    if due is None:
        text = released(case.name, action_of(case.quota.at_quota))
    elif due.why is None:
        text = words.held(case.name, due.action, rate)
    else:
        text = limited(_account(case, due.why), due.action, rate)
    event = _event(case, "limited" if due else "released", text)
    return event, replace(case.remembered, limited=due is not None)


def set_by_hand(kept: Remembered, configured: Quota, part: Part, limit: int | None) -> Remembered:
    """After a command: so many bytes, 0 for no quota of that part, None: as it is configured."""
    by_hand = {each: size for each, size in kept.by_hand.items() if each != part}
    instead_of = {each: size for each, size in kept.instead_of.items() if each != part}
    if limit is not None:
        by_hand[part] = limit
        instead_of[part] = configured.limits.get(part, 0)
    return replace(kept, by_hand=by_hand, instead_of=instead_of)


def newest(kept: Remembered, configured: Quota) -> Remembered:
    """At a start: what was set by hand gives way where the configuration says something else than it did then."""
    old = {part for part, size in kept.instead_of.items() if configured.limits.get(part, 0) != size}
    for part in old:
        kept = set_by_hand(kept, configured, part, None)
    return kept


def topped_up(case: Case, amount: int) -> Remembered:
    """After a command: so many bytes more in this window, for each part of the quota; 0 takes all of that back."""
    topup = case.record.topup + amount if amount else 0
    return _with_record(case, replace(case.record, topup=topup, let_go=False))


def hold(case: Case, *, on: bool) -> Remembered:
    """After a command: limited until that is taken back by hand; or released, for this window if all is used in it."""
    let_go = not on and bool(case.record.reached_at)
    return replace(_with_record(case, replace(case.record, let_go=let_go)), held=on)
