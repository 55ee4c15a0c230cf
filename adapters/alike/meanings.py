"""What single words mean, from models that were read on far more text than ours: a vector for a word, whatever it is.

English words lie in ``weights/meanings/english.safetensors``: what all-MiniLM-L6-v2 (Wang et al. 2020, Apache 2.0)
says of the word alone, reduced to its ``ENGLISH`` largest directions. Korean ones are asked of Kiwi, whose language
model says how alike two morphemes are: 320 landmarks, and how alike a morpheme is to each, give back the vector that
Kiwi holds (Nyström; its vectors have 256 numbers). A Korean word is the sum of its morphemes. ``scripts/meanings.py``
makes both files.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.errors import ModelNotUsable
from morphemes import kiwi

ENGLISH: Final = 192
KOREAN: Final = 256
WIDTH: Final = ENGLISH + KOREAN
"""Of a meaning: English words have the first numbers, Korean ones the last, and the others are 0."""
FOLDER: Final = Path(__file__).parent.parent / "weights" / "meanings"
CONTENT: Final = frozenset("NNG NNP NNB NR NP VV VA VX XR MAG MM SL IC XSN".split())
"""Kiwi's tags of what means something by itself; particles and endings do not."""
ABOUT: Final = (CONTENT - {"VX"}) | {"SN", "SH"}
"""Those of what a text is about: numbers are, auxiliary verbs are not."""
DRIFT: Final = 0.02
"""By so much another version of Kiwi may differ in how alike two landmarks are, in the mean."""
_ENDINGS: Final = (
    ("ies", "y"), ("es", ""), ("s", ""), ("ied", "y"), ("ed", ""), ("ed", "e"), ("ing", ""), ("ing", "e"), ("ly", ""),
    ("er", ""), ("er", "e"), ("ers", ""), ("ers", "e"), ("est", ""), ("ness", ""),
)  # fmt: skip
Vector = NDArray[np.float32]


class Morphemes(Protocol):
    """What Korean words mean."""

    def of(self, words: Sequence[str]) -> list[Vector | None]:
        """A vector of ``KOREAN`` numbers for each; None where no part of it means anything that is known."""
        ...

    def morphemes(self, text: str) -> list[tuple[str, Vector | None]]:
        """What a text is about, in parts that mean something, each with its vector if it has one."""
        ...


class Landmarks:
    """Korean meanings, off Kiwi's language model."""

    def __init__(self, ids: Sequence[int], matrix: Vector, mean: Vector) -> None:
        """``matrix`` (landmarks, ``KOREAN``) takes likenesses to landmarks to the vector; ``mean`` is taken off it."""
        self._kiwi, self._ids, self._matrix, self._mean = kiwi(), list(ids), matrix, mean
        self._known: dict[int, Vector | None] = {}

    def of(self, words: Sequence[str]) -> list[Vector | None]:
        """See ``Morphemes``."""
        return [self._sum(self.parts(tokens)) for tokens in self.tokens(words)]

    def tokens(self, words: Sequence[str]) -> Iterable[Any]:
        """What Kiwi takes each word apart to."""
        return self._kiwi.tokenize(list(words))  # type: ignore[no-any-return]

    def morphemes(self, text: str) -> list[tuple[str, Vector | None]]:
        """The morphemes of a text that mean something, and its numbers, each with its vector if it has one."""
        kept = (t for t in self._kiwi.tokenize(text) if t.tag.partition("-")[0] in ABOUT)
        return [(t.form.lower(), self.one(t.id) if t.id else None) for t in kept]

    def parts_of(self, tokens: Iterable[Any]) -> list[int]:
        """The morphemes that have a vector."""
        return [part for part in self.parts(tokens) if self.one(part) is not None]

    @staticmethod
    def parts(tokens: Iterable[Any]) -> list[int]:
        """The ids of the morphemes that mean something."""
        return [token.id for token in tokens if token.id and token.tag.partition("-")[0] in CONTENT]

    def _sum(self, parts: Iterable[int]) -> Vector | None:
        found = [vector for part in parts if (vector := self.one(part)) is not None]
        return np.sum(found, axis=0) if found else None

    def one(self, morpheme: int) -> Vector | None:
        """The vector of a morpheme, of length 1; None where Kiwi has none (some forms of irregular verbs)."""
        if morpheme not in self._known:
            alike = np.array([self._kiwi.morpheme_similarity(morpheme, i) for i in self._ids], np.float32)
            self._known[morpheme] = unit(alike @ self._matrix - self._mean) if np.isfinite(alike).all() else None
        return self._known[morpheme]


class Kept:
    """Korean meanings of the words of a file, for a machine that has no Kiwi (``scripts/card/korean_meanings.py``)."""

    def __init__(self, words: dict[str, int], rows: NDArray[np.float16]) -> None:
        """``rows`` (morphemes and words, ``KOREAN``); ``words``: which row is whose."""
        self._words, self._rows = words, rows

    def of(self, words: Sequence[str]) -> list[Vector | None]:
        """See ``Morphemes``."""
        found = (self._words.get(word) for word in words)
        return [None if row is None else self._rows[row].astype(np.float32) for row in found]

    def morphemes(self, text: str) -> list[tuple[str, Vector | None]]:
        """None: a file of words does not take a text apart."""
        return []

    @classmethod
    def read(cls, path: Path) -> Kept:
        """Of a file that ``write_kept`` wrote."""
        from safetensors.numpy import load_file

        held = load_file(path)
        begins, parts, each = held["begins"], held["parts"], held["vectors"].astype(np.float32)
        rows = np.add.reduceat(each[parts], begins, axis=0).astype(np.float16)
        return cls({word: i for i, word in enumerate(held["words"].tobytes().decode().split("\n"))}, rows)


