"""The demonstration: the whole program against a simulated router, with a broker of its own, in a folder that goes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from dalla_mqtt.config import load
from dalla_mqtt.config.settings import LogConfig
from dalla_mqtt.daemon import Daemon, stop_on_signals
from dalla_mqtt.log import set_up_logging
from dalla_mqtt.mqtt.broker import EmbeddedBroker, free_port
from dalla_mqtt.router.simulator import Household, Simulator
from dalla_mqtt.sites import opened
from dalla_mqtt.usage.ledger import Series
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import Standing, Subject

_MQTT_PORT = 1883
_WEB_PORT = 8765
_TOKEN = "demonstration"  # noqa: S105  # for everybody to read in the welcome
_INTERVAL_S = 2
_PLAIN_INTERVAL_S = 10  # between two tables where nobody looks at a terminal

_CONFIG = """\
site: demo
router: {{url: "{router}", username: admin, password: admin, interval: {interval}s, timeout: 5s}}
mqtt: {{url: "mqtt://127.0.0.1:{port}"}}
web: {{listen: "127.0.0.1:{web_port}", token: {token}}}
archive: {{devices: logs/devices, users: logs/users, commune: logs/total.csv}}
users:
  Alice: {{hostnames: ["alices-*"], quota: 1 GB}}
  Bob: {{hostnames: ["bobs-*"], quota: 20 MB, at_quota: throttle}}
  Family: {{hostnames: ["kitchen-*", "living-room-*", "games-*"]}}
  Guests: {{hostnames: ["guest-*"]}}
"""

_WELCOME = """\
A simulated Archer C20 with ten devices of four users, asked every {interval} seconds.
Bob may use 20 MB; then the router slows his devices down.

  the page      http://127.0.0.1:{web_port}/ shows it; its token is {token}
  see it all    mosquitto_sub -h 127.0.0.1 -p {port} -v -t 'dalla/#'
  one user      mosquitto_sub -h 127.0.0.1 -p {port} -t dalla/demo/user/alice/usage
  a quota       mosquitto_sub -h 127.0.0.1 -p {port} -t dalla/demo/user/bob/quota
  CSV files     {folder}/logs, deleted at the end
  router        {router}/simulator says what it truly moved
{note}
Ctrl-C ends it."""


def run_demo(mqtt_port: int | None, web_port: int | None, for_s: float | None) -> None:
    """Run until a signal, or for `for_s` seconds, and leave nothing behind.

    The broker takes `mqtt_port`; None: 1883, or any free port where that is taken. So does the page with `web_port` and
    8765. Raises ConfigError where a port that was asked for is taken, or the extra `demo` is not installed.
    """
    set_up_logging(LogConfig(level="error"))
    console = Console(highlight=False, soft_wrap=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dalla-demo-")))
        simulator = stack.enter_context(Simulator(Household.of(devices=10, seed=1)))
        broker = stack.enter_context(
            EmbeddedBroker(_MQTT_PORT if mqtt_port is None else mqtt_port, elsewhere=mqtt_port is None)
        )
        web_at = free_port(_WEB_PORT if web_port is None else web_port, elsewhere=web_port is None)
        about = {"router": simulator.url, "port": broker.port, "web_port": web_at, "token": _TOKEN}
        file = folder / "config.yaml"
        file.write_text(_CONFIG.format(interval=_INTERVAL_S, **about), "utf-8")
        config = load(file, {}, {})
        daemon = stack.enter_context(opened(config))
        stop_on_signals(daemon.stop)
        if for_s is not None:
            timer = threading.Timer(for_s, daemon.stop)
            timer.start()
            stack.callback(timer.cancel)
        taken = f"  note          port {_MQTT_PORT} is taken, so the broker is at {broker.port}\n"
        note = taken if mqtt_port is None and broker.port != _MQTT_PORT else ""
        welcome = _WELCOME.format(interval=_INTERVAL_S, folder=folder, note=note, **about)
        console.print(welcome, markup=False)
        stack.enter_context(_Screen(console, daemon))
        daemon.run()
    console.print("Ended; nothing is left behind.")


class _Screen:
    """Shows what the daemon knows: in place on a terminal, one table below the other elsewhere."""

    def __init__(self, console: Console, daemon: Daemon) -> None:
        self._console = console
        self._daemon = daemon
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, name="screen", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _show(self) -> None:
        if not sys.stdout.isatty():
            while not self._ended.wait(_PLAIN_INTERVAL_S):
                self._console.print(_table(self._daemon))
            self._console.print(_table(self._daemon))
            return
        with Live(console=self._console, auto_refresh=False) as live:
            while not self._ended.wait(_INTERVAL_S / 4):
                live.update(_table(self._daemon), refresh=True)


def _table(daemon: Daemon) -> Table:
    ledger = daemon.ledger
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("User", min_width=7)
    for title in ("Devices", "Mbit/s", "Delta MB", "Usage MB", "On-peak", "Off-peak"):
        table.add_column(title, justify="right")
    table.add_column("Quota")
    names = [*(name for name in ledger.users if name != UNKNOWN), UNKNOWN] if ledger.users else []
    for name in names:
        owned = sum(device.user == name for device in ledger.devices.values())
        table.add_row(escape(name), str(owned), *_figures(ledger.users[name]), _quota(daemon.standings, name))
    table.add_section()
    table.add_row("Total", str(len(ledger.devices)), *_figures(ledger.total), style="bold")
    return table


def _quota(standings: Mapping[Subject, Standing], name: str) -> str:
    standing = standings.get(Subject("user", name))
    if standing is None or standing.tightest is None:
        return ""
    return f"{int(standing.tightest.used_percent)} %{' throttled' if standing.limited else ''}"


def _figures(series: Series) -> tuple[str, ...]:
    sizes = (series.delta, series.usage, series.on_peak, series.off_peak)
    return (f"{series.rate * 8 / 1e6:.2f}", *(f"{size / 1e6:.2f}" for size in sizes))
