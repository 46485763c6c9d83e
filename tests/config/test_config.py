"""The configuration as the rest of the program gets it: ready for use, or one line that tells what to mend."""

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import get_origin
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dalla_mqtt.config import BrokerAddress, Config, load, load_local
from dalla_mqtt.config.settings import every_setting
from dalla_mqtt.config.values import parse_duration, parse_rate
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.reading import Mac

CANARY = "c4n4ry"
ALICE = Mac.parse("CB-BD-AB-90-2D-38")
BOB = Mac.parse("F8-B1-56-C1-22-11")
PASSWORD = {"DALLA_ROUTER_PASSWORD": CANARY}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is empty, and not the folder of the configuration."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delenv("TZ", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def configured(folder: Path, text: str, environment: dict[str, str] | None = None, **flags: str) -> Config:
    file = folder / "config.yaml"
    file.write_text(text, "utf-8")
    file.chmod(0o600)
    return load(file, PASSWORD if environment is None else environment, {k.replace("__", "."): flags[k] for k in flags})


def complaint(folder: Path, text: str, environment: dict[str, str] | None = None, **flags: str) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(folder, text, environment, **flags)
    told = str(caught.value)
    assert "\n" not in told
    assert CANARY not in told
    return told.replace(f"{folder}/", "")


def test_a_password_is_all_that_must_be_said() -> None:
    config = load(None, PASSWORD, {})
    assert config.site == "home"
    assert (config.router.url, config.router.username) == ("http://192.168.1.1", "admin")
    assert config.router.password.value == CANARY
    assert (config.router.interval, config.router.timeout) == (60, 10)
    assert config.router.line_rate == 125_000_000
    assert (config.router.driver, config.router.client, config.router.enable_statistics) == ("archer-c20", None, False)
    assert config.mqtt is not None
    assert config.mqtt.addresses == (BrokerAddress("127.0.0.1", 1883, "tcp", tls=False),)
    assert (config.mqtt.client_id, config.mqtt.base_topic, config.mqtt.qos) == ("dalla-home", "dalla", 1)
    assert config.discovery_prefix == "homeassistant"
    assert config.archive is not None
    assert config.archive.commune == "logs/%Y-%m/total.csv"
    assert config.state == Path("state.db")
    assert (config.people.names, config.people.macs) == ((), {})
    assert (config.tariff.off_peak, config.tariff.period_starts) == ((), 1)
    assert (config.log.level, config.log.format) == ("info", "text")
    assert config.warnings == ()


def test_a_config_yaml_in_the_working_directory_is_read_without_being_named() -> None:
    Path("config.yaml").write_text("site: attic\n", "utf-8")
    assert load(None, PASSWORD, {}).site == "attic"


def test_a_config_yaml_that_is_a_folder_is_not_overlooked() -> None:
    Path("config.yaml").mkdir()  # as a container's bind mount makes it
    with pytest.raises(ConfigError, match=r"^config\.yaml: cannot read it: Is a directory$"):
        load(None, PASSWORD, {})


def test_what_is_switched_off_is_none(folder: Path) -> None:
    text = "mqtt: {url: off}\nhomeassistant: {discovery: no}\narchive: {enabled: false}\n"
    config = configured(folder, text)
    assert (config.mqtt, config.discovery_prefix, config.archive) == (None, None, None)


@pytest.mark.parametrize("off", ["off", "OFF", "false", "no", '"off"', '"Off"'])
def test_every_way_to_write_off_leaves_the_broker_out(folder: Path, off: str) -> None:
    assert configured(folder, f"mqtt: {{url: {off}}}").mqtt is None


@pytest.mark.parametrize("off", ["off", "OFF", "false"])
def test_a_variable_leaves_the_broker_out(folder: Path, off: str) -> None:
    assert configured(folder, "", PASSWORD | {"DALLA_MQTT_URL": off}).mqtt is None


