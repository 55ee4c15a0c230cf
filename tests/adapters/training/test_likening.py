"""What says how alike two texts are: what it is taught from, what it makes of texts, how it lies in a base's folder."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.alike import LEAST, LIKENESS_FILE
from adapters.alike.likeness import Lexicon, Likeness, read_likeness
from adapters.alike.network import Network, given
from adapters.alike.units import known, units_of
from adapters.errors import ModelNotUsable
from adapters.local.loading import fingerprint
from adapters.prompt import purpose
from adapters.serving import WEIGHTS
from adapters.training import corpus, evaluate, frontdesk, likening
from adapters.training.examples import Alike, Example
from adapters.training.likening import (
    Lesson,
    averaged,
    frequent,
    item_at,
    lexicon,
    loss_of,
    step_of,
    steps,
    surprise,
    taught,
    wrong_or_own,
)
from state import Language, UserError

BASE = WEIGHTS / "base"
LANGUAGES: tuple[Language, ...] = ("en", "ko")


@pytest.fixture(scope="module")
def words() -> Lexicon:
    return lexicon(BASE)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    torch.set_num_threads(1)
    read_likeness.cache_clear()
    yield
    read_likeness.cache_clear()


def untaught(width: int = 32, layers: int = 1, pieces: int = 8192) -> Network:
    torch.manual_seed(5)
    return Network(pieces, width, layers).eval().requires_grad_(False)


def test_untaught_likeness_is_shared_words_and_has_a_least(words: Lexicon) -> None:
    made = Likeness(untaught(128))
    same, one, none = made.alike(words, "pool", ["pool", "pool zebra", "zebra"])
    scale = made.network.scale.exp().item()
    assert same == pytest.approx(scale * (1 - made.network.even.item()), rel=1e-4)
    assert same > one > none
    torch.nn.init.constant_(made.network.even, 3.0)
    assert made.alike(words, "pool", ["zebra"]) == [LEAST]
    assert made.alike(words, "pool", []) == []


def test_a_text_of_nothing_breaks_nothing(words: Lexicon) -> None:
    made = Likeness(untaught())
    for odd in ("", "  \n", "!?", "𝒳 é", "가" * 5_000, "a " * 5_000, "\0"):
        assert len(made.alike(words, odd, ["pool", odd])) == 2
        assert np.isfinite(made.alike(words, "pool", [odd])).all()


def test_what_a_text_is_does_not_hang_on_its_neighbours(words: Lexicon) -> None:
    network = untaught(layers=2)
    for parameter in network.parameters():  # an untaught layer changes nothing, whatever it is given
        parameter.data += 0.1 * torch.randn_like(parameter)
    rng = random.Random(3)
    texts = [
        " ".join(rng.choices("pool open 수영장은 몇 시에 10 won, deposit".split(), k=rng.randint(1, 40)))
        for _ in range(90)
    ]
    together = network.told(given(words.texts(texts), network.device))
    for i in range(0, 90, 7):
        alone = network.told(given(words.texts([texts[i]]), network.device))[0]
        assert torch.allclose(together[i], alone, atol=1e-5), texts[i]


def test_order_counts_where_there_is_a_layer(words: Lexicon) -> None:
    for layers, same in ((0, True), (1, False)):
        network = untaught(layers=layers)
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        one, other = network.asked(given(words.texts(["dog bites man", "man bites dog"]), network.device))
        assert torch.allclose(one, other, atol=1e-5) is same


def test_a_network_comes_back_from_its_file_and_a_damaged_one_is_named(tmp_path: Path, words: Lexicon) -> None:
    made = Likeness(untaught(), known(["pool"]))
    made.write(tmp_path)
    made.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LIKENESS_FILE]
    again = read_likeness(tmp_path)
    texts = ["when is the pool open", ["pool 10 to 6", "no dogs", "수영장은 6시까지"]]
    assert again.alike(words, *texts) == pytest.approx(made.alike(words, *texts), abs=0.05)  # type: ignore[arg-type]
    assert again.known == made.known
    whole = (tmp_path / LIKENESS_FILE).read_bytes()
    for bad in (whole[:-3], b"", b"{}"):
        (tmp_path / LIKENESS_FILE).write_bytes(bad)
        read_likeness.cache_clear()
        with pytest.raises(ModelNotUsable, match="liken --base"):
            read_likeness(tmp_path)


def test_a_file_of_another_tokenizer_or_of_an_earlier_edition_is_named(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    Likeness(untaught(pieces=9)).write(tmp_path)
    (tmp_path / "config.json").write_text('{"vocab_size": 10}')
    with pytest.raises(ModelNotUsable, match="it has 9 rows, and the base's tokenizer 10 pieces"):
        read_likeness(tmp_path)
    (tmp_path / "config.json").write_text('{"vocab_size": 9}')
    assert read_likeness(tmp_path).known == frozenset()
    read_likeness.cache_clear()
    save_file(
        {"questions": np.eye(9, dtype=np.float16), "sentences": np.eye(9, dtype=np.float16)}, tmp_path / LIKENESS_FILE
    )
    with pytest.raises(ModelNotUsable, match=r"earlier edition.*liken --base"):
        read_likeness(tmp_path)


def test_a_question_is_strange_by_the_words_that_nobody_taught() -> None:
    made = Likeness(untaught(8, 0, 9), known(["when", "does", "the", "pool", "open", "수영장은"]))
    assert made.strange("When does the Pool open?") == 0.0
    assert made.strange("When does the Zarwick open?") == pytest.approx(0.2)
    assert made.strange("수영장은 언제 열어요") == pytest.approx(2 / 3)
    assert made.strange("!? 12") == 0.0, "no words at all"
    assert made.strange("수영장은요 수영장에 방") == pytest.approx(2 / 3), "a beginning is enough, of two syllables"
    assert made.strange("opened") == 1.0, "in Korean only"
    assert replace(made, known=known(["방", "수영"])).strange("방 방에 수영장") == pytest.approx(1 / 3)
    assert replace(made, known=frozenset()).strange("Zarwick") == 0.0, "one whose words nobody counted"


def test_words_are_known_that_stand_in_many_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counter({"pool": 14, "spa": 13, "once": 1})
    assert frequent(counts, 200_000) == known(["pool", "spa"])
    monkeypatch.setattr(likening, "KNOWN_IN", 14_290)
    assert frequent(counts, 900_000) == frequent(counts, 200_000) == known(["pool", "spa"])
    assert frequent(Counter({"pool": 2, "once": 1}), 300) == known(["pool"]), "twice at the least"


def test_an_adapter_does_not_hang_on_it(tmp_path: Path) -> None:
    shutil.copy(BASE / "model.safetensors", tmp_path)
    before = fingerprint(tmp_path)
    Likeness(untaught()).write(tmp_path)
    assert fingerprint(tmp_path) == before
    assert before == json.loads((WEIGHTS / "frontdesk" / "dojang.json").read_text())["base_fingerprint"]


Asked = tuple[int, tuple[int, ...], tuple[int, ...]]


def columns(*rows: Asked) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of (source, groups, groups of its candidates) of each request: owner, source, groups, about."""
    owner = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(told) for *_, told in rows]))
    about = torch.tensor([group for *_, told in rows for group in told])
    return owner, torch.tensor([s for s, _, _ in rows]), torch.tensor([groups for _, groups, _ in rows]), about


