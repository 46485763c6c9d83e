"""Three weeks of a household, as logs to bring in and as the long-term statistics that Home Assistant has of them."""

from __future__ import annotations

import math
import time
from itertools import accumulate
from pathlib import Path
from random import Random

from dalla_mqtt.router.simulator.household import Device
from tests.home_assistant.server import HomeAssistant

HOUR_S = 3600
_DAYS = 21
_GB_A_DAY = {"tv": 1.9, "laptop": 1.2, "console": 0.8, "phone": 0.5, "tablet": 0.4, "printer": 0.002}
_HEADER = "Time, Total Bytes, Delta, On-Peak, Off-Peak\n"


class Past:
    """What each of the machines moved in every hour before this one."""

    def __init__(self, machines: list[Device]) -> None:
        self.now = int(time.time()) // HOUR_S * HOUR_S
        self.hours = range(self.now - _DAYS * 24 * HOUR_S, self.now, HOUR_S)
        random = Random(1)  # noqa: S311  # traffic to look at, nothing to keep secret
        self.moved = {machine: [_bytes(machine.name, hour, random) for hour in self.hours] for machine in machines}

    def write_logs(self, folder: Path) -> None:
        """Logs such as dalla-stats wrote: a row at the end of each hour, with the router's counter."""
        for machine, moved in self.moved.items():
            file = folder / f"devices/{machine.mac}_{machine.ip}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            rows = zip([*self.hours, self.now], accumulate(moved, initial=1), [0, *moved], strict=True)
            file.write_text(_HEADER + "".join(f"{at}, {total}, {delta}, 0, 0\n" for at, total, delta in rows))

    def give(self, ha: HomeAssistant, entity_id: str, machines: tuple[str, ...]) -> None:
        """The usage of all whose name begins with one of `machines`, as if Home Assistant had been there."""
        some = [moved for machine, moved in self.moved.items() if machine.name.startswith(machines)]
        totals = list(accumulate(sum(sizes) / 1e9 for sizes in zip(*some, strict=True)))
        rows = [{"start": _utc(at), "state": x, "sum": x} for at, x in zip(self.hours, totals, strict=True)]
        about = {"statistic_id": entity_id, "source": "recorder", "name": None, "unit_of_measurement": "GB"}
        kind = {"mean_type": 0, "unit_class": "information"} if _version(ha) >= (2025, 11) else {"has_mean": False}
        ha.call("recorder/import_statistics", metadata=about | kind | {"has_sum": True}, stats=rows)
        here = {"statistic_id": entity_id, "start_time": _utc(self.now)}
        ha.call("recorder/adjust_sum_statistics", **here, adjustment=totals[-1], adjustment_unit_of_measurement="GB")


def _bytes(name: str, at: int, random: Random) -> int:
    """Little at night, most in the evening, more at the weekend."""
    hour, day = at // HOUR_S % 24, at // (24 * HOUR_S) % 7
    awake = math.sin((hour - 6) / 18 * math.pi) if hour > 6 else 0.03
    evening = 1.8 if hour >= 18 else 1.0
    weekend = 1.3 if day in (2, 3) else 1.0  # the epoch began on a Thursday
    usual = next(size for kind, size in _GB_A_DAY.items() if kind in name)
    return int(usual * 1e9 / 14 * awake * evening * weekend * random.uniform(0.3, 1.7))


def _version(ha: HomeAssistant) -> tuple[int, ...]:
    return tuple(int(number) for number in ha.get("/api/config")["version"].split(".")[:2])


def _utc(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
