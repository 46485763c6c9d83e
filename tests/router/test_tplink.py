"""Driver `tplink`: the real library against real sockets."""

from __future__ import annotations

import base64
import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest

from dalla_mqtt.config import load
from dalla_mqtt.errors import AdminBusy, BadReply, ConfigError, DallaError, LoginRefused, RouterUnreachable
from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.router.tplink import Tplink
from dalla_mqtt.usage.reading import Host, Mac, Row
from tests.processes import CANARY, Process, clean, wait_until
from tests.router.luci import DEVICE, TRAFFIC, Luci
from tests.router.simulator.caller import Caller

PHONE = Mac.parse("02:00:00:00:00:01")
CLASSES = {
    "mr": "TPLinkMRClient",
    "gdpr": "TPLinkWR841NClient",
    "gdpr-pkcs1": "TPLinkC50Client",
    "rsa": "TPLinkMR200Client",
}
LOGINS = pytest.mark.parametrize("login", list(CLASSES))


class Memory(dict[str, str]):
    def recall(self, key: str) -> str | None:
        return self.get(key)

    def keep(self, key: str, value: str) -> None:
        self[key] = value


@contextmanager
def driver(
    url: str,
    client: str | None = None,
    memory: Memory | None = None,
    *,
    password: str = "admin",  # noqa: S107  # invented
    **settings: object,
) -> Iterator[Tplink]:
    flags: dict[str, Any] = {"router.url": url, "router.driver": "tplink", "router.client": client}
    flags |= {f"router.{key}": value for key, value in settings.items()}
    config = load(None, {"DALLA_ROUTER_PASSWORD": password}, flags)
    router = Tplink(config.router, memory)
    try:
        yield router
    finally:
        router.leave()


@contextmanager
def simulator(login: str, **firmware: Any) -> Iterator[Simulator]:  # noqa: ANN401
    with Simulator(Household.of(3, quiet=True), firmware=Firmware(login=login, **firmware)) as router:  # type: ignore[arg-type]
        router.add(PHONE, "192.168.1.50", 5000, packets=7)
        yield router


@LOGINS
def test_a_class_that_is_named_logs_in_reads_all_and_logs_out_at_each_poll(login: str) -> None:
    with simulator(login) as router, driver(router.url, CLASSES[login]) as client:
        for _ in range(3):
            reading = client.poll()
            assert router.state()["session"] is None
        assert Row("192.168.1.50", PHONE, 7, 5000) in reading.rows
        assert [host.name for host in reading.hosts] == ["alices-phone", "alices-laptop", "bobs-phone"]
        assert (reading.info.model, reading.info.login, reading.info.uptime_s) == ("Archer C20", CLASSES[login], 0)
        state = router.state()
        assert (state["logins"], state["logouts"], state["refused"]) == (3, 3, 0)


