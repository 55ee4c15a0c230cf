"""The tools that Dojang offers to MCP clients. Who calls is said by whoever serves them; nothing here finds that out.

A client is a program that speaks for a person, and mostly a model steers it. So it may ask and look, and a decision
wants more: the connection itself must bear the token of a person with a say in reviews. No argument of a call opens it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import anyio
import anyio.to_thread
from mcp.server.fastmcp.exceptions import ToolError
from mcp.server.fastmcp.tools import ToolManager
from mcp.server.lowlevel import Server
from mcp.types import Tool

import dojang
from checkpoints.wanted import Wanted
from dojang.reading import as_read
from dojang.workspace import Workspace
from nodes.door import NotEntitled
from state import DojangError, Language, UserError, person_of

if TYPE_CHECKING:
    from dojang.results import RunResult
    from state import Review

T = TypeVar("T")
SHOWN: Final = 100
"""Reviews that a list looks through for somebody who sees their own only, times the number wanted."""
AT_ONCE: Final = 4
"""Calls that run at the same time in one process."""
CHANNEL: Final = "mcp"

ABOUT: Final[dict[Language, str]] = {
    "en": (
        "Ask about a company's documents and request actions. Anything consequential waits as a review until a person "
        "has approved it; you cannot approve it yourself. When `ask` answers with status `paused`, tell your user "
        "which reviews wait and where they are decided, and look again with `read_thread`."
    ),
    "ko": (
        "회사 문서에 대해 묻고 작업을 요청합니다. 결과가 남는 작업은 사람이 승인할 때까지 검토로 대기하며, "
        "직접 승인할 수 없습니다. `ask`의 status가 `paused`이면 어떤 검토가 어디에서 결재를 기다리는지 "
        "사용자에게 알리고, 나중에 `read_thread`로 다시 확인하십시오."
    ),
}
WORDS: Final[dict[str, dict[Language, str]]] = {
    "ask": {
        "en": "Ask a question or request an action; with thread_id, go on with that conversation.",
        "ko": "질문하거나 작업을 요청합니다. thread_id를 주면 그 대화를 이어 갑니다.",
    },
    "list_reviews": {
        "en": "The reviews that wait for a person, soonest due first.",
        "ko": "사람의 결재를 기다리는 검토를 기한이 가까운 순서로 보여 줍니다.",
    },
    "read_thread": {
        "en": "Where a conversation stands: its answer, or the reviews that it waits for.",
        "ko": "대화가 어디까지 왔는지, 답변이나 기다리는 검토를 보여 줍니다.",
    },
    "decide": {
        "en": "Record a person's decision on a review. Refused unless this connection bears the token of a person who "
        "may decide.",
        "ko": "검토에 대한 사람의 결재를 기록합니다. 결재 권한이 있는 사람의 토큰으로 연결하지 않았으면 거부됩니다.",
    },
}


@dataclass(frozen=True)
class Client:
    """Who calls.

    ``workspace``: as they use it. ``only``: whose threads and reviews they see; None: everybody's. ``person``: whether
    the connection bears the token of a person who decides reviews. ``desk``: where a person decides them instead.
    """

    workspace: Workspace
    only: str | None
    person: bool
    desk: str

    def check_sees(self, thread_id: str) -> None:
        """Raise UnknownThread for somebody else's, in the words for one that is not there."""
        owner = self.workspace.owner(thread_id) if self.only is not None else ""
        if owner and person_of(owner) != person_of(self.only or ""):
            from dojang.workspace import UnknownThread

            raise UnknownThread(f"there is no thread {thread_id!r}; `dojang threads` lists those that exist")


calling: Final[ContextVar[Client | Callable[[], Client]]] = ContextVar("calling")
"""Who calls, or what finds it out anew for each call."""


def dojang_server(language: Language) -> Server[Any, Any]:
    """The server; ``calling`` says for whom each call is made.

    Not the SDK's FastMCP, which makes its own handlers for the log of the whole process.
    """
    server: Server[Any, Any] = Server("dojang", version=dojang.__version__, instructions=ABOUT[language])
    tools = ToolManager()
    for tool in (ask, list_reviews, read_thread, decide):
        tools.add_tool(tool, name=tool.__name__, description=WORDS[tool.__name__][language])

    async def listed() -> list[Tool]:
        return [
            Tool(name=one.name, description=one.description, inputSchema=one.parameters, outputSchema=one.output_schema)
            for one in tools.list_tools()
        ]

    async def called(name: str, arguments: dict[str, Any]) -> Any:
        return await tools.call_tool(name, arguments, convert_result=True)

    server.list_tools()(listed)  # type: ignore[no-untyped-call]  # the SDK's decorators have no types
    server.call_tool()(called)
    return server


