"""What settings can say: durations, rates, sizes, addresses, time zones. A ValueError says what was expected."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Mapping
from fractions import Fraction
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_DURATION = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9}
_SIZE = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGTP", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGTP", 1)},
}
_LARGEST_SIZE = 2**52  # 4 PiB
_QUANTITY = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*([A-Za-z/]*)", re.ASCII)
_PERCENT = re.compile(r"(\d{1,4})\s*%?", re.ASCII)
_MOST_PERCENT = 1000
_SHOWN = 40  # characters of a wrong quantity that are shown
_LAST_PORT = 65_535
_SITE = re.compile(r"[a-z0-9_-]{1,40}")
_HOST = re.compile(r"[\w.:%-]+", re.ASCII)


def check_site(name: str) -> str:
    """`name`, which can be a part of a topic and of an id. Raises ValueError."""
    if not _SITE.fullmatch(name):
        raise ValueError(f"expected a-z, 0-9, _ and -, at most 40 of them, not {name!r}")
    return name


def parse_duration(value: str | float) -> float:
    """Seconds in `90`, `90s`, `5m`, `2h`, `1d`. Raises ValueError."""
    return float(_quantity(str(value), {"": 1, **_DURATION}, "a duration such as 60s or 5m"))


def parse_age(value: str | float) -> float:
    """Seconds in `400d`: how long rows are kept. Raises ValueError."""
    seconds = float(_quantity(str(value), _DURATION, "a time such as 400d"))
    if seconds < _DURATION["d"]:
        raise ValueError(f"expected a day or more, such as 400d, not {value!r}")
    return seconds


def parse_rate(value: str) -> float:
    """Bits a second in `512 kbit/s`. Raises ValueError."""
    return float(_quantity(value, _RATE, "a rate such as 100 Mbit/s or 1 Gbit/s"))


def parse_size(text: str) -> int:
    """Bytes in `40 GiB`, a part of one left out; `0`, for none, needs no unit. Raises ValueError."""
    what = f"a size such as 40 GiB, with one of {' '.join(_SIZE)}"
    size = _quantity("0 B" if text.strip() == "0" else text, _SIZE, what, zero_too=True)
    if 0 < size < 1 or size > _LARGEST_SIZE:
        raise ValueError(f"expected 0, or a size from 1 B to 4 PiB, not {text!r}")
    return int(size)


def parse_percent(value: str | int) -> int:
    """Whole per cents in `80%` or `80`, 1 to 1000. Raises ValueError."""
    match = _PERCENT.fullmatch(str(value).strip())
    if not match or not 1 <= int(match[1]) <= _MOST_PERCENT:
        raise ValueError(f"expected a whole number from 1% to {_MOST_PERCENT}%, such as 80%, not {str(value)!r}")
    return int(match[1])


def _quantity(text: str, units: Mapping[str, int], what: str, *, zero_too: bool = False) -> Fraction:
    """Exactly what is said, in the unit of which there is one."""
    match = _QUANTITY.fullmatch(text.strip())
    number = Fraction(match[1]) if match else Fraction(0)
    if not match or match[2] not in units or not (number or zero_too):
        raise ValueError(f"expected {what}, not {text[:_SHOWN]!r}")
    return number * units[match[2]]


def parse_http_url(text: str) -> str:
    """`http://192.168.1.1` of an address with or without a path. Raises ValueError."""
    parts = split_url(text, ("http", "https"), "the address of the router's page, such as http://192.168.1.1")
    return f"{parts.scheme}://{parts.netloc}"


def parse_mqtt_url(text: str) -> tuple[str, str, int]:
    """Scheme, host and port of `mqtt://127.0.0.1:1883`. Raises ValueError."""
    what = "the broker's address, such as mqtt://127.0.0.1:1883, mqtts://… or ws://…, or off"
    parts = split_url(text, _PORTS, what)
    if parts.path not in ("", "/", "/mqtt"):
        raise ValueError("nothing can follow the port: a websocket is always asked for at /mqtt")
    return parts.scheme, str(parts.hostname), parts.port or _PORTS[parts.scheme]


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8765` or `[::]:8765`; the port may be 0, for any free one. Raises ValueError."""
    host, _, port = text.strip().rpartition(":")
    plain = host.removeprefix("[").removesuffix("]")
    try:
        address = ip_address("127.0.0.1" if plain == "localhost" else plain)
    except ValueError:
        address = None
    right = address is not None and (host != plain) == (address.version == 6)  # noqa: PLR2004  # IPv6, in brackets
    if not right or not re.fullmatch("[0-9]{1,5}", port) or int(port) > _LAST_PORT:
        raise ValueError(
            f"expected an address of this machine and a port, such as 127.0.0.1:8765, or off, not {text[:_SHOWN]!r}"
        )
    return str(address), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address `host`."""
    return ip_address(host).is_loopback


def split_url(text: str, schemes: Container[str], what: str) -> SplitResult:
    """The parts of an address. No error shows the address: there may be a password in it."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:  # a port above 65535, a bracket left open
        raise ValueError(f"expected {what}") from error
    if parts.username is not None:
        raise ValueError("user and password do not belong in the address: use username and password_file")
    if parts.scheme not in schemes or not _HOST.fullmatch(parts.hostname or "") or port == 0:
        raise ValueError(f"expected {what}")
    return parts


def parse_zone(name: str | None) -> ZoneInfo:
    """The time zone of that name, or the system's, which may also be a file."""
    system = os.environ.get("TZ", "").lstrip(":") or "/etc/localtime"
    try:
        return _zone(name or system)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        if not name and system == "/etc/localtime":
            return ZoneInfo("UTC")
        where = "" if name else " in the environment variable TZ"
        raise ValueError(f"expected a time zone such as Europe/Berlin, not {name or system!r}{where}") from error


def _zone(name: str) -> ZoneInfo:
    if not name.startswith("/"):
        return ZoneInfo(name)
    with Path(name).open("rb") as file:
        return ZoneInfo.from_file(file)
