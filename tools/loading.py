"""Loads the tool modules that the settings name. Importing runs their code, so a dotted name is taken, never a path.

A tool module holds its tools as module-level names (or a list ``TOOLS``) and, if it has tables, a function
``prepare(connection, sample)`` that makes them and may be called any number of times.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import psycopg
from langchain_core.tools import BaseTool

from state import UserError

DEFAULT = ("tools.hotel",)
Prepare = Callable[[psycopg.Connection, Path | None], None]
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class ToolModule:
    """What one module brings."""

    name: str
    tools: tuple[BaseTool, ...]
    prepare: Prepare | None = None


def load_tools(spec: str | Sequence[str] = DEFAULT) -> list[ToolModule]:
    """Import the named modules, in order; ``spec`` is a list or one text with commas.

    Raises:
        UserError: a name that is no module name, a module that cannot be imported, has no tools, or repeats a tool.
    """
    names = [name.strip() for name in spec.split(",")] if isinstance(spec, str) else list(spec)
    modules = [_load(name) for name in names if name]
    owner: dict[str, str] = {}
    for module in modules:
        for tool in module.tools:
            if tool.name in owner:
                raise UserError(f"tool {tool.name!r} is in {owner[tool.name]} and in {module.name}; rename one of them")
            owner[tool.name] = module.name
    return modules


def _load(name: str) -> ToolModule:
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no module name; write it like tools.hotel, without slashes or .py")
    try:
        module = importlib.import_module(name)
    except UserError:
        raise
    except Exception as error:  # the module's own code runs here: whatever it raises, its name must be in the message
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"tool module {name!r} cannot be loaded ({type(error).__name__}: {reason}); check the settings"
        ) from error
    tools = _tools_in(module)
    if not tools:
        raise UserError(f"tool module {name!r} has no tools; decorate a function with tools.effects.effect")
    prepare = getattr(module, "prepare", None)
    return ToolModule(name, tools, prepare if callable(prepare) else None)


def _tools_in(module: ModuleType) -> tuple[BaseTool, ...]:
    listed = getattr(module, "TOOLS", None)
    found = vars(module).values() if listed is None else listed
    return tuple(tool for tool in found if isinstance(tool, BaseTool))
