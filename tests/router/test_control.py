from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Self

import msgspec
import pytest

from dalla_mqtt.errors import AdminBusy, BadReply, LimitRefused, RouterUnreachable
from dalla_mqtt.router.answers import NO_MAC
from dalla_mqtt.router.simulator import Simulator
from dalla_mqtt.usage.limits import Limits
from dalla_mqtt.usage.quota import Rate
from dalla_mqtt.usage.reading import Mac
from tests.bad_line import whole
from tests.processes import PATIENCE_S
from tests.router.rules_at import (
    CONSOLE,
    DEVICES,
    LAPTOP,
    NOTHING,
    PHONE,
    TABLET,
    TELEVISION,
    Between,
    Kept,
    driver,
    house,
    in_force,
    kept_by,
    limits,
    owners_host,
    owners_rate,
    owners_rule,
)

SLOW, SLOWER = (512, 128), (64, 32)
ROUTER_IP, ROUTER_MAC = "192.168.1.1", Mac.parse("50:C7:BF:00:00:20")
Asks = Callable[[bytes], bytes]


def refusing(
    error: bytes, *oids: bytes, actions: bytes = b" ", asked: list[bytes] | None = None
) -> Callable[[bytes, Asks], bytes]:
    """Answers so whatever is asked about one of `oids` by one of `actions`."""

    def takes(request: bytes, ask: Asks) -> bytes:
        line = request.partition(b"\r\n")[0]
        if actions in line and any(oid in request for oid in oids) and b"logout" not in request:
            if asked is not None:
                asked.append(request)
            return whole(error)
        return ask(request)

    return takes


@pytest.mark.parametrize("login", ["cookie", "rsa", "gdpr"])
@pytest.mark.parametrize("renumbers", [False, True])
def test_who_is_to_be_limited_is_and_nobody_else_and_in_the_end_all_is_as_it_was(
    login: str,
    renumbers: bool,  # noqa: FBT001
) -> None:
    with house(login=login, renumbers=renumbers, ipv6=True) as router:
        before, control = kept_by(router), driver(router, Kept())
        done = control.enforce(limits(f"{PHONE} {LAPTOP}", TABLET))
        assert in_force(router) == ({PHONE: SLOW, LAPTOP: SLOW}, {TABLET}, {TABLET})
        assert done.steps[0] == f"throttle {PHONE} ({DEVICES[PHONE].colons}) to 512/128 kbit/s"
        assert f"block {DEVICES[TABLET].colons}" in done.steps
        control.enforce(limits(f"{LAPTOP} {CONSOLE}", f"{PHONE} {TELEVISION}", Rate(*SLOWER)))
        assert in_force(router) == ({LAPTOP: SLOWER, CONSOLE: SLOWER}, {PHONE, TELEVISION}, {PHONE, TELEVISION})
        assert control.enforce(NOTHING).steps
        assert kept_by(router) == before
        assert router.state()["session"] is None


def test_where_all_is_in_place_the_router_is_only_read() -> None:
    with house(ipv6=True) as router:
        control = driver(router)
        assert control.enforce(NOTHING).steps == ()
        wanted = limits(PHONE, TABLET)
        control.enforce(wanted)
        before = router.state()["tc"], router.state()["firewall"]
        assert control.enforce(wanted).steps == ()
        assert (router.state()["tc"], router.state()["firewall"]) == before, "down to the numbers of the rows"


def test_a_dry_run_tells_the_very_steps_and_takes_none() -> None:
    with house(ipv6=True) as router:
        control, before = driver(router), kept_by(router)
        for wanted in (limits(f"{PHONE} {LAPTOP}", TABLET), limits(PHONE, LAPTOP, Rate(*SLOWER)), NOTHING):
            told = control.enforce(wanted, dry_run=True).steps
            assert kept_by(router) == before
            assert control.enforce(wanted).steps == told
            before = kept_by(router)


