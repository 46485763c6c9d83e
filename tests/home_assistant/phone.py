"""A phone with the Home Assistant app, as far as Home Assistant can tell."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.home_assistant.server import HomeAssistant
from tests.processes import wait_until


class Phone:
    """Registered like the app, under `name`; what Home Assistant pushes to it arrives here."""

    def __init__(self, ha: HomeAssistant, name: str) -> None:
        self._ha = ha
        self._pushed: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._pushed))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._webhook = ha.post(
            "/api/mobile_app/registrations",
            app_id="tests",
            app_name="Tests",
            app_version="1",
            device_id=name,
            device_name=name,
            manufacturer="Tests",
            model="Phone",
            os_name="Tests",
            os_version="1",
            supports_encryption=False,
            app_data={"push_url": f"http://127.0.0.1:{self._server.server_port}/", "push_token": name},
        )["webhook_id"]
        notifier = f"mobile_app_{name.lower().replace(' ', '_')}"
        wait_until(lambda: notifier in ha.services("notify"), notifier)
        (self._entry,) = (
            entry for entry in ha.call("config_entries/get", domain="mobile_app") if entry["title"] == name
        )
        devices = ha.call("config/device_registry/list")
        (self.device,) = (device["id"] for device in devices if device["name"] == name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Sold: Home Assistant is told to forget it."""
        self._ha.delete(f"/api/config/config_entries/entry/{self._entry['entry_id']}")
        self._server.shutdown()
        self._server.server_close()

    @property
    def notifications(self) -> list[dict[str, Any]]:
        """All that were pushed, oldest first: `title`, `message`, and `data` with `tag` and `actions`."""
        return list(self._pushed)

    def shows(self, message: str, times: int = 1) -> list[dict[str, Any]]:
        """The notifications with `message`, so many of which are waited for."""

        def shown() -> list[dict[str, Any]] | None:
            found = [one for one in self.notifications if one["message"] == message]
            return found if len(found) >= times else None

        return list(wait_until(shown, f"{message!r}, not {self.notifications}"))

    def tap(self, action: str) -> None:
        """A person taps the button that a notification has for `action`."""
        event = {"event_type": "mobile_app_notification_action", "event_data": {"action": action}}
        self._ha.post(f"/api/webhook/{self._webhook}", type="fire_event", data=event)


def _handler(pushed: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            pushed.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    return Handler
