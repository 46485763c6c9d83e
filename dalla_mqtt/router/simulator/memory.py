"""The memory of a simulated Archer C20: what it counts, what it can be asked, and what it answers. No sockets here."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from dalla_mqtt.router.simulator import cgi
from dalla_mqtt.router.simulator.household import TICK_S, Household, Traffic
from dalla_mqtt.router.simulator.replies import DELETED, Fault, Reply
from dalla_mqtt.router.simulator.statistics import ENTRY_ATTRIBUTES, NO_MAC, Statistics, Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from dalla_mqtt.router.simulator.doors import Door
    from dalla_mqtt.router.simulator.firmware import Firmware
    from dalla_mqtt.usage.reading import Mac

_CLASSIC_PAIR = 2  # sections in the poll that every client makes: STAT_CFG and STAT_ENTRY
_LEASE_S = 7200
_LEASE_ATTRIBUTES = ("leaseTimeRemaining", "MACAddress", "hostName", "IPAddress")
_SETTINGS = {
    "enable": {"0", "1"},
    "interval": {str(seconds) for seconds in range(5, 61)},  # what the page of the router offers
    "action": {"0", "1", "2"},
}


@dataclass(frozen=True, slots=True)
class Turn:
    """The moment in which one section is answered."""

    section: cgi.Section
    client: str
    reply: Reply  # that the answer becomes a part of


class SimulatedRouter:
    """State and answers. Traffic is caught up with `clock` whenever somebody asks. Not thread-safe."""

    def __init__(self, household: Household, firmware: Firmware, door: Door, clock: Callable[[], float]) -> None:
        self.household = household
        self.door = door
        self.statistics = Statistics(enabled=firmware.statistics_enabled, max_rows=firmware.max_rows)
        self.witness = Witness()
        self.faults: deque[Fault] = deque()
        self.frozen = False
        self.replies = 0
        self.refused = 0
        self._firmware = firmware
        self._clock = clock
        self._up_since = self._counted_until = clock()
        self._ticks = 0
        self._objects: dict[str, dict[int, Callable[[Turn], str]]] = {
            "STAT_CFG": {cgi.GET: self._settings, cgi.LIST: self._settings, cgi.SET: self._change_settings},
            "STAT_ENTRY": {cgi.LIST: self._entries},
            "LAN_HOST_ENTRY": {cgi.LIST: self._leases},
            "IGD_DEV_INFO": {cgi.GET: self._device, cgi.LIST: self._device},
            "ETH_SWITCH": {cgi.GET: self._switch},
            "SYS_MODE": {cgi.GET: self._mode},
            "ACT_REBOOT": {cgi.OPERATE: self._reboot_afterwards},
            "/cgi/info": {cgi.CALL: self._session},
            "/cgi/logout": {cgi.CALL: self._log_out},
        }

    @property
    def booting(self) -> bool:
        """Whether it is too early after a reboot for any answer."""
        return self._clock() < self._up_since

    @property
    def uptime_s(self) -> int:
        """Whole seconds since it was last up."""
        return max(0, int(self._clock() - self._up_since))

    @property
    def owner(self) -> str | None:
        """Who is the administrator now."""
        return self.door.seat.owner(self._clock())

    @property
    def modulus(self) -> int:
        """Where the counters start again at zero, as far as anybody can see."""
        return 1 << self._firmware.counter_bits

    def catch_up(self) -> None:
        """Let the household live up to the clock, in whole ticks. Nothing moves while frozen or booting.

        A sampling interval that ends on the way is sampled where it ends; of several, only at the end of the last.
        """
        ticks = int((self._clock() - self._counted_until) / TICK_S)
        if ticks <= 0:
            return
        self._counted_until += ticks * TICK_S
        if self.frozen:
            return
        interval = int(self.statistics.interval_s / TICK_S)
        intervals, into_the_next = divmod(self._ticks % interval + ticks, interval)
        self._ticks += ticks
        if intervals:
            self._run(ticks - into_the_next)
            self.statistics.end_interval(intervals)
        self._run(into_the_next if intervals else ticks)

    def move(self, ip: str, mac: Mac, traffic: Traffic) -> None:
        """`mac`, at `ip`, moves `traffic`."""
        self.witness.saw(mac, traffic.bytes)
        self.statistics.count(ip, mac, traffic)

    def reboot(self) -> None:
        """Rows, session and failed attempts are gone; settings stay."""
        self.catch_up()
        self.statistics.clear()
        self.door.forget()
        self._up_since = self._counted_until = self._clock() + self._firmware.reboot_s
        self._ticks = 0

    def answer(self, request: cgi.Request) -> Reply:
        """The reply to `request`. Hand it to `sent` when it has gone out whole."""
        if request.from_own_page:
            reply = self.door.answer(request, self._clock(), partial(self._ask, request.client))
        else:
            reply = Reply.page(HTTPStatus.FORBIDDEN)
        if reply.status is not HTTPStatus.OK:
            self.refused += 1
        return reply

    def page(self, request: cgi.Request) -> Reply:
        """What a browser gets to see."""
        return self.door.page(request, self._clock())

    def sent(self, reply: Reply) -> None:
        """All of `reply` has gone out: what it shows is known from now on."""
        if reply.status is HTTPStatus.OK:
            self.replies += 1
        if reply.revealed is not None:
            self.witness.heard(reply.revealed)
        if reply.reboots:
            self.reboot()

    def _run(self, ticks: int) -> None:
        for device, traffic in self.household.run(ticks):
            self.move(device.ip, device.mac, traffic)

    def _ask(self, client: str, query: str, body: bytes) -> Reply:
        """The reply to a batch that the door let in, spoilt where that is due."""
        fault = self.faults.popleft() if self.faults and b"[STAT_ENTRY#" in body else None
        if fault == "busy":
            self.door.seat.leave()
            return Reply.page(self.door.refusal)
        self.catch_up()
        reply = self._answer_batch(client, query, body, fault)
        reply.spoil()
        return reply

    def _answer_batch(self, client: str, query: str, body: bytes, fault: Fault | None) -> Reply:
        """One refused section fails the whole batch; docs/router.md, "Response"."""
        reply = Reply(HTTPStatus.OK, b"", fault=fault)
        try:
            sections = cgi.parse_batch(query, body, blank_lines=self._firmware.login != "cookie")
            if self._firmware.classic_pair_only and len(sections) > _CLASSIC_PAIR:
                raise cgi.CgiError(cgi.NO_SUCH_OBJECT)
            blocks = [self._method(section)(Turn(section, client, reply)) for section in sections]
        except cgi.CgiError as refused:
            return Reply(HTTPStatus.OK, str(refused).encode(), fault=fault)
        reply.body = ("".join(blocks) + "[error]0").encode()
        return reply

    def _method(self, section: cgi.Section) -> Callable[[Turn], str]:
        methods = self._objects.get(section.oid)
        if methods is None:
            raise cgi.CgiError(cgi.NO_SUCH_OBJECT)
        if section.action not in methods:
            raise cgi.CgiError(cgi.NOT_SUPPORTED)
        return methods[section.action]

    def _settings(self, turn: Turn) -> str:
        statistics = self.statistics
        return turn.section.show_one(
            {"enable": int(statistics.enabled), "interval": statistics.interval_s, "action": 0}
        )

    def _change_settings(self, turn: Turn) -> str:
        """All of them, or none where one is not understood; docs/router.md, "Control"."""
        changes = [cgi.parse_assignment(line) for line in turn.section.attributes]
        for name, value in changes:
            if value not in _SETTINGS.get(name, ()):
                raise cgi.CgiError(cgi.BAD_VALUE if name in _SETTINGS else cgi.BAD_NAME)
        for change in changes:
            match change:
                case "enable", value:
                    self.statistics.switch(enabled=value == "1")
                case "interval", value:
                    self.statistics.interval_s = int(value)
                case "action", "1":
                    self.statistics.reset()
                case "action", "2":
                    self.statistics.clear()
        return ""

    def _entries(self, turn: Turn) -> str:
        listed = list(enumerate(self.statistics.rows, start=1))
        match turn.reply.fault:
            case "drop_row":
                del listed[:1]
            case "drop_third":
                del listed[: len(listed) // 3]
        if {"macAddress", "totalBytes"} <= set(turn.section.chosen(ENTRY_ATTRIBUTES)):
            turn.reply.revealed = [row for _, row in listed]
        if turn.reply.fault == "double_row":
            listed[:0] = listed[:1]
        modulus = self.modulus
        return turn.section.show(
            ENTRY_ATTRIBUTES, ((f"{place},0,0,0,0,0", row.shown(modulus)) for place, row in listed)
        )

    def _leases(self, turn: Turn) -> str:
        left = _LEASE_S - self.uptime_s % _LEASE_S
        return turn.section.show(
            _LEASE_ATTRIBUTES,
            (
                (f"{place},0,0,0,0,0", (left, device.mac.colons, device.name, device.ip))
                for place, device in enumerate(self.household.devices, start=1)
            ),
        )

    def _device(self, turn: Turn) -> str:
        return turn.section.show_one(
            {
                "modelName": "Archer C20",
                "description": "AC750 Wireless Dual Band Router",
                "X_TP_isFD": 0,
                "softwareVersion": "0.9.1 4.0 v0044.0 (simulated)",
                "hardwareVersion": "Archer C20 v1 (simulated)",
                "upTime": self.uptime_s,
            }
        )

    def _switch(self, turn: Turn) -> str:
        return turn.section.show_one({"numberOfVirtualPorts": 4})

    def _mode(self, turn: Turn) -> str:
        return turn.section.show_one({"mode": "ETH"})

    def _session(self, turn: Turn) -> str:
        mac = next((device.mac.colons for device in self.household.devices if device.ip == turn.client), NO_MAC)
        return (
            f'[cgi]{turn.section.index}\nvar userType="Admin";\nvar bSecured=0;\nvar clientLocal=1;\n'
            f'var clientIp="{turn.client}";\nvar clientMac="{mac}";\n$.ret=0;\n'
        )

    def _log_out(self, turn: Turn) -> str:
        self.door.log_out()
        if self._firmware.login == "cookie":
            return f"[cgi]{turn.section.index}\n"
        turn.reply.session = DELETED
        return f"[cgi]{turn.section.index}\n$.ret=0;\n"

    def _reboot_afterwards(self, turn: Turn) -> str:
        turn.reply.reboots = True
        return ""
