"""The compiled agent over memory."""

from __future__ import annotations

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from graph import AgentGraph
from tests.graph.parts import graph_over


@pytest.fixture
def graph() -> AgentGraph:
    return graph_over(InMemorySaver())