def test_a_device_that_moves_to_another_address_is_throttled_there_and_its_old_address_is_let_go() -> None:
    with house() as router:
        control = driver(router)
        control.enforce(limits(PHONE))
        moved = control.enforce(Limits({"192.168.1.77": DEVICES[PHONE]}))
        assert in_force(router)[0] == {}
        assert moved.steps[0] == f"let {PHONE} go"
        assert [rule["startIP"] for rule in kept_by(router)["tc"]["rules"]] == ["3232235853"]


# Rules of others


def owners_household(router: Simulator) -> None:
    """Rules of all kinds that somebody made, all in force."""
    router.rule("TC", {"enable": "3"})
    router.rule("TC_RULE", owners_rate(TELEVISION, upMinBW="11"))
    router.rule("TC_RULE", owners_rate("192.168.1.200", "192.168.1.210", upMinBW="11", downMinBW="13"))
    router.rule("FIREWALL", {"enable": "1"})
    router.rule("INTERNAL_HOST", owners_host("the television", DEVICES[TELEVISION]))
    router.rule("INTERNAL_HOST", owners_host("dalla-000000000001", DEVICES[CONSOLE]))
    router.rule("RULE", owners_rule("no television", "the television"))
    router.rule("RULE", owners_rule("dalla-000000000001", "dalla-000000000001"))


def test_rules_of_others_stay_as_they_are_down_to_the_byte_whatever_comes_and_goes() -> None:
    with house() as router:
        owners_household(router)
        before = kept_by(router)
        control = driver(router, Kept())
        for _ in range(2):
            control.enforce(limits(PHONE, LAPTOP))
            assert in_force(router) == ({PHONE: SLOW, TELEVISION: (3000, 900)}, {LAPTOP, TELEVISION, CONSOLE}, set())
            control.enforce(NOTHING)
            assert kept_by(router) == before


def test_an_address_that_a_rule_of_somebody_elses_is_for_is_spared_and_the_others_are_throttled() -> None:
    with house() as router:
        owners_household(router)
        done = driver(router).enforce(limits(f"{TELEVISION} {PHONE}"))
        assert list(done.spared) == [DEVICES[TELEVISION]]
        assert f"somebody else's is for {TELEVISION}: delete" in done.spared[DEVICES[TELEVISION]]
        assert in_force(router)[0] == {PHONE: SLOW, TELEVISION: (3000, 900)}


def test_an_address_that_the_router_refuses_to_throttle_is_named_and_the_others_are_throttled() -> None:
    with house() as router:
        router.rule("TC_RULE", owners_rate(TELEVISION, enable="0"))
        with pytest.raises(LimitRefused, match=rf"throttle {TELEVISION} .*somebody else.* \[error\]4802"):
            driver(router).enforce(limits(f"{TELEVISION} {PHONE}", LAPTOP))
        assert in_force(router) == ({PHONE: SLOW}, {LAPTOP}, set())


@pytest.mark.parametrize(
    ("rules", "wanted", "why"),
    [
        ({"TC_RULE": owners_rate(TELEVISION)}, limits(PHONE), "bandwidth control is off.*switch it on"),
        (
            {"INTERNAL_HOST": owners_host("tv", DEVICES[TELEVISION]), "RULE": owners_rule("no tv", "tv")},
            limits("", PHONE),
            "the firewall is off.*switch it on",
        ),
        ({"FIREWALL": {"defaultAction": "1"}}, limits("", PHONE), "deny all that no rule allows"),
        ({"FIREWALL": {"enable": "1", "defaultAction": "1"}}, limits("", PHONE), "deny all that no rule allows"),
    ],
)
def test_what_would_bring_more_into_force_than_we_want_is_refused_and_nothing_is_changed(
    rules: dict[str, dict[str, str]], wanted: Limits, why: str
) -> None:
    with house() as router:
        for oid, values in rules.items():
            router.rule(oid, values)
        before = kept_by(router)
        with pytest.raises(LimitRefused, match=why):
            driver(router).enforce(wanted)
        assert kept_by(router) == before
        driver(router).enforce(NOTHING)
        assert kept_by(router) == before


