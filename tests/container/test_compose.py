"""compose.yaml and what it mounts: that all of it exists, and that its broker lets in whom it should."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dalla_mqtt.config.settings import every_setting
from tests.container.engine import ROOT
from tests.doctor.house import diagnose
from tests.processes import CANARY, Dalla, Process, Router, answers, free_port, wait_until

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
PASSWORDS = {"dalla": f"{CANARY} $'\"\\ of dalla", "homeassistant": f"{CANARY} of Home Assistant"}


def broker_settings(folder: Path, port: int) -> Path:
    """What compose.yaml mounts into the broker's container, with paths and a port of this machine."""
    for name, password in PASSWORDS.items():
        (folder / f"mqtt_{name}").write_text(f"{password}\n", "utf-8")
    memory = folder / "memory"
    memory.mkdir()
    places = {"/mosquitto/config": folder, "/mosquitto/data": folder, "/run/secrets": folder, "/tmp": memory}  # noqa: S108  # theirs
    for file in (ROOT / "deploy" / "mosquitto").iterdir():
        text = re.sub("|".join(places), lambda found: str(places[found[0]]), file.read_text("utf-8"))
        text = text.replace("listener 1883", f"listener {port} 127.0.0.1\nuser {os.environ.get('USER', 'root')}")
        (folder / file.name).write_text(text, "utf-8")
    return folder / "start.sh"