def test_a_missing_password_is_told_with_the_ways_to_give_it(folder: Path) -> None:
    told = complaint(folder, "site: home\nrouter:\n  # password: x\n", {})
    mend = "it is missing: set DALLA_ROUTER_PASSWORD or router.password_file, or say -p - to be asked"
    assert told == f"config.yaml line 2: router.password: {mend}"
    with pytest.raises(ConfigError, match=f"^router.password: {mend}$"):
        load(None, {}, {})


@pytest.mark.parametrize("text", ["router: {password: }", "router: {password: ''}", "router: {password_file: ''}"])
def test_an_empty_password_is_a_missing_one(folder: Path, text: str) -> None:
    assert "router.password: it is missing: set " in complaint(folder, text, {})


@pytest.mark.parametrize(
    ("file", "environment", "flag", "wins"),
    [
        ("password: in file", {}, {}, "in file"),
        ("password_file: one", {}, {}, "one"),
        ("password: in file", {"PASSWORD": "in environment"}, {}, "in environment"),
        ("password_file: one", {"PASSWORD": "in environment"}, {}, "in environment"),
        ("password: in file", {"PASSWORD_FILE": "two"}, {}, "two"),
        ("password_file: one", {"PASSWORD_FILE": "two"}, {}, "two"),
        ("password: in file", {"PASSWORD": ""}, {}, "in file"),
        ("password: in file", {}, {"router__password": "flag"}, "flag"),
        ("password_file: one", {}, {"router__password": "flag"}, "flag"),
        ("password_file: one", {"PASSWORD": "in environment"}, {"router__password": "flag"}, "flag"),
        ("password_file: one", {"PASSWORD_FILE": "two"}, {"router__password": "flag"}, "flag"),
    ],
)
def test_of_several_passwords_the_nearest_to_the_command_line_wins(
    folder: Path, file: str, environment: dict[str, str], flag: dict[str, str], wins: str
) -> None:
    for name in ("one", "two"):
        (folder / name).write_text(f"{name}\nand more\n", "utf-8")
    variables = {f"DALLA_ROUTER_{name}": value for name, value in environment.items()}
    config = configured(folder, f"router:\n  {file}\n", variables, **flag)
    assert config.router.password.value == wins


@pytest.mark.parametrize(
    "content", [b"pass word", b"pass word\n", b"pass word\r\n", b"pass word\nsecond line\n", b"\xef\xbb\xbfpass word\n"]
)
def test_a_password_file_of_any_editor_gives_its_first_line(folder: Path, content: bytes) -> None:
    (folder / "secret").write_bytes(content)
    assert configured(folder, "router: {password_file: secret}", {}).router.password.value == "pass word"


@pytest.mark.parametrize("section", ["router", "mqtt"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot read secret: No such file or directory"),
        (b"", "the first line of secret is empty; the password belongs there"),
        (b"\nc4n4ry", "the first line of secret is empty; the password belongs there"),
        (b"c4n4ry\xff", "secret is not text in UTF-8"),
    ],
    ids=["none", "empty", "first line empty", "no text"],
)
def test_a_password_file_that_holds_none_is_told_without_its_content(
    folder: Path, section: str, content: bytes | None, told: str
) -> None:
    if content is not None:
        (folder / "secret").write_bytes(content)
    environment = {} if section == "router" else PASSWORD
    line = f"config.yaml line 2: {section}.password_file: {told}"
    assert complaint(folder, f"{section}:\n  password_file: secret\n", environment) == line


def test_no_password_is_seen_by_who_prints_the_configuration(folder: Path) -> None:
    text = "mqtt: {username: dalla, password: c4n4ry}\n"
    config = configured(folder, text)
    assert config.mqtt is not None
    assert config.mqtt.password is not None
    assert config.mqtt.password.value == CANARY
    assert CANARY not in f"{config!r} {config} {config.router!s} {config.mqtt!s} {config.router.password}"


@pytest.mark.parametrize("mode", [0o644, 0o604])
def test_a_password_in_a_file_that_everybody_may_read_is_warned_of(folder: Path, mode: int) -> None:
    file = folder / "config.yaml"
    file.write_text("router: {password: c4n4ry}\n", "utf-8")
    file.chmod(mode)
    (warning,) = load(file, {}, {}).warnings
    assert warning.startswith(f"router.password stands in {file}, which everybody on this machine may read: chmod o= ")
    assert CANARY not in warning
    assert load(file, PASSWORD, {}).warnings == ()
    file.chmod(0o640)
    assert load(file, {}, {}).warnings == ()


