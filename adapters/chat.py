"""``ChatLlama``: a local LLaMA checkpoint as a LangChain chat model.

Tool calls are decoded under a grammar, so they are valid JSON for an offered tool by construction. Several adapters
share one base: ``chat.invoke(messages, adapter="frontdesk")``, and ``adapter=None`` is the base alone. It knows
prompts and tokens; what an answer or a citation is, ``adapters.generator`` knows.
"""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final, Literal, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from adapters.engine import Engine, Prefix
from adapters.errors import UnreadableReply
from adapters.grammar import Form, turn_grammar
from adapters.parsing import parse_reply
from adapters.prompt import turns_of
from adapters.templates import conversation
from state import ToolSpec, UserError

Choice = Literal["auto", "none", "any"]
_UNSET: Final = "\0"  # "no adapter named in this call", which differs from adapter=None, "the base alone"
_END: Final = object()


class ChatLlama(BaseChatModel):
    """A local LLaMA with adapters. Greedy unless ``temperature`` is above 0."""

    engine: Any
    """An ``adapters.engine.Engine``; shared by every copy of this model."""
    adapter: str | None = None
    temperature: float = 0.0
    seed: int | None = None
    max_tokens: int = 256
    today: str = ""
    """ISO date for checkpoints whose own chat template tells a date; "" leaves the template's default."""
    copy_arguments: bool = True
    """String and number arguments are copied from the conversation (see ``adapters.grammar``)."""

    @property
    def _llm_type(self) -> str:
        return "dojang-llama"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self._engine.speaker(self.adapter), "temperature": self.temperature}

    @property
    def _engine(self) -> Engine:
        return cast(Engine, self.engine)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools: LangChain tools, pydantic classes, functions, OpenAI dicts or ``state.ToolSpec``.

        Args:
            tools: What may be called; one call a turn.
            tool_choice: "auto" (the default), "none", "any"/"required"/True, or the name of one tool.
            **kwargs: Bound to every call, for example ``adapter``.

        Raises:
            UserError: ``tool_choice`` names a tool that is not among ``tools``.
        """
        specs = [tool_spec(tool) for tool in tools]
        choice = _choice(tool_choice, [spec["name"] for spec in specs])
        return super().bind(tools=specs, tool_choice=choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        whole: AIMessageChunk | None = None
        for chunk in self._chunks(messages, stop, **kwargs):
            whole = chunk if whole is None else whole + chunk
        if whole is None:
            raise UnreadableReply("the call was cancelled before the model said anything")
        message = AIMessage(
            content=whole.content,
            tool_calls=whole.tool_calls,
            usage_metadata=whole.usage_metadata,
            response_metadata=whole.response_metadata,
        )
        usage = {"token_usage": dict(whole.usage_metadata or {}), "model_name": self._engine.local.name}
        return ChatResult(generations=[ChatGeneration(message=message)], llm_output=usage)

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
        """``_generate`` in a thread; a cancelled task stops the model at its next token."""
        gone = threading.Event()
        try:
            return await asyncio.to_thread(self._generate, messages, stop, None, cancelled=gone, **kwargs)
        finally:
            gone.set()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """``_stream`` with each step in a thread; a consumer that goes away stops the model at its next token."""
        gone = threading.Event()
        steps = self._stream(messages, stop, None, cancelled=gone, **kwargs)
        try:
            while (chunk := await asyncio.to_thread(next, steps, _END)) is not _END:
                out = cast(ChatGenerationChunk, chunk)
                if run_manager and out.message.content:
                    await run_manager.on_llm_new_token(str(out.message.content), chunk=out)
                yield out
        finally:
            gone.set()

    def _chunks(
        self, messages: Sequence[BaseMessage], stop: Sequence[str] | None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """The reply in pieces: text as it comes, a tool call in one piece, then usage and speaker."""
        adapter = self.adapter if kwargs.get("adapter", _UNSET) == _UNSET else kwargs["adapter"]
        tools, choice = _offer(kwargs)
        cancelled = kwargs.get("cancelled") or threading.Event()
        prefix = self._prefix(messages, tools, adapter)
        prompt_tokens = len(prefix.ids)
        text = TextStream(self._engine.decode, stop or ())
        held = bool(tools) and choice != "none"  # until it is known whether this is a call, nothing is shown
        for tokens in self._engine.generate(
            prefix,
            grammar=kwargs.get("grammar") or self._grammar(messages, tools, choice),
            max_tokens=kwargs.get("max_tokens") or self.max_tokens,
            temperature=kwargs.get("temperature", self.temperature),
            seed=kwargs.get("seed", self.seed),
            cancelled=cancelled.is_set,
        ):
            text.push(tokens, whole_call=held)
            if held and text.whole.lstrip()[:1] not in ("", "{"):
                held = False
                text.push([])
            if text.stopped:
                break
            if not held and (piece := text.take()):
                yield AIMessageChunk(content=piece)
        if cancelled.is_set():
            return
        yield from self._last(text, held, [tool["name"] for tool in tools])
        yield self._closing(text, prompt_tokens, adapter, kwargs.get("max_tokens") or self.max_tokens)

    def _last(self, text: TextStream, held: bool, offered: Sequence[str]) -> Iterator[AIMessageChunk]:
        if not held:
            yield AIMessageChunk(content=text.take(last=True))
            return
        reply = parse_reply(text.whole, offered)
        if isinstance(reply, str):
            yield AIMessageChunk(content=reply)
            return
        args = json.dumps(reply.args, ensure_ascii=False)
        call = tool_call_chunk(name=reply.name, args=args, id=call_id(), index=0)
        yield AIMessageChunk(content="", tool_call_chunks=[call])

    def _closing(self, text: TextStream, prompt: int, adapter: str | None, max_tokens: int) -> AIMessageChunk:
        """The last chunk: usage in tokens (the stop token not counted), why it ended, who spoke."""
        used = UsageMetadata(input_tokens=prompt, output_tokens=text.tokens, total_tokens=prompt + text.tokens)
        cut = not text.stopped and (text.tokens >= max_tokens or prompt + text.tokens >= self._engine.local.context)
        told = {
            "finish_reason": "length" if cut else "stop",
            "model_name": self._engine.local.name,
            "speaker": self._engine.speaker(adapter),
        }
        return AIMessageChunk(content="", usage_metadata=used, response_metadata=told, chunk_position="last")

    def _prefix(self, messages: Sequence[BaseMessage], tools: Sequence[ToolSpec], adapter: str | None) -> Prefix:
        prompt = conversation(self._engine.local.tokenizer, messages, tools, today=self.today)
        return self._engine.read(self._engine.encode(prompt), adapter=adapter)

    def _grammar(self, messages: Sequence[BaseMessage], tools: Sequence[ToolSpec], choice: str) -> str | None:
        if not tools or choice == "none":
            return None
        forms: list[Form] = ["call", "text"] if choice == "auto" else ["call"]
        offered = [t for t in tools if choice in ("auto", "any", t["name"])]
        texts = [turn.content for turn in turns_of(cast(Sequence[AnyMessage], messages)) if turn.role != "assistant"]
        return turn_grammar(offered, forms=forms, texts=texts, copy=self.copy_arguments)


class TextStream:
    """Tokens to text: never half a character, never a stop string or the beginning of one."""

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str]) -> None:
        self._decode = decode
        self._stop = [s for s in stop if s]
        self._ids: list[int] = []
        self._given = 0
        self.whole = ""
        self.stopped = False

    @property
    def tokens(self) -> int:
        """How many tokens were taken in."""
        return len(self._ids)

    def push(self, tokens: Sequence[int], *, whole_call: bool = False) -> None:
        """Take in new tokens; ``stopped`` is set once a stop string is complete, and ``whole`` ends before it.

        A tool call is not cut by stop strings (``whole_call``): they are meant for text.
        """
        self._ids.extend(tokens)
        self.whole = self._decode(self._ids)
        if whole_call:
            return
        found = [at for s in self._stop if (at := self.whole.find(s)) >= 0]
        if found:
            self.whole, self.stopped = self.whole[: min(found)], True

    def take(self, *, last: bool = False) -> str:
        """The text that is certain by now and has not been taken yet."""
        end = len(self.whole) if last or self.stopped else len(self.whole) - self._unsure()
        piece = self.whole[self._given : end]
        self._given = max(self._given, end)
        return piece

    def _unsure(self) -> int:
        broken = int(self.whole.endswith("\ufffd"))  # an unfinished character decodes to one such sign
        lengths = (n for s in self._stop for n in range(1, len(s)) if self.whole.endswith(s[:n]))
        return max(broken, max(lengths, default=0))


def call_id() -> str:
    """A fresh id for a tool call."""
    return f"call_{uuid.uuid4().hex}"


def tool_spec(tool: Any) -> ToolSpec:
    """Any of the forms that LangChain takes for a tool, as a ToolSpec that is only good for prompting."""
    if isinstance(tool, dict) and "parameters" in tool and "name" in tool:
        function = tool
    else:
        function = convert_to_openai_tool(tool)["function"]
    return ToolSpec(
        name=function["name"],
        description=function.get("description", ""),
        parameters=function.get("parameters") or {"type": "object", "properties": {}},
        schema_version="",
        effect_class="irreversible",
        recovery="at_most_once",
        reversible=False,
    )


def _choice(choice: str | bool | dict[str, Any] | None, names: Sequence[str]) -> str:
    if isinstance(choice, dict):
        choice = str(choice.get("function", choice).get("name", ""))
    if choice in (None, False, "auto"):
        return "auto"
    if choice in (True, "any", "required"):
        return "any"
    if choice == "none":
        return "none"
    if choice not in names:
        raise UserError(f"tool_choice {choice!r} is not among the tools ({', '.join(names) or 'none'})")
    return str(choice)


def _offer(kwargs: dict[str, Any]) -> tuple[list[ToolSpec], str]:
    tools = [tool_spec(tool) for tool in kwargs.get("tools") or []]
    return tools, _choice(kwargs.get("tool_choice"), [tool["name"] for tool in tools])
