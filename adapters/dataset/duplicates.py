"""Requests that are nearly the same, by MinHash (Broder 1997) over their words; the likeness itself is then counted.

A library finds the few pairs that may be alike; whether they are is the Jaccard index of the two sets of words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

PERMUTATIONS: Final = 128
_WORD: Final = re.compile(r"\w+")


def near(requests: Iterable[tuple[str, str]], others: Iterable[str], threshold: float) -> set[str]:
    """The ids of those requests (id, text) whose words are nearly those of one of ``others``.

    ``threshold`` is a Jaccard index, above 0 and at most 1. Texts without words are alike where they are equal.
    """
    from datasketch import MinHashLSH

    kept = {str(n): words(text) for n, text in enumerate(dict.fromkeys(others))}
    lsh = MinHashLSH(threshold=max(threshold - 0.1, 0.01), num_perm=PERMUTATIONS)  # wider: what it finds is looked at
    for name, theirs in kept.items():
        lsh.insert(name, _sketch(theirs))
    found: set[str] = set()
    for name, text in requests:
        ours = words(text)
        if any(_alike(ours, kept[str(other)]) >= threshold for other in lsh.query(_sketch(ours))):
            found.add(name)
    return found


def words(text: str) -> frozenset[str]:
    """The words of a request, in small letters; what has none is one word."""
    return frozenset(_WORD.findall(text.casefold())) or frozenset([text.strip()])


def _alike(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b)


def _sketch(of: frozenset[str]) -> object:
    from datasketch import MinHash

    sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
    sketch.update_batch([word.encode("utf-8", "surrogatepass") for word in of])
    return sketch


__all__ = ["near", "words"]