def test_files_of_secrets_that_everybody_may_read_are_warned_of(folder: Path) -> None:
    file, secret = folder / "config.yaml", folder / "secret"
    secret.write_text("c4n4ry-enough", "utf-8")
    keys = ("router.password", "mqtt.password", "mqtt.key", "web.token")
    for key in keys:
        section, _, name = key.partition(".")
        file.write_text(f"{section}: {{{name}_file: secret}}\n", "utf-8")
        environment = {} if section == "router" else PASSWORD
        for mode, warned in ((0o644, 1), (0o640, 0)):
            secret.chmod(mode)
            warnings = load(file, environment, {}).warnings
            assert len(warnings) == warned
            assert all(f"stands in {secret}, which everybody on this machine may read" in text for text in warnings)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60", 60), (60, 60), (1.5, 1.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86_400), (" 1.5 m ", 90)],
)
def test_durations_are_read_in_seconds(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "0", "0s", "-5", "5x", "5 M", "1e3", "1_000", "inf", "nan", "5s5", "٣s", "5m 3s", "9" * 400]
)
def test_what_is_no_duration_is_answered_with_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a duration such as 60s or 5m, not "):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "rate"), [("512 kbit/s", 512_000), ("100Mbit/s", 10**8), ("1.5 Gbit/s", 1.5e9), ("8 bit/s", 8)]
)
def test_rates_are_read_in_bits_a_second(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "100", "100 MB/s", "1 gbit/s", "0 bit/s", "-1 Mbit/s", "Mbit/s", "1 mbit"])
def test_what_is_no_rate_is_answered_with_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a rate such as 100 Mbit/s or 1 Gbit/s, not "):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("interval: 5x", "router.interval: expected a duration such as 60s or 5m, not '5x'"),
        ("interval: 0.5s", "router.interval: expected 1s to 1d, not 0.5s"),
        ("interval: 2d", "router.interval: expected 1s to 1d, not 2d"),
        ("timeout: 0.01s", "router.timeout: expected 0.1s to 1d, not 0.01s"),
        ("timeout: 99999999999d", "router.timeout: expected 0.1s to 1d, not 99999999999d"),
        (
            "client: TPLinkMRClient",
            "router.client: take it out, or set `router.driver: tplink`, which it is for",
        ),
        ("line_rate: 100 MB/s", "router.line_rate: expected a rate such as 100 Mbit/s or 1 Gbit/s, not '100 MB/s'"),
    ],
)
def test_a_wrong_setting_of_the_router_is_told_with_its_line_and_the_mend(folder: Path, text: str, told: str) -> None:
    assert complaint(folder, f"router:\n  {text}\n") == f"config.yaml line 2: {told}"


def test_another_driver_may_be_told_its_client(folder: Path) -> None:
    router = configured(folder, "router: {driver: tplink, client: TPLinkMRClient}").router
    assert (router.driver, router.client) == ("tplink", "TPLinkMRClient")


@pytest.mark.parametrize(("interval", "warned"), [("300s", False), ("5m", False), ("301", True), ("10m", True)])
def test_an_interval_in_which_a_counter_may_wrap_twice_is_warned_of(folder: Path, interval: str, warned: bool) -> None:  # noqa: FBT001
    warnings = configured(folder, f"router: {{interval: {interval}}}").warnings
    assert [text.startswith("router.interval is above 300 s") for text in warnings] == [True] * warned


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://192.168.1.1", "http://192.168.1.1"),
        ("http://192.168.1.1/", "http://192.168.1.1"),
        ("http://tplinkwifi.net:8080/webpages/login.html", "http://tplinkwifi.net:8080"),
        ("https://[fe80::1]", "https://[fe80::1]"),
    ],
)
def test_the_address_of_any_page_of_the_router_will_do(folder: Path, text: str, url: str) -> None:
    assert configured(folder, f'router: {{url: "{text}"}}').router.url == url


