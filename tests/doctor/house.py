"""What `dalla-mqtt doctor` says, line by line."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.processes import CANARY, Process, wait_until

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing answers
PATIENCE_S = 60.0  # it waits ten seconds by itself
_ABOUT = 15

SETTINGS = {
    "DALLA_ROUTER_URL": NOWHERE,
    "DALLA_ROUTER_PASSWORD": "admin",
    "DALLA_MQTT_URL": "off",
    "DALLA_TARIFF_TIMEZONE": "Europe/Berlin",
}


class Doctor(Process):
    """The command, in `folder`, with a router and a broker where they are named."""

    def __init__(self, folder: Path, *words: str, before: tuple[str, ...] = (), **environment: str) -> None:
        command = (*before, sys.executable, "-m", "dalla_mqtt", "doctor", *words)
        super().__init__(*command, cwd=folder, environment=SETTINGS | environment)

    def ends(self) -> int:
        """Its exit code."""
        code = self.wait(PATIENCE_S)
        assert "Traceback" not in self.output, self.output
        assert CANARY not in self.output
        return code

    def interrupted(self) -> int:
        """Its exit code after Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.wait(5)

    @property
    def all(self) -> list[tuple[str, str, str]]:
        """Verdict, what it is about, and the text of each line."""
        rows = [(line[:5].strip(), line[7 : 7 + _ABOUT].strip(), line[8 + _ABOUT :].strip()) for line in self.lines]
        return [row for row in rows if row[0] in ("ok", "hint", "wrong")]

    def about(self, what: str) -> tuple[str, str]:
        """Verdict and text of the last line about it."""
        wait_until(lambda: any(about == what for _, about, _ in self.all) or self.process.poll() is not None, what)
        found = [(verdict, text) for verdict, about, text in self.all if about == what]
        assert found, f"nothing about {what}:\n{self.output}"
        return found[-1]


def diagnose(folder: Path, *words: str, before: tuple[str, ...] = (), **environment: str) -> tuple[int, Doctor]:
    """The exit code, and what was said, to the end."""
    with Doctor(folder, *words, before=before, **environment) as doctor:
        return doctor.ends(), doctor
