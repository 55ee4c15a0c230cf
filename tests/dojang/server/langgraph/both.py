"""The SDK's two clients behind one form, so that a scenario is written once: every call is awaited.

What the asynchronous client has to be awaited for, is awaited; the synchronous one is called in a thread, and its
streams are read there.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langgraph_sdk.client import AssistantsClient, RunsClient, StoreClient, SyncLangGraphClient, ThreadsClient

RESOURCES: dict[str, type] = {
    "assistants": AssistantsClient,
    "threads": ThreadsClient,
    "runs": RunsClient,
    "store": StoreClient,
}
_END: Any = object()


class Awaited:
    """A synchronous client in the form of the asynchronous one."""

    def __init__(self, client: SyncLangGraphClient) -> None:
        for name, kind in RESOURCES.items():
            setattr(self, name, _Resource(getattr(client, name), kind))


class _Resource:
    def __init__(self, of: Any, kind: type) -> None:
        self._of, self._kind = of, kind

    def __getattr__(self, name: str) -> Any:
        call, form = getattr(self._of, name), getattr(self._kind, name)

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            found = await asyncio.to_thread(call, *args, **kwargs)
            return turns(found) if isinstance(found, Iterator) else found

        if inspect.iscoroutinefunction(form):
            return awaited
        return lambda *args, **kwargs: turns(call(*args, **kwargs))


async def turns(parts: Iterator[Any]) -> AsyncIterator[Any]:
    """An iterator, read in threads."""
    while (part := await asyncio.to_thread(next, parts, _END)) is not _END:
        yield part
