"""The JSON API: reviews, decisions and threads, as the pages see them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

import dojang
from dojang.server.access.callers import workspace_of
from dojang.server.access.owning import only_of
from dojang.server.models import (
    ClaimModel,
    DecisionIn,
    DecisionModel,
    DecisionOut,
    Health,
    ListedReviewModel,
    Problem,
    ReviewCardModel,
    ThreadModel,
)
from state import Kind

_ERRORS: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "there is no such id"}}
_DECIDING: dict[int | str, dict[str, Any]] = {
    **_ERRORS,
    400: {"model": Problem, "description": "the decision does not fit its review; nothing was recorded"},
    409: {"model": Problem, "description": "decided already, or changed since you looked"},
}

router = APIRouter(responses={422: {"model": Problem, "description": "the request does not fit its schema"}})
Limit = Annotated[int, Query(ge=1, le=1000, description="at most so many")]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="skip so many")]


@router.get("/ok", tags=["server"])
async def ok() -> Health:
    """Whether the server answers. Touches neither files nor database."""
    return Health(version=dojang.__version__)


@router.get("/api/reviews", tags=["reviews"], response_model=list[ListedReviewModel])
def list_reviews(request: Request, kind: Kind | None = None, limit: Limit = 100, offset: Offset = 0) -> Any:
    """Open reviews, soonest deadline first."""
    workspace = workspace_of(request)
    reviews = workspace.inbox(kind=kind, limit=limit, offset=offset)
    flags = workspace.flags(reviews)
    return [{**review, "flags": flags[review["id"]]} for review in reviews]


@router.get("/api/reviews/{review_id}", tags=["reviews"], response_model=ReviewCardModel, responses=_ERRORS)
def show_review(request: Request, review_id: str) -> Any:
    """One review, open or decided, with its conversation and evidence."""
    return workspace_of(request).show(review_id).as_json()


@router.post("/api/reviews/{review_id}/decision", tags=["reviews"], response_model=DecisionOut, responses=_DECIDING)
def decide_review(request: Request, review_id: str, decision: DecisionIn) -> Any:
    """Record a decision and go on with the run. The same decision by the same person again gets the first one back."""
    said = decision.model_dump(exclude_none=True)
    role = said.pop("role")
    result = workspace_of(request).decide(review_id, said, role=role, channel="http")
    request.app.state.keeper.remind(result.decision)
    return result.as_json()


@router.post("/api/reviews/{review_id}/undo", tags=["reviews"], response_model=DecisionModel, responses=_DECIDING)
def undo_decision(request: Request, review_id: str) -> Any:
    """Take back your decision or vote, as long as nothing has been carried out."""
    return workspace_of(request).undo(review_id)


@router.post("/api/reviews/{review_id}/claim", tags=["reviews"], response_model=ClaimModel, responses=_DECIDING)
def claim_review(request: Request, review_id: str) -> Any:
    """Reserve a review for ten minutes."""
    return workspace_of(request).claim(review_id)


@router.get("/api/threads", tags=["threads"], response_model=list[ThreadModel])
def list_threads(request: Request, limit: Limit = 50, offset: Offset = 0) -> Any:
    """Threads, newest first: all, or those of whoever asks, as their role says."""
    rows = workspace_of(request).threads(limit=limit, offset=offset, owner=only_of(request))
    return [{key: dict(row)[key] for key in ThreadModel.model_fields} for row in rows]
