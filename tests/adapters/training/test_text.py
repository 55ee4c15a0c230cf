"""The generated text: deterministic, copyable, and apart from everything that tests and sample documents say."""

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.prompt import MAX_EVIDENCE, chat, integers_in
from adapters.training import corpus, episodes, evaluate, frontdesk, generic, qa, wordings, words
from adapters.training.corpus import Stage
from adapters.training.examples import Example
from state import Language

STAGES: tuple[Stage, ...] = ("base", "adapter")
LANGUAGES: tuple[Language, ...] = ("en", "ko")


def some(stage: Stage, n: int = 400, seed: int = 5) -> Iterator[Example]:
    return (corpus.example_at(seed, i, stage) for i in range(n))


@pytest.mark.parametrize("stage", STAGES)
def test_an_example_is_the_same_for_ever(stage: Stage) -> None:
    assert [corpus.example_at(3, i, stage) for i in range(40)] == [corpus.example_at(3, i, stage) for i in range(40)]
    assert corpus.example_at(3, 7, stage) != corpus.example_at(4, 7, stage)
    stream = corpus.stream(3, stage, start=5)
    assert next(stream) == corpus.example_at(3, 5, stage)


@pytest.mark.parametrize("stage", STAGES)
def test_every_argument_stands_in_the_users_words(stage: Stage) -> None:
    calls = [e for e in some(stage, 900) if e.kind == "call"]
    assert len(calls) > 150
    for example in calls:
        said = "\n".join(t.content for t in example.turns if t.role == "user")
        schema = next(t for t in example.tools if t["name"] == example.name)["parameters"]
        for name, value in example.arguments.items():
            if isinstance(value, int):
                assert value in integers_in(said), (said, name, value)
            elif "enum" in schema["properties"][name]:
                assert value in schema["properties"][name]["enum"]
            else:
                assert value in said, (said, name, value)
        assert set(schema["required"]) <= set(example.arguments)
        order = [n for n in schema["properties"] if n in example.arguments]
        assert list(example.arguments) == order


@pytest.mark.parametrize("stage", STAGES)
def test_every_answer_is_one_of_the_numbered_sentences_and_every_question_about_an_offered_argument(
    stage: Stage,
) -> None:
    for example in some(stage, 900):
        assert len(example.evidence) <= MAX_EVIDENCE
        if example.kind == "choose":
            assert 1 <= example.n <= len(example.evidence)
            assert f"[{example.n}] " in example.prompt()
        elif example.kind == "abstain":
            assert example.n == 0
        elif example.kind == "ask":
            tool, _, argument = example.about.partition(".")
            spec = next(t for t in example.tools if t["name"] == tool)
            assert argument in spec["parameters"]["required"]
            assert argument not in json.loads(example.target())["parameters"]


def test_the_evidence_of_a_tool_result_is_its_lines() -> None:
    rng = random.Random(1)
    for _ in range(60):
        example = frontdesk.example(rng, "train", "ko", "result")
        assert example.turns[-1].content.splitlines() == example.evidence
        assert chat(example.turns, [], example.evidence, "ko", "2026-01-01")[-1].role == "evidence"


def _pattern(template: str) -> re.Pattern[str]:
    """A held-out template without alternatives or slots in it, as a pattern for any of its fixed words in a row."""
    fixed = max(re.split(r"\{[a-z0-9_]+\}|\([^()]*\)", template), key=len).strip()
    return re.compile(re.escape(fixed))


@pytest.mark.parametrize("stage", STAGES)
def test_held_out_wordings_are_never_in_training_text(stage: Stage) -> None:
    seen = "\n".join(e.turns[-1].content for e in some(stage, 3_000, seed=0))
    checked = 0
    for language in LANGUAGES:
        for intent in wordings.DO[language]:
            for held in (*wordings.DO[language][intent][-2:], *wordings.SAY[language][intent][-2:]):
                fixed = held.replace("{parts}", "").strip(" .?,")
                known = [*wordings.DO[language][intent][:-2], *wordings.SAY[language][intent][:-2]]
                if len(fixed) > 8 and not any(fixed in k for k in known):
                    checked += 1
                    assert f"{fixed} " not in seen or language == "ko", fixed
        for block in qa.blocks(language):
            fixed = block.questions[-1].split("{")[0]
            if "(" not in fixed and len(fixed) > 10:
                checked += 1
                assert fixed not in seen, fixed
    assert checked > 60


