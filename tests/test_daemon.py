"""The loop with stand-ins at its two seams, a router that reads from a script and a publisher that writes down."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from dalla_mqtt.archive.retention import purge_due
from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import load
from dalla_mqtt.daemon import Daemon
from dalla_mqtt.errors import (
    AdminBusy,
    ArchiveError,
    BadReply,
    DallaError,
    LimitRefused,
    LoginRefused,
    RouterUnreachable,
)
from dalla_mqtt.usage.commands import Command, GiveDevice, Limit, NameDevice, Pause
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import TOTAL, Ledger
from dalla_mqtt.usage.limits import Limited, Limits
from dalla_mqtt.usage.quota import Standing, Subject
from dalla_mqtt.usage.reading import Mac, Reading, Row
from dalla_mqtt.usage.status import RouterStatus

PHONE = Mac.parse("02:00:00:00:00:01")


def reading(counter: int) -> Reading:
    return Reading((Row("192.168.1.2", PHONE, counter, counter),))


class Router:
    """Gives what the script holds."""

    def __init__(self, *script: Reading | DallaError) -> None:
        self.script = list(script)
        self.polls = 0

    def poll(self) -> Reading:
        self.polls += 1
        answer = self.script.pop(0)
        if isinstance(answer, DallaError):
            raise answer
        return answer

    def enforce(self, limits: Limits, *, dry_run: bool = False) -> Limited:  # noqa: ARG002
        raise LimitRefused("there are no rules in this script")

    def leave(self) -> None:
        pass


class Limiting(Router):
    """Takes every rule."""

    def enforce(self, limits: Limits, *, dry_run: bool = False) -> Limited:  # noqa: ARG002
        return Limited()


class Publisher:
    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []
        self.events: list[str] = []
        self.standings: Mapping[Subject, Standing] = {}
        self.stopped = False
        self.again: Callable[[float], None] = lambda _: None
        self.command: Callable[[Command], None] = lambda _: None
        self.on_tell: Callable[[], None] = lambda: None

    def start(self, again: Callable[[float], None], command: Callable[[Command], None]) -> None:
        self.again = again
        self.command = command

    def tell(
        self,
        ledger: Ledger,
        router: RouterStatus,
        standings: Mapping[Subject, Standing],
        at: float,  # noqa: ARG002
    ) -> bool:
        self.told.append((ledger.total.usage, router.state))
        self.standings = standings
        self.on_tell()
        return True

    def tell_events(self, events: Iterable[Event], at: float) -> bool:  # noqa: ARG002
        self.events += [event.event for event in events]
        return True

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002
        return True

    def stop(self) -> None:
        self.stopped = True


class Home:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "config.yaml"
        self.file.write_text("router: {password: x, interval: 1s}\narchive: {commune: total.csv}\n", "utf-8")
        self.publisher = Publisher()
        self.clock: Callable[[], float] = time.time

    def daemon(self, router: Router, store: Store) -> Daemon:
        return Daemon(load(self.file, {}, {}), router, store, self.publisher, clock=self.clock)

    def poll(self, *script: Reading | DallaError) -> None:
        """Polls, one after the other without a pause."""
        with closing(Store(self.folder / "state.db")) as store:
            daemon = self.daemon(Router(*script), store)
            daemon._begin()
            for _ in script:
                daemon.poll()

    def run(self, *script: Reading | DallaError) -> Router:
        """The loop itself, until all of the script is told."""
        store = Store(self.folder / "state.db")
        router = Router(*script)
        daemon = self.daemon(router, store)
        self.publisher.on_tell = lambda: None if router.script else daemon.stop()
        try:
            daemon.run()
        finally:
            store.close()
        return router

    @property
    def deltas(self) -> list[int]:
        return [int(line.split(", ")[2]) for line in (self.folder / "total.csv").read_text().splitlines()[1:]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_polls_follow_each_other_at_the_interval_and_the_end_is_announced(home: Home) -> None:
    assert home.run(reading(10), reading(30)).polls == 2
    assert home.publisher.told == [(10, "ok"), (30, "ok")]
    assert home.deltas == [0, 20]
    assert home.publisher.stopped


def test_a_failed_poll_is_counted_and_the_next_good_one_makes_up_for_it(home: Home) -> None:
    home.poll(reading(10), BadReply("cut"), RouterUnreachable("gone"), reading(40))
    assert home.publisher.told == [(10, "ok"), (10, "bad_reply"), (10, "unreachable"), (40, "ok")]
    assert home.deltas == [0, 30]
    assert home.publisher.events == ["router_back"]


def test_what_cannot_be_stored_is_neither_published_nor_lost(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    home.poll(reading(10))
    other = sqlite3.connect(home.folder / "state.db")
    other.execute("CREATE TRIGGER full BEFORE INSERT ON sum BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END")
    home.poll(reading(25), reading(30))
    assert home.publisher.told == [(10, "ok")] * 3
    assert home.deltas == [0]
    assert caplog.text.count("database or disk is full") == 1
    other.execute("DROP TRIGGER full")
    other.close()
    home.poll(reading(45))
    assert home.publisher.told[-1] == (45, "ok")
    assert home.deltas == [0, 35]


def test_rows_that_cannot_be_written_wait_and_keep_nobody_else_waiting(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.poll(reading(10))
    kept = (home.folder / "total.csv").rename(home.folder / "kept.csv")
    (home.folder / "total.csv").mkdir()
    home.poll(reading(15), reading(35), reading(45))
    home.poll(reading(65))  # nor after a restart
    assert caplog.text.count("cannot write") == 2
    assert f"cannot write {home.folder / 'total.csv'}: Is a directory" in caplog.text
    (users,) = home.folder.glob("logs/*/users/UNKNOWN.csv")
    assert len(users.read_text().splitlines()) == 1 + 5
    (home.folder / "total.csv").rmdir()
    kept.rename(home.folder / "total.csv")
    home.poll(reading(105))
    assert home.deltas == [0, 5, 20, 10, 20, 40]
    assert home.publisher.told[-1] == (105, "ok")


def test_files_whose_rows_wait_since_different_polls_get_them_in_order(home: Home) -> None:
    home.poll(reading(10))
    (users,) = home.folder.glob("logs/*/users/UNKNOWN.csv")
    files = [home.folder / "total.csv", users]
    store = Store(home.folder / "state.db")
    router = Router(*(reading(10 + 5 * number) for number in range(1, 7)))
    daemon = home.daemon(router, store)
    daemon._begin()
    aside = []
    for blocked in (files[0], files[1], None, None):  # first the one, then the other, too
        if blocked:
            aside.append(blocked.rename(f"{blocked}.aside"))
            blocked.mkdir()
        daemon.poll()
    for file in files:
        file.rmdir()
        Path(f"{file}.aside").rename(file)
        daemon.poll()
    store.close()
    for file in files:
        rows = [line.split(", ") for line in file.read_text().splitlines()[1:]]
        assert [int(row[1]) for row in rows] == [10, 15, 20, 25, 30, 35, 40]


def test_a_refused_password_ends_it_where_it_never_worked(home: Home) -> None:
    with pytest.raises(LoginRefused):
        home.run(LoginRefused("no"), reading(10))
    assert home.publisher.stopped


def test_a_password_that_is_refused_after_it_worked_is_never_tried_again_but_the_daemon_stays(home: Home) -> None:
    router = Router(reading(10), LoginRefused("no"), reading(20))
    store = Store(home.folder / "state.db")
    daemon = home.daemon(router, store)
    threading.Timer(3.5, daemon.stop).start()  # three polls would have come
    daemon.run()
    store.close()
    assert router.polls == 2
    assert home.publisher.told[-1] == (10, "login_refused")


def test_a_busy_router_is_told_once_and_once_that_it_is_back(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    home.poll(reading(10), AdminBusy("somebody"), AdminBusy("somebody"), reading(20))
    assert home.publisher.events == ["router_busy", "router_back"]
    assert caplog.text.count("somebody") == 1


def test_switched_off_statistics_are_told_with_the_mend(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    home.poll(*[Reading((), statistics_enabled=False)] * 2)
    assert caplog.text.count("switch them on in its page") == 1


def test_who_is_limited_is_told_at_once_also_where_the_broker_is_busy_with_the_events(home: Home) -> None:
    home.file.write_text(
        "router: {password: x, interval: 1s}\n"
        f"users: {{Alice: {{devices: ['{PHONE.dashed}'], quota: 1 kB, at_quota: throttle}}}}\n",
        "utf-8",
    )
    tell, told = home.publisher.tell, []

    def be_busy(ledger: Ledger, router: RouterStatus, standings: Mapping[Subject, Standing], at: float) -> bool:  # once
        if "limited" in home.publisher.events:
            told.append(standings[Subject("user", "Alice")].limited)
        if len(told) > 1:
            daemon.stop()
        return tell(ledger, router, standings, at) and len(told) != 1

    home.publisher.tell = be_busy  # type: ignore[method-assign]
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(Limiting(reading(100), reading(5000)), store)
        daemon.run()
    assert told == [True, True]


def test_how_quotas_stand_is_known_where_the_first_poll_is_missed(home: Home) -> None:
    home.poll(reading(10))
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(Router(RouterUnreachable("gone")), store)
        assert not daemon.run_once()
        assert [subject.name for subject in daemon.standings] == ["UNKNOWN"]


def test_a_device_that_is_given_away_while_somebody_is_limited_has_the_next_poll_hurry(home: Home) -> None:
    home.file.write_text("router: {password: x, interval: 60s}\nusers: {Alice: }\n", "utf-8")
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(Limiting(reading(10), reading(20)), store)
        daemon._begin()
        daemon.poll()
        daemon._pace.asked(time.monotonic(), daemon._status)
        daemon._obey(GiveDevice(PHONE, "Alice"))
        assert daemon._pace.due - time.monotonic() > 30
        daemon._obey(Limit(Subject("user", "Alice"), on=True))
        daemon.poll()
        daemon._pace.asked(time.monotonic(), daemon._status)
        assert home.publisher.events == ["limited"]
        daemon._obey(GiveDevice(PHONE, "UNKNOWN"))
        assert daemon._pace.due - time.monotonic() < 10


def test_after_a_restart_the_figures_go_on(home: Home) -> None:
    home.poll(reading(10), reading(30))
    home.poll(reading(70))
    assert home.deltas == [0, 20, 40]


def test_everything_is_told_again_when_the_publisher_asks_for_it(home: Home) -> None:
    store = Store(home.folder / "state.db")
    daemon = home.daemon(Router(reading(10)), store)

    def ask_once_then_stop() -> None:
        if len(home.publisher.told) == 1:
            home.publisher.again(0.1)
        else:
            daemon.stop()

    home.publisher.on_tell = ask_once_then_stop
    daemon.run()  # there is no second reading: it would fail
    store.close()
    assert home.publisher.told == [(10, "ok")] * 2


def test_a_stop_does_not_wait_for_the_router(home: Home) -> None:
    class Silent(Router):
        def poll(self) -> Reading:
            daemon.stop()
            return threading.Event().wait() and reading(1)  # type: ignore[return-value]  # never

    store = Store(home.folder / "state.db")
    daemon = home.daemon(Silent(), store)
    daemon.run()
    store.close()
    assert home.publisher.told == []
    assert home.publisher.stopped


def test_a_fault_of_our_own_ends_it_and_is_not_taken_for_the_routers(home: Home) -> None:
    with pytest.raises(IndexError):
        home.run()  # a router whose script is empty


def lose(home: Home, how: str) -> bytes:
    """What is left of the state file."""
    file = home.folder / "state.db"
    if how == "missing":
        file.unlink()
        return b""
    content = file.read_bytes()
    file.write_bytes(content[:2000] + b"\xa5" * 3000 if how == "damaged" else b"")
    return file.read_bytes()


@pytest.mark.parametrize("how", ["missing", "damaged", "empty"])
def test_where_the_state_is_lost_the_figures_go_on_from_the_files(
    home: Home, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    home.poll(reading(10), reading(30))
    left = lose(home, how)
    home.poll(reading(70), reading(75))
    assert home.publisher.told == [(10, "ok"), (30, "ok"), (30, "ok"), (35, "ok")]
    assert home.deltas == [0, 20, 0, 5]
    assert "it is made again from 3 CSV files, up to 20" in caplog.text
    aside = home.folder / "state.db.damaged-1"
    assert aside.exists() == (f"kept as {aside}" in caplog.text) == (how == "damaged")
    assert not aside.exists() or aside.read_bytes() == left
    caplog.clear()
    home.poll(reading(80))
    assert home.publisher.told[-1] == (40, "ok")
    assert "made again" not in caplog.text


def test_without_state_and_files_counting_begins_anew(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    home.file.write_text("router: {password: x, interval: 1s}\narchive: {enabled: false}\n", "utf-8")
    home.poll(reading(10), reading(30))
    lose(home, "missing")
    home.poll(reading(70))
    assert home.publisher.told[-1] == (70, "ok")
    assert "made again" not in caplog.text


def test_files_that_cannot_be_read_end_it_rather_than_that_figures_are_lost(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.poll(reading(10))
    lose(home, "missing")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("dalla_mqtt.archive.rebuild.read_span", refuse)
    with pytest.raises(ArchiveError, match=r"\.csv: figures of before cannot be read: Permission denied"):
        home.poll(reading(20))
    monkeypatch.undo()
    home.poll(reading(30))
    assert home.publisher.told[-1] == (10, "ok")


def test_while_this_machines_clock_is_not_set_nothing_is_polled(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    router = Router(reading(10))
    said = [0.0, 60.0, 1_700_000_000.0]
    polled = []

    def clock() -> float:
        polled.append(router.polls)
        return said.pop(0) if said else time.time()

    home.clock = clock
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(router, store)
        home.publisher.on_tell = daemon.stop
        daemon.run()
    assert polled[:4] == [0, 0, 0, 0]
    assert home.publisher.told == [(10, "ok")]
    errors = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in errors] == [
        "this machine's clock says 1970-01-01 00:00 UTC, which cannot be: waiting until it is set",
        "clock: all is well again",
    ]


def test_a_clock_that_is_behind_the_last_record_is_waited_for_and_then_believed(
    home: Home, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.clock = lambda: time.time() + 86_400
    home.poll(reading(10))
    monkeypatch.setattr("dalla_mqtt.daemon._CLOCK_PATIENCE_S", 1.2)
    home.clock = time.time
    began = time.monotonic()
    home.run(reading(30))
    assert time.monotonic() - began >= 1.2
    assert home.publisher.told == [(10, "ok"), (30, "ok")]
    assert caplog.text.count("which cannot be") == 1
    assert caplog.text.count("this machine's clock was set back: it goes on from 20") == 1


def test_a_clock_that_is_behind_by_less_than_a_minute_is_no_reason_to_wait(home: Home) -> None:
    home.clock = lambda: time.time() + 50
    home.poll(reading(10))
    home.clock = time.time
    home.run(reading(30))
    assert home.deltas == [0, 20]


@pytest.mark.alone
@pytest.mark.parametrize("once", [True, False])
def test_a_stop_ends_the_waiting_for_the_clock(home: Home, *, once: bool) -> None:
    home.clock = lambda: 0.0
    router = Router()
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(router, store)
        threading.Timer(0.3, daemon.stop).start()
        began = time.monotonic()
        assert daemon.run_once() if once else daemon.run() is None
    assert time.monotonic() - began < 2
    assert router.polls == 0


class Calendar:
    """A clock that is set by hand, in days since the beginning of 2026."""

    def __init__(self, home: Home, keep: str = "30d") -> None:
        text = f"router: {{password: x, interval: 1s}}\narchive: {{keep: {keep}}}\ntariff: {{timezone: UTC}}\n"
        home.file.write_text(text, "utf-8")
        home.clock = lambda: datetime(2026, 1, 1, tzinfo=UTC).timestamp() + self.day * 86_400
        self.day = 0.5


@pytest.fixture
def purges(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When it was purged."""
    times = []

    def spy(*arguments: object) -> Iterator[object]:
        times.append(float(str(arguments[-1])))
        return purge_due(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("dalla_mqtt.archive.retention.purge_due", spy)
    return times


def live(home: Home, *days: float, keep: str = "30d") -> None:
    calendar = Calendar(home, keep)
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(Router(*(reading(10 + number) for number in range(len(days)))), store)
        daemon._begin()
        for calendar.day in days:
            daemon.poll()


def test_old_rows_are_purged_once_a_day(home: Home, caplog: pytest.LogCaptureFixture, purges: list[float]) -> None:
    caplog.set_level(logging.INFO)
    live(home, 0.1, 20.1, 20.9, 40.1, 40.2, 60.1, 60.2)
    assert len(purges) == 3
    assert caplog.text.count("purged old rows") == 1
    assert "purged old rows from 3 files; what they add up to is in summary.csv" in caplog.text
    left = {str(path.relative_to(home.folder)) for path in home.folder.glob("logs/2026-0[12]/**/*.csv")}
    assert "logs/2026-01/summary.csv" in left
    assert "logs/2026-02/total.csv" in left
    assert "logs/2026-01/total.csv" not in left


def test_a_clock_that_leaps_over_years_purges_nothing_before_it_has_stayed_there_for_a_day(
    home: Home, purges: list[float]
) -> None:
    live(home, 0.1, 1.1)
    assert len(purges) == 1
    live(home, 3_650.1, 3_650.2, 1.2, 1.3)
    assert len(purges) == 1 + 1  # the day that was there before
    live(home, 3_650.1, 3_651.1)
    assert len(purges) == 3


def test_rows_that_are_kept_for_ever_are_not_looked_at(home: Home, purges: list[float]) -> None:
    live(home, 0.1, 400.1, keep="forever")
    assert purges == []


def test_a_purge_that_fails_is_told_once_and_harms_nothing(
    home: Home, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(home, 0.1, 20.1, 40.1)
    blocker = home.folder / "logs" / "2026-01" / "summary.csv"
    blocker.write_text("mine")
    live(home, 80.1, 81.1)
    assert caplog.text.count(f"cannot purge {blocker}: another file is in the place of the summary") == 1
    assert home.publisher.told[-1][1] == "ok"
    blocker.unlink()
    monkeypatch.setattr("dalla_mqtt.daemon.Store.moved", fail)
    live(home, 81.2)
    assert caplog.text.count("cannot purge: state.db: it cannot be read; tomorrow again") == 1
    monkeypatch.undo()
    assert not blocker.exists()
    live(home, 81.3)
    assert blocker.exists()


def fail(*_: object) -> None:
    raise ArchiveError("state.db: it cannot be read")


def test_a_purge_that_succeeds_after_one_that_did_not_is_told(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    live(home, 0.1, 20.1, 40.1)
    blocker = home.folder / "logs" / "2026-01" / "summary.csv"
    blocker.write_text("mine")
    calendar = Calendar(home)
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(Router(reading(70), reading(80)), store)
        daemon._begin()
        calendar.day = 80.1
        daemon.poll()
        blocker.unlink()
        calendar.day = 81.1
        daemon.poll()
    assert "retention: all is well again" in caplog.text


def test_a_stop_ends_a_purge_after_the_file_in_hand(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    live(home, 0.1, 20.1, 40.1)
    calendar = Calendar(home)
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(Router(reading(70)), store)

        def stopped(*arguments: object) -> Iterator[object]:
            for job in purge_due(*arguments):  # type: ignore[arg-type]
                daemon.stop()
                yield job

        monkeypatch.setattr("dalla_mqtt.archive.retention.purge_due", stopped)
        daemon._begin()
        calendar.day = 80.1
        daemon.poll()
    left = [path for path in home.folder.glob("logs/2026-01/**/*.csv") if path.name != "summary.csv"]
    assert len(left) == 2


def test_a_state_file_that_cannot_be_asked_at_midnight_costs_nothing(
    home: Home, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(home, 0.1)
    monkeypatch.setattr("dalla_mqtt.daemon.Store.moved", fail)
    live(home, 31.1)
    assert "it cannot be read; nothing is lost, the next poll makes up for it" in caplog.text
    monkeypatch.undo()
    live(home, 31.2)
    assert home.publisher.told[-1][1] == "ok"


def test_a_name_that_cannot_be_stored_is_told_and_stored_with_the_next_poll(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise ArchiveError("no space left")

    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(Router(reading(10), reading(30)), store)
        daemon._begin()
        daemon.poll()
        with monkeypatch.context() as disk:
            disk.setattr(store, "save", full)
            daemon._obey(NameDevice(PHONE, "Alice's phone"))
            assert "no space left" in caplog.text
        assert home.publisher.events == []
        daemon.poll()
        assert store.moved(date.min, date.max)[TOTAL] == (20, 0), "what was booked is not booked twice"
    with closing(Store(home.folder / "state.db")) as store:
        assert store.load().devices[PHONE].name == "Alice's phone"


def test_a_pause_that_is_wished_for_before_the_clock_is_set_holds_the_first_poll_back(home: Home) -> None:
    times = [time.time(), 0.0]
    home.clock = lambda: times.pop() if len(times) > 1 else times[0]
    with closing(Store(home.folder / "state.db")) as store:
        router = Router(reading(10))
        daemon = home.daemon(router, store)
        daemon._wishes.put(Pause(on=True))
        home.publisher.on_tell = daemon.stop
        daemon.run()
    assert router.polls == 0
    assert home.publisher.told == [(0, "paused")]


def test_a_pause_that_ends_where_no_poll_may_be_made_shows_the_state_from_before(home: Home) -> None:
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(Router(AdminBusy("or a wrong password")), store)
        daemon._begin()
        daemon.poll()
        daemon._pace.asked(0, daemon._status)
        for on in (True, True, False):
            daemon._obey(Pause(on=on))
            daemon._tell()
    assert [state for _, state in home.publisher.told] == ["busy", "paused", "paused", "busy"]
    assert home.publisher.events == ["router_busy"]


def test_a_second_pause_does_not_make_the_first_longer(home: Home) -> None:
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(Router(), store)
        daemon._obey(Pause(on=True))
        due = daemon._pace.due
        daemon._obey(Pause(on=True))
        assert daemon._pace.due == due


def test_what_time_alone_decides_is_told_in_a_pause_too(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dalla_mqtt.daemon._TELL_S", 0.01)
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(Router(reading(10)), store)
        home.publisher.on_tell = lambda: daemon.stop() if len(home.publisher.told) > 3 else None
        daemon._begin()
        daemon.poll()
        daemon._obey(Pause(on=True))
        for moment in daemon._wait():
            daemon._sleep(moment)
    assert home.publisher.told == [(10, "ok"), *[(10, "paused")] * 3]


def test_a_map_that_cannot_be_written_leaves_the_device_where_it_is(home: Home) -> None:
    (home.folder / "config.yaml").write_text("router: {password: x}\nusers: {Alice: {}, Bob: {}}\n", "utf-8")
    with closing(Store(home.folder / "state.db")) as store:
        daemon = home.daemon(Router(reading(10)), store)
        daemon._begin()
        daemon.poll()
        (home.folder / "user-map.csv").mkdir()
        daemon._obey(GiveDevice(PHONE, "Bob"))
        assert home.publisher.events == ["command_refused"]
        assert daemon.ledger.devices[PHONE].user == "UNKNOWN"


def test_a_user_who_left_owns_nothing_even_before_the_router_answers(home: Home) -> None:
    for users, owner in (("{Alice: {devices: ['02:00:00:00:00:01']}}", "Alice"), ("{}", "UNKNOWN")):
        (home.folder / "config.yaml").write_text(f"router: {{password: x}}\nusers: {users}\n", "utf-8")
        with closing(Store(home.folder / "state.db")) as store:
            daemon = home.daemon(Router(reading(10)), store)
            daemon._begin()
            if owner == "Alice":
                daemon.poll()
            assert daemon.ledger.devices[PHONE].user == owner


def test_a_start_without_the_router_tells_all_the_same_how_quotas_stand(home: Home) -> None:
    home.file.write_text(
        f"router: {{password: x, interval: 1s}}\nusers: {{Alice: {{devices: ['{PHONE.dashed}'], quota: 1 kB}}}}\n",
        "utf-8",
    )
    home.poll(reading(10), reading(110))
    home.publisher.standings = {}
    home.run(RouterUnreachable("it is switched off"))
    standing = home.publisher.standings[Subject("user", "Alice")]
    assert [allowance.used for allowance in standing.allowances] == [100]
