"""Intent and outcome of every effect, durable before and after. Satisfies ``nodes.ports.Ledger`` by its shape.

Around the two an effect is *running*: its process holds a lease and beats while the tool works (ADR 7), so that a
second process does not take a long tool for one that died.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, cast

from checkpoints.backend import Backend, Log, backend_at
from checkpoints.errors import EffectRunning, LedgerContradiction
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from checkpoints.records.leases import BEAT_S, LEASE_S, beating, given_up, held, is_live, this_process
from state import Action, Outcome, Recovery

_SAME = ("tool", "status", "result", "error")
_SETTLES = {"in_doubt": ("done", "failed", "refused", "in_doubt")}
"""An effect in doubt may still be settled, by a person or by the tool's own record; any other outcome is final."""


class _Effect(NamedTuple):
    """What the ledger has of one key."""

    intent: dict[str, Any] | None
    outcome: Outcome | None
    running: dict[str, Any] | None  # the last lease, with its last ``until``; None once it was given back


class EffectLedger:
    """The log ``ledger`` of each thread.

    Args:
        where: the threads directory, or where else records lie.
        keys: what the sessions are sealed with.
        lease_s: how long another machine believes in a lease without a heartbeat, in seconds.
        beat_s: time between two heartbeats.
        clock: gives the time with a time zone; the machine's in UTC when None.
    """

    def __init__(
        self,
        where: str | os.PathLike[str] | Backend,
        *,
        keys: KeyRing | None = None,
        lease_s: float = LEASE_S,
        beat_s: float = BEAT_S,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.backend = backend_at(where, keys=keys)
        self.lease_s, self.beat_s = lease_s, beat_s
        self.clock = clock or (lambda: datetime.now(UTC))

    @property
    def folders(self) -> ThreadFolders:
        """Where the files are; UserError where sessions are none."""
        return self.backend.folders

    def begin(self, thread_id: str, key: str, action: Action, recovery: Recovery) -> Literal["fresh", "open"] | Outcome:
        """Write the intent, durable on return: "fresh". Begun before: "open", or its outcome once that is certain.

        The checkpoints that the effect follows from are on the disk before its intent, and so before the effect.
        Call it under :meth:`lease`, which keeps everybody else out.

        Raises:
            LedgerContradiction: the key was begun for another action.
        """
        self.backend.ensure(thread_id)
        with self._log(thread_id).writing() as writer:
            found = _find(writer.records, key)
            if found.intent is None:
                self.backend.flush(thread_id)
                intent = {"k": "intent", "key": key, "at": self._now(), "recovery": recovery, "action": dict(action)}
                writer.write([intent])
            writer.wait()
        if found.intent is None:
            return "fresh"
        if found.intent["action"] != dict(action):
            raise LedgerContradiction(
                f"effect {key!r} of thread {thread_id!r} was begun for tool {found.intent['action']['tool']!r} with "
                "other arguments; nothing was run: look at `dojang checkpoints show` and settle it by hand"
            )
        if found.outcome is None or found.outcome["status"] in _SETTLES:
            return "open"
        return found.outcome

    def begun(self, thread_id: str, key: str) -> Action | None:
        """The action whose intent is under this key, None where there is none; ask under :meth:`lease`."""
        intent = _find(self._log(thread_id).records(), key).intent
        return None if intent is None else cast(Action, intent["action"])

    @contextmanager
    def lease(self, thread_id: str, key: str) -> Iterator[None]:
        """Be the only one who carries out or settles this effect until the block ends; beats meanwhile.

        Neither the lease nor a beat is waited for on the disk: what a power cut takes back, it takes with its holder.

        Raises:
            EffectRunning: a living process has it.
        """
        self.backend.ensure(thread_id)
        log = self._log(thread_id)
        with log.writing() as writer:
            self._refuse_running(thread_id, key, _find(writer.records, key))
            holder = this_process()
            writer.write([{"k": "running", "key": key, "at": self._now(), "holder": holder, "until": self._until()}])

        def beat() -> None:
            with log.writing() as writer:
                writer.write([{"k": "beat", "key": key, "until": self._until()}])

        try:
            with held(thread_id, key), beating(beat, self.beat_s):
                yield
        finally:
            with log.writing() as writer:
                if _find(log.records(), key).running is not None:
                    writer.write([{"k": "rest", "key": key, "at": self._now()}])

    def finish(self, thread_id: str, key: str, outcome: Outcome) -> Outcome:
        """Write the outcome, durable on return; the stored one if it says the same. "in_doubt" may be settled later.

        Raises:
            LedgerContradiction: the effect was never begun, or ended differently before.
        """
        self.backend.ensure(thread_id)
        with self._log(thread_id).writing() as writer:
            found = _find(writer.records, key)
            stored = found.outcome
            if found.intent is None:
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
        """Intents {k: "intent", key, at, recovery, action} and outcomes {k: "outcome", key, outcome}, in order.

        Leases are left out: they say who was at work, not what happened.
        """
        return [record for record in self._log(thread_id).records() if record["k"] in ("intent", "outcome")]

    def _refuse_running(self, thread_id: str, key: str, found: _Effect) -> None:
        running = found.running
        if running is None or given_up(running["holder"], thread_id, key):
            return
        if is_live(running["holder"], running["until"], self.clock()):
            holder = running["holder"]
            raise EffectRunning(
                f"effect {key} of thread {thread_id} is being carried out by process {holder['pid']} on "
                f"{holder['host']} since {running['at']}; wait until it has ended, or end that process: then "
                f"`dojang resume {thread_id}` goes on"
            )

    def _now(self) -> str:
        return self.clock().isoformat()

    def _until(self) -> str:
        return (self.clock() + timedelta(seconds=self.lease_s)).isoformat()

    def _log(self, thread_id: str) -> Log:
        return self.backend.log(thread_id, "ledger")


def _differs(stored: Outcome, outcome: Outcome) -> bool:
    return any(stored[key] != outcome[key] for key in _SAME)  # type: ignore[literal-required]


def _find(records: list[dict[str, Any]], key: str) -> _Effect:
    found = _Effect(None, None, None)
    for record in records:
        if record.get("key") == key:
            found = _after(found, record)
    return found


def _after(found: _Effect, record: dict[str, Any]) -> _Effect:
    match record["k"]:
        case "intent":
            return found._replace(intent=record)
        case "running":
            return found._replace(running=record)
        case "beat":
            return found._replace(running={**found.running, "until": record["until"]} if found.running else None)
        case "rest":
            return found._replace(running=None)
        case _:
            return found._replace(outcome=record["outcome"], running=None)