@pytest.mark.parametrize(
    "url",
    [
        "192.168.1.1",
        "ftp://192.168.1.1",
        "http://",
        "http://:80",
        "http://h:99999",
        "http://h:x",
        "http://a b",
        "http://[::1",
        "http://h:0",
        "",
    ],
)
def test_what_is_no_address_of_a_router_is_answered_with_one(folder: Path, url: str) -> None:
    told = complaint(folder, f'router:\n  url: "{url}"\n')
    assert (
        told == "config.yaml line 2: router.url: expected the address of the router's page, such as http://192.168.1.1"
    )


@pytest.mark.parametrize(
    ("text", "broker"),
    [
        ("mqtt://broker", ("broker", 1883, "tcp", False)),
        ("mqtt://broker:1884/", ("broker", 1884, "tcp", False)),
        ("mqtts://broker.lan", ("broker.lan", 8883, "tcp", True)),
        ("ws://broker:9001", ("broker", 9001, "websockets", False)),
        ("ws://broker/mqtt", ("broker", 80, "websockets", False)),
        ("wss://[::1]", ("::1", 443, "websockets", True)),
    ],
)
def test_every_scheme_of_a_broker_is_understood(folder: Path, text: str, broker: tuple[object, ...]) -> None:
    mqtt = configured(folder, f'mqtt: {{url: "{text}"}}').mqtt
    assert mqtt is not None
    assert mqtt.addresses == (BrokerAddress(*broker),)


def test_several_brokers_are_kept_in_their_order(folder: Path) -> None:
    mqtt = configured(folder, 'mqtt: {url: ["mqtt://one", "mqtts://two:8884"]}').mqtt
    assert mqtt is not None
    assert [str(address) for address in mqtt.addresses] == ["one:1883", "two:8884"]


def test_a_list_without_a_broker_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.url.*the list is empty"):
        configured(folder, "mqtt: {url: []}")


@pytest.mark.parametrize(
    "url",
    [
        "broker",
        "broker:1883",
        "tcp://broker",
        "http://broker",
        "mqtt://",
        "mqtt://h:70000",
        "mqtt://h:0",
        "on",
        "yes",
        "",
        "mqtt://a b",
    ],
)
def test_what_is_no_address_of_a_broker_is_answered_with_one(folder: Path, url: str) -> None:
    value = url if url in ("on", "yes") else f'"{url}"'
    told = complaint(folder, f"mqtt:\n  url: {value}\n")
    assert told.startswith("config.yaml line 2: mqtt.url: expected the broker's address, such as mqtt://127.0.0.1:1883")


def test_a_path_that_would_be_overlooked_is_refused(folder: Path) -> None:
    told = complaint(folder, "mqtt: {url: 'ws://broker:9001/broker'}")
    assert told.endswith("mqtt.url: nothing can follow the port: a websocket is always asked for at /mqtt")


@pytest.mark.parametrize("key", ["router.url", "mqtt.url"])
@pytest.mark.parametrize("userinfo", ["me:c4n4ry", "c4n4ry", ":c4n4ry", "me:c4n4ry@x", "me:c4n4ry:99999"])
def test_a_password_in_an_address_is_refused_and_not_shown(folder: Path, key: str, userinfo: str) -> None:
    scheme = "http" if key == "router.url" else "mqtt"
    told = complaint(folder, "", PASSWORD | {f"DALLA_{key.replace('.', '_').upper()}": f"{scheme}://{userinfo}@host"})
    assert told.endswith("user and password do not belong in the address: use username and password_file")


@pytest.mark.parametrize("site", ["", "Home", "our home", "a/b", "a+b", "häuschen", "x" * 41])
def test_a_site_is_a_part_of_a_topic(folder: Path, site: str) -> None:
    told = complaint(folder, f'site: "{site}"')
    assert told == f"config.yaml line 1: site: expected a-z, 0-9, _ and -, at most 40 of them, not {site!r}"


