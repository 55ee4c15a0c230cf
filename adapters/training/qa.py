"""Generated questions of hotel guests with evidence sentences. The grammars are ``grammar/qa.<language>.txt``.

In a grammar, ``# topic.aspect`` opens a block, ``?`` is a question and ``=`` a sentence that answers every question
of its block. The last question and the last sentence of each block are for tests only. ``grammar/more.<language>.txt``
has more of both; which of its lines are for tests only is decided by a hash.
"""

# ruff: noqa: E501 - one wording or rule a line reads better than a wrapped one

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from adapters.prompt import Turn
from adapters.training.examples import Example
from adapters.training.wordings import for_tests
from adapters.training.words import Side, Values, fill
from state import Language

GRAMMAR: Final = Path(__file__).parent / "grammar"
PLACES: Final[dict[Language, list[str]]] = {
    "en": ["the front desk", "the lobby", "the main entrance", "the annex", "the garden", "the roof terrace", "the business centre", "the breakfast hall", "the west wing", "the concierge desk", "the basement", "the side door"],
    "ko": ["프런트", "로비", "정문", "별관", "정원", "옥상", "안내 데스크", "식당", "서관", "컨시어지", "지하", "후문"],
}  # fmt: skip
ROOMS: Final[dict[Language, list[str]]] = {
    "en": ["deluxe", "suite", "standard", "family"],
    "ko": ["디럭스", "스위트", "스탠다드", "패밀리"],
}
HOUSE: Final[dict[Language, list[str]]] = {
    "en": [
        "At {house}: {s}",
        "{house}: {s}",
        "For guests of {house}: {s}",
        "{s} This applies to {house}.",
        "In {house}, {l}",
        "At {house}, {l}",
    ],
    "ko": ["{house}: {s}", "{house}에서는 {s}", "{house}의 경우 {s}", "{house} 안내: {s}", "{s} ({house})"],
}
ABOUT: Final[dict[Language, list[str]]] = {
    "en": ["{q} (I mean {house})", "At {house}: {q}", "{house}: {q}", "{q} I am at {house}.", "I stay at {house}. {q}"],
    "ko": ["{house}: {q}", "{house}은(는) {q}", "{house}에 묵는데 {q}", "{house} {q}", "{house}에서 {q}"],
}
OFF_TOPIC: Final[dict[Language, list[str]]] = {
    "en": ["hello", "hi there", "thank you", "Who are you?", "tell me a joke", "What is the weather like?", "Who won the game?", "good night", "What is 12 times 7?", "Write me a poem.", "How tall is the tower?", "What is the capital of {city}?", "Who is {guest}?", "Which film should I see?", "How do I fix my phone?", "What do you think of {guest}?", "Is the stock market up?"],
    "ko": ["안녕하세요", "고마워요", "누구세요?", "농담 하나 해 줘", "오늘 날씨 어때요?", "누가 이겼어요?", "잘 자요", "12 곱하기 7은 얼마예요?", "시를 써 줘", "탑은 얼마나 높아요?", "{city}의 수도는 어디예요?", "{guest}은(는) 누구예요?", "어떤 영화를 볼까요?", "휴대폰은 어떻게 고쳐요?", "주식이 올랐나요?", "{guest} 어떻게 생각해요?"],
}  # fmt: skip


ANSWERED_BY: Final[dict[str, tuple[str, ...]]] = {
    "bed.price": ("room.extrabed",), "room.extrabed": ("bed.price",),
    "business.rule": ("print.service",), "print.service": ("business.rule",),
    "cancel.free": ("cancel.fee",), "cancel.fee": ("cancel.free",),
    "pets.allowed": ("pets.price",), "checkin.early": ("checkin.time",), "checkout.late": ("checkout.time",),
    "distance.how": ("distance.route",), "distance.route": ("distance.how",),
    "invoice.how": ("invoice.company",), "invoice.company": ("invoice.how",),
    "key.lost": ("key.price",), "key.price": ("key.lost",), "tax.rule": ("tax.city",), "tax.city": ("tax.rule",),
    "pool.rule": ("pool.children",), "pool.children": ("pool.rule",),
    "refund.rule": ("refund.defect",), "refund.defect": ("refund.rule",),
}  # fmt: skip
"""Blocks whose sentences answer questions of another one, too, or in part: who says what a dog costs says that it may
come. They do not stand among what is wrong beside those."""
TWINS: Final = {
    "room.extrabed": "bed.price", "print.service": "business.rule", "distance.route": "distance.how",
    "invoice.company": "invoice.how", "key.price": "key.lost", "tax.city": "tax.rule", "pool.children": "pool.rule",
    "refund.defect": "refund.rule",
}  # fmt: skip
"""Blocks about the very same as another one, or about two sides of one thing that are often told together."""


