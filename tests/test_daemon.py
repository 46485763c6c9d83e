"""The loop with stand-ins at its two seams, a router that reads from a script and a publisher that writes down."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import load
from dalla_mqtt.daemon import Daemon
from dalla_mqtt.errors import AdminBusy, BadReply, DallaError, LoginRefused, RouterUnreachable
from dalla_mqtt.mqtt.topics import RouterStatus
from dalla_mqtt.usage.counters import Event
from dalla_mqtt.usage.ledger import Ledger
from dalla_mqtt.usage.reading import Mac, Reading, Row

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

    def leave(self) -> None:
        pass


class Publisher:
    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []
        self.events: list[str] = []
        self.stopped = False
        self.again: Callable[[float], None] = lambda _: None
        self.on_tell: Callable[[], None] = lambda: None

    def start(self, again: Callable[[float], None]) -> None:
        self.again = again

    def tell(self, ledger: Ledger, router: RouterStatus) -> bool:
        self.told.append((ledger.total.usage, router.state))
        self.on_tell()
        return True

    def tell_events(self, events: Iterable[Event], at: float) -> None:  # noqa: ARG002
        self.events += [event.event for event in events]

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

    def daemon(self, router: Router, store: Store) -> Daemon:
        return Daemon(load(self.file, {}, {}), router, store, self.publisher)

    def poll(self, *script: Reading | DallaError) -> None:
        """Polls, one after the other without a pause."""
        store = Store(self.folder / "state.db")
        router = Router(*script)
        daemon = self.daemon(router, store)
        daemon._begin()
        for _ in script:
            daemon.poll()
        store.close()

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
