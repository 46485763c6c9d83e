"""Access control of a simulated router: the objects FIREWALL, INTERNAL_HOST and RULE, or those of IPv6.

Sources: docs/router.md, "Block: firewall" and "Error numbers".
"""

from __future__ import annotations

import re
from functools import cache
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from dalla_mqtt.router.simulator import cgi
from dalla_mqtt.router.simulator.statistics import NO_MAC
from dalla_mqtt.router.simulator.tables import ADDRESS, PORT, SWITCH, Allowed, AnyText, Settings, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from ipaddress import IPv4Network

    from dalla_mqtt.router.simulator.firmware import Firmware
    from dalla_mqtt.usage.reading import Mac

NAME_EXISTS = 1001
NOT_A_LAN_ADDRESS = 4701
ILLEGAL_MAC = 4704
NO_SUCH_HOST, NO_SUCH_EXTERNAL_HOST, NO_SUCH_SCHEDULE = 4705, 4706, 4707
HOST_CONFLICT, RULE_CONFLICT = 4710, 4713
IN_USE = 4716
ILLEGAL_NAME, TRAILING_SPACE = 4724, 4725
INVALID_ANSI = 71017

_SWITCHED_OFF = {"enable": "0", "defaultAction": "0"}
_SETTINGS = {"enable": SWITCH, "defaultAction": SWITCH}
_BY_ADDRESS, _BY_MAC = "0", "1"  # the type of a host
_DENY, _ALLOW = "1", "0"
_TEXT = AnyText()
_HOST: Allowed = {
    "type": {_BY_ADDRESS, _BY_MAC},
    "entryName": _TEXT,
    "isParentCtrl": SWITCH,
    "mac": _TEXT,
    **dict.fromkeys(("IPStart", "IPEnd"), ADDRESS),
    **dict.fromkeys(("portStart", "portEnd"), PORT),
}
_HOST_AT_FIRST = {
    "type": _BY_MAC,
    "entryName": "",
    "isParentCtrl": "0",
    "mac": NO_MAC,
    **dict.fromkeys(("IPStart", "IPEnd", "portStart", "portEnd"), "0"),
}
_RULE: Allowed = {
    "enable": SWITCH,
    "action": SWITCH,
    "ruleName": _TEXT,
    "isParentCtrl": SWITCH,
    "direction": SWITCH,
    "protocol": {"0", "1", "2", "3"},
    "internalHostRef": _TEXT,
    "externalHostRef": _TEXT,
    "scheduleRef": _TEXT,
}
_RULE_AT_FIRST = {
    "enable": "1",
    "action": _DENY,
    "ruleName": "",
    "isParentCtrl": "0",
    "direction": "0",
    "protocol": "3",
    "setAlready": "0",
    **dict.fromkeys(("internalHostRef", "externalHostRef", "scheduleRef"), ""),
}
_ALL_OF_IT = ("0", "3")  # direction and protocol
_WHOSE = ("internalHostRef", "direction", "protocol")
_ILLEGAL = set('\\/":*?<>|&')
_MAC = re.compile("(?:[0-9A-F]{2}:){5}[0-9A-F]{2}")


