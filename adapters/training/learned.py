"""What an adapter was trained on, as hashes beside its weights: enough to see that it knows a held-out decision.

``learned.jsonl``: a line that says whether this is all of it, then one line for each prompt and request, sorted, so
that the same rows are the same bytes. What an adapter went on from is in it, too. Nobody can read a row out of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.dataset.duplicates import words
from adapters.local.loading import fingerprint
from adapters.serving import EMBEDDED_ADAPTER, WEIGHTS
from adapters.training.rows import Row

FILE: Final = "learned.jsonl"
FORMAT: Final = 1
LEAST_WORDS: Final = 3
"""A request of fewer different words ("yes, please") is nobody's in particular: its words are not compared."""
_DIGITS: Final = 32


@dataclass(frozen=True)
class Learned:
    """Hashes of what was trained on. ``whole``: whether that is all, what it went on from included."""

    prompts: frozenset[str] = field(default=frozenset())
    requests: frozenset[str] = field(default=frozenset())
    whole: bool = True


def write(adapter: Path, rows: Iterable[Row], start: Path | None) -> None:
    """Note the rows of a run in the folder of its adapter.

    Rows that a program of ours made up are left out: nobody decided them, and common words would look like a leak.
    """
    before = Learned() if start is None or _is_ours(start) else read(start)
    told = [row for row in rows if not row.generated]
    requests = {_requested(row.request) for row in told} - {""}
    lines: list[dict[str, str]] = [{"prompt": h} for h in {prompt_hash(row.prompt) for row in told} | before.prompts]
    lines += [{"request": h} for h in requests | before.requests]
    head = json.dumps({"format": FORMAT, "whole": before.whole})
    (adapter / FILE).write_text("\n".join([head, *sorted(map(json.dumps, lines))]) + "\n", encoding="utf-8")


def read(adapter: Path) -> Learned:
    """What an adapter says that it was trained on; not ``whole`` where it does not say, or cannot be read."""
    try:
        head, *lines = [json.loads(line) for line in (adapter / FILE).read_bytes().splitlines()]
        prompts = frozenset(str(line["prompt"]) for line in lines if "prompt" in line)
        requests = frozenset(str(line["request"]) for line in lines if "request" in line)
        return Learned(prompts, requests, head["format"] == FORMAT and head["whole"] is True)
    except (OSError, ValueError, KeyError, TypeError):
        return Learned(whole=False)


def knows(learned: Learned, prompts: Iterable[str], request: str) -> bool:
    """Whether one of these rendered prompts, or this request, was trained on."""
    return _requested(request) in learned.requests or any(prompt_hash(p) in learned.prompts for p in prompts)


def prompt_hash(prompt: str) -> str:
    """Of a rendered prompt."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def _requested(request: str) -> str:
    """Of the set of a request's words; "" where they are too few."""
    found = sorted(words(request)) if request.strip() else []
    return prompt_hash("\n".join(found)) if len(found) >= LEAST_WORDS else ""


def _is_ours(start: Path) -> bool:
    """Whether this is the adapter that ships, which was trained on generated text alone."""
    return fingerprint(start) == fingerprint(WEIGHTS / EMBEDDED_ADAPTER)


__all__ = ["FILE", "LEAST_WORDS", "Learned", "knows", "prompt_hash", "read", "write"]
