"""Runs a program under a unit's system call filter, address families and ban on memory that is written and executed.

    /usr/bin/python3 confined.py UNIT PROGRAM [ARGUMENT...]

Needs python3-seccomp, which Debian has for its own Python.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import seccomp

_WRITE, _EXECUTE, _SHM_EXECUTE = 0x2, 0x4, 0o100000


def main(unit: str, *program: str) -> None:
    """Become the program."""
    settings = [line.partition("=") for line in Path(unit).read_text("utf-8").splitlines()]
    filters = [value for key, _, value in settings if key == "SystemCallFilter"]
    families = [value for key, _, value in settings if key == "RestrictAddressFamilies"]
    allowed: set[str] = set()
    for line in filters:
        if line.startswith("~"):
            allowed -= _calls(line[1:])
        else:
            allowed |= _calls(line)
    _load(allowed, [getattr(socket, name) for name in " ".join(families).split()])
    os.execvp(program[0], program)  # noqa: S606  # without a shell


def _load(allowed: set[str], families: list[int]) -> None:
    arg, equal, masked = seccomp.Arg, seccomp.EQ, seccomp.MASKED_EQ
    rules = [("socket", [arg(0, equal, family)]) for family in families]
    rules += [("socketpair", [arg(0, equal, family)]) for family in families]
    both = _WRITE | _EXECUTE
    rules += [("mmap", [arg(2, masked, both, one)]) for one in (0, _WRITE, _EXECUTE)]
    rules += [(call, [arg(2, masked, _EXECUTE, 0)]) for call in ("mprotect", "pkey_mprotect")]
    rules += [("shmat", [arg(2, masked, _SHM_EXECUTE, 0)])]
    judged = {name for name, _ in rules}
    filter_ = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in allowed - judged:
        try:
            filter_.add_rule(seccomp.ALLOW, name)
        except (RuntimeError, ValueError, OSError):  # one of another architecture
            continue
    for name, arguments in rules:
        if name in allowed:
            filter_.add_rule(seccomp.ALLOW, name, *arguments)
    filter_.load()


def _calls(names: str) -> set[str]:
    """The system calls in systemd's groups of these names."""
    found: set[str] = set()
    for name in names.split():
        if not name.startswith("@"):
            found.add(name)
            continue
        command = ["systemd-analyze", "syscall-filter", "--no-pager", name]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        inside = [line.strip() for line in listed.splitlines()[1:]]
        found |= _calls(" ".join(line for line in inside if line and not line.startswith("#")))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
