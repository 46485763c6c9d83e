"""The daemon with driver `tplink`: another login, the same figures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.processes import wait_until

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Home


@pytest.mark.router("--login", "mr")
def test_it_counts_what_the_router_truly_moved_to_the_byte_also_across_a_restart(home: Home) -> None:
    with home.run(DALLA_ROUTER_DRIVER="tplink") as dalla:
        dalla.polls_again(3)
        assert dalla.output.count("the router is one for TPLinkMRClient of tplinkrouterc6u") == 1
        assert dalla.terminate() == 0
    assert home.router.state["session"] is None
    with home.run(DALLA_ROUTER_DRIVER="tplink") as dalla:
        dalla.polls_again(2)
        truth = {mac: figures for mac, figures in home.settle(dalla).items() if figures["shown"]}
        assert "the router is one for" not in dalla.output
        assert truth
        for mac, figures in truth.items():
            topic = f"dalla/home/device/{mac.lower().replace(':', '-')}/usage"
            wait_until(lambda: int(home.listener.latest[topic]) == figures["shown"], topic)  # noqa: B023  # now
        assert int(home.listener.latest["dalla/home/total/usage"]) == sum(row["shown"] for row in truth.values())
        assert dalla.terminate() == 0
    state = home.router.state
    assert (state["session"], state["logins"]) == (None, state["logouts"])
    assert json.loads(home.listener.latest["dalla/home/router"])["failures"] == 0


@pytest.mark.router("--login", "gdpr")
def test_a_password_that_is_refused_ends_it_with_exit_code_3(home: Home) -> None:
    environment = {"DALLA_ROUTER_DRIVER": "tplink", "DALLA_ROUTER_CLIENT": "TPLinkWR841NClient"}
    with home.run(DALLA_ROUTER_PASSWORD="wrong", **environment) as dalla:
        assert dalla.wait() == 3
        assert "refused the user name or the password" in dalla.output
    assert home.router.state["logins"] == 0


def test_a_class_that_there_is_not_ends_it_with_exit_code_2(home: Home) -> None:
    with home.run(DALLA_ROUTER_DRIVER="tplink", DALLA_ROUTER_CLIENT="TPLinkMRKlient") as dalla:
        assert dalla.wait() == 2
        assert "router.client: tplinkrouterc6u has no TPLinkMRKlient; did you mean TPLinkMRClient?" in dalla.output
