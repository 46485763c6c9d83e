"""What comes back from the broker: commands, strictly read. Whether one can be done is the daemon's to say."""

from __future__ import annotations

from msgspec import Struct

from dalla_mqtt.mqtt.payloads import OFF, ON
from dalla_mqtt.mqtt.topics import NAME_SET, PAUSE_SET, POLL_SET, USER_SET, Topic, Topics, device_id
from dalla_mqtt.usage.reading import Mac

_JOINER = "\u200d"  # of emoji
_LONGEST = 255  # characters: what Home Assistant lets a state and a text be


class PollNow(Struct, frozen=True):
    """Poll as soon as that may be."""


class Pause(Struct, frozen=True):
    """Leave the router alone, or be back."""

    on: bool


class GiveDevice(Struct, frozen=True):
    """The device is now that user's."""

    mac: Mac
    user: str


class NameDevice(Struct, frozen=True):
    """The device is called so; None: as it calls itself."""

    mac: Mac
    name: str | None


class Misunderstood(Struct, frozen=True):
    """What is no command; `why` is for people."""

    why: str


Command = PollNow | Pause | GiveDevice | NameDevice | Misunderstood


def read_command(topics: Topics, topic: str, payload: bytes) -> Command | None:
    """What is said on `topic`, or None where that is not for commands."""
    path = topic.removeprefix(f"{topics.root}/")
    if path == topic:
        return None
    if path == POLL_SET.path:
        return PollNow()
    if path == PAUSE_SET.path:
        word = payload.strip().upper()
        return Pause(word == ON) if word in (ON, OFF) else Misunderstood(f"{path}: expected ON or OFF")
    for known in (USER_SET, NAME_SET):
        before, _, after = known.path.partition("<id>")
        if path.startswith(before) and path.endswith(after):
            return _about_device(known, path[:_LONGEST], path[len(before) : -len(after)][:_LONGEST], payload)
    return None


def _about_device(known: Topic, path: str, part: str, payload: bytes) -> Command:
    try:
        mac = Mac.parse(part)
        text = payload.decode().strip()
    except ValueError:  # UnicodeDecodeError is one
        return Misunderstood(f"{path}: expected a device's id, and text in UTF-8")
    if device_id(mac) != part:
        return Misunderstood(f"{path}: the id of this device is {device_id(mac)}")
    if len(text) > _LONGEST or not text.replace(_JOINER, "").isprintable():
        return Misunderstood(f"{path}: expected at most {_LONGEST} characters, in one line")
    if known is USER_SET:
        return GiveDevice(mac, text)
    return NameDevice(mac, text or None)
