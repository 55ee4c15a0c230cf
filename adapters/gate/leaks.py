"""Whether a candidate was trained on what it is to be compared on, by hashes of prompts and requests. Loads no weights.

A held-out point is rendered as the base would have been taught it, so that the hash of a training row that holds it is
the same, from whichever dataset or file that row came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from adapters.dataset.points import untold
from adapters.gate.rules import Noted
from adapters.gate.verdict import Training
from adapters.local.templates import agent_turn
from adapters.prompt import render, request_of, turns_of
from adapters.registry.folders import manifest_of
from adapters.speakers.evidence import gather
from adapters.training import learned

Point = Mapping[str, Any]
CLOCK_S: Final = 2.0
"""Times are noted in whole seconds."""


def training_of(adapter: Path, points: Sequence[Point], noted: Mapping[str, Noted | None], tokenizer: Any) -> Training:
    """What counts of how an adapter was trained.

    Args:
        adapter: Its folder.
        points: What is held out.
        noted: The rules of the dataset that is compared on and of all that it was trained on, by dataset.
        tokenizer: Of a base from elsewhere, whose prompts are rendered by its template; None for a base of ours.
    """
    knows = learned.read(adapter)
    leaked = sum(learned.knows(knows, prompts_of(point, tokenizer), request(point)) for point in points)
    return Training(leaked=leaked, known=knows.whole, late=late(manifest_of(adapter), noted))


def prompts_of(point: Point, tokenizer: Any) -> list[str]:
    """The prompts that a row of this point would have."""
    messages = untold(point["prompt"])
    found = [render(turns_of(messages))]
    if tokenizer is not None:
        sentences = [row.text for row in gather(messages, point["passages"])[0]]
        tools = [{"schema_version": "", **tool["function"]} for tool in point["tools"]]
        found.append(agent_turn(tokenizer, messages, tools, sentences, point["language"], point["today"]))  # type: ignore[arg-type]
    return found


def request(point: Point) -> str:
    """What the user wanted."""
    return request_of(turns_of(untold(point["prompt"])))


def late(manifest: Mapping[str, Any], noted: Mapping[str, Noted | None]) -> str:
    """The first dataset whose rules were not noted when an adapter's training on it began; "" for none.

    Manifests that do not say when it began say when it ended and how long it took. The rules of the dataset that is
    compared on must be there, whatever the adapter was trained on.
    """
    sources = {str(s["dataset"]) for s in (manifest.get("data") or {}).get("sources") or [] if s.get("dataset")}
    try:
        if manifest.get("begun_at"):
            begun = datetime.fromisoformat(str(manifest["begun_at"]))
        else:
            ended = datetime.fromisoformat(str(manifest["trained_at"]))
            begun = ended - timedelta(seconds=float(manifest["duration_s"]) - CLOCK_S)
    except (KeyError, ValueError, TypeError):
        return next(iter(sorted(noted)), "")
    for dataset, record in sorted(noted.items()):
        if record is None:
            return dataset
        if (dataset in sources or not sources) and datetime.fromisoformat(record["at"]) > begun:
            return dataset
    return ""


__all__ = ["late", "prompts_of", "request", "training_of"]
