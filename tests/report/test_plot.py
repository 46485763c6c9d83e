"""Pictures: PNG and SVG that any program can show."""

import io
import struct
import sys
from datetime import UTC
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest

from dalla_mqtt.errors import ConfigError
from dalla_mqtt.report.bins import Bin, By
from dalla_mqtt.report.plot import draw
from dalla_mqtt.usage.quota import Used

pytest.importorskip("matplotlib")
GB = 10**9
HOURS = [Bin(hour * 3600.0, (hour + 1) * 3600.0, Used(2 * GB, GB), 3 * GB * (hour + 1)) for hour in range(48)]
NASTY = ["$x^2", "$\\frac{", "<img src=x onerror=alert(1)>", "a & b", "\x1b[2J\n", "手机 📱", "\\"]


def texts(svg: bytes) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314  # our own


def test_a_picture_tells_its_title_its_units_and_what_the_colours_are() -> None:
    told = texts(draw(HOURS, "home: Alice", "hour", UTC, "svg"))
    assert {"home: Alice", "Total (GB)", "Delta per hour (GB)", "on-peak", "off-peak", "Time (UTC)"} <= set(told)


@pytest.mark.parametrize(
    ("by", "amount", "label"),
    [
        ("day", 5, "Delta per day (B)"),
        ("day", 0, "Delta per day (B)"),
        ("period", 5 * 10**12, "Delta per billing period (TB)"),
    ],
)
def test_units_fit_what_is_shown(by: By, amount: int, label: str) -> None:
    assert label in texts(draw([Bin(0, 86_400, Used(amount), amount)], "home", by, UTC, "svg"))


def test_the_axis_is_in_local_time() -> None:
    told = texts(draw(HOURS[:3], "home", "hour", ZoneInfo("Asia/Kolkata"), "svg"))
    assert "Time (IST)" in told
    assert "06:00" in told  # 00:30 in UTC
    assert "05:30" in told or "05:45" in told or "06:30" in told


def test_the_same_bins_make_the_same_picture() -> None:
    for form in ("svg", "png"):
        assert draw(HOURS, "home", "hour", UTC, form) == draw(HOURS, "home", "hour", UTC, form)  # type: ignore[arg-type]
    assert b"<dc:date>" not in draw(HOURS, "home", "hour", UTC, "svg")


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_a_name_stays_text_whatever_it_holds(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    svg = draw(HOURS, name, "hour", UTC, "svg")
    plain = draw(HOURS, "x", "hour", UTC, "svg")
    assert [node.tag for node in ET.fromstring(svg).iter()] == [node.tag for node in ET.fromstring(plain).iter()]  # noqa: S314
    png = io.BytesIO(draw(HOURS, name, "hour", UTC, "png")).read(24)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">II", png[16:24])) > 500
    assert capfd.readouterr() == ("", "")


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'dalla-mqtt\[plot\]'"):
        draw(HOURS, "home", "hour", UTC, "png")
