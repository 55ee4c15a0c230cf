"""Recorded decisions, one winner a review. Knows the shape of a Decision, not what it allows.

Votes, an undo, a claim and an escalation are records of the same log under the same lock, so that each of them and a
decision exclude each other by compare-and-set (ADR 7).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from checkpoints.backend import Backend, Log, Writer, backend_at
from checkpoints.errors import AlreadyDecided, Claimed, TooLateToUndo
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from checkpoints.records.progress import Fold, live_claim, people_of
from state import CLAIM_S, Assignment, Claim, Conflict, Decision, Progress, UserError, person_of

_SAME = ("digest", "type", "edited_args", "message", "reason", "by")
"""What makes a second decision the same decision: a retry differs in time, dwell and channel only."""


class NothingToUndo(UserError):
    """This person has no part in what is recorded of the review."""


class DecisionLog:
    """The log ``decisions`` of each thread; compare-and-set across threads, processes and machines."""

    def __init__(self, where: str | os.PathLike[str] | Backend, *, keys: KeyRing | None = None) -> None:
        self.backend = backend_at(where, keys=keys)

    @property
    def folders(self) -> ThreadFolders:
        """Where the files are; UserError where sessions are none."""
        return self.backend.folders

    # -- deciding -------------------------------------------------------------------------------------------------

    def record(self, thread_id: str, decision: Decision) -> Decision:
        """Store the first decision on its review, durable on return; a retry by the same person gets the stored one.

        Raises:
            AlreadyDecided: another decision was first; ``.winner`` is it.
            Claimed: somebody else has reserved the review.
        """
        with self._writing(thread_id) as (writer, fold):
            progress = fold.at(decision["review_id"])
            stored = progress["decision"]
            if stored is None:
                _refuse_claimed(progress, decision)
                self._flush_review(thread_id)
                writer.write([{"k": "decision", "decision": dict(decision)}])
            writer.wait()  # a loser, too, must not act on a winner that a power cut could take back
        if stored is None:
            return decision
        if not _same(stored, decision):
            raise AlreadyDecided(thread_id, stored)
        return stored

    def vote(self, thread_id: str, approval: Decision, needed: int) -> Decision | None:
        """Add one person's approval, durable on return: the decision once ``needed`` people gave theirs, else None.

        A person's second approval changes nothing.

        Raises:
            AlreadyDecided, Claimed: as :meth:`record`.
        """
        with self._writing(thread_id) as (writer, fold):
            progress = fold.at(approval["review_id"])
            stored, mine = progress["decision"], _has_voted(progress, approval["by"])
            last = len(progress["votes"]) + 1 >= needed
            if stored is None and not mine:
                _refuse_claimed(progress, approval)
                self._flush_review(thread_id)
                writer.write([{"k": "decision", "decision": dict(approval)} if last else _vote_of(approval)])
            writer.wait()
        if stored is None:
            return approval if last and not mine else None
        if not mine or stored["type"] != "approve":
            raise AlreadyDecided(thread_id, stored)
        return stored

    def undo(self, thread_id: str, review_id: str, by: str, at: datetime) -> Decision:
        """Take back what ``by`` said of a review while nothing runs yet; the decision or vote that counts no more.

        Raises:
            NothingToUndo: this person said nothing of the review.
            TooLateToUndo: it is released, or its time is over.
            Conflict: somebody else's decision.
        """
        with self._writing(thread_id) as (writer, fold):
            progress = fold.at(review_id)
            said = _undoable(review_id, progress, by, at)
            writer.write([{"k": "undo", "review_id": review_id, "by": by, "at": at.isoformat()}])
            writer.wait()
        return said

    def release(self, thread_id: str, review_ids: Iterable[str], at: datetime) -> dict[str, Decision]:
        """Those of the decisions that may be carried out now; none of them can be taken back afterwards."""
        with self._writing(thread_id) as (writer, fold):
            decided = {rid: fold.decided[rid] for rid in review_ids if rid in fold.decided}
            ready = {rid: d for rid, d in decided.items() if fold.at(rid)["released"] or not _held(d, at)}
            late = [rid for rid in ready if not fold.at(rid)["released"]]
            writer.write([{"k": "release", "review_id": rid, "at": at.isoformat()} for rid in late])
            writer.wait()
        return ready

    # -- reserving and reminding ----------------------------------------------------------------------------------

    def claim(self, thread_id: str, review_id: str, by: str, at: datetime) -> Claim:
        """Reserve a review for ten minutes, or anew by the same person.

        Raises:
            AlreadyDecided, Claimed.
        """
        claim = Claim(by=by, at=at.isoformat(), until=(at + timedelta(seconds=CLAIM_S)).isoformat())
        with self._writing(thread_id) as (writer, fold):
            progress = fold.at(review_id)
            if progress["decision"] is not None:
                raise AlreadyDecided(thread_id, progress["decision"])
            other = live_claim(progress, at)
            if other is not None and person_of(other["by"]) != person_of(by):
                raise Claimed(review_id, other)
            writer.write([{"k": "claim", "review_id": review_id, **claim}])
            writer.wait()
        return claim

    def hand_over(self, thread_id: str, review_id: str, by: str, to: str, at: datetime) -> Claim:
        """Let ``to`` have the review that ``by`` has claimed, for ten minutes from now.

        Raises:
            AlreadyDecided, Claimed (by a third person), Conflict (``by`` has it no more).
        """
        claim = Claim(by=to, at=at.isoformat(), until=(at + timedelta(seconds=CLAIM_S)).isoformat(), handed_by=by)
        with self._writing(thread_id) as (writer, fold):
            progress = fold.at(review_id)
            if progress["decision"] is not None:
                raise AlreadyDecided(thread_id, progress["decision"])
            held = live_claim(progress, at)
            if held is None:
                raise Conflict(f"review {review_id} is not claimed by {by} any more; nothing was handed over")
            if person_of(held["by"]) != person_of(by):
                raise Claimed(review_id, held)
            moved = {"by": by, "to": to, "at": claim["at"], "until": claim["until"]}
            writer.write([{"k": "handover", "review_id": review_id, **moved}])
            writer.wait()
        return claim

    def unclaim(self, thread_id: str, review_id: str, by: str, at: datetime) -> None:
        """Give a claim back before its time; somebody else's is a Conflict, none at all is fine."""
        with self._writing(thread_id) as (writer, fold):
            held = live_claim(fold.at(review_id), at)
            if held is not None and person_of(held["by"]) != person_of(by):
                raise Claimed(review_id, held)
            if held is not None:
                writer.write([{"k": "unclaim", "review_id": review_id, "by": by, "at": at.isoformat()}])
            writer.wait()

    def assign(self, thread_id: str, review_id: str, assignment: Assignment) -> bool:
        """Record that a review was handed up to a role; False where the same person had said just that before.

        Raises:
            AlreadyDecided, Claimed.
        """
        said = {key: assignment[key] for key in ("role", "by")}
        with self._writing(thread_id) as (writer, fold):
            progress = fold.at(review_id)
            if progress["decision"] is not None:
                raise AlreadyDecided(thread_id, progress["decision"])
            other = live_claim(progress, datetime.fromisoformat(assignment["at"]))
            if other is not None and person_of(other["by"]) != person_of(assignment["by"]):
                raise Claimed(review_id, other)
            last = progress.get("assigned")
            fresh = last is None or any(last[key] != value for key, value in said.items())  # type: ignore[literal-required]
            if fresh:
                writer.write([{"k": "assignment", "review_id": review_id, **assignment}])
            writer.wait()
        return fresh

    def escalate(self, thread_id: str, review_id: str, at: datetime) -> bool:
        """Record that half of the time is over; True for the one caller whose record it is."""
        with self._writing(thread_id) as (writer, fold):
            progress = fold.at(review_id)
            fresh = not progress["escalated_at"] and progress["decision"] is None
            if fresh:
                writer.write([{"k": "escalation", "review_id": review_id, "at": at.isoformat()}])
            writer.wait()
        return fresh

    # -- reading --------------------------------------------------------------------------------------------------

    def of(self, thread_id: str) -> dict[str, Decision]:
        """The decisions of a thread that stand, by review id, in the order in which they were recorded."""
        return Fold(self.entries(thread_id)).decided

    def progress(self, thread_id: str) -> dict[str, Progress]:
        """Everything recorded of each review: votes, decision, claim, escalation."""
        return Fold(self.entries(thread_id)).of

    def entries(self, thread_id: str) -> list[dict[str, Any]]:
        """The records as they were written, oldest first."""
        return self._log(thread_id).records()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _flush_review(self, thread_id: str) -> None:
        """A review can be seen a moment before it is on the disk; what is decided on it must not outlive it."""
        self.backend.flush(thread_id)

    @contextmanager
    def _writing(self, thread_id: str) -> Iterator[tuple[Writer, Fold]]:
        self.backend.ensure(thread_id)
        try:
            with self._log(thread_id).writing() as writer:
                yield writer, Fold(writer.records)
        finally:
            self.backend.press(thread_id)

    def _log(self, thread_id: str) -> Log:
        return self.backend.log(thread_id, "decisions")


