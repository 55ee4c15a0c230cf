"""``EndpointChat``: an OpenAI-compatible server (OpenAI, vLLM, llama.cpp) as a chat model, its failures one line each.

langchain-openai speaks the protocol. Added are: an adapter's name as the model's (vLLM serves LoRA adapters so),
attempts within a budget of seconds (tenacity), a limit on a whole answer however slowly it drips, a stream that
breaks off is an error and no short answer, calls that are whole (``speakers.replies``), and an adapter that the server
has forgotten is put back once. Where a server points elsewhere nothing is sent: a conversation goes to the URL that was
set. Importing this module imports openai, which takes its time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast

import httpx
from langchain_core.language_models import LanguageModelInput
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import Field, SecretStr
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from adapters.errors import EndpointFault
from adapters.speakers.endpoint import endpoint_url, translate, unknown_model
from adapters.speakers.replies import Streamed, tidied
from state import DojangError

_UNSET: Final = "\0"
_LONGEST_WAIT_S: Final = 20.0
_log = logging.getLogger(__name__)
T = TypeVar("T")
PutBack = Callable[[str], bool]
"""From an adapter's name to whether the server has it again; raises where it could have, and cannot."""


class EndpointChat(ChatOpenAI):
    """A model behind a URL. ``bind(adapter="name")`` speaks with an adapter of that server, ``adapter=None`` without.

    Raises:
        EndpointFault: After all attempts: away, too slow, overloaded, or it broke off.
        EndpointRefused: The key, the model's name or the request; not tried again.
        UnreadableReply: It answered something that is no chat completion.
    """

    adapter: str | None = None
    attempts: int = Field(2, ge=1)
    budget_s: float = Field(90.0, gt=0)
    """Seconds after which nothing is tried again."""
    put_back: PutBack | None = Field(None, exclude=True, repr=False)
    """Asked once a call when the server does not know the adapter: one that was started anew has forgotten all."""

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        speaks = self._speaks(kwargs)
        kwargs.pop("adapter", None)
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        return {**payload, "model": speaks} if speaks else payload

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        return super()._create_chat_result(tidied(response), generation_info)

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        ask = super()._generate
        for attempt in Retrying(**self._plan()):
            with attempt:
                try:
                    return self._known(lambda: ask(*args, **kwargs), kwargs)
                except Exception as e:
                    raise self._told(e) from e
        raise AssertionError("tenacity raises the last error")

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        ask = super()._agenerate
        async for attempt in AsyncRetrying(**self._plan()):
            with attempt:
                try:
                    return await self._aknown(lambda: ask(*args, **kwargs), kwargs)
                except Exception as e:
                    raise self._told(e) from e
        raise AssertionError("tenacity raises the last error")

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        """Tried again only before the first piece: what was shown cannot be taken back."""
        reply, begin = Streamed(), super()._stream

        def begun() -> tuple[Iterator[ChatGenerationChunk], ChatGenerationChunk | None]:
            stream = begin(*args, **kwargs)
            return stream, next(stream, None)

        for attempt in Retrying(**self._plan()):
            with attempt:
                try:
                    stream, first = self._known(begun, kwargs)
                except Exception as e:
                    raise self._told(e) from e
        try:
            while first is not None:
                yield reply.piece(first)
                first = next(stream, None)
        except Exception as e:
            raise self._told(e) from e
        if (rest := self._rest(reply)) is not None:
            yield rest

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        reply, begin = Streamed(), super()._astream

        async def begun() -> tuple[AsyncIterator[ChatGenerationChunk], ChatGenerationChunk | None]:
            stream = begin(*args, **kwargs)
            return stream, await anext(stream, None)

        async for attempt in AsyncRetrying(**self._plan()):
            with attempt:
                try:
                    stream, first = await self._aknown(begun, kwargs)
                except Exception as e:
                    raise self._told(e) from e
        try:
            while first is not None:
                yield reply.piece(first)
                first = await anext(stream, None)
        except Exception as e:
            raise self._told(e) from e
        if (rest := self._rest(reply)) is not None:
            yield rest

    def _speaks(self, options: Mapping[str, Any]) -> str | None:
        """The adapter of a call, None for the model alone."""
        told = options.get("adapter", _UNSET)
        return self.adapter if told == _UNSET else told

    def _known(self, ask: Callable[[], T], options: Mapping[str, Any]) -> T:
        """Ask; where the server does not know the adapter and can have it again, ask once more."""
        try:
            return ask()
        except Exception as e:
            if not self._forgotten(e, options):
                raise
        return ask()

    async def _aknown(self, ask: Callable[[], Awaitable[T]], options: Mapping[str, Any]) -> T:
        try:
            return await ask()
        except Exception as e:
            if not await asyncio.to_thread(self._forgotten, e, options):
                raise
        return await ask()

    def _forgotten(self, error: Exception, options: Mapping[str, Any]) -> bool:
        """Whether the server did not know the adapter, and does now. Raises why it cannot have it."""
        speaks = self._speaks(options)
        if self.put_back is None or not speaks or not unknown_model(error) or not self.put_back(speaks):
            return False
        _log.warning("%s had forgotten the adapter %s; it was loaded again", endpoint_url(self), speaks)
        return True

    def _plan(self) -> dict[str, Any]:
        return {
            "stop": stop_after_attempt(self.attempts) | stop_before_delay(self.budget_s),
            "wait": _wait,
            "retry": retry_if_exception_type(EndpointFault),
            "before_sleep": before_sleep_log(_log, logging.INFO),
            "reraise": True,
        }

    def _told(self, error: Exception) -> DojangError:
        return error if isinstance(error, DojangError) else translate(error, endpoint_url(self))

    def _rest(self, reply: Streamed) -> ChatGenerationChunk | None:
        if not reply.ended:
            raise EndpointFault(f"{endpoint_url(self)} broke off in the middle of its answer; try again")
        return reply.rest()


