"""The files that settings name, and the secrets in them."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from dalla_mqtt.config.model import Secret
from dalla_mqtt.config.yaml_file import ON_TOP, Places

_HANDED_OVER = "/run"  # by Docker and systemd, which see to it who is there
WRITTEN = ("state", "user_map_file", "archive.devices", "archive.users", "archive.commune")


class Files:
    """Finds and reads them, beside the `file` of the settings. Raises ConfigError; `warn` is told what is unwise.

    Those that are WRITTEN are relative to `folder`.
    """

    def __init__(self, file: Path | None, folder: Path, places: Places, warn: Callable[[str], None]) -> None:
        self._file = file
        self._base = file.parent if file is not None else Path()
        self._folder = folder
        self._places = places
        self._warn = warn

    def secret(self, key: str, secret: str | None, file: str | None) -> Secret | None:
        """The secret, or the first line of its file; of the two, the one that was given where it counts more."""
        rank = self._places.rank(key)
        if secret and not (file and self._places.rank(f"{key}_file") > rank):
            if rank != ON_TOP and self._file is not None:
                self._warn_if_open_to_all(key, self._file, f", or use {key}_file")
            return Secret(secret)
        if not file:
            return None
        path = self.path(f"{key}_file", file)
        first_line = self.read(f"{key}_file", path).split("\n")[0].removesuffix("\r")
        if not first_line:
            raise self._places.error(
                f"{key}_file", f"the first line of {path} is empty; the {key.partition('.')[2]} belongs there"
            )
        self._warn_if_open_to_all(key, path)
        return Secret(first_line)

    def _warn_if_open_to_all(self, key: str, path: Path, otherwise: str = "") -> None:
        if path.exists() and path.stat().st_mode & stat.S_IROTH and not path.is_relative_to(_HANDED_OVER):
            mend = f"chmod o= {path}{otherwise}"
            self._warn(f"{key} stands in {path}, which everybody on this machine may read: {mend}")

    def readable(self, key: str, name: str | None, *, secret: bool = False) -> Path | None:
        """The path of a file that can be read now, and if `secret` by nobody else."""
        if name is None:
            return None
        path = self.path(key, name)
        self.read(key, path)
        if secret:
            self._warn_if_open_to_all(key, path)
        return path

    def read(self, key: str, path: Path) -> str:
        """What is in the file, which `key` names."""
        try:
            return path.read_text("utf-8-sig")
        except OSError as error:
            raise self._places.error(key, f"cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise self._places.error(key, f"{path} is not text in UTF-8") from error

    def path(self, key: str, name: str) -> Path:
        """Where the file or folder is, which need not be there."""
        if not name:
            raise self._places.error(key, "there is no path; give one, or take the line out")
        try:
            return (self._folder if key in WRITTEN else self._base) / Path(name).expanduser()
        except RuntimeError as error:
            raise self._places.error(key, f"there is nobody whose home is {name.partition('/')[0]}") from error

    def dated(self, key: str, name: str) -> str:
        """A path with strftime directives in what was said, and in nothing before it."""
        path = str(self.path(key, name))
        return path.removesuffix(name).replace("%", "%%") + name if path.endswith(name) else path
