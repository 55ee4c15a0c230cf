"""The folder of a workspace, made and checked before anything is opened in it."""

from __future__ import annotations

import os
from pathlib import Path


def check_home(home: Path) -> None:
    """Make the home, readable by its owner alone; raises UserError where that cannot be done."""
    from state import UserError  # not before it is needed: `--help` waits for no LangGraph

    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(
            f"DOJANG_HOME {home} cannot be used: {error.strerror}; name a folder that you may write, with --home"
        ) from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise UserError(f"DOJANG_HOME {home} cannot be written by this user; name another folder with --home")
