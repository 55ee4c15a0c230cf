"""The one normaliser of wire forms: whatever a client sends comes out as our own form, or is refused.

Accepted: our own form (``{"type": "approve", …}``), LangChain's ``{"decisions": [{"type": …}]}``, Agent Inbox's
``[{"type": "accept", "args": …}]``, and several answers by interrupt id or review id (:func:`by_review`). Who may
decide, and what is recorded, is the business of :mod:`nodes.door`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, cast

from jsonschema import Draft202012Validator

from nodes.gate import unfit
from nodes.ports import Toolbox
from state import JSON, Conflict, Decision, DecisionType, Review, UserError

_INBOX: Final[dict[str, DecisionType]] = {"accept": "approve", "ignore": "reject", "response": "answer", "edit": "edit"}
_LANGCHAIN: Final[dict[str, DecisionType]] = {
    "approve": "approve",
    "edit": "edit",
    "reject": "reject",
    "respond": "answer",
}
_FIELDS: Final = frozenset(Decision.__annotations__)
_BESIDE: Final = ("review_id", "digest", "by", "channel", "dwell_ms", "reason")


class InvalidDecision(UserError):
    """The decision does not fit its review; nothing was recorded. ``review_id`` names the review."""

    def __init__(self, review_id: str, message: str) -> None:
        super().__init__(message)
        self.review_id = review_id


class StaleDecision(Conflict):
    """The review that was looked at is not the review that is open (its digest differs)."""


def normal_form(review: Review, raw: object) -> Mapping[str, JSON]:
    """Any accepted wire form of one decision as our own form, its values unchecked; raises InvalidDecision."""
    if isinstance(raw, Mapping) and "decisions" in raw:
        said = _from_langchain(review, _only(review, raw["decisions"]))
        return {**said, **_beside(review, raw)}
    if isinstance(raw, list):
        return _from_inbox(review, _only(review, raw))
    if isinstance(raw, Mapping) and isinstance(raw.get("type"), str):
        strange = [str(key) for key in raw if key not in _FIELDS]
        if strange:
            raise InvalidDecision(
                review["id"], f"review {review['id']}: a decision has no field {strange[0]!r}; nothing was recorded"
            )
        return raw
    raise InvalidDecision(
        review["id"], f"review {review['id']}: a decision is an object with a type ({', '.join(review['allowed'])})"
    )


def by_review(waiting: Sequence[tuple[str, Review]], raw: object) -> list[tuple[Review, object]]:
    """Answers to the pauses of one thread, (interrupt id, review) each: which review each answer is about.

    Taken: one answer where one review waits; ``{interrupt id or review id: answer}``; and the batched forms of other
    clients only where one review waits, because they match answers by position.

    Raises:
        InvalidDecision: nothing waits, an id that is unknown or names one review twice, an answer for nobody.
    """
    ids = {key: review for interrupt_id, review in waiting for key in (interrupt_id, review["id"])}
    names = ", ".join(review["id"] for _, review in waiting) or "none"
    if isinstance(raw, Mapping) and raw and not {"type", "decisions"} & set(raw):
        unknown = [str(key) for key in raw if key not in ids]
        if unknown:
            raise InvalidDecision("", f"nothing waits under the id {unknown[0]!r}; these reviews wait: {names}")
        chosen = [ids[key]["id"] for key in raw]
        if len(set(chosen)) != len(chosen):
            twice = next(rid for rid in chosen if chosen.count(rid) > 1)
            raise InvalidDecision(twice, f"review {twice} is answered twice; send one answer for each review")
        return [(ids[key], answer) for key, answer in raw.items()]
    if len(waiting) != 1:
        raise InvalidDecision(
            "", f"{len(waiting)} reviews wait ({names}); send each answer under the id of its review, as an object"
        )
    return [(waiting[0][1], raw)]


def _only(review: Review, items: object) -> Mapping[str, JSON]:
    if not isinstance(items, list) or len(items) != 1 or not isinstance(items[0], Mapping):
        raise InvalidDecision(review["id"], f"review {review['id']} takes exactly one decision, by its own id")
    return cast(Mapping[str, JSON], items[0])


def _beside(review: Review, raw: Mapping[str, JSON]) -> dict[str, JSON]:
    """What may stand beside another client's list of decisions: which review is meant, and who means it."""
    strange = [str(key) for key in raw if key not in (*_BESIDE, "decisions")]
    if strange:
        raise InvalidDecision(
            review["id"], f"review {review['id']}: a list of decisions has no {strange[0]!r} beside it; send one form"
        )
    return {key: raw[key] for key in _BESIDE if key in raw}


def _from_langchain(review: Review, item: Mapping[str, JSON]) -> Mapping[str, JSON]:
    if "args" in item and "edited_action" not in item:  # Agent Inbox puts its own item into LangChain's list
        kind = {"approve": "accept", "reject": "ignore"}.get(str(item.get("type")), item.get("type"))
        said = _from_inbox(review, {**item, "type": kind})
        return {**said, "reason": said["reason"] or (said["message"] if said["type"] == "reject" else "")}
    action = item.get("edited_action") if isinstance(item.get("edited_action"), Mapping) else {}
    if action and action.get("name", review["action"]["tool"]) != review["action"]["tool"]:
        raise InvalidDecision(
            review["id"], f"review {review['id']}: an edit may not change the tool; reject it instead"
        )
    return {
        "type": _LANGCHAIN.get(str(item.get("type")), item.get("type")),
        "edited_args": action.get("args") if action else None,
        "message": item.get("message") or "",
        "reason": item.get("reason") or (item.get("message") or "" if item.get("type") != "respond" else ""),
    }


