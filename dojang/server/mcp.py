"""POST /mcp: Dojang for MCP clients over HTTP (streamable, one answer to each request, nothing kept between them).

Who asks, the admission has found out. A decision wants a token in the request and a person behind it: neither the local
user's open door nor a session of a browser will do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from dojang.language import locale_language
from dojang.server.access.callers import caller_of, workspace_of
from dojang.server.access.owning import only_of
from state import Language

if TYPE_CHECKING:
    from dojang.mcp.serving import Client


class McpEndpoint:
    """The ASGI application of the route."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of the protocol."""
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from dojang.mcp.serving import calling

        request = Request(scope)
        language = request.app.state.settings.language or locale_language()
        calling.set(client_of(request))
        manager = StreamableHTTPSessionManager(app=_server(language), json_response=True, stateless=True)
        async with manager.run():
            await manager.handle_request(scope, receive, send)


def client_of(request: Request) -> Client:
    """Who calls, and what they see."""
    from dojang.mcp.serving import Client

    caller = caller_of(request)
    person = caller.how == "token" and caller.decides
    only = None if caller.how == "local" else only_of(request)
    return Client(workspace_of(request), only, person, f"{request.base_url}")


@lru_cache
def _server(language: Language) -> Any:
    from dojang.mcp.serving import dojang_server

    return dojang_server(language)


route = Route("/mcp", endpoint=McpEndpoint(), methods=["POST"])
