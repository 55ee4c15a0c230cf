"""The one reader of decisions: every wire form comes in here and leaves as a validated Decision, or not at all.

Accepted: our own form (``{"type": "approve", …}``), LangChain's ``{"decisions": [{"type": …}]}``, and Agent Inbox's
``[{"type": "accept", "args": …}]``. LangGraph stores an answer before the node sees it, and an invalid stored answer
wedges a thread for good; so ``interrupt(response_schema=…)`` gets :func:`answer_model`, which refuses it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, model_validator

from nodes.ports import Deps, Toolbox
from state import JSON, Conflict, Decision, DecisionType, DojangError, Review, UserError

_INBOX: Final[dict[str, DecisionType]] = {"accept": "approve", "ignore": "reject", "response": "answer", "edit": "edit"}
_LANGCHAIN: Final[dict[str, DecisionType]] = {
    "approve": "approve",
    "edit": "edit",
    "reject": "reject",
    "respond": "answer",
}


class InvalidDecision(UserError):
    """The decision does not fit its review; nothing was recorded. ``review_id`` names the review."""

    def __init__(self, review_id: str, message: str) -> None:
        super().__init__(message)
        self.review_id = review_id


class Expired(Conflict):
    """The review's deadline is over and nobody had decided: it is denied by default, and too late to say otherwise."""


class StaleDecision(Conflict):
    """The review that was looked at is not the review that is open (its digest differs)."""


