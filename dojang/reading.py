"""A review as somebody reads it: summary and reasons in the reader's language.

The record stays what it is: it was written in the conversation's language, and its digest covers none of these texts.
The question stays, too: it is put to the guest just so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dojang.messages import told

if TYPE_CHECKING:
    from nodes.ports import Toolbox
    from state import Language, Reason, Review


def as_read(review: Review, toolbox: Callable[[Review], Toolbox], language: Language) -> Review:
    """A copy of the review for a reader of ``language``; never for a record, a digest or JSON.

    ``toolbox``: of the review's thread; asked for only where the summary has to be said anew.
    """
    read = review.copy()
    read["summary"] = sentence_of(review, toolbox, language)
    read["why"] = [reason_as_read(reason, language) for reason in review["why"]]
    return read


def sentence_of(review: Review, toolbox: Callable[[Review], Toolbox], language: Language) -> str:
    """What will happen: as it was recorded, or, for another reader, by the tool's template or the gate's own."""
    from state import DojangError

    action = review["action"]
    if _written_in(review) == language:
        return review["summary"]
    if action["tool"] and review["kind"] in ("tool", "compliance"):
        try:
            return toolbox(review).describe(action["tool"], action["args"], language)
        except DojangError:
            pass
    return told(review["summary"], language)


def _written_in(review: Review) -> Language | None:
    """The conversation's language, where a rule has a text of its own in each; else None."""
    for reason in review["why"]:
        fitting = [language for language, text in reason.get("texts", {}).items() if text == reason["text"]]
        if len(fitting) == 1:
            return fitting[0]
    return None


def reason_as_read(reason: Reason, language: Language) -> Reason:
    """A rule's text in the reader's language; records that are older than both languages have one text."""
    read = reason.copy()
    read["text"] = reason.get("texts", {}).get(language) or told(reason["text"], language)
    return read
