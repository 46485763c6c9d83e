"""What belongs to a household, taken out of a text that strangers will read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from dalla_mqtt.config import Config
from dalla_mqtt.log import printable
from dalla_mqtt.usage.reading import Reading

_PUBLIC_NAMES = ("localhost", "tplinkwifi.net", "tplinklogin.net")
_SECRETS = ("DALLA_ROUTER_PASSWORD", "DALLA_MQTT_PASSWORD", "DALLA_HOMEASSISTANT_TOKEN")
_USUAL_FILES = {"state.db", "user-map.csv", "config.yaml", "devices", "users", "total.csv"}
_LONG_ENOUGH = 4  # characters of a secret that is taken out also from within a word
_USUAL_FOLDER = re.compile(r"logs(/\d{4}-\d\d)?")
_MAC = re.compile(r"(?<![0-9A-Fa-f])((?:[0-9A-Fa-f]{2}[:-]){2}[0-9A-Fa-f]{2})(?:[:-][0-9A-Fa-f]{2}){3}(?![0-9A-Fa-f])")
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]*(?::[0-9A-Fa-f]*){2,7}(?![\w:])")


class Veil:
    """Takes out of a text what belongs to a household."""

    def __init__(
        self, config: Config, file: Path | None, environment: Mapping[str, str], reading: Reading | None, at: float
    ) -> None:
        mqtt = config.mqtt
        secrets = [config.router.password.value, mqtt.password.value if mqtt and mqtt.password else ""]
        secrets += [environment.get(variable, "") for variable in _SECRETS]
        names = {user: f"user {number}" for number, user in enumerate(config.people.names, 1)}
        named = dict.fromkeys(host.name for host in (reading.hosts if reading else ()) if host.name)
        names |= {name: f"device {number}" for number, name in enumerate(named, 1)}
        names |= _places(config, file, at) | dict.fromkeys(secrets, "(password)") | _logins(config)
        names.pop("", None)
        self._names = {printable(name).lower(): stands for name, stands in names.items()}
        self._pattern = _any_of(self._names, [secret for secret in secrets if len(secret) >= _LONG_ENOUGH])

    def __call__(self, text: str) -> str:
        """`text` without it: half a MAC address tells the maker, a name is one of so many."""
        text = self._pattern.sub(lambda match: self._names.get(match[0].lower(), "(name)"), text)
        for addresses in (_IPV4, _IPV6):
            text = addresses.sub(lambda match: _harmless(match[0]), text)
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


def _places(config: Config, file: Path | None, at: float) -> dict[str, str]:
    """Hosts, words of topics, and paths that somebody chose."""
    found = {config.site: "(site)"} if config.site != "home" else {}
    hosts = {urlsplit(config.router.url).hostname or "": "(the router)"}
    if config.mqtt is not None:
        hosts |= {address.host: "(the broker)" for address in config.mqtt.addresses}
        if config.mqtt.base_topic != "dalla":
            found[config.mqtt.base_topic] = "(base topic)"
    found |= {host: stands for host, stands in hosts.items() if host not in _PUBLIC_NAMES and not _is_address(host)}
    for path in _paths(config, file, at):
        found |= dict.fromkeys(_written(path.parent), "(folder)")
        if path.name not in _USUAL_FILES:
            found |= dict.fromkeys(_written(path), "(file)")
    return found | dict.fromkeys((str(Path.home()), str(Path.cwd())), "(folder)")


def _paths(config: Config, file: Path | None, at: float) -> Iterator[Path]:
    yield from (config.state, config.user_map)
    if file is not None:
        yield file
    if config.archive is not None:
        local = config.tariff.local(at)
        for path in (config.archive.devices, config.archive.users, config.archive.commune):
            yield Path(local.strftime(path))


def _written(path: Path) -> set[str]:
    """All ways in which findings write a path, but for the working directory itself."""
    whole, here = path.absolute(), Path.cwd()
    ways = {str(path), str(whole)} | ({str(whole.relative_to(here))} if whole.is_relative_to(here) else set())
    return {way for way in ways if way not in (".", "/") and not _USUAL_FOLDER.fullmatch(way)}


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
