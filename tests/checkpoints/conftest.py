"""A home that has been lived in, for the tests of its audit chain; and both places where records lie."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkpoints.backend import Backend, FileBackend
from tests.checkpoints.audited import lived
from tests.sessions_in_postgres import backend_in


@pytest.fixture(params=["files", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Where records lie: in files, then in a database."""
    if request.param == "files":
        yield FileBackend(tmp_path / "threads")
        return
    with backend_in(request.getfixturevalue("postgres_dsn")) as made:
        yield made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    lived(home)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home"))
