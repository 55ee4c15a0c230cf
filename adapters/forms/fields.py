"""A message that is a form: lines of a name and a value, "고객명: 김철수" under "연락처: 010-…".

A line's value is that line's, whole: no value goes over several lines or holds the name of another. Whose it is, the
name before it tells, as far as it is one of the argument's words; what no name tells may be any other argument's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from adapters.forms.chosen import said_choice
from adapters.forms.labels import own_labels, stems, stems_of
from adapters.forms.phrases import ASKS, said_in
from adapters.forms.values import choices, property_of
from state import ToolSpec

LEAST: Final = 2
"""Lines that make a form, one of which names an argument; one alone may be a sentence with a colon."""
_LINE: Final = re.compile(
    r"^[ \t]*(?:[-*•·▪]+[ \t]*)?(?P<name>(?=[^:=：\n]{0,39}[^\W\d_])[^\s:=：][^:=：\n]{0,39}?)[ \t]*[:=：][ \t]*"
    r"(?P<value>(?!//)\S[^\n]*)$",
    re.M,
)
_MARK: Final = re.compile(r"\s?[:=：]")
_WORDS: Final = 4
"""Words of a name at most."""
MOST: Final = 60
"""Lines of a form at most; more are a document that somebody has pasted."""
_CLOCK: Final = re.compile(r"\d[:：]\d\d(?!\d)")
_EMPTY: Final = re.compile(r"\n[ \t]*\r?\n")
_THANKS: Final = re.compile(r"\n[ \t]*(?:감사|고맙|고마|수고|부탁|thank|best regards|regards)", re.IGNORECASE)
"""How a message ends: it is no part of a text above."""
_LONG: Final = stems(
    "memo note notes description body message text comment instructions content details reason remark request summary"
)
"""In the name of an argument whose values may be several sentences."""
_BULLETS: Final = " \t\r\n-*•·▪"
_QUOTED: Final = re.compile(r"""^(['"“‘「『]).*(['"”’」』])$""")


class Field(NamedTuple):
    """A line of a form: from where to where it stands, its name and its value in single spaces.

    ``whole``: with the lines below it, up to an empty one, which a text of several sentences goes on in. ``open``:
    whether the value may end before its line does.
    """

    at: int
    end: int
    name: str
    value: str
    whole: str
    open: bool


class Form(NamedTuple):
    """The lines of the forms in some texts.

    Attributes:
        of: The value that was filled in for an argument.
        free: Values of lines whose name tells no argument.
        around: What stands before and behind the lines, "Please register a customer".
        apart: The texts that hold no form.
        open: The arguments whose value may end before their line does.
    """

    of: Mapping[str, str]
    free: Sequence[str]
    around: Sequence[str]
    apart: Sequence[str]
    open: frozenset[str]

    def may_say(self, *, required: bool) -> Sequence[str]:
        """Where the value of an argument may stand that no line names.

        What is left out of a form was not said; only what is needed is looked for around it, where no line is left.
        """
        around = self.around if required and not self.free else []
        return [*self.free, *around, *self.apart]

    def allows(self, value: str, *, required: bool) -> bool:
        """Whether an argument that no line names may have this value: a line's, whole, or a part of what is said."""
        whole, said = len(self.free), self.may_say(required=required)
        return value in said[:whole] or any(value in text for text in said[whole:])


def form_in(tool: ToolSpec, texts: Sequence[str]) -> Form | None:
    """The form that ``texts`` hold for ``tool``; None where they hold none."""
    fields: list[Field] = []
    around: list[str] = []
    apart: list[str] = []
    labels = own_labels(tool)
    for text in texts:
        found = list(_fields(text))
        if LEAST <= len(found) <= MOST and not any(_listed(field.value, labels) for field in found):
            fields += found
            around.append(" ".join(_without(text, found).split()))
        else:
            apart.append(" ".join(text.split()))
    if not fields:
        return None
    if not (whose := _whose(tool, fields, labels)):  # a conversation that is quoted
        return None
    of = {argument: fields[n].whole if _is_long(tool, argument) else fields[n].value for argument, n in whose.items()}
    free = [field.value for n, field in enumerate(fields) if n not in whose.values()]
    plain = dict(property_of(tool["parameters"]))
    required: Any = tool["parameters"].get("required", ())
    left = [name for name in required if name not in of]
    if len(left) == len(free) == 1 and _fits(plain[left[0]], free[0]):
        of[left[0]] = free.pop()
    still = {argument for argument, n in whose.items() if fields[n].open and not _is_long(tool, argument)}
    return Form(of, free, around, apart, frozenset(still))


def _fits(spec: Mapping[str, Any], value: str) -> bool:
    """Whether the last line may fill in the last argument."""
    return choices(spec, [value]) != [] and ("enum" not in spec or said_choice(spec, [value]) is not None)


def _fields(text: str) -> Iterator[Field]:
    lines = [
        line
        for line in _LINE.finditer(text)
        if len(line["name"].split()) <= _WORDS and not _CLOCK.match(text, line.end("name") - 1)
    ]
    for n, line in enumerate(lines):
        until = lines[n + 1].start() if n + 1 < len(lines) else len(text)
        below = _THANKS.split(_EMPTY.split(text[line.end() : until], maxsplit=1)[0], maxsplit=1)[0].strip(_BULLETS)
        value = " ".join(line["value"].split())
        bare = value[1:-1].strip() if _QUOTED.match(value) else value
        whole, last = " ".join([value, *below.split()]) if below else bare, n == len(lines) - 1
        yield Field(*line.span(), line["name"], bare, whole, last and ASKS.search(bare) is not None)


def _is_long(tool: ToolSpec, argument: str) -> bool:
    """Whether a text may have several sentences."""
    return not _LONG.isdisjoint(stems_of(tool, argument))


def _without(text: str, fields: Sequence[Field]) -> str:
    parts, at = list[str](), 0
    for field in fields:
        parts, at = [*parts, text[at : field.at]], field.end
    return "\n".join([*parts, text[at:]])


def _listed(value: str, labels: Sequence[tuple[str, str]]) -> bool:
    """Whether a line goes on with the name of another argument, as a list does: "고객명: 김철수, 연락처: 010"."""
    return any(
        _MARK.match(value, said.end) and value[: said.at].rstrip().endswith((",", ";", "/"))
        for said, _ in said_in(value, labels)
    )


def _whose(tool: ToolSpec, fields: Sequence[Field], labels: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Which line is for each argument: the best names first, each for one argument, and none that fits two as well."""
    worth = {
        (n, argument): _alike(
            field.name.lower(), [phrase.lower() for phrase, of in labels if of == argument], stems_of(tool, argument)
        )
        for n, field in enumerate(fields)
        for argument, _ in property_of(tool["parameters"])
    }
    whose: dict[str, int] = {}
    for (n, argument), how_much in sorted(worth.items(), key=lambda item: -item[1]):
        if not how_much or argument in whose or n in whose.values():
            continue
        if not any(worth[n, other] == how_much for m, other in worth if m == n and other not in (argument, *whose)):
            whose[argument] = n
    return whose


def _alike(name: str, phrases: Sequence[str], own: frozenset[str]) -> float:
    """How much the name of a line is an argument's: 3 where it is what the argument is called, 0 where it is not."""
    close = "".join(name.split())
    if close in ("".join(phrase.split()) for phrase in phrases):
        return 3.0
    if any(_inside(name, phrase) or _inside(phrase, name) for phrase in phrases):
        return 2.0
    told = stems(name)
    return len(told & own) / len(told | own) if told & own else 0.0


def _inside(name: str, other: str) -> bool:
    """Whether a name is a part of another one: words of it, or in Korean, which writes them together, letters."""
    if name.isascii():
        return set(name.split()) < set(other.split())
    close = "".join(name.split())
    return len(close) > 1 and close in "".join(other.split())


__all__ = ["Field", "Form", "form_in"]
