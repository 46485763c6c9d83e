"""Our rules on the router: what is there and what is wanted in, the steps from the one to the other out. Pure.

Rules of others are neither changed nor deleted; what makes no sense is theirs. Source: docs/router.md, "Control:
throttle and block".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.errors import BadReply
from dalla_mqtt.router.answers import count
from dalla_mqtt.router.cgi import ADD, DELETE, GET, LIST, SET, Block, Section, by_section
from dalla_mqtt.usage.quota import Rate
from dalla_mqtt.usage.reading import Mac

Answers = tuple[tuple[Block, ...], ...]  # to each of a part's questions
Before = Mapping[str, str]  # settings of a switch to come back to, by name

_IN_ITS_PAGE = "in the router's page"
# A bandwidth rule has no name. Ours are known by what nobody types by accident: so much is guaranteed to one address.
_MARK = {"startPort": "0", "endPort": "0", "protocol": "0", "upMinBW": "11", "downMinBW": "13"}
_TC_SETTINGS = ("enable", "linkType", "upTotalBW", "downTotalBW")
_TC_ON = "3"
_FIREWALL_SETTINGS = ("enable", "defaultAction")
_OUR_NAME = re.compile(r"dalla-([0-9a-f]{12})")
_DENY_ALL = {"action": "1", "enable": "1", "direction": "0", "protocol": "3", "externalHostRef": "", "scheduleRef": ""}
_USABLE_NAME = re.compile(r"""[^\x00-\x1f\x7f-\U0010ffff\\/":*?<>|&]{1,64}""")  # which the router takes, too

_REASONS = {
    **dict.fromkeys((4849, 9004, 9812), f"its list is full: delete some of it {_IN_ITS_PAGE}"),
    **dict.fromkeys((4803, 4804), "the address is none of its own network"),
    **dict.fromkeys(
        (4800, 4801, 4805, 4806), f"its bandwidth control has too little in total: raise it {_IN_ITS_PAGE}"
    ),
    **dict.fromkeys((4802, 4712, 4713), "a rule of somebody else's is against it"),
    4710: f"that MAC has an entry of another kind: delete it {_IN_ITS_PAGE}",
    1001: f"its name is taken: delete what has it {_IN_ITS_PAGE}",
    4716: f"something else needs it: delete that {_IN_ITS_PAGE}",
}


def why_spared(mac: Mac, why: str) -> str:
    """That in a sentence."""
    return f"{mac.colons} is not limited: {why}"


class Step(Struct, frozen=True):
    """One thing to do: in words, and as what is asked.

    `device`: who alone goes without where the router refuses it; None where nothing further can be done then.
    `before`: where this changes a switch, the settings to come back to one day.
    """

    words: str
    section: Section
    device: Mac | None = None
    before: Before | None = None

    def refused(self, error: int) -> str:
        """Why it was not done, for people."""
        why = _REASONS.get(error)
        return f"the router refused to {self.words}: {f'{why} ' if why else ''}[error]{error}"


class Plan(Struct, frozen=True):
    """`steps` in their order: each that is done makes the next plan shorter. Without any, all is as it should be.

    `spared`: devices that are left alone, and why. `refusal`: why nothing can be limited; steps take back, then.
    `over`: nobody is to be limited any more. `stays_on`: the switch is then on all the same. `ours`: what is known as
    ours, each by its list and its place there.
    """

    steps: tuple[Step, ...] = ()
    spared: dict[Mac, str] = {}
    refusal: str | None = None
    over: bool = False
    stays_on: bool = False
    ours: frozenset[tuple[str, str]] = frozenset()


