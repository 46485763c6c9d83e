"""Whatever happens in whichever order: what is used, who is limited and what is told follow from the rules alone."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from dalla_mqtt.usage.commands import Limit, SetQuota, TopUp
from dalla_mqtt.usage.quota import PARTS, Part
from tests.quotas.house import House, Moved, Restart, hold, let_go, moved, quota, topup

Limits = dict[Part, int]

SIZES: list[Limits] = [
    {"together": 100, "on_peak": 70, "off_peak": 50},
    {"on_peak": 60, "off_peak": 50},
    {"together": 80},
    {},
]
SOME = st.sampled_from([10, 20, 50, 90])
STEPS = st.one_of(
    st.builds(lambda size: moved(phone=size), SOME),
    st.builds(lambda size: moved(phone=size, laptop=5), SOME),
    st.builds(topup, st.sampled_from([0, 10, 40])),
    st.builds(
        lambda part, size: quota(size, part=part), st.sampled_from(PARTS), st.sampled_from([None, 0, 40, 90, 140])
    ),
    st.sampled_from([hold(), let_go(), let_go(), Restart(), *(Restart(str(which)) for which in range(4))]),
)
STORIES = st.lists(st.tuples(st.sampled_from([1, 2, 3, 4, 5, 60, 400, 1500, 3000]), STEPS), min_size=5, max_size=40)


def config(which: int) -> str:
    limits = ", ".join(f"{part}: {size} B" for part, size in SIZES[which].items()) or "together: 0"
    return (
        "tariff: {timezone: Europe/Berlin, off_peak: ['00:00-06:00']}\n"
        f"users: {{Alice: {{quota: {{{limits}, per: day, carry_over: yes}}, at_quota: throttle}}}}"
    )


class Told(NamedTuple):
    day: date
    part: Part
    what: str


class Rules:
    """The rules of Alice's quota for a day, once more and by other means."""

    def __init__(self) -> None:
        self.configured = SIZES[0]
        self.by_hand: Limits = {}
        self.instead_of: Limits = {}
        self.moved: dict[date, Limits] = defaultdict(lambda: dict.fromkeys(PARTS, 0))
        self.known: dict[date, Limits] = {}
        self.topped_up: dict[date, int] = defaultdict(int)
        self.let_go: date | None = None
        self.held = False
        self.over: date | None = None  # the day on which more than all was used when it was looked at last
        self.true: set[Told] = set()  # and was told
        self.told: dict[Told, tuple[int, int]] = {}  # under which limit, and under which one at most since then

    def limits(self, day: date) -> Limits:
        before = day - timedelta(days=1)
        known = self.known.get(before, {})
        left = {part: max(0, size - self.moved[before][part]) for part, size in known.items()}
        return {part: size + left.get(part, 0) + self.topped_up[day] for part, size in self.sizes.items()}

    @property
    def sizes(self) -> Limits:
        sizes = {**self.configured, **self.by_hand}
        return {part: sizes[part] for part in PARTS if sizes.get(part)}

    def moves(self, day: date, amount: int, *, off_peak: bool) -> None:
        for part in ("together", "off_peak" if off_peak else "on_peak"):
            self.moved[day][part] += amount

    def obeys(self, day: date, command: SetQuota | TopUp | Limit) -> None:
        match command:
            case SetQuota(_, part, limit):
                self.by_hand.pop(part, None)
                if limit is not None:
                    self.by_hand[part], self.instead_of[part] = limit, self.configured.get(part, 0)
            case TopUp(_, amount) if self.sizes:
                self.topped_up[day] = self.topped_up[day] + amount if amount else 0
                self.let_go = None
            case Limit(_, on):
                self.held = on
                self.let_go = day if not on and self.over == day else None

    def restarts(self, which: int) -> None:
        self.configured = SIZES[which]
        for part in list(self.by_hand):
            if self.configured.get(part, 0) != self.instead_of[part]:
                del self.by_hand[part]

    def looks(self, day: date, told: list[Told]) -> None:
        """What is told now must be true, and all that is true must have been told, once a limit."""
        if self.known.get(day, self.sizes) != self.sizes:
            self.let_go = None
        self.known[day] = self.sizes
        limits = self.limits(day)
        used = self.moved[day]
        self.over = day if any(used[part] > limit for part, limit in limits.items()) else None
        true = {
            Told(day, part, what)
            for part, limit in limits.items()
            for what, so in (
                ("80 %", used[part] * 100 >= 80 * limit),
                ("100 %", used[part] >= limit),
                ("reached", used[part] > limit),
            )
            if so
        }
        for key, (then, most) in self.told.items():
            self.told[key] = then, max(most, limits.get(key.part, 2**60))
        for key in told:
            assert key in true
            then, most = self.told.get(key, (0, 1))
            assert most > then, "it was told already, and the limit is no higher since"
            self.told[key] = limits[key.part], limits[key.part]
        self.true = (self.true & true) | set(told)
        assert self.true == true, "something was not told"

    def limited(self, day: date, *, off_peak: bool) -> bool:
        now: tuple[Part, ...] = ("together", "off_peak" if off_peak else "on_peak")
        limits = self.limits(day)
        over = any(self.moved[day][part] > limits[part] for part in now if part in limits)
        return self.held or (over and self.let_go != day)