class AccessControl:
    """`lan` tells the network that a host's addresses must be in; None: hosts are told by their MAC only."""

    def __init__(self, firmware: Firmware, lan: Callable[[], IPv4Network] | None) -> None:
        self._lan = lan
        self._settings = dict(_SWITCHED_OFF)
        self.hosts = Table(tuple(_HOST_AT_FIRST), firmware)
        self.rules = Table(tuple(_RULE_AT_FIRST), firmware)

    @property
    def enabled(self) -> bool:
        """Whether it shuts anybody out."""
        return self._settings["enable"] == "1"

    def settings(self) -> dict[str, object]:
        """What FIREWALL says."""
        return dict(self._settings)

    def wipe(self) -> None:
        """As from the shop."""
        self._settings = dict(_SWITCHED_OFF)
        self.rules.rows.clear()
        self.hosts.rows.clear()

    def listed_hosts(self) -> Iterable[tuple[str, Sequence[object]]]:
        """Each host's stack and values; before them, how many rules refer to it."""
        for (stack, values), host in zip(self.hosts.listed(), self.hosts, strict=True):
            yield stack, [self._references(host), *values]

    def judge(self) -> Callable[[str, Mac], bool]:
        """Whether the device of an address and a MAC is shut out, by the rules as they are now.

        Who is denied once is; rules for one protocol, or for what comes in, deny and allow nobody.
        """
        hosts = {host["entryName"]: host for host in self.hosts}
        rules = [
            (hosts[rule["internalHostRef"]], rule["action"])
            for rule in (self.rules if self.enabled else ())
            if rule["enable"] == "1" and (rule["direction"], rule["protocol"]) == _ALL_OF_IT
        ]
        denied_else = self.enabled and self._settings["defaultAction"] == _DENY

        @cache
        def shut_out(ip: str, mac: Mac) -> bool:
            actions = {action for host, action in rules if _is(host, ip, mac)}
            return _DENY in actions or (denied_else and _ALLOW not in actions)

        return shut_out

    def change(self, section: cgi.Section) -> str:
        """SET of FIREWALL."""
        self._settings |= section.changes(_SETTINGS)
        return ""

    def add_host(self, section: cgi.Section) -> str:
        """ADD of INTERNAL_HOST."""
        host = _HOST_AT_FIRST | section.changes(_HOST)
        host["mac"] = host["mac"].upper()
        _check_name(host["entryName"], [other["entryName"] for other in self.hosts])
        if host["type"] == _BY_MAC:
            self._check_mac(host["mac"])
        else:
            self._check_addresses(host)
        return self.hosts.add(section, host)

    def delete_host(self, section: cgi.Section) -> str:
        """DELETE of INTERNAL_HOST."""
        if self._references(self.hosts.rows[self.hosts.number(section)]):
            raise cgi.CgiError(IN_USE)
        return self.hosts.delete(section)

    def add_rule(self, section: cgi.Section) -> str:
        """ADD of RULE."""
        rule = _RULE_AT_FIRST | section.changes(_RULE)
        _check_name(rule["ruleName"], [other["ruleName"] for other in self.rules])
        if all(host["entryName"] != rule["internalHostRef"] for host in self.hosts):
            raise cgi.CgiError(NO_SUCH_HOST)
        if rule["externalHostRef"]:
            raise cgi.CgiError(NO_SUCH_EXTERNAL_HOST)
        if rule["scheduleRef"]:
            raise cgi.CgiError(NO_SUCH_SCHEDULE)
        if any(all(other[name] == rule[name] for name in _WHOSE) for other in self.rules):
            raise cgi.CgiError(RULE_CONFLICT)
        return self.rules.add(section, rule)

    def change_rule(self, section: cgi.Section) -> str:
        """SET of RULE."""
        self.rules.rows[self.rules.number(section)] |= section.changes({"enable": SWITCH})
        return ""

    def _references(self, host: Settings) -> int:
        return sum(rule["internalHostRef"] == host["entryName"] for rule in self.rules)

    def _check_mac(self, mac: str) -> None:
        if not _MAC.fullmatch(mac) or mac == NO_MAC:
            raise cgi.CgiError(ILLEGAL_MAC)
        if any(host["type"] == _BY_MAC and host["mac"] == mac for host in self.hosts):
            raise cgi.CgiError(HOST_CONFLICT)

    def _check_addresses(self, host: Settings) -> None:
        first, last = int(host["IPStart"]), int(host["IPEnd"])
        if self._lan is None:
            raise cgi.CgiError(cgi.BAD_VALUE)
        if not all(IPv4Address(number) in self._lan() for number in (first, last)) or last < first:
            raise cgi.CgiError(NOT_A_LAN_ADDRESS)
        if any((other["IPStart"], other["IPEnd"]) == (host["IPStart"], host["IPEnd"]) for other in self.hosts):
            raise cgi.CgiError(HOST_CONFLICT)


def _check_name(name: str, others: Iterable[str]) -> None:
    if not name.isascii():
        raise cgi.CgiError(INVALID_ANSI)
    if not name or _ILLEGAL & set(name):
        raise cgi.CgiError(ILLEGAL_NAME)
    if name.endswith(" "):
        raise cgi.CgiError(TRAILING_SPACE)
    if name in others:
        raise cgi.CgiError(NAME_EXISTS)


def _is(host: Settings, ip: str, mac: Mac) -> bool:
    if host["type"] == _BY_MAC:
        return host["mac"] == mac.colons
    return int(host["IPStart"]) <= int(IPv4Address(ip)) <= int(host["IPEnd"])
