"""A report is fit to be shown to anybody: no secret, no name, no whole MAC, and no file overwritten."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from dalla_mqtt.config import load
from dalla_mqtt.doctor.veil import Veil
from tests.doctor.house import NOWHERE, diagnose
from tests.processes import CANARY, Mosquitto, Ran, Router, wait_until

MAC, NAME = "F2:F7:90:AB:CD:EF", "Zaphod-s-Tablet"
SECRETS = ("canary-router-user", "canary-mqtt-user", "canary-token", "canary-client", CANARY)
PEOPLE = ("Canary Alice", "canary, bob")
PLACES = ("canary-site", "canary-base", "canary-folder", "canary-file", "nobody.canary.invalid")

TOLD = (
    *(
        "dalla-mqtt 0.",
        "Python 3.",
        "paho-mqtt",
        "ok     counting: 4 of 4 counters grew",
        "model: Archer C20, hardware",
    ),
    *("router.username: set", "router.password: set", "mqtt.password: set", "router.interval: 60s"),
    *("quota.devices: 1 of them", "quota.pool: 1 of them", "quota.throttle.down: 1 Mbit/s", "quota.line.up: None"),
    *("users: 2 of them", "known of each row: ip (4), mac (4), packets (4), bytes (4)"),
)

CONFIG = """\
site: canary-site
router: {{url: "{router}", username: canary-router-user, password: "{canary}"}}
mqtt:
  url: "{broker}"
  username: canary-mqtt-user
  password: "{canary}"
  client_id: canary-client
  base_topic: canary-base/x
state: canary-folder/canary-file.db
archive: {{devices: canary-folder/devices, users: canary-folder/users, commune: canary-folder/total.csv}}
users:
  Canary Alice: {{devices: ["{mac}"], hostnames: ["canary-*"]}}
  "canary, bob": {{}}
quota:
  throttle: {{down: 1 Mbit/s}}
  devices: {{"{mac}": {{quota: 1 GiB}}}}
  pool: {{canary-pool: {{users: [Canary Alice]}}}}
tariff: {{timezone: Europe/Berlin}}
"""


def write(folder: Path, router: str, broker: str, mac: str = "02:00:00:00:00:77") -> None:
    (folder / "config.yaml").write_text(CONFIG.format(router=router, broker=broker, canary=CANARY, mac=mac))
    (folder / "config.yaml").chmod(0o600)


def hold_nothing_private(text: str) -> None:
    for canary in (*SECRETS, *PEOPLE, *PLACES, "canary", NAME, MAC):
        assert canary.lower() not in text.lower(), text
    assert not re.search(r"(?:[0-9A-F]{2}[:-]){5}[0-9A-F]{2}", text, re.IGNORECASE), text


def test_what_is_told_of_a_household_that_works(tmp_path: Path) -> None:
    home = tmp_path / "canary-home"
    home.mkdir()
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "canary-mqtt-user", CANARY], check=True)
    settings = f"allow_anonymous false\npassword_file {passwords}\nuser root\n"
    router_options = ("--devices", "4", "--traffic", "busy", "--username", "canary-router-u", "--password", CANARY)
    with Router(*router_options) as router, Mosquitto(tmp_path, settings=settings) as broker:
        wait_until(lambda: router.state["rows"], "a row")
        ip = router.state["rows"][0]["ip"]
        router.do("move", ip=ip, mac=MAC, name=NAME)
        write(home, router.url, broker.url)
        code, doctor = diagnose(home, "--report", "report.txt", DALLA_HOMEASSISTANT_TOKEN="canary-token", **unset())
    assert code == 0, doctor.output
    report = (home / "report.txt").read_text("utf-8")
    hold_nothing_private(report)
    assert (home / "report.txt").stat().st_mode & 0o777 == 0o600
    assert "02:00:00:… (user 1)" in report  # whom the router does not know
    for told in TOLD:
        assert told in report, report
    assert "The report is in report.txt: read it before you send it." in doctor.output


def unset() -> dict[str, str]:
    """Nothing of what the tests set for a household in the environment: it stands in the file."""
    return dict.fromkeys(("DALLA_ROUTER_URL", "DALLA_ROUTER_PASSWORD", "DALLA_MQTT_URL", "DALLA_TARIFF_TIMEZONE"), "")


@pytest.mark.parametrize("where", ["nobody.canary.invalid", "127.0.0.1:9"])
def test_what_is_told_where_nothing_works(tmp_path: Path, where: str) -> None:
    (tmp_path / "canary-folder").write_text("")
    write(tmp_path, f"http://{where}", f"mqtt://{where}")
    code, doctor = diagnose(tmp_path, "--report", "report", **unset())
    assert code == 1, doctor.output
    report = (tmp_path / "report").read_text("utf-8")
    hold_nothing_private(report)
    assert "wrong  router: " in report
    assert "wrong  broker: " in report
    assert "What the router told\n  nothing" in report


def test_addresses_within_the_house_are_shown_and_others_are_not() -> None:
    hide = Veil(load(None, {"DALLA_ROUTER_PASSWORD": CANARY}, {}), None, {}, None, 0.0)
    inside = "http://192.168.1.1:80, [::1]:1883 and fd00::1 at 12:30:45, firmware 0.9.1 4.0 v0044.0"
    assert hide(inside) == inside
    assert hide("93.184.216.34:80 [2600:1406:bc00::17]:1883") == "(an address):80 [(an address)]:1883"
    assert hide("CB-BD-AB-90-2D-38_192.168.1.100.csv") == "CB-BD-AB:…_192.168.1.100.csv"
    assert hide(f"x{CANARY}y") == "x(password)y"


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("precious")
    (tmp_path / "link").symlink_to("nowhere")
    environment = {"DALLA_ROUTER_PASSWORD": "x", "DALLA_ROUTER_URL": NOWHERE}
    for name in ("report", "link"):
        told = Ran(tmp_path, "doctor", "--report", name, environment=environment).complaint
        assert told == f"--report: {name} is there already: name another file, or delete it"
    told = Ran(tmp_path, "doctor", "--report", "no/report", environment=environment).complaint
    assert told == "--report: there is no folder no"
    assert (tmp_path / "report").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()
