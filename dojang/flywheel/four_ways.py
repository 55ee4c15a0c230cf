"""Who is asked what for ``adapters matrix``: the hand-written questions, and the base without and with an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.gate.matrix import Asked


def speakers(base: Path | None = None, adapter: Path | None = None) -> dict[bool, Any]:
    """The generators without and with the adapter; what ships with Dojang where nothing is named."""
    from adapters.serving import load_generator
    from adapters.training.margins import TODAY
    from dojang.flywheel.listing import shipped

    on = str(base or shipped()[0])
    return {
        False: load_generator(on, adapter=None, today=TODAY),
        True: load_generator(on, adapter=adapter or shipped()[1], today=TODAY),
    }


def sample_asked(each: int | None = None) -> list[Asked]:
    """The hand-written questions about the sample documents, which nothing was trained on.

    ``each``: so many with an answer, and half as many without one, of each language; all if None.
    """
    from adapters.gate.matrix import Asked
    from adapters.training.evaluate import passages_of, sample_questions

    found, counted = [], dict[tuple[str, bool], int]()
    for example, _ in sample_questions():
        kind = (example.language, bool(example.n))
        counted[kind] = counted.get(kind, 0) + 1
        if each is not None and counted[kind] > (each if example.n else (each + 1) // 2):
            continue
        passages = passages_of(example.evidence)
        right = passages[example.n - 1] if example.n else None
        gold = (right["id"], right["start"], right["end"]) if right else None
        found.append(Asked(f"sample {example.language}", example.turns[-1].content, example.language, passages, gold))
    return found
