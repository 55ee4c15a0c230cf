"""JSON answers in the form that LangGraph's clients read: messages and pauses in LangChain's own forms."""

from __future__ import annotations

from typing import Any

from fastapi.responses import Response

from dojang.server.work.plain import dumps


class Answer(Response):
    """A value as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """UTF-8."""
        return dumps(content)
