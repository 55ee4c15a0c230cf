"""Threads as lists show them; what is inside is LangGraph's part of the API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from dojang.server.access.callers import workspace_of
from dojang.server.access.owning import only_of
from dojang.server.api.paging import Limit
from dojang.server.api.problems import BAD
from dojang.server.models import ThreadModel
from dojang.server.programs import ProgramRoute

router = APIRouter(tags=["threads"], route_class=ProgramRoute, responses=BAD)
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="skip so many")]


@router.get("/threads", response_model=list[ThreadModel])
def list_threads(request: Request, limit: Limit = 50, offset: Offset = 0) -> Any:
    """Threads, newest first: all, or those of whoever asks, as their role says."""
    rows = workspace_of(request).threads(limit=limit, offset=offset, owner=only_of(request))
    return [{key: dict(row)[key] for key in ThreadModel.model_fields} for row in rows]
