"""A Reading, by a client of tplinkrouterc6u that is logged in.

Its clients of the MR family are asked for the router's own text, which cgi.py decodes: the library's parser takes
[error]N for success, and what is cut short for the whole. Of the others it is `get_status()`.
"""

from __future__ import annotations

from typing import Any

from tplinkrouterc6u import Connection

from dalla_mqtt.errors import BadReply
from dalla_mqtt.router.answers import EVERYTHING, NO_MAC, STATISTICS, SWITCH_ON, count, host_name, reading_of
from dalla_mqtt.router.cgi import Reply, Section, decode
from dalla_mqtt.usage.reading import Host, Link, Mac, Reading, RouterInfo, Row

_LINKS: dict[Connection, Link] = {
    Connection.WIRED: "wired",
    Connection.HOST_2G: "2.4 GHz",
    Connection.HOST_5G: "5 GHz",
    Connection.GUEST_2G: "guest 2.4 GHz",
    Connection.GUEST_5G: "guest 5 GHz",
}


def of_cgi(client: Any, *, enable_statistics: bool) -> Reading:  # noqa: ANN401  # the library has no types
    """By the objects of docs/router.md. One batch; where the router refuses that, the classic pair of statistics alone.

    `enable_statistics`: switch them on where they are off. Raises BadReply, and whatever the library raises.
    """
    reply = _act(client, EVERYTHING)
    if reply.error:
        reply = _act(client, STATISTICS)
    if reply.error:
        raise BadReply(f"the router refused to tell its statistics: [error]{reply.error}")
    reading = reading_of(reply.blocks)
    if enable_statistics and not reading.statistics_enabled:
        _act(client, SWITCH_ON)
    return reading


def of_status(client: Any) -> Reading:  # noqa: ANN401
    """By `get_status`. A counter belongs to the MAC. Raises BadReply, and whatever the library raises."""
    devices = [device for device in client.get_status().devices if device.active]
    rows: dict[str, Row] = {}
    hosts: dict[Mac, Host] = {}
    for device in devices:
        mac = Mac.parse(device.macaddr)
        if mac == NO_MAC:
            continue
        host = Host(device.ipaddr, mac, _name(device.hostname), _LINKS.get(device.type))
        if host.name or mac not in hosts:
            hosts[mac] = host
        if device.traffic_usage is not None:
            row = Row(device.ipaddr, mac, None, _count(device.traffic_usage), mac.dashed)
            if rows.setdefault(row.key, row).bytes != row.bytes:
                raise BadReply(f"the router told two different counters for {row.key}")
    if devices and not rows:
        raise BadReply(
            f"this model tells {type(client).__name__} no bytes per device: another router.client may know more"
        )
    return Reading(tuple(rows.values()), tuple(hosts.values()), _info(client))


def _act(client: Any, sections: tuple[Section, ...]) -> Reply:  # noqa: ANN401
    items = [client.ActItem(part.action, part.oid, part.stack, part.parent, list(part.attributes)) for part in sections]
    answer, _ = client.req_act(items)
    return decode(getattr(answer, "text", answer))  # a Response where nothing is encrypted


def _count(value: object) -> int:
    try:
        return count(str(value))
    except ValueError as error:
        raise BadReply(f"the traffic of a device makes no sense: {error}") from error


def _name(text: object) -> str | None:
    return host_name(str(text or ""))


def _info(client: Any) -> RouterInfo:  # noqa: ANN401
    """Costs a request, and no reading where the router has no answer to it."""
    try:
        firmware = client.get_firmware()
    except Exception:  # noqa: BLE001  # whatever the library makes of it
        return RouterInfo()
    return RouterInfo(_name(firmware.model), _name(firmware.firmware_version), _name(firmware.hardware_version))