def test_a_sentence_of_another_question_is_wrong_unless_it_may_be_right() -> None:
    found = wrong_or_own(
        *columns((1, (7, 0), (7, 8)), (1, (7, 0), (7,)), (1, (8, 0), (8,)), (2, (0, 0), (0, 0)), (2, (0, 0), (7,)))
    )
    pool, swim, dogs, king, queen = found.int().tolist()
    assert pool == [1, 1, 0, 1, 0, 0, 0], "the other one about the pool may be right, another source as well"
    assert swim == [0, 1, 1, 1, 0, 0, 0], "what is wrong for another question about the pool is wrong for this one"
    assert dogs == [1, 0, 1, 1, 0, 0, 0], "what is wrong beside the pool may be right for dogs"
    assert king == queen == [0, 0, 0, 0, 1, 1, 1], "nothing is about the same where no group is named"
    (cats, *_) = wrong_or_own(*columns((1, (9, 8), (9,)), (1, (8, 0), (8, 7)))).int().tolist()
    assert cats == [1, 0, 1], "what a dog costs says that animals may come"


def test_no_sentence_of_a_step_is_called_wrong_that_answers(words: Lexicon) -> None:
    items = [item_at(5, i) for i in range(300)]
    some = step_of(words, items)
    owner = torch.repeat_interleave(torch.arange(len(items)), torch.from_numpy(some.counts))
    found = wrong_or_own(owner, *(torch.from_numpy(x) for x in (some.source, some.groups, some.about)))
    texts = [(item, text, about) for item in items for text, about in zip(item.candidates, told_of(item), strict=True)]
    guests = [i for i, item in enumerate(items) if item.source == "" and item.group]
    assert len(guests) > 60
    wrong = right = 0
    for i in guests:
        for j, (owned_by, _, about) in enumerate(texts):
            answers = about in (items[i].group, *items[i].also)
            if owned_by is not items[i]:
                assert not (answers and found[i, j]), (items[i].request, texts[j])
                wrong, right = wrong + bool(found[i, j]), right + answers
    assert wrong > 5_000
    assert right > 100, "there are such, or nothing is shown"


