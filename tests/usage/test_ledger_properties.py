"""What holds after every reading: with a model of a router that knows the truth, and whatever a router may say."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dalla_mqtt.usage.ledger import TOTAL, Key, Ledger, Rules, Series, account
from dalla_mqtt.usage.people import UNKNOWN, People
from dalla_mqtt.usage.reading import Host, Mac, Reading, RouterInfo, Row
from dalla_mqtt.usage.tariff import Tariff, Window
from tests.usage.house import Days

MACS = [Mac(f"CB-BD-AB-90-2D-3{number}") for number in range(4)]
IPS = ["192.168.1.100", "192.168.1.101", "10.0.0.7", "172.16.0.1"]
NAMES = ["Alice", "Bob", "Guests"]
FIGURES = ("usage", "delta", "on_peak", "off_peak", "today")
TARIFFS = st.builds(
    Tariff,
    st.sampled_from([UTC, *map(ZoneInfo, ["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe"])]),
    st.sampled_from(
        [(), (Window.parse("00:00-06:00"),), (Window.parse("Sat-Sun 00:00-24:00"), Window.parse("22:30-05:15"))]
    ),
    st.sampled_from([1, 15, 31, -1]),
)
NEAR_A_BORDER = st.sampled_from(
    [
        datetime(2026, 10, 31, 22, 59, tzinfo=UTC),  # a month in Berlin
        datetime(2026, 10, 25, 0, 50, tzinfo=UTC),  # the end of summer time there
        datetime(2026, 9, 6, 3, 59, tzinfo=UTC),  # its beginning in Santiago, at midnight
        datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
        datetime(2026, 11, 14, 23, 58, 30, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
    ]
)
OWNERS = st.dictionaries(st.sampled_from(MACS), st.sampled_from(NAMES))
HOSTS = st.lists(
    st.builds(Host, st.sampled_from(IPS), st.sampled_from(MACS), st.sampled_from([None, "alices-phone", "tv"])),
    max_size=3,
)
DURATIONS = st.sampled_from([0, 1, 30, 59, 60, 61, 90, 91, 600, 3_600, 86_400]) | st.integers(0, 40 * 86_400)


def household(owners: dict[Mac, str]) -> People:
    return People(
        tuple(dict.fromkeys(owners.values())), owners, (("alices-*", "Alice"),) if "Alice" in owners.values() else ()
    )


def all_series(ledger: Ledger) -> dict[Key, Series]:
    return {
        **{Key("device", mac.dashed): device.series for mac, device in ledger.devices.items()},
        **{Key("user", name): user for name, user in ledger.users.items()},
        TOTAL: ledger.total,
    }


def check_sums(ledger: Ledger) -> None:
    """Devices = users + UNKNOWN = total, to the byte."""
    assert UNKNOWN in ledger.users
    for figure in FIGURES:
        total = getattr(ledger.total, figure)
        assert sum(getattr(device.series, figure) for device in ledger.devices.values()) == total, figure
        assert sum(getattr(series, figure) for series in ledger.users.values()) == total, figure


def check_step(before: Ledger, after: Ledger) -> None:
    """Nothing falls, nothing is negative, and what did not change is the same."""
    series = [
        (device.series, before.devices[mac].series) for mac, device in after.devices.items() if mac in before.devices
    ]
    series += [(user, before.users[name]) for name, user in after.users.items() if name in before.users]
    for new, old in [*series, (after.total, before.total)]:
        assert new.usage >= old.usage + new.delta
        assert min(new.delta, new.rate, new.on_peak, new.off_peak, new.today) >= 0
        assert (new is old) == (new == old)
    assert after.devices.keys() >= before.devices.keys()
    assert after.users.keys() >= before.users.keys()


@dataclass
class Slot:
    """A row of the router's table, with what it knows and does not tell. `shown`: of these bytes, and believed.

    `again`: it was reset, or made again, and is believed at its second sight.
    """

    mac: Mac | None
    again: bool = False
    packets: int = 0
    bytes: int = 0
    shown: int = 0


@dataclass
class Booked:
    """What a client that was told all resets could know of one device or one user."""

    usage: int = 0
    start: int = 0
    deltas: int = 0
    delta: int = 0


@dataclass
class Held:
    start: int = 0
    delta: int = 0


class TrueRouter(RuleBasedStateMachine):
    """A router whose resets can be told from its counters, as they can where it is polled often enough.

    That is: a row that was reset or deleted shows fewer packets than before at its next two sights; a 32-bit counter
    moves less than 2**32 between two sights, and any counter no more than the line can; the uptime after a restart is
    shorter than the last one that was told, and no row then shows what it showed before or just a little more. What its
    replies may look like where these do not hold, or where they lie, is in test_counters_properties.py.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.days = Days()
        self.slots: dict[str, Slot] = {}
        self.packets: dict[str, int] = {}  # that a row is known by, since the restart
        self.doubted: dict[str, Slot | None] = {}  # a row at its first sight; None: zeros
        self.held: dict[str, Held] = {}
        self.devices: dict[Mac, Booked] = {}
        self.users: dict[str, Booked] = {}
        self.owners: dict[Mac, str] = {}
        self.moved = 0
        self.now = 0.0
        self.booted = -1_000_000.0
        self.told_uptime_s = 0
        self.restarted = False

    @initialize(tariff=TARIFFS, start=NEAR_A_BORDER, wide=st.booleans())
    def begin(self, tariff: Tariff, start: datetime, *, wide: bool) -> None:
        self.tariff = tariff
        self.at = start.timestamp()
        self.wide = wide

    @rule(ip=st.sampled_from(IPS))
    def resets_a_row(self, ip: str) -> None:
        if ip in self.slots:
            self.slots[ip] = Slot(self.slots[ip].mac, again=ip in self.packets)

    @rule(ip=st.sampled_from(IPS))
    def deletes_a_row(self, ip: str) -> None:
        self.slots.pop(ip, None)

    @precondition(lambda self: self.told_uptime_s > 0)
    @rule()
    def restarts(self) -> None:
        self.slots.clear()
        self.packets.clear()
        self.doubted.clear()
        self.booted = self.now
        self.restarted = True

    @rule(owners=OWNERS)
    def gives_devices_to_users(self, owners: dict[Mac, str]) -> None:
        self.owners = owners

    @rule(
        after=DURATIONS,
        traffic=st.lists(
            st.tuples(
                st.sampled_from(IPS),
                st.sampled_from([None, *MACS]),
                st.integers(0, 100) | st.integers(1_500_000, 2_800_000),
                st.sampled_from([40, 1_500]) | st.integers(40, 1_518),
            ),
            max_size=4,
        ),
        clock_jumps=st.sampled_from([0, 0, 0, 0, 0, -1, -3_600, 3_600, -90_000, 90_000]),
        hidden=st.sampled_from([[], [], [], IPS[:1], IPS[1:], IPS]),
        hosts=HOSTS,
    )
    def is_read(
        self,
        *,
        after: int,
        traffic: list[tuple[str, Mac | None, int, int]],
        clock_jumps: int,
        hidden: list[str],
        hosts: list[Host],
    ) -> None:
        for moved in traffic:
            self.moves(*moved)
        if self.restarted:
            after = min(after, self.told_uptime_s - 1)
            for ip, slot in list(self.slots.items()):
                known = self.ledger.counters.get(ip)
                if known and known.bytes <= slot.bytes <= known.bytes * 9 // 8:  # of so many bytes not by chance
                    del self.slots[ip]
        self.now += after
        self.at += after + clock_jumps
        self.told_uptime_s, self.restarted = int(self.now - self.booted), False
        shown = {ip: slot for ip, slot in self.slots.items() if ip not in hidden}
        rows = [
            Row(ip, slot.mac, slot.packets, slot.bytes % (2**64 if self.wide else 2**32)) for ip, slot in shown.items()
        ]
        reading = Reading(tuple(rows), tuple(hosts), RouterInfo(uptime_s=self.told_uptime_s))
        rules = Rules(household(self.owners), self.tariff, interval_s=60, line_rate=125e6, moved=self.days.moved)
        before = self.ledger
        self.ledger, _ = account(before, reading, rules, at=self.at, elapsed_s=after)
        self.days.keep(self.ledger)
        pending = {ip for ip, slot in shown.items() if self.doubts(ip, slot)}
        self.expects(shown, pending, first=before.at is None)
        check_sums(self.ledger)
        check_step(before, self.ledger)
        self.compares()
        self.compares_days()
        for ip, slot in shown.items():
            if ip not in pending:
                slot.again, self.packets[ip] = False, slot.packets
            elif slot.packets:
                self.packets[ip] = min(self.packets[ip], slot.packets)

    def moves(self, ip: str, mac: Mac | None, packets: int, size: int) -> None:
        """Packets of `mac` at this address; None: a download, which leaves the row's MAC as it is."""
        slot = self.slots.get(ip, Slot(None, again=ip in self.packets))
        most = 7_000_000_000 if self.wide else 2**32 - 1  # what the line can do in 60 s; less than one wrap
        packets = min(packets, (most - (slot.bytes - slot.shown)) // size)
        if slot.again:
            packets = max(0, min(packets, self.packets[ip] - 1 - slot.packets))
        if not packets and ip not in self.slots:
            return  # a row is made by its first packet
        self.slots[ip] = slot
        slot.mac = mac or slot.mac
        slot.packets += packets
        slot.bytes += packets * size
        self.moved += packets * size

    def doubts(self, ip: str, slot: Slot) -> bool:
        """Whether the row is at its first sight: zeros, or a count in a row that had another, and no zeros before."""
        if not slot.packets:
            self.doubted.setdefault(ip, None)
            return True
        doubted = self.doubted.pop(ip, slot if not slot.again else Slot(None))
        if doubted is not None and doubted is not slot:
            self.doubted[ip] = slot
            return True
        return False

    def expects(self, shown: dict[str, Slot], pending: set[str], *, first: bool) -> None:
        for booked in (*self.devices.values(), *self.users.values()):
            booked.delta = 0
        for ip, slot in shown.items():
            held = self.held.setdefault(ip, Held())
            if ip not in pending:
                if first:
                    held.start += slot.bytes - slot.shown
                else:
                    held.delta += slot.bytes - slot.shown
                slot.shown = slot.bytes
            if slot.mac:
                del self.held[ip]
                user = self.ledger.devices[slot.mac].user
                for booked in (self.devices.setdefault(slot.mac, Booked()), self.users.setdefault(user, Booked())):
                    booked.usage += held.start + held.delta
                    booked.start += held.start
                    booked.delta += held.delta
                    booked.deltas += held.delta

    def compares(self) -> None:
        """Every byte that could be known is with its device and its user, or waits for a MAC."""
        for mac, device in self.ledger.devices.items():
            booked = self.devices[mac]
            assert (device.series.usage, device.series.delta) == (booked.usage, booked.delta)
            assert device.series.usage - booked.start == booked.deltas
            assert mac not in self.owners or device.user == self.owners[mac]
        for name, user in self.ledger.users.items():
            booked = self.users.get(name, Booked())
            assert (user.usage, user.delta) == (booked.usage, booked.delta)
        waiting = sum(held.start + held.delta for held in self.held.values())
        assert sum(counter.held_start + counter.held for counter in self.ledger.counters.values()) == waiting
        assert self.ledger.total.usage + waiting <= self.moved

    def compares_days(self) -> None:
        """Every delta is on record for some day, and the figures of this period and this day are what is on record."""
        everything = self.days.moved(date.min, date.max)
        booked = {Key("device", mac.dashed): device.deltas for mac, device in self.devices.items()}
        booked |= {Key("user", name): user.deltas for name, user in self.users.items()}
        booked[TOTAL] = sum(device.deltas for device in self.devices.values())
        assert {key: sum(parts) for key, parts in everything.items()} == {
            key: all_ for key, all_ in booked.items() if all_
        }
        now = self.tariff.span_at(self.at)
        period = self.days.moved(now.period, self.tariff.last_day(now.period))
        today = self.days.moved(now.day, now.day)
        for key, series in all_series(self.ledger).items():
            assert (series.on_peak, series.off_peak) == period.get(key, (0, 0))
            assert series.today == sum(today.get(key, (0, 0)))


TestTrueRouter = TrueRouter.TestCase
TestTrueRouter.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


COUNTERS = st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**56 - 1]) | st.integers(0, 2**56 - 1)
ROWS = st.lists(
    st.builds(Row, st.sampled_from(IPS), st.sampled_from([None, *MACS]), COUNTERS | st.integers(0, 100), COUNTERS),
    unique_by=lambda row: row.ip,
)
UPTIMES = st.none() | st.integers(0, 10**11) | st.integers(0, 1_000)


