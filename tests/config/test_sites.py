"""Many sites in one file: what is said for all, what for one, and what is told where they are in each other's way."""

import re
from pathlib import Path
from time import process_time
from typing import Any, get_origin

import pytest

from dalla_mqtt.config import Config, load, load_local, load_sites
from dalla_mqtt.config.settings import LogConfig, every_setting
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.usage.quota import Rate, Subject

PASSWORD = {"DALLA_ROUTER_PASSWORD": "c4n4ry"}
SHIPPED = Path(__file__).parents[2] / "config.yaml"
REFERENCE = Path(__file__).parents[2] / "docs/reference.md"
TWO = "sites:\n  home:\n  attic:\n"
ALL = dict(every_setting())
OF_ALL = ("site", "sites", *(key for key in ALL if key.startswith(("web.", "log."))))


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this machine: one that equals itself."""
    monkeypatch.setenv("TZ", "UTC")


def sites(folder: Path, text: str, environment: dict[str, str] | None = None, **flags: Any) -> tuple[Config, ...]:  # noqa: ANN401
    file = folder / "config.yaml"
    file.write_text(text, "utf-8")
    file.chmod(0o600)
    return load_sites(
        file, PASSWORD | (environment or {}), {key.replace("__", "."): flag for key, flag in flags.items()}
    )


def complaint(folder: Path, text: str, environment: dict[str, str] | None = None, **flags: Any) -> str:  # noqa: ANN401
    with pytest.raises(ConfigError) as caught:
        sites(folder, text, environment, **flags)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{folder}/", "")


def below(site: str, key: str, value: object) -> str:
    """A file in which the last line says `key` for `site`."""
    names = ["sites", site, *key.split(".")]
    return "\n".join([*(f"{'  ' * depth}{name}:" for depth, name in enumerate(names)), ""])[:-1] + f" {value}\n"


def test_a_file_without_sites_is_one_site(tmp_path: Path) -> None:
    for text in ("site: attic\n", "site: attic\nsites:\n", "site: attic\nsites: {}\n"):
        (config,) = sites(tmp_path, text)
        assert config == load(tmp_path / "config.yaml", PASSWORD, {})
        assert (config.site, config.state) == ("attic", tmp_path / "state.db")


def test_each_site_has_what_is_said_for_all_but_for_what_it_says_itself(tmp_path: Path) -> None:
    text = """
