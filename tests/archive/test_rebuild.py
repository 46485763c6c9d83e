"""The ledger made again from the CSV files is the one that was lost."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from dalla_mqtt.archive.csv_logs import HEADER
from dalla_mqtt.archive.rebuild import Rebuilt, restore
from dalla_mqtt.archive.retention import read_summary
from dalla_mqtt.config import ArchiveConfig
from dalla_mqtt.errors import ArchiveError
from dalla_mqtt.usage.ledger import TOTAL, Key, Ledger
from dalla_mqtt.usage.people import People
from dalla_mqtt.usage.reading import Mac
from dalla_mqtt.usage.tariff import Tariff
from tests.archive.house import DAY_S, ArchivedHouse, archive, figures, tree
from tests.usage.house import FAMILY, IP, IP2, IP3, LAPTOP, NIGHTS, PHONE, TV, House, parts, row, utc
from tests.usage.test_ledger_properties import NEAR_A_BORDER, TARIFFS

DEVICE = Key("device", PHONE.dashed)
MACS, IPS = (PHONE, LAPTOP, TV), (IP, IP2, IP3, "10.0.0.7")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[ArchivedHouse]:
    with closing(ArchivedHouse(tmp_path)) as house:
        yield house


def both_read(
    house: ArchivedHouse, *, after: int = 60, moved: int = 0
) -> tuple[dict[Key, tuple[int, int, int]], Rebuilt]:
    """What the household would have had with its state after the next reading, and what was made again instead.

    Then the same reading is taken without the state. Every row moved `moved` bytes since the last one.
    """
    rows = [row(house.counters[ip], mac=mac, ip=ip) for ip, mac in ((IP, PHONE), (IP2, LAPTOP)) if house.counters[ip]]
    twin = House(house.rules.people, house.rules.tariff, house.at, uptime_s=house.uptime_s)
    twin.ledger, twin.days = house.ledger, house.days
    twin.rules = house.rules
    twin.reads(*rows, after=after)
    rebuilt = house.loses_its_state()
    assert rebuilt is not None
    house.reads(*(row(house.counters[one.ip] + moved, mac=one.mac, ip=one.ip) for one in rows), after=after)
    return figures(twin.ledger), rebuilt


@pytest.mark.parametrize("months", [True, False])
@pytest.mark.parametrize("skip_idle", [True, False])
def test_a_household_that_lost_its_state_has_the_same_figures_and_counts_no_phantoms(
    tmp_path: Path, *, months: bool, skip_idle: bool
) -> None:
    with closing(ArchivedHouse(tmp_path, months=months, skip_idle=skip_idle)) as house:
        house.lives(75)
        expected, rebuilt = both_read(house, moved=1_000_000)
        assert figures(house.ledger) == expected
        assert "do not agree" not in rebuilt.text
        assert datetime.fromtimestamp(house.at - 60, ZoneInfo("UTC")).strftime("%Y-%m-%d %H:%M UTC") in rebuilt.text
        house.reads(row(house.counters[IP] + 1_000_500, mac=PHONE, ip=IP))
        assert (house.total.delta, house.of(PHONE).delta) == (500, 500)


def test_after_a_restart_of_the_router_all_that_it_shows_is_new(house: ArchivedHouse) -> None:
    house.lives(3)
    before = figures(house.ledger)
    house.loses_its_state()
    house.reboots(row(700, mac=PHONE, ip=IP), row(300, mac=LAPTOP, ip=IP2), uptime_s=500, after=1000)
    assert house.total.usage == before[TOTAL][0] + 1000
    assert house.of(PHONE).usage == before[DEVICE][0] + 700


def test_a_device_that_is_new_since_then_has_a_starting_value_and_no_delta(house: ArchivedHouse) -> None:
    house.lives(1)
    before = figures(house.ledger)[TOTAL][0]
    house.loses_its_state()
    house.reads(row(house.counters[IP]), row(12_345, mac=TV, ip=IP3))
    assert (house.of(TV).usage, house.of(TV).delta) == (12_345, 0)
    assert (house.total.usage, house.total.delta) == (before + 12_345, 0)


def test_what_moved_today_is_there_again_and_that_of_yesterday_is_no_part_of_it(house: ArchivedHouse) -> None:
    house.lives(46 / 24, every_h=1)
    idle = row(house.counters[IP]), row(house.counters[IP2], mac=LAPTOP, ip=IP2)
    house.reads(*idle, after=4 * 3600)  # over midnight, where a record is booked to one day
    house.lives(5 / 24, every_h=1)
    before = parts(house.total), parts(house.of(PHONE)), parts(house.user("Alice"))
    assert 0 < house.total.today < house.total.on_peak + house.total.off_peak
    house.loses_its_state()
    house.reads(row(house.counters[IP]), row(house.counters[IP2], mac=LAPTOP, ip=IP2))
    assert (parts(house.total), parts(house.of(PHONE)), parts(house.user("Alice"))) == before


def test_a_device_keeps_its_address_and_when_it_was_seen_first_and_was_active_last(house: ArchivedHouse) -> None:
    house.lives(1, (IP, PHONE))
    house.lives(1, (IP3, PHONE))
    before = house.device(PHONE)
    house.reads(row(house.counters[IP3], mac=PHONE, ip=IP3))
    house.loses_its_state()
    after = house.device(PHONE)
    assert (after.ip, after.first_seen, after.last_active) == (IP3, before.first_seen, before.last_active)
    assert not after.present


class Step(Struct, frozen=True):
    """Until the next reading: seconds, what the devices in the table moved, from which addresses, and a restart."""

    after: int
    clock_jumps: int
    moved: dict[int, int]
    shift: int
    reboots: bool
    owners: dict[Mac, str] | None
    purges: bool


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([60, 3600, 6 * 3600, DAY_S, 8 * DAY_S, 40 * DAY_S]),
        st.sampled_from([0, 0, 0, 0, -90, -2 * 3600, 2 * 3600, -2 * DAY_S]),
        st.dictionaries(
            st.sampled_from(range(3)), st.sampled_from([0, 1, 999_999]) | st.integers(0, 2**30), max_size=3
        ),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([False, False, False, True]),
        st.none() | st.dictionaries(st.sampled_from(MACS), st.sampled_from(["Alice", "Bob"])),
        st.booleans(),
    ),
    min_size=1,
    max_size=14,
)


def restored(house: ArchivedHouse, block: int) -> Rebuilt | None:
    """What is made of the files where so many bytes of them are looked at together, as thousands are in long files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dalla_mqtt.archive.rebuild._BLOCK", block)
        patch.setattr("dalla_mqtt.archive.rebuild._LAST", 1)
        return restore(house.config, house.rules.tariff, house.rules.people)


