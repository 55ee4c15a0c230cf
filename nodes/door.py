"""The door: who may decide, and the record of it. Nothing else puts a decision into the log.

LangGraph stores an answer before the node sees it, and an invalid stored answer wedges a thread for good; so
``interrupt(response_schema=…)`` gets :func:`answer_model`, which reads any wire form (:mod:`nodes.wire`), checks it
against the review and records it by compare-and-set first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from nodes.gate import is_reason
from nodes.ports import Deps, Toolbox
from nodes.wire import (
    InvalidDecision,
    check_answer,
    check_no_edit,
    check_same,
    edited_args,
    normal_form,
    text_of,
    type_of,
)
from state import Conflict, Decision, DojangError, Review, UserError, person_of

NAME_MAX = 200
"""Characters of a name."""


class Expired(Conflict):
    """The review's deadline is over and nobody had decided: it is denied by default, and too late to say otherwise."""


class NotEntitled(UserError):
    """This person may not decide this review: another role is wanted, or it is their own request."""


class VoteCounted(Conflict):
    """The approval is recorded; the review waits for more people. ``vote`` is it, of ``needed`` there are ``votes``."""

    def __init__(self, vote: Decision, votes: int, needed: int) -> None:
        super().__init__(
            f"vote {votes} of {needed} on review {vote['review_id']} is recorded; it waits for {needed - votes} more"
        )
        self.vote, self.votes, self.needed = vote, votes, needed


class Held(Conflict):
    """The decision is recorded and can still be taken back; the run goes on when that time is over."""


@dataclass(frozen=True)
class Who:
    """Who decides, as far as the caller knows.

    ``by`` "": whoever the wire form names. ``roles`` None: not known, so no role can be asked for. ``role``: the one in
    which they decide. ``hold_s``: seconds in which the decision can be taken back.
    """

    by: str = ""
    channel: str = "langgraph"
    roles: tuple[str, ...] | None = None
    role: str = ""
    hold_s: float = 0


def read_decision(review: Review, raw: object, *, toolbox: Toolbox, now: datetime, who: Who = Who()) -> Decision:
    """One decision about ``review`` from any accepted wire form.

    Raises:
        InvalidDecision: wrong form, a type that is not allowed, edited arguments that break the tool's schema.
        StaleDecision: the decision names another review or another digest.
    """
    said = normal_form(review, raw)
    check_same(review, said)
    kind = type_of(review, said)
    edited, message = None, text_of(review, said, "message")
    if kind != "edit":
        check_no_edit(review, said)
    else:
        edited = edited_args(review, said, toolbox)
        message = str(edited["text"]) if not review["action"]["tool"] else message
    if kind == "answer":
        check_answer(review, message)
    named, channel, dwell = text_of(review, said, "by"), text_of(review, said, "channel"), said.get("dwell_ms")
    decision = Decision(
        review_id=review["id"],
        digest=review["digest"],
        type=kind,
        by=who.by or named or "local",
        at=now.isoformat(),
        reason=text_of(review, said, "reason"),
        edited_args=edited,
        message=message,
        dwell_ms=dwell if isinstance(dwell, int) and not isinstance(dwell, bool) and dwell >= 0 else None,
        channel=channel or who.channel,
    )
    if role := role_of(review, who):
        decision["role"] = role
    return decision


def role_of(review: Review, who: Who) -> str:
    """The role in which a person decides; "" where none is wanted or known.

    Raises:
        NotEntitled: the review wants a role that this person, whose roles are known, does not have.
    """
    wanted = review["roles"]
    has = (who.role,) if who.role else who.roles
    if not wanted or has is None:
        return who.role
    fitting = [role for role in wanted if role in has]
    if not fitting:
        have = ", ".join(has) or "none"
        raise NotEntitled(
            f"review {review['id']} is decided by {' or '.join(wanted)}; {who.by or 'whoever decides'} has the roles: "
            f"{have}; nothing was recorded"
        )
    return fitting[0]


def good_name(name: str) -> bool:
    """Whether a name is one, and could not pass for somebody else's.

    Case, Unicode form, spaces and invisible signs make no other person (``state.person_of``); letters that look alike
    in two alphabets would, so a name is written in one.
    """
    scripts = {unicodedata.name(c, "").partition(" ")[0] for c in name if c.isalpha()} & {"LATIN", "CYRILLIC", "GREEK"}
    hidden = any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in name)
    return bool(person_of(name)) and len(name) <= NAME_MAX and not hidden and len(scripts) <= 1


def check_name(review: Review, name: str) -> None:
    """Raise InvalidDecision for a name that could pass for somebody else's, or for none."""
    if not good_name(name):
        raise InvalidDecision(
            review["id"],
            f"review {review['id']}: {name[:40]!a} is no name to decide under: write it in the letters of one "
            f"alphabet, without hidden signs, in at most {NAME_MAX} characters; nothing was recorded",
        )


def may_decide(review: Review, decision: Decision) -> None:
    """Raise NotEntitled where the person made the request and the rule wants somebody else to approve it."""
    requester = review.get("requester")
    own = bool(requester) and person_of(decision["by"]) == person_of(requester or "")
    if own and not review.get("self_approval", True) and decision["type"] in ("approve", "edit"):
        raise NotEntitled(
            f"{decision['by']} made the request of review {review['id']}: somebody else has to approve it; "
            "nothing was recorded"
        )


