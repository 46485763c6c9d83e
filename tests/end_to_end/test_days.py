"""Days and nights of a household that pass fast: phones change their MAC, a guest comes and goes, no byte is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.processes import wait_until

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Home


@pytest.mark.router("--traffic", "days", "--day", "6s")
def test_after_some_days_the_archive_says_what_moved_to_the_byte(home: Home) -> None:
    with home.run(DALLA_ROUTER_INTERVAL="1s") as dalla:
        wait_until(lambda: len(home.router.state["truth"]) >= 10 + 2 * 3, "three MACs made up by each of two phones")
        truth = home.settle(dalla)
        assert dalla.terminate() == 0
    shown = {mac: figures["shown"] for mac, figures in truth.items() if figures["shown"]}
    last = home.rows("total.csv")[-1]
    assert last[1] == sum(shown.values())
    assert {mac: usage(home, mac) for mac in shown} == shown
    assert sum(row[2] for row in home.rows("total.csv")) == last[1] - sum(true["baseline"] for true in truth.values())
    guest = [mac for mac in shown if len(list(home.folder.glob(f"devices/{mac.replace(':', '-')}_*"))) > 1]
    assert len(guest) == 1, "who came back had another address"


def usage(home: Home, mac: str) -> int:
    """What a device's files say of it, under whichever addresses it had."""
    files = (home.folder / "devices").glob(f"{mac.replace(':', '-')}_*.csv")
    return max(home.rows(f"devices/{file.name}")[-1][1] for file in files)