@dataclass
class Answer:
    rows: list[Row]
    hosts: list[Host]
    uptime_s: int | None
    owners: dict[Mac, str]
    clock: int
    elapsed_s: float
    line_rate: float


ANSWERS = st.builds(
    Answer,
    ROWS,
    HOSTS,
    UPTIMES,
    OWNERS,
    clock=st.integers(-86_400, 86_400) | DURATIONS,
    elapsed_s=st.floats(1e-3, 1e7) | DURATIONS.map(float),
    line_rate=st.floats(1, 1e12),
)


@settings(deadline=None, max_examples=200)
@given(TARIFFS, NEAR_A_BORDER, st.lists(ANSWERS, min_size=2, max_size=12))
def test_whatever_a_router_says_devices_users_and_total_agree_and_nothing_falls(
    tariff: Tariff, start: datetime, answers: list[Answer]
) -> None:
    ledger, at, deltas, accepted, days = Ledger(), start.timestamp(), 0, False, Days()
    for answer in answers:
        at += answer.clock
        reading = Reading(tuple(answer.rows), tuple(answer.hosts), RouterInfo(uptime_s=answer.uptime_s))
        rules = Rules(household(answer.owners), tariff, 60, answer.line_rate, days.moved)
        before = ledger
        ledger, events = account(before, reading, rules, at=at, elapsed_s=answer.elapsed_s)
        days.keep(ledger)
        check_sums(ledger)
        check_step(before, ledger)
        deltas += ledger.total.delta
        start_bytes = sum(row.bytes for row in answers[0].rows)
        waiting = sum(counter.held_start for counter in ledger.counters.values())
        accepted = accepted or any(event.event == "accepted" for event in events)  # it may be a start of its own
        assert ledger.total.usage - deltas == start_bytes - waiting or accepted
        assert ledger.total.usage - deltas >= start_bytes - waiting
