"""A cluster of each kind, started once for all tests of a module; and three households at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.brokers import Cluster, Nats, RabbitMQ
from tests.cluster.people import Site


@pytest.fixture(scope="module", params=[RabbitMQ, Nats], ids=["rabbitmq", "nats"])
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    kind: type[RabbitMQ | Nats] = request.param
    with kind(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(started: Cluster) -> Cluster:
    """All three nodes are up, whatever a test before did."""
    started.restore()
    return started


@pytest.fixture
def sites(cluster: Cluster, tmp_path: Path) -> Iterator[list[Site]]:
    """Each begins its list with another node, and is connected to it."""
    first, second, third = cluster.nodes
    orders = {"north": (first, second, third), "south": (second, third, first), "west": (third, first, second)}
    with ExitStack() as stack:
        found = [stack.enter_context(Site(tmp_path, name, nodes)) for name, nodes in orders.items()]
        for site in found:
            site.goes_on_at(site.nodes[0])
        yield found
