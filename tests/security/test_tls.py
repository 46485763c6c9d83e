"""TLS with a certificate on both sides: who may not be spoken to is not, and nothing is ever said in plain text."""

from __future__ import annotations

import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.certificates import Authority, key_file, of_broker
from tests.processes import Dalla, Mosquitto, free_port, wait_until

CONFIG = """\
router: {{url: "http://127.0.0.1:9", interval: 1s, timeout: 1s, password: admin}}
mqtt: {{url: "{url}", ca_file: authority.pem, {ours}}}
"""
OURS = "cert_file: dalla.pem, key_file: dalla.key"


class House:
    """Certificates, a broker that asks for them, and a daemon; all is as it should be until a test says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.right, self.wrong = Authority(folder, "authority"), Authority(folder, "stranger")
        self.right.broker("broker")
        self.right.client("dalla", "dalla-mqtt")

    def broker(self, settings: str = "require_certificate true\nuse_identity_as_username true\n") -> Mosquitto:
        asks = f"cafile {self.right.file}\n{of_broker(self.folder / 'broker.pem')}{settings}user root\n"
        acl = self.folder / "acl"
        acl.touch(0o600)
        acl.write_text("user dalla-mqtt\ntopic readwrite #\n")
        return Mosquitto(self.folder, self.port, settings=f"{asks}acl_file {acl}\n")

    @contextmanager
    def daemon(
        self, host: str = "127.0.0.1", ours: str = OURS, scheme: str = "mqtts", level: str = "info"
    ) -> Iterator[Dalla]:
        config = CONFIG.format(url=f"{scheme}://{host}:{self.port}", ours=ours)
        (self.folder / "config.yaml").write_text(config)
        (self.folder / "config.yaml").chmod(0o600)
        with Dalla(self.folder, "run", "--log-level", level) as dalla:
            yield dalla

    def renew(self, name: str, new: Path) -> None:
        """Put certificate and key in the place of those of that name, as who renews them does."""
        for file, of in ((new, self.folder / f"{name}.pem"), (key_file(new), self.folder / f"{name}.key")):
            shutil.copy(file, of)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def complaint(dalla: Dalla) -> str:
    """The one line about the broker, of a daemon that has tried in vain more than once."""
    wait_until(lambda: "the broker at" in dalla.output, f"a complaint:\n{dalla.output}")
    (line,) = (line for line in dalla.lines if "the broker at" in line)
    return line


def test_with_the_right_certificates_the_broker_knows_who_we_are(house: House) -> None:
    with house.broker() as broker, house.daemon() as dalla:
        dalla.says("connected to the broker")
        broker.says("u'dalla-mqtt'")
        assert dalla.terminate() == 0


BROKERS: dict[str, tuple[Callable[[House], Path], str]] = {
    "wrong authority": (
        lambda house: house.wrong.broker("other", "localhost"),
        "signed by an authority that is not known here: name the certificate of who signed it",
    ),
    "expired": (
        lambda house: house.right.broker("other", "localhost", days=(-30, -1)),
        "the broker's certificate has expired: renew it at the broker; see this machine's clock, too",
    ),
    "not yet": (
        lambda house: house.right.broker("other", "localhost", days=(1, 30)),
        "the broker's certificate is not valid yet: see this machine's clock",
    ),
    "wrong name": (
        lambda house: house.right.broker("other", "127.0.0.1"),
        "the broker's certificate is not for localhost: write the name that stands in the certificate",
    ),
}


@pytest.mark.parametrize("fault", BROKERS)
def test_a_broker_that_is_not_who_it_should_be_is_told_nothing_until_it_is(house: House, fault: str) -> None:
    bad, told = BROKERS[fault]
    house.renew("broker", bad(house))
    with house.broker() as broker, house.daemon("localhost") as dalla:
        assert f": {told}" in complaint(dalla) or f"certificate is {told}" in complaint(dalla)
        assert "New client connected" not in broker.output
        house.renew("broker", house.right.broker("renewed", "localhost"))
        broker.process.send_signal(signal.SIGHUP)
        dalla.says("connected to the broker")
        broker.says("u'dalla-mqtt'")


CLIENTS: dict[str, tuple[Callable[[House], Path], str]] = {
    "expired": (
        lambda house: house.right.client("other", "dalla-mqtt", days=(-30, -1)),
        "our certificate has expired: renew mqtt.cert_file; see the broker's clock, too",
    ),
    "of another authority": (
        lambda house: house.wrong.client("other", "dalla-mqtt"),
        "our certificate is signed by an authority that the broker does not know: have mqtt.cert_file signed by",
    ),
    "for brokers": (
        lambda house: house.right.broker("other"),
        "the broker does not take our certificate: unsupported certificate: is it valid by now, and made for clients?",
    ),
}


@pytest.mark.parametrize("fault", CLIENTS)
def test_what_the_broker_has_against_our_certificate_is_told_and_a_renewed_one_is_shown_without_a_restart(
    house: House, fault: str
) -> None:
    bad, told = CLIENTS[fault]
    house.renew("dalla", bad(house))
    with house.broker() as broker, house.daemon() as dalla:
        assert told in complaint(dalla)
        assert "New client connected" not in broker.output
        house.renew("dalla", house.right.client("renewed", "dalla-mqtt"))
        dalla.says("connected to the broker")
        broker.says("u'dalla-mqtt'")


def test_a_broker_that_asks_for_a_certificate_where_there_is_none(house: House) -> None:
    with house.broker() as broker, house.daemon(ours="") as dalla:
        assert "the broker asks for a certificate: set mqtt.cert_file and mqtt.key_file" in complaint(dalla)
        assert "New client connected" not in broker.output


def test_a_key_that_is_not_the_certificates_is_told_before_anything_begins(house: House) -> None:
    house.right.change_key(house.folder / "dalla.pem")
    with house.daemon() as dalla:
        assert dalla.wait() == 2
        assert dalla.output == "dalla-mqtt: mqtt.key_file: it is not the key of the certificate in mqtt.cert_file\n"


def test_a_certificate_that_is_renewed_before_its_key_is_tried_again(house: House) -> None:
    with house.broker() as broker, house.daemon(level="debug") as dalla:
        dalla.says("connected to the broker")
        house.right.change_key(house.folder / "dalla.pem")
        broker.terminate()
        dalla.says("it is not the key of the certificate in mqtt.cert_file")
        with house.broker():
            house.renew("dalla", house.right.client("renewed", "dalla-mqtt"))
            wait_until(lambda: dalla.output.count("connected to the broker") == 2, "the second connection")


def test_nothing_but_tls_is_ever_said_where_tls_is_wanted(house: House) -> None:
    with socket.create_server(("127.0.0.1", house.port)) as server, house.daemon() as dalla:
        for _ in range(3):
            spoken, _ = server.accept()
            with spoken:
                assert re.match(rb"\x16\x03", spoken.recv(4096)), "the beginning of a TLS handshake"
        assert "without TLS, mqtt.url begins with mqtt://" in complaint(dalla)


def test_a_broker_that_wants_no_tls_is_told_as_such(house: House) -> None:
    with Mosquitto(house.folder, house.port) as broker, house.daemon() as dalla:
        assert "without TLS, mqtt.url begins with mqtt://" in complaint(dalla)
        assert "New client connected" not in broker.output


def test_a_broker_that_wants_tls_is_told_as_such(house: House) -> None:
    with house.broker() as broker, house.daemon(scheme="mqtt", ours="") as dalla:
        assert "with TLS, mqtt.url begins with mqtts://" in complaint(dalla)
        assert "New client connected" not in broker.output
