"""Every setting: what it may be, where it may be said, and what is told where it is wrong."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import pytest
import yaml

from dalla_mqtt.config.quotas import read_quotas
from dalla_mqtt.config.settings import (
    DeviceSettings,
    PartsSettings,
    PoolSettings,
    Settings,
    UserSettings,
    every_setting,
    read_settings,
    site_settings,
)
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.usage.people import People

SHIPPED = Path(__file__).parents[2] / "config.yaml"
ALL = dict(every_setting())
PLAIN = {key: kind for key, kind in ALL.items() if get_origin(kind) not in (list, dict)}
LISTS = [key for key, kind in ALL.items() if get_origin(kind) is list]
NAMED = [key for key, kind in ALL.items() if get_origin(kind) is dict]
SECTIONS = sorted({key.partition(".")[0] for key in ALL if "." in key})


def read(folder: Path, text: str, environment: dict[str, str] | None = None, **flags: str) -> Settings:
    file = folder / "config.yaml"
    file.write_text(text, "utf-8")
    return read_settings(file, environment or {}, {key.replace("__", "."): value for key, value in flags.items()})[0]


def complaint(folder: Path, text: str, environment: dict[str, str] | None = None, **flags: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, environment, **flags)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


def lines(key: str, value: object) -> str:
    """A file in which the last line says `key`; text in it is quoted, as YAML has it."""
    *sections, name = key.split(".")
    said = yaml.safe_dump({name: value}, default_flow_style=True, allow_unicode=True, width=10_000).strip()[1:-1]
    comments = ["# a comment"] * (2 - len(sections))
    above = [f"{'  ' * depth}{section}:" for depth, section in enumerate(sections)]
    return "\n".join([*comments, *above, f"{'  ' * len(sections)}{said}", ""])


def default(key: str) -> Any:  # noqa: ANN401
    value: Any = Settings()
    for name in key.split("."):
        value = getattr(value, name)
    return value


def said(settings: Settings, key: str) -> Any:  # noqa: ANN401
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def variable(key: str) -> str:
    return "DALLA_" + key.replace(".", "_").upper()


def right(kind: object) -> Any:  # noqa: ANN401
    """A value of that kind; for most settings not the default."""
    if get_origin(kind) is Literal:
        return get_args(kind)[-1]
    return ["a", "b"] if get_origin(kind) is list else {bool: False, int: 15}.get(kind, "a value")  # type: ignore[call-overload]


def wrong(kind: object) -> list[Any]:
    """Values of every other kind that YAML can make."""
    values: list[Any] = [{"a": 1}, ["a", 1], b"bytes"]
    if list[str] not in get_args(kind):
        values += [[]]
    if get_origin(kind) is Annotated:
        values += [2.5, float("nan")]
    elif kind not in (int, str | float) and get_origin(kind) is not Literal:
        values += [1, 2.5, float("nan")]
    if bool not in (kind, *get_args(kind)):
        values += [True]
    if kind in (bool, int) or get_origin(kind) is Literal:
        values += ["some text", "true", "1", "", -7.5]
    return values


def test_there_are_settings() -> None:
    assert {"site", "router.password", "mqtt.url", "archive.enabled", "tariff.off_peak", "users", "log.level"} <= set(
        ALL
    )


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, kind in PLAIN.items() for value in wrong(kind)], ids=repr
)
def test_a_value_of_the_wrong_kind_is_told_with_its_line_and_what_is_expected(
    tmp_path: Path, key: str, value: object
) -> None:
    told = complaint(tmp_path, lines(key, value))
    assert told.startswith(f"config.yaml line 3: {key}: expected ")
    assert not re.search(r"`|\b(str|int|float|bool|array|object|null|enum)\b", told)  # no word of a programmer's


@pytest.mark.parametrize("key", LISTS)
@pytest.mark.parametrize("value", ["22:00-06:00", 5, True, {"a": 1}])
def test_a_list_is_asked_for_where_one_is_needed(tmp_path: Path, key: str, value: object) -> None:
    told = complaint(tmp_path, lines(key, value))
    assert told.startswith(f'config.yaml line 3: {key}: expected a list such as ["one", "two"], not ')


@pytest.mark.parametrize("key", PLAIN)
def test_a_setting_left_blank_is_pointed_out_unless_it_need_not_be_there(tmp_path: Path, key: str) -> None:
    if default(key) is None:
        assert read(tmp_path, lines(key, None)) == Settings()
    else:
        told = complaint(tmp_path, lines(key, None))
        assert told == f"config.yaml line 3: {key}: there is no value; give one, or take the line out"


@pytest.mark.parametrize(
    "key",
    [*SECTIONS, "users", "tariff:\n  off_peak", "quota:\n  warn_at", "quota:\n  pool", "quota:\n  throttle"]
    + [f"users:\n  Alice:\n    {name}" for name in ("devices", "quota", "at_quota")],
)
def test_a_section_of_which_all_lines_are_commented_out_says_nothing(tmp_path: Path, key: str) -> None:
    settings = read(tmp_path, f"{key}:\n  # all: gone\n")
    assert settings in (Settings(), Settings(users={"Alice": UserSettings()}))


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("value", ["text", "[]", "5", "[a: 1]", "true", "2026-11-24"])
def test_a_section_that_is_none_is_told_what_it_should_be(tmp_path: Path, section: str, value: str) -> None:
    told = complaint(tmp_path, f"site: home\n{section}: {value}\n")
    assert told.startswith(f"config.yaml line 2: {section}: expected further settings, indented below this line, not ")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_that_is_none_is_told_so_even_where_a_variable_sets_something_in_it(
    tmp_path: Path, section: str
) -> None:
    key = next(key for key in ALL if key.startswith(f"{section}."))
    told = complaint(tmp_path, f"{section}: text\n", {variable(key): "x"})
    assert told.startswith(f"config.yaml line 1: {section}: expected further settings")


@pytest.mark.parametrize("key", ALL)
def test_a_slip_in_a_name_is_answered_with_the_name_that_was_meant(tmp_path: Path, key: str) -> None:
    section, _, name = key.rpartition(".")
    slip = f"{section}.{name}x".lstrip(".")
    told = complaint(tmp_path, lines(slip, "a value"))
    assert told.startswith(f"config.yaml line 3: {slip}: there is no such setting; did you mean ")
    assert told.endswith(f"did you mean {name}?")


@pytest.mark.parametrize("key", ["wxyz", "archive.xyzzy", "router.port", "log.xyzzy"])
def test_an_unknown_name_is_answered_with_the_names_there_are(tmp_path: Path, key: str) -> None:
    told = complaint(tmp_path, lines(key, {"listen": "127.0.0.1:8765"}))
    assert told.startswith(f"config.yaml line 3: {key}: there is no such setting; there are ")


def test_a_name_in_the_wrong_section_is_answered_with_the_right_one(tmp_path: Path) -> None:
    assert complaint(tmp_path, "interval: 60s\n").endswith("no such setting; did you mean router.interval?")
    assert complaint(tmp_path, "password: x\n").endswith("did you mean router.password or mqtt.password?")
    assert complaint(tmp_path, "log:\n  off_peak: []\n").endswith("did you mean tariff.off_peak?")


@pytest.mark.parametrize(
    ("users", "told"),
    [
        ("Alice: {device: []}", "users.Alice.device: there is no such setting; did you mean devices?"),
        ("Alice: {quotas: 5 GiB}", "users.Alice.quotas: there is no such setting; did you mean quota"),
        ("Alice: {quota: [5 GiB]}", "users.Alice.quota: expected a size such as 40 GiB, not a list"),
        ("Alice: {quota: 1.5}", "users.Alice.quota: expected a size such as 40 GiB, not a number with a point"),
        ("Alice: {quota: yes}", "users.Alice.quota: expected a size such as 40 GiB, not true or false"),
        (
            "Alice: {quota: {on_peek: 5 GiB}}",
            "users.Alice.quota.on_peek: there is no such setting; did you mean on_peak?",
        ),
        (
            "Alice: {quota: {on_peak: {}}}",
            "users.Alice.quota.on_peak: expected a size such as 40 GiB, not further settings",
        ),
        ("Alice: {quota: {per: month}}", "users.Alice.quota.per: expected day or week or period"),
        (
            "Alice: {quota: {starts: 1.5}}",
            "users.Alice.quota.starts: expected a day such as 15 or Mon, not a number with",
        ),
        ("Alice: {quota: {carry_over: 5}}", "users.Alice.quota.carry_over: expected true or false, not a number"),
        ("Alice: {at_quota: slow}", "users.Alice.at_quota: expected notify or throttle or block"),
        ("Alice: CB-BD-AB-90-2D-38", "users.Alice: expected further settings, indented below this line, not text"),
        ("Alice: [CB-BD-AB-90-2D-38]", "users.Alice: expected further settings, indented below this line, not a list"),
        ("J. Doe: {devices: [112233445566]}", "users.J. Doe.devices[0]: expected text: put the value in quotes"),
        ("Alice: {devices: [11:22:33:44:55:06]}", "users.Alice.devices[0]: YAML takes this for a number"),
        ("Alice: {devices: CB-BD-AB-90-2D-38}", 'users.Alice.devices: expected a list such as ["one", "two"]'),
        ("Alice: {hostnames: [a, {b: c}]}", "users.Alice.hostnames[1]: expected text, not further settings"),
        ("Alice: {hostnames: [a, ]}\n  Bob: {hostnames: [~]}", "users.Bob.hostnames[0]: there is no value"),
        ("Yes: {}", "users.Yes: not a name; put it in quotes if it is one"),
    ],
)
def test_a_mistake_about_a_user_names_the_user(tmp_path: Path, users: str, told: str) -> None:
    line = users.count("\n") + 2
    assert complaint(tmp_path, f"users:\n  {users}\n").startswith(f"config.yaml line {line}: {told}")


@pytest.mark.parametrize("value", ["- Alice\n- Bob", "Alice", "5"])
def test_users_that_are_no_names_are_told_what_they_should_be(tmp_path: Path, value: str) -> None:
    told = complaint(tmp_path, f"users:\n {value}\n".replace("\n-", "\n -"))
    assert told.startswith("config.yaml line 1: users: expected names, indented below this line, not ")


@pytest.mark.parametrize(("key", "kind"), [(key, kind) for key, kind in ALL.items() if key not in NAMED])
def test_every_setting_can_be_said_in_the_file_in_a_variable_and_by_a_flag(
    tmp_path: Path, key: str, kind: object
) -> None:
    value = right(kind)
    assert said(read(tmp_path, lines(key, value)), key) == value
    text = ", ".join(value) if isinstance(value, list) else str(value)
    assert said(read(tmp_path, "", {variable(key): text}), key) == value
    assert said(read(tmp_path, "", {}, **{key: value}), key) == value


OF_ALL = ("site", "web.", "log.")


@pytest.mark.parametrize(
    ("key", "kind"), [(key, kind) for key, kind in ALL.items() if key not in NAMED and not key.startswith(OF_ALL)]
)
def test_every_setting_but_those_of_all_sites_can_be_said_for_one_of_them(
    tmp_path: Path, key: str, kind: object
) -> None:
    file, value = tmp_path / "config.yaml", right(kind)
    file.write_text(lines(f"sites.attic.{key}", value) + "  home:\n", "utf-8")
    settings, places = read_settings(file, {}, {})
    of_attic, places_of_attic = site_settings(settings, places, "attic")
    of_home, places_of_home = site_settings(settings, places, "home")
    assert (said(of_attic, key), said(of_home, key)) == (value, default(key))
    assert (places_of_attic.names(key), places_of_home.names(key)) == (True, False)
    line = f"{file} line {key.count('.') + 3}: "
    assert str(places_of_attic.error(key, "no")) == f"{line}sites.attic.{key}: no"
    for wrong_value in [] if get_origin(kind) is list else wrong(kind):
        file.write_text(lines(f"sites.attic.{key}", wrong_value), "utf-8")
        with pytest.raises(ConfigError) as caught:
            site_settings(*read_settings(file, {}, {}), "attic")
        assert str(caught.value).startswith(f"{line}sites.attic.{key}: expected ")


@pytest.mark.parametrize("key", [key for key, kind in PLAIN.items() if kind in (str, str | None)])
def test_flags_win_over_the_environment_which_wins_over_the_file(tmp_path: Path, key: str) -> None:
    file = lines(key, "in the file")
    assert said(read(tmp_path, file), key) == "in the file"
    assert said(read(tmp_path, file, {variable(key): "environment"}), key) == "environment"
    assert said(read(tmp_path, file, {variable(key): "environment"}, **{key: "flag"}), key) == "flag"


@pytest.mark.parametrize("section", SECTIONS)
def test_a_variable_reaches_a_section_of_which_all_lines_are_commented_out(tmp_path: Path, section: str) -> None:
    key, kind = next((key, kind) for key, kind in ALL.items() if key.startswith(f"{section}.") and key in PLAIN)
    assert said(read(tmp_path, f"{section}:\n", {variable(key): str(right(kind))}), key) == right(kind)


@pytest.mark.parametrize("text", ["true", "false", "123", "null", "~", "on", "- a", "#1", "*", " blanks "])
def test_a_password_in_a_variable_is_taken_as_it_is(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, "", {"DALLA_ROUTER_PASSWORD": text}).router.password == text


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("DALLA_ARCHIVE_ENABLED", "maybe", "archive.enabled: expected true or false, not text"),
        ("DALLA_MQTT_QOS", "3", "mqtt.qos: expected 0 or 1 or 2"),
        ("DALLA_MQTT_QOS", "--1", "mqtt.qos: expected 0 or 1 or 2"),
        ("DALLA_TARIFF_PERIOD_STARTS", "first", "tariff.period_starts: expected a whole number, not text"),
        ("DALLA_TARIFF_PERIOD_STARTS", "9" * 5000, "tariff.period_starts: expected a whole number, not text"),
        ("DALLA_TARIFF_PERIOD_STARTS", "٣", "tariff.period_starts: expected a whole number, not text"),
        ("DALLA_LOG_LEVEL", "loud", "log.level: expected debug or info or warning or error"),
        ("DALLA_ROUTER_DRIVER", "fritz", "router.driver: expected archer-c20 or tplink"),
        ("DALLA_ROUTER_PASSWORD", "secret\n", "router.password: take out the control character, such as a line break"),
        ("DALLA_STATE", "a\udcffb", "state: take out the control character"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, text: str, told: str) -> None:
    assert complaint(tmp_path, "", {name: text}).startswith(f"environment variable {name}: {told}")


def test_a_wrong_flag_is_told_to_be_on_the_command_line(tmp_path: Path) -> None:
    told = complaint(tmp_path, "log: {level: info}", {"DALLA_LOG_LEVEL": "info"}, log__level="loud")
    assert told.startswith("the command line: log.level: expected ")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("FALSE", False), ("False", False)], ids=["true", "FALSE", "False"]
)
def test_a_variable_switches_something_on_or_off(tmp_path: Path, text: str, value: bool) -> None:  # noqa: FBT001
    assert read(tmp_path, "", {"DALLA_ARCHIVE_SKIP_IDLE": text}).archive.skip_idle is value


def test_a_variable_that_is_empty_is_none(tmp_path: Path) -> None:
    empty = {variable(key): "" for key in ALL}
    assert read(tmp_path, "site: attic\n", empty) == Settings(site="attic")


def test_variables_that_container_platforms_make_do_no_harm(tmp_path: Path) -> None:
    made = {
        "DALLA_PORT": "tcp://10.0.0.7:8765",
        "DALLA_PORT_8765_TCP": "tcp://10.0.0.7:8765",
        "DALLA_SERVICE_HOST": "10.0.0.7",
        "DALLA_MQTT_PORT": "tcp://10.0.0.8:1883",
        "DALLA_MQTT_PORT_1883_TCP_ADDR": "10.0.0.8",
        "DALLA_MQTT_SERVICE_PORT": "1883",
        "DALLA_USERS": "root",
        "DALLA_QUOTA_POOL": "root",
        "DALLA_QUOTA_DEVICES": "root",
        "DALLA_": "",
    }
    assert read(tmp_path, "", made) == Settings()


@pytest.mark.parametrize("word", ["on", "yes", "true", "On", "YES"])
def test_every_way_of_yaml_to_say_yes_is_yes(tmp_path: Path, word: str) -> None:
    assert read(tmp_path, f"archive: {{skip_idle: {word}}}").archive.skip_idle is True


@pytest.mark.parametrize("char", ["\\0", "\\n", "\\t", "\\e", "\\x7f", "\\ud800"])
def test_no_setting_holds_what_would_break_a_line_or_a_path(tmp_path: Path, char: str) -> None:
    told = complaint(tmp_path, f'router:\n  username: "ad{char}min"\n')
    assert told.startswith("config.yaml line 2: router.username: take out the control character")


def test_the_shipped_file_says_exactly_the_defaults() -> None:
    assert read_settings(SHIPPED, {}, {})[0] == Settings()


def test_the_shipped_file_names_every_setting_with_a_line_of_comment_each(tmp_path: Path) -> None:
    text = SHIPPED.read_text("utf-8")
    file = tmp_path / "config.yaml"
    file.write_text(re.sub(r"^( *)# ", r"\1", text, flags=re.MULTILINE), "utf-8")
    settings, places = read_settings(file, {}, {})
    named = [key for key in ALL if places.names(key)]
    assert named == list(ALL)
    assert list(settings.users) == ["Alice", "Bob", "UNKNOWN"]
    (device,), (pool,) = settings.quota.devices, settings.quota.pool
    kinds: dict[str, type[msgspec.Struct]] = {
        "users.Alice": UserSettings,
        "users.Alice.quota": PartsSettings,
        f"quota.devices.{device}": DeviceSettings,
        f"quota.pool.{pool}": PoolSettings,
    }
    for key, kind in kinds.items():
        assert all(places.names(f"{key}.{setting.name}") for setting in msgspec.structs.fields(kind)), key
    assert len(read_quotas(settings, People(("Alice", "Bob")), places).subjects) == 5
    for line in text.splitlines():
        assert line.endswith(":") or "  # " in line or line.startswith("#   "), line
        assert len(line) <= 120


def test_what_the_shipped_file_leaves_out_is_only_what_has_no_default() -> None:
    _, places = read_settings(SHIPPED, {}, {})
    left_out = [key for key in ALL if not places.names(key)]
    assert [key for key in left_out if default(key) is not None] == ["user_map_file", *NAMED]


def test_the_shipped_file_holds_no_tab_and_no_blank_at_the_end_of_a_line() -> None:
    text = SHIPPED.read_text("utf-8")
    assert "\t" not in text
    assert not re.search(r" $", text, re.MULTILINE)
    assert text.endswith("\n")
