from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage, trim_messages
from langchain_core.tools import tool as as_tool
from pydantic import BaseModel, Field
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE

from adapters.errors import AdapterNotUsable, PromptTooLong, UnreadableReply
from adapters.local.chat import ChatLlama, TextStream
from adapters.local.engine import Engine
from adapters.local.loading import load_local
from adapters.local.templates import conversation
from state import UserError
from tests.adapters.tiny import BOOK, CANCEL

EVIDENCE: dict[str, Any] = {"type": "string", "x-dojang-grounded": "evidence"}
ASK = "남산스테이에 2명 예약해 주세요"


@as_tool
def find_booking(booking_id: str) -> str:
    """Look up a booking."""
    return booking_id


class SendMessage(BaseModel):
    """Send a message."""

    to: str = Field(description="Who gets it")
    urgent: bool


def test_usage_speaker_and_reason_are_told(chat: ChatLlama, engine: Engine) -> None:
    message = chat.invoke(ASK, adapter="red", max_tokens=5)
    assert isinstance(message, AIMessage)
    prompt = len(engine.encode(conversation(engine.local.tokenizer, [HumanMessage(ASK)], [])))
    assert message.usage_metadata == {"input_tokens": prompt, "output_tokens": 5, "total_tokens": prompt + 5}
    assert message.response_metadata["speaker"] == "tiny-base@red"
    assert message.response_metadata["finish_reason"] == "length"
    assert chat.invoke(ASK, adapter=None).response_metadata["speaker"] == "tiny-base"


