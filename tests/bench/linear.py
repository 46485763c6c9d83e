"""How much more CPU a poll of 4000 devices takes than one of 1000; four times is linear.

A line with all that is published acknowledged, and one without a broker: the median, then all that was measured.
"""

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
_WARM_UP = 1


def ratios(folder: Path, small: LargeRouter, large: LargeRouter, broker_url: str, pairs: int) -> list[float]:
    """Of polls in which every device moved; the two counts take turns."""
    with (
        closing(Ours(folder / "few", small.url, broker_url, "few")) as few,
        closing(Ours(folder / "many", large.url, broker_url, "many")) as many,
    ):
        take_turns(many.poll, few.poll, _WARM_UP)
        spent = take_turns(many.poll, few.poll, pairs)
        assert (few.devices_moved(), many.devices_moved()) == (_FEW, _MANY)
        return [one / other for one, other in spent]


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        Mosquitto(Path(name), settings=BROKER) as broker,
        LargeRouter(_FEW) as small,
        LargeRouter(_MANY) as large,
    ):
        for kind, url, pairs in (("published", broker.url, 5), ("unpublished", "off", 9)):
            found = ratios(Path(name) / kind, small, large, url, pairs)
            print(f"{kind:12}", *(f"{ratio:.2f}" for ratio in (median(found), *found)))


if __name__ == "__main__":
    main()
