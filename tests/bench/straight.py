"""The work of one poll written straight down with the same libraries: what `poll.py` holds the daemon against.

One exchange, one parse, one transaction, one append to each file, one QoS 1 message a topic, all acknowledged. It
judges nothing: a delta is the new counter less the old one, and all of it is on-peak.
"""

from __future__ import annotations

import base64
import os
import sqlite3
import time
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
import requests
from paho.mqtt.enums import CallbackAPIVersion

from dalla_mqtt.archive.store import Store

ROOT = "plain/home"  # as long as the daemon's dalla/home

_ZEROS = "0,0,0,0,0,0"
_BATCH = (
    f"[STAT_CFG#{_ZEROS}#{_ZEROS}]0,0\r\n[STAT_ENTRY#{_ZEROS}#{_ZEROS}]1,0\r\n"
    f"[LAN_HOST_ENTRY#{_ZEROS}#{_ZEROS}]2,4\r\nleaseTimeRemaining\r\nMACAddress\r\nhostName\r\nIPAddress\r\n"
    f"[IGD_DEV_INFO#{_ZEROS}#{_ZEROS}]3,4\r\nmodelName\r\nsoftwareVersion\r\nhardwareVersion\r\nupTime\r\n"
).encode()
_LOGOUT = f"[/cgi/logout#{_ZEROS}#{_ZEROS}]0,0\r\n".encode()
_HEADER = "Time, Total Bytes, Delta, On-Peak, Off-Peak\n"
_PATIENCE_S = 30.0

Message = tuple[str, bytes]


class _Figures:
    """One device, one user or the total."""

    def __init__(self, topic: str, path: str, about: dict[str, Any]) -> None:
        self.topic = topic
        self.path = path
        self.about = about  # what its JSON has beyond figures
        self.bytes = self.packets = 0  # what the router showed last
        self.usage = self.delta = self.rate = self.on_peak = self.today = 0

    def add(self, delta: int, elapsed_s: float) -> None:
        self.delta = delta
        self.usage += delta
        self.on_peak += delta
        self.today += delta
        self.rate = round(delta / elapsed_s)

    def row(self, at: float) -> tuple[object, ...]:
        return (self.usage, self.delta, self.rate, self.on_peak, 0, self.today, "normal", at)

    def line(self, at: int) -> str:
        return f"{at}, {self.usage}, {self.delta}, {self.on_peak}, 0\n"

    def messages(self, now: str, starts: dict[str, str]) -> tuple[Message, Message, Message]:
        state = {
            "time": now,
            "usage": self.usage,
            "delta": self.delta,
            "rate": self.rate,
            "on_peak": self.on_peak,
            "off_peak": 0,
            "period": self.on_peak,
            "today": self.today,
            **starts,
            "cause": "normal",
            "usage_gb": self.usage / 1e9,
            "delta_mb": self.delta / 1e6,
            "today_gb": self.today / 1e9,
            "period_gb": self.on_peak / 1e9,
            "on_peak_gb": self.on_peak / 1e9,
            "off_peak_gb": 0.0,
            "rate_mbit": self.rate * 8 / 1e6,
            **self.about,
        }
        return (
            (f"{self.topic}/usage", b"%d" % self.usage),
            (f"{self.topic}/delta", b"%d" % self.delta),
            (f"{self.topic}/state", msgspec.json.encode(state)),
        )


