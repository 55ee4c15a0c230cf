"""Which role a route needs. A route that is not here is answered as if it did not exist.

The table of docs/access.md is this one; a test holds them together, and walks every route with every role.
"""

from __future__ import annotations

from typing import Final

from dojang.server.access.roles import (
    ADMINISTER,
    ASK,
    CURATE,
    DECIDE,
    MEASURE,
    OVERSEE,
    ROLES,
    SEE,
    STEER,
    TALK,
    Allowed,
)

OPEN: Final[Allowed] = frozenset(("anybody",))
"""Served to whoever reaches the server, known or not."""

LANGGRAPH: Final[dict[tuple[str, str], Allowed]] = {
    ("GET", "/info"): SEE,
    ("POST", "/assistants/search"): SEE,
    ("POST", "/assistants/count"): SEE,
    ("GET", "/assistants/{assistant_id}"): SEE,
    ("POST", "/assistants/{assistant_id}/versions"): SEE,
    ("GET", "/assistants/{assistant_id}/schemas"): SEE,
    ("GET", "/assistants/{assistant_id}/graph"): SEE,
    ("GET", "/assistants/{assistant_id}/subgraphs"): SEE,
    ("GET", "/assistants/{assistant_id}/subgraphs/{namespace}"): SEE,
    ("POST", "/threads/search"): SEE,
    ("POST", "/threads/count"): SEE,
    ("PATCH", "/threads/{thread_id}"): ASK,
    ("DELETE", "/threads/{thread_id}"): STEER,
    ("POST", "/threads/{thread_id}/copy"): STEER,
    ("GET", "/threads/{thread_id}/state"): SEE,
    ("GET", "/threads/{thread_id}/state/{checkpoint_id}"): SEE,
    ("POST", "/threads/{thread_id}/state/checkpoint"): SEE,
    ("POST", "/threads/{thread_id}/state"): STEER,
    ("GET", "/threads/{thread_id}/history"): SEE,
    ("POST", "/threads/{thread_id}/history"): SEE,
    ("GET", "/threads/{thread_id}/stream"): SEE,
    ("POST", "/threads/{thread_id}/commands"): ASK,
    ("POST", "/threads/{thread_id}/stream/events"): SEE,
    ("GET", "/threads/{thread_id}/runs"): SEE,
    ("POST", "/threads/{thread_id}/runs"): ASK,
    ("POST", "/threads/{thread_id}/runs/wait"): ASK,
    ("POST", "/threads/{thread_id}/runs/stream"): ASK,
    ("GET", "/threads/{thread_id}/runs/{run_id}"): SEE,
    ("GET", "/threads/{thread_id}/runs/{run_id}/join"): SEE,
    ("GET", "/threads/{thread_id}/runs/{run_id}/stream"): SEE,
    ("POST", "/threads/{thread_id}/runs/{run_id}/cancel"): ASK,
    ("DELETE", "/threads/{thread_id}/runs/{run_id}"): STEER,
    ("PUT", "/store/items"): ASK,
    ("GET", "/store/items"): SEE,
    ("DELETE", "/store/items"): ASK,
    ("POST", "/store/items/search"): SEE,
    ("POST", "/store/namespaces"): SEE,
    ("POST", "/runs"): ASK,
    ("POST", "/runs/wait"): ASK,
    ("POST", "/runs/stream"): ASK,
    ("POST", "/runs/batch"): ASK,
    ("POST", "/runs/cancel"): STEER,
}
"""Rows of the routes that LangGraph's clients call, beside those whose paths the console has, too.

A resume in the body of a run is a decision: ``Workspace.acting`` refuses it from whoever has no say.
"""