def read_decision(
    review: Review, raw: object, *, toolbox: Toolbox, now: datetime, by: str = "local", channel: str = "langgraph"
) -> Decision:
    """One decision about ``review`` from any accepted wire form.

    Raises:
        InvalidDecision: wrong form, a type that is not allowed, edited arguments that break the tool's schema.
        StaleDecision: the decision names another review or another digest.
    """
    said = _normal(review, raw)
    _same_review(review, said)
    kind = _type(review, said)
    edited, message = None, _text(review, said, "message")
    if kind == "edit":
        edited = _edited(review, said, toolbox)
        message = str(edited["text"]) if not review["action"]["tool"] else message
    if kind == "answer" and not message.strip():
        raise InvalidDecision(review["id"], f"review {review['id']}: an answer needs a text; nothing was recorded")
    dwell = said.get("dwell_ms")
    return Decision(
        review_id=review["id"],
        digest=review["digest"],
        type=kind,
        by=_text(review, said, "by") or by,
        at=_text(review, said, "at") or now.isoformat(),
        reason=_text(review, said, "reason"),
        edited_args=edited,
        message=message,
        dwell_ms=dwell if isinstance(dwell, int) and not isinstance(dwell, bool) and dwell >= 0 else None,
        channel=_text(review, said, "channel") or channel,
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


def rule(review: Review, raw: object, deps: Deps, **who: str) -> Decision:
    """Read one decision and record it, or refuse it; nothing else may put a decision into the record.

    A deadline that is over decides before any person can. A decision that is recorded already stays what it is,
    however late it is released.

    Raises:
        InvalidDecision, StaleDecision: see :func:`read_decision`.
        Expired: the deadline was over before anybody decided.
        Conflict: somebody else was first.
    """
    now, thread_id = deps.clock.now(), review["thread_id"]
    recorded = deps.decisions.of(thread_id).get(review["id"])
    expired = expiry_of(review, now) if recorded is None else None
    if isinstance(raw, Mapping) and raw.get("type") == "expire":
        _same_review(review, raw)
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
    return deps.decisions.record(thread_id, read_decision(review, raw, toolbox=deps.toolbox, now=now, **who))


def answer_model(review: Review, deps: Deps) -> type[BaseModel]:
    """A pydantic model that LangGraph validates a resume value with before it keeps it.

    Validation normalises the wire form and records the decision by compare-and-set, so that whatever client resumes
    the graph, exactly one decision on a review gets through and a loser's answer is refused, not stored.
    """

    class Answer(BaseModel):
        model_config = ConfigDict(extra="forbid", title=f"Decision on {review['id']}")
        decision: dict[str, Any]

        @model_validator(mode="before")
        @classmethod
        def _at_the_door(cls, value: object) -> object:
            try:
                return {"decision": rule(review, value, deps)}
            except DojangError as error:
                raise ValueError(str(error)) from error

    return Answer


def _normal(review: Review, raw: object) -> Mapping[str, JSON]:
    if isinstance(raw, Mapping) and "decisions" in raw:
        return _from_langchain(review, _only(review, raw["decisions"]))
    if isinstance(raw, list):
        return _from_inbox(review, _only(review, raw))
    if isinstance(raw, Mapping) and isinstance(raw.get("type"), str):
        return raw
    raise InvalidDecision(
        review["id"], f"review {review['id']}: a decision is an object with a type ({', '.join(review['allowed'])})"
    )


def _only(review: Review, items: object) -> Mapping[str, JSON]:
    if not isinstance(items, list) or len(items) != 1 or not isinstance(items[0], Mapping):
        raise InvalidDecision(review["id"], f"review {review['id']} takes exactly one decision, by its own id")
    return cast(Mapping[str, JSON], items[0])


def _from_langchain(review: Review, item: Mapping[str, JSON]) -> Mapping[str, JSON]:
    action = item.get("edited_action") if isinstance(item.get("edited_action"), Mapping) else {}
    if action and action.get("name", review["action"]["tool"]) != review["action"]["tool"]:
        raise InvalidDecision(
            review["id"], f"review {review['id']}: an edit may not change the tool; reject it instead"
        )
    return {
        "type": _LANGCHAIN.get(str(item.get("type")), item.get("type")),
        "edited_args": action.get("args") if action else None,
        "message": item.get("message") or "",
        "reason": item.get("message") or "" if item.get("type") == "reject" else "",
    }


def _from_inbox(review: Review, item: Mapping[str, JSON]) -> Mapping[str, JSON]:
    args = item.get("args")
    edited = args.get("args", args) if isinstance(args, Mapping) else None
    return {
        "type": _INBOX.get(str(item.get("type")), item.get("type")),
        "edited_args": edited,
        "message": args if isinstance(args, str) else "",
    }


def _same_review(review: Review, said: Mapping[str, JSON]) -> None:
    if said.get("review_id") not in (None, review["id"]):
        raise StaleDecision(f"this decision is about review {said['review_id']!r}, but {review['id']} is open")
    if said.get("digest") not in (None, review["digest"]):
        raise StaleDecision(
            f"review {review['id']} has changed since you looked at it (its digest is {review['digest'][:19]}…); "
            f"show it again before deciding"
        )


def _type(review: Review, said: Mapping[str, JSON]) -> DecisionType:
    kind = said.get("type")
    if kind not in review["allowed"]:
        raise InvalidDecision(
            review["id"],
            f"review {review['id']} ({review['kind']}) cannot be decided with {kind!r}; "
            f"it takes {', '.join(review['allowed'])}",
        )
    return cast(DecisionType, kind)


def _edited(review: Review, said: Mapping[str, JSON], toolbox: Toolbox) -> dict[str, JSON]:
    """The whole new argument object: validated against the tool's schema, types kept."""
    args = said.get("edited_args")
    if not review["action"]["tool"]:
        text = args.get("text") if isinstance(args, Mapping) else said.get("message")
        if not isinstance(text, str) or not text.strip():
            raise InvalidDecision(review["id"], f"review {review['id']}: an edited answer needs a text")
        return {"text": text}
    if not isinstance(args, Mapping):
        raise InvalidDecision(review["id"], f"review {review['id']}: an edit needs the whole argument object")
    checked = toolbox.check(review["action"]["tool"], args)
    wrong = checked["problems"] + [f"{name} is missing" for name in checked["missing"]]
    if wrong:
        raise InvalidDecision(review["id"], f"review {review['id']}: the edit was not taken: {'; '.join(wrong)}")
    return checked["args"]


def _text(review: Review, said: Mapping[str, JSON], key: str) -> str:
    value = said.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidDecision(review["id"], f"review {review['id']}: {key} must be text")
    if len(value) > 20_000:
        raise InvalidDecision(review["id"], f"review {review['id']}: {key} is longer than 20,000 characters")
    return value