class Straight:
    """A household counted the short way. `owners` says whose a device is, by the first part of its host name."""

    def __init__(self, folder: Path, router_url: str, broker_port: int, owners: dict[str, str]) -> None:
        self._folder = folder / f"logs/{datetime.now().astimezone():%Y-%m}"
        self._url = router_url
        self._owners = owners
        Store(folder / "state.db").close()  # the same tables
        self._database = sqlite3.connect(folder / "state.db", isolation_level=None)
        self._database.execute("PRAGMA synchronous = FULL")
        self._session = _session(router_url)
        self._client = _connect(broker_port)
        self._devices: dict[str, _Figures] = {}
        self._users = {name: self._user(name) for name in dict.fromkeys((*owners.values(), "UNKNOWN"))}
        self._total = _Figures(f"{ROOT}/total", self._file("total"), _about(name="Total"))
        midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        self._starts = {
            "period_start": midnight.replace(day=1).isoformat(timespec="seconds"),
            "today_start": midnight.isoformat(timespec="seconds"),
        }
        self._at = self._since = time.time()
        self._polls = 0

    def poll(self) -> None:
        """One poll, from the question to the last acknowledgement."""
        began = time.monotonic()
        sections = self._exchange()
        poll_ms = round((time.monotonic() - began) * 1000)
        elapsed_s, self._at = time.time() - self._at, time.time()
        self._count(sections, elapsed_s)
        rows = self._rows()
        self._store(sections[3][0], rows)
        self._append(rows)
        self._publish(sections[3][0], poll_ms)

    def close(self) -> None:
        self._database.close()
        self._client.disconnect()
        self._client.loop_stop()

    def _everything(self) -> list[_Figures]:
        return [*self._devices.values(), *self._users.values(), self._total]

    def _exchange(self) -> list[list[dict[str, str]]]:
        sections = _parse(self._ask("1&5&5&1", _BATCH))
        self._ask("8", _LOGOUT)
        return sections

    def _ask(self, query: str, body: bytes) -> str:
        return self._session.post(f"{self._url}/cgi?{query}", body, timeout=10).content.decode()

    def _count(self, sections: list[list[dict[str, str]]], elapsed_s: float) -> None:
        names = {host["MACAddress"]: host["hostName"] for host in sections[2]}
        sums = dict.fromkeys(self._users, 0)
        now = _iso(self._at)
        for values in sections[1]:
            mac = values["macAddress"]
            device = self._devices.get(mac)
            shown = int(values["totalBytes"])
            if device is None:
                device = self._devices[mac] = self._device(mac, values["ipAddress"], names[mac])
                device.bytes = shown
                for each in (device, self._users[device.about["user"]], self._total):
                    each.usage += shown
            device.add(shown - device.bytes, elapsed_s)
            device.bytes, device.packets = shown, int(values["totalPkts"])
            device.about["last_active"] = now
            sums[device.about["user"]] += device.delta
        for name, delta in sums.items():
            self._users[name].add(delta, elapsed_s)
        self._total.add(sum(sums.values()), elapsed_s)

    def _store(self, info: dict[str, str], rows: dict[str, str]) -> None:
        execute, put, at = self._database.execute, self._database.executemany, self._at
        devices = [(each, each.about, each.about["mac"].replace(":", "-")) for each in self._devices.values()]
        execute("BEGIN IMMEDIATE")
        moment = (at, int(info["upTime"]), False, "2026-11-24", "2026-11-01", False, self._since, "[]")
        execute("REPLACE INTO moment VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", moment)
        put(
            "REPLACE INTO counter VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            [(about["ip"], mac, each.packets, each.bytes, None, 0, 0, *[None] * 5) for each, about, mac in devices],
        )
        put(
            "REPLACE INTO device VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [
                (mac, about["ip"], about["hostname"], about["user"], True, self._since, at, *each.row(at), None, None)
                for each, about, mac in devices
            ],
        )
        put(
            "REPLACE INTO sum VALUES (?,?,?,?,?,?,?,?,?,?)",
            [("user", name, *user.row(at)) for name, user in self._users.items()]
            + [("total", "", *self._total.row(at))],
        )
        put(
            "INSERT INTO day VALUES ('2026-11-24',?,?,?,0) ON CONFLICT DO UPDATE"
            " SET on_peak = on_peak + excluded.on_peak",
            [("device", mac, each.delta) for each, _, mac in devices]
            + [("user", name, user.delta) for name, user in self._users.items()]
            + [("total", "", self._total.delta)],
        )
        execute("DELETE FROM owed")
        execute("INSERT INTO owed (rows) VALUES (?)", (msgspec.json.encode(rows),))
        execute("COMMIT")

    def _rows(self) -> dict[str, str]:
        return {each.path: each.line(int(self._at)) for each in self._everything()}

    def _append(self, rows: dict[str, str]) -> None:
        for path, row in rows.items():
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            os.write(file, row.encode())
            os.close(file)

    def _publish(self, info: dict[str, str], poll_ms: int) -> None:
        self._polls += 1
        now = _iso(self._at)
        messages = [(f"{ROOT}/router", self._router(info, now, poll_ms))]
        for each in self._everything():
            messages += each.messages(now, self._starts)
        under_way = [self._client.publish(topic, payload, 1, retain=True) for topic, payload in messages]
        for message in reversed(under_way):  # the last one first: it wakes this thread once, not a thousand times
            message.wait_for_publish(_PATIENCE_S)

    def _router(self, info: dict[str, str], now: str, poll_ms: int) -> bytes:
        about = {
            "state": "ok",
            "since": _iso(self._since),
            "model": info["modelName"],
            "firmware": info["softwareVersion"],
            "hardware": info["hardwareVersion"],
            "uptime_s": int(info["upTime"]),
            "devices": len(self._devices),
            "last_poll": now,
            "poll_ms": poll_ms,
            "polls": self._polls,
            "failures": 0,
        }
        return msgspec.json.encode(about)

    def _device(self, mac: str, address: str, name: str) -> _Figures:
        dashed, ip = mac.replace(":", "-"), str(IPv4Address(int(address)))
        user = self._owners.get(name.partition("-")[0], "UNKNOWN")
        self._users[user].about["devices"] += 1
        about = _about(
            name=name,
            mac=mac,
            ip=ip,
            hostname=name,
            user=user,
            private_mac=bool(int(mac[:2], 16) & 2),
            first_seen=_iso(self._at),
        )
        return _Figures(f"{ROOT}/device/{dashed.lower()}", self._file(f"devices/{dashed}_{ip}"), about)

    def _user(self, name: str) -> _Figures:
        quota = dict.fromkeys(("quota", "used_percent", "remaining", "pace", "exhausted_at")) | {"limited": False}
        about = _about(name=name) | {"devices": 0} | quota
        return _Figures(f"{ROOT}/user/{name.lower()}", self._file(f"users/{name}"), about)

    def _file(self, name: str) -> str:
        """The path of a file that is there, with its header."""
        path = self._folder / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_HEADER, "ascii")
        return str(path)


def _session(router_url: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers = {
        "Content-Type": "text/plain",
        "Referer": f"{router_url}/mainFrame.htm",
        "Cookie": f"Authorization=Basic {base64.b64encode(b'admin:admin').decode()}",
        "Connection": "close",
        "Accept-Encoding": "identity",
    }
    return session


def _connect(port: int) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="straight", protocol=paho.MQTTv311)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def _parse(text: str) -> list[list[dict[str, str]]]:
    """The objects of each of the four sections."""
    sections: list[list[dict[str, str]]] = [[], [], [], []]
    values: dict[str, str] = {}
    for line in text.split("\n"):
        if line.startswith("["):
            head, _, number = line.partition("]")
            if head != "[error":
                values = {}
                sections[int(number)].append(values)
        else:
            key, _, value = line.partition("=")
            values[key] = value
    return sections


def _about(**known: object) -> dict[str, Any]:
    keys = ("name", "mac", "ip", "hostname", "user", "private_mac", "first_seen", "last_active", "link")
    return {**dict.fromkeys(keys), **known}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
