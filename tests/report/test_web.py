"""Who is let in, what may be wanted, and that nobody gets more than that."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dalla_mqtt.report.web import channel
from dalla_mqtt.usage.commands import Command, GiveDevice, Limit, NameDevice, PollNow, SetQuota, TopUp
from dalla_mqtt.usage.quota import Subject
from tests.processes import free_port, wait_until
from tests.report.house import BEARER, PATIENCE_S, TOKEN, Served
from tests.usage.house import IP2, LAPTOP, PHONE, row

ID = "cb-bd-ab-90-2d-38"
ALICE, OWN, FAMILY = Subject("user", "Alice"), Subject("device", PHONE.dashed), Subject("pool", "The family")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def household(served: Served) -> Served:
    served.house.reads(row(1000), row(2000, mac=LAPTOP, ip=IP2))
    served.tell()
    return served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("household")) as served:
        yield household(served)


@pytest.fixture(autouse=True)
def _forget(request: pytest.FixtureRequest) -> None:
    if "served" in request.fixturenames:
        request.getfixturevalue("served").commands.clear()


def cut_off(client: socket.socket, more: bytes) -> bool:
    """Whether nothing more can be said."""
    try:
        client.sendall(more)
    except OSError:
        return True
    return False


# what is asked every few seconds


def test_what_has_not_changed_is_not_sent_again(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        household(served)
        first = served.get("/api/now")
        again = served.get("/api/now", {"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        served.house.reads(row(1500), row(2000, mac=LAPTOP, ip=IP2))
        served.tell()
        other = served.get("/api/now", {"If-None-Match": first.headers["ETag"]})
        assert other.status_code == 200
        assert other.json()["total"]["usage"] == first.json()["total"]["usage"] + 500


def test_who_may_change_or_might_with_the_token_is_told_so(served: Served) -> None:
    for headers in ({}, BEARER, {"Authorization": "Bearer wrong"}):
        assert served.get("/api/now", headers).json()["may_change"] is True


def test_before_the_first_poll_it_is_told_that_nothing_is_known_yet(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        for path in ("/api/now", "/api/history?of=total&by=day"):
            answer = served.get(path)
            assert (answer.status_code, answer.json()["error"]) == (
                503,
                "nothing is known yet: the router is being asked",
            )
        assert served.get("/").status_code == 200


# what somebody wants


@pytest.mark.parametrize(
    ("path", "body", "command"),
    [
        ("/api/poll", {}, PollNow()),
        ("/api/poll", b"", PollNow()),
        (f"/api/device/{ID}/user", {"user": "Bob"}, GiveDevice(PHONE, "Bob")),
        (f"/api/device/{ID}/user", {"user": "UNKNOWN"}, GiveDevice(PHONE, "UNKNOWN")),
        (f"/api/device/{ID}/name", {"name": " Zoë's 🦆 "}, NameDevice(PHONE, "Zoë's 🦆")),
        (
            f"/api/device/{ID}/name",
            {"name": "<img src=x onerror=alert(1)>"},
            NameDevice(PHONE, "<img src=x onerror=alert(1)>"),
        ),
        (f"/api/device/{ID}/name", {"name": ""}, NameDevice(PHONE, None)),
        (f"/api/device/{ID}/name", {"name": None}, NameDevice(PHONE, None)),
        ("/api/user/alice/topup", {"size": "1 GiB"}, TopUp(ALICE, 2**30)),
        (f"/api/device/{ID}/topup", {"size": "0"}, TopUp(OWN, 0)),
        ("/api/pool/the-family/topup", {"size": "5 GB"}, TopUp(FAMILY, 5 * 10**9)),
        ("/api/user/alice/quota", {"part": "together", "size": "40 GiB"}, SetQuota(ALICE, "together", 40 * 2**30)),
        ("/api/user/alice/quota", {"part": "on_peak", "size": "0"}, SetQuota(ALICE, "on_peak", 0)),
        ("/api/user/alice/quota", {"part": "off_peak", "size": ""}, SetQuota(ALICE, "off_peak", None)),
        (f"/api/device/{ID}/quota", {"part": "together", "size": None}, SetQuota(OWN, "together", None)),
        ("/api/user/alice/limited", {"on": True}, Limit(ALICE, on=True)),
        ("/api/pool/the-family/limited", {"on": False}, Limit(FAMILY, on=False)),
    ],
)
def test_what_is_wanted_is_passed_on_to_the_daemon(served: Served, path: str, body: object, command: Command) -> None:
    answer = served.post(path, body)
    assert (answer.status_code, answer.json()) == (202, {"accepted": True})
    assert served.commands == [command]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/device/00-00-00-00-00-00/user", 404),
        (f"/api/device/{ID.upper()}/name", 404),
        ("/api/device/alice/topup", 404),
        ("/api/user/nobody/topup", 404),
        ("/api/user/Alice/topup", 404),
        ("/api/user/the-family/topup", 404),
        ("/api/pool/alice/topup", 404),
        (f"/api/device/..%2f{ID}/topup", 404),
        ("/api/user/alice/user", 404),
        ("/api/router/alice/topup", 404),
        ("/api/user/alice", 404),
        ("/api/user/alice/topup/", 404),
        ("/api/now", 405),
        ("/health", 405),
        ("/", 405),
    ],
)
def test_whom_there_is_not_nobody_can_change(served: Served, path: str, code: int) -> None:
    answer = served.post(path, {"size": "1 GiB"})
    assert answer.status_code == code
    assert answer.json()["error"]
    assert served.commands == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/api/device/{ID}/user", {"user": "Mallory"}),
        (f"/api/device/{ID}/user", {"user": None}),
        (f"/api/device/{ID}/user", {"user": ["Bob"]}),
        (f"/api/device/{ID}/user", {"user": "Bob", "admin": True}),
        (f"/api/device/{ID}/user", {}),
        (f"/api/device/{ID}/name", {"name": "a\nb"}),
        (f"/api/device/{ID}/name", {"name": "\x1b[31m"}),
        (f"/api/device/{ID}/name", {"name": "a" * 256}),
        (f"/api/device/{ID}/name", {"name": 7}),
        (f"/api/device/{ID}/name", b'{"name": "\\ud800"}'),
        (f"/api/device/{ID}/name", b'{"name": "\xff"}'),
        ("/api/user/alice/topup", {"size": "much"}),
        ("/api/user/alice/topup", {"size": "-1 GiB"}),
        ("/api/user/alice/topup", {"size": "5 PiB"}),
        ("/api/user/alice/topup", {"size": 2**30}),
        ("/api/user/alice/topup", {"size": ""}),
        ("/api/user/alice/topup", b'{"size": NaN}'),
        ("/api/user/alice/quota", {"size": "1 GiB"}),
        ("/api/user/alice/quota", {"part": "always", "size": "1 GiB"}),
        ("/api/user/alice/limited", {"on": "true"}),
        ("/api/user/alice/limited", {"on": 1}),
        ("/api/user/alice/limited", b""),
        ("/api/user/alice/limited", b"null"),
        ("/api/user/alice/limited", b"[" * 9000),
        ("/api/user/alice/limited", b'{"on":' * 1500),
        ("/api/user/alice/limited", b'{"on": true} {"on": true}'),
        ("/api/user/alice/limited", b"\x00" * 100),
        ("/api/poll", {"now": True}),
        ("/api/poll", b"[]"),
    ],
)
def test_what_is_not_understood_changes_nothing_and_is_answered_in_words(
    served: Served, path: str, body: object
) -> None:
    answer = served.post(path, body)
    assert answer.status_code == 400, answer.text
    assert len(answer.json()["error"]) < 400
    assert served.commands == []


def test_a_user_who_is_not_there_is_answered_with_those_who_are(served: Served) -> None:
    answer = served.post(f"/api/device/{ID}/user", {"user": "Mallory"})
    assert answer.json() == {"error": "there is no user 'Mallory'; there are Alice, Bob, UNKNOWN"}


# the token


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Cookie": f"token={TOKEN}"},
        {"X-Ingress-Path": "/api/hassio_ingress/x"},
        {"X-Forwarded-For": "172.30.32.2", "X-Ingress-Path": "/x"},
    ],
)
def test_nobody_changes_anything_without_the_token(served: Served, said: dict[str, str]) -> None:
    answer = served.post("/api/user/alice/limited", {"on": True}, said)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.json() == {"error": "the token is missing or wrong: Authorization: Bearer …"}
    assert served.commands == []


def test_a_token_of_bytes_beyond_ascii_is_just_wrong(served: Served) -> None:
    head = (
        b"POST /api/poll HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer \xff\xfe\x80\r\nContent-Length: 0\r\n\r\n"
    )
    assert served.says(head)[0] == 401


def test_where_there_is_no_token_nothing_can_be_changed(tmp_path: Path) -> None:
    with Served(tmp_path, "{listen: '127.0.0.1:0'}") as served:
        household(served)
        for said in ({}, BEARER, {"Authorization": "Bearer "}):
            answer = served.post("/api/poll", {}, said)
            assert answer.status_code == 403
            assert "DALLA_WEB_TOKEN" in answer.json()["error"]
        assert served.json("/api/now")["may_change"] is False
        assert served.commands == []


def test_what_is_only_for_those_with_the_token_nobody_else_reads(tmp_path: Path) -> None:
    with Served(tmp_path, f"{{listen: '127.0.0.1:0', token: {TOKEN}, read: token}}") as served:
        household(served)
        for path in ("/api/now", "/api/history?of=total&by=day", "/metrics"):
            assert served.get(path).status_code == 401
            assert "Alice" not in served.get(path).text
        assert served.get("/api/now", BEARER).json()["may_change"] is True
        assert served.get("/").status_code == served.get("/health").status_code == 200, "which hold nobody's figures"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_of_another_page_can_send_is_refused(served: Served, kind: str) -> None:
    answer = served.post("/api/poll", {}, {**BEARER, "Content-Type": kind})
    assert answer.status_code == 415
    assert served.commands == []


# names and addresses


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8765",
        "127.0.0.1",
        "192.168.1.2:80",
        "[::1]",
        "[fe80::1]:8765",
        socket.gethostname(),
        f"{socket.gethostname().partition('.')[0]}.local:80",
        "localhost.",
    ],
)
def test_it_answers_to_its_own_names(served: Served, host: str) -> None:
    assert served.get("/api/now", {"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::1].evil.example",
        "[evil]",
        "",
        "127.0.0.1@evil.example",
        "evil.example:127.0.0.1",
        "::1",
        "local",
    ],
)
def test_a_name_that_somebody_else_had_lead_here_gets_nothing(served: Served, host: str) -> None:
    """DNS rebinding: a page on the Internet has its own name point at this machine, and asks."""
    request = f"GET /api/now HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()
    code, headers, body = served.says(request)
    assert code == 421
    assert b"Alice" not in body
    assert HEADERS.items() <= headers.items()
    with_token = f"POST /api/poll HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n"
    assert (
        served.says(f"{with_token}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode())[0] == 421
    )
    assert served.commands == []


def test_a_request_that_names_nobody_gets_nothing(served: Served) -> None:
    assert served.says(b"GET /api/now HTTP/1.0\r\n\r\n")[0] == 421


def test_names_can_be_added(tmp_path: Path) -> None:
    with Served(tmp_path, "{listen: '127.0.0.1:0', hosts: [Dalla.example.org]}") as served:
        assert served.get("/", {"Host": "dalla.example.org:443"}).status_code == 200
        assert served.get("/", {"Host": "example.org"}).status_code == 421


def test_through_home_assistant_its_users_may_read_and_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dalla_mqtt.report.web.door._SUPERVISOR", "127.0.0.1")  # nobody here has its address
    through = {"X-Ingress-Path": "/api/hassio_ingress/abc", "Host": "homeassistant.example:8123"}
    with Served(tmp_path, "{listen: '127.0.0.1:0', ingress: true, read: token}") as served:
        household(served)
        assert served.get("/api/now", through).json()["may_change"] is True
        assert served.post("/api/poll", {}, through).status_code == 202
        assert served.get("/api/now").status_code == 401, "who does not come through Home Assistant"
        assert served.post("/api/poll", {}, {}).status_code == 403


def test_without_ingress_nobody_comes_through_home_assistant(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dalla_mqtt.report.web.door._SUPERVISOR", "127.0.0.1")
    assert served.post("/api/poll", {}, {"X-Ingress-Path": "/x"}).status_code == 401


def test_nobody_else_comes_as_if_through_home_assistant(tmp_path: Path) -> None:
    said = {"X-Ingress-Path": "/x", "X-Forwarded-For": "172.30.32.2", "X-Real-IP": "172.30.32.2"}
    said["Forwarded"] = "for=172.30.32.2"
    with Served(tmp_path, "{listen: '127.0.0.1:0', ingress: true, read: token}") as served:
        household(served)
        assert served.get("/api/now", said).status_code == 401
        assert served.get("/", said | {"Host": "homeassistant.example"}).status_code == 421
        assert served.post("/api/poll", {}, said).status_code == 403
        assert served.commands == []


# what every answer has


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", 200),
        ("/api/now", 200),
        ("/health", 200),
        ("/alive", 200),
        ("/metrics", None),
        ("/nothing", 404),
        ("/static/none.js", 404),
        ("/api/history", 400),
        ("/static/index.html", 200),
    ],
)
def test_every_answer_has_its_headers(served: Served, path: str, code: int | None) -> None:
    answer = served.get(path)
    assert code is None or answer.status_code == code
    assert HEADERS.items() <= {name.lower(): value for name, value in answer.headers.items()}.items()
    assert answer.headers["Cache-Control"] == ("private, no-cache" if answer.ok else "no-store")
    if not answer.ok and path != "/health":
        assert list(answer.json()) == ["error"]
    again = served.get(path, {"If-None-Match": answer.headers.get("ETag", "none")})
    assert HEADERS.keys() <= {name.lower() for name in again.headers}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "GET\x00"])
def test_other_methods_are_refused(served: Served, method: str) -> None:
    code, headers, body = served.says(f"{method} /api/now HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    assert code in (400, 405)
    assert HEADERS.items() <= headers.items()
    assert "access-control-allow-origin" not in headers
    assert json.loads(body)["error"]


def test_who_asks_for_the_head_gets_the_head(served: Served) -> None:
    code, headers, body = served.says(b"HEAD /api/now HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert (code, body) == (200, b"")
    assert int(headers["content-length"]) > 100


@pytest.mark.parametrize(
    "request_",
    [
        b"rubbish\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /api/poll HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /api/poll HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
    ],
)
def test_what_is_no_request_is_answered_as_all_else_is(served: Served, request_: bytes) -> None:
    code, headers, body = served.says(request_)
    assert 400 <= code < 600
    assert HEADERS.items() <= headers.items()
    assert (headers["content-type"], headers["cache-control"]) == ("application/json", "no-store")
    assert json.loads(body)["error"]


def test_headers_without_end_are_cut_off(served: Served) -> None:
    with served.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        wait_until(lambda: cut_off(client, b"X: " + b"y" * 1000 + b"\r\n"), "the end of the connection")


@pytest.mark.parametrize("size", [10_001, 60_000])
def test_a_body_that_is_too_long_is_refused(served: Served, size: int) -> None:
    answer = served.post("/api/user/alice/limited", b" " * size)
    assert (answer.status_code, answer.json()) == (413, {"error": "expected at most 10000 bytes"})
    assert served.post("/api/user/alice/limited", b'{"on": true}'.ljust(10_000)).status_code == 202


def test_chunks_without_end_are_cut_off(served: Served) -> None:
    with served.connect() as client:
        client.sendall(b"POST /api/poll HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        wait_until(lambda: cut_off(client, b"1000\r\n" + b"x" * 4096 + b"\r\n"), "the end of the connection")
    assert served.commands == []


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/%2Fetc/passwd",
        "/static/..\\app.py",
        "/static/.%00/app.py",
        "/..%2f..%2fstate.db",
        "//etc/passwd",
        "/static/",
        "/static",
    ],
)
def test_only_what_lies_in_the_folder_of_the_page_is_served(served: Served, path: str) -> None:
    code, headers, body = served.says(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    assert code == 404
    assert b"root:" not in body
    assert b"import" not in body
    assert HEADERS.items() <= headers.items()


def test_what_should_not_have_happened_shows_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> bytes:
        raise RuntimeError(TOKEN)

    with Served(tmp_path) as served:
        household(served)
        assert served.get("/").status_code == 200  # what is broken below is loaded
        monkeypatch.setattr("dalla_mqtt.report.web.app.now_json", broken)
        answer = served.get("/api/now")
        assert answer.status_code == 500
        assert answer.json() == {"error": "this should not have happened: see the log of dalla-mqtt"}
        assert "the page could not answer" in caplog.text


# health


def test_it_is_well_while_the_router_answers(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        assert (served.get("/health").status_code, served.get("/health").json()["status"]) == (503, "starting")
        household(served)
        assert (served.get("/health").status_code, served.get("/health").json()["status"]) == (200, "ok")


@pytest.mark.parametrize(
    ("state", "ago_s", "code", "status"),
    [
        ("ok", 299, 200, "ok"),
        ("unreachable", 290, 200, "ok"),
        ("unreachable", 301, 503, "late"),
        ("login_refused", None, 503, "late"),
        ("busy", 9999, 200, "ok"),
        ("paused", 9999, 200, "ok"),
    ],
)
def test_a_router_that_is_silent_for_five_minutes_is_told_and_one_in_use_is_waited_for(
    tmp_path: Path, state: str, ago_s: int | None, code: int, status: str
) -> None:
    with Served(tmp_path) as served:
        served.tell(state=state, last_poll=None if ago_s is None else served.at - ago_s)
        answer = served.get("/health")
        assert (answer.status_code, answer.json()["status"], answer.json()["router"]) == (code, status, state)
        assert answer.json()["text"]
        assert served.get("/alive").status_code == 200, "starting it anew helps no router"


def test_a_daemon_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Served(tmp_path) as served:
        served.tell(state="busy")
        monkeypatch.setattr("dalla_mqtt.report.health._LATE_S", -1)
        monkeypatch.setattr("dalla_mqtt.report.health._LATE_POLLS", 0)
        answer = served.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "stuck")
        assert served.get("/alive").status_code == 503


# sockets


def test_a_port_that_is_taken_is_told_once_and_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Served(tmp_path, f"{{listen: '127.0.0.1:{port}'}}") as served:
            household(served)
            served.tell()
            assert served.page.port is None
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == [f"there is no page: cannot listen on 127.0.0.1:{port}: Address already in use; set web.listen"]


@pytest.mark.alone
def test_it_is_gone_within_a_second_whoever_is_connected(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        household(served)
        clients = [served.connect() for _ in range(50)]
        clients[0].sendall(b"GET /api/now HTTP/1.1\r\nHost: localhost\r\n")
        clients[1].sendall(b"GET /api/now HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        served.get("/api/now")
        began = time.monotonic()
        served.page.stop()
        assert time.monotonic() - began < 1
        for client in clients:
            client.settimeout(PATIENCE_S)
            try:
                while client.recv(65_536):
                    pass
            except ConnectionResetError:
                pass
            client.close()


def test_it_can_be_stopped_before_it_has_begun(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.page.stop()
    served.house.close()
    (tmp_path / "other").mkdir()
    with Served(tmp_path / "other") as other:
        other.page.stop()


def test_it_listens_on_both_kinds_of_addresses(tmp_path: Path) -> None:
    port = free_port()
    with Served(tmp_path, f"{{listen: '[::]:{port}', read: token, ingress: true}}") as served:
        assert served.get("/").status_code == 200
        with socket.create_connection(("::1", port), PATIENCE_S) as client:
            client.sendall(b"GET / HTTP/1.0\r\nHost: [::1]\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.0 200")


def test_who_never_ends_a_request_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "LONGEST_REQUEST_S", 0.2)
    with Served(tmp_path) as served, served.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        wait_until(lambda: cut_off(client, b"X: y\r\n"), "the end of the connection")
