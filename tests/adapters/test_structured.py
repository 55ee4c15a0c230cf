"""Structured output, every form of tool_choice, parallel calls, and fields that are grounded."""

from __future__ import annotations

import json
from typing import Any, Literal, TypedDict

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel, Field

from adapters.errors import UnreadableReply
from adapters.forms.grammar import turn_grammar
from adapters.forms.grounding import GROUND, stands
from adapters.forms.spans import spans
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine
from adapters.prompt import harmless, integers_in
from state import UserError
from tests.adapters.test_grammar import admits, said
from tests.adapters.tiny import BOOK, CANCEL, tool

ASK = "남산스테이에 12월 3일부터 2명 예약해 주세요. My name is Emma Lee."
RULES = {"p1": "Breakfast is served from 7 to 10.", "p2": "환불은 7일 전까지 전액, 그 뒤에는 50%입니다."}
EVIDENCE: dict[str, Any] = {"type": "string", "x-dojang-grounded": "evidence"}
CITATION: dict[str, Any] = {"type": "string", "x-dojang-grounded": "citation"}


class Quote(BaseModel):
    """An answer with its source."""

    quote: str = Field(json_schema_extra={"x-dojang-grounded": "evidence"})
    source: str = Field(json_schema_extra={"x-dojang-grounded": "citation"})
    guest: str = Field(json_schema_extra={"x-dojang-grounded": "conversation"})
    mood: Literal["good", "bad"] = "good"


class Place(TypedDict):
    """A place."""

    city: str
    nights: int


# ----------------------------------------------------------------------------------------------- structured output


@pytest.mark.parametrize("adapter", [None, "red", "blue"])
def test_a_pydantic_class_comes_back_grounded(chat: ChatLlama, adapter: str | None) -> None:
    structured = chat.with_structured_output(Quote, adapter=adapter, evidence=RULES)
    quote = structured.invoke([HumanMessage(ASK)], temperature=2.0, seed=1)
    assert isinstance(quote, Quote)
    assert quote.quote in spans(RULES[quote.source]), "the quote stands in the text that is cited"
    assert quote.guest in spans(ASK)


def test_json_schema_typed_dict_and_include_raw(chat: ChatLlama) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 9}}, "required": ["n"]}
    found = chat.with_structured_output(schema).invoke(ASK, temperature=3.0, seed=2)
    assert 3 <= found["n"] <= 9
    assert set(chat.with_structured_output(Place).invoke(ASK)) == {"city", "nights"}
    raw: Any = chat.with_structured_output(Quote, include_raw=True, evidence=RULES, adapter="red").invoke(ASK)
    assert isinstance(raw["raw"], AIMessage)
    assert raw["raw"].usage_metadata is not None
    assert raw["raw"].usage_metadata["output_tokens"] > 0
    assert raw["raw"].response_metadata["speaker"] == "tiny-base@red"
    assert isinstance(raw["parsed"], Quote)
    assert raw["parsing_error"] is None


def test_free_by_default_and_copied_where_asked(chat: ChatLlama) -> None:
    short = {"type": "object", "properties": {"word": {"type": "string", "maxLength": 6}}, "required": ["word"]}
    free = {chat.with_structured_output(short).invoke(ASK, temperature=5.0, seed=n)["word"] for n in range(8)}
    assert not free <= spans(ASK)
    copied = chat.with_structured_output(short, copy_arguments=True)
    assert {copied.invoke(ASK, temperature=5.0, seed=n)["word"] for n in range(8)} <= spans(ASK)


def test_it_is_a_link_of_a_chain(chat: ChatLlama) -> None:
    chain: Any = RunnableLambda(lambda city: f"{city} 2박") | chat.with_structured_output(Place)
    assert [set(place) for place in chain.batch(["서울", "부산"])] == [{"city", "nights"}] * 2


def test_a_call_that_was_cut_is_refused(chat: ChatLlama) -> None:
    cut = chat.model_copy(update={"call_tokens": 4, "max_tokens": 4})
    with pytest.raises(UnreadableReply, match="not valid JSON"):
        cut.with_structured_output(Place).invoke(ASK)


