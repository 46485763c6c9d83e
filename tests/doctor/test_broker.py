"""What is wrong with the broker is told with its mend, and nothing is left on it."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from dalla_mqtt.mqtt.broker import EmbeddedBroker
from tests.certificates import Authority, key_file, of_broker
from tests.doctor.house import NOWHERE, Doctor, diagnose
from tests.processes import CANARY, Dalla, Listener, Mosquitto, free_port, wait_until

ANYBODY = "allow_anonymous true\nuser root\n"


def told(folder: Path, broker: Mosquitto, **environment: str) -> Doctor:
    """What is found of that broker."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return diagnose(home, **{"DALLA_MQTT_URL": broker.url, **environment})[1]


def hold(doctor: Doctor, about: str, verdict: str, text: str) -> None:
    assert doctor.about(about)[0] == verdict, doctor.output
    assert text in doctor.about(about)[1], doctor.output


def test_all_is_well_without_home_assistant_which_may_be_so(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        doctor = told(tmp_path, broker)
        assert broker.retained() == {}
        hold(doctor, "broker", "ok", f"answers at 127.0.0.1, port {broker.port}")
        hold(doctor, "credentials", "ok", "it lets us in without a user name, and speaks MQTT 5")
        hold(doctor, "publishing", "ok", "what is said on dalla/home/… arrives, and is heard")
        hold(doctor, "discovery", "ok", "devices may be announced on homeassistant/…")
        hold(doctor, "Home Assistant", "hint", "it does not listen to this broker -> set up its MQTT integration")


def test_whoever_hears_everything_is_not_taken_for_home_assistant(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker, "#"):
        doctor = told(tmp_path, broker)
        hold(doctor, "Home Assistant", "hint", "whether it listens cannot be known")


def test_a_daemon_is_not_taken_for_home_assistant_nor_thrown_out(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with Mosquitto(tmp_path) as broker:
        where = {"DALLA_ROUTER_PASSWORD": "x", "DALLA_ROUTER_URL": NOWHERE, "DALLA_MQTT_URL": broker.url}
        with Dalla(home, "run", environment=where) as dalla:
            wait_until(lambda: broker.retained().get("dalla/home/status") == "online", "the daemon")
            before = broker.retained()
            doctor = told(tmp_path, broker)
            hold(doctor, "Home Assistant", "hint", "it does not listen to this broker")
            assert broker.retained() == before
            assert dalla.output.count("connected to the broker") == 1


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mqtt://127.0.0.1:9", "no broker runs at 127.0.0.1, port 9 -> start it (`apt install mosquitto`"),
        ("mqtt://a..b", "nobody knows the name a..b -> put the broker's number into mqtt.url"),
        ("mqtt://nobody.invalid", "nobody knows the name nobody.invalid -> put the broker's number into mqtt.url"),
    ],
)
def test_a_broker_that_is_not_there(tmp_path: Path, url: str, text: str) -> None:
    code, doctor = diagnose(tmp_path, DALLA_MQTT_URL=url)
    assert code == 1
    hold(doctor, "broker", "wrong", text)


def test_a_port_that_hangs_up(tmp_path: Path) -> None:
    def hang_up() -> None:
        for _ in range(2):
            server.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=hang_up, daemon=True).start()
        _, doctor = diagnose(tmp_path, DALLA_MQTT_URL=f"mqtt://127.0.0.1:{server.getsockname()[1]}")
    hold(
        doctor,
        "credentials",
        "wrong",
        "the broker hung up without an answer -> with TLS, mqtt.url begins with mqtts://",
    )


