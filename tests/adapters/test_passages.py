"""Passages with questions: what is for tests only stays so, and a question's place is where its sentence stands."""

from __future__ import annotations

import random
from collections import Counter
from typing import get_args

import pytest

from adapters.training import passages
from adapters.training.examples import Kind
from adapters.training.words import Side
from state import Language

LANGUAGES: tuple[Language, ...] = get_args(Language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_question_has_one_place_in_a_passage_of_one_side(language: Language) -> None:
    sides: dict[Side, tuple[passages.Told, ...]] = {s: passages.passages(language, s) for s in get_args(Side)}
    titles = Counter(told.title for some in sides.values() for told in some)
    assert max(titles.values()) == 1
    assert len(titles) >= 250
    lines = {side: {x for told in some for x in told.sentences} for side, some in sides.items()}
    asked = {side: {q for told in some for q, _ in told.questions} for side, some in sides.items()}
    assert not lines["train"] & lines["test"]
    assert not asked["train"] & asked["test"]
    assert len(sides["test"]) >= 25
    for told in (*sides["train"], *sides["test"]):
        assert len(told.questions) >= 3, told.title
        assert all(0 <= at < len(told.sentences) for _, at in told.questions), told.title
        assert not any(x.startswith(("#", "?")) for x in told.sentences), told.title


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_example_shows_the_answer_in_its_order_or_not_at_all(language: Language) -> None:
    kinds: Counter[Kind] = Counter()
    by_question = {q: (told, at) for told in passages.passages(language, "train") for q, at in told.questions}
    for i in range(200):
        made = passages.example(random.Random(i), "train", language, abstain=i % 3 == 0)
        told, at = by_question[made.turns[0].content]
        kinds[made.kind] += 1
        if made.kind == "choose":
            assert made.evidence[made.n - 1] == told.sentences[at]
            places = [told.sentences.index(line) for line in made.evidence]
            assert places == sorted(places)
        else:
            assert made.n == 0
            assert told.sentences[at] not in made.evidence
    assert kinds["choose"]
    assert kinds["abstain"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_of_the_passages_that_are_asked_plainly_is_taught(language: Language) -> None:
    plain, taught = passages.plain(language), passages.passages(language, "train")
    assert len({told.title for told in plain}) == len(plain) >= 200
    for told in plain:
        assert len(told.questions) >= 4, told.title
        assert all(0 <= at < len(told.sentences) for _, at in told.questions), told.title
    lines = {line for told in taught for line in (*told.sentences, *(question for question, _ in told.questions))}
    assert not lines & {line for told in plain for line in (*told.sentences, *(q for q, _ in told.questions))}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("plain", [False, True])
def test_a_question_is_asked_over_three_passages_with_the_place_of_its_sentence(
    language: Language, *, plain: bool
) -> None:
    those = passages.plain(language) if plain else passages.passages(language, "test")
    some = {(told.title, q): told.sentences[at] for told in those for q, at in told.questions}
    found = passages.asked(those, language, n=30, seed=5)
    assert len(found) == 30
    assert len({(one.gold, one.text) for one in found}) == 30
    for one in found:
        gold = next(passage for passage in one.passages if passage["id"] == one.gold)
        start, end = one.place
        assert gold["text"][start:end] == some[one.gold, one.text]
        assert [start, end] in gold["sentences"]
        assert len({passage["id"] for passage in one.passages}) == 3
    assert found == passages.asked(those, language, n=30, seed=5)