def test_rules_of_others_that_are_switched_off_are_no_reason_not_to_limit() -> None:
    with house() as router:
        router.rule("TC_RULE", owners_rate(TELEVISION, enable="0"))
        before = kept_by(router)
        control = driver(router, Kept())
        control.enforce(limits(PHONE))
        assert in_force(router)[0] == {PHONE: SLOW}
        control.enforce(NOTHING)
        assert kept_by(router) == before


def test_a_device_that_its_owner_has_on_the_list_already_is_blocked_by_that_name_which_stays() -> None:
    with house() as router:
        router.rule("INTERNAL_HOST", owners_host("Alice's tablet", DEVICES[TABLET]))
        before = kept_by(router)
        control = driver(router, Kept())
        control.enforce(limits("", TABLET))
        assert in_force(router)[1] == {TABLET}
        assert control.enforce(limits("", TABLET)).steps == ()
        control.enforce(NOTHING)
        assert kept_by(router) == before


def test_a_host_of_ours_that_a_rule_of_the_owners_needs_stays() -> None:
    with house() as router:
        control = driver(router, Kept())
        control.enforce(limits("", TABLET))
        ours = kept_by(router)["firewall"]["hosts"][0]["entryName"]
        router.rule("RULE", owners_rule("at night", ours, direction="1"))
        control.enforce(NOTHING)
        firewall = kept_by(router)["firewall"]
        assert [rule["ruleName"] for rule in firewall["rules"]] == ["at night"]
        assert [host["entryName"] for host in firewall["hosts"]] == [ours]
        assert firewall["enable"] == "1", "the owner's rule needs it"


# Switches


def test_what_the_line_can_do_is_told_while_we_limit_and_what_was_told_before_comes_back() -> None:
    with house() as router:
        memory, before = Kept(), kept_by(router)
        done = driver(router, memory).enforce(limits(PHONE, line=Rate(20_000, 5000)))
        assert done.steps[-1] == "switch bandwidth control on for a line of 20000/5000 kbit/s"
        assert totals(router) == ("20000", "5000")
        driver(router, memory).enforce(limits(PHONE, line=Rate(30_000, 6000)))
        assert totals(router) == ("30000", "6000")
        driver(router, memory).enforce(limits(PHONE))
        assert totals(router) == ("30000", "6000")
        driver(router, memory).enforce(NOTHING)
        assert kept_by(router) == before


def test_what_the_whole_line_is_held_down_to_is_told_where_nobody_says_what_it_can_do() -> None:
    with house() as router:
        step = "switch bandwidth control on for a line of 50000/10000 kbit/s"
        assert driver(router).enforce(limits(PHONE), dry_run=True).steps[-1] == step
        assert driver(router).enforce(limits(PHONE)).steps[-1] == step


def totals(router: Simulator) -> tuple[str, str]:
    tc = kept_by(router)["tc"]
    return tc["downTotalBW"], tc["upTotalBW"]


def test_what_the_owner_has_switched_on_stays_on_with_the_owners_totals() -> None:
    with house() as router:
        router.rule("TC", {"enable": "3"})
        router.rule("FIREWALL", {"enable": "1"})
        before = kept_by(router)
        memory = Kept()
        driver(router, memory).enforce(limits(PHONE, TABLET, line=Rate(20_000, 5000)))
        assert totals(router) == ("50000", "10000")
        driver(router, memory).enforce(NOTHING)
        assert kept_by(router) == before
        assert memory == {}


def test_a_switch_that_others_rely_on_by_now_stays_on_and_that_is_told_once() -> None:
    with house() as router:
        memory = Kept()
        driver(router, memory).enforce(limits(PHONE))
        router.rule("TC_RULE", owners_rate(TELEVISION))
        told = [driver(router, memory).enforce(NOTHING).steps[-1:] for _ in range(2)]
        assert in_force(router)[0] == {TELEVISION: (3000, 900)}
        assert told == [("leave bandwidth control on: rules of somebody else's need it",), ()]


