"""What pages show, as typed records: templates compute nothing. Pure; reads no file and asks no workspace.

Strings stay raw in here. The template environment cleans and escapes every one of them on its way out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from dojang.flags import flags_of
from dojang.gate_report import Table, compared, reasons_of, tables_of, verdict_of
from dojang.language import catalogue
from dojang.results import ReviewCard, Step
from dojang.server.clean import clean, pretty_json
from dojang.server.forms import Field, fields_of, text_field
from dojang.server.wording import (
    CHIPS,
    DECISIONS,
    NODES,
    SCORES,
    Say,
    ago,
    countdown,
    label,
    titled,
)
from dojang.times import left
from dojang.vocabulary import DOUBT, EFFECTS, FLAGS, KINDS, SAID
from state import JSON, TOP_TIER, Citation, Decision, Draft, Passage, Progress, Review, ToolSpec, untouched

if TYPE_CHECKING:
    from adapters.gate.report import Report

NO_TOOL: Final[dict[str, JSON]] = {}


@dataclass(frozen=True)
class Segment:
    """A piece of text, marked or not, with a place to go or none."""

    text: str
    marked: bool = False
    href: str = ""


@dataclass(frozen=True)
class Row:
    """One open review in the list."""

    id: str
    href: str
    kind: str
    kind_label: str
    summary: str
    tool: str
    letter: str
    tone: str
    age: str
    due: str
    due_at: str
    left: str  # until then, in words
    late: bool
    untrusted: bool
    votes: str  # "1/2", where several people are wanted
    claimed: str  # by whom, right now
    escalated: bool


@dataclass(frozen=True)
class Argument:
    """One argument as it will run, and as it was before a person edited it."""

    name: str
    text: str
    was: str | None = None


@dataclass(frozen=True)
class Evidence:
    """A passage of the evidence."""

    href: str
    title: str
    segments: list[Segment]
    scores: str
    trust: str
    place: str
    signs: str  # what in it looks as if it spoke to the model; "" for nearly every passage


@dataclass(frozen=True)
class Stamp:
    """The seal on a decided item."""

    word: str
    who: str
    who_short: str
    at: str
    type: str
    reason: str
    message: str


@dataclass(frozen=True)
class Button:
    """A thing that a person may say to a review."""

    type: str
    label: str


@dataclass(frozen=True)
class Node:
    """One step on the way to the review."""

    name: str
    at: str
    current: bool


@dataclass(frozen=True)
class GateReport:
    """What a promotion rests on."""

    id: str
    verdict: str
    passed: bool
    compared: str
    tables: list[Table]
    reasons: list[str]


@dataclass(frozen=True)
class Item:
    """The whole review page, from the top."""

    row: Row
    headline: list[Segment]
    question: str
    effect: str
    reversible: bool
    about_words: bool
    tool: str
    schema_version: str
    arguments: list[Argument]
    fields: list[Field]
    digest: str
    raw: str
    why: list[dict[str, str]]
    evidence: list[Evidence]
    evidence_note: str
    conversation: list[dict[str, str]]
    older: int
    path: list[Node]
    buttons: list[Button]
    top_tier: bool
    may_approve: bool
    stamp: Stamp | None
    status: str
    thread_id: str
    thread_href: str
    action_href: str
    shown_ms: int
    policy_version: str
    roles: str  # which of them decide; "" for anybody
    voters: list[str]  # who approved, oldest first
    own: str  # who asked, where that person may not approve
    undo_until: str  # "" where nothing can be taken back any more
    look_up: str  # the one answer that the review takes, where it is no free text
    report: GateReport | None


def row_of(review: Review, say: Say, now: datetime, progress: Progress | None = None) -> Row:
    """A review as one line of the list."""
    far = progress or untouched()
    flags, claim = flags_of(review, far, now), far["claim"]
    letter, tone = {0: ("L", "low"), 1: ("M", "medium")}.get(review["tier"], ("H", "high"))
    due, late = countdown(say, review["due_at"], now)
    return Row(
        id=review["id"],
        href="/reviews/" + quote(review["id"], safe=""),
        kind=review["kind"],
        kind_label=titled(say, KINDS, review["kind"]),
        summary=review["question"] or review["summary"],
        tool=review["action"]["tool"],
        letter=letter,
        tone=tone,
        age=ago(say, review["created_at"], now),
        due=due,
        due_at=review["due_at"],
        left=left(review["due_at"], now, say.language),
        late=late,
        untrusted="untrusted" in flags,
        votes=f"{len(far['votes'])}/{review['votes_needed']}" if review["votes_needed"] > 1 else "",
        claimed=claim["by"] if claim is not None and "claimed" in flags else "",
        escalated="escalated" in flags,
    )


def item_of(card: ReviewCard, spec: ToolSpec | None, steps: Sequence[Step], say: Say, now: datetime) -> Item:
    """Everything about one review."""
    review = card.review
    action = review["action"]
    last = next((line["text"] for line in reversed(card.conversation) if line["role"] == "user"), review["summary"])
    return Item(
        row=row_of(review, say, now, card.progress),
        headline=highlighted(review["summary"], action["args"].values()),
        question=review["question"],
        effect=titled(say, EFFECTS, action["effect_class"]),
        reversible=action["reversible"],
        about_words=not action["tool"],
        tool=action["tool"],
        schema_version=action["schema_version"],
        arguments=arguments_of(action["args"], card.decision),
        fields=fields_of(spec["parameters"] if spec else NO_TOOL, action["args"])
        if action["tool"]
        else text_field(action["args"]),
        digest=review["digest"],
        raw=pretty_json(action),
        why=[{"text": r["text"], "rule": r["rule_id"], "severity": r["severity"]} for r in review["why"]],
        evidence=[evidence_of(p, _scores(review, p), last, say) for p in card.passages],
        evidence_note=say.told(card.note),
        conversation=card.conversation[-8:],
        older=max(0, len(card.conversation) - 8),
        path=path_of(steps, review["id"], say),
        buttons=[Button(type=t, label=button_label(review, t, say)) for t in review["allowed"]],
        may_approve="approve" in review["allowed"],
        top_tier=review["tier"] >= TOP_TIER,
        stamp=stamp_of(card.decision, say) if card.decision else None,
        status=card.status,
        thread_id=review["thread_id"],
        thread_href=thread_href(review["thread_id"]),
        action_href="/reviews/" + quote(review["id"], safe="") + "/decision",
        shown_ms=int(now.timestamp() * 1000),
        policy_version=review["policy_version"],
        roles=", ".join(review["roles"]),
        voters=[f"{vote['by']} · {say.moment(vote['at'])}" for vote in card.progress["votes"]],
        own="" if review.get("self_approval", True) else review.get("requester", ""),
        undo_until=undo_until(card, say, now),
        look_up=next(iter(review["answer_schema"].get("enum") or [""])),
        report=gate_report(card.report, say) if card.report is not None else None,
    )


def gate_report(told: Report, say: Say) -> GateReport:
    """The report of the gate in the words of the commands."""
    gettext = catalogue("cli", say.language).gettext
    return GateReport(
        id=told["id"],
        verdict=verdict_of(gettext, told),
        passed=told["verdict"] == "passed",
        compared=compared(gettext, told),
        tables=tables_of(gettext, told),
        reasons=[text for text, _ in reasons_of(gettext, told)],
    )


def undo_until(card: ReviewCard, say: Say, now: datetime) -> str:
    """Until when the decision can be taken back; "" when it cannot."""
    until = card.decision.get("held_until", "") if card.decision is not None else ""
    held = until and not card.progress["released"] and now < datetime.fromisoformat(until)
    return say.moment(until, seconds=True) if held else ""


def button_label(review: Review, decision: str, say: Say) -> str:
    """What the button says; in doubt, approving means that it happened."""
    return titled(say, DOUBT if review["kind"] == "in_doubt" else DECISIONS, decision)


def arguments_of(args: Mapping[str, JSON], decision: Decision | None) -> list[Argument]:
    """The arguments; where a person edited them, the new ones with what they were."""
    edited = decision["edited_args"] if decision and decision["type"] == "edit" else None
    return [Argument(name=k, text=plain(v)) for k, v in args.items()] if edited is None else differences(args, edited)


def differences(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> list[Argument]:
    """Old and new arguments side by side, in the order of the old ones."""
    names = [*old, *(name for name in new if name not in old)]
    found = []
    for name in names:
        was, now = plain(old[name]) if name in old else "", plain(new[name]) if name in new else ""
        same = name in old and name in new and old[name] == new[name] and type(old[name]) is type(new[name])
        found.append(Argument(name=name, text=now, was=None if same else was))
    return found


def plain(value: JSON) -> str:
    """An argument as a person reads it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else pretty_json(value)


