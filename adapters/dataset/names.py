"""Other names for the people that stand in a decision: the same name everywhere in it, of the same length. Pure.

Nobody finds names of people by rules, but where a call has one its tool can say: an argument that is marked
(``"x-person": true`` in its JSON schema), or that the settings name. Such a value gets another name, drawn from the
grammar of names that Dojang's own text is made of (``adapters.training.naming``), in the arguments and wherever else it
stands in the decision's conversation. Letters are replaced one for one, so that places in texts stay; a name that
stands within another (“Minsu” in “Minsu Kim”) becomes the same part of the other's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from adapters.dataset.points import arguments_of

MARK: Final = "x-person"
Rename = Callable[[str], str]
"""From a name to another one that is as long."""
_WORD: Final = re.compile(r"[^\W\d_]+")
_SPOKEN: Final = ("prompt", "completion", "chosen", "rejected", "said", "decided")


def names_in(row: Mapping[str, Any], marked: Iterable[str], rename: Rename) -> dict[str, str]:
    """Each name of a person in the calls of a held-out row, and what stands for it.

    Args:
        row: With ``prompt``, ``tools``, ``said`` and ``decided``.
        marked: Arguments that hold a name, whatever the tool.
        rename: Makes another name.
    """
    fields = _fields(row["tools"], frozenset(marked))
    decided = set(_values(row.get("decided"), fields)) | {v for m in row["prompt"] for v in _values(m, fields)}
    # What a person refused may be no name at all ("a table"), and a word of the request must not be taken for one.
    proposed = {value for value in _values(row.get("said"), fields) if _looks_like_a_name(value)}
    found: dict[str, str] = {}
    for value in sorted(decided | proposed, key=lambda v: (-len(v), v)):
        whole = next((longer for longer in found if _within(value, longer)), None)
        at = whole.find(value) if whole else 0
        found[value] = found[whole][at : at + len(value)] if whole else rename(value)
    return found


def _fields(tools: Iterable[Any], marked: frozenset[str]) -> dict[str, set[str]]:
    """The arguments that hold a person's name, by tool."""
    functions = [tool["function"] for tool in tools]
    return {
        f["name"]: {
            name for name, spec in f["parameters"].get("properties", {}).items() if name in marked or spec.get(MARK)
        }
        for f in functions
    }


def _values(message: Any, fields: Mapping[str, set[str]]) -> Iterable[str]:
    for call in (message or {}).get("tool_calls") or []:
        function = call["function"]
        for name, value in arguments_of(function).items():
            if name in fields.get(function["name"], ()) and isinstance(value, str) and _WORD.search(value):
                yield value


def _looks_like_a_name(value: str) -> bool:
    words = value.split()
    return len(words) <= 4 and not any(c.isdigit() for c in value) and not any(w[0].islower() for w in words)


def _within(value: str, longer: str) -> bool:
    return re.search(pattern([value]), longer) is not None


def pattern(names: Iterable[str]) -> str:
    """Finds names in a text, the longest first. Latin ones stand alone, behind Korean ones there are particles."""
    ordered = sorted(names, key=lambda name: (-len(name), name))
    return "|".join(
        (r"(?<![^\W\d_])" if name[0].isascii() else "")
        + re.escape(name)
        + (r"(?![^\W\d_])" if name[-1].isascii() else "")
        for name in ordered
    )


def unreadable(name: str) -> str:
    """No name at all, where nobody makes up another one."""
    return _WORD.sub(lambda found: "x" * len(found[0]), name)


__all__ = ["MARK", "Rename", "names_in", "pattern", "unreadable"]