@LOGINS
def test_a_class_is_found_once_and_remembered_across_restarts(login: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    memory = Memory()
    with simulator(login) as router:
        with driver(router.url, None, memory) as client:
            for _ in range(3):
                with suppress(BadReply):  # a class that does not fit is one poll's
                    client.poll()
        assert memory == {f"router.client {router.url}": CLASSES[login]}
        assert caplog.text.count("the router is one for") == 1
        before = router.state()
        with driver(router.url, None, memory) as client:
            assert client.poll().info.login == CLASSES[login]
        after = router.state()
        assert after["refused"] == before["refused"]
        assert caplog.text.count("the router is one for") == 1


@pytest.mark.parametrize("statistics", ["rx-tx", "rx-tx-macs"])
@LOGINS
def test_firmware_that_counts_down_and_up_apart_is_read_as_well(login: str, statistics: str) -> None:
    with simulator(login, statistics=statistics) as router, driver(router.url, CLASSES[login]) as client:
        rows = [row for row in client.poll().rows if row.mac == PHONE]
        assert [row.packets for row in rows] == [None, None]
        assert sum(row.bytes for row in rows) == 5000


@pytest.mark.parametrize("odd", ["one_connection", "false_chunks"])
def test_the_oddities_of_its_kind_do_no_harm(odd: str) -> None:
    with simulator("gdpr", **{odd: True}) as router, driver(router.url, "TPLinkWR841NClient") as client:
        for _ in range(3):
            assert [row.bytes for row in client.poll().rows] == [5000]
        assert router.state()["session"] is None


@LOGINS
@pytest.mark.parametrize("named", [True, False])
def test_a_wrong_password_is_refused_with_one_login_a_poll(login: str, named: bool) -> None:  # noqa: FBT001
    with simulator(login) as router, driver(router.url, CLASSES[login] if named else None, password=CANARY) as client:
        told = [_failure(client.poll)]
        if isinstance(told[0], BadReply):  # of a class that does not fit
            told.append(_failure(client.poll))
        assert isinstance(told[-1], LoginRefused)
        assert ("name another class in router.client" in str(told[-1])) is not named
        state = router.state()
        assert (state["logins"], state["refused"], state["session"]) == (0, len(told) - 1, None)


@LOGINS
@pytest.mark.parametrize("named", [True, False])
def test_another_administrator_is_left_alone(login: str, named: bool) -> None:  # noqa: FBT001
    with simulator(login) as router, driver(router.url, CLASSES[login] if named else None) as client:
        Caller(router, "the owner's laptop").enter()
        for _ in range(4):
            with pytest.raises(AdminBusy, match="another administrator is logged in"):
                client.poll()
        state = router.state()
        assert state["session"] == "the owner's laptop"
        assert state["refused"] <= (8 if named else 0)  # type: ignore[operator]


def test_a_class_that_was_remembered_and_does_no_more_is_replaced() -> None:
    with simulator("mr") as router:
        memory = Memory({f"router.client {router.url}": "TPLinkMR200Client"})
        with driver(router.url, None, memory) as client:
            for _ in range(3):
                with pytest.raises((AdminBusy, BadReply, LoginRefused)):
                    client.poll()
            assert client.poll().rows
        assert list(memory.values()) == ["TPLinkMRClient"]


def test_a_memory_of_a_class_that_there_is_no_more_is_none() -> None:
    with simulator("mr") as router:
        memory = Memory({f"router.client {router.url}": "TPLinkOfOldClient"})
        with driver(router.url, None, memory) as client:
            assert client.poll().rows


def test_where_no_class_fits_nothing_is_logged_in_to() -> None:
    with simulator("cookie") as router, driver(router.url) as client:
        with pytest.raises(BadReply, match=r"no class .* fits this router .*archer-c20"):
            client.poll()
        assert router.state()["logins"] == 0


def test_statistics_are_switched_on_only_where_that_is_wanted() -> None:
    with simulator("mr", statistics_enabled=False) as router:
        with driver(router.url, "TPLinkMRClient") as client:
            assert [client.poll().statistics_enabled for _ in range(2)] == [False, False]
        with driver(router.url, "TPLinkMRClient", enable_statistics=True) as client:
            assert [client.poll().statistics_enabled for _ in range(2)] == [False, True]


@pytest.mark.parametrize("fault", ["truncate", "html", "empty", "malformed", "bad_number", "cut", "hang_up", "busy"])
@LOGINS
def test_a_spoilt_answer_costs_one_reading_and_no_session(login: str, fault: str) -> None:
    with simulator(login) as router, driver(router.url, CLASSES[login]) as client:
        router.fault(fault)  # type: ignore[arg-type]
        with pytest.raises((BadReply, RouterUnreachable, AdminBusy)) as caught:
            client.poll()
        assert "\n" not in str(caught.value)
        assert router.state()["session"] is None
        assert client.poll().rows


def test_a_batch_that_is_refused_is_asked_again_as_the_classic_pair() -> None:
    with simulator("gdpr", classic_pair_only=True) as router, driver(router.url, "TPLinkWR841NClient") as client:
        assert [row.bytes for row in client.poll().rows] == [5000]


@LOGINS
def test_a_daemon_that_ends_in_mid_poll_gives_the_login_back(login: str) -> None:
    with simulator(login) as router, driver(router.url, CLASSES[login]) as client:
        router.fault("silent")
        failed: list[Exception] = []
        poll = threading.Thread(target=lambda: failed.append(_failure(client.poll)))
        poll.start()
        wait_until(lambda: logged_in(router), "the login")
        client.leave()
        poll.join()
        assert isinstance(failed[0], BadReply | RouterUnreachable)
        assert router.state()["session"] is None


def logged_in(router: Simulator) -> bool:
    """Not of its state, which it tells nobody while it is silent."""
    return bool(router._router.door.seat.logins)


def _failure(poll: Callable[[], object]) -> Exception:
    with pytest.raises(DallaError) as caught:
        poll()
    return caught.value


def test_a_router_that_falls_silent_is_given_up_in_time_and_left() -> None:
    with simulator("mr") as router, driver(router.url, "TPLinkMRClient", timeout="0.5s") as client:
        router.fault("silent")
        with pytest.raises(RouterUnreachable, match="did not end in time"):
            client.poll()
        assert router.state()["session"] is None
        assert client.poll().rows


class Peer:
    """Says the same to everybody, `times` over: a head, and then `body` without end."""

    def __init__(self, head: bytes, body: bytes = b"", times: int = 1, pause_s: float = 0.0) -> None:
        self._says = head, body, times, pause_s
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.heard = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.heard += 1
                threading.Thread(target=self._speak, args=(connection,), daemon=True).start()

    def _speak(self, connection: socket.socket) -> None:
        head, body, times, pause_s = self._says
        with suppress(OSError), connection:
            connection.recv(65536)
            connection.sendall(head)
            for _ in range(times):
                connection.sendall(body)
                time.sleep(pause_s)


OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
BOMB = gzip.compress(bytes(2**20)) * 400


@pytest.mark.parametrize("client", ["TPLinkMRClient", "TPLinkC50Client", "TPLinkMR200Client", "TplinkRouter", None])
@pytest.mark.parametrize(
    ("head", "body", "times", "pause_s"),
    [
        (OK + b"\r\n", b"[", 10**6, 0.01),
        (OK + b"Set-Cookie: a=b; x=", b"x", 10**6, 0.01),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB, 1, 0.0),
        (OK + b"Content-Type: text/plain; charset=utf-8\r\n\r\n", bytes(2**20), 400, 0.0),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b"", 1, 0.0),
        (b"18\r\n[error]0", b"", 1, 0.0),
        (b"", b"", 1, 0.0),
        (OK + b"Content-Length: 9\r\n\r\n", b"\0\xff\xfe[error]", 1, 0.0),
        (OK + b"\r\n", b'{"data": {"password": [[1], null]}}', 1, 0.0),
    ],
    ids=["drip", "header drip", "bomb", "flood", "redirect", "stray", "nothing", "nul", "odd json"],
)
def test_a_peer_that_is_no_router_ends_in_an_error_of_ours_within_time_and_memory(
    client: str | None, head: bytes, body: bytes, times: int, pause_s: float
) -> None:
    with Peer(head, body, times, pause_s) as peer, driver(peer.url, client, timeout="0.3s") as router:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises((BadReply, RouterUnreachable)) as caught:
                router.poll()
            assert "\n" not in str(caught.value)
            assert time.monotonic() - began < 10


