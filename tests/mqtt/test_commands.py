from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.mqtt.commands import Command, GiveDevice, Misunderstood, NameDevice, Pause, PollNow, read_command
from dalla_mqtt.mqtt.topics import COMMANDS, Topics
from dalla_mqtt.usage.reading import Mac

PHONE = Mac.parse("CB:BD:AB:90:2D:38")
OURS = "device/cb-bd-ab-90-2d-38"


def read(path: str, payload: bytes) -> Command | None:
    return read_command(Topics("dalla", "home"), f"dalla/home/{path}", payload)


@pytest.mark.parametrize(
    ("path", "payload", "command"),
    [
        ("poll/set", b"", PollNow()),
        ("poll/set", b"\xff", PollNow()),
        ("pause/set", b"ON", Pause(on=True)),
        ("pause/set", b" off\n", Pause(on=False)),
        (f"{OURS}/user/set", "Zoë/B+#".encode(), GiveDevice(PHONE, "Zoë/B+#")),
        (f"{OURS}/name/set", b" Alice's phone ", NameDevice(PHONE, "Alice's phone")),
        (f"{OURS}/name/set", "👨‍👩‍👧".encode(), NameDevice(PHONE, "👨‍👩‍👧")),
        (f"{OURS}/name/set", b"", NameDevice(PHONE, None)),
        (f"{OURS}/name/set", b"x" * 255, NameDevice(PHONE, "x" * 255)),
    ],
)
def test_commands_are_read(path: str, payload: bytes, command: Command) -> None:
    assert read(path, payload) == command


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("pause/set", b"yes"),
        ("pause/set", b""),
        (f"{OURS}/user/set", b"\xff\xfe"),
        (f"{OURS}/user/set", b"Alice\nBob"),
        (f"{OURS}/name/set", b"\x1b[2J"),
        (f"{OURS}/name/set", b"x" * 256),
        ("device/CB-BD-AB-90-2D-38/name/set", b"x"),
        ("device/phone/name/set", b"x"),
        ("device//name/set", b"x"),
        (f"device/{'x' * 60_000}/name/set", b"x"),
        (f"device/{' ' * 200}cb-bd-ab-90-2d-38/name/set", b"x"),
        (f"device/cb-bd-ab-90-2d-38{' ' * 60_000}/name/set", b"x"),
    ],
)
def test_what_is_no_command_is_told_in_words_that_are_not_too_many(path: str, payload: bytes) -> None:
    command = read(path, payload)
    assert isinstance(command, Misunderstood)
    assert command.why.isprintable()
    assert len(command.why) < 400


def test_other_topics_are_not_for_commands() -> None:
    for topic in ("dalla/home/status", "dalla/other/poll/set", "dalla/homepoll/set", "device/poll/set"):
        assert read_command(Topics("dalla", "home"), topic, b"ON") is None


@given(st.sampled_from([topic.path for topic in COMMANDS]), st.text(max_size=30), st.binary(max_size=300))
def test_whatever_is_said_is_a_command_or_told_to_be_none(path: str, part: str, payload: bytes) -> None:
    assert read(path.replace("<id>", part), payload) is not None