@pytest.mark.parametrize("memory", [None, Kept()])
def test_where_it_is_forgotten_who_switched_it_on_it_stays_on_and_that_is_told_once(
    memory: Kept | None,
) -> None:
    with house() as router:
        driver(router, memory).enforce(limits(PHONE))
        told = [driver(router).enforce(NOTHING).steps[-1:] for _ in range(2)]
        assert kept_by(router)["tc"]["enable"] == "3"
        assert kept_by(router)["tc"]["rules"] == []
        assert told == [("leave bandwidth control on: it may have been on before there were limits",), ()]


@pytest.mark.parametrize("text", ["{", '{"TC": 1}', '{"TC": {"upTotalBW": "1\\r\\nx"}}'])
def test_a_memory_that_makes_no_sense_is_none(text: str) -> None:
    with house() as router:
        memory = Kept({f"router.switched {router.url}": text})
        driver(router, memory).enforce(limits(PHONE))
        driver(router, memory).enforce(NOTHING)
        assert kept_by(router)["tc"]["enable"] == "0"


def test_what_cannot_be_kept_is_known_for_as_long_as_the_program_runs(caplog: pytest.LogCaptureFixture) -> None:
    with house() as router:
        before, memory = kept_by(router), Kept()
        memory.full = True
        control = driver(router, memory)
        control.enforce(limits(PHONE))
        assert "cannot be kept that TC was switched on" in caplog.text
        control.enforce(NOTHING)
        assert kept_by(router) == before


# Ourselves, and the router


@pytest.mark.parametrize("login", ["cookie", "rsa", "gdpr"])
def test_neither_this_machine_nor_the_router_is_limited_and_the_others_are(login: str) -> None:
    with house(login=login) as router:
        router.here(PHONE)
        wanted = limits(f"{PHONE} {LAPTOP}", f"{PHONE} {TABLET}")
        wanted.throttled[ROUTER_IP] = Mac.parse("02:00:00:00:00:77")
        done = driver(router).enforce(Limits(wanted.throttled, wanted.blocked | {ROUTER_MAC}))
        assert in_force(router) == ({LAPTOP: SLOW}, {TABLET}, set())
        assert done.spared == {
            DEVICES[PHONE]: f"{DEVICES[PHONE].colons} is not limited: it is the machine that this program runs on",
            Mac.parse("02:00:00:00:00:77"): "02:00:00:00:00:77 is not limited: it is the router",
            ROUTER_MAC: f"{ROUTER_MAC.colons} is not limited: it is the router",
        }


def test_this_machine_is_known_by_its_lease_and_the_router_by_its_connection_where_the_router_does_not_say() -> None:
    """The lease of the one address that both ends of the line have here."""
    with house() as router:

        def answers(request: bytes, ask: Asks) -> bytes:
            if b"/cgi/info" in request or b"[LAN_IP_INTF#" in request:
                return whole(b"[error]71241")
            body = ask(request).partition(b"\r\n\r\n")[2]
            return whole(body.replace(b"IPAddress=%s\n" % PHONE.encode(), b"IPAddress=127.0.0.1\n"))

        with Between(router, answers) as line:
            done = line.driver().enforce(limits(f"{PHONE} {LAPTOP}", PHONE))
        assert list(done.spared) == [DEVICES[PHONE]]
        assert in_force(router) == ({LAPTOP: SLOW}, set(), set())


def test_no_interface_of_this_machine_is_blocked() -> None:
    files = Path("/sys/class/net").glob("*/address")
    macs = {Mac.parse(text) for file in files if len(text := file.read_text().strip()) == 17} - {NO_MAC}
    if not macs:
        pytest.skip("this machine has no network but its own")
    with house() as router:
        done = driver(router).enforce(Limits(blocked=frozenset(macs)))
        assert done.spared.keys() == macs
        assert kept_by(router)["firewall"]["hosts"] == []


