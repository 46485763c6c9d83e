"""What is on record, to be looked at: summaries and pictures, beside a daemon and without one."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from dalla_mqtt.archive.beside import History
from dalla_mqtt.archive.layout import safe
from dalla_mqtt.archive.records import StoredRecords
from dalla_mqtt.config import LocalConfig
from dalla_mqtt.errors import ArchiveError, ConfigError
from dalla_mqtt.quotas import Desk
from dalla_mqtt.report.as_data import as_csv, as_json
from dalla_mqtt.report.as_html import as_html
from dalla_mqtt.report.as_text import as_text
from dalla_mqtt.report.bins import Bin, of_days, of_hours, width_for
from dalla_mqtt.report.days import Moment, parse_day, parse_days, said
from dalla_mqtt.report.plot import Form, draw
from dalla_mqtt.report.summary import Summary, summarise
from dalla_mqtt.usage.ledger import TOTAL, Device, Key, Ledger, Series, owned
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Standing, Subject, Window
from dalla_mqtt.usage.reading import Mac

Format = Literal["text", "json", "csv", "html"]
Whose = tuple[Literal["user", "device"], str]  # a user's name, or a device's MAC or name


def run_summary(config: LocalConfig, days: str, form: Format) -> None:
    """Say who used what in those days. Raises ConfigError, and ArchiveError where nothing is on record at all."""
    with closing(_history(config)) as history:
        ledger, moment = _known(history, config)
        try:
            window = parse_days(days, config.tariff, moment.today)
        except ValueError as error:
            raise ConfigError(f"--period: {error}") from error
        now_too = window.first <= moment.today <= window.last
        standings = _standings(history, config, ledger, moment.now) if now_too else {}
        summary = summarise(window, history.moved(*window), ledger, config.people.names, standings)
    _write(_rendered(summary, moment, form))


def run_plot(config: LocalConfig, whose: Whose | None, days: tuple[str | None, str | None], output: Path) -> None:
    """Draw what a user, a device or, None, all of them moved from one day to another, both named or left open.

    Raises ConfigError, and ArchiveError where nothing is on record of those days.
    """
    form = _form(output)
    with closing(_history(config)) as history:
        ledger, moment = _known(history, config)
        name, key, series = _series(whose, ledger)
        window = moment.known(_span(days, moment))
        if window is None:
            raise ArchiveError("nothing is on record of those days, so there is nothing to draw")
        since = history.days(key, window.first, date.max)
    usage = series.usage - sum(map(sum, (used for day, used in since.items() if day > window.last)))
    by = width_for(window)
    bins = _hours(config, key, window, usage) if by == "hour" else []
    if not bins:
        by = "day" if by == "hour" else by
        bins = of_days(since, window, usage, config.tariff, by)
    picture = draw(bins, f"{config.site}: {name}, {said(window)}", by, config.tariff.zone, form)
    try:
        output.write_bytes(picture)
    except OSError as error:
        raise ConfigError(f"--output: cannot write {output}: {error.strerror}") from error


def _history(config: LocalConfig) -> History:
    if not config.state.exists():
        raise ArchiveError(f"{config.state}: there is no such state file: nothing is on record before `dalla-mqtt run`")
    history = History(config.state)
    history.stand_still()
    return history


def _known(history: History, config: LocalConfig) -> tuple[Ledger, Moment]:
    """All that is known, and when."""
    ledger = owned(history.ledger(), config.people)
    recorded = None
    if ledger.at is not None:
        recorded = Window(*(config.tariff.local(at or ledger.at).date() for at in (ledger.since, ledger.at)))
    return ledger, Moment(config.site, config.tariff, time.time(), recorded, ledger.at)


def _form(output: Path) -> Form:
    """By the end of its name."""
    forms: dict[str, Form] = {".png": "png", ".svg": "svg"}
    if output.suffix.lower() not in forms:
        raise ConfigError(f"--output: expected FILE.png or FILE.svg, not {output}")
    return forms[output.suffix.lower()]


def _span(days: tuple[str | None, str | None], moment: Moment) -> Window:
    """The days from one to another; by default those of this billing period up to today."""
    parsed = []
    for flag, text in zip(("--from", "--to"), days, strict=True):
        try:
            parsed.append(parse_day(text) if text else None)
        except ValueError as error:
            raise ConfigError(f"{flag}: {error}") from error
    last = parsed[1] or moment.today
    first = parsed[0] or moment.tariff.period_of(last)
    if first > last:
        raise ConfigError(f"--from: {first} is after {last}")
    return Window(first, last)


def _series(whose: Whose | None, ledger: Ledger) -> tuple[str, Key, Series]:
    """What it is called, and its figures. Raises ConfigError where there is no such user or device, or several."""
    if whose is None:
        return "total", TOTAL, ledger.total
    kind, name = whose
    if kind == "user":
        if name not in ledger.users:
            raise ConfigError(f"--user: there is no user {name}; there are {', '.join(ledger.users)}")
        return name, Key("user", name), ledger.users[name]
    device = _device(name, ledger)
    return device.called, Key("device", device.mac.dashed), device.series


def _device(name: str, ledger: Ledger) -> Device:
    """By MAC, by the name that it was given, or by its host name."""
    with suppress(ValueError):
        mac = Mac.parse(name)
        if mac in ledger.devices:
            return ledger.devices[mac]
    named = [device for device in ledger.devices.values() if name in (device.name, device.hostname)]
    if len(named) == 1:
        return named[0]
    if named:
        raise ConfigError(f"--device: name one of them: {', '.join(device.mac.colons for device in named)}")
    raise ConfigError(f"--device: there is no device {name}; `dalla-mqtt summary` shows those that moved something")


def _hours(config: LocalConfig, key: Key, window: Window, usage: int) -> list[Bin]:
    """By the CSV files; none where there are none."""
    edges = (config.tariff.midnight(day).timestamp() for day in (window.first, window.last + timedelta(days=1)))
    return of_hours(StoredRecords(config.state, config.archive, config.tariff).hours(key, *edges), usage)


def _standings(history: History, config: LocalConfig, ledger: Ledger, now: float) -> Mapping[Subject, Standing]:
    """How it stands with all quotas now; nothing of it is kept."""
    desk = Desk(config.quotas, config.tariff, history)
    desk.begin((*config.people.names, UNKNOWN))
    desk.assess(ledger, now)
    return desk.standings


def _rendered(summary: Summary, moment: Moment, form: Format) -> bytes:
    if form == "json":
        return as_json(summary, moment)
    if form == "csv":
        return as_csv(summary, moment, safe).encode()
    if form == "html":
        return as_html(summary, moment).encode()
    columns = shutil.get_terminal_size((0, 0)).columns or None  # as wide as it is where nobody looks at a terminal
    encoding = sys.stdout.encoding or "utf-8"
    return as_text(summary, moment, columns=columns, encoding=encoding).encode(encoding)


def _write(output: bytes) -> None:
    """To standard output, whose reader may leave early."""
    try:
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the end
