"""Audit: who saw what, decided what, when and why; listed, checked, exported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BeforeValidator, ConfigDict, Field

from checkpoints.audit.check import verify_audit
from dojang.audited import Form, Sought, found, last_moment, lines, newest, note_export, place_of
from dojang.server.access.callers import workspace_of
from dojang.server.api.paging import Cursor, Limit, Page, Word, key_of, page_of
from dojang.server.api.problems import BAD, NO_ID
from dojang.server.models import Model
from dojang.server.programs import ProgramRoute
from dojang.workspace import Workspace
from state import UserError

router = APIRouter(tags=["audit"], route_class=ProgramRoute, responses=BAD)
_RECORD: dict[str, Any] = {
    "seq": 3, "prev": "5d0c…", "at": "2026-11-22T09:04:12+00:00", "actor": "hana", "event": "decision.recorded",
    "thread_id": "th_9f3c1a2b4d", "subject": "rv_3f1c9a7d20b4e866", "facts": {"type": "approve", "channel": "http"},
    "content_sha256": "8c1f…", "key_id": "k1", "signature": "mZ0…",
}  # fmt: skip


class RecordModel(Model):
    """One record of a chain; ``content_sha256`` is of what other files hold."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_RECORD]})

    seq: int
    prev: str
    at: str
    actor: str
    event: str
    thread_id: str | None = Field(description="null: the chain of the home")
    subject: str
    facts: dict[str, Any]
    content_sha256: str
    key_id: str
    signature: str


class FindingModel(Model):
    """One thing that is not as it was written, or worth knowing."""

    level: Literal["problem", "note"]
    thread_id: str | None
    file: str
    record: int
    what: str


class EndModel(Model):
    """Where a chain ends."""

    thread_id: str | None
    records: int
    hash: str
    key_id: str


class VerifiedModel(Model):
    """What a check of all chains found; it is right if ``problems`` is 0."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"chains": 12, "records": 340, "problems": 0, "findings": [], "end": None}],
        },
    )

    chains: int
    records: int
    problems: int
    findings: list[FindingModel]
    end: EndModel | None = Field(description="of the home's chain: write it down elsewhere")


@dataclass(frozen=True)
class Asked:
    """Which records; nothing of it is needed."""

    thread: Annotated[Word, Query(max_length=500, description="of this thread's chain")] = ""
    actor: Annotated[Word, Query(max_length=200, description="done by this person")] = ""
    event: Annotated[Word, Query(max_length=100, description="like decision.recorded")] = ""
    subject: Annotated[Word, Query(max_length=500, description="done to this review, effect or thread")] = ""
    since: Annotated[datetime | None, Query(description="from this moment on")] = None
    until: Annotated[
        datetime | None,
        BeforeValidator(lambda said: last_moment(said) if isinstance(said, str) else said),
        Query(description="up to this moment; of a day without a time, the whole day"),
    ] = None

    @property
    def sought(self) -> Sought:
        """As the chains are asked."""
        return Sought(self.thread or None, self.actor, self.event, self.subject, _zoned(self.since), _zoned(self.until))


Looked = Annotated[Asked, Depends()]


@router.get("/audit", response_model=Page[RecordModel], responses=NO_ID)
def list_records(request: Request, asked: Looked, limit: Limit = 100, cursor: Cursor = "") -> Any:
    """What was noted, newest first."""
    key = key_of(request, cursor, str, str, int)
    rows = newest(workspace_of(request).parts.audit, asked.sought, limit + 1, tuple(key) if key is not None else None)
    return page_of(request, rows, limit, place_of)


@router.get("/audit/verify", response_model=VerifiedModel)
def verify_records(request: Request, every_signature: bool = False) -> Any:
    """Check every chain: each record, hash, signature and head, as `dojang audit verify` does."""
    workspace = workspace_of(request)
    report = verify_audit(workspace.settings.home, thorough=every_signature, backend=workspace.parts.backend)
    home = [end for end in report["ends"] if end["thread_id"] is None]
    told = {key: report[key] for key in ("chains", "records", "problems", "findings")}
    return {**told, "end": home[0] if home else None}


@router.get(
    "/audit/export",
    response_class=StreamingResponse,
    responses={**NO_ID, 200: {"content": {"text/csv": {}, "application/x-ndjson": {}}}},
)
def export_records(
    request: Request,
    asked: Looked,
    form: Annotated[Form, Query(alias="format", description="JSON lines, or a table for a spreadsheet")] = "jsonl",
) -> StreamingResponse:
    """The records, oldest first, line by line. That they were exported is noted before."""
    return exported(workspace_of(request), asked.sought, form)


def exported(workspace: Workspace, sought: Sought, form: Form) -> StreamingResponse:
    """The answer with all records as lines, for a program and for a page."""
    rows = list(found(workspace.parts.audit, sought))
    note_export(workspace.parts.audit, workspace.user, sought, form, len(rows))
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson"
    named = {"Content-Disposition": f'attachment; filename="audit.{form}"'}
    return StreamingResponse(_encoded(lines(rows, form)), media_type=kind, headers=named)


def _encoded(text: Iterator[str]) -> Iterator[bytes]:
    for line in text:
        yield line.encode("utf-8", "replace")


def _zoned(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo:
        return moment
    try:
        return moment.astimezone()
    except (OverflowError, ValueError):  # beyond the first or the last day
        raise UserError(f"{moment.isoformat()} is no moment; write it like 2026-11-22T09:00:00+09:00") from None
