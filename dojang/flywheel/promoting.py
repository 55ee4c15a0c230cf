"""Promotion is a review: a program proposes it in a thread of its own, a person decides, the effect runs once.

The same graph, policy, door, ledger and audit chain as for any call. What is special is who speaks (:class:`Proposer`,
a program and named so), the one tool, which no model is offered, and rules that no file relaxes. At the effect
everything is looked at again: the report by its hash, the adapter by its bytes, the champion by the promotions log.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool

from adapters.gate.report import DamagedReport, Report, read_report
from adapters.registry.aliases import CHAMPION, AliasMoved, Registry
from adapters.registry.folders import DamagedAdapter, verify
from dojang.flywheel.comparing import why_stale
from dojang.flywheel.stale import datasets_of, gates_of
from dojang.flywheel.voices import registry_of
from nodes.ports import Deps, NoPrompts
from state import JSON, Generation, Language, Passage, ToolSpec, UserError
from tools.effects import InWorld, effect
from tools.errors import ToolFailed
from tools.toolbox import Toolbox

if TYPE_CHECKING:
    from adapters.registry.log import Promotion
    from dojang.parts import Parts
    from dojang.results import RunResult
    from dojang.settings import Settings
    from state import Review

SPEAKER: Final = "program:promotion"
TOOL: Final = "promote_adapter"  # also ``dojang.speaking.PROMOTION``
ROLLED_BACK: Final = "champion.rolled_back"
_ASKED: Final = "promotion"
"""Member of the message that carries what is proposed, so that nothing is read out of words."""
_REQUEST: Final[dict[Language, str]] = {
    "en": "By the report {report}, adapter {adapter} shall be the champion in place of {champion}.",
    "ko": "챔피언 승격을 요청합니다. 어댑터: {adapter}, 지금 챔피언: {champion}, 보고서: {report}.",
}
_NONE: Final[dict[Language, str]] = {"en": "none", "ko": "없음"}
_ONLY_THAT: Final[dict[Language, str]] = {
    "en": "This conversation is about one promotion and nothing else; `dojang ask` begins one with the model.",
    "ko": "이 대화는 승격 한 건만 다룹니다. 모델과의 대화는 `dojang ask`로 시작합니다.",
}


class NotPromotable(UserError):
    """The report does not allow this promotion."""


class Home(Protocol):
    """What a promotion needs of a workspace."""

    settings: Settings
    parts: Parts
    user: str

    def begin_program(self, program: str, message: HumanMessage) -> RunResult:
        """Begin a thread in which a program speaks."""
        ...


def propose(workspace: Home, adapter: str, report: str, reason: str) -> RunResult:
    """Ask a person to promote an adapter, in a thread of its own; where that thread stands.

    Args:
        workspace: of the home whose champion it is about.
        adapter: an id of the registry, the beginning of one, or an alias.
        report: id of a report of the gate, or the beginning of one.
        reason: why, in words for whoever decides.

    Raises:
        UserError: the report did not pass, or is about another adapter or another champion; or the adapter is stale.
        BrokenInvariant: report or adapter are not what they are named after.
    """
    settings = workspace.settings
    if not reason.strip():
        raise UserError("a promotion is proposed for a reason; write it with --reason")
    registry = registry_of(settings)
    wanted = {
        "adapter": registry.resolve(adapter),
        "champion": registry.aliases().get(CHAMPION, ""),
        "report": read_report(gates_of(settings), report)["id"],
        "reason": reason.strip(),
    }
    checked(settings, wanted["adapter"], wanted["champion"], wanted["report"])
    note_rollbacks(workspace.parts)
    language: Language = settings.language or "en"
    told = {**wanted, "champion": wanted["champion"] or _NONE[language]}
    message = HumanMessage(
        content=_REQUEST[language].format(**told),
        id=f"human-{secrets.token_hex(8)}",
        name=workspace.user,
        additional_kwargs={_ASKED: wanted},
    )
    return workspace.begin_program(SPEAKER, message)


def checked(settings: Settings, adapter: str, champion: str, report_id: str) -> Report:
    """The report that allows ``adapter`` to follow ``champion`` ("": there is none), everything looked at now.

    Raises:
        NotPromotable: it did not pass, or is about others; or words that the adapter was trained on were erased.
        AliasMoved: the champion is another one by now.
        DamagedReport, DamagedAdapter: it is not what it is named after.
    """
    registry = registry_of(settings)
    report = read_report(gates_of(settings), report_id)
    if report["verdict"] != "passed":
        why = ", ".join(reason["code"] for reason in report["reasons"] if reason["kind"] != "note") or "no reason noted"
        raise NotPromotable(
            f"report {report['id']} says {report['verdict']} ({why}): nothing is promoted by it; `dojang adapters "
            "evaluate --against champion` makes another"
        )
    if report["candidate"] != adapter:
        raise NotPromotable(
            f"report {report['id']} is about adapter {report['candidate']}, not {adapter}; evaluate that"
        )
    now = registry.aliases().get(CHAMPION, "")
    if now != champion:
        raise AliasMoved(CHAMPION, now or None, champion or None)
    if report["against"] != champion:
        raise NotPromotable(
            f"report {report['id']} compares with {report['against'] or 'no champion'}, and the champion is "
            f"{champion or 'nothing'}: evaluate against the champion of now"
        )
    verify(registry.adapters, adapter)
    if stale := why_stale(registry.adapters / adapter, registry, datasets_of(settings)):
        raise NotPromotable(f"adapter {adapter} is stale ({stale}); train another one on a dataset of now")
    return report


def report_of(settings: Settings, review: Review) -> Report | None:
    """The report that a review of a promotion rests on; None for any other review. Raises as ``read_report``."""
    if review["action"]["tool"] != TOOL:
        return None
    return read_report(gates_of(settings), str(review["action"]["args"].get("report", "")))


# ------------------------------------------------------------------------------------------------------ back again


def roll_back(parts: Parts, reason: str, *, by: str = "") -> Promotion:
    """Make the champion before this one champion again, at once; noted in the audit chain of the home.

    ``by``: who; the user of the settings when "".

    Raises:
        NoPrevious, AliasMoved, DamagedAdapter, NotPromoted: nothing was changed.
    """
    made = registry_of(parts.settings).rollback(by=by or parts.settings.user, reason=reason)
    note_rollbacks(parts)
    return made


def note_rollbacks(parts: Parts) -> None:
    """Bring the home's audit chain up to the promotions log: a crash may lie between the two."""
    for record in registry_of(parts.settings).log.read():
        if record.get("rollback"):
            facts: dict[str, JSON] = {"reason": record["reason"], "at": record["at"], **record["set"]}
            parts.audit.note(None, ROLLED_BACK, record["by"], f"promotion:{record['n']}", facts, once=True)


