"""What is booked, held against a model that knows what the router truly moved, and when its replies lied."""

from copy import deepcopy
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dalla_mqtt.usage.counters import Counter, Sight, follow
from dalla_mqtt.usage.reading import Mac, Reading, RouterInfo, Row

MACS = [Mac(f"CB-BD-AB-90-2D-3{number}") for number in range(3)]
IPS = ["192.168.1.100", "192.168.1.101", "10.0.0.7"]
INTERVAL_S = 60
DURATIONS = st.sampled_from([1, 30, 60, 60, 60, 90, 91, 600, 86_400]) | st.integers(1, 40 * 86_400)
TRAFFIC = st.lists(
    st.tuples(
        st.sampled_from(IPS),
        st.sampled_from([None, *MACS]),
        st.integers(0, 100) | st.integers(0, 3_000_000),
        st.sampled_from([40, 1_518]) | st.integers(40, 1_518),
    ),
    max_size=4,
)
ODDITIES = st.sampled_from([None] * 6 + ["zeros", "zero", "low", "high", "heavy", "uptime"])


@dataclass
class Life:
    """A row from its making, or its last reset, to its end; what the client could know of it.

    `shown`: the most bytes that an honest reply showed. `hinted`: the same of any reply. `sure`: the same of two honest
    replies where one is no proof: after a reset, or a burst. `cap`: packets that it does not reach before it is sure.
    `calm`: its honest sights in a row, since the last burst.
    """

    mac: Mac | None
    cap: int | None = None
    packets: int = 0
    bytes: int = 0
    shown: int = 0
    hinted: int = 0
    sure: int = 0
    burst: bool = False
    calm: int = 0


@dataclass
class Address:
    """All that happened at one address. `last`: the packets that its row showed last, None where no client knows it."""

    life: Life | None = None
    past: list[Life] = field(default_factory=list)
    last: int | None = None
    lied: bool = False
    booked: int = 0

    def end(self) -> None:
        if self.life:
            self.past.append(self.life)
        self.life = None

    def total(self, figure: str) -> int:
        lives = [*self.past, self.life] if self.life else self.past
        return sum(getattr(life, figure) for life in lives)


