"""The network as the simulated router tells it, over a real socket."""

from ipaddress import IPv4Address

import pytest

from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.router.simulator.network import link
from tests.router.simulator.admin import ZEROS, Admin, Clock, values
from tests.router.simulator.caller import Caller

LEASES = f"5\r\n[LAN_HOST_ENTRY#{ZEROS}#{ZEROS}]0,0\r\n"
RADIOS = ("1,1,0,0,0,0", "1,2,0,0,0,0")


def stations(admin: Admin, radio: str) -> str:
    return admin.post("6", f"[LAN_WLAN_ASSOC_DEV#{ZEROS}#{radio}]0,0\r\n").text


def test_what_is_fixed_is_wired_and_what_is_carried_is_not() -> None:
    links = {device.name: link(device) for device in Household.of().devices}
    assert links == {
        "alices-phone": "5 GHz",
        "alices-laptop": "5 GHz",
        "bobs-phone": "5 GHz",
        "bobs-laptop": "5 GHz",
        "bobs-tv": "wired",
        "kitchen-tablet": "2.4 GHz",
        "living-room-tv": "wired",
        "games-console": "wired",
        "guest-phone": "guest 5 GHz",
        "printer": "wired",
    }


def test_newer_firmware_tells_more_of_a_lease(clock: Clock) -> None:
    household = Household.of(quiet=True)
    with Simulator(household, clock=clock, firmware=Firmware(login="rsa")) as simulator:
        caller = Caller(simulator)
        caller.enter()
        reply = caller.ask(LEASES)
    assert reply.startswith(
        "[1,0,0,0,0,0]0\nIPAddress=192.168.1.100\naddressSource=DHCP\nleaseTimeRemaining=7200\n"
        f"MACAddress={household.devices[0].mac.colons}\nhostName=alices-phone\nX_TP_ConnType=3\nactive=1\n"
    )
    assert values(reply, "X_TP_ConnType") == ["3", "3", "3", "3", "0", "1", "0", "0", "4", "0"]


@pytest.mark.parametrize(("radio", "number", "interface"), [(RADIOS[0], 1, "wlan0"), (RADIOS[1], 5, "wlan5")])
def test_old_firmware_knows_the_stations_of_a_radio_once_it_has_looked(
    quiet: Simulator, admin: Admin, radio: str, number: int, interface: str
) -> None:
    tablet = next(device for device in Household.of(quiet=True).devices if device.name == "kitchen-tablet")
    quiet.add(tablet.mac, tablet.ip, 5000, packets=9)
    assert stations(admin, radio) == "[error]0"
    assert admin.post("7", f"[ACT_WLAN_UPDATE_ASSOC#{radio}#{ZEROS}]0,0\r\n").text == "[error]0"
    reply = stations(admin, radio)
    assert len(values(reply, "associatedDeviceMACAddress")) == number
    assert set(values(reply, "X_TP_HostName")) == {interface}
    if number == 1:
        assert reply == (
            f"[1,1,1,0,0,0]0\nassociatedDeviceMACAddress={tablet.mac.colons}\n"
            "X_TP_TotalPacketsSent=5\nX_TP_TotalPacketsReceived=4\nX_TP_HostName=wlan0\n[error]0"
        )


def test_the_radios_are_told_with_their_stacks(admin: Admin) -> None:
    assert admin.ask((5, "LAN_WLAN", "name", "SSID")) == (
        "[1,1,0,0,0,0]0\nname=wlan0\nSSID=Casa-2.4G\n[1,2,0,0,0,0]0\nname=wlan5\nSSID=Casa-5G\n[error]0"
    )


def test_a_sublist_is_what_is_below_its_parent(admin: Admin) -> None:
    asked = f"[LAN_WLAN_GUESTNET#{ZEROS}#1,2,0,0,0,0]0,1\r\nname\r\n"
    assert admin.post("6", asked).text == "[1,2,1,0,0,0]0\nname=wlan6\n[error]0"


def test_a_household_of_many_has_a_wider_network(clock: Clock) -> None:
    with Simulator(Household.of(200, quiet=True), clock=clock) as simulator:
        assert values(Admin(simulator).ask((5, "LAN_IP_INTF")), "IPInterfaceSubnetMask") == ["255.255.0.0"]
        address = str(int(IPv4Address("192.168.2.1")))
        rates = dict.fromkeys(("upMinBW", "upMaxBW", "downMinBW", "downMaxBW"), "64")
        simulator.rule("TC_RULE", {"startIP": address, "endIP": address, **rates})


def test_lan_and_wan_have_addresses(admin: Admin) -> None:
    reply = admin.ask((6, "LAN_IP_INTF"), (6, "WAN_IP_CONN", "externalIPAddress", "connectionStatus"))
    assert reply == (
        "[1,1,0,0,0,0]0\nIPInterfaceIPAddress=192.168.1.1\nIPInterfaceSubnetMask=255.255.255.0\n"
        "X_TP_MACAddress=50:C7:BF:00:00:20\n"
        "[1,1,1,0,0,0]1\nconnectionStatus=Connected\nexternalIPAddress=203.0.113.55\n[error]0"
    )
