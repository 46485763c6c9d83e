"""`dalla-mqtt health`, beside a daemon and without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.processes import Dalla, Process, Ran, Router, answers, free_port, wait_until

CONFIG = """\
router: {{url: '{router}', password: admin, interval: 1s}}
mqtt: {{url: 'off'}}
archive: {{enabled: false}}
web: {{listen: '{listen}'}}
"""


def configured(folder: Path, router: str, listen: str) -> dict[str, str]:
    """The settings in `folder`; and an environment in which they count."""
    (folder / "config.yaml").write_text(CONFIG.format(router=router, listen=listen), "utf-8")
    return {"DALLA_WEB_LISTEN": ""}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104  # both are asked at 127.0.0.1
def test_a_daemon_that_polls_is_well_and_one_that_has_ended_is_not(tmp_path: Path, host: str) -> None:
    with Router() as router:
        environment = configured(tmp_path, router.url, f"{host}:{free_port()}")
        with Dalla(tmp_path, environment=environment) as dalla:
            dalla.polls_again(1)
            well = Ran(tmp_path, "health", environment=environment)
            dalla.terminate()
    assert (well.code, well.out, well.err) == (0, "ok: the router is asked, and answers\n", "")
    gone = Ran(tmp_path, "health", environment=environment)
    assert (gone.code, gone.err) == (1, "")
    assert "does not answer" in gone.out


def test_a_daemon_whose_router_never_answered_is_not_well(tmp_path: Path) -> None:
    port = free_port()
    environment = configured(tmp_path, f"http://127.0.0.1:{free_port()}", f"127.0.0.1:{port}")
    with Dalla(tmp_path, environment=environment):
        wait_until(lambda: answers(port), "the page")
        ran = Ran(tmp_path, "health", environment=environment)
    assert ran.code == 1
    assert ran.out.startswith(("starting: ", "late: "))


def test_something_else_at_that_port_is_not_taken_for_a_daemon(tmp_path: Path) -> None:
    port = free_port()
    environment = configured(tmp_path, "http://127.0.0.1", f"127.0.0.1:{port}")
    with Process(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port), cwd=tmp_path):
        wait_until(lambda: answers(port), "the other server")
        ran = Ran(tmp_path, "health", environment=environment)
    assert (ran.code, ran.out) == (1, f"what answers at port {port} is not dalla-mqtt\n")


@pytest.mark.parametrize("listen", ["off", "127.0.0.1:0", "everywhere"])
def test_without_a_known_address_it_says_which_setting_to_mend(tmp_path: Path, listen: str) -> None:
    ran = Ran(tmp_path, "health", environment=configured(tmp_path, "http://127.0.0.1", listen))
    assert "web.listen: " in ran.complaint


def test_no_password_need_be_there_to_ask(tmp_path: Path) -> None:
    ran = Ran(tmp_path, "health", environment={"DALLA_WEB_LISTEN": f"127.0.0.1:{free_port()}"})
    assert (ran.code, ran.err) == (1, "")
