"""The Home Assistant app: what the Supervisor reads of it, and what it starts."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from secrets import token_hex
from types import ModuleType
from typing import Any

import pytest
import requests
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt import __version__
from dalla_mqtt.config import Config, load
from dalla_mqtt.errors import ConfigError
from tests.packaging import supervisor
from tests.processes import CANARY, Mosquitto, Process, Router, answers, free_port, wait_until

ROOT = Path(__file__).parents[2]
APP = ROOT / "homeassistant" / "app"
SCRIPTS = APP / "rootfs" / "etc" / "services.d" / "dalla-mqtt"
START = APP / "rootfs" / "usr" / "lib" / "dalla-mqtt" / "start.py"
MANIFEST: dict[str, Any] = yaml.safe_load((APP / "config.yaml").read_text("utf-8"))
MOSQUITTO = {
    "host": "core-mosquitto",
    "port": 1883,
    "ssl": False,
    "username": "addons",
    "password": "b",
    "protocol": "3.1.1",
}


def _imported() -> ModuleType:
    spec = spec_from_file_location("app_start", START)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


start = _imported()


def options(**filled_in: object) -> dict[str, Any]:
    """What Home Assistant hands over when this was filled in, beside the defaults."""
    return supervisor.fitting(MANIFEST["schema"], {**MANIFEST["options"], "router_password": "secret", **filled_in})


def config(folder: Path, broker: dict[str, Any] | None = None, **filled_in: object) -> Config:
    """What the daemon makes of these options."""
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "user-map.csv").touch()
    tree = start.settings(options(**filled_in), broker or {}, folder / "data", folder / "config")
    file = folder / "settings.yaml"
    file.touch(0o600)
    file.write_text(start.as_yaml(tree), "utf-8")
    return load(file, {}, {})


# What the Supervisor reads


def test_the_manifest_is_as_the_supervisor_demands() -> None:
    supervisor.MANIFEST(MANIFEST)
    supervisor.REPOSITORY(yaml.safe_load((APP.parent / "repository.yaml").read_text("utf-8")))
    assert not list(APP.glob("build.*")), "which is not used any more"


@pytest.mark.parametrize(
    "wrong",
    [
        {"arch": ["armv7"]},
        {"slug": "dalla mqtt"},
        {"schema": {"one": "string"}},
        {"schema": {"one": [["str"]]}},
        {"watchdog": "/health"},
        {"services": ["mqtt"]},
        {"advanced": True},
        {"image": "ghcr.io/dalla-mqtt/app:latest"},
    ],
)
def test_these_rules_find_a_mistake(wrong: dict[str, Any]) -> None:
    with pytest.raises(supervisor.vol.Invalid):
        supervisor.MANIFEST({**MANIFEST, **wrong})


def test_the_app_is_of_the_same_version_and_its_changelog_says_so() -> None:
    assert MANIFEST["version"] == __version__
    assert re.findall(r"^## (.+)$", (APP / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)[0] == __version__


def test_every_option_and_port_is_explained() -> None:
    told = supervisor.TRANSLATION(yaml.safe_load((APP / "translations" / "en.yaml").read_text("utf-8")))

    def names(schema: dict[str, Any]) -> dict[str, Any]:
        return {key: names(kind[0]) if kind[0:1] and isinstance(kind[0], dict) else {} for key, kind in schema.items()}

    def explained(fields: dict[str, Any]) -> dict[str, Any]:
        return {key: explained(field.get("fields", {})) for key, field in fields.items()}

    assert explained(told["configuration"]) == names(MANIFEST["schema"])
    assert list(told["configuration"]) == list(MANIFEST["schema"]), "in the order in which they are shown"
    assert set(told["network"]) == set(MANIFEST["ports"])


def test_the_defaults_can_be_saved_and_want_a_password_only(tmp_path: Path) -> None:
    supervisor.fitting(MANIFEST["schema"], MANIFEST["options"])
    made = config(tmp_path, MOSQUITTO)
    assert (made.router.url, made.router.username, made.router.interval) == ("http://192.168.1.1", "admin", 60)
    assert not made.warnings


@pytest.mark.parametrize(("name", "size"), [("icon", (128, 128)), ("logo", (250, 100))])
def test_its_pictures_are_of_the_size_that_the_store_shows(name: str, size: tuple[int, int]) -> None:
    data = (APP / f"{name}.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", data[16:24]) == size


def test_its_apparmor_profile_has_the_name_of_the_app_and_can_be_read() -> None:
    text = (APP / "apparmor.txt").read_text("utf-8")
    assert re.findall(r"^profile ([^ ]+)", text, re.MULTILINE) == [MANIFEST["slug"]], (
        "one, which the Supervisor renames"
    )
    parser = shutil.which("apparmor_parser", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert parser, "apparmor is not installed: sh scripts/test installs it"
    subprocess.run([parser, "-QKT", str(APP / "apparmor.txt")], check=True, capture_output=True)


def test_its_image_is_built_on_a_pinned_base_and_starts_what_can_be_started() -> None:
    text = (APP / "Dockerfile").read_text("utf-8")
    assert re.search(r"^FROM ghcr\.io/home-assistant/base-python:3\.\d+-alpine3\.\d+$", text, re.MULTILINE)
    assert 'io.hass.type="app"' in text
    for script in SCRIPTS.iterdir():
        assert os.access(script, os.X_OK), script


def test_what_the_documentation_quotes_of_the_log_is_said_there() -> None:
    quoted = re.findall(
        r"^\| `([^`]+)` \|", (APP / "DOCS.md").read_text("utf-8").rpartition("in the log")[2], re.MULTILINE
    )
    sources = "".join(path.read_text("utf-8") for path in [*(ROOT / "dalla_mqtt").rglob("*.py"), START])
    assert len(quoted) >= 4
    for text in quoted:
        assert text in sources


# From options to configuration


def test_all_that_is_filled_in_counts(tmp_path: Path) -> None:
    made = config(
        tmp_path,
        router_url="http://10.0.0.1",
        driver="tplink",
        interval=30,
        users=[
            {
                "name": "Alice",
                "devices": "CB-BD-AB-90-2D-38, F8:B1:56:C1:22:11,",
                "quota": "40 GiB",
                "at_quota": "notify",
            },
            {"name": "Bob", "hostnames": "bobs-*"},
        ],
        period_starts=-1,
        off_peak=["00:00-06:00", "Sat-Sun 00:00-24:00"],
        keep_days=400,
        mqtt_url="mqtts://one:8884, mqtt://two",
        mqtt_username="dalla",
        mqtt_password="p",
        web_token="token-token",
        log_level="debug",
    )
    assert (made.router.driver, made.router.url, made.router.interval) == ("tplink", "http://10.0.0.1", 30)
    assert {str(mac): name for mac, name in made.people.macs.items()} == {
        "CB-BD-AB-90-2D-38": "Alice",
        "F8-B1-56-C1-22-11": "Alice",
    }
    assert made.people.patterns == (("bobs-*", "Bob"),)
    assert [quota.limits for quota in made.quotas.subjects.values()] == [{"together": 40 * 2**30}]
    assert (made.tariff.period_starts, len(made.tariff.off_peak)) == (-1, 2)
    assert made.archive
    assert made.archive.keep == 400 * 86_400
    assert made.mqtt
    assert [(one.host, one.port, one.tls) for one in made.mqtt.addresses] == [("one", 8884, True), ("two", 1883, False)]
    assert (made.mqtt.username, made.mqtt.password and made.mqtt.password.value) == ("dalla", "p")
    assert made.web
    assert made.web.token
    assert made.log.level == "debug"


def test_the_broker_of_home_assistant_is_taken_where_none_is_named(tmp_path: Path) -> None:
    made = config(tmp_path, MOSQUITTO).mqtt
    assert made
    assert (str(made.addresses[0]), made.addresses[0].tls) == ("core-mosquitto:1883", False)
    assert (made.username, made.password and made.password.value) == ("addons", "b")
    with_tls = config(tmp_path, MOSQUITTO | {"ssl": True, "port": 8883}).mqtt
    assert with_tls
    assert (str(with_tls.addresses[0]), with_tls.addresses[0].tls) == ("core-mosquitto:8883", True)
    assert config(tmp_path).mqtt is None
    assert config(tmp_path, MOSQUITTO, mqtt_url="off").mqtt is None


def test_nobody_but_home_assistant_reads_or_changes_without_the_token(tmp_path: Path) -> None:
    made = config(tmp_path).web
    assert made
    assert (made.port, made.read, made.ingress, made.token) == (MANIFEST["ingress_port"], "token", True, None)


def test_csv_files_are_where_people_reach_them_and_the_memory_is_not(tmp_path: Path) -> None:
    made = config(tmp_path)
    assert made.archive
    assert made.archive.commune == f"{tmp_path}/config/logs/%Y-%m/total.csv"
    assert (made.state, made.user_map) == (tmp_path / "data" / "state.db", tmp_path / "config" / "user-map.csv")
    assert config(tmp_path, csv_files=False).archive is None


def test_a_user_who_is_named_twice_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="'Alice' is among the users twice"):
        config(tmp_path, users=[{"name": "Alice"}, {"name": "Alice"}])


_TEXT = st.text(
    st.one_of(st.characters(codec=None), st.sampled_from("\"'\\\n\r\t:#{}[]%&*!|>@`,-? \x7f\x85\u2028\ufeff\ud800")),
    max_size=40,
)


@given(name=_TEXT, password=_TEXT, pattern=_TEXT)
def test_whatever_is_typed_stays_that_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, password: str, pattern: str
) -> None:
    users = [{"name": name, "hostnames": pattern}]
    try:
        made = config(tmp_path_factory.getbasetemp(), router_password=password, users=users)
    except ConfigError:
        return
    assert made.router.password.value == password
    assert made.people.names in ((name.strip(),), (name,), ())
    assert made.people.patterns == tuple(
        (part.strip().lower(), made.people.names[0] if made.people.names else "UNKNOWN")
        for part in pattern.split(",")
        if part.strip()
    )


def test_a_configuration_of_the_users_own_counts_but_for_page_and_broker(tmp_path: Path) -> None:
    own = "site: cottage\nrouter: {password: secret}\nweb: {read: open, listen: '127.0.0.1:1'}\n"
    (tmp_path / "config.yaml").write_text(own, "utf-8")
    over = start.environment(own, options(log_level="error", web_token="token-token"), MOSQUITTO)
    made = load(tmp_path / "config.yaml", over, {})
    assert made.site == "cottage"
    assert made.web
    assert (made.web.host, made.web.port, made.web.read, made.web.ingress) == ("0.0.0.0", 8765, "token", True)  # noqa: S104  # in the container
    assert made.mqtt
    assert (str(made.mqtt.addresses[0]), made.mqtt.username) == ("core-mosquitto:1883", "addons")
    assert made.log.level == "error"


@pytest.mark.parametrize(
    "own", ["mqtt: {url: 'mqtt://other'}", "mqtt: {url: off}", "mqtt:\n  url: [mqtt://a, mqtt://b]"]
)
def test_a_broker_that_it_names_stays(own: str) -> None:
    assert not [key for key in start.environment(own, options(), MOSQUITTO) if "MQTT" in key]


@pytest.mark.parametrize("own", ["- no settings", "{", "a: !!python/none", "", "mqtt: off", "\x00", "[" * 1200])
def test_one_that_cannot_be_read_is_left_to_the_daemon_to_complain_of(own: str) -> None:
    assert start.environment(own, options(), {})["DALLA_WEB_READ"] == "token"


# The app started


class House:
    """A container's folders, programs and its `run`, whose paths lead in here."""

    def __init__(self, folder: Path, router: Router) -> None:
        self.folder, self.port = folder, free_port()
        self.data, self.config, self.run = (folder / name for name in ("data", "config", "run"))
        for path in (self.data, self.config, folder / "bin"):
            path.mkdir()
        self.say(router_url=router.url, router_password="admin", interval=10)
        self._program("with-contenv", f'exec bash -c \'. "{folder}/bashio.sh"; . "$0"\' "$2"')
        self._program("dalla-mqtt", f'exec "{sys.executable}" -m dalla_mqtt "$@"')
        self._program("python3", f'exec "{sys.executable}" "$@"')
        at = '"0.0.0.0:8765"'
        text = START.read_text("utf-8")
        assert at in text
        (folder / "start.py").write_text(text.replace(at, f'"127.0.0.1:{self.port}"'), "utf-8")
        paths = {
            "/usr/bin/with-contenv": f"{folder}/bin/with-contenv",
            "/usr/lib/dalla-mqtt/start.py": f"{folder}/start.py",
            " dalla /data /config /run/dalla-mqtt": f" {_me()} {self.data} {self.config} {self.run}",
        }
        text = (SCRIPTS / "run").read_text("utf-8")
        for theirs, ours in paths.items():
            assert theirs in text
            text = text.replace(theirs, ours)
        self.script = folder / "run.sh"
        self.script.write_text(text, "utf-8")
        self.script.chmod(0o755)
        self.knows_broker(None)

    def _program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{text}\n", "utf-8")
        path.chmod(0o755)

    def say(self, **filled_in: object) -> None:
        (self.data / "options.json").write_text(json.dumps(options(**filled_in)), "utf-8")

    def knows_broker(self, broker: dict[str, Any] | None) -> None:
        """What bashio says of the service mqtt."""
        (self.folder / "broker.json").write_text(json.dumps(broker), "utf-8")
        (self.folder / "bashio.sh").write_text(
            f'bashio::services.available() {{ [ {"mqtt" if broker else "none"} = "$1" ]; }}\n'
            f"bashio::services() {{ [ \"$*\" = mqtt ] && cat '{self.folder}/broker.json'; }}\n",
            "utf-8",
        )

    def start(self) -> Process:
        environment = {
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SUPERVISOR_TOKEN": CANARY,
        }
        return Process(str(self.script), cwd=self.folder, environment=environment)

    def polls(self, process: Process) -> None:
        """Wait for the first poll."""
        wait_until(lambda: " polled in " in process.output, f"a poll:\n{process.output}")


