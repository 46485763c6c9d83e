"""What a household has moved, booked: into the ledger, the state file and the CSV files."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from dalla_mqtt.archive.csv_logs import CsvLogs
from dalla_mqtt.archive.rebuild import go_on
from dalla_mqtt.archive.retention import DailyPurge
from dalla_mqtt.archive.store import Store
from dalla_mqtt.archive.user_map import write_owner
from dalla_mqtt.config import Config
from dalla_mqtt.errors import ArchiveError, CommandRefused
from dalla_mqtt.log import Troubles, about, tell, utc
from dalla_mqtt.usage.counters import GAP, Cause
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import Device, Ledger, Rules, account, owned
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.reading import Mac, Reading

_log = logging.getLogger(__name__)

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # nobody sets it; Linux's goes on in a suspend
_WAITS = "{}; nothing is lost, the next poll makes up for it"


class Books:
    """Every reading is accounted from the last one that was stored. `ledger`: all that is known after that."""

    def __init__(self, config: Config, store: Store, troubles: Troubles) -> None:
        self._config = config
        self._interval_s = config.router.interval
        self._rules = Rules(config.people, config.tariff, self._interval_s, config.router.line_rate, moved=store.moved)
        self._store = store
        self._troubles = troubles
        self._logs = CsvLogs(config.archive, config.tariff) if config.archive else None
        self._purge = DailyPurge(config.archive, config.tariff, store.moved, troubles.tell) if config.archive else None
        self._purged_at: float | None = None
        self._last_reading: float | None = None  # on the steady clock
        self.ledger = Ledger()

    def begin(self) -> None:
        """Go on from what is on this disk. Raises ArchiveError."""
        self._tell_of_state()
        if self._config.archive is not None:
            told = go_on(self._store, self._config.archive, self._config.tariff, self._config.people)
            if told is not None:
                _log.warning("%s", told)
        self.ledger = owned(self._store.load(), self._rules.people)
        self._purged_at = self.ledger.at
        if self._logs is not None:
            self._tell_of_files(self._logs.pay_all(self._store))

    def book(self, reading: Reading, at: float) -> tuple[Event, ...] | None:
        """Keep what comes of the reading in the state file: all of it, and what is out of the ordinary; or None."""
        elapsed_s = self._elapsed(at)
        try:
            ledger, events = account(self.ledger, reading, self._rules, at=at, elapsed_s=elapsed_s)
            self._store.save(ledger, self._logs.rows(ledger) if self._logs else {})
        except ArchiveError as error:
            self._troubles.tell("store", _WAITS.format(error))
            return None
        self._troubles.tell("store", None)
        self._tell_of_state()
        if self.ledger.at is not None and self.ledger.anew and ledger.total.cause is Cause.FIRST_SEEN:
            _log.warning("counting goes on from %s: what moved since then is not known", utc(self.ledger.at))
        self.ledger = ledger
        self._last_reading = time.clock_gettime(_STEADY)
        if elapsed_s > GAP * self._interval_s:
            text = "the last reading was %.0f s ago: what moved since is in one record"
            _log.warning(text, elapsed_s, extra=about("gap", elapsed_s=round(elapsed_s)))
        for event in events:
            tell(_log, event)
        return events

    def write_files(self, at: float, stopping: Callable[[], bool]) -> None:
        """Append what is owed to the CSV files, and purge them once a day, unless it is `stopping`."""
        if self._logs is not None:
            self._tell_of_files(self._logs.pay(self._store))
        if self._purge is not None:
            self._purge.purge(at, self._purged_at, stopping)
        self._purged_at = at

    def give(self, mac: Mac, user: str) -> None:
        """The device belongs to `user` from now on. Raises CommandRefused, or ArchiveError."""
        device = self._device(mac)
        people = self._rules.people
        if user not in (*people.names, UNKNOWN):
            raise CommandRefused(f"there is no user {user!r}; there are {', '.join((*people.names, UNKNOWN))}")
        write_owner(self._config.user_map, device.mac, user)
        self._rules = replace(self._rules, people=people.given(device.mac, user))
        self._change(owned(self.ledger, self._rules.people).devices)

    def name(self, mac: Mac, name: str | None) -> None:
        """The device is called that from now on; None: as it calls itself. Raises CommandRefused."""
        self._change({**self.ledger.devices, mac: replace(self._device(mac), name=name)})

    def _device(self, mac: Mac) -> Device:
        device = self.ledger.devices.get(mac)
        if device is None:
            raise CommandRefused(f"there is no device {mac.colons}")
        return device

    def _change(self, devices: Mapping[Mac, Device]) -> None:
        """Keep what is now known of devices; where that cannot be stored yet, the next poll does."""
        self.ledger = replace(self.ledger, devices=dict(devices), shares=())
        try:
            self._store.save(self.ledger, {})
        except ArchiveError as error:
            self._troubles.tell("store", _WAITS.format(error))

    def _elapsed(self, at: float) -> float:
        """Seconds since the last reading; across a restart this machine's own clock must be believed."""
        if self._last_reading is not None:
            return time.clock_gettime(_STEADY) - self._last_reading
        return max(0.0, at - self.ledger.at) if self.ledger.at is not None else 0.0

    def _tell_of_state(self) -> None:
        if self._store.set_aside is not None:
            _log.error("the state file was damaged, or another put in its place: kept as %s", self._store.set_aside)
            self._store.set_aside = None

    def _tell_of_files(self, reason: OSError | None) -> None:
        text = f"cannot write {reason.filename}: {reason.strerror}; its rows wait" if reason else None
        self._troubles.tell("archive", text)