def highlighted(text: str, values: Any) -> list[Segment]:
    """``text`` cut so that the arguments that appear in it can be marked."""
    shown = {form for v in values for form in _forms(v)}
    if not shown:
        return [Segment(text)]
    pattern = "|".join(re.escape(form) for form in sorted(shown, key=len, reverse=True))
    pieces = re.split(f"({pattern})", text)
    return [Segment(piece, marked=i % 2 == 1) for i, piece in enumerate(pieces) if piece]


def _forms(value: JSON) -> list[str]:
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [f"{value:,}", str(value)] if abs(value) >= 10 else []
    return [value] if isinstance(value, str) and 1 < len(value) <= 80 else []


def evidence_of(passage: Passage, scores: Mapping[str, float], near: str, say: Say) -> Evidence:
    """A passage with the sentence that shares most with ``near``."""
    start, end = closest_sentence(passage, near)
    return Evidence(
        href=passage_href(passage["id"], passage["start"] + start, passage["start"] + end),
        title=passage["title"] or passage["document"],
        segments=spans(passage["text"], start, end),
        scores=" · ".join(f"{label(say, SCORES, name)} {value:.2f}" for name, value in scores.items()),
        trust=passage["trust"],
        place=place_of(passage, say),
        signs=signs_of(passage, say),
    )


