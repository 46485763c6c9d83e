"""What others on this machine learn of us: as little as can be."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

_OTHERS = 0o077  # what group and others may do with a new file or folder: nothing, unless its folder's ACL says so
_NO_CORE = 1  # bytes: too few for a file, and Linux pipes none to a program then, as it would with 0; core(5)
_ARG_START = 48 - 3  # the field of /proc/<pid>/stat, counted from the one after the name; proc(5)


def keep_to_ourselves(password: str | None) -> None:
    """Files that we make are for their owner alone, no core is dumped, and `ps` does not show `password`."""
    os.umask(os.umask(_OTHERS) | _OTHERS)
    limit = min(_NO_CORE, resource.getrlimit(resource.RLIMIT_CORE)[1] % 2**63)  # infinity is -1
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
    if password:
        with suppress(OSError):  # no Linux
            _veil(os.fsencode(password))


def _veil(secret: bytes) -> None:
    """Overwrite each argument that is or ends with `secret`, where the kernel looks when it is asked for them.

    Of the secret its length is left.
    """
    import ctypes  # noqa: PLC0415  # most have their password elsewhere

    begin = int(Path("/proc/self/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[_ARG_START])
    end = 0
    for argument in Path("/proc/self/cmdline").read_bytes().split(b"\0"):
        end += len(argument)
        if argument.endswith(secret):
            ctypes.memset(begin + end - len(secret), ord("*"), len(secret))
        end += 1
