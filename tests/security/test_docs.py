"""SECURITY.md and docs/security.md: what they name is there, and what they show works."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dalla_mqtt.config import load
from dalla_mqtt.mqtt.trust import tls_context

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/security.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["SECURITY.md", "docs/security.md"])
def test_files_that_are_named_are_there(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    links = {(ROOT / name).parent / link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link}
    tests = {ROOT / path for path in re.findall(r"`((?:tests|scripts)/[^`]+)`", text)}
    assert [path for path in links | tests if not path.exists()] == []
    assert links


def test_the_way_to_the_broker_is_set_up_as_it_says(tmp_path: Path) -> None:
    (command,) = re.findall(r"^    (sh certificates .*?) *#", GUIDE, re.MULTILINE)
    shutil.copy(ROOT / "docs/examples/mosquitto/certificates", tmp_path)
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    (settings,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    file = tmp_path / "certs/config.yaml"
    file.write_text(settings)
    mqtt = load(file, {"DALLA_ROUTER_PASSWORD": "x"}, {}).mqtt
    assert mqtt is not None
    assert tls_context(mqtt).get_ca_certs()[0]["subject"] == ((("commonName", "authority of this house"),),)
