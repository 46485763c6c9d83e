"""The keys of config.yaml, and the three places where they are said: file, environment, command line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from dalla_mqtt.config.values import check_site
from dalla_mqtt.config.yaml_file import Places, read_yaml
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.usage.quota import AtQuota, Per

S = TypeVar("S", bound=Struct)
Driver = Literal["archer-c20", "tplink"]
Size = Annotated[str | int, "a size such as 40 GiB"]  # what is expected, in words
PerCent = Annotated[str | int, "a number such as 80%"]
First = Annotated[str | int, "a day such as 15 or Mon"]

# Of these, a site and the top of the file each may say a part.
_SECTIONS = (
    *("router", "mqtt", "homeassistant", "archive", "tariff", "quota"),
    *("quota.throttle", "quota.line", "quota.devices", "quota.pool"),
)
_NOT_OF_A_SITE = {
    "site": "take it out: the name above is the site's",
    **dict.fromkeys(("web", "log"), "move it to the top of the file: it is the same for all sites"),
    "sites": "take it out: sites have no sites",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_WANTED: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    str | float: "a duration such as 60s or 5m",
    str | bool: "an address in quotes, or off",
    str | bool | list[str]: "an address in quotes, a list of them, or off",
}
_FOUND: dict[type, str] = {
    dict: "further settings",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number with a point",
}


class LogConfig(Struct, frozen=True):
    """What is told on standard output, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class RouterSettings(Struct):
    """The router and how often it is asked."""

    driver: Driver = "archer-c20"
    client: str | None = None
    url: str = "http://192.168.1.1"
    username: str = "admin"
    password: str | None = None
    password_file: str | None = None
    interval: str | float = "60s"
    timeout: str | float = "10s"
    line_rate: str = "1 Gbit/s"
    enable_statistics: bool = False


class MqttSettings(Struct):
    """The broker."""

    url: str | bool | list[str] = "mqtt://127.0.0.1:1883"
    username: str | None = None
    password: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    client_id: str | None = None
    base_topic: str = "dalla"
    qos: Literal[0, 1, 2] = 1


class HomeAssistantSettings(Struct):
    """Discovery."""

    discovery: bool = True
    prefix: str = "homeassistant"


class ArchiveSettings(Struct):
    """The CSV files."""

    enabled: bool = True
    devices: str = "logs/%Y-%m/devices"
    users: str = "logs/%Y-%m/users"
    commune: str = "logs/%Y-%m/total.csv"
    skip_idle: bool = False
    keep: str | float = "forever"


class PartsSettings(Struct):
    """What somebody may move, and in which days."""

    on_peak: Size | None = None
    off_peak: Size | None = None
    together: Size | None = None
    per: Per = "period"
    starts: First | None = None
    carry_over: bool = False


class UserSettings(Struct):
    """What one user owns, and may move."""

    devices: list[str] = []
    hostnames: list[str] = []
    quota: PartsSettings | None = None
    at_quota: AtQuota | None = None


class TariffSettings(Struct):
    """Off-peak hours and billing periods."""

    timezone: str | None = None
    off_peak: list[str] = []
    period_starts: int = 1


class ThrottleSettings(Struct):
    """What a throttled device may move."""

    down: str = "512 kbit/s"
    up: str = "128 kbit/s"


class LineSettings(Struct):
    """What the line can do."""

    down: str | None = None
    up: str | None = None


class DeviceSettings(Struct):
    """What one device may move."""

    quota: PartsSettings | None = None
    at_quota: AtQuota | None = None


class PoolSettings(Struct):
    """What several users may move together."""

    users: list[str] = []
    quota: PartsSettings | None = None
    at_quota: AtQuota | None = None


class QuotaSettings(Struct):
    """What is done about quotas, and those of devices and pools."""

    warn_at: list[PerCent] = field(default_factory=lambda: ["80%", "100%"])
    throttle: ThrottleSettings = field(default_factory=ThrottleSettings)
    line: LineSettings = field(default_factory=LineSettings)
    topup: Size = "1 GiB"
    at_quota: AtQuota = "notify"
    devices: dict[str, DeviceSettings] = {}
    pool: dict[str, PoolSettings] = {}


class WebSettings(Struct):
    """The page."""

    listen: str | bool = "127.0.0.1:8765"
    token: str | None = None
    token_file: str | None = None
    read: Literal["open", "token"] = "open"
    hosts: list[str] = []
    ingress: bool = False


class Settings(Struct):
    """The keys of config.yaml, their types and defaults."""

    site: str = "home"
    router: RouterSettings = field(default_factory=RouterSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    homeassistant: HomeAssistantSettings = field(default_factory=HomeAssistantSettings)
    archive: ArchiveSettings = field(default_factory=ArchiveSettings)
    state: str = "state.db"
    user_map_file: str = "user-map.csv"
    users: dict[str, UserSettings] = {}
    tariff: TariffSettings = field(default_factory=TariffSettings)
    quota: QuotaSettings = field(default_factory=QuotaSettings)
    web: WebSettings = field(default_factory=WebSettings)
    log: LogConfig = LogConfig()
    sites: dict[str, object] = {}  # what each says of its own, not judged yet


def read_settings(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]
) -> tuple[Settings, Places]:
    """What is set, and where. Flags are keyed like `router.interval`. Raises ConfigError."""
    tree, places = read_yaml(file) if file is not None else ({}, Places())
    on_top = [*_from_environment(environment), *((key, value, "the command line") for key, value in flags.items())]
    for key, value, source in on_top:
        _put(tree, key, value)
        places.tell(key, source)
    return _section(Settings, tree, "", places), places


