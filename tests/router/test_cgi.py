from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.errors import BadReply
from dalla_mqtt.router.cgi import CALL, GET, LIST, Section, decode, encode

SAMPLES = Path(__file__).parent.parent / "samples"


def sample(name: str) -> str:
    return (SAMPLES / name).read_bytes().decode()


def test_the_first_screen_is_asked_byte_for_byte_as_the_routers_own_page_does() -> None:
    query, body = encode(
        (
            Section(GET, "IGD_DEV_INFO", ("modelName", "description", "X_TP_isFD")),
            Section(GET, "ETH_SWITCH", ("numberOfVirtualPorts",)),
            Section(GET, "SYS_MODE", ("mode",)),
            Section(CALL, "/cgi/info"),
        )
    )
    assert query == "1&1&1&8"
    assert body == (SAMPLES / "first-screen.request.txt").read_bytes()


def test_a_section_without_attributes_asks_for_all_of_them() -> None:
    assert encode((Section(LIST, "STAT_ENTRY"),)) == ("5", b"[STAT_ENTRY#0,0,0,0,0,0#0,0,0,0,0,0]0,0\r\n")


def test_the_statistics_of_a_real_router_are_read() -> None:
    reply = decode(sample("stat-12-attributes.txt"))
    assert reply.error == 0
    configuration, row = reply.blocks
    assert (configuration.index, configuration.values) == (0, {"enable": "1", "interval": "10", "action": "0"})
    assert row.index == 1
    assert len(row.values) == 12
    assert row.values["totalBytes"] == "2369574771"


def test_the_script_in_a_cgi_block_is_read_for_its_plain_texts_and_passed_over_else() -> None:
    reply = decode(sample("first-screen.txt"))
    assert [block.index for block in reply.blocks] == [0, 1, 2]
    assert reply.blocks[0].values["modelName"] == "Archer C20"
    assert reply.script == {"userType": "Admin", "clientIp": "192.168.0.100", "clientMac": "AA:BB:CC:DD:EE:FF"}
    assert decode(sample("logout.txt")).blocks == ()


def test_of_script_nothing_is_believed_but_whole_statements_in_a_cgi_block_and_of_two_the_first() -> None:
    lines = (
        'var a="1";',
        'var a="2";',
        'var b="1"; x',
        ' var c="1";',
        'var d="\\"";',
        "var e=1;",
        f'var f="{"x" * 257}";',
    )
    assert decode("\n".join(("[cgi]0", *lines, "[error]0"))).script == {"a": "1"}
    assert decode('[1,0,0,0,0,0]0\nvar a="1";\n[error]0').script == {}


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_line_ends_and_blank_lines_make_no_difference(newline: str, end: str) -> None:
    text = sample("stat-12-attributes.txt")
    assert decode(text.replace("\n", newline) + end) == decode(text)


def test_a_value_may_hold_an_equals_sign() -> None:
    assert decode("[1,0,0,0,0,0]0\nhostName=a=b=\n[error]0").blocks[0].values == {"hostName": "a=b="}


def test_a_line_that_is_said_twice_alike_does_no_harm() -> None:
    assert decode("[1,0,0,0,0,0]0\nenable=1\nenable=1\n[error]0").blocks[0].values == {"enable": "1"}


def test_an_empty_list_has_no_block_and_a_refusal_has_its_number() -> None:
    assert decode("[error]0").blocks == ()
    assert decode("[error]71111").error == 71111


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "nothing at all"),
        (" \n", "nothing at all"),
        (sample("busy-500.html"), "something else than data"),
        (sample("hosts-newer.txt"), "cut short"),
        ("[1,0,0,0,0,0]0\nenable=1\n[error]0\nenable=0", "goes on after its end"),
        ("[1,0,0,0,0,0]0\nenable\n[error]0", "makes no sense: 'enable'"),
        ("[1,0,0,0,0,0]0\nenable=1\nenable=0\n[error]0", "makes no sense: 'enable=0'"),
        ("[1,0,0,0,0]0\n[error]0", "makes no sense"),
        ("[error]", "makes no sense"),
        ("[error]-1", "makes no sense"),
        ("[error]٣", "makes no sense"),
        ("[error]0 [error]0", "makes no sense"),
    ],
)
def test_what_is_not_a_whole_answer_is_thrown_away_and_the_place_is_named(text: str, what: str) -> None:
    with pytest.raises(BadReply, match="answer") as caught:
        decode(text)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_beginning_of_an_answer_passes_for_the_whole() -> None:
    text = sample("stat-12-attributes.txt")
    for length in range(len(text)):
        with pytest.raises(BadReply):
            decode(text[:length])


@given(st.text())
def test_any_text_is_an_answer_or_a_bad_reply(text: str) -> None:
    with suppress(BadReply):
        decode("[" + text)
