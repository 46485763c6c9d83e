"""config.yaml, environment and flags -> Config. An error names the key, the place and the mend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dalla_mqtt.config.model import (
    ArchiveConfig,
    BrokerAddress,
    Config,
    LocalConfig,
    MqttConfig,
    RouterConfig,
    Secret,
    WebConfig,
)
from dalla_mqtt.config.settings import LogConfig
from dalla_mqtt.config.sites import Sites, build_all, settings_file

__all__ = [
    "ArchiveConfig",
    "BrokerAddress",
    "Config",
    "LocalConfig",
    "LogConfig",
    "MqttConfig",
    "RouterConfig",
    "Secret",
    "WebConfig",
    "load",
    "load_local",
    "load_sites",
    "settings_file",
]


def load(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any], site: str | None = None
) -> Config:
    """The configuration; flags, keyed like `router.interval`, win over environment, which wins over the file.

    `file` None: `config.yaml` in the working directory, where there is one. Where it has several sites, `site` says
    which. Raises ConfigError.
    """
    return Sites(file, environment, flags).one(site).build()


def load_sites(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> tuple[Config, ...]:
    """That of every site, in the order of the file. `web` and `log` are the same in each."""
    return build_all(Sites(file, environment, flags).all())


def load_local(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any], site: str | None = None
) -> LocalConfig:
    """The same as `load` for commands that ask no router: its password need not be there."""
    return Sites(file, environment, flags).one(site).build_local()
