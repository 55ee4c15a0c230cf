"""A taught network with the words that it was taught: how it is asked, and how it lies in a base's folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
import torch

from adapters.alike import LEAST, LIKENESS_FILE
from adapters.alike.meanings import Meanings
from adapters.alike.network import Network, Texts, given, packed
from adapters.alike.units import hashed, units_of, words_of
from adapters.durable import sync_dir
from adapters.errors import ModelNotUsable
from adapters.prompt import spaced

REMEMBERED: Final = 20_000
"""Units whose pieces and meaning are kept."""
Encode = Callable[[Sequence[str]], list[list[int]]]
"""Texts as ids of the base's tokenizer."""


class Lexicon:
    """What units are made of: pieces of a tokenizer, and what the word means. Remembers what it looked up."""

    def __init__(self, encode: Encode, words: Meanings) -> None:
        self._encode, self._words = encode, words
        self._known: dict[str, tuple[list[int], np.ndarray[Any, np.dtype[np.float16]]]] = {}
        self._lock = Lock()

    def texts(self, texts: Sequence[str]) -> Texts:
        """Texts as the network reads them."""
        cut = [units_of(text) for text in texts]
        different = list(dict.fromkeys(unit for text in cut for unit in text))
        with self._lock:
            self._learn([unit for unit in different if unit not in self._known])
            found = [self._known[unit] for unit in different]
            if len(self._known) > REMEMBERED:
                self._known.clear()
        rows = np.stack([row for _, row in found]) if found else np.zeros((0, 0), np.float16)
        pieces = {unit: ids for unit, (ids, _) in zip(different, found, strict=True)}
        return packed(cut, pieces, rows, {unit: i for i, unit in enumerate(different)})

    def _learn(self, units: list[str]) -> None:
        if units:
            ids = self._encode([spaced(" " + unit) for unit in units])
            rows = self._words.of(units).astype(np.float16)
            self._known.update({unit: (one, row) for unit, one, row in zip(units, ids, rows, strict=True)})


@dataclass(frozen=True)
class Likeness:
    """A taught network. ``known``: the hashes of the words that were taught, none where nobody counted."""

    network: Network
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

    def alike(self, lexicon: Lexicon, request: str, candidates: Sequence[str]) -> list[float]:
        """By how many nats ``request`` is likelier for each candidate than for nothing; ``LEAST`` at the least."""
        if not candidates:
            return []
        some = [text if units_of(text) else "." for text in (request, *candidates)]
        with torch.inference_mode():
            one, others = (given(lexicon.texts(texts), self.network.device) for texts in (some[:1], some[1:]))
            asked, told = self.network.asked(one), self.network.told(others)
            return [max(nats, LEAST) for nats in self.network.nats(asked, told)[0].tolist()]

    def write(self, folder: Path) -> None:
        """Into ``likeness.safetensors`` of a base, in float16; one that is there is replaced whole."""
        from safetensors.numpy import save_file

        held = {f"network.{name}": x.detach().cpu().numpy() for name, x in self.network.state_dict().items()}
        # contiguous: safetensors writes what lies there, whatever the strides
        held = {
            n: np.ascontiguousarray(x, np.float16 if x.ndim else np.float32).reshape(x.shape or 1)
            for n, x in held.items()
        }
        if self.known:
            held["known"] = np.array(sorted(self.known), np.uint32)
        part = folder / f"{LIKENESS_FILE}.part"
        save_file(held, part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(folder / LIKENESS_FILE)
        sync_dir(folder)


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
        taught = frozenset(map(int, held.pop("known", ())))
        states = {name.removeprefix("network."): torch.from_numpy(x).float() for name, x in held.items()}
        if "asked.table.weight" not in states:
            raise ValueError("it is of an earlier edition, a table without a network")
        states |= {name: states[name].reshape(()) for name in ("scale", "even")}
        pieces, width = states["asked.table.weight"].shape
        if pieces < (wanted := _pieces(folder)):
            raise ValueError(f"it has {pieces:,} rows, and the base's tokenizer {wanted:,} pieces")
        layers = len({name.split(".")[2] for name in states if name.startswith("asked.layers.")})
        network = Network(pieces, width, layers)
        network.load_state_dict(states)
        return Likeness(network.eval().requires_grad_(False), taught)
    except (OSError, SafetensorError, KeyError, ValueError, IndexError, RuntimeError, TypeError) as error:
        raise ModelNotUsable(
            f"{path} cannot be read ({error}); make it anew with `dojang adapters liken --base {folder}`, or set "
            "likeness_weight to 0 in decoding.json"
        ) from None


__all__ = ["Encode", "Lexicon", "Likeness", "read_likeness"]
