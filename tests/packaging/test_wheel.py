"""What is built of the project carries all that it needs, and works where nothing else of it is."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import requests

from dalla_mqtt import __version__
from tests.processes import Process, answers, free_port, wait_until

ROOT = Path(__file__).parents[2]
STATIC = "dalla_mqtt/report/web/static"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git has, or would take: nothing that only this machine has beside it."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def built(checkout: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel that is made of it."""
    hatchling = (sys.executable, "-m", "hatchling", "build")
    subprocess.run([*hatchling, "-t", "sdist"], cwd=checkout, check=True, capture_output=True)
    sdist = checkout / "dist" / f"dalla_mqtt-{__version__}.tar.gz"
    with tarfile.open(sdist) as archive:
        archive.extractall(checkout.parent / "unpacked", filter="data")
    unpacked = checkout.parent / "unpacked" / f"dalla_mqtt-{__version__}"
    subprocess.run([*hatchling, "-t", "wheel"], cwd=unpacked, check=True, capture_output=True)
    return sdist, unpacked / "dist" / f"dalla_mqtt-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with the wheel; what that needs is lent by the venv of the tests."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet")
    subprocess.run([*pip, "--no-deps", "--no-index", "--disable-pip-version-check", str(built[1])], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    needed = [path for path in site.getsitepackages() if Path(path) != packages]
    (packages / "needed.pth").write_text("\n".join(needed) + "\n", "utf-8")
    return folder


def test_the_wheel_has_every_file_of_the_package_and_what_belongs_beside_it(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "dalla_mqtt").rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("dalla_mqtt/")} == {
        name for name in package if "__pycache__" not in name
    }
    assert {f"{STATIC}/index.html", f"{STATIC}/page.js", "dalla_mqtt/py.typed"} <= names
    beside = {name.partition("/")[2] for name in names if not name.startswith("dalla_mqtt/")}
    assert beside == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt"),
        *("licenses/LICENSE", f"licenses/{STATIC}/LICENSE-uPlot"),
        *(
            "data/share/man/man1/dalla-mqtt.1",
            "data/share/dalla-mqtt/dalla-mqtt.service",
            "data/share/dalla-mqtt/config.yaml",
        ),
    }


def test_the_sdist_has_the_tests_and_the_documentation_too(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "config.yaml", "docs/design.md"} <= names
    assert {
        "tests/processes.py",
        "scripts/test",
        "homeassistant/app/config.yaml",
        "deploy/systemd/dalla-mqtt.service",
    } <= names


def test_installed_it_says_its_version_and_runs_the_demonstration_with_its_page(
    installed: Path, tmp_path: Path
) -> None:
    program = str(installed / "bin" / "dalla-mqtt")
    elsewhere = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    told = subprocess.run(
        [program, "--version"], cwd=tmp_path, env=elsewhere, capture_output=True, text=True, check=True
    )
    assert told.stdout == f"dalla-mqtt {__version__}\n"

    port = free_port()
    with Process(program, "demo", "--for", "5s", "--mqtt-port", "0", "--web-port", str(port), cwd=tmp_path) as demo:
        page = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(port), f"the page:\n{demo.output}")
        names = sorted(path.name for path in (ROOT / STATIC).iterdir())
        assert {name: requests.get(f"{page}/static/{name}", timeout=5).status_code for name in names} == dict.fromkeys(
            names, 200
        )
        assert "<title>" in requests.get(page, timeout=5).text
        assert demo.wait() == 0
        assert "nothing is left behind" in demo.output


def test_installed_it_is_that_and_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = "import dalla_mqtt; print(dalla_mqtt.__file__)"
    command = [str(installed / "bin" / "python"), "-P", "-c", where]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert Path(ran.stdout.strip()).is_relative_to(installed)
    assert (installed / "share" / "man" / "man1" / "dalla-mqtt.1").is_file()
