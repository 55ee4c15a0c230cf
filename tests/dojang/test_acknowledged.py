"""What a run has told of, and what its tools have done, is on the disk by then: a power cut at its worst."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from checkpoints import EffectLedger, FileSaver
from dojang.runs import tells_of_pause
from dojang.watching import Watch
from dojang.workspace import Workspace
from graph import build_graph
from nodes.ports import Generator
from state import JSON, Generation
from tests.checkpoints.power import FDS, Disk
from tests.databases import NOT_NEEDED
from tests.dojang.workspaces import NoDocuments, RehearsedParts, settings_for, told
from tools.effects import effect
from tools.toolbox import Toolbox

pytestmark = pytest.mark.skipif(not FDS.exists(), reason="asks /proc which file a descriptor is")
SEEN: list[Path] = []
CUTS: list[Any] = []


@effect("irreversible", recovery="at_most_once")
def pay(name: str) -> JSON:
    """Pay."""
    SEEN.append(CUTS[0]("paying"))
    return {"paid": name}


class Payer:
    """Wants to pay, then says that it has."""

    def reply(self, messages: Any, **given: Any) -> Generation:
        if isinstance(messages[-1], ToolMessage):
            return told("Paid.", abstained=True)
        call = {"name": "pay", "args": {"name": "kim"}, "id": "call-1"}
        return Generation(
            message=AIMessage("", tool_calls=[call]), citations=[], clarification="", about="", abstained=True,
            speaker="test",
        )  # fmt: skip


class Parts(RehearsedParts):
    @cached_property
    def generator(self) -> Generator:
        return Payer()

    @cached_property
    def store(self) -> Any:
        return NoDocuments()

    @cached_property
    def toolbox(self) -> Toolbox:
        return Toolbox([pay])


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def workspace(tmp_path: Path, disk: Disk) -> Iterator[Workspace]:
    settings = settings_for(tmp_path / "home", NOT_NEEDED)
    CUTS[:] = [lambda name: disk.cut(settings.threads, tmp_path / name)]
    SEEN.clear()
    with Workspace(settings, parts=Parts(settings)) as opened:
        yield opened


def state(threads: Path, thread: str) -> Any:
    return build_graph(FileSaver(threads)).get_state({"configurable": {"thread_id": thread}})


@pytest.mark.about_files("of a disk that loses its power it asks which bytes of which file are there")
def test_a_question_is_on_the_disk_before_anybody_is_told_and_a_call_before_it_is_made(workspace: Workspace) -> None:
    """Red where ``Runs._stream`` tells of a pause as it comes, or without the one in ``EffectLedger.begin``."""
    told_of: list[tuple[str, Path]] = []

    def hear(ns: Any, mode: str, chunk: Any) -> None:
        if tells_of_pause(mode, chunk):
            told_of.append((mode, CUTS[0](f"told-{mode}")))

    asked = HumanMessage(content="pay", id="m1", name="kim")
    result = workspace.send("t", asked, on_node=Watch(modes=("values", "updates", "tasks", "debug"), on_event=hear))
    [review] = result.reviews
    assert {mode for mode, _ in told_of} == {"values", "updates", "tasks", "debug"}
    for _, threads in told_of:
        [waiting] = state(threads, "t").interrupts
        assert waiting.value["review"]["id"] == review["id"]
    [decided] = workspace.answer("t", {"decisions": [{"type": "approve"}]})
    assert decided.run.status == "done"
    [threads] = SEEN
    assert [entry["k"] for entry in EffectLedger(threads).entries("t")] == ["intent"]
    before = state(threads, "t").values
    assert [d["type"] for d in before["decisions"].values()] == ["approve"]
    assert [call["id"] for call in before["messages"][-1].tool_calls] == ["call-1"]
    after = state(CUTS[0]("after"), "t").values
    assert after["answer"] is not None
    assert len(after["outcomes"]) == 1


def test_what_others_do_after_a_pause_is_told_as_it_comes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the pause waits for the disk: what a long step beside it says is held for nobody."""
    graph_streams = workspace.parts.graph.stream

    def stream(*args: Any, **given: Any) -> Iterator[Any]:
        for part in graph_streams(*args, **given):
            yield part
            if tells_of_pause(*part[-2:]):
                yield *part[:-2], "custom", "beside"

    heard: list[bool] = []

    def hear(ns: Any, mode: str, chunk: Any) -> None:
        heard.append(tells_of_pause(mode, chunk))

    monkeypatch.setattr(workspace.parts.graph, "stream", stream)
    asked = HumanMessage(content="pay", id="m1", name="kim")
    workspace.send("t", asked, on_node=Watch(modes=("updates", "custom"), on_event=hear))
    assert heard[-3:] == [False, False, True]  # the pause is in two parts of the stream, one of which is not asked for
