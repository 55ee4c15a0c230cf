"""``ChatLlama``: a local LLaMA or GPT-NeoX checkpoint as a LangChain chat model.

Tool calls are decoded under a grammar, so they are valid JSON for an offered tool by construction. Several adapters
share one base: ``chat.bind(adapter="frontdesk")``, and ``adapter=None`` is the base alone. ``batch`` decodes its inputs
together. It knows prompts and tokens; what an answer or a citation is, ``adapters.generator`` knows.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_config_list
from langchain_core.tools import BaseTool
from pydantic import PrivateAttr

from adapters.errors import UnreadableReply
from adapters.forms.grammar import PARALLEL, Form, turn_grammar
from adapters.forms.offers import choice_of, sources_of, tool_spec
from adapters.local.engine import Engine, Prefix
from adapters.local.fitting import PROBE, LeftOut, cut_call, fit, shared
from adapters.local.telling import Telling
from adapters.local.telling import TextStream as TextStream
from adapters.local.templates import conversation
from adapters.prompt import readable, turns_of
from state import ToolSpec, UserError

_UNSET: Final = "\0"  # "no adapter named in this call", which differs from adapter=None, "the base alone"
_END: Final = object()
T = TypeVar("T")


@dataclass
class _Asked:
    """One call of the model: its prompt read, its options, and the reply on its way out."""

    prefix: Prefix
    telling: Telling
    adapter: str | None
    prompt: int  # tokens
    left_out: LeftOut | None
    options: dict[str, Any]  # of the decoding


_Said: TypeAlias = list[AIMessageChunk] | Exception
"""A reply in pieces, or why there is none."""


class ChatLlama(BaseChatModel):
    """A local LLaMA with adapters. Greedy unless ``temperature`` is above 0.

    What a single call may say otherwise, with ``bind`` or as keywords: ``adapter``, ``temperature``, ``seed``,
    ``max_tokens``, ``stop``, ``evidence`` (what grounded fields and citations refer to: texts, passages, documents).
    """

    engine: Any
    """An ``adapters.local.engine.Engine``; shared by every copy of this model."""
    adapter: str | None = None
    temperature: float = 0.0
    seed: int | None = None
    max_tokens: int = 256
    """Of a text; a call has ``call_tokens`` at least, because half a call is none."""
    call_tokens: int = 1024
    today: str = ""
    """ISO date for checkpoints whose own chat template tells a date; "" leaves the template's default."""
    copy_arguments: bool = True
    """Arguments that say nothing of their grounding are copied from the conversation (see ``forms.grounding``)."""
    evidence: Any = None
    """What grounded fields and citations refer to, where a call gives nothing else."""
    trim: bool = True
    """A conversation that is too long loses its oldest turns, and the reply says so; False: it is refused."""
    rows: int = 16
    """How many inputs ``batch`` decodes together."""
    _ready: _Said | None = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "dojang-llama"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """All that shapes a reply beside its messages and the keywords of its call: LangChain's caches go by it."""
        local = self._engine.local
        own = [name for name in type(self).model_fields if name not in {*BaseChatModel.model_fields, "engine", "rows"}]
        return {
            "model": self._engine.speaker(self.adapter),
            **{name: getattr(self, name) for name in own},
            "fingerprint": local.fingerprint,
            "quantization": local.quantization,
        }

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """With the weights of the adapter that speaks in this call, because its name may mean others another day."""
        weights = self._engine.local.adapter_fingerprints.get(self._speaking(kwargs) or "")
        return {**super()._get_invocation_params(stop=stop, **kwargs), "adapter_fingerprint": weights}

    def _speaking(self, kwargs: Mapping[str, Any]) -> str | None:
        return self.adapter if kwargs.get("adapter", _UNSET) == _UNSET else kwargs["adapter"]

    @property
    def _engine(self) -> Engine:
        return cast(Engine, self.engine)

    def get_token_ids(self, text: str) -> list[int]:
        """Tokens of the loaded checkpoint; ``get_num_tokens`` and ``trim_messages(token_counter=chat)`` count them."""
        return self._engine.encode(text) if self.custom_get_token_ids is None else super().get_token_ids(text)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools: LangChain tools, pydantic classes, functions, OpenAI dicts or ``state.ToolSpec``.

        Args:
            tools: What may be called; one call a turn, unless ``parallel_tool_calls=True`` allows up to eight.
            tool_choice: "auto" (the default), "none", "any"/"required"/True, or one tool (``offers.choice_of``).
            **kwargs: Bound to every call, for example ``adapter`` or ``evidence``.

        Raises:
            UserError: ``tool_choice`` names a tool that is not among ``tools``.
        """
        specs = [tool_spec(tool) for tool in tools]
        choice = choice_of(tool_choice, [spec["name"] for spec in specs])
        return super().bind(tools=specs, tool_choice=choice, **kwargs)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Replies that are valid for a pydantic class, a TypedDict or a JSON schema, by grammar.

        Fields are free unless they say what they are grounded in (``forms.grounding``). ``adapter``, ``evidence``,
        ``copy_arguments`` and the other settings of this class may be given here: what was bound before is lost.
        """
        if isinstance(schema, dict) and "title" not in schema and "properties" in schema:
            schema = {"title": "answer", "description": "The answer.", **schema}
        own = {key: kwargs.pop(key) for key in list(kwargs) if key in type(self).model_fields}
        free = self.model_copy(update={"copy_arguments": False, **own})
        return BaseChatModel.with_structured_output(free, schema, include_raw=include_raw, **kwargs)

    # -- one at a time --------------------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._result(self._chunks(messages, stop, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages, stop, **kwargs):
            out = ChatGenerationChunk(message=chunk)
            if run_manager and chunk.content:
                run_manager.on_llm_new_token(str(chunk.content), chunk=out)
            yield out

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """``_generate`` in a thread; a cancelled task stops the model at its next token and waits for that."""
        gone = threading.Event()
        return await _in_thread(gone, lambda: self._generate(messages, stop, None, cancelled=gone, **kwargs))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """``_stream`` with each step in a thread; a consumer that goes away stops the model at its next token."""
        gone = threading.Event()
        steps = cast(Any, self._stream(messages, stop, None, cancelled=gone, **kwargs))
        try:
            while (chunk := await _in_thread(gone, lambda: next(steps, _END))) is not _END:
                out = cast(ChatGenerationChunk, chunk)
                if run_manager and out.message.content:
                    await run_manager.on_llm_new_token(str(out.message.content), chunk=out)
                yield out
        finally:
            gone.set()
            steps.close()

    # -- many at a time -------------------------------------------------------------------------------------------

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Replies to many inputs, decoded together in groups of ``rows`` (or ``max_concurrency``, where smaller)."""
        configs = get_config_list(config, len(inputs)) if inputs else []
        found: list[Any] = []
        for given, each, said in zip(inputs, configs, self._together(inputs, configs, kwargs), strict=True):
            try:
                found.append(self._having(said).invoke(given, each, **kwargs))
            except Exception as e:
                if not return_exceptions:
                    raise
                found.append(e)
        return found

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """``batch`` in a thread; a cancelled task stops all of them at the next token."""
        configs = get_config_list(config, len(inputs)) if inputs else []
        gone = threading.Event()
        said = await _in_thread(gone, lambda: self._together(inputs, configs, {**kwargs, "cancelled": gone}))
        calls = (self._having(s).ainvoke(i, c, **kwargs) for i, c, s in zip(inputs, configs, said, strict=True))
        return list(await asyncio.gather(*calls, return_exceptions=return_exceptions))

    def _having(self, said: _Said) -> ChatLlama:
        """This model with its next reply at hand: LangChain asks ``_generate`` or ``_stream`` for it, as it likes.

        It is not a keyword of the call, because those are shown to tracers and make the key of a cache.
        """
        one = self.model_copy()
        one._ready = said
        return one

    def _together(
        self, inputs: Sequence[LanguageModelInput], configs: Sequence[RunnableConfig], kwargs: dict[str, Any]
    ) -> list[_Said]:
        limits = [self.rows, *(int(c["max_concurrency"] or self.rows) for c in configs if "max_concurrency" in c)]
        size = max(1, min(limits))
        found: list[_Said] = []
        for start in range(0, len(inputs), size):
            found += self._group(inputs[start : start + size], kwargs)
        return found

    def _group(self, inputs: Sequence[LanguageModelInput], kwargs: dict[str, Any]) -> list[_Said]:
        """One batch: what could not even be asked is an exception in its place."""
        from adapters.local.batching import Row, decode_together

        cancelled = kwargs.get("cancelled") or threading.Event()
        rows: list[tuple[int, _Asked, Row, list[AIMessageChunk]]] = []
        found: list[_Said] = [UnreadableReply(_CANCELLED)] * len(inputs)
        options = {key: value for key, value in kwargs.items() if key not in ("stop", "cancelled")}
        for place, given in enumerate(inputs):
            try:
                messages = self._convert_input(given).to_messages()
                asked = self._ask(messages, kwargs.get("stop"), cancelled, **options)
                row = Row(asked.prefix, self._engine.reply(asked.prompt, **asked.options))
                rows.append((place, asked, row, []))
            except Exception as e:
                found[place] = e
        if rows and not cancelled.is_set():
            steps = decode_together(self._engine, [row for _, _, row, _ in rows], cancelled=cancelled.is_set)
            try:
                for n, tokens in steps:
                    _, asked, row, chunks = rows[n]
                    if piece := asked.telling.push(tokens):
                        chunks.append(AIMessageChunk(content=piece))
                    row.ended = asked.telling.over
            except Exception as e:  # of the step that all of them share
                for _, _, row, _ in rows:
                    row.failed = row.failed or e
        if cancelled.is_set():
            return found
        for place, asked, row, chunks in rows:
            try:
                found[place] = row.failed or [*chunks, *self._closing(asked)]
            except Exception as e:
                found[place] = e
        return found

    # -- a reply --------------------------------------------------------------------------------------------------

    def _chunks(
        self, messages: Sequence[BaseMessage], stop: Sequence[str] | None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """The reply in pieces: text as it comes, tool calls in one piece each, then usage and speaker."""
        cancelled = kwargs.pop("cancelled", None) or threading.Event()
        if isinstance(self._ready, Exception):
            raise self._ready
        if self._ready is not None:
            yield from self._ready
            return
        asked = self._ask(messages, stop, cancelled, **kwargs)
        if cancelled.is_set():
            return
        steps = self._engine.generate(asked.prefix, cancelled=cancelled.is_set, **asked.options)
        for tokens in steps:
            if piece := asked.telling.push(tokens):
                yield AIMessageChunk(content=piece)
            if asked.telling.over:
                break
        if not cancelled.is_set():
            yield from self._closing(asked)

    def _ask(
        self, messages: Sequence[BaseMessage], stop: Sequence[str] | None, cancelled: threading.Event, **kwargs: Any
    ) -> _Asked:
        """Read the prompt and get everything ready for the first token."""
        messages = [readable(message) for message in messages]
        adapter = self._speaking(kwargs)
        tools = [tool_spec(tool) for tool in kwargs.get("tools") or []]
        choice = choice_of(kwargs.get("tool_choice"), [tool["name"] for tool in tools])
        callable_ = [tool["name"] for tool in tools] if choice != "none" else []
        said = {key: value for key, value in kwargs.items() if value is not None}
        max_tokens = int(said.get("max_tokens", self.max_tokens))
        if max_tokens < 1:
            raise UserError(f"max_tokens is {max_tokens}; a reply has one at least, give 1 or more")
        longest = max(max_tokens, self.call_tokens) if callable_ else max_tokens
        kept, prefix, left_out = self._read(messages, tools, adapter, longest, cancelled)
        options = {
            "grammar": kwargs.get("grammar") or self._grammar(kept, tools, choice, kwargs),
            "max_tokens": longest,
            "temperature": said.get("temperature", self.temperature or 0.0),
            "seed": kwargs.get("seed", self.seed),
        }
        stops = [*(stop or ()), *self._engine.local.turn_marks]
        telling = Telling(self._engine.decode, stops, callable_, max_tokens)
        return _Asked(prefix, telling, adapter, len(prefix.ids), left_out, options)

    def _read(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[ToolSpec],
        adapter: str | None,
        longest: int,
        cancelled: threading.Event,
    ) -> tuple[list[BaseMessage], Prefix, LeftOut | None]:
        engine = self._engine

        def read(kept: Sequence[BaseMessage]) -> list[int]:
            return engine.encode(conversation(engine.local.tokenizer, kept, tools, today=self.today))

        room = engine.local.context - min(longest, engine.local.context // 4)
        ids, kept, gone = fit(read, messages, room) if self.trim else (read(messages), list(messages), 0)
        system = [m for m in kept if isinstance(m, SystemMessage)]
        head = shared(ids, read([*system, HumanMessage(PROBE)])) if system or tools else 0
        prefix = engine.read(ids, adapter=adapter, head=head, cancelled=cancelled.is_set)
        return kept, prefix, LeftOut(messages=gone, evidence=0, context=engine.local.context) if gone else None

    def _closing(self, asked: _Asked) -> Iterator[AIMessageChunk]:
        """What was held back, then the last chunk: usage in tokens (the stop token not counted), why it ended, who."""
        local, spoken = self._engine.local, asked.telling.tokens
        total = asked.prompt + spoken
        try:
            yield from asked.telling.last()
        except UnreadableReply:
            if total < local.context:
                raise
            raise cut_call(local.name, local.context, asked.prompt) from None
        told: dict[str, Any] = {
            "finish_reason": asked.telling.reason(full=total >= local.context),
            "model_name": local.name,
            "speaker": self._engine.speaker(asked.adapter),
        }
        told |= {"revision": local.revision} if local.revision else {}
        told |= {"left_out": dict(asked.left_out)} if asked.left_out else {}
        used = UsageMetadata(input_tokens=asked.prompt, output_tokens=spoken, total_tokens=total)
        yield AIMessageChunk(content="", usage_metadata=used, response_metadata=told, chunk_position="last")

    def _result(self, chunks: Iterator[AIMessageChunk]) -> ChatResult:
        whole: AIMessageChunk | None = None
        for chunk in chunks:
            whole = chunk if whole is None else whole + chunk
        if whole is None:
            raise UnreadableReply(_CANCELLED)
        message = AIMessage(
            content=whole.content,
            tool_calls=whole.tool_calls,
            usage_metadata=whole.usage_metadata,
            response_metadata=whole.response_metadata,
        )
        usage = {"token_usage": dict(whole.usage_metadata or {}), "model_name": self._engine.local.name}
        return ChatResult(generations=[ChatGeneration(message=message)], llm_output=usage)

    def _grammar(
        self, messages: Sequence[BaseMessage], tools: Sequence[ToolSpec], choice: str, kwargs: dict[str, Any]
    ) -> str | None:
        if not tools or choice == "none":
            return None
        forms: list[Form] = ["call", "text"] if choice == "auto" else ["call"]
        offered = [t for t in tools if choice in ("auto", "any", t["name"])]
        texts = [turn.content for turn in turns_of(cast(Sequence[AnyMessage], messages)) if turn.role != "assistant"]
        return turn_grammar(
            offered,
            forms=forms,
            texts=texts,
            copy=self.copy_arguments,
            sources=sources_of(kwargs.get("evidence") or self.evidence),
            parallel=PARALLEL if kwargs.get("parallel_tool_calls") else 1,
        )


_CANCELLED: Final = "the call was cancelled before the model said anything"


async def _in_thread(gone: threading.Event, work: Callable[[], T]) -> T:
    """``work`` in a thread. A cancelled task sets ``gone`` and waits until the thread is through with its token."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        gone.set()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # it was cancelled: nobody asks for its outcome
        raise
