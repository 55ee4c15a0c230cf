"""A turn of a base of ours. What a random model finds likely is chance; that it is valid and traceable is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
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
from adapters.generator import ChatGenerator
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine
from adapters.prompt import asked, asking, purpose, render, turns_of
from adapters.speakers.proving import again
from adapters.speakers.reading import ReadingSpeaker
from adapters.speakers.rendering import reading_text, rendered
from adapters.speakers.turns import WORDLESS
from nodes.wording import say
from state import Generation, Prompt
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


def test_likeness_counts_for_which_tool_is_wanted(engine: Engine) -> None:
    class Knowing(Even):
        def likenesses(self, request: str, candidates: Any) -> list[float]:
            return [8.0 if text == purpose(CANCEL) else 1.0 for text in candidates]

        def named(self, prompt: list[int], tools: Any) -> list[float]:
            return [2.0, 0.0]

    def wanted(weight: float) -> str:
        decoding = Decoding("reading", likeness_weight=weight, name_weight=1.0)
        said = Knowing(ChatLlama(engine=engine, adapter=None), decoding).turn(
            [HumanMessage("BK-2041 2")], [], [BOOK, CANCEL], "en"
        )
        return calls(said)[0]["name"] if calls(said) else said["about"].partition(".")[0]

    assert wanted(1.0) == "cancel_booking"
    assert wanted(0.2) == "book_room", "names weigh more than a little likeness"


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


def test_likeness_says_whether_and_words_say_which_where_a_question_has_the_words_of_the_document(
    engine: Engine,
) -> None:
    text = "The pool of the north wing is heated in winter. The garden closes at dusk."
    rules = cast(Any, {**RULES, "text": text, "sentences": [[0, 47], [48, 74]]})

    class Alike(Even):
        def likenesses(self, request: str, candidates: Any) -> list[float]:
            return [-4.0 if "pool" in text else 4.0 if "garden" in text else -20.0 for text in candidates]

    def cited(question: str, worded: float, margin: float = -9.0) -> str:
        made = Decoding(
            "reading", overlap_weight=1.0, likeness_weight=1.0, worded_likeness=worded, abstain_margin=margin
        )
        said = Alike(ChatLlama(engine=engine, adapter="red"), made).turn([HumanMessage(question)], [rules], [], "en")
        return said["citations"][0]["quote"] if said["citations"] else ""

    asked = "Is the pool of the north wing heated in winter?"
    assert cited(asked, 1.0).startswith("The garden")
    assert cited(asked, 0.0).startswith("The pool")
    assert cited("Is it warm?", 0.0).startswith("The garden"), "few words are shared"
    told = {
        margin: [bool(cited(asked, worded, margin)) for worded in (0.0, 1.0)] for margin in (-9.0, 0.0, 3.0, 9.0, 99.0)
    }
    assert all(one == other for one, other in told.values()), "whether anything answers is said as without it"
    assert told[-9.0] == [True, True]
    assert told[99.0] == [False, False]
    assert cited(asked, 0.0, 3.0).startswith("The pool"), "of which likeness alone would have said that it does not"


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


def test_a_tool_without_arguments_is_called(engine: Engine) -> None:
    ping = tool("ping", {}, [])
    speaker = Wanting(ChatLlama(engine=engine, adapter=None), Decoding("reading"))
    speaker.wanted = "ping"
    said = speaker.turn([HumanMessage("ping")], [], [ping], "en")
    assert calls(said)[0]["args"] == {}


def test_a_date_that_was_not_clear_is_not_put_into_the_call_again(engine: Engine) -> None:
    first = HumanMessage(REQUEST.replace("12월 3일", "다음 주 금요일"))
    assert "다음 주 금요일" in first.text
    question = AIMessage(say("ask_unclear", "ko", value="다음 주 금요일", name="check_in"))
    (call,) = calls(turn(engine, "book room", [first, question, HumanMessage("12월 9일이요")]))
    assert call["args"]["check_in"] == "12월 9일"
    (call,) = calls(turn(engine, "book room", [first, question, HumanMessage("다음 주 금요일이라니까요")]))
    assert call["args"]["check_in"] == "다음 주 금요일"


@pytest.mark.parametrize("nothing", ["", "[]", "{}", '""', '{"a": []}'])
def test_a_tool_whose_result_tells_nothing_is_not_called_again(engine: Engine, nothing: str) -> None:
    call = {"name": "book_room", "args": {"hotel": "남산스테이"}, "id": "c1"}
    ended = [HumanMessage(REQUEST), AIMessage("", tool_calls=[call]), ToolMessage(nothing, tool_call_id="c1")]
    said = turn(engine, "book room", ended)
    assert (calls(said), said["clarification"], said["abstained"], said["citations"]) == ([], "", False, [])
    assert said["message"].content == WORDLESS["ko"]


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


def test_what_is_proved_is_what_was_read_without_the_thanks(engine: Engine) -> None:
    bare = "BK-2041 예약 취소해 주세요."
    thanked = [HumanMessage(f"{bare} 정말 고맙습니다, 덕분에 편했어요.", id="m")]
    speaker = ReadingSpeaker(ChatLlama(engine=engine, adapter=None), Decoding("reading"))
    read = speaker.turn(thanked, [RULES], [BOOK, CANCEL], "ko")["prompt"]
    text = reading_text(thanked, [RULES], [BOOK, CANCEL])
    assert read == rendered("reading/2", text)
    assert "고맙" not in text
    begins = render(turns_of([HumanMessage(bare)]))
    assert speaker.prompt_of(thanked) == engine.encode(begins)
    assert text.startswith(begins)
    assert text.endswith(asked(bare))
    assert read == speaker.turn([HumanMessage(bare)], [RULES], [BOOK, CANCEL], "ko")["prompt"]


def test_a_turn_that_was_kept_with_thanks_in_its_hash_is_still_proved() -> None:
    thanked: list[Any] = [HumanMessage("BK-2041 예약 취소해 주세요. 정말 고맙습니다, 덕분에 편했어요.", id="m")]
    sha256 = "6fb937ec342bc5d7763c3031394e285e3ebcde6f6865d7a88ff9c6cd7cf2da00"
    kept = Prompt(
        turn="m", round=1, at="", language="ko", messages=["m"], tools=[BOOK, CANCEL], passages=[RULES],
        rendered={"form": "reading/1", "today": "", "sha256": sha256}, speaker="", said={},  # type: ignore[typeddict-item]
    )  # fmt: skip
    assert again(kept, thanked) == kept["rendered"]
    assert again(kept, [HumanMessage("BK-2041 예약 취소해 주세요.")]) != kept["rendered"]
