"""The file of `Name, MAC` lines, changed while the daemon runs."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from dalla_mqtt.archive.files import replace_file
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.people import edit_user_map
from dalla_mqtt.usage.reading import Mac

# A file that is a mount of its own, as containers have them, cannot be replaced in one step.
_MENDS = {errno.EBUSY: "; it is mounted by itself: mount the folder that it is in"}


def write_owner(path: Path, mac: Mac, user: str) -> None:
    """Say in the user map at `path` that the device is now that user's; made where there is none.

    All other lines stay as they are, and a link stays a link. Raises ArchiveError, and leaves the file as it is.
    """
    try:
        file = Path(os.path.realpath(path))
        text = file.read_bytes().decode("utf-8-sig") if file.exists() else ""
        replace_file(file, [edit_user_map(text, mac, user).encode()])
    except OSError as error:
        mend = _MENDS.get(error.errno or 0, "")
        raise ArchiveError(f"cannot write {path}: {error.strerror}{mend}") from error
    except ValueError as error:
        raise ArchiveError(f"{path} {error}") from error
