"""Files that more than one program has in hand: locked, and replaced in one step."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BUSY_S, _BUSY_STEP_S = 0.5, 0.01  # how long another program may keep a file; a stopping daemon has two seconds


@contextmanager
def locked(path: str | Path, *, make: bool = True) -> Iterator[int]:
    """The file at `path` to read and append to, for us alone; made where there is none, if `make`. Raises OSError."""
    patience = time.monotonic() + _BUSY_S
    while True:
        file = _open(path, make=make)
        try:
            if _held(file, path, patience):
                yield file
                return
        finally:
            os.close(file)


def replace_file(path: Path, content: Iterable[bytes]) -> None:
    """Put `content` into the place of a file, or of none, in one step that survives a power loss. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("wb") as file:
            with suppress(FileNotFoundError):
                old = path.stat()
                os.fchmod(file.fileno(), old.st_mode & 0o777)
                with suppress(PermissionError):
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # what is deleted next must not be gone before this is there
    finally:
        os.close(folder)


def _held(file: int, path: str | Path, patience: float) -> bool:
    """Whether we have the lock of a file that is still the one at `path`: a purge may have replaced it meanwhile."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if time.monotonic() >= patience:
            raise
        time.sleep(_BUSY_STEP_S)
        return False
    try:
        there = os.stat(path)  # noqa: PTH116  # once for every file and poll: a Path costs more than the call
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(file), there)


def _open(path: str | Path, *, make: bool) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if make else 0)
    try:
        return os.open(path, flags, 0o644)
    except FileNotFoundError:
        if not make:
            raise
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o644)
