"""From passages and tool results to numbered sentences, and from a chosen number back to the place in the document."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Final, NamedTuple

from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage

from adapters.prompt import MAX_EVIDENCE, request_of, result_lines, turns_of
from adapters.speakers.lexical import worth
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

    The lines of the tool results since the last human message, if there are results: none where they tell nothing,
    for a tool that ran without a word has run, and is not to be called again. Else sentences of the passages, best
    passage first. When they are more than ``limit``, those stay for which most speaks (``worth``), and among equals
    those that stand earlier in their passage, so that no long passage crowds out the others.
    """
    if _results(messages):
        return tool_lines(messages)[:limit], True
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
    return [line for message in _results(messages) for line in _lines(message)]


def _results(messages: Sequence[AnyMessage]) -> list[ToolMessage]:
    """The tool messages after the last human message, in order."""
    since = takewhile(lambda message: not isinstance(message, HumanMessage), reversed(messages))
    return [message for message in since if isinstance(message, ToolMessage)][::-1]


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