def told_of(item: Alike) -> tuple[str, ...]:
    """The group of each candidate."""
    return item.told or ("",) * len(item.candidates)


def test_the_loss_is_each_questions_among_all_that_are_wrong_and_nothing() -> None:
    nats = torch.tensor([[2.0, 1.0, 9.0, -1.0], [0.5, 3.0, 1.0, -2.0], [4.0, 4.0, 4.0, -3.0]])
    owner, source, groups, about = columns((1, (7,), (7, 6)), (1, (7,), (7,)), (1, (8,), (8,)))
    among = [([0.0, 2.0, 1.0, -1.0], 2.0), ([0.0, 3.0, 1.0, -2.0], 1.0), ([0.0, 4.0, 4.0, 4.0, -3.0], 0.0)]
    wanted = sum(float(torch.logsumexp(torch.tensor(all_), 0)) - right for all_, right in among) / 3
    found = surprise(nats, owner, torch.tensor([2, 1, 1]), torch.tensor([1, 1, 0]), source, groups, about)
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_steps_are_the_same_whoever_makes_them() -> None:
    lesson = Lesson(16, 9, 4)
    here, there = list(steps(BASE, lesson)), list(steps(BASE, lesson, workers=2))
    assert len(here) == len(there) == 4
    for one, other in zip(here, there, strict=True):
        assert one.words == other.words
        for a, b in zip(
            (*one[2:7], *vars(one.asked).values()), (*other[2:7], *vars(other.asked).values()), strict=True
        ):
            assert np.array_equal(a, b)


def test_what_is_taught_follows_from_the_seed_and_finds_sentences(
    words: Lexicon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likening, "STEP", 32)
    told = list[dict[str, float]]()
    made = taught(BASE, questions=1_600, seed=3, on_progress=told.append, width=64, layers=1)
    assert [(news["step"], news["total"], news["questions"]) for news in told] == [(50, 50, 1_600)]
    same = taught(BASE, questions=1_600, seed=3, width=64, layers=1)
    for name, one in made.network.state_dict().items():
        assert torch.equal(one, same.network.state_dict()[name]), name
    assert made.known == same.known
    assert made.strange("when is the pool open") == 0.0 < made.strange("blorf is the pool open") < 0.5
    rows = [likening.item_at(3, n) for n in range(300)]
    first = Likeness(untaught(64))
    assert sum(right_of(words, made, one) for one in rows) > 1.3 * sum(right_of(words, first, one) for one in rows)
    network, some = made.network.requires_grad_(True), step_of(words, rows[:40])
    torch.manual_seed(1)
    assert loss_of(network, some, hidden=0.9).item() > loss_of(network, some).item(), "what pieces say is hidden"


