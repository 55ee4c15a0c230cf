"""Text of others, written out so that nothing in it moves, hides or reorders what stands around it."""

from __future__ import annotations

import unicodedata


def visible(text: str) -> str:
    """The text with everything that moves, hides or reorders other text written out by its code point."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in "\n\t":
        return character
    category = unicodedata.category(character)
    if category in ("Cc", "Cs") or (category == "Cf" and character not in "\u200c\u200d"):
        return f"\\u{{{ord(character):x}}}"
    return character