def _me() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    with Router("--traffic", "busy") as router:
        yield router


@pytest.fixture
def house(tmp_path: Path, router: Router) -> House:
    return House(tmp_path, router)


def test_the_app_publishes_to_the_broker_of_home_assistant_and_ends_when_it_is_stopped(
    house: House, tmp_path: Path
) -> None:
    secret = token_hex()
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "addons", secret], check=True)
    passwords.chmod(0o644)
    tmp_path.chmod(0o755)
    with Mosquitto(tmp_path, settings=f"password_file {passwords}\nallow_anonymous false\nuser root\n") as broker:
        service = {"host": "127.0.0.1", "port": broker.port, "ssl": False, "username": "addons", "password": secret}
        house.knows_broker(service)
        with house.start() as app:
            house.polls(app)
            said = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
            environ = Path(f"/proc/{app.process.pid}/environ").read_text("utf-8")
            as_addon = ("-u", "addons", "-P", secret, "-C", "1", "-t", "dalla/home/status", "-p", str(broker.port))
            heard = subprocess.run(
                ["mosquitto_sub", *as_addon, "-W", "10"], capture_output=True, text=True, check=False
            )
            assert heard.stdout == "online\n"
            assert app.terminate() == 0
    assert secret not in said + environ + app.output
    assert "SUPERVISOR_TOKEN" not in environ
    assert (house.run / "settings.yaml").stat().st_mode & 0o777 == 0o600
    assert (house.data / "dalla-mqtt" / "state.db").exists()
    assert list(house.config.glob("logs/*/total.csv"))


