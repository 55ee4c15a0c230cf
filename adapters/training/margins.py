"""Chooses how calls and sentences are picked, on generated text that nothing else uses, as the model is served."""

from __future__ import annotations

import json
from pathlib import Path

TODAY = "2026-11-22"
"""The day that generated requests are read on, so that an evaluation is the same on every day."""


def tune(base: Path, adapter: Path, *, n: int, seed: int) -> dict[str, object]:
    """Measure, choose, and write ``decoding.json`` into both folders."""
    from adapters.decoding import DECODING_FILE
    from adapters.serving import load_generator
    from adapters.training.evaluate import parted, requests, tuned, weighed

    generator = load_generator(str(base), adapter=adapter, today=TODAY)
    questions = weighed(generator, n=n, seed=seed + 1_000)
    weight, margin = tuned(questions)
    call = parted(requests(generator, n=n, seed=seed + 1_000), [max(q.margins[: q.tools]) for q in questions])
    settings = {
        "strategy": "reading",
        "abstain_margin": margin,
        "overlap_weight": weight,
        "name_weight": 1.0,
        "call_margin": call,
    }
    for folder in (base, adapter):
        (folder / DECODING_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return dict(settings)


__all__ = ["TODAY", "tune"]
