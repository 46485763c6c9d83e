"""A router whose host names and MACs are what an attacker would have them be: nothing of it gets out but as a name."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dalla_mqtt.archive.store import Store
from tests.end_to_end.conftest import Home
from tests.processes import Mosquitto, wait_until

NAMES = {  # as the router tells them; as they are shown, None: not at all
    b"<img src=x onerror=alert(1)>": "<img src=x onerror=alert(1)>",
    b"=cmd|' /C calc'!A0": "=cmd|' /C calc'!A0",
    b"../../etc/passwd": "../../etc/passwd",
    b"a\x1b[31mb": "a[31mb",
    "a\u202eb\u2066c\ufeff".encode(): "abc",
    b"n" * 10_000: "n" * 64,
    b"{{ states }}{% raw %}": "{{ states }}{% raw %}",
    b"+/#": "+/#",
    b"a\rb\x0bc\x0cd": "abcd",
    "a\x85b\u2028c\u2029d".encode(): "abcd",
    b"\x00nul\x00": "nul",
    b"\xff\xfe\xed\xa0\x80": "\ufffd" * 5,
    "\N{PARTY POPPER} \N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}".encode(): (
        "\N{PARTY POPPER} \N{WOMAN}\N{PERSONAL COMPUTER}"
    ),
    b'"}, "usage": 1, "x": "\\u0000': '"}, "usage": 1, "x": "\\u0000',
    b"[error]0": "[error]0",
    b"totalBytes=1": "totalBytes=1",
    b"%s%n%(message)s{0}": "%s%n%(message)s{0}",
    b"$(reboot);`reboot`": "$(reboot);`reboot`",
    b"'; DROP TABLE device; --": "'; DROP TABLE device; --",
    b" \t ": None,
    b"Unknown": None,
}
MACS = [f"02:00:00:00:00:{number:02X}" for number in range(len(NAMES))]
FORMS = {  # of rows; as they are kept
    "cb:bd:ab:90:2d:38": "CB:BD:AB:90:2D:38",
    "CB-BD-AB-90-2D-39": "CB:BD:AB:90:2D:39",
    "cbbdab902d3a": "CB:BD:AB:90:2D:3A",
    "01:00:5E:00:00:FB": "01:00:5E:00:00:FB",
    "FF:FF:FF:FF:FF:FF": "FF:FF:FF:FF:FF:FF",
    "00:00:00:00:00:00": None,
}
FIRST = 3232235776  # 192.168.1.0
NO_MACS = ("ZZ:ZZ:ZZ:ZZ:ZZ:ZZ", "", "../../x", "02:00:00:00:00", "\x1b[2J", "02:00:00:00:00:0\u0661")
ALL = dict(zip(MACS, NAMES.values(), strict=True)) | {mac: None for mac in FORMS.values() if mac}
TOPICS = re.compile(
    r"dalla/home/(status|router|peak|event|(total|user/unknown|device/[0-9a-f]{2}(-[0-9a-f]{2}){5})/(usage|delta|state)"
    r"|user/unknown/quota)"
    r"|homeassistant/device/dalla_home_(router|total|unknown|[0-9a-f]{2}(-[0-9a-f]{2}){5})/config"
)
TEXT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING) +\S.*\n")


class Hostile(BaseHTTPRequestHandler):
    """Every MAC moves 1000 bytes between two polls; those with names come with the second."""

    polls = 0
    apart = False  # up and down, as firmware does that tells no address of a row

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        body = self.statistics() if b"STAT_ENTRY" in asked else b"[cgi]0\n[error]0"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def statistics(self) -> bytes:
        type(self).polls += 1
        lines = ["[0,0,0,0,0,0]0", "enable=1", "interval=10"]
        for number, mac in enumerate((*FORMS, *MACS) if self.polls > 1 else FORMS, start=1):
            lines += [f"[{number},0,0,0,0,0]1", f"macAddress={mac}"]
            if self.apart and FORMS.get(mac, mac):
                lines += [f"totalBytesRx={900 * self.polls}", f"totalBytesTx={100 * self.polls}"]
            elif self.apart:
                del lines[-2:]
            else:
                lines += [f"ipAddress={FIRST + number}", f"totalPkts={self.polls}", f"totalBytes={1000 * self.polls}"]
        for number, mac in enumerate((*MACS, *NO_MACS), start=1):
            name = list(NAMES)[min(number, len(NAMES)) - 1].decode("utf-8", "surrogateescape")
            lines += [f"[{number},0,0,0,0,0]2", f"MACAddress={mac}", f"hostName={name}", "IPAddress=../../../x"]
        lines += ["[1,1,0,0,0,0]3", "modelName=<b>\x1b[2J{{ 1 }}</b>", "softwareVersion=\x00\u202e", "upTime=-1"]
        return "\n".join([*lines, "[error]0"]).encode("utf-8", "surrogateescape")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def hostile_router(*, apart: bool) -> Iterator[str]:
    Hostile.polls, Hostile.apart = 0, apart
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(("log_format", "apart"), [("text", False), ("json", False), ("text", True)])
def test_no_name_and_no_mac_is_more_than_a_name_or_a_mac_anywhere(home: Home, log_format: str, apart: bool) -> None:  # noqa: FBT001  # of the firmware
    with (
        hostile_router(apart=apart) as url,
        home.run(DALLA_ROUTER_URL=url, DALLA_LOG_FORMAT=log_format, DALLA_LOG_LEVEL="debug") as dalla,
    ):
        wait_until(lambda: Hostile.polls > 3, "the polls")
        wait_until(lambda: told_of(home) == set(ALL), "every device on the broker")
        assert dalla.terminate() == 0
    on_the_broker(home.listener.latest)
    retained(home.broker)
    in_the_files(home, "0.0.0.0" if apart else "192.168.1.{}")  # noqa: S104  # no address
    on_standard_output(dalla.lines, log_format)
    in_the_state_file(home.folder / "state.db")


def told_of(home: Home) -> set[str]:
    found = re.findall(r"dalla/home/device/([0-9a-f-]+)/state", "\n".join(home.listener.latest))
    return {mac.upper().replace("-", ":") for mac in found}


def on_the_broker(latest: dict[str, str]) -> None:
    assert [topic for topic in latest if not TOPICS.fullmatch(topic)] == []
    for mac, name in ALL.items():
        topic = f"dalla/home/device/{mac.lower().replace(':', '-')}"
        state = json.loads(latest[f"{topic}/state"])
        assert (state["name"], state["hostname"], state["mac"]) == (name or mac, name, mac)
        assert re.fullmatch(r"192\.168\.1\.\d+|0\.0\.0\.0", state["ip"])
        assert state["usage"] == int(latest[f"{topic}/usage"]) > 0
    assert json.loads(latest["dalla/home/router"])["model"] == "<b>[2J{{ 1 }}</b>"
    assert json.loads(latest["dalla/home/router"])["firmware"] is None


def retained(broker: Mosquitto) -> None:
    """What is announced: a name is a text in it, and no part of a template, a topic or an id."""
    announced = {topic: text for topic, text in broker.retained().items() if topic.startswith("homeassistant/")}
    assert len(announced) == len(ALL) + 3
    templates = set()
    for mac, name in ALL.items():
        part = mac.lower().replace(":", "-")
        payload = json.loads(announced[f"homeassistant/device/dalla_home_{part}/config"])
        assert payload["dev"].pop("name").startswith(name or mac)
        templates.add(
            json.dumps(payload).replace(part, "MAC").replace(part.replace("-", "_"), "MAC").replace(mac.lower(), "MAC")
        )
    assert len(templates) == 1, "all devices are announced in the same words but for name and MAC"


def in_the_files(home: Home, address: str) -> None:
    files = [path.relative_to(home.folder) for path in home.folder.rglob("*") if path.is_file()]
    logs = sorted(str(path) for path in files if path.suffix == ".csv" and path.parts[0] == "devices")
    addresses = {mac: address.format(number) for number, mac in enumerate((*FORMS.values(), *MACS), start=1) if mac}
    assert logs == sorted(f"devices/{mac.replace(':', '-')}_{ip}.csv" for mac, ip in addresses.items())
    assert {str(path) for path in files if path.suffix == ".csv"} == {*logs, "total.csv", "users/UNKNOWN.csv"}
    assert {path.name for path in home.folder.parent.iterdir() if path.is_dir()} == {home.folder.name}
    for log in (*logs, "total.csv", "users/UNKNOWN.csv"):
        assert home.rows(log)[-1][1] > 0


def on_standard_output(lines: list[str], log_format: str) -> None:
    assert sum("new device" in line for line in lines) == len(MACS), "each with its name"
    for line in lines:
        assert line.removesuffix("\n").isprintable()
        if log_format == "json":
            record: dict[str, Any] = json.loads(line)
            assert {"time", "level", "message"} <= record.keys()
            assert all(re.fullmatch("[a-z_]+", key) for key in record)
            assert re.fullmatch("[a-z_]*", record.get("event", ""))
        else:
            assert TEXT.fullmatch(line), line


def in_the_state_file(path: Path) -> None:
    store = Store(path)
    devices = store.load().devices.values()
    store.close()
    assert {device.mac.colons: device.hostname for device in devices} == ALL
