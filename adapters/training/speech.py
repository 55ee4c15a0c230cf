"""How people type: all small, without the last mark, with a slip of the fingers, with small talk around it."""

from __future__ import annotations

import random

from adapters.training import wordings
from adapters.training.words import Values


def styled(v: Values, template: str) -> str:
    """A template as people type it: sometimes all small, without its last mark, with a slip."""
    r = v.rng
    if v.language == "en" and r.random() < 0.15:
        template = template.lower()
    if r.random() < 0.15:
        template = template.rstrip(".!")
    return _slip(r, template) if r.random() < 0.1 else template


def _slip(r: random.Random, template: str) -> str:
    """One slip in a word: a letter left out, doubled or changed for its neighbour; in Korean a lost space."""
    words = template.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha() and word.isascii()]
    if not long:
        plain = [i for i in range(len(words) - 1) if "{" not in words[i] + words[i + 1]]
        if not plain:
            return template
        i = r.choice(plain)
        return " ".join([*words[:i], words[i] + words[i + 1], *words[i + 2 :]])
    i, word = (at := r.choice(long)), words[at]
    k = r.randrange(1, len(word) - 1)
    words[i] = r.choice(
        (word[:k] + word[k + 1 :], word[:k] + word[k] + word[k:], word[:k] + word[k + 1] + word[k] + word[k + 2 :])
    )
    return " ".join(words)


def around(v: Values, words: str, more: list[str], *, heldout: bool = False) -> str:
    """A request with the sentences that belong to it, and sometimes with something said before or after."""
    r = v.rng
    if more:
        ended = words if words.rstrip().endswith((".", "?", "!")) else f"{words}."
        after = " ".join(more)
        words = f"{after} {words}" if r.random() < 0.2 else f"{ended} {after}"

    def said(kind: str) -> str:
        found = wordings.lines(v.language, kind)
        return r.choice(found.test if heldout and found.test and r.random() < 0.5 else found.train)

    before = f"{said('before')} " if r.random() < 0.12 else ""
    after = f" {said('after')}" if r.random() < 0.12 else ""
    return f"{before}{words}{after}"


__all__ = ["around", "styled"]