def test_home_assistant_cannot_be_looked_for_among_our_own_topics(folder: Path) -> None:
    text = "site: dorm\nhomeassistant:\n  prefix: dalla/dorm\n"
    assert complaint(folder, text).startswith("config.yaml line 3: homeassistant.prefix: our own topics are there")


@pytest.mark.parametrize("topic", ["", "/", "a/", "/a", "a/#", "+", "a b ", " a", "$SYS", "x" * 200])
@pytest.mark.parametrize("key", ["mqtt.base_topic", "homeassistant.prefix"])
def test_a_topic_that_brokers_refuse_or_overlook_is_refused(folder: Path, key: str, topic: str) -> None:
    section, name = key.split(".")
    told = complaint(folder, f'{section}:\n  {name}: "{topic}"\n')
    assert told.startswith(f"config.yaml line 2: {key}: expected a topic without + and #")


@pytest.mark.parametrize("topic", ["dalla", "home/network/dalla", "a", "Haus/Zähler", "a b"])
def test_a_topic_may_have_several_parts(folder: Path, topic: str) -> None:
    mqtt = configured(folder, f'mqtt: {{base_topic: "{topic}"}}').mqtt
    assert mqtt is not None
    assert mqtt.base_topic == topic


def test_paths_are_relative_to_the_folder_of_the_file(folder: Path) -> None:
    text = "archive: {devices: d, users: u/v, commune: ../total.csv}\nstate: s/state.db\nmqtt: {ca_file: ca.pem}\n"
    (folder / "ca.pem").write_text("-", "utf-8")
    config = configured(folder, text)
    assert config.archive is not None
    assert (config.archive.devices, config.archive.users) == (f"{folder}/d", f"{folder}/u/v")
    assert config.archive.commune == f"{folder}/../total.csv"
    assert config.state == folder / "s/state.db"
    assert config.mqtt is not None
    assert config.mqtt.ca_file == folder / "ca.pem"


def test_a_path_in_a_variable_is_relative_to_the_folder_of_the_file_too(folder: Path) -> None:
    assert configured(folder, "", PASSWORD | {"DALLA_STATE": "x/state.db"}).state == folder / "x/state.db"


def test_an_absolute_path_and_a_home_folder_are_what_they_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    config = configured(folder, "state: /var/lib/dalla/state.db\narchive: {commune: ~/total.csv}\n")
    assert config.state == Path("/var/lib/dalla/state.db")
    assert config.archive is not None
    assert config.archive.commune == "/home/alice/total.csv"


@pytest.mark.parametrize("key", ["state", "user_map_file", "archive.devices", "archive.users", "archive.commune"])
def test_a_path_of_no_length_or_of_nobody_is_refused(folder: Path, key: str) -> None:
    section, _, name = key.rpartition(".")
    text = f"{section}:\n  {name}: PATH" if section else f"\n{name}: PATH"
    told = complaint(folder, text.replace("PATH", "''"))
    assert told == f"config.yaml line 2: {key}: there is no path; give one, or take the line out"
    told = complaint(folder, text.replace("PATH", "'~nobody-here/x'"))
    assert told == f"config.yaml line 2: {key}: there is nobody whose home is ~nobody-here"


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file"])
def test_a_certificate_that_cannot_be_read_is_told_at_the_start(folder: Path, key: str) -> None:
    told = complaint(folder, f"mqtt:\n  {key}: nowhere.pem\n")
    assert told == f"config.yaml line 2: mqtt.{key}: cannot read nowhere.pem: No such file or directory"
    told = complaint(folder, f"mqtt:\n  {key}: .\n").replace(str(folder), "FOLDER")
    assert told == f"config.yaml line 2: mqtt.{key}: cannot read FOLDER: Is a directory"