@pytest.mark.parametrize("client", ["TPLinkMRClient", "TPLinkC50Client", "TplinkRouter"])
@pytest.mark.parametrize("bomb", [False, True], ids=["flood", "bomb"])
def test_an_answer_without_end_takes_only_so_much_memory(client: str, bomb: bool) -> None:  # noqa: FBT001
    head = b"Content-Encoding: gzip\r\n\r\n" if bomb else b"\r\n"
    with (
        Peer(OK + head, BOMB if bomb else bytes(2**20), 1 if bomb else 400) as peer,
        driver(peer.url, client, timeout="60s") as router,
    ):
        with pytest.raises((BadReply, RouterUnreachable)) as caught:
            router.poll()
        assert "time" not in str(caught.value)
        (guest,) = children(os.getpid())
        peak = int(Path(f"/proc/{guest}/status").read_text("ascii").partition("VmHWM:")[2].split()[0])
        assert peak < 256 * 2**10


def test_a_router_that_is_away_is_unreachable_whatever_the_class() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    for client in (*CLASSES.values(), "TplinkRouter", "TplinkC80Router", None):
        with driver(url, client) as router, pytest.raises(RouterUnreachable, match=f"no whole answer from .* {url}"):
            router.poll()


@pytest.mark.parametrize("client", ["TPLinkVRClient", "TPLinkEXClient", "TplinkWDRRouter", "TPLinkXDRClient"])
def test_the_password_is_in_no_error(client: str) -> None:
    with simulator("mr") as router, driver(router.url, client, password=CANARY) as poller:
        with pytest.raises((BadReply, AdminBusy, LoginRefused, RouterUnreachable)) as caught:
            poller.poll()
        told = str(caught.value)
        assert CANARY not in told
        assert base64.b64encode(CANARY.encode()).decode() not in told


