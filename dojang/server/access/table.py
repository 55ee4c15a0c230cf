"""Which role a route needs. A route that is not here is answered as if it did not exist.

The table of docs/access.md is this one; a test holds them together, and walks every route with every role.
"""

from __future__ import annotations

from typing import Final

from dojang.server.access.roles import ASK, DECIDE, SEE, Allowed

OPEN: Final[Allowed] = frozenset(("anybody",))
"""Served to whoever reaches the server, known or not."""

TABLE: Final[dict[tuple[str, str], Allowed]] = {
    # the server
    ("GET", "/ok"): OPEN,
    ("GET", "/openapi.json"): SEE,
    ("GET", "/static/{path}"): OPEN,
    ("GET", "/login"): OPEN,
    ("POST", "/login"): OPEN,
    ("POST", "/logout"): OPEN,
    # the JSON API
    ("GET", "/api/reviews"): SEE,
    ("GET", "/api/reviews/{review_id}"): SEE,
    ("POST", "/api/reviews/{review_id}/decision"): DECIDE,
    ("POST", "/api/reviews/{review_id}/undo"): DECIDE,
    ("POST", "/api/reviews/{review_id}/claim"): DECIDE,
    ("GET", "/api/threads"): SEE,
    # the console
    ("GET", "/"): SEE,
    ("GET", "/reviews/{review_id}"): SEE,
    ("POST", "/reviews/{review_id}/decision"): DECIDE,
    ("POST", "/reviews/{review_id}/undo"): DECIDE,
    ("POST", "/reviews/{review_id}/claim"): DECIDE,
    ("GET", "/threads"): SEE,
    ("POST", "/threads"): ASK,
    ("GET", "/threads/{thread_id}"): SEE,
    ("POST", "/threads/{thread_id}/messages"): ASK,
    ("POST", "/threads/{thread_id}/resume"): ASK,
    ("GET", "/documents"): SEE,
    ("GET", "/passages/{passage_id}"): SEE,
    ("GET", "/docs"): SEE,
}
"""(method, path of the route) to the roles of which the caller needs one. HEAD and OPTIONS count as GET."""
