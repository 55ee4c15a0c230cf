"""What LangGraph's clients can ask for and this server has not: one line each that says what to do instead.

No route stands behind these paths; the application looks here before it answers that there is no such page.
"""

from __future__ import annotations

import re
from typing import Final

_ID: Final = "[^/]+"
_INSTEAD: Final[tuple[tuple[str, str, str], ...]] = (
    ("POST", "/threads/prune", "delete each thread; `dojang checkpoints prune` deletes old ones"),
    ("POST|DELETE", f"/assistants(/{_ID})?(/latest)?", "there is one assistant, 'dojang', and the settings make it"),
    ("PATCH", f"/assistants/{_ID}", "there is one assistant, 'dojang', and the settings make it"),
    (".*", f"(/threads/{_ID})?/runs/crons(/.*)?", "nothing here begins by the clock: start a run, with after_seconds"),
)
"""(methods, path, what to do instead), both as patterns."""


def instead_of(method: str, path: str) -> str:
    """The line; "" where nobody's client asks for that."""
    for methods, pattern, instead in _INSTEAD:
        if re.fullmatch(methods, method) and re.fullmatch(pattern, path):
            return f"{method} {path} is not served here: {instead}"
    return ""
