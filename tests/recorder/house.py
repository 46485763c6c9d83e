"""A Home Assistant that is none: what it answers is up to the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from threading import Thread
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from dalla_mqtt.config import Secret
from dalla_mqtt.recorder.websocket import Connection
from tests.processes import CANARY

HELLO = '{"type": "auth_required", "ha_version": "%s"}'
USAGE = "sensor.dalla_home_total_usage"
Answer = Callable[[dict[str, Any]], object]


class Refusal(Exception):
    """Code and message."""


class House(AbstractContextManager["House"]):
    """Answers on a real socket; keeps the hourly rows of one entity as Home Assistant does, `unit` by unit.

    `answers`: what is answered to a command, instead: JSON text as it is, a function's result, or a Refusal.
    """

    def __init__(self, version: str = "2026.11.0", unit: str | None = "GB") -> None:
        self.unit = unit
        self.rows: dict[int, tuple[float, float]] = {}
        self.answers: dict[str, str | Answer] = {}
        self._left = 10**9
        self.times = 1  # that each answer is sent
        self.asked: list[dict[str, Any]] = []
        self.hello = HELLO % version
        self._server = serve(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()

    def connect(self, path: str = "") -> Connection:
        return Connection(f"{self.url}{path}", Secret(CANARY))

    def breaks_after(self, commands: int | None) -> None:
        """Do the command after so many, and hang up."""
        self._left = 10**9 if commands is None else commands

    def heard(self, command: str) -> list[dict[str, Any]]:
        return [asked for asked in self.asked if asked["type"] == command]

    def _serve(self, socket: ServerConnection) -> None:
        try:
            socket.send(self.hello)
            token = json.loads(socket.recv())["access_token"]
            socket.send(json.dumps({"type": "auth_ok" if token == CANARY else "auth_invalid", "message": "no"}))
            for text in socket:
                answer = self._answer(json.loads(text))
                self._left -= 1
                if self._left < 0:
                    return
                for _ in range(self.times):
                    socket.send(answer)
        except ConnectionClosed:
            pass

    def _answer(self, asked: dict[str, Any]) -> str:
        self.asked.append(asked)
        answer = self.answers.get(asked["type"]) or getattr(self, asked["type"].rpartition("/")[2])
        if isinstance(answer, str):
            return answer.replace("$ID", str(asked["id"]))
        result = {"id": asked["id"], "type": "result"}
        try:
            return json.dumps({**result, "success": True, "result": answer(asked)})
        except Refusal as refusal:
            code, message = refusal.args
            return json.dumps({**result, "success": False, "error": {"code": code, "message": message}})

    def info(self, _: dict[str, Any]) -> object:
        return {"backlog": 0}

    def list(self, _: dict[str, Any]) -> object:
        return [{"entity_id": USAGE, "unique_id": "dalla_home_total_usage", "platform": "mqtt", "disabled_by": None}]

    def get_statistics_metadata(self, asked: dict[str, Any]) -> object:
        (entity_id,) = asked["statistic_ids"]
        return [
            {
                "statistic_id": entity_id,
                "source": "recorder",
                "has_sum": True,
                "statistics_unit_of_measurement": self.unit,
                "unit_class": "information",
            }
        ]

    def statistics_during_period(self, asked: dict[str, Any]) -> object:
        first, before = (datetime.fromisoformat(asked[key]).timestamp() for key in ("start_time", "end_time"))
        rows = [
            {"start": hour * 1000, "end": (hour + 3600) * 1000, "state": state, "sum": moved}
            for hour, (state, moved) in sorted(self.rows.items())
            if first <= hour < before
        ]
        return {asked["statistic_ids"][0]: rows} if rows else {}

    def import_statistics(self, asked: dict[str, Any]) -> None:
        for row in asked["stats"]:
            self.rows[int(datetime.fromisoformat(row["start"]).timestamp())] = (row["state"], row["sum"])

    def adjust_sum_statistics(self, asked: dict[str, Any]) -> None:
        since = datetime.fromisoformat(asked["start_time"]).timestamp()
        for hour, (state, moved) in self.rows.items():
            if hour >= since:
                self.rows[hour] = (state, moved + asked["adjustment"])