@pytest.mark.parametrize("address", ["0.0.0.0", "", "192.168.1", "fe80::1", "192.168.1.100\r\nx=1"])  # noqa: S104  # no server's
def test_an_address_that_is_none_is_told_and_not_sent(address: str) -> None:
    with house() as router:
        done = driver(router).enforce(Limits({address: DEVICES[PHONE], LAPTOP: DEVICES[LAPTOP]}))
        assert done.spared == {
            DEVICES[PHONE]: f"{DEVICES[PHONE].colons} is not limited: the router does not tell its address"
        }
        assert in_force(router)[0] == {LAPTOP: SLOW}


# What a router may not have, or not do


def test_a_router_with_no_such_rules_is_left_alone_and_says_so_where_somebody_is_to_be_limited() -> None:
    with house() as router, Between(router, refusing(b"[error]9804", b"TC#", b"FIREWALL#")) as line:
        assert line.driver().enforce(NOTHING).steps == ()
        with pytest.raises(LimitRefused, match=r"bandwidth control: \[error\]9804; .*the firewall: \[error\]9804$"):
            line.driver().enforce(limits(PHONE, LAPTOP))


def test_what_a_router_has_is_used_where_it_has_not_the_other() -> None:
    with house() as router, Between(router, refusing(b"[error]9804", b"TC#")) as line:
        with pytest.raises(LimitRefused, match="bandwidth control"):
            line.driver().enforce(limits(PHONE, LAPTOP))
        assert in_force(router) == ({}, {LAPTOP}, set())


def test_a_router_that_will_not_tell_its_rules_is_not_told_any() -> None:
    with (
        house() as router,
        Between(router, refusing(b"[error]9002", b"TC#")) as line,
        pytest.raises(BadReply, match=r"refused to tell of bandwidth control: \[error\]9002"),
    ):
        line.driver().enforce(NOTHING)


def test_it_is_asked_once_whether_a_router_has_rules_for_ipv6_and_again_where_it_only_failed_to_say() -> None:
    for error, times in ((b"[error]9804", 1), (b"[error]9002", 2)):
        asked: list[bytes] = []
        with house() as router, Between(router, refusing(error, b"IP6_FIREWALL#", asked=asked)) as line:
            control = line.driver()
            control.enforce(limits("", PHONE))
            control.enforce(NOTHING)
        assert len(asked) == times


def test_a_router_that_takes_batches_of_two_at_most_does_too() -> None:
    with house(classic_pair_only=True) as router:
        driver(router).enforce(limits(PHONE, LAPTOP))
        assert in_force(router) == ({PHONE: SLOW}, {LAPTOP}, set())


def test_a_list_that_is_full_is_told_with_the_mend_and_what_found_room_is_in_force() -> None:
    with house(max_rules=1) as router:
        with pytest.raises(LimitRefused) as refused:
            driver(router).enforce(limits(f"{PHONE} {LAPTOP}", f"{TABLET} {CONSOLE}"))
        throttled, blocked, _ = in_force(router)
        assert (len(throttled), len(blocked)) == (1, 1)
        assert len(refused.value.devices or ()) == 2
        assert str(refused.value).count("is full: delete some of it in the router's page") == 2
        assert "[error]4849" in str(refused.value)
        assert "[error]9812" in str(refused.value)


def test_where_the_router_refuses_everybody_nothing_is_left_behind_and_no_switch_is_turned() -> None:
    for oid in (b"TC_RULE#", b"]0,8\r\nruleName"):
        with house() as router:
            before = kept_by(router)
            with Between(router, refusing(b"[error]4713", oid, actions=b"?3 ")) as line:
                memory = Kept()
                with pytest.raises(LimitRefused):
                    line.driver(memory).enforce(limits(PHONE) if b"TC" in oid else limits("", PHONE))
            assert kept_by(router) == before
            assert memory == {}


