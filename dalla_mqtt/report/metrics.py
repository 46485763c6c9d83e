"""All figures for Prometheus, in its text format 0.0.4.

Series are told apart by `kind` and `id`, which nobody can change; names, which people do change, are in a metric of
their own to join with. So what is renamed or given away goes on in the same series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dalla_mqtt import __version__
from dalla_mqtt.report.snapshot import Snapshot
from dalla_mqtt.usage.ids import device_id
from dalla_mqtt.usage.ledger import Series
from dalla_mqtt.usage.quota import Allowance
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

_Sample = tuple[tuple[str, ...], float]


def metrics(snapshot: Snapshot | None) -> bytes:
    """What is known; None: nothing yet, but for the version."""
    known = [] if snapshot is None else [((), snapshot)]
    return b"".join(_texts((), known))


def metrics_of_all(snapshots: Mapping[str, Snapshot | None]) -> Iterator[bytes]:
    """The same of all sites by name, which is a label of its own: piece by piece, because it may be long."""
    return _texts(("site",), [((name,), known) for name, known in snapshots.items() if known is not None])


def _texts(labels: tuple[str, ...], sites: Sequence[tuple[tuple[str, ...], Snapshot]]) -> Iterator[bytes]:
    """Each metric of which there is something to tell. `labels` are those that tell the sites apart."""
    yield _text(BUILD, (), [((__version__,), 1)])
    for family, samples in _SAMPLES.items():
        yield _text(family, labels, (((*own, *more), value) for own, known in sites for more, value in samples(known)))


def _text(family: Family, labels: tuple[str, ...], samples: Iterable[_Sample]) -> bytes:
    kind = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.about, labels=(*labels, *family.labels))
    for values, value in samples:
        metric.add_metric(values, value)
    if not metric.samples:
        return b""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(metric))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        """See the library."""
        yield self._metric


def _series(known: Snapshot) -> Iterator[tuple[tuple[str, str], Series]]:
    ledger = known.ledger
    if ledger.at is None:
        return
    yield ("total", "total"), ledger.total
    for name, series in ledger.users.items():
        yield ("user", known.household.ids.user(name)), series
    for mac, device in ledger.devices.items():
        yield ("device", device_id(mac)), device.series


def _period(known: Snapshot) -> Iterator[_Sample]:
    for whose, series in _series(known):
        yield (*whose, "on_peak"), series.on_peak
        yield (*whose, "off_peak"), series.off_peak


def _names(known: Snapshot) -> Iterator[_Sample]:
    ledger, ids = known.ledger, known.household.ids
    if ledger.at is None:
        return
    yield ("total", "total", "Total", "", "", ""), 1
    for name in ledger.users:
        yield ("user", ids.user(name), name, name, "", ""), 1
    for mac, device in ledger.devices.items():
        yield ("device", device_id(mac), device.called, device.user, mac.colons, device.hostname or ""), 1
    for subject in known.standings:
        if subject.kind == "pool":
            yield ("pool", ids.of(subject), subject.name, "", "", ""), 1


def _parts(value: Callable[[Allowance], float | None]) -> Callable[[Snapshot], Iterator[_Sample]]:
    def samples(known: Snapshot) -> Iterator[_Sample]:
        for subject, standing in known.standings.items():
            for allowance in standing.allowances:
                if (told := value(allowance)) is not None:
                    yield (subject.kind, known.household.ids.of(subject), allowance.part), told

    return samples


def _present(known: Snapshot) -> Iterator[_Sample]:
    if known.ledger.at is not None:
        for mac, device in known.ledger.devices.items():
            yield ("device", device_id(mac)), device.present


def _limited(known: Snapshot) -> Iterator[_Sample]:
    for subject, standing in known.standings.items():
        yield (subject.kind, known.household.ids.of(subject)), standing.limited


def _rates(known: Snapshot) -> Iterator[_Sample]:
    return ((whose, series.rate) for whose, series in _series(known) if known.router.state == "ok")


def _states(known: Snapshot) -> Iterator[_Sample]:
    return (((state,), state == known.router.state) for state in get_args(RouterState))


def _of_router(value: Callable[[RouterStatus], float | None]) -> Callable[[Snapshot], Iterator[_Sample]]:
    return lambda known: (((), told) for told in (value(known.router),) if told is not None)


_SAMPLES: Mapping[Family, Callable[[Snapshot], Iterator[_Sample]]] = {
    USAGE: lambda known: ((whose, series.usage) for whose, series in _series(known)),
    PERIOD: _period,
    TODAY: lambda known: ((whose, series.today) for whose, series in _series(known)),
    RATE: _rates,
    NAME: _names,
    PRESENT: _present,
    LIMIT: _parts(lambda allowance: allowance.limit),
    USED: _parts(lambda allowance: allowance.used),
    RATIO: _parts(lambda allowance: allowance.used_percent / 100),
    EXPECTED: _parts(lambda allowance: allowance.expected),
    LIMITED: _limited,
    STATE: _states,
    ROUTER: lambda known: iter(
        [((known.router.model or "", known.router.firmware or "", known.router.hardware or ""), 1)]
    ),
    UPTIME: _of_router(lambda router: router.uptime_s),
    LAST_POLL: _of_router(lambda router: router.last_poll),
    POLL_TIME: _of_router(lambda router: None if router.poll_ms is None else router.poll_ms / 1000),
    POLLS: _of_router(lambda router: router.polls),
    FAILURES: _of_router(lambda router: router.failures),
    ON_PEAK: lambda known: iter([((), not known.household.tariff.span_at(known.at).off_peak)]),
}
FAMILIES = (*_SAMPLES, BUILD)
