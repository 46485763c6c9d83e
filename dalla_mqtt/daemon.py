"""The loop: poll, account, store, archive, publish, wait."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from math import inf
from queue import Empty, SimpleQueue

from dalla_mqtt.archive.store import Store
from dalla_mqtt.asking import NAP_S, Asker
from dalla_mqtt.books import Books
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
from dalla_mqtt.log import Troubles, about, utc
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
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.quota import Standing, Subject
from dalla_mqtt.usage.reading import Reading
from dalla_mqtt.usage.status import RouterState, RouterStatus
from dalla_mqtt.usage.tariff import YOUNGEST

_log = logging.getLogger(__name__)

_STATES: dict[type[DallaError], RouterState] = {
    AdminBusy: "busy",
    RouterUnreachable: "unreachable",
    LoginRefused: "login_refused",
    BadReply: "bad_reply",
}
_FLUSH_S, _FLUSH_STEP_S = 3.0, 0.2
_TELL_S = 60.0  # how late at most to tell of what the time alone decides
_LEAVE_S = 1.6  # of two seconds in all
_CLOCK_SLACK_S = 60  # by which a clock may be set back while the daemon does not run
_CLOCK_PATIENCE_S = 300  # in which time servers are found, where there are any


class Daemon:
    """Counts for one household until it is stopped.

    `ring` is called from any thread when something is to be done before the moment of the last step.
    """

    def __init__(  # noqa: PLR0913  # those after the `*` are named at the call and have a default
        self,
        config: Config,
        router: Router,
        store: Store,
        publisher: Publisher,
        *,
        clock: Callable[[], float] = time.time,
        dry_run: bool = False,
        ring: Callable[[], None] | None = None,
    ) -> None:
        self._router = router
        self._publisher = publisher
        self._clock = clock
        self._wishes: SimpleQueue[float | Command] = SimpleQueue()  # seconds until to tell again; signal handlers put
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._ring = ring or (lambda: self._bell.put(None))
        self._pace = Pace(config.router.interval)
        self._tell_at = inf  # on the monotonic clock
        self._paused_at = 0.0  # what the clock said when the present pause began, or the one before
        self._stopping = False
        self._asker = Asker()
        self._status: RouterStatus | None = None
        self._troubles = Troubles(_log)
        self._books = Books(config, store, self._troubles)
        self._rationing = Rationing(
            config=config,
            store=store,
            router=router,
            asker=self._asker,
            publisher=publisher,
            troubles=self._troubles,
            dry_run=dry_run,
        )
        self.waited_s = 0.0  # for the router, at the last poll

    @property
    def ledger(self) -> Ledger:
        """All that is known after the last poll."""
        return self._books.ledger

    @property
    def standings(self) -> Mapping[Subject, Standing]:
        """How all quotas stand after the last poll."""
        return self._rationing.standings

    def stop(self) -> None:
        """End after the step in hand, and do not wait for the router. For signal handlers and other threads, too."""
        self._stopping = True
        self._asker.stop()
        self._ring()

    def run(self) -> None:
        """Poll at each interval until stopped. Raises LoginRefused where the router never accepted the password."""
        for moment in self.steps():
            self._sleep(moment)

    def steps(self) -> Iterator[float]:
        """The same, step by step; after each the moment, on the monotonic clock, until which nothing need be done.

        It may be taken earlier, and by another thread. Raises LoginRefused where the router never accepted the
        password.
        """
        self._begin()
        try:
            yield from self._await_clock()
            self._rationing.assess(self.ledger, self._clock())  # the first poll may be missed
            yield from self._wait()  # where somebody has paused meanwhile
            while not self._stopping:
                self.poll()
                self._pace.asked(time.monotonic(), self._status)
                yield from self._wait()
        finally:
            self._end()

    def run_once(self) -> bool:
        """Poll once, unless stopped; whether that brought a reading, stored, and published if the broker is there."""
        self._begin()
        try:
            for moment in self._await_clock():
                self._sleep(moment)
            self._rationing.assess(self.ledger, self._clock())
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
        finally:
            self.waited_s = time.monotonic() - began
        if reading is None:
            return
        at = self._clock()
        back = self._succeeded(reading, at, round(self.waited_s * 1000))
        events = self._books.book(reading, at)
        if events is not None:
            self._rationing.assess(self.ledger, at)
            self._books.write_files(at, lambda: self._stopping)
        self._tell()
        self._publisher.tell_events((*back, *(events or ())), at)
        if events is None:
            return
        _tell_of_poll(reading, self.ledger, self._status)
        self._rationing.alert(at)
        restarted = any(event.event == "router_reboot" for event in events)
        if not self._stopping and self._rationing.limit(self.ledger, reading, at, again=restarted):
            self._tell_at = -inf  # soon: the broker is still busy with the events

    def _begin(self) -> None:
        self._books.begin()
        self._rationing.begin()
        self._publisher.start(self._wish, self._wish)

    def _await_clock(self) -> Iterator[float]:
        """Wait for a clock that can be true: one without a battery begins in 1970, or when it was switched off."""
        patience = time.monotonic() + _CLOCK_PATIENCE_S
        before = (self.ledger.at or 0.0) - _CLOCK_SLACK_S
        while not self._stopping and (at := self._clock()) < max(before, YOUNGEST):
            if at >= YOUNGEST and time.monotonic() >= patience:
                _log.warning("this machine's clock was set back: it goes on from %s", utc(at))
                break
            self._troubles.tell(
                "clock", f"this machine's clock says {utc(at)}, which cannot be: waiting until it is set"
            )
            yield time.monotonic() + NAP_S
            self._heed()
        self._troubles.tell("clock", None)

    def _end(self) -> None:
        """Say goodbye to the router, which may be in the middle of an answer, and to the broker at the same time."""
        until = time.monotonic() + _LEAVE_S
        leaving = threading.Thread(target=self._router.leave, name="leave", daemon=True)
        leaving.start()
        self._publisher.stop()
        leaving.join(max(0.0, until - time.monotonic()))

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

    def _wait(self) -> Iterator[float]:
        """Until the next poll is due. What is wished for is done meanwhile, and peak hours do not stop for a pause."""
        self._tell_at = min(self._tell_at, time.monotonic() + _TELL_S)
        self._heed()
        while not self._stopping and (now := time.monotonic()) < self._pace.due:
            if now >= self._tell_at:
                self._tell_at = now + (_TELL_S if self._tell() else _FLUSH_STEP_S)
            yield min(self._pace.due, self._tell_at)
            self._heed()

    def _sleep(self, moment: float) -> None:
        """Until the moment, on the monotonic clock, or until somebody rings."""
        with suppress(Empty):
            self._bell.get(timeout=min(max(0.0, moment - time.monotonic()), NAP_S))

    def _wish(self, wish: float | Command) -> None:
        self._wishes.put(wish)
        self._ring()

    def _heed(self) -> None:
        """Do what was wished for until now."""
        for _ in range(self._wishes.qsize()):
            wish = self._wishes.get_nowait()
            if self._stopping:
                return
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
                self._books.give(mac, user)
                self._tell_at = -inf
                if any(standing.limited for standing in self.standings.values()):
                    self._hurry()
            case NameDevice(mac, name):
                self._books.name(mac, name)
                self._tell_at = -inf
            case SetQuota() | TopUp() | Limit():
                if self._rationing.obey(command, self.ledger, self._clock()):
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

    def _tell(self) -> bool:
        status = self._status
        if self._pace.paused:
            status = (status or RouterStatus("paused", self._paused_at)).turned("paused", self._paused_at)
        return status is None or self._publisher.tell(self.ledger, status, self.standings, self._clock())


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop())


def _tell_of_poll(reading: Reading, ledger: Ledger, status: RouterStatus | None) -> None:
    took, rows, total = status.poll_ms if status else 0, reading.size, ledger.total
    figures = about("poll", poll_ms=took, rows=rows, delta=total.delta, usage=total.usage)
    _log.info(f"polled in {took} ms: {rows} rows, {total.delta} bytes more, {total.usage} in all", extra=figures)
