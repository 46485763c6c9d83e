"""All figures for Prometheus, in its text format 0.0.4.

Series are told apart by `kind` and `id`, which nobody can change; names, which people do change, are in a metric of
their own to join with. So what is renamed or given away goes on in the same series.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dalla_mqtt import __version__
from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.usage.ids import device_id
from dalla_mqtt.usage.ledger import Ledger, Series
from dalla_mqtt.usage.quota import Standing
from dalla_mqtt.usage.status import RouterState, RouterStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Family(NamedTuple):
    """A metric, in the words that Prometheus is told; those of a series bear `kind` and `id`."""

    name: str
    type: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    about: str


_WHOSE = ("kind", "id")
_PART = (*_WHOSE, "part")
USAGE = Family("dalla_usage_bytes_total", "counter", _WHOSE, "bytes since it was first seen; never falls")
PERIOD = Family("dalla_period_bytes", "gauge", (*_WHOSE, "tariff"), "bytes on_peak and off_peak in this billing period")
TODAY = Family("dalla_today_bytes", "gauge", _WHOSE, "bytes today, in local time")
RATE = Family("dalla_rate_bytes_per_second", "gauge", _WHOSE, "over the last interval; only while the router answers")
NAME = Family(
    "dalla_name_info", "gauge", (*_WHOSE, "name", "user", "mac", "hostname"), "1; what it is called, and whose"
)
PRESENT = Family("dalla_device_present", "gauge", _WHOSE, "1 where the router shows the device, else 0")
LIMIT = Family("dalla_quota_limit_bytes", "gauge", _PART, "all that may be used in the window of the quota")
USED = Family("dalla_quota_used_bytes", "gauge", _PART, "what is used of it")
RATIO = Family("dalla_quota_used_ratio", "gauge", _PART, "the same as a part of the limit: 1 is all of it")
EXPECTED = Family("dalla_quota_expected_bytes", "gauge", _PART, "what will be used at the end; only where it is known")
LIMITED = Family("dalla_limited", "gauge", _WHOSE, "1 where it is throttled or blocked now, else 0")
STATE = Family("dalla_router_state", "gauge", ("state",), "1 for the state that the router is in, 0 for the others")
ROUTER = Family("dalla_router_info", "gauge", ("model", "firmware", "hardware"), "1; what the router says of itself")
UPTIME = Family("dalla_router_uptime_seconds", "gauge", (), "how long the router ran, at the last poll")
LAST_POLL = Family("dalla_last_poll_timestamp_seconds", "gauge", (), "when the last reading came")
POLL_TIME = Family("dalla_poll_duration_seconds", "gauge", (), "how long that poll took")
POLLS = Family("dalla_polls_total", "counter", (), "polls since the start of the daemon")
FAILURES = Family("dalla_poll_failures_total", "counter", (), "those of them that brought no reading")
ON_PEAK = Family("dalla_on_peak", "gauge", (), "1 in on-peak hours, 0 in off-peak hours")
BUILD = Family("dalla_build_info", "gauge", ("version",), "1; the version of dalla-mqtt")

FAMILIES = (
    *(USAGE, PERIOD, TODAY, RATE, NAME, PRESENT, LIMIT, USED, RATIO, EXPECTED, LIMITED),
    *(STATE, ROUTER, UPTIME, LAST_POLL, POLL_TIME, POLLS, FAILURES, ON_PEAK, BUILD),
)

_Sample = tuple[Family, tuple[str, ...], float]


def metrics(snapshot: Snapshot | None) -> bytes:
    """What is known; None: nothing yet, but for the version."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """See the library: the metrics of which there is something to tell."""
        families: dict[Family, CounterMetricFamily | GaugeMetricFamily] = {}
        for family, labels, value in _samples(self._snapshot):
            if family not in families:
                kind = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
                families[family] = kind(family.name, family.about, labels=family.labels)
            families[family].add_metric(labels, value)
        yield from families.values()


def _samples(snapshot: Snapshot | None) -> Iterator[_Sample]:
    yield BUILD, (__version__,), 1
    if snapshot is None:
        return
    yield from _of_router(snapshot.router)
    yield ON_PEAK, (), not snapshot.household.tariff.span_at(snapshot.at).off_peak
    for subject, standing in snapshot.standings.items():
        yield from _of_quota((subject.kind, snapshot.household.ids.of(subject)), standing)
    ledger = snapshot.ledger
    if ledger.at is not None:
        answers = snapshot.router.state == "ok"
        for whose, series in _series(ledger, snapshot):
            yield from _of_series(whose, series, answers=answers)
        yield from _names(ledger, snapshot)


def _of_router(status: RouterStatus) -> Iterator[_Sample]:
    for state in get_args(RouterState):
        yield STATE, (state,), state == status.state
    yield ROUTER, (status.model or "", status.firmware or "", status.hardware or ""), 1
    yield POLLS, (), status.polls
    yield FAILURES, (), status.failures
    if status.uptime_s is not None:
        yield UPTIME, (), status.uptime_s
    if status.last_poll is not None:
        yield LAST_POLL, (), status.last_poll
    if status.poll_ms is not None:
        yield POLL_TIME, (), status.poll_ms / 1000


def _series(ledger: Ledger, snapshot: Snapshot) -> Iterator[tuple[tuple[str, str], Series]]:
    yield ("total", "total"), ledger.total
    for name, series in ledger.users.items():
        yield ("user", snapshot.household.ids.user(name)), series
    for mac, device in ledger.devices.items():
        yield ("device", device_id(mac)), device.series


def _of_series(whose: tuple[str, str], series: Series, *, answers: bool) -> Iterator[_Sample]:
    yield USAGE, whose, series.usage
    yield PERIOD, (*whose, "on_peak"), series.on_peak
    yield PERIOD, (*whose, "off_peak"), series.off_peak
    yield TODAY, whose, series.today
    if answers:
        yield RATE, whose, series.rate


def _names(ledger: Ledger, snapshot: Snapshot) -> Iterator[_Sample]:
    yield NAME, ("total", "total", "Total", "", "", ""), 1
    for name in ledger.users:
        yield NAME, ("user", snapshot.household.ids.user(name), name, name, "", ""), 1
    for mac, device in ledger.devices.items():
        whose = "device", device_id(mac)
        yield NAME, (*whose, device.called, device.user, mac.colons, device.hostname or ""), 1
        yield PRESENT, whose, device.present
    for subject in snapshot.standings:
        if subject.kind == "pool":
            yield NAME, ("pool", snapshot.household.ids.of(subject), subject.name, "", "", ""), 1


def _of_quota(whose: tuple[str, str], standing: Standing) -> Iterator[_Sample]:
    yield LIMITED, whose, standing.limited
    for allowance in standing.allowances:
        part = (*whose, allowance.part)
        yield LIMIT, part, allowance.limit
        yield USED, part, allowance.used
        yield RATIO, part, allowance.used_percent / 100
        if allowance.expected is not None:
            yield EXPECTED, part, allowance.expected
