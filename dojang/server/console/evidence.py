"""The passages that a review rests on, each with the sentence that matters marked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dojang.server.console.addresses import passage_href
from dojang.server.console.marked import Segment, spans
from dojang.server.wording import SCORES, Say, label
from dojang.vocabulary import FLAGS
from state import ATTACHED, Passage, Review


@dataclass(frozen=True)
class Evidence:
    """A passage of the evidence."""

    href: str  # "" for a file that came with a message
    title: str
    segments: list[Segment]
    scores: str
    trust: str
    place: str
    signs: str  # what in it looks as if it spoke to the model; "" for nearly every passage


def evidence_of(passage: Passage, scores: Mapping[str, float], near: str, say: Say) -> Evidence:
    """A passage with the sentence that shares most with ``near``."""
    start, end = closest_sentence(passage, near)
    attached = passage["document"].startswith(ATTACHED)
    return Evidence(
        href="" if attached else passage_href(passage["id"], passage["start"] + start, passage["start"] + end),
        title=passage["title"] or passage["document"],
        segments=spans(passage["text"], start, end),
        scores=" · ".join(f"{label(say, SCORES, name)} {value:.2f}" for name, value in scores.items()),
        trust=passage["trust"],
        place=place_of(passage, say),
        signs=signs_of(passage, say),
    )


def signs_of(passage: Passage, say: Say) -> str:
    """What in a passage looks as if it spoke to the model, in words; "" where nothing does."""
    return ", ".join(label(say, FLAGS, name) for name in passage.get("flags", []))


def place_of(passage: Passage, say: Say) -> str:
    """Where in its document a passage stands."""
    if passage["page"] is not None:
        return say("page %(n)s", n=passage["page"]).unescape()
    return say("characters %(start)s–%(end)s", start=passage["start"], end=passage["end"]).unescape()


def scores_of(review: Review, passage: Passage) -> Mapping[str, float]:
    """The scores with which the review was opened, not those of a later look."""
    return next((p["scores"] for p in review["evidence"] if p["id"] == passage["id"]), passage["scores"])


def closest_sentence(passage: Passage, near: str) -> tuple[int, int]:
    """[start, end) of the sentence with most character pairs in common with ``near``; (0, 0) when none has any.

    Pairs of characters do for Korean, where words change their endings, what words do for English.
    """
    wanted = _pairs(near)
    best, where = 0.0, (0, 0)
    for start, end in passage["sentences"]:
        pairs = _pairs(passage["text"][start:end])
        score = len(wanted & pairs) / (len(pairs) ** 0.5 or 1)
        if score > best:
            best, where = score, (start, end)
    return where


def _pairs(text: str) -> set[str]:
    squeezed = re.sub(r"\W+", " ", text.lower())
    return {squeezed[i : i + 2] for i in range(len(squeezed) - 1) if " " not in squeezed[i : i + 2]}
