"""The sites of one file: which there are, and that none is in another's way."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dalla_mqtt.config.builder import Builder, Shared
from dalla_mqtt.config.files import WRITTEN
from dalla_mqtt.config.model import Config
from dalla_mqtt.config.settings import read_settings, site_settings
from dalla_mqtt.config.yaml_file import Places
from dalla_mqtt.errors import ConfigError

_SHOWN = 10  # names of sites in a complaint


def settings_file(named: Path | None) -> Path | None:
    """The file of the settings: the one `named`, or `config.yaml` in the working directory, where there is one.

    Raises ConfigError where nobody lets us look.
    """
    if named is not None:
        return named
    try:
        return Path("config.yaml") if Path("config.yaml").exists() else None
    except PermissionError as error:
        where = f"in {Path.cwd()}, as user {os.getuid()}"
        raise ConfigError(f"cannot look for config.yaml {where}: {error.strerror}") from error


class Sites:
    """Those below `sites:`, or the one that all of the file is about. Raises ConfigError."""

    def __init__(self, file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> None:
        self._file = settings_file(file)
        self._top, self._places = read_settings(self._file, environment, flags)
        self._shared = Shared()
        self.names = tuple(self._top.sites) or (self._top.site,)
        if self._top.sites:
            self._check_top(flags)

    def one(self, name: str | None) -> Builder:
        """The site of that name; without one, the only one there is."""
        if name is None:
            if len(self.names) > 1:
                raise ConfigError(f"say which site is meant, with --site: there are {self._listed()}")
            name = self.names[0]
        if name not in self.names:
            near = difflib.get_close_matches(name, self.names, 1)
            mend = f"did you mean {near[0]}?" if near else f"there {self._verb()} {self._listed()}"
            raise ConfigError(f"there is no site {name!r}; {mend}")
        return self._builder(name)

    def all(self) -> Iterator[Builder]:
        """Every one of them, in the order of the file."""
        return map(self._builder, self.names)

    def _builder(self, name: str) -> Builder:
        folder = self._file.parent if self._file is not None else Path()
        if not self._top.sites:
            return Builder(self._top, self._places, self._file, folder, self._shared)
        settings, places = site_settings(self._top, self._places, name)
        return Builder(settings, places, self._file, folder / name, self._shared)

    def _check_top(self, flags: Mapping[str, Any]) -> None:
        if self._places.names("site"):
            raise self._places.error("site", "take it out: below `sites:` each has its name")
        if len(self.names) == 1:
            return
        if self._places.names("mqtt.client_id"):
            raise self._places.error("mqtt.client_id", "take it out: each site needs one of its own, below `sites:`")
        for key in WRITTEN:
            if key in flags:
                raise self._places.error(key, "say it in the file, below `sites:`: each site has files of its own")

    def _verb(self) -> str:
        return "is" if len(self.names) == 1 else "are"

    def _listed(self) -> str:
        more = len(self.names) - _SHOWN
        return ", ".join(self.names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def build_all(sites: Iterable[Builder]) -> tuple[Config, ...]:
    """The configuration of each. Raises ConfigError where two write the same file, or are the same to a broker."""
    configs = []
    owners: dict[str, str] = {}
    for site in sites:
        config = site.build()
        for key, what, path in _written(config):
            owner = owners.setdefault(os.path.realpath(path), config.site)
            _apart(site.places, key, (owner, config.site), f"write {what} {path}")
        if config.mqtt is not None:
            client = config.mqtt.client_id
            owner = owners.setdefault(f"client {client}", config.site)
            _apart(site.places, "mqtt.client_id", (owner, config.site), f"be {client} to the broker")
        configs.append(config)
    return tuple(configs)


def _apart(places: Places, key: str, sites: tuple[str, str], what: str) -> None:
    if sites[0] != sites[1]:
        raise places.error(key, f"{sites[0]} and {sites[1]} would both {what}: give each its own, below `sites:`")


def _written(config: Config) -> Iterator[tuple[str, str, str | Path]]:
    """Its files and folders, each with its key and how it is used: a folder of CSV files belongs to one state file."""
    yield "state", "to", config.state
    yield "user_map_file", "to", config.user_map
    if config.archive is not None:
        yield "archive.devices", "into", config.archive.devices
        yield "archive.users", "into", config.archive.users
        yield "archive.commune", "into", os.path.dirname(config.archive.commune)  # noqa: PTH120  # may hold %
