"""The command line: what it takes, what it says, and how it ends."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import chain
from pathlib import Path
from threading import Thread

import pytest

from tests.processes import CANARY, COMMAND, Dalla, Ran, Router, clean, wait_until

PASSWORD = {"DALLA_ROUTER_PASSWORD": CANARY}
NOBODY = {"DALLA_ROUTER_URL": "http://127.0.0.1:9", "DALLA_MQTT_URL": "off"}  # the discard port: nothing answers
MISSING = "router.password: it is missing: set DALLA_ROUTER_PASSWORD or router.password_file, or say -p - to be asked"


@pytest.fixture
def router() -> Iterator[Router]:
    """A simulated router that shows three devices, and whose user and password are admin."""
    with Router("--devices", "3", "--traffic", "busy") as simulated:
        wait_until(lambda: len(simulated.state["rows"]) == 3, "three devices")
        yield simulated
        assert simulated.terminate() == 0


@pytest.fixture
def refusing() -> Iterator[tuple[str, list[str]]]:
    """The address of a router that refuses every password with HTTP 401, and the cookies it was shown."""
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.headers.get("Cookie", ""))
            self.send_error(401)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def daemon(folder: Path, **environment: str) -> Dalla:
    """One that is up and could not reach its router yet."""
    dalla = Dalla(folder, environment=PASSWORD | NOBODY | environment)
    dalla.says(" ERROR ")
    return dalla


def test_the_version_is_told(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "--version")
    assert (ran.code, ran.err) == (0, "")
    assert re.fullmatch(r"dalla-mqtt \d+\.\d+\.\d+\n", ran.out)


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("run", "--help"), ("doctor", "--help")])
def test_a_quick_question_is_answered_without_loading_what_a_daemon_needs(tmp_path: Path, words: tuple[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "dalla_mqtt", *words]
    ran = subprocess.run(command, cwd=tmp_path, env=clean(), capture_output=True, text=True, check=False)
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    assert "dalla_mqtt.cli" in loaded
    heavy = {"requests", "paho", "sqlite3", "rich", "zoneinfo", "logging.handlers", "dalla_mqtt.daemon", "amqtt"}
    assert not loaded & heavy


@pytest.mark.parametrize("command", [(), ("run",), ("summary",), ("plot",), ("doctor",), ("demo",), ("simulate",)])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_given_without_settings_and_shows_no_secret(tmp_path: Path, command: tuple[str], flag: str) -> None:
    (tmp_path / "config.yaml").write_text(f"router: {{password: {CANARY}}}\nbroken: [\n", "utf-8")
    ran = Ran(tmp_path, *command, flag, environment=PASSWORD | {"DALLA_MQTT_PASSWORD": CANARY})
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("usage: dalla-mqtt")


def test_help_names_every_flag_of_the_original_and_every_exit_code(tmp_path: Path) -> None:
    told = Ran(tmp_path, "run", "--help").out
    for short, long in (
        ("-u", "--username"),
        ("-p", "--password"),
        ("-i", "--interval"),
        ("-d", "--device-log-dir"),
        ("-e", "--user-log-dir"),
        ("-c", "--commune-log-file"),
        ("-m", "--user-map-file"),
        ("-C", "--config"),
    ):
        assert re.search(rf"{short}(?: \S+)?, {long} ", told)  # Python 3.13 says the value once
    for flag in ("--realtime-only", "--once", "--log-level", "--log-format"):
        assert flag in told
    codes = Ran(tmp_path, "--help").out.partition("exit codes:")[2]
    assert all(f"{code} " in codes for code in range(5))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("frob",), "argument COMMAND: invalid choice: 'frob' (choose from "),
        (("--frob",), "there is no flag --frob; see dalla-mqtt run --help"),
        (("run", "--frob", "5"), "there is no flag --frob; see dalla-mqtt run --help"),
        (("demo", "--mqtt", "1883"), "there is no flag --mqtt; see dalla-mqtt demo --help"),
        (("-x",), "there is no flag -x; see dalla-mqtt run --help"),
        (("-p",), "argument -p/--password: expected one argument; see dalla-mqtt run --help"),
        (
            ("-p", CANARY, CANARY),
            "there is a word too many: put a value with blanks in quotes; see dalla-mqtt run --help",
        ),
        (("--pasword", CANARY), "there is no flag --pasword; see dalla-mqtt run --help"),
        ((f"--pasword={CANARY}",), "there is no flag --pasword; see dalla-mqtt run --help"),
        ((f"-P{CANARY}",), "there is no flag -P; see dalla-mqtt run --help"),
        (("--fr\nob\x1b[2J",), "there is no flag --fr\\nob\\x1b[2J; see dalla-mqtt run --help"),
        (("demo", "--mqtt-port", "x"), "argument --mqtt-port: 'x' is not a port; see dalla-mqtt demo --help"),
        (("demo", "--mqtt-port", "65536"), "argument --mqtt-port: '65536' is not a port; see dalla-mqtt demo --help"),
        (
            ("demo", "--for", "soon"),
            "argument --for: expected a duration such as 60s or 5m, not 'soon'; see dalla-mqtt",
        ),
        (("simulate", "--traffic", "x"), "argument --traffic: invalid choice: 'x' (choose from "),
        (("simulate", "--devices", "-3", "--port", "0"), "the simulated router cannot start: "),
    ],
)
def test_a_slip_on_the_command_line_is_told_in_one_line(tmp_path: Path, words: tuple[str], told: str) -> None:
    assert Ran(tmp_path, *words).complaint.startswith(told)


@pytest.mark.parametrize("words", [(), ("run",), ("-u", "admin"), ("--once",), ("run", "--realtime-only")])
def test_without_a_password_all_ways_to_give_one_are_told(tmp_path: Path, words: tuple[str]) -> None:
    assert Ran(tmp_path, *words).complaint == MISSING


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ruoter: {}\n", "config.yaml line 1: ruoter: there is no such setting; did you mean router?"),
        ("site: home\nmqtt:\n  qos: 3\n", "config.yaml line 3: mqtt.qos: expected 0 or 1 or 2"),
        ("router:\n\turl: x\n", "config.yaml line 2: not YAML: there is a tab: indent with blanks"),
        ("wab: off\n", "config.yaml line 1: wab: there is no such setting; did you mean web?"),
        ("xyz: off\n", "config.yaml line 1: xyz: there is no such setting; there are site, router, mqtt,"),
        ('"a\\nb\\e[2J": 1\n', "config.yaml line 1: a\\nb\\x1b[2J: there is no such setting; there are "),
        (
            "router: {password: *c4n4ry}\n",
            "config.yaml line 1: not YAML: a value that begins with * has to be in quotes",
        ),
        ("router: {url: 'http://me:c4n4ry@host'}\n", "config.yaml line 1: router.url: user and password do not belong"),
    ],
)
def test_a_mistake_in_the_file_is_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "config.yaml").write_text(text, "utf-8")
    assert Ran(tmp_path, environment=PASSWORD).complaint.startswith(told)


@pytest.mark.parametrize(("name", "told"), [("no.yaml", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, told: str) -> None:
    assert Ran(tmp_path, "-C", name, environment=PASSWORD).complaint == f"{name}: cannot read it: {told}"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-i", "soon"), "the command line: router.interval: expected a duration such as 60s or 5m, not 'soon'"),
        (("--log-level", "loud"), "the command line: log.level: expected debug or info or warning or error"),
        (("--log-format", "xml"), "the command line: log.format: expected text or json"),
        (("-u", "a\nb"), "the command line: router.username: take out the control character"),
        (("-d", ""), "the command line: archive.devices: there is no path; give one, or take the line out"),
    ],
)
def test_a_wrong_value_of_a_flag_is_told_to_be_on_the_command_line(
    tmp_path: Path, words: tuple[str], told: str
) -> None:
    (tmp_path / "config.yaml").write_text("router: {interval: 60s}\nlog: {level: info, format: text}\n", "utf-8")
    assert Ran(tmp_path, *words, environment=PASSWORD).complaint.startswith(told)


SITES = "sites:\n  home: {archive: {enabled: false}}\n  attic: {users: {Bob: {}}}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("summary",),
        ("plot", "--total", "-o", "x.svg"),
        ("purge", "--older-than", "9d"),
        ("import", "."),
        ("release", "--dry-run"),
    ],
    ids=lambda words: words[0],
)
def test_of_several_sites_one_has_to_be_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "config.yaml").write_text(SITES, "utf-8")
    told = Ran(tmp_path, *words, environment=PASSWORD).complaint
    assert told == "say which site is meant, with --site: there are home, attic"
    told = Ran(tmp_path, *words, "--site", "den", environment=PASSWORD).complaint
    assert told == "there is no site 'den'; there are home, attic"


def test_the_site_that_is_named_is_the_one_that_is_polled_and_shown(tmp_path: Path, router: Router) -> None:
    (tmp_path / "config.yaml").write_text(SITES, "utf-8")
    environment = NOBODY | {"DALLA_ROUTER_URL": router.url, "DALLA_ROUTER_PASSWORD": "admin"}
    ran = Ran(tmp_path, "--site", "attic", "--once", environment=environment)
    assert (ran.code, ran.err) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "attic"}
    assert (tmp_path / "attic/state.db").exists()
    assert {path.name for path in tmp_path.glob("attic/logs/*/users/*")} == {"Bob.csv", "UNKNOWN.csv"}
    assert "Bob" in Ran(tmp_path, "summary", "--site", "attic").out
    ran = Ran(tmp_path, "summary", "--site", "home")
    assert "Bob" not in ran.out + ran.err


def test_a_site_that_has_run_alone_goes_on_as_one_of_several(tmp_path: Path, router: Router) -> None:
    environment = NOBODY | {"DALLA_ROUTER_URL": router.url, "DALLA_ROUTER_PASSWORD": "admin"}
    assert Ran(tmp_path, "--once", environment=environment).code == 0
    (tmp_path / "home").mkdir()
    for name in ("state.db", "logs"):
        (tmp_path / name).rename(tmp_path / "home" / name)
    (tmp_path / "config.yaml").write_text(SITES.replace("enabled: false", "skip_idle: false"), "utf-8")
    assert Ran(tmp_path, "--site", "home", "--once", environment=environment).code == 0
    rows = [path.read_text("ascii").splitlines()[1:] for path in tmp_path.glob("home/logs/*/total.csv")]
    (_, first, _, *_), (_, second, delta, *_) = (
        [int(cell) for cell in row.split(",")] for row in chain.from_iterable(rows)
    )
    assert second == first + delta


def test_a_flag_that_names_a_file_is_not_for_several_sites(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SITES, "utf-8")
    told = Ran(tmp_path, "-d", "devices", environment=PASSWORD).complaint
    assert told.startswith("the command line: archive.devices: say it in the file, below `sites:`")


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    told = Ran(tmp_path, environment=PASSWORD | {"DALLA_MQTT_QOS": "5"}).complaint
    assert told == "environment variable DALLA_MQTT_QOS: mqtt.qos: expected 0 or 1 or 2"


def test_a_path_in_a_flag_is_meant_from_the_working_directory_and_one_in_the_file_from_its_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/config.yaml").write_text("user_map_file: map.csv\n", "utf-8")
    told = Ran(tmp_path, "-C", "etc/config.yaml", environment=PASSWORD).complaint
    assert told == "etc/config.yaml line 1: user_map_file: cannot read etc/map.csv: No such file or directory"
    told = Ran(tmp_path, "-C", "etc/config.yaml", "-m", "map.csv", environment=PASSWORD).complaint
    assert told == f"the command line: user_map_file: cannot read {tmp_path}/map.csv: No such file or directory"


def test_the_command_line_of_2016_does_what_it_did(tmp_path: Path, router: Router) -> None:
    (tmp_path / "user-map.csv").write_text("Name, MAC\nAlice, 00-11-22-33-44-55\n", "utf-8")
    line = "-u admin -p admin -i 60 -d devices/ -e users/ -c total.csv -m user-map.csv --once"
    ran = Ran(tmp_path, *line.split(), environment=NOBODY | {"DALLA_ROUTER_URL": router.url})
    assert (ran.code, ran.err) == (0, "")
    header = "Time, Total Bytes, Delta, On-Peak, Off-Peak\n"
    assert len(list(tmp_path.glob("devices/??-??-??-??-??-??_192.168.*.csv"))) == 3
    for file in (*tmp_path.glob("devices/*"), *tmp_path.glob("users/*"), tmp_path / "total.csv"):
        assert file.read_text("ascii").startswith(header)
    assert {file.name for file in tmp_path.glob("users/*")} == {"Alice.csv", "UNKNOWN.csv"}


def test_realtime_only_writes_no_csv(tmp_path: Path, router: Router) -> None:
    environment = NOBODY | {"DALLA_ROUTER_URL": router.url, "DALLA_ROUTER_PASSWORD": "admin"}
    ran = Ran(tmp_path, "--realtime-only", "--once", "--log-level", "error", environment=environment)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert list(tmp_path.rglob("*.csv")) == []
    assert (tmp_path / "state.db").exists()


def test_a_router_that_does_not_answer_fails_a_single_poll(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "--once", environment=PASSWORD | NOBODY)
    assert (ran.code, ran.err) == (1, "")
    assert "ERROR" in ran.out


@pytest.mark.alone
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_as_planned(tmp_path: Path, end: signal.Signals) -> None:
    with daemon(tmp_path) as dalla:
        before = dalla.output
        dalla.process.send_signal(end)
        assert dalla.wait(2) == 0
        assert dalla.output == before


def test_a_second_instance_on_the_same_state_file_is_told_so(tmp_path: Path) -> None:
    with daemon(tmp_path):
        ran = Ran(tmp_path, environment=PASSWORD | NOBODY)
        assert (ran.code, ran.out) == (4, "")
        assert re.fullmatch(r"dalla-mqtt: [^\n]*state\.db[^\n]*\n", ran.err)
    assert Ran(tmp_path, "--once", environment=PASSWORD | NOBODY).code == 1  # nothing holds it now


def test_a_warning_about_the_settings_is_told_and_nothing_is_refused(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "--once", "-i", "10m", environment=PASSWORD | NOBODY)
    assert ran.code == 1
    assert re.search(r"WARNING router\.interval is above 300 s: .*\n", ran.out)


def test_a_password_can_be_typed_unseen(tmp_path: Path) -> None:
    with _at_a_terminal(tmp_path, clean(NOBODY), "-p", "-", "--once") as (process, keyboard):
        shown = _until(keyboard, "The router's password: ")
        os.write(keyboard, f"{CANARY}\n".encode())
        shown += _until(keyboard, "")
        assert process.wait(10) == 1  # the router does not answer: the settings were right
    assert CANARY not in shown
    assert "ERROR" in shown


def test_nothing_typed_is_a_missing_password(tmp_path: Path) -> None:
    with _at_a_terminal(tmp_path, clean(), "-p", "-") as (process, keyboard):
        _until(keyboard, "The router's password: ")
        os.write(keyboard, b"\x04")  # Ctrl-D
        assert MISSING in _until(keyboard, "")
        assert process.wait(10) == 2


@contextmanager
def _at_a_terminal(
    folder: Path, environment: dict[str, str], *words: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command in front of somebody: what they type goes to the descriptor, and what it shows comes from it."""
    keyboard, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *words],
        cwd=folder,
        env=environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        yield process, keyboard
    os.close(keyboard)


