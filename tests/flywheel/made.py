"""Decision points without sessions, each whole and rendered, for tests of what follows from them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from langchain_core.messages import HumanMessage

from adapters.dataset.points import Point, told
from adapters.speakers.rendering import READING, reading_text, rendered
from state import JSON, Citation, Decision, Passage, Prompt, Review, Said, ToolSpec
from tests.adapters.tiny import BOOK, CANCEL
from tests.graph.parts import NOW, passage

TOOLS = [BOOK, CANCEL]
BREAKFAST = passage("Breakfast is from 7 to 10.")
ARGS: dict[str, JSON] = {"hotel": "Namsan Stay", "guests": 2}


def cites(quote: str = "Breakfast is from 7 to 10.", n: int = 1, passage: str = "p1") -> Citation:
    return Citation(n=n, passage=passage, document="rules.md", start=0, end=len(quote), quote=quote)


def point(
    n: int,
    type: Any = "approve",
    *,
    thread: str = "",
    request: str = "",
    tool: str = "book_room",
    args: dict[str, JSON] | None = None,
    text: str | None = None,
    by: str = "lee",
    subject: str = "",
    kind: Any = "",
    edited: Any = None,
    message: str = "",
    clarification: str = "",
    about: str = "",
    tools: list[ToolSpec] | None = None,
    passages: list[Passage] | None = None,
    abstained: bool = False,
    **others: Any,
) -> Point:
    """Point ``n``: about a call, or a draft where there is ``text``, or a question where there is ``clarification``."""
    args = {**ARGS, "guests": n} if args is None else args
    words = request or f"Guest{n} wants room{n} at Namsan Stay for {n} people, not Han River"
    messages = [HumanMessage(words, id=f"human-{n}")]
    worded = text is not None or bool(clarification)
    calls: list[dict[str, JSON]] = [] if worded else [{"id": f"c{n}", "name": tool, "args": args}]
    tools, passages = TOOLS if tools is None else tools, [BREAKFAST] if passages is None else passages
    at = (NOW + timedelta(minutes=n)).isoformat()
    said = Said(
        calls=calls, text=text or "", citations=[cites()] if text and not abstained else [],
        clarification=clarification, about=about, abstained=abstained,
    )  # fmt: skip
    prompt = Prompt(
        turn=f"human-{n}", round=1, at=at, language="en", messages=[f"human-{n}"], tools=tools, passages=passages,
        rendered=rendered(READING, reading_text(messages, passages, tools)), speaker="dojang-base@frontdesk", said=said,
    )  # fmt: skip
    action: Any = {"tool": tool, "args": args} if calls else {"tool": "", "args": {"text": text or clarification}}
    about_what = f"call:c{n}" if calls else "draft:1" if text is not None else f"question:human-{n}:1"
    review: Any = {
        "id": f"rv_{n}", "thread_id": thread or f"t{n}", "kind": kind or ("tool" if calls else "approval"),
        "subject": subject or about_what, "question": clarification, "action": action, "requester": "guest",
    }  # fmt: skip
    decision = Decision(
        review_id=f"rv_{n}", digest=f"sha256:{n}", type=type, by=by, at=at, reason="", edited_args=edited,
        message=message, dwell_ms=900, channel=others.pop("channel", "cli"),
    )  # fmt: skip
    whole: Review = review
    made = Point(
        thread_id=thread or f"t{n}", checkpoint_id=f"cp{n}", review=whole, decision=decision, votes=[], undone=False,
        prompt=prompt, messages=told(messages), lacks="",
    )  # fmt: skip
    result: Any = {**made, **others}
    return result  # type: ignore[no-any-return]