# ------------------------------------------------------------------------------------------ tool_choice, parallel


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("any", {"book_room", "cancel_booking"}),
        ("required", {"book_room", "cancel_booking"}),
        (True, {"book_room", "cancel_booking"}),
        ({"type": "any"}, {"book_room", "cancel_booking"}),
        ("cancel_booking", {"cancel_booking"}),
        ({"type": "function", "function": {"name": "cancel_booking"}}, {"cancel_booking"}),
        ({"type": "tool", "name": "cancel_booking"}, {"cancel_booking"}),
        ({"name": "cancel_booking"}, {"cancel_booking"}),
    ],
)
def test_forms_of_tool_choice_that_call(chat: ChatLlama, choice: Any, names: set[str]) -> None:
    bound = chat.bind_tools([BOOK, CANCEL], tool_choice=choice)  # type: ignore[list-item]
    seen = {c["name"] for n in range(6) for c in bound.invoke(ASK, temperature=4.0, seed=n).tool_calls}
    assert seen
    assert seen <= names


@pytest.mark.parametrize("choice", ["none", {"type": "none"}])
def test_forms_of_tool_choice_that_do_not(chat: ChatLlama, choice: Any) -> None:
    bound = chat.bind_tools([BOOK, CANCEL], tool_choice=choice, max_tokens=20)  # type: ignore[list-item]
    assert not any(bound.invoke(ASK, temperature=4.0, seed=n).tool_calls for n in range(4))


@pytest.mark.parametrize("choice", [None, False, "auto", {"type": "auto"}])
def test_forms_of_tool_choice_that_leave_it_open(chat: ChatLlama, choice: Any) -> None:
    bound = chat.bind_tools([BOOK, CANCEL], tool_choice=choice, max_tokens=20)  # type: ignore[list-item]
    replies = [bound.invoke(ASK, temperature=4.0, seed=n) for n in range(12)]
    assert {bool(m.content) != bool(m.tool_calls) for m in replies} == {True}


@pytest.mark.parametrize("choice", ["fly", {"type": "function", "function": {"name": "fly"}}, {"type": "tool"}])
def test_a_choice_that_is_not_offered_is_refused(chat: ChatLlama, choice: Any) -> None:
    with pytest.raises(UserError, match="is not among the tools"):
        chat.bind_tools([BOOK], tool_choice=choice)  # type: ignore[list-item]


def test_calls_come_together_only_where_they_may(chat: ChatLlama) -> None:
    one = chat.bind_tools([BOOK, CANCEL], tool_choice="any")  # type: ignore[list-item]
    many = chat.bind_tools([BOOK, CANCEL], tool_choice="any", parallel_tool_calls=True)  # type: ignore[list-item]
    counts = [len(one.invoke(ASK, temperature=4.0, seed=n).tool_calls) for n in range(8)]
    assert counts == [1] * 8
    replies = [many.invoke(ASK, temperature=4.0, seed=n) for n in range(8)]
    assert max(len(m.tool_calls) for m in replies) > 1
    assert all(len(m.tool_calls) <= 8 for m in replies)
    calls = [c for m in replies for c in m.tool_calls]
    assert len({c["id"] for c in calls}) == len(calls)
    streamed: Any = None
    for chunk in many.stream(ASK, temperature=4.0, seed=3):
        streamed = chunk if streamed is None else streamed + chunk
    told = [(c["name"], c["args"]) for c in streamed.tool_calls]
    assert told == [(c["name"], c["args"]) for c in replies[3].tool_calls]
    assert replies[3].response_metadata["finish_reason"] == "tool_calls"


# -------------------------------------------------------------------------------------------------------- grounding


def grammar(properties: dict[str, Any], **options: Any) -> str:
    spec = tool("answer", properties, list(properties))
    return turn_grammar([spec], forms=["call"], texts=[ASK], numbers=[ASK], sources=RULES, **options)


def says(made: str, **args: Any) -> bool:
    return admits(made, json.dumps({"name": "answer", "parameters": args}, ensure_ascii=False))


