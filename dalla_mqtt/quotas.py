"""The quotas of a household: how each stands after a poll, what is to be told of it, whose limit is due."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from datetime import date, timedelta
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from dalla_mqtt.errors import CommandRefused
from dalla_mqtt.usage.commands import Limit, SetQuota, TopUp
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.forecast import MEMORY_DAYS, Habits, Outlook, learn
from dalla_mqtt.usage.hours import HOUR_S
from dalla_mqtt.usage.ledger import DayShare, Key, Ledger, Moved
from dalla_mqtt.usage.quota import MOST, Quota, Quotas, Remembered, Standing, Subject, Used, Window, summed
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.standing import (
    Alert,
    Case,
    Due,
    alerts,
    as_set,
    due_limit,
    enforced,
    hold,
    newest,
    set_by_hand,
    stand,
    topped_up,
    turned,
    was_told,
)
from dalla_mqtt.usage.tariff import Span, Tariff


class Memory(Protocol):
    """What outlives a restart, in the state file: a Store's or a History's. Each may raise ArchiveError."""

    def moved(self, first: date, last: date) -> Moved:
        """What is on record for those local days."""

    def days(self, key: Key, first: date, last: date) -> dict[date, Used]:
        """The same of one series, day by day."""

    def quotas(self) -> dict[Subject, Remembered]:
        """What was kept of each quota."""


class Tally:
    """What was moved in the windows that are asked for: from the records once, and then with each reading."""

    def __init__(self, moved: Callable[[date, date], Moved]) -> None:
        self._moved = moved
        self._windows: dict[Window, dict[Key, tuple[int, int]]] = {}
        self._asked: set[Window] = set()

    def add(self, shares: tuple[DayShare, ...]) -> None:
        """A reading was stored that adds `shares`. Windows that nobody asked for since the last one are forgotten."""
        self._windows = {window: self._windows[window] for window in self._asked & self._windows.keys()}
        self._asked.clear()
        for window, sums in self._windows.items():
            for share in shares:
                if window.first <= share.day <= window.last:
                    on_peak, off_peak = sums.get(share.key, (0, 0))
                    sums[share.key] = (on_peak + share.on_peak, off_peak + share.off_peak)

    def used(self, keys: Iterable[Key], window: Window) -> Used:
        """What those series moved in the window, together. Raises ArchiveError."""
        self._asked.add(window)
        if window not in self._windows:
            self._windows[window] = dict(self._moved(*window))
        sums = self._windows[window]
        return summed(Used(*sums.get(key, (0, 0))) for key in keys)


class Desk:
    """Keeps the quotas of one household, from what is in `memory`, which it only reads.

    After `assess`: `standings` of all users, of devices that have a quota or are held, and of pools; `alerts` that are
    due and were not `told` yet; the limits that are `due`. Where it raises ArchiveError, no alert is due, and the rest
    is as it was. What is to outlive a restart is handed out by `keep`.
    """

    def __init__(self, quotas: Quotas, tariff: Tariff, memory: Memory) -> None:
        self._quotas = quotas
        self._tariff = tariff
        self._memory = memory
        self._tally = Tally(memory.moved)
        self._outlooks = _Outlooks(memory, tariff)
        self._remembered: dict[Subject, Remembered] = {}
        self._unkept: set[Subject] = set()
        self._users: tuple[str, ...] = ()
        self.standings: dict[Subject, Standing] = {}
        self.alerts: list[Alert] = []
        self.due: dict[Subject, Due] = {}

    def begin(self, users: tuple[str, ...]) -> None:
        """Recall what is remembered, but of users and pools that are no more. Raises ArchiveError.

        `users`: those that there are, UNKNOWN too.
        """
        self._users = users
        for subject, kept in self._memory.quotas().items():
            if subject.kind == "device" or self._known(subject):
                self._remembered[subject] = kept
                self._remember(subject, newest(kept, self._configured(subject)))
            else:
                self._unkept.add(subject)

    def assess(self, ledger: Ledger, at: float) -> None:
        """How all quotas stand after the reading of `ledger`, which is stored. Raises ArchiveError."""
        self._tally.add(ledger.shares)
        self._look(ledger, at)

    def obey(self, command: SetQuota | TopUp | Limit, ledger: Ledger, at: float) -> None:
        """Do what somebody wants. Raises CommandRefused, or ArchiveError where it is done but cannot be assessed."""
        subject = command.subject
        case = self._case(subject, ledger, self._tariff.span_at(at))
        if isinstance(command, SetQuota):
            kept = set_by_hand(case.remembered, self._configured(subject), command.part, command.limit)
        elif isinstance(command, TopUp):
            _expect_room(case, command.amount)
            kept = topped_up(case, command.amount)
        else:
            kept = hold(case, on=command.on)
        self._remember(subject, kept)
        self._look(ledger, at)

    def told(self) -> None:
        """The present alerts have been told."""
        for alert in self.alerts:
            self._remember(alert.subject, was_told(self._remembered[alert.subject], alert))
        self.alerts = []

    def enforced(
        self, due: Mapping[Subject, Due], ledger: Ledger, at: float, *, but: Container[Subject] = ()
    ) -> list[Event]:
        """The router limits those of `due` and nobody else, `but` for some: what is to be told of it."""
        now = self._tariff.span_at(at)
        events, standings = [], {}
        for subject, standing in self.standings.items():
            if subject in but or standing.limited == (subject in due):
                continue
            event, kept = enforced(self._case(subject, ledger, now), due.get(subject), self._quotas.throttle)
            events.append(event)
            self._remember(subject, kept)
            standings[subject] = replace(standing, limited=kept.limited)
        self.standings = {**self.standings, **standings}
        return events

    def keep(self, write: Callable[[Mapping[Subject, Remembered | None]], None]) -> None:
        """Have what is new written; None: nothing any more. What `write` raises is raised; the next one does."""
        if self._unkept:
            write({subject: self._remembered.get(subject) for subject in self._unkept})
            self._unkept.clear()

    def _look(self, ledger: Ledger, at: float) -> None:
        self.alerts = []
        now = self._tariff.span_at(at)
        standings: dict[Subject, Standing] = {}
        found: list[Alert] = []
        limits: dict[Subject, Due] = {}
        for subject in self._subjects(ledger):
            case = self._case(subject, ledger, now)
            keys = self._keys(subject, ledger)
            outlook = self._outlooks.outlook(case, keys, _first_day(subject, ledger, self._tariff))
            standing, kept = stand(case, partial(self._tally.used, keys), outlook)
            before = self.standings.get(subject)
            standings[subject] = before if before == standing else standing
            new, kept = alerts(replace(case, remembered=kept), standing, self._quotas.warn_at)
            found += new
            if (limit := due_limit(case, standing)) is not None:
                limits[subject] = limit
            self._remember(subject, kept)
        self.standings, self.alerts, self.due = standings, found, limits

    def _subjects(self, ledger: Ledger) -> Iterator[Subject]:
        """Whose quota is looked after; nobody's before the first reading."""
        if ledger.at is None:
            return
        yield from (Subject("user", name) for name in self._users if name in ledger.users)
        yield from (subject for subject in self._quotas.subjects if subject.kind == "pool")
        for mac in ledger.devices:
            subject = Subject("device", mac.dashed)
            kept = self._remembered.get(subject)
            if subject in self._quotas.subjects or (kept and (kept.by_hand or kept.held or kept.limited)):
                yield subject

    def _case(self, subject: Subject, ledger: Ledger, now: Span) -> Case:
        """Raises CommandRefused where there is no such subject."""
        kept = self._remembered.get(subject, Remembered())
        quota = as_set(self._configured(subject), kept)
        case = Case(subject, self._name(subject, ledger), quota, kept, now, self._tariff)
        return replace(case, remembered=turned(case))

    def _name(self, subject: Subject, ledger: Ledger) -> str:
        if subject.kind == "device":
            device = ledger.devices.get(Mac(subject.name))
            if device is not None:
                return device.called
        elif self._known(subject):
            return subject.name
        raise CommandRefused(f"there is no {subject.kind} {subject.name}")

    def _known(self, subject: Subject) -> bool:
        """Whether there is such a user, or such a pool."""
        return subject.name in self._users if subject.kind == "user" else subject in self._quotas.subjects

    def _configured(self, subject: Subject) -> Quota:
        return self._quotas.subjects.get(subject) or Quota(at_quota=self._quotas.at_quota)

    def _keys(self, subject: Subject, ledger: Ledger) -> list[Key]:
        """The series that count for it: one, or the users of a pool."""
        if subject.kind != "pool":
            return [Key(subject.kind, subject.name)]
        sharing = self._configured(subject).users or ledger.users
        return [Key("user", name) for name in sharing]

    def _remember(self, subject: Subject, kept: Remembered) -> None:
        if self._remembered.get(subject) != kept:
            self._remembered[subject] = kept
            self._unkept.add(subject)


