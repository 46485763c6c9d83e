"""A report fit for a bug report: what was found, and neither a secret nor a name."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from dalla_mqtt import __version__
from dalla_mqtt.config.settings import Settings
from dalla_mqtt.doctor.findings import Finding
from dalla_mqtt.doctor.veil import Veil
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.log import printable, utc
from dalla_mqtt.usage.reading import Reading

# The settings whose values tell nothing of anybody. Of all others only whether they are set.
_SHOWN = {
    "router": ("driver", "client", "enable_statistics", "interval", "timeout", "line_rate"),
    "mqtt": ("qos",),
    "homeassistant": ("discovery", "prefix"),
    "archive": ("enabled", "skip_idle", "keep"),
    "tariff": ("timezone", "off_peak", "period_starts"),
    "quota": ("warn_at", "topup", "at_quota"),
    "quota.throttle": ("down", "up"),
    "quota.line": ("down", "up"),
    "log": ("level", "format"),
}
_LIBRARIES = ("cryptography", "msgspec", "paho-mqtt", "pyyaml", "requests", "urllib3", "waitress", "werkzeug")


_HEAD = """\
dalla-mqtt doctor, {at}. Passwords, users, names and the halves of MAC addresses that tell devices apart are left out.
Read it before you send it.

dalla-mqtt {version}, Python {python}, {platform}
{libraries}
"""


def check_place(path: Path) -> None:
    """Whether a report can be written to `path`. Raises ConfigError: nothing that is there is ever overwritten."""
    if path.exists() or path.is_symlink():
        raise ConfigError(f"--report: {path} is there already: name another file, or delete it")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--report: there is no folder {path.parent}")


def write_report(path: Path, text: str) -> None:
    """Write it, for its owner to read. Raises ConfigError."""
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as report:
            report.write(text)
    except OSError as error:
        raise ConfigError(f"--report: cannot write {path}: {error.strerror}") from error


def report_head(at: float) -> str:
    """What it is a report of, and when; and what this machine runs."""
    return _HEAD.format(
        at=utc(at),
        version=__version__,
        python=sys.version.split()[0],
        platform=platform.platform(),
        libraries=", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
    )


def report_text(settings: Settings, findings: Iterable[Finding], reading: Reading | None, hide: Veil) -> str:
    """All that was found at one site, but for what `hide` takes out."""
    checks = (
        f"{found.verdict:5}  {found.about}: {' -> '.join(filter(None, (found.text, found.mend)))}" for found in findings
    )
    parts = {"Checks": checks, "Settings": _settings(settings), "What the router told": _shape(reading)}
    return "".join(
        f"\n{title}\n" + "".join(f"  {hide(printable(line))}\n" for line in lines) for title, lines in parts.items()
    )


def _settings(settings: Struct, above: str = "") -> Iterator[str]:
    """One line for each setting. What is not known to be harmless is not shown: new ones, too."""
    for field in msgspec.structs.fields(settings):
        key, value = f"{above}{field.name}", getattr(settings, field.name)
        if isinstance(value, Struct):
            yield from _settings(value, f"{key}.")
        elif field.name in _SHOWN.get(above.rstrip("."), ()):
            yield f"{key}: {value}"
        elif key in ("router.url", "mqtt.url"):
            yield f"{key}: {_bare(str(value))}"
        elif isinstance(value, dict):
            yield f"{key}: {len(value)} of them"
        else:
            default = field.default if field.default is not msgspec.NODEFAULT else None
            yield f"{key}: {'not set' if value is None else 'as by default' if value == default else 'set'}"


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or '(usual port)'}" if parts.hostname else url


def _shape(reading: Reading | None) -> Iterator[str]:
    """What kinds of things the router told, and how many of each."""
    if reading is None:
        yield "nothing"
        return
    yield f"rows: {len(reading.rows)}, hosts: {len(reading.hosts)}, statistics: {reading.statistics_enabled}"
    for name, structs in (("row", reading.rows), ("host", reading.hosts), ("info", (reading.info,))):
        if structs:
            fields = (field.name for field in msgspec.structs.fields(structs[0]))
            known = (f"{field} ({sum(getattr(one, field) is not None for one in structs)})" for field in fields)
            yield f"known of each {name}: {', '.join(known)}"
    wide = sum(row.bytes >= 2**32 for row in reading.rows)
    yield f"counters above 4 GiB: {wide}; the router counts every {reading.sampling_s or 'unknown number of'} s"
