from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.errors import BadReply
from dalla_mqtt.router.cgi import ADD, DELETE, SET, Block, Section, decode
from dalla_mqtt.router.rules import Blocking, Plan, Step, Throttling
from dalla_mqtt.usage.quota import Rate
from dalla_mqtt.usage.reading import Mac

PHONE, IP = Mac.parse("02:00:00:00:00:01"), "192.168.1.100"
NUMBER = str(int(IPv4Address(IP)))
NAME = "dalla-020000000001"
OFF = {"enable": "0", "linkType": "0", "upTotalBW": "10000", "downTotalBW": "50000"}
OURS = {
    "enable": "1",
    "startIP": NUMBER,
    "endIP": NUMBER,
    "startPort": "0",
    "endPort": "0",
    "protocol": "0",
    "precedence": "5",
    "upMinBW": "11",
    "upMaxBW": "128",
    "downMinBW": "13",
    "downMaxBW": "512",
    "flag": "1",
}
HOST = {"refCnt": "1", "type": "1", "entryName": NAME, "isParentCtrl": "0", "mac": PHONE.colons}
RULE = {
    "enable": "1",
    "action": "1",
    "ruleName": NAME,
    "isParentCtrl": "0",
    "direction": "0",
    "protocol": "3",
    "setAlready": "0",
    "internalHostRef": NAME,
    "externalHostRef": "",
    "scheduleRef": "",
}
# docs/router.md, "Adding a block rule, newer UI"; of what is left out there, what stands in the first object
SAMPLE = """[197,0,0,0,0,0]0
type=1
entryName=OPPP_Phone_ACL
mac=52:93:DF:18:97:DE
isParentCtrl=0
[170,0,0,0,0,0]1
isParentCtrl=0
ruleName=OPPP_Phone_ACL
internalHostRef=OPPP_Phone_ACL
externalHostRef=
scheduleRef=
action=1
enable=1
[error]0
"""


def rows(index: int, *values: dict[str, str]) -> tuple[Block, ...]:
    return tuple(Block(index, own, f"{170 + place},0,0,0,0,0") for place, own in enumerate(values))


def slowed(
    *rules: dict[str, str],
    wanted: dict[str, Mac] | None = None,
    settings: dict[str, str] = OFF,
    line: Rate | None = None,
    switched: dict[str, str] | None = None,
) -> Plan:
    part = Throttling({IP: PHONE} if wanted is None else wanted, Rate(512, 128), line)
    return part.plan(((Block(0, settings), *rows(1, *rules)),), (), switched)


def shut_out(
    *rules: dict[str, str],
    hosts: tuple[dict[str, str], ...] = (),
    wanted: frozenset[Mac] = frozenset({PHONE}),
    settings: dict[str, str] | None = None,
) -> Plan:
    switch = Block(1, {"enable": "1", "defaultAction": "0"} if settings is None else settings)
    return Blocking(wanted).plan(((*rows(0, *rules), switch), rows(0, *hosts)), (), None)


def asked(plan: Plan) -> list[tuple[int, str]]:
    return [(step.section.action, step.section.oid) for step in plan.steps]


def test_what_is_sent_is_what_clients_that_work_send_number_for_number() -> None:
    add, switch = slowed().steps
    assert add.section.attributes == (
        *("enable=1", f"startIP={NUMBER}", f"endIP={NUMBER}", "startPort=0", "endPort=0", "protocol=0"),
        *("precedence=5", "upMinBW=11", "upMaxBW=128", "downMinBW=13", "downMaxBW=512", "flag=1"),
    )
    assert switch.section == Section(SET, "TC", ("enable=3", "linkType=0", "upTotalBW=10000", "downTotalBW=50000"))
    host, rule, switch = shut_out(settings={"enable": "0", "defaultAction": "0"}).steps
    assert host.section == Section(ADD, "INTERNAL_HOST", ("type=1", f"entryName={NAME}", f"mac={PHONE.colons}"))
    assert set(rule.section.attributes) == {
        *(f"ruleName={NAME}", f"internalHostRef={NAME}", "externalHostRef=", "scheduleRef="),
        *("action=1", "enable=1", "direction=0", "protocol=3"),
    }
    assert switch.section == Section(SET, "FIREWALL", ("enable=1", "defaultAction=0"))


