"""The question about an argument that nobody gave: the model's own, unless it names something else.

A base of ten million numbers asks well about what it was taught ("Which hotel should it be?"). About the arguments of
another tool it writes "What is the …?" and goes on with words that it knows: 150 of 160 English questions about
invented tools named another thing ("What is the shipping method?" for ``guest_name``), and 89 of 151 Korean ones. Such
a question is made of what the tool calls the argument instead.
"""

from __future__ import annotations

import re
from typing import Final

from adapters.forms.labels import described, spaced_name, stems
from adapters.forms.lexicon import argument_words
from state import ToolSpec

_MADE: Final = re.compile(r"What is the (.+)\?|(.*?)(?:[을를]|으?로)? ?알려 주시겠어요\?")
"""A question of the form that fits any argument, with what it asks for."""
_WHOLE: Final = re.compile(r".+(?:\?|요|요\.|까)", re.DOTALL)
_ARTICLE: Final = re.compile(r"(?:the|an?)\s+", re.IGNORECASE)
_HANGUL: Final = re.compile(r"[가-힣]")


def question_about(tool: ToolSpec, name: str, said: str, *, asked: str) -> str:
    """What a person is asked for the argument ``name`` of ``tool``.

    Args:
        tool: Whose argument it is.
        name: The argument.
        said: The model's question; a text that is none counts as nothing.
        asked: What the person said, for the language where the model said nothing.
    """
    whole = _WHOLE.fullmatch(said) is not None
    if whole and ((made := _MADE.fullmatch(said)) is None or _names(tool, name, made[1] or made[2])):
        return said
    return _korean(tool, name) if _HANGUL.search(said if whole else asked) else f"What is the {_english(tool, name)}?"


def _names(tool: ToolSpec, name: str, words: str) -> bool:
    """Whether these words name the argument: no other words than its own, or what Korean calls it."""
    told = described(tool, name)
    own = stems(f"{name} {' '.join(told)}")
    if (found := stems(words)) and found <= own:
        return True
    close = "".join(words.split())
    return any("".join(phrase.split()) in close for phrase in (*argument_words(name), *filter(_HANGUL.search, told)))


def _korean(tool: ToolSpec, name: str) -> str:
    told = [*filter(_HANGUL.search, described(tool, name)), *argument_words(name), spaced_name(name)]
    label, last = told[0], ord(told[0][-1]) - ord("가")
    if not 0 <= last <= ord("힣") - ord("가"):  # how it is read, and so which particle follows, its letters do not say
        return f"{label} 값을 알려 주시겠어요?"
    return f"{label}{'을' if last % 28 else '를'} 알려 주시겠어요?"


def _english(tool: ToolSpec, name: str) -> str:
    told = [words for words in described(tool, name) if not _HANGUL.search(words)]
    label = _ARTICLE.sub("", told[0], count=1) if told and _ARTICLE.match(told[0]) else (told or [spaced_name(name)])[0]
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


__all__ = ["question_about"]
