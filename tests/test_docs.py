"""What is written for people: links lead somewhere, and what is to be typed or copied works."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec.structs import fields

from dalla_mqtt.archive.csv_logs import HEADER
from dalla_mqtt.config import load_sites
from dalla_mqtt.config.settings import Settings
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.flags import _parser, read_flags
from tests.usage.house import PHONE

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
_SECTIONS = {
    field.name: {one.name for one in fields(type(getattr(Settings(), field.name)))}
    for field in fields(Settings)
    if hasattr(getattr(Settings(), field.name), "__struct_fields__")
}
_SYNOPSIS = "[flags]"
_OUR_PATHS = re.compile(r"(?:scripts|deploy|docs|tests|homeassistant)/[\w./-]+")


def _texts() -> list[Path]:
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(".")]  # environments, caches
        found += [Path(folder) / name for name in files if name.endswith(".md")]
    return sorted(found)


TEXTS = _texts()


@cache
def _tokens(file: Path) -> list[Token]:
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(file.read_text("utf-8")):
        found += [token, *(token.children or [])]
    return found


def blocks(file: Path) -> list[str]:
    """All that is set apart, to be copied or to be seen."""
    return [token.content for token in _tokens(file) if token.type in {"fence", "code_block"}]


def words(file: Path) -> list[str]:
    """All that stands in `…`."""
    return [token.content for token in _tokens(file) if token.type == "code_inline"]


def links(file: Path) -> list[str]:
    """Of links and pictures."""
    return [
        str(token.attrs.get("href") or token.attrs.get("src"))
        for token in _tokens(file)
        if token.type in {"link_open", "image"}
    ]


def anchors(file: Path) -> set[str]:
    """Those of headings, as GitHub makes them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(file.read_text("utf-8"))
    found: set[str] = set()
    for opening, text in pairwise(tokens):
        if opening.type == "heading_open":
            said = "".join(one.content for one in text.children or [])
            slug = anchor = re.sub(r"[^\w\- ]", "", said.lower()).replace(" ", "-")
            number = 0
            while anchor in found:
                number += 1
                anchor = f"{slug}-{number}"
            found.add(anchor)
    return found


def commands(file: Path) -> Iterator[list[str]]:
    """The words of every call of ours that is written out; no synopsis, and no name of a command alone."""
    lines = [line for block in blocks(file) if _SYNOPSIS not in block for line in block.splitlines()]
    for line in [*lines, *(word for word in words(file) if word.count(" ") > 1)]:
        call = re.match(r"\s*(?:[A-Z_]+=\S+ )*(?:\S*/)?dalla-mqtt(?: ([^|<]+))?$", line)
        if call and not (call[1] or "").startswith(" "):
            yield shlex.split(call[1] or "", comments=True)


def named(file: Path) -> set[str]:
    """The commands that are spoken of."""
    return {word.split()[1] for word in words(file) if re.match(r"dalla-mqtt [a-z]", word)}


def settings(file: Path) -> list[str]:
    """Blocks that say something of config.yaml."""
    found = []
    for block in blocks(file):
        try:
            tree = yaml.safe_load(block)
        except yaml.YAMLError:
            continue
        if isinstance(tree, dict) and tree and tree.keys() <= {field.name for field in fields(Settings)}:
            found.append(block)
    return found


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", TEXTS, ids=_name)
def test_links_lead_somewhere(file: Path) -> None:
    for link in links(file):
        where, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", where):
            continue
        target = (file.parent / unquote(where)).resolve() if where else file
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: {_name(target)} has no such heading"


@pytest.mark.parametrize("file", TEXTS, ids=_name)
def test_commands_can_be_typed_as_they_are_written(file: Path) -> None:
    assert named(file) <= {*_commands()}
    for call in commands(file):
        if call not in (["--version"], ["…"]):
            try:
                read_flags(call if call and not call[0].startswith("-") else ["run", *call])
            except ConfigError as error:
                pytest.fail(f"dalla-mqtt {shlex.join(call)}: {error}")


