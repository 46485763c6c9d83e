"""A household with quotas whose time is the test's: all of it is real, but for the router's rules and the broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from logging import getLogger
from math import ceil
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from dalla_mqtt.archive.store import Store
from dalla_mqtt.asking import Asker
from dalla_mqtt.config import Config, load
from dalla_mqtt.errors import CommandRefused, DallaError
from dalla_mqtt.log import Troubles
from dalla_mqtt.publishing import Everybody
from dalla_mqtt.rationing import Rationing
from dalla_mqtt.usage.commands import Limit, SetQuota, TopUp
from dalla_mqtt.usage.events import Event
from dalla_mqtt.usage.ledger import Key, Rules, account, owned
from dalla_mqtt.usage.limits import Limited, Limits
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Part, Standing, Subject
from dalla_mqtt.usage.reading import Host, Mac, Reading, Row

MACS = {
    name: Mac(f"02-00-00-00-00-{number:02X}") for number, name in enumerate(("phone", "tablet", "laptop", "tv", "new"))
}
NAMES = {mac: name for name, mac in MACS.items()}
OWNERS = {"phone": "Alice", "tablet": "Alice", "laptop": "Bob"}  # the others are nobody's
ALICE, BOB, NOBODY = (Subject("user", name) for name in ("Alice", "Bob", UNKNOWN))
FAMILY = Subject("pool", "Family")
PHONE, TABLET, LAPTOP, TV = (Subject("device", MACS[name].dashed) for name in ("phone", "tablet", "laptop", "tv"))
_START = 1000  # what each counter shows first


class Moved(NamedTuple):
    """So many bytes of each device: in the last second, or `evenly` since the step before."""

    amounts: Mapping[str, int]
    evenly: bool = False


def moved(**amounts: int) -> Moved:
    return Moved(amounts)


def evenly(**amounts: int) -> Moved:
    return Moved(amounts, evenly=True)


class Give(NamedTuple):
    """A device to a user."""

    device: str
    user: str


class Address(NamedTuple):
    """The device has it from now on; None: it is gone."""

    device: str
    last: int | None


class Restart(NamedTuple):
    """Another start: with another configuration, other owners, or nothing remembered."""

    config: str | None = None
    owners: Mapping[str, str] | None = None
    lost: bool = False


class Leap(NamedTuple):
    """The clock is set to the time of the step; a minute has passed in truth."""


Action = Moved | Give | Address | Restart | Leap | SetQuota | TopUp | Limit


class Step(NamedTuple):
    """What happens up to a moment, and what is so after the poll of that moment."""

    when: str  # on the clock on the wall; "again": the second time around, when clocks are set back
    does: tuple[Action, ...]
    told: list[str]
    stands: Mapping[str, str | None]
    limited: str
    throttled: str
    blocked: str


def at(
    when: str,
    *does: Action,
    told: Iterable[str] = (),
    limited: str = "",
    throttled: str = "",
    blocked: str = "",
    **stands: str | None,
) -> Step:
    """`stands`: used/limit of each part by whose quota it is; what is not named there is not looked at.

    All of `told`, who is `limited`, and whose devices are `throttled` or `blocked` must be named.
    """
    return Step(when, does, list(told), stands, limited, throttled, blocked)


def quota(limit: int | None, subject: Subject = ALICE, part: Part = "together") -> SetQuota:
    return SetQuota(subject, part, limit)


def topup(amount: int, subject: Subject = ALICE) -> TopUp:
    return TopUp(subject, amount)


def hold(subject: Subject = ALICE) -> Limit:
    return Limit(subject, on=True)


def let_go(subject: Subject = ALICE) -> Limit:
    return Limit(subject, on=False)


class Router:
    """Keeps every rule it is told, unless it `fails`."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.asked = 0
        self.fails: DallaError | None = None
        self.spares: dict[Mac, str] = {}

    def poll(self) -> Reading:
        raise NotImplementedError

    def enforce(self, limits: Limits, *, dry_run: bool = False) -> Limited:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        if not dry_run:
            self.limits = limits
        return Limited(spared=self.spares)

    def leave(self) -> None:
        raise NotImplementedError


