"""Uploads: how far a file that was sent has got."""

from __future__ import annotations

from typing import Any, Literal, cast

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field

from dojang.server.api.paging import Cursor, Limit, Page, key_of, page_of
from dojang.server.api.problems import BAD, NO_ID
from dojang.server.models import Model
from dojang.server.programs import ProgramRoute
from dojang.uploads import Uploads
from state import Trust

router = APIRouter(tags=["documents"], route_class=ProgramRoute, responses=BAD)


class UploadModel(Model):
    """A file that was sent, and its job."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "id": "up_5f0e9c1d2a3b4c6d", "name": "rules.pdf", "by": "hana", "at": "2026-11-22T09:00:00+00:00",
                    "size": 182044, "trust": "untrusted", "state": "done",
                    "work": {"read": 41, "embedded": 41, "written": 41}, "fate": "added", "passages": 41,
                    "flagged": False, "error": "",
                }
            ]
        },
    )  # fmt: skip

    id: str
    name: str = Field(description="of the document")
    by: str
    at: str
    size: int
    trust: Trust
    state: Literal["waiting", "working", "done", "failed"]
    work: dict[str, int] = Field(description="passages that were read, embedded and written so far")
    fate: str = Field(description="added, replaced or unchanged, once it is done")
    passages: int = Field(description="that were written")
    flagged: bool = Field(description="it holds text that speaks to the model; it counts as untrusted")
    error: str = Field(description="why it failed, or still waits")


def uploads_of(request: Request) -> Uploads:
    """The uploads of the application."""
    return cast(Uploads, request.app.state.uploads)


@router.get("/uploads", response_model=Page[UploadModel])
def list_uploads(request: Request, limit: Limit = 100, cursor: Cursor = "") -> Any:
    """The files that were sent, newest first."""
    key = key_of(request, cursor, str, str)
    rows = [row for row in uploads_of(request).all() if key is None or (row["at"], row["id"]) < tuple(key)]
    return page_of(request, rows[: limit + 1], limit, lambda row: [row["at"], row["id"]])


@router.get("/uploads/{upload_id}", response_model=UploadModel, responses=NO_ID)
def show_upload(request: Request, upload_id: str) -> Any:
    """How far a file has got."""
    return uploads_of(request).get(upload_id)
