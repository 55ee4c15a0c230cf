"""The generated text: deterministic, copyable, and apart from everything that tests and sample documents say."""

import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from adapters.forms.values import choices, property_of
from adapters.prompt import NOTHING, Turn, call_text, called, integers_in, render, request_of, shown, spaced
from adapters.training import corpus, evaluate, frontdesk, generic, invented, qa, wordings, words
from adapters.training.examples import Choice, Example
from state import Language
from tools.toolbox import Toolbox

LANGUAGES: tuple[Language, ...] = ("en", "ko")
PARTS_OF_KINDS = [kind for kind in invented.PARTS["en"] if kind != "any"]


def some(n: int, seed: int = 5, kinds: tuple[str, ...] = ("call", "ask", "tell")) -> Iterator[Example]:
    for i in range(n):
        rng = random.Random(f"{seed}:{i}")
        language = rng.choice(LANGUAGES)
        made = frontdesk.example(rng, "train", language, rng.choice(kinds))
        yield generic.disguised(rng, made) if rng.random() < 0.2 else made
        yield invented.calls(rng, "train", language, missing=rng.random() < 0.3)


@cache
def drawn() -> list[corpus.Item]:
    """The first 4,000 items that a base is trained on; drawn once for all tests."""
    return [corpus.item_at(0, i) for i in range(4_000)]


def test_an_item_is_the_same_for_ever() -> None:
    assert [corpus.item_at(3, i) for i in range(40)] == [corpus.item_at(3, i) for i in range(40)]
    assert corpus.item_at(3, 7) != corpus.item_at(4, 7)


def test_every_argument_stands_in_the_users_words() -> None:
    calls = [e for e in some(500, kinds=("call",)) if e.kind == "call"]
    assert len(calls) > 300
    for example in calls:
        said = [t.content for t in example.turns if t.role == "user"]
        schema = next(t for t in example.tools if t["name"] == example.name)["parameters"]
        for name, spec in property_of(schema):
            value = example.arguments.get(name)
            possible = choices(spec, said)
            if value is not None and possible is not None:
                assert value in possible, (said, name, value)
            elif value is not None:
                assert str(value) in "\n".join(said), (said, name, value)
        assert set(schema["required"]) <= set(example.arguments)


def test_optional_arguments_are_given_about_half_of_the_time() -> None:
    given = [
        name in e.arguments
        for e in some(1_500, kinds=("call",))
        for name in ("room_type", "reason")
        if e.name in ("book_room", "cancel_booking", "issue_refund") and name in str(e.wanted())
    ]
    assert 0.35 < sum(given) / len(given) < 0.65


def test_what_is_said_leaves_open_what_was_not_given() -> None:
    for example in some(300):
        for said in example.said():
            text = "".join(piece for piece, _ in said.pieces)
            if example.kind == "tell":
                assert text == spaced(example.evidence[example.n - 1])
                continue
            tool, _, missing = example.about.partition(".")
            assert text.startswith(f"{example.name or tool}\n")
            if example.kind == "ask":
                assert f"\n{missing}: {NOTHING}\n" in text or text.endswith(f"{missing}?{spaced(example.question)}")
            for name, value in example.arguments.items():
                assert f"\n{name}:" in text or "?" in text, (text, value)


@pytest.mark.parametrize("draw", [corpus.request, corpus.question, corpus.aspect, corpus.fact])
def test_a_choice_has_its_right_candidate_once_or_none(draw: Callable[[random.Random, Language], Choice]) -> None:
    none = 0
    for i in range(200):
        choice = draw(random.Random(i), LANGUAGES[i % 2])
        assert 0 <= choice.right <= len(choice.candidates) <= 9
        if choice.right:
            assert choice.candidates.count(choice.candidates[choice.right - 1]) == 1
        none += choice.right == 0
    assert none == 0 if draw is corpus.request else none > 5


