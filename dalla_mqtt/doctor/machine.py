"""This machine: settings, clock, time zone, folders, disk, user map."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import NamedTemporaryFile

from dalla_mqtt.archive.beside import History
from dalla_mqtt.archive.layout import Layout
from dalla_mqtt.archive.store import held
from dalla_mqtt.config import ArchiveConfig, Config
from dalla_mqtt.doctor.findings import Finding, counted, hint, listed, ok, wrong
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.log import utc
from dalla_mqtt.usage.tariff import YOUNGEST, Tariff

_ROW_BYTES = 50  # of a row in a CSV file
_DAY_S, _YEAR_S = 86_400, 365 * 86_400
_DEVICES = 10  # where none is known yet
_ROOM = 100_000_000  # bytes: with less than that a disk is as good as full
_PATIENCE_S = 2.0

_PURGE = "free some space; `dalla-mqtt purge --older-than 400d` takes old rows away"
_OWNER = "start dalla-mqtt as the user to whom it belongs, or give it to this one with chown"
_DISK_FULL = ("the disk is full", _PURGE)
_REASONS = {
    errno.EACCES: ("this user may not write there", _OWNER),
    errno.EPERM: ("this user may not write there", _OWNER),
    errno.EROFS: ("that disk can only be read", "make it writable, or name another folder in config.yaml"),
    errno.ENOSPC: _DISK_FULL,
    errno.EDQUOT: _DISK_FULL,
    errno.ENOTDIR: ("a file is in the place of a folder", "move it away, or name another folder in config.yaml"),
}


def examine_machine(config: Config, file: Path | None, timezone: str | None, at: float) -> Iterator[Finding]:
    """All that is known without asking anybody. `timezone`: the one in the settings; `at`: what the clock says."""
    yield from _settings(config, file)
    yield _clock(at)
    yield _zone(config.tariff, timezone, at)
    yield from _files(config.archive, config.tariff, at)
    yield _state(config.state)
    yield _space(config, at)
    yield _users(config)


def state_held(config: Config) -> bool:
    """Whether a daemon works with our state file."""
    try:
        return held(config.state)
    except OSError:
        return False


def _settings(config: Config, file: Path | None) -> Iterator[Finding]:
    where = f"{file} is read" if file else "no config.yaml here: defaults, DALLA_… variables and flags"
    yield ok("settings", where)
    for warning in config.warnings:
        text, _, mend = warning.partition(": ")
        yield hint("settings", text, mend)


def _clock(at: float) -> Finding:
    if at < YOUNGEST:
        mend = "set it, or let the network do so with `timedatectl set-ntp true`; until then nothing is counted"
        return wrong("clock", f"it says {utc(at)}, which cannot be", mend)
    kept = _synchronised()
    if kept == "no":
        mend = "switch that on with `timedatectl set-ntp true`, unless something else keeps it right"
        return hint("clock", f"{utc(at)}, and it is not kept right over the network", mend)
    return ok("clock", f"{utc(at)}{', kept right over the network' if kept == 'yes' else ''}")


def _synchronised() -> str:
    """`yes`, `no`, or nothing where the system does not say."""
    command = ("timedatectl", "show", "--property=NTPSynchronized", "--value")
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)  # noqa: S603  # our own words
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.strip()


def _zone(tariff: Tariff, named: str | None, at: float) -> Finding:
    local = tariff.local(at)
    name = named or os.environ.get("TZ", "").lstrip(":") or _system_zone()
    if not named and "TZ" not in os.environ and local.tzname() == "UTC":
        mend = "where that is not your time, set tariff.timezone in config.yaml, such as Europe/Berlin"
        return hint("time zone", "UTC, as this machine has no other: days and billing periods begin by it", mend)
    return ok("time zone", f"{name or local.tzname()}, where it is {local:%H:%M}")


def _system_zone() -> str:
    """`Europe/Berlin`, where /etc/localtime says so."""
    path = os.path.realpath("/etc/localtime")
    return path.partition("zoneinfo/")[2]


def _files(archive: ArchiveConfig | None, tariff: Tariff, at: float) -> Iterator[Finding]:
    if archive is None:
        yield ok("CSV files", "none are written: archive.enabled is false")
        return
    layout = Layout(archive, tariff)
    folders = dict.fromkeys((Path(layout.devices(at)), Path(layout.users(at)), Path(layout.commune(at)).parent))
    apart = {_there(folder): folder for folder in reversed(folders)}  # those that are to be made may be so in one place
    bad = [finding for folder in apart.values() if (finding := _try("CSV files", folder))]
    if bad:
        yield from bad
        return
    closed = [_short(file.path) for file in layout.files() if file.path.parent in folders and not _writable(file.path)]
    if closed:
        yield wrong("CSV files", f"this user may not write {listed(closed, 2)}", _OWNER)
    else:
        yield ok("CSV files", f"can be written: {listed([_short(folder) for folder in folders])}")


def _state(path: Path) -> Finding:
    try:
        if held(path):
            what = "is in the hands of a dalla-mqtt that runs, which is fine; both ask the same router now"
            return ok("state", f"{path} {what}")
    except OSError as error:
        return _unwritable("state", path, error)
    if (finding := _try("state", path.absolute().parent)) is not None:
        return finding
    if path.exists() and not _writable(path):
        return wrong("state", f"this user may not write {path}", _OWNER)
    return ok("state", f"{path} can be written" if path.exists() else f"{path} can be made")


def _try(about: str, folder: Path) -> Finding | None:
    """Write a file into `folder`, or where it would be made, and take it away again; None where that went well."""
    try:
        with NamedTemporaryFile(prefix=".dalla-doctor-", dir=_there(folder)) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return _unwritable(about, folder, error)
    return None


def _unwritable(about: str, path: Path, error: OSError) -> Finding:
    text, mend = _REASONS.get(error.errno or 0, (error.strerror or str(error), "mend that, or name another folder"))
    return wrong(about, f"{_short(path)} cannot be written: {text}", mend)


def _there(folder: Path) -> Path:
    """The nearest folder above that there is."""
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK)


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _space(config: Config, at: float) -> Finding:
    archive = config.archive
    folder = Path(Layout(archive, config.tariff).commune(at)) if archive else config.state.absolute()
    try:
        free = shutil.disk_usage(_there(folder)).free
    except OSError as error:
        return hint("disk space", f"cannot be known: {error.strerror}", "see whether that disk is there")
    if free < _ROOM:
        return wrong("disk space", f"only {_size(free)} are free", _PURGE)
    if archive is None:
        return ok("disk space", f"{_size(free)} are free")
    series = len(_devices(config)) + len(config.people.names) + 2  # UNKNOWN and the total
    kept_s = min(archive.keep or _YEAR_S, _YEAR_S)
    need = int(series * kept_s / config.router.interval * _ROW_BYTES)
    text = (
        f"{_size(free)} are free; the CSV files take {_size(need)} in {counted(round(kept_s / _DAY_S), 'day')}, roughly"
    )
    if free < need:
        mend = "poll more rarely with router.interval, or let old rows go with archive.keep, such as 90d"
        return hint("disk space", text, mend)
    return ok("disk space", text)


def _devices(config: Config) -> set[str]:
    """The devices that are known, by their dashed MACs; as many as a household has, where there is none."""
    known = {mac.dashed for mac in config.people.macs}
    try:
        if config.state.exists():
            with closing(History(config.state)) as history:
                known |= {key.name for key in history.usage() if key.kind == "device"}
    except (ArchiveError, OSError):
        pass  # a daemon keeps a damaged file aside, and begins anew
    return known or {str(number) for number in range(_DEVICES)}


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"  # noqa: PLR2004  # a gigabyte


def _users(config: Config) -> Finding:
    people, path = config.people, config.user_map
    if not people.names:
        mend = f"write lines such as `Alice, CB:BD:AB:90:2D:38` into {path}"
        return hint("users", "nobody has a device: all is counted as UNKNOWN", mend)
    file = f"{path} has {counted(_lines(path), 'line')}: " if path.exists() else ""
    owners = {*people.macs.values(), *(name for _, name in people.patterns)}
    idle = [name for name in people.names if name not in owners]
    without = f"; without a device: {listed(idle)}" if idle else ""
    names = f" and {counted(len(people.patterns), 'pattern')} of host names" if people.patterns else ""
    return ok(
        "users", f"{file}{counted(len(people.names), 'user')}, {counted(len(people.macs), 'device')}{names}{without}"
    )


def _lines(path: Path) -> int:
    try:
        return sum(1 for line in path.read_text("utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError):
        return 0
