"""Quotas as people write them: what is understood, and what is told where it cannot be meant."""

from pathlib import Path

import pytest

from dalla_mqtt.config import Config, load, load_local
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.usage.people import UNKNOWN
from dalla_mqtt.usage.quota import AtQuota, Quota, Quotas, Rate, Subject

GIB = 2**30
ALICE = Subject("user", "Alice")
PHONE = Subject("device", "CB-BD-AB-90-2D-38")
FAMILY = Subject("pool", "Family")
PASSWORD = {"DALLA_ROUTER_PASSWORD": "x"}


def configured(folder: Path, text: str, **environment: str) -> Config:
    file = folder / "config.yaml"
    file.write_text(text, "utf-8")
    return load(file, PASSWORD | environment, {})


def quotas(folder: Path, text: str, **environment: str) -> Quotas:
    return configured(folder, text, **environment).quotas


def complaint(folder: Path, text: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(folder, text, **environment)
    return str(caught.value).removeprefix(f"{folder}/")


def test_nobody_has_a_quota_where_none_is_given(tmp_path: Path) -> None:
    assert quotas(tmp_path, "users: {Alice: {hostnames: [a]}, Bob: }\nquota:\n  # all: gone\n") == Quotas()


@pytest.mark.parametrize(
    ("said", "quota"),
    [
        ("quota: 40 GiB", Quota({"together": 40 * GIB})),
        ("quota: {together: 40 GiB}", Quota({"together": 40 * GIB})),
        ("quota: 0.1 GB", Quota({"together": 100_000_000})),
        (
            "quota: {off_peak: 100 GiB, together: 120 GiB, on_peak: 40 GiB}",
            Quota({"on_peak": 40 * GIB, "off_peak": 100 * GIB, "together": 120 * GIB}),
        ),
        ("quota: {on_peak: 40 GiB, off_peak: 0, together: 0 B}", Quota({"on_peak": 40 * GIB})),
        ("quota: 0", Quota()),
        ("quota: {together: 1 B, per: day}", Quota({"together": 1}, "day")),
        ("quota: {together: 1 B, per: week}", Quota({"together": 1}, "week")),
        ("quota: {together: 1 B, per: week, starts: Mon}", Quota({"together": 1}, "week", 0)),
        ("quota: {together: 1 B, per: week, starts: sun}", Quota({"together": 1}, "week", 6)),
        ("quota: {together: 1 B, starts: 1}", Quota({"together": 1}, "period", 1)),
        ("quota: {together: 1 B, per: period, starts: 31}", Quota({"together": 1}, "period", 31)),
        ("quota: {together: 1 B, per: period, starts: -1}", Quota({"together": 1}, "period", -1)),
        ("quota: {together: 1 B, carry_over: yes}", Quota({"together": 1}, carry_over=True)),
        ("quota: 1 B\n    at_quota: throttle", Quota({"together": 1}, at_quota="throttle")),
        ("at_quota: block", Quota(at_quota="block")),
        ("at_quota: notify", Quota()),
    ],
)
@pytest.mark.parametrize(
    ("above", "subject"),
    [
        ("users:\n  Alice:\n    ", ALICE),
        ('users:\n  " Alice ":\n    ', ALICE),
        ("users:\n  UNKNOWN:\n    ", Subject("user", UNKNOWN)),
        ("quota: {devices: {\n    cbbdab902d38: {\n    ", PHONE),
        ('quota: {devices: {\n    "cb:bd:ab:90:2d:38": {\n    ', PHONE),
        ("quota: {pool: {\n    Family: {\n    ", FAMILY),
    ],
)
def test_a_quota_is_a_size_or_says_its_parts_and_its_days(
    tmp_path: Path, above: str, subject: Subject, said: str, quota: Quota
) -> None:
    text = above + (said.replace("\n", ",\n") + "}}}" if "{" in above else said) + "\n"
    assert quotas(tmp_path, text).subjects == {subject: quota}


def test_a_pool_is_shared_by_those_it_names_or_by_all(tmp_path: Path) -> None:
    (tmp_path / "user-map.csv").write_text("Name, MAC\nBob, F8-B1-56-C1-22-11\n", "utf-8")
    text = (
        "users: {Alice: }\nquota: {pool: {A: {users: [Bob, ' Alice ', UNKNOWN, Bob], quota: 1 B}, B: {users: }, C: }}"
    )
    users = {subject.name: quota.users for subject, quota in quotas(tmp_path, text).subjects.items()}
    assert users == {"A": ("Bob", "Alice", "UNKNOWN"), "B": (), "C": ()}


@pytest.mark.parametrize(
    ("said", "done"), [("", "throttle"), (", at_quota: block", "block"), (", at_quota: notify", "notify")]
)
def test_what_is_done_at_a_quota_is_what_is_said_there_or_for_all(tmp_path: Path, said: str, done: AtQuota) -> None:
    text = f"""
users: {{Alice: {{quota: 1 B{said}}}, Bob: {{hostnames: [b]}}}}
quota:
  at_quota: throttle
  devices: {{{PHONE.name}: {{quota: 1 B{said}}}}}
  pool: {{Family: {{quota: 1 B{said}}}}}
"""
    found = quotas(tmp_path, text)
    assert {subject: quota.at_quota for subject, quota in found.subjects.items()} == dict.fromkeys(
        (ALICE, PHONE, FAMILY), done
    )
    assert found.at_quota == "throttle"


@pytest.mark.parametrize(
    ("said", "warn_at"),
    [
        ("[80%, 100%]", (80, 100)),
        ("[100%, 80, '50 %', 80%]", (50, 80, 100)),
        ("[1, 1000%]", (1, 1000)),
        ("[]", ()),
        ("", (80, 100)),
    ],
)
def test_warnings_come_at_any_number_of_percents(tmp_path: Path, said: str, warn_at: tuple[int, ...]) -> None:
    assert quotas(tmp_path, f"quota:\n  warn_at: {said}\n").warn_at == warn_at


def test_rates_are_kept_in_kbit_a_second(tmp_path: Path) -> None:
    text = (
        "quota: {throttle: {down: 16 kbit/s, up: 1.5 Mbit/s}, line: {down: 1 Gbit/s, up: 16.001 Mbit/s}, topup: 5 GB}"
    )
    found = quotas(tmp_path, text)
    assert (found.throttle, found.line) == (Rate(16, 1500), Rate(1_000_000, 16_001))
    assert found.topup == 5_000_000_000


def test_what_is_alike_for_all_can_be_said_in_variables(tmp_path: Path) -> None:
    found = quotas(
        tmp_path,
        "quota: {topup: 5 GiB, line: {up: 1 Mbit/s}}",
        DALLA_QUOTA_WARN_AT="90%,100%",
        DALLA_QUOTA_AT_QUOTA="block",
        DALLA_QUOTA_TOPUP="2 GiB",
        DALLA_QUOTA_THROTTLE_UP="64 kbit/s",
        DALLA_QUOTA_LINE_DOWN="10 Mbit/s",
    )
    assert found == Quotas({}, (90, 100), Rate(512, 64), Rate(10_000, 1000), 2 * GIB, "block")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("quota: 40", "quota: expected a size such as 40 GiB, with one of B kB MB "),
        ("quota: 40 gib", "quota: expected a size such as 40 GiB, with one of B kB MB "),
        ("quota: -1 GiB", "quota: expected a size such as 40 GiB, with one of B kB MB "),
        ("quota: 5 PiB", "quota: expected 0, or a size from 1 B to 4 PiB, not '5 PiB'"),
        ("quota: 0.5 B", "quota: expected 0, or a size from 1 B to 4 PiB, not '0.5 B'"),
        ("quota: {on_peak: 40}", "quota.on_peak: expected a size such as 40 GiB, with one of B kB MB "),
        ("quota: {together: 40}", "quota.together: expected a size such as 40 GiB, with one of B kB MB "),
        ("quota: {}", "quota: there is no size: give together, on_peak, off_peak, or some of them"),
        ("quota: {per: day, on_peak: }", "quota: there is no size: give together, on_peak, off_peak, or some of them"),
        (
            "quota: {together: 1 B, per: day, starts: 1}",
            "quota.starts: take it out, or set `per: week` or `per: period`",
        ),
        ("quota: {together: 1 B, per: week, starts: 1}", "quota.starts: expected a day of the week, Mon to Sun, not 1"),
        (
            "quota: {together: 1 B, per: week, starts: Monday}",
            "quota.starts: expected a day of the week, Mon to Sun, not ",
        ),
        (
            "quota: {together: 1 B, starts: 0}",
            "quota.starts: expected a day of the month, 1 to 31, or -1 for the last,",
        ),
        (
            "quota: {together: 1 B, starts: 32}",
            "quota.starts: expected a day of the month, 1 to 31, or -1 for the last,",
        ),
        (
            "quota: {together: 1 B, starts: -2}",
            "quota.starts: expected a day of the month, 1 to 31, or -1 for the last,",
        ),
        (
            "quota: {together: 1 B, starts: Mon}",
            "quota.starts: expected a day of the month, 1 to 31, or -1 for the last,",
        ),
    ],
)
@pytest.mark.parametrize("above", ["users.Alice", f"quota.devices.{PHONE.name}", "quota.pool.Family"])
def test_a_quota_that_cannot_be_meant_is_told_with_its_line_and_the_mend(
    tmp_path: Path, above: str, said: str, told: str
) -> None:
    names = "".join(f"{'  ' * depth}{name}:\n" for depth, name in enumerate(above.split(".")))
    line = names.count("\n") + 1
    assert complaint(tmp_path, f"{names}        {said}\n").startswith(f"config.yaml line {line}: {above}.{told}")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("warn_at: [80%, 0]", "warn_at[1]: expected a whole number from 1% to 1000%, such as 80%, not '0'"),
        ("warn_at: [1001%]", "warn_at[0]: expected a whole number from 1% to 1000%"),
        ("warn_at: [80.5%]", "warn_at[0]: expected a whole number from 1% to 1000%"),
        ("warn_at: [0.8]", "warn_at[0]: expected a number such as 80%, not a number with a point"),
        ("warn_at: 80%", 'warn_at: expected a list such as ["one", "two"], not text'),
        (
            "throttle: {down: 15 kbit/s}",
            "throttle.down: expected whole kbit/s, from 16 kbit/s to 1 Gbit/s, not 15 kbit/s",
        ),
        ("throttle: {up: 1.1 Gbit/s}", "throttle.up: expected whole kbit/s, from 16 kbit/s to 1 Gbit/s"),
        ("throttle: {up: 512500 bit/s}", "throttle.up: expected whole kbit/s, from 16 kbit/s to 1 Gbit/s"),
        ("throttle: {up: 128 kB/s}", "throttle.up: expected a rate such as 100 Mbit/s or 1 Gbit/s, not '128 kB/s'"),
        ("throttle: 512 kbit/s", "throttle: expected further settings, indented below this line, not text"),
        ("line: {down: 50 Mbit/s}", "line.up: give it too, or take quota.line.down out"),
        ("line: {up: 50 Mbit/s}", "line.down: give it too, or take quota.line.up out"),
        ("line: {down: 2 Gbit/s, up: 1 Gbit/s}", "line.down: expected whole kbit/s, from 16 kbit/s to 1 Gbit/s"),
        ("topup: 1", "topup: expected a size such as 40 GiB, with one of B kB MB "),
        ("topup: 0", "topup: expected more than 0, such as 1 GiB"),
        (
            "pool: {Family: {quota: 1 GiB, users: [Bob, Alise]}}",
            "pool.Family.users[1]: there is no user 'Alise'; there are Alice, Bob, UNKNOWN",
        ),
        ('pool: {"a\\tb": {quota: 1 GiB}}', "pool.a\tb: 'a\\tb' is no name"),
        ("pool: {Family: {user: [Bob]}}", "pool.Family.user: there is no such setting; did you mean users?"),
        (
            "pool: {Family: {}, ' Family ': {}}",
            "pool. Family : what Family may move is said already; leave one of them out",
        ),
        ("pool: [Family]", "pool: expected names, indented below this line, not a list"),
        ("devices: {Alice: {quota: 1 GiB}}", "devices.Alice: 'Alice' is not a MAC address such as"),
        (
            "devices: {cb:bd:ab:90:2d:38: {quota: 1 GiB}}",
            "devices.cb: put a blank after the colon, or quotes around the name",
        ),
        ("devices: {112233445566: {quota: 1 GiB}}", "devices.112233445566: not a name; put it in quotes if it is one"),
        (
            f"devices: {{{PHONE.name}: , cbbdab902d38: }}",
            f"devices.cbbdab902d38: what {PHONE.name} may move is said already",
        ),
        (
            f"devices: {{{PHONE.name}: 5 GiB}}",
            f"devices.{PHONE.name}: expected further settings, indented below this line",
        ),
    ],
)
def test_a_mistake_about_quotas_is_told_with_its_line_and_the_mend(tmp_path: Path, said: str, told: str) -> None:
    text = f"users: {{Alice: , Bob: }}\nquota:\n  {said}\n"
    assert complaint(tmp_path, text).startswith(f"config.yaml line 3: quota.{told}")