def _until(terminal: int, text: str) -> str:
    """What is shown up to `text`, or to the end."""
    shown = ""
    while not text or text not in shown:
        try:
            shown += os.read(terminal, 1000).decode()
        except OSError:  # the end, on Linux
            break
    return shown


def test_a_password_can_come_from_a_pipe(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "-p", "-", "--once", environment=NOBODY, typed=f"{CANARY}\n")
    assert (ran.code, ran.err) == (1, "")
    assert Ran(tmp_path, "-p", "-", environment=NOBODY, typed="").complaint == f"the command line: {MISSING}"


def test_a_refused_password_is_told_in_one_line_and_not_tried_again(
    tmp_path: Path, refusing: tuple[str, list[str]]
) -> None:
    url, tries = refusing
    ran = Ran(tmp_path, environment=PASSWORD | NOBODY | {"DALLA_ROUTER_URL": url})
    assert (ran.code, ran.out) == (3, "")
    assert re.fullmatch(r"dalla-mqtt: the router refused the user name or the password: [^\n]+\n", ran.err)
    assert [bool(cookie) for cookie in tries] == [True, False, False], "what follows asks for another kind of login"


def test_no_secret_is_told_however_much_is_logged(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"mqtt: {{username: dalla, password: {CANARY}}}\n", "utf-8")
    with daemon(tmp_path, DALLA_MQTT_URL="mqtt://127.0.0.1:9", DALLA_LOG_LEVEL="debug") as dalla:
        dalla.says("the broker at 127.0.0.1:9")
        assert dalla.terminate() == 0
        assert CANARY not in dalla.output
        assert "Traceback" not in dalla.output
