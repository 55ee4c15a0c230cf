"""The card of one review, from the top, as a typed record: templates compute nothing. Pure; asks no workspace.

Strings stay raw in here. The template environment cleans and escapes every one of them on its way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from checkpoints.index import Listed
from dojang.results import ReviewCard, Step
from dojang.server.clean import pretty_json
from dojang.server.console.addresses import review_href, thread_href, with_query
from dojang.server.console.arguments import Argument, arguments_of
from dojang.server.console.drawing import Drawing, drawing_of
from dojang.server.console.evidence import Evidence, evidence_of, scores_of
from dojang.server.console.forms import Field, fields_of, text_field
from dojang.server.console.gate_figures import GateReport, gate_report
from dojang.server.console.marked import Segment, highlighted
from dojang.server.console.rows import Row, row_of
from dojang.server.console.similar import Similar, similar_to
from dojang.server.console.sources import sources_of
from dojang.server.console.stamp import Stamp, stamp_of
from dojang.server.console.way import Node, path_of
from dojang.server.wording import DECISIONS, Say, titled
from dojang.snoozes import MARGIN
from dojang.vocabulary import DOUBT, EFFECTS
from state import JSON, TOP_TIER, Decision, Progress, Review, ToolSpec, person_of

NO_TOOL: Final[dict[str, JSON]] = {}


@dataclass(frozen=True)
class Button:
    """A thing that a person may say to a review."""

    type: str
    label: str


@dataclass(frozen=True)
class Item:
    """The whole review page, from the top."""

    row: Row
    headline: list[Segment]
    question: str
    effect: str
    reversible: bool
    about_words: bool
    tool: str
    arguments: list[Argument]
    fields: list[Field]
    digest: str
    raw: str
    why: list[dict[str, str]]
    evidence: list[Evidence]
    evidence_note: str
    conversation: list[dict[str, str]]
    older: int
    path: list[Node]
    graph: Drawing | None
    similar: Similar | None
    doubtful: bool  # an argument stands neither in the conversation nor in the evidence, and no person put it in
    may_hand_up: list[str]
    may_put_off: bool
    query: str  # of the list beside it
    buttons: list[Button]
    top_tier: bool
    may_approve: bool
    stamp: Stamp | None
    status: str
    thread_id: str
    thread_href: str
    action_href: str
    shown_ms: int
    policy_version: str
    roles: str  # which of them decide; "" for anybody
    voters: list[str]  # who approved, oldest first
    voted: bool  # whoever looks is one of them
    mine: bool  # whoever looks has claimed it
    wants_reason: bool
    own: str  # who asked, where that person may not approve
    undo_until: str  # "" where nothing can be taken back any more
    look_up: str  # the one answer that the review takes, where it is no free text
    report: GateReport | None


@dataclass(frozen=True)
class Around:
    """What a card shows beside the review itself. ``edges``, ``nodes``: of the compiled graph, in its order."""

    spec: ToolSpec | None = None
    steps: Sequence[Step] = ()
    nodes: Sequence[str] = ()
    edges: Sequence[tuple[str, str]] = ()
    before: Sequence[Listed] = ()  # decided reviews of the same tool, newest first
    roles_above: Sequence[str] = ()
    query: str = ""
    user: str = ""  # who looks


def item_of(card: ReviewCard, around: Around, say: Say, now: datetime) -> Item:
    """Everything about one review."""
    review, spec = card.review, around.spec
    action = review["action"]
    fields = fields_of(spec["parameters"] if spec else NO_TOOL, action["args"])
    choices = [f.name for f in fields if f.widget in ("choice", "boolean")]
    sources = sources_of(action["args"], card.conversation, card.passages, choices, say) if action["tool"] else {}
    path = path_of(around.steps, review["id"], review["thread_id"], say)
    last = next((line["text"] for line in reversed(card.conversation) if line["role"] == "user"), review["summary"])
    return Item(
        row=row_of(review, say, now, card.progress),
        headline=highlighted(review["summary"], action["args"].values()),
        question=review["question"],
        effect=titled(say, EFFECTS, action["effect_class"]),
        reversible=action["reversible"],
        about_words=not action["tool"],
        tool=action["tool"],
        arguments=arguments_of(action["args"], card.decision, sources),
        fields=fields if action["tool"] else text_field(action["args"]),
        digest=review["digest"],
        raw=pretty_json(action),
        why=[{"text": r["text"], "rule": r["rule_id"], "severity": r["severity"]} for r in review["why"]],
        evidence=[evidence_of(p, scores_of(review, p), last, say) for p in card.passages],
        evidence_note=say.told(card.note),
        conversation=card.conversation[-8:],
        older=max(0, len(card.conversation) - 8),
        path=path,
        graph=drawing_of(around.edges, around.nodes, [n.key for n in path], say) if path and around.nodes else None,
        similar=similar_to(review, around.before, say),
        doubtful="#" not in review["subject"] and say("not said, not read").unescape() in sources.values(),
        may_hand_up=list(around.roles_above),
        may_put_off=datetime.fromisoformat(review["due_at"]) - MARGIN > now,
        query=around.query,
        buttons=[Button(type=t, label=button_label(review, t, say)) for t in review["allowed"]],
        may_approve="approve" in review["allowed"],
        top_tier=review["tier"] >= TOP_TIER,
        stamp=stamp_of(card.decision, say) if card.decision else None,
        status=card.status,
        thread_id=review["thread_id"],
        thread_href=thread_href(review["thread_id"]),
        action_href=with_query(review_href(review["id"]) + "/decision", around.query),
        shown_ms=int(now.timestamp() * 1000),
        policy_version=review["policy_version"],
        roles=", ".join(review["roles"]),
        voters=[f"{vote['by']} · {say.moment(vote['at'])}" for vote in card.progress["votes"]],
        voted=person_of(around.user) in [person_of(vote["by"]) for vote in card.progress["votes"]],
        mine=(claim := card.progress["claim"]) is not None and person_of(claim["by"]) == person_of(around.user),
        wants_reason=review.get("wants_reason", False),
        own="" if review.get("self_approval", True) else review.get("requester", ""),
        undo_until=undo_until(card, say, now),
        look_up=next(iter(review["answer_schema"].get("enum") or [""])),
        report=gate_report(card.report, say) if card.report is not None else None,
    )


def undo_until(card: ReviewCard, say: Say, now: datetime) -> str:
    """Until when the decision can be taken back; "" when it cannot."""
    return held_until(card.decision, card.progress, say, now)


def held_until(decision: Decision | None, progress: Progress, say: Say, now: datetime) -> str:
    """The same of what the index has."""
    until = decision.get("held_until", "") if decision is not None else ""
    held = until and not progress["released"] and now < datetime.fromisoformat(until)
    return f"{datetime.fromisoformat(until).astimezone():%H:%M:%S}" if held else ""


def button_label(review: Review, decision: str, say: Say) -> str:
    """What the button says; in doubt, approving means that it happened."""
    return titled(say, DOUBT if review["kind"] == "in_doubt" else DECISIONS, decision)