ENCRYPTED = pytest.mark.parametrize("encrypted", [False, True], ids=["V1_11", "AES"])


@ENCRYPTED
def test_a_model_that_tells_its_status_is_read_by_the_mac_of_its_devices(encrypted: bool) -> None:  # noqa: FBT001
    memory = Memory()
    with Luci(encrypted=encrypted) as router, driver(router.url, None, memory) as client:
        for _ in range(2):
            reading = client.poll()
        assert reading.rows == (Row("192.168.0.100", PHONE, None, 4711, "02-00-00-00-00-01"),)
        assert reading.hosts == (Host("192.168.0.100", PHONE, "alices-phone", "5 GHz"),)
        assert (reading.info.model, reading.info.firmware, reading.info.hardware) == ("AX73", "1.11", "1.0")
        assert reading.info.login == ("TplinkRouter" if encrypted else "TplinkRouterV1_11")
        assert list(memory.values()) == [reading.info.login]
        assert (router.tries, router.logins, router.logouts) == (2, 2, 2)


@ENCRYPTED
def test_its_owner_is_not_thrown_out(encrypted: bool) -> None:  # noqa: FBT001
    with Luci(encrypted=encrypted) as router, driver(router.url) as client:
        router.taken = True
        with pytest.raises(AdminBusy, match="another administrator is logged in"):
            client.poll()
        assert router.taken
        router.taken = False
        assert client.poll().rows


@ENCRYPTED
def test_its_refusal_of_a_password_is_one(encrypted: bool) -> None:  # noqa: FBT001
    with Luci(encrypted=encrypted) as router, driver(router.url, password="wrong") as client:
        with pytest.raises(LoginRefused):
            client.poll()
        assert router.tries == 1


def test_a_model_that_tells_no_bytes_per_device_says_so() -> None:
    with Luci() as router, driver(router.url, "TplinkRouterV1_11") as client:
        del router.answers["admin/smart_network?form=game_accelerator"]
        for _ in range(2):
            with pytest.raises(BadReply, match="this model tells TplinkRouterV1_11 no bytes per device"):
                client.poll()
        router.answers["admin/status?form=all"]["access_devices_wireless_host"] = []
        assert client.poll().rows == ()


def test_a_class_that_did_not_fit_is_tried_again_an_hour_of_polls_later() -> None:
    with Luci() as router, driver(router.url) as client:
        del router.answers["admin/smart_network?form=game_accelerator"]
        for _ in range(61):
            with pytest.raises(BadReply):
                client.poll()
        assert router.tries == 1
        with pytest.raises(BadReply, match="no bytes per device"):
            client.poll()
        assert router.tries == 2


@pytest.mark.parametrize(
    ("form", "answer", "what"),
    [
        ("status?form=all", {}, "TplinkRouterV1_11 cannot use the router's answer: KeyError in get_status"),
        ("status?form=all", "text", "cannot use the router's answer: "),
        ("smart_network?form=game_accelerator", [TRAFFIC | {"trafficUsage": -1}], "'-1' is not a counter"),
        ("smart_network?form=game_accelerator", [TRAFFIC | {"trafficUsage": "1e9"}], "'1e9' is not a counter"),
        ("smart_network?form=game_accelerator", [TRAFFIC | {"trafficUsage": 2**60}], "is not a counter"),
        (
            "smart_network?form=game_accelerator",
            [TRAFFIC, TRAFFIC | {"mac": "02:00:00:00:00:01", "trafficUsage": 1}],
            "two different counters for 02-00-00-00-00-01",
        ),
    ],
)
def test_what_a_class_stumbles_over_is_told_in_one_line(form: str, answer: object, what: str) -> None:
    with Luci() as router, driver(router.url, "TplinkRouterV1_11") as client:
        router.answers[f"admin/{form}"] = answer
        with pytest.raises(BadReply) as caught:
            client.poll()
        assert what in str(caught.value)
        assert "\n" not in str(caught.value)
        assert router.logouts == router.logins


