"""The settings of the page: where it listens, and who may read and change."""

from __future__ import annotations

from pathlib import Path

import pytest

from dalla_mqtt.config import Config, Secret, WebConfig, load
from dalla_mqtt.errors import ConfigError

TOKEN = "c4n4ry-of-alice"


def configured(folder: Path, text: str, **environment: str) -> Config:
    file = folder / "config.yaml"
    file.write_text(text, "utf-8")
    file.chmod(0o600)
    return load(file, {"DALLA_ROUTER_PASSWORD": "x", **environment}, {})


def web(folder: Path, text: str, **environment: str) -> WebConfig:
    found = configured(folder, text, **environment).web
    assert found is not None
    return found


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(folder, text)
    assert TOKEN not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


def test_without_a_word_the_page_is_for_this_machine_to_read_and_for_nobody_to_change(tmp_path: Path) -> None:
    assert web(tmp_path, "") == WebConfig("127.0.0.1", 8765, None, "open", (), ingress=False)
    assert configured(tmp_path, "").warnings == ()


@pytest.mark.parametrize("word", ["off", "'off'", "false", "OFF"])
def test_it_can_be_switched_off(tmp_path: Path, word: str) -> None:
    assert configured(tmp_path, f"web: {{listen: {word}}}").web is None


@pytest.mark.parametrize("word", ["off", "'off'", "false"])
def test_it_can_be_switched_off_in_one_word(tmp_path: Path, word: str) -> None:
    assert configured(tmp_path, f"web: {word}").web is None


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("localhost:80", "127.0.0.1", 80),
        ("0.0.0.0:65535", "0.0.0.0", 65535),  # noqa: S104  # what is configured
        ("[::1]:8765", "::1", 8765),
        ("[::]:8765", "::", 8765),
    ],
)
def test_an_address_and_a_port_say_where_it_listens(tmp_path: Path, text: str, host: str, port: int) -> None:
    found = web(tmp_path, f"web: {{listen: '{text}'}}")
    assert (found.host, found.port) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["8765", ":8765", "::1:8765", "[127.0.0.1]:80", "alice:80", "127.0.0.1:65536", "127.0.0.1:-1", "on", "[::1]"],
)
def test_what_is_no_address_is_told_with_the_mend(tmp_path: Path, text: str) -> None:
    told = complaint(tmp_path, f"web:\n  listen: '{text}'\n")
    assert told == (
        "config.yaml line 2: web.listen: expected an address of this machine and a port, such as 127.0.0.1:8765, "
        f"or off, not '{text}'"
    )


def test_a_token_comes_from_the_file_or_the_environment_and_shows_itself_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "web-token").write_text(f"{TOKEN}\n", "utf-8")
    found = web(tmp_path, "web: {token_file: web-token}")
    assert found.token == Secret(TOKEN)
    assert TOKEN not in repr(found)
    assert web(tmp_path, "", DALLA_WEB_TOKEN=TOKEN).token == Secret(TOKEN)


@pytest.mark.parametrize("token", ["short", "with a blank in it", "zoë-zoë-zoë"])
def test_a_token_that_is_guessed_or_cannot_be_said_is_refused(tmp_path: Path, token: str) -> None:
    told = complaint(tmp_path, f"web: {{token: '{token}'}}\n")
    assert told.endswith("web.token: expected 8 characters or more, without blanks, of those in ASCII")


def test_an_empty_token_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "web-token").write_text("\n", "utf-8")
    told = complaint(tmp_path, "web: {token_file: web-token}\n")
    assert told.endswith(f"the first line of {tmp_path}/web-token is empty; the token belongs there")


def test_reading_by_token_takes_a_token_or_home_assistant(tmp_path: Path) -> None:
    told = complaint(tmp_path, "web:\n  read: token\n")
    assert told.startswith("config.yaml line 2: web.read: there is no token with which anybody could read: set DALLA_")
    assert web(tmp_path, f"web: {{read: token, token: {TOKEN}}}").read == "token"
    assert web(tmp_path, "web: {read: token, ingress: true}").ingress


@pytest.mark.parametrize("listen", ["0.0.0.0:8765", "192.168.1.2:8765", "[::]:8765"])
def test_it_is_told_where_everybody_could_read(tmp_path: Path, listen: str) -> None:
    (warning,) = configured(tmp_path, f"web: {{listen: '{listen}'}}").warnings
    assert "may read who used what" in warning
    assert "DALLA_WEB_TOKEN" in warning
    assert not configured(tmp_path, f"web: {{listen: '{listen}'}}", DALLA_WEB_TOKEN=TOKEN).warnings
    assert not configured(tmp_path, f"web: {{listen: '{listen}', read: token, ingress: true}}").warnings


def test_names_are_taken_in_any_case_and_without_a_port(tmp_path: Path) -> None:
    assert web(tmp_path, "web: {hosts: [Dalla.Example.org]}").hosts == ("dalla.example.org",)
    told = complaint(tmp_path, "web: {hosts: ['dalla.example.org:80']}")
    assert "web.hosts[0]: expected a name such as dalla.example.org, no port, not 'dalla.example.org:80'" in told
