"""The baseline that no training needs: a speaker that is shown the nearest past edits before the conversation.

A candidate that is no better than this has learned nothing that a look into the past would not have given. Works with
every speaker, because an edit is shown as what was asked and what a person made of the answer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from adapters.dataset.duplicates import words
from adapters.dataset.points import untold
from adapters.gate.replies import Asked
from adapters.prompt import MAX_TURNS, request_of, turns_of
from state import Generation, Language, Passage, ToolSpec

DONE: Final = "ok"
"""What a shown call's result says: an endpoint wants one, and our base has never read a call without."""
SHOWN_TURNS: Final = 3


@dataclass(frozen=True)
class PastEdit:
    """What was asked, and what a person made of the answer."""

    request: str
    reply: AIMessage
    words: frozenset[str]


def past_edits(pairs: Iterable[Mapping[str, Any]]) -> list[PastEdit]:
    """The edits of a dataset's training side: its rows of DPO."""
    found = []
    for row in pairs:
        request = request_of(turns_of(untold(row["prompt"])))
        [reply] = untold([row["chosen"]])
        if request and isinstance(reply, AIMessage):
            found.append(PastEdit(request, reply, words(request)))
    return found


class Reminded:
    """A generator that is shown the ``k`` edits whose requests share the rarest words with the one at hand.

    Args:
        generator: Who answers.
        edits: What it may be shown.
        k: How many at most.
        short: It reads its last eight turns only, so that fewer are shown: the conversation itself is read whole.
    """

    def __init__(self, generator: Asked, edits: Sequence[PastEdit], *, k: int, short: bool) -> None:
        self._generator, self._edits, self._k, self._short = generator, edits, k, short
        seen = Counter(word for edit in edits for word in edit.words)
        self._rare = {word: math.log(1 + len(edits) / count) for word, count in seen.items()}

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        """The next turn, as if the nearest edits had been the beginning of the conversation."""
        turns = turns_of(messages)
        room = min(self._k, max(0, MAX_TURNS - len(turns)) // SHOWN_TURNS) if self._short else self._k
        shown = [message for edit in self.nearest(request_of(turns), room) for message in _shown(edit)]
        return self._generator.reply([*shown, *messages], passages=passages, tools=tools, language=language)

    def nearest(self, request: str, k: int) -> list[PastEdit]:
        """The nearest edits, the nearest last; those that share no word are none. The same request, the same edits."""
        asked = words(request)
        worth = [self._worth(asked, edit.words) for edit in self._edits]
        best = sorted((i for i, value in enumerate(worth) if value > 0), key=lambda i: (-worth[i], i))[:k]
        return [self._edits[i] for i in reversed(best)]

    def _worth(self, asked: frozenset[str], told: frozenset[str]) -> float:
        """The Jaccard index of two sets of words, each word weighed by how rare it is among the edits."""
        most = self._rare.get
        unseen = math.log(1 + len(self._edits))
        both = math.fsum(sorted(most(word, unseen) for word in asked & told))
        return both / math.fsum(sorted(most(word, unseen) for word in asked | told))


def _shown(edit: PastEdit) -> list[AnyMessage]:
    results: list[AnyMessage] = [ToolMessage(DONE, tool_call_id=str(call["id"])) for call in edit.reply.tool_calls]
    return [HumanMessage(edit.request), edit.reply, *results]


__all__ = ["SHOWN_TURNS", "PastEdit", "Reminded", "past_edits"]
