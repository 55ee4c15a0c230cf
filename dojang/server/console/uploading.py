"""Sending documents from a page: many files in one form, streamed to the disk, taken in by jobs that can be watched."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from dojang.server.console.addresses import document_href
from dojang.server.console.desk import AtDesk, BadForm, Desk
from dojang.server.console.documents import listing
from dojang.server.guards import AT_ONCE, MAX_BODY
from dojang.uploads import TooMuch, Upload, Uploads
from state import DojangError, Trust

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
FILES: Final = 50
"""Files of one form."""
SHOWN: Final = 30
"""Jobs on the page."""
UNDER_WAY: Final = ("waiting", "working")


@router.post("/documents")
async def send(request: Request, desk: AtDesk) -> Response:
    """Take files in: 303 to how they get on; 400 with those that were refused, and why. Each is kept whole or not."""
    form = await _form(request, desk)
    try:
        files = [file for file in form.getlist("file") if isinstance(file, UploadFile) and file.filename]
        trust: Trust = "trusted" if form.get("trust") == "trusted" else "untrusted"
        return await run_in_threadpool(_taken, desk, files, trust)
    finally:
        await form.close()


def _taken(desk: Desk, files: list[UploadFile], trust: Trust) -> Response:
    uploads: Uploads = desk.request.app.state.uploads
    refused: list[tuple[str, str]] = []
    for file in files:
        name = (file.filename or "").replace("\\", "/").rpartition("/")[2]
        try:
            uploads.accept(name, file.file, trust=trust, by=desk.workspace.user)
        except DojangError as error:
            refused.append((name, desk.say.told(str(error))))
    if refused or not files:
        why = "" if files else "no file was chosen; choose one"
        return listing(desk, status=400, error=why, refused=refused, kept_files=len(files) - len(refused))
    return RedirectResponse("/uploads", status_code=303)


async def _form(request: Request, desk: Desk) -> FormData:
    """The fields of the form; files lie in temporary files where they are not small."""
    limit = request.app.state.uploads.limit_bytes * AT_ONCE + MAX_BODY
    try:
        parser = MultiPartParser(request.headers, _counted(request, limit), max_files=FILES, max_fields=4)
        return await parser.parse()
    except (MultiPartException, KeyError):
        raise BadForm("the form could not be read; open the page again and send it from there") from None
    except ClientDisconnect:
        raise BadForm("the request was broken off; nothing was kept") from None


async def _counted(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooMuch(f"these files have more than {limit:,} bytes together; send fewer at once")
        yield chunk


@router.get("/uploads")
def progress(desk: AtDesk) -> Response:
    """How far the files that were sent have got."""
    uploads: Uploads = desk.request.app.state.uploads
    jobs = uploads.all()[:SHOWN]
    context: dict[str, Any] = {
        "jobs": [(job, document_href(job["name"]) if job["state"] == "done" else "", percent(job)) for job in jobs],
        "busy": any(job["state"] in UNDER_WAY for job in jobs),
    }
    return desk.page("documents/uploads.html", section="documents", **context)


def percent(job: Upload) -> int:
    """How much of a job is done: reading, embedding and writing are a third each of what was read so far."""
    if job["state"] not in UNDER_WAY:
        return 100
    work, read = job["work"], job["work"].get("read", 0)
    done = sum(work.get(stage, 0) for stage in ("read", "embedded", "written"))
    return min(99, round(100 * done / (3 * read))) if read else 0
