"""A turn of a base of ours. What a random model finds likely is chance; that it is valid and traceable is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, cast

import jsonschema
import pytest
import torch
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from adapters.alike import LIKENESS_FILE
from adapters.alike.likeness import Likeness, read_likeness
from adapters.alike.network import Network
from adapters.alike.units import known
from adapters.decoding import Decoding
from adapters.errors import ModelNotUsable
from adapters.forms.values import Spans, choices, doubted, of_date, property_of, used_up
from adapters.generator import ChatGenerator
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine
from adapters.prompt import Turn, asking, purpose, render, turns_of
from adapters.speakers.reading import ReadingSpeaker
from nodes.wording import say
from state import Generation
from tests.adapters.tiny import BOOK, CANCEL, passage, tool

RULES = passage("Check-in starts at 15:00. Breakfast is served from 7 to 10. Pets are not allowed.", start=100)
REQUEST = "남산스테이에 2명, 12월 3일부터 예약해 주세요"


class Wanting(ReadingSpeaker):
    """Finds one candidate likely, so that each branch of a turn can be reached."""

    wanted: str = ""

    def margins(self, request: str, candidates: Any) -> list[float]:
        assert len(super().margins(request, candidates)) == len(candidates)
        return [9.0 if text.startswith(self.wanted) else -9.0 for text, _ in candidates]


class Giving(Engine):
    """An engine that finds "nothing was said" likely, or not, by the argument that was read last."""

    open_arguments: tuple[str, ...] = ()

    def likelihoods(self, prefix: Any, ids: Any) -> list[float]:
        found = super().likelihoods(prefix, ids)
        if len(ids) == 1:
            read = self.decode(prefix.ids)
            return [0.0 if any(read.endswith(f"{name}:") for name in self.open_arguments) else -9.0]
        return found


def turn(engine: Engine, wanted: str, messages: list[Any] | None = None, nothing: tuple[str, ...] = ()) -> Generation:
    giving = Giving(engine.local)
    giving.open_arguments = nothing
    speaker = Wanting(ChatLlama(engine=giving, adapter="red"), Decoding("reading"))
    speaker.wanted = wanted
    made = ChatGenerator(ChatLlama(engine=giving, adapter="red"), decoding=Decoding("reading"))
    assert isinstance(made.speaker, ReadingSpeaker)
    made.speaker = speaker
    return made.reply(messages or [HumanMessage(REQUEST)], passages=[RULES], tools=[BOOK, CANCEL], language="ko")


def calls(said: Generation) -> list[Any]:
    return list(cast(AIMessage, said["message"]).tool_calls)


def test_a_call_is_valid_and_its_values_stand_in_the_request(engine: Engine) -> None:
    said = turn(engine, "book room")
    message = said["message"]
    assert isinstance(message, AIMessage)
    (call,) = message.tool_calls
    assert call["name"] == "book_room"
    jsonschema.validate(call["args"], BOOK["parameters"])
    assert call["args"]["guests"] == 2
    assert call["args"]["check_in"] == "12월 3일"
    assert call["args"]["hotel"] in REQUEST
    assert said["speaker"] == "tiny-base@red"
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_tokens"] > 10


def test_what_was_not_said_is_left_out_or_asked_for(engine: Engine) -> None:
    said = turn(engine, "book room", nothing=("room_type", "check_in"))
    (call,) = calls(said)
    assert set(call["args"]) == {"hotel", "guests"}
    asked = turn(engine, "book room", nothing=("guests", "check_in"))
    assert asked["about"] == "book_room.guests"
    assert asked["clarification"] == asked["message"].text != ""
    assert not calls(asked)


def test_a_required_value_that_cannot_be_there_is_asked_for(engine: Engine) -> None:
    said = turn(engine, "book room", [HumanMessage("방 하나 예약해 주세요")])
    assert said["about"] == "book_room.guests" or calls(said)
    only = turn(engine, "book room", [HumanMessage("예약해 주세요")])
    assert only["about"] == "book_room.guests"


def test_an_answer_is_a_sentence_with_its_place_and_nothing_is_an_abstention(engine: Engine) -> None:
    said = turn(engine, "Breakfast")
    (citation,) = said["citations"]
    assert said["message"].content == "Breakfast is served from 7 to 10. [1]"
    assert RULES["text"][citation["start"] - 100 : citation["end"] - 100] == citation["quote"]
    assert turn(engine, "no such")["abstained"]


def test_the_words_of_a_long_question_outweigh_what_leanings_add_up_to(engine: Engine) -> None:
    class Leaning(ReadingSpeaker):
        def readings(self, request: str, candidates: Any) -> list[tuple[float, float]]:
            return [(12.0 if "pool" in text else 1.0, 0.0) for text, _ in candidates]

    rules = cast(Any, {**RULES, "text": "Breakfast is served from 7 to 10. The pool is warm.", "sentences": []})
    rules["sentences"] = [[0, 33], [34, 51]]
    speaker = Leaning(ChatLlama(engine=engine, adapter="red"), Decoding("reading", overlap_weight=9.0))
    long = "Until when on a rainy Sunday morning in November is it that breakfast is served to guests of the house?"

    def cited(question: str) -> str:
        return speaker.turn([HumanMessage(question)], [rules], [], "en")["citations"][0]["quote"]

    assert cited(long) == "The pool is warm."
    speaker.decoding = replace(speaker.decoding, question_tokens=6.0)
    assert cited(long) == "Breakfast is served from 7 to 10."
    assert cited("Breakfast?") == "The pool is warm.", "a short question is read in full"


def liking(engine: Engine, tmp_path: Path, weight: float) -> ReadingSpeaker:
    """A speaker whose base has an untaught network: what is alike is what shares words."""
    local = replace(engine.local, directory=tmp_path)
    torch.manual_seed(3)
    Likeness(Network(len(local.tokenizer), 32, 1)).write(tmp_path)
    read_likeness.cache_clear()
    return Even(ChatLlama(engine=Engine(local), adapter="red"), Decoding("reading", likeness_weight=weight))


class Even(ReadingSpeaker):
    def readings(self, request: str, candidates: Any) -> list[tuple[float, float]]:
        return [(1.0, 0.0)] * len(candidates)


def test_likeness_decides_between_sentences_that_read_alike(engine: Engine, tmp_path: Path) -> None:
    rules = cast(Any, {**RULES, "text": "Breakfast is served from 7 to 10. The pool is warm.", "sentences": []})
    rules["sentences"] = [[0, 33], [34, 51]]

    def cited(question: str, weight: float) -> str:
        speaker = liking(engine, tmp_path, weight)
        return speaker.turn([HumanMessage(question)], [rules], [], "en")["citations"][0]["quote"]

    assert cited("The pool is warm.", 0.0) == "Breakfast is served from 7 to 10.", "of equals the first"
    assert cited("The pool is warm.", 1.0) == "The pool is warm."
    assert liking(engine, tmp_path, 0.0).likenesses("a", ["b", "c"]) == [0.0, 0.0]


def test_a_house_that_is_named_is_answered_by_its_own_sentences_alone(engine: Engine) -> None:
    text = "At Pine Villa, the pool is hot. Lotus Inn: Breakfast is from 7. Breakfast is from 9. Pine Villa: Dogs come."
    ends = [text.index(".", at) + 1 for at in (0, 32, 63, 84)]
    rules = cast(
        Any, {**RULES, "text": text, "sentences": list(zip([0, *(end + 1 for end in ends)], ends, strict=False))}
    )
    asked = list[str]()

    class Alike(Even):
        def likenesses(self, request: str, candidates: Any) -> list[float]:
            asked.append(request)
            return [9.0 if "7" in text else 2.0 if "9" in text else 1.0 for text in candidates]

    def cited(question: str, **how: float) -> str:
        made = Decoding("reading", likeness_weight=1.0, **how)
        said = Alike(ChatLlama(engine=engine, adapter="red"), made).turn([HumanMessage(question)], [rules], [], "en")
        return said["citations"][0]["quote"] if said["citations"] else ""

    assert cited("At Pine Villa: when is breakfast?") == "Lotus Inn: Breakfast is from 7."
    assert cited("At Pine Villa: when is breakfast?", named_weight=0.5) == "Breakfast is from 9.", "said of no house"
    assert asked[-1] == "when is breakfast?"
    assert cited("At Pine Villa: when is breakfast?", named_weight=2.0) == "At Pine Villa, the pool is hot."
    assert cited("At Lotus Inn: when is breakfast?", named_weight=0.5) == "Lotus Inn: Breakfast is from 7."
    assert cited("When is breakfast?", named_weight=0.5) == "Lotus Inn: Breakfast is from 7."
    assert not cited("At Pine Villa: when is breakfast?", named_weight=2.0, abstain_margin=4.5), (
        "another's says nothing"
    )


def test_a_sentence_that_is_far_ahead_of_the_others_is_told_where_a_close_one_is_not(engine: Engine) -> None:
    text = "Breakfast is from 7. Dogs come. The pool is hot."
    rules = cast(Any, {**RULES, "text": text, "sentences": [[0, 20], [21, 31], [32, 48]]})

    def cited(first: float, second: float, lead: float) -> str:
        class Alike(Even):
            def likenesses(self, request: str, candidates: Any) -> list[float]:
                return [first if "7" in text else second if "Dogs" in text else -20.0 for text in candidates]

        made = Decoding("reading", likeness_weight=1.0, abstain_margin=-3.5, lead_weight=lead)
        said = Alike(ChatLlama(engine=engine, adapter="red"), made).turn([HumanMessage("Food?")], [rules], [], "en")
        return said["citations"][0]["quote"] if said["citations"] else ""

    assert cited(-6.0, -12.0, 0.7) == "Breakfast is from 7."
    assert not cited(-6.0, -12.0, 0.0)
    assert not cited(-6.0, -6.5, 0.7), "nothing says which of the two"
    assert cited(-3.0, -3.0, 0.7) == "Breakfast is from 7.", "but two that answer do no harm"


def test_shared_words_weigh_more_in_a_question_of_strange_words(engine: Engine, tmp_path: Path) -> None:
    rules = cast(Any, {**RULES, "text": "Breakfast is served from 7 to 10. The pool is warm.", "sentences": []})
    rules["sentences"] = [[0, 33], [34, 51]]
    even = Network(len(engine.local.tokenizer), 8, 0)
    torch.nn.init.constant_(even.scale, -99.0)  # everything is as alike as nothing

    class Leaning(ReadingSpeaker):
        def readings(self, request: str, candidates: Any) -> list[tuple[float, float]]:
            return [(2.0 - i, 0.0) for i in range(len(candidates))]  # the first reads better

    def cited(folder: str, taught: list[str]) -> str:
        home = tmp_path / folder
        home.mkdir()
        Likeness(even, known(taught)).write(home)
        made = Decoding("reading", overlap_weight=1.0, likeness_weight=1.0, strange_weight=30.0)
        speaker = Leaning(ChatLlama(engine=Engine(replace(engine.local, directory=home)), adapter="red"), made)
        return speaker.turn([HumanMessage("pool water")], [rules], [], "en")["citations"][0]["quote"]

    assert cited("taught", ["pool", "water"]) == "Breakfast is served from 7 to 10."
    assert cited("strange", ["breakfast"]) == "The pool is warm."


def test_the_network_says_whether_a_tool_is_wanted_where_it_knows(engine: Engine, tmp_path: Path) -> None:
    speaker = liking(engine, tmp_path, 1.0)
    assert speaker._known([3.0, -8.0], [-8.0, -2.0]) is True, "a tool, and no sentence"
    assert speaker._known([-3.0, -8.0], [-8.0, 4.0]) is False
    assert speaker._known([3.0, -8.0], [-8.0, 2.0]) is None, "both may be meant: it has to be read"
    assert speaker._known([], [1.0]) is False
    assert speaker._known([1.0], []) is True
    assert speaker._known([-1.0, -8.0], [-2.0]) is speaker._known([], []) is None, "nothing is known: it has to be read"
    speaker.decoding = replace(speaker.decoding, likeness_weight=0.0)
    assert speaker._known([9.0], [-1.0]) is None, "a base without one"


@pytest.mark.parametrize(
    ("tool", "sentence", "read", "called"),
    [
        (-6.0, -11.0, -19.0, True),
        (-6.0, -11.0, -21.0, False),
        (-6.0, -9.0, -19.0, False),
        (-12.0, -20.0, -19.0, False),
        (-12.0, -20.0, 1.0, True),
        (-1.0, 1.0, 9.0, False),
    ],
)
def test_a_tool_that_is_all_but_meant_is_read_with_less_doubt(
    engine: Engine, tool: float, sentence: float, read: float, called: bool
) -> None:
    class Leaning(ReadingSpeaker):
        def likenesses(self, request: str, candidates: Any) -> list[float]:
            return [tool, -20.0, *[sentence] * (len(candidates) - 2)]

        def readings(self, request: str, candidates: Any) -> list[tuple[float, float]]:
            return [(read if tool else 1.0, 0.0) for _, tool in candidates]

    speaker = Leaning(ChatLlama(engine=engine, adapter="red"), Decoding("reading", likeness_weight=1.0))
    said = speaker.turn([HumanMessage(REQUEST)], [RULES], [BOOK, CANCEL], "ko")
    assert bool(calls(said) or said["about"]) == called


@pytest.mark.parametrize(
    ("likeness", "read", "wanted"), [(9.0, [BOOK, CANCEL], "book"), (-9.0, [], ""), (0.0, None, "book")]
)
def test_only_what_may_be_meant_is_read(
    engine: Engine, tmp_path: Path, likeness: float, read: list[Any] | None, wanted: str
) -> None:
    seen = list[list[tuple[str, bool]]]()

    class Knowing(ReadingSpeaker):
        def likenesses(self, request: str, candidates: Any) -> list[float]:
            return [likeness, -20.0, *[-likeness] * (len(candidates) - 2)]

        def readings(self, request: str, candidates: Any) -> list[tuple[float, float]]:
            seen.append(list(candidates))
            return [(9.0 if tool else 1.0, 0.0) for _, tool in candidates]

    speaker = Knowing(
        ChatLlama(engine=engine, adapter="red"), Decoding("reading", likeness_weight=1.0, call_margin=5.0)
    )
    said = speaker.turn([HumanMessage(REQUEST)], [RULES], [BOOK, CANCEL], "ko")
    tools = [tool for tool in (BOOK, CANCEL) if read is None or tool in read]
    assert [text for text, tool in seen[0] if tool] == [purpose(tool) for tool in tools]
    assert any(not tool for _, tool in seen[0]) == (read is None or not read)
    called = [call["name"] for call in calls(said)] or [said["about"].partition(".")[0]]
    assert called[0].startswith(wanted)
    assert bool(said["citations"]) == (not wanted)


@pytest.mark.parametrize(("tokens", "seen"), [(0.0, 3), (1.0, 2)])
def test_a_sentence_that_no_reading_brings_to_the_front_is_not_read(engine: Engine, tokens: float, seen: int) -> None:
    rules = cast(
        Any, {**RULES, "text": "One is red. Two is blue. Three is gone.", "sentences": [[0, 11], [12, 24], [25, 39]]}
    )
    read = list[str]()

    class Far(ReadingSpeaker):
        def likenesses(self, request: str, candidates: Any) -> list[float]:
            return [9.0 if "red" in text else 8.5 if "blue" in text else -8.0 for text in candidates]

        def readings(self, request: str, candidates: Any) -> list[tuple[float, float]]:
            read.extend(text for text, _ in candidates)
            return [(9.0 if "blue" in text else 1.0, 0.0) for text, _ in candidates]

    made = Decoding("reading", likeness_weight=1.0, question_tokens=tokens)
    said = Far(ChatLlama(engine=engine, adapter="red"), made).turn([HumanMessage("which?")], [rules], [], "en")
    assert said["citations"][0]["quote"] == "Two is blue.", "what is near is read, and the reading counts"
    assert len(read) == seen


def test_a_base_without_its_network_says_what_to_do(engine: Engine, tmp_path: Path) -> None:
    speaker = liking(engine, tmp_path, 1.0)
    (tmp_path / LIKENESS_FILE).write_bytes(b"no table")
    read_likeness.cache_clear()
    with pytest.raises(ModelNotUsable, match="dojang adapters liken"):
        speaker.likenesses("a", ["b"])
    (tmp_path / LIKENESS_FILE).unlink()
    with pytest.raises(ModelNotUsable, match=r"likeness\.safetensors"):
        speaker.likenesses("a", ["b"])


def test_a_tool_result_is_told_by_one_of_its_lines(engine: Engine) -> None:
    call = {"name": "book_room", "args": {"hotel": "남산"}, "id": "c1"}
    result = "duration: 3\n예약번호 B-7로 확정되었습니다."
    messages = [HumanMessage(REQUEST), AIMessage("", tool_calls=[call]), ToolMessage(result, tool_call_id="c1")]
    said = turn(engine, "book room", messages)
    assert said["citations"][0]["quote"] in result.splitlines()
    assert said["citations"][0]["passage"] == "tool:c1"


def test_a_conversation_shows_earlier_calls_as_lines() -> None:
    call = {"name": "book_room", "args": {"hotel": "남산", "guests": 2}, "id": "c1"}
    messages: list[Any] = [HumanMessage("a"), AIMessage("", tool_calls=[call]), ToolMessage("done", tool_call_id="c1")]
    shown = render(turns_of(messages))
    assert "book_room\nhotel: 남산\nguests: 2\n" in shown
    assert asking("book_room.guest") == "book_room\nguest?"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "integer", "minimum": 2}, [2]),
        ({"type": "string", "format": "date"}, ["12월 3일"]),
        ({"enum": ["a", None]}, ["a"]),
        ({"type": "boolean"}, [True, False]),
        ({"type": "array"}, []),
        ({"type": "string"}, None),
    ],
)
def test_what_can_stand_in_an_argument(spec: dict[str, Any], expected: list[Any] | None) -> None:
    found = choices(spec, [REQUEST])
    assert found == expected or sorted(found or []) == sorted(expected or [])


def test_optional_types_and_references_are_resolved() -> None:
    schema: Any = {
        "properties": {
            "a": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "b": {"$ref": "#/$defs/B"},
            "c": {"type": ["string", "null"]},
        },
        "$defs": {"B": {"enum": ["x"]}},
    }
    assert [spec.get("type", spec.get("enum")) for _, spec in property_of(schema)] == ["integer", ["x"], "string"]


def test_spans_begin_at_words_and_continue_the_shorter_ones(engine: Engine) -> None:
    found = Spans(engine.encode, ["for Emma Lee, at (Namsan Stay)"]).starts(120)
    spans = {text for start in found for _, text in start.ends}
    assert {"Emma", "Emma Lee", "Namsan Stay"} <= spans
    assert not any(span.startswith(("mma", ",")) for span in spans)
    for start in found:
        assert [count for count, _ in start.ends] == sorted({count for count, _ in start.ends})


def test_a_tool_without_arguments_is_called(engine: Engine) -> None:
    ping = tool("ping", {}, [])
    speaker = Wanting(ChatLlama(engine=engine, adapter=None), Decoding("reading"))
    speaker.wanted = "ping"
    said = speaker.turn([HumanMessage("ping")], [], [ping], "en")
    assert calls(said)[0]["args"] == {}


def test_what_is_said_once_is_said_for_one_argument() -> None:
    said = ["from May 3 to May 5"]
    assert used_up("May 3", {"check_in": "May 3"}, said)
    assert not used_up("May 5", {"check_in": "May 3"}, said)
    assert not used_up("May 3", {"check_in": "May 3"}, [*said, "and May 3 again"])
    assert not used_up(2, {"guests": 2}, said)
    assert used_up("Seoul", {"hotel": "Seoul Inn"}, ["at Seoul Inn"])
    assert used_up("Seoul Inn", {"city": "Seoul"}, ["at Seoul Inn"])
    assert not used_up("Seoul", {"hotel": "Seoul Inn"}, ["at Seoul Inn in Seoul"])


def test_what_is_said_in_dates_only_is_a_part_of_a_date() -> None:
    said = ["남산스테이에 12월 3일부터 5일까지, 12월호텔 말고"]
    dates = ["12월 3일", "5일"]
    assert of_date("3일", dates, said)
    assert of_date("5", dates, said)
    assert not of_date("12월", dates, said), "said in a name, too"
    assert not of_date("남산스테이", dates, said)
    assert not of_date(3, dates, said)


def spans_of(texts: list[str], done: int) -> set[str]:
    found = Spans(lambda text: list(text.encode()), texts, done=done).starts(0)
    return {value for start in found for _, value in start.ends}


def test_a_booking_of_a_call_that_is_done_is_not_meant_where_another_one_is_named() -> None:
    done = ["Find BK-2041 for kim@mail.co.kr", "Booking BK-2041 of Mina Kim, room 12"]
    named = spans_of([*done, "Now cancel HT-777 of Mina Kim"], 2)
    assert "HT-777" in named
    assert "BK-2041" not in named
    assert {"Mina Kim", "kim@mail.co.kr"} <= named, "of another kind nothing was named"
    assert "BK-2041" in spans_of([*done, "Now cancel it and text 010-1234-5678"], 2), "a telephone is no booking"
    assert "BK-2041" in spans_of([*done, "Cancel BK-2041, not HT-777"], 2), "said again"
    assert "BK-2041" in spans_of([*done, "Cancel HT-777"], 0), "nothing was done yet"
    addressed = spans_of([*done, "Write lee@mail.com"], 2)
    assert "kim@mail.co.kr" not in addressed
    assert "BK-2041" in addressed


def test_an_at_sign_before_a_name_is_no_part_of_it() -> None:
    assert "@lee@mail.com" not in (found := spans_of(["to @lee@mail.com and @Simon Gert"], 0))
    assert {"lee@mail.com", "Simon Gert"} <= found
    assert not any(value.startswith("@") for value in found)


def test_an_address_is_copied_whole(engine: Engine) -> None:
    found = Spans(engine.encode, ["write kim15@mail.co.kr, then BK-2041에 Yuna-Lee"]).starts(120)
    spans = {text for start in found for _, text in start.ends}
    assert {"kim15@mail.co.kr", "BK-2041", "Yuna-Lee"} <= spans
    assert not spans & {"kim", "kim15", "15@mail.co.kr", "mail", "BK", "2041", "Yuna", "Lee"}


def test_a_name_ends_before_the_korean_word_for_is() -> None:
    def ends(text: str) -> set[str]:
        return {value for start in Spans(lambda t: list(t.encode()), [text]).starts(0) for _, value in start.ends}

    found = ends("이름은 곽성별이에요")
    assert "곽성별" in found
    assert not {"곽성별이", "곽성별이에"} & found
    assert "김이" in ends("김이 님"), "a name may end so"
    assert "하나이" in ends("하나이고"), "after an open syllable nobody says 이고"


def test_no_value_ends_in_a_word_after_which_something_comes() -> None:
    text = "Say the bus and the tram are late, because of snow. An Hui and my mother"
    found = {value for start in Spans(lambda t: list(t.encode()), [text]).starts(0) for _, value in start.ends}
    assert not {"the", "the bus and", "the bus and the", "are late, because", "An Hui and", "An Hui and my"} & found
    assert {"the bus", "the bus and the tram are late", "An Hui", "An Hui and my mother"} <= found
    assert not {"The", "Near The"} & values_of("Near The Hilltop Inn"), "a name's article, too"
    assert "Block A" in values_of("Block A or B")


def values_of(text: str) -> set[str]:
    return spans_of([text], 0)


def test_no_value_begins_before_a_quotation_and_ends_inside() -> None:
    found = values_of("Write Chloe Brt and 'Bring your friends' along, it's fun' to all of the guests")
    assert {"Bring your friends", "Chloe Brt", "all of the guests", "it's fun"} <= found
    assert not {"Chloe Brt and 'Bring", "Write Chloe Brt and 'Bring your friends"} & found
    found = values_of("김이 님께 “아침밥은 6시부터”라고 전해 주세요")
    assert {"김이", "아침밥은 6시부터"} <= found
    assert not any(value.startswith("김이 님께 “") and "”" not in value for value in found)
    assert "The guests' room" in values_of("The guests' room was cold"), "an apostrophe opens nothing"


def test_quotation_marks_that_never_close_cost_no_time() -> None:
    begun = monotonic()
    assert "x" in values_of("x" + " 'abcd" + "'abcd" * 60)
    assert monotonic() - begun < 20, "a pattern that tries all ways would take for ever"


def test_what_the_gate_could_not_read_and_asked_about_is_not_meant() -> None:
    asked = Turn("assistant", say("ask_unclear", "en", value="next Friday", name="check_in"))
    turns = [Turn("user", "from next Friday to May 5"), asked]
    assert doubted(turns) == {"next Friday"}
    assert doubted([*turns, Turn("user", "May 3 then")]) == {"next Friday"}
    assert doubted([*turns, Turn("user", "as I said, next Friday")]) == set()
    assert doubted([Turn("assistant", say("ask_unclear", "ko", value="금요일", name="check_in"))]) == {"금요일"}
    assert doubted([Turn("assistant", "“May 3” was the day of the opening.")]) == set()


def test_a_date_that_was_not_clear_is_not_put_into_the_call_again(engine: Engine) -> None:
    first = HumanMessage(REQUEST.replace("12월 3일", "다음 주 금요일"))
    assert "다음 주 금요일" in first.text
    question = AIMessage(say("ask_unclear", "ko", value="다음 주 금요일", name="check_in"))
    (call,) = calls(turn(engine, "book room", [first, question, HumanMessage("12월 9일이요")]))
    assert call["args"]["check_in"] == "12월 9일"
    (call,) = calls(turn(engine, "book room", [first, question, HumanMessage("다음 주 금요일이라니까요")]))
    assert call["args"]["check_in"] == "다음 주 금요일"


def test_thanks_at_the_end_are_not_read(engine: Engine) -> None:
    speaker = ReadingSpeaker(ChatLlama(engine=engine, adapter=None), Decoding("reading"))
    thanked: list[Any] = [
        HumanMessage("BK-2041 예약 취소해 주세요. 정말 고맙습니다, 덕분에 편했어요."),
        AIMessage("네"),
        HumanMessage("감사합니다"),
    ]
    bare: list[Any] = [HumanMessage("BK-2041 예약 취소해 주세요."), *thanked[1:]]
    assert speaker.prompt_of(thanked) == speaker.prompt_of(bare)
    assert speaker.prompt_of(thanked) != speaker.prompt_of(bare[:2])