def site_settings(settings: Settings, places: Places, name: str) -> tuple[Settings, Places]:
    """What is set for one of `settings.sites`, and where: its own where it says something. Raises ConfigError."""
    key = f"sites.{name}"
    places.parse(key, check_site, name)
    common = replace(settings, site=name, sites={})
    return _section(Settings, settings.sites[name], key, places, common), places.within(key, _SECTIONS)


def every_setting(kind: type[Struct] = Settings, above: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting by its key, such as `router.interval`, with its type."""
    for name, setting in _kinds(kind).items():
        if _is_section(setting):
            yield from every_setting(setting, f"{above}{name}.")
        else:
            yield f"{above}{name}", setting


@cache
def _kinds(kind: type[Struct]) -> Mapping[str, Any]:
    """The types of the settings in a section."""
    return {setting.name: setting.type for setting in msgspec.structs.fields(kind)}


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    """The settings in DALLA_<SECTION>_<KEY> variables. Others of that prefix are made by container platforms."""
    for key, kind in every_setting():
        variable = f"DALLA_{key}".replace(".", "_").upper()
        if environment.get(variable) and get_origin(kind) is not dict:
            yield key, _typed(environment[variable], kind), f"environment variable {variable}"


def _typed(text: str, kind: object) -> Any:  # noqa: ANN401  # what YAML would have made of it
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind in (int, Literal[0, 1, 2]) and re.fullmatch("-?[0-9]{1,9}", text):
        return int(text)
    if get_origin(kind) is list:
        return [part.strip() for part in text.split(",")]
    return text


def _put(tree: dict[str, Any], key: str, value: object) -> None:
    section, _, below = key.partition(".")
    if not below:
        tree[section] = value
        return
    if tree.get(section) is None:
        tree[section] = {}
    if isinstance(tree[section], dict):  # if not, that is told when the section is judged
        _put(tree[section], below, value)


def _section(kind: type[S], given: object, key: str, places: Places, common: S | None = None) -> S:
    """The settings below `key`, all of which are known and of the right type; what is not said is as in `common`."""
    common = kind() if common is None else common
    if given is None:
        return common  # all its lines are commented out
    if not isinstance(given, dict):
        raise places.error(key, f"expected further settings, indented below this line, not {_found(given)}")
    known = _kinds(kind)
    values = {}
    for name, value in given.items():
        below = f"{key}.{name}".lstrip(".")
        if kind is Settings and key and name in _NOT_OF_A_SITE:
            raise places.error(below, _NOT_OF_A_SITE[name])
        if name not in known:
            raise _unknown(below, name, known, places)
        if value is not None or get_origin(known[name]) not in (list, dict):  # all its lines are commented out
            values[name] = _value(known[name], value, below, places, getattr(common, name))
    return replace(common, **values)


def _value(kind: Any, given: object, key: str, places: Places, common: Any) -> Any:  # noqa: ANN401  # as `kind` says
    if given is None and NoneType in get_args(kind):
        return None
    kind = _but_none(kind)
    if _is_section(kind):
        given = _in_full(kind, given, key, places)
        return _section(kind, given, key, places, None if kind is PartsSettings else common)
    if get_origin(kind) is dict:
        return _named(get_args(kind)[1], given, key, places, common)
    if get_origin(kind) is list:
        items = _one(list[object], given, key, places)
        return [_one(get_args(kind)[0], item, f"{key}[{index}]", places) for index, item in enumerate(items)]
    return _one(kind, given, key, places)


def _named(kind: Any, given: object, key: str, places: Places, common: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Sections that people named. A site's users are its own; its devices and pools come to those of all sites."""
    sections: dict[str, Any] = _one(dict[str, object], given, key, places)
    if kind is object:
        return sections
    own = {name: _section(kind, below, f"{key}.{name}", places) for name, below in sections.items()}
    return own if kind is UserSettings else common | own


def _in_full(kind: type[Struct], given: object, key: str, places: Places) -> object:
    """What is said in short, `quota: 40 GiB` or `web: off`, as the section that it stands for."""
    if kind is PartsSettings and not isinstance(given, dict):
        return {"together": _one(Size, given, key, places)}
    return {"listen": "off"} if kind is WebSettings and given in (False, "off") else given


def _one(kind: Any, given: object, key: str, places: Places) -> Any:  # noqa: ANN401  # as `kind` says
    try:
        value = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise places.error(key, _expected(kind, given)) from error
    if isinstance(value, str) and _CONTROL.search(value):
        raise places.error(key, "take out the control character, such as a line break or a tab")
    return value


def _but_none(kind: Any) -> Any:  # noqa: ANN401  # what `kind` is where it is said
    kinds = [one for one in get_args(kind) if one is not NoneType]
    return kinds[0] if NoneType in get_args(kind) and len(kinds) == 1 else kind


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _unknown(key: str, name: str, known: Iterable[str], places: Places) -> ConfigError:
    near = difflib.get_close_matches(name, known, 1) or [
        other for other, _ in every_setting() if other.endswith(f".{name}")
    ]
    mend = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
    return places.error(key, f"there is no such setting; {mend}")


def _expected(kind: object, given: object) -> str:
    if given is None:
        return "there is no value; give one, or take the line out"
    origin = get_origin(kind)
    if origin is Literal:
        return f"expected {' or '.join(str(choice) for choice in get_args(kind))}"
    if origin is list:
        return f'expected a list such as ["one", "two"], not {_found(given)}'
    if origin is dict:
        return f"expected names, indented below this line, not {_found(given)}"
    wanted = get_args(kind)[1] if origin is Annotated else _WANTED.get(kind)
    if wanted or isinstance(given, dict | list):
        return f"expected {wanted or 'text'}, not {_found(given)}"
    return "expected text: put the value in quotes"


def _found(given: object) -> str:
    return _FOUND.get(type(given), "a date or the like")