def _from_inbox(review: Review, item: Mapping[str, JSON]) -> Mapping[str, JSON]:
    args = item.get("args")
    edited = args.get("args", args) if isinstance(args, Mapping) else None
    named = args.get("action") if isinstance(args, Mapping) and "args" in args else None
    if item.get("type") == "edit" and named not in (None, review["action"]["tool"]):
        raise InvalidDecision(
            review["id"], f"review {review['id']}: an edit may not change the tool; reject it instead"
        )
    if item.get("type") == "accept" and edited is not None and _looks_like(edited, review["action"]["args"]):
        edited = None  # that client sends what it was shown along with its yes
    return {
        "type": _INBOX.get(str(item.get("type")), item.get("type")),
        "edited_args": edited,
        "message": args if isinstance(args, str) else "",
        "reason": item.get("reason") or "",
    }


def _looks_like(sent: object, shown: Mapping[str, JSON]) -> bool:
    """Whether arguments are those that were shown, each perhaps made into a text."""
    if not isinstance(sent, Mapping) or sent.keys() != shown.keys():
        return False
    return all(sent[key] == value or str(sent[key]) in (str(value), json.dumps(value)) for key, value in shown.items())


def check_same(review: Review, said: Mapping[str, JSON]) -> None:
    """Raise StaleDecision where a decision names another review or another digest."""
    if said.get("review_id") not in (None, review["id"]):
        raise StaleDecision(f"this decision is about review {said['review_id']!r}, but {review['id']} is open")
    if said.get("digest") not in (None, review["digest"]):
        raise StaleDecision(
            f"review {review['id']} has changed since you looked at it (its digest is {review['digest'][:19]}…); "
            f"show it again before deciding"
        )


def type_of(review: Review, said: Mapping[str, JSON]) -> DecisionType:
    """The type of a decision; raises InvalidDecision where its review does not take it."""
    kind = said.get("type")
    if kind not in review["allowed"]:
        raise InvalidDecision(
            review["id"],
            f"review {review['id']} ({review['kind']}) cannot be decided with {kind!r}; "
            f"it takes {', '.join(review['allowed'])}",
        )
    return cast(DecisionType, kind)


def check_no_edit(review: Review, said: Mapping[str, JSON]) -> None:
    """Raise InvalidDecision where other arguments come with a decision that is no edit: which of the two is meant?"""
    if said.get("edited_args") is not None:
        raise InvalidDecision(
            review["id"],
            f"review {review['id']}: other arguments go with an edit, not with {said.get('type')!r}; send one form",
        )


def edited_args(review: Review, said: Mapping[str, JSON], toolbox: Toolbox) -> dict[str, JSON]:
    """The whole new argument object: validated against the tool's schema, types kept."""
    args = said.get("edited_args")
    if not review["action"]["tool"]:
        text = args.get("text") if isinstance(args, Mapping) else said.get("message")
        if not isinstance(text, str) or not text.strip() or unfit(text):
            raise InvalidDecision(review["id"], f"review {review['id']}: an edited answer needs a text")
        return {"text": text}
    if not isinstance(args, Mapping):
        raise InvalidDecision(review["id"], f"review {review['id']}: an edit needs the whole argument object")
    if why := unfit(args):
        raise InvalidDecision(review["id"], f"review {review['id']}: the edit was not taken: {why}")
    checked = toolbox.check(review["action"]["tool"], args)
    wrong = checked["problems"] + [f"{name} is missing" for name in checked["missing"]]
    if wrong:
        raise InvalidDecision(review["id"], f"review {review['id']}: the edit was not taken: {'; '.join(wrong)}")
    return checked["args"]


def text_of(review: Review, said: Mapping[str, JSON], key: str) -> str:
    """A text of the decision, "" where there is none; raises InvalidDecision where it is no text or too long."""
    value = said.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidDecision(review["id"], f"review {review['id']}: {key} must be text")
    if why := unfit(value):
        raise InvalidDecision(review["id"], f"review {review['id']}: {key} cannot be kept: {why}")
    if len(value) > 20_000:
        raise InvalidDecision(review["id"], f"review {review['id']}: {key} is longer than 20,000 characters")
    return value


def check_answer(review: Review, message: str) -> None:
    """Whether an answer is one that the review takes; its schema says so to the client, and here it holds."""
    if not message.strip():
        raise InvalidDecision(review["id"], f"review {review['id']}: an answer needs a text; nothing was recorded")
    wrong = next(iter(Draft202012Validator(review["answer_schema"]).iter_errors(message)), None)
    if wrong is not None:
        raise InvalidDecision(review["id"], f"review {review['id']} does not take this answer: {wrong.message}")
