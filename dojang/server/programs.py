"""Which requests are a program's and which are a person's, where both use the same path (ADR 21).

A browser that opens a page asks for ``text/html``, and a form says that it is one; programs do neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

ROOTS: Final = (
    "/threads", "/runs", "/assistants", "/store", "/info",  # LangGraph's clients
    "/reviews", "/documents", "/passages", "/uploads", "/search", "/adapters", "/datasets", "/policy", "/audit",
    "/mcp",
)  # fmt: skip
"""Paths that programs ask for."""
UPLOAD: Final = "/documents"
_MESSAGES: Final = re.compile(r"/threads(/[^/]+/(messages|commands))?|(/threads/[^/]+)?/runs(/wait|/stream|/batch)?")
FORM: Final = "application/x-www-form-urlencoded"
FILE: Final = "multipart/form-data"


def is_program_path(path: str) -> bool:
    """Whether programs may ask for this path."""
    return any(path == root or path.startswith(root + "/") for root in ROOTS)


def kind_of(headers: Headers) -> str:
    """The type of the body, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def by_program(scope: Scope) -> bool:
    """Whether a program asks, on one of their paths."""
    if not is_program_path(scope["path"]):
        return False
    headers = Headers(scope=scope)
    kind = kind_of(headers)
    return kind != FORM and (kind != FILE or scope["path"] == UPLOAD) and "text/html" not in headers.get("accept", "")


def takes_files(scope: Scope) -> bool:
    """Whether what is sent is a message, with which files may come: a form that says so, or JSON."""
    if scope["method"] != "POST" or _MESSAGES.fullmatch(scope["path"]) is None:
        return False
    kind = kind_of(Headers(scope=scope))
    return kind == FILE if scope["path"] == "/threads" else kind != FORM  # what programs make there holds no message


def is_upload(scope: Scope) -> bool:
    """Whether a program sends a file, which is not held in memory."""
    return scope["method"] == "POST" and scope["path"] == UPLOAD and kind_of(Headers(scope=scope)) == FILE


class ProgramRoute(APIRoute):
    """A route that people do not see: for them the page of the same path is looked for."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        super().__init__(path, endpoint, **given)
        self._begins = path.partition("{")[0]

    def matches(self, scope: Scope) -> tuple[Match, Any]:
        """As FastAPI's; nothing for a person. Most requests are another route's: that is seen by how they begin."""
        if not scope["path"].startswith(self._begins) or (scope["type"] == "http" and not by_program(scope)):
            return Match.NONE, {}
        return super().matches(scope)
