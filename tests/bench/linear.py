"""How much more CPU a poll of 4000 devices takes than one of 1000: the median, then all. Four times is linear."""

from __future__ import annotations

import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.poll import BROKER, Ours, take_turns
from tests.bench.router import LargeRouter
from tests.processes import Mosquitto

_FEW, _MANY = 1000, 4000
_WARM_UP, _PAIRS = 1, 5


def ratios(folder: Path) -> list[float]:
    """Of polls in which every device moved, with all that is published acknowledged; the two counts take turns."""
    with (
        Mosquitto(folder, settings=BROKER) as broker,
        LargeRouter(_FEW) as small,
        LargeRouter(_MANY) as large,
        closing(Ours(folder / "few", small.url, broker.url, "few")) as few,
        closing(Ours(folder / "many", large.url, broker.url, "many")) as many,
    ):
        take_turns(many.poll, few.poll, _WARM_UP)
        pairs = take_turns(many.poll, few.poll, _PAIRS)
        assert (few.devices_moved(), many.devices_moved()) == (_FEW, _MANY)
        return [one / other for one, other in pairs]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        found = ratios(Path(name))
    print(*(f"{ratio:.2f}" for ratio in (median(found), *found)))


if __name__ == "__main__":
    main()
