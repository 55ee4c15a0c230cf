"""Intent and outcome of every effect, on disk before and after. Satisfies ``nodes.ports.Ledger`` by its shape."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, Literal

from checkpoints.crypto import KeyRing
from checkpoints.errors import LedgerContradiction
from checkpoints.folders import ThreadFolders
from checkpoints.frames import Entry
from checkpoints.journal import Journal
from state import Action, Outcome, Recovery

_SAME = ("tool", "status", "result", "error")
_SETTLES = {"in_doubt": ("done", "failed", "refused", "in_doubt")}
"""An effect in doubt may still be settled, by a person or by the tool's own record; any other outcome is final."""


class EffectLedger:
    """``ledger.jsonl`` in each thread's folder."""

    def __init__(self, directory: str | os.PathLike[str], *, keys: KeyRing | None = None) -> None:
        self.folders = ThreadFolders(directory, keys=keys)

    def begin(self, thread_id: str, key: str, action: Action, recovery: Recovery) -> Literal["fresh", "open"] | Outcome:
        """Write the intent, durable on return: "fresh". Begun before: "open", or its outcome once that is known.

        Raises:
            LedgerContradiction: the key was begun for another action.
        """
        self.folders.ensure(thread_id)
        with self._journal(thread_id).writing() as writer:
            intent, outcome = _find(writer.news, key)
            if intent is None:
                now = datetime.now(UTC).isoformat()
                writer.write([{"k": "intent", "key": key, "at": now, "recovery": recovery, "action": dict(action)}])
            writer.wait()
        if intent is None:
            return "fresh"
        if intent["action"] != dict(action):
            raise LedgerContradiction(
                f"effect {key!r} of thread {thread_id!r} was begun for tool {intent['action']['tool']!r} with other "
                "arguments; nothing was run: look at `dojang checkpoints show` and settle it by hand"
            )
        return outcome if outcome is not None else "open"

    def finish(self, thread_id: str, key: str, outcome: Outcome) -> Outcome:
        """Write the outcome, durable on return; the stored one if it says the same. "in_doubt" may be settled later.

        Raises:
            LedgerContradiction: the effect was never begun, or ended differently before.
        """
        self.folders.ensure(thread_id)
        with self._journal(thread_id).writing() as writer:
            intent, stored = _find(writer.news, key)
            if intent is None:
                raise LedgerContradiction(
                    f"effect {key!r} of thread {thread_id!r} ended but was never begun; nothing was recorded"
                )
            if stored is not None and not _differs(stored, outcome):
                writer.wait()
                return stored
            if stored is not None and stored["status"] not in _SETTLES:
                raise LedgerContradiction(
                    f"effect {key!r} of thread {thread_id!r} ended as {stored['status']} at {stored['at']} "
                    f"and now as {outcome['status']}; the first stays recorded: find out which is true"
                )
            writer.write([{"k": "outcome", "key": key, "outcome": dict(outcome)}])
            writer.wait()
        return outcome

    def entries(self, thread_id: str) -> list[dict[str, Any]]:
        """Intents {k: "intent", key, at, recovery, action} and outcomes {k: "outcome", key, outcome}, in order."""
        return [e.record for e in self._journal(thread_id).read()[1:]]

    def _journal(self, thread_id: str) -> Journal:
        return Journal(self.folders.path(thread_id) / "ledger.jsonl", kind="ledger", keys=self.folders.keys)


def _differs(stored: Outcome, outcome: Outcome) -> bool:
    return any(stored[key] != outcome[key] for key in _SAME)  # type: ignore[literal-required]


def _find(entries: list[Entry], key: str) -> tuple[dict[str, Any] | None, Outcome | None]:
    intent: dict[str, Any] | None = None
    outcome: Outcome | None = None
    for entry in entries:
        if entry.record.get("key") == key:
            if entry.record["k"] == "intent":
                intent = entry.record
            else:
                outcome = entry.record["outcome"]
    return intent, outcome
