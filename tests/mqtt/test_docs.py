"""docs/mqtt.md against the tables in the code: WRITE_DOCS=1 writes what is made from them."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from dalla_mqtt.mqtt import payloads, quota
from dalla_mqtt.mqtt.payloads import EVENTS
from dalla_mqtt.mqtt.topics import COMMANDS, PUBLISHED, Topic
from tests.processes import Mosquitto, Process

DOCUMENT = Path(__file__).parents[2] / "docs" / "mqtt.md"


def table(head: str, rows: Iterable[str]) -> str:
    return "\n".join((head, "|---" * (head.count("|") - 1) + "|", *rows))


def topic_row(topic: Topic) -> str:
    return f"| `{topic.path}` | {topic.payload} | {'yes' if topic.retained else 'no'} | {topic.about} |"


MADE = {
    "topics": table("| topic | payload | retained | |", map(topic_row, PUBLISHED)),
    "events": table("| event | |", (f"| `{event}` | {about} |" for event, about in EVENTS.items())),
    "commands": table("| topic | payload | does |", (f"| `{c.path}` | {c.payload} | {c.about} |" for c in COMMANDS)),
}


@pytest.mark.parametrize("part", MADE)
def test_what_the_document_lists_is_what_there_is(part: str) -> None:
    before, _, rest = DOCUMENT.read_text("utf-8").partition(f"<!-- {part} -->\n")
    listed, end, after = rest.partition("<!-- end -->")
    if os.environ.get("WRITE_DOCS"):
        listed = f"{MADE[part]}\n"
        DOCUMENT.write_text("".join((before, f"<!-- {part} -->\n", listed, end, after)), "utf-8")
    assert listed == f"{MADE[part]}\n"


@pytest.mark.parametrize(
    ("heading", "payload"),
    [
        ("## `<series>/state`", payloads._UserState),
        ("## `<subject>/quota`", quota._QuotaPayload),
        ("## `router`", payloads._RouterPayload),
    ],
)
def test_every_key_of_a_payload_is_explained_and_no_other(heading: str, payload: type[msgspec.Struct]) -> None:
    section = DOCUMENT.read_text("utf-8").split(f"{heading}\n")[1].split("\n## ")[0]
    explained = [
        key for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(explained) == sorted(payload.__struct_fields__)


def test_the_python_example_says_what_users_used(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    with Mosquitto(tmp_path) as broker:
        state = json.dumps({"name": "Alice", "today_gb": 1.5, "rate_mbit": 8})
        topic = "dalla/home/user/alice/state"
        broker.publish(topic, state, "-r")
        with Process(sys.executable, "-c", code.replace("1883", str(broker.port))) as example:
            example.says("Alice: 1.500 GB today, 8.0 Mbit/s now\n")


def test_the_node_red_example_is_a_flow_whose_wires_lead_somewhere() -> None:
    (text,) = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    nodes = {node["id"]: node for node in json.loads(text)}
    ends = {end for node in nodes.values() for wire in node.get("wires", []) for end in wire}
    assert ends < nodes.keys()
    assert nodes["dalla.in"]["broker"] in nodes
    assert nodes["dalla.over"]["property"].removeprefix("payload.") in payloads._UserState.__struct_fields__
