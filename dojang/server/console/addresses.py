"""Where things are shown: the addresses of pages, each made in one place. Pure."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from state import ATTACHED, Citation


def review_href(review_id: str, query: str = "") -> str:
    """The page of a review; ``query`` is the list beside it, as its own address has it."""
    return "/reviews/" + quote(review_id, safe="") + (f"?{query}" if query else "")


def with_query(href: str, query: str) -> str:
    """An address that keeps the list beside the item."""
    return f"{href}?{query}" if query else href


def citation_href(citation: Citation) -> str:
    """The page of a passage with the cited span marked; "" for what is in the conversation: a tool's result, a file."""
    if not citation["document"] or citation["document"].startswith(ATTACHED):
        return ""
    return passage_href(citation["passage"], citation["start"], citation["end"])


def passage_href(passage_id: str, start: int, end: int) -> str:
    """The page of a passage; offsets count in the document."""
    return f"/passages/{quote(passage_id, safe='')}?{urlencode({'start': start, 'end': end})}"


def document_href(name: str, **query: str | int) -> str:
    """The page of a document; its name may have folders."""
    return "/documents/" + quote(name, safe="/") + (f"?{urlencode(query)}" if query else "")


def checkpoint_href(thread_id: str, checkpoint_id: str) -> str:
    """A checkpoint among those of its thread."""
    return f"{thread_href(thread_id)}/history#{quote(checkpoint_id, safe='')}"


def thread_href(thread_id: str) -> str:
    """The page of a thread."""
    return "/threads/" + quote(thread_id, safe="")
