"""The router: there, letting us in, counting. It is asked twice at most, and never again once it has refused us."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.archive.store import Facts
from dalla_mqtt.config import Config
from dalla_mqtt.doctor.findings import Finding, Notice, counted, hint, listed, ok, wrong
from dalla_mqtt.errors import (
    AdminBusy,
    ArchiveError,
    BadReply,
    ConfigError,
    DallaError,
    LoginRefused,
    RouterUnreachable,
)
from dalla_mqtt.router import Router, open_router
from dalla_mqtt.usage.people import People
from dalla_mqtt.usage.reading import TABLE_ROWS, Mac, Reading

_SAMPLING_S = 10.0  # how often the router counts, where it does not say
_CONNECT_S = 5.0
_NAT = "switch Bandwidth Control on in the router's page, or Hardware NAT off: past that it counts next to nothing"
_SWITCH = "in the router's page, under System Tools, Statistics, press Enable"
_MENDS: dict[type[DallaError], str] = {
    LoginRefused: "put the password of its page into router.password_file or DALLA_ROUTER_PASSWORD. It was tried once, "
    "and is not tried again: after ten wrong ones the router locks its page for two hours",
    AdminBusy: "log out of the router's page on every machine, or wait ten minutes, and make sure of the password; "
    "then ask once more, and not more than three times",
    RouterUnreachable: "see whether its page opens in a browser at the address in router.url",
    BadReply: "see whether router.url is the router's own address; with --report FILE a bug report can be written",
}


class Word(Struct, frozen=True):
    """What a running daemon last published of the router, on its topic `router`."""

    state: str
    since: str


def read_word(payload: bytes | None) -> Word | None:
    """What was published; None where it is not that."""
    try:
        return msgspec.json.decode(payload or b"", type=Word)
    except msgspec.DecodeError:
        return None


class _Recollection:
    """What the daemon's driver found out, so that it need not be tried again; there may be no state file yet."""

    def __init__(self, state: Path) -> None:
        self._facts = Facts(state)

    def recall(self, key: str) -> str | None:
        """See router.Memory."""
        with suppress(ArchiveError):
            return self._facts.recall(key)
        return None

    def keep(self, key: str, value: str) -> None:
        """See router.Memory."""
        with suppress(ArchiveError):
            self._facts.keep(key, value)


