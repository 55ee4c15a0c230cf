"""Style sheets and scripts, under an address that changes with their contents: a browser asks for each of them once.

``/static/<version>/css/base.css`` may be kept for a year. Without a version, or with that of another Dojang (a page
that was open while the server was renewed), the same file is given, and asked about each time.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER: Final = Path(__file__).parent / "static"
KEPT: Final = "public, max-age=31536000, immutable"
_VERSION: Final = re.compile(r"([0-9a-f]{12})/(.+)")


@lru_cache
def version() -> str:
    """Of all files together, names and contents; twelve hexadecimal digits."""
    found = hashlib.sha256()
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        found.update(path.relative_to(FOLDER).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


class Assets(StaticFiles):
    """What is served under ``/static``."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file; with the version of now in its path, to be kept."""
        named = _VERSION.fullmatch(path.replace("\\", "/"))
        if named is None:
            return await super().get_response(path, scope)
        answer = await super().get_response(named[2], scope)
        if named[1] == version() and answer.status_code in (200, 304):
            answer.headers["Cache-Control"] = KEPT
        return answer
