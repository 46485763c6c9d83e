"""The logins of the newer firmware, over a real socket, with a clock that the test turns."""

import re
import socket
from collections.abc import Callable, Iterator

import pytest
import requests

from dalla_mqtt.router.simulator import Firmware, Household, Simulator
from dalla_mqtt.router.simulator.firmware import Login
from dalla_mqtt.usage.reading import Mac
from tests.router.simulator.admin import Clock
from tests.router.simulator.caller import GET_PARAMETERS, LOGOUT, MODE, STATISTICS, Caller

ALICE = Mac.parse("CB-BD-AB-90-2D-38")
ENCRYPTED: tuple[Login, ...] = ("gdpr", "gdpr-pkcs1", "mr")
NEWER: tuple[Login, ...] = ("rsa", *ENCRYPTED)
WITH_TOKEN: tuple[Login, ...] = ("rsa", "mr")
REFUSAL = {"rsa": 500, "gdpr": 406, "gdpr-pkcs1": 406, "mr": 406}
WRONG = "var currAuthTimes={};\nvar currForbidTime={};\n$.ret=71233;\n"


@pytest.fixture(params=NEWER)
def simulator(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Simulator]:
    login = request.param
    with Simulator(Household.of(quiet=True), clock=clock, firmware=Firmware(login=login)) as simulator:
        yield simulator


@pytest.fixture
def laptop(simulator: Simulator) -> Caller:
    return Caller(simulator)


def only(*logins: Login) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("simulator", logins, indirect=True)


def test_who_logs_in_reads_the_statistics_until_logged_out(simulator: Simulator, laptop: Caller) -> None:
    simulator.add(ALICE, "192.168.1.100", 4711, packets=7)
    assert "$.ret=0;" in laptop.enter()
    answer = laptop.ask(STATISTICS)
    assert answer.startswith("[0,0,0,0,0,0]0\nenable=1\n")
    assert "totalPkts=7\ntotalBytes=4711\n" in answer
    assert simulator.truth()[ALICE].shown == 4711
    assert simulator.state()["session"] == "laptop"
    assert laptop.ask(LOGOUT).startswith("[cgi]0\n$.ret=0;\n")
    assert simulator.state()["session"] is None
    assert laptop.send(STATISTICS).status_code == REFUSAL[simulator.firmware.login]


def test_a_login_sets_a_cookie_and_a_refusal_and_a_logout_delete_it(laptop: Caller) -> None:
    laptop.get()
    laptop.learn()
    deleted = "JSESSIONID=deleted; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Path=/; HttpOnly"
    assert laptop.send(MODE).headers.get("Set-Cookie") == deleted
    assert re.fullmatch("JSESSIONID=[0-9a-f]{30}; Path=/; HttpOnly", laptop.log_in().headers["Set-Cookie"])
    laptop.enter()
    assert laptop.send(LOGOUT).headers["Set-Cookie"] == deleted


def test_key_and_sequence_number_are_told_to_anybody_in_three_ways(simulator: Simulator, laptop: Caller) -> None:
    form = r'var ee="010001";\nvar nn="[0-9A-F]{128}";\nvar seq="[0-9]{9}";\n\$.ret=0;\n'
    assert re.fullmatch(form, laptop.post("/cgi/getParm?_=1700000000000").text)
    assert re.fullmatch(form, laptop.get("/cgi/getParm"))
    asked = laptop.post("/cgi?8", GET_PARAMETERS).text
    assert re.fullmatch(rf"\[cgi\]0\n{form}\[error\]0\n?", asked)
    assert simulator.state()["logins"] == 0


def test_nothing_under_cgi_is_told_to_another_site(simulator: Simulator, laptop: Caller) -> None:
    laptop.session.headers["Referer"] = "http://example.org/"
    paths = ("/cgi/getParm", "/cgi/getBusy", "/cgi/login?Action=1", "/cgi?1", "/cgi_gdpr")
    assert {laptop.post(path).status_code for path in paths} == {403}
    assert simulator.state()["refused"] == 5