def test_a_real_rule_of_somebody_elses_is_left_alone_and_its_host_is_referred_to() -> None:
    hosts, rules = ([block.values for block in decode(SAMPLE).blocks if block.index == at] for at in (0, 1))
    phone = Mac.parse("52:93:DF:18:97:DE")
    assert shut_out(*rules, hosts=tuple(hosts), wanted=frozenset()).steps == ()
    (add,) = shut_out(*rules, hosts=tuple(hosts), wanted=frozenset({phone})).steps
    assert "internalHostRef=OPPP_Phone_ACL" in add.section.attributes


def test_what_is_ours_is_known_by_itself_and_taken_back_where_nobody_wants_it() -> None:
    assert asked(slowed(OURS, wanted={}, settings=OFF | {"enable": "3"}, switched={})) == [
        (DELETE, "TC_RULE"),
        (SET, "TC"),
    ]
    assert asked(shut_out(RULE, hosts=(HOST,), wanted=frozenset())) == [(DELETE, "RULE"), (DELETE, "INTERNAL_HOST")]
    assert shut_out(RULE, hosts=(HOST,)).steps == ()
    assert slowed(OURS, settings=OFF | {"enable": "1"}).steps == (), "whatever is not off is on"


@pytest.mark.parametrize(
    "change",
    [
        {"upMinBW": "12"},
        {"downMinBW": "0"},
        {"startPort": "80", "endPort": "80"},
        {"protocol": "6"},
        {"endIP": str(int(NUMBER) + 1)},
        {"startIP": "nonsense", "endIP": "nonsense"},
        {"startIP": "-1", "endIP": "-1"},
        {"startIP": "4294967296", "endIP": "4294967296"},
        {"startIP": "9" * 5000, "endIP": "9" * 5000},
        {"startIP": "٣", "endIP": "٣"},
        {"upMinBW": "011"},
    ],
)
def test_a_bandwidth_rule_that_differs_in_one_of_our_marks_is_somebody_elses(change: dict[str, str]) -> None:
    assert slowed(OURS | change, wanted={}, settings=OFF | {"enable": "3"}).steps == ()


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        ({"mac": "02:00:00:00:00:02"}, {}),
        ({"mac": "nonsense"}, {"internalHostRef": "else"}),
        ({"isParentCtrl": "1"}, {"isParentCtrl": "1"}),
        ({"type": "0"}, {"action": "0"}),
        ({"entryName": NAME.upper()}, {"ruleName": NAME.upper()}),
        ({"entryName": f"{NAME}0"}, {"ruleName": f"{NAME}\n"}),
        ({"entryName": "tv"}, {"internalHostRef": "another"}),
    ],
)
def test_a_host_or_rule_that_bears_our_name_and_is_not_what_we_make_is_somebody_elses(
    host: dict[str, str], rule: dict[str, str]
) -> None:
    assert shut_out(RULE | rule, hosts=(HOST | host,), wanted=frozenset()).steps == ()


@pytest.mark.parametrize(
    "change",
    [{"enable": "0"}, {"direction": "1"}, {"protocol": "1"}, {"scheduleRef": "at night"}, {"externalHostRef": "x"}],
)
def test_a_rule_of_ours_that_somebody_has_changed_is_made_anew(change: dict[str, str]) -> None:
    assert asked(shut_out(RULE | change, hosts=(HOST,))) == [(DELETE, "RULE"), (ADD, "RULE")]
    assert asked(slowed(OURS | {"enable": "0"}, settings=OFF | {"enable": "3"})) == [
        (DELETE, "TC_RULE"),
        (ADD, "TC_RULE"),
    ]


def test_firmware_that_tells_less_of_a_rule_is_believed() -> None:
    told = {name: value for name, value in RULE.items() if name not in ("direction", "protocol", "setAlready")}
    assert shut_out(told, hosts=(HOST,)).steps == ()


def test_of_two_that_are_alike_one_is_taken_back() -> None:
    assert asked(slowed(OURS, OURS, settings=OFF | {"enable": "3"})) == [(DELETE, "TC_RULE")]
    (gone,) = shut_out(RULE, RULE, hosts=(HOST,)).steps
    assert gone.section == Section(DELETE, "RULE", stack="171,0,0,0,0,0")


def test_a_rule_whose_host_has_gone_is_ours_and_made_anew() -> None:
    assert asked(shut_out(RULE)) == [(DELETE, "RULE"), (ADD, "INTERNAL_HOST"), (ADD, "RULE")]


@pytest.mark.parametrize("name", ["a\rb", "", "x" * 65, "tv\u00e9", "a/b", 'a"b'])
def test_a_host_whose_name_cannot_be_sent_is_not_referred_to(name: str) -> None:
    plan = shut_out(hosts=(HOST | {"entryName": name},))
    assert asked(plan) == [(ADD, "INTERNAL_HOST"), (ADD, "RULE")], "which the router may refuse, and says so"


