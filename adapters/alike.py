"""How alike a question and a sentence are, by a table of words that is taught beside a base of ours.

Each piece of the base's tokenizer has two vectors: what it means in a question, and what in a sentence. A text is the
sum of its pieces, and the likeness is the cosine of two texts, in nats. Before anything is taught both vectors are the
same random one, so that likeness is shared words; what is taught is which other words go together ("leave the room" and
"check-out"), and which count for little (StarSpace, Wu et al. 2018; two sides as in Berger and Lafferty 1999,
"Information Retrieval as Statistical Translation").

Beside the vectors stand the words that were taught, as hashes: of a question whose words nobody taught, the words that
it shares with a sentence say more than likeness does.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from adapters.durable import sync_dir
from adapters.errors import ModelNotUsable

LIKENESS_FILE: Final = "likeness.safetensors"
LEAST: Final = -8.0
"""No sentence is less alike than this: of words that were never taught all would be, by chance more or less."""
Vectors = NDArray[np.float32]
_WORDS = re.compile(r"[a-z]+|[가-힣]+")


@dataclass(frozen=True)
class Likeness:
    """``questions`` and ``sentences``: a vector for each piece, ``(pieces, width)``.

    ``scale``: nats for a unit of cosine; ``even``: the cosine that is worth as much as nothing; ``known``: the hashes
    of the words that were taught (``hashed``), none where nobody counted.
    """

    questions: Vectors
    sentences: Vectors
    scale: float
    even: float
    known: frozenset[int] = field(default=frozenset(), repr=False)

    def strange(self, question: str) -> float:
        """The share of a question's words that were never taught, 0 to 1; 0 where it is not known which were.

        A Korean word is known by its beginning, two syllables at the least: particles and endings follow.
        """
        found = words_of(question)
        return sum(not self._taught(word) for word in found) / len(found) if self.known and found else 0.0

    def _taught(self, word: str) -> bool:
        beginnings = [word[:end] for end in range(2, len(word))] if word[0] >= "가" else []
        return any(hashed(part) in self.known for part in (word, *beginnings))

    def alike(self, question: Sequence[int], sentences: Sequence[Sequence[int]]) -> list[float]:
        """By how many nats each sentence answers the question better than nothing does; ``LEAST`` at the least.

        Args:
            question: Its pieces, as ids of the base's tokenizer.
            sentences: Theirs.
        """
        asked = _unit(self.questions, question)
        found = (self.scale * (float(_unit(self.sentences, one) @ asked) - self.even) for one in sentences)
        return [max(nats, LEAST) for nats in found]

    def write(self, folder: Path) -> None:
        """Into ``likeness.safetensors`` of a base, the vectors in float16; one that is there is replaced whole."""
        from safetensors.numpy import save_file

        tables = {"questions": self.questions.astype(np.float16), "sentences": self.sentences.astype(np.float16)}
        numbers = {"scale": np.array([self.scale], np.float32), "even": np.array([self.even], np.float32)}
        words = {"known": np.array(sorted(self.known), np.uint32)} if self.known else {}
        part = folder / f"{LIKENESS_FILE}.part"
        save_file({**tables, **numbers, **words}, part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(folder / LIKENESS_FILE)
        sync_dir(folder)


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, Latin and Hangul; a Korean word with its particle."""
    return _WORDS.findall(text.lower())


def hashed(word: str) -> int:
    """What stands for a word in ``known``, 32 bits: of some 100,000 strange words one is taken for a known one."""
    return crc32(word.encode())


def known(words: Iterable[str]) -> frozenset[int]:
    """The hashes of words."""
    return frozenset(map(hashed, words))


def _unit(table: Vectors, pieces: Sequence[int]) -> Vectors:
    whole: Vectors = table[list(pieces)].sum(axis=0)
    return whole / max(float(np.linalg.norm(whole)), 1e-9)


def _pieces(folder: Path) -> int:
    """How many pieces the tokenizer of a base has, by its config.json; 0 where it does not say."""
    config = folder / "config.json"
    return int(json.loads(config.read_text(encoding="utf-8")).get("vocab_size", 0)) if config.exists() else 0


@lru_cache(maxsize=4)
def read_likeness(folder: Path) -> Likeness:
    """Of a base's folder.

    Raises:
        ModelNotUsable: there is none, or it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / LIKENESS_FILE
    try:
        held: dict[str, Any] = load_file(path)
        questions, sentences = (held[side].astype(np.float32) for side in ("questions", "sentences"))
        if questions.ndim != 2 or questions.shape != sentences.shape:
            raise ValueError("its tables have not the same shape")
        if len(questions) < (pieces := _pieces(folder)):
            raise ValueError(f"it has {len(questions):,} rows, and the base's tokenizer {pieces:,} pieces")
        taught = frozenset(map(int, held.get("known", ())))
        return Likeness(questions, sentences, float(held["scale"][0]), float(held["even"][0]), taught)
    except (OSError, SafetensorError, KeyError, ValueError, IndexError) as error:
        raise ModelNotUsable(
            f"{path} cannot be read ({error}); make it anew with `dojang adapters liken --base {folder}`, or set "
            "likeness_weight to 0 in decoding.json"
        ) from None


__all__ = ["LEAST", "LIKENESS_FILE", "Likeness", "hashed", "known", "read_likeness", "words_of"]