TABLE: Final[dict[tuple[str, str], Allowed]] = {
    **LANGGRAPH,
    # the server
    ("GET", "/ok"): OPEN,
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/metrics"): MEASURE,
    ("GET", "/openapi.json"): SEE,
    ("GET", "/static/{path}"): OPEN,
    ("GET", "/login"): OPEN,
    ("POST", "/login"): OPEN,
    ("POST", "/logout"): OPEN,
    ("GET", "/login/provider"): OPEN,
    ("GET", "/login/callback"): OPEN,
    ("GET", "/login/done"): OPEN,
    # reviews
    ("GET", "/reviews"): SEE,
    ("GET", "/reviews/count"): SEE,
    ("POST", "/reviews/bulk"): DECIDE,
    ("GET", "/reviews/{review_id}"): SEE,
    ("POST", "/reviews/{review_id}/decision"): DECIDE,
    ("POST", "/reviews/{review_id}/changes"): DECIDE,
    ("POST", "/reviews/{review_id}/undo"): DECIDE,
    ("POST", "/reviews/{review_id}/claim"): DECIDE,
    ("DELETE", "/reviews/{review_id}/claim"): DECIDE,
    ("POST", "/reviews/{review_id}/handup"): DECIDE,
    ("POST", "/reviews/{review_id}/later"): SEE,
    ("POST", "/pause"): DECIDE,
    ("POST", "/go-on"): DECIDE,
    ("GET", "/bulk"): SEE,
    ("POST", "/bulk"): DECIDE,
    ("GET", "/bulk/done"): SEE,
    ("POST", "/bulk/undo"): DECIDE,
    # threads
    ("GET", "/threads"): SEE,
    ("POST", "/threads"): ASK,
    ("GET", "/threads/{thread_id}"): SEE,
    # documents
    ("GET", "/documents"): SEE,
    ("POST", "/documents"): CURATE,
    ("GET", "/documents/{name}"): SEE,
    ("POST", "/documents/{name}"): CURATE,
    ("PATCH", "/documents/{name}"): CURATE,
    ("DELETE", "/documents/{name}"): CURATE,
    ("GET", "/uploads"): CURATE,
    ("GET", "/uploads/{upload_id}"): CURATE,
    ("GET", "/passages"): SEE,
    ("GET", "/passages/{passage_id}"): SEE,
    ("POST", "/passages/{passage_id}/corrections"): ASK,
    ("POST", "/passages/{passage_id}/undo"): ASK,
    ("GET", "/search"): SEE,
    # adapters
    ("GET", "/adapters"): CURATE,
    ("GET", "/adapters/aliases"): CURATE,
    ("GET", "/adapters/promotions"): CURATE,
    ("POST", "/adapters/promotions"): STEER,
    ("POST", "/adapters/rollback"): OVERSEE,
    ("GET", "/adapters/reports"): CURATE,
    ("GET", "/adapters/reports/{report_id}"): CURATE,
    ("GET", "/adapters/plan"): CURATE,
    ("GET", "/adapters/compare"): CURATE,
    ("POST", "/adapters/compare"): CURATE,
    ("GET", "/adapters/compare/{job_id}"): CURATE,
    ("GET", "/adapters/{adapter}"): CURATE,
    ("GET", "/adapters/{adapter}/curve"): CURATE,
    ("GET", "/datasets"): CURATE,
    ("GET", "/datasets/{dataset}"): CURATE,
    # policy
    ("GET", "/policy"): SEE,
    ("POST", "/policy/check"): SEE,
    ("GET", "/policy/test"): SEE,
    ("GET", "/policy/replay"): CURATE,
    # audit
    ("GET", "/audit"): OVERSEE,
    ("GET", "/audit/verify"): OVERSEE,
    ("POST", "/audit/verify"): OVERSEE,
    ("GET", "/audit/export"): ADMINISTER,
    # MCP clients
    ("POST", "/mcp"): TALK,
    # pages whose paths programs do not have
    ("GET", "/"): SEE,
    ("POST", "/threads/{thread_id}/messages"): ASK,
    ("POST", "/threads/{thread_id}/resume"): ASK,
    ("POST", "/threads/{thread_id}/stop"): ASK,
    ("GET", "/threads/{thread_id}/follow"): SEE,
    ("POST", "/threads/{thread_id}/training"): ASK,
    ("POST", "/threads/{thread_id}/fork"): STEER,
    ("POST", "/threads/{thread_id}/delete"): STEER,
    ("GET", "/live"): SEE,
    ("GET", "/shift"): DECIDE,
    ("POST", "/shift/handover"): DECIDE,
    ("POST", "/shift/handover/{handover_id}/taken"): DECIDE,
    ("GET", "/shift/checks"): OVERSEE,
    ("POST", "/shift/checks"): OVERSEE,
    ("POST", "/shift/checks/cards"): OVERSEE,
    ("POST", "/shift/checks/cards/{card_id}/remove"): OVERSEE,
    ("GET", "/docs"): SEE,
}
"""(method, path of the route) to the roles of which the caller needs one. HEAD and OPTIONS count as GET."""


def rows() -> list[str]:
    """The table in Markdown, as docs/access.md has it."""
    return [f"| `{method} {path}` | {_names(allowed)} |" for (method, path), allowed in TABLE.items()]


def _names(allowed: Allowed) -> str:
    return ", ".join(f"`{role}`" for role in ROLES if role in allowed) or "–"
