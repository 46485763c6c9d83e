from __future__ import annotations

import pytest

from dalla_mqtt.errors import BadReply
from dalla_mqtt.router.answers import reading_of, stations_of
from dalla_mqtt.router.archer_c20 import ArcherC20
from dalla_mqtt.router.cgi import Block, decode
from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.usage.reading import Mac, Row
from tests.router.test_archer_c20 import SAMPLES

SETTINGS = Block(0, {"enable": "1", "interval": "10", "action": "0"})
PHONE, LAPTOP = Mac.parse("AA:BB:CC:DD:EE:01"), Mac.parse("AA:BB:CC:DD:EE:02")


def apart(**changes: str) -> Block:
    values = {"ipAddress": "3232235876", "macAddress": PHONE.colons, "totalBytesRx": "1000", "totalBytesTx": "2000"}
    return Block(1, {key: value for key, value in (values | changes).items() if value})


def test_bytes_down_and_up_are_two_counters_without_packets() -> None:
    assert reading_of((SETTINGS, apart())).rows == (
        Row("192.168.1.100", PHONE, None, 1000, "192.168.1.100 rx"),
        Row("192.168.1.100", PHONE, None, 2000, "192.168.1.100 tx"),
    )


def test_a_table_without_addresses_is_counted_by_mac_at_the_addresses_of_the_leases() -> None:
    lease = Block(2, {"IPAddress": "192.168.1.7", "MACAddress": PHONE.colons, "hostName": "phone"})
    blocks = (SETTINGS, apart(ipAddress=""), apart(ipAddress="", macAddress=LAPTOP.colons), lease)
    assert [(row.ip, row.key) for row in reading_of(blocks).rows] == [
        ("192.168.1.7", "AA-BB-CC-DD-EE-01 rx"),
        ("192.168.1.7", "AA-BB-CC-DD-EE-01 tx"),
        ("0.0.0.0", "AA-BB-CC-DD-EE-02 rx"),  # noqa: S104
        ("0.0.0.0", "AA-BB-CC-DD-EE-02 tx"),  # noqa: S104
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"totalBytesTx": ""},
        {"totalBytesRx": ""},
        {"totalBytesRx": "-1"},
        {"macAddress": ""},
    ],
)
def test_half_a_row_spoils_the_reply(changes: dict[str, str]) -> None:
    with pytest.raises(BadReply):
        reading_of((SETTINGS, apart(**changes)))


def test_a_row_that_shows_neither_address_nor_mac_yet_waits_until_it_does() -> None:
    blocks = (SETTINGS, apart(ipAddress=""), apart(ipAddress="", macAddress="00:00:00:00:00:00"))
    assert [row.mac for row in reading_of(blocks).rows] == [PHONE, PHONE]


def test_a_full_table_of_counters_for_each_direction_has_256_devices_too() -> None:
    addresses = range(3232235777, 3232235777 + 256)
    rows = [apart(ipAddress=str(ip), macAddress=f"02:00:00:00:{ip >> 8 & 255:02X}:{ip & 255:02X}") for ip in addresses]
    assert reading_of((SETTINGS, *rows)).full
    assert not reading_of((SETTINGS, *rows[:255])).full


def test_one_row_that_lost_its_address_spoils_the_reply() -> None:
    with pytest.raises(BadReply, match="lacks 'ipAddress'"):
        reading_of((SETTINGS, apart(), apart(ipAddress="", macAddress=LAPTOP.colons)))


def test_the_known_sample_of_such_firmware_is_read() -> None:
    sample = decode((SAMPLES / "stat-rx-tx.txt").read_text("ascii").strip())
    rows = (Block(1, block.values) for block in sample.blocks)
    assert [row.bytes for row in reading_of((SETTINGS, *rows)).rows] == [1000, 2000, 100000, 50000]


def test_a_full_table_says_so() -> None:
    with Simulator(Household.of(300, busy=True)) as simulator:
        for count in range(300):
            simulator.add(Mac.parse(f"02000000{count:04X}"), f"10.0.{count // 250}.{1 + count % 250}", 900)
        reading = ArcherC20(simulator.url, "admin", "admin", 5).poll()
    assert len(reading.rows) == 256
    assert reading.full
    assert reading.sampling_s == 10


@pytest.mark.parametrize("login", ["cookie", "gdpr"])
def test_old_and_new_firmware_tell_how_a_device_is_connected(login: str) -> None:
    with Simulator(Household.of(10, quiet=True), firmware=Firmware(login=login)) as simulator:  # type: ignore[arg-type]
        links = {host.name: host.link for host in ArcherC20(simulator.url, "admin", "admin", 5).poll().hosts}
    assert links["alices-phone"] == "5 GHz"
    assert links["printer"] == (None if login == "cookie" else "wired"), "old firmware tells of its radios alone"


def test_stations_are_asked_now_and_then_and_a_refusal_costs_no_reading(caplog: pytest.LogCaptureFixture) -> None:
    with Simulator(Household.of(3, quiet=True)) as simulator:
        client = ArcherC20(simulator.url, "admin", "admin", 5)
        for _ in range(12):
            assert client.poll().hosts[0].link == "5 GHz"
        assert simulator.state()["replies"] == 12 + 12 + 2
    assert not caplog.records


def test_a_station_that_makes_no_sense_is_left_out() -> None:
    blocks = (
        Block(2, {"associatedDeviceMACAddress": "?"}),
        Block(2, {}),
        Block(3, {"associatedDeviceMACAddress": PHONE.colons}),
    )
    assert stations_of(blocks) == {PHONE: "5 GHz"}
    with pytest.raises(BadReply, match="was not asked"):
        stations_of((Block(4, {}),))
