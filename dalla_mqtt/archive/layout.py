"""Where the CSV files are, and which of the files on the disk are ours."""

from __future__ import annotations

import calendar
import glob
import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.usage.ledger import TOTAL, Key
from dalla_mqtt.usage.people import check_name
from dalla_mqtt.usage.tariff import Tariff

_UNSAFE = re.compile(
    r"""^[.=+\-@ ]|[ .]$|[%/\\:*?"<>|]"""
)  # leaves the folder, is a formula, or not a name on some disk
_ESCAPED = re.compile("%([0-9A-F]{2})")
_DEVICE_FILE = re.compile(r"([0-9A-F]{2}(?:-[0-9A-F]{2}){5})_([0-9.]+)\.csv")
_DIRECTIVE = re.compile(r"(%-?[A-Za-z%])")
_DIGITS = {"%Y": 4, "%G": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2, "%y": 2, "%V": 2, "%W": 2, "%U": 2, "%j": 3}
_NAMES: dict[str, Iterable[str]] = {
    "%B": calendar.month_name,
    "%b": calendar.month_abbr,
    "%A": calendar.day_name,
    "%a": calendar.day_abbr,
}
_LONG = {"%F": "%Y-%m-%d", "%D": "%m/%d/%y", "%x": "%m/%d/%y", "%T": "%H:%M:%S", "%X": "%H:%M:%S", "%R": "%H:%M"}
_YEARS = ("%Y", "%G", "%y", "%g", "%s", "%c")  # directives that never come back


class LogFile(Struct, frozen=True):
    """One of our CSV files. `rotates`: its path holds a date, so that it is never written again after its time.

    `folders`: how many of those above it are there for its date alone.
    """

    path: Path
    key: Key
    ip: str | None  # of a device
    rotates: bool
    folders: int


class Layout:
    """The paths of the archive, as the configuration has them, with the dates of the tariff's local time."""

    def __init__(self, config: ArchiveConfig, tariff: Tariff) -> None:
        self._config = replace(  # rows that are owed are paid from wherever the next daemon is started
            config,
            devices=str(Path(config.devices).absolute()),
            users=str(Path(config.users).absolute()),
            commune=str(Path(config.commune).absolute()),
        )
        self._tariff = tariff

    def devices(self, at: float) -> str:
        """The folder of the devices' files at `at`, UTC epoch seconds."""
        return self._tariff.local(at).strftime(self._config.devices)

    def users(self, at: float) -> str:
        """The folder of the users' files at `at`."""
        return self._tariff.local(at).strftime(self._config.users)

    def commune(self, at: float) -> str:
        """The file of the total at `at`."""
        return self._tariff.local(at).strftime(self._config.commune)

    def summary(self, period: date) -> Path:
        """What is kept of the billing period that begins on `period`: beside the file of its first total."""
        commune = self._tariff.midnight(period).strftime(self._config.commune)
        return Path(commune).parent / "summary.csv"

    def summaries(self) -> list[Path]:
        """The summaries that there are."""
        return sorted(Path(path) for path in _found(f"{Path(self._config.commune).parent}/summary.csv"))

    def files(self) -> Iterator[LogFile]:
        """Every CSV file that lies where ours do and is named as ours are."""
        yield from self._totals()
        yield from self._of_devices("/*")
        yield from self._of_users("/*.csv")

    def files_of(self, key: Key) -> Iterator[LogFile]:
        """Those of one series."""
        if key.kind == "total":
            return self._totals()
        if key.kind == "device":
            return self._of_devices(f"/{glob.escape(key.name)}_*")
        return self._of_users(f"/{glob.escape(user_file(key.name))}")

    def _totals(self) -> Iterator[LogFile]:
        for path in sorted(set(_found(self._config.commune))):
            yield _log_file(path, TOTAL, self._config.commune)

    def _of_devices(self, below: str) -> Iterator[LogFile]:
        for path in sorted(_found(self._config.devices, below)):
            match = _DEVICE_FILE.fullmatch(Path(path).name)
            if match:
                yield _log_file(path, Key("device", match[1]), f"{self._config.devices}/", match[2])

    def _of_users(self, below: str) -> Iterator[LogFile]:
        others = {*_found(self._config.commune), *map(str, self.summaries())}
        for path in sorted({*_found(self._config.users, below)} - others):
            name = named(Path(path).stem)
            if not _DEVICE_FILE.fullmatch(Path(path).name) and _is_user(name, Path(path).name):
                yield _log_file(path, Key("user", name), f"{self._config.users}/")


def device_file(mac: str, ip: str) -> str:
    """The name of a device's file; `mac` with dashes."""
    return f"{mac}_{ip}.csv"


def user_file(name: str) -> str:
    """The name of a user's file, which stays in its folder: `../x` is `%2E.%2Fx.csv`."""
    return f"{safe(name)}.csv"


def safe(name: str) -> str:
    """`name` as no path and no spreadsheet takes it for more."""
    return _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", name)


def named(text: str) -> str:
    """The name of which `safe` made `text`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def _is_user(name: str, file: str) -> bool:
    try:
        return check_name(name) == name and user_file(name) == file
    except ValueError:
        return False


def _log_file(path: str, key: Key, template: str, ip: str | None = None) -> LogFile:
    return LogFile(Path(path), key, ip, *_dated(template))


@cache
def _dated(template: str) -> tuple[bool, int]:
    """Whether a path rotates, and how many folders of it are there for that."""
    dated = [_rotates(part) for part in _written_out(template).split("/")]
    return any(dated), len(dated) - 1 - dated.index(True) if any(dated) else 0


def _found(template: str, below: str = "") -> Iterator[str]:
    """The files whose path is `template` at some time; `below` it: a pattern for the last part of the path."""
    pattern, shape = "", ""
    for part in _DIRECTIVE.split(_written_out(template)):
        if part == "%%":
            pattern, shape = f"{pattern}%", f"{shape}%"
        elif _DIRECTIVE.fullmatch(part):
            pattern, shape = f"{pattern}*", f"{shape}{_shape(part)}"
        else:
            pattern, shape = pattern + glob.escape(part), shape + re.escape(part)
    ours = re.compile(f"{shape}/[^/]+" if below else shape)
    found = glob.iglob(pattern + below, include_hidden=True)  # noqa: PTH207  # the pattern is a whole path
    return (path for path in found if ours.fullmatch(path) and Path(path).is_file())


def _shape(directive: str) -> str:
    """What may stand in the place of a directive."""
    if directive in _NAMES:
        return f"(?:{'|'.join(name for name in _NAMES[directive] if name)})"
    digits = _DIGITS.get(directive.replace("-", ""))
    if digits is None:
        return "[^/]+"
    return f"[0-9]{{1,{digits}}}" if "-" in directive else f"[0-9]{{{digits}}}"


def _written_out(template: str) -> str:
    return "".join(_LONG.get(part, part) for part in _DIRECTIVE.split(template))


def _rotates(template: str) -> bool:
    return any(part.replace("-", "") in _YEARS for part in _DIRECTIVE.findall(_written_out(template)))
