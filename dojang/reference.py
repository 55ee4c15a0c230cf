"""Writes docs/python.md from the code itself: ``python -m dojang.reference > docs/python.md``; a test compares the two.

What a name of `PUBLIC` is, says its docstring; nothing is described here a second time.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

PUBLIC = {
    "dojang": (),
    "graph": (),
    "checkpoints": ("FileSaver", "KeyRing", "repair", "stats", "verify"),
    "tools.effects": ("effect", "World", "InWorld"),
}
"""Modules whose names are for others: all that the module lists, or those that are listed here."""
SAYS_ITSELF = {"Settings": "All of them are in [settings](settings.md)."}
WIDTH = 120

HEAD = """# Python

Written by `python -m dojang.reference > docs/python.md` from the docstrings; a test compares the two. Everything else
in the packages may change without notice.
Errors are `state.DojangError` with the branches `UserError`, `Conflict`, `PassingFault`, `BrokenInvariant`."""


def page() -> str:
    """The whole page."""
    return "\n\n".join([HEAD, *_modules()])


def _modules() -> Iterator[str]:
    for module, listed in PUBLIC.items():
        imported = importlib.import_module(module)
        yield f"## {module}"
        for name in sorted(listed or imported.__all__, key=str.lower):
            if not name.startswith("__"):
                yield from _thing(name, getattr(imported, name))


def _thing(name: str, thing: Any) -> Iterator[str]:
    yield f"### {name}"
    if inspect.isclass(thing):
        yield _text(inspect.getdoc(thing))
        if name in SAYS_ITSELF:
            yield SAYS_ITSELF[name]
            return
        for method, function in _methods(thing).items():
            yield _signature(method, function)
            yield _text(inspect.getdoc(function))
    elif callable(thing) and inspect.isroutine(thing):
        yield _signature(name, thing)
        yield _text(inspect.getdoc(thing))
    else:
        yield f"`{thing}`"


def _methods(thing: type) -> dict[str, Any]:
    """What a class and those of ours below it have, as they stand there."""
    ours = [cls for cls in thing.__mro__ if cls.__module__.partition(".")[0] == thing.__module__.partition(".")[0]]
    found = {name: member for cls in reversed(ours) for name, member in vars(cls).items()}
    return {
        name: member
        for name, member in found.items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))
    }


def _signature(name: str, function: Any) -> str:
    if isinstance(function, property):
        return f"```text\n{name}\n```"
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    said = str(signature.replace(parameters=parameters)).replace("'", "")
    if len(name + said) > WIDTH:
        said = re.sub(r", (?=\*|\w+: )", ",\n    ", said)
    return f"```text\n{name}{said}\n```"


def _text(docstring: str | None) -> str:
    """A docstring as Markdown: names between single backticks, what it raises and takes as lists."""
    lines = []
    for line in re.sub(r":\w+:`~?([^`]+)`", r"`\1`", (docstring or "").replace("``", "`")).splitlines():
        entry = re.fullmatch(r"    ([\w., *]+): (.*)", line)
        lines.append(f"- `{entry[1]}`: {entry[2]}" if entry else re.sub("^    +", "  ", line))
        if re.fullmatch(r"(Raises|Args|Returns|Yields):", line):
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page())