class Story:
    def __init__(self, folder: Path) -> None:
        self.house = House(folder, config(0), "2026-10-23 12:00:30")
        self.rules = Rules()
        self.looks()

    @property
    def day(self) -> date:
        return self.house.config.tariff.local(self.house.now).date()

    @property
    def off_peak(self) -> bool:
        return self.house.config.tariff.local(self.house.now).hour < 6

    def goes_on(self, minutes: int, action: Moved | SetQuota | TopUp | Limit | Restart) -> None:
        house, rules = self.house, self.rules
        moment = house.now + minutes * 60
        if isinstance(action, Moved):
            house.goes(moment - 1)
            self.looks()
            house.now = moment - 1
            house._do(action, moment)
            if "phone" in action.amounts:
                rules.moves(self.day, action.amounts["phone"], off_peak=self.off_peak)
        elif isinstance(action, Restart):
            which = SIZES.index(rules.configured) if action.config is None else int(action.config)
            house.restart(Restart(config(which)), moment)
            rules.restarts(which)
        else:
            elapsed_from, house.now = house.now, moment
            house.obey(action, moment)
            rules.obeys(self.day, action)
            self.looks()
            house.now = elapsed_from
        house.goes(moment)
        self.looks()
        assert (house.limited == "Alice") == rules.limited(self.day, off_peak=self.off_peak)
        assert house.throttled == ("phone tablet" if house.limited else "")

    def looks(self) -> None:
        house = self.house
        told = []
        for text in house.take_told():
            words = text.removeprefix("Alice ").split(" ", 1)
            if text.endswith((" %", " reached")):
                part, what = words if words[0] in PARTS else ("together", " ".join(words))
                told.append(Told(self.day, part, what))
        self.rules.looks(self.day, told)
        figures = [
            f"{'' if part == 'together' else f'{part} '}{self.rules.moved[self.day][part]}/{limit}"
            for part, limit in self.rules.limits(self.day).items()
        ]
        assert [text.split(" carried")[0].split(" topped")[0] for text in house.stands["Alice"].split(", ")] == (
            figures or [""]
        )


@settings(max_examples=50)
@given(STORIES)
def test_a_story_follows_the_rules(story: list[tuple[int, Moved | SetQuota | TopUp | Limit | Restart]]) -> None:
    with TemporaryDirectory() as folder:
        tale = Story(Path(folder))
        for minutes, action in story:
            tale.goes_on(minutes, action)
        tale.house.end()
