"""What a router is to others, the simulator is, too: the clients of tplinkrouterc6u, as they come, get on with it."""

from collections.abc import Iterator

import pytest

from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.router.simulator.firmware import Login
from dalla_mqtt.usage.reading import Mac

peers = pytest.importorskip("tplinkrouterc6u")
exception = pytest.importorskip("tplinkrouterc6u.common.exception")

ALICE = Mac.parse("CB-BD-AB-90-2D-38")
CLIENTS: list[tuple[Login, str]] = [
    ("gdpr-pkcs1", "TPLinkC50Client"),
    ("gdpr", "TPLinkWR841NClient"),
    ("mr", "TPLinkMRClient"),
    ("rsa", "TPLinkMR200Client"),
]


@pytest.fixture(params=CLIENTS, ids=[name for _, name in CLIENTS])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Simulator, type]]:
    """A router, and the class that knows how to talk to it."""
    login, name = request.param
    with Simulator(Household.of(quiet=True), firmware=Firmware(login=login)) as simulator:
        yield simulator, getattr(peers, name)


def test_a_peer_logs_in_and_reads_the_statistics(pair: tuple[Simulator, type]) -> None:
    simulator, kind = pair
    simulator.add(ALICE, "192.168.1.100", 4711, packets=7)
    client = kind(simulator.url, "admin")
    client.authorize()
    _, rows = client.req_act([client.ActItem(client.ActItem.GL, "STAT_ENTRY")])
    assert (rows["macAddress"], rows["totalBytes"]) == ("CB:BD:AB:90:2D:38", "4711")
    assert simulator.truth()[ALICE].shown == 4711
    client.authorize()
    client.logout()


def test_a_peer_is_told_that_its_password_is_wrong(pair: tuple[Simulator, type]) -> None:
    simulator, kind = pair
    with pytest.raises(exception.ClientException):
        kind(simulator.url, "wrong").authorize()
    assert simulator.state()["session"] is None


def test_a_peer_with_a_wrong_password_locks_its_owner_out(pair: tuple[Simulator, type]) -> None:
    simulator, kind = pair
    for _ in range(10):
        with pytest.raises(exception.ClientException):
            kind(simulator.url, "wrong").authorize()
    with pytest.raises(exception.ClientException):
        kind(simulator.url, "admin").authorize()
    assert simulator.state()["logins"] == 0
