"""Settings -> Config: each value parsed, and every complaint with its key."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from dalla_mqtt.config.files import Files
from dalla_mqtt.config.model import (
    ArchiveConfig,
    BrokerAddress,
    Config,
    LocalConfig,
    MqttConfig,
    RouterConfig,
    WebConfig,
)
from dalla_mqtt.config.quotas import read_quotas
from dalla_mqtt.config.settings import (
    ArchiveSettings,
    MqttSettings,
    RouterSettings,
    Settings,
    TariffSettings,
    WebSettings,
)
from dalla_mqtt.config.values import (
    check_site,
    is_loopback,
    parse_age,
    parse_duration,
    parse_http_url,
    parse_listen,
    parse_mqtt_url,
    parse_rate,
    parse_zone,
)
from dalla_mqtt.config.yaml_file import Places
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.usage.people import UNKNOWN, People, UserMap, check_name, parse_user_map
from dalla_mqtt.usage.quota import Quotas
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Tariff, Window

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)

_WRAP_RISK_S = 300  # a 32-bit counter wraps in 343 s at 100 Mbit/s; docs/router.md, "Wrap and reset"
_INTERVAL_S, _TIMEOUT_S, _LONGEST_S = 1, 0.1, 86_400
_TOKEN = re.compile(r"[!-~]{8,}")
_HOST_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_TOPIC = re.compile(r"[^/+#$\s](?:[^+#]{0,100}[^/+#\s])?")


class Shared:
    """What the sites of one file have in common: made once, and warned of once."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[object, Any]] = {}
        self._same: dict[Hashable, Any] = {}
        self._zones: dict[str | None, ZoneInfo] = {}
        self._warnings: set[str] = set()

    def once(self, section: object, make: Callable[[], T]) -> T:
        """What is made of `section`, by the first of those who have this very object."""
        if id(section) not in self._made:
            self._made[id(section)] = section, make()  # kept together, so that its id stays its own
        made: T = self._made[id(section)][1]
        return made

    def same(self, value: H) -> H:
        """The first value that equals this one."""
        first: H = self._same.setdefault(value, value)
        return first

    def zone(self, name: str | None) -> ZoneInfo:
        """The time zone of that name, or the system's. Raises ValueError."""
        if name not in self._zones:
            self._zones[name] = parse_zone(name)
        return self._zones[name]

    def is_new(self, warning: str) -> bool:
        """Whether no site had it yet."""
        known = warning in self._warnings
        self._warnings.add(warning)
        return not known


