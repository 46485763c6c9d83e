"""What people copy out of `homeassistant/`: loaded into Home Assistant, and played."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dalla_mqtt.router.simulator.household import Household as Machines
from tests.home_assistant.conftest import House
from tests.home_assistant.layout import ROOT
from tests.home_assistant.past import Past
from tests.processes import Dalla, Ran, wait_until

FOLDER = ROOT / "homeassistant"
USERS = """\
users:
  Alice: {hostnames: ["alices-*"], quota: 60 GB}
  Bob: {hostnames: ["bobs-*", "games-console"], quota: 110 GB}
"""
WHOSE = {
    "total": ("",),
    "alice": ("alices",),
    "bob": ("bobs", "games"),
    "unknown": ("kitchen", "living", "guest", "printer"),
}
MACHINES = {machine.name: machine for machine in Machines.of().devices}
DOCS_PICTURES = os.environ.get("DOCS_PICTURES")  # a folder, such as docs, that gets a new home-assistant-dashboard.png
TITLES = {"New device", "Data usage"}
STRANGE = "Tablet | *new*"  # a name
MB = 1_000_000
PATIENCE_S = 60.0
PERIOD, USAGE = "sensor.dalla_home_total_period", "sensor.dalla_home_total_usage"
EVENTS = "event.dalla_home_router_event"

quiet = pytest.mark.router("--traffic", "quiet")


class Household:
    """Alice and Bob; on a quiet router their devices move only what a test says."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.ha = house.ha
        (house.folder / "config.yaml").write_text(USERS)
        for name in ("alices-phone", "bobs-phone", "printer"):
            self.use(MB, name)
        self.run()

    def run(self) -> None:
        self.dalla = self.house.run(DALLA_ROUTER_LINE_RATE="1000 Gbit/s")
        self.there()

    def there(self) -> None:
        """Wait until Home Assistant hears the events."""
        gone = (None, "unavailable")
        wait_until(lambda: self.ha.state(EVENTS) not in gone, "the router's events", PATIENCE_S)

    def use(self, size: int, name: str = "alices-phone") -> None:
        """One of their machines moves so many bytes."""
        machine = MACHINES[name]
        self.house.router.do("add", mac=machine.mac.colons, ip=machine.ip, bytes=size)

    def stranger(self, number: int) -> str:
        """A device that nobody knows moves something. Returns what is said of it."""
        mac, ip = f"02:00:00:00:00:{number:02X}", f"192.168.1.{200 + number}"
        self.house.router.do("add", mac=mac, ip=ip, bytes=MB)
        return f"new device {mac} at {ip}"

    def last_event(self) -> object:
        return self.ha.states()[EVENTS]["attributes"].get("event_type")

    def figure(self, entity_id: str) -> int | None:
        """The bytes that an entity in GB says; None where it says nothing."""
        state = self.ha.state(entity_id)
        return None if state in (None, "unavailable", "unknown") else round(float(state) * 1e9)

    def shows(self, size: int, entity_id: str) -> None:
        """Wait until it is so many bytes."""
        wait_until(
            lambda: self.figure(entity_id) == size, f"{entity_id}: {size}, not {self.figure(entity_id)}", PATIENCE_S
        )

    def blueprint(self, name: str, **inputs: object) -> str:
        return self.ha.load_blueprint(FOLDER / f"blueprints/automation/dalla-mqtt/{name}.yaml", inputs)

    def notifications(self) -> list[str]:
        """Those of the blueprints, oldest first."""
        every = sorted(self.ha.call("persistent_notification/get"), key=lambda one: one["created_at"])
        return [one["message"] for one in every if one["title"] in TITLES]

    def told(self, *messages: str) -> None:
        """Wait for the last of these notifications: there are no others then, and none before."""
        wait_until(lambda: messages[-1] in self.notifications(), f"{messages}, not {self.notifications()}", PATIENCE_S)
        assert self.notifications() == list(messages)


@pytest.fixture
def household(house: House) -> Iterator[Household]:
    yield Household(house)
    (house.ha.config / "automations.yaml").write_text("[]\n")
    house.ha.use("automation.reload")
    house.ha.use("persistent_notification.dismiss_all")


@quiet
def test_a_new_device_is_told_of_once_and_nothing_else_is(household: Household) -> None:
    household.blueprint("new-device")
    first = household.stranger(1)
    household.told(first)
    household.house.broker.publish("dalla/home/pause/set", "perhaps")
    wait_until(lambda: household.last_event() == "command_refused", "another event", PATIENCE_S)
    household.told(first, household.stranger(2))


@quiet
def test_the_last_new_device_is_not_told_of_again_when_its_event_comes_back(household: Household) -> None:
    household.blueprint("new-device")
    first = household.stranger(1)
    household.told(first)
    household.dalla.kill()
    wait_until(lambda: household.ha.state(EVENTS) == "unavailable", "the event is gone", PATIENCE_S)
    household.run()
    second = household.stranger(2)
    household.told(first, second)
    household.ha.reload_mqtt()
    household.ha.restart()  # which forgets its notifications
    household.there()
    household.told(household.stranger(3))


@quiet
def test_a_usage_is_told_of_once_above_its_limit_and_not_at_it(household: Household) -> None:
    for limit in (0.01, 0.03, 0.05):
        household.blueprint("usage-above-limit", usage=PERIOD, limit=limit)
    household.use(10 * MB)
    household.shows(10 * MB, PERIOD)
    household.use(10 * MB)
    household.shows(20 * MB, PERIOD)
    household.use(20 * MB)
    once = (
        "Home total This period is above 0.01 GB: 0.02 GB now.",
        "Home total This period is above 0.03 GB: 0.04 GB now.",
    )
    household.told(*once)
    household.ha.stop()
    household.use(20 * MB)
    household.dalla.polls_again()
    household.ha.start()
    household.told("Home total This period is above 0.05 GB: 0.06 GB now.")


