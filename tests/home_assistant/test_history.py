"""Records handed over to a real Home Assistant: what it shows of each hour is what moved then."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dalla_mqtt.archive.csv_logs import HEADER, read_records
from tests.home_assistant.conftest import House
from tests.processes import Dalla, Ran, wait_until

BROUGHT_IN = 7 * 10**9
BYTE = 1e-9  # in GB
OLD = 1_473_000_000  # 4 September 2016, in the middle of an hour
TOTAL, ALICE = "sensor.dalla_old_total_usage", "sensor.dalla_old_alice_usage"
SETTINGS = {"DALLA_ARCHIVE_ENABLED": "true", "DALLA_SITE": "old", "DALLA_ARCHIVE_COMMUNE": "total.csv"}


def start(house: House) -> Dalla:
    return house.run(**SETTINGS, DALLA_ARCHIVE_DEVICES="devices", DALLA_ARCHIVE_USERS="users")


def hand_over(house: House, *words: str, token: str | None = None) -> Ran:
    environment = SETTINGS | {
        "DALLA_ARCHIVE_DEVICES": "devices",
        "DALLA_ARCHIVE_USERS": "users",
        "DALLA_TARIFF_TIMEZONE": "UTC",
        "DALLA_HOMEASSISTANT_TOKEN": token or house.ha.token,
    }
    return Ran(house.folder, "import", *words, "--home-assistant", house.ha.url, environment=environment)


def write_old_logs(folder: Path, mac: str) -> None:
    """What dalla-stats wrote: 50 hours, of which some have no record, and a counter that begins at 5 GB."""
    folder.mkdir(parents=True)
    rows, counter = [f"{OLD}, 5000000000, 0, 0, 0\n"], 5 * 10**9
    deltas = [333_337 * number for number in range(1, 200) if number % 12 > 3]
    deltas.append(BROUGHT_IN - sum(deltas))
    for number, delta in enumerate(deltas):
        counter += delta
        rows.append(f"{OLD + 900 * (number + 1 + number // 30)}, {counter}, {delta}, 0, 0\n")
    (folder / f"{mac.replace(':', '-')}_192.168.1.100.csv").write_text(HEADER + "".join(rows))


def truth(file: Path) -> dict[int, int]:
    """The bytes of each hour by the records in a CSV file: those of a full hour belong to the hour that ends."""
    moved: dict[int, int] = defaultdict(int)
    for record in read_records(file):
        moved[(record.time - 1) // 3600 * 3600] += record.delta
    return moved


def hours(house: House, entity_id: str) -> dict[int, dict[str, Any]]:
    return {row["start"] // 1000: row for row in house.ha.statistics(entity_id).get(entity_id, [])}


def come_to_rest(house: House, dalla: Dalla) -> None:
    """Nothing moves any more, and Home Assistant has all that did."""
    house.router.do("freeze")
    dalla.polls_again()
    usage = [*read_records(house.folder / "total.csv")][-1].total
    wait_until(lambda: float(house.ha.state(TOTAL) or 0) == usage / 1e9, "all of it in Home Assistant")


def check_hours(house: House, entity_id: str, file: Path, *, last_alone: bool = False) -> None:
    """Each hour that Home Assistant has changes by what its records say; the last one holds all that moved."""
    moved, shown = truth(file), hours(house, entity_id)
    last = max(shown)
    assert shown[last]["sum"] == pytest.approx(sum(moved.values()) * BYTE, abs=BYTE / 2)
    if not last_alone:
        assert shown.keys() == moved.keys() | {last}
        for hour, row in shown.items():
            assert row["change"] == pytest.approx(moved[hour] * BYTE, abs=BYTE / 2)


def database(house: House) -> list[tuple[object, ...]]:
    """Each hour in the database, and when it was made."""
    what = "SELECT statistic_id, start_ts, state, sum, s.id, s.created_ts FROM statistics s JOIN statistics_meta m"
    with closing(sqlite3.connect(house.ha.config / "home-assistant_v2.db")) as found:
        return found.execute(f"{what} ON m.id = s.metadata_id ORDER BY 1, 2").fetchall()


@pytest.mark.router("--devices", "3", "--traffic", "busy")
def test_old_records_are_handed_over_hour_by_hour_and_the_jump_goes(house: House) -> None:
    wait_until(lambda: len(house.router.state["rows"]) == 3, "three devices")
    mac = house.router.state["rows"][0]["mac"]
    (house.folder / "user-map.csv").write_text(f"Name, MAC\nAlice, {mac}\n")
    device = f"sensor.dalla_old_{mac.lower().replace(':', '_')}_usage"
    this_hour = int(time.time()) // 3600 * 3600
    with start(house) as dalla:
        wait_until(lambda: {TOTAL, ALICE, device} <= house.ha.states().keys(), "the entities")
        dalla.polls_again()
        ran = hand_over(house)
        assert ran.code == 1
        assert "nothing is handed over: Home Assistant has no full hour of it yet; hand over once more" in ran.err
        house.ha.compile_statistics(this_hour)
        assert dalla.terminate() == 0

    write_old_logs(house.folder / "old/logs/2016-9/devices", mac)
    ran = hand_over(house, "old")
    assert ran.code == 0, ran.err
    assert " GB were brought in that Home Assistant will take for moved now; hand over once more" in ran.out
    first = OLD // 3600 * 3600
    assert min(hours(house, TOTAL)) == first
    assert hours(house, TOTAL)[this_hour]["change"] < 1

    dalla = start(house)
    come_to_rest(house, dalla)
    house.ha.compile_statistics(this_hour + 3600)
    assert hours(house, TOTAL)[this_hour + 3600]["change"] > BROUGHT_IN * BYTE

    owners = "sensor.what_alice_used"
    house.ha.call("config/entity_registry/update", entity_id=ALICE, new_entity_id=owners)
    wait_until(lambda: owners in house.ha.statistic_ids(), "the new name")
    usual = "Cannot migrate history for entity_id"  # of states, not of statistics: 2025.4 may be too quick for itself
    assert all(usual in complaint for complaint in house.ha.complaints())
    house.ha.call(
        "recorder/change_statistics_unit",
        statistic_id=device,
        old_unit_of_measurement="GB",
        new_unit_of_measurement="MiB",
    )
    unit = "statistics_unit_of_measurement"
    wait_until(lambda: house.ha.statistic_ids()[device][unit] == "MiB", "the other unit")
    ran = hand_over(house)
    assert (ran.code, ran.err) == (0, "")
    assert "brought in" not in ran.out
    (of_device,) = house.folder.glob(f"devices/{mac.replace(':', '-')}_*.csv")
    check_hours(house, TOTAL, house.folder / "total.csv")
    check_hours(house, owners, house.folder / "users/Alice.csv")
    check_hours(house, device, of_device)
    assert not house.ha.statistics_issues().keys() & {TOTAL, owners, device}

    before = database(house)
    ran = hand_over(house)
    assert ran.code == 0
    assert all(line.endswith(", 0 written") for line in ran.out.splitlines() if "hours from" in line)
    assert database(house) == before

    house.router.do("thaw")
    dalla.polls_again()
    come_to_rest(house, dalla)
    house.ha.compile_statistics(this_hour + 3600)  # Home Assistant goes on from the sum that it was given
    check_hours(house, TOTAL, house.folder / "total.csv", last_alone=True)


def test_a_token_that_home_assistant_refuses_is_told(house: House) -> None:
    (house.folder / "total.csv").write_text(f"{HEADER}{OLD}, 1, 0, 0, 0\n")
    ran = hand_over(house, token="wr0ng")
    assert (ran.code, ran.out) == (1, "")
    assert "Home Assistant refused the token: make a long-lived one on your profile's page, under Security" in ran.err
    (complaint,) = house.ha.complaints()
    assert "invalid authentication" in complaint
