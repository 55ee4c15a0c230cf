"""What a line of a call may say, with its probability: the model's likelihoods beside what the request says in words.

The model knows what it read of. Rules say the rest: a date that the gate could not read is not proposed again, words
are taken once, no stay ends before it begins, a number belongs to the argument whose word stands by it
(``forms.labelled``), a choice that was named is meant (``forms.chosen``), so are the words that stand beside the name
of their argument (``forms.stated``) or in its line of a form (``forms.fields``), and the date that is left over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from adapters.forms.chosen import said_choice, stated_choice
from adapters.forms.datewords import dates_in
from adapters.forms.dayorder import backwards, dated
from adapters.forms.fields import Form, form_in
from adapters.forms.labelled import owned
from adapters.forms.stated import Stated, stated
from adapters.forms.values import Start, choices, doubted, is_date, of_date, property_of, used_up
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
        self._form = form_in(tool, self.texts[self.done :])
        self._said: Sequence[str] = self.texts[self.done :]
        if self._form is not None:
            self._said = [*self._form.around, *self._form.free, *self._form.apart]
        self._numbers = owned(tool, self._said)
        self._beside = stated(tool, self._said)
        self._unclear = doubted(turns)
        self._dates = [said.text for text in self.texts for said in dates_in(text)]

    def options(self, name: str, spec: dict[str, Any], found: Options, values: dict[str, JSON]) -> Options:
        """The values of an argument that are followed, beside ``values`` of those before it; nothing, where none is."""
        if self._form is not None:
            found = self._filled(self._form, name, spec, found)
            if name in self._form.of and not is_date(spec):  # its line says it, whatever else was said
                return [(p, v) for p, v in self._chosen(name, spec, found) if p >= DOUBT] or [(DOUBT, None)]
        if self.last and not is_date(spec):
            found = [(p, v) for p, v in found if not dated(v) and not of_date(v, self._dates, self.texts)]
        if self._unclear and is_date(spec):
            found = _whole([(p, v) for p, v in found if v not in self._unclear]) or found
        if spec.get("type") in ("integer", "number"):
            found = self._labelled(name, found)
        found = self._stated(name, spec, self._chosen(name, spec, found))
        if name == self.last and any(v is not None and not used_up(v, values, self.texts) for _, v in found):
            found = _meant(found, [v for _, v in found if v is not None])
        return [(p, v) for p, v in found if p >= DOUBT and self._can_stand(name, v, values)] or [(DOUBT, None)]

    def _labelled(self, name: str, found: Options) -> Options:
        """The options of a number: those that were said for it, where one was, and none that was said for others."""
        own, others = self._numbers.of.get(name, frozenset()), self._numbers.elsewhere(name)
        found = _whole([(p, v) for p, v in found if v not in others]) or [(1.0, None)]
        return _whole([(p, v) for p, v in found if v in own]) or found

    def _filled(self, form: Form, name: str, spec: dict[str, Any], found: Options) -> Options:
        """The options beside a form: what the line of the argument says, and nothing of the lines of others."""
        value, text = form.of.get(name), choices(spec, []) is None
        if text and value is not None and name in form.open:
            return _whole([(p, v) for p, v in found if isinstance(v, str) and value.startswith(v)]) or [(1.0, None)]
        if text and value is not None and len(value) <= spec.get("maxLength", math.inf):
            return [(1.0, value)]
        required = name in self.required
        if text:
            kept = [(p, v) for p, v in found if form.allows(str(v), required=required)]
        elif "enum" in spec or "const" in spec or spec.get("type") == "boolean":
            said = required or value is not None or said_choice(spec, form.may_say(required=False)) is not None
            kept = [(p, v) for p, v in found if v is not None and said]
        else:
            mine = choices(spec, form.may_say(required=required) if value is None else [value]) or []
            kept = [(p, v) for p, v in found if v is not None and v in mine]
            kept = kept[:1] if value is not None else kept
        if value is None or not kept:
            kept += [(p, v) for p, v in found if v is None]
        return _whole(kept) or [(1.0, None)]

    def begins(self, name: str, starts: Sequence[Start]) -> Sequence[Start]:
        """The places where a text that the argument copies may begin: beside its name, where that says so."""
        if (form := self._form) is not None:
            needed = name in self.required
            value = form.of.get(name, "")
            starts = [
                start
                for start in starts
                if any((value.startswith(v) if value else form.allows(v, required=needed)) for _, v in start.ends)
            ] or starts
        own = [of_it for of_it in self._beside.get(name, ()) if of_it.sure]
        if not own:
            return starts
        return [start for start in starts if any(_has(own, value) for _, value in start.ends)] or starts

    def _chosen(self, name: str, spec: dict[str, Any], found: Options) -> Options:
        """The options of a choice, where one was said. By a word of many things it is meant if any has to be, or is."""
        if self._form is not None and name in self._form.of:
            choice = said_choice(spec, [self._form.of[name]])
            return found if choice is None else _meant(found, [choice.value])
        choice = stated_choice(spec, self._beside.get(name, ())) or said_choice(spec, self._said)
        if choice is None:
            return found
        if choice.named or name in self.required:
            return _meant(found, [choice.value])
        return _if_any(found, [choice.value])

    def _stated(self, name: str, spec: dict[str, Any], found: Options) -> Options:
        """The options of words, where the name of the argument, or another's, stands beside some of them."""
        others = [of_it for key, told in self._beside.items() if key != name for of_it in told if of_it.sure]
        own = self._beside.get(name, [])
        if others:
            found = _whole([(p, v) for p, v in found if not _has(others, v) or _has(own, v)]) or [(1.0, None)]
        whole = {of_it.whole for of_it in own if of_it.whole}
        if len(whole) == 1 and choices(spec, []) is None and len(min(whole)) <= spec.get("maxLength", math.inf):
            return [(1.0, min(whole))]
        meant = [v for _, v in found if _has(own, v)]
        return _meant(found, meant) if any(of_it.sure for of_it in own) else _if_any(found, meant)

    def _can_stand(self, name: str, value: JSON, values: dict[str, JSON]) -> bool:
        """Whether a value may join others: its words are not taken, and no stay ends before it begins."""
        return not used_up(value, values, self.texts) and not backwards(name, value, values)


def _meant(found: Options, meant: Any) -> Options:
    """The options where some values were meant: the others are all but ruled out. As they are where none was."""
    if not any(value in meant for _, value in found):
        return found
    return _whole([(p if value in meant else p * UNSAID, value) for p, value in found])


def _if_any(found: Options, meant: Any) -> Options:
    """The options where some values were meant, if anything was said at all."""
    if not any(value in meant for _, value in found):
        return found
    share = math.fsum(p for p, v in found if v is not None)
    said = _meant(_whole([(p, v) for p, v in found if v is not None]), meant)
    return [(p, v) for p, v in found if v is None] + [(p * share, v) for p, v in said]


def _has(places: Sequence[Stated], value: JSON) -> bool:
    """Whether one of the places has this value."""
    return isinstance(value, str) and any(place.has(value) for place in places)


def _whole(found: Options) -> Options:
    """These share what is left; none where nothing is."""
    whole = math.fsum(p for p, _ in found)
    return [(p / whole, value) for p, value in found] if whole else []


__all__ = ["DOUBT", "Options", "Request", "probabilities", "summed"]
