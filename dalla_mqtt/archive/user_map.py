"""The file of `Name, MAC` lines, changed while the daemon runs."""

from __future__ import annotations

from pathlib import Path

from dalla_mqtt.archive.files import replace_file
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.people import edit_user_map
from dalla_mqtt.usage.reading import Mac


def write_owner(path: Path, mac: Mac, user: str) -> None:
    """Say in the user map at `path` that the device is now that user's; made where there is none.

    All other lines stay as they are. Raises ArchiveError, and leaves the file as it is.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
        replace_file(path, [edit_user_map(text, mac, user).encode()])
    except OSError as error:
        raise ArchiveError(f"cannot write {path}: {error.strerror}") from error
    except ValueError as error:
        raise ArchiveError(f"{path} {error}") from error
