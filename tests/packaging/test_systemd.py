"""The unit for systemd: what systemd says of it, and the daemon under what it forbids."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dalla_mqtt import cli
from tests.processes import CANARY, Mosquitto, Process, Router, wait_until

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "dalla-mqtt.service"
PROGRAM = "/opt/dalla-mqtt/bin/dalla-mqtt"
SETTINGS = [(match[1], match[2]) for match in re.finditer(r"^([A-Z]\w+)=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)]
NAMESPACE = (
    "-m" if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0 else "-rm"
)


def of(key: str) -> list[str]:
    return [value for name, value in SETTINGS if name == key]


def test_systemd_finds_no_mistake_in_the_unit_nor_in_what_is_commented_out(tmp_path: Path) -> None:
    text = UNIT.read_text("utf-8").replace(PROGRAM, sys.executable)
    copy = tmp_path / UNIT.name
    for unit in (text, re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE)):
        copy.write_text(unit, "utf-8")
        command = ["systemd-analyze", "verify", "--man=no", str(copy)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        complaints = [line for line in ran.stderr.splitlines() if UNIT.name in line]
        assert (ran.returncode, complaints) == (0, [])


def test_it_leaves_the_daemon_little_to_do_harm_with() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(UNIT)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-400:]
    told = re.search(r"Overall exposure level for \S+ ([0-9.]+)", ran.stdout)
    assert told, "of 10; a service that is not confined has 9.6"
    assert f"calls it {told[1]} of 10" in (ROOT / "docs" / "install.md").read_text("utf-8")


def test_what_would_only_fail_again_is_not_started_again() -> None:
    assert of("Restart") == ["on-failure"]
    assert of("RestartPreventExitStatus") == [f"{cli.EXIT_USAGE} {cli.EXIT_REFUSED}"]


def test_the_documentation_puts_things_where_the_unit_looks_for_them() -> None:
    told = (ROOT / "docs" / "install.md").read_text("utf-8")
    assert f"ln -s {PROGRAM} " in told
    assert of("ExecStart")[0].startswith(f"{PROGRAM} ")
    folder = of("WorkingDirectory")[0].replace("%S", "/var/lib")
    assert folder == f"/var/lib/{of('StateDirectory')[0]}"
    assert f"nano {folder}/config.yaml" in told
    assert f"> {of('LoadCredential')[0].partition(':')[2]})" in told
    assert f"useradd --system --home-dir {folder} --shell /usr/sbin/nologin {of('User')[0]}\n" in told


@pytest.mark.parametrize(
    ("login", "driver"), [("cookie", "archer-c20"), ("gdpr", "archer-c20"), ("mr", "tplink")], ids=lambda word: word
)
def test_the_daemon_does_all_its_work_under_what_the_unit_forbids(tmp_path: Path, login: str, driver: str) -> None:
    state, secrets = tmp_path / "state", tmp_path / "secrets"
    for folder in (state, secrets):
        folder.mkdir()
    password = secrets / "router-password"
    password.write_text(f"{CANARY}\n", "utf-8")
    password.chmod(0o600)
    with Mosquitto(tmp_path) as broker, Router("--password", CANARY, "--login", login, "--traffic", "busy") as router:
        (state / "config.yaml").write_text(
            f"router: {{url: '{router.url}', driver: {driver}, interval: 1s}}\n"
            f"mqtt: {{url: '{broker.url}'}}\nweb: {{listen: '127.0.0.1:0'}}\n",
            "utf-8",
        )
        with Process(*_confined(state), cwd=state, environment=_environment(secrets)) as dalla:
            wait_until(lambda: dalla.output.count(" polled in ") >= 2, f"two polls:\n{dalla.output}")
            wait_until(lambda: "dalla/home/total/usage" in broker.retained(), "what was published")
            assert dalla.terminate() == 0
        assert not re.search("ERROR|WARNING|Traceback|not permitted|Read-only", dalla.output), dalla.output
        assert router.state["session"] is None
    assert (state / "state.db").exists()
    assert list(state.glob("logs/*/total.csv"))


def test_the_unit_is_as_confined_as_that(tmp_path: Path) -> None:
    script = (
        "import mmap, os, socket\n"
        "def tried(what):\n"
        "    try: what()\n"
        "    except OSError: return False\n"
        "    return True\n"
        "print(tried(lambda: socket.socket(socket.AF_INET)), tried(lambda: open('own', 'w')))\n"
        "print(tried(lambda: socket.socket(socket.AF_NETLINK)), tried(lambda: mmap.mmap(-1, 4096, prot=7)),\n"
        "      tried(lambda: os.chroot('/')), tried(lambda: open('../other', 'w')))\n"
    )
    state = tmp_path / "state"
    state.mkdir()
    ran = subprocess.run(
        _confined(state, "-c", script), cwd=state, capture_output=True, text=True, timeout=20, check=True
    )
    assert ran.stdout.split() == ["True"] * 2 + ["False"] * 4


def _environment(secrets: Path) -> dict[str, str]:
    """As the unit has it, where the page is not off."""
    lines = dict(line.replace("%d", str(secrets)).split("=", 1) for line in of("Environment"))
    return {**lines, "DALLA_WEB_LISTEN": "", "PYTHONPATH": str(ROOT)}


def _confined(state: Path, *words: str) -> tuple[str, ...]:
    """What the unit starts, or Python with these words, in a file system of which `state` alone can be written."""
    start = of("ExecStart")[0].split()
    assert start[0] == PROGRAM
    program = (sys.executable, *(words or ("-m", "dalla_mqtt", *start[1:])))
    confine = f"mount --bind '{state}' '{state}'; mount -o remount,bind,ro /; cd '{state}'; exec \"$@\""
    filtered = ("/usr/bin/python3", str(Path(__file__).with_name("confined.py")), str(UNIT), *program)
    return ("unshare", NAMESPACE, "sh", "-ec", confine, "sh", *filtered)