class Builder:
    """Turns settings into a Config. Raises ConfigError. `folder`: where what is written goes."""

    def __init__(self, settings: Settings, places: Places, file: Path | None, folder: Path, shared: Shared) -> None:
        self.settings = settings
        self.places = places
        self._shared = shared
        self._warnings: list[str] = []
        self._files = Files(file, folder, places, self._warn)

    def _warn(self, text: str) -> None:
        if self._shared.is_new(text):
            self._warnings.append(text)

    def build(self) -> Config:
        """All of it."""
        settings, people = self.settings, self._people()
        return Config(
            site=self._site(),
            router=self._router(settings.router),
            mqtt=self._mqtt(),
            discovery_prefix=self._prefix() if settings.homeassistant.discovery else None,
            archive=self._archive(settings.archive) if settings.archive.enabled else None,
            state=self._files.path("state", settings.state),
            user_map=self._files.path("user_map_file", settings.user_map_file),
            people=people,
            tariff=self._tariff(),
            quotas=self._quotas(people),
            web=self._shared.once(settings.web, lambda: self._web(settings.web)),
            log=settings.log,
            warnings=tuple(self._warnings),
        )

    def _quotas(self, people: People) -> Quotas:
        quotas = read_quotas(self.settings, people, self.places)
        done = {quotas.at_quota, *(quota.at_quota for quota in quotas.subjects.values())}
        if quotas.line is None and "throttle" in done:
            self._warn(
                f"{self.places.full('quota.line')} is not set: bandwidth control that is switched on to throttle "
                "somebody holds the whole line down to the totals that stand in the router's page"
            )
        return quotas

    def build_local(self) -> LocalConfig:
        """What works with the files alone."""
        settings, people = self.settings, self._people()
        return LocalConfig(
            site=self._site(),
            archive=self._archive(settings.archive) if settings.archive.enabled else None,
            state=self._files.path("state", settings.state),
            people=people,
            tariff=self._tariff(),
            quotas=read_quotas(settings, people, self.places),
            line_rate=self._line_rate(),
        )

    def _site(self) -> str:
        return self.places.parse("site", check_site, self.settings.site)

    def _prefix(self) -> str:
        prefix = self._topic("homeassistant.prefix", self.settings.homeassistant.prefix)
        if prefix == f"{self.settings.mqtt.base_topic}/{self.settings.site}":
            what = "our own topics are there, and `status` would be Home Assistant's and ours"
            raise self.places.error("homeassistant.prefix", f"{what}: name the one that Home Assistant has")
        return prefix

    def _router(self, router: RouterSettings) -> RouterConfig:
        password = self._files.secret("router.password", router.password, router.password_file)
        if password is None:
            mend = "set DALLA_ROUTER_PASSWORD or router.password_file, or say -p - to be asked"
            raise self.places.error("router.password", f"it is missing: {mend}")
        interval = self._seconds("router.interval", router.interval, _INTERVAL_S)
        if interval > _WRAP_RISK_S:
            self._warn(
                f"{self.places.full('router.interval')} is above {_WRAP_RISK_S} s: at 100 Mbit/s a 32-bit counter "
                "wraps in 343 s, and two wraps between two polls look like one"
            )
        if router.client and router.driver != "tplink":
            raise self.places.error("router.client", "take it out, or set `router.driver: tplink`, which it is for")
        return RouterConfig(
            driver=router.driver,
            client=router.client or None,
            url=self.places.parse("router.url", parse_http_url, router.url),
            username=router.username,
            password=password,
            interval=interval,
            timeout=self._seconds("router.timeout", router.timeout, _TIMEOUT_S),
            line_rate=self._line_rate(),
            enable_statistics=router.enable_statistics,
        )

    def _line_rate(self) -> float:
        return self.places.parse("router.line_rate", parse_rate, self.settings.router.line_rate) / 8

    def _mqtt(self) -> MqttConfig | None:
        mqtt = self._shared.once(self.settings.mqtt, lambda: self._broker(self.settings.mqtt))
        return replace(mqtt, client_id=mqtt.client_id or f"dalla-{self.settings.site}") if mqtt else None

    def _broker(self, mqtt: MqttSettings) -> MqttConfig | None:
        if str(mqtt.url).lower() in ("off", "false"):  # YAML reads an unquoted `off` as false
            return None
        urls = mqtt.url if isinstance(mqtt.url, list) else [str(mqtt.url)]
        if not urls:
            raise self.places.error("mqtt.url", "the list is empty: name a broker, or `off`")
        return MqttConfig(
            addresses=self._shared.same(tuple(self.places.parse("mqtt.url", _address, url) for url in urls)),
            username=mqtt.username,
            password=self._files.secret("mqtt.password", mqtt.password, mqtt.password_file),
            ca_file=self._files.readable("mqtt.ca_file", mqtt.ca_file),
            cert_file=self._files.readable("mqtt.cert_file", mqtt.cert_file),
            key_file=self._files.readable("mqtt.key_file", mqtt.key_file, secret=True),
            client_id=mqtt.client_id or "",
            base_topic=self._topic("mqtt.base_topic", mqtt.base_topic),
            qos=mqtt.qos,
        )

    def _archive(self, archive: ArchiveSettings) -> ArchiveConfig:
        return ArchiveConfig(
            devices=self._files.dated("archive.devices", archive.devices),
            users=self._files.dated("archive.users", archive.users),
            commune=self._files.dated("archive.commune", archive.commune),
            skip_idle=archive.skip_idle,
            keep=self._keep(archive.keep),
        )

    def _keep(self, keep: str | float) -> float | None:
        return None if keep == "forever" else self.places.parse("archive.keep", parse_age, keep)

    def _people(self) -> People:
        macs: dict[Mac, str] = {}
        patterns: list[tuple[str, str]] = []
        names: dict[str, None] = {}
        for key, user in self.settings.users.items():
            name = self.places.parse(f"users.{key}", check_name, key)
            names[name] = None
            for index, text in enumerate(user.devices):
                place = f"users.{key}.devices[{index}]"
                mac = self.places.parse(place, Mac.parse, text)
                if macs.setdefault(mac, name) != name:
                    raise self.places.error(place, f"{mac} is {macs[mac]}'s already; leave it to one of them")
            patterns += [(pattern.lower(), name) for pattern in user.hostnames]
        mapped = self._user_map()
        names |= dict.fromkeys(mapped.names)
        names.pop(UNKNOWN, None)
        return People(tuple(names), macs | mapped.macs, tuple(patterns))

    def _user_map(self) -> UserMap:
        path = self._files.path("user_map_file", self.settings.user_map_file)
        if not self.places.names("user_map_file") and not path.exists():
            return UserMap((), {})
        try:
            return parse_user_map(self._files.read("user_map_file", path).splitlines(keepends=True))
        except ValueError as error:
            raise ConfigError(f"{path} {error}") from error

    def _tariff(self) -> Tariff:
        tariff = self.settings.tariff
        return self._shared.same(self._shared.once(tariff, lambda: self._made_tariff(tariff)))

    def _made_tariff(self, tariff: TariffSettings) -> Tariff:
        windows = tuple(
            self.places.parse(f"tariff.off_peak[{index}]", Window.parse, text)
            for index, text in enumerate(tariff.off_peak)
        )
        if not (tariff.period_starts == -1 or 1 <= tariff.period_starts <= 31):  # noqa: PLR2004  # days a month
            raise self.places.error("tariff.period_starts", "expected a day of the month, 1 to 31, or -1 for the last")
        zone = self.places.parse("tariff.timezone", self._shared.zone, tariff.timezone)
        return Tariff(zone, windows, tariff.period_starts)

    def _web(self, web: WebSettings) -> WebConfig | None:
        if str(web.listen).lower() in ("off", "false"):
            return None
        host, port = self.places.parse("web.listen", parse_listen, str(web.listen))
        token = self._files.secret("web.token", web.token, web.token_file)
        if token is not None and not _TOKEN.fullmatch(token.value):
            raise self.places.error("web.token", "expected 8 characters or more, without blanks, of those in ASCII")
        if token is None and web.read == "token" and not web.ingress:
            mend = "set DALLA_WEB_TOKEN or web.token_file, or `read: open`"
            raise self.places.error("web.read", f"there is no token with which anybody could read: {mend}")
        if token is None and web.read == "open" and not is_loopback(host):
            self._warn(
                f"web.listen: everybody who reaches {host}:{port} may read who used what; set DALLA_WEB_TOKEN or "
                "web.token_file, and `read: token`, or listen on 127.0.0.1"
            )
        for index, name in enumerate(web.hosts):
            self._match(f"web.hosts[{index}]", name.lower(), _HOST_NAME, "a name such as dalla.example.org, no port")
        return WebConfig(host, port, token, web.read, tuple(name.lower() for name in web.hosts), web.ingress)

    def _seconds(self, key: str, value: str | float, least: float) -> float:
        seconds = self.places.parse(key, parse_duration, value)
        if not least <= seconds <= _LONGEST_S:
            raise self.places.error(key, f"expected {least}s to 1d, not {value}")
        return seconds

    def _topic(self, key: str, text: str) -> str:
        return self._match(key, text, _TOPIC, "a topic without + and #, and without / at its ends")

    def _match(self, key: str, text: str, pattern: re.Pattern[str], what: str) -> str:
        if not pattern.fullmatch(text):
            raise self.places.error(key, f"expected {what}, not {text!r}")
        return text


def _address(url: str) -> BrokerAddress:
    scheme, host, port = parse_mqtt_url(url)
    return BrokerAddress(host, port, "websockets" if scheme.startswith("ws") else "tcp", scheme in ("mqtts", "wss"))
