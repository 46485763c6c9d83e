"""The user map as people write it, and whose a device is."""

import io

import pytest

from dalla_mqtt.usage.people import UNKNOWN, People, check_name, edit_user_map, parse_user_map
from dalla_mqtt.usage.reading import Mac

PHONE = Mac("CB-BD-AB-90-2D-38")
LAPTOP = Mac("F8-B1-56-C1-22-11")
TV = Mac("00-25-9C-11-22-33")


def parse(text: str) -> dict[Mac, str]:
    return parse_user_map(io.StringIO(text, newline="")).macs


@pytest.mark.parametrize(
    "header", ["Name, MAC\n", "name,mac\n", "NAME , Mac\n", '"Name","MAC"\n', "\n\nName, MAC\n", ""]
)
def test_a_map_is_read_with_its_header_row_in_any_case_and_without_one(header: str) -> None:
    assert parse(f"{header}Alice, CB-BD-AB-90-2D-38\nBob, F8-B1-56-C1-22-11\n") == {PHONE: "Alice", LAPTOP: "Bob"}


@pytest.mark.parametrize("written", ["CB-BD-AB-90-2D-38", "cb:bd:ab:90:2d:38", "cbbdab902d38", ' "CB:BD:AB:90:2D:38"'])
def test_a_mac_in_the_map_may_be_written_in_any_way(written: str) -> None:
    assert parse(f"Name, MAC\nAlice, {written}\n") == {PHONE: "Alice"}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_blank_lines_and_the_line_ends_of_windows_do_no_harm(newline: str) -> None:
    lines = ["", "Name, MAC", "", "Alice, CB-BD-AB-90-2D-38", "  ", ",", "Bob,F8-B1-56-C1-22-11", ""]
    assert parse(newline.join(lines)) == {PHONE: "Alice", LAPTOP: "Bob"}


def test_a_user_may_have_many_devices_and_a_device_may_be_named_twice_for_the_same_user() -> None:
    text = "Alice, CB-BD-AB-90-2D-38\nAlice, F8-B1-56-C1-22-11\nAlice, cb:bd:ab:90:2d:38\n"
    assert parse(text) == {PHONE: "Alice", LAPTOP: "Alice"}


def test_an_empty_map_has_nobody_in_it() -> None:
    assert parse("") == {}
    assert parse("Name, MAC\n") == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Name, MAC\nAlice, CB-BD-AB-90-2D\n", "line 2: 'CB-BD-AB-90-2D' is not a MAC address"),
        ("Name, MAC\n\n\nAlice CB-BD-AB-90-2D-38\n", "line 4: expected `Name, MAC`"),
        ("Alice, CB-BD-AB-90-2D-38, phone\n", "line 1: expected `Name, MAC`"),
        ("Alice, CB-BD-AB-90-2D-38\nName, MAC\n", "line 2: 'MAC' is not a MAC address"),
        ("\n, CB-BD-AB-90-2D-38\n", "line 2: a user has no name"),
        ("Alice, CB-BD-AB-90-2D-38\nBob, cbbdab902d38\n", "line 2: CB-BD-AB-90-2D-38 belongs to Alice already"),
        ('Alice, CB-BD-AB-90-2D-38\n"Bob"by, F8-B1-56-C1-22-11\n', "line 2: ',' expected after"),
        ('Alice, CB-BD-AB-90-2D-38\n"Bob, F8-B1-56-C1-22-11\n', "line 2: unexpected end of data"),
    ],
)
def test_a_mistake_in_the_map_is_told_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}"):
        parse(text)


def test_a_map_in_another_encoding_is_not_blamed_on_a_line_of_it() -> None:
    lines = io.TextIOWrapper(io.BytesIO("Andr\xe9, CB-BD-AB-90-2D-38\n".encode("latin-1")), encoding="utf-8")
    with pytest.raises(UnicodeDecodeError):
        parse_user_map(lines)


@pytest.mark.parametrize("name", ["Alice", "José", "a/b", "..", "=1+1", "李小龍", "🐈", "x" * 60, "O'Brien, the 2nd"])
def test_a_name_is_kept_as_its_bearer_writes_it(name: str) -> None:
    assert check_name(f"  {name} ") == name
    assert parse(f'"{name}", CB-BD-AB-90-2D-38\n') == {PHONE: name}


@pytest.mark.parametrize("name", ["x" * 61, "a\nb", "a\0b", "a\x1b[31m", "a\u202eb", "a\u200bb", "a\ud800b"])
def test_a_name_that_could_not_be_shown_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no name for a user: at most 60 printable characters"):
        check_name(name)


