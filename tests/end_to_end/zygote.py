"""Daemons that start in no time: each is a fork of this process, which has loaded all that they need.

Takes a JSON object a line: `words` of the command line, `folder`, `now` (what all clocks say), and the `environment`.
Answers with the process id of the daemon, and with its wait status when it has ended.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import Any, NoReturn

_now = 0.0


def now(*_: int) -> float:
    """UTC epoch seconds, which will do for the steady clock, too."""
    return _now


time.time = now
time.clock_gettime = now

import dalla_mqtt.archive.store  # noqa: E402  # takes the clock that it finds
import dalla_mqtt.daemon  # noqa: E402
import dalla_mqtt.router.archer_c20  # noqa: E402, F401
from dalla_mqtt.cli import main  # noqa: E402


def become(daemon: dict[str, Any]) -> NoReturn:
    """A daemon that says what it says into the file `output` of its folder."""
    global _now  # noqa: PLW0603  # a machine has one clock
    _now = daemon["now"]
    os.environ.update(daemon["environment"])
    os.chdir(daemon["folder"])
    output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    code = main(daemon["words"])
    sys.stdout.flush()
    os._exit(code)


gc.freeze()  # what is never looked at again is never copied
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        become(json.loads(line))
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
