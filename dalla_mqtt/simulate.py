"""The simulated router alone, until it is stopped."""

from __future__ import annotations

import argparse
import signal
from typing import NoReturn

from dalla_mqtt.errors import ConfigError
from dalla_mqtt.router.simulator import Firmware, Household, Simulator


def run_simulate(options: argparse.Namespace) -> NoReturn:
    """As the command line has it. Raises ConfigError where that cannot be, and ends by an exception of a signal."""
    try:
        household = Household.of(
            options.devices,
            options.seed,
            busy=options.traffic == "busy",
            quiet=options.traffic == "quiet",
            day_s=options.day_s if options.traffic == "days" else None,
            network=options.network,
        )
        settings = dict(setting.partition("=")[::2] for setting in options.firmware)
        simulator = Simulator(
            household,
            host=options.host,
            port=options.port,
            username=options.username,
            password=options.password,
            firmware=Firmware.of({"login": options.login, "statistics": options.statistics, **settings}),
        ).start()
    except (ValueError, OSError) as error:
        raise ConfigError(f"the simulated router cannot start: {error}") from error
    with simulator:
        welcome = f"An Archer C20 answers at {simulator.url} as {options.username!r}; Ctrl-C ends it."
        print(f"{welcome}\nWhat it truly moved: {simulator.url}/simulator", flush=True)  # noqa: T201
        while True:
            signal.pause()
