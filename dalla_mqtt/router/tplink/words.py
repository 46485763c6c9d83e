"""What the daemon and the process of tplinkrouterc6u say to each other, one message each, as JSON."""

from __future__ import annotations

from msgspec import Struct

from dalla_mqtt.usage.reading import Reading

LEAVE_S = 1.0  # for the logout; a stopping daemon has two seconds


class Order(Struct, frozen=True):
    """Poll once, within `timeout_s`, and log out. Without a `client` find one, which is not among the `unfit`."""

    url: str
    username: str
    password: str
    timeout_s: float
    enable_statistics: bool
    client: str | None
    unfit: tuple[str, ...]

    def __repr__(self) -> str:
        return "Order(…)"  # there is a password in it


class Answer(Struct, frozen=True):
    """What came of it: a reading; or a class of errors.py and its text. `client`: the class that asked."""

    client: str | None
    reading: Reading | None = None
    error: str = ""
    text: str = ""
