"""The conversation of a thread as records for a page: who said what, with citations that lead to their passages. Pure.

Strings stay raw in here. The template environment cleans and escapes every one of them on its way out; nothing that a
model, a tool or a document wrote is ever read as markup or as an address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from dojang.server.clean import pretty_json
from dojang.server.console.addresses import citation_href
from dojang.server.console.marked import Segment
from dojang.server.console.prose import PLACE, Piece, prose_of
from dojang.server.wording import Say
from state import ATTACHED, Citation, files_of

SHOWN: Final = 20_000
"""Characters of one message, or of one call's arguments, that a page shows."""


@dataclass(frozen=True)
class Cited:
    """A place that an answer rests on."""

    n: int
    href: str  # "" for what is in the conversation: the result of a tool, or a file that came with a message
    document: str  # "" for the result of a tool
    quote: str


@dataclass(frozen=True)
class Call:
    """A tool that the model asked for."""

    tool: str
    arguments: str  # JSON for the eye


@dataclass(frozen=True)
class Line:
    """One message. ``role``: user, assistant, tool."""

    id: str
    role: str
    who: str  # the name of the person who asked, or the tool
    segments: list[Segment]  # its text as it is
    more: int = 0  # characters that are not shown
    citations: list[Cited] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    speaker: str = ""
    prose: list[Piece] = field(default_factory=list)  # what a model said, with its Markdown
    files: list[str] = field(default_factory=list)  # names of those that came with it


def line_of(message: AnyMessage) -> Line:
    """A message as a line of the page."""
    text, more = cut(str(message.text))
    if isinstance(message, HumanMessage):
        came = [file["name"] for file in files_of(message)]
        return Line(message.id or "", "user", message.name or "", [Segment(text)], more, files=came)
    if isinstance(message, ToolMessage):
        return Line(message.id or "", "tool", message.name or "", [Segment(text)], more)
    about: Mapping[str, Any] = message.response_metadata or {}
    citations = [c for c in about.get("citations") or [] if isinstance(c, dict)]
    return Line(
        id=message.id or "",
        role="assistant",
        who="",
        segments=segments_of(text, citations),  # type: ignore[arg-type]  # what a session keeps of them
        more=more,
        citations=[_cited(c) for c in citations],  # type: ignore[arg-type]  # what a session keeps of them
        calls=[_call(call) for call in message.tool_calls] if isinstance(message, AIMessage) else [],
        speaker=str(about.get("speaker") or ""),
        prose=answer_of(text, citations),  # type: ignore[arg-type]
    )


def _cited(citation: Citation) -> Cited:
    document = citation["document"].removeprefix(ATTACHED)
    return Cited(citation["n"], citation_href(citation), document, citation["quote"])


def lines_of(messages: Sequence[AnyMessage]) -> list[Line]:
    """The conversation, oldest first."""
    return [line_of(message) for message in messages]


def segments_of(text: str, citations: Sequence[Citation]) -> list[Segment]:
    """An answer in which every [n] leads to its passage."""
    places = {c["n"]: citation_href(c) for c in citations}
    return [
        Segment(piece, href=places.get(int(piece[1:-1]), "") if i % 2 else "")
        for i, piece in enumerate(PLACE.split(text))
        if piece
    ]


def answer_of(text: str, citations: Sequence[Citation]) -> list[Piece]:
    """An answer with its Markdown, in which every [n] leads to its passage."""
    return prose_of(text, {c["n"]: citation_href(c) for c in citations})


def cut(text: str) -> tuple[str, int]:
    """(what is shown of a text, how many characters more it has)."""
    return text[:SHOWN], max(0, len(text) - SHOWN)


def title_of(lines: Sequence[Line], say: Say) -> str:
    """What a thread is called: the first thing that a person said."""
    first = next((line.segments[0].text for line in lines if line.role == "user" and line.segments), "")
    return " ".join(first.split())[:120] or say("A new thread").unescape()


def _call(call: Mapping[str, Any]) -> Call:
    shown, more = cut(pretty_json(call.get("args") or {}))
    return Call(str(call.get("name") or ""), shown + (f"\n… +{more:,}" if more else ""))
