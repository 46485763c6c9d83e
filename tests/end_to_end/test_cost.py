"""What a poll costs, as far as that can be told on any machine: by how much it grows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.processes import Process

LINEAR = Path(__file__).parents[1] / "bench" / "linear.py"


@pytest.mark.alone
def test_a_poll_of_4000_devices_costs_at_most_5_times_one_of_1000_published_or_not() -> None:
    with Process(sys.executable, str(LINEAR)) as bench:
        assert bench.wait(120) == 0, bench.output
    medians = {kind: float(ratio) for kind, ratio, *_ in map(str.split, bench.output.splitlines())}
    assert medians.keys() == {"published", "unpublished"}
    assert max(medians.values()) <= 5, bench.output