@pytest.mark.parametrize(
    ("simulator", "line"),
    [("gdpr", "512, 0)"), ("mr", "512, 0)"), ("gdpr-pkcs1", "512, 1)"), ("rsa", "404 Not Found")],
    indirect=["simulator"],
)
def test_a_script_tells_how_signs_are_padded_and_is_missing_where_there_are_none(laptop: Caller, line: str) -> None:
    assert line in laptop.get("/js/tpEncrypt.js")
    assert "ACT_GET" in laptop.get("/js/lib.js")


def test_a_plain_batch_and_a_password_in_a_cookie_are_turned_away(simulator: Simulator, laptop: Caller) -> None:
    cookie = {"Cookie": "Authorization=Basic YWRtaW46YWRtaW4="}
    query, _, body = MODE.partition("\r\n")
    answer = laptop.session.post(f"{simulator.url}/cgi?{query}", data=body, headers=cookie, timeout=5)
    assert answer.status_code == REFUSAL[simulator.firmware.login]


def test_the_front_page_is_the_login_page_until_somebody_is_in(simulator: Simulator, laptop: Caller) -> None:
    assert "password" in laptop.get()
    laptop.enter()
    assert "password" not in laptop.get()
    assert ('var token="' in laptop.get()) == (simulator.firmware.login in WITH_TOKEN)
    assert "password" in Caller(simulator, "phone").get()


def test_the_model_is_told_to_anybody_who_asks_for_the_front_page_or_posts_for_it(laptop: Caller) -> None:
    for page in (laptop.get(), laptop.post("/").text):
        assert 'modelName="Archer C20"' in page
        assert 'modelDesc="AC750 Wireless Dual Band Router "' in page


def test_a_sign_may_go_on_after_its_end_as_that_of_a_client_of_a_real_c20_does(clock: Clock) -> None:
    with Simulator(Household.of(quiet=True), clock=clock, firmware=Firmware(login="gdpr")) as simulator:
        laptop = Caller(simulator, digits="A" * 16)
        laptop.rsa_zeros = lambda text: Caller.rsa_zeros(laptop, text + b"\0\r\n")  # type: ignore[method-assign]
        assert laptop.enter().startswith("[cgi]0\n$.ret=0;\n[error]0")


# Who is turned away


def test_a_wrong_password_is_told_by_a_number_and_the_count(simulator: Simulator) -> None:
    bob = Caller(simulator, password="wrong")
    assert WRONG.format(1, 0) in bob.enter()
    assert WRONG.format(2, 0) in bob.enter()
    assert bob.send(MODE).status_code == REFUSAL[simulator.firmware.login]


def test_after_too_many_of_them_nobody_gets_in_for_two_hours(simulator: Simulator, clock: Clock) -> None:
    limit = 5 if simulator.firmware.login == "mr" else 10
    right, wrong = Caller(simulator), Caller(simulator, password="wrong")
    for attempt in range(1, limit):
        assert WRONG.format(attempt, 0) in wrong.enter()
    assert WRONG.format(limit, 0) in wrong.enter()
    clock.now += 7199
    assert WRONG.format(limit, 7199) in right.enter()
    clock.now += 1
    assert "$.ret=0;" in right.enter()


def test_a_success_forgives_and_what_presents_no_password_is_no_attempt(simulator: Simulator) -> None:
    right, wrong = Caller(simulator), Caller(simulator, password="wrong")
    for _ in range(2):
        for _ in range(4):
            wrong.enter()
            wrong.send(STATISTICS)
        assert "$.ret=0;" in right.enter()
        assert right.ask(LOGOUT)


def test_the_password_counts_in_full(clock: Clock) -> None:
    password = "0123456789abcdefgh"
    with Simulator(Household.of(), clock=clock, password=password, firmware=Firmware(login="mr")) as simulator:
        assert "71233" in Caller(simulator, password=password[:15]).enter()
        assert "$.ret=0;" in Caller(simulator, password=password).enter()


