"""Keeps our rules on the router: looks what is there, does one step, and looks again, until nothing is left to do.

Whoever is killed in between leaves what the next visit goes on from: what is ours shows on the router, and what a
switch was like is remembered before it is turned. Source: docs/router.md, "Control: throttle and block".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec.structs import replace

from dalla_mqtt.errors import ArchiveError, BadReply, LimitRefused
from dalla_mqtt.router.answers import NO_MAC
from dalla_mqtt.router.cgi import ADD, CALL, DELETE, LIST, Reply, Section
from dalla_mqtt.router.exchange import Exchange
from dalla_mqtt.router.rules import Before, Blocking, Part, Plan, Step, Throttling, why_spared
from dalla_mqtt.router.seam import Memory
from dalla_mqtt.usage.limits import Limited, Limits
from dalla_mqtt.usage.reading import Mac

_log = logging.getLogger(__name__)

Ask = Callable[[tuple[Section, ...]], Reply]
_Found = dict[str, dict[str, Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,15}\Z")]]]

_MOST_STEPS = 1000  # for one part of the limits: of what there may be 256 addresses, and each rule may be wrong
_ABSENT = (9000, 9804)  # no such method, no such object
_WHO_ASKS = (Section(CALL, "/cgi/info"),)
_ROUTER = (Section(LIST, "LAN_IP_INTF", ("IPInterfaceIPAddress", "X_TP_MACAddress")),)
_LEASES = (Section(LIST, "LAN_HOST_ENTRY", ("IPAddress", "MACAddress")),)
_HERE = "it is the machine that this program runs on"
_THERE = "it is the router"
_NO_ADDRESS = IPv4Address(0)
_NOWHERE = "the router does not tell its address"


class Control:
    """What is limited at the other end of `exchange`. `memory`: keeps what switches were like before we turned them."""

    def __init__(self, exchange: Exchange, memory: Memory | None) -> None:
        self._exchange = exchange
        self._switches = _Switches(memory, exchange.url)
        self._absent: set[str] = set()  # switches that this router does not have

    def enforce(self, ask: Ask, limits: Limits, *, dry_run: bool) -> Limited:
        """See Router. `ask` is in the session of an administrator."""
        visit = _Visit(ask, self._switches, self._absent, dry_run=dry_run)
        limits = self._without_us(ask, limits, visit.spared)
        parts: tuple[Part, ...] = (
            Throttling(limits.throttled, limits.rate, limits.line),
            Blocking(limits.blocked),
            Blocking(limits.blocked, "IP6_"),
        )
        for part in parts:
            try:
                visit.bring_about(part)
            except LimitRefused as error:
                visit.refusals.append(str(error))
                visit.certain = False
        if not visit.refusals:
            return Limited(tuple(visit.steps), visit.spared)
        if visit.steps and not dry_run:
            _log.info("of the limits this was done: %s", "; ".join(visit.steps))
        devices = frozenset(mac.dashed for mac in visit.refused) if visit.certain else None
        raise LimitRefused("; ".join(visit.refusals), devices)

    def _without_us(self, ask: Ask, limits: Limits, spared: dict[Mac, str]) -> Limits:
        """Neither this machine nor the router is limited, and no address that is none."""
        if not limits.throttled and not limits.blocked:
            return limits
        addresses, macs = self._us(ask)
        throttled = {}
        for ip, mac in limits.throttled.items():
            why = macs.get(mac) or addresses.get(ip) or (None if _is_address(ip) else _NOWHERE)
            if why:
                spared[mac] = why_spared(mac, why)
            else:
                throttled[ip] = mac
        spared.update({mac: why_spared(mac, macs[mac]) for mac in limits.blocked if mac in macs})
        return replace(limits, throttled=throttled, blocked=limits.blocked.difference(macs))

    def _us(self, ask: Ask) -> tuple[dict[str, str], dict[Mac, str]]:
        """Addresses and MACs of this machine and of the router, by all that anybody says, and which of the two."""
        asked = _told(ask, _WHO_ASKS).script
        networks = [block.values for block in _told(ask, _ROUTER).blocks]
        leases = [block.values for block in _told(ask, _LEASES).blocks]
        addresses = {asked.get("clientIp", ""): _HERE, **dict(zip(self._exchange.ends, (_HERE, _THERE), strict=False))}
        addresses |= {values.get("IPInterfaceIPAddress", ""): _THERE for values in networks}
        addresses = {address: why for address, why in addresses.items() if address}
        told = {**dict.fromkeys(_interfaces(), _HERE), asked.get("clientMac", ""): _HERE}
        told |= {values.get("X_TP_MACAddress", ""): _THERE for values in networks}
        for values in leases:
            if why := addresses.get(values.get("IPAddress", "")):
                told.setdefault(values.get("MACAddress", ""), why)
        return addresses, {mac: why for text, why in told.items() if (mac := _mac(text))}


class _Visit:
    """One login: what was done in it, whom it spared, and why something could not be done."""

    def __init__(self, ask: Ask, switches: _Switches, absent: set[str], *, dry_run: bool) -> None:
        self._ask = ask
        self._switches = switches
        self._absent = absent
        self._dry_run = dry_run
        self.steps: list[str] = []
        self.spared: dict[Mac, str] = {}
        self.refusals: list[str] = []
        self.refused: set[Mac] = set()  # who is not limited because of them
        self.certain = True  # all others are as they should be

    def bring_about(self, part: Part) -> None:
        """Take the steps of the part. Raises LimitRefused, and what asking raises."""
        without: set[Mac] = set()  # whom the router refused
        taken: Step | None = None
        made: tuple[str, str] | None = None  # by the last step: the list, and the place there
        most = _MOST_STEPS
        while plan := self._plan(part, without):
            if taken and made and made not in plan.ours:
                self._take_back(*made)
                raise LimitRefused(f"the router keeps something else than it took: {taken.words}")
            if self._dry_run or not plan.steps:
                self._conclude(part, plan, changed=taken is not None)
                return
            if len(plan.steps) >= most:
                raise LimitRefused(
                    f"the router did not keep what it took: {taken.words if taken else plan.steps[0].words}"
                )
            taken = plan.steps[0]
            refused, made = self._take(part, taken)
            without |= refused
            self.refused |= refused
            most = _MOST_STEPS if refused else len(plan.steps)

    def _plan(self, part: Part, without: set[Mac]) -> Plan | None:
        """What is to be done; None where the router has nothing of the kind, and needs not."""
        if part.switch in self._absent:
            return None
        answers = []
        for question in part.questions:
            reply = self._ask(question)
            if reply.error:
                self._do_without(part, reply.error)
                return None
            answers.append(reply.blocks)
        return part.plan(tuple(answers), without, self._switches.before(part.switch))

    def _do_without(self, part: Part, error: int) -> None:
        """Raises BadReply or LimitRefused where that cannot be."""
        absent = error in _ABSENT
        if part.optional:
            if absent:
                self._absent.add(part.switch)
        elif not absent:
            raise BadReply(f"the router refused to tell of {part.name}: [error]{error}")
        elif part.wanted:
            raise LimitRefused(f"this router cannot limit anybody by {part.name}: [error]{error}")

    def _take(self, part: Part, step: Step) -> tuple[set[Mac], tuple[str, str] | None]:
        """Whom the router refused to limit, and what it made, if anything: the list, and the place there.

        Raises LimitRefused where it refused anything else.
        """
        before = self._switches.before(part.switch)
        if step.before is not None:  # killed from here on, the next one knows
            self._switches.keep(part.switch, {**step.before, **(before or {})})
        reply = self._ask((step.section,))
        if not reply.error:
            self.steps.append(step.words)
            made = step.section.action == ADD and reply.blocks
            return set(), (step.section.oid, reply.blocks[0].stack) if made else None
        if step.before is not None:
            self._switches.keep(part.switch, before)
        if step.device is None:
            raise LimitRefused(step.refused(reply.error))
        self.refusals.append(step.refused(reply.error))
        return {step.device}, None

    def _take_back(self, oid: str, stack: str) -> None:
        """Delete what was just made, and is not known as ours: nobody else would ever do it."""
        reply = self._ask((Section(DELETE, oid, stack=stack),))
        self.steps.pop()
        if reply.error:
            _log.warning("the router keeps %s %s, which is not as it was made: delete it in its page", oid, stack)

    def _conclude(self, part: Part, plan: Plan, *, changed: bool) -> None:
        """`changed`: whether steps were taken before."""
        self.spared.update(plan.spared)
        if plan.refusal:
            self.refusals.append(plan.refusal)
            self.refused.update(part.devices)
        if self._dry_run:
            self.steps += (step.words for step in plan.steps)
        elif plan.over:
            if plan.stays_on and changed:
                known = self._switches.before(part.switch) is not None
                why = "rules of somebody else's need it" if known else "it may have been on before there were limits"
                self.steps.append(f"leave {part.name} on: {why}")
            self._switches.keep(part.switch, None)


class _Switches:
    """What the router's switches were like before we turned them, by their objects, across restarts."""

    def __init__(self, memory: Memory | None, url: str) -> None:
        self._memory = memory
        self._key = f"router.switched {url}"
        self._found: _Found = {}
        with suppress(ArchiveError, msgspec.DecodeError):
            text = None if memory is None else memory.recall(self._key)
            self._found = msgspec.json.decode(text, type=_Found) if text else {}

    def before(self, switch: str) -> Before | None:
        """The settings to come back to; None where it was not us who turned it."""
        return self._found.get(switch)

    def keep(self, switch: str, before: Before | None) -> None:
        """From now on it is this. Where that cannot be kept, it is known until this program ends."""
        found = {name: settings for name, settings in self._found.items() if name != switch}
        if before is not None:
            found[switch] = dict(before)
        if found == self._found:
            return
        self._found = found
        try:
            if self._memory is not None:
                self._memory.keep(self._key, msgspec.json.encode(found).decode())
        except ArchiveError as error:
            _log.warning("it cannot be kept that %s was switched on, to switch it off one day: %s", switch, error)


def _told(ask: Ask, sections: tuple[Section, ...]) -> Reply:
    """The answer, or an empty one where this firmware has none."""
    reply = ask(sections)
    return Reply((), reply.error) if reply.error else reply


def _is_address(ip: str) -> bool:
    try:
        return IPv4Address(ip) != _NO_ADDRESS
    except AddressValueError:
        return False


def _mac(text: str) -> Mac | None:
    try:
        mac = Mac.parse(text)
    except ValueError:
        return None
    return None if mac == NO_MAC else mac


def _interfaces() -> Iterator[str]:
    """The MACs of this machine, where the system shows them."""
    for file in Path("/sys/class/net").glob("*/address"):
        with suppress(OSError, UnicodeDecodeError):  # it may have gone
            yield file.read_text("ascii")