def signs_of(passage: Passage, say: Say) -> str:
    """What in a passage looks as if it spoke to the model, in words; "" where nothing does."""
    return ", ".join(label(say, FLAGS, name) for name in passage.get("flags", []))


def place_of(passage: Passage, say: Say) -> str:
    """Where in its document a passage stands."""
    if passage["page"] is not None:
        return say("page %(n)s", n=passage["page"]).unescape()
    return say("characters %(start)s–%(end)s", start=passage["start"], end=passage["end"]).unescape()


def _scores(review: Review, passage: Passage) -> Mapping[str, float]:
    """The scores with which the review was opened, not those of a later look."""
    return next((p["scores"] for p in review["evidence"] if p["id"] == passage["id"]), passage["scores"])


def closest_sentence(passage: Passage, near: str) -> tuple[int, int]:
    """[start, end) of the sentence with most character pairs in common with ``near``; (0, 0) when none has any.

    Pairs of characters do for Korean, where words change their endings, what words do for English.
    """
    wanted = _pairs(near)
    best, where = 0.0, (0, 0)
    for start, end in passage["sentences"]:
        pairs = _pairs(passage["text"][start:end])
        score = len(wanted & pairs) / (len(pairs) ** 0.5 or 1)
        if score > best:
            best, where = score, (start, end)
    return where


def _pairs(text: str) -> set[str]:
    squeezed = re.sub(r"\W+", " ", text.lower())
    return {squeezed[i : i + 2] for i in range(len(squeezed) - 1) if " " not in squeezed[i : i + 2]}


def spans(text: str, start: int, end: int) -> list[Segment]:
    """``text`` with [start, end) marked; offsets outside of it mark nothing."""
    start, end = max(0, start), min(len(text), end)
    if start >= end:
        return [Segment(text)]
    pieces = [Segment(text[:start]), Segment(text[start:end], marked=True), Segment(text[end:])]
    return [piece for piece in pieces if piece.text]


def path_of(steps: Sequence[Step], review_id: str, say: Say) -> list[Node]:
    """The nodes from the turn's input to the review. ``steps`` come newest first; [] when they do not reach it."""
    way: list[Node] = []
    for step in sorted(steps, key=lambda s: s.number):
        if step.source == "input":
            way = []
        names = list(dict.fromkeys(name for name in step.next if not name.startswith("__")))
        here = review_id in step.review_ids
        at = say.moment(step.at, seconds=True)
        way += [Node(name=label(say, NODES, n), at=at, current=here and n == "review") for n in names]
        if here:
            return way
    return []


def stamp_of(decision: Decision, say: Say) -> Stamp:
    """The seal of a decision."""
    who = clean(decision["by"])
    return Stamp(
        word=titled(say, SAID, decision["type"]),
        who=who,
        who_short=who if len(who) <= 9 else who[:8] + "…",
        at=say.moment(decision["at"]),
        type=decision["type"],
        reason=reason_of(decision, say),
        message=decision["message"],
    )


def reason_of(decision: Decision, say: Say) -> str:
    """Why it was decided so; the ready-made reasons of the page in the reader's language."""
    chip, colon, note = decision["reason"].partition(": ")
    return f"{label(say, CHIPS, chip)}{colon}{note}"


def answer_segments(draft: Draft) -> list[Segment]:
    """An answer in which every [n] opens its passage."""
    places = {c["n"]: citation_href(c) for c in draft["citations"]}
    pieces = re.split(r"(\[\d{1,3}\])", draft["text"])
    return [Segment(p, href=places.get(int(p[1:-1]), "") if i % 2 else "") for i, p in enumerate(pieces) if p]


def citation_href(citation: Citation) -> str:
    """The page of a passage with the cited span marked; "" for the result of a tool, which is in the conversation."""
    return "" if not citation["document"] else passage_href(citation["passage"], citation["start"], citation["end"])


def passage_href(passage_id: str, start: int, end: int) -> str:
    """The page of a passage; offsets count in the document."""
    return f"/passages/{quote(passage_id, safe='')}?{urlencode({'start': start, 'end': end})}"


def thread_href(thread_id: str) -> str:
    """The page of a thread."""
    return "/threads/" + quote(thread_id, safe="")
