"""The commands. Exit codes are decided here and nowhere else."""
# ruff: noqa: PLC0415  # each command imports what it needs: --version and --help answer at once on a small machine

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from dalla_mqtt import __version__
from dalla_mqtt.errors import ConfigError, DallaError, LoginRefused

if TYPE_CHECKING:
    from dalla_mqtt.config import Config, LocalConfig

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED, EXIT_HELD = range(5)

_EPILOG = """\
Without a command, `run` is meant: dalla-mqtt -u admin -p - -i 60 -d devices/ -e users/ -c total.csv -m user-map.csv

exit codes: 0 done or stopped, 1 failed, 2 wrong usage or configuration, 3 the router refused the password,
            4 another instance holds the state file
"""

_PATH_FLAGS = ("archive.devices", "archive.users", "archive.commune", "user_map_file")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the command has a better way to end
    try:
        options = _options(_with_command(words))
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
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


class _Parser(argparse.ArgumentParser):
    """One that complains in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def _options(words: list[str]) -> argparse.Namespace:
    """What the command line says. No error shows a word that may be a password."""
    options, unknown = _parser().parse_known_args(words)
    if not unknown:
        return options
    word = next((word for word in unknown if word.startswith("-")), "")
    flag = word.partition("=")[0] if word.startswith("--") else word[:2]
    what = f"there is no flag {flag}" if flag else "there is a word too many: put a value with blanks in quotes"
    raise ConfigError(f"{what}; see dalla-mqtt {words[0]} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "dalla-mqtt",
        description="Who used what? Counts each device's and each user's bytes on a TP-Link Archer C20, "
        "publishes them over MQTT and keeps them in CSV files.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"dalla-mqtt {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="poll, account, archive, publish, until stopped", allow_abbrev=False))
    _add_doctor(commands.add_parser("doctor", help="is everything in place? changes nothing", allow_abbrev=False))
    demo = "the same on a simulated router, with a broker of its own"
    _add_demo(commands.add_parser("demo", help=demo, allow_abbrev=False))
    release = "let everybody go whom the router limits for us"
    _add_release(commands.add_parser("release", help=release, allow_abbrev=False))
    _add_purge(commands.add_parser("purge", help="take old rows out of the CSV files", allow_abbrev=False))
    _add_import(
        commands.add_parser("import", help="bring in old logs, hand over records to Home Assistant", allow_abbrev=False)
    )
    _add_simulate(commands.add_parser("simulate", help="the simulated router alone", allow_abbrev=False))
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_polling(parser)
    add("--log-level", dest="log.level", metavar="LEVEL", help="debug, info, warning or error")
    add("--log-format", dest="log.format", metavar="FORMAT", help="text or json")
    add("--once", action="store_true", help="poll once, then exit")
    add("--dry-run", action="store_true", help="change nothing on the router: say whom it would limit, and how")
    parser.set_defaults(command=_run)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    _add_polling(parser)
    parser.add_argument("--report", metavar="FILE", help="write what was found into a new file, without secrets")
    parser.set_defaults(command=_doctor)


def _add_release(parser: argparse.ArgumentParser) -> None:
    _add_polling(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.set_defaults(command=_release)


def _add_polling(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_files(parser)
    add("-u", "--username", dest="router.username", metavar="NAME", help="the router's user name")
    add("-p", "--password", dest="router.password", metavar="PASSWORD", help="the router's password; - asks for it")
    add("-i", "--interval", dest="router.interval", metavar="TIME", help="seconds between polls, or 30s, 5m")
    add("--realtime-only", dest="archive.enabled", action="store_const", const=False, help="write no CSV files")


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-C", "--config", metavar="FILE", help="default: config.yaml, where there is one")
    add("-d", "--device-log-dir", dest="archive.devices", metavar="DIR", help="where the devices' CSV files go")
    add("-e", "--user-log-dir", dest="archive.users", metavar="DIR", help="where the users' CSV files go")
    add("-c", "--commune-log-file", dest="archive.commune", metavar="FILE", help="the CSV file of the total")
    add("-m", "--user-map-file", dest="user_map_file", metavar="FILE", help="`Name, MAC` lines: whose device is whose")


def _add_purge(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    parser.add_argument(
        "--older-than",
        type=_time("parse_age"),
        metavar="TIME",
        help="such as 400d; default: archive.keep in config.yaml",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.set_defaults(command=_purge)


def _add_import(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    add = parser.add_argument
    add("folder", nargs="?", metavar="DIR", help="where dalla-stats wrote its logs, in any of its layouts")
    add(
        "--home-assistant",
        metavar="URL",
        help="give the records of the CSV files to this Home Assistant's statistics, as often as you like; the token "
        "of an administrator is taken from DALLA_HOMEASSISTANT_TOKEN",
    )
    add("--token-file", metavar="FILE", help="or from the first line of this file")
    parser.set_defaults(command=_import)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--mqtt-port",
        type=_port,
        metavar="PORT",
        help="of the broker; default: 1883, or a free one where that is taken",
    )
    add(
        "--web-port",
        type=_port,
        metavar="PORT",
        help="of the page; default: 8765, or a free one where that is taken",
    )
    add(
        "--for",
        dest="for_s",
        type=_time("parse_duration"),
        metavar="TIME",
        help="end by itself after so long, such as 60s",
    )
    parser.set_defaults(command=_demo)


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="the address to listen on; default: 127.0.0.1")
    add("--port", type=_port, default=8081, help="default: 8081; 0 takes any free one")
    add("--devices", type=int, default=10, metavar="N", help="default: 10")
    add("--seed", type=int, default=1, help="of the traffic: the same seed moves the same bytes; default: 1")
    add(
        "--traffic",
        choices=("lively", "busy", "quiet", "days"),
        default="lively",
        help="busy: every device, all the time; days: by day and night, with guests, and phones that change their MAC",
    )
    add(
        "--day",
        dest="day_s",
        type=_time("parse_duration"),
        default=86_400.0,
        metavar="TIME",
        help="how long one of those days lasts, such as 10m; default: 24h",
    )
    add("--network", default="192.168", help="the first half of the addresses; default: 192.168")
    add("--username", default="admin")
    add("--password", default="admin")
    logins = ("cookie", "rsa", "gdpr", "gdpr-pkcs1", "mr")
    add("--login", choices=logins, default="cookie", help="how it wants its password; docs/reference.md")
    counters = ("classic", "rx-tx", "rx-tx-macs")
    add("--statistics", choices=counters, default="classic", help="whether directions are counted apart")
    add("--firmware", action="append", default=[], metavar="KEY=VALUE", help="what else is odd of it; may be repeated")
    parser.set_defaults(command=_simulate)


def _run(options: argparse.Namespace) -> int:
    import logging

    from msgspec.structs import replace

    from dalla_mqtt.log import set_up_logging

    config = _config(options)
    set_up_logging(config.log)
    for warning in config.warnings:
        logging.getLogger(__name__).warning("%s", warning)

    from dalla_mqtt.archive.store import Store  # what costs memory is loaded once the settings are right
    from dalla_mqtt.daemon import Daemon, stop_on_signals
    from dalla_mqtt.publishing import open_publisher
    from dalla_mqtt.router import open_router

    store = Store(config.state)
    try:
        told = replace(config, web=None) if options.once else config  # nobody reads a page that is gone at once
        router, publisher = open_router(config.router, store), open_publisher(told, store)
        daemon = Daemon(config, router, store, publisher, dry_run=options.dry_run)
        stop_on_signals(daemon)
        if options.once:
            return EXIT_DONE if daemon.run_once() else EXIT_FAILED
        daemon.run()
    finally:
        store.close()
    return EXIT_DONE


def _doctor(options: argparse.Namespace) -> int:
    from pathlib import Path

    from dalla_mqtt.doctor import run_doctor

    file, report = (Path(name) if name else None for name in (options.config, options.report))
    try:
        outcome = run_doctor(file, os.environ, _flags(options), report)
    except KeyboardInterrupt:
        return EXIT_FAILED  # not everything was looked at
    if outcome.refused:
        return EXIT_REFUSED
    return EXIT_FAILED if outcome.wrong else EXIT_DONE


def _release(options: argparse.Namespace) -> int:
    from dalla_mqtt.release import run_release

    run_release(_config(options), dry_run=options.dry_run)
    return EXIT_DONE


def _config(options: argparse.Namespace) -> Config:
    from pathlib import Path

    from dalla_mqtt.config import load

    return load(Path(options.config) if options.config else None, os.environ, _flags(options))


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
    from pathlib import Path

    from dalla_mqtt.config import load_local

    return load_local(Path(options.config) if options.config else None, os.environ, _flags(options))


def _simulate(options: argparse.Namespace) -> int:
    from dalla_mqtt.simulate import run_simulate

    run_simulate(options)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:  # noqa: PLR2004  # TCP's last port
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _time(parser: str) -> Callable[[str], float]:
    """What reads a time, by the function of that name in `config.values`."""

    def read(text: str) -> float:
        from dalla_mqtt.config import values

        try:
            seconds: float = getattr(values, parser)(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return seconds

    return read
