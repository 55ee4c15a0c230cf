"""The JSON API's bodies, with examples. Field for field the vocabulary of ``state``: a test holds them equal."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dojang.flags import Flag
from state import DecisionType, EffectClass, Kind, Ruling, Trust

_DIGEST = "sha256:8c1f4b7e0d2a9c356e7f1b0a4d8c2e6f93a5b7d1c0e8f2a4b6c8d0e2f4a6e02a"
_ACTION: dict[str, Any] = {
    "tool": "issue_refund",
    "schema_version": "2f835bda9894a145",
    "args": {"booking_id": "BK-2041", "amount": 180000, "reason": "체크인 3일 전 취소"},
    "effect_class": "irreversible",
    "reversible": False,
}
_REVIEW: dict[str, Any] = {
    "id": "rv_3f1c9a7d20b4e866",
    "thread_id": "th_9f3c1a2b4d",
    "kind": "tool",
    "subject": "call:call_1",
    "summary": "예약 BK-2041에 180,000원을 환불합니다.",
    "question": "",
    "action": _ACTION,
    "why": [{"rule_id": "refund", "text": "환불은 돈이 나가는 일입니다.", "severity": "high", "hard": True}],
    "evidence": [
        {"id": "p1", "document": "refund.md", "start": 0, "end": 80, "scores": {"fused": 0.93}, "trust": "trusted"}
    ],
    "allowed": ["approve", "edit", "reject"],
    "answer_schema": {"type": "string", "minLength": 1, "maxLength": 20000},
    "policy_version": "8d0e2f4a6e02",
    "digest": _DIGEST,
    "tier": 2,
    "votes_needed": 1,
    "roles": [],
    "created_at": "2026-11-22T09:00:00+00:00",
    "due_at": "2026-11-22T13:00:00+00:00",
    "escalate_at": "2026-11-22T11:00:00+00:00",
    "requester": "emma",
    "self_approval": True,
    "wants_reason": False,
}
_DECISION: dict[str, Any] = {
    "review_id": "rv_3f1c9a7d20b4e866",
    "digest": _DIGEST,
    "type": "approve",
    "by": "hana",
    "at": "2026-11-22T09:04:12+00:00",
    "reason": "",
    "edited_args": None,
    "message": "",
    "dwell_ms": 8200,
    "channel": "http",
}


PASSAGE: dict[str, Any] = {
    "id": "p_1a",
    "document": "refund.md",
    "title": "환불",
    "text": "취소는 3일 전까지 합니다.",
    "start": 120,
    "end": 136,
    "page": None,
    "language": "ko",
    "sentences": [[0, 16]],
    "trust": "trusted",
    "scores": {},
    "flags": [],
}
_RUN: dict[str, Any] = {
    "thread_id": "th_9f3c1a2b4d",
    "status": "done",
    "answer": {
        "text": "예약 BK-2041을 환불했습니다.",
        "citations": [],
        "abstained": False,
        "speaker": "base@frontdesk",
    },
    "reviews": [],
    "outcomes": [
        {
            "key": "th_9f3c1a2b4d:call_1",
            "tool": "issue_refund",
            "status": "done",
            "result": {"refund_id": "RF-7"},
            "error": "",
            "at": "2026-11-22T09:04:13+00:00",
        }
    ],
    "note": "",
    "spent": [{"speaker": "base@frontdesk", "calls": 2, "input_tokens": 812, "output_tokens": 61, "cost": None}],
    "adapter": "",
}
_CARD: dict[str, Any] = {
    "review": _REVIEW,
    "status": "open",
    "decision": None,
    "conversation": [{"role": "user", "text": "BK-2041 환불해 주세요"}],
    "passages": [],
    "note": "",
    "report": None,
    "progress": {"votes": [], "decision": None, "released": False, "claim": None, "escalated_at": ""},
    "flags": ["irreversible", "hard_rule"],
}
_CLAIM: dict[str, Any] = {
    "by": "hana",
    "at": "2026-11-22T09:00:00+00:00",
    "until": "2026-11-22T09:10:00+00:00",
}
_THREAD: dict[str, Any] = {
    "thread_id": "th_9f3c1a2b4d",
    "title": "BK-2041 환불해 주세요",
    "status": "interrupted",
    "updated_at": "2026-11-22T09:00:00+00:00",
    "open_reviews": 1,
    "error": "",
    "adapter": "",
}


class Model(BaseModel):
    """Unknown fields are an error, not a silence."""

    model_config = ConfigDict(extra="forbid")


class ActionModel(Model):
    """What a review is about; ``tool`` is empty where it is about words."""

    tool: str
    schema_version: str
    args: dict[str, Any]
    effect_class: EffectClass
    reversible: bool


class ReasonModel(Model):
    """One rule that had a say."""

    rule_id: str
    text: str
    severity: Literal["low", "medium", "high"]
    hard: bool
    texts: dict[str, str] = Field({}, description="the text in each language; empty in old records")


class PassageRefModel(Model):
    """A passage of the evidence; offsets count characters of the document's text."""

    id: str
    document: str
    start: int
    end: int
    scores: dict[str, float]
    trust: Trust