def test_devices_are_looked_for_in_the_user_map_first(folder: Path) -> None:
    (folder / "user-map.csv").write_text(f"Name, MAC\nBob, {ALICE}\n", "utf-8")
    text = f'users:\n  Alice: {{devices: ["{ALICE}", "{BOB.colons}"], hostnames: ["Alices-*"]}}\n  Guests:\n'
    people = configured(folder, text).people
    assert people.names == ("Alice", "Guests", "Bob")
    assert people.owner(ALICE, None) == "Bob"
    assert people.owner(BOB, None) == "Alice"
    assert people.owner(Mac.parse("000000000001"), "ALICES-phone") == "Alice"


def test_blanks_around_a_name_make_no_second_user(folder: Path) -> None:
    (folder / "user-map.csv").write_text(f"Name, MAC\n Alice , {BOB}\n", "utf-8")
    people = configured(folder, f'users: {{" Alice ": {{devices: [{ALICE}]}}}}\n').people
    assert people.names == ("Alice",)
    assert people.macs == {ALICE: "Alice", BOB: "Alice"}


def test_unknown_is_no_user_of_its_own(folder: Path) -> None:
    assert configured(folder, f"users: {{{UNKNOWN}: {{devices: [{ALICE}]}}}}").people.names == ()


@pytest.mark.parametrize(
    ("users", "told"),
    [
        ("Alice: {devices: [CB-BD-AB-90-2D]}", "users.Alice.devices[0]: 'CB-BD-AB-90-2D' is not a MAC address such as"),
        (
            f"Alice: {{devices: [{ALICE}]}}\n  Bob: {{devices: [{BOB}, {ALICE}]}}",
            f"users.Bob.devices[1]: {ALICE} is Alice's already; leave it to one of them",
        ),
        ("'  ': {}", "users.  : a user has no name"),
        ("'a\\tb': {}".replace("'", '"'), "users.a\tb: 'a\\tb' is no name for a user"),
        (f"{'x' * 61}: {{}}", f"users.{'x' * 61}: '{'x' * 60}' is no name for a user: at most 60"),
    ],
)
def test_a_mistake_about_people_is_told_with_its_line(folder: Path, users: str, told: str) -> None:
    assert complaint(folder, f"users:\n  {users}\n").startswith(f"config.yaml line {users.count(chr(10)) + 2}: {told}")


def test_a_user_map_need_not_be_there_unless_it_is_named(folder: Path) -> None:
    assert configured(folder, "").people.names == ()
    told = complaint(folder, "site: home\nuser_map_file: user-map.csv\n")
    assert told == "config.yaml line 2: user_map_file: cannot read user-map.csv: No such file or directory"
    told = complaint(folder, "", user_map_file="/nowhere/map.csv")
    assert told == "the command line: user_map_file: cannot read /nowhere/map.csv: No such file or directory"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"Name, MAC\nAlice, CB-BD-AB-90-2D\n", "user-map.csv line 2: 'CB-BD-AB-90-2D' is not a MAC address"),
        (b"Alice; CB-BD-AB-90-2D-38\n", "user-map.csv line 1: expected `Name, MAC`"),
        (b"\n\nAlice, CB-BD-AB-90-2D-38, phone\n", "user-map.csv line 3: expected `Name, MAC`"),
        (b", CB-BD-AB-90-2D-38\n", "user-map.csv line 1: a user has no name"),
        (
            b"Alice, CB-BD-AB-90-2D-38\r\nBob, cb:bd:ab:90:2d:38\r\n",
            "user-map.csv line 2: CB-BD-AB-90-2D-38 belongs to Alice already",
        ),
        (b'Name, MAC\n"Alice, CB-BD-AB-90-2D-38\n', "user-map.csv line 2: "),
        (b'"Alice"x, CB-BD-AB-90-2D-38\n', "user-map.csv line 1: "),
        (b"x" * 200_000, "user-map.csv line 1: "),
        (b"Zo\xeb, CB-BD-AB-90-2D-38\n", "user_map_file: user-map.csv is not text in UTF-8"),
        (b"A\x00b, CB-BD-AB-90-2D-38\n", "user-map.csv line 1: 'A\\x00b' is no name for a user"),
    ],
)
def test_a_mistake_in_the_user_map_is_told_with_its_line(folder: Path, content: bytes, told: str) -> None:
    (folder / "user-map.csv").write_bytes(content)
    assert told in complaint(folder, "")


