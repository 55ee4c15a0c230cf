"""Dojang: an agent over your documents and tools that stops before it acts until a person stamps the step.

``import dojang; book = dojang.open()`` is the way in from a notebook (docs/notebooks.md), ``from dojang import
Workspace, Settings`` that of a program, ``dojang --help`` the one from a terminal.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dojang.notebook import Notebook, open, sample
    from dojang.notebook.tables import table
    from dojang.settings import Settings
    from dojang.workspace import Workspace

__version__ = "0.1.0"

__all__ = ["Notebook", "Settings", "Workspace", "__version__", "open", "sample", "table"]

_HOMES = {
    "Notebook": "dojang.notebook", "Settings": "dojang.settings", "Workspace": "dojang.workspace",
    "open": "dojang.notebook", "sample": "dojang.notebook", "table": "dojang.notebook.tables",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the workspace when it is first named: ``dojang --help`` must not wait for LangGraph."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dojang' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
