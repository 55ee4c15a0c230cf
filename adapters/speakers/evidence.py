"""From passages and tool results to numbered sentences, and from a chosen number back to the place in the document."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage

from adapters.prompt import MAX_EVIDENCE, request_of, result_lines, turns_of
from adapters.speakers.expecting import expected, holds
from state import Citation, Passage

PER_TURN: Final = 14
GAP_CHARS: Final = 3  # at most so many characters between a sentence and the next one
assert PER_TURN <= MAX_EVIDENCE


class Evidence(NamedTuple):
    """One sentence that may be chosen, and where it stands. ``document`` is empty for a tool's result."""

    text: str
    passage: str
    document: str
    start: int  # in the extracted text of the document; for a tool's result in its message
    end: int

    def cite(self, n: int) -> Citation:
        """This sentence as citation ``n``."""
        return Citation(
            n=n, passage=self.passage, document=self.document, start=self.start, end=self.end, quote=self.text
        )


def gather(
    messages: Sequence[AnyMessage], passages: Sequence[Passage], *, limit: int = PER_TURN
) -> tuple[list[Evidence], bool]:
    """What the next turn may cite, and whether it is a tool's result that waits for an answer.

    The lines of the tool results since the last human message, if there are any; else sentences of the passages,
    best passage first. When they are more than ``limit``, those stay for which most speaks (``worth``), and among
    equals those that stand earlier in their passage, so that no long passage crowds out the others.
    """
    lines = tool_lines(messages)
    if lines:
        return lines[:limit], True
    by_passage = [_sentences(passage) for passage in passages]
    rows = [row for some in by_passage for row in some]
    if len(rows) <= limit:
        return rows, False
    places = [place for some in by_passage for place in range(len(some))]
    speaks = worth(request_of(turns_of(messages)), [row.text for row in rows], following(rows))
    kept = sorted(range(len(rows)), key=lambda i: (-speaks[i], places[i], i))[:limit]
    return [rows[i] for i in sorted(kept)], False


def following(rows: Sequence[Evidence]) -> list[bool]:
    """Whether each sentence comes right after the one before it in the list, in the same passage."""
    near = (a.passage == b.passage and 0 <= b.start - a.end <= GAP_CHARS for a, b in pairwise(rows))
    return [False, *near][: len(rows)]


def tool_lines(messages: Sequence[AnyMessage]) -> list[Evidence]:
    """The lines of the tool messages after the last human message, in order."""
    found: list[Evidence] = []
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        if isinstance(message, ToolMessage):
            found = _lines(message) + found
    return found


def _lines(message: ToolMessage) -> list[Evidence]:
    content, at, out = message.text, 0, []
    for line in result_lines(content):
        # A line that was put together from JSON stands nowhere as such: then the whole message is the place.
        begin = content.find(line, at)
        start, end = (begin, begin + len(line)) if begin >= 0 else (0, len(content))
        at = end if begin >= 0 else at
        out.append(Evidence(line, f"tool:{message.tool_call_id}", "", start, end))
    return out


def _sentences(passage: Passage) -> list[Evidence]:
    spans = passage["sentences"] or [[0, len(passage["text"])]]
    out = []
    for start, end in spans:
        text = passage["text"][start:end]
        begin = start + len(text) - len(text.lstrip())
        text = text.strip()
        if text:
            at = passage["start"] + begin
            out.append(Evidence(text, passage["id"], passage["document"], at, at + len(text)))
    return out


_WORD: Final = re.compile(r"[가-힣]+|[a-z]+|\d+")
STEM_CHARS: Final = 5


def terms(text: str) -> set[str]:
    """What two texts can share: Hangul by pairs of syllables, Latin words by their first letters, numbers whole."""
    found: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        if "가" <= word[0] <= "힣":
            found |= {word[i : i + 2] for i in range(len(word) - 1)} or {word}
        else:
            found.add(word[:STEM_CHARS])
    return found


def _rarity(asked: set[str], held: Sequence[set[str]]) -> dict[str, float]:
    """What each term that is asked for weighs: more, the fewer sentences hold it."""
    return {t: math.log(1 + (len(held) + 1) / (sum(t in h for h in held) + 0.5)) for t in asked}


def overlap(question: str, sentences: Sequence[str]) -> list[float]:
    """Share of the question's terms that each sentence holds, 0 to 1; a term that few sentences hold weighs more."""
    asked, held = terms(question), [terms(sentence) for sentence in sentences]
    weight = _rarity(asked, held)
    total = sum(weight.values()) or 1.0
    return [sum(weight[t] for t in asked & h) / total for h in held]


BEFORE: Final = 0.3
EXPECTED: Final = 0.2


def worth(question: str, sentences: Sequence[str], follows: Sequence[bool] = ()) -> list[float]:
    """What speaks for each sentence without any model: its overlap, what stands before it, and the kind of answer.

    A sentence of a text often leaves unsaid whom it is about, because the sentence before said it: terms that only
    that one holds count ``BEFORE`` as much. One that holds the kind of thing that is asked for gains ``EXPECTED``.

    Args:
        question: What is asked.
        sentences: The candidates.
        follows: Whether each stands right after the one before in this list in the same text; by default none does.
    """
    asked, held = terms(question), [terms(sentence) for sentence in sentences]
    weight = _rarity(asked, held)
    total, kind = sum(weight.values()) or 1.0, expected(question)
    found = []
    for i, own in enumerate(held):
        before = held[i - 1] - own if i and i < len(follows) and follows[i] else set()
        share = (sum(weight[t] for t in asked & own) + BEFORE * sum(weight[t] for t in asked & before)) / total
        found.append(share + (EXPECTED if kind and holds(kind, sentences[i], question) else 0.0))
    return found