def test_names_dates_and_ids_of_the_tests_are_never_in_training_text() -> None:
    rng = random.Random(9)
    for language in LANGUAGES:
        train, test = words.Values(rng, "train", language), words.Values(rng, "test", language)
        for draw in ("guest", "hotel", "booking_id", "email", "phone"):
            ours = {getattr(train, draw)() for _ in range(300)}
            theirs = {getattr(test, draw)() for _ in range(300)}
            assert not ours & theirs
            assert {words.side_of(v) for v in theirs} == {"test"}


def test_the_sample_documents_are_never_in_training_text() -> None:
    sentences = {s for example, _ in evaluate.sample_questions() for s in example.evidence}
    questions = {example.turns[0].content for example, _ in evaluate.sample_questions()}
    assert len(sentences) > 100
    for stage in STAGES:
        for example in some(stage, 2_500, seed=0):
            assert not sentences & set(example.evidence)
            if stage == "adapter":
                assert example.target().partition("] ")[2] not in sentences
    assert len(questions) > 60


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_thirty_wordings_of_every_intent_and_some_are_for_tests_only(language: Language) -> None:
    for intent in wordings.DO[language]:
        train = set(wordings.openings(language, intent, heldout=False))
        test = set(wordings.openings(language, intent, heldout=True))
        assert len(train) >= 30
        assert len(test) >= 12
        assert not train & test


def test_an_episode_asks_several_things_over_one_prompt() -> None:
    kinds = set()
    for index in range(900):
        episode = episodes.episode_at(1, index)
        assert episode == episodes.episode_at(1, index)
        if isinstance(episode, episodes.Reading):
            continue
        kinds |= {e.kind for e in episode}
        for example in episode:
            assert example.tools == episode[0].tools
            assert example.evidence == episode[0].evidence
            if example.kind == "call":
                said = " ".join(t.content for t in example.turns if t.role == "user")
                assert all(v in said for v in example.arguments.values() if isinstance(v, str) and len(v) > 8)
            if example.kind == "choose":
                assert 1 <= example.n <= len(example.evidence)
    assert kinds == {"call", "ask", "choose"}


def test_readings_and_episodes_hold_no_sample_sentence_and_no_held_out_wording() -> None:
    sample = {s for example, _ in evaluate.sample_questions() for s in example.evidence}
    held_out = (
        "Be so kind as to",
        "arrange a stay",
        "Scrap booking",
        "수고하십니다",
        "예약 철회해",
        "how early does a meal",
    )
    readings = 0
    for index in range(3_000):
        episode = episodes.episode_at(0, index)
        if isinstance(episode, episodes.Reading):
            readings += 1
            shown, said = {episode.sentence}, episode.question
        else:
            shown, said = set(episode[0].evidence), " ".join(e.turns[-1].content for e in episode)
        assert not sample & shown
        assert not any(held in said for held in held_out)
    assert readings > 1_200


def test_a_disguise_changes_names_and_nothing_else() -> None:
    rng = random.Random(2)
    plain = frontdesk.example(rng, "train", "en", "call")
    masked = generic.disguised(rng, plain)
    assert list(masked.arguments.values()) == list(plain.arguments.values())
    assert masked.name in generic.TOOL_NAMES[plain.name]
    assert masked.turns[-1] == plain.turns[-1]


@pytest.mark.parametrize(
    ("text", "fitted"),
    [
        ("방을(를)", "방을"),
        ("뷔페을(를)", "뷔페를"),
        ("서울으로(로)", "서울로"),
        ("부산으로(로)", "부산으로"),
        ("BK-7이(가)", "BK-7이"),
        ("BK-2이(가)", "BK-2가"),
    ],
)
def test_korean_particles_fit_the_sound_before_them(text: str, fitted: str) -> None:
    assert words.josa(text) == fitted


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("방 2개, 두 명", [2]),
        ("180,000원 환불", [180000]),
        ("18만 원", [18, 180000]),
        ("party of four", [4]),
        ("세 명이서 3박", [3]),
        ("someone phoned", []),
        ("1만 5천원", [1, 15000, 5]),
        ("세상에", []),
    ],
)  # fmt: skip
def test_integers_are_read_from_digits_and_number_words(text: str, numbers: list[int]) -> None:
    assert sorted(set(integers_in(text))) == sorted(numbers)


def test_a_questions_grammar_has_enough_of_everything() -> None:
    for language in LANGUAGES:
        found: list[Any] = list(qa.blocks(language))
        assert len(found) >= 40
        assert all(len(b.questions) >= 3 and len(b.sentences) >= 2 for b in found)
