"""Usage over time as a picture: the total above, and below it what was moved, on-peak and off-peak."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Literal

from dalla_mqtt.errors import ConfigError
from dalla_mqtt.log import printable
from dalla_mqtt.report.bins import Bin, By

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Form = Literal["png", "svg"]
_ON_PEAK, _OFF_PEAK, _TOTAL = "#c2571a", "#2f6db5", "#444444"  # told apart by the colour-blind, too
_PER: dict[By, str] = {"hour": "per hour", "day": "per day", "period": "per billing period"}
_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "B"))
_LOOKS = {"svg.fonttype": "none", "svg.hashsalt": "dalla-mqtt", "font.size": 10}
_ANONYMOUS = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def draw(bins: Sequence[Bin], title: str, by: By, zone: tzinfo, form: Form) -> bytes:
    """The picture of at least one bin; the same bins make the same SVG. Raises ConfigError without the extra `plot`."""
    try:
        import matplotlib as mpl  # noqa: PLC0415  # an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError("a picture is drawn by matplotlib: pip install 'dalla-mqtt[plot]'") from error
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    picture = io.BytesIO()
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a script that the font has not
        mpl.rcdefaults()
        mpl.rcParams.update(_LOOKS)
        figure = Figure(figsize=(10, 6.5), dpi=120, layout="constrained")
        figure.suptitle(printable(title), parse_math=False)
        above, below = figure.subplots(2, 1, sharex=True)
        _draw_total(above, bins)
        _draw_deltas(below, bins, by)
        _date_axis(below, bins, zone)
        figure.savefig(picture, format=form, metadata=_ANONYMOUS[form])
    return picture.getvalue()


def _draw_total(axes: Axes, bins: Sequence[Bin]) -> None:
    times = [bins[0].start, *(one.end for one in bins)]
    usage = [bins[0].usage - sum(bins[0].used), *(one.usage for one in bins)]
    size, unit = _unit(usage[-1])
    axes.plot([_days(time) for time in times], [amount / size for amount in usage], color=_TOTAL)
    axes.set_ylabel(f"Total ({unit})")
    axes.grid(alpha=0.3)


def _draw_deltas(axes: Axes, bins: Sequence[Bin], by: By) -> None:
    size, unit = _unit(max(sum(one.used) for one in bins))
    starts = [_days(one.start) for one in bins]
    widths = [_days(one.end - one.start) for one in bins]
    on_peak, off_peak = (
        [amount / size for amount in amounts] for amounts in zip(*(one.used for one in bins), strict=True)
    )
    axes.bar(starts, on_peak, widths, align="edge", color=_ON_PEAK, label="on-peak")
    axes.bar(starts, off_peak, widths, bottom=on_peak, align="edge", color=_OFF_PEAK, label="off-peak")
    axes.set_ylabel(f"Delta {_PER[by]} ({unit})")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3, axis="y")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)  # above what is drawn


def _date_axis(axes: Axes, bins: Sequence[Bin], zone: tzinfo) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415  # an extra

    locator = AutoDateLocator(tz=zone)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    axes.set_xlim(_days(bins[0].start), _days(bins[-1].end))
    axes.set_xlabel(f"Time ({datetime.fromtimestamp(bins[-1].start, zone):%Z})")


def _days(seconds: float) -> float:
    """As matplotlib counts time."""
    return seconds / 86_400


def _unit(largest: int) -> tuple[int, str]:
    return next((one for one in _UNITS if largest >= one[0]), _UNITS[-1])
