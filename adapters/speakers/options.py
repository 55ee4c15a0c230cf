"""What a line of a call may say, with its probability: the model's likelihoods beside what the request says in words.

The model knows what it read of. Rules say the rest: a date that the gate could not read is not proposed again, words
are taken once, no stay ends before it begins, a number belongs to the argument whose word stands by it
(``forms.labelled``), a choice that was named is meant (``forms.chosen``), and so is the date that is left over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from adapters.forms.chosen import said_choice
from adapters.forms.datewords import dates_in
from adapters.forms.dayorder import backwards, dated
from adapters.forms.labelled import owned
from adapters.forms.values import doubted, is_date, of_date, property_of, used_up
from adapters.prompt import Turn
from state import JSON, ToolSpec

Options: TypeAlias = list[tuple[float, JSON]]
"""Values with their probabilities; None is "nothing was said"."""
DOUBT: Final = 0.003  # a value less likely than this is not followed
UNSAID: Final = 0.001  # how likely everything else stays, against what the model says, where something was meant


def probabilities(nothing: float, scored: Sequence[tuple[float, JSON]]) -> Options:
    """Probabilities of values and of None, where None has ``nothing`` and log likelihoods share the rest."""
    if not scored:
        return [(1.0, None)]
    whole = summed([score for score, _ in scored])
    options: Options = [*(((1 - nothing) * math.exp(score - whole), value) for score, value in scored), (nothing, None)]
    options.sort(key=lambda option: -option[0])
    return options


def summed(scores: Sequence[float]) -> float:
    """The log likelihood that any of these happens."""
    highest = max(scores)
    return highest + math.log(math.fsum(math.exp(score - highest) for score in scores))


class Request:
    """A request for one tool: what was said, and what its words say of the arguments.

    Attributes:
        texts: What people and tools said, oldest first.
        done: So many of them, the first ones, belong to calls whose results are there.
        last: The last argument that is a date; "" where none is.
        required: The arguments that a call needs.
    """

    def __init__(self, tool: ToolSpec, turns: Sequence[Turn]) -> None:
        schema = tool["parameters"]
        told = [turn for turn in turns if turn.role != "assistant"]
        self.texts = [turn.content for turn in told]
        self.done = max((n for n, turn in enumerate(told, 1) if turn.role == "ipython"), default=0)
        self.last = next((name for name, spec in reversed(list(property_of(schema))) if is_date(spec)), "")
        self.required: list[str] = schema.get("required", [])
        self._numbers = owned(tool, self.texts[self.done :])
        self._unclear = doubted(turns)
        self._dates = [said.text for text in self.texts for said in dates_in(text)]

    def options(self, name: str, spec: dict[str, Any], found: Options, values: dict[str, JSON]) -> Options:
        """The values of an argument that are followed, beside ``values`` of those before it; nothing, where none is."""
        if self.last and not is_date(spec):
            found = [(p, v) for p, v in found if not dated(v) and not of_date(v, self._dates, self.texts)]
        if self._unclear and is_date(spec):
            found = _whole([(p, v) for p, v in found if v not in self._unclear]) or found
        if spec.get("type") in ("integer", "number"):
            found = self._labelled(name, found)
        if (choice := said_choice(spec, self.texts[self.done :], required=name in self.required)) is not None:
            found = _meant(found, [choice])
        if name == self.last and any(v is not None and not used_up(v, values, self.texts) for _, v in found):
            found = _meant(found, [v for _, v in found if v is not None])
        return [(p, v) for p, v in found if p >= DOUBT and self._can_stand(name, v, values)] or [(DOUBT, None)]

    def _labelled(self, name: str, found: Options) -> Options:
        """The options of a number, without those that were said for others."""
        own = self._numbers.of.get(name, frozenset())
        others = frozenset().union(*self._numbers.of.values()) - own - self._numbers.free
        return _meant(_whole([(p, v) for p, v in found if v not in others]) or [(1.0, None)], own)

    def _can_stand(self, name: str, value: JSON, values: dict[str, JSON]) -> bool:
        """Whether a value may join others: its words are not taken, and no stay ends before it begins."""
        return not used_up(value, values, self.texts) and not backwards(name, value, values)


def _meant(found: Options, meant: Any) -> Options:
    """The options where some values were meant: the others are all but ruled out. As they are where none was."""
    if not any(value in meant for _, value in found):
        return found
    return _whole([(p if value in meant else p * UNSAID, value) for p, value in found])


def _whole(found: Options) -> Options:
    """These share what is left; none where nothing is."""
    whole = math.fsum(p for p, _ in found)
    return [(p / whole, value) for p, value in found] if whole else []


__all__ = ["DOUBT", "Options", "Request", "probabilities", "summed"]
