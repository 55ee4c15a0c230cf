"""The vocabulary of Dojang: the typed state, its reducers, and the roots of the error tree. No I/O.

Everything that one part hands to another is one of these plain JSON-able types (or a LangChain message), so
that a session file never names a class of ours. This module imports nothing of ours and knows no store, model,
database or web framework.

Error tree (each package adds leaves, never a new branch)::

    DojangError
    ├── UserError          the caller's mistake: say what to do next; nothing was changed
    │   └── Conflict       somebody else was first, or the page was stale (HTTP 409)
    ├── PassingFault       something outside failed; the same call may work later
    └── BrokenInvariant    our own records contradict themselves: stop and keep the evidence
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NotRequired, TypedDict

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages

Language = Literal["ko", "en"]
Kind = Literal["approval", "clarification", "correction", "compliance", "tool", "feedback", "in_doubt"]
DecisionType = Literal["approve", "edit", "reject", "answer"]
"""What a person can say of a review."""
Ruling = Literal["approve", "edit", "reject", "answer", "expire"]
"""How a review can end: ``expire`` is the decision of nobody, a denial that is no rejection."""
EffectClass = Literal["read", "write", "irreversible"]
Recovery = Literal["transactional", "idempotent", "at_most_once"]
RuleOutcome = Literal["auto", "notify", "ask", "forbid"]
Trust = Literal["trusted", "untrusted"]
TOP_TIER: Final = 3
"""From this tier on several votes may be wanted, and no single key or click approves."""
CLAIM_S: Final = 600
"""How long a claim keeps others from deciding, in seconds."""
JSON = Any
"""A value that ``json.dumps`` takes: None, bool, int, float, str, list, dict with str keys."""


def person_of(name: str) -> str:
    """Whom a name means: case, Unicode form, spaces and invisible signs make no other person."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(c for c in folded if unicodedata.category(c) not in _INVISIBLE).split())


def composed(text: str) -> str:
    """A text in NFC, as documents and arguments are: some systems send 가 as ᄀ and ᅡ, which no word is found by."""
    return unicodedata.normalize("NFC", text)


_INVISIBLE: Final = ("Cc", "Cf", "Cs", "Cn")
"""Unicode categories of what no eye sees."""


class DojangError(Exception):
    """Root of all errors that Dojang raises on purpose; ``str(e)`` is one line meant for a person."""


class UserError(DojangError):
    """The caller's mistake. The message says what to do next; nothing was changed."""


class Conflict(UserError):
    """Another decision, run or writer was first."""


class PassingFault(DojangError):
    """Something outside (server, disk, endpoint) failed; the same call may work later."""


class BrokenInvariant(DojangError):
    """Records contradict themselves. Nothing is repaired silently; the message names the evidence."""


class Passage(TypedDict):
    """A retrieved piece of a document with its source span. Bodies stay in the store; the state keeps PassageRef."""

    id: str  # changes when the text changes: evidence in a digest is evidence as it was read
    document: str  # path or name under which the document was ingested
    title: str
    text: str
    start: int  # character offset in the extracted text of the document, start inclusive, end exclusive
    end: int
    page: int | None  # 1-based, where the format has pages
    language: Language
    sentences: list[list[int]]  # [start, end) offsets inside ``text``, in order
    scores: dict[str, float]  # "fused" always; "lexical" and "vector" where that half took part
    trust: Trust
    flags: NotRequired[list[str]]  # what in it looks as if it spoke to the model (a weak heuristic); absent: nothing


class PassageRef(TypedDict):
    """What the state keeps of a passage."""

    id: str
    document: str
    start: int
    end: int
    scores: dict[str, float]
    trust: Trust


class Weighed(TypedDict):
    """How far the retrieved evidence can be relied on."""

    grade: Literal["good", "weak", "contradictory"]
    about: list[str]  # the sentences that contradict each other; [] otherwise


class Reading(TypedDict):
    """Whether a request can be understood in one way only. Stored once, by intake."""

    grade: Literal["clear", "ambiguous"]
    words: str  # the words that are not clear; "" otherwise
    readings: list[str]  # what they may mean, two or more; [] where nothing that was said tells


