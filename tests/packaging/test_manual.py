"""The man page and the help: all that there is, and as it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dalla_mqtt import flags
from dalla_mqtt.cli import _COMMANDS
from tests.packaging.manual import _commands, manual

PAGE = Path(__file__).parents[2] / "docs" / "dalla-mqtt.1"


def test_the_man_page_tells_every_command_flag_and_variable_as_they_are() -> None:
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(manual(), "utf-8")
    assert PAGE.read_text("utf-8") == manual(), "WRITE_DOCS=1 python -m pytest tests/packaging/test_manual.py"


def test_it_can_be_shown_without_a_complaint() -> None:
    assert shutil.which("mandoc"), "mandoc is not installed: sh scripts/test installs it"
    ran = subprocess.run(["mandoc", "-Tlint", "-Wstyle", str(PAGE)], capture_output=True, text=True, check=False)
    assert ran.stdout == ""
    shown = subprocess.run(
        ["mandoc", "-Tascii", "-Owidth=80", str(PAGE)], capture_output=True, text=True, check=True
    ).stdout
    plain = re.sub(".\b", "", shown)
    for name, (parser, _) in _commands().items():
        assert f"\n   {name}\n" in plain
        for action in parser._actions:
            assert all(option in plain for option in action.option_strings if action.dest != "help")


@pytest.mark.parametrize("name", _COMMANDS)
def test_the_help_of_each_command_explains_it_and_each_of_its_flags(name: str) -> None:
    parser, about = _commands()[name]
    assert about
    assert str(parser.description).endswith(".")
    for action in parser._actions:
        assert action.help, action.option_strings


def test_exit_codes_are_the_same_in_help_and_man_page() -> None:
    text = PAGE.read_text("utf-8").partition(".SH EXIT STATUS")[2].partition(".SH")[0]
    said = re.findall(r"^\.B (\d)$", text, re.MULTILINE)
    assert said == [code for code in "01234" if f" {code} " in flags._EPILOG]
