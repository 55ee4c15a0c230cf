"""By which words an argument is named in what people say: its name, what Korean calls it, a description of a few words.

Words of the tool's own name say nothing ("refund 2 towels" is no refund of 2), nor do those that several arguments
share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from adapters.forms.lexicon import argument_words
from state import ToolSpec

DESCRIBED: Final = 4
"""Words of a description that is a label; a longer one is a sentence, whose words stand beside anything."""
STEM_CHARS: Final = 6
SAYS_NOTHING: Final = frozenset(
    """a an the of in on at to for as is are be with by and or per should how many much number numbers no num count
    counts total amount value quantity integer optional required won krw usd 값 개수 숫자 이하 이상 최대 최소""".split()
)
WORD: Final = re.compile(r"[A-Za-z]+|[가-힣]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\W]+")


def own_words(tool: ToolSpec, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """The stems of the words of these arguments, without those of others among them and of the tool itself."""
    of_tool = stems(tool["name"])
    return _apart({name: stems(f"{name} {' '.join(described(tool, name))}") - of_tool for name in names})


def own_phrases(tool: ToolSpec, names: Sequence[str]) -> list[tuple[str, str]]:
    """What Korean calls these arguments, each phrase with its argument.

    What an argument is called as a whole is no name of another that has it as a part: of price and unit_price 가격 is
    the first.
    """
    return _phrases(tool, names, {name: set[str]() for name in names})


def own_labels(tool: ToolSpec) -> list[tuple[str, str]]:
    """By what phrases a form would name the arguments: those of Korean, the names themselves, short descriptions."""
    names = list(_properties(tool))
    return _phrases(tool, names, {name: {spaced_name(name), *described(tool, name)} for name in names})


def stems_of(tool: ToolSpec, name: str) -> frozenset[str]:
    """The stems of an argument's name, title and short description."""
    return frozenset(stems(f"{name} {' '.join(described(tool, name))}"))


def named(word: str, own: frozenset[str]) -> bool:
    """Whether a word is one of an argument's own; a Korean one may go on with a particle."""
    stem = _stem(word)
    return stem in own if word.isascii() else any(stem.startswith(label) for label in own)


def _phrases(tool: ToolSpec, names: Sequence[str], own: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    of_tool = stems(tool["name"])
    whole = {name: _korean([name]) | own[name] for name in names}
    parts = {name: _korean(part for part in _parts(name) if _stem(part) not in of_tool) for name in names}
    called = set[str]().union(*whole.values())
    apart = _apart(whole), _apart({name: words - called for name, words in parts.items()})
    return [(phrase, name) for each in apart for name, phrases in each.items() for phrase in phrases]


def _korean(names: Iterable[str]) -> set[str]:
    return {phrase for name in names for phrase in argument_words(name)}


def _properties(tool: ToolSpec) -> Mapping[str, Any]:
    found: Any = tool["parameters"].get("properties", {})
    return dict(found)


def described(tool: ToolSpec, name: str) -> list[str]:
    """The title and the description of an argument, where they are a few words."""
    spec = _properties(tool)[name]
    told = [str(spec.get(key, "")) for key in ("title", "description")] if isinstance(spec, Mapping) else []
    return [words.strip(" .") for words in told if 0 < len(words.split()) <= DESCRIBED]


def _apart(own: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    """What each has for itself."""
    return {
        name: frozenset(words - set[str]().union(*(other for key, other in own.items() if key != name)))
        for name, words in own.items()
    }


def stems(text: str) -> set[str]:
    """The beginnings of the words of a name or of a description, without those that say nothing."""
    return {_stem(word) for word in _parts(text)}


def spaced_name(name: str) -> str:
    """A name of code in words: "page count" for ``page_count`` and ``pageCount``."""
    return " ".join(part if part[1:].isupper() else part.lower() for part in _CAMEL.split(name) if part)


def _parts(text: str) -> list[str]:
    """The words of a name or of a description, without those that say nothing."""
    words = (word for part in _CAMEL.split(text) for word in WORD.findall(part))
    return [word for word in words if word.lower() not in SAYS_NOTHING and (word.isascii() or len(word) > 1)]


def _stem(word: str) -> str:
    """The beginning of an English word, without the s of several; a Korean one whole."""
    word = word.lower()
    return word.removesuffix("s")[:STEM_CHARS] if word.isascii() else word


__all__ = [
    "SAYS_NOTHING",
    "WORD",
    "described",
    "named",
    "own_labels",
    "own_phrases",
    "own_words",
    "spaced_name",
    "stems",
    "stems_of",
]
