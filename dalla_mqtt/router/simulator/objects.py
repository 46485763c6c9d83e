"""What a simulated router can be asked: its objects, its operations, and what else goes by a section of a batch.

Sources: docs/router.md, "Traffic statistics", "Names of devices", "Device and WAN information", "Throttle".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dalla_mqtt.router.simulator import cgi
from dalla_mqtt.router.simulator.network import Network
from dalla_mqtt.router.simulator.replies import DELETED
from dalla_mqtt.router.simulator.statistics import NO_MAC, PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dalla_mqtt.router.simulator.firmware import Firmware
    from dalla_mqtt.router.simulator.memory import SimulatedRouter
    from dalla_mqtt.router.simulator.replies import Reply
    from dalla_mqtt.router.simulator.statistics import Row

_READ, _LISTS = (cgi.GET, cgi.LIST), (cgi.GET, cgi.LIST, cgi.SUBLIST)
_SETTINGS = {
    "enable": {"0", "1"},
    "interval": {str(seconds) for seconds in range(5, 61)},  # what the page of the router offers
    "action": {"0", "1", "2"},
}
_RESET = ("action", "1")  # of a row: what the router's own page sends was never seen
_THIS_MACHINE = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Turn:
    """The moment in which one section is answered."""

    section: cgi.Section
    client: str
    reply: Reply  # that the answer becomes a part of


class Objects:
    """All that one router has."""

    def __init__(self, router: SimulatedRouter, firmware: Firmware) -> None:
        self._router = router
        self._firmware = firmware
        self._profile = PROFILES[firmware.statistics]
        network = Network(router, newer=firmware.newer)
        singles: dict[str, Callable[[], dict[str, object]]] = {
            "STAT_CFG": self._settings,
            "IGD_DEV_INFO": self._device,
            "ETH_SWITCH": lambda: {"numberOfVirtualPorts": 4},
            "SYS_MODE": lambda: {"mode": "ETH"},
            **router.control.singles,
        }
        lists = network.lists | router.control.lists
        answers: dict[tuple[int, ...], dict[str, Callable[[Turn], str]]] = {
            _READ: {name: self._single(values) for name, values in singles.items()},
            _LISTS: {
                "STAT_ENTRY": self._entries,
                **{name: self._list(names, rows) for name, (names, rows) in lists.items()},
            },
            (cgi.SET,): {"STAT_CFG": self._change_settings, "STAT_ENTRY": self._reset_entry},
            (cgi.DELETE,): {"STAT_ENTRY": self._delete_entry},
            (cgi.OPERATE,): {
                "ACT_REBOOT": self._reboot,
                "ACT_FACTORY_RESET": self._factory_reset,
                "ACT_WLAN_UPDATE_ASSOC": lambda turn: network.look_around(turn.section.stack),
            },
            (cgi.CALL,): {"/cgi/info": self._session, "/cgi/logout": self._log_out},
        }
        self._answers = {
            (action, name): answer
            for actions, named in answers.items()
            for name, answer in named.items()
            for action in actions
        }
        self._changes = router.control.changes
        self._names = {name for _, name in (*self._answers, *self._changes)}

    def answer(self, turn: Turn) -> str:
        """The blocks of one section. Raises CgiError."""
        section = turn.section
        if section.oid not in self._names:
            raise cgi.CgiError(cgi.NO_SUCH_OBJECT)
        if change := self._changes.get((section.action, section.oid)):
            return change(section)
        answer = self._answers.get((section.action, section.oid))
        if answer is None:
            raise cgi.CgiError(cgi.NOT_SUPPORTED)
        return answer(turn)

    def _single(self, values: Callable[[], dict[str, object]]) -> Callable[[Turn], str]:
        return lambda turn: turn.section.show_one(values(), self._firmware.single_stack)

    def _list(
        self, names: tuple[str, ...], rows: Callable[[], Iterable[tuple[str, Sequence[object]]]]
    ) -> Callable[[Turn], str]:
        def answer(turn: Turn) -> str:
            section = turn.section
            chosen = [(stack, values) for stack, values in rows() if section.wants(stack)]
            if section.action == cgi.GET and not chosen:
                raise cgi.CgiError(cgi.BAD_ARGUMENTS if section.stack == cgi.ZEROS else cgi.NO_SUCH_INSTANCE)
            return section.show(names, chosen)

        return answer

    def _settings(self) -> dict[str, object]:
        statistics = self._router.statistics
        return {"enable": int(statistics.enabled), "interval": statistics.interval_s, "action": 0}

    def _change_settings(self, turn: Turn) -> str:
        """All of them, or none where one is not understood; docs/router.md, "Control"."""
        statistics = self._router.statistics
        for change in turn.section.changes(_SETTINGS).items():
            match change:
                case "enable", value:
                    statistics.switch(enabled=value == "1")
                case "interval", value:
                    statistics.interval_s = int(value)
                case "action", "1":
                    statistics.reset()
                case "action", "2":
                    statistics.clear()
        return ""

    def _entries(self, turn: Turn) -> str:
        profile = self._profile
        rows = self._router.statistics.rows
        listed = [(f"{place},0,0,0,0,0", row) for place, row in enumerate(rows, start=1)]
        match turn.reply.fault:
            case "drop_row":
                del listed[:1]
            case "drop_third":
                del listed[: len(listed) // 3]
        if turn.section.action != cgi.GET and {"macAddress", *profile.totals} <= set(
            turn.section.chosen(profile.attributes)
        ):
            turn.reply.revealed = [row for _, row in listed]
        if turn.reply.fault == "double_row":
            listed[:0] = listed[:1]
        return self._list(profile.attributes, lambda: self._values(listed))(turn)

    def _values(self, rows: Iterable[tuple[str, Row]]) -> Iterable[tuple[str, Sequence[object]]]:
        return ((stack, self._profile.values(row, self._router.modulus)) for stack, row in rows)

    def _reset_entry(self, turn: Turn) -> str:
        if turn.section.changes({_RESET[0]: {_RESET[1]}}):
            self._router.statistics.reset_row(self._place(turn))
        return ""

    def _delete_entry(self, turn: Turn) -> str:
        self._router.statistics.delete_row(self._place(turn))
        return ""

    def _place(self, turn: Turn) -> int:
        """Which row the section is about, from 0: the stack is the position."""
        number = int(turn.section.stack.partition(",")[0])
        if not 0 < number <= len(self._router.statistics.rows):
            raise cgi.CgiError(cgi.NO_SUCH_INSTANCE)
        return number - 1

    def _device(self) -> dict[str, object]:
        return {
            "modelName": "Archer C20",
            "description": "AC750 Wireless Dual Band Router",
            "X_TP_isFD": 0,
            "softwareVersion": "0.9.1 4.0 v0044.0 (simulated)",
            "hardwareVersion": "Archer C20 v1 (simulated)",
            "upTime": self._router.uptime_s,
        }

    def _session(self, turn: Turn) -> str:
        here = self._router.here if turn.client == _THIS_MACHINE else None
        ip = here or turn.client
        mac = next((device.mac.colons for device in self._router.household.devices if device.ip == ip), NO_MAC)
        return (
            f'[cgi]{turn.section.index}\nvar userType="Admin";\nvar bSecured=0;\nvar clientLocal=1;\n'
            f'var clientIp="{ip}";\nvar clientMac="{mac}";\n$.ret=0;\n'
        )

    def _log_out(self, turn: Turn) -> str:
        self._router.door.log_out()
        if not self._firmware.newer:
            return f"[cgi]{turn.section.index}\n"
        turn.reply.session = DELETED
        return f"[cgi]{turn.section.index}\n$.ret=0;\n"

    def _reboot(self, turn: Turn) -> str:
        turn.reply.afterwards = self._router.reboot
        return ""

    def _factory_reset(self, turn: Turn) -> str:
        turn.reply.afterwards = self._router.factory_reset
        return ""
