"""Real questions: what is read, what counts as right, and what the ways by words alone choose."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from adapters.speakers.lexical import RUNS, bm25, overlap, runs, worth
from adapters.training.real_qa import LEXICAL, measure, questions, table
from state import UserError

TEXTS = [
    ("Harbour", "The harbour was dug in 1871. It is nine metres deep. Ships from Oslo use it."),
    ("Harbour", "A railway reaches the harbour. The station has two halls."),
    ("Bees", "Bees dance to tell where flowers are. A queen lays the eggs."),
    ("Bees", "Honey keeps for years. Salt keeps too."),
]
ASKED = [
    ("How deep is the harbour?", 0, "nine"),
    ("Who lays the eggs?", 2, "queen"),
    ("What keeps for years?", 3, "Honey"),
]


def split(text: str) -> list[tuple[int, int]]:
    return [m.span() for m in re.finditer(r"[^.]+\.", text)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "made_up"
    place.mkdir()
    paragraphs = [{"id": f"p{i}", "title": title, "text": text} for i, (title, text) in enumerate(TEXTS)]
    asked = [
        {"id": f"q{i}", "question": question, "gold": f"p{at}", "answer_start": TEXTS[at][1].index(answer)}
        for i, (question, at, answer) in enumerate(ASKED)
    ]
    for name, rows in (("paragraphs", paragraphs), ("questions", asked)):
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


class Citing:
    """Cites the first sentence of its passages that holds a word (or all that do), or abstains."""

    def __init__(self, *words: str, every: bool = False) -> None:
        self.words = words
        self.every = every

    def reply(self, messages: list[Any], *, passages: list[Any], tools: Any, language: str) -> dict[str, Any]:
        found = [
            {"passage": p["id"], "start": s + 1, "end": e}
            for p in passages
            for s, e in p["sentences"]
            if any(word in p["text"][s:e] for word in self.words)
        ]
        return {"citations": found if self.every else found[:1], "abstained": not found}


def test_each_question_comes_with_its_paragraph_and_two_others_of_its_article_first(folder: Path) -> None:
    ((name, made),) = questions(folder, split, n=None, seed=0)
    assert name == "made_up"
    for question in made:
        assert len({p["id"] for p in question.passages}) == 3
        titles = [p["title"] for p in question.passages]
        gold = next(p for p in question.passages if p["id"] == question.gold)
        assert titles.count(gold["title"]) == 2
    assert made == next(iter(questions(folder, split, n=None, seed=0)))[1]
    assert len(next(iter(questions(folder, split, n=2, seed=0)))[1]) == 2


def test_right_is_the_sentence_that_holds_the_answer_in_its_own_paragraph(folder: Path) -> None:
    ((_, made),) = questions(folder, split, n=None, seed=0)
    depth, eggs, _ = made
    assert measure(Citing("metres"), [depth], []).right["generator"] == 1
    assert measure(Citing("queen"), [eggs], []).right["generator"] == 1
    assert measure(Citing("Ships"), [depth], []).right["generator"] == 0
    assert measure(Citing("flowers"), [eggs], []).right["generator"] == 0
    assert measure(Citing("metres", "dug", every=True), [depth], []).right["generator"] == 0.5, "a point is shared"
    none = measure(Citing(), made, [])
    assert (none.right["generator"], none.abstained, none.called) == (0, 3, 0)
    assert none.best()[1] >= 2, "words alone find these"
    assert "made_up" in table({"made_up": none})
    assert "(0/3)" in table({"made_up": none})


def test_a_folder_without_questions_says_what_it_should_have(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"questions\.jsonl"):
        list(questions(tmp_path, split, n=None, seed=0))


def test_words_alone_prefer_what_shares_rare_words() -> None:
    sentences = ["The pool is on the roof.", "The garage is under the hotel.", "수영장은 옥상에 있다."]
    for way in LEXICAL.values():
        scores = way("Where is the garage?", sentences)
        assert max(range(3), key=scores.__getitem__) == 1
        korean = way("수영장은 어디에 있는가?", sentences)
        assert max(range(3), key=korean.__getitem__) == 2
    assert bm25("nothing shared", ["abc"]) == [0.0]
    assert runs("q", [""]) == [0.0]


def test_runs_of_letters_see_one_word_in_another_and_are_a_share() -> None:
    alike = runs(
        "Can I reschedule?", ["Rescheduling is free.", "The schedule hangs there.", "A garden.", "Can I reschedule?"]
    )
    assert sorted(range(4), key=alike.__getitem__) == [2, 1, 0, 3]
    assert alike[3] == pytest.approx(1.0)
    assert alike[2] < 0.1
    asked, sentences = "Is overbooking common?", ["Booking takes a minute.", "A garden."]
    assert overlap(asked, sentences) == [0.0, 0.0], "no term is in both"
    assert worth(asked, sentences)[0] > RUNS * 0.1 > worth(asked, sentences)[1]