def test_each_ground_admits_its_own_and_nothing_else() -> None:
    told: dict[str, Any] = {"type": "string", "x-dojang-grounded": "conversation"}
    assert says(grammar({"a": told}), a="Emma Lee")
    assert not says(grammar({"a": told}), a="Breakfast is served")
    assert not says(grammar({"a": told}), a="Emma Le")
    assert says(grammar({"a": EVIDENCE}), a="Breakfast is served")
    assert says(grammar({"a": EVIDENCE}), a="그 뒤에는 50%")
    assert not says(grammar({"a": EVIDENCE}), a="그 뒤에는 5")
    assert not says(grammar({"a": EVIDENCE}), a="Emma Lee")
    assert says(grammar({"a": {"type": "string", "x-dojang-grounded": "free"}}), a="무엇이든")
    number = {"type": "integer", "x-dojang-grounded": "evidence"}
    assert [n for n in (2, 7, 10, 12, 50) if says(grammar({"a": number}), a=n)] == [7, 10, 50]
    with pytest.raises(UserError, match="x-dojang-grounded: 'air'; it is one of conversation, evidence"):
        grammar({"a": {"type": "string", "x-dojang-grounded": "air"}})


def test_the_setting_of_a_field_counts_more_than_the_models() -> None:
    assert says(grammar({"a": {"type": "string"}}, copy=False), a="anything")
    assert not says(grammar({"a": EVIDENCE}, copy=False), a="anything")


def test_citations_are_retrieved_ids_and_quotes_come_from_the_cited_text() -> None:
    both = grammar({"quote": EVIDENCE, "source": CITATION})
    assert says(both, quote="Breakfast is served", source="p1")
    assert not says(both, quote="Breakfast is served", source="p2")
    assert not says(both, quote="Breakfast is served", source="p3")
    numbered = grammar({"quote": EVIDENCE, "n": {"type": "integer", "x-dojang-grounded": "citation"}})
    assert says(numbered, quote="전액", n=2)
    assert not says(numbered, quote="전액", n=1)
    many = grammar({"sources": {"type": "array", "items": CITATION}})
    assert says(many, sources=["p2", "p1"])
    assert not says(many, sources=["p2", "x"])
    inherited = grammar({"sources": {"type": "array", "items": {"type": "string"}, "x-dojang-grounded": "citation"}})
    assert not says(inherited, sources=["x"])
    with pytest.raises(UserError, match="say nothing"):
        turn_grammar([tool("answer", {"s": CITATION}, ["s"])], forms=["call"], texts=[ASK])


def test_a_day_of_a_range_stands_in_the_conversation_and_a_part_of_a_number_does_not() -> None:
    said = ["12월 3~5일, 1,250.50 won for BK-2041"]
    day, number = {"type": "string", "format": "date"}, {"type": "number"}
    told = {GROUND: "conversation"}
    assert stands("12월 3일", {**day, **told}, said, {})
    assert not stands("12월 4일", {**day, **told}, said, {})
    assert not stands("12월 3일", {"type": "string", **told}, said, {}), "words are copied"
    assert stands(1250.5, {**number, **told}, said, {})
    assert not any(stands(part, {**number, **told}, said, {}) for part in (1, 250, 250.5, 50, 2041))


def test_listed_choices_remain_where_they_stand() -> None:
    spec = {"type": "string", "enum": ["Emma Lee", "Emma", "Kim", "Le"], "x-dojang-grounded": "conversation"}
    assert [v for v in spec["enum"] if says(grammar({"a": spec}), a=v)] == ["Emma Lee", "Emma"]


def test_patterns_and_least_lengths_of_copied_spans() -> None:
    digits = {"type": "string", "pattern": "^[0-9]+$", "x-dojang-grounded": "conversation"}
    assert [v for v in ("12", "2", "남산스테이") if says(grammar({"a": digits}), a=v)] == ["12", "2"]
    long = {"type": "string", "minLength": 8, "x-dojang-grounded": "conversation"}
    assert says(grammar({"a": long}), a="Emma Lee")
    assert not says(grammar({"a": long}), a="Emma")


def test_evidence_comes_in_many_forms(chat: ChatLlama) -> None:
    spec = tool("answer", {"source": CITATION}, ["source"])
    bound = chat.bind_tools([spec], tool_choice="any")  # type: ignore[list-item]
    forms: list[tuple[Any, str]] = [
        (["a", "b"], "12"),
        ([{"id": "p7", "text": "x"}], "p7"),
        ([Document("x", id="d1")], "d1"),
        ([Document("x", metadata={"id": "m1"})], "m1"),
    ]
    for evidence, ids in forms:
        assert bound.invoke(ASK, evidence=evidence).tool_calls[0]["args"]["source"] in ids
    with pytest.raises(UserError, match="evidence holds a int"):
        bound.invoke(ASK, evidence=[3])


