"""The program that speaks in a seeded check: it proposes the call of its card, and nothing of it is ever carried out.

The same graph, door, record and audit chain as for any call, so that it looks and is decided like one. Three things
stand between it and the world, each of them enough: the rules forbid the call at the last look, whoever approved it;
its toolbox runs nothing; and it has no database. A thread is a check when its state says so or when its file
(``dojang.checks``) does: neither can be taken from it by changing the other.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from dojang.checks import CHECK, Card
from nodes.ports import Checked, Deps, NoPrompts, Subject
from state import JSON, Generation, Language, Outcome, Passage, Reason, ToolSpec, Verdict
from tools.errors import ToolFailed

if TYPE_CHECKING:
    from dojang.parts import Parts
    from nodes.ports import Clock
    from tools.policy import FilePolicy
    from tools.toolbox import Toolbox

_CARD: Final = "check"
"""Member of the message that carries the call, so that nothing is read out of words."""
_TOLD: Final[dict[Language, str]] = {
    "en": "This was a check of attention. Nothing was carried out, and nobody had asked for it.",
    "ko": "주의력 점검이었습니다. 실제로 요청한 사람은 없고, 실행된 것도 없습니다.",
}


def message_of(card: Card) -> HumanMessage:
    """The message with which a check begins."""
    return HumanMessage(
        content=card.text,
        id=f"human-{secrets.token_hex(8)}",
        name=card.asked_by,
        additional_kwargs={_CARD: {"tool": card.tool, "args": card.args}},
    )


class Examiner:
    """A generator that is a program: it proposes what its message carries, and then says that it was a check."""

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        """The call of the card for its message; else that it was a check."""
        last = messages[-1]
        wanted = last.additional_kwargs.get(_CARD) if isinstance(last, HumanMessage) else None
        if isinstance(wanted, Mapping) and tools:
            call = {"name": wanted["tool"], "args": dict(wanted["args"]), "id": f"call_{secrets.token_hex(12)}"}
            return _said(AIMessage("", tool_calls=[call]))
        return _said(AIMessage(_TOLD[language]))


def _said(message: AIMessage) -> Generation:
    return Generation(
        message=message, citations=[], clarification="", about="", abstained=False, speaker=CHECK
    )  # fmt: skip


class Pretended:
    """The tools as far as they say what a call would do. None of them runs."""

    def __init__(self, describer: Toolbox, clock: Clock) -> None:
        self._describer = describer
        self._clock = clock

    def offered(self) -> list[ToolSpec]:
        """The specs of the real tools, so that the digest and the form are those of a real call."""
        return self._describer.offered()

    def spec(self, name: str) -> ToolSpec | None:
        """As the real tool's."""
        return self._describer.spec(name)

    def look(self, name: str) -> ToolSpec | None:
        """The spec that is known: no server is asked for a call that never happens."""
        return self._describer.spec(name)

    def check(self, name: str, args: Mapping[str, JSON]) -> Checked:
        """As the real tool's."""
        return self._describer.check(name, args)

    def describe(self, name: str, args: Mapping[str, JSON], language: Language) -> str:
        """As the real tool's."""
        return self._describer.describe(name, args, language)

    def tell(self, name: str, result: JSON, language: Language) -> list[str]:
        """That it was a check."""
        return [_TOLD[language]]

    def run(self, name: str, args: Mapping[str, JSON], *, key: str, version: str = "") -> JSON:
        """Nothing. Always raises ToolFailed."""
        raise ToolFailed(_TOLD["en"])

    def settled(self, name: str, key: str) -> Outcome | None:
        """None: it certainly did not happen."""
        return None

    def probe(self, name: str, args: Mapping[str, JSON], *, key: str) -> Outcome:
        """That it did not happen."""
        at = self._clock.now().isoformat()
        return Outcome(key=key, tool=name, status="failed", result=None, error=_TOLD["en"], at=at)


class Unreal:
    """The rules as they are when somebody is asked; at the last look every call is forbidden."""

    def __init__(self, policy: FilePolicy) -> None:
        self._policy = policy.guarding()  # without approvals in advance
        self.version = policy.version

    def judge(self, subject_id: str, subject: Subject) -> Verdict:
        """As the rules say of a call; what the program itself says needs nobody."""
        verdict = self._policy.judge(subject_id, subject)
        return verdict if subject["on"] == "call" else Verdict(**{**verdict, "outcome": "auto", "why": []})

    def recheck(self, subject_id: str, subject: Subject) -> Verdict:
        """Forbidden, because it is a check."""
        why = Reason(
            rule_id="built-in:check", text=_TOLD[subject["language"]], severity="low", hard=True, texts=dict(_TOLD)
        )
        verdict = self._policy.consider(subject_id, subject)
        return Verdict(**{**verdict, "outcome": "forbid", "why": [why]})


def check_deps(parts: Parts) -> Deps:
    """The ports of a check. It reads documents as any thread does, and writes nothing but its own session."""
    settings = parts.settings
    return Deps(
        retriever=parts.store,
        generator=Examiner(),
        toolbox=Pretended(parts.describer(), parts.clock),
        policy=Unreal(parts.policy),
        ledger=parts.ledger,
        decisions=parts.decisions,
        clock=parts.clock,
        requester=settings.user,
        adapter=CHECK,
        passages_k=settings.passages_k,
        roles=None if settings.roles is None else tuple(settings.roles),
        outbox=parts.notice,
        prompts=NoPrompts(),
    )
