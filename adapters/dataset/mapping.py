"""What one decision teaches: rows of SFT, DPO and KTO, or the reason why it teaches nothing. Pure.

==========  =====================  ==========================  ==============================
decision    SFT                    DPO                         KTO
==========  =====================  ==========================  ==============================
approve     what was proposed                                  good: what was proposed
edit        what the person made   edited over proposed        bad: what was proposed
reject                                                         bad: what was proposed
answer      the question asked
==========  =====================  ==========================  ==============================

Rows are structured (messages, tools, passages), not text: each base has them rendered by the code that serves it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from adapters.dataset.points import IN_DOUBT, Message, Point, untold
from adapters.forms.datewords import date_words
from adapters.prompt import ASK_USER, request_of, turns_of
from state import JSON, Citation, Decision, Prompt, Review, ToolSpec, person_of

EXPIRED: Final = "expired"
AUTOMATIC: Final = "automatic"
BULK: Final = "bulk"
STANDING: Final = "standing"
SELF_APPROVED: Final = "self_approved"
DISPUTED: Final = "disputed"
CORRECTED: Final = "corrected"
COMMENTED: Final = "commented"
NOT_THE_MODELS: Final = "not_the_models"
SEVERAL_CALLS: Final = "several_calls"
UNCLEAR: Final = "unclear"

Row = dict[str, JSON]
ReadsDate = Callable[[str, str], str | None]
"""The ISO date that words mean on a day (ISO), or None."""
_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
Verdict = Literal["good", "bad", "edited"]


@dataclass(frozen=True)
class Taught:
    """What a point teaches. ``said`` is what the model proposed, ``wanted`` what the person made of it, if anything."""

    point: Point
    prompt: Prompt
    verdict: Verdict
    said: Message
    wanted: Message | None = None
    learns: tuple[str, ...] = field(default=("sft", "dpo", "kto"))

    @property
    def request(self) -> str:
        """What the user wanted."""
        return request_of(turns_of(untold(self.point["messages"])))

    def rows(self, method: str) -> list[Row]:
        """The rows of a method; [] where it teaches none."""
        if method not in self.learns:
            return []
        given = self._given()
        right = self.said if self.verdict == "good" else self.wanted
        match method:
            case "sft":
                return [{**given, "completion": right}] if right is not None else []
            case "dpo":
                return [{**given, "chosen": self.wanted, "rejected": self.said}] if self.wanted is not None else []
            case _:
                return [{**given, "completion": self.said, "label": self.verdict == "good"}]

    def held_out(self) -> Row:
        """The point as it is compared with later: what was said, what a person made of it, and on which day."""
        decided: JSON = self.wanted if self.verdict == "edited" else self.said if self.verdict == "good" else None
        compared: Row = {"verdict": self.verdict, "said": self.said, "decided": decided, "day": self.day}
        return {**self._given(), **compared}

    @property
    def day(self) -> str:
        """The ISO date that dates in words are counted from."""
        return str(self.prompt["rendered"]["today"] or self.prompt["at"][:10])

    def _given(self) -> Row:
        return {
            "point": self.point["decision"]["review_id"],
            "prompt": list(self.point["messages"]),
            "tools": [openai_tool(tool) for tool in self.prompt["tools"]],
            "passages": [dict(passage) for passage in self.prompt["passages"]],
            "language": self.prompt["language"],
            "today": self.prompt["rendered"]["today"],
        }


def taught(point: Point, *, self_approved: bool = False, reads: ReadsDate = lambda words, day: None) -> Taught | str:
    """What a point teaches, or why it teaches nothing.

    ``self_approved``: whether approvals by the person who made the request count. ``reads``: how dates are read.
    """
    review, prompt, decision = point["review"], point["prompt"], point["decision"]
    if why := point["lacks"] or _excluded(point, self_approved=self_approved):
        return why
    assert review is not None
    assert prompt is not None
    kind = review["subject"].partition(":")[0]
    if kind == "call":
        return _call(point, prompt, review, decision, reads)
    return _question(point, prompt, decision) if kind == "question" else _text(point, prompt, review, decision)


def _excluded(point: Point, *, self_approved: bool) -> str:
    """Why a decision does not count, whatever it is about."""
    decision, review = point["decision"], point["review"]
    assert review is not None
    if decision["type"] == "expire":
        return EXPIRED
    if not decision["by"]:
        return AUTOMATIC
    if decision["channel"] in (BULK, STANDING):
        return decision["channel"]
    if point["undone"] or (point["votes"] and decision["type"] != "approve"):
        return DISPUTED
    own = person_of(decision["by"]) == person_of(review.get("requester", ""))
    if own and decision["type"] in ("approve", "edit") and review["kind"] != "feedback" and not self_approved:
        return SELF_APPROVED
    return IN_DOUBT if review["kind"] == "in_doubt" else ""


def _call(point: Point, prompt: Prompt, review: Review, decision: Decision, reads: ReadsDate) -> Taught | str:
    if "#" in review["subject"]:
        return NOT_THE_MODELS  # a person's edit was asked about; the first review taught it
    if len(prompt["said"]["calls"]) != 1:
        return SEVERAL_CALLS
    shown, edited = review["action"]["args"], decision["edited_args"]
    tool, written = review["action"]["tool"], dict(prompt["said"]["calls"][0]["args"])
    said = call(tool, written)
    if decision["type"] == "reject":
        return Taught(point, prompt, "bad", said)
    if decision["type"] == "edit" and edited is not None and edited != shown:
        kept = _as_written(written, shown, edited)
        day = prompt["rendered"]["today"] or prompt["at"][:10]
        wanted = {key: in_words(value, point["messages"], day, reads) for key, value in kept.items()}
        return Taught(point, prompt, "edited", said, call(tool, wanted))
    return Taught(point, prompt, "good", said)


def in_words(value: JSON, messages: Sequence[Message], day: str, reads: ReadsDate) -> JSON:
    """An edited date as somebody had said it, the newest words first, where they mean it; any other value as it is."""
    if not isinstance(value, str) or not _ISO_DATE.fullmatch(value):
        return value
    spoken = [str(m["content"]) for m in reversed(messages) if m["role"] != "assistant"]
    words = (word for text in spoken for word in date_words(text))
    return next((word for word in words if reads(word, day) == value), value)


def _as_written(written: Mapping[str, JSON], shown: Mapping[str, JSON], edited: Mapping[str, JSON]) -> dict[str, JSON]:
    """The edited arguments, those that the person left alone in the model's own words.

    A person is shown what a tool made of them: "December 3" as 2026-12-03. Who learned the latter would write what
    stands nowhere in the request.
    """
    left = {key for key, value in edited.items() if key in written and key in shown and shown[key] == value}
    return {key: written[key] if key in left else value for key, value in edited.items()}


def _question(point: Point, prompt: Prompt, decision: Decision) -> Taught | str:
    said = prompt["said"]
    about = said["about"] or _missing(prompt["tools"], said["calls"])
    question = said["clarification"]
    if not question and point["review"] is not None:
        question = point["review"]["question"]
    if not question or not about:
        return UNCLEAR
    asked = call(ASK_USER, {"about": about, "question": question})
    if decision["type"] == "reject":
        return Taught(point, prompt, "bad", asked, learns=("kto",))
    return Taught(point, prompt, "good", asked, learns=("sft",))


def _missing(tools: Sequence[ToolSpec], calls: Sequence[Mapping[str, Any]]) -> str:
    """``tool.argument`` of the first required argument that a call lacks; "" where none does."""
    for wanted in calls:
        for tool in tools:
            if tool["name"] == wanted["name"]:
                lacking = [a for a in tool["parameters"].get("required", []) if a not in wanted["args"]]
                return f"{tool['name']}.{lacking[0]}" if lacking else ""
    return ""


def _text(point: Point, prompt: Prompt, review: Review, decision: Decision) -> Taught | str:
    said = prompt["said"]
    shown = str(review["action"]["args"].get("text", ""))
    if said["calls"] or (not said["abstained"] and not shown.startswith(said["text"].strip())):
        return NOT_THE_MODELS  # the words were a person's by then
    proposed = text(said["text"], said["citations"], abstained=said["abstained"])
    match decision["type"]:
        case "reject":
            return Taught(point, prompt, "bad", proposed)
        case "answer":
            return COMMENTED if review["kind"] == "feedback" else CORRECTED
        case "edit" if decision["message"].strip() != shown.strip():
            return Taught(point, prompt, "edited", proposed, text(decision["message"], said["citations"]))
    return Taught(point, prompt, "good", proposed)


def disputed(found: Sequence[Taught], refused: Sequence[Point]) -> set[str]:
    """Review ids of points that contradict each other: the same conversation and proposal, once good and once bad.

    A later denial of a call that a first person had edited (``refused``) disputes that edit, too.
    """
    good: dict[str, set[str]] = {}
    bad: dict[str, set[str]] = {}
    for one in found:
        review_id = one.point["decision"]["review_id"]
        for message, side in ((one.said, good if one.verdict == "good" else bad), (one.wanted, good)):
            if message is not None:
                side.setdefault(_key(one.point, message), set()).add(review_id)
    out = {review_id for key in good.keys() & bad.keys() for review_id in good[key] | bad[key]}
    denied = {
        (p["thread_id"], p["review"]["subject"].partition("#")[0])
        for p in refused
        if p["review"] is not None and "#" in p["review"]["subject"] and p["decision"]["type"] == "reject"
    }
    for one in found:
        review = one.point["review"]
        if review is not None and (one.point["thread_id"], review["subject"]) in denied:
            out.add(review["id"])
    return out


def _key(point: Point, message: Message) -> str:
    said = [_words(m) for m in [*point["messages"], message]]
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _words(message: Message) -> JSON:
    calls = [c["function"] for c in message.get("tool_calls") or []]
    return [message["role"], " ".join(str(message["content"]).split()).casefold(), calls]


def call(name: str, args: Mapping[str, JSON]) -> Message:
    """The assistant calls a tool."""
    function: JSON = {"name": name, "arguments": dict(args)}
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "call", "type": "function", "function": function}],
    }


def text(content: str, citations: Sequence[Citation], *, abstained: bool = False) -> Message:
    """The assistant says something; its ``[n]`` number the citations, of which quotes and passages are kept."""
    numbered = sorted(citations, key=lambda c: c["n"])
    cited, sources = [c["quote"] for c in numbered], [c["passage"] for c in numbered]
    return {"role": "assistant", "content": content, "cited": cited, "sources": sources, "abstained": abstained}


def openai_tool(tool: ToolSpec) -> JSON:
    """A tool in OpenAI's form."""
    return {"type": "function", "function": {key: tool[key] for key in ("name", "description", "parameters")}}


__all__ = [
    "AUTOMATIC",
    "BULK",
    "COMMENTED",
    "CORRECTED",
    "DISPUTED",
    "EXPIRED",
    "NOT_THE_MODELS",
    "SELF_APPROVED",
    "SEVERAL_CALLS",
    "STANDING",
    "UNCLEAR",
    "ReadsDate",
    "Row",
    "Taught",
    "Verdict",
    "call",
    "disputed",
    "in_words",
    "openai_tool",
    "taught",
    "text",
]  # fmt: skip
