"""buildah and podman, without a registry: the image's bases are made here, of Debian's own packages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from tests.processes import Process, wait_until

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".cache" / "container"
OWNER = 1000  # of /data, in the image
IMAGE = "localhost/dalla-mqtt"

_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP_SETTINGS = ("index-url", "proxy", "trusted-host", "timeout")
_STORE = ("--root", str(FOLDER / "store"), "--runroot", str(FOLDER / "run"))
_PODMAN = ("podman", *_STORE, "--runtime", "runc", "--cgroup-manager", "cgroupfs")
_HARDENED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges")
# podman asks for more open files than a machine without CAP_SYS_RESOURCE may give.
_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")
# A mirror changes its lists of updates any day, and while it does, they do not fit together.
_MAIN_ONLY = 'sed -i "/-updates\\|-security/d" "$1/etc/apt/sources.list"'
_NO_TIMERS = {"DISABLE_HC_SYSTEMD": "true"}  # health checks are run by hand here


def ran(*command: str) -> str:
    """What a program that must succeed says."""
    done = subprocess.run(
        command, env={**os.environ, **_NO_TIMERS}, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def buildah(command: str, *words: str) -> str:
    return ran("buildah", *_STORE, command, *words)


def podman(command: str, *words: str) -> str:
    return ran(*_PODMAN, command, *words)


def build(tag: str, *options: str) -> None:
    """The image of the Dockerfile. What was built before is not built again."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    _make_bases()
    of_this_machine = ["--volume", f"{_pip_conf()}:/etc/pip.conf:ro"]
    if _AUTHORITIES.exists():
        of_this_machine += ["--volume", f"{_AUTHORITIES}:{_AUTHORITIES}:ro"]
    how = ("--isolation", "chroot", "--pull=never", "--layers", "--format", "docker")
    buildah("bud", *how, *of_this_machine, *options, "--tag", tag, str(ROOT))


def _make_bases() -> None:
    """What stands in for the official images that the Dockerfile begins with: the same Debian, Debian's Python."""
    names = re.findall(r"^FROM (\S+/python:\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    there = buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()
    if set(names) <= set(there):
        return
    python, suite = re.findall(r":([0-9.]+)-.*?([a-z]+)$", names[0])[0]
    container = buildah("from", "scratch").strip()
    folder = buildah("mount", container).strip()
    what = ("--variant=minbase", "--include=python3,python3-venv,ca-certificates", f"--setup-hook={_MAIN_ONLY}")
    ran("mmdebstrap", "--quiet", *what, "--format=directory", suite, folder)
    link = "ln -s /usr/bin/python3 /usr/local/bin/python && python --version"
    version = buildah("run", "--isolation", "chroot", container, "sh", "-c", link)
    assert version.startswith(f"Python {python}."), version
    buildah("commit", "--quiet", "--rm", "--format", "docker", container, names[0])
    for name in names[1:]:
        buildah("tag", names[0], name)


def _pip_conf() -> Path:
    """Where packages come from is each machine's own setting: pip's in the container is that of this machine."""
    pip = (sys.executable, "-m", "pip", "config", "list")
    told = re.findall(r"^[^.]+\.([a-z-]+)='(.*)'$", ran(*pip), re.MULTILINE)
    file = FOLDER / "pip.conf"
    lines = [f"{key} = {value}" for key, value in told if key in _PIP_SETTINGS]
    file.write_text("\n".join(["[global]", *lines, ""]), "utf-8")
    return file


class Container(Process):
    """The image, run as a careful owner does: root file system read-only, no capability, on this machine's network."""

    def __init__(
        self,
        data: Path,
        *words: str,
        environment: dict[str, str] | None = None,
        secrets: Path | None = None,
        options: tuple[str, ...] = (),
        image: str = IMAGE,
    ) -> None:
        self.name = f"dalla-{uuid.uuid4().hex[:12]}"
        mounts = [f"{data}:/data", *([f"{secrets}:/run/secrets:ro"] if secrets else [])]
        flags = [
            *("--rm", "--name", self.name, "--network", "host", *_HARDENED, *_LIMITS),
            *(word for mount in mounts for word in ("--volume", mount)),
            *(word for key, value in (environment or {}).items() for word in ("--env", f"{key}={value}")),
            *options,
        ]
        super().__init__(*_PODMAN, "run", *flags, image, *words, environment=_NO_TIMERS)

    def kill(self) -> None:
        """The container too: what is killed here is the program that shows its output."""
        podman("rm", "--force", "--time", "0", "--ignore", self.name)
        super().kill()

    def stop(self, patience_s: int) -> int:
        """Its exit code, after its stop signal; 137 where it took longer."""
        podman("stop", "--time", str(patience_s), self.name)
        return self.wait()

    def is_healthy(self) -> bool:
        """Whether the image's own health check says so."""
        check = (*_PODMAN, "healthcheck", "run", self.name)
        done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode == 0

    def execute(self, *words: str) -> str:
        """What a command says that runs in it, beside its program."""
        return podman("exec", self.name, *words)

    def polls_again(self) -> None:
        """Wait for two more polls: the second of them began after this call."""
        before = self.output.count(" polled in ")
        wait_until(lambda: self.output.count(" polled in ") >= before + 2, "two more polls")


def configuration(image: str) -> dict[str, Any]:
    """How the image is to be run, as it says itself: what Docker calls its Config."""
    told: dict[str, Any] = json.loads(podman("image", "inspect", image))[0]
    return {**told["Config"], "Healthcheck": told["Healthcheck"]}
