"""What makes a folder of ours lasting, names that are on disk, what takes one away again, and what a refusal means."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""There is no room."""
FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""This user may not, however often it is tried."""


def sync_dir(path: Path) -> None:
    """Make the names in a folder durable, where the system has a way to."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_tree(folder: Path) -> None:
    """Delete a folder whose files may only be read, as far as that goes: Windows deletes no such file."""
    for path in (folder, *folder.rglob("*")):
        with suppress(OSError):
            if not path.is_symlink():  # what a link points to is not ours
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def remedy(error: OSError) -> str:
    """What is to be done where the system refused a file: make room, or give the right that is missing."""
    if error.errno in FULL:
        return "free space and try again"
    if error.errno not in FORBIDDEN or not isinstance(error.filename, str | os.PathLike):
        return "see to what the system says and try again"
    path = Path(error.filename)
    if error.errno == errno.EROFS:
        return f"the disk of {path} can only be read: let it be written, or name another home"
    if os.path.exists(path) and not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        return f"this user may not read {path}: allow it and try again"
    return f"this user may not write in {path if path.is_dir() else path.parent}: allow it and try again"
