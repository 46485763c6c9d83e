"""Those who read what daemons tell, as docs/cluster.md shows them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dalla_mqtt.usage.reading import Mac
from tests.cluster.brokers import EXAMPLES, found
from tests.processes import Mosquitto, Process, wait_until

DOCUMENT = EXAMPLES.parent / "cluster.md"
STATE = {"time": "2026-11-24T06:01:00Z", "name": "Alice", "usage": 3_000_000_000, "delta": 5, "user": None}
TOPICS = [f"dalla/home/{series}/state" for series in ("total", "user/alice", "device/cb-bd-ab-90-2d-38")]


@pytest.fixture
def database() -> Iterator[str]:
    """A PostgreSQL of its own, which listens on a socket in its folder only; where it is."""
    server = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), default=Path("/usr/bin/postgres"))
    found("postgres", server)
    somebody = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.geteuid() == 0 else ()
    with tempfile.TemporaryDirectory(prefix="dalla-postgresql-") as name:  # where its user may go, unlike tmp_path
        folder = Path(name)
        folder.chmod(0o777)
        data = str(folder / "data")
        init = (str(server.with_name("initdb")), "-D", data, "-A", "trust", "-U", "dalla", "--no-sync")
        subprocess.run([*somebody, *init], check=True, cwd=folder, capture_output=True)
        with Process(*somebody, str(server), "-D", data, "-k", name, "-h", "", "-F", cwd=folder) as process:
            process.says("ready to accept connections")
            yield f"host={name} user=dalla dbname=postgres"
            process.process.send_signal(signal.SIGINT)  # at once, and leaves nothing in shared memory
            process.wait()


def test_postgresql_has_each_figure_once_whichever_broker_dies(tmp_path: Path, database: str) -> None:
    with Mosquitto(tmp_path) as first, Mosquitto(tmp_path) as second:
        environment = {"BROKERS": f"127.0.0.1:{first.port} 127.0.0.1:{second.port}", "DATABASE": database}
        with Process(sys.executable, str(EXAMPLES / "to_postgresql.py"), environment=environment) as example:
            for minute, broker in enumerate((first, first, second)):
                state = json.dumps(STATE | {"time": f"2026-11-24T06:0{minute}:00Z", "usage": 3_000_000_000 + minute})
                for topic in TOPICS:
                    broker.publish(topic, state, "-r")
                    broker.publish(topic, state, "-r")
                wait_until(lambda: rows(database) == 3 * (minute + 1), f"the rows:\n{example.output}")  # noqa: B023
                if minute == 1:
                    first.kill()
                    example.says(f"127.0.0.1:{first.port} is away")
    (query,) = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert ask(database, query) == (date(2026, 11, 24), None)  # the first day that is on record
    assert ask(database, "SELECT max(bytes) FROM usage WHERE series = 'user/alice'") == (3_000_000_002,)


def test_the_files_that_are_named_are_there_and_all_are_named() -> None:
    assert set(re.findall(r"\(examples/([^)]+)\)", DOCUMENT.read_text("utf-8"))) == {
        file.name for file in EXAMPLES.iterdir() if file.is_file()
    }


def rows(database: str) -> int:
    exists = ask(database, "SELECT to_regclass('usage') IS NOT NULL")[0]
    return ask(database, "SELECT count(*) FROM usage")[0] if exists else 0


def ask(database: str, query: str) -> Any:  # noqa: ANN401
    with psycopg.connect(database) as connection:
        return connection.execute(query).fetchone()  # type: ignore[call-overload]


def test_telegraf_is_told_to_make_points_of_all_states() -> None:
    """By the rules of its manual: Telegraf itself was not there to be tested with."""
    settings = tomllib.loads((EXAMPLES / "telegraf.conf").read_text("utf-8"))
    (consumer,) = settings["inputs"]["mqtt_consumer"]
    mac = Mac("CB-BD-AB-90-2D-38").dashed.lower()
    for series, tags in (
        ("total", {"site": "home", "kind": "total"}),
        ("user/alice", {"site": "home", "kind": "user", "id": "alice"}),
        (f"device/{mac}", {"site": "home", "kind": "device", "id": mac}),
    ):
        topic = f"dalla/home/{series}/state"
        assert sum(matches(wish, topic) for wish in consumer["topics"]) == 1
        (rule,) = (rule for rule in consumer["topic_parsing"] if matches(rule["topic"], topic))
        named = zip(rule["tags"].split("/"), topic.split("/"), strict=True)
        assert {tag: level for tag, level in named if tag != "_"} == tags
    assert not any(matches(wish, "dalla/home/user/alice/quota") for wish in consumer["topics"])
    assert consumer["json_time_key"] in STATE
    go = {"2006": "%Y", "01": "%m", "02": "%d", "15": "%H", "04": "%M", "05": "%S"}
    layout = consumer["json_time_format"]
    for go_word, word in go.items():
        layout = layout.replace(go_word, word, 1)
    assert datetime.strptime(str(STATE["time"]), layout).minute == 1  # noqa: DTZ007  # its Z is UTC


def matches(wish: str, topic: str) -> bool:
    levels, wanted = topic.split("/"), wish.split("/")
    return len(levels) == len(wanted) and all(want in ("+", level) for want, level in zip(wanted, levels, strict=True))
