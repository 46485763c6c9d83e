"""What people and machines read on standard output."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dalla_mqtt.config.settings import LogConfig
from dalla_mqtt.log import Troubles, about, printable, set_up_logging, tell
from dalla_mqtt.usage.events import Event

NASTY = ["\n", "\r", "\r\n", "\x1b[2J\x1b]0;title\x07", "\x00", "\x85", "\u2028", "\u202e", "\ud800", "\t", "\x7f"]


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("dalla_mqtt")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def log(text: str, *arguments: object, level: int = logging.WARNING, name: str = "dalla_mqtt.daemon") -> None:
    logging.getLogger(name).log(level, text, *arguments)


def test_an_event_is_a_line_with_its_time_and_weight(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(LogConfig())
    log("%s answers again", "the router")
    time, line = capsys.readouterr().out.split(" WARNING ")
    assert line == "the router answers again\n"
    assert len(time) == len("2026-11-24 07:00:00,123")


@pytest.mark.parametrize("nasty", NASTY, ids=ascii)
def test_an_event_is_one_line_that_gives_no_terminal_orders(capsys: pytest.CaptureFixture[str], nasty: str) -> None:
    set_up_logging(LogConfig())
    log("a new device, %s, is here", f"phone{nasty}2026-11-24 07:00:00,000 ERROR all is lost")
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    assert out.rstrip("\n").isprintable()


def test_names_in_every_script_are_shown_as_they_are() -> None:
    assert printable("Bób 手机 📱") == "Bób 手机 📱"


@pytest.mark.parametrize("nasty", NASTY, ids=ascii)
def test_for_machines_an_event_is_one_object_of_json(capsys: pytest.CaptureFixture[str], nasty: str) -> None:
    set_up_logging(LogConfig(format="json"))
    log("a new device, %s, is here", f"phone{nasty}")
    (line,) = capsys.readouterr().out.splitlines()
    event = json.loads(line)
    assert sorted(event) == ["level", "message", "time"]
    assert event["level"] == "warning"
    assert event["message"] == f"a new device, phone{nasty}, is here"
    assert 1.7e9 < event["time"] < 1e11


def test_machines_are_told_what_a_line_is_about_and_all_figures_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    ours = logging.getLogger("dalla_mqtt.daemon")
    event = Event("quota_warning", "Alice has reached 80 %", user="Alice", used=8, quota=10, used_percent=80.0)
    for form in ("json", "text"):
        set_up_logging(LogConfig(format=form))  # type: ignore[arg-type]
        tell(ours, event)
        ours.info("polled", extra=about("poll", poll_ms=5, uptime_s=None))
    *told, first, second = capsys.readouterr().out.splitlines()
    assert [{key: value for key, value in json.loads(line).items() if key != "time"} for line in told] == [
        {
            "level": "warning",
            "message": "Alice has reached 80 %",
            "event": "quota_warning",
            "user": "Alice",
            "used": 8,
            "quota": 10,
            "used_percent": 80.0,
        },
        {"level": "info", "message": "polled", "event": "poll", "poll_ms": 5},
    ]
    assert first.endswith(" WARNING Alice has reached 80 %")
    assert second.endswith(" INFO    polled")


def test_a_trouble_is_told_when_it_begins_and_when_it_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(LogConfig(format="json"))
    troubles = Troubles(logging.getLogger("dalla_mqtt.daemon"))
    begins = [troubles.tell("router", text) for text in (None, "it is away", "it is away", "still away", None, None)]
    assert begins == [False, True, False, False, False, False]
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["what"], line["level"], line["message"]) for line in told] == [
        ("trouble", "router", "error", "it is away"),
        ("well_again", "router", "warning", "router: all is well again"),
    ]


def test_for_machines_a_fault_of_the_program_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(LogConfig(format="json"))
    _fail()
    (line,) = capsys.readouterr().out.splitlines()
    assert "ZeroDivisionError: division by zero" in json.loads(line)["traceback"]


def test_a_fault_of_the_program_is_told_with_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(LogConfig())
    _fail()
    first, *trace = capsys.readouterr().out.splitlines()
    assert first.endswith(" ERROR   it failed")
    assert trace[0].startswith("Traceback")
    assert trace[-1] == "ZeroDivisionError: division by zero"


def _fail() -> None:
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        logging.getLogger("dalla_mqtt").exception("it failed")


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("debug", ["DEBUG", "INFO", "WARNING", "ERROR"]),
        ("info", ["INFO", "WARNING", "ERROR"]),
        ("warning", ["WARNING", "ERROR"]),
        ("error", ["ERROR"]),
    ],
)
def test_a_level_leaves_out_what_is_below_it(capsys: pytest.CaptureFixture[str], level: str, told: list[str]) -> None:
    set_up_logging(LogConfig(level=level))  # type: ignore[arg-type]
    for name in ("DEBUG", "INFO", "WARNING", "ERROR"):
        log(name, level=getattr(logging, name))
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines()] == told


@pytest.mark.parametrize("level", ["debug", "info", "error"])
def test_libraries_speak_only_of_errors(capsys: pytest.CaptureFixture[str], level: str) -> None:
    set_up_logging(LogConfig(level=level))  # type: ignore[arg-type]
    for weight in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log("POST /cgi", level=weight, name="urllib3.connectionpool")
    assert capsys.readouterr().out.count("POST /cgi") == 1


def test_setting_up_twice_tells_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(LogConfig(format="json"))
    set_up_logging(LogConfig())
    log("once")
    assert capsys.readouterr().out.count("once") == 1


def test_a_name_that_the_output_cannot_show_is_spelt_out_instead_of_lost() -> None:
    program = (
        "import logging; from dalla_mqtt.config.settings import LogConfig; from dalla_mqtt.log import set_up_logging;"
        "set_up_logging(LogConfig()); logging.getLogger('dalla_mqtt').info('Zo\\xeb \\u624b')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.endswith(" Zo\\xeb \\u624b\n")
    assert ran.stderr == ""
