"""Which requests are a program's (an SDK, a chat page) and which are a person's, where both use the same path.

``/threads`` was the console's before LangGraph's clients came. A browser that opens a page asks for ``text/html``, and
a form says that it is one; programs do neither.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

ROOTS: Final = ("/threads", "/runs", "/assistants", "/store", "/info")
"""Paths of LangGraph's server routes."""
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


def is_program_path(path: str) -> bool:
    """Whether LangGraph's clients may ask for this path."""
    return any(path == root or path.startswith(root + "/") for root in ROOTS)


def by_program(scope: Scope) -> bool:
    """Whether a program asks, on one of LangGraph's paths."""
    if not is_program_path(scope["path"]):
        return False
    headers = Headers(scope=scope)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind not in _FORMS and "text/html" not in headers.get("accept", "")


class ProgramRoute(APIRoute):
    """A route that people do not see: for them the page of the same path is looked for."""

    def matches(self, scope: Scope) -> tuple[Match, Any]:
        """As FastAPI's; nothing for a person."""
        if scope["type"] == "http" and not by_program(scope):
            return Match.NONE, {}
        return super().matches(scope)