class Throttling(Struct, frozen=True):
    """A bandwidth rule for each address of `wanted`, with the MAC that has it. `line`: what that can do."""

    wanted: dict[str, Mac]
    rate: Rate
    line: Rate | None

    switch: ClassVar[str] = "TC"  # the object that has the switch
    name: ClassVar[str] = "bandwidth control"  # as people call it
    optional: ClassVar[bool] = False  # whether a router may go without
    questions: ClassVar[tuple[tuple[Section, ...], ...]] = ((Section(GET, "TC"), Section(LIST, "TC_RULE")),)

    @property
    def devices(self) -> frozenset[Mac]:
        """Whom it is about."""
        return frozenset(self.wanted.values())

    def plan(self, answers: Answers, without: Collection[Mac], switched: Before | None) -> Plan:
        """`without`: whom the router refused. `switched`: not None where it was us who switched it on.

        Raises BadReply.
        """
        settings, rows = by_section(_told_apart(answers[0]), 2)
        ours = {row.stack: address for row in rows if (address := _our_address(row.values)) is not None}
        others = [row.values for row in rows if row.stack not in ours]
        wanted = {_number(ip): mac for ip, mac in self.wanted.items() if mac not in without}
        covered = [number for number in wanted if any(_covers(values, number) for values in others)]
        spared: dict[Mac, str] = {}
        for number in covered:
            why = f"a bandwidth rule of somebody else's is for {IPv4Address(number)}: delete that {_IN_ITS_PAGE}"
            mac = wanted.pop(number)
            spared[mac] = why_spared(mac, why)
        missing = dict(wanted)
        taking_back = []
        for row in rows:
            address = ours.get(row.stack)
            if address in missing and self._as_wanted(row.values):
                del missing[address]
            elif address is not None:
                whose = IPv4Address(address)
                words = f"take back the old rule for {whose}" if address in wanted else f"let {whose} go"
                taking_back.append(Step(words, Section(DELETE, "TC_RULE", stack=row.stack)))
        switch = _Switch(self.switch, self.name, _TC_ON, _settings(settings, _TC_SETTINGS), self._totals(), switched)
        adding = [self._slow_down(number, mac) for number, mac in missing.items()]
        plan = switch.plan(taking_back, adding, spared, wanted=bool(wanted), others=_enabled(others))
        return replace(plan, ours=frozenset(("TC_RULE", stack) for stack in ours))

    def _totals(self) -> dict[str, str]:
        return {"upTotalBW": str(self.line.up), "downTotalBW": str(self.line.down)} if self.line else {}

    def _as_wanted(self, values: Mapping[str, str]) -> bool:
        rate = (values.get("upMaxBW"), values.get("downMaxBW"))
        return values.get("enable") == "1" and rate == (str(self.rate.up), str(self.rate.down))

    def _slow_down(self, number: int, mac: Mac) -> Step:
        values = {
            "enable": "1",
            "startIP": str(number),
            "endIP": str(number),
            **{name: _MARK[name] for name in ("startPort", "endPort", "protocol")},
            "precedence": "5",
            "upMinBW": _MARK["upMinBW"],
            "upMaxBW": str(self.rate.up),
            "downMinBW": _MARK["downMinBW"],
            "downMaxBW": str(self.rate.down),
            "flag": "1",
        }
        words = f"throttle {IPv4Address(number)} ({mac.colons}) to {self.rate.down}/{self.rate.up} kbit/s"
        return Step(words, Section(ADD, "TC_RULE", _assignments(values)), mac)


