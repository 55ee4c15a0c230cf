"""Many at a time: what each input would have got alone, with its own grammar, stops and errors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from adapters.errors import PromptTooLong
from adapters.local.batching import Row, decode_together
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine
from adapters.local.loading import load_local
from adapters.local.matching import Reply
from state import BrokenInvariant
from tests.adapters.families import save_polyglot
from tests.adapters.tiny import BOOK, CANCEL

ASKS: list[Any] = [
    "남산스테이에 2명 예약해 주세요",
    "hi",
    "Book a room at Namsan Stay for 2 guests from December 3, please.",
    [SystemMessage("규칙을 지키세요. " * 20), HumanMessage("조식은?")],
    "취소 B-7",
]


def told(message: Any) -> Any:
    calls = [(c["name"], c["args"]) for c in message.tool_calls]
    return message.content, calls, message.usage_metadata, message.response_metadata


@pytest.mark.parametrize("adapter", [None, "red", "blue"])
def test_a_batch_says_what_each_says_alone(chat: ChatLlama, adapter: str | None) -> None:
    speaking = chat.bind(adapter=adapter, max_tokens=30)
    alone = [told(speaking.invoke(ask)) for ask in ASKS]
    assert len({len(content) for content, *_ in alone}) > 1, "the replies differ in length, so rows leave in turn"
    assert [told(m) for m in speaking.batch(ASKS)] == alone


def test_calls_forced_tokens_and_text_side_by_side(chat: ChatLlama) -> None:
    for choice in ("any", "auto", "book_room"):
        bound = chat.bind_tools([BOOK, CANCEL], tool_choice=choice, adapter="red")  # type: ignore[list-item]
        asks: list[Any] = [f"{ask} 3명" if isinstance(ask, str) else "Harbor Inn 1명" for ask in ASKS]
        assert [told(m) for m in bound.batch(asks)] == [told(bound.invoke(ask)) for ask in asks]


def test_a_neox_batch_too(tmp_path: Path) -> None:
    chat = ChatLlama(
        engine=Engine(load_local(save_polyglot(tmp_path / "p"), quantization="fp32", device="cpu")), max_tokens=20
    )
    assert [told(m) for m in chat.batch(ASKS)] == [told(chat.invoke(ask)) for ask in ASKS]


def test_each_row_has_its_own_stops(chat: ChatLlama) -> None:
    whole = [str(m.content) for m in chat.bind(adapter="red", max_tokens=30).batch(ASKS)]
    stop = max(whole, key=len)[4:6]
    cut = chat.bind(adapter="red", max_tokens=30, stop=[stop]).batch(ASKS)
    assert [m.content for m in cut] == [text.partition(stop)[0] for text in whole]
    assert any(stop in text for text in whole)


def test_small_groups_say_the_same(chat: ChatLlama) -> None:
    speaking = chat.bind(adapter="blue", max_tokens=12)
    alone = [told(speaking.invoke(ask)) for ask in ASKS]
    assert [told(m) for m in speaking.batch(ASKS, config={"max_concurrency": 2})] == alone
    assert speaking.batch([]) == []


def test_one_that_cannot_be_asked_leaves_the_others_alone(chat: ChatLlama) -> None:
    asks = [ASKS[0], "가 나 다 라 " * 800, ASKS[1]]
    first, second, third = chat.batch(asks, return_exceptions=True, max_tokens=5)
    assert isinstance(second, PromptTooLong)
    assert [told(first), told(third)] == [told(chat.invoke(a, max_tokens=5)) for a in (asks[0], asks[2])]
    with pytest.raises(PromptTooLong):
        chat.batch(asks, max_tokens=5)


class Failing(Engine):
    """Its second reply cannot be decoded."""

    replies = 0

    def reply(self, read: int, **options: Any) -> Reply:
        made = super().reply(read, **options)
        self.replies += 1
        if self.replies == 2:
            made.next = self._fail  # type: ignore[method-assign]
        return made

    def _fail(self, *_: Any, **__: Any) -> Any:
        raise BrokenInvariant("a dead end")


def test_one_that_cannot_be_decoded_leaves_the_others_alone(engine: Engine, chat: ChatLlama) -> None:
    first, second, third = ChatLlama(engine=Failing(engine.local), max_tokens=5).batch(ASKS[:3], return_exceptions=True)
    assert isinstance(second, BrokenInvariant)
    assert [told(first), told(third)] == [told(chat.invoke(a, max_tokens=5)) for a in (ASKS[0], ASKS[2])]
    with pytest.raises(BrokenInvariant, match="a dead end"):
        ChatLlama(engine=Failing(engine.local), max_tokens=5).batch(ASKS[:3])


def test_a_step_that_fails_for_all_is_returned_for_each(engine: Engine) -> None:
    failing = Failing(engine.local)
    failing.step = failing._fail  # type: ignore[method-assign]
    found = ChatLlama(engine=failing, max_tokens=5).batch(ASKS[:3], return_exceptions=True)
    assert [type(e) for e in found] == [BrokenInvariant] * 3


async def test_abatch_says_the_same_and_counts(chat: ChatLlama) -> None:
    counted = UsageMetadataCallbackHandler()
    found = await chat.abatch(ASKS, config={"callbacks": [counted]}, max_tokens=8)
    assert [told(m) for m in found] == [told(m) for m in chat.batch(ASKS, max_tokens=8)]
    (usage,) = counted.usage_metadata.values()
    assert usage["output_tokens"] == sum(m.usage_metadata["output_tokens"] for m in found)


class Counting(Engine):
    """Counts forward passes."""

    passes = 0

    def _run(self, *args: Any, **options: Any) -> Any:
        self.passes += 1
        return super()._run(*args, **options)


class Seen(AsyncCallbackHandler):
    """What LangChain shows to tracers of each call."""

    def __init__(self) -> None:
        self.params: list[dict[str, Any]] = []

    async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.params.append(kwargs["invocation_params"])


async def test_a_batch_that_is_streamed_is_decoded_once(engine: Engine) -> None:
    counting = Counting(engine.local)
    chat = ChatLlama(engine=counting, max_tokens=8)

    async def ask(_: Any) -> Any:
        return await chat.abatch(ASKS)

    whole = [told(m) for m in await ask(None)]
    once, counting.passes, streamed = counting.passes, 0, ""
    said: list[Any] = []
    async for event in RunnableLambda(ask).astream_events(None, version="v2"):
        if event["event"] == "on_chat_model_stream":
            streamed += str(event["data"]["chunk"].content)
        elif event["event"] == "on_chain_end":
            said = event["data"]["output"]
    assert 0 < counting.passes <= once
    assert [told(m)[:3] for m in said] == [reply[:3] for reply in whole]
    assert sorted(streamed) == sorted("".join(content for content, *_ in whole))


async def test_tracers_see_of_a_batch_what_they_see_of_one_call(chat: ChatLlama) -> None:
    seen = Seen()
    config: Any = {"callbacks": [seen]}
    await chat.abatch(["hi", "hi"], config, max_tokens=3)
    await chat.ainvoke("hi", config, max_tokens=3)
    assert seen.params[0] == seen.params[1] == seen.params[2]
    chat.cache = InMemoryCache()
    first = chat.batch(["hi"], max_tokens=3)[0]
    assert chat.batch(["hi"], max_tokens=3)[0].id == chat.invoke("hi", max_tokens=3).id == first.id


async def test_a_cancelled_batch_stops_at_the_next_token(engine: Engine) -> None:
    counting = Counting(engine.local)
    chat = ChatLlama(engine=counting, max_tokens=1500)
    task = asyncio.create_task(chat.abatch(ASKS, grammar=r"start: /(.|\n){3000,4000}/"))
    while counting.passes < len(ASKS) + 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    after = counting.passes
    assert after < 800
    await asyncio.sleep(0)
    assert counting.passes == after, "nothing runs any more when the task is through"


def test_structured_output_in_a_batch(chat: ChatLlama) -> None:
    class Place(BaseModel):
        """A place."""

        city: str
        nights: int

    found = chat.with_structured_output(Place).batch(["서울 2박", "부산"])
    assert all(isinstance(place, Place) for place in found)


def test_rows_under_different_adapters_are_refused(engine: Engine) -> None:
    ids = engine.encode("hi")
    rows = [Row(engine.read(ids, adapter=name), engine.reply(len(ids))) for name in (None, "red")]
    with pytest.raises(ValueError, match="share one adapter"):
        next(decode_together(engine, rows))
