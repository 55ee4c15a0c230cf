"""From passages and tool results to numbered sentences, and from a chosen number back to the place in the document."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage

from adapters.prompt import MAX_EVIDENCE, result_lines
from state import Citation, Passage

PER_TURN: Final = 14
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
    best passage first. When they are more than ``limit``, each passage keeps its first sentences, in turn, so that
    no long passage crowds out the others.
    """
    lines = tool_lines(messages)
    if lines:
        return lines[:limit], True
    by_passage = [_sentences(passage) for passage in passages]
    kept = [0] * len(by_passage)
    left = limit
    while left and any(kept[i] < len(rows) for i, rows in enumerate(by_passage)):
        for i, rows in enumerate(by_passage):
            if left and kept[i] < len(rows):
                kept[i] += 1
                left -= 1
    return [row for i, rows in enumerate(by_passage) for row in rows[: kept[i]]], False


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


def overlap(question: str, sentences: Sequence[str]) -> list[float]:
    """Share of the question's terms that each sentence holds, 0 to 1; a term that few sentences hold weighs more."""
    asked, held = terms(question), [terms(sentence) for sentence in sentences]
    weight = {t: math.log(1 + (len(held) + 1) / (sum(t in h for h in held) + 0.5)) for t in asked}
    total = sum(weight.values()) or 1.0
    return [sum(weight[t] for t in asked & h) / total for h in held]
