"""MAC addresses as people, routers and file names write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.usage.reading import TABLE_ROWS, Mac, Reading, Row

PHONE = Mac("CB-BD-AB-90-2D-38")


@pytest.mark.parametrize(
    "text",
    [
        "CB-BD-AB-90-2D-38",
        "CB:BD:AB:90:2D:38",
        "CBBDAB902D38",
        "cb-bd-ab-90-2d-38",
        "cb:bd:ab:90:2d:38",
        "Cb:bD:AB:90:2d:38",
        "  cb:bd:ab:90:2d:38\t",
    ],
)
def test_a_mac_may_be_written_with_colons_dashes_or_neither_in_any_case(text: str) -> None:
    assert Mac.parse(text) == PHONE
    assert hash(Mac.parse(text)) == hash(PHONE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MAC",
        "CB-BD-AB-90-2D",
        "CB-BD-AB-90-2D-38-00",
        "CB-BD:AB-90:2D-38",
        "CBBD-AB90-2D38",
        "CB--BD-AB-90-2D-38",
        "C-BBD-AB-90-2D-38",
        "GB-BD-AB-90-2D-38",
        "CB BD AB 90 2D 38",
        "CB-BD-AB-90-2D-3\uff18",
        "CB-BD-AB-90-2D-38\nCB-BD-AB-90-2D-38",
        "-CB-BD-AB-90-2D-38",
    ],
)
def test_what_is_not_a_mac_is_refused_with_an_example_of_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a MAC address such as CB-BD-AB-90-2D-38"):
        Mac.parse(text)


def test_a_mac_is_shown_with_dashes_in_file_names_and_with_colons_to_people() -> None:
    assert str(Mac.parse("cb:bd:ab:90:2d:38")) == "CB-BD-AB-90-2D-38"
    assert Mac.parse("cb-bd-ab-90-2d-38").colons == "CB:BD:AB:90:2D:38"


@given(octets=st.binary(min_size=6, max_size=6), separator=st.sampled_from([":", "-", ""]), upper=st.booleans())
def test_every_mac_survives_being_written_and_read(*, octets: bytes, separator: str, upper: bool) -> None:
    text = separator.join(f"{octet:02x}" for octet in octets)
    mac = Mac.parse(text.upper() if upper else text)
    assert bytes.fromhex(mac.dashed.replace("-", "")) == octets
    assert Mac.parse(str(mac)) == Mac.parse(mac.colons) == mac
    assert mac.private == (octets[0] & 2 == 2)


@pytest.mark.parametrize("first", ["02", "06", "0A", "5E", "DA", "CB"])
def test_an_address_that_a_phone_made_up_is_private(first: str) -> None:
    assert Mac.parse(f"{first}-BD-AB-90-2D-38").private


@pytest.mark.parametrize("first", ["00", "01", "F8", "AC", "D0"])
def test_an_address_that_a_manufacturer_gave_is_not_private(first: str) -> None:
    assert not Mac.parse(f"{first}-B1-56-C1-22-11").private


def test_macs_are_listed_in_order() -> None:
    assert sorted([Mac("F8-00-00-00-00-00"), PHONE, Mac("00-00-00-00-00-01")])[1] == PHONE


def test_a_table_is_full_of_addresses_however_many_counters_each_has() -> None:
    once = tuple(Row(f"10.0.1.{number}", PHONE, 1, 1) for number in range(TABLE_ROWS))
    twice = tuple(
        Row("10.0.1.1", PHONE, 1, 1, f"{number} {way}") for number in range(TABLE_ROWS) for way in ("rx", "tx")
    )
    for rows, each in ((once, 1), (twice, 2)):
        assert (Reading(rows).size, Reading(rows).full) == (TABLE_ROWS, True)
        assert (Reading(rows[each:]).size, Reading(rows[each:]).full) == (TABLE_ROWS - 1, False)