class Broker(Process):
    """The broker of compose.yaml, without its container."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        path = {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
        super().__init__("sh", str(broker_settings(folder, self.port)), environment=path)
        wait_until(lambda: answers(self.port), "the broker")

    def says(self, name: str, topic: str, password: str | None = None, text: str = "1") -> bool:
        """Whether it takes that from whom it is to know by that name."""
        with Process("mosquitto_pub", *self._as(name, password), "-t", topic, "-m", text) as said:
            return said.wait() == 0

    def heard(self, name: str) -> Process:
        """All that somebody of that name hears, topic and payload in each line."""
        listener = Process("mosquitto_sub", *self._as(name), "-t", "#", "-v")
        wait_until(lambda: self.says(name, "heard/ready") and "heard/ready" in listener.output, "a subscription")
        return listener

    def _as(self, name: str, password: str | None = None) -> list[str]:
        who = ["-u", name, "-P", PASSWORDS[name] if password is None else password]
        return ["-h", "127.0.0.1", "-p", str(self.port), "-q", "1", *who]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    with Broker(folder) as broker:
        yield broker


def test_all_that_a_service_names_is_there() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"]), name
        assert set(service.get("depends_on", ())) <= set(SERVICES), name
        sources = [mount["source"] if isinstance(mount, dict) else mount.split(":")[0] for mount in service["volumes"]]
        named = [source for source in sources if not source.startswith(".")]
        assert set(named) <= set(COMPOSE["volumes"]), name
        assert all((ROOT / source).exists() for source in sources if source.startswith("./deploy")), name


def test_the_documented_steps_make_all_that_is_mounted_readable_for_the_containers_and_nobody_else(
    tmp_path: Path,
) -> None:
    steps = (ROOT / "docs" / "docker.md").read_text("utf-8").partition("<!-- tested -->")[2].partition("nano")[0]
    shutil.copy(ROOT / "config.yaml", tmp_path)
    done = subprocess.run(["sh", "-eu"], input=steps, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "data" / "config.yaml").exists()
    for secret in COMPOSE["secrets"].values():
        file = tmp_path / secret["file"]
        assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o644, 0o700]
    passwords = [(tmp_path / "secrets" / f"mqtt_{name}").read_text("utf-8").strip() for name in PASSWORDS]
    assert len({password for password in passwords if len(password) == 24 and ":" not in password}) == 2
    said = dict(line.split("=") for line in (tmp_path / ".env").read_text("utf-8").splitlines())
    assert said.keys() == set(re.findall(r"\$\{([A-Z_]+):-", (ROOT / "compose.yaml").read_text("utf-8")))


def test_each_variable_is_a_setting_and_each_secret_is_read_from_where_it_is_mounted() -> None:
    settings = {f"DALLA_{key}".replace(".", "_").upper() for key, _ in every_setting()}
    service = SERVICES["dalla-mqtt"]
    ours = {key: value for key, value in service["environment"].items() if key.startswith("DALLA_")}
    assert ours.keys() <= settings
    files = {value for key, value in ours.items() if key.endswith("_FILE")}
    assert files == {f"/run/secrets/{name}" for name in service["secrets"]}


def test_images_of_others_have_a_version_and_every_service_is_looked_after() -> None:
    for name, service in SERVICES.items():
        assert "build" in service or re.fullmatch(r"[a-z./-]+:[0-9]+(\.[0-9]+)+", service["image"]), name
        assert "build" in service or "healthcheck" in service, name  # ours has its own in the image
        assert service["restart"] == "unless-stopped", name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_who_can_do_without_runs_without_rights() -> None:
    for name in ("dalla-mqtt", "mosquitto"):
        assert (SERVICES[name]["read_only"], SERVICES[name]["cap_drop"]) == (True, ["ALL"])
        assert SERVICES[name]["user"] not in ("", "0", "root")


def test_the_page_is_open_to_this_machine_alone_and_the_broker_to_the_containers() -> None:
    assert SERVICES["dalla-mqtt"]["ports"] == ["127.0.0.1:8765:8765"]
    assert "ports" not in SERVICES["mosquitto"]


def test_the_broker_lets_in_who_knows_a_password_and_nobody_else(broker: Broker) -> None:
    assert broker.says("homeassistant", "dalla/home/poll/set")
    assert broker.says("dalla", "dalla/home/status")
    assert not broker.says("homeassistant", "dalla/home/poll/set", PASSWORDS["dalla"])
    assert not broker.says("dalla", "dalla/home/status", "")
    assert CANARY not in broker.output
    assert "writable" not in broker.output  # Mosquitto's word for files that others may change, or read


@pytest.mark.parametrize("password", ["", "with:colon"])
def test_a_broker_whose_password_would_not_hold_does_not_start(tmp_path: Path, password: str) -> None:
    start = broker_settings(tmp_path, free_port())
    (tmp_path / "mqtt_homeassistant").write_text(f"{password}\n", "utf-8")
    with Process("sh", str(start)) as broker:
        assert broker.wait() == 1
    assert broker.output.startswith("the first line of secrets/mqtt_homeassistant is empty or has a colon")


def test_the_daemon_may_say_and_hear_there_all_that_it_needs(tmp_path: Path, broker: Broker) -> None:
    (tmp_path / "router_password").write_text("admin\n", "utf-8")
    (tmp_path / "mqtt_dalla").write_text(f"{PASSWORDS['dalla']}\n", "utf-8")
    told = SERVICES["dalla-mqtt"]["environment"]
    environment = {key: value.replace("/run/secrets", str(tmp_path)) for key, value in told.items()}
    environment |= {"TZ": "UTC", "DALLA_MQTT_URL": f"mqtt://127.0.0.1:{broker.port}", "DALLA_ROUTER_INTERVAL": "1h"}
    _, doctor = diagnose(tmp_path, **environment)
    assert {doctor.about(what)[0] for what in ("credentials", "publishing", "discovery")} == {"ok"}, doctor.output

    with Router() as router, broker.heard("homeassistant") as heard:
        environment["DALLA_ROUTER_URL"] = router.url
        with Dalla(tmp_path, environment=environment) as dalla:
            wait_until(lambda: "dalla/home/total/usage" in heard.output, "a figure")
            wait_until(lambda: "homeassistant/device/dalla_home_total/config" in heard.output, "discovery")
            heard.lines.clear()
            assert broker.says("homeassistant", "homeassistant/status", text="online")
            wait_until(lambda: "homeassistant/device/dalla_home_total/config" in heard.output, "it once more")
            assert broker.says("homeassistant", "dalla/home/poll/set")
            wait_until(lambda: dalla.polls() == 2, "a poll")
            assert broker.says("homeassistant", "dalla/home/user/unknown/topup/set", text="1 GB")
            wait_until(lambda: '"command_refused"' in heard.output, "that there is no quota to top up")