class Blocking(Struct, frozen=True):
    """A rule that denies all for each MAC of `wanted`, and the host that it is about. `prefix`: `IP6_` or none."""

    wanted: frozenset[Mac]
    prefix: str = ""

    @property
    def devices(self) -> frozenset[Mac]:
        """Whom it is about."""
        return self.wanted

    @property
    def switch(self) -> str:
        """The object that has the switch."""
        return f"{self.prefix}FIREWALL"

    @property
    def name(self) -> str:
        """What people call it."""
        return f"the firewall{self._suffix}"

    @property
    def optional(self) -> bool:
        """Whether a router may go without."""
        return bool(self.prefix)

    @property
    def questions(self) -> tuple[tuple[Section, ...], ...]:
        """What shows what is there: a batch each."""
        switch = Section(GET, self.switch, _FIREWALL_SETTINGS)
        return ((Section(LIST, f"{self.prefix}RULE"), switch), (Section(LIST, f"{self.prefix}INTERNAL_HOST"),))

    def plan(self, answers: Answers, without: Collection[Mac], switched: Before | None) -> Plan:
        """`without`: whom the router refused. `switched`: not None where it was us who switched it on.

        Raises BadReply.
        """
        rows, settings = by_section(_told_apart(answers[0]), 2)
        hosts = _Hosts(by_section(_told_apart(answers[1]), 1)[0])
        ours = {row.stack: mac for row in rows if (mac := hosts.of_our_rule(row.values)) is not None}
        others = [row.values for row in rows if row.stack not in ours]
        wanted = self.wanted.difference(without)
        missing = set(wanted)
        taking_back = []
        for row in rows:
            mac = ours.get(row.stack)
            if mac in missing and _denies_all(row.values, hosts.names.get(mac)):
                missing.discard(mac)
            elif mac is not None:
                taking_back.append(self._gone(f"let {mac.colons} go", "RULE", row))
        needed = {_our_name(mac) for mac in wanted} | {values.get("internalHostRef") for values in others}
        for row, mac in hosts.ours:
            if _our_name(mac) not in needed:
                taking_back.append(self._gone(f"strike {mac.colons} off the list of hosts", "INTERNAL_HOST", row))
        adding = [step for mac in sorted(missing) for step in self._shut_out(mac, hosts.names.get(mac))]
        switch = _Switch(self.switch, self.name, "1", _settings(settings, _FIREWALL_SETTINGS), {}, switched)
        plan = switch.plan(taking_back, adding, {}, wanted=bool(wanted), others=_enabled(others))
        known = {(f"{self.prefix}RULE", stack) for stack in ours}
        known |= {(f"{self.prefix}INTERNAL_HOST", row.stack) for row, _ in hosts.ours}
        return replace(plan, ours=frozenset(known))

    @property
    def _suffix(self) -> str:
        return " (IPv6)" if self.prefix else ""

    def _gone(self, words: str, oid: str, row: Block) -> Step:
        return Step(f"{words}{self._suffix}", Section(DELETE, f"{self.prefix}{oid}", stack=row.stack))

    def _shut_out(self, mac: Mac, listed: str | None) -> Iterator[Step]:
        """`listed`: by what name the router has it already."""
        ours = _our_name(mac)
        if listed is None:
            host = {"type": "1", "entryName": ours, "mac": mac.colons}
            section = Section(ADD, f"{self.prefix}INTERNAL_HOST", _assignments(host))
            yield Step(f"put {mac.colons} on the list of hosts{self._suffix}", section, mac)
        rule = {"ruleName": ours, "internalHostRef": listed or ours, **_DENY_ALL}
        yield Step(f"block {mac.colons}{self._suffix}", Section(ADD, f"{self.prefix}RULE", _assignments(rule)), mac)


Part = Throttling | Blocking


class _Switch(Struct, frozen=True):
    """What puts all rules of its kind into force, those of others, too. `totals`: what to set with it, if anything."""

    oid: str
    name: str
    on: str
    settings: dict[str, str]
    totals: dict[str, str]
    switched: Before | None

    def plan(
        self, taking_back: list[Step], adding: list[Step], spared: dict[Mac, str], *, wanted: bool, others: int
    ) -> Plan:
        """`others`: how many rules of somebody else's are in force while this is on."""
        on = self.settings["enable"] != "0"
        if not wanted:
            off = on and self.switched is not None and not others
            steps = [*taking_back, *([self._off()] if off else [])]
            return Plan(tuple(steps), spared, over=True, stays_on=on and not off)
        refusal = self._refusal(others, on=on)
        if refusal:
            return Plan(tuple(taking_back), spared, refusal)
        return Plan((*taking_back, *adding, *self._turned_on(on=on)), spared)

    def _refusal(self, others: int, *, on: bool) -> str | None:
        if self.settings.get("defaultAction", "0") != "0":
            mend = f"set its default filtering rule to allow {_IN_ITS_PAGE}"
            return f"{self.name} is set to deny all that no rule allows, and blocks nobody well: {mend}"
        if on or not others:
            return None
        mend = f"switch it on {_IN_ITS_PAGE}, or delete them"
        return f"{self.name} is off, and rules of somebody else's would come into force with it ({others}): {mend}"

    def _turned_on(self, *, on: bool) -> Iterator[Step]:
        totals = {name: value for name, value in self.totals.items() if name in self.settings}
        before = {name: self.settings[name] for name in totals}
        if not on:
            section = self._set({"enable": self.on, **totals})
            yield Step(f"switch {self.name} on{self._for_a_line(totals)}", section, before=before)
        elif self.switched is not None and totals != before:
            yield Step(f"tell {self.name} what the line can do", self._set(totals), before=before)

    def _for_a_line(self, totals: Mapping[str, str]) -> str:
        """What the whole line is held down to, where the router tells: who finds it slow must find out why."""
        down, up = (totals.get(name, self.settings.get(name)) for name in ("downTotalBW", "upTotalBW"))
        return f" for a line of {down}/{up} kbit/s" if down and up else ""

    def _off(self) -> Step:
        before = {name: value for name, value in (self.switched or {}).items() if name in self.settings}
        return Step(f"switch {self.name} off", self._set({**before, "enable": "0"}))

    def _set(self, changes: dict[str, str]) -> Section:
        return Section(SET, self.oid, _assignments({**self.settings, **changes}))