def test_a_switch_that_the_router_refuses_to_turn_is_told_and_is_not_ours_to_turn_back() -> None:
    with house() as router, Between(router, refusing(b"[error]4805", b"[TC#", actions=b"?2 ")) as line:
        memory = Kept()
        with pytest.raises(
            LimitRefused, match=r"switch bandwidth control on for .*: .*too little in total.* \[error\]4805"
        ) as refused:
            line.driver(memory).enforce(limits(PHONE))
        assert refused.value.devices is None
        assert memory.get(f"router.switched {line.url}") == "{}"


@pytest.mark.parametrize("step", [b"?2 ", b"?3 ", b"?4 "])
def test_a_router_that_says_yes_and_does_nothing_is_found_out(step: bytes) -> None:
    with house() as router, Between(router, lambda request, ask: ask(request)) as line:
        control = line.driver(Kept())
        if step == b"?4 ":
            control.enforce(limits(PHONE, TABLET))
        line.takes = refusing(b"[error]0", b"#", actions=step)
        with pytest.raises(LimitRefused, match="did not keep what it took") as refused:
            control.enforce(NOTHING if step == b"?4 " else limits(PHONE, TABLET))
        assert str(refused.value).count("did not keep") == 2


@pytest.mark.parametrize(
    ("made", "kept"),
    [
        (b"upMinBW=11", b"upMinBW=12"),
        (b"entryName=dalla-", b"entryName=dolla-"),
        (b"ruleName=dalla-", b"ruleName=dolla-"),
    ],
)
def test_a_rule_that_the_router_changes_so_that_nobody_would_know_it_is_not_left_there(
    made: bytes, kept: bytes
) -> None:
    with house() as router:
        before = kept_by(router)
        with Between(router, lambda request, ask: ask(request.replace(made, kept))) as line:
            control = line.driver(Kept())
            for _ in range(2):
                with pytest.raises(LimitRefused, match="the router keeps something else than it took: "):
                    control.enforce(limits("", PHONE) if b"dalla" in made else limits(PHONE))
            if b"ruleName" in made:  # the host that was made for it is known, and goes when nobody needs it
                control.enforce(NOTHING)
        assert kept_by(router) == before


def test_what_a_reboot_made_the_router_forget_is_there_again() -> None:
    with house(forgets_rules=True, ipv6=True) as router:
        before, control = kept_by(router), driver(router, Kept())
        control.enforce(limits(PHONE, TABLET))
        router.reboot()
        assert in_force(router) == ({}, set(), set())
        control.enforce(limits(PHONE, TABLET))
        assert in_force(router) == ({PHONE: SLOW}, {TABLET}, {TABLET})
        control.enforce(NOTHING)
        assert kept_by(router) == before


def test_another_administrator_is_waited_for() -> None:
    with house() as router:
        router.log_in("the owner's laptop")
        with pytest.raises(AdminBusy):
            driver(router).enforce(limits(PHONE))
        router.log_out()
        driver(router).enforce(limits(PHONE))
        assert in_force(router)[0] == {PHONE: SLOW}


# Broken off


class Breaks:
    """Lets requests through until the `nth`: its answer is lost, or the request itself where it is not `reached`."""

    def __init__(self, nth: int, *, reached: bool, then: Callable[[], None] = lambda: None) -> None:
        self._left = nth
        self._reached = reached
        self._then = then
        self.broke = False

    def __call__(self, request: bytes, ask: Asks) -> bytes:
        self._left -= 1
        if self._left:
            return ask(request)
        if self._reached:
            ask(request)
        self.broke = True
        self._then()
        return b""


def passing(request: bytes, ask: Asks) -> bytes:
    return ask(request)


