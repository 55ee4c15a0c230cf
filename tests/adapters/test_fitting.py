"""A conversation that is too long: what is left out is said, in the metadata and to the person."""

from __future__ import annotations

import logging
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from adapters.errors import PromptTooLong
from adapters.forms.grammar import turn_grammar
from adapters.generator import ChatGenerator
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine
from adapters.local.fitting import fit
from adapters.local.loading import load_local
from adapters.speakers.numbered import NumberedSpeaker
from tests.adapters.families import save_llama3
from tests.adapters.tiny import CANCEL, passage, tool


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = save_llama3(tmp_path_factory.mktemp("short") / "m", context=900)
    return Engine(load_local(folder, quantization="fp32", device="cpu"))


def talk(turns: int) -> list[Any]:
    messages: list[Any] = [SystemMessage("규칙")]
    for n in range(turns):
        messages += [HumanMessage(f"{n}번째 질문입니다. Room {n}?"), AIMessage(f"{n}번째 답입니다.")]
    return [*messages, HumanMessage("마지막 질문: B-7 취소")]


def test_the_oldest_turns_go_and_the_reply_says_how_many(short: Engine) -> None:
    chat = ChatLlama(engine=short, max_tokens=10)
    said = chat.invoke(talk(40))
    left_out = said.response_metadata["left_out"]
    assert left_out["messages"] > 0
    assert left_out["messages"] % 2 == 0, "whole turns"
    assert left_out["context"] == 900
    assert "left_out" not in chat.invoke(talk(1)).response_metadata
    streamed: Any = None
    for chunk in chat.stream(talk(40)):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed.response_metadata["left_out"] == left_out
    assert [m.response_metadata.get("left_out") for m in chat.batch([talk(40), talk(1)])] == [left_out, None]


def test_arguments_are_not_copied_from_what_was_left_out(short: Engine) -> None:
    messages = [HumanMessage("첫 번호는 ZZ-9"), *talk(40)]
    said = ChatLlama(engine=short).bind_tools([CANCEL], tool_choice="any").invoke(messages)  # type: ignore[list-item]
    assert "ZZ" not in said.tool_calls[0]["args"]["booking_id"]


def test_it_can_be_refused_instead_and_a_single_message_always_is(short: Engine) -> None:
    with pytest.raises(PromptTooLong, match="holds 900"):
        ChatLlama(engine=short, trim=False).invoke(talk(40))
    with pytest.raises(PromptTooLong):
        ChatLlama(engine=short).invoke("가 나 다 " * 900)


def test_there_is_room_for_a_call_wherever_one_may_be_made(short: Engine) -> None:
    bound = ChatLlama(engine=short, max_tokens=10).bind_tools([CANCEL], tool_choice="any")  # type: ignore[list-item]
    said = bound.invoke(talk(40))
    assert said.tool_calls
    assert said.usage_metadata is not None
    assert said.usage_metadata["input_tokens"] <= 900 - 225, "a quarter stays free, as for a long text"
    beside: Any = bound.batch([talk(40)])[0]
    assert beside.usage_metadata["input_tokens"] == said.usage_metadata["input_tokens"]


def test_a_call_that_the_context_has_no_room_for_says_what_to_do(short: Engine) -> None:
    note = {"title": "note", "description": ".", "type": "object", "required": ["a", "b", "c"],
            "properties": {name: {"type": "string", "minLength": 300} for name in "abc"}}  # fmt: skip
    noting = ChatLlama(engine=short).with_structured_output(note)
    with pytest.raises(PromptTooLong, match=r"the call does not fit into the 900 tokens of m .* shorten"):
        noting.invoke(talk(7)[1:])


def test_a_turn_of_an_agent_keeps_room_for_its_call_and_says_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = load_local(save_llama3(tmp_path / "m", context=1600), quantization="fp32", device="cpu")
    monkeypatch.setattr(NumberedSpeaker, "_prefers_answer", lambda *_, **__: False)
    generator = ChatGenerator(ChatLlama(engine=Engine(local)), today="2026-11-25", max_tokens=40)
    said: Any = generator.reply(talk(40), passages=[], tools=[CANCEL], language="ko")["message"]
    assert said.usage_metadata is not None
    assert said.usage_metadata["input_tokens"] <= 1600 - 400
    long: dict[str, Any] = {"type": "string", "minLength": 300, "x-dojang-grounded": "free"}
    note = tool("note", {name: long for name in "abc"}, ["a", "b", "c"])
    noting = [HumanMessage("메모해 주세요. " * 16)]
    monkeypatch.setattr(NumberedSpeaker, "_calls", lambda *_: turn_grammar([note], forms=["call"]))
    with pytest.raises(PromptTooLong, match="the call does not fit into the 1600 tokens of m"):
        generator.reply(noting, passages=[], tools=[note], language="ko")


def test_the_tokenizer_does_not_warn_of_what_is_said_anyway(short: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short.local.tokenizer, "model_max_length", 10)
    monkeypatch.setattr(short.local.tokenizer, "deprecation_warnings", {})  # it warns once
    told = StringIO()
    handler, logger = logging.StreamHandler(told), logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        assert len(short.encode("가 나 다 " * 9)) > 10
    finally:
        logger.removeHandler(handler)
    assert not told.getvalue()


def test_the_generator_leaves_out_turns_and_then_evidence(short: Engine) -> None:
    generator = ChatGenerator(ChatLlama(engine=short), today="2026-11-25", max_tokens=40)
    rules = passage("Breakfast is served from 7 to 10. Pets are not allowed.")
    said = generator.reply(talk(40), passages=[rules], tools=[], language="ko")
    left_out = said["message"].response_metadata["left_out"]
    assert left_out["messages"] > 0
    assert left_out["evidence"] == 0
    long = passage(". ".join(f"Sentence number {n} of the very long house rules" for n in range(40)) + ".")
    said = generator.reply(talk(0)[1:], passages=[long], tools=[], language="ko")
    left_out = said["message"].response_metadata["left_out"]
    assert 0 < left_out["evidence"] < 14
    assert left_out["messages"] == 0


@given(st.lists(st.sampled_from("shha"), max_size=30), st.integers(0, 24))
@example(list("hhhhhhhhhh"), 15)
@example(list("shahahahah"), 14)
def test_what_is_kept_is_a_longest_end_of_whole_turns(kinds: list[str], room: int) -> None:
    made = {"s": SystemMessage, "h": HumanMessage, "a": AIMessage}
    messages = [made[kind](content=str(n)) for n, kind in enumerate(kinds)]

    def read(kept: Any) -> list[int]:
        return [0] * (3 * len(kept))

    ids, kept, gone = fit(read, messages, room)
    assert gone == len(messages) - len(kept)
    assert len(ids) == 3 * len(kept)
    assert [m for m in messages if isinstance(m, SystemMessage)] == [m for m in kept if isinstance(m, SystemMessage)]
    spoken = [m for m in kept if not isinstance(m, SystemMessage)]
    if gone:
        assert isinstance(spoken[0], HumanMessage)
        before = messages[: messages.index(spoken[0])]
        turns = [n for n, m in enumerate(before) if isinstance(m, HumanMessage)]
        if len(ids) <= room and len(turns) > 1:
            more = [m for m in before[turns[-1] :] if not isinstance(m, SystemMessage)]
            assert len(read([*kept, *more])) > room, "one turn more would have fitted"
