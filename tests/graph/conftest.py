"""The compiled agent over memory; over PostgreSQL, where the tests' sessions lie there."""

from __future__ import annotations

from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from graph import AgentGraph
from tests.databases import SESSIONS
from tests.graph.parts import graph_over
from tests.sessions_in_postgres import Kept, kept_in


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Sessions of the test's own, where the tests' sessions lie."""
    return kept_in(tmp_path)


@pytest.fixture
def graph(tmp_path: Path) -> AgentGraph:
    return graph_over(kept_in(tmp_path).saver if SESSIONS == "postgres" else InMemorySaver())