@pytest.mark.parametrize(
    "content", ["Name, MAC\n{}\n", "{}", "\ufeffName, MAC\r\n{}\r\n", "name,mac\n\n{}\n\n", "{}\n  \n"]
)
def test_a_user_map_of_any_editor_is_read(folder: Path, content: str) -> None:
    (folder / "user-map.csv").write_text(content.format('"Alice", cbbdab902d38'), "utf-8", newline="")
    assert configured(folder, "").people.macs == {ALICE: "Alice"}


def test_a_tariff_is_read_with_its_zone(folder: Path) -> None:
    text = (
        'tariff: {timezone: Africa/Johannesburg, off_peak: ["00:00-06:00", "Sat-Sun 00:00-24:00"], period_starts: -1}\n'
    )
    tariff = configured(folder, text).tariff
    assert tariff.zone == ZoneInfo("Africa/Johannesburg")
    assert len(tariff.off_peak) == 2
    assert tariff.period_starts == -1


@pytest.mark.parametrize("day", [0, -2, 32, 1000])
def test_a_period_begins_on_a_day_that_there_is(folder: Path, day: int) -> None:
    told = complaint(folder, f"tariff:\n  period_starts: {day}\n")
    mend = "expected a day of the month, 1 to 31, or -1 for the last"
    assert told == f"config.yaml line 2: tariff.period_starts: {mend}"


@pytest.mark.parametrize("window", ["6-7", "25:00-26:00", "00:00-00:00", "Foo 00:00-06:00", "00:60-01:00", ""])
def test_a_wrong_window_is_told_with_its_line(folder: Path, window: str) -> None:
    told = complaint(folder, f'tariff:\n  off_peak:\n  - "00:00-06:00"\n  - "{window}"\n')
    assert told.startswith("config.yaml line 4: tariff.off_peak[1]: ")


@pytest.mark.parametrize(
    "zone",
    [
        "Berlin",
        "Europe",
        "Europe/Berlin/Mitte",
        "../../etc/passwd",
        "/etc/passwd",
        "/etc",
        "/nowhere",
        "x" * 300,
        "zone.tab",
        "UTC+2",
        ".",
    ],
)
def test_what_is_no_time_zone_is_told_and_never_taken_for_utc(folder: Path, zone: str) -> None:
    told = complaint(folder, f"tariff:\n  timezone: {zone}\n")
    mend = f"expected a time zone such as Europe/Berlin, not {zone!r}"
    assert told == f"config.yaml line 2: tariff.timezone: {mend}"


@pytest.mark.parametrize("name", ["Europe/Berlin", ":Europe/Berlin"])
def test_without_a_zone_the_systems_is_taken(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", name)
    assert configured(folder, "").tariff.zone == ZoneInfo("Europe/Berlin")
    monkeypatch.setenv("TZ", f":{folder}/zone")
    (folder / "zone").write_bytes(files("tzdata.zoneinfo").joinpath("Europe", "Berlin").read_bytes())
    assert configured(folder, "").tariff.local(1_783_000_000).utcoffset() == timedelta(hours=2)


def test_a_system_zone_that_cannot_be_read_is_told_with_where_it_comes_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "<-03>3")
    told = complaint(folder, "")
    assert told.endswith("expected a time zone such as Europe/Berlin, not '<-03>3' in the environment variable TZ")
    assert configured(folder, "tariff: {timezone: UTC}").tariff.zone == ZoneInfo("UTC")


