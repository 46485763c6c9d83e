"""What comes back from the broker: commands, strictly read. Whether one can be done is the daemon's to say."""

from __future__ import annotations

from dalla_mqtt.config.values import parse_size
from dalla_mqtt.mqtt.payloads import OFF, ON
from dalla_mqtt.mqtt.topics import (
    LIMITED_SET,
    NAME_SET,
    OF_QUOTAS,
    PAUSE_SET,
    POLL_SET,
    QUOTA_OFF_PEAK_SET,
    QUOTA_ON_PEAK_SET,
    QUOTA_SET,
    USER_SET,
    Topic,
    Topics,
)
from dalla_mqtt.usage.commands import (
    Command,
    GiveDevice,
    Limit,
    Misunderstood,
    NameDevice,
    Pause,
    PollNow,
    SetQuota,
    TopUp,
)
from dalla_mqtt.usage.ids import device_id
from dalla_mqtt.usage.quota import Part
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.telling import checked_text

_SWITCH = {ON: True, OFF: False}
_PARTS: dict[Topic, Part] = {
    QUOTA_SET: "together",
    QUOTA_ON_PEAK_SET: "on_peak",
    QUOTA_OFF_PEAK_SET: "off_peak",
}
_LONGEST = 255  # characters of an id that are looked at
_SHOWN = 100  # characters of an unknown id


def read_command(topics: Topics, topic: str, payload: bytes) -> Command | None:
    """What is said on `topic`, or None where that is not for commands."""
    path = topic.removeprefix(f"{topics.root}/")
    if path == topic:
        return None
    if path == POLL_SET.path:
        return PollNow()
    if path == PAUSE_SET.path:
        on = _SWITCH.get(payload.strip().upper())
        return Misunderstood(f"{path}: expected ON or OFF") if on is None else Pause(on)
    for known in (USER_SET, NAME_SET):
        before, _, after = known.path.partition("<id>")
        if path.startswith(before) and path.endswith(after):
            return _about_device(known, path[:_LONGEST], path[len(before) : -len(after)][:_LONGEST], payload)
    for known in OF_QUOTAS:
        whose = path.removesuffix(known.path.removeprefix("<subject>"))
        if whose != path and whose.startswith(("user/", "device/", "pool/")):
            return _about_quota(topics, known, whose[:_LONGEST], payload)
    return None


def _about_device(known: Topic, path: str, part: str, payload: bytes) -> Command:
    try:
        mac = Mac.parse(part)
        text = payload.decode()
    except ValueError:  # UnicodeDecodeError is one
        return Misunderstood(f"{path}: expected a device's id, and text in UTF-8")
    if device_id(mac) != part:
        return Misunderstood(f"{path}: the id of this device is {device_id(mac)}")
    try:
        text = checked_text(text)
    except ValueError as error:
        return Misunderstood(f"{path}: {error}")
    if known is USER_SET:
        return GiveDevice(mac, text)
    return NameDevice(mac, text or None)


def _about_quota(topics: Topics, known: Topic, whose: str, payload: bytes) -> Command:
    subject = topics.ids.subject_at(whose)
    if subject is None:
        return Misunderstood(f"there is no user, device or pool with the id {whose!r:.{_SHOWN}}")
    path = known.path.replace("<subject>", whose)
    if known is LIMITED_SET:
        on = _SWITCH.get(payload.strip().upper())
        return Misunderstood(f"{path}: expected ON or OFF") if on is None else Limit(subject, on)
    part = _PARTS.get(known)
    if part is not None and not payload.strip():
        return SetQuota(subject, part, None)
    try:
        size = parse_size(payload.decode())
    except ValueError:
        return Misunderstood(f"{path}: expected a size such as 40 GiB, at most 4 PiB, or 0")
    return TopUp(subject, size) if part is None else SetQuota(subject, part, size)
