"""A year of records makes nothing slow. Only ratios: machines differ, and this one may be busy."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median

import pytest

from dalla_mqtt.archive.store import Store
from tests.bench.year import archive, household, month_cpu_s, write_archive, write_state

pytestmark = pytest.mark.alone
ROOT = Path(__file__).parents[2]
LAST = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)

_START = """
import sys
from pathlib import Path
from dalla_mqtt.archive.store import Store
from dalla_mqtt.config import load
from dalla_mqtt.daemon import Daemon
from dalla_mqtt.publishing import open_publisher
from dalla_mqtt.usage.reading import Mac, Reading, Row

class Router:
    def poll(self):
        return Reading((Row("192.168.1.2", Mac("02-00-00-00-00-00"), 9, 900),))

    def leave(self):
        pass

config = load(Path(sys.argv[1]), {}, {})
store = Store(config.state)
daemon = Daemon(config, Router(), store, open_publisher(config, store), clock=lambda: float(sys.argv[2]))
assert daemon.run_once()
assert daemon.ledger.at == float(sys.argv[2])
store.close()
"""


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A household with a year behind it: all its files, with a record each ten minutes, and all its days."""
    folder = tmp_path_factory.mktemp("year")
    assert write_archive(folder, LAST, 600).files == 648
    write_state(folder / "state.db", LAST)
    household(folder, "http://127.0.0.1")
    return folder


def cpu_s(folder: Path) -> float:
    """CPU seconds of a start to its first reading, in which the purge looks at every file."""
    before = os.times()
    at = LAST.timestamp() + 60
    command = (sys.executable, "-c", _START, str(folder / "config.yaml"), str(at))
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_a_start_with_a_year_behind_it_does_not_read_it(year: Path, tmp_path: Path) -> None:
    ratios = []
    for number in range(7):
        household(tmp_path / str(number), "http://127.0.0.1")
        ratios.append(cpu_s(year) / cpu_s(tmp_path / str(number)))
    assert median(ratios) <= 3, ratios  # some 1.3 of a few ms; reading all of it costs a thousand times as much


def test_the_sums_of_a_month_are_not_read_out_of_its_rows(year: Path) -> None:
    ratios = []
    for _ in range(3):
        of_history, of_files = month_cpu_s(year, date(2026, 9, 1), date(2026, 9, 30))
        ratios.append(of_history / of_files)
    assert median(ratios) < 0.05, ratios


def test_the_year_is_what_a_daemon_would_have_written(year: Path) -> None:
    with closing(Store(year / "state.db")) as store:
        moved = store.moved(date(2026, 9, 1), date(2026, 9, 30))
    assert len(moved) == 54
    assert archive(year).keep == 400 * 86_400