KEYS = [key for key, kind in every_setting() if get_origin(kind) is not dict]
NAMED = [
    "users",
    "users.Alice",
    "users.Alice.devices",
    "users.Alice.quota",
    "quota.devices",
    "quota.pool",
    "quota.pool.P",
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.binary()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KEYS), st.text(max_size=30))
@example("state", "\0")
@example("router.password_file", "\0")
@example("mqtt.ca_file", "~x/y")
@example("user_map_file", "a" * 300)
@example("tariff.timezone", "\0")
@example("tariff.period_starts", "--1")
@example("quota.line.down", "1 Mbit/s")
@example("quota.warn_at", "80%, -1")
def test_any_text_as_any_setting_is_a_configuration_or_a_complaint_about_it(key: str, text: str) -> None:
    variable = "DALLA_" + key.replace(".", "_").upper()
    for told in (outcome(None, PASSWORD | {variable: text}, {}), outcome(None, PASSWORD, {key: text})):
        assert key in told or told == ""


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*KEYS, *NAMED, "router", "mqtt", "log", "quota", "quota.line"]), VALUES)
def test_any_value_as_any_setting_is_a_configuration_or_a_complaint(key: str, value: object) -> None:
    tree: object = value
    for name in reversed(key.split(".")):
        tree = {name: tree}
    file = Path("any.yaml")
    file.write_text(yaml.safe_dump(tree), "utf-8")
    told = outcome(file, PASSWORD, {})
    assert told.startswith("any.yaml") or told == ""
    file.write_text(yaml.safe_dump({"sites": {"home": tree, "attic": None}}), "utf-8")
    told = outcome(file, PASSWORD, {}, "home")
    assert re.match(r"any\.yaml line \d+: sites\.home|any\.yaml( line \d+)?: (not YAML|nested)|$", told), told


def outcome(file: Path | None, environment: dict[str, str], flags: dict[str, str], site: str | None = None) -> str:
    """What is told, if anything is wrong."""
    try:
        config = load(file, environment, flags, site)
    except ConfigError as error:
        return str(error)
    assert CANARY not in repr(config)
    return ""


def test_a_percent_sign_in_the_folder_of_the_configuration_is_no_directive(tmp_path: Path) -> None:
    folder = tmp_path / "100%Y"
    folder.mkdir()
    (folder / "config.yaml").write_text("router: {password: x}\n", "utf-8")
    config = load(folder / "config.yaml", {}, {})
    assert config.archive is not None
    assert datetime(2026, 11, 24, tzinfo=UTC).strftime(config.archive.commune) == f"{folder}/logs/2026-11/total.csv"


@pytest.mark.parametrize(
    ("keep", "seconds"),
    [
        ("forever", None),
        ("400d", 400 * 86_400),
        ("1d", 86_400),
        ("36 h", 129_600),
        ("1.5d", 129_600),
        ("2000m", 120_000),
    ],
)
def test_rows_are_kept_for_ever_or_for_some_days(folder: Path, keep: str, seconds: float | None) -> None:
    assert (
        configured(folder, f"archive: {{keep: {keep}}}").archive
        == configured(folder, "", {**PASSWORD, "DALLA_ARCHIVE_KEEP": keep}).archive
    )
    archive = configured(folder, f"archive: {{keep: {keep}}}").archive
    assert archive is not None
    assert archive.keep == seconds


def test_rows_are_kept_for_ever_where_nothing_is_said(folder: Path) -> None:
    archive = configured(folder, "").archive
    assert archive is not None
    assert archive.keep is None


@pytest.mark.parametrize("keep", ["23h", "1s", "60", "never", "0d", "-5d", "''"])
def test_rows_that_would_go_within_a_day_are_no_archive(folder: Path, keep: str) -> None:
    told = complaint(folder, f"archive: {{keep: {keep}}}")
    assert "archive.keep" in told
    assert "such as 400d" in told


def test_what_works_with_the_files_alone_needs_no_password(folder: Path) -> None:
    file = folder / "config.yaml"
    text = "archive: {keep: 30d}\nstate: s.db\nusers: {Alice: {}}\ntariff: {period_starts: 15}\n"
    file.write_text(text, "utf-8")
    local = load_local(file, {}, {"archive.commune": "total.csv"})
    assert local.archive is not None
    assert (local.archive.commune, local.archive.keep) == (f"{folder}/total.csv", 30 * 86_400)
    assert (local.state, local.people.names, local.tariff.period_starts) == (folder / "s.db", ("Alice",), 15)
    with pytest.raises(ConfigError, match=r"router\.password"):
        load(file, {}, {})