class _Hosts:
    """The router's list of devices that rules are about. `ours`: what we put there. `names`: of MACs, for rules."""

    def __init__(self, rows: list[Block]) -> None:
        self.ours: list[tuple[Block, Mac]] = []
        self.names: dict[Mac, str] = {}
        self._macs: dict[str, Mac] = {}  # of each name
        for row in rows:
            mac, name = _mac(row.values), row.values.get("entryName", "")
            if mac is None:
                continue
            self._macs[name] = mac
            if name == _our_name(mac):
                self.ours.append((row, mac))
                self.names[mac] = name
            elif _USABLE_NAME.fullmatch(name):
                self.names.setdefault(mac, name)

    def of_our_rule(self, values: Mapping[str, str]) -> Mac | None:
        """The MAC that it is about, where the rule is one of ours."""
        name, host = values.get("ruleName", ""), values.get("internalHostRef", "")
        match = _OUR_NAME.fullmatch(name)
        if not match or values.get("isParentCtrl") == "1" or values.get("action") != "1":
            return None
        mac = Mac.parse(match[1])
        return mac if self._macs.get(host, mac if host == name else None) == mac else None


def _told_apart(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks: no two rows have the same number, by which one might be deleted for the other. Raises BadReply."""
    if len({(block.index, block.stack) for block in blocks}) < len(blocks):
        raise BadReply("the router told two rules of the same number")
    return blocks


def _settings(blocks: list[Block], names: Iterable[str]) -> dict[str, str]:
    """Of an object that there is one of: the numbers that it has. Raises BadReply."""
    try:
        (block,) = blocks
        values = {name: str(count(block.values[name])) for name in names if name in block.values}
        if "enable" not in values:
            raise ValueError("enable is missing")
    except ValueError as error:
        raise BadReply(f"what the router tells of its rules makes no sense: {error}") from error
    return values


def _our_address(values: Mapping[str, str]) -> int | None:
    """Whom it slows down, where the bandwidth rule is one of ours."""
    ours = all(values.get(name) == value for name, value in _MARK.items())
    first, last = _addresses(values)
    return first if ours and first == last else None


def _addresses(values: Mapping[str, str]) -> tuple[int, int]:
    """The first and the last one; of none, such as lie in no network."""
    try:
        first, last = count(values["startIP"]), count(values["endIP"])
    except (KeyError, ValueError):
        return 0, -1
    return (first, last) if last < 2**32 else (0, -1)


def _covers(values: Mapping[str, str], number: int) -> bool:
    """Whether the rule of somebody else's is in force, for all that the address moves."""
    first, last = _addresses(values)
    whole = all(values.get(name, "0") == "0" for name in ("startPort", "endPort", "protocol"))
    return whole and values.get("enable") != "0" and first <= number <= last


def _denies_all(values: Mapping[str, str], host: str | None) -> bool:
    """Whether it is as we make them; what the router does not tell is."""
    return host == values.get("internalHostRef") and all(values.get(name, v) == v for name, v in _DENY_ALL.items())


def _enabled(rows: Iterable[Mapping[str, str]]) -> int:
    return sum(values.get("enable") != "0" for values in rows)


def _mac(values: Mapping[str, str]) -> Mac | None:
    """Of a host that is one by its MAC, and not a child's."""
    if values.get("type") != "1" or values.get("isParentCtrl") == "1":
        return None
    try:
        return Mac.parse(values.get("mac", ""))
    except ValueError:
        return None


def _our_name(mac: Mac) -> str:
    return f"dalla-{mac.dashed.replace('-', '').lower()}"


def _number(ip: str) -> int:
    return int(IPv4Address(ip))


def _assignments(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in values.items())
