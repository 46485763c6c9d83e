"""config.yaml, environment and flags -> Config. An error names the key, the place and the mend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dalla_mqtt.config.builder import Builder
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
from dalla_mqtt.config.settings import LogConfig, read_settings

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
    "settings_file",
]


def settings_file(named: Path | None) -> Path | None:
    """The file of the settings: the one `named`, or `config.yaml` in the working directory, where there is one."""
    return Path("config.yaml") if named is None and Path("config.yaml").exists() else named


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """The configuration; flags, keyed like `router.interval`, win over environment, which wins over the file.

    `file` None: `config.yaml` in the working directory, where there is one. Raises ConfigError.
    """
    return _builder(file, environment, flags).build()


def load_local(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> LocalConfig:
    """The same for commands that ask no router: its password need not be there."""
    return _builder(file, environment, flags).build_local()


def _builder(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Builder:
    file = settings_file(file)
    settings, places = read_settings(file, environment, flags)
    return Builder(settings, places, file)