def test_the_front_desk_that_is_trained_is_the_one_that_ships() -> None:
    shipped = {t["name"]: t for t in Toolbox.open().offered()}
    for ours in frontdesk.TOOLS:
        theirs = shipped.pop(ours["name"])
        assert ours["description"] == theirs["description"]
        assert list(ours["parameters"]["properties"]) == list(theirs["parameters"]["properties"])
        assert sorted(ours["parameters"]["required"]) == sorted(theirs["parameters"]["required"])
    assert not shipped


def test_an_answer_to_a_question_joins_the_request_and_a_new_request_stands_alone() -> None:
    asked = [Turn("user", "Book a room"), Turn("assistant", "For whom?"), Turn("user", "Emma Lee")]
    assert request_of(asked) == "Book a room Emma Lee"
    done = [
        *asked,
        Turn("assistant", '{"name": "x", "parameters": {}}'),
        Turn("ipython", "done"),
        Turn("assistant", "done"),
    ]
    assert request_of([*done, Turn("user", "And now?")]) == "And now?"
    gate = [Turn("user", "방 예약"), Turn("assistant", "guest 값을 알려 주세요."), Turn("user", "김하나")]
    assert request_of(gate) == "방 예약 김하나"


@pytest.mark.parametrize(
    "words",
    [
        '{"name"',
        '{"name": "Emma", is how it begins? [1]',
        '{"name": "Namsan Stay", "city": "Seoul"} [1]',
        '{"name": "x", "parameters": {}} [1]',
        '{"name":"x","parameters":{}}',
        '{"name": "x", "parameters": {}, "id": 1}',
        '{"name": "x", "parameters": []}',
        '{"name": "x", "parameters": null}',
        '{"name": 3, "parameters": {}}',
        '{"name": "x", "parameters": ' + "[" * 100_000,
    ],
)
def test_an_answer_that_begins_like_a_call_is_words(words: str) -> None:
    answered = [Turn("user", "Hi"), Turn("assistant", words), Turn("user", "And now")]
    assert called(words) is None
    assert f"{spaced(words)}<|eot_id|>" in render(answered)
    assert request_of(answered) == ("Hi And now" if "?" in words else "And now")


def test_a_call_is_known_by_its_text_and_shown_line_by_line() -> None:
    args = {
        "guest": '김 \ud800 "하나"?',
        "n": 2,
        "share": 1e22,
        "ok": None,
        "of": [{"a": [0.5, True]}],
        "": "알려 주세요",
    }
    assert called(call_text("book", args)) == ("book", args)
    assert called(call_text("", {})) == ("", {})
    told = shown(Turn("assistant", call_text("book", {**args, "none": float("inf")})))
    assert told.splitlines() == [
        "book", 'guest: 김 \ud800 " 하나"?', "n: 2", "share: 1e+22", "ok: null", 'of: [{" a": [ 0.5, true]}]',
        ": 알려 주세요", "none: Infinity",
    ]  # fmt: skip
    assert request_of([Turn("user", "a"), Turn("assistant", call_text("book", args)), Turn("user", "b")]) == "b"


def test_the_evidence_of_a_tool_result_is_its_lines() -> None:
    rng = random.Random(1)
    for _ in range(60):
        example = frontdesk.example(rng, "train", "ko", "tell")
        assert example.turns[-1].content.splitlines() == example.evidence