def scenario(router: Simulator) -> None:
    """Somebody's rules, some in force and some not, with a row of them before ours and one after."""
    router.rule("TC_RULE", owners_rate(TELEVISION, enable="0"))
    router.rule("INTERNAL_HOST", owners_host("tv", DEVICES[TELEVISION]))
    router.rule("RULE", owners_rule("no tv", "tv", enable="0"))


WANTED = limits(PHONE, LAPTOP, line=Rate(20_000, 5000))


@pytest.mark.parametrize("reached", [True, False])
@pytest.mark.parametrize("release", [False, True])
def test_whichever_answer_is_lost_the_next_visit_goes_on_from_there(
    release: bool,  # noqa: FBT001
    reached: bool,  # noqa: FBT001
) -> None:
    with house(renumbers=True) as router, Between(router, passing) as line:
        scenario(router)
        memory = Kept()
        before = kept_by(router)
        line.driver(memory).enforce(WANTED)
        after = kept_by(router)
        for nth in count(1):
            start, goal, end = (WANTED, NOTHING, before) if release else (NOTHING, WANTED, after)
            line.driver(memory).enforce(start)
            line.takes = breaks = Breaks(nth, reached=reached)
            with suppress(RouterUnreachable):
                line.driver(memory).enforce(goal)
            line.takes = passing
            router.log_out()
            line.driver(memory).enforce(goal)
            assert kept_by(router) == end, nth
            if not breaks.broke:
                break
        assert nth > 10


PROGRAM = """
import os, sys
from pathlib import Path
import msgspec
from dalla_mqtt.archive.store import Store
from dalla_mqtt.router.archer_c20 import ArcherC20
from dalla_mqtt.usage.limits import Limits
url, state = sys.argv[1:]
for wanted in sys.stdin:  # each by a process of its own, without the time to load it all
    child = os.fork()
    if not child:
        driver = ArcherC20(url, "admin", "admin", 5, memory=Store(Path(state)))
        driver.enforce(msgspec.json.decode(wanted, type=Limits))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Mortals:
    """Processes that limit through `line`, one after the other, with a state file, and are killed."""

    def __init__(self, line: Between, state: Path) -> None:
        self._line = line
        command = (sys.executable, "-c", PROGRAM, line.url, str(state))
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.kill()
        self._parent.communicate()

    def limit(self, wanted: Limits, nth: int = 0, *, reached: bool = True) -> bool:
        """With one that is killed at its `nth` request: whether it got that far."""
        born, dead, pid = threading.Event(), threading.Event(), 0

        def kill() -> None:
            born.wait(PATIENCE_S)
            os.kill(pid, signal.SIGKILL)
            dead.wait(PATIENCE_S)

        self._line.takes = breaks = Breaks(nth, reached=reached, then=kill)
        assert self._parent.stdin
        assert self._parent.stdout
        self._parent.stdin.write(f"{msgspec.json.encode(wanted).decode()}\n")
        pid = int(self._parent.stdout.readline())
        born.set()
        code = int(self._parent.stdout.readline())
        dead.set()
        assert code == (-signal.SIGKILL if breaks.broke else 0)
        return breaks.broke


@pytest.mark.parametrize("reached", [True, False])
@pytest.mark.parametrize("release", [False, True])
def test_whoever_is_killed_between_any_two_requests_leaves_what_the_next_one_goes_on_from(
    tmp_path: Path,
    release: bool,  # noqa: FBT001
    reached: bool,  # noqa: FBT001
) -> None:
    with (
        house(ipv6=True, renumbers=True) as router,
        Between(router, passing) as line,
        Mortals(line, tmp_path / "state.db") as mortals,
    ):
        scenario(router)
        before = kept_by(router)
        mortals.limit(WANTED)
        after = kept_by(router)
        for nth in count(1):
            start, goal, end = (WANTED, NOTHING, before) if release else (NOTHING, WANTED, after)
            mortals.limit(start)
            far = mortals.limit(goal, nth, reached=reached)
            router.log_out()
            mortals.limit(goal)
            assert kept_by(router) == end, nth
            if not far:
                break
        assert nth > 15
