"""Real clusters of three brokers each, by the very files that docs/cluster.md shows, on free ports of the loopback.

No service of the system is used, and nothing of its configuration: each cluster has a folder, ports and an Erlang port
mapper of its own. All of it is ended by process id.
"""

from __future__ import annotations

import re
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.processes import Process, answers, free_port, wait_until

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NODES = 3
USER, PASSWORD = "dalla", "change-me"  # as the examples have it
START_S = 120.0  # three Erlang machines on a busy machine
RETURN_S = 60.0  # of a node that was killed


class Node:
    """One broker of a cluster, killed and started again at will."""

    def __init__(self, command: tuple[str, ...], port: int, folder: Path, environment: dict[str, str]) -> None:
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.url = f"mqtt://{self.address}"
        self._command = command
        self._folder = folder
        self._environment = environment
        self._process: Process | None = None

    def start(self) -> None:
        self._process = Process(*self._command, cwd=self._folder, environment=self._environment)

    def await_answer(self, patience_s: float) -> None:
        wait_until(lambda: self.dead or answers(self.port), f"the broker on {self.port}", patience_s)
        assert not self.dead, self.output

    def kill(self) -> None:
        """As a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    @property
    def dead(self) -> bool:
        return self._process is None or self._process.process.poll() is not None

    @property
    def output(self) -> str:
        return self._process.output if self._process else ""


class Cluster:
    """Three brokers that are one. What is left of it at the end is killed."""

    one_by_one = False  # how its nodes are to be started
    slow_to_return = False  # when more than one was killed

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Node] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.callback(node.kill)
                node.start()
                if self.one_by_one:
                    node.await_answer(START_S)
            for node in self.nodes:
                node.await_answer(START_S)
            self.await_service()
            self._stack.push(stack.pop_all())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def await_service(self, patience_s: float = START_S) -> None:
        """Wait until every node takes a subscription and a retained message: an open port says little."""
        for number in range(len(self.nodes)):
            wait_until(lambda number=number: serves(self.nodes[number].port), f"node {number + 1}", patience_s)

    def restore(self) -> None:
        """All three nodes, as before."""
        for node in self.nodes:
            if node.dead:
                node.start()
        for node in self.nodes:
            node.await_answer(RETURN_S)
        self.await_service(RETURN_S)


def serves(port: int) -> bool:
    """Whether a broker lets us in, grants a subscription and brings what is published, within two seconds."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"probe-{port}", protocol=paho.MQTTv311)
    client.username_pw_set(USER, PASSWORD)
    heard: list[bytes] = []
    granted: list[bool] = []
    client.on_connect = lambda *_: client.subscribe(f"probe/{port}", 1)
    client.on_subscribe = lambda _c, _d, _m, reasons, _p: granted.append(not reasons[0].is_failure)
    client.on_message = lambda _c, _d, message: heard.append(message.payload)
    deadline = time.monotonic() + 2
    published = False
    try:
        client.connect("127.0.0.1", port)
        while time.monotonic() < deadline and not heard:
            if client.loop(0.05) != paho.MQTT_ERR_SUCCESS:
                break
            if granted and granted[-1] and not published:
                published = True
                client.publish(f"probe/{port}", b"1", 1)
        client.disconnect()
    except OSError:
        return False
    return bool(heard)


class RabbitMQ(Cluster):
    """Nodes of RabbitMQ, and the port mapper by which they find each other. Nothing listens beyond the loopback."""

    one_by_one = True  # of those that start together one may never take a subscription
    slow_to_return = True

    def __init__(self, folder: Path) -> None:
        super().__init__("RabbitMQ")
        server = found("rabbitmq-server", Path("/usr/lib/rabbitmq/bin/rabbitmq-server"))
        self._folder = folder
        self._epmd_port = free_port()
        example = (EXAMPLES / "rabbitmq.conf").read_text("utf-8")
        example = re.sub(r"\brabbit@node([123])\b", r"rabbit\1@localhost", example)
        assert example.count("@localhost") == NODES
        example = once(example, "/etc/rabbitmq/definitions.json", str(EXAMPLES / "rabbitmq-definitions.json"))
        cookie = folder / ".erlang.cookie"
        cookie.write_text("loopback", "ascii")
        cookie.chmod(0o400)
        (folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n", "ascii")
        for number in range(1, NODES + 1):
            port = free_port()
            file = folder / f"{number}.conf"
            file.write_text(once(example, "default = 1883", f"default = 127.0.0.1:{port}"), "utf-8")
            self.nodes.append(Node((str(server),), port, folder, self._environment(number, file)))

    def __enter__(self) -> Self:
        mapper = found("epmd", Path("/usr/bin/epmd"))
        epmd = Process(str(mapper), "-port", str(self._epmd_port), "-address", "127.0.0.1")
        self._stack.enter_context(epmd)
        try:
            wait_until(lambda: answers(self._epmd_port), "epmd")
            return super().__enter__()
        except BaseException:
            self._stack.close()
            raise

    def _environment(self, number: int, file: Path) -> dict[str, str]:
        return {
            "HOME": str(self._folder),
            "RUNNING_UNDER_SYSTEMD": "true",  # the machine itself, and no shell around it that would have to be ended
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": f"rabbit{number}@localhost",
            "RABBITMQ_CONFIG_FILE": str(file),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
        }


class Nats(Cluster):
    """Nodes of NATS."""

    def __init__(self, folder: Path) -> None:
        super().__init__("NATS")
        server = found("nats-server", Path("/usr/sbin/nats-server"))
        example = (EXAMPLES / "nats-server.conf").read_text("utf-8")
        routes = {number: free_port() for number in range(1, NODES + 1)}
        for number, route in routes.items():
            example = once(example, f"node{number}:6222", f"127.0.0.1:{route}")
        for number, route in routes.items():
            port = free_port()
            text = once(example, "server_name: node1", f"server_name: node{number}")
            text = once(text, "0.0.0.0:4222", f"127.0.0.1:{free_port()}")
            text = once(text, "0.0.0.0:1883", f"127.0.0.1:{port}")
            text = once(text, "0.0.0.0:6222", f"127.0.0.1:{route}")
            text = once(text, "/var/lib/nats", f"{folder}/{number}")
            file = folder / f"{number}.conf"
            file.write_text(text, "utf-8")
            self.nodes.append(Node((str(server), "-c", str(file)), port, folder, {}))


def once(text: str, before: str, after: str) -> str:
    """`text` with `before`, which is there once, put right for one machine."""
    assert text.count(before) == 1, before
    return text.replace(before, after)


def found(name: str, usual: Path) -> Path:
    program = usual if usual.exists() else shutil.which(name)
    assert program, f"{name} is not installed: sh scripts/test installs it"
    return Path(program)