def test_held_out_wordings_are_never_in_training_text() -> None:
    seen = "\n".join(text for item in drawn() for text in corpus.texts_of(item)).lower()
    checked = 0
    for language in LANGUAGES:
        for intent in wordings.DO[language]:
            for held in (*wordings.DO[language][intent][-2:], *wordings.SAY[language][intent][-2:]):
                fixed = held.replace("{parts}", "").strip(" .?,").lower()
                known = [*wordings.DO[language][intent][:-2], *wordings.SAY[language][intent][:-2]]
                if len(fixed) > 8 and not any(fixed in k.lower() for k in known):
                    checked += 1
                    assert f"{fixed} " not in seen or language == "ko", fixed
        for block in qa.blocks(language):
            for held in block.test_questions:
                fixed = held.split("{")[0].lower()
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
    made = [item for item in drawn() if isinstance(item, Choice)]
    seen = {candidate for choice in made for candidate, _ in choice.candidates}
    asked = {choice.request for choice in made}
    assert not sentences & seen
    assert not questions & asked
    assert len(questions) > 60


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_thirty_wordings_of_every_intent_and_some_are_for_tests_only(language: Language) -> None:
    for intent in wordings.DO[language]:
        phrases, sayings = (wordings.lines(language, kind, intent) for kind in ("do", "say"))
        assert len(phrases.train) + len(sayings.train) >= 30
        assert len(phrases.test) + len(sayings.test) >= 4
        assert not {*phrases.train, *sayings.train} & {*phrases.test, *sayings.test}
        r = random.Random(intent)
        drawn = {wordings.opening(r, language, intent, heldout=False) for _ in range(400)}
        held = [wordings.opening(r, language, intent, heldout=True) for _ in range(100)]
        assert len(drawn) > 100
        assert not drawn & set(held)
        frames = wordings.lines(language, "frame").test
        whole = [*phrases.test, *sayings.test]
        around = [frame.split("{do}") for frame in frames]
        assert all(any(w in o for w in whole) or any(all(p in o for p in a) for a in around) for o in held)


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
        ("18만 원", [180000]),
        ("party of four", [4]),
        ("세 명이서 3박", [3]),
        ("someone phoned", []),
        ("1만 5천원", [15000]),
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


def test_invented_tools_have_words_in_both_languages_and_some_nouns_are_for_tests_only() -> None:
    made = invented.words()
    assert (len(made["verbs"]) >= 60, len(made["nouns"]) >= 150, len(made["arguments"]) >= 100) == (True,) * 3
    for section, entries in made.items():
        assert len({word.name for word in entries}) == len(entries), section
        for word in entries:
            assert all(word.said[language] and all(word.said[language]) for language in LANGUAGES), word
            assert re.fullmatch(r"[a-z][a-z0-9_]*", word.name), word
    assert all(word.kind for word in made["verbs"]), "how a Korean description ends"
    assert {word.kind for word in made["arguments"]} == {*PARTS_OF_KINDS}
    assert all(len(word.values) >= 3 for word in made["arguments"] if word.kind == "enum")

    def nouns(side: words.Side) -> set[str]:
        r = random.Random(side)
        return {invented.invented(words.Values(r, side, "en")).noun.name for _ in range(600)}

    assert not nouns("train") & nouns("test")
    assert len(nouns("test")) >= 15


def test_a_value_without_its_label_is_the_only_one_of_its_kind() -> None:
    kinds = {word.name: word.kind for word in invented.words()["arguments"]}
    labels = {word.name: word.said["en"] for word in invented.words()["arguments"]}
    bare = 0
    for i in range(400):
        example = invented.calls(random.Random(i), "train", "en")
        wanted = example.wanted()
        assert wanted is not None
        said = " ".join(turn.content for turn in example.turns).lower()
        of_kind = [kinds[name] for name in wanted["parameters"]["properties"]]
        for name in example.arguments:
            if not any(label.lower() in said for label in labels[name]) and kinds[name] != "sentence":
                bare += 1
                assert of_kind.count(kinds[name]) == 1 or len(example.turns) > 1, (said, name)
    assert bare > 40


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_messages_say_and_how_people_answer_is_partly_for_tests_only(language: Language) -> None:
    for kind in ("texts", "reasons"):
        train, test = (set(wordings.values(language, kind, side)) for side in ("train", "test"))
        assert (len(train - test) >= 60, len(test - train) >= 5) == (True, True), kind
    shown, held = (set(wordings.replies(language, "guest", side)) for side in ("train", "test"))
    assert (len(shown) >= 15, bool(held - shown)) == (True, True)
    assert set(wordings.replies(language, "any", "train")) <= set(wordings.replies(language, "hotel", "train"))
    for name in ("any", "guest", "to", "amount"):
        assert all("{value}" in reply for reply in wordings.replies(language, name, "train"))
