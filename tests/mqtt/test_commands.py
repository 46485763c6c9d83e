from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dalla_mqtt.mqtt.commands import read_command
from dalla_mqtt.mqtt.topics import COMMANDS, Topics
from dalla_mqtt.usage.commands import (
    Command,
    GiveDevice,
    Limit,
    Misunderstood,
    NameDevice,
    Pause,
    PollNow,
    SetQuota,
    TopUp,
)
from dalla_mqtt.usage.quota import Subject
from dalla_mqtt.usage.reading import Mac

PHONE = Mac.parse("CB:BD:AB:90:2D:38")
OURS = "device/cb-bd-ab-90-2d-38"


ALICE, OWN, FAMILY = Subject("user", "Alice"), Subject("device", "CB-BD-AB-90-2D-38"), Subject("pool", "The family")


def read(path: str, payload: bytes) -> Command | None:
    return read_command(Topics("dalla", "home", {"Alice": "alice"}, ["The family"]), f"dalla/home/{path}", payload)


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
        ("user/alice/quota/set", b" 40 GiB\n", SetQuota(ALICE, "together", 40 * 2**30)),
        ("user/alice/quota/set", b"42.949672961 GB", SetQuota(ALICE, "together", 42_949_672_961)),
        ("user/alice/quota/set", b"0", SetQuota(ALICE, "together", 0)),
        ("user/alice/quota/set", b"0 GB", SetQuota(ALICE, "together", 0)),
        ("user/alice/quota/set", b"", SetQuota(ALICE, "together", None)),
        ("user/alice/quota/set", b" \n", SetQuota(ALICE, "together", None)),
        ("user/alice/quota_on_peak/set", b"1 TB", SetQuota(ALICE, "on_peak", 10**12)),
        ("user/alice/quota_off_peak/set", b"4 PiB", SetQuota(ALICE, "off_peak", 2**52)),
        ("user/alice/topup/set", b"5 GiB", TopUp(ALICE, 5 * 2**30)),
        ("user/alice/topup/set", b"0", TopUp(ALICE, 0)),
        ("user/alice/limited/set", b"ON", Limit(ALICE, on=True)),
        ("user/alice/limited/set", b" off ", Limit(ALICE, on=False)),
        (f"{OURS}/quota/set", b"1 B", SetQuota(OWN, "together", 1)),
        (f"{OURS}/limited/set", b"on", Limit(OWN, on=True)),
        ("pool/the-family/quota/set", b"", SetQuota(FAMILY, "together", None)),
        ("pool/the-family/topup/set", b"1 GB", TopUp(FAMILY, 10**9)),
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
        ("user/alice/quota/set", b"40"),
        ("user/alice/quota/set", b"-1 GiB"),
        ("user/alice/quota/set", b"1e3 GB"),
        ("user/alice/quota/set", b"40 gib"),
        ("user/alice/quota/set", "\uff11 GiB".encode()),
        ("user/alice/quota/set", b"none"),
        ("user/alice/quota/set", b"\x00"),
        ("user/alice/quota/set", b"\xff"),
        ("user/alice/quota/set", b"5 PB"),
        ("user/alice/quota/set", b"9" * 60_000 + b" GiB"),
        ("user/alice/topup/set", b""),
        ("user/alice/topup/set", b"-5 GiB"),
        ("user/alice/topup/set", b"PRESS"),
        ("user/alice/limited/set", b""),
        ("user/alice/limited/set", b"1"),
        ("device/CB-BD-AB-90-2D-38/quota/set", b"1 GiB"),
        ("device/phone/limited/set", b"ON"),
        ("pool//topup/set", b"1 GiB"),
        (f"user/{'x' * 60_000}/quota/set", b"1 GiB"),
        (f"user/{chr(0x85) * 60_000}/quota/set", b"1 GiB"),
        (f"device/{'00' * 60_000}/quota/set", b"1 GiB"),
    ],
)
def test_what_is_no_command_is_told_in_words_that_are_not_too_many(path: str, payload: bytes) -> None:
    command = read(path, payload)
    assert isinstance(command, Misunderstood)
    assert command.why.isprintable()
    assert len(command.why) < 400


@pytest.mark.parametrize("whose", ["user/bob", "user/Alice", "user/ALICE", "pool/alice", "user/the-family"])
def test_who_is_not_known_is_named(whose: str) -> None:
    assert read(f"{whose}/quota/set", b"1 GiB") == Misunderstood(
        f"there is no user, device or pool with the id '{whose}'"
    )


def test_other_topics_are_not_for_commands() -> None:
    others = ("status", "total/quota/set", "quota/set", "alice/quota/set", "user/alice/quota", "user/alice/pace/set")
    for topic in (*(f"dalla/home/{other}" for other in others), "dalla/other/poll/set", "dalla/homepoll/set"):
        assert read_command(Topics("dalla", "home"), topic, b"ON") is None


@given(st.sampled_from([topic.path for topic in COMMANDS]), st.text(max_size=30), st.binary(max_size=300))
def test_whatever_is_said_is_a_command_or_told_to_be_none(path: str, part: str, payload: bytes) -> None:
    for subject in ("user/alice", f"user/{part}", f"device/{part}", f"pool/{part}"):
        assert read(path.replace("<id>", part).replace("<subject>", subject), payload) is not None
