"""`dalla-mqtt` on a machine whose clocks stand at what a file says: `other_clock.py FILE run …`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

FILE = Path(sys.argv.pop(1))


def now(*_: int) -> float:
    """UTC epoch seconds, which will do for the steady clock, too."""
    return float(FILE.read_text("ascii"))


time.time = now
time.clock_gettime = now

from dalla_mqtt.cli import main  # noqa: E402  # takes the clock that it finds

sys.exit(main())
