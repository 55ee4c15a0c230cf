"""Assistants: there is one, the graph. Its id is the same everywhere and for ever."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, Request

import dojang
from dojang.server.langgraph.bodies import AssistantSearch
from dojang.server.langgraph.caller import workspace_of
from dojang.server.langgraph.document import REFUSALS
from dojang.server.programs import ProgramRoute
from dojang.server.work.plain import ASSISTANT_ID, GRAPH
from state import UserError

_MADE: Final = "2026-11-25T00:00:00+00:00"
_MESSAGES: Final[dict[str, Any]] = {
    "type": "array",
    "description": "the new message of a person, as the last and only one",
    "items": {"type": "object", "required": ["content"], "properties": {"content": {}, "type": {}, "role": {}}},
}

router = APIRouter(tags=["assistants"], route_class=ProgramRoute, responses=REFUSALS)


class UnknownAssistant(UserError):
    """There is no assistant with this id."""


def check_assistant(assistant_id: str) -> None:
    """Raise UnknownAssistant unless it is the one that there is."""
    if assistant_id not in (GRAPH, ASSISTANT_ID):
        raise UnknownAssistant(f"there is no assistant {assistant_id!r}; the only one is {GRAPH!r} ({ASSISTANT_ID})")


def assistant() -> dict[str, Any]:
    """The assistant."""
    return {
        "assistant_id": ASSISTANT_ID,
        "graph_id": GRAPH,
        "name": GRAPH,
        "description": "Answers from documents, and asks a person before it acts.",
        "config": {},
        "context": {},
        "metadata": {"created_by": "system"},
        "version": 1,
        "created_at": _MADE,
        "updated_at": _MADE,
    }


@router.get("/info", tags=["server"])
async def info() -> dict[str, Any]:
    """What this server can do. ``strict_resume``: a resume that answers nothing that waits is refused, always."""
    return {
        "version": dojang.__version__,
        "langgraph_py_version": version("langgraph"),
        "strict_resume": True,
        "flags": {"assistants": True, "crons": False, "langsmith": False, "strict_resume": True},
        "metadata": {},
    }


@router.post("/assistants/search")
async def search(asked: AssistantSearch) -> list[dict[str, Any]]:
    """The assistants that fit."""
    return [assistant()][asked.offset : asked.offset + asked.limit] if _fits(asked) else []


@router.post("/assistants/count")
async def count(asked: AssistantSearch) -> int:
    """How many assistants fit."""
    return int(_fits(asked))


@router.get("/assistants/{assistant_id}")
async def get(assistant_id: str) -> dict[str, Any]:
    """One assistant, by its id or its graph's name."""
    check_assistant(assistant_id)
    return assistant()


@router.post("/assistants/{assistant_id}/versions")
async def versions(assistant_id: str, asked: AssistantSearch) -> list[dict[str, Any]]:
    """Its versions: one."""
    check_assistant(assistant_id)
    return [assistant()][asked.offset : asked.offset + asked.limit]


@router.get("/assistants/{assistant_id}/schemas")
def schemas(assistant_id: str) -> dict[str, Any]:
    """What it takes and gives, as JSON Schema."""
    check_assistant(assistant_id)
    return _schemas()


@router.get("/assistants/{assistant_id}/graph")
def graph(request: Request, assistant_id: str, xray: str = "false") -> dict[str, Any]:
    """Which node follows which. There are no graphs within it, so ``xray`` shows nothing more."""
    check_assistant(assistant_id)
    drawn: dict[str, Any] = workspace_of(request).parts.reader.get_graph().to_json()
    return drawn


@router.get("/assistants/{assistant_id}/subgraphs")
@router.get("/assistants/{assistant_id}/subgraphs/{namespace:path}")
async def subgraphs(assistant_id: str, namespace: str = "") -> dict[str, Any]:
    """The graphs within it: none."""
    check_assistant(assistant_id)
    return {}


def _fits(asked: AssistantSearch) -> bool:
    known = assistant()
    metadata = (asked.metadata or {}).items() <= known["metadata"].items()
    return metadata and asked.graph_id in (None, GRAPH) and (asked.name or "") in GRAPH


@lru_cache(maxsize=1)
def _schemas() -> dict[str, Any]:
    text: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
    given = {"messages": _MESSAGES, "filters": {**text, "description": "exact metadata filters for retrieval"}}
    made: dict[str, Any] = {"messages": _MESSAGES, "answer": {"description": "the released answer with its citations"}}
    return {
        "graph_id": GRAPH,
        "input_schema": {"title": "AgentInput", "type": "object", "properties": given, "required": ["messages"]},
        "output_schema": {"title": "AgentOutput", "type": "object", "properties": made},
        "state_schema": {"title": "AgentState", "type": "object", "properties": {**given, **made}},
        "config_schema": {},
        "context_schema": {},
    }