router: {username: me, interval: 30s, timeout: 5s}
tariff: {timezone: Europe/Berlin, period_starts: 15}
quota: {throttle: {down: 1 Mbit/s, up: 64 kbit/s}, topup: 2 GiB}
sites:
  home:
    router: {url: http://10.0.0.1, interval: 5m}
    quota: {throttle: {up: 32 kbit/s}}
  attic:
    tariff: {period_starts: 1}
    mqtt: {url: off}
"""
    home, attic = sites(tmp_path, text)
    assert [config.site for config in (home, attic)] == ["home", "attic"]
    assert (home.router.url, attic.router.url) == ("http://10.0.0.1", "http://192.168.1.1")
    assert (home.router.interval, attic.router.interval) == (300, 30)
    assert (home.router.username, home.router.timeout) == ("me", 5)
    assert (home.quotas.throttle, attic.quotas.throttle) == (Rate(1000, 32), Rate(1000, 64))
    assert home.quotas.topup == attic.quotas.topup == 2 * 2**30
    assert (home.tariff.period_starts, attic.tariff.period_starts) == (15, 1)
    assert str(home.tariff.zone) == str(attic.tariff.zone) == "Europe/Berlin"
    assert attic.mqtt is None
    assert home.mqtt is not None
    assert home.mqtt.client_id == "dalla-home"


def test_the_users_of_a_site_are_its_own_and_its_devices_and_pools_come_to_those_of_all(tmp_path: Path) -> None:
    text = """
users: {Alice: {quota: 1 GiB}}
quota:
  devices: {02-01-01-01-01-01: {quota: 1 GiB}, 02-01-01-01-01-02: {quota: {on_peak: 1 GiB}}}
  pool: {All: {quota: 5 GiB}}
sites:
  home:
    users: {Bob: {quota: 2 GiB}}
    quota: {devices: {02-01-01-01-01-02: {quota: 3 GiB}}, pool: {Bobs: {users: [Bob]}}}
  attic:
    users: # none of its own
"""
    home, attic = sites(tmp_path, text)
    assert (home.people.names, attic.people.names) == (("Bob",), ("Alice",))
    named = {(subject.kind, subject.name) for subject in home.quotas.subjects}
    assert {name for kind, name in named if kind != "device"} == {"Bob", "All", "Bobs"}
    assert home.quotas.subjects[Subject("device", "02-01-01-01-01-02")].limits == {"together": 3 * 2**30}
    assert attic.quotas.subjects[Subject("device", "02-01-01-01-01-02")].limits == {"on_peak": 2**30}


def test_what_a_site_writes_goes_into_a_folder_of_its_name_and_what_it_reads_does_not(tmp_path: Path) -> None:
    for name in ("secret", "ca.pem"):
        (tmp_path / name).write_text("words\n", "utf-8")
    (tmp_path / "attic").mkdir()
    (tmp_path / "attic/user-map.csv").write_text("Bob, F8-B1-56-C1-22-11\n", "utf-8")
    text = """
router: {password_file: secret}
mqtt: {ca_file: ca.pem}
sites: {home: {archive: {commune: /var/total.csv}}, attic: {state: s/x.db, mqtt: {password_file: secret}}}
"""
    home, attic = sites(tmp_path, text, {"DALLA_ROUTER_PASSWORD": "", "DALLA_ARCHIVE_USERS": "all/users"})
    assert (home.state, attic.state) == (tmp_path / "home/state.db", tmp_path / "attic/s/x.db")
    assert (home.user_map, attic.people.names) == (tmp_path / "home/user-map.csv", ("Bob",))
    assert home.archive is not None
    assert attic.archive is not None
    assert home.archive.devices == f"{tmp_path}/home/logs/%Y-%m/devices"
    assert (home.archive.users, attic.archive.users) == (f"{tmp_path}/home/all/users", f"{tmp_path}/attic/all/users")
    assert (home.archive.commune, attic.archive.commune) == (
        "/var/total.csv",
        f"{tmp_path}/attic/logs/%Y-%m/total.csv",
    )
    assert attic.router.password.value == "words"
    assert attic.mqtt is not None
    assert attic.mqtt.password is not None
    assert (attic.mqtt.ca_file, attic.mqtt.password.value) == (tmp_path / "ca.pem", "words")


def test_variables_and_flags_are_for_all_sites_that_do_not_say_it_themselves(tmp_path: Path) -> None:
    text = "router: {interval: 10s}\nsites: {home: {router: {interval: 20s}}, attic: }\n"
    assert [one.router.interval for one in sites(tmp_path, text)] == [20, 10]
    assert [one.router.interval for one in sites(tmp_path, text, {"DALLA_ROUTER_INTERVAL": "30s"})] == [20, 30]
    assert [one.router.interval for one in sites(tmp_path, text, router__interval="40s")] == [20, 40]


@pytest.mark.parametrize(
    ("own", "environment", "wins"),
    [
        ("password: own", {"DALLA_ROUTER_PASSWORD": "variable"}, "own"),
        ("password_file: secret", {"DALLA_ROUTER_PASSWORD": "variable"}, "in a file"),
        ("password: own", {"DALLA_ROUTER_PASSWORD": "", "DALLA_ROUTER_PASSWORD_FILE": "secret"}, "own"),
        ("password: own, password_file: secret", {"DALLA_ROUTER_PASSWORD": ""}, "own"),
        ("password_file: secret", {"DALLA_ROUTER_PASSWORD": ""}, "in a file"),
        ("username: x", {"DALLA_ROUTER_PASSWORD": ""}, "of all"),
    ],
)
def test_a_sites_own_password_wins_however_it_is_given(
    tmp_path: Path, own: str, environment: dict[str, str], wins: str
) -> None:
    (tmp_path / "secret").write_text("in a file", "utf-8")
    text = f"router: {{password: of all}}\nsites: {{home: {{router: {{{own}}}}}}}\n"
    assert [one.router.password.value for one in sites(tmp_path, text, environment)] == [wins]


@pytest.mark.parametrize("key", [key for key in ALL if key not in OF_ALL and get_origin(ALL[key]) is not dict])
def test_every_setting_but_those_of_all_sites_can_be_said_for_one(tmp_path: Path, key: str) -> None:
    told = complaint(tmp_path, below("attic", f"{key}x", "a value"))
    name = key.rpartition(".")[2]
    assert told == (
        f"config.yaml line {key.count('.') + 3}: sites.attic.{key}x: there is no such setting; did you mean {name}?"
    )
    told = complaint(tmp_path, below("attic", key, "{a: 1}"))
    assert told.startswith(f"config.yaml line {key.count('.') + 3}: sites.attic.{key}: expected ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sites: [home]\n", "config.yaml line 1: sites: expected names, indented below this line, not a list"),
        ("sites:\n  home: http://10.0.0.1\n", "config.yaml line 2: sites.home: expected further settings, indented"),
        (
            "sites:\n  Home:\n",
            "config.yaml line 2: sites.Home: expected a-z, 0-9, _ and -, at most 40 of them, not 'Ho",
        ),
        ("sites:\n  home:\n  home:\n", "config.yaml line 3: sites.home: said twice; leave one of them out"),
        (
            "sites:\n  home: {site: x}\n",
            "config.yaml line 2: sites.home.site: take it out: the name above is the site's",
        ),
        ("sites:\n  home:\n    log: {}\n", "config.yaml line 3: sites.home.log: move it to the top of the file"),
        ("sites:\n  home:\n    web: off\n", "config.yaml line 3: sites.home.web: move it to the top of the file"),
        ("sites:\n  home:\n    sites: {}\n", "config.yaml line 3: sites.home.sites: take it out"),
        (
            "sites:\n  home:\n    interval: 5\n",
            "config.yaml line 3: sites.home.interval: there is no such setting; did",
        ),
        ("site: x\nsites:\n  home:\n", "config.yaml line 1: site: take it out: below `sites:` each has its name"),
        (
            "router:\n  url: x\nsites:\n  home:\n",
            "config.yaml line 2: router.url: expected the address of the router's page",
        ),
        (
            "router:\n  url: x\nsites:\n  home:\n    router:\n      url: y",
            "config.yaml line 6: sites.home.router.url: expected the address of the router's page",
        ),
        (
            "sites:\n  home:\n    tariff:\n      off_peak:\n      - 00:00-06:00\n      - x\n",
            "config.yaml line 6: sites.home.tariff.off_peak[1]: ",
        ),
        (
            "quota: {devices: {a: }}\nsites:\n  home: {quota: {devices: {b: }}}\n",
            "config.yaml line 1: quota.devices.a: ",
        ),
        (
            "users:\n  Alice:\n    quota: {together: 5}\nsites:\n  home:\n    users:\n      Alice:\n        quota: 6\n",
            "config.yaml line 8: sites.home.users.Alice.quota: expected a size",
        ),
        (
            "sites:\n  home:\n    router:\n      client: X\n",
            "config.yaml line 4: sites.home.router.client: take it out",
        ),
        ("mqtt:\n  client_id: x\n" + TWO, "config.yaml line 2: mqtt.client_id: take it out: each site needs one of"),
        (
            "sites:\n  home: {mqtt: {client_id: x}}\n  attic:\n    mqtt: {client_id: x}\n",
            "config.yaml line 4: sites.attic.mqtt.client_id: home and attic would both be x to the broker: give each",
        ),
        (
            "sites:\n  home: {mqtt: {client_id: dalla-attic}}\n  attic:\n",
            "config.yaml line 3: sites.attic.mqtt.client_id: home and attic would both be dalla-attic to the broker",
        ),
        (
            "user_map_file: map.csv\n" + TWO,
            "config.yaml line 1: user_map_file: cannot read home/map.csv: No such file or directory",
        ),
    ],
)
def test_a_mistake_is_told_with_its_site_its_line_and_its_mend(tmp_path: Path, text: str, told: str) -> None:
    assert complaint(tmp_path, text).startswith(told)


def test_a_missing_password_of_a_site_is_told_with_the_site(tmp_path: Path) -> None:
    text = "sites:\n  home: {router: {password: x}}\n  attic:\n    router:\n      interval: 5m\n"
    told = complaint(tmp_path, text, {"DALLA_ROUTER_PASSWORD": ""})
    assert told.startswith("config.yaml line 4: sites.attic.router.password: it is missing: set DALLA_ROUTER_PASSWORD")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("state: /x/s.db\n" + TWO, "config.yaml line 1: state: home and attic would both write to /x/s.db: give each"),
        (
            "sites:\n  home: {archive: {users: /x/all}}\n  attic:\n    archive: {devices: /x/../x/all}\n",
            "config.yaml line 4: sites.attic.archive.devices: home and attic would both write into /x/../x/all",
        ),
        (
            "sites:\n  home: {archive: {commune: /x/home.csv}}\n  attic: {archive: {commune: /x/attic.csv}}\n",
            "config.yaml line 3: sites.attic.archive.commune: home and attic would both write into /x: give each",
        ),
        (
            "sites:\n  home:\n  attic: {user_map_file: ../home/map.csv}\n  den: {user_map_file: ../home/map.csv}\n",
            "config.yaml line 4: sites.den.user_map_file: attic and den would both write to den/../home/map.csv: give",
        ),
    ],
)
def test_no_two_sites_write_the_same_files(tmp_path: Path, text: str, told: str) -> None:
    for name in ("home", "attic", "den"):
        (tmp_path / name).mkdir()
    (tmp_path / "home/map.csv").touch()
    assert complaint(tmp_path, text).startswith(told)


def test_files_that_are_the_same_by_a_link_are_found_out(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "attic").symlink_to("home")
    assert "sites.attic.state: home and attic would both write to attic/state.db" in complaint(tmp_path, TWO)


def test_a_variable_that_names_one_file_for_several_sites_is_refused(tmp_path: Path) -> None:
    told = complaint(tmp_path, TWO, {"DALLA_STATE": "/data/state.db"})
    assert told.startswith("environment variable DALLA_STATE: state: home and attic would both write to /data/state.db")
    assert complaint(tmp_path, TWO, {"DALLA_MQTT_CLIENT_ID": "x"}).startswith(
        "environment variable DALLA_MQTT_CLIENT_ID: mqtt.client_id: take it out"
    )


@pytest.mark.parametrize("key", ["user_map_file", "archive.devices", "archive.users", "archive.commune"])
def test_a_flag_names_no_file_of_several_sites(tmp_path: Path, key: str) -> None:
    told = complaint(tmp_path, TWO, **{key: "x"})
    assert told == f"the command line: {key}: say it in the file, below `sites:`: each site has files of its own"
    with pytest.raises(ConfigError, match="say it in the file"):
        load(tmp_path / "config.yaml", PASSWORD, {key: "x"}, "home")


def test_one_site_of_several_is_had_by_its_name(tmp_path: Path) -> None:
    both = sites(tmp_path, TWO)
    file = tmp_path / "config.yaml"
    assert load(file, PASSWORD, {}, "attic") == both[1]
    assert load_local(file, {}, {}, "home").state == both[0].state
    for given in (load, load_local):
        with pytest.raises(ConfigError, match=r"^say which site is meant, with --site: there are home, attic$"):
            given(file, PASSWORD, {})
        with pytest.raises(ConfigError, match=r"^there is no site 'den'; there are home, attic$"):
            given(file, PASSWORD, {}, "den")
        with pytest.raises(ConfigError, match=r"^there is no site 'atic'; did you mean attic\?$"):
            given(file, PASSWORD, {}, "atic")


def test_the_only_site_need_not_be_named_but_may_be(tmp_path: Path) -> None:
    for text in ("site: attic\n", "sites: {attic: }\n"):
        sites(tmp_path, text)
        file = tmp_path / "config.yaml"
        assert load(file, PASSWORD, {}) == load(file, PASSWORD, {}, "attic")
        with pytest.raises(ConfigError, match=r"^there is no site 'x'; there is attic$"):
            load(file, PASSWORD, {}, "x")


def test_of_many_sites_a_complaint_lists_some(tmp_path: Path) -> None:
    sites(tmp_path, "sites:\n" + "".join(f"  s{number}:\n" for number in range(25)))
    with pytest.raises(ConfigError, match=r"there are s0, s1, .*, s9 and 15 more$"):
        load(tmp_path / "config.yaml", PASSWORD, {})


def test_what_is_unwise_for_all_is_told_once_and_what_is_so_for_one_with_its_site(tmp_path: Path) -> None:
    text = """
router: {interval: 10m, password: x}
web: {listen: "0.0.0.0:8765"}
quota: {at_quota: throttle}
sites: {home: , attic: {router: {interval: 20m}}, den: {quota: {line: {down: 1 Mbit/s, up: 1 Mbit/s}}}}
"""
    (tmp_path / "config.yaml").write_text(text, "utf-8")
    (tmp_path / "config.yaml").chmod(0o644)
    warnings = [
        [text.partition(" ")[0] for text in one.warnings] for one in load_sites(tmp_path / "config.yaml", {}, {})
    ]
    assert warnings == [
        ["router.password", "router.interval", "quota.line", "web.listen:"],
        ["sites.attic.router.interval"],
        [],
    ]


def test_the_page_and_the_log_are_the_same_for_all(tmp_path: Path) -> None:
    home, attic = sites(tmp_path, "log: {level: debug}\nweb: {token: a-long-word}\n" + TWO)
    assert home.web is attic.web is not None
    assert home.log == attic.log == LogConfig(level="debug")


def test_the_sites_of_the_shipped_file_are_sites(tmp_path: Path) -> None:
    text, _, example = SHIPPED.read_text("utf-8").partition("\n# sites:")
    text = (
        text.replace("site: home", "# site: home") + "\n" + re.sub("^# ", "", f"# sites:{example}", flags=re.MULTILINE)
    )
    for name in ("home", "attic"):
        (tmp_path / f"{name}-password").write_text(name, "utf-8")
    home, attic = sites(tmp_path, text, {"DALLA_ROUTER_PASSWORD": ""})
    assert (home.site, home.router.password.value, home.people.names) == ("home", "home", ("Alice",))
    assert (attic.router.interval, attic.quotas.at_quota, str(attic.tariff.zone)) == (
        300,
        "throttle",
        "Africa/Johannesburg",
    )


def test_the_sites_of_the_reference_are_sites(tmp_path: Path) -> None:
    text = re.sub("^    ", "", REFERENCE.read_text("utf-8"), flags=re.MULTILINE)
    (example,) = re.findall("^### Many sites\n.*?\n\n(router: .*?)\n\n", text, re.MULTILINE | re.DOTALL)
    for name in ("home", "attic"):
        (tmp_path / f"{name}-password").write_text(name, "utf-8")
    home, attic = sites(tmp_path, example, {"DALLA_ROUTER_PASSWORD": ""})
    assert (home.router.interval, attic.router.interval) == (120, 300)
    assert (home.router.password.value, attic.router.password.value) == ("home", "attic")


@pytest.mark.alone
def test_a_thousand_sites_are_read_in_two_seconds_and_what_is_equal_is_kept_once(tmp_path: Path) -> None:
    lines = ["sites:"]
    for site in range(1000):
        lines += [f"  site-{site}:", f"    router: {{url: http://10.{site // 250}.{site % 250}.1}}"]
        lines += ["    mqtt: {url: mqtt://broker}", '    tariff: {off_peak: ["00:00-06:00"]}', "    users:"]
        for user in ("Alice", "Bob"):
            macs = (f"02-00-{site // 256:02X}-{site % 256:02X}-{len(user):02X}-{device:02X}" for device in range(10))
            lines += [f"      {user}:", "        devices:", *(f'          - "{mac}"' for mac in macs)]
    began_s = process_time()
    configs = sites(tmp_path, "\n".join(lines))
    assert process_time() - began_s < 2
    assert (len(configs), len(configs[999].people.macs)) == (1000, 20)
    assert len({id(part) for one in configs for part in (one.tariff, one.web, one.log)}) == 3
    assert len({id(one.mqtt.addresses) for one in configs if one.mqtt}) == 1