def told(ledger: Ledger, tariff: Tariff | None = None) -> tuple[Ledger, dict[tuple[date, Key], tuple[int, int]]]:
    """The ledger, and what moved on each day, or in each of the tariff's billing periods."""
    sums: dict[tuple[date, Key], tuple[int, int]] = {}
    for day, key, on_peak, off_peak in ledger.shares:
        of = (tariff.period_of(day) if tariff else day, key)
        on_before, off_before = sums.get(of, (0, 0))
        sums[of] = on_before + on_peak, off_before + off_peak
    return replace(ledger, shares=()), {of: sizes for of, sizes in sums.items() if any(sizes)}


def live(house: ArchivedHouse, steps: list[Step]) -> list[tuple[str, Mac]]:
    """Take a reading at each step; who was in the table at the last."""
    there: list[tuple[str, Mac]] = []
    shift = 0
    for step in steps:
        shift += step.shift
        there = [(IPS[(number + shift) % len(IPS)], MACS[number]) for number in step.moved]
        if step.reboots:
            house.counters.clear()
        for (ip, _), moved in zip(there, step.moved.values(), strict=True):
            house.counters[ip] += moved
        if step.owners is not None:
            house.belongs_to(People(("Alice", "Bob"), step.owners))
        rows = [row(house.counters[ip], mac=mac, ip=ip) for ip, mac in there]
        if step.reboots and house.ledger.at is not None:
            house.reboots(*rows, after=step.after)
        else:
            house.reads(*rows, after=step.after, clock_jumps=step.clock_jumps)
        if step.purges:
            house.purges()
    return there


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    steps=STEPS,
    tariff=TARIFFS,
    at=NEAR_A_BORDER,
    months=st.booleans(),
    skip_idle=st.booleans(),
    keep_days=st.sampled_from([1, 20, 400]),
    block=st.sampled_from([1, 60, 150]),
)
def test_whatever_a_household_did_its_ledger_is_made_again_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[Step],
    tariff: Tariff,
    at: datetime,
    *,
    months: bool,
    skip_idle: bool,
    keep_days: int,
    block: int,
) -> None:
    with closing(
        ArchivedHouse(
            tmp_path_factory.mktemp("house"),
            FAMILY,
            tariff,
            at.timestamp(),
            months=months,
            skip_idle=skip_idle,
            keep_days=keep_days,
        )
    ) as house:
        there = live(house, steps)
        rows = [row(house.counters[ip], mac=mac, ip=ip) for ip, mac in there]
        house.reads(*rows)  # what is in doubt is in no file
        twin = House(house.rules.people, tariff, house.at, uptime_s=house.uptime_s)
        twin.ledger, twin.rules = house.ledger, house.rules
        twin.days = house.days
        twin.reads(*rows)
        known = {mac for mac, device in twin.ledger.devices.items() if device.series.usage}
        leaping = restored(house, block)
        rebuilt = house.loses_its_state()
        if rebuilt is None or leaping is None:
            assert rebuilt is leaping
            assert not house.ledger.devices
            return
        by = (
            tariff if any(step.clock_jumps for step in steps) else None
        )  # days of a clock that was set back are guesses
        assert told(rebuilt.ledger, by) == told(leaping.ledger, by)
        assert "do not agree" not in rebuilt.text
        house.reads(*rows)  # which asserts that devices = users = total
        assert figures(house.ledger) == figures(twin.ledger)
        assert {mac for mac, device in house.ledger.devices.items() if device.series.usage} == known


