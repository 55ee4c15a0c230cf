"""A home that has been lived in, for the tests of its audit chain."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.checkpoints.audited import lived


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    lived(home)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home"))
