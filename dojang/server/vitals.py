"""What probes and Prometheus ask: is it alive, could it work, how much does it do."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from dojang.server.readiness import Readiness

router = APIRouter(tags=["server"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether it can do its work; ``problems``: why not, ``warnings``: what else is wrong, both by part."""

    status: Literal["ready", "not ready"]
    problems: dict[str, str] = {}
    warnings: dict[str, str] = {}


@router.get("/healthz")
async def healthz() -> Alive:
    """Whether the process answers. Looks at nothing else: a database that is away is no reason to restart."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Ready, "description": "not now; the reasons by part"}})
def readyz(request: Request) -> Ready:
    """Whether it can do its work now (a server: show pages, record decisions, take runs in); within about a second."""
    readiness: Readiness = request.app.state.readiness
    problems, warnings = readiness.told()
    found = Ready(status="not ready" if problems else "ready", problems=problems, warnings=warnings)
    return found if not problems else JSONResponse(found.model_dump(), status_code=503)  # type: ignore[return-value]


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request) -> Response:
    """The numbers of this process in Prometheus' text format."""
    found = request.app.state.workspace.parts.observer.metrics
    if found is None:
        raise HTTPException(404)
    from dojang.observing.metrics import CONTENT_TYPE

    return Response(found.text(), media_type=CONTENT_TYPE)
