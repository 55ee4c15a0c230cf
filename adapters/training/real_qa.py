"""Real questions about real paragraphs: does the served generator cite the sentence that holds the answer?

``dojang adapters evaluate --qa FOLDER`` reads every folder below it that has ``paragraphs.jsonl`` ({id, title, text})
and ``questions.jsonl`` ({id, question, gold, answer_start}), such as XQuAD's and KorQuAD's development sets. Nothing is
ever trained on them. Each question comes with its own paragraph and two others, of the same article where there are
any. Beside the generator stand three ways to choose by words alone; the best of them is what has to be beaten.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from langchain_core.messages import HumanMessage

from adapters.speakers.lexical import bm25, overlap, runs
from state import Language, Passage, UserError

Split = Callable[[str], Sequence[tuple[int, int]]]
"""Cuts a text into sentences: [start, end) offsets in order."""
PARAGRAPHS: Final = 3


class Question(NamedTuple):
    """A question, the paragraphs that it is asked over, and the [start, end) of the sentence of one that answers."""

    text: str
    language: Language
    passages: list[Passage]
    gold: str
    place: tuple[int, int]


@dataclass
class Score:
    """How often the sentence with the answer was chosen, by whom, and how often the generator did not answer.

    An answer of several sentences shares its point among them: who tells two has half of it where one is right.
    """

    asked: int
    right: dict[str, float]
    abstained: int = 0
    called: int = 0

    def best(self) -> tuple[str, float]:
        """The best way to choose by words alone."""
        words = {name: n for name, n in self.right.items() if name != "generator"}
        return max(words.items(), key=lambda item: item[1])


def questions(folder: Path, split: Split, *, n: int | None, seed: int) -> Iterator[tuple[str, list[Question]]]:
    """The questions of every set below ``folder``: all, or ``n`` that ``seed`` draws.

    Raises:
        UserError: There is no set.
    """
    found = sorted(path.parent for path in folder.glob("*/questions.jsonl"))
    if not found:
        raise UserError(
            f"{folder} has no folder with questions.jsonl and paragraphs.jsonl; see adapters/training/real_qa.py"
        )
    for place in found:
        yield place.name, _read(place, split, n, seed)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _read(folder: Path, split: Split, n: int | None, seed: int) -> list[Question]:
    paragraphs = {row["id"]: row for row in _rows(folder / "paragraphs.jsonl")}
    by_title: dict[str, list[str]] = defaultdict(list)
    for row in paragraphs.values():
        by_title[row["title"]].append(row["id"])
    asked = _rows(folder / "questions.jsonl")
    if n is not None and n < len(asked):
        asked = random.Random(f"real:{seed}").sample(asked, k=n)
    cut = {key: [(s, e) for s, e in split(row["text"])] for key, row in paragraphs.items()}
    made = (_question(row, paragraphs, by_title, cut, seed) for row in asked)
    return [question for question in made if question is not None]


def _question(
    row: dict[str, Any],
    paragraphs: dict[str, dict[str, Any]],
    by_title: dict[str, list[str]],
    cut: dict[str, list[tuple[int, int]]],
    seed: int,
) -> Question | None:
    r = random.Random(f"real:{seed}:{row['id']}")
    gold = row["gold"]
    same = [key for key in by_title[paragraphs[gold]["title"]] if key != gold]
    near = r.sample(same, k=min(PARAGRAPHS - 1, len(same)))
    others = [key for key in paragraphs if key != gold and key not in same]
    keys = [gold, *near, *r.sample(others, k=PARAGRAPHS - 1 - len(near))]
    r.shuffle(keys)
    place = next(((s, e) for s, e in cut[gold] if s <= row["answer_start"] < e), None)
    if place is None:
        return None
    language: Language = "ko" if re.search("[가-힣]", row["question"]) else "en"
    shown = [paragraph(k, paragraphs[k]["title"], paragraphs[k]["text"], cut[k], language) for k in keys]
    return Question(row["question"], language, shown, gold, place)


def paragraph(name: str, title: str, text: str, cut: Sequence[tuple[int, int]], language: Language) -> Passage:
    """A paragraph as it is found: ``cut`` are its sentences."""
    return Passage(
        id=name, document=title, title=title, text=text, start=0, end=len(text), page=None, language=language,
        sentences=[[s, e] for s, e in cut], scores={"fused": 1.0}, trust="trusted",
    )  # fmt: skip


def measure(generator: Any, asked: list[Question], tools: Sequence[Any]) -> Score:
    """Ask ``generator`` (the Generator port) with ``tools`` on offer, and the three ways beside it."""
    score = Score(len(asked), dict.fromkeys(("generator", *LEXICAL), 0.0))
    for question in asked:
        said = generator.reply(
            [HumanMessage(question.text)], passages=question.passages, tools=tools, language=question.language
        )
        places = [(p["id"], s, e) for p in question.passages for s, e in p["sentences"]]
        texts = [p["text"][s:e] for p in question.passages for s, e in p["sentences"]]
        right = places.index((question.gold, *question.place))
        for name, way in LEXICAL.items():
            worth = way(question.text, texts)
            score.right[name] += max(range(len(worth)), key=worth.__getitem__) == right
        for cited in said["citations"]:
            inside = question.place[0] <= cited["start"] < question.place[1]
            score.right["generator"] += (cited["passage"] == question.gold and inside) / len(said["citations"])
        score.abstained += said["abstained"]
        score.called += not said["citations"] and not said["abstained"]
    return score


def table(scores: dict[str, Score]) -> str:
    """A Markdown table."""
    rows = ["| right sentence of paragraphs | generator | best by words alone | abstained | taken for a request |"]
    rows.append("|---|---|---|---|---|")
    for name, s in scores.items():
        best, right = s.best()
        cells = [f"{right / s.asked:.3f} ({right:g}/{s.asked})" for right in (s.right["generator"], right)]
        rows.append(f"| {name} | {cells[0]} | {best} {cells[1]} | {s.abstained} | {s.called} |")
    return "\n".join(rows)


LEXICAL: Final[dict[str, Callable[[str, Sequence[str]], list[float]]]] = {
    "overlap": overlap,
    "BM25": bm25,
    "runs of letters": runs,
}


__all__ = ["LEXICAL", "PARAGRAPHS", "Question", "Score", "Split", "measure", "paragraph", "questions", "table"]
