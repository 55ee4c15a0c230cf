"""What a text states of an argument by its name, as a form does: "고객: 김철수", "부서는 회계팀", "red as the colour".

Staff paste what a form says, or speak like one. The words beside the name of an argument are then its value, and no
other's. Where the value ends the name does not tell, but where a line or an item of a list ends before the next name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from adapters.forms.labels import own_labels
from adapters.forms.phrases import ASKS, Said, said_in
from state import ToolSpec

NEAR: Final = 16
"""Characters before a name that are looked at."""
_MARKED: Final = re.compile(r"\s?(?:[:=]|값[은이:]|should be\b)\s*", re.IGNORECASE)
"""Between a name and its value, where nothing else can be meant."""
_SAID_OF: Final = re.compile(r"(?:[은는이가]|\s(?:is|was))\s+", re.IGNORECASE)
"""Between a name and what is said of it: a value, or anything ("고객이 기다려요")."""
_LISTED: Final = re.compile(r"(?:[,;/•·]\s*|[:\-]\s+)$")
"""What stands before the name in a list of names and values: "품명 토너, 수량 3", and a space behind it."""
_VALUE: Final = re.compile(r" [^,:=]+(?:,|$)")
"""What is behind a name in such a list, up to the next: no other name with its mark ("subject line = a")."""
_AS: Final = re.compile(r"(?:을|를|(?:이)?라는|\bas(?: the| an?)?)\s*$", re.IGNORECASE)
"""Between a value and the name behind it: "김철수를 담당자로", "red as the colour"."""
_ROLE: Final = re.compile(r"(?:으?로|라고)(?![가-힣])")


_QUOTES: Final = tuple("'\"“‘「『")
_BULLETS: Final = " \t-*•·["
_BLANK: Final = _BULLETS + "\r\n,;"
"""What stands between a value and the next name, and is of neither."""


class Stated(NamedTuple):
    """Words beside the name of an argument.

    Attributes:
        words: The text from the value on, or up to it, in single spaces.
        ahead: Whether the value begins these words; it ends them otherwise.
        sure: Whether nothing else can be meant.
        whole: The value, where its end is known, too; "" elsewhere.
    """

    words: str
    ahead: bool
    sure: bool
    whole: str = ""

    def has(self, value: str) -> bool:
        """Whether the words begin, or end, with this value."""
        return self.words.startswith(value) if self.ahead else self.words.endswith(value)


class _Mark(NamedTuple):
    """Where the value that is stated beside a name begins, or ends."""

    at: int
    ahead: bool
    sure: bool


def stated(tool: ToolSpec, texts: Sequence[str]) -> dict[str, list[Stated]]:
    """What ``texts`` state of each argument of ``tool`` by its name.

    A value ahead goes on to the next such name at most, over several lines; one behind begins in the line of its name.
    """
    found: dict[str, list[Stated]] = {}
    labels = own_labels(tool)
    for text in texts:
        marked = list(_marked(text, labels))
        form = sum(mark.sure and mark.ahead and name.at == begun for name, _, mark, begun in marked) > 1
        untils = [*(name.at for name, _, _, _ in marked[1:]), len(text)]
        sinces = [0, *(name.end for name, _, _, _ in marked)]
        for (_, argument, mark, begun), since, until in zip(marked, sinces, untils, strict=False):
            beside = text[mark.at : until] if mark.ahead else text[max(since, begun) : mark.at]
            if words := " ".join(beside.split()):
                ended = mark.ahead and mark.sure and (form or until < len(text))
                whole = _whole(beside, last=until == len(text)) if ended else ""
                found.setdefault(argument, []).append(Stated(words, mark.ahead, mark.sure, whole))
    return found


def _whole(beside: str, *, last: bool) -> str:
    """The words up to the next name where they are one line, or one item of a list; "" where they may be more.

    The last ones may go on with what is asked for, "연락처: 010-1234로 등록해 주세요".
    """
    words, behind = beside.strip(_BLANK), beside.rstrip(_BULLETS)
    item, line = behind.endswith(",") and "," not in words, behind.endswith("\n")
    known = (item or line or (last and not ASKS.search(words))) and words[:1] not in _QUOTES
    return " ".join(words.rstrip(".").split()) if known and "\n" not in words else ""


def _marked(text: str, labels: Sequence[tuple[str, str]]) -> Iterator[tuple[Said, str, _Mark, int]]:
    """Where a text has the name of an argument with a mark, whose it is, and where the line begins."""
    begun = 0
    for whole in text.splitlines(keepends=True):
        line = whole.strip(_BULLETS + "\r\n\f\v")
        at = begun + whole.find(line)
        named = said_in(line, labels)
        listed = sum(_lists(line, said) for said, _ in named) > 1
        for said, argument in named:
            if mark := _mark(line, said, listed=listed):
                yield Said(at + said.at, at + said.end), argument, mark._replace(at=at + mark.at), at
        begun += len(whole)


def _mark(line: str, name: Said, *, listed: bool) -> _Mark | None:
    """What makes the words beside a name its value; None where nothing does. ``listed``: the line is such a list."""
    if marked := _MARKED.match(line, name.end):
        return _Mark(marked.end(), ahead=True, sure=True)
    before = line[max(name.at - NEAR, 0) : name.at]
    begun = name.at - len(before)
    if before.endswith("(") and line.startswith(")", name.end):
        return _Mark(begun + len(before[:-1].rstrip()), ahead=False, sure=True)
    behind = _AS.search(before)
    if behind and (behind.group().isascii() or _ROLE.match(line, name.end)):
        return _Mark(begun + behind.start(), ahead=False, sure=True)
    if listed and _VALUE.match(line, name.end) and _lists(line, name):
        return _Mark(name.end + 1, ahead=True, sure=True)
    if said := _SAID_OF.match(line, name.end):
        return _Mark(said.end(), ahead=True, sure=False)
    return None


def _lists(line: str, name: Said) -> bool:
    """Whether a name stands where one of a list would."""
    return name.at == 0 or _LISTED.search(line[max(name.at - NEAR, 0) : name.at]) is not None


__all__ = ["Stated", "stated"]
