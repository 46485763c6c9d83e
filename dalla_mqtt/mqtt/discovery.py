"""Home Assistant discovery: one retained message a device, Home Assistant 2024.11 and newer.

Units, classes and root keys are what its MQTT integration accepts; docs/reference.md, "Home Assistant".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt import __version__
from dalla_mqtt.mqtt.payloads import EVENTS, Known
from dalla_mqtt.mqtt.topics import (
    LIMITED_SET,
    NAME_SET,
    PAUSE_SET,
    POLL_SET,
    QUOTA,
    QUOTA_OFF_PEAK_SET,
    QUOTA_ON_PEAK_SET,
    QUOTA_SET,
    TOPUP_SET,
    USER_SET,
    Message,
    Topics,
)
from dalla_mqtt.usage.ids import device_id
from dalla_mqtt.usage.ledger import Device
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Subject
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.status import RouterState, RouterStatus

ANNOUNCED = "/config"  # how topics of discovery end, and no other
_LONGEST = 255  # characters that a state may have
_MOST_GB = 2**52 // 10**9  # that can be set as a quota

_Payload = dict[str, Any]
_Platform = Literal["sensor", "binary_sensor", "select", "text", "number", "button", "switch", "event"]


class _Entity(Struct, frozen=True):
    key: str
    name: str
    template: str | None
    unit: str | None = None
    device_class: str | None = None
    state_class: str | None = None
    platform: _Platform = "sensor"
    category: Literal["diagnostic", "config"] | None = None
    enabled: bool = True
    since: str | None = None  # the key that says when the figure began at 0
    live: bool = False  # says nothing while the router says nothing
    digits: int | None = None
    icon: str | None = None


def _volume(key: str, name: str, since: str | None = None) -> _Entity:
    return _Entity(key, name, _pick(f"{key}_gb"), "GB", "data_size", "total", since=since, digits=3)


def _pick(key: str) -> str:
    return f"{{{{ value_json.{key} }}}}"


def _told(key: str, name: str, device_class: str | None = None, state_class: str | None = None, **more: Any) -> _Entity:  # noqa: ANN401
    """What the router's or a device's owner may want to know, and nobody else."""
    return _Entity(key, name, _pick(key), None, device_class, state_class, category="diagnostic", **more)


def _control(platform: _Platform, key: str, name: str, template: str | None, icon: str) -> _Entity:
    return _Entity(key, name, template, platform=platform, category="config", icon=icon)


def _stands(key: str) -> str:
    """Its topic is emptied where there is no quota any more."""
    return f"{{{{ value_json.{key} if value_json is defined else none }}}}"


def _settable(part: str, name: str) -> _Entity:
    control = _control("number", part, name, _stands(f"{part}_gb"), "mdi:gauge-full")
    return replace(control, unit="GB", device_class="data_size")


def _left(key: str, name: str) -> _Entity:
    return _Entity(key, name, _stands(f"{key}_gb"), "GB", "data_size", "measurement", digits=3)


def _problem(key: str, name: str) -> _Entity:
    return _Entity(f"quota_{key}", name, _stands(key), None, "problem", platform="binary_sensor")


_USAGE = _volume("usage", "Usage")
_DELTA = _Entity("delta", "Delta", _pick("delta_mb"), "MB", "data_size", "measurement", live=True, digits=2)
_RATE = _Entity("rate", "Rate", _pick("rate_mbit"), "Mbit/s", "data_rate", "measurement", live=True, digits=2)
_PERIODS = (
    _volume("today", "Today", "today_start"),
    _volume("period", "This period", "period_start"),
    _volume("on_peak", "On-peak", "period_start"),
    _volume("off_peak", "Off-peak", "period_start"),
)
_PEAK = _Entity("peak", "Peak hours", None, platform="binary_sensor", icon="mdi:clock-alert-outline")
_PAUSED = "{{ 'ON' if value_json.state == 'paused' else 'OFF' }}"
_HAPPENED = "{{ dict(value_json, event_type=value_json.event) | tojson }}"

_USER = (_USAGE, _DELTA, _RATE, *_PERIODS)
_TOTAL = (*_USER, _PEAK)
_DEVICE = (
    _USAGE,
    replace(_DELTA, enabled=False),  # what is new in `usage` tells the same, and a household has many devices
    _RATE,
    *_PERIODS,
    _control("select", "user", "User", _pick("user"), "mdi:account"),
    _control("text", "name", "Name", f"{{{{ value_json.name[:{_LONGEST}] }}}}", "mdi:tag"),
    _told("ip", "IP address", icon="mdi:ip-network"),
    _told("last_active", "Last active", "timestamp", enabled=False),
)
_ROUTER = (
    _told("state", "State", "enum", icon="mdi:router-wireless"),
    _told("firmware", "Firmware", icon="mdi:chip"),
    _told("devices", "Devices", None, "measurement", live=True, icon="mdi:devices"),
    _told("failures", "Failures", None, "total_increasing", icon="mdi:alert"),
    _told("last_poll", "Last poll", "timestamp", enabled=False),
    replace(_told("poll_ms", "Poll time", "duration", "measurement", enabled=False), unit="ms"),
    _control("button", "poll", "Poll now", None, "mdi:refresh"),
    _control("switch", "pause", "Pause polling", _PAUSED, "mdi:pause-circle-outline"),
    _Entity("event", "Event", _HAPPENED, platform="event", icon="mdi:message-alert-outline"),
)

_QUOTA = _settable("quota", "Quota")
_QUOTA_BY_TIME = (_settable("quota_on_peak", "On-peak quota"), _settable("quota_off_peak", "Off-peak quota"))
_LIMITED = _control("switch", "limited", "Limited", _stands("limited"), "mdi:speedometer-slow")
_TOPUP = _control("button", "topup", "Top up", None, "mdi:plus-circle-outline")
_USED = _Entity("used_percent", "Quota used", _stands("used_percent"), "%", None, "measurement", icon="mdi:gauge")
_REMAINING = _left("remaining", "Quota remaining")
_EXCEEDED = _problem("exceeded", "Quota exceeded")
_STANDING = (
    _USED,
    _REMAINING,
    _left("expected", "Expected at the end"),
    _left("allowed_per_day", "Allowed per day"),
    _Entity("exhausted_at", "Runs out", _stands("exhausted_at"), None, "timestamp"),
    _Entity("quota_text", "Quota in words", _stands("text"), icon="mdi:text"),
    _EXCEEDED,
    _problem("projected", "Quota will be exceeded"),
    _TOPUP,
)
_SETTABLE_OF_DEVICES = (replace(_QUOTA, enabled=False), replace(_LIMITED, enabled=False))
_STANDING_OF_DEVICES = (_USED, _REMAINING, _EXCEEDED, _TOPUP)


class Offer(NamedTuple):
    """What can be done about quotas: `topup`: bytes a press of the button; `by_time`: some hours are off-peak."""

    topup: int
    by_time: bool


class Discovery:
    """Announces the router, the total, the household's users, pools and every device under `prefix`, each once.

    `users`: the household's, without UNKNOWN. `router_url`: the owner's way in. What there is to see of a quota is
    announced when there is one, and taken back with the next start without it.
    """

    def __init__(self, topics: Topics, prefix: str, users: tuple[str, ...], router_url: str, offer: Offer) -> None:
        self._topics = topics
        self._prefix = prefix
        self._users = (*users, UNKNOWN)
        self._router_url = router_url
        self._offer = offer
        self._quotas: dict[Subject, bool] = {}  # who has a standing, and whether ever with a quota
        self._announced: dict[str, object] = {}  # under which name, by topic
        self.birth_topic = f"{prefix}/status"  # where Home Assistant says `online` when it has started

    def announces_on(self, topic: str) -> bool:
        """Whether something of this site may be announced on `topic`."""
        return topic.startswith(self._topic("").removesuffix(ANNOUNCED)) and topic.endswith(ANNOUNCED)

    def forget(self) -> None:
        """Announce everything once more."""
        self._announced.clear()

    def topics(self, known: Known) -> dict[str, Mac | None]:
        """Where something is announced; with that of a device, its MAC."""
        ledger = known.ledger
        if ledger.at is None:
            return {self._topic("router"): None}
        users = (self._topics.ids.user(name) for name in self._users if name in ledger.users)
        devices = {self._topic(device_id(mac)): mac for mac in ledger.devices}
        pools = (_pool_part(pool) for pool in self._topics.ids.pools.values())
        return dict.fromkeys(map(self._topic, ("router", "total", *users, *pools))) | devices

    def messages(self, known: Known, router: RouterStatus, hidden: Container[str]) -> Iterator[Message]:
        """What is not announced yet under its present name, but on `hidden` topics."""
        for subject, standing in known.standings.items():
            self._quotas[subject] = self._quotas.get(subject, False) or bool(standing.allowances)
        for part, name, about in self._parts(known, router):
            topic = self._topic(part)
            if topic in hidden:
                self._announced.pop(topic, None)
            elif self._announced.get(topic) != name:
                self._announced[topic] = name
                yield topic, msgspec.json.encode(about())

    def _topic(self, part: str) -> str:
        return f"{self._prefix}/device/{self._topics.announced_id(part)}{ANNOUNCED}"

    def _parts(self, known: Known, router: RouterStatus) -> Iterator[tuple[str, object, Callable[[], _Payload]]]:
        """Id, name and payload of all there is; the router first, as the others hang under it."""
        ledger, quotas = known.ledger, self._quotas
        yield "router", (router.model, router.firmware, router.hardware), partial(self._router, router)
        if ledger.at is None:
            return
        yield "total", "total", self._total
        for name in self._users:
            if name in ledger.users:
                user = Subject("user", name)
                yield self._topics.ids.user(name), (name, quotas.get(user)), partial(self._user, user)
        for name, pool in self._topics.ids.pools.items():
            if (subject := Subject("pool", name)) in quotas:
                yield _pool_part(pool), quotas[subject], partial(self._pool, subject)
        names = Counter(device.called for device in ledger.devices.values())
        own = {subject.name: had for subject, had in quotas.items() if subject.kind == "device"}
        for mac, device in ledger.devices.items():
            name = device.called
            if names[name] > 1:
                name = f"{name} ({mac.colons[-5:]})"
            yield device_id(mac), (name, own.get(mac.dashed), bool(quotas)), partial(self._device, device, name)

    def _router(self, status: RouterStatus) -> _Payload:
        about = {
            "name": status.model or "Router",
            "mf": "TP-Link",
            "mdl": status.model,
            "sw": status.firmware,
            "hw": status.hardware,
            "cu": self._router_url,
        }
        topics = self._topics
        own: dict[str, _Payload] = {
            "poll": {"cmd_t": topics.commands[POLL_SET]},
            "pause": {"cmd_t": topics.commands[PAUSE_SET]},
            "event": {"stat_t": topics.event, "evt_typ": list(EVENTS)},
            "state": {"ops": list(get_args(RouterState))},
        }
        return self._payload("router", _known(about), topics.router, self._components("router", _ROUTER, own))

    def _total(self) -> _Payload:
        about = {"name": f"{self._topics.site.capitalize()} total", "mdl": "Household"}
        own = {"peak": {"stat_t": self._topics.peak}}
        return self._payload("total", about, f"{self._topics.total}/state", self._components("total", _TOTAL, own))

    def _user(self, user: Subject) -> _Payload:
        about = {"name": "Unknown user" if user.name == UNKNOWN else user.name, "mdl": "User"}
        part, topic = self._topics.ids.user(user.name), f"{self._topics.user(user.name)}/state"
        return self._payload(part, about, topic, self._components(part, _USER, {}) | self._of_quota(part, user))

    def _pool(self, pool: Subject) -> _Payload:
        about = {"name": f"Pool {pool.name}", "mdl": "Pool"}
        part = _pool_part(self._topics.ids.pools[pool.name])
        return self._payload(part, about, self._topics.of_subject(pool, QUOTA), self._of_quota(part, pool))

    def _device(self, device: Device, name: str) -> _Payload:
        about = {
            "name": name[:_LONGEST],
            "mdl": "Network device",
            "cns": [["mac", device.mac.colons.lower()]],
        }
        own: dict[str, _Payload] = {
            "user": {"cmd_t": self._topics.about(device.mac, USER_SET), "ops": list(self._users)},
            "name": {"cmd_t": self._topics.about(device.mac, NAME_SET), "max": _LONGEST},
        }
        part, topic = device_id(device.mac), f"{self._topics.device(device.mac)}/state"
        quota = self._of_quota(part, Subject("device", device.mac.dashed))
        return self._payload(part, about, topic, self._components(part, _DEVICE, own) | quota)

    def _of_quota(self, part: str, subject: Subject) -> dict[str, _Payload]:
        """The entities of a quota, and those to take back that there is no reason for: they have a platform only."""
        had = self._quotas.get(subject)
        if subject.kind == "device":
            every: tuple[_Entity, ...] = (*_SETTABLE_OF_DEVICES, *_STANDING_OF_DEVICES)
            entities = every if had else _SETTABLE_OF_DEVICES
        else:
            every = (_QUOTA, *_QUOTA_BY_TIME, _LIMITED, *_STANDING)
            by_time = _QUOTA_BY_TIME if self._offer.by_time else ()
            entities = () if had is None else (_QUOTA, *by_time, _LIMITED, *(_STANDING if had else ()))
        gone: dict[str, _Payload] = {entity.key: {"p": entity.platform} for entity in every} if self._quotas else {}
        return gone | self._components(part, entities, self._controls(subject, entities))

    def _controls(self, subject: Subject, entities: Iterable[_Entity]) -> dict[str, _Payload]:
        """What entities of a quota have beyond others, by their keys."""
        at = partial(self._topics.of_subject, subject)
        number = {"cmd_tpl": "{{ value }} GB", "min": 0, "max": _MOST_GB, "step": 0.001, "mode": "box"}
        own: dict[str, _Payload] = {
            "quota": {"cmd_t": at(QUOTA_SET), **number},
            "quota_on_peak": {"cmd_t": at(QUOTA_ON_PEAK_SET), **number},
            "quota_off_peak": {"cmd_t": at(QUOTA_OFF_PEAK_SET), **number},
            "limited": {"cmd_t": at(LIMITED_SET), "stat_on": "True", "stat_off": "False"},
            "topup": {"cmd_t": at(TOPUP_SET), "pl_prs": f"{self._offer.topup} B"},
            "quota_exceeded": {"pl_on": "True", "pl_off": "False"},
            "quota_projected": {"pl_on": "True", "pl_off": "False"},
        }
        return {entity.key: {"stat_t": at(QUOTA), **own.get(entity.key, {})} for entity in entities}

    def _payload(self, part: str, about: _Payload, topic: str, components: Mapping[str, _Payload]) -> _Payload:
        """`topic`: where the state is of all that have none of their own."""
        device, router = map(self._topics.announced_id, (part, "router"))
        hangs = {} if part == "router" else {"via_device": router}
        return {
            "dev": {"ids": [device], **about, **hangs},
            "o": {"name": "dalla-mqtt", "sw": __version__},
            "avty": [{"t": self._topics.status}],
            "stat_t": topic,
            "qos": 1,
            "cmps": components,
        }

    def _components(self, part: str, entities: Iterable[_Entity], own: Mapping[str, _Payload]) -> dict[str, _Payload]:
        """`own`: what an entity has beyond the others, by its key."""
        device = self._topics.announced_id(part)
        return {entity.key: self._component(device, entity) | own.get(entity.key, {}) for entity in entities}

    def _component(self, device: str, entity: _Entity) -> _Payload:
        answers = {"t": self._topics.router, "val_tpl": "{{ 'online' if value_json.state == 'ok' else 'offline' }}"}
        name = f"{device}_{entity.key}".replace("-", "_")
        component = {
            "p": entity.platform,
            "uniq_id": f"{device}_{entity.key}",
            "def_ent_id": f"{entity.platform}.{name}",
            "obj_id": name,  # Home Assistant before 2025.10
            "name": entity.name,
            "val_tpl": entity.template,
            "unit_of_meas": entity.unit,
            "dev_cla": entity.device_class,
            "stat_cla": entity.state_class,
            "ent_cat": entity.category,
            "en": None if entity.enabled else False,
            "sug_dsp_prc": entity.digits,
            "ic": entity.icon,
            "lrst_val_tpl": _pick(entity.since) if entity.since else None,
            "avty": [{"t": self._topics.status}, answers] if entity.live else None,
            "avty_mode": "all" if entity.live else None,
        }
        return _known(component)


def _pool_part(pool: str) -> str:
    """`pool_family`, which no user's id can be."""
    return f"pool_{pool}"


def _known(values: _Payload) -> _Payload:
    return {key: value for key, value in values.items() if value is not None}
