"""Documents: listed, shown with what people corrected in them, sent, trusted or not, taken out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from dojang.server.access.callers import workspace_of
from dojang.server.api.paging import Cursor, Limit, Page, Word, key_of, page_of
from dojang.server.api.problems import BAD, NO_ID, TooLarge, Unknown, problems
from dojang.server.api.uploads import UploadModel, uploads_of
from dojang.server.models import Model
from dojang.server.programs import ProgramRoute
from dojang.workspace import Workspace
from state import Trust, UserError

router = APIRouter(tags=["documents"], route_class=ProgramRoute, responses=BAD)
FIELDS = 4
"""Fields of a form beside the file."""
_DOCUMENT: dict[str, Any] = {
    "name": "refund.md", "title": "환불 규정", "format": "md", "size": 2048, "passages": 6, "trust": "trusted",
    "digest": "9d3f0c…", "ingested_at": "2026-11-22T08:00:00Z", "metadata": {}, "flagged": 0, "stale": False,
}  # fmt: skip
_VERSION: dict[str, Any] = {
    "n": 3, "kind": "correct", "document": "refund.md", "passage": "p_2b", "replaced": "p_1a",
    "old_text": "7일 이내", "text": "5일 이내", "author": "hana", "reason": "the rule of November",
    "at": "2026-11-22T09:00:00Z",
}  # fmt: skip


class DocumentModel(Model):
    """A document of the store."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_DOCUMENT]})

    name: str
    title: str
    format: str
    size: int = Field(description="bytes of the file")
    passages: int
    trust: Trust
    digest: str = Field(description="SHA-256 of the file")
    ingested_at: str
    metadata: dict[str, str]
    flagged: int = Field(description="passages that look as if they spoke to the model")
    stale: bool = Field(description="indexed by an older Dojang")


class VersionModel(Model):
    """What somebody changed in a passage."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_VERSION]})

    n: int
    kind: Literal["correct", "undo", "carried", "aside", "settled"]
    document: str
    passage: str = Field(description="id of the version that came of it; empty where none did")
    replaced: str
    old_text: str
    text: str
    author: str
    reason: str
    at: str


class DocumentCard(Model):
    """A document with the versions of its passages."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"document": _DOCUMENT, "versions": [_VERSION]}]}
    )

    document: DocumentModel
    versions: list[VersionModel] = Field(description="what people corrected in it, oldest first")


class TrustIn(Model):
    """What a person says of a document, until its content changes."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"trust": "trusted", "reason": "our own rules"}]}
    )

    trust: Trust
    reason: Word = Field("", max_length=2_000)


@router.get("/documents", response_model=Page[DocumentModel])
def list_documents(request: Request, limit: Limit = 100, cursor: Cursor = "") -> Any:
    """The documents, by name."""
    key = key_of(request, cursor, str)
    rows = sorted(workspace_of(request).documents(), key=lambda row: row["name"])
    later = [row for row in rows if key is None or row["name"] > key[0]]
    return page_of(request, later[: limit + 1], limit, lambda row: [row["name"]])


_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "name": {"type": "string", "description": "of the document; that of the file when empty"},
                        "trust": {"type": "string", "enum": ["trusted", "untrusted"], "default": "untrusted"},
                    },
                    "examples": [{"file": "(the bytes of rules.pdf)", "name": "rules.pdf", "trust": "trusted"}],
                }
            }
        },
    }
}


@router.post(
    "/documents",
    status_code=202,
    response_model=UploadModel,
    responses=problems(s413="larger than DOJANG_DOCUMENT_MB", s503="the disk refuses; nothing was kept"),
    openapi_extra=_FORM,
)
async def send_document(request: Request, response: Response) -> Any:
    """Send a file: it is on the disk on return, and goes in by a job, whole or not at all: `GET /uploads/{id}`."""
    file, fields = await _form(request)
    try:
        name = fields.get("name") or file.filename or ""
        trust = fields.get("trust") or "untrusted"
        if trust not in ("trusted", "untrusted"):
            raise UserError(f"trust is trusted or untrusted, not {trust[:40]!r}; nothing was kept")
        by = workspace_of(request).user
        accept = uploads_of(request).accept
        told: Trust = "trusted" if trust == "trusted" else "untrusted"
        made = await run_in_threadpool(lambda: accept(name, file.file, trust=told, by=by))
    finally:
        await file.close()
    response.headers["Location"] = f"/uploads/{made['id']}"
    return made


async def _form(request: Request) -> tuple[UploadFile, dict[str, str]]:
    """The file, which lies in a temporary file where it is not small, and the fields beside it."""
    limit = uploads_of(request).limit_bytes
    if "multipart/form-data" not in request.headers.get("content-type", ""):
        raise UserError("send the file as multipart/form-data, in a field named file")
    try:
        parser = MultiPartParser(request.headers, _counted(request, limit), max_files=1, max_fields=FIELDS)
        form = await parser.parse()
    except MultiPartException as error:
        raise UserError(f"the form cannot be read: {error.message}; nothing was kept") from None
    except KeyError:
        raise UserError("the form names no boundary; nothing was kept") from None
    except ClientDisconnect:
        raise UserError("the request was broken off; nothing was kept") from None
    file = form.get("file")
    if not isinstance(file, UploadFile):
        await form.close()
        raise UserError("the form has no file; send it in a field named file")
    odd = [name for name in form if name not in ("file", "name", "trust")]
    if odd:
        await form.close()
        raise UserError(f"the form has a field {odd[0][:80]!r}; there are file, name and trust; nothing was kept")
    return file, {key: value for key, value in form.items() if isinstance(value, str)}


async def _counted(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The body as it comes, up to a file of ``limit`` bytes and what stands around it."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit + 65_536:
            raise TooLarge(f"a file may have {limit:,} bytes; split it, or raise DOJANG_DOCUMENT_MB")
        yield chunk


@router.get("/documents/{name:path}", response_model=DocumentCard, responses=NO_ID)
def show_document(request: Request, name: str) -> Any:
    """A document, and what people corrected in it."""
    workspace = workspace_of(request)
    return {"document": _named(workspace, name), "versions": workspace.document_history(name)}


@router.patch("/documents/{name:path}", response_model=DocumentModel, responses=NO_ID)
def trust_document(request: Request, name: str, body: TrustIn) -> Any:
    """Say whether a document is trusted; it holds until its content changes."""
    workspace = workspace_of(request)
    workspace.set_trust(name, body.trust, reason=body.reason)
    return _named(workspace, name)


@router.delete("/documents/{name:path}", status_code=204, responses=NO_ID)
def delete_document(request: Request, name: str) -> None:
    """Take a document out; what was corrected in it stays in the history."""
    workspace = workspace_of(request)
    _named(workspace, name)
    workspace.delete(name)


def _named(workspace: Workspace, name: str) -> Any:
    found = next((row for row in workspace.documents() if row["name"] == name), None)
    if found is None:
        raise Unknown(f"there is no document {name[:200]!r}; `GET /documents` lists those that exist")
    return found
