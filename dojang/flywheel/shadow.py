"""A candidate in the shadow: asked every turn after the champion has answered, off the conversation's path.

One worker thread over a bounded queue. A turn that finds it full is dropped and counted; whatever the candidate does
(raise, hang, load for a minute), the conversation has its answer already. What it said is kept beside the turn, and
``compare`` says how it fares against what people then decided.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage, AnyMessage

from state import Aside, Generation, Language, Passage, Prompt, Said, ToolSpec

if TYPE_CHECKING:
    from checkpoints import PromptLog
    from nodes.ports import Clock, Generator, Prompts

QUEUED: Final = 16
"""Turns that wait at most."""
DRAIN_S: Final = 30.0
"""How long closing waits for turns that were taken on."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Turn:
    """A turn that somebody else spoke in, as the candidate is shown it."""

    thread_id: str
    adapter: str  # the candidate
    prompt: Prompt
    messages: list[AnyMessage]


class Shadow:
    """Asks candidates. Thread-safe; close it.

    Args:
        prompts: where what they say is kept.
        speaker: gives a candidate's generator; called in the worker, where it may load for a while.
        clock: tells when.
        queued: turns that wait at most.
    """

    def __init__(
        self, prompts: PromptLog, speaker: Callable[[str], Generator], clock: Clock, *, queued: int = QUEUED
    ) -> None:
        self._prompts, self._speaker, self._clock = prompts, speaker, clock
        self._turns: queue.SimpleQueue[Turn | None] = queue.SimpleQueue()
        self._queued = queued
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None
        self._closed = False
        self.kept = 0
        self.dropped = 0
        """Turns that were not asked: the queue was full, or it was closed."""
        self.failed = 0

    def ask(self, turn: Turn) -> bool:
        """Take a turn on, or drop it; whether it was taken. Returns at once."""
        with self._lock:
            if not self._closed and self._turns.qsize() < self._queued:
                self._turns.put(turn)
                if self._worker is None:
                    self._worker = threading.Thread(target=self._work, name="dojang-shadow", daemon=True)
                    self._worker.start()
                return True
            self.dropped += 1
            return False

    def close(self, wait_s: float = DRAIN_S) -> None:
        """End: what was taken on is still asked, for so long at most; the rest is dropped and counted."""
        with self._lock:
            self._closed = True
            worker = self._worker
        if worker is not None:
            self._turns.put(None)
            worker.join(wait_s)
            self._drop_rest()
            self._turns.put(None)  # for a worker that is still at its turn
        if self.dropped or self.failed:
            _log.warning("shadow: %d turns dropped, %d failed, %d kept", self.dropped, self.failed, self.kept)

    def _drop_rest(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self.dropped += self._turns.get_nowait() is not None

    def _work(self) -> None:
        while (turn := self._turns.get()) is not None:
            try:
                self.kept += self._prompts.note_aside(turn.thread_id, self._said(turn))
            except Exception:  # the border to a model that nobody relies on: whatever it raises ends here
                self.failed += 1
                _log.warning("shadow: %s failed in thread %s", turn.adapter, turn.thread_id, exc_info=True)

    def _said(self, turn: Turn) -> Aside:
        prompt = turn.prompt
        reply = self._speaker(turn.adapter).reply(
            turn.messages, passages=prompt["passages"], tools=prompt["tools"], language=prompt["language"]
        )
        return Aside(
            turn=prompt["turn"], round=prompt["round"], at=self._clock.now().isoformat(), adapter=turn.adapter,
            speaker=reply["speaker"], said=said_of(reply),
        )  # fmt: skip


def said_of(reply: Generation) -> Said:
    """What a generation says, as a kept turn holds it."""
    message = reply["message"]
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    return Said(
        calls=[{"id": call["id"], "name": call["name"], "args": call["args"]} for call in calls],
        text=message.text, citations=reply["citations"], clarification=reply["clarification"], about=reply["about"],
        abstained=reply["abstained"],
    )  # fmt: skip


@dataclass
class Overheard:
    """The generator of one run and its record of prompts, listened to: each kept turn goes to the shadow as well."""

    generator: Generator
    prompts: Prompts
    shadow: Shadow
    adapter: str
    _read: list[AnyMessage] = field(default_factory=list)

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        """The next turn, by whoever speaks in this thread."""
        self._read = list(messages)
        return self.generator.reply(messages, passages=passages, tools=tools, language=language)

    def note(self, thread_id: str, prompt: Prompt) -> None:
        """Keep the turn, then let the candidate have it."""
        self.prompts.note(thread_id, prompt)
        self.shadow.ask(Turn(thread_id, self.adapter, prompt, self._read))


# ------------------------------------------------------------------------------------------------------- afterwards


@dataclass
class Fared:
    """How one candidate fared beside those who spoke. Pairs are (candidate, who spoke)."""

    adapter: str
    asked: int = 0  # turns
    decided: int = 0  # of which a person said something that teaches
    wanted: int = 0  # decided turns of which somebody knows what was right
    agreed: tuple[int, int] = (0, 0)  # of those: does what was decided
    refused: int = 0  # decided turns of which something was rejected or edited away
    repeated: tuple[int, int] = (0, 0)  # of those: says just that

    def as_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes."""
        return {
            "adapter": self.adapter, "asked": self.asked, "decided": self.decided, "wanted": self.wanted,
            "agreed": self.agreed[0], "agreed_who_spoke": self.agreed[1], "refused": self.refused,
            "repeated": self.repeated[0], "repeated_who_spoke": self.repeated[1],
        }  # fmt: skip


def compare(sessions: Any, reads: Callable[[str, str], Any], *, self_approved: bool = False) -> list[Fared]:
    """How each candidate that was asked in the shadow fares, by adapter: only what teaches counts (ADR 16).

    Args:
        sessions: ``flywheel.points.Sessions``: where decisions and kept turns are.
        reads: how dates and numbers in words are read.
        self_approved: whether approvals by the person who asked count.
    """
    from adapters.dataset.mapping import taught
    from checkpoints.records.prompts import key_of
    from dojang.flywheel.points import points_of

    found: dict[str, Fared] = {}
    for thread_id in sessions.decisions.backend.threads():
        asides = {(a["adapter"], key_of(a)): a for a in sessions.prompts.read(thread_id).asides}
        for adapter, _key in asides:
            found.setdefault(adapter, Fared(adapter)).asked += 1
        if not asides:
            continue
        for point in points_of(sessions, thread_id):
            lesson = taught(point, self_approved=self_approved)
            if isinstance(lesson, str):
                continue
            for (adapter, key), aside in asides.items():
                if key == key_of(lesson.prompt):
                    _count(found[adapter], lesson.held_out(), aside, reads)
    return [found[adapter] for adapter in sorted(found)]


def _count(fared: Fared, row: Mapping[str, Any], aside: Aside, reads: Callable[[str, str], Any]) -> None:
    from adapters.gate.scores import reply_of, scores

    both = [scores(row, reply_of(message), reads) for message in (_message(aside["said"], row), row["said"])]
    fared.decided += 1
    if both[0]["match"] is not None:
        fared.wanted += 1
        fared.agreed = _added(fared.agreed, both, "match")
    if both[0]["repeated"] is not None:
        fared.refused += 1
        fared.repeated = _added(fared.repeated, both, "repeated")


def _added(so_far: tuple[int, int], both: Sequence[Mapping[str, float | None]], metric: str) -> tuple[int, int]:
    one, other = (int(scored[metric] or 0) for scored in both)
    return so_far[0] + one, so_far[1] + other


def _message(said: Said, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a candidate said in the form in which decisions hold it; a question is a call of ``ask_user``."""
    from adapters.dataset.mapping import call, text
    from adapters.prompt import ASK_USER

    if said["clarification"] or (missing := _missing(said, row)):
        about = said["about"] or (missing if not said["clarification"] else "")
        return call(ASK_USER, {"about": about, "question": said["clarification"] or about})
    if said["calls"]:
        return call(str(said["calls"][0]["name"]), dict(said["calls"][0]["args"]))
    return text(said["text"], said["citations"], abstained=said["abstained"])


def _missing(said: Said, row: Mapping[str, Any]) -> str:
    """``tool.argument`` that the first call lacks and the graph would have asked for; "" where it lacks none."""
    for tool in row["tools"]:
        function = tool["function"]
        if said["calls"] and function["name"] == said["calls"][0]["name"]:
            lacking = [a for a in function["parameters"].get("required", []) if a not in said["calls"][0]["args"]]
            return f"{function['name']}.{lacking[0]}" if lacking else ""
    return ""


__all__ = ["Fared", "Overheard", "Shadow", "Turn", "compare", "said_of"]
