"""Dojang: an agent over your documents and tools that stops before it acts until a person stamps the step.

``from dojang import Workspace, Settings`` is the Python way in; ``dojang --help`` the one from a terminal.
"""

from dojang.settings import Settings
from dojang.workspace import Workspace

__version__ = "0.1.0"

__all__ = ["Settings", "Workspace", "__version__"]