class ToolSpec(TypedDict):
    """What the model and the gate know of a tool."""

    name: str
    description: str
    parameters: dict[str, JSON]  # JSON Schema, type "object"
    schema_version: str  # hash of name and parameters: a changed schema asks again
    effect_class: EffectClass
    recovery: Recovery
    reversible: bool
    probe: NotRequired[bool]  # whether the tool can look up if an effect happened
    origin: NotRequired[str]  # where it runs, as "mcp:NAME"; absent: here
    trust: NotRequired[Trust]  # of what it says; absent: trusted
    drift: NotRequired[list[str]]  # in what it differs from what was accepted: nothing declared of it holds


class Proposal(TypedDict):
    """A tool call that the model wants, its arguments checked and typed, not yet allowed."""

    id: str  # the tool call id of the AI message
    tool: str
    args: dict[str, JSON]
    problems: list[str]  # non-empty: the call is refused before any review opens


class Reason(TypedDict):
    """One rule that had a say in a verdict."""

    rule_id: str
    text: str  # in the language of the conversation
    severity: Literal["low", "medium", "high"]
    hard: bool
    texts: NotRequired[dict[Language, str]]  # in each language, for whoever reads it; absent in old records


class Verdict(TypedDict):
    """What the policy said of a proposal or a draft. Computed once, stored, never recomputed on resume."""

    subject: str  # "call:<proposal id>", "call:<proposal id>#<digest>" for an edited call, or "draft"
    outcome: RuleOutcome
    kind: Kind  # the kind of review that "ask" opens
    why: list[Reason]
    tier: int  # 0 lowest
    votes: int
    roles: list[str]
    due_s: int
    policy_version: str
    self_approval: NotRequired[bool]  # whether the requester may approve; absent in old records: yes
    wants_reason: NotRequired[bool]  # whether an approval is given with a written reason; absent in old records: no


class Action(TypedDict):
    """What a review is about. ``tool`` is empty where no tool is meant (a draft, a question)."""

    tool: str
    schema_version: str
    args: dict[str, JSON]
    effect_class: EffectClass
    reversible: bool


class Review(TypedDict):
    """A paused step that waits for a person. Frozen when it is written: open or decided is told by the decisions."""

    id: str
    thread_id: str
    kind: Kind
    subject: str  # "call:<proposal id>", "draft:<round>", "question:<message id>", "doubt:…" or "answer:<round>"
    summary: str  # written by the gate, never by the model
    question: str  # what the model asks, for clarification; else ""
    action: Action
    why: list[Reason]
    evidence: list[PassageRef]
    allowed: list[DecisionType]
    answer_schema: dict[str, JSON]
    policy_version: str
    digest: str
    tier: int
    votes_needed: int
    roles: list[str]
    created_at: str  # ISO 8601, UTC
    due_at: str
    escalate_at: str
    requester: NotRequired[str]  # who made the request; absent in old records
    self_approval: NotRequired[bool]  # whether that person may approve it; absent: yes
    wants_reason: NotRequired[bool]  # whether whoever approves it, edited or not, writes why; absent: no


class Decision(TypedDict):
    """What a person said of a review, or that nobody did in time."""

    review_id: str
    digest: str
    type: Ruling
    by: str  # "" for nobody: an expired review
    at: str
    reason: str
    edited_args: dict[str, JSON] | None  # the whole new argument object, validated; only with "edit"
    message: str  # the answer (clarification) or the edited draft text; else a note to the model
    dwell_ms: int | None
    channel: str
    role: NotRequired[str]  # in which role, where a role was wanted or named
    held_until: NotRequired[str]  # until then it can be taken back and nothing runs; absent: released at once


class Claim(TypedDict):
    """One person has a review for a while: others are refused."""

    by: str
    at: str
    until: str
    handed_by: NotRequired[str]  # who had it before and handed it over; absent: nobody


