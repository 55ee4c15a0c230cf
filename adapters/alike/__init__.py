"""How alike a request is to what it may be for (a tool's purpose, a sentence), by a network beside a base of ours.

It stands in ``likeness.safetensors`` in the base's folder: ``network`` says what it computes, ``meanings`` what words
mean in the world, and the hashes of the words that were taught say how strange a question is: where nobody taught its
words, those that it shares with a sentence say more than likeness does.
"""

from __future__ import annotations

from typing import Final

LIKENESS_FILE: Final = "likeness.safetensors"
"""In a base's folder."""
LEAST: Final = -20.0
"""No candidate is less alike than this: of words that were never taught all would be, by chance more or less."""

__all__ = ["LEAST", "LIKENESS_FILE"]
