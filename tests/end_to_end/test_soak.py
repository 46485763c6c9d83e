from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.processes import Process

SOAK = Path(__file__).parents[1] / "bench" / "soak.py"


@pytest.mark.alone
def test_memory_descriptors_and_threads_stay_as_they_are_from_poll_to_poll() -> None:
    with Process(sys.executable, str(SOAK), "--polls", "2000") as bench:  # a day and a half, with its midnights
        assert bench.wait(300) == 0, bench.output
        assert "to the byte" in bench.output