@dataclass
class Block:
    """One aspect of a topic: questions, and sentences of which each answers each; some are for tests only."""

    topic: str
    aspect: str
    questions: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    test_questions: list[str] = field(default_factory=list)
    test_sentences: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As the grammar heads it."""
        return f"{self.topic}.{self.aspect}"


@cache
def sample_sentences() -> frozenset[str]:
    """Sentences of the sample documents: one that a grammar makes by chance is drawn again."""
    lines = (GRAMMAR.parent / "heldout" / "sample_qa.jsonl").read_text(encoding="utf-8").splitlines()
    return frozenset(sentence for line in lines for sentence in json.loads(line)["evidence"])


@cache
def sample_questions() -> frozenset[str]:
    """Questions about the sample documents, in small letters and without their mark: drawn again likewise."""
    lines = (GRAMMAR.parent / "heldout" / "sample_qa.jsonl").read_text(encoding="utf-8").splitlines()
    return frozenset(bare(json.loads(line)["question"]) for line in lines)


def bare(question: str) -> str:
    """A question in small letters and without its mark."""
    return question.lower().rstrip("?. ")


def read_blocks(path: Path) -> list[Block]:
    """The blocks of a grammar file, in order, with all their lines as if for training."""
    found: list[Block] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        mark, _, text = line.partition(" ")
        if mark == "#":
            topic, _, aspect = text.partition(".")
            found.append(Block(topic, aspect))
        elif mark == "?":
            found[-1].questions.append(text)
        elif mark == "=":
            found[-1].sentences.append(text)
    return found


@cache
def blocks(language: Language) -> tuple[Block, ...]:
    """All blocks of a language's grammar, in file order, those of both files together."""
    found = read_blocks(GRAMMAR / f"qa.{language}.txt")
    for block in found:
        block.test_questions, block.test_sentences = [block.questions.pop()], [block.sentences.pop()]
    by_name = {(block.topic, block.aspect): block for block in found}
    for more in read_blocks(GRAMMAR / f"more.{language}.txt"):
        block = by_name[more.topic, more.aspect]
        for text in more.questions:
            (block.test_questions if for_tests(text) else block.questions).append(text)
        for text in more.sentences:
            (block.test_sentences if for_tests(text) else block.sentences).append(text)
    return tuple(found)


def _time(r: random.Random, language: Language) -> str:
    hour, minute = r.randint(5, 23), r.choice((0, 0, 0, 30, 30, 15, 45))
    if language == "ko":
        half = r.choice(("", "", "오전 " if hour < 12 else "오후 "))
        shown = hour - 12 if half == "오후 " and hour > 12 else hour
        return (
            f"{half}{shown}시" + (f" {minute}분" if minute else "")
            if half or r.random() < 0.5
            else f"{hour:02d}:{minute:02d}"
        )
    if r.random() < 0.4:
        return f"{hour:02d}:{minute:02d}"
    return (
        f"{(hour - 1) % 12 + 1}"
        + (f":{minute:02d}" if minute or r.random() < 0.4 else "")
        + r.choice((" am", "am", " a.m.") if hour < 12 else (" pm", "pm", " p.m."))
    )


def slots(v: Values) -> dict[str, str]:
    """Random values for the slots of the grammar."""
    r, language = v.rng, v.language
    prices = [r.randint(1, 90) * r.choice((500, 1000, 5000)) for _ in range(2)]
    won = [f"{p:,}원" if language == "ko" else r.choice((f"{p:,} won", f"KRW {p:,}")) for p in prices]
    floor = r.randint(1, 20)
    return {
        "t1": _time(r, language), "t2": _time(r, language), "t3": _time(r, language), "won": won[0], "won2": won[1],
        "n": str(r.randint(2, 30)), "n2": str(r.randint(3, 60)), "pct": f"{r.randint(1, 20) * 5}" + r.choice(("%", "%", " percent" if language == "en" else "퍼센트")),
        "place": r.choice(PLACES[language]), "room": r.choice(ROOMS[language]), "word": v.word(), "s": r.choice(("", "s")),
        "floor": f"{floor}층" if language == "ko" else r.choice((f"floor {floor}", f"level B{floor % 4 + 1}", "the ground floor")),
        "city": v.city(), "guest": v.guest(),
    }  # fmt: skip


def sentence(v: Values, block: Block, *, heldout: bool = False) -> str:
    """One evidence sentence of a block, with random values."""
    forms = block.test_sentences if heldout else block.sentences
    while True:
        text = fill(v.rng, v.rng.choice(forms), **slots(v))
        text = text[0].upper() + text[1:]
        if text not in sample_sentences():
            return text


