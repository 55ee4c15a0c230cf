"""What upkeep works on: the sessions of a home, as files or in a database, with their checkpoints and run locks."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from checkpoints.backend import Backend
from checkpoints.files.backend import FileBackend
from checkpoints.files.crypto import KeyRing
from checkpoints.files.locks import run_lock
from checkpoints.saver import FileSaver

if TYPE_CHECKING:
    from checkpoints.postgres.saver import PgSaver


@dataclass(frozen=True)
class Home:
    """Where the records lie, the checkpoints, and how a thread is held so that nobody runs it: (thread id, owner)."""

    backend: Backend
    saver: FileSaver | PgSaver
    run_lock: Callable[[str, str], AbstractContextManager[None]]


def home_at(where: str | os.PathLike[str] | Home, *, keys: KeyRing | None = None) -> Home:
    """The home that is meant: itself, or session files in a threads directory, sealed with ``keys``."""
    if isinstance(where, Home):
        return where
    saver = FileSaver(where, keys=keys)
    return Home(FileBackend(where, keys=keys), saver, partial(run_lock, saver.directory))
