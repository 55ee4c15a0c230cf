"""JSON answers in the form that LangGraph's clients read: messages and pauses in LangChain's own forms."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from dojang.server.work.plain import dumps


class Answer(JSONResponse):
    """A value as JSON. Of FastAPI's class for it: the document would call any other one a text."""

    def render(self, content: Any) -> bytes:
        """UTF-8."""
        return dumps(content)