def test_without_a_broker_it_says_so_and_counts(house: House) -> None:
    with house.start() as app:
        house.polls(app)
        assert "there is no broker" in app.output


def test_without_a_password_it_says_where_to_put_it(house: House) -> None:
    house.say(router_password="")
    with house.start() as app:
        assert app.wait() == 1
        assert app.output == "dalla-mqtt: put the router's password into the app's Configuration\n"


def test_with_a_configuration_of_ones_own_its_sites_are_at_the_broker_and_on_the_page_of_home_assistant(
    house: House, router: Router, tmp_path: Path
) -> None:
    (house.config / "config.yaml").write_text(
        f"router: {{url: '{router.url}', password: admin, interval: 10s}}\nsites: {{cottage: {{}}}}\n", "utf-8"
    )
    with Mosquitto(tmp_path) as broker:
        house.knows_broker({"host": "127.0.0.1", "port": broker.port, "ssl": False, "username": "", "password": ""})
        with house.start() as app:
            house.polls(app)
            wait_until(lambda: broker.retained().get("dalla/cottage/status") == "online", "the site")
            page = f"http://127.0.0.1:{house.port}"
            wait_until(lambda: answers(house.port), "the page")
            assert requests.get(f"{page}/alive", timeout=5).status_code == 200, "for the watchdog"
            assert requests.get(f"{page}/metrics", timeout=5).status_code == 401, "and not for who knows no token"
            assert app.terminate() == 0
    assert (house.config / "cottage" / "state.db").exists()


