"""Reviews: searched, counted, shown, reserved, decided one by one or many together, taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request

from checkpoints import Wanted
from dojang.reviewing import Item, as_row, count, decide_many
from dojang.server.access.callers import workspace_of
from dojang.server.api.paging import Cursor, Limit, Page, Word, key_of, page_of
from dojang.server.api.problems import BAD, DECIDING, NO_ID, problems
from dojang.server.models import (
    BulkIn,
    BulkOut,
    ClaimModel,
    CountModel,
    DecisionIn,
    DecisionModel,
    DecisionOut,
    ListedReviewModel,
    ReviewCardModel,
)
from dojang.server.programs import ProgramRoute
from state import Kind, UserError

router = APIRouter(tags=["reviews"], route_class=ProgramRoute, responses=BAD)


@dataclass(frozen=True)
class Asked:
    """What is looked for; nothing of it is needed."""

    kind: Annotated[Kind | None, Query(description="reviews of this kind")] = None
    tool: Annotated[Word, Query(max_length=200, description="about calls of this tool")] = ""
    tier: Annotated[int | None, Query(ge=0, le=9, description="of this tier")] = None
    status: Annotated[
        Literal["open", "claimed", "decided", "expired", "any"], Query(description="open ones have claimed ones, too")
    ] = "open"
    assignee: Annotated[Word, Query(max_length=200, description="claimed by this person right now")] = ""
    thread: Annotated[Word, Query(max_length=500, description="of this thread")] = ""
    text: Annotated[Word, Query(max_length=500, description="words in the summary, the question, the arguments")] = ""
    due_before: Annotated[datetime | None, Query(description="due before this moment")] = None

    def wanted(self, now: datetime, **sort: Any) -> Wanted:
        """As the index is asked."""
        due = self.due_before
        if due is not None:
            try:
                due = due.astimezone(UTC)
            except (OverflowError, ValueError):  # beyond the first or the last day
                raise UserError("due_before is no moment; write it like 2026-11-22T09:00:00+09:00") from None
        return Wanted(
            kind=self.kind, tool=self.tool, tier=self.tier, status=self.status, assignee=self.assignee,
            thread_id=self.thread, text=self.text, due_before=due.isoformat() if due else "", now=now.isoformat(),
            **sort,
        )  # fmt: skip


Looked = Annotated[Asked, Depends()]
Sorted = Annotated[
    Literal["due", "created", "newest", "tier"],
    Query(description="soonest due, oldest, newest, or highest tier first"),
]


@router.get("/reviews", response_model=Page[ListedReviewModel])
def list_reviews(request: Request, asked: Looked, sort: Sorted = "due", limit: Limit = 100, cursor: Cursor = "") -> Any:
    """Reviews as asked for; the open ones, soonest due first, when nothing is."""
    workspace = workspace_of(request)
    now = workspace.parts.clock.now()
    key = key_of(request, cursor, str, str)
    if key is not None and sort == "tier" and not key[0].isdecimal():
        raise UserError("the cursor is not one of ours; begin again without it")
    after = (key[0], key[1]) if key is not None else None
    rows = workspace.found(asked.wanted(now, sort=sort), limit=limit + 1, after=after)
    page = page_of(request, rows, limit, lambda row: row["key"])
    return {**page, "items": [as_row(row, now) for row in page["items"]]}


@router.get("/reviews/count", response_model=CountModel)
def count_reviews(request: Request, asked: Looked) -> Any:
    """How many reviews are as asked for."""
    workspace = workspace_of(request)
    by_kind = count(workspace, asked.wanted(workspace.parts.clock.now()))
    return {"count": sum(by_kind.values()), "by_kind": by_kind}


@router.post("/reviews/bulk", response_model=BulkOut, responses=problems(s409="claimed or decided meanwhile"))
def decide_reviews(request: Request, body: BulkIn) -> Any:
    """Approve or reject reviews of one tool and one tier, never of the top tier. What changed meanwhile is skipped."""
    said = {"type": body.type, "reason": body.reason, "message": body.message}
    items = [Item(item.id, item.digest) for item in body.reviews]
    made = decide_many(workspace_of(request), items, {k: v for k, v in said.items() if v}, role=body.role)
    for decision, _ in made.decided:
        request.app.state.keeper.remind(decision)
    return {
        "decided": [{"decision": decision, "note": note} for decision, note in made.decided],
        "skipped": [{"id": review_id, "why": why} for review_id, why in made.skipped],
    }


@router.get("/reviews/{review_id}", response_model=ReviewCardModel, responses=NO_ID)
def show_review(request: Request, review_id: str) -> Any:
    """One review, open or decided, with its conversation and evidence."""
    return workspace_of(request).show(review_id).as_json()


@router.post("/reviews/{review_id}/decision", response_model=DecisionOut, responses=DECIDING)
def decide_review(request: Request, review_id: str, decision: DecisionIn) -> Any:
    """Record a decision and go on with the run. The same decision by the same person again gets the first one back."""
    said = decision.model_dump(exclude_none=True)
    role = said.pop("role")
    result = workspace_of(request).decide(review_id, said, role=role, channel="http")
    request.app.state.keeper.remind(result.decision)
    return result.as_json()


@router.post("/reviews/{review_id}/undo", response_model=DecisionModel, responses=DECIDING)
def undo_decision(request: Request, review_id: str) -> Any:
    """Take back your decision or vote, as long as nothing has been carried out."""
    return workspace_of(request).undo(review_id)


@router.post("/reviews/{review_id}/claim", response_model=ClaimModel, responses=DECIDING)
def claim_review(request: Request, review_id: str) -> Any:
    """Reserve a review for ten minutes."""
    return workspace_of(request).claim(review_id)


@router.delete("/reviews/{review_id}/claim", status_code=204, responses=DECIDING)
def release_review(request: Request, review_id: str) -> None:
    """Give your claim back before its time; without one nothing happens."""
    workspace_of(request).give_back(review_id)