def test_a_port_that_is_not_for_websockets(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        doctor = told(tmp_path, broker, DALLA_MQTT_URL=f"ws://127.0.0.1:{broker.port}")
        hold(doctor, "broker", "wrong", "-> is it the broker's port for websockets?")


def test_over_websockets_too(tmp_path: Path) -> None:
    port = free_port()
    settings = f"{ANYBODY}listener {port} 127.0.0.1\nprotocol websockets\n"
    with Mosquitto(tmp_path, settings=settings) as broker:
        doctor = told(tmp_path, broker, DALLA_MQTT_URL=f"ws://127.0.0.1:{port}")
        hold(doctor, "publishing", "ok", "is heard")


def test_passwords(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "dalla", CANARY], check=True)
    settings = f"allow_anonymous false\npassword_file {passwords}\nuser root\n"
    with Mosquitto(tmp_path, settings=settings) as broker:
        doctor = told(tmp_path, broker)
        text = "asks for a user name and a password, and none is set -> set mqtt.username"
        hold(doctor, "credentials", "wrong", text)
        doctor = told(tmp_path, broker, DALLA_MQTT_USERNAME="dalla", DALLA_MQTT_PASSWORD="wrong")
        text = "does not know dalla, or the password is another one -> compare mqtt.username"
        hold(doctor, "credentials", "wrong", text)
        doctor = told(tmp_path, broker, DALLA_MQTT_USERNAME="dalla", DALLA_MQTT_PASSWORD=CANARY)
        hold(doctor, "credentials", "ok", "it lets us in as dalla")


@pytest.mark.parametrize(
    ("rules", "about", "verdict", "text"),
    [
        ("readwrite dalla/home/#, write homeassistant/device/+/config", "Home Assistant", "hint", "does not listen"),
        ("readwrite other/#", "publishing", "wrong", "-> let this user write dalla/home/# and read dalla/home/+/set"),
        ("write dalla/home/#", "commands", "wrong", "-> let this user write dalla/home/# and read dalla/home/+/set"),
        ("write dalla/home/#, read dalla/home/+/set", "publishing", "ok", "is heard"),
        ("readwrite dalla/#", "discovery", "wrong", "-> let this user write homeassistant/device/+/config"),
    ],
)
def test_what_the_access_control_list_forbids(tmp_path: Path, rules: str, about: str, verdict: str, text: str) -> None:
    (tmp_path / "acl").write_text("".join(f"topic {rule.strip()}\n" for rule in rules.split(",")))
    (tmp_path / "acl").chmod(0o600)
    with Mosquitto(tmp_path, settings=f"{ANYBODY}acl_file {tmp_path}/acl\n") as broker:
        doctor = told(tmp_path, broker)
        hold(doctor, about, verdict, text)


def test_a_subscription_that_is_refused(tmp_path: Path) -> None:
    access = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"defaultACLAccess": access}))
    (plugin,) = Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")
    settings = f"{ANYBODY}plugin {plugin}\nplugin_opt_config_file {rules}\n"
    with Mosquitto(tmp_path, settings=settings) as broker:
        doctor = told(tmp_path, broker)
        hold(doctor, "commands", "wrong", "we may not hear dalla/home/…/set")


def test_a_broker_that_retains_nothing(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, settings=f"{ANYBODY}retain_available false\n") as broker:
        doctor = told(tmp_path, broker)
        hold(doctor, "publishing", "wrong", "keeps no retained messages")


def test_a_broker_of_mqtt_3_only(tmp_path: Path) -> None:
    with EmbeddedBroker(free_port(), elsewhere=True) as broker:
        _, doctor = diagnose(tmp_path, DALLA_MQTT_URL=f"mqtt://127.0.0.1:{broker.port}")
    hold(doctor, "credentials", "ok", "speaks MQTT 3.1.1")
    hold(doctor, "publishing", "ok", "arrives, and is heard")
    hold(doctor, "Home Assistant", "hint", "so whether it listens cannot be known")


