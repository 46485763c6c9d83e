"""A simulated router whose table has room for every device: `router.py DEVICES` serves until it is ended."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.router.simulator.household import Device, Phase
from tests.processes import Process, Router

_PACKET_BYTES = 900


class LargeRouter(Router):
    """The simulator in a process of its own; no device moves twice the same."""

    def __init__(self, devices: int) -> None:
        Process.__init__(self, sys.executable, __file__, str(devices))
        self.says("serves at ")
        self.url = self.output.split()[-1]


def serve(devices: int) -> None:
    """Everybody moves in every quarter of a second, and nobody is left out of the table."""
    household = Household(
        [Device(each.mac, each.ip, each.name, _phases(each)) for each in Household.of(devices).devices]
    )
    with Simulator(household, firmware=Firmware(max_rows=devices)) as simulator:
        print("serves at", simulator.url, flush=True)
        signal.pause()


def _phases(device: Device) -> Iterator[Phase]:
    """A little more in every tick, so that no delta is the one before."""
    digits = int(device.mac.dashed[-5:].replace("-", ""), 16)
    return (Phase(1, size, size // _PACKET_BYTES + 1) for size in count(1000 + digits, 16 + digits % 16))


if __name__ == "__main__":
    serve(int(sys.argv[1]))
