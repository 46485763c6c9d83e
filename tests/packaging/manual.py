"""The man page, made from the flags and settings that there are."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator
from typing import get_origin

from dalla_mqtt import __version__, flags
from dalla_mqtt.config.settings import every_setting

_DAY = "2026-11-28"  # of the last change that a reader would notice

_DESCRIPTION = """\
A household shares one metered line and a router, which forgets its counters at each reboot. \\fBdalla-mqtt\\fR asks
the router once a minute, counts what each device and each user moved, on-peak and off-peak, publishes it over MQTT,
announces it to Home Assistant, shows it on a page of its own and keeps it in CSV files. Who has used more than a quota
is told of, slowed down or shut out. The router is a TP-Link Archer C20, or another model of TP-Link that counts bytes
for each device.
.PP
Without a command, \\fBrun\\fR is meant."""

_FILES = {
    "config.yaml": "Settings, in the working directory unless \\fB\\-C\\fR names another. Paths in it are seen from "
    "its folder, those in flags from the working directory.",
    "user-map.csv": "Lines of \\(lqName, MAC\\(rq: whose device is whose. What is said in Home Assistant or on the "
    "page is kept here.",
    "state.db": "What the daemon remembers. If it is lost, the CSV files tell most of it.",
    "logs/": "CSV files of devices, users and the total, by month, and the sums of each billing period.",
}

_SECRETS = {
    "DALLA_ROUTER_PASSWORD": "the router's password",
    "DALLA_MQTT_PASSWORD": "the broker's",
    "DALLA_WEB_TOKEN": "who says it may change things on the page",
    "DALLA_HOMEASSISTANT_TOKEN": "of an administrator, for \\fBimport \\-\\-home\\-assistant\\fR",
}

_EXIT = {
    "0": "done, or stopped by SIGTERM or SIGINT",
    "1": "failed",
    "2": "wrong usage or configuration; the message names the key, the place and the mend",
    "3": "the router refused the password; it is not tried again, for ten wrong tries lock its page",
    "4": "another instance holds the state file",
}

_EXAMPLES = {
    "dalla-mqtt demo": "Try it, without a router.",
    "dalla-mqtt doctor -C /etc/dalla.yaml": "Is everything in place?",
    "DALLA_ROUTER_PASSWORD=\\[u2026] dalla-mqtt -i 30": "Run with config.yaml in this folder, asking twice a minute.",
    "dalla-mqtt summary --period last": "Who used what in the billing period before this one?",
    "dalla-mqtt -u admin -p - -i 60 -d devices/ -e users/ -c total.csv -m user-map.csv": "The way of dalla-stats.",
}


def manual() -> str:
    """Its text, for man(1)."""
    return "".join(f"{line}\n" for block in _lines() for text in block.split("\n") for line in _wrapped(text))


def _lines() -> Iterator[str]:
    commands = _commands()
    yield '.\\" Made by WRITE_DOCS=1 pytest tests/packaging/test_manual.py. Do not edit.'
    yield f'.TH DALLA-MQTT 1 {_DAY} "dalla-mqtt {__version__}" "User Commands"'
    yield from (".SH NAME", "dalla-mqtt \\- who used what on a shared line, over MQTT", ".SH SYNOPSIS")
    for name, (parser, _) in commands.items():
        usage = " ".join(parser.format_usage().removeprefix("usage: ").replace(" [-h]", "").split())
        shown = usage.replace(f"dalla-mqtt {name}", "", 1).strip()
        yield from (f".B dalla\\-mqtt {name}", _escaped(shown), ".br")
    yield from (".B dalla\\-mqtt \\-\\-version", ".SH DESCRIPTION", _DESCRIPTION, ".SH COMMANDS")
    told: dict[str, str] = {}
    for name, (parser, about) in commands.items():
        yield from (
            f".SS {name}",
            _escaped(_sentence(about)),
            ".PP",
            _escaped(str(parser.description)),
        )
        yield from _options(parser, told, name)
    yield from _environment()
    yield from (".SH FILES", *_terms(_FILES, "I"), ".SH EXIT STATUS", *_terms(_EXIT, "B"), ".SH EXAMPLES")
    for command, about in _EXAMPLES.items():
        yield from (".TP", f".B {command.replace('-', chr(92) + '-')}", _escaped(about))
    yield from (".SH SEE ALSO", ".BR mosquitto_sub (1),", ".BR mosquitto (8)")


def _commands() -> dict[str, tuple[argparse.ArgumentParser, str]]:
    """Each command's parser, and what the list of commands says of it."""
    found = next(action for action in flags._parser()._actions if isinstance(action, argparse._SubParsersAction))
    abouts = {choice.dest: str(choice.help) for choice in found._choices_actions}
    return {name: (parser, abouts[name]) for name, parser in found.choices.items()}


def _options(parser: argparse.ArgumentParser, told: dict[str, str], command: str) -> Iterator[str]:
    """Each of a command; `told`: those that were explained already, by text, and of which command."""
    as_before: dict[str, list[str]] = {}
    for action in parser._actions:
        if action.dest == "help":
            continue
        entry = _entry(action)
        if entry in told:
            as_before.setdefault(told[entry], []).append(action.option_strings[0])
        else:
            told[entry] = command
            yield entry
    for other, names in as_before.items():
        shown = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in names)
        yield from (".PP", f"As for \\fB{other}\\fR: {shown}.")


def _entry(action: argparse.Action) -> str:
    metavar = action.metavar or (f"{{{','.join(action.choices)}}}" if action.choices else "")
    value = f" \\fI{_escaped(str(metavar or action.dest.upper()))}\\fR" if action.nargs != 0 else ""
    names = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in action.option_strings)
    return "\n".join((".TP", f"{names}{value}".strip(), _escaped(f"{action.help}."))).replace("?.", "?")


def _environment() -> Iterator[str]:
    yield ".SH ENVIRONMENT"
    yield (
        "Each setting of config.yaml but the lists of users, quotas and pools has a variable, which counts more than "
        "the file, and less than a flag. An empty one is none."
    )
    yield from (".PP", "Secrets:")
    yield from _terms(_SECRETS, "B")
    variables = [(f"DALLA_{key}".replace(".", "_").upper(), kind) for key, kind in every_setting()]
    named = [name for name, kind in variables if get_origin(kind) is not dict and name not in _SECRETS]
    yield from (".PP", "All others:", ".PP", ".nh")
    yield ", ".join(named) + "."
    yield from (".hy", ".PP", "\\fBTZ\\fR is the time zone where tariff.timezone names none.")


def _sentence(text: str) -> str:
    return re.sub(r"(?:^|(?<=\? ))[a-z]", lambda letter: letter[0].upper(), text) + "."


def _terms(terms: dict[str, str], font: str) -> Iterator[str]:
    for term, about in terms.items():
        yield from (".TP", f".{font} {term}", f"{about}.".replace("..", "."))


def _wrapped(text: str) -> list[str]:
    """A line of text as several, none of which looks like an order; an order stays as it is."""
    if text.startswith("."):
        return [text]
    lines = textwrap.wrap(text, 78, break_long_words=False, break_on_hyphens=False)
    return [re.sub(r"^(?=[.'])", r"\\&", line) for line in lines]


def _escaped(text: str) -> str:
    """As roff shows it unchanged."""
    return text.replace("\\", "\\e").replace("-", "\\-").replace("…", "\\[u2026]")
