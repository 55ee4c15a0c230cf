"""Recorded decisions, one winner a review. Knows the shape of a Decision, not what it allows."""

from __future__ import annotations

import os

from checkpoints.crypto import KeyRing
from checkpoints.errors import AlreadyDecided
from checkpoints.folders import ThreadFolders
from checkpoints.frames import Entry
from checkpoints.journal import Journal
from state import Decision

_SAME = ("digest", "type", "edited_args", "message", "reason", "by")
"""What makes a second decision the same decision: a retry differs in time, dwell and channel only."""


class DecisionLog:
    """``decisions.jsonl`` in each thread's folder; compare-and-set across threads and processes."""

    def __init__(self, directory: str | os.PathLike[str], *, keys: KeyRing | None = None) -> None:
        self.folders = ThreadFolders(directory, keys=keys)

    def record(self, thread_id: str, decision: Decision) -> Decision:
        """Store the first decision on its review, durable on return; a retry by the same person gets the stored one.

        Raises:
            AlreadyDecided: another decision was first; ``.winner`` is it.
        """
        self.folders.ensure(thread_id)
        with self._journal(thread_id).writing() as writer:
            stored = _by_review(list(writer.news)).get(decision["review_id"])
            if stored is None:
                writer.write([{"k": "decision", "decision": dict(decision)}])
            writer.wait()  # a loser, too, must not act on a winner that a power cut could take back
        if stored is None:
            return decision
        if any(stored[key] != decision[key] for key in _SAME):  # type: ignore[literal-required]
            raise AlreadyDecided(thread_id, stored)
        return stored

    def of(self, thread_id: str) -> dict[str, Decision]:
        """All decisions of a thread by review id, in the order in which they were recorded."""
        return _by_review(self._journal(thread_id).read())

    def _journal(self, thread_id: str) -> Journal:
        return Journal(self.folders.path(thread_id) / "decisions.jsonl", kind="decisions", keys=self.folders.keys)


def _by_review(entries: list[Entry]) -> dict[str, Decision]:
    return {e.record["decision"]["review_id"]: e.record["decision"] for e in entries if e.record["k"] == "decision"}
