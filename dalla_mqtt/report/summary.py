"""Who used what in some days: users ranked by usage, and the devices of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from dalla_mqtt.usage.ledger import TOTAL, Device, Key, Ledger, Moved
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Standing, Subject, Used, Window, summed
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.telling import name_of

_NOTHING = Used()


class DeviceRow(Struct, frozen=True):
    """What a device moved in those days, whosever it was then. `standing` as a user's."""

    name: str
    mac: Mac
    ip: str
    used: Used
    standing: Standing | None


class UserRow(Struct, frozen=True):
    """What was booked to a user: what the `devices` that are theirs now moved, and what is `elsewhere`.

    That is what other devices moved while they were theirs, less what these did while they were not: often nothing, and
    below 0 for who was given a device lately. `share`: of the total, in per mille. `standing`: where there is a quota
    for just those days.
    """

    name: str
    used: Used
    share: int
    devices: tuple[DeviceRow, ...]
    elsewhere: Used
    standing: Standing | None


class Quoted(Struct, frozen=True):
    """A quota and how it stands now, in its own days; `name`: what people call the subject."""

    name: str
    standing: Standing


class Summary(Struct, frozen=True):
    """Of the local days of `window`; `users` and their devices with most usage first, devices that moved something.

    Users add up to the total, each to devices and elsewhere, to the byte; `unclaimed` is what no user has of it:
    nothing, but where CSV files were lost together with the state file.
    """

    window: Window
    total: Used
    users: tuple[UserRow, ...]
    unclaimed: Used
    quotas: tuple[Quoted, ...]


def summarise(
    window: Window, moved: Moved, ledger: Ledger, users: Iterable[str], standings: Mapping[Subject, Standing]
) -> Summary:
    """The summary of what was `moved` in those days.

    `users`: those who are listed in any case. `standings`: how it stands now, where now is among those days.
    """
    used = {key: Used(*figures) for key, figures in moved.items()}
    fitting = {subject: one for subject, one in standings.items() if one.allowances and one.window == window}
    devices: dict[str, list[DeviceRow]] = {}
    for device in ledger.devices.values():
        row = _device(device, used, fitting)
        if any(row.used):
            devices.setdefault(device.user, []).append(row)
    total = used.get(TOTAL, _NOTHING)
    names = {*users, *devices, *(key.name for key in used if key.kind == "user")}
    rows = [_user(name, used, total, devices.get(name, []), fitting) for name in names]
    rows.sort(key=lambda row: (-sum(row.used), row.name == UNKNOWN, row.name.casefold(), row.name))
    quotas = [Quoted(name_of(subject, ledger), one) for subject, one in standings.items() if one.allowances]
    return Summary(window, total, tuple(rows), _less(total, (row.used for row in rows)), tuple(quotas))


def _device(device: Device, used: Mapping[Key, Used], fitting: Mapping[Subject, Standing]) -> DeviceRow:
    mac = device.mac.dashed
    figures = used.get(Key("device", mac), _NOTHING)
    return DeviceRow(device.called, device.mac, device.ip, figures, fitting.get(Subject("device", mac)))


def _user(
    name: str, used: Mapping[Key, Used], total: Used, devices: list[DeviceRow], fitting: Mapping[Subject, Standing]
) -> UserRow:
    mine = used.get(Key("user", name), _NOTHING)
    devices.sort(key=lambda row: (-sum(row.used), row.name.casefold(), row.mac))
    return UserRow(
        name=name,
        used=mine,
        share=round(1000 * sum(mine) / sum(total)) if sum(total) else 0,
        devices=tuple(devices),
        elsewhere=_less(mine, (row.used for row in devices)),
        standing=fitting.get(Subject("user", name)),
    )


def _less(whole: Used, parts: Iterable[Used]) -> Used:
    """What of `whole` is none of its parts."""
    known = summed(parts)
    return Used(whole.on_peak - known.on_peak, whole.off_peak - known.off_peak)
