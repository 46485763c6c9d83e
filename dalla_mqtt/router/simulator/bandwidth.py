"""Bandwidth control of a simulated router: the objects TC and TC_RULE, in kbit/s by address.

Sources: docs/router.md, "Throttle" and "Error numbers".
"""

from __future__ import annotations

from functools import cache
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NamedTuple

from dalla_mqtt.router.simulator import cgi
from dalla_mqtt.router.simulator.tables import ADDRESS, PORT, SWITCH, Allowed, Settings, Table, Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Network

    from dalla_mqtt.router.simulator.firmware import Firmware

CONFLICT = 4802
START_NOT_IN_LAN, END_NOT_IN_LAN = 4803, 4804
FULL = 4849

_TOO_MUCH_RESERVED = (("up", 4800), ("down", 4801))
_TOO_LITTLE_TO_SHARE = (("up", 4805), ("down", 4806))
_ON = "3"
_SWITCHED_OFF = {"enable": "0", "linkType": "0", "upTotalBW": "10000", "downTotalBW": "50000"}
_BANDWIDTH = Whole(1, 1_000_000)
_SETTINGS: Allowed = {"enable": {"0", _ON}, "linkType": Whole(0, 9), "upTotalBW": _BANDWIDTH, "downTotalBW": _BANDWIDTH}
_FIRST_NAME = "flag"  # a client skips a line before `enable`; nobody says which it is
_CHANGEABLE: Allowed = {
    "enable": SWITCH,
    **dict.fromkeys(("upMinBW", "upMaxBW", "downMinBW", "downMaxBW"), _BANDWIDTH),
}
_RULE: Allowed = {
    _FIRST_NAME: SWITCH,
    "enable": SWITCH,
    **dict.fromkeys(("startIP", "endIP"), ADDRESS),
    **dict.fromkeys(("startPort", "endPort"), PORT),
    "protocol": Whole(0, 255),
    "precedence": Whole(0, 9),
    **_CHANGEABLE,
}
_OPTIONAL = {_FIRST_NAME: "1", "enable": "1", "startPort": "0", "endPort": "0", "protocol": "0", "precedence": "5"}
_EVERYTHING = ("0", "0", "0")


class Rate(NamedTuple):
    """In kbit/s."""

    down: int
    up: int


class BandwidthControl:
    """`lan` tells the network that a rule's addresses must be in."""

    def __init__(self, firmware: Firmware, lan: Callable[[], IPv4Network]) -> None:
        self._lan = lan
        self._settings = dict(_SWITCHED_OFF)
        self.rules = Table(tuple(_RULE), firmware, FULL)

    @property
    def enabled(self) -> bool:
        """Whether it limits anything, and keeps hardware NAT out of the way."""
        return self._settings["enable"] == _ON

    @property
    def line(self) -> Rate | None:
        """What all addresses have together; None while it is off."""
        return _rate(self._settings, "Total") if self.enabled else None

    def settings(self) -> dict[str, object]:
        """What TC says."""
        return dict(self._settings)

    def switch(self, *, enabled: bool) -> None:
        """On or off, and nothing else."""
        self._settings["enable"] = _ON if enabled else "0"

    def wipe(self) -> None:
        """As from the shop."""
        self._settings = dict(_SWITCHED_OFF)
        self.rules.rows.clear()

    def rates(self) -> Callable[[str], Rate | None]:
        """What limits an address, by the rules as they are now. Rules for some ports or one protocol limit nothing."""
        ranges = [
            (int(rule["startIP"]), int(rule["endIP"]), _rate(rule, "Max"))
            for rule in (self.rules if self.enabled else ())
            if rule["enable"] == "1" and (rule["startPort"], rule["endPort"], rule["protocol"]) == _EVERYTHING
        ]

        @cache
        def rate(ip: str) -> Rate | None:
            number = int(IPv4Address(ip))
            return next((rate for first, last, rate in ranges if first <= number <= last), None)

        return rate

    def change(self, section: cgi.Section) -> str:
        """SET of TC."""
        settings = self._settings | section.changes(_SETTINGS)
        _check_sums(settings, self.rules, _TOO_LITTLE_TO_SHARE)
        self._settings = settings
        return ""

    def add_rule(self, section: cgi.Section) -> str:
        """ADD of TC_RULE."""
        written = _OPTIONAL | section.changes(_RULE)
        if _RULE.keys() - written.keys():
            raise cgi.CgiError(cgi.BAD_ARGUMENTS)
        rule = {name: written[name] for name in _RULE}
        self._check_addresses(rule)
        self._check_bandwidths(rule, self.rules)
        return self.rules.add(section, rule)

    def change_rule(self, section: cgi.Section) -> str:
        """SET of TC_RULE."""
        number = self.rules.number(section)
        rule = self.rules.rows[number] | section.changes(_CHANGEABLE)
        self._check_bandwidths(rule, [other for place, other in self.rules.rows.items() if place != number])
        self.rules.rows[number] = rule
        return ""

    def _check_addresses(self, rule: Settings) -> None:
        lan, first, last = self._lan(), int(rule["startIP"]), int(rule["endIP"])
        if IPv4Address(first) not in lan:
            raise cgi.CgiError(START_NOT_IN_LAN)
        if IPv4Address(last) not in lan or last < first:
            raise cgi.CgiError(END_NOT_IN_LAN)
        if any(int(other["startIP"]) <= last and first <= int(other["endIP"]) for other in self.rules):
            raise cgi.CgiError(CONFLICT)

    def _check_bandwidths(self, rule: Settings, others: Iterable[Settings]) -> None:
        least, most = _rate(rule, "Min"), _rate(rule, "Max")
        if least.down > most.down or least.up > most.up:
            raise cgi.CgiError(cgi.BAD_VALUE)
        _check_sums(self._settings, [*others, rule], _TOO_MUCH_RESERVED)


def _rate(settings: Settings, which: str) -> Rate:
    return Rate(int(settings[f"down{which}BW"]), int(settings[f"up{which}BW"]))


def _check_sums(settings: Settings, rules: Iterable[Settings], numbers: tuple[tuple[str, int], ...]) -> None:
    """What rules reserve must be there. `numbers`: the error for each direction."""
    reserving = [rule for rule in rules if rule["enable"] == "1"]
    for way, number in numbers:
        if sum(int(rule[f"{way}MinBW"]) for rule in reserving) > int(settings[f"{way}TotalBW"]):
            raise cgi.CgiError(number)