def _same(stored: Decision, decision: Decision) -> bool:
    return all(stored[key] == decision[key] for key in _SAME)  # type: ignore[literal-required]


def _has_voted(progress: Progress, by: str) -> bool:
    return person_of(by) in (person_of(vote["by"]) for vote in progress["votes"])


def _vote_of(approval: Decision) -> dict[str, Any]:
    vote = {key: value for key, value in approval.items() if key != "held_until"}  # only what is final is held
    return {"k": "vote", "vote": vote}


def _refuse_claimed(progress: Progress, decision: Decision) -> None:
    if decision["type"] == "expire":
        return
    claim = live_claim(progress, datetime.fromisoformat(decision["at"]))
    if claim is not None and person_of(claim["by"]) != person_of(decision["by"]):
        raise Claimed(decision["review_id"], claim)


def _held(decision: Decision, at: datetime) -> bool:
    return at < datetime.fromisoformat(decision.get("held_until") or decision["at"])


def _undoable(review_id: str, progress: Progress, by: str, at: datetime) -> Decision:
    decision = progress["decision"]
    mine = next((vote for vote in progress["votes"] if person_of(vote["by"]) == person_of(by)), None)
    if decision is None:
        if mine is None:
            raise NothingToUndo(f"there is no decision of {by} on review {review_id} to take back")
        return mine
    if progress["released"] or not _held(decision, at):
        raise TooLateToUndo(
            f"review {review_id} was decided ({decision['type']} by {decision['by']}) and its run is released: it "
            f"cannot be taken back any more; `dojang show {review_id}` says what came of it"
        )
    if person_of(by) not in people_of(progress):
        raise Conflict(f"only {decision['by']} can take back the decision on review {review_id}; nothing was changed")
    return mine or decision