class PassageModel(PassageRefModel):
    """A passage with its text; ``sentences`` are [start, end) offsets inside it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [PASSAGE]})

    title: str
    text: str
    page: int | None
    language: Literal["ko", "en"]
    sentences: list[list[int]]
    flags: list[str] = Field(default=[], description="what in it looks as if it spoke to the model: a weak sign")


class ReviewModel(Model):
    """A paused step that waits for a person."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_REVIEW]})

    id: str
    thread_id: str
    kind: Kind
    subject: str
    summary: str = Field(description="written by the gate, never by the model")
    question: str
    action: ActionModel
    why: list[ReasonModel]
    evidence: list[PassageRefModel]
    allowed: list[DecisionType]
    answer_schema: dict[str, Any]
    policy_version: str
    digest: str = Field(description="what an approval is bound to; send it back with the decision")
    tier: int
    votes_needed: int
    roles: list[str]
    created_at: str
    due_at: str
    escalate_at: str
    requester: str = Field("", description="who made the request")
    self_approval: bool = Field(True, description="whether that person may approve it")
    wants_reason: bool = Field(False, description="whether an approval, edited or not, needs a reason")


class DecisionModel(Model):
    """What a person said of a review, as it was recorded."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_DECISION]})

    review_id: str
    digest: str
    type: Ruling
    by: str
    at: str
    reason: str
    edited_args: dict[str, Any] | None
    message: str
    dwell_ms: int | None
    channel: str
    role: str = Field("", description="in which role, where one was wanted or named")
    held_until: str = Field("", description="until then it can be taken back; empty: released at once")


class ClaimModel(Model):
    """One person has a review for a while."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_CLAIM]})

    by: str
    at: str
    until: str
    handed_by: str = Field("", description="who had it before and handed it over; empty: nobody")


class AssignmentModel(Model):
    """A review was handed up to a role."""

    role: str
    by: str
    at: str


class ProgressModel(Model):
    """How far a review has got."""

    votes: list[DecisionModel] = Field(description="approvals of distinct people, oldest first")
    decision: DecisionModel | None
    released: bool = Field(description="the decision can no longer be taken back")
    claim: ClaimModel | None
    escalated_at: str = Field(description="empty before half of the time is over")
    assigned: AssignmentModel | None = Field(None, description="to which role it was handed up, if any")


class DecisionIn(Model):
    """A decision. The digest is required: it says which arguments you looked at."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"type": "approve", "digest": _DIGEST},
                {
                    "type": "edit",
                    "digest": _DIGEST,
                    "edited_args": {"booking_id": "BK-2041", "amount": 162000, "reason": "규정 10 % 공제"},
                },
                {"type": "reject", "digest": _DIGEST, "reason": "wrong data", "message": "예약 번호가 다릅니다."},
            ]
        },
    )

    type: DecisionType
    digest: str = Field(min_length=1, max_length=200)
    reason: str = Field("", max_length=20_000)
    message: str = Field("", max_length=20_000, description="the answer, or a note to the model")
    edited_args: dict[str, Any] | None = Field(None, description="the whole new argument object, with edit only")
    dwell_ms: int | None = Field(None, ge=0)
    role: str = Field("", max_length=200, description="in which of your roles, where the review wants one")


class ListedReviewModel(ReviewModel):
    """A review of a list."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {**_REVIEW, "status": "open", "claim": None, "decision": None, "flags": ["irreversible", "hard_rule"]}
            ]
        },
    )

    status: Literal["open", "claimed", "recorded", "decided", "expired"]
    claim: ClaimModel | None = Field(description="who has it right now")
    decision: DecisionModel | None
    flags: list[Flag] = Field(description="what makes an open one to look at twice; the same as in its card")


