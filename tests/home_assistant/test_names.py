"""Names that people and devices give: they break nothing, inject nothing, and are shown as they are."""

from __future__ import annotations

from tests.home_assistant.conftest import House
from tests.processes import wait_until

LONG = "n" * 300
OF_A_HOST, OF_A_USER, TYPED = 64, 60, 255  # characters, at most
NASTY = (
    'Alice\'s "phone" \N{PARTY POPPER}',
    "a/+/#/$SYS",
    "{{ states('sensor.time') }} {% raw %}",
    "<script>alert(1)</script>",
    "iPhone",
    "iPhone",
    LONG,
)
USERS = {  # and the parts of their ids
    "A/B": "a-b",
    "A+B": "a-b-2",
    "#": "user",
    "$SYS/+ {{ 1 / 0 }}": "sys-1-0",
    "\N{PARTY POPPER}": "user-2",
    '<b>"Bob\'s"</b>': "b-bob-s-b",
}


def strangers_move_in(house: House) -> dict[str, str]:
    """Devices with those names take the addresses of others; the names by their parts of ids."""
    names = {}
    for number, name in enumerate(NASTY):
        mac, ip = f"02:00:00:00:{number:02X}:AA", f"192.168.1.{100 + number}"
        house.router.do("move", ip=ip, mac=mac, name=name)
        house.router.do("add", mac=mac, ip=ip, bytes=1_000_000)
        names[mac.lower().replace(":", "-")] = name
    return names


def test_host_names_are_shown_as_they_are(house: House) -> None:
    house.router.do("freeze")
    names = strangers_move_in(house)
    house.run()
    house.all_is_right()
    shown = {part: house.ha.devices()[f"dalla_home_{part}"]["name"] for part in names}
    twice = [part for part, name in names.items() if name == "iPhone"]
    told = {part: f"iPhone ({part[-5:].upper().replace('-', ':')})" if part in twice else names[part] for part in names}
    assert shown == {part: name[:OF_A_HOST] for part, name in told.items()}
    states = house.ha.states()
    for part, name in names.items():
        assert states[f"text.dalla_home_{part}_name".replace("-", "_")]["state"] == name[:OF_A_HOST]


def test_users_are_shown_as_they_are_also_where_their_ids_would_be_the_same(house: House) -> None:
    house.name_users(dict.fromkeys(USERS, "printer"))
    dalla = house.run()
    house.settle(dalla)
    shown = dict.fromkeys(USERS.values(), 0)
    usage = {part: value for part, value in house.shown().items() if part in ("total", "unknown") or part[2:3] == "-"}
    printer = usage[house.part("printer")]
    house.all_is_right(usage | shown | {"a-b": printer, "unknown": usage["total"] - printer})
    names = {name: house.ha.devices()[f"dalla_home_{part}"]["name"] for name, part in USERS.items()}
    assert names == {name: name for name in USERS}
    select = house.entity("select", "games-console", "user")
    assert house.ha.states()[select]["attributes"]["options"] == [*USERS, "UNKNOWN"]
    for name in USERS:
        house.ha.use("select.select_option", select, option=name)
        wait_until(lambda: house.ha.state(select) == name, name)  # noqa: B023  # over within this turn


def test_names_that_are_typed_are_shown_as_they_are(house: House) -> None:
    house.settle(house.run())
    house.all_is_right()
    text = house.entity("text", "printer", "name")
    for typed in (*NASTY[:4], LONG[:TYPED]):
        house.ha.use("text.set_value", text, value=typed)
        wait_until(lambda: house.ha.state(text) == typed, typed)  # noqa: B023  # over within this turn
    house.broker.publish(f"dalla/home/device/{house.part('printer')}/name/set", LONG)
    refused = "event.dalla_home_router_event"
    wait_until(lambda: house.ha.states()[refused]["attributes"]["event_type"] == "command_refused", "an answer")
    house.all_is_right()
    assert house.ha.state(text) == LONG[:TYPED]