class Assignment(TypedDict):
    """A review was handed up to a role. It says whose turn it is; who may decide, the rules go on saying."""

    role: str
    by: str
    at: str


class Progress(TypedDict):
    """How far a review has got, as the log of decisions has it."""

    votes: list[Decision]  # approvals of distinct people, oldest first; the last one may be the decision
    decision: Decision | None
    released: bool  # the decision can no longer be taken back
    claim: Claim | None  # the last one, over or not
    escalated_at: str  # "" before half of the time is over
    assigned: NotRequired[Assignment]  # the last one; absent: nobody handed it up


def untouched() -> Progress:
    """The progress of a review of which nothing is recorded."""
    return Progress(votes=[], decision=None, released=False, claim=None, escalated_at="")


class Outcome(TypedDict):
    """How an effect ended, as the ledger has it."""

    key: str
    tool: str
    status: Literal["done", "failed", "refused", "in_doubt"]
    result: JSON
    error: str
    at: str


class Citation(TypedDict):
    """A place in a document that backs a statement of the answer."""

    n: int  # the [n] in the text
    passage: str
    document: str
    start: int  # offsets in the extracted text of the document
    end: int
    quote: str


class Draft(TypedDict):
    """An answer before it is released."""

    text: str
    citations: list[Citation]
    abstained: bool
    speaker: str


class Rendered(TypedDict):
    """How a turn's prompt was made from what the generator was given; made again, it has the same hash."""

    form: str  # which code rendered it, and how: "reading/2", "numbered/1", "endpoint/1", "endpoint/1 strict"
    today: str  # the ISO date that the prompt tells; "" where it tells none
    sha256: str  # of the rendered text, in UTF-8
    messages: NotRequired[int]  # how many of the oldest messages were left out, because they did not fit
    evidence: NotRequired[int]  # how many of the last sentences of the evidence were


class Said(TypedDict):
    """What the model said in one turn, before anybody judged it."""

    calls: list[dict[str, JSON]]  # id, name, args
    text: str
    citations: list[Citation]
    clarification: str
    about: str
    abstained: bool


class Prompt(TypedDict):
    """One model turn: what the generator was given, and what it said. Bodies are whole; a log keeps them once."""

    turn: str  # the id of the message that began the turn
    round: int  # model turns since then, from 1
    at: str  # ISO 8601, UTC
    language: Language
    messages: list[str]  # ids, oldest first
    tools: list[ToolSpec]
    passages: list[Passage]
    rendered: Rendered
    speaker: str
    said: Said


class Aside(TypedDict):
    """What another adapter would have said in a turn that was somebody else's; nobody but a comparison reads it."""

    turn: str  # of the prompt that it was shown as well
    round: int
    at: str  # ISO 8601, UTC
    adapter: str  # as a thread keeps one
    speaker: str
    said: Said


class Generation(TypedDict):
    """One turn of the generator: tool calls, or text with citations, or a question to the person."""

    message: AnyMessage  # an AIMessage: .tool_calls are the proposals, else .content is the draft
    citations: list[Citation]
    clarification: str  # the question to the person; "" when nothing is asked
    about: str  # "tool.argument" that is missing, when known
    abstained: bool
    speaker: str  # base and adapter that spoke, e.g. "dojang-base@frontdesk-1a2b3c"
    prompt: NotRequired[Rendered]  # absent: what was said cannot be shown to follow from a prompt, and trains nothing


class Spent(TypedDict):
    """What one speaker has cost a thread so far."""

    speaker: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None  # in the currency of the prices that are set; None where there are none


class ReducerConflict(BrokenInvariant):
    """Two writers gave one key two different values."""


def merge_records(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any]:
    """Union of records by id. Laws: {} is the identity; replaying an update changes nothing; contradiction fails.

    A record, once written, is never changed by a second write: verdicts and decisions are stored once. A new
    turn starts afresh with LangGraph's ``{"__overwrite__": {}}``.
    """
    merged = dict(old or {})
    for key, value in (new or {}).items():
        if key in merged and merged[key] != value:
            raise ReducerConflict(f"state record {key!r} was written twice with different values")
        merged[key] = value
    return merged