class Publisher(Everybody):
    """Writes down what is told, unless it is `away`."""

    def __init__(self) -> None:
        super().__init__(())
        self.events: list[Event] = []
        self.away = False
        self.on_events: Callable[[], object] = lambda: None

    def tell_events(self, events: Iterable[Event], at: float) -> bool:  # noqa: ARG002
        new = list(events)
        if new and not self.away:
            self.events += new
            self.on_events()
        return not self.away


class House:
    """`config`: what is said of users, quotas and the tariff. Everybody who has a device is a user."""

    def __init__(self, folder: Path, config: str, begins: str, *, dry_run: bool = False) -> None:
        self.folder = folder
        self.said = config
        self.owners = dict(OWNERS)
        self.router = Router()
        self.publisher = Publisher()
        self.rows: dict[str, tuple[Mac, int]] = {}
        self.places = {name: f"192.168.1.{100 + number}" for number, name in enumerate(MACS) if name != "new"}
        self.dry_run = dry_run
        self.now = 0.0
        for name in self.places:
            self._count(name, _START)
        self.start(None)
        self.now = self.moment(begins)
        self.poll(60)

    def start(self, now: float | None) -> None:
        self.config = self._configured()
        self.store = Store(self.folder / "state.db")
        self.rules = Rules(self.config.people, self.config.tariff, 60, 125e6, moved=self.store.moved)
        self.ledger = owned(self.store.load(), self.config.people)
        self.rationing = Rationing(
            config=self.config,
            store=self.store,
            router=self.router,
            asker=Asker(),
            publisher=self.publisher,
            troubles=Troubles(getLogger("dalla_mqtt")),
            dry_run=self.dry_run,
        )
        self.rationing.begin()
        if now is not None:
            self.rationing.assess(self.ledger, now)

    def end(self) -> None:
        self.store.close()

    def moment(self, when: str) -> float:
        text = when.removesuffix(" again")
        return datetime.fromisoformat(text).replace(tzinfo=self.config.tariff.zone, fold=text != when).timestamp()

    def poll(self, elapsed_s: float, *, again: bool = False) -> None:
        """One reading, which is stored, and all that a daemon does with it."""
        present = {place: MACS[name] for name, place in self.places.items()}
        rows = tuple(Row(ip, mac, ceil(count / 100), count) for ip, (mac, count) in self.rows.items())
        reading = Reading(rows, tuple(Host(ip, mac, None) for ip, mac in present.items()))
        self.ledger, _ = account(self.ledger, reading, self.rules, at=self.now, elapsed_s=elapsed_s)
        self.store.save(self.ledger, {})
        self.rationing.assess(self.ledger, self.now)
        self.rationing.alert(self.now)
        self.rationing.limit(self.ledger, reading, self.now, again=again)

    def goes(self, to: float) -> None:
        """Time passes, and a poll ends it."""
        elapsed_s, self.now = to - self.now, to
        self.poll(elapsed_s)

    def step(self, step: Step) -> None:
        moment = self.moment(step.when)
        for action in step.does:
            self._do(action, moment)
        self.goes(moment)

    def obey(self, command: SetQuota | TopUp | Limit, moment: float) -> None:
        try:
            self.rationing.obey(command, self.ledger, moment)
        except CommandRefused as why:
            self.publisher.events.append(Event("command_refused", str(why)))

    def restart(self, action: Restart, moment: float) -> None:
        self.end()
        self.said = self.said if action.config is None else action.config
        self.owners = self.owners if action.owners is None else dict(action.owners)
        if action.lost:
            (self.folder / "state.db").unlink()
        self.start(moment)

    def take_told(self) -> list[str]:
        """What was told since this was asked last: whose, of which part, what."""
        events, self.publisher.events = self.publisher.events, []
        return [self._in_short(event) for event in events]

    @property
    def standings(self) -> dict[str, Standing]:
        return {self._name(subject): standing for subject, standing in self.rationing.standings.items()}

    @property
    def stands(self) -> dict[str, str]:
        return {name: ", ".join(_figures(standing)) for name, standing in self.standings.items()}

    @property
    def limited(self) -> str:
        return " ".join(name for name, standing in self.standings.items() if standing.limited)

    @property
    def throttled(self) -> str:
        """Whose address is slow, whoever it was meant for."""
        return " ".join(name for name in MACS if self.places.get(name) in self.router.limits.throttled)

    @property
    def blocked(self) -> str:
        return " ".join(name for name, mac in MACS.items() if mac in self.router.limits.blocked)

    def _do(self, action: Action, moment: float) -> None:
        match action:
            case Moved(amounts, evenly):
                if not evenly and moment - 1 > self.now:
                    self.goes(moment - 1)
                for name, amount in amounts.items():
                    self._count(name, amount)
            case Give(device, user):
                self.owners[device] = user
                self.rules = replace(self.rules, people=self.rules.people.given(MACS[device], user))
                self.ledger = replace(owned(self.ledger, self.rules.people), shares=())
                self.store.save(self.ledger, {})
            case Address(device, last):
                self.places.pop(device, None)
                if last is not None:
                    self.places[device] = f"192.168.1.{last}"
                    self._count(device, 0)
            case Restart():
                self.restart(action, moment)
            case Leap():
                self.now = moment - 60
            case _:
                self.obey(action, moment)

    def _count(self, name: str, amount: int) -> None:
        place = self.places.get(name, "192.168.1.104")
        self.places[name] = place
        _, before = self.rows.get(place, (None, 0))
        self.rows[place] = (MACS[name], before + amount)

    def _configured(self) -> Config:
        text = self.said if "tariff:" in self.said else f"tariff: {{timezone: UTC}}\n{self.said}"
        (self.folder / "config.yaml").write_text(f"router: {{password: x}}\n{text}", "utf-8")
        owners = "".join(f"{user}, {MACS[name]}\n" for name, user in self.owners.items())
        (self.folder / "user-map.csv").write_text(f"Name, MAC\n{owners}", "utf-8")
        return load(self.folder / "config.yaml", {}, {})

    def _name(self, subject: Subject) -> str:
        return NAMES[Mac(subject.name)] if subject.kind == "device" else subject.name

    def _in_short(self, event: Event) -> str:
        if event.event == "command_refused":
            return f"refused: {event.text}"
        name = event.user or event.pool or (NAMES[Mac.parse(event.mac)] if event.mac else "")
        part = f" {event.part}" if event.part not in (None, "together") else ""
        what = f"{event.threshold} %" if event.threshold else event.event.removeprefix("quota_")
        return f"{name}{part} {what}"


