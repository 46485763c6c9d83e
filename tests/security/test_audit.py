"""What is known against a package that we use fails the gate; tried on a list of advisories of our own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.processes import clean, free_port

AUDIT = Path(__file__).parents[2] / "scripts/audit"
FLAW = {
    "id": "GHSA-xxxx-yyyy-zzzz",
    "aliases": ["CVE-2026-99999"],
    "summary": "Anybody may do anything",
    "affected": [
        {
            "package": {"name": "werkzeug", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
        }
    ],
}


@contextmanager
def advisories(*flaws: dict[str, Any], status: int = 200) -> Iterator[str]:
    """Where `flaws` of werkzeug are known, as api.osv.dev tells them."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = {"vulns": flaws} if flaws and asked["package"]["name"] == "werkzeug" else {}
            body = json.dumps(known).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def audit(folder: Path, url: str) -> tuple[int, str]:
    """The exit code, and what it says."""
    command = ["sh", str(AUDIT), "-s", "osv", "--osv-url", url, "--cache-dir", str(folder)]
    environment = clean({"PYTHON": sys.executable})
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return ran.returncode, ran.stdout + ran.stderr


def test_a_known_flaw_fails_and_is_told_with_its_mend(tmp_path: Path) -> None:
    with advisories(FLAW) as url:
        code, told = audit(tmp_path, url)
    assert code == 1
    assert re.search(r"werkzeug [0-9.]+: CVE-2026-99999, GHSA-xxxx-yyyy-zzzz; mended in 99\.0\n", told)
    assert "sh scripts/lock --upgrade-package" in told


def test_where_nothing_is_known_it_says_of_how_many_packages(tmp_path: Path) -> None:
    with advisories() as url:
        code, told = audit(tmp_path, url)
    assert code == 0
    assert told.startswith("audit: nothing is known against ")


@pytest.mark.parametrize("status", [None, 503])
def test_where_nobody_can_be_asked_it_says_so_and_does_not_fail(tmp_path: Path, status: int | None) -> None:
    with advisories(status=status or 200) as url:
        code, told = audit(tmp_path, url if status else f"http://127.0.0.1:{free_port()}")
    assert (code, told.partition(", as")[0]) == (0, "audit: NOT DONE")
