"""Orders to the simulator, as JSON: what POST /simulator takes. Not a part of any router."""

from __future__ import annotations

import inspect
import json
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, get_args

from dalla_mqtt.router.simulator.firmware import HardwareNat
from dalla_mqtt.router.simulator.replies import Fault
from dalla_mqtt.usage.reading import Mac

if TYPE_CHECKING:
    from collections.abc import Callable

    from dalla_mqtt.router.simulator import Simulator

_LONGEST_S = 3600


def obey(simulator: Simulator, text: bytes) -> None:
    """Do what an object such as {"do": "fault", "kind": "html", "count": 2} says.

    An order is the method of that name, its keys are the arguments. ValueError tells what is wrong with it.
    """
    order = json.loads(text)
    if not isinstance(order, dict):
        raise ValueError('an order is an object such as {"do": "freeze"}')  # noqa: TRY004  # as all that is wrong is
    word = order.pop("do", None)
    readers = _ORDERS.get(word) if isinstance(word, str) else None
    if readers is None:
        raise ValueError(f"do: {word!r} is none of {', '.join(_ORDERS)}")
    if unknown := order.keys() - readers.keys():
        raise ValueError(f"{word} does not know {', '.join(sorted(unknown))}")
    method = getattr(simulator, word)
    values = {key: _read(key, value, readers[key]) for key, value in order.items()}
    try:
        inspect.signature(method).bind(**values)
    except TypeError as error:
        raise ValueError(f"{word}: {error}") from error
    method(**values)


def _read(key: str, value: object, reader: Callable[[object], object]) -> object:
    try:
        return reader(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")  # noqa: TRY004  # as all that is wrong is
    return value


def _number_up_to(most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if type(value) is not int or not 0 <= value <= most:
            raise ValueError(f"{value!r} is not a whole number from 0 to {most}")
        return value

    return read


def _mac(value: object) -> Mac:
    return Mac.parse(_text(value))


def _ip(value: object) -> str:
    return str(IPv4Address(_text(value)))


def _seconds(value: object) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _LONGEST_S:  # type: ignore[operator]
        raise ValueError(f"{value!r} is no number of seconds from 0 to {_LONGEST_S}")
    return float(value)  # type: ignore[arg-type]


def _yes_or_no(value: object) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _values(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f'{value!r} is no object such as {{"enable": "1"}}')  # noqa: TRY004  # as all that is wrong is
    return {name: str(own) for name, own in value.items()}


def _one_of(words: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is none of {', '.join(words)}")
        return _text(value)

    return read


_ORDERS: dict[str, dict[str, Callable[[object], object]]] = {
    "freeze": {},
    "thaw": {},
    "reboot": {},
    "reset": {},
    "clear": {},
    "factory_reset": {},
    "statistics": {"enabled": _yes_or_no},
    "hardware_nat": {"mode": _one_of(get_args(HardwareNat))},
    "bandwidth_control": {"enabled": _yes_or_no},
    "here": {"ip": _ip},
    "rule": {"oid": _text, "values": _values},
    "log_in": {"client": _text},
    "log_out": {},
    "password": {"new": _text},
    "refuse": {"seconds": _seconds},
    "move": {"ip": _ip, "mac": _mac, "name": _text},
    "add": {
        "mac": _mac,
        "ip": _ip,
        "bytes": _number_up_to(2**63),
        "packets": _number_up_to(2**63),
        "direction": _one_of(("up", "down")),
    },
    "fault": {"kind": _one_of(get_args(Fault)), "count": _number_up_to(1000)},
}
