"""Is everything in place? One line for each check, with what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec import Struct

from dalla_mqtt.config import Config, LogConfig, settings_file
from dalla_mqtt.config.sites import Sites, build_all
from dalla_mqtt.doctor.broker import examine_broker, last_word
from dalla_mqtt.doctor.findings import Finding, counted
from dalla_mqtt.doctor.machine import examine_machine, state_held
from dalla_mqtt.doctor.report import check_place, report_head, report_text, write_report
from dalla_mqtt.doctor.router import RouterExam, read_word
from dalla_mqtt.doctor.veil import Veil
from dalla_mqtt.log import printable, say, set_up_logging

_COLOURS = {"ok": 32, "hint": 33, "wrong": 31, "...": 2}  # green, yellow, red, faint: ECMA-48, SGR
_ABOUT = 15  # one more than the letters of the longest word a line is about
_INDENT = 5 + 2 + _ABOUT + 1
_NARROW = 40  # columns; with fewer a line is left to the terminal


class Outcome(Struct, frozen=True):
    """`wrong`: how many things are; `refused`: whether a router refused the password."""

    wrong: int
    refused: bool


def run_doctor(
    file: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, Any],
    report: Path | None,
    site: str | None = None,
) -> Outcome:
    """Look at everything, of `site` or of all, and say so line by line; nothing is changed. Raises ConfigError."""
    if report is not None:
        check_place(report)
    sites = Sites(file, environment, flags)
    builders = list(sites.all()) if site is None else [sites.one(site)]
    configs = build_all(builders)
    set_up_logging(LogConfig(level="error"))
    screen, at = _Screen(), time.time()
    findings: list[Finding] = []
    refused, text = False, report_head(at)
    for number, (config, builder) in enumerate(zip(configs, builders, strict=True), 1):
        if len(configs) > 1:
            screen.head(config.site)
            text += f"\nSite {number} of {len(configs)}\n"
        found, router = _examine(config, file, builder.settings.tariff.timezone, screen)
        findings += found
        refused |= router.refused
        veil = Veil(config, settings_file(file), environment, router.reading, at)
        text += report_text(builder.settings, found, router.reading, veil)
    screen.end(findings)
    if report is not None:
        write_report(report, text)
        say(f"The report is in {report}: read it before you send it.")
    return Outcome(sum(finding.verdict == "wrong" for finding in findings), refused)


def _examine(
    config: Config, file: Path | None, timezone: str | None, screen: _Screen
) -> tuple[list[Finding], RouterExam]:
    """What is found at one site, shown as it is found."""
    held = state_held(config)
    router = RouterExam(config, read_word(last_word(config)) if held else None, screen.wait)
    findings = []
    for finding in chain(
        examine_machine(config, settings_file(file), timezone, time.time()),
        router.findings(),
        examine_broker(config, held=held),
    ):
        screen.show(finding)
        findings.append(finding)
    return findings, router


class _Screen:
    """Writes to standard output; in colours, and folded to its width, where that is a terminal."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        self._columns = shutil.get_terminal_size().columns if terminal else 0
        self._colours = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def head(self, site: str) -> None:
        """What follows is about that site."""
        print(f"\nSite {site}", flush=True)  # noqa: T201  # what was asked for

    def show(self, finding: Finding) -> None:
        """One line; on a terminal what to do stands below what is wrong."""
        parts = [finding.text, f"-> {finding.mend}"] if finding.mend else [finding.text]
        self._write(finding.verdict, finding.about, parts)

    def wait(self, text: str) -> None:
        """Say why nothing is seen for a while."""
        self._write("...", "", [text])

    def end(self, findings: list[Finding]) -> None:
        """The sum of it."""
        verdicts = [finding.verdict for finding in findings]
        mended, hints = verdicts.count("wrong"), verdicts.count("hint")
        told = [f"{counted(mended, 'thing')} to mend" if mended else "All is well"]
        told += [counted(hints, "hint")] if hints else []
        print(f"\n{', '.join(told)}.", flush=True)  # noqa: T201  # what was asked for

    def _write(self, word: str, about: str, parts: list[str]) -> None:
        parts = [printable(part) for part in parts]
        width = self._columns - _INDENT
        if width >= _NARROW:
            lines = [line for part in parts for line in textwrap.wrap(part, width, break_on_hyphens=False)]
            text = f"\n{' ' * _INDENT}".join(lines)
        else:
            text = " ".join(parts)
        shown = f"\x1b[{_COLOURS[word]}m{word:5}\x1b[0m" if self._colours else f"{word:5}"
        print(f"{shown}  {about:{_ABOUT}} {text}", flush=True)  # noqa: T201  # what was asked for
