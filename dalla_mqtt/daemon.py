"""The loop: poll, account, store, archive, publish, wait."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from queue import Empty, SimpleQueue

from msgspec.structs import replace

from dalla_mqtt.archive.csv_logs import CsvLogs
from dalla_mqtt.archive.rebuild import go_on
from dalla_mqtt.archive.retention import DailyPurge
from dalla_mqtt.archive.store import Store
from dalla_mqtt.archive.user_map import write_owner
from dalla_mqtt.asking import NAP_S, Asker
from dalla_mqtt.config import Config
from dalla_mqtt.errors import (
    AdminBusy,
    ArchiveError,
    BadReply,
    CommandRefused,
    DallaError,
    LoginRefused,
    RouterUnreachable,
)
from dalla_mqtt.log import Troubles, about, tell, utc
from dalla_mqtt.pace import Pace
from dalla_mqtt.publishing import Publisher
from dalla_mqtt.rationing import Rationing
from dalla_mqtt.router import Router, advice
from dalla_mqtt.usage.commands import (
    Command,
    GiveDevice,
    Limit,
    Misunderstood,
    NameDevice,
    Pause,
    PollNow,
    SetQuota,
    TopUp,
)
from dalla_mqtt.usage.counters import GAP, Cause
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import Device, Ledger, Rules, account, owned
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Standing, Subject
from dalla_mqtt.usage.reading import Mac, Reading
from dalla_mqtt.usage.status import RouterState, RouterStatus
from dalla_mqtt.usage.tariff import YOUNGEST

_log = logging.getLogger(__name__)

_STATES: dict[type[DallaError], RouterState] = {
    AdminBusy: "busy",
    RouterUnreachable: "unreachable",
    LoginRefused: "login_refused",
    BadReply: "bad_reply",
}
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # nobody sets it; Linux's goes on in a suspend
_FLUSH_S, _FLUSH_STEP_S = 3.0, 0.2
_TELL_S = 60.0  # how late at most to tell of what the time alone decides
_LEAVE_S = 1.6  # of two seconds in all
_CLOCK_SLACK_S = 60  # by which a clock may be set back while the daemon does not run
_CLOCK_PATIENCE_S = 300  # in which time servers are found, where there are any
_WAITS = "{}; nothing is lost, the next poll makes up for it"


class Daemon:
    """Counts for one household until it is stopped. Every poll is accounted from the last one that was stored."""

    def __init__(  # noqa: PLR0913  # the last two are named at the call and have a default
        self,
        config: Config,
        router: Router,
        store: Store,
        publisher: Publisher,
        *,
        clock: Callable[[], float] = time.time,
        dry_run: bool = False,
    ) -> None:
        self._config = config
        self._interval_s = config.router.interval
        self._rules = Rules(config.people, config.tariff, self._interval_s, config.router.line_rate, moved=store.moved)
        self._router = router
        self._store = store
        self._logs = CsvLogs(config.archive, config.tariff) if config.archive else None
        self._publisher = publisher
        self._clock = clock
        self._wishes: SimpleQueue[float | Command] = SimpleQueue()  # seconds until to tell again; signal handlers put
        self._pace = Pace(self._interval_s)
        self._tell_at = inf  # on the monotonic clock
        self._paused_at = 0.0  # what the clock said when the present pause began, or the one before
        self._stopping = False
        self._asker = Asker()
        self._ledger = Ledger()
        self._status: RouterStatus | None = None
        self._last_reading: float | None = None  # on the steady clock
        self._troubles = Troubles(_log)
        self._rationing = Rationing(
            config=config,
            store=store,
            router=router,
            asker=self._asker,
            publisher=publisher,
            troubles=self._troubles,
            dry_run=dry_run,
        )
        self._purge = (
            DailyPurge(config.archive, config.tariff, store.moved, self._troubles.tell) if config.archive else None
        )

    @property
    def ledger(self) -> Ledger:
        """All that is known after the last poll."""
        return self._ledger

    @property
    def standings(self) -> Mapping[Subject, Standing]:
        """How all quotas stand after the last poll."""
        return self._rationing.standings

    def stop(self) -> None:
        """End after the step in hand, and do not wait for the router. For signal handlers and other threads, too."""
        self._stopping = True
        self._wishes.put(0.0)
        self._asker.stop()

    def run(self) -> None:
        """Poll at each interval until stopped. Raises LoginRefused where the router never accepted the password."""
        self._begin()
        try:
            self._await_clock()
            self._rationing.assess(self._ledger, self._clock())  # the first poll may be missed
            self._wait()  # where somebody has paused meanwhile
            while not self._stopping:
                self.poll()
                self._pace.asked(time.monotonic(), self._status)
                self._wait()
        finally:
            self._end()

    def run_once(self) -> bool:
        """Poll once, unless stopped; whether that brought a reading, stored, and published if the broker is there."""
        self._begin()
        try:
            self._await_clock()
            self._rationing.assess(self._ledger, self._clock())
            if not self._stopping:
                self.poll()
            if self._flushed():
                self._tell()
                self._flushed()
            return self._stopping or (self._status is not None and self._status.state == "ok")
        finally:
            self._end()

    def _flushed(self) -> bool:
        """Whether the broker has taken everything before a stop, or in a reasonable time."""
        deadline = time.monotonic() + _FLUSH_S
        while not self._stopping and time.monotonic() < deadline:
            if self._publisher.flush(_FLUSH_STEP_S):
                return True
        return False

    def poll(self) -> None:
        """Ask the router once, and pass on what it says."""
        began = time.monotonic()
        self._pace.asks(began)
        try:
            reading = self._asker.ask(self._router.poll)
        except DallaError as error:
            self._missed(error)
            return
        if reading is None:
            return
        at = self._clock()
        before = self._ledger
        back = self._succeeded(reading, at, round((time.monotonic() - began) * 1000))
        events = self._account(reading, at)
        self._tell()
        self._publisher.tell_events((*back, *events), at)
        if self._ledger is before:
            return
        _tell_of_poll(reading, self._ledger, self._status)
        self._rationing.alert(at)
        restarted = any(event.event == "router_reboot" for event in events)
        if not self._stopping and self._rationing.limit(self._ledger, reading, at, again=restarted):
            self._tell_at = -inf  # soon: the broker is still busy with the events

    def _begin(self) -> None:
        self._tell_of_state()
        if self._config.archive is not None:
            told = go_on(self._store, self._config.archive, self._config.tariff, self._config.people)
            if told is not None:
                _log.warning("%s", told)
        self._ledger = owned(self._store.load(), self._rules.people)
        if self._logs is not None:
            self._tell_of_files(self._logs.pay_all(self._store))
        self._rationing.begin()
        self._publisher.start(self._wishes.put, self._wishes.put)

    def _await_clock(self) -> None:
        """Wait for a clock that can be true: one without a battery begins in 1970, or when it was switched off."""
        patience = time.monotonic() + _CLOCK_PATIENCE_S
        before = (self._ledger.at or 0.0) - _CLOCK_SLACK_S
        while not self._stopping and (at := self._clock()) < max(before, YOUNGEST):
            if at >= YOUNGEST and time.monotonic() >= patience:
                _log.warning("this machine's clock was set back: it goes on from %s", utc(at))
                break
            self._troubles.tell(
                "clock", f"this machine's clock says {utc(at)}, which cannot be: waiting until it is set"
            )
            self._nap(NAP_S)
        self._troubles.tell("clock", None)

    def _end(self) -> None:
        """Say goodbye to the router, which may be in the middle of an answer, and to the broker at the same time."""
        until = time.monotonic() + _LEAVE_S
        leaving = threading.Thread(target=self._router.leave, name="leave", daemon=True)
        leaving.start()
        self._publisher.stop()
        leaving.join(max(0.0, until - time.monotonic()))

    def _account(self, reading: Reading, at: float) -> tuple[Event, ...]:
        """Book the reading and keep what came of it: in the store, or not at all."""
        elapsed_s = self._elapsed(at)
        try:
            ledger, events = account(self._ledger, reading, self._rules, at=at, elapsed_s=elapsed_s)
            self._store.save(ledger, self._logs.rows(ledger) if self._logs else {})
        except ArchiveError as error:
            self._troubles.tell("store", _WAITS.format(error))
            return ()
        self._troubles.tell("store", None)
        self._tell_of_state()
        if self._ledger.at is not None and self._ledger.anew and ledger.total.cause is Cause.FIRST_SEEN:
            _log.warning("counting goes on from %s: what moved since then is not known", utc(self._ledger.at))
        before, self._ledger = self._ledger, ledger
        self._last_reading = time.clock_gettime(_STEADY)
        if elapsed_s > GAP * self._interval_s:
            text = "the last reading was %.0f s ago: what moved since is in one record"
            _log.warning(text, elapsed_s, extra=about("gap", elapsed_s=round(elapsed_s)))
        for event in events:
            tell(_log, event)
        self._rationing.assess(ledger, at)
        if self._logs is not None:
            self._tell_of_files(self._logs.pay(self._store))
        if self._purge is not None:
            self._purge.purge(at, before.at, lambda: self._stopping)
        return events

    def _elapsed(self, at: float) -> float:
        """Seconds since the last reading; across a restart this machine's own clock must be believed."""
        if self._last_reading is not None:
            return time.clock_gettime(_STEADY) - self._last_reading
        return max(0.0, at - self._ledger.at) if self._ledger.at is not None else 0.0

    def _tell_of_state(self) -> None:
        if self._store.set_aside is not None:
            _log.error("the state file was damaged, or another put in its place: kept as %s", self._store.set_aside)
            self._store.set_aside = None

    def _tell_of_files(self, reason: OSError | None) -> None:
        text = f"cannot write {reason.filename}: {reason.strerror}; its rows wait" if reason else None
        self._troubles.tell("archive", text)

    def _succeeded(self, reading: Reading, at: float, poll_ms: int) -> tuple[Event, ...]:
        was = self._status or RouterStatus("ok", at)
        self._status = was.answered(reading, at, poll_ms)
        self._troubles.tell("router", None)
        for what, mend in advice(reading).items():
            self._troubles.tell(what, mend)
        return (Event("router_back", "the router answers again"),) if was.state != "ok" else ()

    def _missed(self, error: DallaError) -> None:
        state = _STATES[type(error)]
        at = self._clock()
        was = self._status or RouterStatus(state, at)
        changed = was.state != state or self._status is None
        self._status = was.missed(state, at)
        if state == "login_refused" and was.last_poll is None:
            if self._flushed():
                self._tell()
            raise error
        self._troubles.tell("router", str(error))
        self._tell()
        if changed and state == "busy":
            self._publisher.tell_events([Event("router_busy", str(error))], at)

    def _wait(self) -> None:
        """Sleep until the next poll is due, and do meanwhile what is wished for; a pause does not stop peak hours."""
        self._tell_at = min(self._tell_at, time.monotonic() + _TELL_S)
        while not self._stopping and (now := time.monotonic()) < self._pace.due:
            if now >= self._tell_at:
                self._tell_at = now + (_TELL_S if self._tell() else _FLUSH_STEP_S)
            self._nap(min(self._pace.due, self._tell_at) - now)

    def _nap(self, nap_s: float) -> None:
        """Sleep, but for no longer than NAP_S, and take one wish."""
        with suppress(Empty):
            wish = self._wishes.get(timeout=min(max(0.0, nap_s), NAP_S))
            if isinstance(wish, float):
                self._tell_at = min(self._tell_at, time.monotonic() + wish)
            else:
                self._obey(wish)

    def _obey(self, command: Command) -> None:
        """Do what somebody wants, or tell why not."""
        try:
            self._do(command)
        except (CommandRefused, ArchiveError) as why:
            mac = command.mac.colons if isinstance(command, GiveDevice | NameDevice) else None
            event = Event("command_refused", str(why), mac)
            _log.warning("a command is refused: %s", event.text, extra=about(event.event, mac=mac))
            self._publisher.tell_events([event], self._clock())

    def _do(self, command: Command) -> None:
        """Raises CommandRefused, or ArchiveError."""
        match command:
            case PollNow():
                self._pace.hurry(time.monotonic())
            case Pause(on):
                self._pause(on=on)
            case GiveDevice(mac, user):
                self._give(self._device(mac), user)
                if any(standing.limited for standing in self.standings.values()):
                    self._hurry()
            case NameDevice(mac, name):
                device = replace(self._device(mac), name=name)
                self._change({**self._ledger.devices, mac: device})
            case SetQuota() | TopUp() | Limit():
                if self._rationing.obey(command, self._ledger, self._clock()):
                    self._hurry()
                self._tell_at = -inf
            case Misunderstood(why):
                raise CommandRefused(why)

    def _hurry(self) -> None:
        """Have the router limit somebody else soon; in a pause, when that is over."""
        with suppress(CommandRefused):
            self._pace.hurry(time.monotonic())

    def _pause(self, *, on: bool) -> None:
        """Leave the router's login to its owner."""
        now = time.monotonic()
        if not on:
            self._pace.resume(now)
        elif not self._pace.paused:
            self._pace.pause(now)
            self._paused_at = self._clock()
            _log.info("the router is left to its owner", extra=about("paused"))
        self._tell_at = -inf

    def _device(self, mac: Mac) -> Device:
        device = self._ledger.devices.get(mac)
        if device is None:
            raise CommandRefused(f"there is no device {mac.colons}")
        return device

    def _give(self, device: Device, user: str) -> None:
        people = self._rules.people
        if user not in (*people.names, UNKNOWN):
            raise CommandRefused(f"there is no user {user!r}; there are {', '.join((*people.names, UNKNOWN))}")
        write_owner(self._config.user_map, device.mac, user)
        self._rules = replace(self._rules, people=people.given(device.mac, user))
        self._change(owned(self._ledger, self._rules.people).devices)

    def _change(self, devices: Mapping[Mac, Device]) -> None:
        """Keep what is now known of devices; where that cannot be stored yet, the next poll does."""
        self._ledger = replace(self._ledger, devices=dict(devices), shares=())
        try:
            self._store.save(self._ledger, {})
        except ArchiveError as error:
            self._troubles.tell("store", _WAITS.format(error))
        self._tell_at = -inf

    def _tell(self) -> bool:
        status = self._status
        if self._pace.paused:
            status = (status or RouterStatus("paused", self._paused_at)).turned("paused", self._paused_at)
        return status is None or self._publisher.tell(self._ledger, status, self.standings, self._clock())


def stop_on_signals(daemon: Daemon) -> None:
    """End `daemon` at SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: daemon.stop())


def _tell_of_poll(reading: Reading, ledger: Ledger, status: RouterStatus | None) -> None:
    took, rows, total = status.poll_ms if status else 0, reading.size, ledger.total
    figures = about("poll", poll_ms=took, rows=rows, delta=total.delta, usage=total.usage)
    _log.info(f"polled in {took} ms: {rows} rows, {total.delta} bytes more, {total.usage} in all", extra=figures)