def test_a_schema_that_contains_itself_is_refused() -> None:
    node: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}
    spec = {"name": "t", "parameters": {"$defs": {"node": node}, **node}}
    with pytest.raises(UserError, match="itself"):
        turn_grammar([spec], forms=["call"], texts=[ASK])


GROUNDS = ("conversation", "evidence", "free", None)
KINDS: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "string", "maxLength": 9},
    {"type": "string", "minLength": 4, "maxLength": 20},
    {"type": "string", "pattern": "^[A-Za-z]+$"},
    {"type": "integer"},
    {"type": "integer", "minimum": 3, "exclusiveMaximum": 11},
    {"type": "number", "multipleOf": 0.5, "minimum": 0, "maximum": 100},
    {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 1, "maxItems": 2},
    {"type": "array", "prefixItems": [{"type": "string", "maxLength": 12}, {"type": "boolean"}]},
    {"type": ["string", "null"], "maxLength": 12},
]
FIELD = st.tuples(st.sampled_from(KINDS), st.sampled_from(GROUNDS), st.booleans())


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict | list):
        return [leaf for item in (value.values() if isinstance(value, dict) else value) for leaf in leaves(item)]
    return [value]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    fields=st.lists(FIELD, min_size=1, max_size=4),
    cited=st.booleans(),
    texts=st.lists(st.text(st.sampled_from('남산에 Aébc1 29\n"\\.,()'), max_size=40), min_size=2, max_size=2),
    copy=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_whatever_the_logits_are_it_is_valid_grounded_and_ends(
    fields: list[Any], cited: bool, texts: list[str], copy: bool, seed: int
) -> None:
    properties: dict[str, Any] = {}
    for n, (kind, ground, _) in enumerate(fields):
        properties[f"f{n}"] = {**kind, "x-dojang-grounded": ground} if ground else dict(kind)
    required = [f"f{n}" for n, (_, _, needed) in enumerate(fields) if needed]
    if cited:
        properties["source"] = CITATION
        required.append("source")
    sources = dict(zip(("p1", "p2"), texts, strict=True))
    spec = tool("answer", properties, required)
    try:
        made = turn_grammar([spec], forms=["call"], texts=[ASK], numbers=[ASK], sources=sources, copy=copy)
    except UserError:
        return
    args = json.loads(said(made, seed))["parameters"]
    jsonschema.validate(args, spec["parameters"])
    shown = {key: harmless(text).strip() for key, text in sources.items()}
    allowed = [shown[args["source"]]] if "source" in args else list(shown.values())
    for n, (_, ground, _) in enumerate(fields):
        ground = ground or (None if copy else "free")
        if f"f{n}" not in args or ground == "free":
            continue
        places = allowed if ground == "evidence" else [ASK]
        for leaf in leaves(args[f"f{n}"]):
            if isinstance(leaf, bool) or leaf is None:
                continue
            if isinstance(leaf, int | float):
                assert any(leaf in integers_in(p) or str(leaf) in p for p in places)
            else:
                assert any(leaf in spans(p, longest=200) for p in places)


@pytest.mark.parametrize("seed", range(8))
def test_a_random_model_is_grounded_too(engine: Engine, seed: int) -> None:
    chat = ChatLlama(engine=engine, adapter="red" if seed % 2 else "blue", temperature=3.0, seed=seed)
    quote = chat.with_structured_output(Quote, evidence=RULES).invoke(ASK)
    assert quote.quote in spans(RULES[quote.source])
    assert quote.guest in spans(ASK)


def test_a_grammar_is_compiled_once(engine: Engine) -> None:
    fresh = Engine(engine.local)
    bound = ChatLlama(engine=fresh).bind_tools([CANCEL], tool_choice="any")  # type: ignore[list-item]
    first = bound.invoke(ASK).tool_calls[0]["args"]
    assert bound.invoke(ASK).tool_calls[0]["args"] == first
    assert fresh.matchers.compilations == 1
    bound.invoke(f"{ASK} 3박")
    assert fresh.matchers.compilations == 2
