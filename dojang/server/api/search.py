"""Search in the documents: what the agent would find, with the scores of both halves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field

from dojang.server.access.callers import workspace_of
from dojang.server.api.paging import Word
from dojang.server.api.problems import BAD
from dojang.server.models import PASSAGE, Model, PassageModel
from dojang.server.programs import ProgramRoute
from state import UserError

router = APIRouter(tags=["documents"], route_class=ProgramRoute, responses=BAD)


class FoundModel(Model):
    """The passages that match, best first; ``scores`` has the vector half, the words half and the fused one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"query": "환불", "passages": [{**PASSAGE, "scores": {"words": 7.1, "vector": 0.42, "fused": 0.93}}]}
            ]
        },
    )

    query: str
    passages: list[PassageModel] = Field(description="spans count characters of the document's text")


@router.get("/search", response_model=FoundModel)
def search(
    request: Request,
    q: Annotated[Word, Query(min_length=1, max_length=2_000, description="what to look for")],
    k: Annotated[int, Query(ge=1, le=50, description="at most so many")] = 5,
    where: Annotated[
        Sequence[Word], Query(alias="filter", max_length=20, description="key=value; exact, and all of them hold")
    ] = (),
) -> Any:
    """The passages that match best. Filters: document, language, format, trust, title, page, digest, or metadata."""
    return {"query": q, "passages": workspace_of(request).search(q, k=k, filters=_filters(where) or None)}


def _filters(said: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in said:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip() or key in found:
            raise UserError(f"filter {pair[:80]!r} is not key=value, or comes twice; write it like language=ko")
        found[key.strip()] = value
    return found
