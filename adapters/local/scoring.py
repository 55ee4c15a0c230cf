"""How likely candidates are, from the logits of one pass over all of them; pure but for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def padded(candidates: Sequence[Sequence[int]], device: Any) -> Any:
    """Candidates as ``(candidates, longest) long``, zeros behind the shorter ones."""
    import torch

    rows = torch.zeros((len(candidates), max(len(ids) for ids in candidates)), dtype=torch.long, device=device)
    for line, ids in enumerate(candidates):
        rows[line, : len(ids)] = torch.tensor(list(ids))
    return rows


def steps_of(
    firsts: Sequence[Any], logits: Any, rows: Any, candidates: Sequence[Sequence[int]], stop: int | None
) -> list[tuple[Any, Any]]:
    """For each candidate the log likelihoods of its tokens, and of ``stop`` after each of them, ``(tokens,)``.

    Args:
        firsts: For each candidate the log likelihoods of what may be its first token, ``(vocab,)``.
        logits: Log likelihoods after each of its tokens, ``(candidates, longest, vocab)``.
        rows: The candidates as :func:`padded` gives them.
        candidates: Their tokens, one at least each.
        stop: A token; where None is given the second of each pair is None.
    """
    import torch

    picked = logits[:, :-1].gather(-1, rows[:, 1:, None]).squeeze(-1)
    found = []
    for line, (first, ids) in enumerate(zip(firsts, candidates, strict=True)):
        tokens = torch.cat([first[list(ids[:1])], picked[line, : len(ids) - 1]])
        found.append((tokens.cpu(), None if stop is None else logits[line, : len(ids), stop].cpu()))
    return found
