"""Who is limited, by which quota or by hand, and which of their devices the router is told of."""

from pathlib import Path

import pytest

from tests.quotas.house import (
    BOB,
    FAMILY,
    LAPTOP,
    NOBODY,
    PHONE,
    TV,
    Address,
    Give,
    Restart,
    Step,
    at,
    evenly,
    hold,
    let_go,
    moved,
    quota,
    tell,
    topup,
)

Case = tuple[str, list[Step]]

NIGHTS = "tariff: {timezone: Europe/Berlin, off_peak: ['00:00-06:00']}\n"
SILENT = "quota: {warn_at: []"


def alice(said: str = ", per: day", at_quota: str = "throttle", *, more: str = "", above: str = "") -> str:
    limits = "together: 100 B" if "peak" not in said else said.removeprefix(", ")
    rest = said if "peak" not in said else ""
    users = f"users: {{Alice: {{quota: {{{limits}{rest}}}, at_quota: {at_quota}}}, Bob: }}"
    return f"{above}{users}\n{SILENT}{more}}}"


BOTH = "phone tablet"
THROTTLED = {"limited": "Alice", "throttled": BOTH}
REACHED = ["Alice reached", "Alice limited"]

QUOTAS: dict[str, Case] = {
    "beyond the quota, until its window ends": (
        alice(),
        [
            at("2026-11-24 12:00", moved(phone=100)),
            at("2026-11-24 12:01", moved(tablet=1), told=REACHED, **THROTTLED),
            at("2026-11-24 23:59:59", moved(phone=1), **THROTTLED),
            at("2026-11-25 00:00:00", told=["Alice released"], Alice="0/100"),
            at("2026-11-25 00:01:00", moved(phone=101), told=REACHED, **THROTTLED),
        ],
    ),
    "at the end of a window, and well into the next": (
        alice(""),
        [
            at("2026-11-30 23:59:59", moved(phone=101), told=REACHED, **THROTTLED),
            at("2026-12-01 06:00", evenly(phone=202), told=["Alice reached"], **THROTTLED),
        ],
    ),
    "block": (
        alice(at_quota="block"),
        [at("2026-11-24 12:00", moved(phone=101), told=REACHED, limited="Alice", blocked=BOTH)],
    ),
    "notify": (
        alice(at_quota="notify"),
        [at("2026-11-24 12:00", moved(phone=101), told=["Alice reached"])],
    ),
    "on-peak hours only, where that part is used up": (
        alice(", on_peak: 100 B", above=NIGHTS),
        [
            at("2026-11-23 23:59:59", moved(phone=101), told=["Alice on_peak reached", "Alice limited"], **THROTTLED),
            at("2026-11-24 00:00:00", told=["Alice released"]),
            at("2026-11-24 05:59:59", moved(phone=999)),
            at("2026-11-24 06:00:00", told=["Alice limited"], **THROTTLED),
            at("2026-11-25 00:00:00", told=["Alice released"]),
            at("2026-12-01 06:00:00", Alice="on_peak 0/100"),
        ],
    ),
    "off-peak hours only": (
        alice(", off_peak: 100 B", above=NIGHTS),
        [
            at("2026-10-25 01:00", moved(phone=101), told=["Alice off_peak reached", "Alice limited"], **THROTTLED),
            at("2026-10-25 02:30", **THROTTLED),
            at("2026-10-25 02:30 again", **THROTTLED),
            at("2026-10-25 06:00", told=["Alice released"]),
        ],
    ),
    "all hours, where both parts are used up": (
        alice(", on_peak: 100 B, off_peak: 50 B", above=NIGHTS),
        [
            at("2026-11-24 05:00", moved(phone=51), told=["Alice off_peak reached", "Alice limited"], **THROTTLED),
            at("2026-11-24 06:00", told=["Alice released"]),
            at("2026-11-24 07:00", moved(phone=101), told=["Alice on_peak reached", "Alice limited"], **THROTTLED),
            at("2026-11-25 00:00", **THROTTLED),
            at("2026-11-25 06:00", **THROTTLED),
        ],
    ),
    "all hours, where what is for all of them is used up": (
        alice(", together: 100 B, on_peak: 90 B", above=NIGHTS),
        [
            at("2026-11-24 05:00", moved(phone=50)),
            at(
                "2026-11-24 07:00",
                moved(phone=91),
                told=["Alice reached", "Alice on_peak reached", "Alice limited"],
                **THROTTLED,
            ),
            at("2026-11-25 00:00", **THROTTLED),
        ],
    ),
    "nobody of a user whom no quota is for: UNKNOWN has its own": (
        f"users: {{UNKNOWN: {{quota: 100 B, at_quota: block}}}}\n{SILENT}}}",
        [
            at("2026-11-24 12:00", moved(phone=999)),
            at(
                "2026-11-24 12:01",
                moved(tv=101),
                told=["UNKNOWN reached", "UNKNOWN limited"],
                limited="UNKNOWN",
                blocked="tv",
            ),
        ],
    ),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_a_quota_that_is_used_up_limits(tmp_path: Path, case: str) -> None:
    tell(tmp_path, *QUOTAS[case])


LATER: dict[str, Case] = {
    "a top-up, until that is used, too": (
        alice(),
        [
            at("2026-11-24 12:00", moved(phone=120), told=REACHED, **THROTTLED),
            at("2026-11-24 12:01", topup(10), **THROTTLED),
            at("2026-11-24 12:02", topup(10), told=["Alice released"], Alice="120/120 topped up 20"),
            at("2026-11-24 12:03", moved(phone=1), told=REACHED, **THROTTLED),
            at("2026-11-24 12:04", topup(10), told=["Alice released"]),
            at("2026-11-24 12:05", topup(0), told=REACHED, **THROTTLED),
        ],
    ),
    "a higher quota, and a lower one": (
        alice(),
        [
            at("2026-11-24 12:00", moved(phone=120), told=REACHED, **THROTTLED),
            at("2026-11-24 12:01", quota(120), told=["Alice released"]),
            at("2026-11-24 12:02", quota(119), told=REACHED, **THROTTLED),
            at("2026-11-24 12:03", quota(0), told=["Alice released"], Alice=""),
            at("2026-11-24 12:04", quota(None), told=REACHED, **THROTTLED),
            at(
                "2026-11-24 12:05", Restart(alice().replace("100 B", "200 B")), told=["Alice released"], Alice="120/200"
            ),
            at("2026-11-24 12:06", Restart(alice().replace("100 B", "50 B")), told=REACHED, **THROTTLED),
        ],
    ),
    "a release by hand, until the window ends": (
        alice(),
        [
            at("2026-11-24 12:00", moved(phone=120), told=REACHED, **THROTTLED),
            at("2026-11-24 12:01", let_go(), told=["Alice released"], Alice="120/100"),
            at("2026-11-24 12:02", Restart(), moved(phone=900)),
            at("2026-11-24 12:03", let_go()),
            at("2026-11-25 12:00", moved(phone=101), told=REACHED, **THROTTLED),
        ],
    ),
    "a release by hand, until a top-up that is not enough": (
        alice(),
        [
            at("2026-11-24 12:00", moved(phone=120), told=REACHED, **THROTTLED),
            at("2026-11-24 12:01", let_go(), told=["Alice released"]),
            at("2026-11-24 12:02", topup(10), told=["Alice limited"], **THROTTLED),
        ],
    ),
    "a release by hand, until another quota": (
        alice(),
        [
            at("2026-11-24 12:00", moved(phone=120), told=REACHED, **THROTTLED),
            at("2026-11-24 12:01", let_go(), told=["Alice released"]),
            at("2026-11-24 12:02", quota(100)),  # the same
            at("2026-11-24 12:03", quota(110), told=["Alice limited"], **THROTTLED),
        ],
    ),
    "another thing to be done, by configuration": (
        alice(),
        [
            at("2026-11-24 12:00", moved(phone=120), told=REACHED, **THROTTLED),
            at("2026-11-24 12:01", Restart(alice(at_quota="block")), limited="Alice", blocked=BOTH),
            at("2026-11-24 12:02", Restart(alice(at_quota="notify")), told=["Alice released"]),
            at("2026-11-24 12:03", Restart(alice()), told=["Alice limited"], **THROTTLED),
        ],
    ),
}


@pytest.mark.parametrize("case", LATER)
def test_a_limit_follows(tmp_path: Path, case: str) -> None:
    tell(tmp_path, *LATER[case])


HELD: dict[str, Case] = {
    "through windows and restarts, until by hand": (
        alice(),
        [
            at("2026-11-24 12:00", hold(), told=["Alice limited"], **THROTTLED),
            at("2026-11-25 12:00", Restart(), **THROTTLED),
            at("2026-11-25 12:01", topup(100), quota(500), **THROTTLED),
            at("2026-11-25 12:02", let_go(), told=["Alice released"]),
        ],
    ),
    "and then by the quota as ever": (
        alice(),
        [
            at("2026-11-24 12:00", hold(), told=["Alice limited"], **THROTTLED),
            at("2026-11-24 12:01", let_go(), told=["Alice released"]),
            at("2026-11-24 12:02", moved(phone=101), told=REACHED, **THROTTLED),
            at("2026-11-24 12:03", hold(), **THROTTLED),
            at("2026-11-24 12:04", let_go(), told=["Alice released"]),
        ],
    ),
    "throttled where notify is what is done": (
        "users: {Alice: }",
        [at("2026-11-24 12:00", hold(), told=["Alice limited"], **THROTTLED, Alice="")],
    ),
    "blocked where block is what is done, also to those who have no quota": (
        "users: {Alice: {at_quota: block}, Bob: }\nquota: {at_quota: block}",
        [
            at("2026-11-24 12:00", hold(), told=["Alice limited"], limited="Alice", blocked=BOTH),
            at("2026-11-24 12:01", hold(BOB), told=["Bob limited"], limited="Alice Bob", blocked=f"{BOTH} laptop"),
        ],
    ),
    "a device": (
        "users: {Alice: }",
        [
            at("2026-11-24 12:00", hold(TV), told=["tv limited"], limited="tv", throttled="tv", tv=""),
            at("2026-11-25 12:00", Restart(), limited="tv", throttled="tv"),
            at("2026-11-25 12:01", let_go(TV), told=["tv released"], tv=""),
            at("2026-11-25 12:02", tv=None),
        ],
    ),
    "a pool": (
        "quota: {pool: {Family: {users: [Alice, UNKNOWN]}}}",
        [
            at(
                "2026-11-24 12:00", hold(FAMILY), told=["Family limited"], limited="Family", throttled="phone tablet tv"
            ),
            at("2026-11-24 12:01", Restart(""), Family=None),
        ],
    ),
}


@pytest.mark.parametrize("case", HELD)
def test_who_is_held_by_hand_is_limited(tmp_path: Path, case: str) -> None:
    tell(tmp_path, *HELD[case])


POOL = "quota: {warn_at: [], pool: {Family: {quota: 100 B, at_quota: throttle"
OWN = f", devices: {{{PHONE.name}: {{quota: 50 B, at_quota: block}}}}"

DEVICES: dict[str, Case] = {
    "of its own quota, inside a user who is limited: block is harder": (
        alice(more=OWN),
        [
            at(
                "2026-11-24 12:00",
                moved(phone=51),
                told=["phone reached", "phone limited"],
                limited="phone",
                blocked="phone",
            ),
            at(
                "2026-11-24 12:01",
                moved(tablet=50),
                told=["Alice reached", "Alice limited"],
                limited="Alice phone",
                throttled="tablet",
                blocked="phone",
                phone="51/50",
            ),
            at("2026-11-24 12:02", topup(50, PHONE), told=["phone released"], **THROTTLED),
        ],
    ),
    "of a pool of some": (
        f"{POOL}, users: [Alice, UNKNOWN]}}}}}}",
        [
            at("2026-11-24 12:00", moved(phone=50, laptop=900), Family="50/100"),
            at(
                "2026-11-24 12:01",
                moved(tv=51),
                told=["Family reached", "Family limited"],
                limited="Family",
                throttled="phone tablet tv",
            ),
        ],
    ),
    "of a pool of everybody, with those who are nobody's": (
        f"{POOL}}}}}}}",
        [
            at("2026-11-24 12:00", moved(phone=50, laptop=30), Family="80/100"),
            at(
                "2026-11-24 12:01",
                moved(tv=21),
                told=["Family reached", "Family limited"],
                limited="Family",
                throttled="phone tablet laptop tv",
            ),
        ],
    ),
    "of a pool and a user: each lets go for itself": (
        f"users: {{Alice: {{quota: 60 B, at_quota: block}}}}\n{POOL}}}}}}}",
        [
            at(
                "2026-11-24 12:00",
                moved(phone=61),
                told=["Alice reached", "Alice limited"],
                limited="Alice",
                blocked=BOTH,
            ),
            at(
                "2026-11-24 12:01",
                moved(laptop=40),
                told=["Family reached", "Family limited"],
                limited="Alice Family",
                throttled="laptop tv",
                blocked=BOTH,
            ),
            at(
                "2026-11-24 12:02",
                topup(1),
                told=["Alice released"],
                limited="Family",
                throttled="phone tablet laptop tv",
            ),
            at("2026-11-24 12:03", topup(1, FAMILY), told=["Family released"], Family="101/101 topped up 1"),
        ],
    ),
    "given to somebody who is free, and back: what it moved stays where it was booked": (
        alice(),
        [
            at("2026-11-24 12:00", moved(phone=101), told=REACHED, **THROTTLED),
            at("2026-11-24 12:01", Give("phone", "Bob"), limited="Alice", throttled="tablet", Alice="101/100", Bob=""),
            at("2026-11-24 12:02", moved(phone=50), limited="Alice", throttled="tablet", Alice="101/100"),
            at("2026-11-24 12:03", Give("laptop", "Alice"), limited="Alice", throttled="tablet laptop"),
            at(
                "2026-11-24 12:04",
                Give("phone", "Alice"),
                moved(phone=1),
                limited="Alice",
                throttled="phone tablet laptop",
                Alice="102/100",
            ),
        ],
    ),
    "that is new": (
        alice(),
        [
            at("2026-11-24 12:00", moved(phone=101), told=REACHED, **THROTTLED),
            at("2026-11-24 12:01", moved(new=5), **THROTTLED),
            at("2026-11-24 12:02", Give("new", "Alice"), limited="Alice", throttled="phone tablet new"),
        ],
    ),
    "with another address": (
        alice(),
        [
            at("2026-11-24 12:00", moved(phone=101), told=REACHED, **THROTTLED),
            at("2026-11-24 12:01", Address("phone", 150), moved(phone=1), **THROTTLED),
            at("2026-11-24 12:02", Address("laptop", 100), **THROTTLED),  # the one that the phone had
            at("2026-11-24 12:03", Address("laptop", 101), Address("tablet", 160), **THROTTLED),
        ],
    ),
    "that is away is not throttled before it is back": (
        alice(),
        [
            at("2026-11-24 12:00", moved(phone=101), told=REACHED, **THROTTLED),
            at("2026-11-24 12:01", Address("phone", None), limited="Alice", throttled="tablet"),
            at("2026-11-24 12:02", Address("phone", 170), **THROTTLED),
        ],
    ),
    "that was away for a week is blocked when it is back": (
        alice("", at_quota="block"),
        [
            at("2026-11-02 12:00", moved(phone=101), told=REACHED, limited="Alice", blocked=BOTH),
            at("2026-11-09 11:59:59", Address("phone", None), limited="Alice", blocked=BOTH),
            at("2026-11-09 12:00:00", limited="Alice", blocked="tablet"),
            at("2026-11-09 12:01:00", Address("phone", 100), limited="Alice", blocked=BOTH),
        ],
    ),
    "that is away stays blocked": (
        alice(at_quota="block"),
        [
            at("2026-11-24 12:00", moved(phone=101), told=REACHED, limited="Alice", blocked=BOTH),
            at("2026-11-24 12:01", Address("phone", None), limited="Alice", blocked=BOTH),
            at("2026-11-24 12:02", Address("phone", 170), limited="Alice", blocked=BOTH),
            at("2026-11-24 12:03", Address("phone", None), Give("phone", "Bob"), limited="Alice", blocked="tablet"),
        ],
    ),
}


@pytest.mark.parametrize("case", DEVICES)
def test_a_limit_is_for_each_device(tmp_path: Path, case: str) -> None:
    tell(tmp_path, *DEVICES[case])


REFUSED = [
    (quota(5, BOB._replace(name="Eve")), "refused: there is no user Eve"),
    (topup(5, FAMILY), "refused: there is no pool Family"),
    (hold(PHONE._replace(name="02-00-00-00-00-99")), "refused: there is no device 02-00-00-00-00-99"),
    (topup(5, BOB), "refused: Bob has no quota that could be topped up"),
    (topup(5, NOBODY), "refused: UNKNOWN has no quota that could be topped up"),
    (topup(0, LAPTOP), "refused: 02:00:00:00:00:02 has no quota that could be topped up"),
    (topup(2**52 + 1), "refused: Alice would have more than any quota may be"),
]


@pytest.mark.parametrize(("command", "why"), REFUSED)
def test_what_cannot_be_done_is_refused_and_changes_nothing(tmp_path: Path, command: object, why: str) -> None:
    steps = [
        at("2026-11-24 12:00", command, told=[why], Alice="0/100", Bob="", UNKNOWN="", laptop=None),  # type: ignore[arg-type]
        at("2026-11-24 12:01", topup(2**52), Alice=f"0/{2**52 + 100} topped up {2**52}"),
    ]
    tell(tmp_path, alice(), steps)
