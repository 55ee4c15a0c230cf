"""Workspaces for tests of the shell: the real parts over a real PostgreSQL, with a model that follows simple rules.

Only the model is not the real one, so that a test is quick and says what it means. Documents are found by words alone
(``embedding="none"``), so nothing imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from pydantic import SecretStr

from dojang.parts import Parts
from dojang.settings import Settings
from dojang.workspace import Workspace
from nodes.ports import Clock, Generator
from state import JSON, Citation, Generation, Language, Passage, ToolSpec
from tests.databases import NOT_NEEDED, database_of
from tests.databases import SESSIONS as SESSIONS
from tests.graph.parts import asks, calls

TODAY = date(2026, 11, 22)
STAY: dict[str, JSON] = {
    "hotel": "Namsan Stay",
    "guest": "Emma Lee",
    "check_in": "2026-12-03",
    "check_out": "2026-12-05",
    "guests": 2,
    "room_type": "deluxe",
}
STAY_KO: dict[str, JSON] = {**STAY, "hotel": "남산스테이", "guest": "김하나"}


def told(text: str, citations: Sequence[Citation] = (), *, abstained: bool = False) -> Generation:
    """The model answers in words."""
    return Generation(
        message=AIMessage(content=text),
        citations=list(citations),
        clarification="",
        about="",
        abstained=abstained,
        speaker="rehearsed@none",
    )


@dataclass
class Rehearsed:
    """A generator by rules, the same in every process.

    A tool result is repeated, cited; “book” (예약) books STAY (STAY_KO), “cancel BK-1” and “refund BK-1” call their
    tools, “send” sends a message, “which” (어느) asks back; anything else is answered with the first sentence of the
    best passage, cited, or with an abstention when there is none.
    """

    seen: list[list[AnyMessage]] = field(default_factory=list)

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        self.seen.append(list(messages))
        last = messages[-1]
        if isinstance(last, ToolMessage):
            cited = Citation(
                n=1, passage=f"tool:{last.tool_call_id}", document="", start=0, end=len(last.text), quote=str(last.text)
            )
            return told(f"{last.text} [1]", [cited])
        text = next(m.text for m in reversed(messages) if isinstance(m, HumanMessage))
        if str(last.id).startswith("answer-rv"):
            return told(f"OK: {text}", abstained=True)
        return self._wanted(text) or _quoted(passages)

    def _wanted(self, text: str) -> Generation | None:
        lower = text.lower()
        if "which" in lower or "어느" in text:
            return asks("어느 호텔입니까?" if "어느" in text else "Which hotel?")
        if "book" in lower or "예약" in text:
            return calls(("book_room", STAY_KO if "예약" in text else STAY))
        if "cancel" in lower:
            return calls(("cancel_booking", {"booking_id": text.split()[-1]}))
        if "refund" in lower:
            return calls(("issue_refund", {"booking_id": text.split()[-1], "amount": 10_000}))
        if "send" in lower:
            return calls(("send_message", {"to": "Emma Lee", "text": "Welcome"}))
        return None


@dataclass
class Voice:
    """The same model under the name of an adapter."""

    model: Generator
    name: str

    def reply(self, messages: Sequence[AnyMessage], **given: Any) -> Generation:
        return {**self.model.reply(messages, **given), "speaker": f"rehearsed@{self.name}"}


def _quoted(passages: Sequence[Passage]) -> Generation:
    if not passages:
        return told("The documents do not say.", abstained=True)
    best = passages[0]
    start, end = best["sentences"][0]
    quote = best["text"][start:end]
    cited = Citation(
        n=1,
        passage=best["id"],
        document=best["document"],
        start=best["start"] + start,
        end=best["start"] + end,
        quote=quote,
    )
    return told(f"{quote} [1]", [cited])


class NoDocuments:
    """A store without any."""

    def search(self, *args: Any, **given: Any) -> list[Passage]:
        return []

    def fetch(self, ids: Any) -> list[Passage]:
        return []


class RehearsedParts(Parts):
    """The real parts, except for the model."""

    def __init__(self, settings: Settings, *, generator: Generator | None = None, clock: Clock | None = None) -> None:
        super().__init__(settings, clock=clock)
        self._generator = generator or Rehearsed()

    @cached_property
    def generator(self) -> Generator:
        return self._generator

    @cached_property
    def generator_of_model(self) -> Generator:
        return self.generator

    def generator_beside(self, name: str, folder: Path) -> Generator:
        return Voice(self._generator, name)


def settings_for(home: Path, dsn: str, **others: Any) -> Settings:
    """Settings of a test: its own home and database (or ``NOT_NEEDED``), a pinned day, the user ``kim``."""
    if dsn == NOT_NEEDED and others.get("sessions", SESSIONS) == "postgres":
        dsn = database_of(home)
    given = {
        "home": home,
        "database_url": SecretStr(dsn),
        "sessions": SESSIONS,
        "embedding": "none",
        "today": TODAY,
        "user": "kim",
        "language": "en",
        "undo_s": 0,
        **others,
    }
    return Settings(**given, _env_file=None)  # type: ignore[call-arg]  # no .env of the checkout


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make these settings, as far as they were given."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    plain = {n: v.get_secret_value() if isinstance(v, SecretStr) else v for n, v in given.items() if v is not None}
    texts = {n: json.dumps(v) if isinstance(v, bool | list | dict) else str(v) for n, v in plain.items()}
    return {f"DOJANG_{name.upper()}": text for name, text in texts.items()}


def workspace_for(
    home: Path, dsn: str, *, generator: Generator | None = None, clock: Clock | None = None, **others: Any
) -> Workspace:
    """A workspace as :func:`settings_for` says, with a :class:`Rehearsed` model (or the given one)."""
    settings = settings_for(home, dsn, **others)
    return Workspace(settings, parts=RehearsedParts(settings, generator=generator, clock=clock))


def rehearsed(settings: Settings) -> Workspace:
    """``open_workspace`` for ``dojang.__main__.main``: whatever the settings say, with a Rehearsed model."""
    return Workspace(settings, parts=RehearsedParts(settings))
