"""What the configuration is to the rest of the program: checked, and ready for use."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

from dalla_mqtt.config.settings import Driver, LogConfig
from dalla_mqtt.usage.people import People
from dalla_mqtt.usage.quota import Quotas
from dalla_mqtt.usage.tariff import Tariff


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
