"""The old domain: the generated front desk, the same items for everybody, so that what is forgotten is seen.

Only for bases of this project. Names, dates and wordings are of the side that no training text shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from adapters.errors import UnreadableReply
from adapters.gate.replies import Kept, Speaker
from adapters.training.evaluate import ELSEWHERE, LANGUAGES, SLICES, examples, judge, messages_of, passages_of
from adapters.training.examples import Example
from adapters.training.margins import TODAY
from state import UserError

NAME: Final = "frontdesk"
"""What stands for a dataset in the name of the file of replies."""
Item = tuple[str, Example]


def items(n: int, seed: int) -> list[Item]:
    """``n`` items of each slice and language, each named by its content."""
    names = [name for name in SLICES if name not in ELSEWHERE]
    made = [example for name in names for language in LANGUAGES for example in examples(name, language, n, seed)]
    return list({_key(example): example for example in made}.items())


def ask_old(
    speaker: Speaker, asked: Sequence[Item], kept: Kept, *, on_reply: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """By item, whether the speaker is right; those that are kept are not asked again."""
    found: dict[str, float] = {}
    for key, example in asked:
        said = kept.get(key)
        if said is None:
            said = {"right": _right(speaker, example)}
            kept.put(key, said)
        found[key] = float(said["right"])
        on_reply()
    return found


def _right(speaker: Speaker, example: Example) -> bool:
    speaker.told(TODAY)
    sentences = [] if example.turns[-1].role == "ipython" else example.evidence
    given: Any = {"passages": passages_of(sentences), "tools": example.tools, "language": example.language}
    try:
        said = speaker.generator.reply(messages_of(example.turns), **given)
    except (UserError, UnreadableReply):
        return False
    return judge(example, said).right


def _key(example: Example) -> str:
    return hashlib.sha256(repr(example).encode("utf-8", "surrogatepass")).hexdigest()[:24]


__all__ = ["NAME", "Item", "ask_old", "items"]
