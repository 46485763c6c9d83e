"""Home Assistant discovery: one retained message a device, Home Assistant 2024.11 and newer.

Units, classes and root keys are what its MQTT integration accepts; docs/reference.md, "Home Assistant".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec
from msgspec import Struct

from dalla_mqtt import __version__
from dalla_mqtt.mqtt.topics import Message, RouterState, RouterStatus, Topics, device_id, device_name
from dalla_mqtt.usage.ledger import Device, Ledger
from dalla_mqtt.usage.people import UNKNOWN


class _Sensor(Struct, frozen=True):
    key: str
    name: str
    value: str  # the key of the state's JSON
    unit: str | None = None
    device_class: str | None = None
    state_class: str | None = None
    diagnostic: bool = False
    options: list[str] | None = None
    enabled: bool = True
    since: str | None = None  # the key that says when the figure began at 0
    live: bool = False  # says nothing while the router says nothing
    digits: int | None = None
    icon: str | None = None


_FIGURES = (
    _Sensor("usage", "Usage", "usage_gb", "GB", "data_size", "total", digits=3),
    _Sensor("delta", "Delta", "delta_mb", "MB", "data_size", "measurement", live=True),
    _Sensor("rate", "Rate", "rate_mbit", "Mbit/s", "data_rate", "measurement", live=True),
    _Sensor("today", "Today", "today_gb", "GB", "data_size", "total", since="today_start", digits=3),
    _Sensor("period", "This period", "period_gb", "GB", "data_size", "total", since="period_start", digits=3),
    _Sensor("on_peak", "On-peak", "on_peak_gb", "GB", "data_size", "total", since="period_start", digits=3),
    _Sensor("off_peak", "Off-peak", "off_peak_gb", "GB", "data_size", "total", since="period_start", digits=3),
)
_DEVICE = (
    *_FIGURES,
    _Sensor("user", "User", "user", diagnostic=True, icon="mdi:account"),
    _Sensor("ip", "IP address", "ip", diagnostic=True, icon="mdi:ip-network"),
    _Sensor("last_active", "Last active", "last_active", device_class="timestamp", diagnostic=True, enabled=False),
)
_ROUTER = (
    _Sensor("state", "State", "state", device_class="enum", diagnostic=True, options=list(get_args(RouterState))),
    _Sensor("devices", "Devices", "devices", state_class="measurement", diagnostic=True, live=True, icon="mdi:devices"),
    _Sensor("failures", "Failures", "failures", state_class="total_increasing", diagnostic=True, icon="mdi:alert"),
    _Sensor("last_poll", "Last poll", "last_poll", device_class="timestamp", diagnostic=True, enabled=False),
    _Sensor("poll_ms", "Poll time", "poll_ms", "ms", "duration", "measurement", diagnostic=True, enabled=False),
)


class Discovery:
    """Announces the router, every device, every user and the total under `prefix`. `router_url`: the owner's way in."""

    def __init__(self, topics: Topics, prefix: str, router_url: str) -> None:
        self._topics = topics
        self._prefix = prefix
        self._router_url = router_url
        self.birth_topic = f"{prefix}/status"  # where Home Assistant says `online` when it has started

    def messages(
        self, before: Ledger, after: Ledger, router_before: RouterStatus | None, router: RouterStatus
    ) -> Iterator[Message]:
        """What is new since `before`, or has another name; the router first, as the others hang under it."""
        if router_before is None or _identity(router_before) != _identity(router):
            yield self._router(router)
        if after.at is None:
            return
        if before.at is None:
            about = {"name": f"{self._topics.site.capitalize()} total", "mdl": "Household"}
            yield self._announce("total", about, _FIGURES, self._topics.total)
        for name in after.users:
            if name not in before.users:
                yield self._user(name)
        for mac, device in after.devices.items():
            known = before.devices.get(mac)
            if known is None or (known is not device and device_name(known) != device_name(device)):
                yield self._device(device)

    def _router(self, status: RouterStatus) -> Message:
        about = {
            "name": status.model or "Router",
            "mf": "TP-Link",
            "mdl": status.model,
            "sw": status.firmware,
            "hw": status.hardware,
            "cu": self._router_url,
        }
        known = {key: value for key, value in about.items() if value is not None}
        return self._announce("router", known, _ROUTER, self._topics.router)

    def _device(self, device: Device) -> Message:
        about = {"name": device_name(device), "mdl": "Network device", "cns": [["mac", device.mac.colons.lower()]]}
        return self._announce(device_id(device.mac), about, _DEVICE, self._topics.device(device.mac))

    def _user(self, name: str) -> Message:
        about = {"name": "Unknown user" if name == UNKNOWN else name, "mdl": "User"}
        return self._announce(self._topics.user_id(name), about, _FIGURES, self._topics.user(name))

    def _announce(self, part: str, about: Mapping[str, object], sensors: tuple[_Sensor, ...], topic: str) -> Message:
        device = f"dalla_{self._topics.site}_{part}"
        router = f"dalla_{self._topics.site}_router"
        payload = {
            "dev": {"ids": [device], **about} | ({} if device == router else {"via_device": router}),
            "o": {"name": "dalla-mqtt", "sw": __version__},
            "avty": [{"t": self._topics.status}],
            "stat_t": topic if device == router else f"{topic}/state",
            "qos": 1,
            "cmps": {sensor.key: self._component(device, sensor) for sensor in sensors},
        }
        return f"{self._prefix}/device/{device}/config", msgspec.json.encode(payload)

    def _component(self, device: str, sensor: _Sensor) -> dict[str, Any]:
        answers = {"t": self._topics.router, "val_tpl": "{{ 'online' if value_json.state == 'ok' else 'offline' }}"}
        entity = f"{device}_{sensor.key}".replace("-", "_")
        component = {
            "p": "sensor",
            "uniq_id": f"{device}_{sensor.key}",
            "def_ent_id": f"sensor.{entity}",
            "obj_id": entity,  # Home Assistant before 2025.10
            "name": sensor.name,
            "val_tpl": f"{{{{ value_json.{sensor.value} }}}}",
            "unit_of_meas": sensor.unit,
            "dev_cla": sensor.device_class,
            "stat_cla": sensor.state_class,
            "ops": sensor.options,
            "ent_cat": "diagnostic" if sensor.diagnostic else None,
            "en": None if sensor.enabled else False,
            "sug_dsp_prc": sensor.digits,
            "ic": sensor.icon,
            "lrst_val_tpl": f"{{{{ value_json.{sensor.since} }}}}" if sensor.since else None,
            "avty": [{"t": self._topics.status}, answers] if sensor.live else None,
            "avty_mode": "all" if sensor.live else None,
        }
        return {key: value for key, value in component.items() if value is not None}


def _identity(status: RouterStatus) -> tuple[str | None, ...]:
    return status.model, status.firmware, status.hardware
