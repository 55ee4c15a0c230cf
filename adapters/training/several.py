"""Documents of small houses with questions that one of their sentences answers, or several together, or none.

"How much do I get back?" is answered by all three sentences about cancelling, "what if I cancel tomorrow?" by one.
``grammar/several.<language>.txt`` has the documents on which it was fitted which sentences belong together
(``speakers.beside``), ``grammar/several.test.<language>.txt`` those that are asked by ``dojang adapters evaluate``. A
document is a title (``#``), its sentences in order with a line ``+`` between two paragraphs, and questions (``?``) with
the numbers of the sentences that answer, ``-`` for none. Nothing is taught with them. The numbers are those of whoever
wrote the question; somebody else, who did not see them, gave the same ones to all but two of 900.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, NamedTuple

from langchain_core.messages import HumanMessage

from adapters.training.qa import GRAMMAR
from adapters.training.real_qa import LEXICAL
from adapters.training.words import Side
from state import Language, Passage

DOCUMENTS: Final = 3
"""Documents over which a question is asked: its own and others."""
BREAK: Final = "+"


class Told(NamedTuple):
    """A document by its paragraphs; of each question the places of the sentences that answer it, from 0."""

    title: str
    paragraphs: tuple[tuple[str, ...], ...]
    questions: tuple[tuple[str, frozenset[int]], ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of them, in order."""
        return tuple(sentence for some in self.paragraphs for sentence in some)


class Question(NamedTuple):
    """A question, the passages that it is asked over, and the sentences that answer together."""

    text: str
    language: Language
    passages: list[Passage]
    answers: frozenset[str]


@dataclass
class Together:
    """How questions are answered that want one sentence, and such that want several.

    ``one``, ``several``: asked. ``one_alone``: told that one and no other; ``one_told``: told it, alone or not.
    ``several_alone``, ``several_told``: likewise, all of them. ``wanted``: sentences that the latter want,
    ``wanted_told``: how many of these were told. ``others``: sentences told that nobody wanted, to all of them.
    ``words``: how often each way to choose by words alone finds the one.
    """

    one: int = 0
    one_alone: int = 0
    one_told: int = 0
    several: int = 0
    several_alone: int = 0
    several_told: int = 0
    wanted: int = 0
    wanted_told: int = 0
    others: int = 0
    words: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LEXICAL, 0))

    def add(self, wanted: frozenset[str], told: frozenset[str]) -> None:
        """Count one answer."""
        self.others += len(told - wanted)
        if len(wanted) == 1:
            self.one += 1
            self.one_alone += told == wanted
            self.one_told += wanted <= told
            return
        self.several += 1
        self.several_alone += told == wanted
        self.several_told += wanted <= told
        self.wanted += len(wanted)
        self.wanted_told += len(wanted & told)


@cache
def documents(language: Language, side: Side) -> tuple[Told, ...]:
    """Those that it was fitted on ("train"), or those for tests only, in file order."""
    name = f"several.{language}.txt" if side == "train" else f"several.test.{language}.txt"
    text = (GRAMMAR / name).read_text(encoding="utf-8")
    return tuple(_read(part.splitlines()) for part in text.split("\n\n") if part.strip())


def _read(lines: Sequence[str]) -> Told:
    title, *rest = (line.strip() for line in lines if line.strip())
    paragraphs: list[list[str]] = [[]]
    questions = []
    for line in rest:
        if line.startswith("? "):
            numbers, _, question = line.removeprefix("? ").partition(" ")
            of_it = frozenset(int(n) - 1 for n in numbers.split(",") if n != "-")
            questions.append((question, of_it))
        elif line == BREAK:
            paragraphs.append([])
        else:
            paragraphs[-1].append(line)
    return Told(title.removeprefix("# "), tuple(map(tuple, paragraphs)), tuple(questions))


def asked(language: Language, side: Side, *, n: int | None = None, seed: int) -> list[Question]:
    """``n`` questions that have an answer, or all, each over its document and two others, a passage a paragraph."""
    every = documents(language, side)
    wanted = [(told, question, places) for told in every for question, places in told.questions if places]
    rng = random.Random(f"several:{seed}")
    found = []
    for told, question, places in rng.sample(wanted, k=min(n or len(wanted), len(wanted))):
        others = rng.sample([other for other in every if other is not told], k=DOCUMENTS - 1)
        shown = [passage for one in (told, *others) for passage in _passages(one, language)]
        rng.shuffle(shown)
        found.append(Question(question, language, shown, frozenset(told.sentences[place] for place in places)))
    return found


def _passages(told: Told, language: Language) -> Iterator[Passage]:
    start = 0
    for n, sentences in enumerate(told.paragraphs):
        text, spans, at = " ".join(sentences), [], 0
        for sentence in sentences:
            spans.append([at, at + len(sentence)])
            at += len(sentence) + 1
        yield Passage(
            id=f"{told.title} {n}", document=told.title, title=told.title, text=text, start=start,
            end=start + len(text), page=None, language=language, sentences=spans, scores={"fused": 1.0},
            trust="trusted",
        )  # fmt: skip
        start += len(text) + 2  # as after an empty line


def measure(generator: Any, questions: Sequence[Question], tools: Sequence[Any]) -> Together:
    """Ask ``generator`` (the Generator port) with ``tools`` on offer."""
    found = Together()
    for one in questions:
        said = generator.reply([HumanMessage(one.text)], passages=one.passages, tools=tools, language=one.language)
        found.add(one.answers, frozenset(cited["quote"] for cited in said["citations"]))
        if len(one.answers) == 1:
            shown = [passage["text"][start:end] for passage in one.passages for start, end in passage["sentences"]]
            for name, way in LEXICAL.items():
                worth = way(one.text, shown)
                found.words[name] += shown[max(range(len(worth)), key=worth.__getitem__)] in one.answers
    return found


def table(found: dict[str, Together]) -> str:
    """A Markdown table."""
    rows = [
        "| answers of one sentence and of several | one: it alone | it and others | best by words alone "
        "| several: all of them alone | all and others | sentences told of those wanted | others, to all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, t in found.items():
        best = max(t.words, key=t.words.__getitem__)
        cells = [
            f"{t.one_alone}/{t.one}", f"{t.one_told - t.one_alone}/{t.one}", f"{best} {t.words[best]}/{t.one}",
            f"{t.several_alone}/{t.several}", f"{t.several_told - t.several_alone}/{t.several}",
            f"{t.wanted_told}/{t.wanted}", str(t.others),
        ]  # fmt: skip
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


__all__ = ["Question", "Together", "Told", "asked", "documents", "measure", "table"]
