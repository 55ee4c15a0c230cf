"""Connections to MCP servers, each held open on one event loop in a thread of its own; callers are synchronous.

A program that died or an address that came back is connected to anew when it is next looked at. Whether an answer to a
call came is kept apart from whether it was sent: what was sent may have happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import TimeoutError as Late
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar, cast

from state import JSON, PassingFault
from tools.mcp.config import Server
from tools.mcp.definitions import Definition, Offer
from tools.mcp.granted import by_client_credentials
from tools.wording import shown

if TYPE_CHECKING:
    from mcp import ClientSession
    from mcp.types import CallToolResult

log = logging.getLogger(__name__)
logging.getLogger("mcp.client").setLevel(logging.CRITICAL)  # it logs whole tracebacks of what it then raises as well
T = TypeVar("T")
GRACE_S: Final = 5.0
"""What a caller waits beyond a limit that the loop keeps itself."""
LOG_BYTES: Final = 2**20
"""What a program writes to its standard error is kept up to this size, and begun anew when it is started."""


class ServerDown(PassingFault):
    """A server does not answer, or does not speak MCP. Nothing was sent to it that changes anything."""


class Unanswered(Exception):
    """A call was sent, and no answer came: it may have happened. ``str(e)`` says why in a few words."""


class Loop:
    """One event loop in one thread, begun when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def begin(self, work: Coroutine[Any, Any, T]) -> Any:
        """Start ``work`` there; a future of its result."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="mcp", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End the thread; whoever holds something there has let go of it."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(GRACE_S)
            if not thread.is_alive():
                loop.close()


class Link:
    """The connection to one server.

    Args:
        server: which.
        loop: where its connection lives.
        outside: variables of the environment.
        logs: folder for what programs write to their standard error; None: it is thrown away.
    """

    def __init__(self, server: Server, loop: Loop, outside: Mapping[str, str], logs: Path | None) -> None:
        self.server, self.loop, self.outside, self.logs = server, loop, outside, logs
        self._session: ClientSession | None = None
        self._info: dict[str, JSON] = {}
        self._holder: asyncio.Task[None] | None = None
        self._stop: asyncio.Event | None = None
        self._turn: asyncio.Lock | None = None
        self._calls, self._retired = 0, False
        self._secrets: list[str] = []

    def look(self) -> Offer:
        """What the server offers now, asked of it now.

        Raises:
            ServerDown: it does not answer, though it was connected to anew.
        """
        found: Offer = self._done(self._looked(), 2 * self.server.start_s)
        return found

    def call(self, tool: str, args: Mapping[str, JSON], meta: Mapping[str, str]) -> CallToolResult:
        """Call a tool on the connection that was looked at last.

        Raises:
            ServerDown: there is none any more; nothing was sent.
            Unanswered: it was sent, and then the connection broke, the time was over, or the answer was no MCP.
            mcp.McpError: the server answered that it did not take the request.
        """
        found: CallToolResult = self._done(self._called(tool, dict(args), dict(meta)), self.server.timeout_s)
        return found

    def close(self) -> None:
        """End the connection, and the program."""
        if self._holder is not None:
            with contextlib.suppress(Exception):
                self.loop.begin(self._dropped()).result(self.server.start_s + GRACE_S)

    def retire(self) -> None:
        """Nobody is to begin anything here any more: it ends when what is under way has come to its end."""
        self.loop.begin(self._retire())

    async def _retire(self) -> None:
        self._retired = True
        if not self._calls:
            await self._dropped()

    def _done(self, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        future = self.loop.begin(work)
        try:
            return cast(T, future.result(limit_s + GRACE_S))
        except Late as error:
            future.cancel()
            raise Unanswered("no answer in time") from error

    async def _looked(self) -> Offer:
        last: BaseException | None = None
        for _ in range(2):  # a connection that died is noticed when it is used
            try:
                async with asyncio.timeout(self.server.start_s):
                    session = await self._connected()
                    return await self._racing(self._listed(session))
            except Exception as error:  # whatever a transport raises, the server cannot be asked
                last = error
                await self._dropped()
                if isinstance(error, TimeoutError):
                    break
        over_http = bool(self.server.url)
        raise ServerDown(
            f"MCP server {self.server.name} does not answer ({self._why(last)}); "
            f"{'see that it runs at its url' if over_http else 'see that its command runs, and its log'}"
        ) from last

    def _why(self, error: BaseException | None) -> str:
        """The reason, in which no secret of ours stands: whoever gives tokens out may send back what it was sent."""
        why = _reason(error)
        for secret in self._secrets:
            why = why.replace(secret, "***")
        return why

    async def _listed(self, session: ClientSession) -> Offer:
        from langchain_mcp_adapters.tools import load_mcp_tools

        found = [Definition.of(tool) for tool in await load_mcp_tools(session, server_name=self.server.name)]
        tools = {tool.name: tool for tool in found}
        if len(tools) != len(found):
            raise ValueError("two of its tools have one name")
        return Offer(self.server.where, self._info, tools)

    async def _called(self, tool: str, args: dict[str, Any], meta: dict[str, Any]) -> CallToolResult:
        from mcp import McpError, types

        session = self._session
        if session is None or self._holder is None or self._holder.done():
            raise ServerDown(f"MCP server {self.server.name} is gone; nothing was sent to it")
        # Not the session's own call_tool: it holds answers against the tool's output schema after the effect, and
        # raises where they differ, as if nothing had happened.
        params = types.CallToolRequestParams(name=tool, arguments=args)
        params.meta = types.RequestParams.Meta(**meta)
        request = types.ClientRequest(types.CallToolRequest(params=params))
        limit = timedelta(seconds=self.server.timeout_s)
        sent = session.send_request(request, types.CallToolResult, request_read_timeout_seconds=limit)
        self._calls += 1
        try:
            return await self._racing(sent)
        except McpError as error:
            if error.error.code in (types.CONNECTION_CLOSED, _REQUEST_TIMEOUT):
                await self._dropped()
                raise Unanswered(self._why(error)) from error
            raise
        except Exception as error:
            await self._dropped()
            raise Unanswered(self._why(error)) from error
        finally:
            self._calls -= 1
            if self._retired and not self._calls:
                await self._dropped()

    async def _racing(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``, unless the connection ends first: a dead transport leaves requests waiting."""
        asked, holder = asyncio.ensure_future(work), self._holder
        try:
            if holder is not None:
                await asyncio.wait({asked, holder}, return_when=asyncio.FIRST_COMPLETED)
                if not asked.done():
                    raise ConnectionError("the connection ended")
            return await asked
        finally:
            asked.cancel()

    async def _connected(self) -> ClientSession:
        self._turn = self._turn or asyncio.Lock()
        async with self._turn:
            if self._session is not None and self._holder is not None and not self._holder.done():
                return self._session
            if self._retired:
                raise ConnectionError("it is not to be used any more")
            self._session = None
            ready: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
            self._stop = asyncio.Event()
            self._holder = asyncio.create_task(self._held(ready, self._stop))
            self._session = await ready
            return self._session

    async def _held(self, ready: asyncio.Future[ClientSession], stop: asyncio.Event) -> None:
        """Hold the connection open: it is entered and left in one task, as its cancel scopes want it."""
        try:
            async with self._opened() as session:
                hello = await session.initialize()
                self._info = {"name": hello.serverInfo.name, "version": hello.serverInfo.version}
                if not ready.done():
                    ready.set_result(session)
                await stop.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error if isinstance(error, Exception) else ConnectionError("it was ended"))
            if isinstance(error, asyncio.CancelledError):
                raise
            log.debug("connection to MCP server %s ended: %s", self.server.name, self._why(error))

    async def _dropped(self) -> None:
        holder, stop, self._session, self._holder = self._holder, self._stop, None, None
        if holder is None or stop is None:
            return
        stop.set()
        done, _ = await asyncio.wait({holder}, timeout=GRACE_S)
        if not done:
            holder.cancel()
            await asyncio.wait({holder}, timeout=GRACE_S)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[ClientSession]:
        from mcp import ClientSession
        from mcp.types import Implementation

        who = Implementation(name="dojang", version="1")
        async with self._transport() as (read, write), ClientSession(read, write, client_info=who) as session:
            yield session

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[tuple[Any, Any]]:
        if self.server.url:
            async with self._over_http() as streams:
                yield streams
            return
        from mcp import StdioServerParameters
        from mcp.client.stdio import stdio_client

        started = StdioServerParameters(
            command=self.server.program(),
            args=self.server.args,
            env=self.server.environment(self.outside),
            cwd=self.server.cwd,
        )
        with self._errors() as errors:
            async with stdio_client(started, errlog=cast(Any, errors)) as (read, write):
                yield read, write

    @asynccontextmanager
    async def _over_http(self) -> AsyncIterator[tuple[Any, Any]]:
        import httpx
        from mcp.client.streamable_http import streamable_http_client

        # No redirects: a token is for the host that was named. No proxy of the environment, either.
        limits = httpx.Timeout(self.server.start_s, read=self.server.timeout_s + GRACE_S)
        headers, secret = self.server.headers(self.outside), self.server.client_secret(self.outside)
        self._secrets = [one for one in (headers.get("Authorization", "").removeprefix("Bearer "), secret) if one]
        client = httpx.AsyncClient(
            headers=headers,
            auth=by_client_credentials(self.server, secret, self._secrets) if secret else None,
            timeout=limits,
            follow_redirects=False,
            trust_env=False,
        )
        async with client, streamable_http_client(self.server.url, http_client=client) as (read, write, _):
            yield read, write

    @contextlib.contextmanager
    def _errors(self) -> Any:
        """Where the program's standard error goes: not into our own, where it could pass for ours."""
        import os

        if self.logs is None:
            place: IO[bytes] = open(os.devnull, "wb")
        else:
            self.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self.logs / f"{self.server.name}.log"
            fresh = not path.exists() or path.stat().st_size > LOG_BYTES
            place = open(path, "wb" if fresh else "ab")
        with place:
            yield place


_REQUEST_TIMEOUT: Final = 408
"""What the SDK itself gives a request as its error where no answer came in time."""


def _reason(error: BaseException | None) -> str:
    """Why, in a line that may be shown."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = str(error).strip() or type(error).__name__
    return str(shown(text.splitlines()[0]))[:200]