# --------------------------------------------------------------------------------------------------- the program


class Proposer:
    """A generator that is a program: it proposes what its message carries, and repeats what came of it."""

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        """The call for a message that asks for a promotion; what came of it, for a result; else words."""
        last = messages[-1]
        asked = last.additional_kwargs.get(_ASKED) if isinstance(last, HumanMessage) else None
        if isinstance(asked, Mapping) and tools:
            return _said(AIMessage("", tool_calls=[{"name": TOOL, "args": dict(asked), "id": f"promote-{last.id}"}]))
        return _said(AIMessage(last.text if isinstance(last, ToolMessage) else _ONLY_THAT[language]))


def _said(message: AIMessage) -> Generation:
    return Generation(
        message=message, citations=[], clarification="", about="", abstained=False, speaker=SPEAKER
    )  # fmt: skip


class _NoDocuments:
    """A retriever that finds nothing: a promotion rests on its report."""

    def search(self, query: str, *, k: int = 5, filters: Mapping[str, str] | None = None) -> list[Passage]:
        """Nothing."""
        return []

    def fetch(self, ids: Sequence[str]) -> list[Passage]:
        """Nothing."""
        return []


def promotion_deps(parts: Parts, thread_id: str) -> Deps:
    """The ports of a thread in which a promotion is proposed; neither model nor database is among them."""
    settings = parts.settings
    return Deps(
        retriever=_NoDocuments(),
        generator=Proposer(),
        toolbox=Toolbox([promotion_tool(settings, lambda: _approvers(parts, thread_id))], today=parts.today),
        policy=parts.policy.guarding(TOOL),
        ledger=parts.ledger,
        decisions=parts.decisions,
        clock=parts.clock,
        requester=settings.user,
        adapter=SPEAKER,
        roles=None if settings.roles is None else tuple(settings.roles),
        outbox=parts.notice,
        prompts=NoPrompts(),
    )


