"""A real Home Assistant: started, asked, restarted and stopped."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml
from websockets.sync.client import connect

from tests.home_assistant.broker import Broker
from tests.home_assistant.layout import lay_out, venv
from tests.processes import Process, free_port, wait_until

HERE = Path(__file__).parent
PATIENCE_S = 60.0

# What any Home Assistant says: when it starts, run by root, without what it takes to see and to be fast; and when it
# hears itself clear the topic of a device that was deleted (before 2026.5, of any that had disabled entities).
_USUAL = re.compile(
    r"\[homeassistant\.(setup|bootstrap|loader)\]|as root|zlib_ng and isal|haffmpeg|turbojpeg|"
    r"No device components to cleanup|mqtt\.discovery is logging too frequently",
    re.IGNORECASE,
)
_COMPLAINT = re.compile(r"^\S+ \S+ (?:WARNING|ERROR|CRITICAL) .*(?:\n(?!\d{4}-).*)*", re.MULTILINE)


class Refused(Exception):
    """Home Assistant did not do it, and says why."""


@dataclass(frozen=True, slots=True)
class Entity:
    """What Home Assistant made of a component. `state` is None and `attributes` empty where it is disabled."""

    entity_id: str
    unique_id: str
    name: str | None
    device: str | None  # its identifier, such as `dalla_home_total`
    category: str | None
    disabled: bool
    state: str | None
    attributes: Mapping[str, Any]

    @property
    def platform(self) -> str:
        return self.entity_id.partition(".")[0]


class HomeAssistant:
    """Home Assistant, onboarded and connected to `broker`."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.broker = broker
        self.config = folder / "config"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.venv = venv()
        self.token = ""
        self._process: Process | None = None
        self._read = 0
        lay_out(self.config, self.port, self.venv)

    # Its life

    def start(self) -> None:
        first = not self.token
        before = self.broker.subscriptions
        command = (str(self.venv / "bin/python"), "-m", "homeassistant", "-c", str(self.config), "--skip-pip")
        self._process = Process(*command, "--log-no-color", environment={"HOME": str(self.config.parent)})
        if first:
            self._wait(lambda: self._rest("GET", "/api/onboarding"), "onboarding")
            self._onboard()
        self._wait(lambda: self.get("/api/config")["state"] == "RUNNING", "a running core")
        if first:
            where = {"broker": "127.0.0.1", "port": self.broker.port}
            self.add_integration("mqtt", **where, set_ca_cert="off", set_client_cert=False)
        self._wait(lambda: self.mqtt_entry()["state"] == "loaded", "the mqtt integration")
        wait_until(lambda: self.broker.subscriptions > before, "Home Assistant listens")

    def stop(self) -> None:
        assert self._process is not None
        self._process.process.terminate()
        self._process.wait(PATIENCE_S)
        self.kill()

    def kill(self) -> None:
        """Whatever it has not written down is lost; it takes its time for a tidy end."""
        if self._process is not None:
            self._process.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    # What can be asked and ordered

    def call(self, command: str, **arguments: object) -> Any:  # noqa: ANN401  # whatever the command answers
        """The result of a WebSocket command. Raises Refused."""
        with connect(f"ws://127.0.0.1:{self.port}/api/websocket", max_size=None, compression=None) as socket:
            socket.recv()
            socket.send(json.dumps({"type": "auth", "access_token": self.token}))
            socket.recv()
            socket.send(json.dumps({"id": 1, "type": command, **arguments}))
            answer = json.loads(socket.recv())
        if not answer["success"]:
            raise Refused(answer["error"])
        return answer["result"]

    def get(self, path: str) -> Any:  # noqa: ANN401  # whatever is there
        """Raises Refused."""
        return self._rest("GET", path)

    def post(self, path: str, **body: object) -> Any:  # noqa: ANN401  # whatever it answers
        """Raises Refused."""
        return self._rest("POST", path, json=body)

    def delete(self, path: str) -> None:
        """Raises Refused."""
        self._rest("DELETE", path)

    def services(self, domain: str) -> set[str]:
        """What can be used of `domain`."""
        return {name for about in self.get("/api/services") if about["domain"] == domain for name in about["services"]}

    def use(self, service: str, entity_id: str | None = None, **data: object) -> None:
        """Call a service such as `select.select_option`. Raises Refused."""
        domain, _, name = service.partition(".")
        target = {"target": {"entity_id": entity_id}} if entity_id else {}
        self.call("call_service", domain=domain, service=name, service_data=data, **target)

    def render(self, template: str) -> str:
        """What a template says."""
        return str(self._rest("POST", "/api/template", json={"template": template}, raw=True))

    def add_integration(self, domain: str, **answers: object) -> None:
        """Its own dialogue, with defaults for all that is not answered."""
        flow = "/api/config/config_entries/flow"
        self._answer(flow, self.post(flow, handler=domain, show_advanced_options=True), answers)

    def set_options(self, entry_id: str, **answers: object) -> None:
        """The dialogue of an integration's options, with what it has for all that is not answered."""
        flow = "/api/config/config_entries/options/flow"
        self._answer(flow, self.post(flow, handler=entry_id, show_advanced_options=True), answers)

    # What it knows

    def mqtt_entry(self) -> dict[str, Any]:
        """The configuration entry of the mqtt integration."""
        (entry,) = self.call("config_entries/get", domain="mqtt")
        return dict(entry)

    def states(self) -> dict[str, dict[str, Any]]:
        """Every state by its entity id: `state`, `attributes`, `last_changed` …"""
        return {state["entity_id"]: state for state in self.call("get_states")}

    def state(self, entity_id: str) -> str | None:
        """None where there is none."""
        state = self.states().get(entity_id)
        return None if state is None else str(state["state"])

    def devices(self) -> dict[str, dict[str, Any]]:
        """Our devices, as the registry has them, by their identifier: `dalla_home_total`."""
        found = {}
        for device in self.call("config/device_registry/list"):
            ours = [identifier for domain, identifier in device["identifiers"] if domain == "mqtt"]
            found.update(dict.fromkeys(ours, device))
        return found

    def entities(self) -> dict[str, Entity]:
        """All of the mqtt integration, by their ids."""
        identifiers = {device["id"]: identifier for identifier, device in self.devices().items()}
        states = self.states()
        return {
            entry["entity_id"]: Entity(
                entity_id=entry["entity_id"],
                unique_id=entry["unique_id"],
                name=entry["original_name"],
                device=identifiers.get(entry["device_id"]),
                category=entry["entity_category"],
                disabled=entry["disabled_by"] is not None,
                state=states.get(entry["entity_id"], {}).get("state"),
                attributes=states.get(entry["entity_id"], {}).get("attributes", {}),
            )
            for entry in self.call("config/entity_registry/list")
            if entry["platform"] == "mqtt"
        }

    def enable(self, *entity_ids: str) -> None:
        """As a person does in the entities' settings. It takes a restart, or half a minute, for them to be there."""
        for entity_id in entity_ids:
            self.call("config/entity_registry/update", entity_id=entity_id, disabled_by=None)
        self.restart()

    def registered(self, entity_id: str) -> dict[str, Any]:
        """All that the registry keeps of an entity, also of a disabled one."""
        return dict(self.call("config/entity_registry/get", entity_id=entity_id))

    def delete_device(self, identifier: str) -> None:
        """As a person does on its page."""
        device = self.devices()[identifier]["id"]
        try:
            self.call("config/device_registry/remove", device_id=device)
        except Refused:  # before 2026.8
            entry = self.mqtt_entry()["entry_id"]
            self.call("config/device_registry/remove_config_entry", device_id=device, config_entry_id=entry)

    def reload_mqtt(self) -> None:
        self.post(f"/api/config/config_entries/entry/{self.mqtt_entry()['entry_id']}/reload")

    # Statistics

    def compile_statistics(self, at: float | None = None) -> None:
        """Those of the present five minutes and of their hour, now; or of those of `at`, which may be still to come."""
        self.use("dalla_tests.compile_statistics", **({} if at is None else {"at": at}))

    def clear_statistics(self) -> None:
        """Keep none, of anything. Home Assistant waits ten seconds for its recorder, which may be busy for longer."""
        if ids := list(self.statistic_ids()):
            wait_until(lambda: self._clear(ids), "the recorder", PATIENCE_S)

    def _clear(self, ids: list[str]) -> bool:
        try:
            self.call("recorder/clear_statistics", statistic_ids=ids)
        except Refused as refusal:
            if "timed out" not in str(refusal):
                raise
            return False
        return True

    def statistic_ids(self) -> dict[str, dict[str, Any]]:
        """What there are long-term statistics of, by its id, which is an entity's or `source:name`."""
        found = {about["statistic_id"]: about for about in self.call("recorder/list_statistic_ids")}
        for about in found.values():
            if about["unit_class"] == "unitless":  # None before 2026
                about["unit_class"] = None
        return found

    def statistics(
        self, *ids: str, period: str = "hour", since: str = "2016-01-01T00:00:00Z"
    ) -> dict[str, list[dict[str, Any]]]:
        """Rows of `start` and `end` (milliseconds), `sum`, `state`, `change`, `mean` … by their id."""
        command = "recorder/statistics_during_period"
        rows: dict[str, list[dict[str, Any]]] = self.call(command, start_time=since, statistic_ids=ids, period=period)
        return rows

    # What it minds

    def complaints(self) -> list[str]:
        """Warnings and errors in its log, of any integration, since the last time this was asked."""
        with suppress(FileNotFoundError):
            log = (self.config / "home-assistant.log").read_text("utf-8")
            new, self._read = log[self._read :], len(log)
            return [complaint for complaint in _COMPLAINT.findall(new) if not _USUAL.search(complaint)]
        return []

    def repairs(self) -> list[dict[str, Any]]:
        """What it asks its owner to mend, of the mqtt integration or of statistics."""
        issues = self.call("repairs/list_issues")["issues"]
        return [issue for issue in issues if issue["domain"] in ("mqtt", "sensor", "recorder")]

    def statistics_issues(self) -> dict[str, Any]:
        """What the developer tools would complain about, by statistic id."""
        return dict(self.call("recorder/validate_statistics"))

    # What people load and look at

    def load_automation(self, key: str, configuration: Mapping[str, object]) -> str:
        """The entity id of an automation, which is made or changed. Raises Refused."""
        self.post(f"/api/config/automation/config/{key}", **configuration)

        def found() -> str | None:
            automations = (state for state in self.states().values() if state["attributes"].get("id") == key)
            return next((str(state["entity_id"]) for state in automations if state["state"] == "on"), None)

        return str(wait_until(found, f"the automation {key}"))

    def load_blueprint(self, file: Path, inputs: Mapping[str, object]) -> str:
        """The entity id of an automation made of the blueprint in `file`. Raises Refused."""
        path = f"dalla/{file.name}"
        target = self.config / "blueprints/automation" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        listed = self.call("blueprint/list", domain="automation")[path]
        if "error" in listed:
            raise Refused(listed["error"])
        blueprint = {"alias": file.stem, "use_blueprint": {"path": path, "input": dict(inputs)}}
        return self.load_automation(f"{file.stem}-{secrets.token_hex(2)}", blueprint)

    def load_dashboard(self, file: Path) -> str:
        """The path under which the dashboard in `file` is shown. Only a picture tells whether it can be drawn."""
        path = f"test-{file.stem}"
        with suppress(Refused):  # it is there already
            self.call("lovelace/dashboards/create", url_path=path, title=file.stem, mode="storage")
        self.call("lovelace/config/save", url_path=path, config=yaml.safe_load(file.read_text("utf-8")))
        return f"/{path}"

    def picture(
        self, path: str, file: Path | None = None, *text: str, width: int = 1280, height: int = 900
    ) -> dict[str, Any]:
        """Draw a page when it shows each `text`; returns all its `text`, and `error_cards`, how many are broken."""
        place = {"url": self.url, "token": self.token, "path": path, "file": str(file) if file else None}
        ran = subprocess.run(
            [self.venv / "bin/python", HERE / "photographer.py"],
            input=json.dumps(place | {"text": text, "width": width, "height": height}),
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        seen: dict[str, Any] = json.loads(ran.stdout)
        return seen

    # Beneath

    def _onboard(self) -> None:
        client = {"client_id": f"{self.url}/"}
        owner = {"name": "Alice", "username": "alice", "password": secrets.token_hex(), "language": "en"}
        code = self.post("/api/onboarding/users", **owner, **client)["auth_code"]
        grant = {"grant_type": "authorization_code", "code": code, **client}
        self.token = self._rest("POST", "/auth/token", data=grant)["access_token"]
        self.token = self.call("auth/long_lived_access_token", client_name="tests", lifespan=365)

    def _rest(self, method: str, path: str, *, raw: bool = False, **options: Any) -> Any:  # noqa: ANN401  # JSON
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = requests.request(method, self.url + path, headers=headers, timeout=PATIENCE_S, **options)
        if not answer.ok:
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.text if raw else answer.json()

    def _answer(self, flow: str, step: dict[str, Any], answers: Mapping[str, object]) -> None:
        while step["type"] in ("menu", "form"):
            given = {"next_step_id": "broker"} if step["type"] == "menu" else _fill(step["data_schema"], answers)
            step = self.post(f"{flow}/{step['flow_id']}", **given)
            if step.get("errors"):
                raise Refused(step["errors"])
        assert step["type"] == "create_entry", step

    def _wait(self, true: Any, what: str) -> None:  # noqa: ANN401  # a question
        def ask() -> bool:
            assert self._process is not None
            assert self._process.process.poll() is None, self._process.output
            with suppress(OSError, Refused, ValueError):  # not there yet
                return bool(true())
            return False

        wait_until(ask, f"Home Assistant: {what}", PATIENCE_S)


def _fill(fields: list[dict[str, Any]], answers: Mapping[str, object]) -> dict[str, Any]:
    """A form, in which sections may be folded up."""
    filled: dict[str, Any] = {}
    for field in fields:
        name = field["name"]
        if field.get("type") == "expandable":
            filled[name] = _fill(field["schema"], answers)
        elif name in answers:
            filled[name] = answers[name]
        elif "default" in field and field.get("required"):
            filled[name] = field["default"]
    return filled
