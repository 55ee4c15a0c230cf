"""Sealing whole threads anew, under another key or for the first time. Each file at once or not at all.

A step that was cut short is done again by calling the same function again: files that are done are left alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from checkpoints.errors import DamagedLog
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from checkpoints.files.journal import Journal
from checkpoints.files.mending import reseal as reseal_file
from checkpoints.files.mending import rewrite, verify
from checkpoints.log.rebuilding import copy, replacement
from checkpoints.log.session import Session

KINDS = ("checkpoints", "decisions", "ledger", "prompts", "about", "attachments")


def reseal(directory: str | os.PathLike[str], keys: KeyRing, thread_id: str) -> int:
    """Seal every record of a thread with the active key; how many files were rewritten.

    Raises:
        WrongKey, PlaintextRefused, DamagedLog: a file cannot be opened; it stays as it is.
    """
    return sum(reseal_file(Journal(path, kind=kind, keys=keys)) for kind, path in _files(directory, thread_id))


def encrypt(directory: str | os.PathLike[str], keys: KeyRing, thread_id: str) -> int:
    """Seal a thread that was written without keys, as it is now; how many files were rewritten.

    Whoever could write to the folder so far could write anything: what is sealed is vouched for from now on only.
    """
    return sum(_encrypt(path, kind, keys) for kind, path in _files(directory, thread_id))


def _encrypt(path: Path, kind: str, keys: KeyRing) -> bool:
    if kind == "checkpoints":
        return _encrypt_checkpoints(path, keys)
    plain = Journal(path, kind=kind)
    with plain.locked():
        if _sealed(plain):
            return False
        rewrite(Journal(path, kind=kind, keys=keys), list(plain))
    return True


def _encrypt_checkpoints(path: Path, keys: KeyRing) -> bool:
    """Record by record: they refer to each other by offset, and sealed ones are longer."""
    plain = Session(path.parent)
    with plain.log.locked():
        if _sealed(plain.log):
            return False
        with replacement(plain, keys) as fresh:
            copy(plain, fresh)
    return True


def _sealed(journal: Journal) -> bool:
    """Whether a file is sealed; DamagedLog for one that cannot be taken as it is."""
    report = verify(journal)
    if report["damage"]:
        raise DamagedLog(journal.path, 0, report["damage"])
    return report["sealed"] > 0 or _declared(journal.path)


def _declared(path: Path) -> bool:
    return b'"format":2,' in path.read_bytes()[:256].partition(b"\n")[0]


def _files(directory: str | os.PathLike[str], thread_id: str) -> list[tuple[str, Path]]:
    folder = ThreadFolders(directory).path(thread_id)
    return [(kind, path) for kind in KINDS if (path := folder / f"{kind}.jsonl").exists()]
