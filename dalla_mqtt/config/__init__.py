"""config.yaml, environment and flags -> Config. An error names the key, the place and the mend."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from dalla_mqtt.config.quotas import read_quotas
from dalla_mqtt.config.settings import (
    ArchiveSettings,
    Driver,
    LogConfig,
    MqttSettings,
    RouterSettings,
    TariffSettings,
    WebSettings,
    read_settings,
)
from dalla_mqtt.config.values import (
    is_loopback,
    parse_age,
    parse_duration,
    parse_http_url,
    parse_listen,
    parse_mqtt_url,
    parse_rate,
    parse_zone,
)
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.usage.people import UNKNOWN, People, UserMap, check_name, parse_user_map
from dalla_mqtt.usage.quota import Quotas
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Tariff, Window

_WRAP_RISK_S = 300  # a 32-bit counter wraps in 343 s at 100 Mbit/s; docs/router.md, "Wrap and reset"
_INTERVAL_S, _TIMEOUT_S, _LONGEST_S = 1, 0.1, 86_400
_SITE = re.compile(r"[a-z0-9_-]{1,40}")
_TOKEN = re.compile(r"[!-~]{8,}")
_HOST_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_TOPIC = re.compile(r"[^/+#$\s](?:[^+#]{0,100}[^/+#\s])?")


class Secret(Struct, frozen=True):
    """A password or a token that shows itself to nobody who prints it."""

    value: str

    def __repr__(self) -> str:
        return "Secret(…)"


class RouterConfig(Struct, frozen=True):
    """Seconds for times, bytes a second for `line_rate`. `client`: the class that driver `tplink` is to use."""

    driver: Driver
    client: str | None
    url: str
    username: str
    password: Secret
    interval: float
    timeout: float
    line_rate: float
    enable_statistics: bool


class BrokerAddress(Struct, frozen=True):
    """Where a broker is; `transport` and `tls` as the scheme of mqtt.url has them."""

    host: str
    port: int
    transport: Literal["tcp", "websockets"]
    tls: bool

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class MqttConfig(Struct, frozen=True):
    """The broker: one of `addresses`, tried in their order."""

    addresses: tuple[BrokerAddress, ...]
    username: str | None
    password: Secret | None
    ca_file: Path | None
    cert_file: Path | None
    key_file: Path | None
    client_id: str
    base_topic: str
    qos: int


class WebConfig(Struct, frozen=True):
    """The page: where it listens, who may read and change, and by which names it is called. `port` 0: any free one."""

    host: str
    port: int
    token: Secret | None
    read: Literal["open", "token"]
    hosts: tuple[str, ...]
    ingress: bool


class ArchiveConfig(Struct, frozen=True):
    """Where the CSV files are; strftime directives in the paths are filled in local time."""

    devices: str
    users: str
    commune: str
    skip_idle: bool = False
    keep: float | None = None  # seconds that rows are kept; None for ever


class LocalConfig(Struct, frozen=True):
    """What a command needs that works with the files alone."""

    site: str
    archive: ArchiveConfig | None
    state: Path
    people: People
    tariff: Tariff
    quotas: Quotas
    line_rate: float  # bytes a second


class Config(Struct, frozen=True):
    """Everything that is set, checked and ready for use. None for what is switched off."""

    site: str
    router: RouterConfig
    mqtt: MqttConfig | None
    discovery_prefix: str | None
    archive: ArchiveConfig | None
    state: Path
    user_map: Path
    people: People
    tariff: Tariff
    quotas: Quotas
    web: WebConfig | None
    log: LogConfig
    warnings: tuple[str, ...]


def settings_file(named: Path | None) -> Path | None:
    """The file of the settings: the one `named`, or `config.yaml` in the working directory, where there is one."""
    return Path("config.yaml") if named is None and Path("config.yaml").exists() else named


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """The configuration; flags, keyed like `router.interval`, win over environment, which wins over the file.

    `file` None: `config.yaml` in the working directory, where there is one. Raises ConfigError.
    """
    return _Builder(file, environment, flags).build()


def load_local(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> LocalConfig:
    """The same for commands that ask no router: its password need not be there."""
    return _Builder(file, environment, flags).build_local()


class _Builder:
    """Turns settings into a Config; every complaint names its key."""

    def __init__(self, file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> None:
        file = settings_file(file)
        self._settings, self._places = read_settings(file, environment, flags)
        self._file = file
        self._base = file.parent if file is not None else Path()
        self._warnings: list[str] = []

    def build(self) -> Config:
        settings, people = self._settings, self._people()
        return Config(
            site=self._site(),
            router=self._router(settings.router),
            mqtt=self._mqtt(settings.mqtt),
            discovery_prefix=self._prefix() if settings.homeassistant.discovery else None,
            archive=self._archive(settings.archive) if settings.archive.enabled else None,
            state=self._path("state", settings.state),
            user_map=self._path("user_map_file", settings.user_map_file),
            people=people,
            tariff=self._tariff(settings.tariff),
            quotas=self._quotas(people),
            web=self._web(settings.web),
            log=settings.log,
            warnings=tuple(self._warnings),
        )

    def _quotas(self, people: People) -> Quotas:
        quotas = read_quotas(self._settings, people, self._places)
        done = {quotas.at_quota, *(quota.at_quota for quota in quotas.subjects.values())}
        if quotas.line is None and "throttle" in done:
            self._warnings.append(
                "quota.line is not set: bandwidth control that is switched on to throttle somebody holds the whole "
                "line down to the totals that stand in the router's page"
            )
        return quotas

    def build_local(self) -> LocalConfig:
        settings, people = self._settings, self._people()
        return LocalConfig(
            site=self._site(),
            archive=self._archive(settings.archive) if settings.archive.enabled else None,
            state=self._path("state", settings.state),
            people=people,
            tariff=self._tariff(settings.tariff),
            quotas=read_quotas(settings, people, self._places),
            line_rate=self._line_rate(),
        )

    def _site(self) -> str:
        return self._match("site", self._settings.site, _SITE, "a-z, 0-9, _ and -, at most 40 of them")

    def _prefix(self) -> str:
        prefix = self._topic("homeassistant.prefix", self._settings.homeassistant.prefix)
        if prefix == f"{self._settings.mqtt.base_topic}/{self._settings.site}":
            what = "our own topics are there, and `status` would be Home Assistant's and ours"
            raise self._places.error("homeassistant.prefix", f"{what}: name the one that Home Assistant has")
        return prefix

    def _router(self, router: RouterSettings) -> RouterConfig:
        password = self._secret("router.password", router.password, router.password_file)
        if password is None:
            mend = "set DALLA_ROUTER_PASSWORD or router.password_file, or say -p - to be asked"
            raise self._places.error("router.password", f"it is missing: {mend}")
        interval = self._seconds("router.interval", router.interval, _INTERVAL_S)
        if interval > _WRAP_RISK_S:
            self._warnings.append(
                f"router.interval is above {_WRAP_RISK_S} s: at 100 Mbit/s a 32-bit counter wraps in 343 s, "
                "and two wraps between two polls look like one"
            )
        if router.client and router.driver != "tplink":
            raise self._places.error("router.client", "take it out, or set `router.driver: tplink`, which it is for")
        return RouterConfig(
            driver=router.driver,
            client=router.client or None,
            url=self._places.parse("router.url", parse_http_url, router.url),
            username=router.username,
            password=password,
            interval=interval,
            timeout=self._seconds("router.timeout", router.timeout, _TIMEOUT_S),
            line_rate=self._line_rate(),
            enable_statistics=router.enable_statistics,
        )

    def _line_rate(self) -> float:
        return self._places.parse("router.line_rate", parse_rate, self._settings.router.line_rate) / 8

    def _mqtt(self, mqtt: MqttSettings) -> MqttConfig | None:
        if str(mqtt.url).lower() in ("off", "false"):  # YAML reads an unquoted `off` as false
            return None
        urls = mqtt.url if isinstance(mqtt.url, list) else [str(mqtt.url)]
        if not urls:
            raise self._places.error("mqtt.url", "the list is empty: name a broker, or `off`")
        return MqttConfig(
            addresses=tuple(self._places.parse("mqtt.url", _address, url) for url in urls),
            username=mqtt.username,
            password=self._secret("mqtt.password", mqtt.password, mqtt.password_file),
            ca_file=self._readable("mqtt.ca_file", mqtt.ca_file),
            cert_file=self._readable("mqtt.cert_file", mqtt.cert_file),
            key_file=self._readable("mqtt.key_file", mqtt.key_file),
            client_id=mqtt.client_id or f"dalla-{self._settings.site}",
            base_topic=self._topic("mqtt.base_topic", mqtt.base_topic),
            qos=mqtt.qos,
        )

    def _archive(self, archive: ArchiveSettings) -> ArchiveConfig:
        return ArchiveConfig(
            devices=self._dated("archive.devices", archive.devices),
            users=self._dated("archive.users", archive.users),
            commune=self._dated("archive.commune", archive.commune),
            skip_idle=archive.skip_idle,
            keep=self._keep(archive.keep),
        )

    def _keep(self, keep: str | float) -> float | None:
        return None if keep == "forever" else self._places.parse("archive.keep", parse_age, keep)

    def _people(self) -> People:
        macs: dict[Mac, str] = {}
        patterns: list[tuple[str, str]] = []
        names: dict[str, None] = {}
        for key, user in self._settings.users.items():
            name = self._places.parse(f"users.{key}", check_name, key)
            names[name] = None
            for index, text in enumerate(user.devices):
                place = f"users.{key}.devices[{index}]"
                mac = self._places.parse(place, Mac.parse, text)
                if macs.setdefault(mac, name) != name:
                    raise self._places.error(place, f"{mac} is {macs[mac]}'s already; leave it to one of them")
            patterns += [(pattern.lower(), name) for pattern in user.hostnames]
        mapped = self._user_map()
        names |= dict.fromkeys(mapped.names)
        names.pop(UNKNOWN, None)
        return People(tuple(names), macs | mapped.macs, tuple(patterns))

    def _user_map(self) -> UserMap:
        path = self._path("user_map_file", self._settings.user_map_file)
        if not self._places.names("user_map_file") and not path.exists():
            return UserMap((), {})
        try:
            return parse_user_map(self._read("user_map_file", path).splitlines(keepends=True))
        except ValueError as error:
            raise ConfigError(f"{path} {error}") from error

    def _tariff(self, tariff: TariffSettings) -> Tariff:
        windows = tuple(
            self._places.parse(f"tariff.off_peak[{index}]", Window.parse, text)
            for index, text in enumerate(tariff.off_peak)
        )
        if not (tariff.period_starts == -1 or 1 <= tariff.period_starts <= 31):  # noqa: PLR2004  # days a month
            raise self._places.error("tariff.period_starts", "expected a day of the month, 1 to 31, or -1 for the last")
        return Tariff(self._places.parse("tariff.timezone", parse_zone, tariff.timezone), windows, tariff.period_starts)

    def _web(self, web: WebSettings) -> WebConfig | None:
        if str(web.listen).lower() in ("off", "false"):
            return None
        host, port = self._places.parse("web.listen", parse_listen, str(web.listen))
        token = self._secret("web.token", web.token, web.token_file)
        if token is not None and not _TOKEN.fullmatch(token.value):
            raise self._places.error("web.token", "expected 8 characters or more, without blanks, of those in ASCII")
        if token is None and web.read == "token" and not web.ingress:
            mend = "set DALLA_WEB_TOKEN or web.token_file, or `read: open`"
            raise self._places.error("web.read", f"there is no token with which anybody could read: {mend}")
        if token is None and web.read == "open" and not is_loopback(host):
            self._warnings.append(
                f"web.listen: everybody who reaches {host}:{port} may read who used what; set DALLA_WEB_TOKEN or "
                "web.token_file, and `read: token`, or listen on 127.0.0.1"
            )
        for index, name in enumerate(web.hosts):
            self._match(f"web.hosts[{index}]", name.lower(), _HOST_NAME, "a name such as dalla.example.org, no port")
        return WebConfig(host, port, token, web.read, tuple(name.lower() for name in web.hosts), web.ingress)

    def _secret(self, key: str, secret: str | None, file: str | None) -> Secret | None:
        """The secret, or the first line of its file; of the two, the one that was given where it counts more."""
        in_file = not self._places.overrides(key)
        if secret and not (file and in_file and self._places.overrides(f"{key}_file")):
            if in_file:
                self._warn_if_open_to_all(key)
            return Secret(secret)
        if not file:
            return None
        path = self._path(f"{key}_file", file)
        first_line = self._read(f"{key}_file", path).split("\n")[0].removesuffix("\r")
        if not first_line:
            raise self._places.error(
                f"{key}_file", f"the first line of {path} is empty; the {key.partition('.')[2]} belongs there"
            )
        return Secret(first_line)

    def _warn_if_open_to_all(self, key: str) -> None:
        if self._file is not None and self._file.stat().st_mode & stat.S_IROTH:
            mend = f"chmod o= {self._file}, or use {key}_file"
            self._warnings.append(f"{key} stands in {self._file}, which everybody on this machine may read: {mend}")

    def _readable(self, key: str, name: str | None) -> Path | None:
        if name is None:
            return None
        path = self._path(key, name)
        self._read(key, path)
        return path

    def _read(self, key: str, path: Path) -> str:
        try:
            return path.read_text("utf-8-sig")
        except OSError as error:
            raise self._places.error(key, f"cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise self._places.error(key, f"{path} is not text in UTF-8") from error

    def _path(self, key: str, name: str) -> Path:
        if not name:
            raise self._places.error(key, "there is no path; give one, or take the line out")
        try:
            return self._base / Path(name).expanduser()
        except RuntimeError as error:
            raise self._places.error(key, f"there is nobody whose home is {name.partition('/')[0]}") from error

    def _dated(self, key: str, name: str) -> str:
        """A path with strftime directives in what was said, and in nothing before it."""
        path = str(self._path(key, name))
        return path.removesuffix(name).replace("%", "%%") + name if path.endswith(name) else path

    def _seconds(self, key: str, value: str | float, least: float) -> float:
        seconds = self._places.parse(key, parse_duration, value)
        if not least <= seconds <= _LONGEST_S:
            raise self._places.error(key, f"expected {least}s to 1d, not {value}")
        return seconds

    def _topic(self, key: str, text: str) -> str:
        return self._match(key, text, _TOPIC, "a topic without + and #, and without / at its ends")

    def _match(self, key: str, text: str, pattern: re.Pattern[str], what: str) -> str:
        if not pattern.fullmatch(text):
            raise self._places.error(key, f"expected {what}, not {text!r}")
        return text


def _address(url: str) -> BrokerAddress:
    scheme, host, port = parse_mqtt_url(url)
    return BrokerAddress(host, port, "websockets" if scheme.startswith("ws") else "tcp", scheme in ("mqtts", "wss"))
