"""The image of the Dockerfile, built and run for real, beside a simulated router and a real broker."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from dalla_mqtt.router.simulator import Household
from tests.container.engine import IMAGE, OWNER, Container, build, configuration
from tests.processes import CANARY, Listener, Mosquitto, Router, free_port, wait_until

pytestmark = pytest.mark.usefixtures("image")

PROBE = """\
import json, os, socket
def refused(path):
    try:
        open(path + "/x", "w").close()
    except OSError as error:
        return error.strerror
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
folders = ["/", "/etc", "/opt/dalla-mqtt", "/tmp", "/var/tmp", "/home", "/data"]
print(json.dumps({"uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "cwd": os.getcwd(),
                  "capabilities": int(status["CapEff"], 16), "refused": {path: refused(path) for path in folders}}))
"""


class Home:
    """A router, a broker, and a folder with the settings for a container; all that is secret is in files."""

    def __init__(self, folder: Path, broker: Mosquitto, router_port: int) -> None:
        self.data, self.secrets = folder / "data", folder / "secrets"
        self.broker = broker
        self.port = free_port()
        for path in (self.data, self.secrets):
            path.mkdir(mode=0o700)
        (self.secrets / "router_password").write_text(f"{CANARY}\n", "utf-8")
        settings = f"router: {{url: 'http://127.0.0.1:{router_port}', interval: 1s}}\nmqtt: {{url: '{broker.url}'}}\n"
        (self.data / "config.yaml").write_text(settings, "utf-8")
        self.belongs_to(OWNER)

    def belongs_to(self, owner: int) -> None:
        for path in (self.data, self.secrets, *self.data.iterdir(), *self.secrets.iterdir()):
            os.chown(path, owner, owner)
            path.chmod(0o700 if path.is_dir() else 0o400)

    def run(self, *words: str, options: tuple[str, ...] = ()) -> Container:
        environment = {
            "DALLA_ROUTER_PASSWORD_FILE": "/run/secrets/router_password",
            "DALLA_WEB_LISTEN": f"0.0.0.0:{self.port}",
        }
        return Container(self.data, *words, environment=environment, secrets=self.secrets, options=options)

    def told(self) -> tuple[int, dict[str, str]]:
        """The usage of all, and since when each device is known, as the broker keeps it."""
        retained = self.broker.retained()
        states = {topic: json.loads(text) for topic, text in retained.items() if topic.endswith("/state")}
        since = {topic: state["first_seen"] for topic, state in states.items() if "/device/" in topic}
        return int(retained["dalla/home/total/usage"]), since


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture
def router() -> Iterator[Router]:
    with Router("--password", CANARY, "--traffic", "busy") as router:
        yield router


def test_it_says_itself_how_it_is_to_be_run() -> None:
    told = configuration(IMAGE)
    assert told["User"] == f"{OWNER}:{OWNER}"
    assert told["Entrypoint"] == ["dalla-mqtt"]
    assert (told["StopSignal"], told["WorkingDir"], list(told["Volumes"])) == ("SIGTERM", "/data", ["/data"])
    assert told["Healthcheck"]["Test"] == ["CMD", "dalla-mqtt", "health"]
    assert told["Labels"]["org.opencontainers.image.title"] == "dalla-mqtt"


def test_it_is_nobody_special_and_can_write_below_data_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, OWNER, OWNER)
    with Container(data, "-c", PROBE, options=("--entrypoint", "python")) as container:
        assert container.wait() == 0, container.output
    found = json.loads(container.output)
    assert (found["uid"], found["gid"], found["groups"]) == (OWNER, OWNER, [OWNER])
    assert (found["cwd"], found["capabilities"]) == ("/data", 0)
    assert found["refused"].pop("/data") is None
    assert set(found["refused"].values()) == {"Read-only file system"}


def test_it_polls_publishes_and_keeps_and_goes_on_where_it_was(
    tmp_path: Path, broker: Mosquitto, router: Router
) -> None:
    home = Home(tmp_path, broker, router.port)
    with Listener(broker, "dalla/home/status") as listener:
        with home.run() as container:
            container.says(" polled in ")
            wait_until(container.is_healthy, "a good health check")
            health = requests.get(f"http://127.0.0.1:{home.port}/health", timeout=5)
            assert (health.status_code, health.json()["status"]) == (200, "ok")
            container.polls_again()
            assert "UNKNOWN" in container.execute("dalla-mqtt", "summary")
            assert container.stop(patience_s=5) == 0, container.output
        wait_until(lambda: listener.latest.get("dalla/home/status") == "offline", "the last word")
    usage, since = home.told()
    assert usage > 0
    assert len(since) == 10
    kept = [path.stat() for path in home.data.rglob("*") if path.is_file()]
    assert {(stat.S_IMODE(file.st_mode) & 0o077, file.st_uid) for file in kept} == {(0, OWNER)}
    assert list(home.data.glob("logs/*/total.csv"))

    with home.run() as again:
        again.polls_again()
        assert again.stop(patience_s=5) == 0, again.output
    later, still_since = home.told()
    assert later > usage
    assert still_since == since
    assert CANARY not in container.output + again.output


@pytest.mark.alone
def test_it_ends_within_two_seconds(tmp_path: Path, broker: Mosquitto, router: Router) -> None:
    with Home(tmp_path, broker, router.port).run() as container:
        container.says(" polled in ")
        assert container.stop(patience_s=2) == 0, container.output


def test_it_is_not_healthy_before_the_router_has_answered(tmp_path: Path, broker: Mosquitto) -> None:
    port = free_port()
    with Home(tmp_path, broker, port).run() as container:
        container.says("no whole answer from the router")
        assert not container.is_healthy()


def test_it_may_be_run_as_the_owner_of_any_folder(tmp_path: Path, broker: Mosquitto, router: Router) -> None:
    home = Home(tmp_path, broker, router.port)
    home.belongs_to(4242)
    with home.run("run", "--once", options=("--user", "4242:4242")) as container:
        assert container.wait() == 0, container.output
    assert (home.data / "state.db").stat().st_uid == 4242


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_folder_that_is_not_its_own_is_told_in_one_line(tmp_path: Path, broker: Mosquitto, mode: int) -> None:
    home = Home(tmp_path, broker, free_port())
    os.chown(home.data, 0, 0)
    home.data.chmod(mode)
    with home.run() as container:
        assert container.wait() in (1, 2)
    complaint = container.lines[-1]
    assert "Permission denied" in complaint
    assert "Traceback" not in container.output


def test_a_user_map_that_is_mounted_by_itself_is_read_and_why_it_stays_as_it_is_is_told(
    tmp_path: Path, broker: Mosquitto, router: Router
) -> None:
    home = Home(tmp_path, broker, router.port)
    device = Household.of(10).devices[0].mac
    user_map = tmp_path / "users.csv"
    user_map.write_text(f"Name, MAC\nAlice, {device.colons}\nBob,\n", "utf-8")
    os.chown(user_map, OWNER, OWNER)
    mount = ("--volume", f"{user_map}:/data/user-map.csv")
    with Listener(broker, "dalla/home/event") as listener, home.run(options=mount) as container:
        container.says(" polled in ")
        broker.publish(f"dalla/home/device/{device.dashed.lower()}/user/set", "Bob")
        container.says("it is mounted by itself: mount the folder that it is in")
        wait_until(lambda: "command_refused" in listener.output, "the same on the broker")
    assert "Alice" in home.broker.retained()["dalla/home/user/alice/state"]
    assert user_map.read_text("utf-8") == f"Name, MAC\nAlice, {device.colons}\nBob,\n"


def test_the_variant_for_other_models_has_their_library(tmp_path: Path) -> None:
    stage = f"{IMAGE}-tplink"
    build(stage, "--build-arg", "LOCK=image-tplink", "--target", "build")
    words = ("-c", "import tplinkrouterc6u, dalla_mqtt, websockets; print(dalla_mqtt.__version__)")
    with Container(tmp_path, *words, image=stage, options=("--entrypoint", "/opt/dalla-mqtt/bin/python")) as container:
        assert container.wait() == 0, container.output
