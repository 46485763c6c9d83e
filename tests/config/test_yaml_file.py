"""What people write into config.yaml by mistake, and what they are told."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dalla_mqtt.config.yaml_file import Places, read_yaml
from dalla_mqtt.errors import ConfigError

CANARY = "c4n4ry"


def read(folder: Path, text: str | bytes) -> tuple[dict[str, object], Places]:
    file = folder / "config.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(file)


def complaint(folder: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value).removeprefix(f"{folder}/")


def outcome(folder: Path, text: str | bytes) -> tuple[dict[str, object] | None, str]:
    """The settings, or what is told instead."""
    try:
        return read(folder, text)[0], ""
    except ConfigError as error:
        return None, str(error)


def test_a_plain_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    tree, _ = read(tmp_path, "site: home\nrouter:\n  interval: 60\nusers: {Bób: }\nnumbers: [1, -2.5, true, ~]\n")
    assert tree == {
        "site": "home",
        "router": {"interval": 60},
        "users": {"Bób": None},
        "numbers": [1, -2.5, True, None],
    }


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a comment\n", "---\n", "\ufeff"])
def test_a_file_that_says_nothing_is_no_mistake(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text)[0] == {}


@pytest.mark.parametrize(
    "text",
    [b"\xef\xbb\xbfsite: home\nqos: 1\n", b"site: home\r\nqos: 1\r\n", b"site: home\rqos: 1", b"site: home\nqos: 1"],
)
def test_files_of_every_editor_are_read_alike(tmp_path: Path, text: bytes) -> None:
    assert read(tmp_path, text)[0] == {"site": "home", "qos": 1}


def test_a_complaint_names_the_line_of_the_key_or_of_the_section_around_it(tmp_path: Path) -> None:
    _, places = read(tmp_path, "site: home\nrouter:\n  # of the hall\n  interval:\n    60s\nlist:\n- a\n- b\n")
    file = tmp_path / "config.yaml"
    assert str(places.error("router.interval", "no")) == f"{file} line 4: router.interval: no"
    assert str(places.error("router.url", "no")) == f"{file} line 2: router.url: no"
    assert str(places.error("list[1]", "no")) == f"{file} line 8: list[1]: no"
    assert str(places.error("list[7]", "no")) == f"{file} line 6: list[7]: no"
    assert str(places.error("mqtt.url", "no")) == f"{file}: mqtt.url: no"


def test_a_complaint_about_a_list_that_a_variable_replaced_does_not_blame_the_file(tmp_path: Path) -> None:
    _, places = read(tmp_path, "list:\n- a\n- b\n")
    places.tell("list", "environment variable DALLA_LIST")
    assert str(places.error("list[1]", "no")) == "environment variable DALLA_LIST: list[1]: no"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("site: a\nrouter:\n  url: x\n  url: y\n", "config.yaml line 4: router.url: said twice; leave one of them out"),
        ("router:\n\turl: x\n", "config.yaml line 2: not YAML: there is a tab: indent with blanks"),
        ("site: home\n  qos: 1\n", "config.yaml line 2: not YAML: a colon too many"),
        ("router:\n    url: x\n  qos: 1\n", "config.yaml line 3: not YAML: the indentation does not fit"),
        ("a: b: c\n", "config.yaml line 1: not YAML: a colon too many"),
        (
            "router:\n  url:x\n  qos: 1\n",
            "config.yaml line 3: not YAML: a colon too many, a blank too few in the line above",
        ),
        ("router:\n  qos: 1\n  url:x\n", "config.yaml line 3: not YAML: expected `key: value`; is a blank missing"),
        ("router: {url:x}\n", "config.yaml line 1: router.url: put a blank after the colon"),
        ('a: 1\nb: "x\nc: d\n', "config.yaml line 2: not YAML: a quotation mark is opened and not closed"),
        ("a: [1, 2\n", "config.yaml line 2: not YAML: a bracket is opened and not closed"),
        ("a: {b: 1\n", "config.yaml line 2: not YAML: a bracket is opened and not closed"),
        ("a: @home\n", "config.yaml line 1: not YAML: a value that begins with this character has to be in quotes"),
        ("a: *home\n", "config.yaml line 1: not YAML: a value that begins with * has to be in quotes"),
        ("a: !home!x y\n", "config.yaml line 1: not YAML: a value that begins with ! has to be in quotes"),
        ("a: !home! x\n", "config.yaml line 1: not YAML: a value that begins with ! has to be in quotes"),
        ("a: &x 1\nb: &x 2\n", "config.yaml line 2: not YAML: the same &anchor is given twice"),
        ("---\na: 1\n---\na: 2\n", "config.yaml line 3: not YAML: there is a second `---`"),
        ("a: 1\nb: \x00\n", "config.yaml line 2: not YAML: take out the control character"),
        ("a: !home x\n", "config.yaml line 1: a: YAML cannot read this value; put it in quotes"),
        ("- a\n- b\n", "config.yaml: expected lines such as `site: home`"),
        ("home\n", "config.yaml: expected lines such as `site: home`"),
        ("a:\n  2: x\n", "config.yaml line 2: a.2: not a name; put it in quotes if it is one"),
        ("users:\n  No: {}\n", "config.yaml line 2: users.No: not a name; put it in quotes if it is one"),
        ("a: 1\n? [b]\n: c\n", "config.yaml line 2: expected a name and a colon"),
        ("a: {x: 1}\nb: {<<: {y: 1}}\n", "config.yaml line 2: b.<<: not a name"),
        (b"a: 1\nb: \xff\n", "config.yaml line 2: not text in UTF-8; save the file as UTF-8"),
        ("site: home\n".encode("utf-16"), "config.yaml line 1: not text in UTF-8; save the file as UTF-8"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_its_mend(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert complaint(tmp_path, text).startswith(told)


@pytest.mark.parametrize("value", ["11:22:33:44:55:06", "22:00", "190:20:30.15", "0x1F", "0b11", "017", "1_000"])
def test_what_yaml_would_silently_read_as_another_number_is_to_be_put_in_quotes(tmp_path: Path, value: str) -> None:
    told = complaint(tmp_path, f"a: 1\nb: [{value}]\n")
    assert told.startswith("config.yaml line 2: b[0]: YAML takes this for a number")
    assert told.endswith("put it in quotes")
    assert read(tmp_path, f'b: "{value}"\n')[0] == {"b": value}


@pytest.mark.parametrize("tag", ["bool", "int", "float", "null", "timestamp", "binary", "python/name:os.system", "set"])
@pytest.mark.parametrize("value", ["x", "''", "é"])
def test_a_value_with_a_tag_of_its_own_runs_nothing_and_breaks_nothing(tmp_path: Path, tag: str, value: str) -> None:
    tree, told = outcome(tmp_path, f"a: !!{tag} {value}\n")
    assert tree in ({"a": None}, {"a": b""}, {"a": set()}) or re.search("line 1: a: YAML .*; put it in quotes$", told)


def test_a_small_file_that_unfolds_to_a_huge_one_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 30)]
    assert "nested or repeated further than any setting" in complaint(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5_000,
        "a: " + "{b: " * 30 + "1" + "}" * 30,
        "a: &a [*a]",
        "a: &a {b: *a}",
        "".join(f"{' ' * depth}a:\n" for depth in range(30)),
        "a: [" + "[" * 1_000_000,
    ],
    ids=["brackets", "braces", "list in itself", "settings in themselves", "indented", "a million brackets"],
)
def test_a_file_that_nests_without_end_is_refused(tmp_path: Path, text: str) -> None:
    assert "further than any setting" in complaint(tmp_path, text)


def test_a_file_that_is_too_large_to_be_one_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "config.yaml").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ConfigError, match=r"config\.yaml: larger than 8 MiB, and no configuration$"):
        read_yaml(tmp_path / "config.yaml")


def test_an_anchor_may_be_used_as_yaml_means_it(tmp_path: Path) -> None:
    tree, places = read(tmp_path, "a: &hours [22:00-06:00]\nb: *hours\n")
    assert tree == {"a": ["22:00-06:00"], "b": ["22:00-06:00"]}
    assert " line 2: b: " in str(places.error("b", "no"))


def test_the_same_is_read_where_there_is_no_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = Path(__file__).parents[2] / "config.yaml"
    with_it = read_yaml(shipped)
    monkeypatch.setattr(yaml, "__with_libyaml__", 0)
    tree, places = read_yaml(shipped)
    assert tree == with_it[0]
    assert str(places.error("log.level", "no")) == str(with_it[1].error("log.level", "no"))


def test_a_python_without_libyaml_reads_settings(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("web: {listen: 'off'}\n", "utf-8")
    without = (
        "import sys; sys.modules['yaml._yaml'] = None; from dalla_mqtt.cli import main; sys.exit(main(['health']))"
    )
    ran = subprocess.run([sys.executable, "-c", without], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1), ran.stderr
    assert "config.yaml line 1: web.listen: " in ran.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot read it: No such file or directory$"):
        read_yaml(tmp_path / "nowhere.yaml")


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read it: Is a directory$"):
        read_yaml(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        f"password: *{CANARY}",
        f"password: !{CANARY} x",
        f"password: !x {CANARY}",
        f"password: !{CANARY}! x",
        f"password: !!int {CANARY}",
        f"password: {{{CANARY}",
        f"password: [{CANARY}",
        f'password: "{CANARY}',
        f"password: '{CANARY}'s",
        f"password: {CANARY}: x",
        f"password: @{CANARY}",
        f"password: %{CANARY}",
        f"password: `{CANARY}`",
        f"password: |{CANARY}",
        f"password: >{CANARY}",
        f'password: "\\{CANARY}"',
        f'password: "\x00{CANARY}"',
        f"password:{CANARY}",
        f"password:\t{CANARY}\n\tx: y",
        f"  password: {CANARY}",
        f"x: {{password:{CANARY}}}",
        f"x: {{password:{CANARY}, password:{CANARY}}}",
        f"password: a\npassword: {CANARY}",
        f"password: &{CANARY} a\nb: &{CANARY} a",
    ],
)
def test_no_complaint_shows_a_password(tmp_path: Path, line: str) -> None:
    told = complaint(tmp_path, f"username: admin\n{line}\n")
    assert CANARY not in told
    assert "\n" not in told


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(st.sampled_from("ab:- \n\t[]{}\"'&*!|>%@#,?1~"), max_size=40).map(str.encode))
def test_any_bytes_are_settings_or_one_line_of_complaint(folder: Path, content: bytes) -> None:
    tree, told = outcome(folder, content)
    assert isinstance(tree, dict) or told.startswith(str(folder / "config.yaml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")