class OddRouter(RuleBasedStateMachine):
    """A router that is restarted, whose rows are reset and deleted, and one in a few of whose replies lies.

    Nobody can tell these apart by its replies, so it keeps from them:

    - A lie that is repeated is as good as the truth: a row shows an honest count before it lies again.
    - A lie that could be true is believed: one shows zeros, or a count that the row has passed, with fewer packets than
      it showed last; or more than the line can have moved, or than the packets can have carried. The first count of all
      may be too low, but not too high.
    - A row that was reset or deleted, or lost in a restart that no honest reply tells by a lower uptime, could as well
      go on once it has overtaken its past: it shows fewer packets than before, until it was seen twice in a row.
    - A 32-bit counter moves less than 2**32 between two sights; and, after a reset or a lie, until it is believed.
    - Faster than the line is said to be are only rows that were not just reset or lost.
    - After a restart that its uptime tells, no row is found by chance where it was, or a little beyond. An uptime lies
      only where rows of 10 kB or more show that the router goes on: one is just what it was, or the router was up
      for long, and more rows have grown by an eighth at the most than have been reset.
    - A router that restarts takes some seconds before it answers. When the daemon restarts, this machine's clock is
      right; or it is behind the last reading, and then that told the true uptime.
    """

    def __init__(self) -> None:
        super().__init__()
        self.at = 1_795_521_600.0
        self.last_at: float | None = None
        self.now, self.booted = 0.0, -1_000_000.0
        self.told: int | None = None
        self.told_truly = True
        self.restarted = False
        self.daemon: str | None = None
        self.counters: dict[str, Counter] = {}
        self.wide_seen = False
        self.addresses = {ip: Address() for ip in IPS}

    @initialize(wide=st.booleans(), fast=st.booleans())
    def begin(self, *, wide: bool, fast: bool) -> None:
        self.wide = wide
        self.line_rate = 125e6 if fast else 1.25e6

    @rule(ip=st.sampled_from(IPS))
    def resets_a_row(self, ip: str) -> None:
        address = self.addresses[ip]
        if address.life:
            mac = address.life.mac
            self.ends(address)
            address.life = Life(mac, cap=address.last)

    @rule(ip=st.sampled_from(IPS))
    def deletes_a_row(self, ip: str) -> None:
        self.ends(self.addresses[ip])

    @precondition(lambda self: self.last_at is not None)
    @rule()
    def restarts(self) -> None:
        for address in self.addresses.values():
            self.ends(address)
        self.booted, self.restarted = self.now, True

    @precondition(lambda self: self.last_at is not None)
    @rule(clock=st.sampled_from(["right", "behind"]))
    def sees_the_daemon_restart(self, clock: str) -> None:
        self.counters = deepcopy(self.counters)
        self.daemon = clock if self.told_truly else "right"

    @rule(
        after=DURATIONS,
        traffic=TRAFFIC,
        burst=st.none() | st.tuples(st.sampled_from(IPS), st.integers(1, 2**40)),
        hidden=st.sampled_from([[], [], [], [], IPS[:1], IPS[1:], IPS]),
        odd=ODDITIES,
        struck=st.sampled_from(IPS),
        lie=st.tuples(st.floats(0, 1), st.floats(0, 1), st.none() | st.integers(0, 100) | st.integers(0, 10**7)),
        clock_jumps=st.sampled_from([0, 0, 0, 0, -1, -3_600, 3_600, -90_000, 90_000]),
    )
    def is_read(
        self,
        *,
        after: int,
        traffic: list[tuple[str, Mac | None, int, int]],
        burst: tuple[str, int] | None,
        hidden: list[str],
        odd: str | None,
        struck: str,
        lie: tuple[float, float, int | None],
        clock_jumps: int,
    ) -> None:
        if self.last_at is None and odd in ("high", "heavy", "uptime"):
            odd = None
        uptime_s = self.waits(after, clock_jumps)
        plain = self.restarted and odd is None and self.told_truly and uptime_s < (self.told or 0)
        if plain:
            for address in self.addresses.values():
                address.last = None
                if address.life:
                    address.life.cap = None
        for moved in traffic:
            self.moves(*moved)
        if burst and not self.restarted:
            self.bursts(*burst)
        if plain:
            self.leaves_no_chance()
        shown = {ip: address.life for ip, address in self.addresses.items() if address.life and ip not in hidden}
        told: int | None = uptime_s
        if odd == "uptime":
            if self.goes_on(shown, lie[2]):
                told = lie[2]
            else:
                odd = None
        rows = {ip: self.row(ip, life) for ip, life in shown.items()}
        struck_rows = self.lies(rows, shown, odd, struck, lie)
        self.follows(tuple(rows.values()), told)
        self.learns(shown, struck_rows)
        self.told, self.told_truly, self.restarted = told, told == uptime_s, False
        self.compares(shown, struck_rows)

    def ends(self, address: Address) -> None:
        life = address.life
        if life and life.cap is not None and address.last is not None:
            address.last = min(life.cap, address.last)
        address.end()

    def waits(self, after: int, clock_jumps: int) -> int:
        """The true uptime after the wait; the elapsed time that the daemon takes it for is then in `elapsed_s`."""
        if self.last_at is None:
            after = 0
        elif self.restarted:
            after = max(after, 6)
        self.now += after
        self.elapsed_s = float(after)
        if self.daemon is None:
            self.at += after + clock_jumps
        elif self.daemon == "behind":
            self.at, self.elapsed_s = min(self.at, self.last_at or self.at) - 100, 0.0
        else:
            self.at = (self.last_at or self.at) + after
        self.daemon = None
        return int(self.now - self.booted)

    def moves(self, ip: str, mac: Mac | None, packets: int, size: int) -> None:
        address = self.addresses[ip]
        life = address.life or Life(None, cap=address.last)
        most = int(self.line_rate * INTERVAL_S * 0.9)
        packets = min(packets, (most - (life.bytes - life.shown)) // size)
        packets = min(packets, self.room(address, life) // size)
        if life.cap is not None:
            packets = min(packets, life.cap - 1 - life.packets)
        if packets <= 0 and not address.life:
            return  # a row is made by its first packet
        address.life = life
        life.mac = mac or life.mac
        life.packets += max(0, packets)
        life.bytes += max(0, packets) * size

    def bursts(self, ip: str, size: int) -> None:
        """More than the line is said to do."""
        life = self.addresses[ip].life
        packets = min(size, self.room(self.addresses[ip], life)) // 1_500 if life else 0
        if not life or life.cap is not None or packets <= 0:
            return
        life.packets += packets
        life.bytes += packets * 1_500
        life.burst = True

    def room(self, address: Address, life: Life) -> int:
        """The bytes that the counter may move until its next sight, so that its wraps can be told."""
        if self.wide:
            return 2**63
        chained = life.cap is None and not address.lied
        return 2**32 - 1 - (life.bytes - (life.shown if chained else life.sure))

    def leaves_no_chance(self) -> None:
        for ip, address in self.addresses.items():
            life, known = address.life, self.counters.get(ip)
            if life and known and known.bytes >= 10_000 and known.bytes <= life.bytes <= known.bytes * 9 // 8:
                address.life = None

    def goes_on(self, shown: dict[str, Life], told: int | None) -> bool:
        """Whether rows say that the router did not restart; or it did, whatever its uptime."""
        if self.restarted or told is None or not self.told_truly:
            return self.restarted or told is None
        grew = 0
        for ip, known in self.counters.items():
            row = self.row(ip, shown[ip]) if ip in shown else Row(ip, None, 0, 0)
            if row.bytes == known.bytes >= 10_000 and row.packets >= known.packets:
                return True
            if 0 < row.packets < known.packets:
                grew -= 1
            elif row.bytes >= known.bytes >= 10_000 and row.bytes <= known.bytes * 9 // 8:
                grew += 1
        return grew > 0 and (self.told or 0) > 8 * told

    def row(self, ip: str, life: Life) -> Row:
        return Row(ip, life.mac, life.packets, life.bytes % (2**64 if self.wide else 2**32))

    def lies(
        self,
        rows: dict[str, Row],
        shown: dict[str, Life],
        odd: str | None,
        struck: str,
        lie: tuple[float, float, int | None],
    ) -> set[str]:
        """The addresses whose rows do not tell the truth, which are changed in `rows`."""
        odd = odd if all(self.wide or life.bytes - life.sure < 2**32 for life in shown.values()) else None
        if odd == "zeros":
            zeros = {ip: Row(ip, row.mac, 0, 0) for ip, row in rows.items() if not self.addresses[ip].lied}
            rows |= zeros
            return set(zeros)
        if struck not in rows or odd in (None, "uptime") or self.addresses[struck].lied:
            return set()
        row, life = rows[struck], shown[struck]
        packets, size = 0, 0
        if odd == "low":
            before = self.addresses[struck].last
            packets = int(lie[0] * min(life.packets, life.packets if before is None else before - 1))
            passed = life.bytes * packets // max(1, life.packets) % (2**64 if self.wide else 2**32)
            size = int(lie[1] * row.bytes) if life.sure else passed
        elif odd == "high":
            packets, size = row.packets + 2**50, row.bytes + 2**60
        elif odd == "heavy":
            packets, size = row.packets, row.bytes + (row.packets + 2) * 2**16 + 2**32
        rows[struck] = Row(struck, row.mac, packets, size)
        return {struck}

    def follows(self, rows: tuple[Row, ...], uptime_s: int | None) -> None:
        before = self.told
        sight = Sight(
            Reading(rows, (), RouterInfo(uptime_s=uptime_s)),
            self.counters,
            self.at,
            self.last_at,
            self.elapsed_s,
            INTERVAL_S,
            self.line_rate,
            self.wide_seen,
            before,
        )
        self.counters = follow(sight)
        self.last_at, self.wide_seen = self.at, sight.wide
        self.odd_rows = {row.ip: row for row in rows}
        for movement in sight.movements:
            assert min(movement.start, movement.delta) >= 0
            self.addresses[movement.ip].booked += movement.start + movement.delta

    def learns(self, shown: dict[str, Life], struck: set[str]) -> None:
        """What a client could know of each life now."""
        for ip, life in shown.items():
            address = self.addresses[ip]
            seen = self.odd_rows[ip]
            address.lied = ip in struck or (address.lied and not life.packets)
            if ip in struck:
                life.calm = 0
                life.hinted = max(life.hinted, life.bytes if seen.bytes <= life.bytes else 0)
                if seen.packets:
                    address.last = seen.packets if address.last is None else min(address.last, seen.packets)
                    if life.cap is not None:
                        life.cap = max(1, min(life.cap, seen.packets + 1))
                continue
            if not life.packets:
                continue
            life.calm = 1 if life.burst else life.calm + 1
            proven = life.cap is None and not life.burst
            life.shown = life.hinted = life.bytes
            life.burst = False
            if proven or life.calm > 1:
                life.sure, life.cap, address.last = life.bytes, None, life.packets
            else:
                address.last = life.packets if address.last is None else min(address.last, life.packets)

    def compares(self, shown: dict[str, Life], struck: set[str]) -> None:
        for ip, address in self.addresses.items():
            counter = self.counters.get(ip, Counter(None, 0, 0))
            booked = address.booked + counter.held_start + counter.held
            assert booked <= address.total("bytes"), f"no byte is invented: {ip} {booked=} {address} {counter}"
            if ip not in shown or ip in struck:
                continue
            doubt = counter.doubt
            pending = doubt is not None and (doubt.packets or doubt.bytes)
            if shown[ip].calm >= 2:
                assert not pending, f"two honest sights settle every doubt: {ip} {address} {counter}"
            if not pending:
                assert address.total("sure") <= booked <= address.total("hinted"), (
                    f"no byte that was shown is lost: {ip} {booked=} {address} {counter}"
                )


TestOddRouter = OddRouter.TestCase
TestOddRouter.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)
