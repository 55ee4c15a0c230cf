"""Where each argument of a call stands in what was said or read, so that one need not look for it. Pure.

Plain looking, no guessing: the value as it is written, in the conversation first, then in the evidence. What stands in
neither came from the model, which is worth a second look; of days and of choices that is not said, because people say
"tomorrow" and "a big one".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from dojang.server.console.marked import forms_of
from dojang.server.wording import Say, titled
from dojang.vocabulary import SPEAKERS
from state import JSON, Passage


def sources_of(
    args: Mapping[str, JSON],
    conversation: Sequence[Mapping[str, str]],
    passages: Sequence[Passage],
    choices: Collection[str],
    say: Say,
) -> dict[str, str]:
    """{argument: where it stands, in words}; "" for what cannot be looked for. ``choices``: arguments out of a list."""
    found = {name: _place(value, conversation, passages, say) for name, value in args.items()}
    nowhere = say("not said, not read").unescape()
    missing = {name for name, place in found.items() if not place and forms_of(args[name])}
    days = {name for name in missing if days_of(args[name])}
    return {**found, **dict.fromkeys(missing - days - set(choices), nowhere)}


def days_of(value: JSON) -> list[str]:
    """How a day may be written; [] for what is none."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        day = None
    if day is None:
        return []
    months = [day.strftime("%B").lower(), day.strftime("%b").lower()]
    english = [form for month in months for form in (f"{day.day} {month}", f"{month} {day.day}")]
    return [f"{day.month}월 {day.day}일", f"{day.month}/{day.day}", *english]


def _place(value: JSON, lines: Sequence[Mapping[str, str]], passages: Sequence[Passage], say: Say) -> str:
    forms = [form.casefold() for form in forms_of(value)] + days_of(value)
    if not forms:
        return ""
    for number in range(len(lines), 0, -1):
        line = lines[number - 1]
        if line["role"] != "assistant" and _holds(line["text"], forms):
            who = titled(say, SPEAKERS, line["role"])
            return say("%(who)s, message %(n)s", who=who, n=number).unescape()
    for passage in passages:
        if _holds(passage["text"], forms):
            return passage["title"] or passage["document"]
    return ""


def _holds(text: str, forms: Sequence[str]) -> bool:
    folded = text.casefold()
    return any(form in folded for form in forms)