def test_what_lies_there_is_taught_on_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = untaught(32, 1)
    told = list[dict[str, float]]()
    made = taught(BASE, questions=1, seed=3, step=8, extend=Likeness(first, frozenset({7})), minutes=1e-9)
    assert 7 in made.known, "a word that was taught before stays known"
    same = {name: torch.equal(x, made.network.state_dict()[name]) for name, x in first.state_dict().items()}
    assert not all(same.values()), "one step there is"
    assert same["told.table.weight"] is False
    assert not any(p.requires_grad for p in made.network.parameters())
    now = iter(range(100))
    monkeypatch.setattr("adapters.training.likening.monotonic", lambda: float(next(now)))
    taught(BASE, questions=1, seed=3, step=2, width=8, layers=0, minutes=1.0, on_progress=told.append)
    assert [(news["step"], news["total"]) for news in told] == [(50, 0)], "sixty steps of a second each"


def right_of(words: Lexicon, made: Likeness, one: Alike) -> bool:
    found = [0.0, *made.alike(words, one.request, one.candidates)]
    return found.index(max(found)) == one.right


def best(words: Lexicon, made: Likeness, example: Example) -> tuple[int, float]:
    found = made.alike(words, example.turns[0].content, example.evidence)
    return found.index(max(found)) + 1, max(found)


def right(words: Lexicon, made: Likeness, examples: Sequence[Example]) -> int:
    return sum(best(words, made, e)[0] == e.n for e in examples)


def test_the_mean_of_two_networks_knows_the_words_of_both() -> None:
    one, two = Likeness(untaught(32, 1), frozenset({1, 2})), Likeness(untaught(32, 1), frozenset({2, 3}))
    with torch.no_grad():
        for number in two.network.parameters():
            number.add_(torch.rand_like(number))
    mean = averaged([one, two])
    assert mean.known == {1, 2, 3}
    first, second, made = (x.network.state_dict() for x in (one, two, mean))
    assert all(torch.allclose(made[name], (first[name] + second[name]) / 2) for name in made)
    assert not torch.equal(first["told.table.weight"], made["told.table.weight"])
    with pytest.raises(UserError, match="different shapes"):
        averaged([one, Likeness(untaught(16, 1))])


def test_generated_requests_have_one_right_candidate_or_none() -> None:
    for language in LANGUAGES:
        items = [corpus.likened(random.Random(i), language) for i in range(600)]
        assert all(item.request and 0 <= item.right <= len(item.candidates) for item in items)
        wishes = [item for item in items if item.source is None]
        assert 0.2 < len(wishes) / len(items) < 0.4
        assert all(item.right and ":" in item.candidates[item.right - 1] for item in wishes), "a tool's purpose"
        assert len({item.candidates[item.right - 1] for item in wishes}) > 12, "and of other tools than the desk's, too"
        questions = [item for item in items if item.source is not None]
        families = {"trades office", "trades shop", "trades public", "trades works", "trades home", "trades firm"}
        assert {item.source for item in questions} == {"", "grid", "facts", "passages"} | families
        assert all(item.right <= 1 for item in questions)
        assert 0.1 < sum(item.right == 0 for item in questions) / len(questions) < 0.35
        assert len({item.group for item in questions}) > 60
        purposes = {purpose(tool) for tool in frontdesk.TOOLS}
        assert any(purposes & set(item.candidates) for item in questions), "a question is for no tool"


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_ships_finds_sentences_and_sees_that_there_is_none(words: Lexicon, language: Language) -> None:
    made = read_likeness(BASE)
    asked_of = list(evaluate.examples("question, sentence chosen", language, 60, 7))
    assert right(words, made, asked_of) >= 52
    assert sum(best(words, made, e)[1] < 0 for e in asked_of) <= 9
    none = evaluate.examples("abstains without evidence", language, 60, 7)
    assert sum(best(words, made, e)[1] < 0 for e in none) >= 42


def test_units_are_words_numbers_and_marks() -> None:
    assert units_of("Room 12: 수영장은 10시? OK!") == ["room", "12", ":", "수영장은", "10", "시", "?", "ok", "!"]
    assert units_of("") == []
