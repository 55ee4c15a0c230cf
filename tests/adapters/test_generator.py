"""A turn of the local model. What a random model chooses is chance; that it is valid and traceable is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from adapters import load_chat, load_generator
from adapters.decoding import Decoding
from adapters.errors import AdapterNotUsable, ModelNotUsable
from adapters.forms.grammar import about_choices
from adapters.forms.spans import spans
from adapters.generator import ABSTENTIONS, ChatGenerator
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine, Prefix
from adapters.prompt import MARKERS, result_lines
from adapters.speakers.evidence import gather
from adapters.speakers.proving import again
from adapters.speakers.turns import WORDLESS
from state import Generation, Prompt
from tests.adapters.tiny import BOOK, CANCEL, passage, tool

RULES = passage("Check-in starts at 15:00. Breakfast is served from 7 to 10. Pets are not allowed.", start=100)
KOREAN = passage(
    "환불은 7일 전까지 전액입니다. 그 뒤에는 절반입니다.", id="p2", document="환불.md", start=40, language="ko"
)
ASK = "남산스테이에 2명, 12월 3일부터 예약해 주세요"


class Leaning(Engine):
    """An engine whose first token is tilted, so that each branch of a turn can be reached."""

    def __init__(self, engine: Engine, lean: str) -> None:
        super().__init__(engine.local)
        self.lean = lean

    def read(self, *args: Any, **options: Any) -> Prefix:
        prefix = super().read(*args, **options)
        prefix.logits[self.encode(self.lean)[0]] += 1000.0
        return prefix


def generator(engine: Engine, lean: str, **options: Any) -> ChatGenerator:
    chat = ChatLlama(engine=Leaning(engine, lean), adapter="red")
    return ChatGenerator(chat, today="2026-11-22", max_tokens=900, **options)


def turn(made: ChatGenerator, messages: list[Any] | None = None, **options: Any) -> Generation:
    given: dict[str, Any] = {"passages": [RULES, KOREAN], "tools": [BOOK, CANCEL], "language": "ko", **options}
    return made.reply(messages or [HumanMessage(ASK)], **given)


@pytest.mark.parametrize(
    ("n", "of", "quote"), [(2, RULES, "Breakfast is served from 7 to 10."), (5, KOREAN, "그 뒤에는 절반입니다.")]
)
def test_an_answer_is_a_sentence_with_its_place(engine: Engine, n: int, of: Any, quote: str) -> None:
    said = turn(generator(engine, MARKERS[n]), tools=[])
    assert said["message"].content == f"{quote} [1]"
    (citation,) = said["citations"]
    assert citation["quote"] == quote
    assert of["text"][citation["start"] - of["start"] : citation["end"] - of["start"]] == quote
    assert (citation["n"], citation["passage"], citation["document"]) == (1, of["id"], of["document"])
    assert (said["speaker"], said["abstained"]) == ("tiny-base@red", False)


def test_abstaining(engine: Engine) -> None:
    said = turn(generator(engine, MARKERS[0]))
    assert (said["abstained"], said["citations"], said["message"].content) == (True, [], ABSTENTIONS["ko"])
    assert turn(generator(engine, MARKERS[1]), passages=[], tools=[], language="en")["abstained"]
    never = turn(generator(engine, MARKERS[1], decoding=Decoding(abstain_share=0.0)), tools=[])
    assert never["abstained"], "a threshold of 0 abstains always"


def test_a_call_or_a_question_is_valid(engine: Engine) -> None:
    said = turn(generator(engine, '{"'))
    message = said["message"]
    assert isinstance(message, AIMessage)
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_tokens"] > 10
    if said["clarification"]:
        assert said["about"] in about_choices([BOOK, CANCEL])
        return
    (call,) = message.tool_calls
    spec = next(t for t in (BOOK, CANCEL) if t["name"] == call["name"])
    jsonschema.validate(call["args"], spec["parameters"])
    sources = [ASK, *(row.text for row in gather([], [RULES, KOREAN])[0])]
    values = [v for k, v in call["args"].items() if isinstance(v, str) and k != "room_type"]
    assert all(any(v in spans(s) for s in sources) for v in values)


@pytest.mark.parametrize("seed", range(3))
def test_a_tool_may_want_a_quote_with_its_source(engine: Engine, seed: int) -> None:
    grounds = {"quote": "evidence", "source": "citation"}
    note = tool("note", {k: {"type": "string", "x-dojang-grounded": v} for k, v in grounds.items()}, list(grounds))
    said = turn(generator(engine, '{"'), [HumanMessage(f"{ASK} {seed}")], tools=[note])
    if said["clarification"]:
        assert said["about"] in ("note.quote", "note.source")
        return
    (call,) = said["message"].tool_calls  # type: ignore[union-attr]
    cited = next(p for p in (RULES, KOREAN) if p["id"] == call["args"]["source"])
    assert call["args"]["quote"] in spans(cited["text"])


def test_a_tool_result_is_answered_with_its_line(engine: Engine) -> None:
    call = {"name": "book_room", "args": {"hotel": "남산"}, "id": "c1"}
    result = "남산스테이\n예약번호 B-7로 확정되었습니다."
    messages: list[Any] = [HumanMessage(ASK), AIMessage("", tool_calls=[call]), ToolMessage(result, tool_call_id="c1")]
    said = turn(generator(engine, MARKERS[2]), messages)
    (citation,) = said["citations"]
    assert citation == {
        "n": 1, "passage": "tool:c1", "document": "", "start": 6, "end": len(result),
        "quote": "예약번호 B-7로 확정되었습니다.",
    }  # fmt: skip
    assert result[citation["start"] : citation["end"]] == citation["quote"]


@pytest.mark.parametrize(("strategy", "form"), [("number", "numbered/1"), ("reading", "reading/2")])
def test_a_turn_says_how_its_prompt_was_rendered_and_it_can_be_rendered_again(
    engine: Engine, strategy: Any, form: str
) -> None:
    made = ChatGenerator(
        ChatLlama(engine=engine, adapter="red"),
        today="2026-11-22",
        decoding=Decoding(strategy=strategy),
        max_tokens=300,
    )
    messages: list[Any] = [HumanMessage(ASK, id="m")]
    said = turn(made, messages)
    noted = said["prompt"]
    kept = Prompt(
        turn="m", round=1, at="", language="ko", messages=["m"], tools=[BOOK, CANCEL], passages=[RULES, KOREAN],
        rendered=noted, speaker="", said={},  # type: ignore[typeddict-item]
    )  # fmt: skip
    assert noted["form"] == form
    assert again(kept, messages, engine.local.tokenizer) == noted
    assert again({**kept, "passages": [KOREAN]}, messages, engine.local.tokenizer) != noted
    assert again(kept, [HumanMessage(ASK + "!")], engine.local.tokenizer) != noted


def test_an_older_tool_result_is_no_evidence() -> None:
    call = {"name": "book_room", "args": {}, "id": "c1"}
    messages: list[Any] = [
        HumanMessage("a"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("done", tool_call_id="c1"),
        HumanMessage("b"),
    ]
    evidence, pending = gather(messages, [RULES])
    assert not pending
    assert [row.passage for row in evidence] == ["p1"] * 3


@pytest.mark.parametrize("nothing", ["", " \n", "[]", "{}", '""', '{"a": []}'])
def test_a_result_that_tells_nothing_waits_for_an_answer_and_is_said_to_have_ended(
    engine: Engine, nothing: str
) -> None:
    call = {"name": "book_room", "args": {"hotel": "남산"}, "id": "c1"}
    messages: list[Any] = [HumanMessage(ASK), AIMessage("", tool_calls=[call]), ToolMessage(nothing, tool_call_id="c1")]
    assert gather(messages, [RULES]) == ([], True)
    said = turn(generator(engine, MARKERS[0]), messages)
    assert (said["message"].content, said["citations"], said["abstained"]) == (WORDLESS["ko"], [], False)
    other = ToolMessage("B-7로 확정되었습니다.", tool_call_id="c2")
    assert [row.text for row in gather([*messages, other], [RULES])[0]] == ["B-7로 확정되었습니다."]


def test_evidence_is_limited_and_shared_among_passages() -> None:
    long = passage(". ".join(f"Sentence number {n}" for n in range(40)) + ".", id="long")
    evidence, _ = gather([], [long, RULES])
    assert len(evidence) == 14
    assert [row.text for row in evidence if row.passage == "p1"] == [
        "Check-in starts at 15:00.", "Breakfast is served from 7 to 10.", "Pets are not allowed."
    ]  # fmt: skip
    bare = {**RULES, "sentences": []}
    assert gather([], [bare])[0][0].text == RULES["text"]  # type: ignore[list-item]


def test_json_results_are_read_line_by_line() -> None:
    rows = [{"id": "H1", "city": "서울"}, {"id": "H2", "city": "부산"}]
    evidence, pending = gather([HumanMessage("x"), ToolMessage(json.dumps(rows), tool_call_id="c")], [])
    assert pending
    assert [row.text for row in evidence] == ["id: H1, city: 서울", "id: H2, city: 부산"]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        *((text, [text]) for text in ("1E5", "12.50", "0.10", "-0", "9" * 5000, "true", "false", "null", "NaN")),
        ("[1E5, 0.10, true, null]", ["1E5", "0.10", "true", "null"]),
        ('{"price": 12.50, "rates": [0.10, {"top": 1E5, "on": true}], "text": 7}',
         ['price: 12.50, rates: [0.10, {"top": 1E5, "on": true}], text: 7']),
        ("[" * 100_000, ["[" * 100_000]),
        ("[" * 900 + "]" * 900, ["[" * 900 + "]" * 900]),
    ],
)  # fmt: skip
def test_a_result_that_is_json_is_told_as_it_was_written(content: str, lines: list[str]) -> None:
    assert result_lines(content) == lines


def test_lines_of_ordinary_records_are_what_they_were() -> None:
    record = {"id": 7, "rate": 0.5, "of": ["가", 1], "in": {"a": None}, "ok": False, "none": None, "empty": []}
    assert result_lines(json.dumps([record, {**record, "message": " It  is\ndone. "}, 12, "two"])) == [
        'id: 7, rate: 0.5, of: ["가", 1], in: {"a": null}, ok: false', "It is done.", "12", "two"
    ]  # fmt: skip
    assert result_lines('"one\\n\\ntwo"') == ["one", "two"]


def test_decoding_file(tmp_path: Path) -> None:
    assert Decoding.read(tmp_path) == Decoding()
    (tmp_path / "decoding.json").write_text('{"strategy": "reading", "abstain_margin": 1.5, "note": 1}')
    assert Decoding.read(tmp_path) == Decoding("reading", abstain_margin=1.5)
    (tmp_path / "decoding.json").write_text('{"strategy": "reading", "likeness_weight": 1.5}')
    assert Decoding.read(tmp_path) == Decoding("reading", likeness_weight=1.5)
    odd = ('{"overlap_power": -1}', '{"overlap_power": 0}', '{"named_weight": NaN}', '{"call_margin": Infinity}')
    for bad in ("{", '{"strategy": "loudest"}', '{"abstain_share": 7}', "[]", *odd):
        (tmp_path / "decoding.json").write_text(bad)
        with pytest.raises(ModelNotUsable, match=r"decoding\.json"):
            Decoding.read(tmp_path)


def test_a_reading_counts_in_proportion_beyond_so_many_tokens() -> None:
    some = Decoding("reading", question_tokens=6.0)
    assert [some.trusted(n) for n in (0, 1, 6, 12, 60)] == [1.0, 1.0, 1.0, 0.5, 0.1]
    assert [Decoding("reading").trusted(n) for n in (0, 6, 600)] == [1.0, 1.0, 1.0]


def test_a_sentence_stands_by_its_lead_over_the_second_up_to_eight_nats() -> None:
    some = Decoding("reading", lead_weight=0.5)
    assert some.stands([-4.0, -6.0, -9.0], 0) == -3.0
    assert some.stands([-40.0, 1.0], 1) == 5.0, "more than eight say no more"
    assert some.stands([-4.0], 0) == 0.0, "one alone leads by all of them"
    assert some.stands([-4.0, -4.0], 1) == -4.0, "said twice it leads by nothing, and is worth what it is worth"
    assert some.stands([-4.0, -3.0], 0) == -4.0, "one that was not read may be worth more, and takes nothing away"
    assert replace(some, lead_weight=0.0).stands([-4.0, -6.0], 0) == -4.0


def test_a_sentence_is_worth_its_reading_its_words_and_its_likeness() -> None:
    some = Decoding("reading", question_tokens=6.0, overlap_weight=10.0, likeness_weight=0.5)
    assert some.told(12, [8.0, 0.0], [0.0, 0.3], [2.0, -6.0]) == [5.0, 0.0]
    strange = replace(some, strange_weight=20.0)
    assert strange.told(12, [8.0, 0.0], [0.0, 0.3], [2.0, -6.0], 0.5) == [5.0, 3.0], "shared words say more"
    assert strange.told(12, [8.0, 0.0], [0.0, 0.3], [2.0, -6.0]) == [5.0, 0.0]
    cubed = replace(some, overlap_power=3.0)
    assert cubed.told(1, [0.0, 0.0], [0.5, 2.0], [0.0, 0.0]) == [1.25, 80.0], "few shared words say little, many much"


def test_who_asks_with_the_words_of_a_document_is_answered_by_words_and_by_the_passage_that_holds_them() -> None:
    some = Decoding("reading", overlap_weight=10.0, likeness_weight=1.0, worded_likeness=0.1, passage_weight=0.5)
    few = ([0.5, 0.2], [-3.0, 4.0])
    assert some.ranked(*few, [0.0, 1.0]) == some.told(1, [0.0, 0.0], *few), "few words: as whether any answers"
    assert some.ranked([1.6, 0.2], [-30.0, 3.0], [0.0, 0.0]) == pytest.approx([13.0, 2.3]), (
        "a tenth of likeness is left"
    )
    assert some.ranked([1.2, 0.2], [-30.0, 3.0], [0.0, 0.0]) == pytest.approx([-4.5, 3.65]), "half way: .55 of it"
    assert some.ranked([1.6, 1.6], [0.0, 0.0], [0.4, 1.0]) == pytest.approx([18.0, 21.0])
    sure = ([1.6, 0.2], [-30.0, 8.0])
    assert some.ranked(*sure, [1.0, 0.0]) == some.told(1, [0.0, 0.0], *sure), "likeness knows which is meant"
    assert some.ranked([1.6, 0.2], [-30.0, 6.0], [0.0, 0.0]) == pytest.approx([-0.5, 5.3]), "half way to knowing it"
    old = replace(some, worded_likeness=1.0, passage_weight=0.0)
    assert old.ranked([1.6, 0.2], [-3.0, 30.0], [1.0, 1.0]) == old.told(1, [0.0, 0.0], [1.6, 0.2], [-3.0, 30.0])
    assert some.ranked([], [], []) == []


def test_load_chat_of_a_folder(base: Path, adapter_folders: dict[str, Path]) -> None:
    chat = load_chat(str(base), adapter=adapter_folders["red"], quantization="fp32", device="cpu")
    assert isinstance(chat, ChatLlama)
    assert chat.adapter == "red"
    two = load_chat(str(base), adapter="blue", adapters=adapter_folders, quantization="fp32", device="cpu")
    assert two.invoke("hi", max_tokens=2).response_metadata["speaker"] == "tiny-base@blue"
    with pytest.raises(AdapterNotUsable, match="neither a loaded name"):
        load_chat(str(base), adapter="green")
    made = load_generator(str(base), quantization="fp32", device="cpu", today="2026-11-22")
    assert turn(made)["speaker"] == "tiny-base"
