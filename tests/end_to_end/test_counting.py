"""Every figure that is published or archived, held against what the router truly moved."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dalla_mqtt.router.simulator import Household
from tests.processes import Dalla, wait_until

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Home

ALICES = [device.mac for device in Household.of(10).devices if device.name.startswith("alices-")]
BOBS = [device.mac for device in Household.of(10).devices if device.name.startswith("bobs-")]


def write_user_map(home: Home) -> dict[str, str]:
    """Alice's and Bob's devices in a user map; whose each MAC is."""
    owners = {mac.colons: "Alice" for mac in ALICES} | {mac.colons: "Bob" for mac in BOBS}
    lines = [f"{name}, {mac}" for mac, name in owners.items()]
    (home.folder / "user-map.csv").write_text("\n".join(["Name, MAC", *lines]), "utf-8")
    return owners


def by_user(truth: dict[str, dict[str, int]], owners: dict[str, str], what: str) -> dict[str, int]:
    sums = dict.fromkeys((*owners.values(), "UNKNOWN"), 0)
    for mac, figures in truth.items():
        sums[owners.get(mac, "UNKNOWN")] += figures[what]
    return sums


def device_topic(mac: str) -> str:
    return f"dalla/home/device/{mac.lower().replace(':', '-')}"


def hold_csv_against(home: Home, file: str, shown: int, baseline: int) -> None:
    rows = home.rows(file)
    assert rows[-1][1] == shown
    assert sum(row[2] for row in rows) == shown - baseline
    assert rows[-1][3] + rows[-1][4] == shown - baseline
    times = [row[0] for row in rows]
    assert times == sorted(times)


def hold_everything_against(home: Home, truth: dict[str, dict[str, int]], owners: dict[str, str]) -> None:
    """Devices, users and the total, on every topic and in every file."""
    latest = home.listener.latest
    known = {mac: figures for mac, figures in truth.items() if figures["shown"]}
    assert len(list((home.folder / "devices").iterdir())) == len(known)
    for mac, figures in known.items():
        assert int(latest[f"{device_topic(mac)}/usage"]) == figures["shown"]
        (file,) = (home.folder / "devices").glob(f"{mac.replace(':', '-')}_*.csv")
        hold_csv_against(home, f"devices/{file.name}", figures["shown"], figures["baseline"])
    users, starts = by_user(truth, owners, "shown"), by_user(truth, owners, "baseline")
    for name, shown in users.items():
        assert int(latest[f"dalla/home/user/{name.lower()}/usage"]) == shown
        hold_csv_against(home, f"users/{name}.csv", shown, starts[name])
    assert int(latest["dalla/home/total/usage"]) == sum(users.values())
    hold_csv_against(home, "total.csv", sum(users.values()), sum(starts.values()))


def test_every_topic_and_every_csv_file_says_what_the_router_moved(home: Home) -> None:
    owners = write_user_map(home)
    with home.run() as dalla:
        dalla.polls_again(6)
        truth = home.settle(dalla)
        assert sum(figures["shown"] - figures["baseline"] for figures in truth.values()) > 100_000
        wait_until(lambda: home.listener.latest.get("dalla/home/total/delta") == "0", "the traffic's end")
        hold_everything_against(home, truth, owners)
        assert dalla.terminate() == 0


def test_the_command_line_of_2016_works_without_any_configuration_file(home: Home) -> None:
    owners = write_user_map(home)
    line = "-u admin -p admin -i 1 -d devices/ -e users/ -c total.csv -m user-map.csv"
    where = {"DALLA_ROUTER_URL": home.router.url, "DALLA_MQTT_URL": home.broker.url}
    with Dalla(home.folder, *line.split(), environment=where) as dalla:
        dalla.polls_again(3)
        truth = home.settle(dalla)
        wait_until(lambda: home.listener.latest.get("dalla/home/total/delta") == "0", "the traffic's end")
        hold_everything_against(home, truth, owners)
        assert dalla.terminate() == 0


def test_a_spoilt_reply_costs_no_byte_and_ends_nothing(home: Home) -> None:
    owners = write_user_map(home)
    with home.run() as dalla:
        dalla.polls_again(2)
        for number, fault in enumerate(("truncate", "html", "empty", "malformed", "error", "busy"), start=1):
            # twice in a row; a batch that is refused with an error number is asked again as the classic pair
            home.router.do("fault", kind=fault, count=4 if fault == "error" else 2)
            wait_until(lambda number=number: router_topic(home).get("failures") == 2 * number, fault)
            wait_until(lambda: router_topic(home)["state"] == "ok", "a good reply")
            assert dalla.output.count("ERROR") == number, "each kind is told once, though it happened twice"
        home.router.do("fault", kind="drop_row", count=2)
        dalla.polls_again(4)
        truth = home.settle(dalla)
        wait_until(lambda: home.listener.latest.get("dalla/home/total/delta") == "0", "the traffic's end")
        hold_everything_against(home, truth, owners)


def router_topic(home: Home) -> dict[str, object]:
    topic: dict[str, object] = json.loads(home.listener.latest.get("dalla/home/router", "{}"))
    return topic


def test_a_router_that_reboots_costs_no_byte_that_was_shown_and_no_byte_is_invented(home: Home) -> None:
    owners = write_user_map(home)
    with home.run() as dalla:
        for _ in range(2):
            dalla.polls_again(2)
            home.router.do("reboot")
        dalla.polls_again(2)
        truth = home.settle(dalla)
        wait_until(lambda: home.listener.latest.get("dalla/home/total/delta") == "0", "the traffic's end")
        hold_everything_against(home, truth, owners)
    heard = [message["payload"] for message in home.listener.messages if message["topic"] == "dalla/home/event"]
    assert [json.loads(payload)["event"] for payload in heard].count("router_reboot") == 2


@pytest.mark.parametrize("order", ["reset", "clear"])
@pytest.mark.router("--traffic", "quiet")
def test_rows_that_were_reset_or_deleted_in_the_routers_page_are_counted_from_zero(home: Home, order: str) -> None:
    phone = {"mac": "02:00:00:00:00:01", "ip": "192.168.1.50"}
    home.router.do("add", **phone, bytes=5_000_000)
    with home.run() as dalla:
        dalla.polls_again(2)
        home.router.do(order)
        home.router.do("add", **phone, bytes=40_000)
        truth = home.settle(dalla)
        assert truth[phone["mac"]]["shown"] == 5_040_000
        wait_until(lambda: home.listener.latest.get("dalla/home/total/usage") == "5040000", "all that was shown")
        wait_until(lambda: home.listener.latest.get("dalla/home/total/delta") == "0", "the traffic's end")
        hold_everything_against(home, truth, {})


@pytest.mark.router("--traffic", "quiet")
def test_a_counter_that_wraps_at_4_gib_goes_on(home: Home) -> None:
    phone = {"mac": "02:00:00:00:00:01", "ip": "192.168.1.50"}
    home.router.do("add", **phone, bytes=2**32 - 50_000_000, packets=4_000_000)
    with home.run() as dalla:
        dalla.polls_again(2)
        home.router.do("add", **phone, bytes=80_000_000, packets=80_000)
        dalla.polls_again(2)
        topic = f"{device_topic(phone['mac'])}/usage"
        wait_until(lambda: home.listener.latest.get(topic) == str(2**32 + 30_000_000), "the bytes beyond the wrap")
    states = [message["payload"] for message in home.listener.messages if message["topic"].endswith("00-01/state")]
    assert any(json.loads(state)["cause"] == "counter_wrap" for state in states)


@pytest.mark.router("--traffic", "quiet", "--network", "10.0")
def test_an_empty_table_is_a_reading_and_addresses_in_10_come_out_right(home: Home) -> None:
    with home.run() as dalla:
        dalla.polls_again(2)
        assert router_topic(home)["state"] == "ok"
        assert home.rows("total.csv")[-1][1:] == [0, 0, 0, 0]
        home.router.do("add", mac="02:00:00:00:00:01", ip="10.0.1.7", bytes=1000)
        dalla.polls_again(2)
        assert home.rows("devices/02-00-00-00-00-01_10.0.1.7.csv")[-1][1] == 1000
        assert sum(row[2] for row in home.rows("total.csv")) == 1000  # made since the first reading: all of it moved


def test_after_kill_9_the_figures_go_on_where_they_were(home: Home) -> None:
    owners = write_user_map(home)
    for _ in range(4):
        with home.run() as dalla:
            dalla.polls_again(1)
    with home.run() as dalla:
        truth = home.settle(dalla)
        wait_until(lambda: home.listener.latest.get("dalla/home/total/delta") == "0", "the traffic's end")
        hold_everything_against(home, truth, owners)


def test_realtime_only_writes_no_csv_and_still_survives_a_restart(home: Home) -> None:
    with home.run("--realtime-only") as dalla:
        dalla.polls_again(2)
    with home.run("--realtime-only") as dalla:
        truth = home.settle(dalla)
        shown = sum(figures["shown"] for figures in truth.values())
        wait_until(lambda: home.listener.latest.get("dalla/home/total/usage") == str(shown), "the total")
    assert {file.name.split(".db")[0] for file in home.folder.iterdir()} == {"state"}


def test_once_polls_publishes_and_ends(home: Home) -> None:
    with home.run("--once") as dalla:
        assert dalla.wait() == 0
    assert len(home.rows("total.csv")) == 1
    wait_until(lambda: "dalla/home/total/usage" in home.listener.latest, "the total")
    assert home.listener.latest["dalla/home/status"] == "offline"
    assert home.router.state["logouts"] == 1