def _approvers(parts: Parts, thread_id: str) -> str:
    """Who said yes, for the promotions log."""
    progress = parts.decisions.progress(thread_id).values()
    said = [d for far in progress for d in (*far["votes"], far["decision"]) if d is not None]
    return ", ".join(dict.fromkeys(d["by"] for d in said if d["type"] in ("approve", "edit")))


# -------------------------------------------------------------------------------------------------------- the tool


def describing(settings: Settings) -> Toolbox:
    """The tool for cards, lists and forms, which run nothing."""
    return Toolbox([promotion_tool(settings, lambda: "")])


def promotion_tool(settings: Settings, approvers: Callable[[], str]) -> BaseTool:
    """``promote_adapter`` over the registry of a home. A second call under one key finds the first one's record."""

    @effect(
        "write",
        recovery="idempotent",
        reversible=True,
        ko="어댑터를 챔피언으로 승격합니다. 새 대화부터 그 어댑터가 답합니다.",
        will={"en": _will("en"), "ko": _will("ko")},
        tells={"en": _tells("en"), "ko": _tells("ko")},
    )
    def promote_adapter(adapter: str, champion: str, report: str, reason: str, world: InWorld) -> dict[str, JSON]:
        """Make an adapter the champion: it answers in new conversations."""
        registry = registry_of(settings)
        done = registry.promoted_as(world.key)
        if done is None:
            done = _promoted(settings, registry, world.key, adapter, champion, report, reason, approvers())
        return {"adapter": adapter, "before": champion, "report": report, "promotion": done["n"], "at": done["at"]}

    return promote_adapter


def _promoted(
    settings: Settings, registry: Registry, key: str, adapter: str, champion: str, report: str, reason: str, by: str
) -> Promotion:
    try:
        found = checked(settings, adapter, champion, report)
        return registry.promote(
            adapter, seen=champion or None, by=by, reason=reason, key=key, report=found["id"]
        )  # fmt: skip
    except (DamagedAdapter, DamagedReport) as damaged:  # known for certain: nothing was promoted, and nothing will be
        raise ToolFailed(str(damaged)) from damaged


_WILL: Final[dict[Language, tuple[str, str]]] = {
    "en": (
        "Make adapter {adapter} the champion in place of {champion} (report {report}).",
        "Make adapter {adapter} the first champion (report {report}).",
    ),
    "ko": (
        "챔피언을 바꿉니다. 어댑터: {adapter}, 지금 챔피언: {champion}, 보고서: {report}.",
        "첫 챔피언을 정합니다. 어댑터: {adapter}, 보고서: {report}.",
    ),
}
_TELLS: Final[dict[Language, tuple[str, str]]] = {
    "en": (
        "Adapter {adapter} is the champion in new conversations; before it was {before}.",
        "Adapter {adapter} is the first champion; it answers in new conversations.",
    ),
    "ko": (
        "챔피언이 바뀌었습니다. 새 대화부터 이 어댑터가 답합니다: {adapter}. 이전 챔피언: {before}.",
        "첫 챔피언이 정해졌습니다. 새 대화부터 이 어댑터가 답합니다: {adapter}.",
    ),
}


def _will(language: Language) -> Callable[[Mapping[str, JSON]], str]:
    return lambda args: _WILL[language][not args["champion"]].format(**args)


def _tells(language: Language) -> Callable[[Any], list[str]]:
    return lambda result: [_TELLS[language][not result["before"]].format(**result)]


__all__ = [
    "ROLLED_BACK", "SPEAKER", "TOOL", "NotPromotable", "Proposer", "checked", "describing", "note_rollbacks",
    "promotion_deps", "promotion_tool", "propose", "report_of", "roll_back",
]  # fmt: skip
