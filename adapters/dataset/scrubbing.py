"""Takes personal data out of rows: every letter and digit of it, one for one, so that places in texts stay. Pure.

What is personal data, the caller says. The same value becomes the same signs wherever it stands, in the request and in
the call that copies it, so that a row still teaches where the value comes from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from adapters.dataset.names import pattern
from state import JSON

Find = Callable[[str], Iterable[tuple[int, int]]]
"""The places [start, end) of personal data in a text."""
_WORDS: Final = frozenset({"content", "text", "title", "cited", "arguments", "question"})
"""Members of a row whose texts people or documents wrote."""


class Scrub:
    """Scrubs rows, and counts the pieces that it replaced."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._seen: dict[str, str] = {}
        self._names: Mapping[str, str] = {}
        self.replaced = 0

    def row(self, row: dict[str, JSON], names: Mapping[str, str] = {}) -> dict[str, JSON]:
        """A row without personal data; tools, ids and everything that no person wrote stay as they are.

        ``names``: of people in this row, each with another one of the same length that stands for it.
        """
        if names != self._names:
            self._names, self._seen = names, {}
        return {key: self._within(value) if key != "tools" else value for key, value in row.items()}

    def _within(self, value: Any, *, worded: bool = False) -> Any:
        if isinstance(value, str):
            return self.text(value) if worded else value
        if isinstance(value, dict):
            return {key: self._within(inner, worded=worded or key in _WORDS) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._within(inner, worded=worded) for inner in value]
        if worded and isinstance(value, int) and not isinstance(value, bool):
            shown = self.text(str(value))
            return value if shown == str(value) else int(shown)
        return value

    def text(self, text: str) -> str:
        """A text of the same length."""
        if text not in self._seen:
            out = list(text)
            for match in re.finditer(pattern(self._names), text) if self._names else ():
                self.replaced += 1
                out[match.start() : match.end()] = self._names[match[0]]
            for start, end in self._find(text):
                self.replaced += 1
                out[start:end] = [_sign(character) for character in text[start:end]]
            self._seen[text] = "".join(out)
        return self._seen[text]


def _sign(character: str) -> str:
    if character.isdigit():
        return "0"
    return "x" if character.isalpha() else character


__all__ = ["Find", "Scrub"]
