"""What is told on standard output: for people, or for machines."""

from __future__ import annotations

import io
import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

from msgspec.structs import asdict

from dalla_mqtt.config.settings import LogConfig
from dalla_mqtt.usage.events import Event

SITE: ContextVar[str] = ContextVar("site", default="")  # which of several is spoken of


def set_up_logging(config: LogConfig) -> None:
    """Write what happens to standard output. Libraries speak only of errors: their warnings are told in our words."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show
    logging.raiseExceptions = False  # nobody may be left to read what is told
    output = logging.StreamHandler(sys.stdout)
    output.setFormatter(_Json() if config.format == "json" else _Text("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=logging.ERROR, handlers=[output], force=True)
    logging.getLogger("dalla_mqtt").setLevel(config.level.upper())


class _Text(logging.Formatter):
    """One line an event, whatever a host name holds: terminals obey escape sequences."""

    def format(self, record: logging.LogRecord) -> str:
        site = SITE.get()
        record.message = printable(f"{site}: {record.getMessage()}" if site else record.getMessage())
        record.asctime = self.formatTime(record, self.datefmt)
        line = self.formatMessage(record)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    """One JSON object an event, with the time in UTC epoch seconds, and what it is `about`."""

    def format(self, record: logging.LogRecord) -> str:
        event = {"time": record.created, "level": record.levelname.lower(), "message": record.getMessage()}
        if site := SITE.get():
            event["site"] = site
        event |= getattr(record, "about", {})
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event)


def about(event: str, **figures: str | float | None) -> dict[str, object]:
    """The `extra` of a log call: what machines are told beside the message. None is left out."""
    return {"about": {"event": event, **{key: value for key, value in figures.items() if value is not None}}}


def tell(log: logging.Logger, event: Event) -> None:
    """What is out of the ordinary, in its words; machines are told all of it."""
    figures = asdict(event)
    text, name = figures.pop("text"), figures.pop("event")
    log.warning("%s", text, extra=about(name, **figures))


class Troubles:
    """What is wrong, by what it is about: told when it begins, and when it is over."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._known: dict[str, str] = {}

    def tell(self, what: str, text: str | None) -> bool:
        """What is wrong with `what` now; None: nothing. Whether that is the beginning of a trouble."""
        begins = text is not None and what not in self._known
        if text is not None and self._known.get(what) != text:
            self._log.log(logging.ERROR if begins else logging.DEBUG, "%s", text, extra=about("trouble", what=what))
            self._known[what] = text
        elif text is None and self._known.pop(what, None) is not None:
            self._log.warning("%s: all is well again", what, extra=about("well_again", what=what))
        return begins


def say(text: str) -> None:
    """What a command is asked for, in one line."""
    print(printable(text))  # noqa: T201


def utc(at: float) -> str:
    """A moment, UTC epoch seconds, as people are told of it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def printable(text: str) -> str:
    """`text` in one line, which no terminal takes for an order."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
