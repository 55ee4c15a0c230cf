"""What speaks for a sentence by what its words mean."""

from __future__ import annotations

import pytest

from adapters.alike.content import Contents
from adapters.alike.meanings import Meanings, meanings
from adapters.speakers.lexical import overlap
from adapters.speakers.meant import around, held

BREWERY = [
    "The brewery was founded by two brothers from the coast.",
    "It produces some four thousand barrels annually.",
    "Visitors may look at the cellar on weekdays.",
]
HOUSE = ["주차는 지하 2층에서 무료입니다.", "체중이 큰 동물은 받지 않습니다.", "수건 가격은 만 원입니다."]


def _held(question: str, sentences: list[str], follows: list[bool] | None = None) -> list[float]:
    content = Contents(meanings()).of
    return held(content(question), [content(text) for text in sentences], follows or [False] * len(sentences))


@pytest.mark.parametrize(
    ("question", "sentences", "right"),
    [
        ("How much does the place manufacture in a year?", BREWERY, 1),
        ("몸무게 제한이 있나요?", HOUSE, 1),
        ("튜브 값은요?", HOUSE, 2),
    ],
)
def test_what_means_the_same_is_held_where_no_word_is_shared(question: str, sentences: list[str], right: int) -> None:
    assert not overlap(question, sentences)[right]
    found = _held(question, sentences)
    assert max(range(len(found)), key=found.__getitem__) == right
    assert all(0 <= share <= 1 for share in found)


def test_a_word_itself_is_held_whole_and_forms_of_it_are_one() -> None:
    assert _held("reserved rooms", ["Reserve a room."]) == [1.0]
    assert _held("예약을 취소했습니다", ["취소한 예약"]) == [1.0]
    assert _held("Who wrote 2,451 letters?", ["She wrote 2,451 letters.", "She wrote 17 letters."])[0] == 1.0


def test_the_sentence_before_says_whom_the_next_is_about() -> None:
    question = "How many barrels does the brewery of the brothers make?"
    alone, after = _held(question, BREWERY), _held(question, BREWERY, [False, True, True])
    assert after[1] > alone[1]
    assert after[0] == alone[0]


def test_nothing_is_held_of_a_question_without_words_or_without_an_analyser() -> None:
    assert _held("what is it?", BREWERY) == [0.0, 0.0, 0.0]
    assert _held("주차?", []) == []
    content = Contents(Meanings({}, lambda: None)).of
    assert held(content("주차는요?"), [content(text) for text in HOUSE], [False] * 3) == [0.0, 0.0, 0.0]


def test_a_question_in_one_language_holds_nothing_of_the_other_but_what_stands_there() -> None:
    assert _held("체중 제한이 있나요?", [*BREWERY, HOUSE[1]])[:3] == [0.0, 0.0, 0.0]
    assert _held("How heavy may an animal be?", HOUSE) == [0.0, 0.0, 0.0]
    assert _held("방이 2451개인가요?", ["There are 2451 rooms."])[0] > 0.0
    assert _held("Netflix 되나요?", ["Netflix is on every screen."])[0] > 0.0


def test_a_passage_holds_what_any_of_its_sentences_holds() -> None:
    content = Contents(meanings()).of
    question = content("Which brothers from the coast founded the brewery with the cellar?")
    sentences = [content(text) for text in [*BREWERY, "The cellar is cold."]]
    found = around(question, sentences, ["a", "a", "a", "b"])
    assert found[0] == found[1] == found[2] > found[3] > 0
    assert found[0] == pytest.approx(1.0)
    assert around(question, sentences[:1], ["a"])[0] < 1.0
    assert around([], sentences, ["a", "a", "a", "b"]) == [0.0] * 4