def _expect_room(case: Case, amount: int) -> None:
    """Raises CommandRefused where nothing can be topped up by that."""
    if not case.quota.limits:
        raise CommandRefused(f"{case.name} has no quota that could be topped up")
    if case.record.topup + amount > MOST:
        raise CommandRefused(f"{case.name} would have more than any quota may be")


class _Outlooks:
    """What to expect of everybody with a quota: learned anew each hour."""

    def __init__(self, memory: Memory, tariff: Tariff) -> None:
        self._memory = memory
        self._tariff = tariff
        self._hour = 0
        self._known: dict[tuple[Subject, Window, bool], Outlook] = {}

    def outlook(self, case: Case, keys: Iterable[Key], first: date) -> Outlook:
        """For the window of `case`; `keys` count for it, and are on record since `first`. Raises ArchiveError."""
        at = case.now.end
        if self._hour != at // HOUR_S:
            self._hour, self._known = int(at // HOUR_S), {}
        name = case.subject, case.window, bool(case.quota.limits)
        if name not in self._known:
            habits = learn(self._days(keys, case.now.day), first, at, self._tariff) if case.quota.limits else Habits()
            self._known[name] = Outlook.of(habits, case.window, self._tariff)
        return self._known[name]

    def _days(self, keys: Iterable[Key], today: date) -> dict[date, Used]:
        days: dict[date, list[Used]] = {}
        for key in keys:
            for day, used in self._memory.days(key, today - timedelta(days=MEMORY_DAYS), today).items():
                days.setdefault(day, []).append(used)
        return {day: summed(shares) for day, shares in days.items()}


def _first_day(subject: Subject, ledger: Ledger, tariff: Tariff) -> date:
    """The first local day that is on record of the subject."""
    first = ledger.devices[Mac(subject.name)].first_seen if subject.kind == "device" else ledger.since
    return tariff.local(first or 0.0).date()
