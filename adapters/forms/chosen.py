"""Which of an argument's choices somebody said in so many words.

Tools of Korean houses have choices like ``express``, and their users say 빠른 배송. A tool can say so, by a title in
its schema or by synonyms (``effect(synonyms=…)``)::

    {"oneOf": [{"const": "express", "title": "빠른 배송"}, {"const": "pickup", "title": "방문 수령"}]}

What is common to tools of many trades is known without (``forms.lexicon``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from adapters.forms.lexicon import choice_words
from adapters.forms.phrases import said_in
from adapters.forms.stated import Stated
from adapters.forms.values import SYNONYMS, TITLED
from state import JSON


class Choice(NamedTuple):
    """The choice that was said, and whether it was named: by what the tool itself calls it, or as this argument.

    By its bare value, or by a word that many things have, it is not yet said of this argument: "please open a ticket"
    does not say that its status is open.
    """

    value: JSON
    named: bool


def said_choice(spec: Mapping[str, Any], texts: Sequence[str]) -> Choice | None:
    """The one choice of ``spec`` that ``texts`` say; None where they say none, or several.

    Args:
        spec: An argument, as ``forms.values.property_of`` has it.
        texts: What people said.
    """
    phrases = list(_phrases(spec))
    found = [choice for text in texts for _, choice in said_in(text, phrases)]
    if len({str(choice.value) for choice in found}) != 1:
        return None
    return max(found, key=lambda choice: choice.named)


def stated_choice(spec: Mapping[str, Any], places: Sequence[Stated]) -> Choice | None:
    """The choice that the words beside the name of the argument begin or end with; None where it is none, or two."""
    phrases = list(_phrases(spec))
    for place in places:
        said = said_in(place.words, phrases)
        values = {choice.value for at, choice in said if (at.at == 0 if place.ahead else at.end == len(place.words))}
        if len(values) == 1:
            return Choice(values.pop(), named=place.sure)
    return None


def _phrases(spec: Mapping[str, Any]) -> Iterator[tuple[str, Choice]]:
    """By what each choice is said."""
    for value, title in spec.get(TITLED, ()):
        yield title, Choice(value, named=True)
    for word, value in spec.get(SYNONYMS, {}).items():
        yield word, Choice(value, named=True)
    for value in spec.get("enum", ()):
        if isinstance(value, str):
            for word in (value, *choice_words(value)):
                yield word, Choice(value, named=False)


__all__ = ["Choice", "said_choice", "stated_choice"]
