"""What stands above and below a summary, whatever it is shown in."""

from __future__ import annotations

from collections.abc import Iterator

from dalla_mqtt.report.days import Moment, day_said, is_period, said
from dalla_mqtt.report.summary import Summary
from dalla_mqtt.usage.quota import Standing, Used, action_of
from dalla_mqtt.usage.words import DONE

MOVED_OVER = "change of owner"  # the row of what a user has elsewhere
UNCLAIMED = "nobody's any more"
TOTAL = "Total"


def title(summary: Summary, moment: Moment) -> str:
    """`home: 1 to 30 November 2026, billing period`."""
    kind = ", billing period" if is_period(summary.window, moment.tariff) else ""
    return f"{moment.site}: {said(summary.window)}{kind}"


def reach(summary: Summary, moment: Moment) -> str | None:
    """How much of those days is on record, where it is not all of it; that there is none."""
    known = moment.known(summary.window)
    if moment.recorded is None or moment.at is None:
        return "Nothing is on record yet."
    if known is None:
        return f"Nothing is on record of that time: records are of {said(moment.recorded)}."
    parts = []
    if known.first > summary.window.first:
        parts.append(f"from {day_said(known.first)}")
    if summary.window.last >= moment.recorded.last:
        parts.append(f"up to {day_said(moment.recorded.last)}, {moment.tariff.local(moment.at):%H:%M}")
    return f"On record {' '.join(parts)}." if parts else None


def notes(summary: Summary) -> Iterator[str]:
    """How it stands with each quota, in whole sentences."""
    for quoted in summary.quotas:
        limited = f" Now {DONE[action_of(quoted.standing.at_quota)]}." if quoted.standing.limited else ""
        yield f"{quoted.standing.text}{limited}"


def percent(standing: Standing) -> int | None:
    """How much of the tightest part of a quota is used, rounded down: 100 is all of it."""
    return int(standing.tightest.used_percent) if standing.tightest else None


def is_there(used: Used) -> bool:
    """Whether there is anything to tell of."""
    return used != Used()
