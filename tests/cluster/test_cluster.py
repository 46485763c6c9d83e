"""Many daemons at one cluster of three brokers, of which some die."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime

import pytest

from tests.cluster.brokers import Cluster
from tests.cluster.people import GOES_ON_S, Site, Subscriber
from tests.processes import wait_until


def test_a_node_killed_under_load_costs_no_usage_and_every_daemon_goes_on_at_the_next(
    cluster: Cluster, sites: list[Site]
) -> None:
    first, second, third = cluster.nodes
    with Subscriber(second, "dalla/#") as there, Subscriber(third, "dalla/#") as elsewhere:
        for site in sites:
            site.dalla.polls_again(2)
        first.kill()
        killed = time.monotonic()
        wait_until(lambda: sites[0].broker not in (None, first.address), "it to go on", GOES_ON_S)
        went_on = time.monotonic() - killed
        for site in sites:
            there.hears_again(f"dalla/{site.name}/total/usage", killed)
        told_again = time.monotonic() - killed
        obey(sites, there)
        obeyed = time.monotonic() - killed
        twice = [heard_twice(subscriber) for subscriber in (there, elsewhere)]
        first.start()
        truths = come_to_rest(sites)
        there.say("homeassistant/status", "online")
        for truth in truths:
            there.hears(truth)
            elsewhere.hears(truth)
        missed = [missed_by(subscriber, site) for site in sites for subscriber in (there, elsewhere)]
    print(f"{cluster.name}: connected after {went_on:.1f} s, all tell after {told_again:.1f} s, obey by {obeyed:.1f} s")
    print(f"{cluster.name}: records missed {missed}, messages heard twice {twice}")


def test_home_assistant_that_starts_at_any_node_is_told_everything_and_obeyed(
    cluster: Cluster, sites: list[Site]
) -> None:
    told = come_to_rest(sites)
    with ExitStack() as stack:
        everywhere = [stack.enter_context(Subscriber(node)) for node in cluster.nodes]
        began = time.monotonic()
        everywhere[2].say("homeassistant/status", "online")
        for subscriber in everywhere:
            for site, known in zip(sites, told, strict=True):
                subscriber.hears(known)
                series = [topic.removesuffix("/usage") for topic in known if topic.endswith("/usage")]
                ids = [one.removeprefix(f"dalla/{site.name}/").partition("/")[2] or "total" for one in series]
                subscriber.hears_of(f"{one}/state" for one in series)
                subscriber.hears_of(f"homeassistant/device/dalla_{site.name}_{one}/config" for one in ids)
        print(f"{cluster.name}: everything at all three nodes after {time.monotonic() - began:.1f} s")
        obey(sites, everywhere[1])


def test_a_cluster_of_which_one_node_is_left_costs_no_usage(cluster: Cluster, sites: list[Site]) -> None:
    if cluster.slow_to_return:
        pytest.skip("nodes that were killed at once wait for each other's tables, for minutes")
    first, second, _ = cluster.nodes
    for node in (first, second):
        node.kill()
    for site in sites:
        site.dalla.polls_again(5)
    back = time.monotonic()
    cluster.restore()
    with Subscriber(first, "dalla/#") as subscriber:
        for site in sites:
            subscriber.hears_again(f"dalla/{site.name}/total/usage", back)
        print(f"{cluster.name}: all tell {time.monotonic() - back:.1f} s after two nodes were started again")
        obey(sites, subscriber)
        for truth in come_to_rest(sites):
            subscriber.hears(truth)


def come_to_rest(sites: Sequence[Site]) -> list[dict[str, str]]:
    """All of them at once; what is told of each then."""
    with ThreadPoolExecutor() as pool:
        truths = list(pool.map(Site.come_to_rest, sites))
    return [truth | {f"dalla/{site.name}/status": "online"} for site, truth in zip(sites, truths, strict=True)]


def obey(sites: Sequence[Site], subscriber: Subscriber) -> None:
    """Give a command to each of `sites`, at the subscriber's node, again and again until it is obeyed.

    As with a person who presses a button: nobody keeps a command for a daemon that is not there.
    """
    for site in sites:
        device = f"dalla/{site.name}/device/{site.device}"
        name = f"named at {time.monotonic():.0f}"

        def named(device: str = device, name: str = name) -> bool:
            subscriber.say(f"{device}/name/set", name)
            time.sleep(0.5)
            state = subscriber.latest.get(f"{device}/state", "{}")
            return json.loads(state).get("name") == name

        wait_until(named, f"{device} to be {name}", GOES_ON_S)


def missed_by(subscriber: Subscriber, site: Site) -> int:
    """How many records with traffic were not told to it. Those that were are those that were stored, to the byte."""
    topic = f"dalla/{site.name}/total/state"
    states = [json.loads(heard.payload) for heard in subscriber.heard if heard.topic == topic]
    told = {
        int(datetime.fromisoformat(state["time"]).timestamp()): (state["usage"], state["delta"]) for state in states
    }
    stored = {at: (row.usage, row.delta) for at, row in site.records.items() if at >= min(told)}
    assert [at for at, figures in told.items() if stored[at] != figures] == []
    return sum(1 for at, (_, delta) in stored.items() if at not in told and delta)


def heard_twice(subscriber: Subscriber) -> int:
    """How many figures came again with the same time."""
    states = (heard for heard in subscriber.heard if heard.topic.endswith("/state"))
    times = Counter((heard.topic, json.loads(heard.payload)["time"]) for heard in states)
    return sum(often - 1 for often in times.values())
