"""Dojang: an agent over your documents and tools that stops before it acts until a person stamps the step.

``from dojang import Workspace, Settings`` is the Python way in; ``dojang --help`` the one from a terminal.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dojang.settings import Settings
    from dojang.workspace import Workspace

__version__ = "0.1.0"

__all__ = ["Settings", "Workspace", "__version__"]

_HOMES = {"Settings": "dojang.settings", "Workspace": "dojang.workspace"}


def __getattr__(name: str) -> Any:
    """Import the workspace when it is first named: ``dojang --help`` must not wait for LangGraph."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dojang' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
