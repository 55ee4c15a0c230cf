"""A notebook over real session files, PostgreSQL, tools and rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dojang.notebook import Notebook
from tests.dojang.server.conftest import open_workspace


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Notebook]:
    """One for the tests of a module: each asks on threads of its own."""
    with open_workspace(tmp_path_factory.mktemp("book"), postgres_server, language="en", undo_s=0) as workspace:
        yield Notebook(workspace)