def test_a_user_is_told_of_a_second_quota(tmp_path: Path) -> None:
    told = complaint(tmp_path, "users:\n  Alice: {quota: 1 GiB}\n  ' Alice ': {at_quota: block}\n")
    assert told == "config.yaml line 3: users. Alice : what Alice may move is said already; leave one of them out"


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("quota: {at_quota: DONE}", "quota.at_quota"),
        ("users: {Alice: {at_quota: DONE}}", "users.Alice.at_quota"),
        (f"quota: {{devices: {{{PHONE.name}: {{at_quota: DONE}}}}}}", f"quota.devices.{PHONE.name}.at_quota"),
        ("quota: {pool: {Family: {at_quota: DONE}}}", "quota.pool.Family.at_quota"),
    ],
)
@pytest.mark.parametrize("done", ["throttle", "block"])
def test_a_driver_that_can_limit_nobody_is_asked_to_limit_nobody(
    tmp_path: Path, said: str, key: str, done: str
) -> None:
    text = f"router: {{driver: tplink}}\n{said}\n"
    told = complaint(tmp_path, text.replace("DONE", done))
    mend = "take it out, or say notify: `router.driver: tplink` can limit nobody"
    assert told == f"config.yaml line 2: {key}: {mend}"
    assert quotas(tmp_path, text.replace("DONE", "notify")).at_quota == "notify"


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    told = complaint(tmp_path, "", DALLA_QUOTA_WARN_AT="80%, often")
    assert told.startswith(
        "environment variable DALLA_QUOTA_WARN_AT: quota.warn_at[1]: expected a whole number from 1%"
    )
    told = complaint(tmp_path, "", DALLA_QUOTA_LINE_UP="1 Mbit/s")
    assert told.endswith("quota.line.down: give it too, or take quota.line.up out")


def test_what_works_with_the_files_alone_knows_the_quotas_too(tmp_path: Path) -> None:
    text = "users: {Alice: {quota: 40 GiB}}\n"
    assert quotas(tmp_path, text) == load_local(tmp_path / "config.yaml", {}, {}).quotas


@pytest.mark.parametrize(
    ("said", "warned"),
    [
        ("at_quota: throttle", True),
        ("at_quota: block", False),
        ("pool: {Family: {quota: 1 GB, at_quota: throttle}}", True),
        ("at_quota: throttle, line: {down: 50 Mbit/s, up: 10 Mbit/s}", False),
    ],
)
def test_who_throttles_is_warned_where_nobody_says_what_the_line_can_do(
    tmp_path: Path,
    said: str,
    warned: bool,  # noqa: FBT001  # a row of the table
) -> None:
    warnings = configured(tmp_path, f"quota: {{{said}}}\n").warnings
    assert [text.startswith("quota.line is not set") for text in warnings] == [True] * warned
