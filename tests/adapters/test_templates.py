"""Checkpoints that bring their own chat template."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ChatMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage

from adapters.errors import ModelNotUsable
from adapters.generator import ChatGenerator
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine
from adapters.local.families import PLAIN_TEMPLATE
from adapters.local.templates import agent_turn, conversation, is_ours
from adapters.prompt import CHAT_TEMPLATE, turns_of
from state import UserError
from tests.adapters.tiny import BOOK, CANCEL, passage

# The traps of the stock Llama-3.2 template: it refuses two calls, encodes results as JSON, tells the date.
STOCK = (
    "{{ bos_token }}{{ date_string }}"
    "{%- if tools %}{% for t in tools %}{{ t.function.name }};{% endfor %}{% endif %}"
    "{%- for m in messages %}<{{ m.role }}>"
    "{%- if m.tool_calls is defined %}{% if m.tool_calls | length != 1 %}{{ raise_exception('one call') }}{% endif %}"
    "{{ m.tool_calls[0].function.arguments | tojson }}"
    "{%- elif m.role == 'tool' %}{{ m.content | tojson }}{% else %}{{ m.content }}{% endif %}"
    "{%- endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def foreign(engine: Engine) -> Engine:
    """The tiny model, as if it came with a template of its own."""
    local = copy.copy(engine.local)
    local.tokenizer = copy.deepcopy(local.tokenizer)
    local.tokenizer.chat_template = STOCK
    return Engine(local)


MESSAGES: list[Any] = [
    HumanMessage("안녕 <|eot_id|>"),
    AIMessage("", tool_calls=[{"name": "a", "args": {"x": 1}, "id": "1"}, {"name": "b", "args": {}, "id": "2"}]),
    ToolMessage('{"ok": true}', tool_call_id="1"),
    ToolMessage("plain", tool_call_id="2"),
]


def test_traps_of_stock_templates(foreign: Engine, engine: Engine) -> None:
    assert is_ours(engine.local.tokenizer)
    assert not is_ours(foreign.local.tokenizer)
    text = conversation(foreign.local.tokenizer, MESSAGES, [BOOK], today="2026-11-22")
    assert text == (
        '<|begin_of_text|>2026-11-22book_room;<user>안녕 < |eot_id|><assistant>{"x": 1}<assistant>{}'
        '<tool>{"ok": true}<tool>"plain"<assistant>'
    )


def test_a_result_of_endless_brackets_is_text_to_a_stock_template(foreign: Engine) -> None:
    text = conversation(foreign.local.tokenizer, [*MESSAGES[:2], ToolMessage("[" * 100_000, tool_call_id="1")], [])
    assert f'<tool>"{"[" * 100_000}"<assistant>' in text


def test_what_was_said_beside_a_call_is_not_lost(foreign: Engine, engine: Engine) -> None:
    call = {"name": "a", "args": {"x": 1}, "id": "1"}
    messages = [HumanMessage("Hi"), AIMessage("One moment. <|eot_id|>", tool_calls=[call]), MESSAGES[3]]
    assert [turn.content for turn in turns_of(messages)][1:3] == [
        "One moment. <|eot_id|>",
        '{"name": "a", "parameters": {"x": 1}}',
    ]
    for tokenizer in (engine.local.tokenizer, foreign.local.tokenizer):
        text = conversation(tokenizer, messages, [BOOK])
        assert text.index("One moment. < |eot_id|>") < text.index('"x": 1') < text.index("plain")
    foreign.local.tokenizer.chat_template = PLAIN_TEMPLATE
    assert 'One moment. < |eot_id|>\n{"name": "a"' in conversation(foreign.local.tokenizer, messages, [BOOK])


def test_evidence_stands_last_and_numbered(foreign: Engine) -> None:
    text = agent_turn(foreign.local.tokenizer, MESSAGES[:1], [BOOK], ["조식은 7시.", "a [3]"], "ko", "2026-11-22")
    assert text.endswith("<user>[1] 조식은 7시.\n[2] a (3)<assistant>")
    assert "ask_user" in text


def test_a_turn_and_a_call_of_such_a_checkpoint(foreign: Engine) -> None:
    chat = ChatLlama(engine=foreign, adapter="blue", today="2026-11-22")
    assert chat.bind_tools([dict(CANCEL)], tool_choice="any", max_tokens=300).invoke("B-7 취소").tool_calls
    rules = passage("Breakfast is served from 7 to 10. Pets are not allowed.")
    said = ChatGenerator(chat, today="2026-11-22", max_tokens=900).reply(
        [HumanMessage("아침?")], passages=[rules], tools=[], language="ko"
    )
    assert said["abstained"] or said["citations"][0]["quote"] in rules["text"]


def test_a_template_that_cannot_is_one_line(foreign: Engine) -> None:
    foreign.local.tokenizer.chat_template = "{{ raise_exception('no tools here') }}"
    with pytest.raises(ModelNotUsable, match="no tools here"):
        conversation(foreign.local.tokenizer, MESSAGES, [])


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, STOCK, PLAIN_TEMPLATE])
def test_a_chat_message_speaks_in_its_role(foreign: Engine, template: str) -> None:
    foreign.local.tokenizer.chat_template = template
    said: list[Any] = [HumanMessage("방 있나요?"), AIMessage("네."), HumanMessage("B-7 예약")]
    roles = ("user", "assistant", "human")
    told = [ChatMessage(role=role, content=m.content) for role, m in zip(roles, said, strict=True)]
    assert conversation(foreign.local.tokenizer, told, []) == conversation(foreign.local.tokenizer, said, [])
    assert turns_of(told) == turns_of(said)
    assert ChatLlama(engine=foreign).invoke(told).content == ChatLlama(engine=foreign).invoke(said).content


@pytest.mark.parametrize(
    ("unread", "says"),
    [
        (
            FunctionMessage(name="f", content="1"),
            "a message of role 'function' is not read by this model; give human, AI",
        ),
        (ChatMessage(role="손님", content="안녕"), "a message of role '손님' is not read by this model"),
        (
            HumanMessage(
                [{"type": "text", "text": "뭐죠?"}, {"type": "image", "base64": "", "mime_type": "image/png"}]
            ),
            "holds a block of type 'image', and this model reads text",
        ),
        (ChatMessage(role="user", content=[{"cachePoint": {}}, {"type": "image_url"}]), "a block of type 'image_url'"),
        (ToolMessage([{"type": "file", "base64": ""}], tool_call_id="1"), "a block of type 'file'"),
    ],
)
@pytest.mark.parametrize("template", [CHAT_TEMPLATE, STOCK, PLAIN_TEMPLATE])
def test_a_message_that_cannot_be_read_is_refused(foreign: Engine, unread: Any, says: str, template: str) -> None:
    foreign.local.tokenizer.chat_template = template
    for read in (turns_of, ChatLlama(engine=foreign).invoke):
        with pytest.raises(UserError, match=says):
            read([HumanMessage("hi"), unread])


def test_words_in_blocks_and_what_a_model_thought_beside_them_are_read_as_words() -> None:
    thought: list[Any] = [{"type": "reasoning", "reasoning": "…"}, {"type": "text", "text": "네."}]
    messages: list[Any] = [
        SystemMessage("규칙"),
        HumanMessage(["방 ", {"type": "text", "text": "있나요?"}]),
        AIMessage(thought),
    ]
    assert turns_of(messages) == [("user", "방 있나요?"), ("assistant", "네.")]
