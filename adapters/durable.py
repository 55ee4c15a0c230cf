"""What makes a folder of ours lasting, names that are on disk, and what takes one away again."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


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
            path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
