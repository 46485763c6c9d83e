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


@pytest.mark.parametrize(("login", "name"), CLIENTS)
def test_a_peer_counts_what_the_truth_counts_where_directions_are_apart(login: Login, name: str) -> None:
    firmware = Firmware(login=login, statistics="rx-tx")
    household = Household.of(quiet=True)
    with Simulator(household, firmware=firmware) as simulator:
        for size, device in enumerate(household.devices, start=4711):
            simulator.add(device.mac, device.ip, size, direction="up")
            simulator.add(device.mac, device.ip, 3 * size, direction="down")
        client = getattr(peers, name)(simulator.url, "admin")
        client.authorize()
        status = client.get_status()
        truth = {mac.dashed: true.moved for mac, true in simulator.truth().items()}
        assert {device.macaddr: device.traffic_usage for device in status.devices} == truth
        assert (status.wired_total, status.wifi_clients_total, status.guest_clients_total) == (4, 5, 1)
        assert (status.lan_ipv4_addr, status.wan_ipv4_addr) == ("192.168.1.1", "203.0.113.55")
        assert client.get_firmware().model == "Archer C20"
        client.logout()


def test_a_peer_that_keeps_its_connection_reads_from_a_router_that_wants_one() -> None:
    firmware = Firmware(login="gdpr", one_connection=True)
    with Simulator(Household.of(quiet=True), firmware=firmware) as simulator:
        simulator.add(ALICE, "192.168.1.100", 4711)
        client = peers.TPLinkWR841NClient(simulator.url, "admin")
        client.authorize()
        _, rows = client.req_act([client.ActItem(client.ActItem.GL, "STAT_ENTRY")])
        assert rows["totalBytes"] == "4711"


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
