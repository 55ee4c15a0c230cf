"""`dojang mcp`: the server over standard input and output, for one client on this machine.

It acts as the person whose token DOJANG_MCP_TOKEN is, looked at anew for each call; without one it asks as the user of
the settings and decides nothing, whoever sits there: what comes in is a program's word.
"""

from __future__ import annotations

from functools import partial

import anyio
from mcp.server.stdio import stdio_server

from dojang.language import locale_language
from dojang.mcp.serving import Client, calling, dojang_server
from dojang.server.access.callers import Caller
from dojang.server.opening import tokens_of
from dojang.workspace import Workspace


def serve_stdio(workspace: Workspace) -> None:
    """Serve until standard input ends.

    Raises:
        BadToken: DOJANG_MCP_TOKEN opens nothing.
    """
    client_of(workspace)
    server = dojang_server(workspace.settings.language or locale_language())
    calling.set(partial(client_of, workspace))

    async def run() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    anyio.run(run)


def client_of(workspace: Workspace) -> Client:
    """Who calls, now. BadToken where the token of the settings opens nothing any more."""
    settings = workspace.settings
    desk = f"`dojang serve`, http://{settings.host}:{settings.port}/, or `dojang approve ID`"
    if settings.mcp_token is None:
        roles = workspace.roles or ()
        return Client(workspace.acting(workspace.user, roles, decides=False), None, False, desk)
    tokens = tokens_of(settings, workspace.parts.sessions, workspace.parts.audit)
    token = tokens.check(settings.mcp_token.get_secret_value())
    caller = Caller(token.name, token.roles, "token", token.prefix)
    only = None if caller.sees_every_thread or settings.share_threads else caller.name
    acting = workspace.acting(caller.name, token.roles, decides=caller.decides)
    return Client(acting, only, caller.decides, desk)
