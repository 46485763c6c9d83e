"""What it costs to look at the page: to answer all that a browser asks, over a real socket."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import requests

from dalla_mqtt.usage.ledger import TOTAL, Key
from dalla_mqtt.usage.reading import Mac
from tests.archive.house import a_month
from tests.report.house import PATIENCE_S, Served

DEVICES = tuple((f"192.168.1.{number}", Mac.parse(f"02-00-00-00-00-{number:02X}")) for number in range(2, 52))


@pytest.mark.alone
def test_a_month_of_minutes_of_50_devices_is_told_within_300_ms(tmp_path: Path) -> None:
    """Each time all that the page needs to draw a month by the hour or by the day; the first time nothing is known."""
    with Served(tmp_path) as served, requests.Session() as browser:
        served.house.lives(31, *DEVICES, every_h=24)
        device = DEVICES[-1][1]
        for key in (TOTAL, Key("user", "UNKNOWN"), Key("device", device.dashed)):
            file = served.house.file(key)
            a_month(file, int(served.at))
            os.utime(file, (served.at, served.at))
        served.tell()
        assert len(served.json("/api/now")["device"]) == 50
        spent = {}
        for of in ("total", "user/unknown", f"device/{device.dashed.lower()}"):
            for by in ("hour&last=744", "day&last=31"):
                served.tell()
                began = time.monotonic()
                now, month = (
                    browser.get(f"{served.url}/api/{path}", timeout=PATIENCE_S)
                    for path in ("now", f"history?of={of}&by={by}")
                )
                spent[of, by] = time.monotonic() - began
                assert (now.status_code, month.status_code) == (200, 200)
                assert len(month.json()["start"]) == int(by.partition("=")[2])
        print(*(f"{of} by {by}: {1000 * seconds:.0f} ms" for (of, by), seconds in spent.items()), sep="\n")
        assert max(spent.values()) < 0.3
