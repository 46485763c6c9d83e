"""Quotas, from a stored reading to what the broker is told and the router limits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping

from dalla_mqtt.archive.store import Store
from dalla_mqtt.asking import Asker
from dalla_mqtt.config import Config
from dalla_mqtt.enforcer import Enforcer
from dalla_mqtt.errors import ArchiveError, DallaError, LimitRefused
from dalla_mqtt.log import Troubles, tell
from dalla_mqtt.publishing import Publisher
from dalla_mqtt.quotas import Desk
from dalla_mqtt.router import Router
from dalla_mqtt.usage.commands import Limit, SetQuota, TopUp
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.limits import Limits, limits_of
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Standing, Subject, Window, subjects_of
from dalla_mqtt.usage.reading import Reading

_log = logging.getLogger(__name__)

_TROUBLES = ("the router's rules", "limits")  # it cannot be asked about them; it refuses some
_LATER = "what is set of quotas and told of them cannot be kept: {}; it is tried again"


class Rationing:
    """What a daemon does about quotas, poll by poll. `dry_run`: the router's rules stay as they are."""

    def __init__(  # noqa: PLR0913  # all are named at the call
        self,
        *,
        config: Config,
        store: Store,
        router: Router,
        asker: Asker,
        publisher: Publisher,
        troubles: Troubles,
        dry_run: bool,
    ) -> None:
        quotas = config.quotas
        may_limit = {quotas.at_quota, *(quota.at_quota for quota in quotas.subjects.values())} != {"notify"}
        self._config = config
        self._desk = Desk(quotas, config.tariff, store)
        self._store = store
        self._enforcer = Enforcer(
            lambda limits: asker.ask(lambda: router.enforce(limits, dry_run=dry_run)),
            store,
            may_limit=may_limit,
            dry_run=dry_run,
        )
        self._publisher = publisher
        self._troubles = troubles
        self._late: dict[tuple[str | None, ...], Event] = {}  # the last of each subject that waits for the broker
        self._refused = False  # whether the broker was told that the router takes no rule
        self._logged: set[tuple[Subject, Window, str]] = set()  # alerts that wait for the broker

    @property
    def standings(self) -> Mapping[Subject, Standing]:
        """How all quotas stand after the last reading."""
        return self._desk.standings

    def begin(self) -> None:
        """Recall what is remembered. Raises ArchiveError."""
        self._desk.begin((*self._config.people.names, UNKNOWN))
        self._enforcer.begin()
        self._desk.keep(self._store.keep_quotas)

    def assess(self, ledger: Ledger, at: float) -> None:
        """After a reading that is stored, or at a start, with the last one."""
        self._write(lambda: self._desk.assess(ledger, at))

    def alert(self, at: float) -> None:
        """Tell what is due; again and again until the broker is there to take it."""
        alerts = self._desk.alerts
        for alert in alerts:
            if alert[:3] not in self._logged:
                tell(_log, alert.event)
        self._logged = {alert[:3] for alert in alerts}
        if alerts and self._publisher.tell_events((alert.event for alert in alerts), at):
            self._write(self._desk.told)

    def limit(self, ledger: Ledger, reading: Reading, at: float, *, again: bool) -> bool:
        """Have the router limit whose limit is due, and nobody else; whether that changed how a quota stands.

        `again`: the router may have forgotten what it was told.
        """
        if not self._desk.standings:  # it could not be found out yet
            return False
        due = dict(self._desk.due)
        actions = {subject: limit.action for subject, limit in due.items()}
        limits = limits_of(actions, ledger.devices.values(), reading, self._config.quotas, at)
        refused = self._enforced(limits, at, again=again)
        if refused is None:
            self._tell_late(at)
            return False
        events = self._desk.enforced(due, ledger, at, but=self._doubtful(limits, ledger, refused) & due.keys())
        for event in events:
            tell(_log, event)
        if events:
            self._late |= {(event.user, event.mac, event.pool): event for event in events}
            self._write(lambda: None)
        self._tell_late(at)
        return bool(events)

    def _doubtful(self, limits: Limits, ledger: Ledger, refused: Container[str]) -> set[Subject]:
        """Of whom some device was `refused`, or all of them are spared: nothing new is told of those."""
        wanted = {*limits.throttled.values(), *limits.blocked}
        limited, spared, doubtful = set[Subject](), set[Subject](), set[Subject]()
        for mac in wanted:
            user = ledger.devices[mac].user
            subjects = {Subject("device", mac.dashed), *subjects_of(user, self._config.quotas)}
            if mac.dashed in refused:
                doubtful |= subjects
            (spared if mac in self._enforcer.spared else limited).update(subjects)
        return doubtful | (spared - limited)

    def _tell_late(self, at: float) -> None:
        """Tell whom the router limits, or does not any more, when the broker is there to take it."""
        if self._late and self._publisher.tell_events(self._late.values(), at):
            self._late = {}

    def _enforced(self, limits: Limits, at: float, *, again: bool) -> frozenset[str] | None:
        """The MACs that are not limited as they should be; None where that is not known, or of all."""
        try:
            if not self._enforcer.enforce(limits, again=again):
                return None
        except LimitRefused as error:
            self._failed(error, at)
            return error.devices
        except DallaError as error:
            self._failed(error, at)
            return None
        for about in _TROUBLES:
            self._troubles.tell(about, None)
        self._refused = False
        return frozenset()

    def obey(self, command: SetQuota | TopUp | Limit, ledger: Ledger, at: float) -> bool:
        """Do what somebody wants; whether the router should hear of it. Raises CommandRefused."""
        before = self._desk.due
        self._write(lambda: self._desk.obey(command, ledger, at))
        self.alert(at)
        return before.keys() != self._desk.due.keys()

    def _write(self, change: Callable[[], object]) -> None:
        """Do it, and keep what comes of it, now or one day."""
        try:
            change()
            self._desk.keep(self._store.keep_quotas)
        except ArchiveError as error:
            self._troubles.tell("quotas", _LATER.format(error))
        else:
            self._troubles.tell("quotas", None)

    def _failed(self, error: DallaError, at: float) -> None:
        text = f"what is to be limited is not: {error}"
        refused = isinstance(error, LimitRefused)
        self._troubles.tell(_TROUBLES[refused], text)
        if refused and not self._refused:
            self._refused = self._publisher.tell_events([Event("limit_failed", text)], at)
