"""What is told on standard output: for people, or for machines."""

from __future__ import annotations

import io
import json
import logging
import sys
from datetime import UTC, datetime

from dalla_mqtt.config.settings import LogConfig


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
        record.message = printable(record.getMessage())
        record.asctime = self.formatTime(record, self.datefmt)
        line = self.formatMessage(record)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    """One JSON object an event, with the time in UTC epoch seconds."""

    def format(self, record: logging.LogRecord) -> str:
        event = {"time": record.created, "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event)


class Troubles:
    """What is wrong, by what it is about: told when it begins, and when it is over."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._known: dict[str, str] = {}

    def tell(self, about: str, text: str | None) -> bool:
        """What is wrong with `about` now; None: nothing. Whether that is the beginning of a trouble."""
        begins = text is not None and about not in self._known
        if text is not None and self._known.get(about) != text:
            self._log.log(logging.ERROR if begins else logging.DEBUG, "%s", text)
            self._known[about] = text
        elif text is None and self._known.pop(about, None) is not None:
            self._log.warning("%s: all is well again", about)
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
