"""How a run's end is told: the values that a client is given who waits, and the last event of a stream."""

from __future__ import annotations

from typing import Any

from langgraph.types import StateSnapshot

from dojang.server.work.plain import dumps


def final_values(snapshot: StateSnapshot) -> dict[str, Any]:
    """What a client that waits is given: the values, and the pauses beside them."""
    waiting = [interrupt for task in snapshot.tasks for interrupt in task.interrupts]
    return {**snapshot.values, **({"__interrupt__": waiting} if waiting else {})}


def last_words(run_id: str, status: str, error: dict[str, str] | None) -> tuple[str, bytes]:
    """The last event of a run: its name, its JSON."""
    if error is not None:
        return "error", dumps(error)
    return "end", dumps({"run_id": run_id, "status": status})


__all__ = ["final_values", "last_words"]
