"""The flags of each command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

from dalla_mqtt import __version__
from dalla_mqtt.errors import ConfigError

_EPILOG = """\
Without a command, `run` is meant: dalla-mqtt -u admin -p - -i 60 -d devices/ -e users/ -c total.csv -m user-map.csv

exit codes: 0 done or stopped, 1 failed, 2 wrong usage or configuration, 3 the router refused the password,
            4 another instance holds the state file
"""


def read_flags(words: list[str]) -> argparse.Namespace:
    """What the command line says. Raises ConfigError; no error shows a word that may be a password."""
    options, unknown = _parser().parse_known_args(words)
    if not unknown:
        return options
    word = next((word for word in unknown if word.startswith("-")), "")
    flag = word.partition("=")[0] if word.startswith("--") else word[:2]
    what = f"there is no flag {flag}" if flag else "there is a word too many: put a value with blanks in quotes"
    raise ConfigError(f"{what}; see dalla-mqtt {words[0]} --help")


class _Parser(argparse.ArgumentParser):
    """One that complains in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


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
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    for name, add, about in _COMMANDS:
        add(commands.add_parser(name, help=about, description=_DETAILS[name], allow_abbrev=False))
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_polling(parser)
    add(
        "--log-level",
        dest="log.level",
        metavar="LEVEL",
        help="how much is told: debug, info, warning or error; default: info",
    )
    add("--log-format", dest="log.format", metavar="FORMAT", help="how: text (default) or json")
    add("--once", action="store_true", help="poll once, then exit")
    add("--dry-run", action="store_true", help="change nothing on the router: say whom it would limit, and how")


def _add_summary(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    add = parser.add_argument
    add(
        "--period",
        default="this",
        metavar="DAYS",
        help="this (default) or last billing period, today, yesterday, 2026-11-24, the period that begins in 2026-11, "
        "2026-11-01..2026-11-15",
    )
    add("--format", choices=("text", "json", "csv", "html"), default="text", help="how they are told; default: text")


def _add_plot(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--total", action="store_true", help="all of it")
    whose.add_argument("--user", metavar="NAME", help="what was booked to a user")
    whose.add_argument("--device", metavar="MAC|NAME", help="what a device moved")
    add = parser.add_argument
    add("--from", dest="first", metavar="DAY", help="such as 2026-11-01; default: that of this billing period")
    add("--to", dest="last", metavar="DAY", help="the last day; default: today")
    add("-o", "--output", required=True, metavar="FILE", help="FILE.png or FILE.svg, which is overwritten")


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    _add_polling(parser)
    parser.add_argument("--report", metavar="FILE", help="write what was found into a new file, without secrets")


def _add_health(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-C", "--config", metavar="FILE", help="the settings; default: config.yaml, where there is one")


def _add_release(parser: argparse.ArgumentParser) -> None:
    _add_polling(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _add_polling(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_files(parser)
    add("-u", "--username", dest="router.username", metavar="NAME", help="the router's user name; default: admin")
    add(
        "-p",
        "--password",
        dest="router.password",
        metavar="PASSWORD",
        help="the router's password; - asks for it. Any list of processes shows what stands here: better "
        "DALLA_ROUTER_PASSWORD, or router.password_file in config.yaml",
    )
    add(
        "-i",
        "--interval",
        dest="router.interval",
        metavar="TIME",
        help="seconds between polls, or 30s, 5m; default: 60s",
    )
    add("--realtime-only", dest="archive.enabled", action="store_const", const=False, help="write no CSV files")


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-C", "--config", metavar="FILE", help="the settings; default: config.yaml, where there is one")
    add("--site", metavar="NAME", help="which of the sites in it is meant; run and doctor take them all without it")
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


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--host", metavar="ADDRESS", default="127.0.0.1", help="the address to listen on; default: 127.0.0.1")
    add("--port", type=_port, default=8081, metavar="PORT", help="default: 8081; 0 takes any free one")
    add("--devices", type=int, default=10, metavar="N", help="how many there are; default: 10")
    add(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="of the traffic: the same seed moves the same bytes; default: 1",
    )
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
    add("--network", default="192.168", metavar="PART", help="the first half of the addresses; default: 192.168")
    add("--username", default="admin", metavar="NAME", help="whom it lets in; default: admin")
    add("--password", default="admin", help="with which password; default: admin")
    logins = ("cookie", "rsa", "gdpr", "gdpr-pkcs1", "mr")
    add("--login", choices=logins, default="cookie", help="how it wants its password; docs/reference.md")
    counters = ("classic", "rx-tx", "rx-tx-macs")
    add("--statistics", choices=counters, default="classic", help="whether directions are counted apart")
    add("--firmware", action="append", default=[], metavar="KEY=VALUE", help="what else is odd of it; may be repeated")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:  # noqa: PLR2004  # TCP's last port
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _time(parser: str) -> Callable[[str], float]:
    """What reads a time, by the function of that name in `config.values`."""

    def read(text: str) -> float:
        from dalla_mqtt.config import values  # noqa: PLC0415  # --version and --help answer at once on a small machine

        try:
            seconds: float = getattr(values, parser)(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return seconds

    return read


_COMMANDS = (
    ("run", _add_run, "poll, account, archive, publish, until stopped"),
    ("summary", _add_summary, "who used what: now, or in any time that is on record"),
    ("plot", _add_plot, "draw usage over time, as PNG or SVG"),
    ("doctor", _add_doctor, "is everything in place? changes nothing"),
    ("health", _add_health, "is the daemon well? for what restarts it"),
    ("demo", _add_demo, "the same on a simulated router, with a broker of its own"),
    ("release", _add_release, "let everybody go whom the router limits for us"),
    ("purge", _add_purge, "take old rows out of the CSV files"),
    ("import", _add_import, "bring in old logs, hand over records to Home Assistant"),
    ("simulate", _add_simulate, "the simulated router alone"),
)

_DETAILS = {
    "run": "Asks the router once an interval, and tells the broker, the page and the CSV files, until SIGTERM or "
    "Ctrl-C. Flags count more than DALLA_<SECTION>_<KEY> in the environment, which counts more than config.yaml.",
    "summary": "Users and their devices, ranked by what they used in any days that are on record. Also while the "
    "daemon runs.",
    "plot": "Draws a total and its deltas over time. Also while the daemon runs. Needs the extra `plot`.",
    "doctor": "Looks at this machine, the router and the broker: one line for each check, with what to do about it. "
    "The router is asked twice, ten seconds apart. Also while the daemon runs.",
    "health": "Asks the page of a daemon that runs with these settings. Exit code 0: all is well; 1: it is not.",
    "demo": "The whole program on a simulated router with ten devices, with a broker and the page. Nothing is left "
    "behind. Needs the extra `demo`.",
    "release": "Takes every rule of dalla-mqtt off the router, and nothing else. Stop the daemon first.",
    "purge": "Takes old rows out; the sums of each billing period stay in summary.csv. Also while the daemon runs.",
    "import": "Brings in the logs of dalla-stats; or gives what is on record to Home Assistant's long-term statistics, "
    "also while the daemon runs, for which the extra `history` is needed. Doing it again changes nothing.",
    "simulate": "An Archer C20 to try things on, with traffic, and faults on demand; GET /simulator says what it truly "
    "moved.",
}
