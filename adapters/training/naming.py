"""Other names for people, from the grammar of names that generated text is made of. Deterministic by seed.

Word by word of the same length. Korean names end on a consonant where they did, so that their particles still fit;
letters of scripts other than Korean and ASCII become x.
"""

from __future__ import annotations

import random
import re
from typing import Final

from adapters.training.words import FIRST, GIVEN, MIDS, ONSETS, SURNAMES

_WORD: Final = re.compile(r"[^\W\d_]+")


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


__all__ = ["other"]