def test_there_is_one_administrator_and_the_other_is_told_so(simulator: Simulator, clock: Clock) -> None:
    status = REFUSAL[simulator.firmware.login]
    laptop, phone = Caller(simulator), Caller(simulator, "phone")
    assert phone.post("/cgi/getBusy").text == "var isLogined=0;\nvar isBusy=0;\n$.ret=0;\n"
    laptop.enter()
    assert phone.post("/cgi/getBusy").text == "var isLogined=1;\nvar isBusy=1;\n$.ret=0;\n"
    assert laptop.post("/cgi/getBusy").text == "var isLogined=0;\nvar isBusy=0;\n$.ret=0;\n"
    phone.get()
    phone.learn()
    assert phone.log_in().status_code == status
    assert laptop.ask(MODE), "and the administrator stays"
    clock.now += 600
    assert "$.ret=0;" in phone.enter()
    assert laptop.send(MODE).status_code == status


def test_a_session_belongs_to_one_machine(simulator: Simulator, laptop: Caller) -> None:
    laptop.enter()
    laptop.session.headers["X-Simulated-Client"] = "phone"
    assert laptop.send(MODE).status_code == REFUSAL[simulator.firmware.login]


def test_a_second_login_of_the_same_machine_ends_its_first_session(simulator: Simulator) -> None:
    first, second = Caller(simulator), Caller(simulator)
    first.enter()
    assert "$.ret=0;" in second.enter()
    assert second.ask(MODE)
    assert first.send(MODE).status_code == REFUSAL[simulator.firmware.login]


def test_a_reboot_ends_the_session(simulator: Simulator, laptop: Caller) -> None:
    laptop.enter()
    simulator.reboot()
    assert laptop.send(MODE).status_code == REFUSAL[simulator.firmware.login]
    assert "$.ret=0;" in laptop.enter()


@only(*WITH_TOKEN)
def test_without_the_token_of_the_front_page_nothing_is_told(simulator: Simulator, laptop: Caller) -> None:
    laptop.enter()
    laptop.session.headers["TokenID"] = "0" * 30
    assert laptop.send(MODE).status_code == REFUSAL[simulator.firmware.login]


@only("gdpr-pkcs1")
def test_a_session_is_complete_after_the_front_page_only(laptop: Caller) -> None:
    laptop.learn()
    assert laptop.log_in().status_code == 200
    assert laptop.send(MODE).status_code == 406
    laptop.get()
    laptop.log_in()
    laptop.get()
    assert laptop.ask(MODE)


@only("gdpr")
def test_without_the_login_page_before_it_a_login_is_an_error(simulator: Simulator, laptop: Caller) -> None:
    laptop.get()
    simulator.reboot()
    laptop.learn()
    assert laptop.log_in().status_code == 500
    laptop.get()
    assert laptop.log_in().status_code == 200
    assert laptop.ask(MODE), "no page after it is needed"


# Signs


def sealed(laptop: Caller, result: requests.Response) -> str:
    return result.text if laptop.login == "mr" else laptop.decrypt(result.text)


@only(*ENCRYPTED)
def test_a_login_whose_sum_is_wrong_makes_no_sense_and_is_no_attempt(laptop: Caller) -> None:
    laptop.get()
    laptop.learn()
    for _ in range(12):
        assert "$.ret=71234;" in sealed(laptop, laptop.log_in(off=1))
    assert "$.ret=0;" in sealed(laptop, laptop.log_in())


@only(*ENCRYPTED)
def test_the_sequence_number_is_the_one_that_was_told_last(laptop: Caller) -> None:
    laptop.get()
    laptop.learn()
    old = laptop.seq
    laptop.learn()
    laptop.seq, new = old, laptop.seq
    assert "$.ret=71234;" in sealed(laptop, laptop.log_in())
    laptop.seq = new
    assert "$.ret=0;" in sealed(laptop, laptop.log_in())


@only("mr")
@pytest.mark.parametrize("query", ["", "data=&sign=", "data=AAAA&sign=zz", "data=AAAA&sign=00"])
def test_a_login_without_a_sign_makes_no_sense(laptop: Caller, query: str) -> None:
    assert laptop.post(f"/cgi/login?{query}").text == "$.ret=71234;\n"


@only("rsa")
@pytest.mark.parametrize("query", ["", "UserName=00&Passwd=00", f"UserName={'12' * 64}&Passwd={'12' * 64}"])
def test_a_login_that_cannot_be_read_makes_no_sense(laptop: Caller, query: str) -> None:
    assert laptop.post(f"/cgi/login?{query}").text == "$.ret=71234;\n"


