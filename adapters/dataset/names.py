"""Other names for the people that stand in a decision: the same name everywhere in it, of the same length. Pure.

Nobody finds names of people by rules, but where a call has one its tool can say: an argument that is marked
(``"x-person": true`` in its JSON schema), or that the settings name. Such a value gets another name, drawn from the
grammar of names that Dojang's own text is made of, in the arguments and wherever else it stands in the decision's
conversation. Which name follows from a keyed hash of the value, so the same person is the same in all rows of a home.

Letters are replaced one for one, word by word, so that places in texts stay; a name that stands within another
(“Minsu” in “Minsu Kim”) becomes the same part of the other's. Korean names end on a consonant where they did, and so
their particles still fit. Letters of other scripts become x.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from adapters.dataset.points import arguments_of
from adapters.training.words import FIRST, GIVEN, MIDS, ONSETS, SURNAMES

MARK: Final = "x-person"
_WORD: Final = re.compile(r"[^\W\d_]+")
_SPOKEN: Final = ("prompt", "completion", "chosen", "rejected", "said", "decided")


def names_in(row: Mapping[str, Any], marked: Iterable[str], pseudonym: Callable[[str], str]) -> dict[str, str]:
    """Each name of a person in the calls of a held-out row, and what stands for it.

    Args:
        row: With ``prompt``, ``tools``, ``said`` and ``decided``.
        marked: Arguments that hold a name, whatever the tool.
        pseudonym: A keyed hash.
    """
    fields = _fields(row["tools"], frozenset(marked))
    decided = set(_values(row.get("decided"), fields)) | {v for m in row["prompt"] for v in _values(m, fields)}
    # What a person refused may be no name at all ("a table"), and a word of the request must not be taken for one.
    proposed = {value for value in _values(row.get("said"), fields) if _looks_like_a_name(value)}
    found: dict[str, str] = {}
    for value in sorted(decided | proposed, key=lambda v: (-len(v), v)):
        whole = next((longer for longer in found if _within(value, longer)), None)
        at = whole.find(value) if whole else 0
        found[value] = found[whole][at : at + len(value)] if whole else other(value, pseudonym(value))
    return found


def _fields(tools: Iterable[Any], marked: frozenset[str]) -> dict[str, set[str]]:
    """The arguments that hold a person's name, by tool."""
    functions = [tool["function"] for tool in tools]
    return {
        f["name"]: {
            name for name, spec in f["parameters"].get("properties", {}).items() if name in marked or spec.get(MARK)
        }
        for f in functions
    }


def _values(message: Any, fields: Mapping[str, set[str]]) -> Iterable[str]:
    for call in (message or {}).get("tool_calls") or []:
        function = call["function"]
        for name, value in arguments_of(function).items():
            if name in fields.get(function["name"], ()) and isinstance(value, str) and _WORD.search(value):
                yield value


def _looks_like_a_name(value: str) -> bool:
    words = value.split()
    return len(words) <= 4 and not any(c.isdigit() for c in value) and not any(w[0].islower() for w in words)


def _within(value: str, longer: str) -> bool:
    return re.search(pattern([value]), longer) is not None


def pattern(names: Iterable[str]) -> str:
    """Finds names in a text, the longest first. Latin ones stand alone, behind Korean ones there are particles."""
    ordered = sorted(names, key=lambda name: (-len(name), name))
    return "|".join(
        (r"(?<![^\W\d_])" if name[0].isascii() else "")
        + re.escape(name)
        + (r"(?![^\W\d_])" if name[-1].isascii() else "")
        for name in ordered
    )


def other(name: str, seed: str) -> str:
    """Another name of the same length and kind; signs between its words stay."""
    rng = random.Random(f"name:{seed}")
    words = iter(range(len(name)))
    return _WORD.sub(lambda found: _word(rng, found[0], next(words)), name)


def _word(rng: random.Random, word: str, place: int) -> str:
    if all("가" <= letter <= "힣" for letter in word):
        return _korean(rng, word, place)
    return _latin(rng, word, place) if word.isascii() else "x" * len(word)


def _korean(rng: random.Random, word: str, place: int) -> str:
    """A surname and given syllables; in a further word, or a single syllable, given ones alone."""
    whole = place == 0 and len(word) > 1
    while True:
        drawn = [rng.choice(SURNAMES if whole and at == 0 else GIVEN) for at in range(len(word))]
        made = "".join(drawn)
        if made != word and _closed(made) == _closed(word):
            return made


def _closed(word: str) -> bool:
    """Whether the last syllable ends on a consonant."""
    return (ord(word[-1]) - ord("가")) % 28 > 0


def _latin(rng: random.Random, word: str, place: int) -> str:
    """A first name where one is as long, else an invented word; upper and lower case as they were."""
    drawn = [name for name in FIRST if len(name) == len(word) and name.casefold() != word.casefold()]
    made = rng.choice(drawn) if drawn and place == 0 else _invented(rng, word)
    cased = (new.upper() if old.isupper() else new.lower() for old, new in zip(word, made, strict=True))
    return "".join(cased)


def _invented(rng: random.Random, word: str) -> str:
    while True:
        made = ""
        while len(made) < len(word):
            made += rng.choice(ONSETS) + rng.choice(MIDS)
        if made[: len(word)] != word.casefold():
            return made[: len(word)]


__all__ = ["MARK", "names_in", "other", "pattern"]