def question(v: Values, block: Block, *, heldout: bool = False) -> str:
    """One question of a block."""
    forms = block.test_questions if heldout else block.questions
    while bare(text := fill(v.rng, v.rng.choice(forms), **slots(v))) in sample_questions():
        pass
    if v.language == "en" and v.rng.random() < 0.3:
        text = text[0].lower() + text[1:]
    if v.rng.random() < 0.2:
        text = text.rstrip("?")
    lead = (
        ("Hello, ", "Hi! ", "Excuse me, ", "One question: ")
        if v.language == "en"
        else ("안녕하세요, ", "저기요, ", "질문 있어요. ", "궁금한데 ")
    )
    return v.rng.choice(lead) + text if v.rng.random() < 0.12 else text


def distractors(
    v: Values, block: Block | None, k: int, *, same_topic: float = 0.5, among: Sequence[Block] | None = None
) -> list[tuple[str, Block]]:
    """``k`` sentences that do not answer questions of ``block``, each with its own block; some of its topic.

    ``among``: where they are from; the guests' blocks by default.
    """
    r = v.rng
    answers = ANSWERED_BY.get(block.name, ()) if block is not None else ()
    others = [b for b in (among or blocks(v.language)) if b is not block and b.name not in answers]
    near = [b for b in others if block is not None and b.topic == block.topic]
    chosen = [b for b in near if r.random() < same_topic]
    # Retrieved passages are about few topics each: neighbours come in runs, as in a document.
    while len(chosen) < k:
        at = r.randrange(len(others))
        chosen.extend(others[at : at + r.choice((1, 2, 3))])
    return [(sentence(v, b), b) for b in chosen[:k]]


def evidence_only(v: Values, k: int) -> list[str]:
    """``k`` sentences that happen to be retrieved for a request that is no question."""
    return [line for line, _ in distractors(v, None, k)]


def group(language: Language, block: Block) -> str:
    """What questions and sentences of a block are about, and of those that say the same."""
    return f"{language}:{TWINS.get(block.name, block.name)}"


def also(language: Language, block: Block) -> tuple[str, ...]:
    """The groups of other blocks whose sentences answer questions of this one, too."""
    near = [b for b in blocks(language) if b.name in ANSWERED_BY.get(block.name, ())]
    return tuple(sorted({group(language, b) for b in near} - {group(language, block)}))


def example(
    rng: random.Random, side: Side, language: Language, *, abstain: bool = False, heldout_q: bool = False, heldout_s: bool = False,
    size: int | None = None, slice_: str = "", houses: float = 0.25,
) -> Example:  # fmt: skip
    """A question with numbered sentences: one answers it, or (``abstain``) none does. Tools and turns are added by ``corpus``.

    ``houses``: the share of the questions that name a house, beside sentences of another one.
    """
    v = Values(rng, side, language)
    block = rng.choice(blocks(language))
    k = (size or rng.choice((2, 3, 4, 5, 6, 8, 10, 12, 14))) - 1
    asked = question(v, block, heldout=heldout_q)
    right = sentence(v, block, heldout=heldout_s)
    drawn = distractors(v, block, k, same_topic=0.25 if abstain else 0.6)
    wrong, told = [line for line, _ in drawn], [group(language, b) for _, b in drawn]
    about, others = group(language, block), also(language, block)
    if abstain and rng.random() < 0.25:
        asked, about, others = fill(rng, rng.choice(OFF_TOPIC[language]), **slots(v)), "", ()
    elif rng.random() < houses:
        asked, right, wrong = _with_houses(v, block, asked, right, wrong)
    at = rng.randint(0, len(wrong))
    lines = wrong if abstain else [*wrong[:at], right, *wrong[at:]]
    told = told if abstain else [*told[:at], about, *told[at:]]
    return Example(
        "abstain" if abstain else "choose",
        slice_,
        language,
        [Turn("user", asked)],
        [],
        lines,
        n=0 if abstain else at + 1,
        group=about,
        told=told,
        also=others,
    )


def _with_houses(v: Values, block: Block, asked: str, right: str, wrong: list[str]) -> tuple[str, str, list[str]]:
    """Name a house in question and answer, and put the same aspect of another house among the wrong sentences."""
    r, here, there = v.rng, v.hotel(), v.hotel()

    def at(house: str, text: str) -> str:
        return fill(
            r, r.choice(HOUSE[v.language]).replace("{s}", text).replace("{l}", text[0].lower() + text[1:]), house=house
        )

    asked = fill(r, r.choice(ABOUT[v.language]).replace("{q}", asked), house=here)
    wrong = [at(r.choice((here, there)), w) if r.random() < 0.5 else w for w in wrong]
    if wrong:
        wrong[r.randrange(len(wrong))] = at(there, sentence(v, block))
    return asked, at(here, right), wrong