def tear(file: Path, missing: int = 3) -> None:
    """A power cut in the middle of the last row."""
    file.write_bytes(file.read_bytes()[:-missing])


@pytest.mark.parametrize("key", [TOTAL, DEVICE, Key("user", "Alice")])
def test_where_a_last_row_is_torn_the_record_before_is_taken_and_the_torn_row_is_gone(
    house: ArchivedHouse, key: Key
) -> None:
    house.lives(5)
    before = figures(house.ledger)
    house.lives(0.25)
    file = house.file(key)
    whole = file.read_bytes()
    tear(file)
    rebuilt = house.loses_its_state()
    assert rebuilt is not None
    assert "do not agree" not in rebuilt.text
    assert file.read_bytes() == whole[: whole.rindex(b"\n", 0, -1) + 1]
    house.reads(row(house.counters[IP]), row(house.counters[IP2], mac=LAPTOP, ip=IP2))
    assert figures(house.ledger) == before
    house.lives(1)
    expected, _ = both_read(house)  # and once more, over files that fall once
    assert figures(house.ledger) == expected


def test_a_file_that_misses_its_last_rows_takes_the_others_back_to_where_all_agree(house: ArchivedHouse) -> None:
    house.lives(5)
    before = figures(house.ledger)
    lines = house.file(DEVICE).read_bytes()
    house.lives(2.5)
    house.file(DEVICE).write_bytes(lines)
    rebuilt = house.loses_its_state()
    assert rebuilt is not None
    assert "do not agree" not in rebuilt.text
    house.reads(row(house.counters[IP]), row(house.counters[IP2], mac=LAPTOP, ip=IP2))
    assert figures(house.ledger) == before


