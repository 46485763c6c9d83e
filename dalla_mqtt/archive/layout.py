"""Where the CSV files are, and which of the files on the disk are ours."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from msgspec import Struct

from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.usage.ledger import TOTAL, Key
from dalla_mqtt.usage.tariff import Tariff

_UNSAFE = re.compile(
    r"""^[.=+\-@ ]|[ .]$|[%/\\:*?"<>|]"""
)  # leaves the folder, is a formula, or not a name on some disk
_ESCAPED = re.compile("%([0-9A-F]{2})")
_DEVICE_FILE = re.compile(r"([0-9A-F]{2}(?:-[0-9A-F]{2}){5})_([0-9.]+)\.csv")
_DIRECTIVE = re.compile(r"(%-?[A-Za-z%])")
_DIGITS = {"%Y": 4, "%G": 4, "%m": 2, "%d": 2, "%H": 2, "%y": 2, "%V": 2, "%W": 2, "%U": 2, "%j": 3}
_YEARS = ("%Y", "%G", "%y", "%g", "%F", "%D", "%s", "%c", "%x")  # directives that never come back


class LogFile(Struct, frozen=True):
    """One of our CSV files. `rotates`: its path holds a date, so that it is never written again after its time."""

    path: Path
    key: Key
    ip: str | None  # of a device
    rotates: bool


class Layout:
    """The paths of the archive, as the configuration has them, with the dates of the tariff's local time."""

    def __init__(self, config: ArchiveConfig, tariff: Tariff) -> None:
        self._config = config
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
        folder = str(Path(self._config.commune).parent)
        return sorted(Path(path) for path in _found(f"{folder}/summary.csv"))

    def files(self) -> Iterator[LogFile]:
        """Every CSV file that lies where ours do and is named as ours are."""
        totals = set(_found(self._config.commune))
        for path in sorted(totals):
            yield LogFile(Path(path), TOTAL, None, _rotates(self._config.commune))
        summaries = set(map(str, self.summaries()))
        for path in sorted(_found(f"{self._config.devices}/*")):
            match = _DEVICE_FILE.fullmatch(Path(path).name)
            if match:
                yield LogFile(Path(path), Key("device", match[1]), match[2], _rotates(self._config.devices))
        for path in sorted({*_found(f"{self._config.users}/*.csv")} - totals - summaries):
            if not _DEVICE_FILE.fullmatch(Path(path).name):
                user = Key("user", named(Path(path).stem))
                yield LogFile(Path(path), user, None, _rotates(self._config.users))


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


def _found(template: str) -> Iterator[str]:
    """The files whose path is `template` at some time; `*` is any name."""
    pattern, shape = "", ""
    for part in re.split(r"(%-?[A-Za-z%]|\*)", template):
        if part == "*":
            pattern, shape = f"{pattern}*", f"{shape}[^/]+"
        elif part == "%%":
            pattern, shape = f"{pattern}%", f"{shape}%"
        elif _DIRECTIVE.fullmatch(part):
            digits = _DIGITS.get(part)
            pattern, shape = f"{pattern}*", shape + (f"[0-9]{{{digits}}}" if digits else "[^/]+")
        else:
            pattern, shape = pattern + glob.escape(part), shape + re.escape(part)
    ours = re.compile(shape)
    found = glob.iglob(pattern, include_hidden=True)  # noqa: PTH207  # the pattern is a whole path
    return (path for path in found if ours.fullmatch(path) and Path(path).is_file())


def _rotates(template: str) -> bool:
    return any(directive in template.replace("%%", "") for directive in _YEARS)