class RouterExam:
    """Asks the router of `config`. `reading`: its last answer; `refused`: whether it refused the password.

    `word`: what a daemon that runs beside us has published. `sampling_s`: how often the router counts, where it does
    not say so.
    """

    def __init__(self, config: Config, word: Word | None, notice: Notice, sampling_s: float = _SAMPLING_S) -> None:
        self._config = config
        self._word = word
        self._notice = notice
        self._sampling_s = sampling_s
        self.reading: Reading | None = None
        self.refused = False

    def findings(self) -> Iterator[Finding]:
        """Each as soon as it is known. An end in the middle, by Ctrl-C, gives the login back."""
        told = self._told()
        if told is not None:
            yield told
            return
        url = urlsplit(self._config.router.url)
        reached = _reach(url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
        yield reached
        if reached.verdict == "wrong":
            return
        try:
            # nothing is changed in the router, and a password that was refused is tried this once more
            config = replace(self._config.router, enable_statistics=False)
            router = open_router(config, _Recollection(self._config.state), once_more=True)
        except ConfigError as error:
            yield wrong("router", str(error), "mend that in config.yaml, or install what is missing")
            return
        try:
            yield from self._ask(router)
        finally:
            router.leave()

    def _told(self) -> Finding | None:
        """Why the router need not be asked: a daemon knows, and it would only be in its owner's way."""
        match self._word:
            case Word("busy", since):
                text = f"the dalla-mqtt that runs says that somebody else is logged in to it, since {since}"
                return wrong("router", text, "log out of the router's page; dalla-mqtt goes on by itself")
            case Word("login_refused", since):
                self.refused = True
                text = f"the dalla-mqtt that runs says that the password was refused, on {since}"
                return wrong("router", text, _MENDS[LoginRefused])
            case Word("paused", since):
                text = f"polling is paused since {since}: the router is left to its owner, and not asked now"
                return hint("router", text, "that ends by itself after 20 minutes, or by OFF on pause/set")
        return None

    def _ask(self, router: Router) -> Iterator[Finding]:
        began = time.monotonic()
        try:
            reading = self.reading = router.poll()
        except DallaError as error:
            self.refused = isinstance(error, LoginRefused)
            yield wrong("login" if self.refused or isinstance(error, AdminBusy) else "router", *_about(error))
            return
        took_s = time.monotonic() - began
        info = reading.info
        by = f", by its login of kind {info.login}" if info.login else ""
        yield ok("login", f"it lets us in as {self._config.router.username}{by}")
        yield ok("model", _model(reading))
        yield self._answer_time(took_s)
        if not reading.statistics_enabled:
            yield wrong("statistics", "they are switched off in the router, so nothing is counted", _SWITCH)
            return
        yield ok("statistics", "are switched on")
        yield from self._growth(router, reading)
        yield from _table(self.reading)
        yield from _absent(self.reading, self._config.people)

    def _answer_time(self, took_s: float) -> Finding:
        text = f"it answered in {took_s * 1000:.0f} ms"
        if took_s > self._config.router.timeout / 2:
            return hint("answer time", text, "it is slow: set router.timeout higher, such as 30s, and look at its load")
        return ok("answer time", text)

    def _growth(self, router: Router, before: Reading) -> Iterator[Finding]:
        """Whether the counters grow until the router has counted again."""
        wait_s = before.sampling_s or self._sampling_s
        self._notice(f"waiting {wait_s:.0f} s to see whether the router's counters grow")
        time.sleep(wait_s)
        try:
            after = self.reading = router.poll()
        except DallaError as error:
            yield wrong("counting", f"it did not answer a second time: {_about(error)[0]}", _about(error)[1])
            return
        yield _counting(before, after, wait_s)


def _about(error: DallaError) -> tuple[str, str]:
    return str(error), _MENDS.get(type(error), "ask once more")


def _reach(host: str, port: int) -> Finding:
    """Whether anybody is there; no more than that is said to them."""
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except (socket.gaierror, UnicodeError):  # UnicodeError: no name can be like that
        mend = "put its number into router.url, such as http://192.168.1.1: it stands on the sticker beneath the router"
        return wrong("router", f"nobody knows the name {host}", mend)
    except ConnectionRefusedError:
        mend = "see whether its page opens in a browser at the address in router.url"
        return wrong("router", f"there is a machine at {host}, but no page of a router at port {port}", mend)
    except OSError as error:
        mend = "is it switched on, is this machine in its network, and is router.url its address?"
        return wrong("router", f"nobody answers at {host}, port {port}: {error.strerror or error}", mend)
    return ok("router", f"somebody answers at {host}, port {port}")


def _model(reading: Reading) -> str:
    info = reading.info
    parts = [info.model or "the router does not say its model"]
    parts += [f"hardware {info.hardware}"] if info.hardware else []
    parts += [f"firmware {info.firmware}"] if info.firmware else []
    parts += [f"up for {_span(info.uptime_s)}"] if info.uptime_s is not None else []
    return ", ".join(parts)


def _span(seconds: int) -> str:
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return counted(seconds // size, unit)
    return counted(seconds, "second")


def _counting(before: Reading, after: Reading, wait_s: float) -> Finding:
    old = {row.key: row.bytes for row in before.rows}
    grown = sum(old.get(row.key, 0) != row.bytes for row in after.rows)
    if grown:
        return ok("counting", f"{grown} of {counted(len(after.rows), 'counter')} grew within {wait_s:.0f} s")
    if after.rows:
        text = f"none of {counted(len(after.rows), 'counter')} grew within {wait_s:.0f} s"
        return hint("counting", text, f"open some web page on a phone and ask again; if it stays so, {_NAT}")
    if after.hosts:
        text = f"the router knows {counted(len(after.hosts), 'device')} and counts none of them"
        return wrong("counting", text, _NAT)
    return hint("counting", "no device is connected to the router", "open some web page on a phone, and ask again")


def _table(reading: Reading | None) -> Iterator[Finding]:
    if reading is None or not reading.rows:
        return
    moved_gb = sum(row.bytes for row in reading.rows) / 1e9
    text = f"{reading.size} of {TABLE_ROWS} rows are taken, {moved_gb:.2f} GB in all"
    if reading.full:
        mend = "press Delete All on its page, under System Tools, Statistics: dalla-mqtt keeps what it has counted"
        yield wrong("table", f"{text}: devices that come now are not counted", mend)
    else:
        yield ok("table", text)
    unnamed = [host.mac.colons for host in reading.hosts if host.name is None]
    without = f", without a name: {listed(unnamed)}" if unnamed else ""
    yield ok("names", f"the router knows {counted(len(reading.hosts), 'device')}{without}")


def _absent(reading: Reading | None, people: People) -> Iterator[Finding]:
    """Whose devices the router does not show: they are away, or their MAC is misspelt."""
    if reading is None or not (reading.rows or reading.hosts):
        return
    shown: set[Mac | None] = {*(row.mac for row in reading.rows), *(host.mac for host in reading.hosts)}
    absent = [f"{mac.colons} ({name})" for mac, name in people.macs.items() if mac not in shown]
    if absent:
        mend = "right if they are away; else compare their MACs with those on the router's page"
        yield hint("users", f"the router does not know {listed(absent)}", mend)
