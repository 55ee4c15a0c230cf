"""The calls of a public benchmark through the checking and the gate: right ones pass, each mistake is refused.

``python -m tests.bfcl`` prints the counts. The graph is played for every 25th call; ``DOJANG_BFCL=all`` plays each.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from nodes.ports import Deps
from state import Generation, Review
from tests.bfcl.calls import WITH_CALLS, WITHOUT, Row, mutations, rows
from tests.graph.parts import (
    FixedClock,
    MemoryDecisions,
    MemoryLedger,
    Script,
    Shelf,
    calls,
    graph_over,
    sample_policy,
    says,
)

ALL = os.environ.get("DOJANG_BFCL") == "all"
STRIDE = 1 if ALL else 25
PARTS = 8 if ALL else 1
in_parts = pytest.mark.parametrize("part", range(PARTS), ids=[f"part{n}" for n in range(PARTS)])
"""So that the whole is no single test of minutes; ``-k part3`` plays one of them."""
CONTRADICTORY = {
    "parallel_multiple_94": "words for a list of integers",
    "live_multiple_87-38-4": "a value that its own enum does not have",
    "live_multiple_152-58-6": "a list where its own enum has single words",
    "live_multiple_596-158-2": "a number where its own type is text",
    "live_multiple_750-169-5": "a value that its own enum does not have",
    "live_multiple_964-207-0": "an argument that its own schema does not have",
}
"""Tasks whose ground truth breaks the schema that stands beside it. Refused, and rightly."""
UNCLEAR = {"live_simple_186-111-0": "12/03/2024 is 12 March or 3 December"}
"""Requests with two readings: a person is asked what is meant before any call is made."""


@pytest.mark.parametrize("name", WITH_CALLS)
def test_right_calls_pass_as_they_are_and_every_mistake_is_refused(test_data: Path, name: str) -> None:
    refused, let_through, tried = set(), [], 0
    for row in rows(test_data, name):
        box = row.toolbox()
        for tool, args in row.calls:
            checked = box.check(tool, args)
            if checked["problems"] or checked["missing"]:
                refused.add(row.id)
                continue
            assert {key: checked["args"][key] for key in args} == args, row.id
            for kind, wrong, given in mutations(box, tool, args):
                tried += 1
                answer = box.check(wrong, given)
                if not answer["problems"] and not answer["missing"]:
                    let_through.append((row.id, kind, given))
    assert let_through == []
    assert refused == CONTRADICTORY.keys() & {row.id for row in rows(test_data, name)}
    assert tried > 500


def _played(row: Row, *lines: Generation) -> tuple[list[str], list[Review], dict[str, Any]]:
    """What ran, which reviews wait, and the state, after the model has said these lines."""
    ran: list[str] = []
    deps = Deps(
        retriever=Shelf([]),
        generator=Script([*lines, says("I cannot do that.")]),
        toolbox=row.toolbox(ran),
        policy=sample_policy(),
        ledger=MemoryLedger(),
        decisions=MemoryDecisions(),
        clock=FixedClock(),
    )
    graph = graph_over(InMemorySaver())
    config: Any = {"configurable": {"thread_id": row.id}}
    graph.invoke({"messages": [HumanMessage(row.said)]}, config, context=deps)
    state = graph.get_state(config)
    return ran, [i.value["review"] for task in state.tasks for i in task.interrupts], state.values


@in_parts
@pytest.mark.parametrize("name", WITH_CALLS)
def test_a_right_call_waits_and_a_wrong_one_opens_no_review_of_it(test_data: Path, name: str, part: int) -> None:
    for row in rows(test_data, name)[::STRIDE][part::PARTS]:
        if row.id in CONTRADICTORY:
            continue
        box = row.toolbox()
        ran, waiting, _ = _played(row, calls(*row.calls))
        assert ran == []
        if row.id in UNCLEAR:
            assert [r["kind"] for r in waiting] == ["clarification"]
            continue
        assert [(r["action"]["tool"], r["kind"]) for r in waiting] == [(tool, "tool") for tool, _ in row.calls]
        for tool, args in row.calls:
            for kind, wrong, given in mutations(box, tool, args):
                ran, waiting, values = _played(row, calls((wrong, given)))
                assert ran == []
                about_calls = [review for review in waiting if review["action"]["tool"]]
                assert about_calls == [], (row.id, kind, given)
                asked = [review["kind"] for review in waiting]
                refused = [outcome["status"] for outcome in values["outcomes"].values()]
                # what a person can say (a value left out, or in words) is asked for; all else is refused
                assert "clarification" in asked or refused == ["refused"], (row.id, kind, given)


@in_parts
@pytest.mark.parametrize("name", WITHOUT)
def test_where_no_call_is_right_nothing_opens(test_data: Path, name: str, part: int) -> None:
    """The model says that it cannot, or calls what only another task has."""
    found = rows(test_data, name)
    for row, other in list(zip(found, [*found[1:], found[0]], strict=True))[::STRIDE][part::PARTS]:
        ran, waiting, values = _played(row)
        assert (ran, [review for review in waiting if review["action"]["tool"]]) == ([], [])
        own = {function["name"] for function in row.functions}
        foreign: list[tuple[str, dict[str, Any]]] = [(f["name"], {}) for f in other.functions if f["name"] not in own]
        ran, waiting, values = _played(row, calls(*foreign))
        assert (ran, [review for review in waiting if review["action"]["tool"]]) == ([], [])
        refused = [outcome["status"] for outcome in values["outcomes"].values()]
        # a request with two readings is asked about before anything is called for it
        assert [r["kind"] for r in waiting] == ["clarification"] or refused == ["refused"] * len(foreign)
