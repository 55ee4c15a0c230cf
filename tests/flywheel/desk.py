"""Whole conversations of the real graph over real sessions, with a model that plays a script and tells its prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.types import Command

from adapters.speakers.rendering import READING, reading_text, rendered
from checkpoints import DecisionLog, EffectLedger, KeyRing, PromptLog
from nodes.ports import Deps
from state import Generation, Language, Passage, ToolSpec
from tests.databases import SESSIONS
from tests.graph.parts import Script, deps, graph_over
from tests.sessions_in_postgres import kept_in


@dataclass
class Telling(Script):
    """A script that says how its prompts were rendered, as a base of ours would."""

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        line = super().reply(messages, passages=passages, tools=tools, language=language)
        return {**line, "prompt": rendered(READING, reading_text(messages, passages, tools))}


@dataclass
class Clock:
    """A minute passes at each look."""

    at: datetime = field(default_factory=lambda: datetime(2026, 11, 22, 9, 0, tzinfo=UTC))

    def now(self) -> datetime:
        self.at += timedelta(minutes=1)
        return self.at


class Desk:
    """A home whose conversations are scripted, and decided by whoever the test names.

    ``keys``: its sessions are files, sealed. ``sessions``: where else than where the tests' lie.
    """

    def __init__(self, home: Path, keys: KeyRing | None = None, *, sessions: str = SESSIONS, **others: Any) -> None:
        self.home, self.threads = home, home / "threads"
        self.kept = kept_in(home, keys=keys, sessions="files" if keys else sessions)
        self.prompts = PromptLog(self.kept.backend)
        self.decisions = DecisionLog(self.kept.backend)
        self.graph = graph_over(self.kept.saver)
        self.files: dict[str, Any] = {
            "decisions": self.decisions,
            "ledger": EffectLedger(self.kept.backend),
            "prompts": self.prompts,
            "clock": Clock(),
            **others,
        }
        self.parts: dict[str, Deps] = {}

    def say(self, thread: str, text: str, *lines: Generation, by: str = "guest") -> None:
        """A message, and what the model will say from here on."""
        self.parts[thread] = replace(deps(*lines), generator=Telling(list(lines)), **self.files)
        message = HumanMessage(text, name=by, id=f"human-{thread}-{len(text)}-{hash(text) & 0xFFFF}")
        self._run(thread, {"messages": [message]})

    def decide(self, thread: str, type: str, by: str = "lee", **said: Any) -> None:
        """What a person says of the one review that waits."""
        [waiting] = self.graph.get_state(self.config(thread)).interrupts
        self._run(thread, Command(resume={waiting.id: {"type": type, "by": by, **said}}))

    def config(self, thread: str) -> Any:
        return {"configurable": {"thread_id": thread}}

    def _run(self, thread: str, given: Any) -> None:
        self.graph.invoke(given, self.config(thread), context=self.parts[thread], durability="sync")