class CountModel(Model):
    """How many reviews."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"count": 3, "by_kind": {"tool": 2, "approval": 1}}]}
    )

    count: int
    by_kind: dict[str, int]


class BulkItem(Model):
    """One of many reviews, as you looked at it."""

    id: str = Field(min_length=1, max_length=200)
    digest: str = Field(min_length=1, max_length=200)


class BulkIn(Model):
    """One decision for several reviews of the same tool and tier."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "type": "approve",
                    "reason": "the usual ones",
                    "reviews": [{"id": "rv_3f1c9a7d20b4e866", "digest": _DIGEST}],
                }
            ]
        },
    )

    reviews: list[BulkItem] = Field(min_length=1, max_length=200)
    type: Literal["approve", "reject"]
    reason: str = Field("", max_length=20_000)
    message: str = Field("", max_length=20_000, description="a note to the model")
    role: str = Field("", max_length=200, description="in which of your roles, where the reviews want one")


class BulkDecided(Model):
    """A decision or vote that stands; ``note``: what its run could not do yet."""

    decision: DecisionModel
    note: str


class BulkSkipped(Model):
    """A review on which nothing was recorded, and why."""

    id: str
    why: str


class BulkOut(Model):
    """What became of each review."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "decided": [{"decision": {**_DECISION, "channel": "bulk"}, "note": ""}],
                    "skipped": [{"id": "rv_0b7c", "why": "lee has already decided rv_0b7c"}],
                }
            ]
        },
    )

    decided: list[BulkDecided]
    skipped: list[BulkSkipped]


class LineModel(Model):
    """One message of a conversation."""

    role: str
    text: str


class ReviewCardModel(Model):
    """A review with what an operator looks at before deciding."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_CARD]})

    review: ReviewModel
    status: Literal["open", "claimed", "recorded", "decided", "expired", "superseded"]
    decision: DecisionModel | None
    conversation: list[LineModel]
    passages: list[PassageModel]
    note: str
    report: dict[str, Any] | None = Field(description="of the gate, where a promotion rests on it")
    progress: ProgressModel
    flags: list[Flag] = Field(description="what makes it one to look at twice")


class OutcomeModel(Model):
    """How an effect ended."""

    key: str
    tool: str
    status: Literal["done", "failed", "refused", "in_doubt"]
    result: Any
    error: str
    at: str


class CitationModel(Model):
    """A place in a document that backs a statement of the answer."""

    n: int
    passage: str
    document: str
    start: int
    end: int
    quote: str


class DraftModel(Model):
    """A released answer."""

    text: str
    citations: list[CitationModel]
    abstained: bool
    speaker: str


class SpentModel(Model):
    """What one speaker has cost the thread."""

    speaker: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None


class RunModel(Model):
    """Where a thread stands."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_RUN]})

    thread_id: str
    status: Literal["done", "paused", "busy"]
    answer: DraftModel | None
    reviews: list[ReviewModel]
    outcomes: list[OutcomeModel]
    note: str
    spent: list[SpentModel]
    adapter: str = Field(description='that the conversation keeps; "": what goes with the model')


class DecisionOut(Model):
    """The recorded decision and the run that it released."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"decision": _DECISION, "run": _RUN}]})

    decision: DecisionModel
    run: RunModel


class ThreadModel(Model):
    """One thread in the list; ``error`` says why it cannot be read, where it cannot."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_THREAD]})

    thread_id: str
    title: str
    status: str
    updated_at: str
    open_reviews: int
    error: str
    adapter: str = Field(description='that the conversation keeps; "": what goes with the model')


class Problem(Model):
    """An error: one line for a person, and the decision that was first where there is one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"error": "hana has already decided rv_3f1c9a7d20b4e866", "winner": _DECISION}]
        },
    )

    error: str
    detail: str = Field("", description="the same, for clients that read this one")
    winner: DecisionModel | None = None


class Health(Model):
    """The server answers."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ok": True, "version": "0.1.0"}]})

    ok: Literal[True] = True
    version: str
