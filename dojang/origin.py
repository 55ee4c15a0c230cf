"""The start-up check that each of our top-level packages is ours.

``adapters``, ``tools`` or ``graph`` are common names: another installed package of the same name would win the import
and the gate would be somebody else's code. Better not to start.
"""

from __future__ import annotations

from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from state import BrokenInvariant

MODULES: Final = ("state", "morphemes")
TOP_LEVEL: Final = (*MODULES, "graph", "nodes", "checkpoints", "adapters", "store", "tools", "dojang")


class ForeignPackage(BrokenInvariant):
    """A top-level name of ours resolves to somebody else's file. ``name`` and ``found`` say which and where."""

    def __init__(self, name: str, found: str, root: Path) -> None:
        super().__init__(
            f"the package {name!r} would be imported from {found}, not from {root}: "
            f"uninstall the other package of that name, or use a virtual environment of Dojang's own"
        )
        self.name = name
        self.found = found


def check_origin(path: list[str] | None = None) -> None:
    """Raise ForeignPackage unless every top-level name resolves to the folder that this package lies in.

    Args:
        path: the search path; ``sys.path`` when None.
    """
    root = Path(__file__).resolve().parents[1]
    for name in TOP_LEVEL:
        spec = PathFinder.find_spec(name, path)
        found = spec.origin if spec and spec.origin else "nowhere"
        expected = root / f"{name}.py" if name in MODULES else root / name / "__init__.py"
        if Path(found).resolve() != expected:
            raise ForeignPackage(name, found, root)
