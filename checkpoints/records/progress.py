"""How far each review has got, folded from the records of ``decisions.jsonl``. Pure: reads no file, knows no clock.

ADR 7 has the records. Whether a record may be written is for :class:`checkpoints.records.decisions.DecisionLog` to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

from state import Assignment, Claim, Decision, Progress, person_of, untouched


class Fold:
    """All reviews of a thread: ``of`` in the order of their first record, ``decided`` in that of their decisions."""

    def __init__(self, records: Iterable[dict[str, Any]]) -> None:
        self.of: dict[str, Progress] = {}
        self.decided: dict[str, Decision] = {}
        for record in records:
            take = _TAKES.get(record["k"])
            if take is not None:
                about = record.get("decision") or record.get("vote") or record
                take(self, about["review_id"], self.at(about["review_id"]), record)

    def at(self, review_id: str) -> Progress:
        """The progress of one review; an empty one where nothing is recorded."""
        return self.of.setdefault(review_id, untouched())

    def _vote(self, review_id: str, found: Progress, record: dict[str, Any]) -> None:
        found["votes"].append(record["vote"])
        found["claim"] = None

    def _decision(self, review_id: str, found: Progress, record: dict[str, Any]) -> None:
        decision = cast(Decision, record["decision"])
        if found["decision"] is not None:
            return  # the first one stands
        found["decision"], found["released"] = decision, "held_until" not in decision
        if decision["type"] == "approve":
            found["votes"].append(decision)
        self.decided[review_id] = decision

    def _undo(self, review_id: str, found: Progress, record: dict[str, Any]) -> None:
        person = person_of(record["by"])
        if found["decision"] is not None and person in people_of(found):
            found["decision"], found["released"] = None, False
            self.decided.pop(review_id, None)
        found["votes"] = [vote for vote in found["votes"] if person_of(vote["by"]) != person]

    def _release(self, review_id: str, found: Progress, record: dict[str, Any]) -> None:
        found["released"] = True

    def _claim(self, review_id: str, found: Progress, record: dict[str, Any]) -> None:
        found["claim"] = Claim(by=record["by"], at=record["at"], until=record["until"])

    def _handover(self, review_id: str, found: Progress, record: dict[str, Any]) -> None:
        found["claim"] = Claim(by=record["to"], at=record["at"], until=record["until"], handed_by=record["by"])

    def _unclaim(self, review_id: str, found: Progress, record: dict[str, Any]) -> None:
        found["claim"] = None

    def _assignment(self, review_id: str, found: Progress, record: dict[str, Any]) -> None:
        found["assigned"] = Assignment(role=record["role"], by=record["by"], at=record["at"])
        claim = found["claim"]
        if claim is not None and person_of(claim["by"]) == person_of(record["by"]):
            found["claim"] = None  # who hands it up lets go of it

    def _escalation(self, review_id: str, found: Progress, record: dict[str, Any]) -> None:
        found["escalated_at"] = record["at"]


_TAKES = {
    "vote": Fold._vote,
    "decision": Fold._decision,
    "undo": Fold._undo,
    "release": Fold._release,
    "claim": Fold._claim,
    "handover": Fold._handover,
    "unclaim": Fold._unclaim,
    "assignment": Fold._assignment,
    "escalation": Fold._escalation,
}


def people_of(progress: Progress) -> list[str]:
    """Those who have a part in the decision or in the votes, each once, as ``person_of`` names them."""
    decided = [progress["decision"]] if progress["decision"] is not None else []
    return list(dict.fromkeys(person_of(said["by"]) for said in (*progress["votes"], *decided)))


def live_claim(progress: Progress, now: datetime) -> Claim | None:
    """The claim that holds now; None after its ten minutes."""
    claim = progress["claim"]
    return claim if claim is not None and now < datetime.fromisoformat(claim["until"]) else None