@pytest.mark.parametrize(
    ("address", "days", "known", "text"),
    [
        ("127.0.0.1", 2, True, "its certificate is good"),
        ("127.0.0.1", 2, False, "signed by an authority that is not known here -> name the certificate of"),
        ("127.0.0.1", -1, True, "the broker's certificate has expired -> renew it at the broker"),
        ("192.168.1.2", 2, True, "the broker's certificate is not for 127.0.0.1 -> write the name that"),
    ],
)
def test_certificates(tmp_path: Path, address: str, days: int, known: bool, text: str) -> None:  # noqa: FBT001
    right, other = (Authority(tmp_path, name) for name in ("right", "other"))
    certificate = right.broker("broker", address, days=(-10, days))
    with Mosquitto(tmp_path, settings=ANYBODY + of_broker(certificate)) as broker:
        url = broker.url.replace("mqtt:", "mqtts:")
        authority = right if known else other
        doctor = told(tmp_path, broker, DALLA_MQTT_URL=url, DALLA_MQTT_CA_FILE=str(authority.file))
        hold(doctor, "TLS", "ok" if text.endswith("good") else "wrong", text)
        hold(doctor, "broker", "ok", f"at 127.0.0.1, port {broker.port}")


def test_the_wrong_one_of_two_ports(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        doctor = told(tmp_path, broker, DALLA_MQTT_URL=broker.url.replace("mqtt:", "mqtts:"))
        hold(doctor, "broker", "wrong", "hung up at once -> without TLS, mqtt.url begins with mqtt://")
    with Mosquitto(tmp_path, settings=ANYBODY + of_broker(Authority(tmp_path, "right").broker("broker"))) as broker:
        doctor = told(tmp_path, broker)
        hold(doctor, "credentials", "wrong", "-> with TLS, mqtt.url begins with mqtts://")


def test_a_broker_that_asks_for_a_certificate_of_ours(tmp_path: Path) -> None:
    right, other = (Authority(tmp_path, name) for name in ("right", "other"))
    asks = f"{of_broker(right.broker('broker'))}cafile {right.file}\nrequire_certificate true\n"
    with Mosquitto(tmp_path, settings=ANYBODY + asks) as broker:
        where = {"DALLA_MQTT_URL": broker.url.replace("mqtt:", "mqtts:"), "DALLA_MQTT_CA_FILE": str(right.file)}

        def with_ours(certificate: Path) -> Doctor:
            ours = {"DALLA_MQTT_CERT_FILE": str(certificate), "DALLA_MQTT_KEY_FILE": str(key_file(certificate))}
            return told(tmp_path, broker, **where, **ours)

        text = "the broker asks for a certificate -> set mqtt.cert_file and mqtt.key_file"
        hold(told(tmp_path, broker, **where), "credentials", "wrong", text)
        hold(with_ours(right.client("ours")), "publishing", "ok", "is heard")
        text = "our certificate has expired -> renew mqtt.cert_file"
        hold(with_ours(right.client("late", days=(-9, -2))), "credentials", "wrong", text)
        text = "an authority that the broker does not know -> have mqtt.cert_file signed by one that it knows"
        hold(with_ours(other.client("stranger")), "credentials", "wrong", text)
        text = "the broker does not take our certificate: unsupported certificate -> is it valid by now, and made for"
        hold(with_ours(right.broker("no-client")), "credentials", "wrong", text)


def test_a_certificate_of_ours_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "nonsense.pem").write_text("nonsense")
    _, doctor = diagnose(tmp_path, DALLA_MQTT_URL="mqtts://127.0.0.1", DALLA_MQTT_CA_FILE=f"{tmp_path}/nonsense.pem")
    hold(doctor, "TLS", "wrong", "not a certificate and its key in PEM")


def test_a_key_of_ours_that_does_not_do(tmp_path: Path) -> None:
    right = Authority(tmp_path, "right")
    for name, text in (("other", "not the key of the certificate"), ("locked", "the key is locked by a passphrase")):
        ours = right.client(name)
        right.change_key(ours, passphrase="passphrase" if name == "locked" else None)
        files = {"DALLA_MQTT_CERT_FILE": str(ours), "DALLA_MQTT_KEY_FILE": str(key_file(ours))}
        _, doctor = diagnose(tmp_path, DALLA_MQTT_URL="mqtts://127.0.0.1", **files)
        hold(doctor, "TLS", "wrong", text)
