"""What a thread has cost so far: calls and tokens of each speaker, and money where the model says what it took.

A running total in the state: every checkpoint has it, and it does not grow with the thread. Only ``generate`` writes
it, from the total before: the same step, run again after a crash, counts once.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage

from state import Spent


def spent_with(before: Sequence[Spent], speaker: str, message: AIMessage) -> list[Spent]:
    """The total with one more reply; one that counted nothing is still a call, one that was sent back once is two."""
    usage = message.usage_metadata
    cost = message.response_metadata.get("cost")
    old = next((row for row in before if row["speaker"] == speaker), None)
    row = Spent(
        speaker=speaker,
        calls=(old["calls"] if old else 0) + int(message.response_metadata.get("calls", 1)),
        input_tokens=(old["input_tokens"] if old else 0) + (usage["input_tokens"] if usage else 0),
        output_tokens=(old["output_tokens"] if old else 0) + (usage["output_tokens"] if usage else 0),
        cost=_sum(old["cost"] if old else None, cost),
    )
    return [*(r for r in before if r["speaker"] != speaker), row]


def _sum(before: float | None, now: object) -> float | None:
    if not isinstance(now, int | float):
        return before
    return round((before or 0.0) + now, 9)
