"""The table of words: what it says of two texts, what it is taught from, and how it lies in a base's folder."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapters.alike import LEAST, LIKENESS_FILE, Likeness, known, read_likeness
from adapters.errors import ModelNotUsable
from adapters.local.loading import fingerprint
from adapters.prompt import purpose, spaced
from adapters.serving import WEIGHTS
from adapters.training import corpus, evaluate, frontdesk, likening, tokenizer
from adapters.training.examples import Example
from adapters.training.likening import Asked, frequent, loss_of, made, taught, wrong_or_own
from state import Language

BASE = WEIGHTS / "base"
LANGUAGES: tuple[Language, ...] = ("en", "ko")


@pytest.fixture(scope="module")
def tok() -> Any:
    return tokenizer.load(BASE)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    torch.set_num_threads(1)
    read_likeness.cache_clear()
    yield
    read_likeness.cache_clear()


def asked(*sentences: int, right: int = 1, source: int = 1, group: int = 0) -> Asked:
    rows = [np.array([n], np.int32) for n in sentences]
    return Asked(np.array([1], np.int32), rows, right, source, group)


def test_untaught_likeness_is_shared_words_and_has_a_least() -> None:
    vectors = np.eye(6, dtype=np.float32)
    table = Likeness(vectors, vectors, scale=20.0, even=0.25)
    found = table.alike([0, 1], [[0, 1], [0, 2], [1, 0, 2, 3], [4, 5], []])
    assert found == pytest.approx([15.0, 5.0, 20 * (0.5**0.5 - 0.25), -5.0, -5.0])
    assert replace(table, even=0.9).alike([0], [[1]]) == [LEAST]
    other = replace(table, sentences=vectors[[1, 0, 2, 3, 4, 5]])
    assert other.alike([0], [[0], [1]]) == pytest.approx([-5.0, 15.0]), "a sentence's words are looked up on their side"


def test_a_table_comes_back_from_its_file_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    one, other = (rng.standard_normal((9, 4)).astype(np.float32) for _ in range(2))
    table = Likeness(one, other, scale=12.5, even=0.5)
    table.write(tmp_path)
    table.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LIKENESS_FILE]
    again = read_likeness(tmp_path)
    assert again.alike([1, 2], [[3], [4, 5]]) == pytest.approx(table.alike([1, 2], [[3], [4, 5]]), abs=0.05)
    whole = (tmp_path / LIKENESS_FILE).read_bytes()
    for bad in (whole[:-3], b"", b"{}"):
        (tmp_path / LIKENESS_FILE).write_bytes(bad)
        read_likeness.cache_clear()
        with pytest.raises(ModelNotUsable, match="liken --base"):
            read_likeness(tmp_path)


def test_a_table_of_another_tokenizer_is_named(tmp_path: Path) -> None:
    Likeness(np.eye(9, dtype=np.float32), np.eye(9, dtype=np.float32), 1.0, 0.0).write(tmp_path)
    (tmp_path / "config.json").write_text('{"vocab_size": 10}')
    with pytest.raises(ModelNotUsable, match="it has 9 rows, and the base's tokenizer 10 pieces"):
        read_likeness(tmp_path)
    (tmp_path / "config.json").write_text('{"vocab_size": 9}')
    assert read_likeness(tmp_path).alike([0], [[0]]) == [1.0]


def test_a_question_is_strange_by_the_words_that_nobody_taught(tmp_path: Path) -> None:
    vectors = np.eye(2, dtype=np.float32)
    table = Likeness(vectors, vectors, 1.0, 0.0, known(["when", "does", "the", "pool", "open", "수영장은"]))
    assert table.strange("When does the Pool open?") == 0.0
    assert table.strange("When does the Zarwick open?") == pytest.approx(0.2)
    assert table.strange("수영장은 언제 열어요") == pytest.approx(2 / 3)
    assert table.strange("!? 12") == 0.0, "no words at all"
    assert table.strange("수영장은요 수영장에 방") == pytest.approx(2 / 3), "a beginning is enough, of two syllables"
    assert table.strange("opened") == 1.0, "in Korean only"
    assert replace(table, known=known(["방", "수영"])).strange("방 방에 수영장") == pytest.approx(1 / 3)
    assert Likeness(vectors, vectors, 1.0, 0.0).strange("Zarwick") == 0.0, "a table whose words nobody counted"
    table.write(tmp_path)
    assert read_likeness(tmp_path).known == table.known


def test_words_are_known_that_stand_in_many_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counter({"pool": 14, "spa": 13, "once": 1})
    assert frequent(counts, 200_000) == known(["pool", "spa"])
    monkeypatch.setattr(likening, "KNOWN_IN", 14_290)
    assert frequent(counts, 900_000) == frequent(counts, 200_000) == known(["pool", "spa"])
    assert frequent(Counter({"pool": 2, "once": 1}), 300) == known(["pool"]), "twice at the least"


def test_an_adapter_does_not_hang_on_the_table(tmp_path: Path) -> None:
    shutil.copy(BASE / "model.safetensors", tmp_path)
    before = fingerprint(tmp_path)
    Likeness(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32), 1.0, 0.0).write(tmp_path)
    assert fingerprint(tmp_path) == before
    assert before == json.loads((WEIGHTS / "frontdesk" / "dojang.json").read_text())["base_fingerprint"]


def test_a_sentence_of_another_question_is_wrong_unless_it_may_be_right() -> None:
    rows = [
        asked(1, 2, group=7),
        asked(3, group=7),
        asked(4, right=0, group=8),
        asked(5, 6, source=2),
        asked(7, source=2),
    ]
    pool, swim, dogs, king, queen = wrong_or_own(rows).int().tolist()
    assert pool == [1, 1, 0, 1, 0, 0, 0], "the other one about the pool may be right, another source as well"
    assert swim == [0, 0, 1, 1, 0, 0, 0]
    assert dogs == [1, 1, 1, 1, 0, 0, 0]
    assert king == queen == [0, 0, 0, 0, 1, 1, 1], "nothing is about the same where no group is named"


def test_the_loss_is_each_questions_among_all_that_are_wrong_and_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table = likening._Table(4)
    nats = torch.tensor([[2.0, 1.0, 9.0, -1.0], [0.5, 3.0, 1.0, -2.0], [4.0, 4.0, 4.0, -3.0]])
    monkeypatch.setattr(table, "nats", lambda *_: nats)
    rows = [asked(1, 2, group=7), asked(3, group=7), asked(1, right=0, group=8)]
    among = [([0.0, 2.0, 1.0, -1.0], 2.0), ([0.0, 1.0, -2.0], 1.0), ([0.0, 4.0, 4.0, 4.0, -3.0], 0.0)]
    wanted = sum(float(torch.logsumexp(torch.tensor(all_), 0)) - right for all_, right in among) / 3
    assert loss_of(table, rows).item() == pytest.approx(wanted, rel=1e-5)


def test_what_is_taught_follows_from_the_seed_and_finds_sentences(tok: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likening, "STEP", 64)
    monkeypatch.setattr(likening, "EPOCHS", 15)
    monkeypatch.setattr(likening, "_TOLD", 200)
    told = list[dict[str, float]]()
    table = taught(tok, questions=500, seed=3, on_progress=told.append)
    assert [news["questions"] for news in told if "questions" in news] == [200, 400, 500]
    losses = [news["loss"] for news in told if "loss" in news]
    assert losses[-1] < 0.2 * losses[0]
    same = taught(tok, questions=500, seed=3)
    assert np.array_equal(table.questions, same.questions)
    assert np.array_equal(table.sentences, same.sentences)
    assert table.known == same.known
    assert table.strange("when is the pool open") == 0.0 < table.strange("blorf is the pool open") < 0.5
    other = taught(tok, questions=500, seed=4)
    assert not np.array_equal(table.questions, other.questions)
    rows = list(made(tok, 500, 3))
    vectors = np.random.default_rng(1).standard_normal(table.questions.shape).astype(np.float32)
    untaught = Likeness(vectors, vectors, 20.0, 0.3)
    assert sum(right_of(table, one) for one in rows) > 470 > 380 > sum(right_of(untaught, one) for one in rows)


def right_of(table: Likeness, one: Asked) -> bool:
    found = [0.0, *table.alike(one.request.tolist(), [c.tolist() for c in one.candidates])]
    return found.index(max(found)) == one.right


def best(tok: Any, table: Likeness, example: Example) -> tuple[int, float]:
    texts = [example.turns[0].content, *example.evidence]
    question, *told = (tok(spaced(text.lower()), add_special_tokens=False).input_ids for text in texts)
    found = table.alike(question, told)
    return found.index(max(found)) + 1, max(found)


def right(tok: Any, table: Likeness, examples: Sequence[Example]) -> int:
    return sum(best(tok, table, e)[0] == e.n for e in examples)


def test_generated_requests_have_one_right_candidate_or_none() -> None:
    for language in LANGUAGES:
        items = [corpus.likened(random.Random(i), language) for i in range(600)]
        assert all(item.request and 0 <= item.right <= len(item.candidates) for item in items)
        wishes = [item for item in items if item.source is None]
        assert 0.25 < len(wishes) / len(items) < 0.45
        assert all(item.right and ":" in item.candidates[item.right - 1] for item in wishes), "a tool's purpose"
        assert len({item.candidates[item.right - 1] for item in wishes}) > 12, "and of other tools than the desk's, too"
        questions = [item for item in items if item.source is not None]
        assert {item.source for item in questions} == {"", "grid", "facts"}
        assert all(item.right <= 1 for item in questions)
        assert 0.1 < sum(item.right == 0 for item in questions) / len(questions) < 0.35
        assert len({item.group for item in questions}) > 60
        purposes = {purpose(tool) for tool in frontdesk.TOOLS}
        assert any(purposes & set(item.candidates) for item in questions), "a question is for no tool"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_that_ships_finds_sentences_and_sees_that_there_is_none(tok: Any, language: Language) -> None:
    table = read_likeness(BASE)
    asked_of = list(evaluate.examples("question, sentence chosen", language, 60, 7))
    assert right(tok, table, asked_of) >= 52
    assert sum(best(tok, table, e)[1] < 0 for e in asked_of) <= 9
    none = evaluate.examples("abstains without evidence", language, 60, 7)
    assert sum(best(tok, table, e)[1] < 0 for e in none) >= 42