def test_hostile_names_lose_what_cannot_be_shown() -> None:
    with Luci() as router, driver(router.url, "TplinkRouterV1_11") as client:
        device = DEVICE | {"hostname": "\x1b[31m\n" + "x" * 5000}
        router.answers["admin/status?form=all"]["access_devices_wireless_host"] = [device]
        (host,) = client.poll().hosts
        assert host.name == "[31m" + "x" * 60


def test_a_process_that_dies_costs_one_poll() -> None:
    with simulator("mr") as router, driver(router.url, "TPLinkMRClient") as client:
        client.poll()
        os.kill(children(os.getpid())[0], signal.SIGKILL)
        with pytest.raises(BadReply, match=r"did not survive .* ended with -9"):
            client.poll()
        assert client.poll().rows


def children(pid: int) -> list[int]:
    """Of a process, those in which the library works."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [child for child in pids if parent(child) == pid and b"tplink.guest" in command(child)]


def parent(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[1])
    return 0


def command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_a_class_that_there_is_not_is_answered_with_one_that_there_is() -> None:
    with pytest.raises(ConfigError, match=r"router.client: .* no TPLinkMrClient; did you mean TPLinkMRClient\?"):
        driver("http://127.0.0.1:1", "TPLinkMrClient").__enter__()
    with pytest.raises(ConfigError, match=r"router.client: .* no Fritz; there are TplinkRE813XERouter, "):
        driver("http://127.0.0.1:1", "Fritz").__enter__()


def test_without_the_extra_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tplinkrouterc6u", None)
    with pytest.raises(ConfigError, match=r"pip install 'dalla-mqtt\[tplink\]'"):
        driver("http://127.0.0.1:1").__enter__()


RUN = (sys.executable, "-m", "dalla_mqtt", "--realtime-only")
DAEMON = ("-X", "importtime", "-m", "dalla_mqtt", "--once", "--realtime-only")


@pytest.mark.parametrize(("chosen", "login"), [("archer-c20", "cookie"), ("tplink", "mr")])
def test_the_daemon_itself_never_loads_the_library(tmp_path: Path, chosen: str, login: str) -> None:
    with simulator(login) as router:
        environment = {
            "DALLA_ROUTER_URL": router.url,
            "DALLA_ROUTER_PASSWORD": "admin",
            "DALLA_ROUTER_DRIVER": chosen,
            "DALLA_MQTT_URL": "off",
        }
        ran = subprocess.run(
            [sys.executable, *DAEMON], cwd=tmp_path, env=clean(environment), capture_output=True, text=True, check=True
        )
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    assert "dalla_mqtt.daemon" in loaded
    assert not {name for name in loaded if name.partition(".")[0] in ("tplinkrouterc6u", "Crypto", "macaddress")}


def test_a_daemon_that_is_killed_in_mid_poll_leaves_no_session_and_no_process(tmp_path: Path) -> None:
    environment = {"DALLA_ROUTER_PASSWORD": "admin", "DALLA_ROUTER_DRIVER": "tplink", "DALLA_MQTT_URL": "off"}
    with simulator("mr") as router:
        router.fault("silent")
        environment |= {"DALLA_ROUTER_URL": router.url, "DALLA_ROUTER_CLIENT": "TPLinkMRClient"}
        with Process(*RUN, cwd=tmp_path, environment={**environment, "DALLA_ROUTER_TIMEOUT": "1s"}) as daemon:
            wait_until(lambda: logged_in(router), f"the login:\n{daemon.output}")
            (guest,) = children(daemon.process.pid)
            daemon.kill()
            wait_until(lambda: not command(guest), "the end of the library's process")
        assert router.state()["session"] is None


def test_the_process_of_the_library_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DALLA_MQTT_PASSWORD", "secret")
    with driver("http://127.0.0.1:9", "TPLinkMRClient"):
        (guest,) = children(os.getpid())
        environment = Path(f"/proc/{guest}/environ").read_bytes()
    assert b"PATH=" in environment
    assert b"DALLA_" not in environment