def endpoint_chat(
    name: str,
    base_url: str,
    *,
    adapter: str | None = None,
    api_key: str | None = None,
    timeout_s: float = 60.0,
    max_retries: int = 1,
    budget_s: float = 90.0,
    put_back: PutBack | None = None,
) -> EndpointChat:
    """The model ``name`` at ``base_url``; see ``adapters.serving.load_chat``."""
    return EndpointChat(
        model=name,
        adapter=adapter,
        base_url=base_url,
        api_key=SecretStr(api_key or "none"),  # the client refuses to start without one; local servers ignore it
        timeout=timeout_s,
        max_retries=0,  # tenacity does it, with a budget
        attempts=max_retries + 1,
        budget_s=budget_s,
        put_back=put_back,
        temperature=0,
        stream_usage=True,
        http_client=_Client(timeout_s),
        http_async_client=_AsyncClient(timeout_s),
    )


def _wait(state: RetryCallState) -> float:
    """What the server asks for, at most 20 s; else a random time that doubles, half a second at first."""
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after_s", None)
    if asked is not None:
        return float(min(asked, _LONGEST_WAIT_S))
    return float(wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT_S)(state))


class _Client(httpx.Client):
    """Ends an answer that takes longer than ``limit_s`` as a whole: httpx limits each wait for a piece only."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(follow_redirects=False)  # the library's own client would; proxies of the environment are used
        self._limit_s = limit_s

    def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        until = time.monotonic() + self._limit_s
        response = super().send(request, stream=True, **options)
        response.stream = _Timed(cast(httpx.SyncByteStream, response.stream), until)
        if not stream:
            try:
                response.read()
            finally:
                response.close()
        return response


class _AsyncClient(httpx.AsyncClient):
    def __init__(self, limit_s: float) -> None:
        super().__init__(follow_redirects=False)
        self._limit_s = limit_s

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        until = time.monotonic() + self._limit_s
        response = await super().send(request, stream=True, **options)
        response.stream = _AsyncTimed(cast(httpx.AsyncByteStream, response.stream), until)
        if not stream:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response


class _Timed(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream, until: float) -> None:
        self._inner = inner
        self._until = until

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._inner:
            if time.monotonic() > self._until:
                raise httpx.ReadTimeout("the answer as a whole took too long")
            yield piece

    def close(self) -> None:
        self._inner.close()


class _AsyncTimed(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, until: float) -> None:
        self._inner = inner
        self._until = until

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            if time.monotonic() > self._until:
                raise httpx.ReadTimeout("the answer as a whole took too long")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