def test_a_mistake_in_a_configuration_of_ones_own_is_told_with_its_line(house: House, router: Router) -> None:
    house.say(router_password="")
    (house.config / "config.yaml").write_text(
        f"router: {{url: '{router.url}', password: admin, intervall: 10}}", "utf-8"
    )
    with house.start() as app:
        assert app.wait() == 2
        assert "config.yaml line 1: router.intervall: there is no such setting; did you mean interval?" in app.output


def test_the_app_ends_with_a_daemon_that_wants_something_mended_and_not_with_one_that_was_stopped(
    tmp_path: Path,
) -> None:
    text = (SCRIPTS / "finish").read_text("utf-8")
    text = text.replace("/run/s6-linux-init-container-results/", f"{tmp_path}/").replace(
        "/run/s6/basedir/bin/halt", f"{tmp_path}/halt"
    )
    (tmp_path / "finish").write_text(text, "utf-8")
    (tmp_path / "halt").write_text("#!/bin/sh\necho halted\n", "utf-8")
    (tmp_path / "halt").chmod(0o755)
    halted = {}
    for code in (0, 2, 3, 256):
        ran = subprocess.run(
            ["sh", str(tmp_path / "finish"), str(code), "0"], capture_output=True, text=True, check=True
        )
        halted[code] = ran.stdout
    assert halted == {0: "", 2: "halted\n", 3: "halted\n", 256: ""}
    assert (tmp_path / "exitcode").read_text("utf-8") == "3\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_the_daemon_is_a_user_of_its_own_whose_files_these_are(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    (tmp_path / "elsewhere").symlink_to("/etc/passwd")
    script = (
        "import sys, os, pathlib, start\n"
        "start.become('nobody', pathlib.Path(sys.argv[1]))\n"
        "print(set(os.getresuid() + os.getresgid()), os.getgroups())\n"
        "os.setuid(0)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(START.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    nobody = pwd.getpwnam("nobody").pw_uid
    assert ran.stdout == f"{{{nobody}}} [{nobody}]\n"
    assert "PermissionError" in ran.stderr, "there is no way back"
    owners = {path.name: path.lstat().st_uid for path in (tmp_path, *tmp_path.iterdir())}
    assert set(owners.values()) == {nobody}
    assert Path("/etc/passwd").stat().st_uid == 0


# Its repository


def test_the_repository_of_the_app_is_the_same_each_time_and_has_one_manifest(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        command = ["sh", str(ROOT / "scripts" / "app-repository"), str(tmp_path / name)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHON": sys.executable})
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        made.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files})
    assert made[0] == made[1]
    manifests = [path for path in made[0] if re.search(r"(^|/)config\.(ya?ml|json)$", path)]
    assert manifests == ["dalla-mqtt/config.yaml"]
    assert "repository.yaml" in made[0]
    assert f"dalla-mqtt/wheels/dalla_mqtt-{__version__}-py3-none-any.whl" in made[0]
    copied = re.findall(r"^COPY (\S+) ", made[0]["dalla-mqtt/Dockerfile"].decode(), re.MULTILINE)
    for source in copied:
        assert any(path.startswith(f"dalla-mqtt/{source}") for path in made[0]), "all that the image is built of"
