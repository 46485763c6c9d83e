"""The memory of a simulated Archer C20: what it counts, what it can be asked, and when it is off. No sockets here."""

from __future__ import annotations

from collections import deque
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from dalla_mqtt.router.simulator import cgi
from dalla_mqtt.router.simulator.control import Control
from dalla_mqtt.router.simulator.household import TICK_S, Household, Traffic
from dalla_mqtt.router.simulator.objects import Objects, Turn
from dalla_mqtt.router.simulator.replies import Fault, Reply
from dalla_mqtt.router.simulator.statistics import PROFILES, Statistics, Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from dalla_mqtt.router.simulator.doors import Door
    from dalla_mqtt.router.simulator.firmware import Firmware, HardwareNat
    from dalla_mqtt.router.simulator.statistics import Row
    from dalla_mqtt.usage.reading import Mac

_PACKETS_PER_PACKET_SEEN = 64  # with hardware NAT; nobody has measured it
_CLASSIC_PAIR = 2  # sections in the poll that every client makes: STAT_CFG and STAT_ENTRY


class SimulatedRouter:
    """State and answers. Traffic is caught up with `clock` whenever somebody asks. Not thread-safe."""

    def __init__(self, household: Household, firmware: Firmware, door: Door, clock: Callable[[], float]) -> None:
        self.household = household
        self.door = door
        self.statistics = Statistics(enabled=firmware.statistics_enabled, max_rows=firmware.max_rows)
        self.witness = Witness()
        self.faults: deque[Fault] = deque()
        self.hardware_nat: HardwareNat = firmware.hardware_nat
        self.control = Control(household, firmware)
        self.here: str | None = None
        self.frozen = False
        self.replies = 0
        self.refused = 0
        self._firmware = firmware
        self._profile = PROFILES[firmware.statistics]
        self._clock = clock
        self._up_since = self._counted_until = clock()
        self._ticks = 0
        self._objects = Objects(self, firmware)

    @property
    def now(self) -> float:
        """What its clock says."""
        return self._clock()

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

    def move(self, ip: str, mac: Mac, traffic: Traffic, sent: int | None = None) -> None:
        """`mac`, at `ip`, moves `traffic`; of that, `sent` bytes go up. With hardware NAT little of it is counted."""
        self.witness.saw(mac, traffic.bytes)
        if self.hardware_nat == "off" or self.control.bandwidth.enabled:
            self.statistics.count(ip, mac, traffic, sent)
        elif self.hardware_nat == "first":
            self.statistics.count(ip, mac, _first(traffic))

    def shown(self, row: Row) -> dict[str, object]:
        """What a client would see of `row`. `packets` is None where it would see none."""
        values = self._profile.shown(row, self.modulus)
        size = sum(int(value) for name, value in values.items() if name in self._profile.totals)
        mac = row.mac.colons if row.mac else None
        return {"ip": row.ip, "mac": mac, "packets": values.get("totalPkts"), "bytes": size}

    def factory_reset(self) -> None:
        """As from the shop, but for the hardware NAT: statistics are off. Then it starts anew."""
        self.catch_up()
        self.statistics.interval_s = 10
        self.statistics.switch(enabled=False)
        self.control.wipe()
        self.reboot()

    def reboot(self) -> None:
        """Rows, session and failed attempts are gone; settings stay, unless the firmware forgets some."""
        self.catch_up()
        self.statistics.clear()
        self.door.forget()
        self.control.reboot()
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
        if reply.afterwards:
            reply.afterwards()

    def _run(self, ticks: int) -> None:
        if not self.control.in_force:
            for device, traffic in self.household.run(ticks):
                self.move(device.ip, device.mac, traffic)
            return
        for device, traffic, over_ipv6 in self.control.let_through(ticks):
            if traffic.bytes:
                self.move(device.ip, device.mac, traffic)
            if over_ipv6:
                self.witness.saw(device.mac, over_ipv6)

    def _ask(self, client: str, query: str, body: bytes) -> Reply:
        """The reply to a batch that the door let in, spoilt where that is due."""
        fault = self.faults.popleft() if self.faults and b"[STAT_ENTRY#" in body else None
        if fault == "busy":
            self.door.seat.leave()
            return Reply.page(self.door.refusal)
        if fault == "overdue":
            return Reply.page(HTTPStatus.REQUEST_TIMEOUT)
        self.catch_up()
        reply = self._answer_batch(client, query, body, fault)
        reply.spoil()
        return reply

    def _answer_batch(self, client: str, query: str, body: bytes, fault: Fault | None) -> Reply:
        """One refused section fails the whole batch; docs/router.md, "Response"."""
        reply = Reply(HTTPStatus.OK, b"", fault=fault)
        try:
            sections = cgi.parse_batch(query, body, blank_lines=self._firmware.newer)
            if self._firmware.classic_pair_only and len(sections) > _CLASSIC_PAIR:
                raise cgi.CgiError(cgi.NO_SUCH_OBJECT)
            blocks = [self._objects.answer(Turn(section, client, reply)) for section in sections]
        except cgi.CgiError as refused:
            own = cgi.CgiError(self._firmware.number(refused.number))
            return Reply(HTTPStatus.OK, f"{own}{self._firmware.ending}".encode(), fault=fault)
        reply.body = f"{''.join(blocks)}[error]0{self._firmware.ending}".encode()
        return reply


def _first(traffic: Traffic) -> Traffic:
    """What the processor sees of it: a flow's first packets, before the hardware takes over. At least one."""
    packets = -(-traffic.packets // _PACKETS_PER_PACKET_SEEN)
    return Traffic(traffic.bytes * packets // max(traffic.packets, 1), packets, traffic.uploaded)