@pytest.mark.parametrize(
    ("change", "spared"),
    [
        ({}, True),
        ({"startIP": "nonsense"}, False),
        ({"enable": "0"}, False),
        ({"startPort": "5060", "endPort": "5061"}, False),
        ({"startIP": str(int(NUMBER) - 5), "endIP": str(int(NUMBER) + 5)}, True),
        ({"startIP": str(int(NUMBER) + 5), "endIP": str(int(NUMBER) - 5)}, False),
    ],
)
def test_an_address_is_spared_where_a_rule_of_somebody_elses_is_for_all_that_it_moves(
    change: dict[str, str],
    spared: bool,  # noqa: FBT001
) -> None:
    plan = slowed(OURS | {"upMinBW": "1"} | change, settings=OFF | {"enable": "3"})
    assert (list(plan.spared) == [PHONE], asked(plan) == []) == (spared, spared)


def test_totals_that_the_router_does_not_tell_are_not_set() -> None:
    _, switch = slowed(settings={"enable": "0"}, line=Rate(20_000, 5000)).steps
    assert switch == Step("switch bandwidth control on", Section(SET, "TC", ("enable=3",)), before={})
    assert asked(slowed(OURS, settings={"enable": "3"}, line=Rate(20_000, 5000), switched={})) == []


@pytest.mark.parametrize(
    "settings", [{}, {"enable": "on"}, {"enable": ""}, {"enable": "1\r\n[RULE"}, OFF | {"linkType": "x"}]
)
def test_a_switch_that_makes_no_sense_spoils_the_answer(settings: dict[str, str]) -> None:
    with pytest.raises(BadReply, match="makes no sense"):
        slowed(settings=settings)


def test_an_answer_without_a_switch_or_with_two_is_spoilt() -> None:
    part = Throttling({}, Rate(512, 128), None)
    for blocks in ((), (Block(0, OFF), Block(0, OFF)), (Block(0, OFF), Block(2, {}))):
        with pytest.raises(BadReply):
            part.plan((blocks,), (), None)


def test_where_two_rows_have_the_same_number_none_is_deleted_for_the_other() -> None:
    twice = (Block(1, OURS, "170,0,0,0,0,0"), Block(1, OURS | {"upMinBW": "1"}, "170,0,0,0,0,0"))
    with pytest.raises(BadReply, match="same number"):
        Throttling({}, Rate(512, 128), None).plan(((Block(0, OFF), *twice),), (), None)
    hosts = (Block(0, HOST), Block(0, HOST | {"entryName": "tv"}))
    switch = Block(1, {"enable": "1", "defaultAction": "0"})
    with pytest.raises(BadReply, match="same number"):
        Blocking(frozenset()).plan(((switch,), hosts), (), None)


def test_what_the_router_refuses_is_told_with_its_number_and_what_to_do() -> None:
    step = Step(f"throttle {IP}", Section(ADD, "TC_RULE"), PHONE)
    assert step.refused(4849) == (
        f"the router refused to throttle {IP}: its list is full: delete some of it in the router's page [error]4849"
    )
    assert step.refused(1) == f"the router refused to throttle {IP}: [error]1"


odd = (
    st.sampled_from(["0", "1", "3", "11", "13", "", "-1", NUMBER, NAME, "x", "9" * 30, PHONE.colons, "\r", "é"])
    | st.text()
)
odd_rows = st.lists(st.dictionaries(st.sampled_from(sorted({*OURS, *HOST, *RULE})), odd), max_size=4)


@given(odd_rows, odd_rows, st.booleans())
def test_whatever_rows_there_are_nothing_is_sent_that_breaks_a_line_and_nothing_but_ours_is_deleted(
    some: list[dict[str, str]],
    more: list[dict[str, str]],
    wanted: bool,  # noqa: FBT001
) -> None:
    for plan, listed in (
        (slowed(*some, wanted=None if wanted else {}, settings=OFF | {"enable": "3"}), some),
        (shut_out(*some, hosts=tuple(more), wanted=frozenset({PHONE} if wanted else ())), [*some, *more]),
    ):
        for step in plan.steps:
            assert all(line.isprintable() and line.isascii() for line in step.section.attributes)
        deleted = sum(step.section.action == DELETE for step in plan.steps)
        marked = [
            row for row in listed if NAME in row.values() or (row.get("upMinBW"), row.get("downMinBW")) == ("11", "13")
        ]
        assert deleted <= len(marked)