@pytest.mark.parametrize("name", ["", "   ", "\n"])
def test_a_name_must_have_something_to_it(name: str) -> None:
    with pytest.raises(ValueError, match=r"a user has no name"):
        check_name(name)


PEOPLE = People(
    names=("Alice", "Bob"),
    macs={PHONE: "Alice"},
    patterns=(("alices-*", "Alice"), ("*-laptop", "Bob"), ("*", "Alice")),
)


def test_a_mac_in_the_map_decides_before_any_host_name() -> None:
    assert PEOPLE.owner(PHONE, "bobs-laptop") == "Alice"
    assert PEOPLE.owner(PHONE, None) == "Alice"


def test_the_first_pattern_that_fits_the_host_name_decides() -> None:
    assert PEOPLE.owner(LAPTOP, "alices-laptop") == "Alice"
    assert PEOPLE.owner(LAPTOP, "bobs-laptop") == "Bob"
    assert PEOPLE.owner(LAPTOP, "anything") == "Alice"


def test_host_names_are_compared_in_any_case() -> None:
    assert PEOPLE.owner(LAPTOP, "Bobs-LAPTOP") == "Bob"


def test_a_device_that_nobody_was_given_is_unknown() -> None:
    people = People(("Alice",), {PHONE: "Alice"}, (("alices-*", "Alice"),))
    assert people.owner(TV, None) == UNKNOWN
    assert people.owner(TV, "tv") == UNKNOWN
    assert People().owner(PHONE, "alices-phone") == UNKNOWN


def test_a_device_without_a_host_name_fits_no_pattern() -> None:
    assert PEOPLE.owner(TV, None) == UNKNOWN


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "Name, MAC\nBob, CB-BD-AB-90-2D-38\n"),
        ("Name, MAC\nAlice, cb:bd:ab:90:2d:38\n", "Name, MAC\nBob, CB-BD-AB-90-2D-38\nAlice,\n"),
        ("Bob,\r\nAlice, CBBDAB902D38", "Bob,\r\nBob, CB-BD-AB-90-2D-38\r\nAlice,\r\n"),
        (
            "Name, MAC\n\nAlice, cb:bd:ab:90:2d:38\nAlice, 020000000001\nAlice, CBBDAB902D38",
            "Name, MAC\n\nBob, CB-BD-AB-90-2D-38\nAlice, 020000000001\n",
        ),
        ("Alice,020000000001", "Alice,020000000001\nBob, CB-BD-AB-90-2D-38\n"),
        ("name, mac\r\nAlice, 020000000001\r\n", "name, mac\r\nAlice, 020000000001\r\nBob, CB-BD-AB-90-2D-38\r\n"),
    ],
)
def test_a_device_is_given_away_in_the_map_and_all_else_stays_as_it_was(before: str, after: str) -> None:
    assert edit_user_map(before, PHONE, "Bob") == after


@pytest.mark.parametrize("name", ["Alice, Bob", 'the "boss"', "=1+1", "Zoë", "name"])
def test_whatever_a_user_is_called_the_map_says_it_afterwards(name: str) -> None:
    text = edit_user_map("Name, MAC\nAlice, 02:00:00:00:00:01\n", PHONE, name)
    assert parse_user_map(text.splitlines(keepends=True)).macs[PHONE] == name


def test_a_user_whose_last_device_is_given_away_is_still_one() -> None:
    text = 'Name, MAC\n"Alice, the 1st", cb:bd:ab:90:2d:38'
    for owner in (UNKNOWN, "Bob", "Bob", "Alice, the 1st"):
        text = edit_user_map(text, PHONE, owner)
        told = parse_user_map(text.splitlines(keepends=True))
        assert told.macs == {PHONE: owner}
        assert f"{UNKNOWN},\n" not in text
        assert "Alice, the 1st" in told.names


def test_a_map_that_is_none_is_not_written_over() -> None:
    with pytest.raises(ValueError, match="line 2: 'phone' is not a MAC address"):
        edit_user_map("Name, MAC\nAlice, phone\n", PHONE, "Bob")


def test_a_device_that_is_given_away_is_its_new_owners_whatever_it_calls_itself() -> None:
    people = People(("Alice", "Bob"), {}, (("alices-*", "Alice"),))
    assert people.owner(PHONE, "alices-phone") == "Alice"
    assert people.given(PHONE, "Bob").owner(PHONE, "alices-phone") == "Bob"
    assert people.given(PHONE, UNKNOWN).owner(PHONE, "alices-phone") == UNKNOWN
