"""Whatever is sampled under a turn's grammar, by a model that knows nothing, parses, validates and was copied."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from adapters.forms.grammar import Form, about_choices, turn_grammar
from adapters.forms.spans import spans
from adapters.local.engine import Engine
from adapters.prompt import harmless, integers_in
from state import UserError
from tests.adapters.tiny import BOOK, CANCEL, tool

BYTES = LLTokenizer("byte")
TALK = '남산스테이에 12월 3일부터 2명 예약해 주세요.\nMy name is Anne "Red" O\'Neil, path C:\\temp.'


def said(grammar: str, seed: int, tokenizer: Any = BYTES) -> str:
    """One random sentence of the grammar, chosen token by token."""
    rng = random.Random(seed)
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(grammar))
    assert not matcher.is_error(), matcher.get_error()
    out: list[int] = []
    for _ in range(4_000):
        if matcher.is_stopped() or (matcher.is_accepting() and rng.random() < 0.3):
            return str(tokenizer.decode_bytes(out).decode("utf-8"))
        bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")
        allowed = [int(i) for i in np.flatnonzero(bits) if i not in tokenizer.eos_tokens]
        assert allowed, "a dead end"
        token = rng.choice(allowed)
        assert matcher.consume_token(token)
        out.append(token)
    raise AssertionError("the grammar never ends")


def admits(grammar: str, text: str) -> bool:
    matcher = LLMatcher(BYTES, LLMatcher.grammar_from_lark(grammar))
    return bool(matcher.consume_tokens(list(text.encode())) and matcher.is_accepting())


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


SCHEMAS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "format": "date"},
        {"type": "string", "maxLength": 12},
        {"type": "string", "x-free": True, "maxLength": 30},
        {"type": "integer", "x-free": True},
        {"type": "number", "x-free": True},
        {"type": "boolean"},
        {"type": "string", "enum": ["a", 'say "hi"', "줄\n바꿈", "back\\slash"]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"type": ["string", "null"]},
        {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        {"type": "array", "items": {"enum": [1, 2]}, "minItems": 2, "maxItems": 2},
        {"type": "object", "properties": {"i n": {"type": "string"}, "z": {"type": "boolean"}}, "required": ["z"]},
        {"const": 7},
    ]
)
NAMES = st.text('ab_"é 한', min_size=1, max_size=5)
TOOLS = st.lists(
    st.tuples(
        st.dictionaries(st.text('ab_"é 한', min_size=1, max_size=5), st.tuples(SCHEMAS, st.booleans()), max_size=4)
    ),
    min_size=1,
    max_size=3,
)
TEXTS = st.lists(
    st.text(st.sampled_from('남산에 Aé1 29\n\t"\\/.,()<|[]-\x00\x1f\x7f\u2028😀\ud800'), max_size=60), max_size=3
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(shapes=TOOLS, texts=TEXTS, seed=st.integers(0, 2**32))
def test_every_call_parses_validates_and_copies(shapes: list[Any], texts: list[str], seed: int) -> None:
    tools = [
        tool(f"t{i}", {k: v for k, (v, _) in shape[0].items()}, [k for k, (_, needed) in shape[0].items() if needed])
        for i, shape in enumerate(shapes)
    ]
    try:
        grammar = turn_grammar(tools, forms=["call", "ask"], texts=texts)
    except UserError:
        return
    value = json.loads(said(grammar, seed))
    assert list(value) == ["name", "parameters"]
    if value["name"] == "ask_user":
        assert value["parameters"]["about"] in about_choices(tools)
        assert value["parameters"]["question"]
        return
    chosen = next(t for t in tools if t["name"] == value["name"])
    jsonschema.validate(value["parameters"], chosen["parameters"])
    sources = [harmless(t).encode("utf-8", "replace").decode() for t in texts]
    listed = {'say "hi"', "a", "줄\n바꿈", "back\\slash"}
    free = {k for k, spec in chosen["parameters"]["properties"].items() if spec.get("x-free")}
    for key, argument in value["parameters"].items():
        if key not in free:
            for text in strings(argument):
                assert text in listed or any(text in source for source in sources)


@pytest.mark.parametrize(
    "nullable",
    [
        {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        {"type": ["boolean", "null"]},
        {"type": "object", "properties": {"b": {"type": ["boolean", "null"]}}, "required": ["b"]},
        {"type": "array", "prefixItems": [{"type": ["boolean", "null"]}]},
    ],
)
def test_what_cannot_be_left_out_can_be_null_and_what_can_be_is_left_out(nullable: dict[str, Any]) -> None:
    null = {"object": '{"b": null}', "array": "[null]"}.get(str(nullable.get("type")), "null")
    needed = turn_grammar([tool("t", {"room": nullable}, ["room"])], forms=["call"])
    for value in (null, null.replace("null", "true")):
        assert admits(needed, f'{{"name": "t", "parameters": {{"room": {value}}}}}')
    assert not admits(needed, '{"name": "t", "parameters": {}}')
    if null == "null":
        optional = turn_grammar([tool("t", {"room": nullable}, [])], forms=["call"])
        assert admits(optional, '{"name": "t", "parameters": {}}')
        assert not admits(optional, '{"name": "t", "parameters": {"room": null}}')


@pytest.mark.parametrize("seed", range(30))
def test_copied_arguments_end_where_words_end(seed: int) -> None:
    grammar = turn_grammar([BOOK], forms=["call"], texts=[TALK])
    args = json.loads(said(grammar, seed))["parameters"]
    assert args["hotel"] in spans(TALK)
    assert args["guests"] in integers_in(TALK)
    assert args.get("check_in", args["hotel"]) in spans(TALK)
    assert set(args) <= {"hotel", "guests", "check_in", "room_type"}


@pytest.mark.parametrize(
    ("span", "may"),
    [
        ("남산스테이", True),  # without its particle
        ("남산스테이에", True),
        ("산스테이", False),  # begins inside a word
        ("12월 3일", True),
        ("12월 3", True),
        ("2월 3일", False),  # cuts a run of digits
        ("12월 3일부", True),  # allowed: any syllable may be the last; the model has learned which
        ('Anne "Red" O\'Neil', True),
        ("Ann", False),
        ("nne", False),
        ("C:\\temp", True),
        ("예약해 주세요.\nMy", True),
        (" Anne", False),
        ("Anne ", False),
        ("", False),
        ("Namsan", False),
    ],
)
def test_which_spans_are_admitted(span: str, may: bool) -> None:
    grammar = turn_grammar([CANCEL], forms=["call"], texts=[TALK])
    call = json.dumps({"name": "cancel_booking", "parameters": {"booking_id": span}}, ensure_ascii=False)
    assert admits(grammar, call) is may
    assert (span in spans(TALK)) is may


@settings(max_examples=80, deadline=None)
@given(text=st.text(st.sampled_from('남산에 Ab12\n"\\.,()-'), min_size=1, max_size=25))
def test_grammar_and_spans_agree(text: str) -> None:
    wanted = spans(harmless(text).strip())
    if not wanted:
        with pytest.raises(UserError):
            turn_grammar([CANCEL], forms=["call"], texts=[text])
        return
    grammar = turn_grammar([CANCEL], forms=["call"], texts=[text])
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            piece = text[start:end]
            call = json.dumps({"name": "cancel_booking", "parameters": {"booking_id": piece}}, ensure_ascii=False)
            assert admits(grammar, call) == (piece in wanted), piece


def test_only_offered_names_and_allowed_forms() -> None:
    call = '{"name": "book_room", "parameters": {"hotel": "남산스테이", "guests": 2}}'
    ask = '{"name": "ask_user", "parameters": {"about": "book_room.check_in", "question": "언제 오시나요?"}}'
    sentences = ["조식은 7시부터입니다.", 'The "gym" [2] is\nclosed.']

    def grammar(*forms: Form) -> str:
        return turn_grammar([BOOK], forms=forms, texts=[TALK], evidence=sentences)

    everything: list[Form] = ["call", "ask", "answer", "abstain"]
    examples = {"call": call, "ask": ask, "answer": f"[1] {sentences[0]}", "abstain": "[0]"}
    for form in everything:
        for other, text in examples.items():
            assert admits(grammar(form), text) is (form == other)
    whole = grammar("call", "ask", "answer", "abstain")
    assert admits(whole, '[2] The "gym" (2) is closed.')
    assert not admits(whole, "[2] 조식은 7시부터입니다.")
    assert not admits(whole, "[3] 조식은 7시부터입니다.")
    assert not admits(whole, call.replace("book_room", "drop_table"))
    assert not admits(whole, '{"name": "book_room", "parameters": {"hotel": "남산스테이"}}')  # guests is required
    assert not admits(whole, call.replace("2}", '"2"}'))
    assert not admits(whole, call.replace("2}", '2, "check_in": "2026-12-03"}'))  # stands nowhere
    assert admits(whole, call.replace("2}", '2, "room_type": "deluxe"}'))
    assert not admits(whole, call.replace("2}", '2, "room_type": "penthouse"}'))
    assert not admits(whole, ask.replace("check_in", "colour"))
    assert not admits(whole, "Sure!")
    assert admits(grammar("call", "text"), "Sure!")


def test_a_call_that_cannot_be_filled_is_not_offered() -> None:
    with pytest.raises(UserError, match="say nothing"):
        turn_grammar([BOOK], forms=["call"], texts=["남산스테이 예약해 주세요"])  # no number
    grammar = turn_grammar([BOOK], forms=["call", "ask"], texts=["남산스테이 예약"])
    assert {json.loads(said(grammar, seed))["name"] for seed in range(10)} == {"ask_user"}


def test_a_span_that_is_always_too_long_cannot_fill_an_argument() -> None:
    short = tool("pay", {"code": {"type": "string", "maxLength": 3}}, ["code"])
    with pytest.raises(UserError, match="say nothing"):
        turn_grammar([short], forms=["call"], texts=["1234 (-5678)"])
    grammar = turn_grammar([short], forms=["call"], texts=["1234 (-5)"])
    assert {json.loads(said(grammar, seed))["parameters"]["code"] for seed in range(10)} <= {
        "5",
        "5)",
        "-5",
        "-5)",
        "(-5",
    }


def test_limits_of_numbers_are_kept() -> None:
    spec = tool("pay", {"amount": {"type": "integer", "minimum": 10, "maximum": 300000}}, ["amount"])
    grammar = turn_grammar([spec], forms=["call"], texts=["3명, 18만 원, 9,000,000"])
    assert {json.loads(said(grammar, seed))["parameters"]["amount"] for seed in range(10)} <= {18, 180000}


def test_numbers_come_from_what_was_said_not_from_documents() -> None:
    said_texts, document = ["남산스테이 2명"], "The room holds 9 guests at Harbor Inn."
    grammar = turn_grammar([BOOK], forms=["call"], texts=[document, *said_texts], numbers=said_texts)
    for hotel, guests, may in (("Harbor Inn", 2, True), ("남산스테이", 2, True), ("남산스테이", 9, False)):
        call = {"name": "book_room", "parameters": {"hotel": hotel, "guests": guests}}
        assert admits(grammar, json.dumps(call, ensure_ascii=False)) is may


def test_a_long_conversation_compiles_quickly_and_keeps_its_newest_words() -> None:
    texts = [f"첫 번째 이야기 {n}: 방이 어둡고 조금 추웠습니다. Room {n} was dark." for n in range(400)] + [
        "Kim Namjoon"
    ]
    grammar = turn_grammar([CANCEL], forms=["call"], texts=texts)
    assert admits(grammar, '{"name": "cancel_booking", "parameters": {"booking_id": "Kim Namjoon"}}')


@pytest.mark.parametrize("seed", range(12))
def test_a_random_model_samples_only_valid_turns(engine: Engine, seed: int) -> None:
    evidence: Sequence[str] = ["조식은 7시부터입니다.", "Breakfast is at 7."]
    forms: list[Form] = ["call", "ask", "answer", "abstain"]
    grammar = turn_grammar([BOOK, CANCEL], forms=forms, texts=[TALK], evidence=evidence)
    prefix = engine.read(engine.encode(TALK), adapter="red" if seed % 2 else None)
    steps = engine.generate(prefix, grammar=grammar, max_tokens=900, temperature=2.0, seed=seed)
    text = engine.decode([token for step in steps for token in step])
    if text.startswith("["):
        assert text in ("[0]", *(f"[{n}] {line}" for n, line in enumerate(evidence, 1)))
        return
    value = json.loads(text)
    assert value["name"] in ("book_room", "cancel_booking", "ask_user")
    if value["name"] != "ask_user":
        spec = next(t for t in (BOOK, CANCEL) if t["name"] == value["name"])
        jsonschema.validate(value["parameters"], spec["parameters"])