async def ask(text: str, thread_id: str = "") -> dict[str, Any]:
    """See WORDS."""

    def asked(client: Client) -> dict[str, Any]:
        if thread_id:
            client.check_sees(thread_id)
        return _run(client, client.workspace.ask(text, thread_id=thread_id or None))

    return await _done(asked)


async def list_reviews(limit: int = 20) -> list[dict[str, Any]]:
    """See WORDS."""

    def listed(client: Client) -> list[dict[str, Any]]:
        wanted = max(1, min(limit, SHOWN))
        now = client.workspace.parts.clock.now().isoformat()
        found = client.workspace.found(Wanted(now=now), limit=wanted if client.only is None else wanted * SHOWN)
        reviews = [one["review"] for one in found if _sees(client, one["review"]["thread_id"])]
        return [_review(client, review) for review in reviews[:wanted]]

    return await _done(listed)


async def read_thread(thread_id: str) -> dict[str, Any]:
    """See WORDS."""

    def read(client: Client) -> dict[str, Any]:
        client.check_sees(thread_id)
        return _run(client, client.workspace.thread(thread_id))

    return await _done(read)


async def decide(
    review_id: str,
    decision: Literal["approve", "edit", "reject", "answer"],
    reason: str = "",
    message: str = "",
    digest: str = "",
    edited_args: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """See WORDS."""

    def decided(client: Client) -> dict[str, Any]:
        if not client.person:
            client.workspace.parts.audit.note(
                None, "decision.refused", client.workspace.user, review_id, {"why": "NotEntitled", "channel": CHANNEL}
            )
            raise NotEntitled(
                "this connection bears no token of a person who decides reviews; nothing was recorded. A person "
                f"decides review {review_id}: {client.desk}"
            )
        said: dict[str, Any] = {"type": decision, "reason": reason, "message": message}
        if edited_args is not None:
            said["edited_args"] = edited_args
        if digest:
            said["digest"] = digest
        result = client.workspace.decide(review_id, said, channel=CHANNEL)
        return {"decision": dict(result.decision), **_run(client, result.run)}

    return await _done(decided)


async def _done(work: Callable[[Client], T]) -> T:
    """Do it on a thread, as the one who calls; what goes wrong is an error of the tool, in its own words."""
    try:
        return await anyio.to_thread.run_sync(partial(_as, calling.get(), work), limiter=_LIMITER)
    except DojangError as error:
        raise ToolError(str(error)) from error


_LIMITER: Final = anyio.CapacityLimiter(AT_ONCE)


def _as(who: Client | Callable[[], Client], work: Callable[[Client], T]) -> T:
    return work(who() if callable(who) else who)


def _sees(client: Client, thread_id: str) -> bool:
    try:
        client.check_sees(thread_id)
    except UserError:
        return False
    return True


def _run(client: Client, run: RunResult) -> dict[str, Any]:
    answer = run.answer
    return {
        "thread_id": run.thread_id,
        "status": run.status,
        "answer": answer["text"] if answer is not None else "",
        "citations": [
            {"n": one["n"], "document": one["document"], "quote": one["quote"]}
            for one in (answer["citations"] if answer is not None else [])
        ],
        "reviews": [_review(client, review) for review in run.reviews],
        "outcomes": [{"tool": one["tool"], "status": one["status"], "error": one["error"]} for one in run.outcomes],
        "note": run.note,
    }


def _review(client: Client, review: Review) -> dict[str, Any]:
    read = as_read(review, client.workspace.describer, client.workspace.settings.language or "en")
    return {
        "id": review["id"],
        "thread_id": review["thread_id"],
        "kind": review["kind"],
        "summary": read["summary"],
        "question": review["question"],
        "tool": review["action"]["tool"],
        "args": review["action"]["args"],
        "why": [reason["text"] for reason in read["why"]],
        "tier": review["tier"],
        "wants_reason": review.get("wants_reason", False),
        "due_at": review["due_at"],
        "digest": review["digest"],
        "decided_at": client.desk,
    }