def _figures(standing: Standing) -> Iterable[str]:
    for allowance in standing.allowances:
        part = "" if allowance.part == "together" else f"{allowance.part} "
        carried = f" carried {allowance.carried}" if allowance.carried else ""
        topped_up = f" topped up {allowance.topup}" if allowance.topup else ""
        yield f"{part}{allowance.used}/{allowance.limit}{carried}{topped_up}"


def tell(folder: Path, config: str, steps: Iterable[Step], *, projected: bool = False) -> None:
    """Live through the steps; what is expected of each must be so. Forecasts are told of where `projected`."""
    told_steps = list(steps)
    begins = datetime.fromisoformat(told_steps[0].when) - timedelta(hours=1)
    house = House(folder, config, begins.isoformat())
    house.take_told()
    for step in told_steps:
        house.step(step)
        told = [told for told in house.take_told() if projected or not told.endswith(" projected")]
        stands = {name: house.stands.get(name) for name in step.stands}
        found = Step(step.when, step.does, told, stands, house.limited, house.throttled, house.blocked)
        assert found == step, f"expected {_said(step, found)}, found {_said(found, step)}"
        check_records(house)
    house.end()


def _said(step: Step, other: Step) -> str:
    """Where it is another one."""
    pairs = zip(Step._fields, step, other, strict=True)
    return f"{step.when}: " + ", ".join(f"{field}={value!r}" for field, value, differs in pairs if value != differs)


def check_records(house: House) -> None:
    """What is told of each quota is what is on record, and is limited as the router has it."""
    for subject, standing in house.rationing.standings.items():
        if subject.kind != "pool":
            days = house.store.days(Key(subject.kind, subject.name), *standing.window)
            booked = {
                "on_peak": sum(used.on_peak for used in days.values()),
                "off_peak": sum(used.off_peak for used in days.values()),
            }
            booked["together"] = sum(booked.values())
            for allowance in standing.allowances:
                assert allowance.used == booked[allowance.part]