def check_reason(review: Review, decision: Decision) -> None:
    """Raise InvalidDecision where the rule wants to know why somebody approves, edited or not, and nothing is said."""
    approves = decision["type"] in ("approve", "edit")
    if approves and review.get("wants_reason", False) and not is_reason(decision["reason"]):
        raise InvalidDecision(
            review["id"],
            f"review {review['id']} is approved with a reason: write in a few words why; nothing was recorded",
        )


def expiry_of(review: Review, now: datetime) -> Decision | None:
    """The decision of nobody on a review whose deadline is over; None before that.

    An effect whose outcome is unknown never expires: only a person can say whether it happened.
    """
    if review["kind"] == "in_doubt" or now <= datetime.fromisoformat(review["due_at"]):
        return None
    return Decision(
        review_id=review["id"],
        digest=review["digest"],
        type="expire",
        by="",
        at=review["due_at"],
        reason="",
        edited_args=None,
        message="",
        dwell_ms=None,
        channel="clock",
    )


def rule(review: Review, raw: object, deps: Deps, who: Who = Who()) -> Decision:
    """Read one decision and record it, or refuse it; nothing else may put a decision into the record.

    A deadline that is over decides before any person can. A decision that is recorded already stays what it is,
    however late it is released.

    Raises:
        InvalidDecision, StaleDecision: see :func:`read_decision`.
        NotEntitled: this person may not decide this review.
        Expired: the deadline was over before anybody decided.
        VoteCounted: the approval is recorded, and the review wants more of them.
        Conflict: somebody else was first, or has claimed the review.
    """
    now, thread_id = deps.clock.now(), review["thread_id"]
    recorded = deps.decisions.of(thread_id).get(review["id"])
    expired = expiry_of(review, now) if recorded is None else None
    if isinstance(raw, Mapping) and raw.get("type") == "expire":
        check_same(review, raw)
        ruling = recorded or expired
        if ruling is None or ruling["type"] != "expire":
            raise InvalidDecision(review["id"], f"review {review['id']} is not due before {review['due_at']}")
        return deps.decisions.record(thread_id, ruling)
    if expired is not None:
        recorded = deps.decisions.record(thread_id, expired)
    if recorded is not None and recorded["type"] == "expire":
        raise Expired(
            f"review {review['id']} expired at {review['due_at']} and is denied; `dojang resume {thread_id}` goes on"
        )
    if recorded is not None:  # what was recorded stays as it is: whoever releases it need not have been entitled to it
        who = replace(who, roles=None, role="")
    decision = read_decision(review, raw, toolbox=deps.toolbox, now=now, who=who)
    if recorded is None:
        check_name(review, decision["by"])
        may_decide(review, decision)
        check_reason(review, decision)
        if who.hold_s > 0:
            decision["held_until"] = (now + timedelta(seconds=who.hold_s)).isoformat()
    return _recorded(review, decision, deps)


def _recorded(review: Review, decision: Decision, deps: Deps) -> Decision:
    """The decision as the log has it; an approval of a review that wants several people is a vote."""
    thread_id, needed = review["thread_id"], review["votes_needed"]
    if needed == 1 or decision["type"] != "approve":
        return deps.decisions.record(thread_id, decision)
    final = deps.decisions.vote(thread_id, decision, needed)
    if final is None:
        decision.pop("held_until", None)  # a vote can be taken back until the last one is given
        raise VoteCounted(decision, len(deps.decisions.progress(thread_id)[review["id"]]["votes"]), needed)
    return final


def answer_model(review: Review, deps: Deps, thread_id: str) -> type[BaseModel]:
    """A pydantic model that LangGraph validates a resume value with before it keeps it.

    ``thread_id`` is the thread that is resumed. Validation normalises the wire form and records the decision by
    compare-and-set, so that whatever client resumes the graph, exactly one decision on a review gets through and a
    loser's answer is refused, not stored.
    """

    class Answer(BaseModel):
        model_config = ConfigDict(extra="forbid", title=f"Decision on {review['id']}")
        decision: dict[str, Any]

        @model_validator(mode="before")
        @classmethod
        def _at_the_door(cls, value: object) -> object:
            try:
                _check_thread(review, thread_id)
                decision = rule(review, value, deps, Who(roles=deps.roles))
                _released(decision, deps, review["thread_id"])
                return {"decision": decision}
            except DojangError as error:
                raise ValueError(str(error)) from error

    return Answer


def _check_thread(review: Review, thread_id: str) -> None:
    """A copy of a thread is another thread: a decision made in it would be recorded in the one it came from."""
    if thread_id and review["thread_id"] != thread_id:
        raise Conflict(
            f"review {review['id']} belongs to thread {review['thread_id']}, of which thread {thread_id} is a copy: "
            f"decide it there, or let the copy go on from a checkpoint before it, which opens a review of its own; "
            "nothing was recorded"
        )


def _released(decision: Decision, deps: Deps, thread_id: str) -> None:
    """From here on the run has the decision: nobody takes it back any more."""
    if "held_until" in decision and not deps.decisions.release(thread_id, [decision["review_id"]], deps.clock.now()):
        raise Held(
            f"the decision on review {decision['review_id']} is recorded and can be taken back until "
            f"{decision['held_until']}; resume after that"
        )
