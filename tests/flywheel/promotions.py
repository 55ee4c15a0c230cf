"""Homes with adapters and reports, for tests of who speaks and who is promoted. No model, no database, no training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from langchain_core.messages import AnyMessage

from adapters.gate.report import Figure, Findings, write_report
from adapters.registry.aliases import Registry
from adapters.serving import EMBEDDED, base_fingerprint
from adapters.speakers.rendering import READING, reading_text, rendered
from dojang.workspace import Workspace
from nodes.ports import Clock
from state import Generation, Language, Passage, ToolSpec
from tests.adapters.tiny import lora
from tests.databases import NOT_NEEDED
from tests.dojang.workspaces import RehearsedParts, settings_for, told, workspace_for
from tests.graph.parts import Shelf, Toys, calls

FIGURE = Figure(candidate=0.9, against=0.4, difference=0.5, low=0.31, high=0.68, n=40)


def home(folder: Path, **others: Any) -> Workspace:
    """A workspace whose database does not answer: whatever needs it fails."""
    return workspace_for(folder, NOT_NEEDED, **others)


def adapters(folder: Path, *numbers: int, base: str = "") -> list[str]:
    """Adapters of the shipped base in the registry of a home; their ids."""
    registry = Registry(folder / "registry")
    on = base or base_fingerprint(EMBEDDED)
    source = folder.parent / f"{folder.name}-trained"
    return [registry.add(lora(source / f"a{n}-{len(list(source.glob('*')))}", n, base=on))["id"] for n in numbers]


def crown(folder: Path, adapter: str, *, seen: str | None = None) -> None:
    """Make an adapter champion without a review, as nobody but a test does."""
    Registry(folder / "registry").promote(adapter, seen=seen, by="kim", reason="the first")


def report(folder: Path, candidate: str, against: str = "", **others: Any) -> str:
    """A report of the gate in a home; its id."""
    found: Any = Findings(
        verdict="passed",
        reasons=[{"code": "few_slices", "kind": "note", "facts": {"n": 1}}],
        candidate=candidate,
        against=against,
        dataset="d" * 16,
        rules={"dataset": "d" * 16, "digest": "r" * 16, "at": "2026-11-22T08:00:00+00:00", "values": {"match": 0}},
        figures={"match": FIGURE, "repeated": Figure(**{**FIGURE, "low": None, "high": None, "n": 3})},
        slices={"language:ko": {"match": FIGURE}},
        baselines={"base": {"match": FIGURE}, "nearest": {"match": FIGURE}},
        at="2026-11-22T09:00:00+00:00",
    )
    told: Any = {**found, **others}
    return write_report(folder / "gates", told).stem


class DeskParts(RehearsedParts):
    """The real parts, but for the model, the documents (none) and the tools (one that looks, one that writes)."""

    @cached_property
    def store(self) -> Any:
        return Shelf([])

    @cached_property
    def toolbox(self) -> Any:
        return Toys()


class Chatty:
    """A model that has nothing to say, and calls ``book`` where it is asked to book; it tells its prompts."""

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        last = messages[-1]
        book = last.type == "human" and "book" in last.text
        said = calls(("book", {"room": "1"})) if book else told("", abstained=True)
        return {**said, "prompt": rendered(READING, reading_text(messages, passages, tools))}


def front(folder: Path, *, clock: Clock | None = None, **others: Any) -> Workspace:
    """A workspace whose conversations need no database."""
    settings = settings_for(folder, NOT_NEEDED, **others)
    return Workspace(settings, parts=DeskParts(settings, generator=Chatty(), clock=clock))
