"""The Home Assistant that is installed for tests, and the folder it starts in."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

_CONFIGURATION = """\
homeassistant:
  name: Home
  time_zone: UTC
  country: ZA
  currency: ZAR
  unit_system: metric
recorder:
  commit_interval: 1
  auto_purge: false
logger:
  default: warning
frontend:
history:
logbook:
automation: !include automations.yaml
script: {}
mobile_app:
dalla_tests:
"""

_HTTP = {
    "cors_allowed_origins": [],
    "login_attempts_threshold": -1,
    "ip_ban_enabled": True,
    "ssl_profile": "intermediate_v6",
    "use_x_frame_options": True,
    "error": None,
    "error_message": None,
}


def venv() -> Path:
    """Where `scripts/setup home-assistant` has put the Home Assistant to test with."""
    wanted = (ROOT / "requirements/home-assistant.txt").read_text("ascii")
    pinned = re.search(r"^homeassistant==(\S+)$", wanted, re.MULTILINE)
    assert pinned
    found = ROOT / ".venv-ha" / (os.environ.get("HA_VERSION") or pinned[1])
    assert (found / "setup.stamp").exists(), f"{found} is not there: sh scripts/setup home-assistant"
    return found


def lay_out(config: Path, port: int, venv: Path) -> None:
    """Settings for one that listens on `port` and needs no onboarding but an owner."""
    (config / ".storage").mkdir(parents=True)
    shutil.copytree(HERE / "dalla_tests", config / "custom_components/dalla_tests")
    (config / "automations.yaml").write_text("[]\n", "utf-8")
    configuration = _CONFIGURATION
    (source,) = venv.glob("lib/python*/site-packages/homeassistant/components/http")
    if (source / "config.py").exists() and "yaml_migration_done" in (source / "config.py").read_text("utf-8"):
        stable = {"server_port": port, "server_host": ["127.0.0.1"], "created_at": "2026-01-01T00:00:00+00:00"}
        _store(config, "http", {"stable": stable | _HTTP, "pending": None, "yaml_migration_done": True}, 3)
    else:  # before 2026
        configuration += f"http:\n  server_host: 127.0.0.1\n  server_port: {port}\n"
    (config / "configuration.yaml").write_text(configuration, "utf-8")
    _store(config, "onboarding", {"done": ["core_config", "integration", "analytics"]}, 4)


def _store(config: Path, key: str, data: object, version: int) -> None:
    stored = {"version": version, "minor_version": 1, "key": key, "data": data}
    (config / ".storage" / key).write_text(json.dumps(stored), "utf-8")
