"""The arguments of a call: as they will run, and beside what they were before a person edited them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dojang.server.clean import pretty_json
from state import JSON, Decision


@dataclass(frozen=True)
class Argument:
    """One argument as it will run, and as it was before a person edited it."""

    name: str
    text: str
    was: str | None = None
    source: str = ""  # where it stands in what was said or read


def arguments_of(
    args: Mapping[str, JSON], decision: Decision | None, sources: Mapping[str, str] | None = None
) -> list[Argument]:
    """The arguments; where a person edited them, the new ones with what they were."""
    edited = decision["edited_args"] if decision and decision["type"] == "edit" else None
    if edited is not None:
        return differences(args, edited)
    return [Argument(name=k, text=plain(v), source=(sources or {}).get(k, "")) for k, v in args.items()]


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
