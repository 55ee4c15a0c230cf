"""What a model wrote, with the Markdown in it, as records: paragraphs, lists, tables, emphasis, code, links. Pure.

markdown-it-py reads it (CommonMark and tables; no HTML, no images), and nothing of what it would print is used: the
template draws each record and escapes each string, so that no element and no attribute can come from a model. A link
leads to the web only, by an address that is shown; [n] leads to the passage that is cited.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

DEEPEST: Final = 16
"""Levels of what stands within one another. The reader leaves out what is deeper: such a text is shown as it is."""
PLACE: Final = re.compile(r"(\[\d{1,3}\])")
_KINDS: Final = {
    "paragraph": "p", "heading": "head", "bullet_list": "ul", "ordered_list": "ol", "list_item": "li",
    "blockquote": "quote", "hr": "rule", "table": "table", "thead": "thead", "tbody": "tbody", "tr": "tr", "th": "th",
    "td": "td", "strong": "strong", "em": "em", "s": "gone",
}  # fmt: skip
"""What markdown-it calls it, and what the template does."""


@dataclass(frozen=True)
class Piece:
    """A part of a text.

    ``kind``: text, link, cite, code, block (of code), break, plain (read as no Markdown), or one of ``_KINDS``.
    """

    kind: str
    text: str = ""
    href: str = ""
    host: str = ""  # of a link whose words do not say where it leads
    start: int = 1  # of a numbered list
    parts: list[Piece] = field(default_factory=list)


def prose_of(text: str, places: Mapping[int, str]) -> list[Piece]:
    """A text as pieces. ``places``: {n of a citation: the address of its passage}."""
    tokens = _reader().parse(text)
    if any(token.level >= DEEPEST - 1 for token in tokens):
        return [Piece("plain", parts=_cited(text, places))]
    return _pieces(SyntaxTreeNode(tokens).children, places)


@lru_cache
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": DEEPEST, "store_labels": False})
    reader.enable(["table", "strikethrough"]).disable(["image", "html_block", "html_inline", "reference"])
    reader.validateLink = _honest  # type: ignore[method-assign]  # how it is meant to be set
    return reader


def _honest(url: str) -> bool:
    return bool(_web(url))


def _web(address: str) -> str:
    """The host of an address of the web; "" for any other, and for one that is written to deceive."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return ""
    honest = parts.scheme in ("http", "https") and "@" not in parts.netloc and "\\" not in address
    return host if honest and host.isascii() and address.isprintable() else ""


def _pieces(nodes: Sequence[SyntaxTreeNode], places: Mapping[int, str]) -> list[Piece]:
    return [piece for node in nodes for piece in _piece(node, places)]


def _piece(node: SyntaxTreeNode, places: Mapping[int, str]) -> list[Piece]:
    kind = node.type
    if kind == "inline":
        return _pieces(node.children, places)
    if kind == "text":
        return _cited(node.content, places)
    if kind in ("softbreak", "hardbreak"):
        return [Piece("break")]
    if kind == "code_inline":
        return [Piece("code", node.content)]
    if kind in ("fence", "code_block"):
        return [Piece("block", node.content.rstrip("\n"))]
    if kind == "link":
        return _link(node, places)
    if kind == "paragraph" and node.hidden:  # of an item of a tight list
        return _pieces(node.children, places)
    if kind in _KINDS:
        start = int(node.attrs.get("start", 1)) if kind == "ordered_list" else 1
        return [Piece(_KINDS[kind], start=start, parts=_pieces(node.children, places))]
    return [Piece("text", node.content)]  # nothing that a reader of ours makes; shown, whatever it is


def _link(node: SyntaxTreeNode, places: Mapping[int, str]) -> list[Piece]:
    href = str(node.attrs.get("href", ""))
    words = "".join(child.content for child in node.walk() if child.type in ("text", "code_inline"))
    host = _web(href)
    if not host:  # "[words]()": validateLink is not asked
        return _pieces(node.children, places)
    return [Piece("link", href=href, host="" if words.strip() == href else host, parts=_pieces(node.children, {}))]


def _cited(text: str, places: Mapping[int, str]) -> list[Piece]:
    """Text in which every [n] that is known leads to its passage."""
    found = []
    for i, part in enumerate(PLACE.split(text)):
        href = places.get(int(part[1:-1]), "") if i % 2 else ""
        if part:
            found.append(Piece("cite", part, href) if href else Piece("text", part))
    return found