def test_a_file_that_misses_too_many_rows_leaves_users_and_total_to_what_the_devices_add_up_to(
    house: ArchivedHouse,
) -> None:
    house.lives(5)
    lines = house.file(TOTAL).read_bytes()
    house.lives(18)
    usage = {mac: house.of(mac).usage for mac in (PHONE, LAPTOP)}
    house.file(TOTAL).write_bytes(lines)
    rebuilt = house.loses_its_state()
    assert rebuilt is not None
    assert "they do not agree, so that users and total are what the devices add up to" in rebuilt.text
    house.reads(row(house.counters[IP]), row(house.counters[IP2], mac=LAPTOP, ip=IP2))
    assert {mac: house.of(mac).usage for mac in usage} == usage
    assert house.user("Alice").usage == usage[PHONE]
    assert house.total.usage == sum(usage.values())


def test_a_file_that_was_edited_by_hand_is_told_and_the_devices_count(house: ArchivedHouse) -> None:
    house.lives(5)
    usage = house.total.usage
    file = house.file(Key("user", "Alice"))
    lines = [line.replace("\n", "\r\n") for line in file.read_text().splitlines(keepends=True)]
    lines[1:1] = ["\n", "a note\n", f"{2**70}, 1, 1, 1, 0\n", "-5, 1, 1, 1, 0\n", f"9, {2**63}, 1, 1, 0\n"]
    time, total, *rest = lines[-1].split(", ")
    file.write_text("".join([*lines[:-1], ", ".join([time, str(int(total) + 5), *rest])]))
    file.write_text(file.read_text().replace(f", {total}, ", f", {int(total) + 5}, "))
    for line in range(70):  # no earlier record agrees
        file.write_text(file.read_text() + f"{int(time) + line}, {line}, 0, 0, 0\n")
    rebuilt = house.loses_its_state()
    assert rebuilt is not None
    assert "they do not agree" in rebuilt.text
    house.reads(row(house.counters[IP]), row(house.counters[IP2], mac=LAPTOP, ip=IP2))
    assert house.total.usage == usage
    assert house.user("Alice").usage == house.of(PHONE).usage


def test_columns_that_were_edited_by_hand_are_told_and_the_sums_still_add_up(house: ArchivedHouse) -> None:
    house.lives(5)
    figures_before = parts(house.total)[:2]
    file = house.file(Key("user", "Alice"))
    *lines, last = file.read_text().splitlines(keepends=True)
    *cells, off_peak = last.rstrip("\n").split(", ")
    file.write_text("".join([*lines, ", ".join([*cells, str(int(off_peak) + 1)]), "\n"]))
    rebuilt = house.loses_its_state()
    assert rebuilt is not None
    assert "they do not agree" in rebuilt.text
    house.reads(row(house.counters[IP]), row(house.counters[IP2], mac=LAPTOP, ip=IP2))
    assert parts(house.total)[:2] == figures_before


def test_a_household_without_files_and_one_without_devices_begin_anew(house: ArchivedHouse) -> None:
    assert house.loses_its_state() is None
    house.reads()
    assert house.loses_its_state() is None
    assert house.file(TOTAL).exists()