@only(*ENCRYPTED)
def test_a_short_sign_is_read_in_the_session_that_set_the_key_only(laptop: Caller) -> None:
    laptop.enter()
    assert laptop.ask(MODE, "short") == laptop.ask(MODE, "long")
    laptop.session.cookies.clear()
    assert laptop.send(MODE, "short").status_code == 500
    assert laptop.send(MODE, "long").status_code == 406


@only(*ENCRYPTED)
def test_a_request_with_a_wrong_sum_or_another_digest_is_refused(laptop: Caller) -> None:
    laptop.enter()
    assert laptop.send(MODE, off=1).status_code == 406
    laptop.enter()
    laptop.password = "wrong"
    assert laptop.send(MODE).status_code == 406


@only(*ENCRYPTED)
@pytest.mark.parametrize(
    "body", ["", "nonsense", "sign=00\r\ndata=AAAA\r\n", "sign=zz\r\ndata=AAAA\r\n", "data=AAAA\r\nsign=00\r\n"]
)
def test_an_envelope_that_cannot_be_opened_is_an_error(laptop: Caller, body: str) -> None:
    laptop.enter()
    answer = laptop.post("/cgi_gdpr", body)
    assert answer.status_code == 500
    assert answer.headers["Set-Cookie"].startswith("JSESSIONID=deleted; ")
    assert laptop.send(MODE).status_code == 406


@only("gdpr")
def test_blank_lines_between_sections_do_no_harm(laptop: Caller) -> None:
    laptop.enter()
    assert laptop.ask(MODE + "\r\n").startswith("[0,0,0,0,0,0]0\nmode=ETH\n[error]0")


# Transport


def in_turn(caller: Caller, *steps: Callable[[], object]) -> None:
    """Each on a connection of its own."""
    for step in steps:
        step()
        caller.session.close()


def test_a_login_over_several_connections_reads_no_statistics_where_one_is_wanted(clock: Clock) -> None:
    firmware = Firmware(login="gdpr", one_connection=True)
    with Simulator(Household.of(quiet=True), clock=clock, firmware=firmware) as simulator:
        laptop = Caller(simulator)
        in_turn(laptop, laptop.get, laptop.learn, laptop.log_in)
        assert laptop.ask(MODE)
        assert laptop.send(STATISTICS).status_code == 500
        laptop.ask(LOGOUT)
        assert "$.ret=0;" in laptop.enter()
        assert laptop.ask(STATISTICS)
        laptop.ask(LOGOUT)
        in_turn(laptop, laptop.get, laptop.learn, laptop.log_in)
        assert laptop.ask(STATISTICS), "once trusted, it stays so"
        simulator.reboot()
        in_turn(laptop, laptop.get, laptop.learn, laptop.log_in)
        assert laptop.send(STATISTICS).status_code == 500


def test_a_leaky_firmware_puts_a_chunks_size_before_the_next_answer_of_a_connection(clock: Clock) -> None:
    firmware = Firmware(login="gdpr-pkcs1", leaky_chunks=True)
    request = b"GET / HTTP/1.1\r\nHost: router\r\n\r\n"
    with Simulator(Household.of(quiet=True), clock=clock, firmware=firmware) as simulator:
        address = ("127.0.0.1", simulator.port)
        with socket.create_connection(address, timeout=5) as client, client.makefile("rb") as stream:
            client.sendall(request)
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
            while stream.readline() != b"0\r\n":
                pass
            stream.readline()
            client.sendall(request)
            assert stream.readline() == b"18\r\n"
        caller = Caller(simulator)
        caller.session.headers["Connection"] = "close"
        assert "$.ret=0;" in caller.enter()
        assert caller.ask(STATISTICS)


def test_an_error_page_may_be_said_to_be_chunked_which_it_is_not(clock: Clock) -> None:
    firmware = Firmware(login="gdpr", false_chunks=True)
    with Simulator(Household.of(quiet=True), clock=clock, firmware=firmware) as simulator:
        answer = requests.post(f"{simulator.url}/cgi_gdpr", headers={"Referer": simulator.url}, stream=True, timeout=5)
        assert (answer.status_code, answer.headers["Transfer-Encoding"]) == (500, "chunked")
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            assert answer.content
        answer.close()
