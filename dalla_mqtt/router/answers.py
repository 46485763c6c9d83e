"""What the router's objects say: blocks of an answer in, a Reading out.

Source: docs/router.md, "Traffic statistics", "Names of devices" and "Device and WAN information".
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address

from dalla_mqtt.errors import BadReply
from dalla_mqtt.router.cgi import GET, LIST, OPERATE, SET, SUBLIST, Block, Section, by_section
from dalla_mqtt.usage.reading import NOWHERE, Host, Link, Mac, Reading, RouterInfo, Row

_log = logging.getLogger(__name__)

STATISTICS = (Section(GET, "STAT_CFG"), Section(LIST, "STAT_ENTRY"))
EVERYTHING = (
    *STATISTICS,
    Section(LIST, "LAN_HOST_ENTRY"),
    Section(GET, "IGD_DEV_INFO", ("modelName", "softwareVersion", "hardwareVersion", "upTime")),
)
SWITCH_ON = (Section(SET, "STAT_CFG", ("enable=1",)),)
_RADIOS: dict[str, Link] = {"1,1,0,0,0,0": "2.4 GHz", "1,2,0,0,0,0": "5 GHz"}
STATIONS = (
    *(Section(OPERATE, "ACT_WLAN_UPDATE_ASSOC", stack=radio) for radio in _RADIOS),
    *(Section(SUBLIST, "LAN_WLAN_ASSOC_DEV", ("AssociatedDeviceMACAddress",), parent=radio) for radio in _RADIOS),
)

_LINKS: dict[str, Link] = {"0": "wired", "1": "2.4 GHz", "2": "guest 2.4 GHz", "3": "5 GHz", "4": "guest 5 GHz"}
_COUNTER_LIMIT = 2**52  # 11 years at 100 Mbit/s: what is larger is not a counter, and sums must stay below 2**63
NO_MAC = Mac.parse("00:00:00:00:00:00")
_NAME_LENGTH = 64  # a label in DNS has 63


def reading_of(blocks: tuple[Block, ...], login: str | None = None) -> Reading:
    """The answer to EVERYTHING, or to STATISTICS. Raises BadReply where it cannot be used whole."""
    configuration, rows, hosts, info = _sections(blocks, len(EVERYTHING))
    if len(configuration) != 1:
        raise BadReply("the router did not answer STAT_CFG")
    if any("macAddress" in values for values in (*configuration, *hosts, *info)):  # a line before it is spoilt
        raise BadReply("a row of the router's statistics stands among something else")
    known = tuple(_hosts(hosts))
    return Reading(
        rows=_rows(rows, {host.mac: host.ip for host in known}),
        hosts=known,
        info=_info(info[0] if info else {}, login),
        statistics_enabled=configuration[0].get("enable") != "0",
        sampling_s=_whole(configuration[0].get("interval", ""), 5),
    )


def stations_of(blocks: tuple[Block, ...]) -> dict[Mac, Link]:
    """The answer to STATIONS: who is connected without a wire, and to which radio."""
    stations: dict[Mac, Link] = {}
    for radio, listed in zip(_RADIOS.values(), _sections(blocks, len(STATIONS))[len(_RADIOS) :], strict=True):
        for values in listed:
            try:
                stations[Mac.parse(values["associatedDeviceMACAddress"])] = radio
            except (KeyError, ValueError) as error:
                _log.debug("a wireless station makes no sense: %s", error)
    return stations


def _sections(blocks: tuple[Block, ...], count: int) -> tuple[list[dict[str, str]], ...]:
    return tuple([block.values for block in listed] for listed in by_section(blocks, count))


def _rows(blocks: list[dict[str, str]], addresses: Mapping[Mac, str]) -> tuple[Row, ...]:
    nameless = bool(blocks) and not any("ipAddress" in values for values in blocks)
    rows: dict[str, Row] = {}
    for values in blocks:
        for row in _rows_of(values, addresses if nameless else None):
            if rows.setdefault(row.key, row) != row:
                raise BadReply(f"the router told two different counters for {row.key}")
    return tuple(rows.values())


def _rows_of(values: dict[str, str], addresses: Mapping[Mac, str] | None) -> Iterator[Row]:
    """One row, or two where the firmware counts down and up apart.

    Such firmware tells no packets, and may tell no addresses at all: then `addresses` has those of the host table.
    """
    try:
        told = Mac.parse(values["macAddress"])
        mac = None if told == NO_MAC else told
        if "totalBytesRx" not in values:
            yield Row(_dotted(values["ipAddress"]), mac, count(values["totalPkts"]), count(values["totalBytes"]))
            return
        if addresses is not None and mac is None:
            return  # nobody can tell whose it is yet; all of it is counted once it shows its MAC
        if addresses is None or mac is None:
            ip = key = _dotted(values["ipAddress"])
        else:
            ip, key = addresses.get(mac, NOWHERE), mac.dashed
        for direction in ("Rx", "Tx"):
            yield Row(ip, mac, None, count(values[f"totalBytes{direction}"]), f"{key} {direction.lower()}")
    except KeyError as error:
        raise BadReply(f"a row of the router's statistics lacks {error}") from error
    except ValueError as error:
        raise BadReply(f"a row of the router's statistics makes no sense: {error}") from error


def count(text: str) -> int:
    """The bytes or packets in `text`. Raises ValueError."""
    number = _whole(text, 20)
    if number is None or number >= _COUNTER_LIMIT:
        raise ValueError(f"{text[:40]!r} is not a counter")
    return number


def _whole(text: str, digits: int) -> int | None:
    """The number of fewer than `digits` ASCII digits; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < digits else None


@lru_cache(maxsize=8192)
def _dotted(text: str) -> str:
    """`192.168.1.100` of `3232235876`: the first octet is the most significant one."""
    number = count(text)
    if number >= 2**32:
        raise ValueError(f"{text[:40]!r} is not an address")
    return ".".join(str(octet) for octet in number.to_bytes(4, "big"))


def _hosts(blocks: list[dict[str, str]]) -> Iterable[Host]:
    """The leases that make sense; one that does not costs a name, and no byte."""
    for values in blocks:
        try:
            name = host_name(values.get("hostName", ""))
            link = _LINKS.get(values.get("X_TP_ConnType", ""))
            yield Host(_address(values["IPAddress"]), Mac.parse(values["MACAddress"]), name, link)
        except (KeyError, ValueError) as error:
            _log.debug("a lease makes no sense: %s", error)


def _address(text: str) -> str:
    """An IPv4 address or none: files are named by it."""
    try:
        return str(IPv4Address(text))
    except ValueError:
        return NOWHERE


def host_name(text: str) -> str | None:
    """What the device calls itself, without what could not be shown; None for the router's `Unknown`."""
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    name = text[:_NAME_LENGTH].strip()
    return name if name not in ("", "Unknown") else None


def _info(values: dict[str, str], login: str | None) -> RouterInfo:
    return RouterInfo(
        model=host_name(values.get("modelName", "")),
        firmware=host_name(values.get("softwareVersion", "")),
        hardware=host_name(values.get("hardwareVersion", "")),
        uptime_s=_whole(values.get("upTime", ""), 12),
        login=login,
    )
