"""The image, built once for all tests."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.container.engine import IMAGE, build


@pytest.fixture(scope="session")
def image() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make Debian's folder tree that the image is built on")
    missing = [program for program in ("buildah", "mmdebstrap", "podman", "runc") if not shutil.which(program)]
    assert not missing, f"missing: {' '.join(missing)}; sh scripts/test installs what is needed"
    build(IMAGE)