def test_a_file_that_cannot_be_read_is_named(house: ArchivedHouse) -> None:
    house.lives(1)
    summary = house.folder / "logs" / "2026-09" / "total.csv"
    summary.rename(summary.with_name("moved"))
    summary.symlink_to(summary.with_name("moved"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dalla_mqtt.archive.rebuild.read_span", lambda path: Path(path.parent).read_bytes())
        with pytest.raises(ArchiveError, match=r"2026-09.*: figures of before cannot be read: Is a directory"):
            restore(house.config, house.rules.tariff, house.rules.people)


def test_files_that_cannot_be_mended_are_read_all_the_same(
    house: ArchivedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.lives(1)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("dalla_mqtt.archive.rebuild.cut_torn", refuse)
    assert house.loses_its_state() is not None


def test_what_was_purged_is_in_its_period_again(tmp_path: Path) -> None:
    tariff = Tariff(off_peak=NIGHTS.off_peak, period_starts=15)
    with closing(ArchivedHouse(tmp_path, tariff=tariff, at=utc(1, 3, month=6))) as house:
        house.lives(44.5, every_h=6)
        house.lives(60, (IP2, LAPTOP))  # the phone is gone: of it one row is left, that spans the end of a window
        assert house.purges()
        periods = [date(2026, month, 15) for month in (5, 6, 7, 8)]
        spans = [(first, tariff.last_day(first)) for first in periods]
        before = [house.days.moved(*span) for span in spans]
        rebuilt = house.loses_its_state()
        assert rebuilt is not None
        assert "do not agree" not in rebuilt.text
        after = [house.store.moved(*span) for span in spans]
        assert after == before
        assert len(house.records()[DEVICE]) == 1
        assert house.purges() == []


def test_a_summary_of_a_device_whose_files_are_gone_makes_nothing_of_it(house: ArchivedHouse) -> None:
    house.lives(80)
    house.purges()
    (summary,) = house.folder.glob("logs/2026-09/summary.csv")
    assert (date(2026, 9, 1), DEVICE) in read_summary(summary)
    for file in house.folder.glob(f"logs/*/devices/{PHONE.dashed}*"):
        file.unlink()
    rebuilt = house.loses_its_state()
    assert rebuilt is not None
    assert "do not agree" in rebuilt.text
    assert PHONE not in house.ledger.devices
    assert house.total.usage == house.of(LAPTOP).usage


def test_files_from_before_the_billing_period_changed_give_the_figures_of_now(house: ArchivedHouse) -> None:
    house.lives(49)
    house.store.close()
    house.rules = replace(house.rules, tariff=Tariff(off_peak=NIGHTS.off_peak, period_starts=15))
    house.open()
    house.lives(3)
    expected, rebuilt = both_read(house)
    assert figures(house.ledger) == expected
    assert "do not agree" not in rebuilt.text


def test_files_of_many_days_are_not_open_all_at_once(tmp_path: Path) -> None:
    config = archive(tmp_path)
    for day in range(120):
        at = utc(1, 12) + day * DAY_S
        folder = tmp_path / datetime.fromtimestamp(at, ZoneInfo("UTC")).strftime("%Y-%m-%d")
        (folder / "devices").mkdir(parents=True)
        for file in ("total.csv", f"devices/{PHONE.dashed}_{IP}.csv"):
            (folder / file).write_text(f"{HEADER}{int(at)}, {day + 1}, 1, 0, 0\n")
    where = f"{tmp_path}/%F"
    config = type(config)(f"{where}/devices", f"{where}/users", f"{where}/total.csv")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    try:
        rebuilt = restore(config, NIGHTS, FAMILY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert rebuilt is not None
    assert rebuilt.ledger.devices[PHONE].series.usage == 120


def test_reading_the_files_changes_none_of_them(house: ArchivedHouse) -> None:
    house.lives(3)
    before = tree(house.folder / "logs")
    house.loses_its_state()
    assert tree(house.folder / "logs") == before


def test_a_device_that_goes_back_and_forth_between_two_addresses_is_one_device(house: ArchivedHouse) -> None:
    for _ in range(4):
        house.lives(1, (IP, PHONE))
        house.lives(1, (IP3, PHONE))
    rows = [row(house.counters[IP3], ip=IP3)]
    house.reads(*rows)
    before = figures(house.ledger)
    house.loses_its_state()
    house.reads(*rows)
    assert figures(house.ledger) == before
    assert (house.device().ip, len(house.ledger.devices)) == (IP3, 1)


def test_long_files_are_summed_by_the_hour_and_still_to_the_byte(house: ArchivedHouse) -> None:
    house.lives(4.1, every_h=0.25)
    house.loses_its_state()
    house.counters[IP3] = 12_345
    house.lives(5, (IP, PHONE), (IP2, LAPTOP), (IP3, TV), every_h=0.25)  # the TV begins with a starting value
    house.lives(0.5, (IP2, LAPTOP), every_h=0.25)
    for _ in range(200):  # idle
        house.reads(row(house.counters[IP]), row(house.counters[IP2], mac=LAPTOP, ip=IP2))
    file = house.file(Key("user", "Alice"))
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:200], "a remark\n" * 500, *lines[200:]]))
    whole, leaping = restored(house, 1), restore(house.config, house.rules.tariff, house.rules.people)
    assert whole is not None
    assert leaping is not None
    assert told(whole.ledger) == told(leaping.ledger)
    assert leaping.ledger.devices[LAPTOP].last_active == house.device(LAPTOP).last_active
    expected, rebuilt = both_read(house)
    assert figures(house.ledger) == expected
    assert "do not agree" not in rebuilt.text