@quiet
def test_a_report_lists_the_largest_first_and_leaves_out_what_says_nothing(household: Household) -> None:
    usages = [
        f"sensor.dalla_home_{who}"
        for who in ("unknown_period", "alice_period", "nobody_period", "bob_period", "total_delta")
    ]
    report = household.blueprint("usage-report", usages=usages)
    household.use(20 * MB)
    household.use(1_010 * MB, "bobs-phone")
    household.shows(1_030 * MB, PERIOD)
    household.house.router.kill()
    wait_until(lambda: household.ha.state("sensor.dalla_home_total_delta") == "unavailable", "no delta", PATIENCE_S)
    household.ha.use("automation.trigger", report)
    household.told("- Bob This period: 1.01 GB\n- Alice This period: 0.02 GB\n- Unknown user This period: 0.00 GB")


@quiet
def test_a_report_comes_at_its_time_on_its_days(household: Household) -> None:
    today, soon = household.ha.render("{{ (now() + timedelta(seconds=8)).strftime('%a %H:%M:%S') | lower }}").split()
    others = [day for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun") if day != today]
    household.blueprint("usage-report", usages=["sensor.dalla_home_bob_period"], at=soon, days=others)
    household.blueprint("usage-report", usages=["sensor.dalla_home_alice_period"], at=soon, days=[today])
    household.told("- Alice This period: 0.00 GB")


@pytest.fixture
def meters(household: Household) -> Iterator[tuple[str, ...]]:
    """Some of the package, which is loaded for as long as a test."""
    ha = household.ha
    configuration = ha.config / "configuration.yaml"
    without = configuration.read_text("utf-8")
    package = f"\n  packages: {{data_usage_meter: !include {FOLDER / 'data-usage-meter.yaml'}}}\n"
    configuration.write_text(without.replace("\n", package, 1), "utf-8")
    try:
        assert ha.post("/api/config/core/check_config")["errors"] is None
        ha.restart()
        yield "sensor.household_data_weekly", "sensor.alice_data_monthly", "sensor.household_on_peak_weekly"
    finally:
        configuration.write_text(without, "utf-8")
        ha.restart()


@quiet
def test_meters_count_what_moves_while_either_side_is_away(household: Household, meters: tuple[str, ...]) -> None:
    household.use(MB)
    household.shows(4 * MB, USAGE)
    before = {meter: household.figure(meter) or 0 for meter in meters}
    household.use(2 * MB)
    household.dalla.kill()
    household.use(3 * MB)
    household.run()
    household.shows(9 * MB, USAGE)
    household.ha.stop()
    household.use(4 * MB)
    household.dalla.polls_again()
    household.ha.start()
    household.shows(13 * MB, USAGE)
    household.use(MB)
    for meter, size in before.items():
        household.shows(size + 10 * MB, meter)


@pytest.mark.router("--traffic", "lively")
def test_every_card_of_the_dashboard_is_drawn(house: House, tmp_path: Path) -> None:
    file = FOLDER / "dashboard.yaml"
    past = Past(list(MACHINES.values()))
    dalla = live_through(past, house)
    named = set(
        re.findall(r"\b(?:sensor|binary_sensor|button|switch|event)\.dalla_home_\w+[a-z]\b", file.read_text("utf-8"))
    )
    wait_until(lambda: named <= set(house.ha.states()), "all entities", PATIENCE_S)
    polls = 30 if DOCS_PICTURES else 2
    wait_until(lambda: dalla.polls() >= polls, f"{polls} polls", 5 * PATIENCE_S)
    mac, name = "02:00:00:00:00:01", "text.dalla_home_02_00_00_00_00_01_name"
    house.router.do("add", mac=mac, ip="192.168.1.201", bytes=MB)
    wait_until(lambda: house.ha.state(name) == mac, "a new device", PATIENCE_S)
    house.ha.use("text.set_value", name, value=STRANGE)
    house.ha.compile_statistics()
    for who, machines in WHOSE.items():
        past.give(house.ha, f"sensor.dalla_home_{who}_usage", machines)
    path = house.ha.load_dashboard(file)
    wide, phone = Path(DOCS_PICTURES or tmp_path) / "home-assistant-dashboard.png", tmp_path / "phone.png"
    for picture, width, height in ((wide, 1280, 1700), (phone, 420, 3900)):
        texts = (STRANGE, f"new device {mac} at 192.168.1.201", "Bob has used", "Total usage")
        seen = house.ha.picture(path, picture, *texts, width=width, height=height)
        assert seen["error_cards"] == 0
        assert "No statistics found" not in seen["text"]


def live_through(past: Past, house: House) -> Dalla:
    """A lively household, with logs of the past brought in before Home Assistant knows it."""
    (house.folder / "config.yaml").write_text(USERS + 'tariff: {off_peak: ["22:00-07:00"]}')
    past.write_logs(house.folder / "old")
    for machine in MACHINES.values():
        house.router.do("add", mac=machine.mac.colons, ip=machine.ip, bytes=1)
    assert house.run("--once", DALLA_MQTT_URL="off", DALLA_ARCHIVE_ENABLED="true").wait() == 0  # learns the host names
    imported = Ran(house.folder, "import", "old", environment={"DALLA_TARIFF_TIMEZONE": "UTC"})
    assert imported.code == 0, imported.err
    return house.run(DALLA_ROUTER_INTERVAL="5s", DALLA_ARCHIVE_ENABLED="true")
