"""What Home Assistant's Supervisor demands of an app: its rules of 2026, supervisor/apps/validate.py and options.py."""

from __future__ import annotations

import re
from typing import Any

import voluptuous as vol

_ELEMENT = re.compile(
    r"(?:bool|email|url|port|device(?:\(subsystem=[a-z]+\))?"
    r"|(?:str|password)(?:\((?P<length>\d*,\d*)\))?"
    r"|int(?:\((?P<int>(?:-?\d+)?,(?:-?\d+)?)\))?"
    r"|float(?:\((?P<float>(?:-?\d*\.?\d+)?,(?:-?\d*\.?\d+)?)\))?"
    r"|match\((?P<match>.*)\)|list\((?P<list>.+)\))\??"
)
_ELEMENTS = vol.Schema(
    vol.Any(
        vol.Match(_ELEMENT.pattern + "$"),
        [vol.Any(vol.Match(_ELEMENT.pattern + "$"), {str: vol.Self})],  # no list directly in a list
        {str: vol.Self},
    )
)
_PORT = vol.All(vol.Coerce(int), vol.Range(1, 65_535))
_DOCKER_PORT = vol.Match(r"^\d+(?:/tcp|/udp)?$")
_SWITCHES = (
    *(
        "init",
        "ingress",
        "ingress_stream",
        "panel_admin",
        "host_network",
        "host_pid",
        "host_ipc",
        "host_uts",
        "host_dbus",
    ),
    *(
        "udev",
        "tmpfs",
        "apparmor",
        "full_access",
        "audio",
        "video",
        "gpio",
        "usb",
        "uart",
        "devicetree",
        "kernel_modules",
    ),
    *("realtime", "hassio_api", "homeassistant_api", "stdin", "legacy", "docker_api", "auth_api", "journald"),
)
_FOLDERS = (
    *("data", "ssl", "addons", "backup", "share", "media"),
    *("homeassistant_config", "all_addon_configs", "addon_config"),
)

# What is deprecated is left out: `advanced`, `codenotary`, `auto_uart`, `snapshot…`, `map: config`, further `arch`.
# Keys that the Supervisor does not know, and drops, are a mistake here.
MANIFEST = vol.Schema(
    {
        vol.Required("name"): vol.All(str, vol.Length(min=1)),
        vol.Required("version"): str,
        vol.Required("slug"): vol.Match(r"^[-_.A-Za-z0-9]+$"),
        vol.Required("description"): str,
        vol.Required("arch"): [vol.In(("aarch64", "amd64"))],
        "url": vol.Url(),
        "image": vol.Match(r"^([a-zA-Z\-\.:\d{}]+/)*?([\-\w{}]+)/([\-\w{}]+)$"),
        "homeassistant": str,
        "startup": vol.In(("initialize", "system", "services", "application", "once")),
        "boot": vol.In(("auto", "manual", "manual_only")),
        "stage": vol.In(("stable", "experimental", "deprecated")),
        "services": [vol.Match(r"^(?:mqtt|mysql):(?:provide|want|need)$")],
        "map": [{vol.Required("type"): vol.In(_FOLDERS), "read_only": bool, "path": str}],
        "ingress_port": vol.Any(_PORT, 0),
        "ingress_entry": str,
        "panel_icon": vol.Match(r"^mdi:[a-z0-9-]+$"),
        "panel_title": str,
        "ports": {_DOCKER_PORT: vol.Maybe(_PORT)},
        "ports_description": {_DOCKER_PORT: str},
        "watchdog": vol.Match(r"^(?:https?|\[PROTO:\w+\]|tcp):\/\/\[HOST\]:(\[PORT:\d+\]|\d+).*$"),
        "webui": vol.Match(r"^(?:https?|\[PROTO:\w+\]):\/\/\[HOST\]:\[PORT:\d+\].*$"),
        "backup": vol.In(("hot", "cold")),
        "backup_exclude": [str],
        "backup_pre": str,
        "backup_post": str,
        "options": dict,
        "schema": {str: _ELEMENTS},
        "environment": {vol.Match(r"^\w*$"): str},
        "privileged": [str],
        "devices": [str],
        "discovery": [str],
        "machine": [str],
        "hassio_role": vol.In(("default", "homeassistant", "backup", "manager", "admin")),
        "timeout": vol.All(int, vol.Range(10, 300)),
        "ulimits": dict,
        "breaking_versions": [str],
        **dict.fromkeys(_SWITCHES, bool),
    }
)
_OPTION = vol.Schema(
    {vol.Required("name"): str, vol.Required("description"): str, "fields": {str: vol.Self}}  # each is to be described
)
TRANSLATION = vol.Schema({"configuration": {str: _OPTION}, "network": {_DOCKER_PORT: str}})
REPOSITORY = vol.Schema({vol.Required("name"): str, "url": vol.Url(), "maintainer": str})


def fitting(schema: dict[str, Any], options: dict[str, Any], where: str = "options") -> dict[str, Any]:
    """The options as the app gets them. Raises vol.Invalid where Home Assistant would not save or start."""
    taken = {key: _fit(schema[key], value, f"{where}.{key}") for key, value in options.items() if key in schema}
    for key, kind in schema.items():
        first = kind[0] if isinstance(kind, list) else kind
        if key not in taken and not (isinstance(first, str) and first.endswith("?")):
            raise vol.Invalid(f"{where}.{key} is missing")
    return taken


def _fit(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401  # as the schema has it
    if isinstance(kind, list):
        return [_fit(kind[0], one, where) for one in vol.Schema(list)(value)]
    if isinstance(kind, dict):
        return fitting(kind, vol.Schema(dict)(value), where)
    if value is None:
        raise vol.Invalid(f"{where} has no value")
    return vol.Schema(_judge(kind))(value)


def _judge(kind: str) -> Any:  # noqa: ANN401  # a validator
    match = _ELEMENT.fullmatch(kind)
    assert match, kind
    plain = re.match("[a-z]+", kind)
    assert plain
    if match["list"]:
        return vol.All(vol.Coerce(str), vol.In(match["list"].split("|")))
    if match["match"]:
        return vol.All(vol.Coerce(str), vol.Match(match["match"]))
    bounds = (match["int"] or match["float"] or ",").split(",")
    least, most = (float(bound) if bound else None for bound in bounds)
    kinds: dict[str, Any] = {
        "str": vol.Coerce(str),
        "password": vol.Coerce(str),
        "int": vol.All(vol.Coerce(int), vol.Range(least, most)),
        "float": vol.All(vol.Coerce(float), vol.Range(least, most)),
        "bool": vol.Boolean(),
        "url": vol.Url(),
        "port": _PORT,
        "email": vol.Email(),
    }
    return kinds[plain[0]]
