"""The router let go: every rule of ours taken back, by hand."""

from __future__ import annotations

from dalla_mqtt.archive.store import Facts, StateHeld, held
from dalla_mqtt.config import Config
from dalla_mqtt.log import say
from dalla_mqtt.router import open_router
from dalla_mqtt.usage.limits import Limits


def run_release(config: Config, *, dry_run: bool) -> None:
    """Take back what limits anybody. Raises StateHeld where a daemon would do it again, and what a poll raises."""
    if not dry_run and config.state.exists() and held(config.state):
        raise StateHeld(
            f"{config.state}: a dalla-mqtt works with this state file, and would limit again: stop it first, or let go "
            "of somebody by `limited/set` OFF"
        )
    router = open_router(config.router, Facts(config.state) if config.state.exists() else None)
    try:
        outcome = router.enforce(Limits(line=config.quotas.line), dry_run=dry_run)
    finally:
        router.leave()
    for step in outcome.steps:
        say(f"would {step}" if dry_run else step)
    todo = f"{len(outcome.steps)} things to do; nothing is done."
    say(todo if dry_run else "No rule of ours is left on the router.")