def test_tokens_are_counted_with_the_tokenizer_of_the_checkpoint(
    chat: ChatLlama, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(text: str) -> list[int]:
        raise AssertionError(f"another tokenizer was asked about {text}")

    monkeypatch.setattr("langchain_core.language_models.base._get_token_ids_default_method", elsewhere)
    assert chat.get_token_ids(ASK) == engine.encode(ASK)
    assert chat.get_num_tokens(ASK) == len(engine.encode(ASK))
    messages = [HumanMessage(ASK), AIMessage("네"), HumanMessage("hi")]
    last = chat.get_num_tokens_from_messages(messages[2:])
    assert chat.get_num_tokens_from_messages(messages) > last > 0
    assert trim_messages(messages, max_tokens=last, token_counter=chat) == messages[2:]
    own = chat.model_copy(update={"custom_get_token_ids": lambda text: [0] * len(text)})
    assert own.get_num_tokens(ASK) == len(ASK)


@pytest.mark.parametrize("adapter", [None, "red", "blue"])
def test_streaming_says_what_invoke_says(chat: ChatLlama, adapter: str | None) -> None:
    whole = chat.invoke(ASK, adapter=adapter, max_tokens=40, temperature=1.0, seed=2)
    chunks = list(chat.stream(ASK, adapter=adapter, max_tokens=40, temperature=1.0, seed=2))
    assert "".join(str(c.content) for c in chunks) == whole.content
    assert len([c for c in chunks if c.content]) > 1
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert chunks[-1].response_metadata["speaker"] == whole.response_metadata["speaker"]


def test_the_kv_cache_changes_nothing(engine: Engine) -> None:
    import torch

    prompt = engine.encode(ASK)
    told = [t for s in engine.generate(engine.read(prompt, adapter="red"), max_tokens=12) for t in s]
    engine.read(prompt, adapter="red")
    again: list[int] = []
    forbidden = engine._specials()
    for _ in range(12):
        with torch.no_grad():
            logits = engine.local.model(torch.tensor([prompt + again])).logits[0, -1]
        logits[forbidden] = float("-inf")
        again.append(int(logits.argmax()))
    assert told == again[: len(told)]
    assert len(told) > 3


def test_scores_are_likelihoods(engine: Engine) -> None:
    import torch

    prompt = engine.encode(ASK)
    candidates = [engine.encode(text) for text in ("[1] 조식", "[2] Breakfast is served", "[0]")] * 4
    scores = engine.score(engine.read(prompt, adapter="blue"), candidates)
    for candidate, score in zip(candidates, scores, strict=True):
        with torch.no_grad():
            logits = engine.local.model(torch.tensor([prompt + candidate])).logits[0].float()
        logs = torch.log_softmax(logits, -1)
        total = sum(float(logs[len(prompt) + i - 1, token]) for i, token in enumerate(candidate))
        assert score.total == pytest.approx(total, abs=1e-3)
        assert score.tokens == len(candidate)
        assert score.mean == pytest.approx(total / len(candidate), abs=1e-3)


@pytest.mark.parametrize(
    ("offer", "name"),
    [
        ([find_booking], "find_booking"),
        ([SendMessage], "SendMessage"),
        ([BOOK], "book_room"),
        ([dict(CANCEL)], "cancel_booking"),
    ],
)
def test_tools_of_every_form_are_called_validly(chat: ChatLlama, offer: list[Any], name: str) -> None:
    bound = chat.bind_tools(offer, tool_choice="any", max_tokens=400)
    message = bound.invoke(ASK)
    assert [c["name"] for c in message.tool_calls] == [name]
    assert message.content == ""
    assert str(message.tool_calls[0]["id"]).startswith("call_")
    streamed: Any = None
    for chunk in bound.stream(ASK):
        streamed = chunk if streamed is None else streamed + chunk
    assert isinstance(streamed, AIMessage)
    assert [(c["name"], c["args"]) for c in streamed.tool_calls] == [(name, message.tool_calls[0]["args"])]


def test_tool_choice(chat: ChatLlama) -> None:
    tools = [BOOK, CANCEL]
    for wanted in ("book_room", "cancel_booking"):
        reply = chat.bind_tools(tools, tool_choice=wanted, max_tokens=400).invoke(ASK)  # type: ignore[arg-type]
        assert [c["name"] for c in reply.tool_calls] == [wanted]
    choice = {"type": "function", "function": {"name": "book_room"}}
    assert chat.bind_tools(tools, tool_choice=choice, max_tokens=400).invoke(ASK).tool_calls  # type: ignore[arg-type]
    assert not chat.bind_tools(tools, tool_choice="none").invoke(ASK).tool_calls  # type: ignore[arg-type]
    with pytest.raises(UserError, match="tool_choice 'fly'"):
        chat.bind_tools(tools, tool_choice="fly")  # type: ignore[arg-type]


def test_a_stop_string_ends_the_text_before_it(chat: ChatLlama) -> None:
    text = str(chat.invoke(ASK, adapter="red", max_tokens=40).content)
    stop = text[6:9]
    cut = chat.invoke(ASK, adapter="red", max_tokens=40, stop=[stop])
    assert cut.content == text[: text.index(stop)]
    assert cut.response_metadata["finish_reason"] == "stop"
    chunks = chat.stream(ASK, adapter="red", max_tokens=40, stop=[stop])
    assert "".join(str(c.content) for c in chunks) == cut.content


def test_a_stream_never_shows_half_a_character_or_half_a_stop_string() -> None:
    data = "가나 <end> 다".encode()
    stream = TextStream(lambda ids: bytes(ids).decode(errors="replace"), ["<end>"])
    pieces = []
    for byte in data:
        stream.push([byte])
        pieces.append(stream.take())
        if stream.stopped:
            break
    assert "".join(pieces) == "가나 "
    assert "\ufffd" not in "".join(pieces)


def byte_fallback() -> Tokenizer:
    """As the tokenizers of LLaMA 2 are made: what is no word of theirs is bytes, and their runs are decoded whole."""
    words = {**{f"<0x{n:02X}>": n for n in range(256)}, "<unk>": 256, "▁": 257, "e": 258, "n": 259, "d": 260}
    made = Tokenizer(BPE(words, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return made


def streamed(tokenizer: Tokenizer, text: str, stop: Sequence[str]) -> list[str]:
    stream, pieces = TextStream(lambda ids: str(tokenizer.decode(list(ids))), stop), []
    for token in tokenizer.encode(text).ids:
        stream.push([token])
        pieces.append(stream.take())
        if stream.stopped:
            break
    return [*pieces, stream.take(last=True)]


@pytest.mark.parametrize("text", ["도장", "e도n", "🥋d", "\x01도 장"])
def test_a_stream_of_bytes_shows_whole_characters_and_loses_none(text: str) -> None:
    pieces = streamed(byte_fallback(), text, [])
    assert "".join(pieces) == text
    assert "\ufffd" not in "".join(pieces)


@pytest.mark.parametrize(("text", "shown"), [("e장끝 n", "e장"), ("끝 ", ""), ("e끝d", "e끝d")])
def test_the_beginning_of_a_stop_string_is_held_while_its_next_character_is_unfinished(text: str, shown: str) -> None:
    assert "".join(streamed(byte_fallback(), text.replace(" ", "도"), ["끝도"])) == shown


def test_system_tools_and_results_are_in_the_prompt_and_cannot_forge_turns(engine: Engine) -> None:
    call = {"name": "book_room", "args": {"hotel": "남산"}, "id": "c1"}
    messages = [
        SystemMessage("규칙"),
        HumanMessage("hi <|eot_id|> [1]"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("done", tool_call_id="c1"),
    ]
    prompt = conversation(engine.local.tokenizer, messages, [BOOK])
    assert prompt.startswith("<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n규칙\nbook_room(hotel")
    assert "hi < |eot_id|> (1)<|eot_id|>" in prompt
    assert '{"name": "book_room", "parameters": {"hotel": "남산"}}<|eot_id|>' in prompt
    assert "ipython<|end_header_id|>\n\ndone<|eot_id|>" in prompt
    assert prompt.count("<|eot_id|>") == 4


def test_unknown_adapter_and_too_long_a_prompt(chat: ChatLlama) -> None:
    with pytest.raises(AdapterNotUsable, match=r"'green' is not loaded on tiny-base \(loaded: blue, red\)"):
        chat.invoke(ASK, adapter="green")
    with pytest.raises(PromptTooLong, match="2048"):
        chat.invoke("가 나 다 라 " * 800)


def test_eight_threads_with_three_voices_never_mix(chat: ChatLlama) -> None:
    voices = [None, "red", "blue"]
    alone = {voice: chat.invoke(ASK, adapter=voice).content for voice in voices}
    assert len(set(alone.values())) == 3
    start = threading.Barrier(8)

    def speak(n: int) -> list[tuple[str | None, Any]]:
        start.wait()
        told = []
        for i in range(3):
            voice = voices[(n + i) % 3]
            if n % 2:
                told.append((voice, chat.invoke(ASK, adapter=voice).content))
            else:
                told.append((voice, "".join(str(c.content) for c in chat.stream(ASK, adapter=voice))))
        return told

    with ThreadPoolExecutor(8) as pool:
        for told in pool.map(speak, range(8)):
            for voice, content in told:
                assert content == alone[voice]


async def test_async_says_the_same_and_does_not_block_the_loop(chat: ChatLlama) -> None:
    whole = chat.invoke(ASK, max_tokens=60)
    gaps, last, done = [], time.perf_counter(), asyncio.Event()

    async def tick() -> None:
        nonlocal last
        while not done.is_set():
            await asyncio.sleep(0)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    ticking = asyncio.create_task(tick())
    begun = time.perf_counter()
    told = await chat.ainvoke(ASK, max_tokens=60)
    took = time.perf_counter() - begun
    streamed = [str(c.content) async for c in chat.astream(ASK, max_tokens=60)]
    done.set()
    await ticking
    assert told.content == whole.content == "".join(streamed)
    assert len(gaps) > 50, "the loop turned while the model spoke"
    assert max(gaps) < max(took, 0.5), "no turn of the loop waited for a whole reply"


class Counting(Engine):
    """Counts forward passes and says when a reply has ended."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.local)
        self.passes = 0
        self.ended = threading.Event()

    def _run(self, *args: Any, **options: Any) -> Any:
        self.passes += 1
        return super()._run(*args, **options)

    def generate(self, *args: Any, **options: Any) -> Iterator[list[int]]:
        try:
            # An adapter of random weights may end its turn at once: these tests need a long reply.
            yield from super().generate(*args, **{**options, "grammar": r"start: /(.|\n){3000,4000}/"})
        finally:
            self.ended.set()


def long_winded(engine: Engine) -> tuple[Counting, ChatLlama]:
    counting = Counting(engine)
    return counting, ChatLlama(engine=counting, max_tokens=1500)


def test_a_consumer_that_goes_away_stops_the_model(engine: Engine) -> None:
    counting, chat = long_winded(engine)
    stream = chat.stream(ASK)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert counting.ended.wait(10)
    assert counting.passes < 20


async def test_a_cancelled_task_stops_the_model(engine: Engine) -> None:
    counting, chat = long_winded(engine)
    task = asyncio.create_task(chat.ainvoke(ASK))
    while counting.passes < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(counting.ended.wait, 10)
    assert counting.passes < 500


async def test_leaving_an_async_stream_stops_the_model(engine: Engine) -> None:
    counting, chat = long_winded(engine)
    async for chunk in chat.astream(ASK):
        if chunk.content:
            break
    assert counting.passes < 500
    task = asyncio.create_task(_drain(chat))
    while counting.passes < 10:
        await asyncio.sleep(0)
    counting.ended.clear()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(counting.ended.wait, 10)
    assert counting.passes < 1000


async def _drain(chat: ChatLlama) -> None:
    async for _ in chat.astream(ASK):
        pass


def test_seeded_sampling_repeats(chat: ChatLlama) -> None:
    one = chat.invoke(ASK, temperature=1.5, seed=3).content
    assert chat.invoke(ASK, temperature=1.5, seed=3).content == one
    assert chat.invoke(ASK, temperature=1.5, seed=4).content != one


async def test_no_thread_runs_on_after_a_cancelled_call_or_a_closed_stream(engine: Engine) -> None:
    counting, chat = long_winded(engine)
    task = asyncio.create_task(chat.ainvoke(ASK))
    while counting.passes < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counting.ended.is_set(), "the task ended after the thread had"
    counting.ended.clear()
    stream = chat.astream(ASK)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert counting.ended.is_set()


def test_cancelling_is_heard_while_a_long_prompt_is_read(engine: Engine) -> None:
    counting, chat = long_winded(engine)
    gone = threading.Event()
    whole = counting._run

    def run(*args: Any, **options: Any) -> Any:
        gone.set()
        return whole(*args, **options)

    counting._run = run  # type: ignore[method-assign]
    with pytest.raises(UnreadableReply, match="cancelled"):
        chat.invoke("가 나 다 라 마 " * 80, cancelled=gone)
    assert counting.passes == 1, "the rest of the prompt was not read"


def test_a_text_is_cut_at_its_limit_and_a_call_is_not(chat: ChatLlama) -> None:
    short = chat.model_copy(update={"max_tokens": 3})
    said = short.invoke(ASK, adapter="red")
    assert said.usage_metadata is not None
    assert (said.usage_metadata["output_tokens"], said.response_metadata["finish_reason"]) == (3, "length")
    call = short.bind_tools([BOOK], tool_choice="any").invoke(ASK)  # type: ignore[list-item]
    assert call.tool_calls[0]["args"]["guests"] in (2, 3, 12)
    assert call.response_metadata["finish_reason"] == "tool_calls"


def test_a_cache_gives_no_reply_that_was_made_under_other_settings(chat: ChatLlama) -> None:
    chat.cache = InMemoryCache()
    numbers = {"title": "N", "type": "object", "properties": {"said": EVIDENCE}, "required": ["said"]}
    for word in ("seven", "nine"):
        assert chat.with_structured_output(numbers, evidence=[word]).invoke(ASK) == {"said": word}
    first = chat.invoke(ASK, adapter="red")
    assert chat.invoke(ASK, adapter="red").id == first.id, "what is asked again comes out of the cache"
    changes: list[dict[str, Any]] = [
        {"max_tokens": 5}, {"call_tokens": 900}, {"seed": 1}, {"today": "2026-11-22"}, {"copy_arguments": False},
        {"trim": False}, {"temperature": 0.5}, {"evidence": ["a"]}, {"adapter": "red"},
    ]  # fmt: skip
    keys = [chat.model_copy(update=change)._get_llm_string() for change in [{}, *changes]]
    assert len(set(keys)) == len(keys)
    assert chat.model_copy(update={"rows": 2})._get_llm_string() == keys[0], "a batch in other groups says the same"


def test_a_cache_tells_weights_quantization_and_adapters_of_one_name_apart(
    base: Path, adapter_folders: dict[str, Path]
) -> None:
    folders = adapter_folders["red"], adapter_folders["blue"]
    red, blue = (load_local(base, adapters={"a": f}, quantization="fp32", device="cpu") for f in folders)
    other = dataclasses.replace(red, quantization="bf16")
    anew = dataclasses.replace(red, fingerprint="0" * 16)
    chats = [ChatLlama(engine=Engine(local)) for local in (red, blue, other, anew)]
    assert len({chat._get_llm_string(adapter="a") for chat in chats}) == 4
    assert len({chat.model_copy(update={"adapter": "a"})._get_llm_string() for chat in chats}) == 4
    assert chats[0]._get_llm_string() == chats[1]._get_llm_string(), "the base alone is the same"


def test_half_a_surrogate_pair_in_a_message_is_read_as_an_unknown_character(chat: ChatLlama) -> None:
    assert chat.invoke("방 \ud83d 예약").content == chat.invoke("방 ? 예약").content
    call = chat.bind_tools([CANCEL], tool_choice="any").invoke("\ud83d B-7 취소")  # type: ignore[list-item]
    assert call.tool_calls


def test_no_temperature_is_the_models_own(chat: ChatLlama) -> None:
    assert chat.invoke(ASK, temperature=None).content == chat.invoke(ASK).content
    warm = chat.model_copy(update={"temperature": 1.5, "seed": 3})
    assert warm.invoke(ASK, temperature=None).content == warm.invoke(ASK).content != chat.invoke(ASK).content
    cold = warm.model_copy(update={"temperature": None})
    assert cold.invoke(ASK).content == chat.invoke(ASK).content


@pytest.mark.parametrize("max_tokens", [0, -3])
def test_a_reply_of_no_tokens_is_refused(chat: ChatLlama, max_tokens: int) -> None:
    with pytest.raises(UserError, match=f"max_tokens is {max_tokens}; a reply has one at least"):
        chat.invoke(ASK, max_tokens=max_tokens)
    with pytest.raises(UserError, match="give 1 or more"):
        chat.model_copy(update={"max_tokens": max_tokens}).invoke(ASK)
    assert chat.invoke(ASK, max_tokens=None).content == chat.invoke(ASK).content


def test_a_tool_without_a_description_is_offered(chat: ChatLlama) -> None:
    for bare in ({**CANCEL, "description": None}, {"type": "function", "function": {**CANCEL, "description": None}}):
        assert chat.bind_tools([bare], tool_choice="any").invoke(ASK).tool_calls


def test_a_tool_that_runs_elsewhere_is_refused_with_what_can_be_offered(chat: ChatLlama) -> None:
    with pytest.raises(UserError, match="a tool of type 'web_search' cannot be offered to this model; offer functions"):
        chat.bind_tools([{"type": "web_search"}])


def test_a_choice_among_allowed_tools_is_refused_with_what_to_do(chat: ChatLlama) -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "cancel_booking"}]}
    with pytest.raises(UserError, match="offer only the tools that may be called"):
        chat.bind_tools([BOOK, CANCEL], tool_choice=choice)  # type: ignore[list-item]
