"""A report fit for a bug report: what was found, and neither a secret nor a name."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from dalla_mqtt import __version__
from dalla_mqtt.config import Config
from dalla_mqtt.config.settings import Settings
from dalla_mqtt.doctor.findings import Finding
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.log import printable, utc
from dalla_mqtt.usage.reading import Reading

# The settings whose values tell nothing of anybody. Of all others only whether they are set.
_SHOWN = {
    "router": ("driver", "interval", "timeout", "line_rate"),
    "mqtt": ("qos",),
    "homeassistant": ("discovery", "prefix"),
    "archive": ("enabled", "skip_idle", "keep"),
    "tariff": ("timezone", "off_peak", "period_starts"),
    "log": ("level", "format"),
}
_LIBRARIES = ("cryptography", "msgspec", "paho-mqtt", "pyyaml", "requests", "urllib3")
_PUBLIC_NAMES = ("localhost", "tplinkwifi.net", "tplinklogin.net")
_SECRETS = ("DALLA_ROUTER_PASSWORD", "DALLA_MQTT_PASSWORD", "DALLA_HOMEASSISTANT_TOKEN")
_LONG_ENOUGH = 4  # characters of a secret that is taken out also from within a word

_MAC = re.compile(r"\b((?:[0-9A-Fa-f]{2}[:-]){2}[0-9A-Fa-f]{2})(?:[:-][0-9A-Fa-f]{2}){3}\b")
_ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]*(?::[0-9A-Fa-f]*){2,7})(?![\w:])")

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


def report_text(
    config: Config, settings: Settings, findings: Iterable[Finding], reading: Reading | None, at: float
) -> str:
    """All of it, of one moment."""
    head = _HEAD.format(
        at=utc(at),
        version=__version__,
        python=sys.version.split()[0],
        platform=platform.platform(),
        libraries=", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
    )
    hide = _Veil(config, reading, os.environ)
    checks = (
        f"{found.verdict:5}  {found.about}: {' -> '.join(filter(None, (found.text, found.mend)))}" for found in findings
    )
    parts = {"Checks": checks, "Settings": _settings(settings), "What the router told": _shape(reading)}
    return head + "".join(
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
        elif key == "users":
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


class _Veil:
    """Takes out of a text what belongs to a household."""

    def __init__(self, config: Config, reading: Reading | None, environment: Mapping[str, str]) -> None:
        mqtt = config.mqtt
        secrets = [config.router.password.value, mqtt.password.value if mqtt and mqtt.password else ""]
        secrets += [environment.get(variable, "") for variable in _SECRETS]
        names: dict[str, str] = {}
        for number, user in enumerate(config.people.names, 1):
            names[user] = f"user {number}"
        named = dict.fromkeys(host.name for host in (reading.hosts if reading else ()) if host.name)
        names |= {name: f"device {number}" for number, name in enumerate(named, 1)}
        names |= _places(config) | dict.fromkeys(secrets, "(password)") | _logins(config)
        names.pop("", None)
        self._names = {printable(name).lower(): stands for name, stands in names.items()}
        self._pattern = _any_of(self._names, [secret for secret in secrets if len(secret) >= _LONG_ENOUGH])

    def __call__(self, text: str) -> str:
        text = self._pattern.sub(lambda match: self._names[match[0].lower()], text)
        text = _ADDRESS.sub(lambda match: _harmless(match[0]), text)
        return _MAC.sub(lambda match: f"{match[1]}:…", text)


def _any_of(names: Iterable[str], secrets: Iterable[str]) -> re.Pattern[str]:
    """Longer ones first; a secret also where it is a part of a word."""
    anywhere = {secret.lower() for secret in secrets}
    patterns = (
        re.escape(name) if name in anywhere else rf"(?<!\w){re.escape(name)}(?!\w)"
        for name in sorted(names, key=len, reverse=True)
    )
    return re.compile("|".join(patterns), re.IGNORECASE)


def _logins(config: Config) -> dict[str, str]:
    mqtt = config.mqtt
    return {config.router.username: "(user name)", (mqtt.username if mqtt else None) or "": "(user name)"}


def _places(config: Config) -> dict[str, str]:
    """Hosts, folders, and words of topics that somebody chose."""
    found = {}
    hosts = {urlsplit(config.router.url).hostname or "": "(the router)"}
    if config.mqtt is not None:
        hosts[config.mqtt.host] = "(the broker)"
        if config.mqtt.base_topic != "dalla":
            found[config.mqtt.base_topic] = "(base topic)"
    found |= {host: stands for host, stands in hosts.items() if host not in _PUBLIC_NAMES and not _is_address(host)}
    if config.site != "home":
        found[config.site] = "(site)"
    files = [config.state, config.user_map]
    if config.archive is not None:
        files += [Path(path) for path in (config.archive.devices, config.archive.users, config.archive.commune)]
    for folder in (*(file.parent for file in files), Path.home(), Path.cwd()):
        for name in {str(folder), str(folder.absolute())} - {"/", ".", ""}:
            found[name] = "(folder)"
    return found


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _harmless(text: str) -> str:
    """An address within the house as it is; any other one tells where the house is."""
    if not _is_address(text):
        return text
    return text if ip_address(text).is_private else "(an address)"