def test_the_reference_has_every_command() -> None:
    reference = ROOT / "docs" / "reference.md"
    synopsis = next(block for block in blocks(reference) if _SYNOPSIS in block)
    assert {*re.findall(r"^dalla-mqtt \[?([a-z]+)", synopsis, re.MULTILINE)} == {*_commands()}


def _commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = [action.choices for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found)


@pytest.mark.parametrize("file", TEXTS, ids=_name)
def test_settings_can_be_copied_as_they_are_written(file: Path, tmp_path: Path) -> None:
    for block in settings(file):
        for secret in re.findall(r"\w+_file: ([\w./-]+)", block):
            (tmp_path / secret).parent.mkdir(exist_ok=True)
            (tmp_path / secret).write_text("a secret of Alice\n", "utf-8")
        (tmp_path / "config.yaml").write_text(block, "utf-8")
        assert load_sites(tmp_path / "config.yaml", {"DALLA_ROUTER_PASSWORD": "x"}, {})


@pytest.mark.parametrize("file", TEXTS, ids=_name)
def test_settings_that_are_named_are_there(file: Path) -> None:
    for word in words(file):
        section, _, key = word.partition(":")[0].partition(".")
        if section in _SECTIONS and re.fullmatch(r"[a-z_]+", key) and key not in {"py", "md", "db", "json", "yaml"}:
            assert key in _SECTIONS[section], f"{word} is no setting"


@pytest.mark.parametrize("file", TEXTS, ids=_name)
def test_files_extras_and_services_that_are_to_be_typed_are_there(file: Path) -> None:
    typed = "\n".join([*blocks(file), *words(file)])
    for line in typed.splitlines():
        if not re.match(r"\s*(?:[A-Z_]+=\S+ )*(?:sh|sudo|cp|python|pip|pipx|docker|\.venv)\b", line):
            continue
        for path in _OUR_PATHS.findall(line.partition(" #")[0]):
            before = line[: line.index(path)]
            assert before.endswith(("/", "~")) or (ROOT / path).exists(), f"{line}: there is no {path}"
    with (ROOT / "pyproject.toml").open("rb") as project:
        extras = tomllib.load(project)["project"]["optional-dependencies"]
    for some in re.findall(r"(?:'\.|dalla-mqtt)\[([\w,]+)\]", typed):
        assert {*some.split(",")} <= {*extras}, f"there is no extra {some}"


def test_the_readme_is_short_and_has_all_that_is_needed_to_begin() -> None:
    assert len(README.read_text("utf-8").splitlines()) < 200
    assert len(settings(README)) == 2
    assert len([*commands(README)]) >= 8
    assert {"scripts/demo", "scripts/test", "scripts/check"} <= {*_OUR_PATHS.findall("\n".join(blocks(README)))}
    assert any(link.endswith("page-light.png") for link in links(README))


def test_flags_that_the_readme_names_are_there() -> None:
    known = {flag for command in _commands().values() for flag in command._option_string_actions}
    for word in words(README):
        if word.startswith("-"):
            assert word.split()[0] in known, f"there is no flag {word}"


def test_files_that_the_readme_shows_are_read_as_it_says(tmp_path: Path) -> None:
    user_map = next(block for block in blocks(README) if block.startswith("Name, MAC"))
    (tmp_path / "user-map.csv").write_text(user_map, "utf-8")
    (tmp_path / "config.yaml").write_text("router: {password: x}\n", "utf-8")
    (config,) = load_sites(tmp_path / "config.yaml", {}, {})
    assert config.people.macs[PHONE] == "Alice"
    assert config.people.names == ("Alice", "Bob")
    assert any(block.startswith(HEADER) for block in blocks(README))


def test_compose_has_the_services_that_are_named() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    for file in TEXTS:
        for service in re.findall(r"docker compose logs -\w+ ([\w-]+)", file.read_text("utf-8")):
            assert service in services


@pytest.mark.parametrize("file", TEXTS, ids=_name)
def test_shell_that_is_to_be_copied_is_shell(file: Path) -> None:
    for block in blocks(file):
        if re.match(r"(?:git|sh|sudo|pipx|docker|curl|dalla-mqtt) ", block) and _SYNOPSIS not in block:
            script = re.sub(r"<[a-z ]+>|…", "x", block)
            assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0, block
