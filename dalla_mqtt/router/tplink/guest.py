"""The process in which tplinkrouterc6u works: the only part of dalla-mqtt that loads it, and under the GPL with it.

It polls when it is told to, says what came of it, and ends with the daemon. One that is killed leaves it alone with a
poll: that is brought to its end, logout included.
"""

from __future__ import annotations

import resource
import sys
from multiprocessing.connection import Connection

import msgspec

from dalla_mqtt.router.tplink.bounds import Bounds
from dalla_mqtt.router.tplink.words import Order

_MEMORY = 192 * 2**20  # 25 MiB when nothing is asked; an answer of 256 rows takes one more


def main() -> None:
    """Serve the other end of the socket whose number is the only argument."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    line = Connection(int(sys.argv[1]))
    bounds = Bounds()

    from dalla_mqtt.router.tplink.visit import NAMES, visit  # noqa: PLC0415  # the library, within its bounds

    try:
        line.send_bytes(msgspec.json.encode(NAMES))
        while not bounds.ending:
            order = msgspec.json.decode(line.recv_bytes(), type=Order)
            with bounds.busy():
                line.send_bytes(msgspec.json.encode(visit(order, bounds)))
    except (EOFError, OSError):
        pass  # the daemon has gone


if __name__ == "__main__":
    main()
