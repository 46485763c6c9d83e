"""The commands. Exit codes are decided here and nowhere else."""
# ruff: noqa: PLC0415  # each command imports what it needs: --version and --help answer at once on a small machine

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dalla_mqtt.errors import ConfigError, DallaError, LoginRefused
from dalla_mqtt.flags import read_flags
from dalla_mqtt.privacy import keep_to_ourselves

if TYPE_CHECKING:
    from pathlib import Path

    from dalla_mqtt.config import Config, LocalConfig

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED, EXIT_HELD = range(5)

_PATH_FLAGS = ("archive.devices", "archive.users", "archive.commune", "user_map_file")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the command has a better way to end
    try:
        options = read_flags(_with_command(words))
        keep_to_ourselves(getattr(options, "router.password", None))
        return _COMMANDS[options.command](options)
    except DallaError as error:
        from dalla_mqtt.log import printable

        if sys.stdout is not None:
            sys.stdout.flush()
        print(f"dalla-mqtt: {printable(str(error))}", file=sys.stderr)  # noqa: T201  # the one line that tells why it ends
        return _exit_code(error)
    except KeyboardInterrupt:
        return EXIT_DONE


def _exit_code(error: DallaError) -> int:
    if isinstance(error, ConfigError):
        return EXIT_USAGE
    if isinstance(error, LoginRefused):
        return EXIT_REFUSED
    from dalla_mqtt.archive.store import StateHeld

    return EXIT_HELD if isinstance(error, StateHeld) else EXIT_FAILED


def _with_command(words: list[str]) -> list[str]:
    """The 2016 way: flags alone mean `run`."""
    if words and (words[0] in ("-h", "--help", "--version") or not words[0].startswith("-")):
        return words
    return ["run", *words]


def _run(options: argparse.Namespace) -> int:
    import logging

    from msgspec.structs import replace

    from dalla_mqtt.log import SITE, set_up_logging

    configs = _configs(options)
    set_up_logging(configs[0].log)
    for config in configs:
        SITE.set(config.site if len(configs) > 1 else "")
        for warning in config.warnings:
            logging.getLogger(__name__).warning("%s", warning)
    SITE.set("")

    from dalla_mqtt.daemon import stop_on_signals  # what costs memory is loaded once the settings are right
    from dalla_mqtt.sites import Sites, opened

    if options.once or len(configs) > 1:
        told = (
            [replace(one, web=None) for one in configs] if options.once else configs
        )  # nobody reads a page so briefly
        sites = Sites(told, dry_run=options.dry_run)
        stop_on_signals(sites.stop)
        if options.once:
            return EXIT_DONE if sites.run_once() else EXIT_FAILED
        sites.run()
        return EXIT_DONE
    with opened(configs[0], dry_run=options.dry_run) as daemon:
        stop_on_signals(daemon.stop)
        daemon.run()
    return EXIT_DONE


def _summary(options: argparse.Namespace) -> int:
    from dalla_mqtt.look import run_summary

    run_summary(_local(options), options.period, options.format)
    return EXIT_DONE


def _plot(options: argparse.Namespace) -> int:
    from pathlib import Path

    from dalla_mqtt.look import Whose, run_plot

    whose: Whose | None = None
    if not options.total:
        whose = ("device", options.device) if options.user is None else ("user", options.user)
    run_plot(_local(options), whose, (options.first, options.last), Path(options.output))
    return EXIT_DONE


def _doctor(options: argparse.Namespace) -> int:
    from pathlib import Path

    from dalla_mqtt.doctor import run_doctor

    report = Path(options.report) if options.report else None
    try:
        outcome = run_doctor(_file(options), os.environ, _flags(options), report, options.site)
    except KeyboardInterrupt:
        return EXIT_FAILED  # not everything was looked at
    if outcome.refused:
        return EXIT_REFUSED
    return EXIT_FAILED if outcome.wrong else EXIT_DONE


def _health(options: argparse.Namespace) -> int:
    from pathlib import Path

    from dalla_mqtt.pulse import run_health

    well = run_health(Path(options.config) if options.config else None, os.environ)
    return EXIT_DONE if well else EXIT_FAILED


def _release(options: argparse.Namespace) -> int:
    from dalla_mqtt.release import run_release

    run_release(_config(options), dry_run=options.dry_run)
    return EXIT_DONE


def _config(options: argparse.Namespace) -> Config:
    """That of the site that is named, or of the only one."""
    from dalla_mqtt.config import load

    return load(_file(options), os.environ, _flags(options), options.site)


def _configs(options: argparse.Namespace) -> tuple[Config, ...]:
    """That of the site that is named, or those of all of them."""
    from dalla_mqtt.config import load_sites

    if options.site is not None:
        return (_config(options),)
    return load_sites(_file(options), os.environ, _flags(options))


def _file(options: argparse.Namespace) -> Path | None:
    from pathlib import Path

    return Path(options.config) if options.config else None


def _flags(options: argparse.Namespace) -> dict[str, str | bool]:
    """The settings on the command line, by key; paths as the shell's user means them, from the working directory."""
    from pathlib import Path

    flags = {
        key: value for key, value in vars(options).items() if value is not None and ("." in key or key in _PATH_FLAGS)
    }
    for key in _PATH_FLAGS:
        if flags.get(key):
            folder = str(Path.cwd())
            flags[key] = str(Path(folder.replace("%", "%%") if key.startswith("archive.") else folder) / flags[key])
    if flags.get("router.password") == "-":
        flags["router.password"] = _ask_password()
    return flags


def _ask_password() -> str:
    """Typed unseen; or the first line of standard input where that is a file or a pipe."""
    if sys.stdin is None:
        return ""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    from getpass import getpass

    try:
        return getpass("The router's password: ")
    except EOFError:
        return ""


def _demo(options: argparse.Namespace) -> int:
    from dalla_mqtt.demo import run_demo

    run_demo(options.mqtt_port, options.web_port, options.for_s)
    return EXIT_DONE


def _purge(options: argparse.Namespace) -> int:
    from dalla_mqtt.upkeep import run_purge

    run_purge(_local(options), options.older_than, dry_run=options.dry_run)
    return EXIT_DONE


def _import(options: argparse.Namespace) -> int:
    from pathlib import Path

    from dalla_mqtt.upkeep import run_import

    if not (options.folder or options.home_assistant):
        raise ConfigError("name the folder in which dalla-stats wrote its logs, or --home-assistant URL, or both")
    if options.token_file and not options.home_assistant:
        raise ConfigError("--token-file goes with --home-assistant URL")
    config = _local(options)
    if options.home_assistant is None:
        run_import(config, Path(options.folder))
        return EXIT_DONE

    from dalla_mqtt.handover import open_home_assistant, run_handover

    token_file = Path(options.token_file) if options.token_file else None
    with open_home_assistant(options.home_assistant, os.environ, token_file) as connection:
        if options.folder:
            run_import(config, Path(options.folder))
        run_handover(config, connection)
    return EXIT_DONE


def _local(options: argparse.Namespace) -> LocalConfig:
    from dalla_mqtt.config import load_local

    return load_local(_file(options), os.environ, _flags(options), options.site)


def _simulate(options: argparse.Namespace) -> int:
    from dalla_mqtt.simulate import run_simulate

    run_simulate(options)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "summary": _summary,
    "plot": _plot,
    "doctor": _doctor,
    "health": _health,
    "demo": _demo,
    "release": _release,
    "purge": _purge,
    "import": _import,
    "simulate": _simulate,
}