Records = Annotated[dict[str, Any], merge_records]


FILES: Final = "dojang_files"
"""Member of a human message's ``additional_kwargs``: the files that came with it."""
ATTACHED: Final = "attached: "
"""How the document of a passage is called that came with a message: it lies with the conversation, not in the store."""


class AttachedFile(TypedDict):
    """What the state keeps of a file that came with a message; its bytes lie beside the session's other files."""

    name: str
    type: str  # by its content: image/png, image/jpeg, image/webp, image/gif, application/pdf
    size: int  # bytes
    sha256: str
    pages: NotRequired[int]  # of a PDF
    width: NotRequired[int]  # of an image, in pixels
    height: NotRequired[int]


def files_of(message: AnyMessage) -> list[AttachedFile]:
    """The files that came with a message; [] for any but a person's."""
    found = message.additional_kwargs.get(FILES) if message.type == "human" else None
    return found if isinstance(found, list) else []


class AgentInput(TypedDict):
    """What a caller may send."""

    messages: Annotated[list[AnyMessage], add_messages]  # the new human message
    filters: NotRequired[dict[str, str]]  # exact metadata filters for retrieval


class AgentOutput(TypedDict):
    """What a finished run gives back."""

    messages: Annotated[list[AnyMessage], add_messages]
    answer: NotRequired[Draft | None]


class AgentState(AgentInput):
    """The working state. Beside each key: who writes it."""

    question: NotRequired[str]  # intake: the text to retrieve for
    language: NotRequired[Language]  # intake
    turn: NotRequired[str]  # intake: the id of the message that began this turn; absent in old threads
    requester: NotRequired[str]  # intake: who made this turn's request
    adapter: NotRequired[str]  # intake, once; generate in a thread of an older version: who speaks in this thread
    reading: NotRequired[Reading]  # intake
    passages: NotRequired[list[PassageRef]]  # retrieve: best first
    evidence: NotRequired[Weighed]  # retrieve
    proposals: NotRequired[Annotated[dict[str, Proposal], merge_records]]  # generate; by call id
    draft: NotRequired[Draft | None]  # generate; review when a person edited it
    verdicts: NotRequired[Annotated[dict[str, Verdict], merge_records]]  # comply; by subject
    reviews: NotRequired[Annotated[dict[str, Review], merge_records]]  # the node that asks; by review id
    decisions: NotRequired[Annotated[dict[str, Decision], merge_records]]  # review; by review id
    outcomes: NotRequired[Annotated[dict[str, Outcome], merge_records]]  # act; by proposal id
    answer: NotRequired[Draft | None]  # answer
    rounds: NotRequired[int]  # generate: model turns since the last human message
    spent: NotRequired[list[Spent]]  # generate: of the whole thread, by speaker


def fresh(value: dict[str, Any] | None = None) -> dict[str, Any]:
    """An update that replaces a records key instead of merging into it (LangGraph's Overwrite, as plain JSON)."""
    return {"__overwrite__": value or {}}


def refs_of(passages: Sequence[Passage]) -> list[PassageRef]:
    """The part of passages that the state keeps."""
    return [
        PassageRef(
            id=p["id"], document=p["document"], start=p["start"], end=p["end"], scores=p["scores"], trust=p["trust"]
        )
        for p in passages
    ]


HANGUL_SHARE: Final = 0.2
"""Share of Hangul among the letters above which a text counts as Korean: names in Latin letters are common in it."""


def language_of(text: str) -> Language:
    """``"ko"`` when at least a fifth of the letters are Hangul (also ㅎㅇ: letters alone), else ``"en"``."""
    letters = [c for c in text if c.isalpha()]
    hangul = sum("가" <= c <= "힣" or "\u1100" <= c <= "\u11ff" or "\u3130" <= c <= "\u318f" for c in letters)
    return "ko" if letters and hangul / len(letters) >= HANGUL_SHARE else "en"
