"""Checking and mending thread folders: what ``dojang checkpoints verify | repair | stats`` call."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TypedDict

from checkpoints.errors import DamagedLog
from checkpoints.files import mending
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from checkpoints.files.frames import Damage, scan
from checkpoints.files.journal import Journal
from checkpoints.files.mending import Report
from checkpoints.log.rebuilding import drop_broken
from checkpoints.saver import FileSaver
from checkpoints.upkeep.home import Home, home_at
from state import DojangError, UserError


class ThreadReport(TypedDict):
    """What was found in one thread's folder."""

    folder: str
    thread_id: str  # "" where thread.json cannot be read
    files: list[Report]
    problems: list[str]  # one line each; [] for a healthy thread


class VerifyReport(TypedDict):
    """What was found in a threads directory."""

    threads: int
    records: int
    bytes: int
    damaged: list[ThreadReport]


def verify(directory: str | os.PathLike[str], *, keys: KeyRing | None = None) -> VerifyReport:
    """Read every byte of every thread and follow every reference. Never raises for damage.

    Without their keys, of sealed files the framing alone is checked: torn tails and wrong checksums.
    """
    report = VerifyReport(threads=0, records=0, bytes=0, damaged=[])
    for folder in ThreadFolders(directory).folders():
        found = verify_folder(folder, keys=keys)
        report["threads"] += 1
        report["records"] += sum(f["records"] for f in found["files"])
        report["bytes"] += sum(f["bytes"] for f in found["files"])
        if found["problems"]:
            report["damaged"].append(found)
    return report


def verify_folder(folder: Path, *, keys: KeyRing | None = None) -> ThreadReport:
    """The report of one thread's folder."""
    report = ThreadReport(folder=str(folder), thread_id="", files=[], problems=[])
    folders = ThreadFolders(folder.parent)
    try:
        report["thread_id"] = folders.thread_id(folder)
    except (DojangError, OSError) as e:
        report["problems"].append(str(e))
    for path in sorted(folder.glob("*.jsonl")):
        found = mending.verify(_journal(path, keys))
        report["files"].append(found)
        if found["damage"]:
            report["problems"].append(f"{path}: {found['damage']}")
    unread = keys is None and any(f["sealed"] for f in report["files"])
    if not report["problems"] and not unread:
        try:
            for _ in FileSaver(folder.parent, keys=keys).list({"configurable": {"thread_id": report["thread_id"]}}):
                pass
        except (DojangError, ValueError, KeyError, IndexError, TypeError) as e:
            report["problems"].append(f"{folder / 'checkpoints.jsonl'}: a checkpoint cannot be rebuilt: {e}")
    return report


def repair(directory: str | os.PathLike[str], thread_id: str, *, keys: KeyRing | None = None) -> ThreadReport:
    """Keep all that is whole and does not rest on what is damaged; damaged files stay beside it as ``*.damaged-…``.

    Raises:
        UserError: there is no such thread, or the keys do not fit it.
    """
    folders = ThreadFolders(directory)
    folder = folders.path(thread_id)
    if not folder.is_dir():
        raise UserError(f"there is no thread {thread_id!r} in {folders.root}; `dojang threads` shows all")
    try:
        folders.thread_id(folder)
    except (DamagedLog, FileNotFoundError):
        with contextlib.suppress(FileNotFoundError):
            os.replace(folder / "thread.json", folder / "thread.json.damaged")
        folders.ensure(thread_id)
    report = ThreadReport(folder=str(folder), thread_id=thread_id, files=[], problems=[])
    for path in sorted(folder.glob("*.jsonl")):
        report["files"].append(mending.repair(_journal(path, keys)))
    report["problems"] = verify_folder(folder, keys=keys)["problems"]
    for found in report["files"]:
        if found["path"].endswith("checkpoints.jsonl") and (found["lost"] or report["problems"]):
            found["lost"] += drop_broken(FileSaver(directory, keys=keys).sessions.apart(folder))
            report["problems"] = verify_folder(folder, keys=keys)["problems"]
    return report


def _journal(path: Path, keys: KeyRing | None) -> Journal:
    """The journal of a file; the audit chain holds no content and is never sealed."""
    kind = kind_of(path)
    return Journal(path, kind=kind, keys=None if kind == "audit" else keys)


def kind_of(path: Path) -> str:
    """The kind that a file's header names, or, where that is unreadable, the one that its name stands for."""
    first = path.read_bytes().partition(b"\n")[0] + b"\n"
    with contextlib.suppress(Damage):
        for entry in scan(first, 0, "00000000"):
            return str(entry.record.get("kind", ""))
    return path.stem


class Stats(TypedDict):
    """Sizes of one thread."""

    thread_id: str
    checkpoints: int
    writes: int
    bytes: dict[str, int]  # by file name, or by table and kind of record


def stats(where: str | os.PathLike[str] | Home, thread_id: str, *, keys: KeyRing | None = None) -> Stats:
    """How much a thread holds."""
    saver = home_at(where, keys=keys).saver
    if not isinstance(saver, FileSaver):
        checkpoints, writes, sizes = saver.sizes(thread_id)
        return Stats(thread_id=thread_id, checkpoints=checkpoints, writes=writes, bytes=sizes)
    session = saver.sessions.of(thread_id)
    with session.view(whole=True):
        checkpoints = sum(len(c) for c in session.where.cps.values())
        writes = sum(len(w) for w in session.where.writes.values())
    sizes = (
        {p.name: p.stat().st_size for p in sorted(session.folder.glob("*.json*"))} if session.folder.is_dir() else {}
    )
    return Stats(thread_id=thread_id, checkpoints=checkpoints, writes=writes, bytes=sizes)
