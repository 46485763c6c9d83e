"""The broker of docs/examples/mosquitto, with those very files: who may do what, and who may not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from paho.mqtt.client import topic_matches_sub

from dalla_mqtt.mqtt.topics import COMMANDS
from tests.processes import Dalla, Mosquitto, Process, Ran, Router, free_port

EXAMPLES = Path(__file__).parents[2] / "docs/examples/mosquitto"
PEOPLE = ("dalla-mqtt", "homeassistant", "dashboard", "alice", "bob")
CONFIG = """\
router: {{url: "{router}", interval: 1s, timeout: 2s, password: admin}}
mqtt: {{url: "{url}", {who}}}
users: {{Alice: {{hostnames: ["alices-*"]}}, Bob: {{hostnames: ["bobs-*"]}}}}
"""
BY_PASSWORD = "username: dalla-mqtt, password: secret-of-dalla-mqtt"
BY_CERTIFICATE = "ca_file: certs/authority.pem, cert_file: certs/dalla-mqtt.pem, key_file: certs/dalla-mqtt.key"


class Broker(Mosquitto):
    """Such a broker, in `folder` instead of /etc/mosquitto; its certificates are made as the example says."""

    def __init__(self, folder: Path) -> None:
        self.folder, port, self.tls_port = folder, free_port(), free_port()
        subprocess.run(
            ["sh", str(EXAMPLES / "certificates"), "certs", "127.0.0.1", "dalla-mqtt"], cwd=folder, check=True
        )
        (folder / "acl").touch(0o600)
        (folder / "acl").write_text((EXAMPLES / "acl").read_text())
        (folder / "passwords").touch(0o600)
        for name in PEOPLE:
            subprocess.run(["mosquitto_passwd", "-b", "passwords", name, f"secret-of-{name}"], cwd=folder, check=True)
        settings = (EXAMPLES / "mosquitto.conf").read_text().replace("/etc/mosquitto", str(folder))
        settings = settings.replace("listener 1883 127.0.0.1", "").replace("listener 8883", f"listener {self.tls_port}")
        super().__init__(folder, port, settings=f"user root\n{settings}")

    def hears(self, name: str, topic: str = "#") -> Process:
        """Somebody listens there, and shows what comes; what that user may write is said by `says`."""
        return Process("mosquitto_sub", *self.as_user(name), "-v", "-t", topic)

    def says(self, text: str) -> None:
        Process.says(self, text)

    def told_by(self, name: str, topic: str, payload: str, *options: str) -> None:
        """Somebody says something, which Mosquitto takes and drops where it may not be."""
        subprocess.run(
            ["mosquitto_pub", *self.as_user(name), "-q", "1", "-t", topic, "-m", payload, *options], check=True
        )

    def as_user(self, name: str) -> tuple[str, ...]:
        return "-h", "127.0.0.1", "-p", str(self.port), "-u", name, "-P", f"secret-of-{name}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """That broker, and a daemon that tells it of a household."""
    folder = tmp_path_factory.mktemp("etc")
    with Router("--devices", "4", "--traffic", "busy") as router, Broker(folder) as broker:
        config = CONFIG.format(router=router.url, url=broker.url, who=BY_PASSWORD)
        (folder / "config.yaml").write_text(config)
        (folder / "config.yaml").chmod(0o600)
        with Dalla(folder, "run") as dalla:
            dalla.says("connected to the broker")
            dalla.polls_again()
            yield SimpleNamespace(folder=folder, broker=broker, dalla=dalla, router=router)
            assert "does not let us" not in dalla.output
            assert "refused" not in dalla.output
            assert dalla.terminate() == 0


def device(heard: Process) -> str:
    """The id of a device of which was heard."""
    topics = (line.split(" ", 1)[0] for line in heard.lines)
    return next(topic.split("/")[3] for topic in topics if topic.startswith("dalla/home/device/"))


def test_home_assistant_finds_everything_and_may_give_orders(house: SimpleNamespace) -> None:
    broker = house.broker
    with broker.hears("homeassistant") as home:
        for topic in ("dalla/home/status online", "dalla/home/total/state {", "dalla/home/user/alice/quota {"):
            home.says(topic)
        home.says("homeassistant/device/dalla_home_router/config {")
        mac = device(home)
        for topic, payload, answer in (
            (f"dalla/home/device/{mac}/name/set", "Telly", '"name":"Telly"'),
            ("dalla/home/user/alice/quota/set", "7 GB", '"quota":7000000000'),
            ("dalla/home/pause/set", "ON", '"state":"paused"'),
            ("dalla/home/pause/set", "OFF", '"state":"ok"'),
        ):
            broker.told_by("homeassistant", topic, payload)
            home.says(answer)
        home.lines.clear()
        broker.told_by("homeassistant", "homeassistant/status", "online")
        home.says("homeassistant/device/dalla_home_router/config {")
        config = f"homeassistant/device/dalla_home_{mac}/config"
        home.says(f"{config} {{")
        broker.told_by("homeassistant", config, "", "-r")
        home.says(f"{config} (null)")
        home.lines.clear()
        home.says(f"{config} {{")  # who was removed comes back with the next traffic: the daemon has heard of it


def test_the_dashboard_reads_all_and_changes_nothing(house: SimpleNamespace) -> None:
    broker = house.broker
    with broker.hears("dashboard") as dashboard, broker.hears("homeassistant") as home:
        dashboard.says("dalla/home/user/bob/state {")
        dashboard.says("dalla/home/total/usage ")
        mac = device(dashboard)
        spoil(broker, "dashboard", mac)
        nothing_came_of_it(house, home)
        assert "homeassistant/" not in dashboard.output


def test_a_person_reads_their_own_figures_and_nothing_else(house: SimpleNamespace) -> None:
    broker = house.broker
    with broker.hears("alice") as alice, broker.hears("bob", "dalla/home/user/#") as bob:
        with broker.hears("homeassistant") as home:
            alice.says("dalla/home/user/alice/state {")
            bob.says("dalla/home/user/bob/usage ")
            home.says("dalla/home/device/")
            spoil(broker, "alice", device(home))
            nothing_came_of_it(house, home)
        assert {line.split("/")[3] for line in alice.lines} == {"alice"}
        assert {line.split("/")[3] for line in bob.lines} == {"bob"}


def spoil(broker: Broker, name: str, mac: str) -> None:
    """Try all that somebody could do to a household."""
    for topic in (
        f"device/{mac}/name",
        f"device/{mac}/user",
        "user/alice/quota",
        "user/alice/limited",
        "pause",
        "poll",
    ):
        broker.told_by(name, f"dalla/home/{topic}/set", "Spoilt")
    for topic in ("dalla/home/status", "dalla/home/user/alice/state", "homeassistant/status", "spoilt"):
        broker.told_by(name, topic, "Spoilt", "-r")
    broker.told_by(name, f"homeassistant/device/dalla_home_{mac}/config", "", "-r")


def nothing_came_of_it(house: SimpleNamespace, home: Process) -> None:
    house.broker.told_by("homeassistant", "dalla/home/poll/set", "in the end")
    home.says("dalla/home/poll/set in the end")
    house.dalla.polls_again()
    assert "Spoilt" not in home.output
    assert "Spoilt" not in house.dalla.output
    assert "(null)" not in home.output


def test_the_daemon_may_write_its_own_topics_only_and_read_only_orders(house: SimpleNamespace) -> None:
    broker = house.broker
    with broker.hears("homeassistant") as home, broker.hears("dalla-mqtt") as daemon:
        for topic in ("dalla/other/status", "homeassistant/status", "homeassistant/sensor/x/config", "spoilt"):
            broker.told_by("dalla-mqtt", topic, "Spoilt")
        broker.told_by("homeassistant", "dalla/home/doctor/set", "an order")
        daemon.says("dalla/home/doctor/set an order")
        home.says("dalla/home/doctor/set an order")
        assert "Spoilt" not in home.output
        kinds = {line.split(" ")[0] for line in daemon.lines}
        assert [kind for kind in kinds if not kind.endswith(("/set", "/config", "home/router", "home/status"))] == []


def test_nobody_makes_others_swallow_what_is_too_large(house: SimpleNamespace) -> None:
    with house.broker.hears("homeassistant", "homeassistant/#") as home:
        large = house.folder / "large"
        large.write_bytes(bytes(300_000))
        command = ("mosquitto_pub", *house.broker.as_user("homeassistant"), "-q", "1", "-t", "homeassistant/x")
        subprocess.run([*command, "-f", str(large)], check=False, timeout=20, capture_output=True)
        house.broker.told_by("homeassistant", "homeassistant/x", "small")
        home.says("homeassistant/x small")
        assert len(home.output) < 200_000


def test_nobody_comes_in_without_the_right_password(house: SimpleNamespace) -> None:
    where = ("mosquitto_sub", "-h", "127.0.0.1", "-p", str(house.broker.port), "-t", "#")
    for who in ((), ("-u", "alice"), ("-u", "alice", "-P", "secret-of-bob"), ("-u", "#", "-P", "secret-of-alice")):
        with Process(*where, *who) as stranger:
            assert stranger.wait() == 5


def test_by_a_certificate_it_is_the_same_user_and_the_doctor_finds_nothing_to_mend(house: SimpleNamespace) -> None:
    home = house.folder / "tls"
    home.mkdir()
    (home / "certs").symlink_to(house.folder / "certs")
    url = f"mqtts://127.0.0.1:{house.broker.tls_port}"
    config = CONFIG.format(router="http://127.0.0.1:9", url=url, who=f"{BY_CERTIFICATE}, client_id: by-certificate")
    (home / "config.yaml").write_text(config)
    (home / "config.yaml").chmod(0o600)
    ran = Ran(home, "doctor")
    wrong = [line for line in ran.out.splitlines() if line.startswith("wrong") and " router " not in line]
    assert wrong == [], ran.out
    for well in ("its certificate is good", "arrives, and is heard", "devices may be announced"):
        assert well in ran.out
    with Dalla(home, "run", "--log-level", "debug") as dalla:
        dalla.says("connected to the broker")
        house.broker.says("u'dalla-mqtt'")


def test_every_order_there_is_may_be_given_and_heard() -> None:
    given, heard = (allowed(name, access) for name, access in (("homeassistant", "write"), ("dalla-mqtt", "read")))
    for command in COMMANDS:
        topic = f"dalla/home/{command.path.replace('<subject>', 'user/alice').replace('<id>', 'cb-bd-ab-90-2d-38')}"
        for rules in (given, heard):
            assert any(topic_matches_sub(rule, topic) for rule in rules), topic


def allowed(name: str, access: str) -> list[str]:
    """What the list lets a user read or write."""
    of_user = (EXAMPLES / "acl").read_text().partition(f"user {name}\n")[2].partition("\nuser ")[0]
    rules = (line.split() for line in of_user.splitlines() if line.startswith("topic "))
    return [topic for _, may, topic in rules if may in (access, "readwrite")]


def test_a_client_whose_name_would_overwrite_the_authority_gets_no_certificate(tmp_path: Path) -> None:
    for name in ("authority", "broker", "../up", "", "two words"):
        ran = subprocess.run(
            ["sh", str(EXAMPLES / "certificates"), "certs", "localhost", name], cwd=tmp_path, check=False
        )
        assert ran.returncode == 2
        assert list(tmp_path.iterdir()) == []
