"""A client of the firmware without a login, and what the tests of the simulator ask and read through it."""

from __future__ import annotations

import json
from base64 import b64encode

import requests

from dalla_mqtt.router.simulator import Simulator

ZEROS = "0,0,0,0,0,0"
PAIR = ((1, "STAT_CFG"), (5, "STAT_ENTRY"))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Admin:
    """A client machine with a user in front of it."""

    def __init__(self, simulator: Simulator, name: str = "laptop", login: str = "admin:admin") -> None:
        self.url = simulator.url
        self.headers: dict[str, str | None] = {
            "Content-Type": "text/plain",
            "Referer": f"{simulator.url}/mainFrame.htm",
            "Cookie": f"Authorization=Basic {b64encode(login.encode()).decode()}",
            "X-Simulated-Client": name,
        }

    def post(self, query: str, body: str, **headers: str | None) -> requests.Response:
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(f"{self.url}/cgi?{query}", data=body, headers=self.headers | changed, timeout=5)

    def ask(self, *sections: tuple[int | str, ...]) -> str:
        """The body of the answer to sections such as (1, "STAT_CFG", "enable")."""
        return self.post(*batch(*sections)).text

    def status(self) -> int:
        return self.post(*batch((1, "SYS_MODE"))).status_code


def batch(*sections: tuple[int | str, ...]) -> tuple[str, str]:
    body = ""
    for index, (_, oid, *attributes) in enumerate(sections):
        lines = [f"[{oid}#{ZEROS}#{ZEROS}]{index},{len(attributes)}", *map(str, attributes)]
        body += "".join(f"{line}\r\n" for line in lines)
    return "&".join(str(section[0]) for section in sections), body


def values(reply: str, name: str) -> list[str]:
    return [line.partition("=")[2] for line in reply.split("\n") if line.startswith(f"{name}=")]


def order(simulator: Simulator, **what: object) -> requests.Response:
    return requests.post(f"{simulator.url}/simulator", data=json.dumps(what), timeout=5)


def state(simulator: Simulator) -> dict[str, object]:
    answer: dict[str, object] = requests.get(f"{simulator.url}/simulator", timeout=5).json()
    return answer
