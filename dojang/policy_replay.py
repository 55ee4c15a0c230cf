"""What past sessions would have been told under another policy: reads the session files, writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nodes.gate import edited_subject
from tools.policy_cases import answer_subject, call_subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langgraph.checkpoint.base import BaseCheckpointSaver

    from dojang.settings import Settings
    from state import ToolSpec, Verdict
    from tools.policy_cases import Judge


@dataclass(frozen=True)
class Judged:
    """A call or a draft that was judged, with the verdict that was stored."""

    thread_id: str
    at: str
    subject: dict[str, Any]
    verdict: Verdict


@dataclass(frozen=True)
class Replayed:
    """The same under another policy."""

    judged: Judged
    now: Verdict

    @property
    def changed(self) -> bool:
        """Whether it would have gone otherwise: another outcome, kind or tier, other people or more of them."""
        return _asks(self.judged.verdict) != _asks(self.now)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        was = self.judged.verdict
        about = {"thread_id": self.judged.thread_id, "at": self.judged.at, "subject": was["subject"]}
        what = {"tool": self.judged.subject["tool"], "text": self.judged.subject["text"][:200]}
        return {**about, **what, "changed": self.changed, "was": was, "now": self.now}


def _asks(verdict: Verdict) -> tuple[Any, ...]:
    own, why = verdict.get("self_approval", True), verdict.get("wants_reason", False)
    return (verdict["outcome"], verdict["kind"], verdict["tier"], verdict["votes"], sorted(verdict["roles"]), own, why)


def replayed(settings: Settings, policy: Judge, since: datetime) -> list[Replayed]:
    """:func:`replay` over the sessions of a home; [] where there are none yet."""
    from dojang.sessions import any_sessions, open_sessions, saver_of
    from dojang.trying import described

    if not any_sessions(settings):
        return []
    with closing(open_sessions(settings)) as sessions:
        return replay(policy, saver_of(settings, sessions), described(settings).offered(), since)


def replay(
    policy: Judge, saver: BaseCheckpointSaver[Any], specs: Sequence[ToolSpec], since: datetime
) -> list[Replayed]:
    """Everything judged since then, oldest first, judged by ``policy``; nothing is run, counted or written."""
    found = sorted(judged_since(saver, specs, since), key=lambda j: (j.at, j.thread_id, j.verdict["subject"]))
    return [Replayed(j, policy.consider(j.verdict["subject"], j.subject)) for j in found]


def judged_since(saver: BaseCheckpointSaver[Any], specs: Sequence[ToolSpec], since: datetime) -> Iterator[Judged]:
    """Each verdict once, from the checkpoint in which it first stands: the state that it was about."""
    first: dict[tuple[str, str, str], tuple[str, dict[str, Any]]] = {}
    for found in saver.list(None):  # newest first, so that the last one seen is the first that was written
        values = found.checkpoint["channel_values"]
        thread_id = found.config["configurable"]["thread_id"]
        turn = next((str(m.id) for m in reversed(values.get("messages") or []) if m.type == "human"), "")
        for name in values.get("verdicts") or {}:
            first[thread_id, turn, name] = (found.checkpoint["ts"], values)
    for (thread_id, _turn, name), (at, values) in first.items():
        subject = _subject(name, values, specs) if datetime.fromisoformat(at) >= since else None
        if subject is not None:
            yield Judged(thread_id, at, subject, values["verdicts"][name])


def _subject(name: str, values: Mapping[str, Any], specs: Sequence[ToolSpec]) -> dict[str, Any] | None:
    """What ``nodes.comply`` gave the policy then; None where the state does not hold it any more."""
    passages = values.get("passages") or []
    human = next((m for m in reversed(values.get("messages") or []) if m.type == "human"), None)
    weighed = values.get("evidence")
    common = {
        "language": values.get("language", "en"),
        "trust": "untrusted" if any(p["trust"] == "untrusted" for p in passages) else "trusted",
        "evidence": "good" if weighed is None or values.get("outcomes") else weighed["grade"],
        "requester": values.get("requester") or getattr(human, "name", None) or "local",
    }
    draft = values.get("draft")
    if name.startswith("draft"):
        if draft is None:
            return None
        about = {"citations": len(draft["citations"]), "abstained": draft["abstained"]}
        return answer_subject(draft["text"], **about, **common)
    proposal = (values.get("proposals") or {}).get(name.removeprefix("call:").split("#")[0])
    if proposal is None:
        return None
    args = _args(name, proposal, values)
    return None if args is None else call_subject(specs, proposal["tool"], args, **common)


def _args(name: str, proposal: Mapping[str, Any], values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The arguments that were judged: those proposed, or those of the edit that the verdict is about."""
    if "#" not in name:
        return proposal["args"]  # type: ignore[no-any-return]
    reviews, decisions = values.get("reviews") or {}, values.get("decisions") or {}
    for review_id, decision in decisions.items():
        if review_id in reviews and edited_subject(reviews[review_id], decision) == name:
            return decision["edited_args"]  # type: ignore[no-any-return]
    return None
