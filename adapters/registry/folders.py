"""Adapter folders, named by the hash of their files and never changed. Knows no alias.

A folder is put together beside its place and renamed to it when everything is on the disk, so that it is there whole or
not at all, whatever is killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypedDict

from adapters.durable import remove_tree, sync_dir
from adapters.errors import AdapterNotUsable
from adapters.local.loading import check_adapter, fingerprint, read_note
from state import BrokenInvariant, PassingFault

MANIFEST: Final = "manifest.json"
_ID: Final = 16
_COPYING: Final = ".adding-"


class DamagedAdapter(BrokenInvariant):
    """An adapter's files are not those that it is named after."""


class NotRegistered(PassingFault):
    """The disk refused; nothing was kept."""


class Entry(TypedDict):
    """An adapter of the registry."""

    id: str
    path: str
    base: str  # fingerprint of the base; "" where nobody noted it
    fingerprint: str  # of its weights
    start: str  # fingerprint of the adapter that it went on from; "" for none
    datasets: list[str]  # of decisions that it was trained on
    method: str
    rows: int
    trained_at: str


def add(root: Path, source: Path) -> Path:
    """Copy an adapter into the registry, durable on return; its folder. The same files are the same folder.

    Raises:
        AdapterNotUsable: it is no LoRA adapter, or has links in it.
        NotRegistered: the disk is full or failing; nothing was kept.
    """
    check_adapter(source, base="its base", fingerprint=str(read_note(source).get("base_fingerprint") or ""))
    aside = root / f"{_COPYING}{secrets.token_hex(6)}"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside.mkdir(mode=0o700)
        for name, path in files_of(source).items():
            _copy(path, aside / name)
        place = root / id_of(aside)
        if place.is_dir():
            _remove(aside)
            return place
        sync_dir(aside)
        aside.chmod(0o500)
        os.rename(aside, place)
        sync_dir(root)
    except OSError as e:
        _remove(aside)
        raise NotRegistered(
            f"{source} cannot be copied to {root} ({e.strerror}); nothing was kept: free space and try again"
        ) from e
    return place


def files_of(folder: Path) -> dict[str, Path]:
    """The files of an adapter by name, sorted.

    Raises:
        AdapterNotUsable: a link, or a folder: PEFT writes neither.
    """
    found = {}
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file():
            raise AdapterNotUsable(f"{path} is no plain file; a registered adapter has only those that PEFT wrote")
        found[path.name] = path
    return found


def id_of(folder: Path) -> str:
    """The hash of names and contents: what an adapter is called."""
    named = [[name, _sha256(path)] for name, path in files_of(folder).items()]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:_ID]


def ids(root: Path) -> list[str]:
    """All adapters of the registry."""
    if not root.is_dir():
        return []
    return sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def verify(root: Path, adapter: str) -> None:
    """Raise DamagedAdapter unless every byte of an adapter is what it is named after."""
    folder = root / adapter
    try:
        same = id_of(folder) == adapter
    except (OSError, AdapterNotUsable):
        same = False
    if not same:
        raise DamagedAdapter(
            f"{folder} was changed or is gone: it is not the adapter that it is named after; serve another one, "
            "and add it again"
        )


def entry(root: Path, adapter: str) -> Entry:
    """What is known of an adapter, without checking its weights."""
    folder = root / adapter
    told = manifest_of(folder)
    sources = told.get("data", {}).get("sources") or []
    return Entry(
        id=adapter,
        path=str(folder),
        base=str(told.get("base", {}).get("fingerprint") or read_note(folder).get("base_fingerprint") or ""),
        fingerprint=fingerprint(folder),
        start=str(told.get("start") or ""),
        datasets=[str(source["dataset"]) for source in sources if source.get("dataset")],
        method=str(told.get("method") or ""),
        rows=int(told.get("counts", {}).get("trained") or 0),
        trained_at=str(told.get("trained_at") or ""),
    )


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of an adapter; {} where it was trained elsewhere."""
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def remove(root: Path, adapter: str) -> int:
    """Delete an adapter; its bytes. Renamed away first: it is gone at once, or there."""
    folder = root / adapter
    size = sum(path.stat().st_size for path in files_of(folder).values())
    aside = root / f"{_COPYING}{secrets.token_hex(6)}"
    folder.chmod(0o700)
    os.rename(folder, aside)
    sync_dir(root)
    _remove(aside)
    return size


def leftovers(root: Path) -> Iterator[Path]:
    """What an interrupted copy or removal left."""
    if root.is_dir():
        yield from (path for path in root.iterdir() if path.name.startswith(_COPYING))


def sweep(root: Path) -> int:
    """Remove what an interrupted copy or removal left; how many."""
    found = list(leftovers(root))
    for path in found:
        _remove(path)
    return len(found)


def _copy(source: Path, target: Path) -> None:
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with source.open("rb") as read, open(fd, "wb") as write:
        shutil.copyfileobj(read, write, 1 << 20)
        write.flush()
        os.fsync(write.fileno())


def _remove(folder: Path) -> None:
    if folder.is_dir():
        remove_tree(folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


__all__ = [
    "DamagedAdapter", "Entry", "NotRegistered", "add", "entry", "files_of", "id_of", "ids", "leftovers", "manifest_of",
    "remove", "sweep", "verify",
]  # fmt: skip