def test_where_rows_are_gone_that_would_tell_the_day_the_period_is_right_and_the_day_is_nothing(tmp_path: Path) -> None:
    steps = [
        Step(60, 0, {0: 0}, 0, reboots=False, owners=None, purges=False),
        Step(40 * DAY_S, 0, {0: 1}, 1, reboots=False, owners=None, purges=False),
        Step(60, 0, {}, 1, reboots=False, owners=None, purges=False),
        Step(8 * DAY_S, 0, {0: 0, 2: 999_999}, 0, reboots=False, owners=None, purges=True),
    ]
    at = utc(31, 22, 59, month=10)
    with closing(ArchivedHouse(tmp_path, FAMILY, Tariff(), at, months=False, keep_days=1)) as house:
        there = live(house, steps)
        before = figures(house.ledger)
        rebuilt = house.loses_its_state()
        assert rebuilt is not None
        assert "do not agree" not in rebuilt.text
        house.reads(*(row(house.counters[ip], mac=mac, ip=ip) for ip, mac in there))
        assert figures(house.ledger) == before
        assert house.total.today == 0


def test_deltas_that_were_wiped_out_by_hand_change_no_figure_of_the_period(house: ArchivedHouse) -> None:
    house.lives(9, every_h=0.25)
    file = house.file(Key("user", "Alice"))
    header, *lines = file.read_text().splitlines(keepends=True)
    cells = [line.split(", ") for line in lines]
    file.write_text(header + "".join(", ".join([time, total, "0", *rest]) for time, total, _, *rest in cells))
    whole, leaping = restored(house, 1), restore(house.config, house.rules.tariff, house.rules.people)
    assert whole is not None
    assert leaping is not None
    assert told(whole.ledger) == told(leaping.ledger)
    expected, rebuilt = both_read(house)
    assert figures(house.ledger) == expected
    assert "do not agree" not in rebuilt.text


def test_the_files_of_dalla_stats_are_not_taken_for_ours(tmp_path: Path) -> None:
    config = ArchiveConfig(f"{tmp_path}/devices", f"{tmp_path}/users", f"{tmp_path}/total.csv")
    file = tmp_path / "devices" / f"{PHONE}_192.168.1.100.csv"
    file.parent.mkdir()
    file.write_text(f"{HEADER}1477226416, 9000, 0, 0, 0\n1477226476, 9500, 500, 500, 0\n1477226536, 70, 70, 570, 0\n")
    rebuilt = restore(config, Tariff(), FAMILY)
    assert rebuilt is not None
    assert rebuilt.ledger is None
    assert rebuilt.text.startswith(f"{file}: not made by dalla-mqtt")