def write_kept(words: Iterable[str], here: Landmarks, path: Path) -> int:
    """What ``here`` says of Korean words into a file, those that mean something; how many they are."""
    from safetensors.numpy import save_file

    names = list(words)
    each = ((word, here.parts_of(tokens)) for word, tokens in zip(names, here.tokens(names), strict=True))
    found = [(word, parts) for word, parts in each if parts]
    different = {part: i for i, part in enumerate(dict.fromkeys(part for _, parts in found for part in parts))}
    vectors = np.stack([vector for part in different if (vector := here.one(part)) is not None])
    begins = np.cumsum([0, *(len(parts) for _, parts in found)])[:-1]
    held: dict[str, NDArray[Any]] = {
        "words": np.frombuffer("\n".join(word for word, _ in found).encode(), np.uint8),
        "begins": begins.astype(np.int32),
        "parts": np.array([different[part] for _, parts in found for part in parts], np.int32),
        "vectors": vectors.astype(np.float16),
    }
    save_file(held, path)
    return len(found)


class Meanings:
    """What words mean; of others nothing is known."""

    def __init__(self, english: dict[str, Vector], korean: Callable[[], Morphemes | None]) -> None:
        """``english``: a vector of ``ENGLISH`` numbers a word. ``korean`` is called at the first Korean word."""
        self._english, self._korean = english, cache(korean)

    def of(self, units: Sequence[str]) -> Vector:
        """A row for each, ``(units, WIDTH)``; zeros where nothing is known."""
        found = np.zeros((len(units), WIDTH), np.float32)
        hangul = [i for i, unit in enumerate(units) if "가" <= unit[0] <= "힣"]
        for i, unit_ in enumerate(units):
            if (vector := self._word(unit_)) is not None:
                found[i, :ENGLISH] = vector
        if hangul and (korean := self._korean()) is not None:
            for i, vector in zip(hangul, korean.of([units[i] for i in hangul]), strict=True):
                if vector is not None:
                    found[i, ENGLISH:] = vector
        return found

    def morphemes(self, text: str) -> list[tuple[str, Vector | None]]:
        """What a Korean text is about, with vectors of ``WIDTH`` numbers; nothing where nothing is known of Korean."""
        korean = self._korean()
        found = [] if korean is None else korean.morphemes(text)
        return [(form, None if v is None else np.pad(v, (ENGLISH, 0))) for form, v in found]

    def _word(self, word: str) -> Vector | None:
        if word in self._english:
            return self._english[word]
        for ending, instead in _ENDINGS:
            if word.endswith(ending) and len(word) > len(ending) + 2:
                stem = word.removesuffix(ending) + instead
                if stem in self._english:
                    return self._english[stem]
        return None


def unit(vector: Vector) -> Vector:
    """Of length 1."""
    whole: Vector = vector / max(float(np.linalg.norm(vector)), 1e-9)
    return whole


@lru_cache(maxsize=2)
def read_english(path: Path = FOLDER / "english.safetensors") -> dict[str, Vector]:
    """Words and their vectors.

    Raises:
        ModelNotUsable: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        held = load_file(path)
        words = held["words"].tobytes().decode().split("\n")
        rows = held["vectors"].astype(np.float32) * held["scales"].astype(np.float32)[:, None]
        if rows.shape != (len(words), ENGLISH):
            raise ValueError(f"it has {len(words)} words and vectors {rows.shape}")
        return dict(zip(words, rows, strict=True))
    except (OSError, SafetensorError, KeyError, ValueError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from None


@lru_cache(maxsize=2)
def read_korean(path: Path = FOLDER / "korean.safetensors") -> Landmarks | None:
    """Korean meanings; None, and a line in the log, where the Kiwi that is installed has another language model.

    Raises:
        ModelNotUsable: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as held:
            names = json.loads(held.metadata()["landmarks"])
            matrix, mean, some = (held.get_tensor(name) for name in ("matrix", "mean", "some"))
        if matrix.shape != (len(names), KOREAN) or some.shape != (16, 16):
            raise ValueError(f"it has {len(names)} landmarks and a matrix {matrix.shape}")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _damaged(path, error) from None
    try:
        here = kiwi()
        ids = [int(number) for number, _, _ in names]
        if [[one.form, one.tag] for one in map(here.morpheme, ids)] != [[form, tag] for _, form, tag in names]:
            raise ValueError("that its morphemes have other numbers")
        now = np.array([[here.morpheme_similarity(a, b) for b in ids[:16]] for a in ids[:16]])
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        logging.getLogger(__name__).warning("Korean words have no meanings here: Kiwi says %s", error)
        return None
    if not float(np.abs(now - some).mean()) <= DRIFT:
        logging.getLogger(__name__).warning(
            "Korean words have no meanings here: Kiwi's language model is not the one that they were taught with; "
            "install the versions of constraints.txt"
        )
        return None
    return Landmarks(ids, matrix.astype(np.float32), mean.astype(np.float32))


def _damaged(path: Path, error: Exception) -> ModelNotUsable:
    return ModelNotUsable(f"{path} cannot be read ({error}); install Dojang anew, or make it with scripts/meanings.py")


@cache
def meanings(korean: Path | None = None) -> Meanings:
    """Those that ship, loaded once; Korean ones off a file of ``write_kept`` where there is one."""
    return Meanings(read_english(), partial(Kept.read, korean) if korean else read_korean)


__all__ = [
    "ENGLISH", "FOLDER", "KOREAN", "WIDTH", "Kept", "Landmarks", "Meanings", "Morphemes", "meanings", "read_english",
    "read_korean", "unit", "write_kept",
]  # fmt: skip
