"""Chooses how calls and sentences are picked, on generated text that nothing else uses, as the model is served."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

QUESTION_TOKENS = 1.0
"""Up to here a sentence's reading counts in full (``Decoding.question_tokens``): beside a network of words, and words
that mean the same, more of it adds noise (docs/log/models.md)."""
STRANGE = 30.0
"""What words that nobody taught add to the weight of shared words: generated questions have none, so that it was chosen
on passages and real ones."""
MEANT = 1.4
POWER = 3.0
"""How words count that mean the same, and how much more many shared ones than few; chosen likewise."""
NAMED = 2.0
"""What the name of the house counts that a question names: more than a doubt between two sentences, less than one that
there is an answer at all."""
LEAD = 0.7
"""What the lead of the best sentence counts: chosen where neither wording was taught, and in unseen trades."""
WORDED = 0.1
"""What is left of likeness where a sentence holds nearly all words of a question; chosen on passages asked in their own
words, with guests' questions beside them."""
PASSAGE = 0.8
"""What the whole passage's hold of such a question counts; chosen likewise."""
TODAY = "2026-11-22"
"""The day that generated requests are read on, so that an evaluation is the same on every day."""


def tune(base: Path, adapter: Path, *, n: int, seed: int) -> dict[str, object]:
    """Measure, choose, and write ``decoding.json`` into both folders.

    What a long question asks of a tool more (``call_margin_per_token``) is left 0: generated questions are too short to
    tell; it is set by hand after reading real ones. So is what strange words weigh, which stays ``STRANGE``.
    """
    from adapters.decoding import DECODING_FILE
    from adapters.serving import load_generator
    from adapters.speakers.reading import ReadingSpeaker
    from adapters.training.evaluate import judged, parted, readings, requests, tuned, weighed, weighted

    generator = load_generator(str(base), adapter=adapter, today=TODAY)
    verdict = judged(readings(generator, n=n, seed=seed + 1_000))
    speaker = generator.speaker
    assert isinstance(speaker, ReadingSpeaker)
    speaker.decoding = replace(
        speaker.decoding, verdict_weight=verdict, question_tokens=QUESTION_TOKENS, likeness_weight=1.0,
        meant_weight=MEANT, overlap_power=POWER, named_weight=NAMED,
    )  # fmt: skip
    questions = weighed(generator, n=n, seed=seed + 1_000)
    weight, likeness, margin = tuned(questions, lead=LEAD)
    wanting = requests(generator, n=n, seed=seed + 1_000)
    call = parted([max(w.margins) for w in wanting], [max(q.margins[: q.tools]) for q in questions])
    settings = {
        "strategy": "reading",
        "abstain_margin": margin,
        "overlap_weight": weight,
        "name_weight": weighted(wanting),
        "call_margin": call,
        "verdict_weight": verdict,
        "question_tokens": QUESTION_TOKENS,
        "likeness_weight": likeness,
        "strange_weight": STRANGE,
        "meant_weight": MEANT,
        "overlap_power": POWER,
        "named_weight": NAMED,
        "lead_weight": LEAD,
        "worded_likeness": WORDED,
        "passage_weight": PASSAGE,
    }
    for folder in (base, adapter):
        (folder / DECODING_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return dict(settings)


__all__ = ["TODAY", "tune"]
