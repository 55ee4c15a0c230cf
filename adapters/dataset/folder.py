"""A dataset on disk: a folder named by the hash of its content, written whole or not at all, and never changed.

::

    datasets/
    ├── 3f9c…/                 named by the first 16 digits of the hash
    │   ├── sft.jsonl dpo.jsonl kto.jsonl    rows, for training
    │   ├── heldout.jsonl      points that are compared with; frozen before anything is trained
    │   ├── provenance.jsonl   where each point comes from
    │   └── manifest.json      hashes of the files, counts, what was left out and why, settings
    └── stale.jsonl            datasets of which words were erased since, and why

The hash is of the manifest without the time when it was built; the manifest has the hashes of the other files.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from adapters.dataset.building import METHODS, Dataset, choices_of
from adapters.durable import remove_tree, sync_dir
from state import BrokenInvariant, PassingFault, UserError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
STALE: Final = "stale.jsonl"
FILES: Final = (*(f"{method}.jsonl" for method in METHODS), "heldout.jsonl", "provenance.jsonl")
_ID: Final = 16
_BUILDING: Final = ".building-"
_LEFT_S: Final = 86_400
"""After so long nobody builds any more what a killed process left."""


class UnknownDataset(UserError):
    """There is no dataset with this id."""


class DamagedDataset(BrokenInvariant):
    """A dataset's files are not those that it is named after."""


class DatasetNotWritten(PassingFault):
    """The disk refused; nothing is there."""


def write(made: Dataset, root: Path) -> Path:
    """Put a dataset beside the others, durable on return; its folder. The same content is the same folder.

    Raises:
        DatasetNotWritten: the disk is full or failing; nothing was kept.
        DamagedDataset: it is there already, and somebody changed it.
    """
    contents = {f"{method}.jsonl": made.rows[method] for method in METHODS}
    contents |= {"heldout.jsonl": made.heldout, "provenance.jsonl": made.provenance}
    files = {name: b"".join(_lines(rows)) for name, rows in contents.items()}
    told = _manifest(made, files)
    folder = root / str(told["id"])
    if folder.exists():
        verify(root, told["id"])
        return folder
    aside = root / f"{_BUILDING}{secrets.token_hex(6)}"
    try:
        aside.mkdir(mode=0o700, parents=True)
        _sweep(root)
        for name, data in {**files, MANIFEST: _pretty(told)}.items():
            _put(aside / name, data)
        sync_dir(aside)
        _take_place(aside, folder)
    except OSError as e:
        remove_tree(aside)
        raise DatasetNotWritten(
            f"the dataset cannot be written to {root} ({e.strerror}); nothing was kept: free space and try again"
        ) from e
    return folder


def _sweep(root: Path) -> None:
    for left in root.glob(f"{_BUILDING}*"):
        if left.stat().st_mtime < time.time() - _LEFT_S:
            remove_tree(left)


def _take_place(aside: Path, folder: Path) -> None:
    try:
        os.rename(aside, folder)
    except OSError:
        if not folder.is_dir():
            raise
        remove_tree(aside)  # another process built the same meanwhile
        return
    try:
        sync_dir(folder.parent)
    except OSError:
        os.rename(folder, aside)  # nobody was told that it is there
        raise


def named(root: Path, name: str) -> Path:
    """The folder of a dataset, by its id or the beginning of one; raises UnknownDataset."""
    found = [folder for folder in folders(root) if name and folder.name.startswith(name)]
    if len(found) > 1:
        raise UnknownDataset(f"more than one dataset begins with {name!r}; give more of its id")
    if not found:
        known = ", ".join(folder.name for folder in folders(root)) or "none"
        raise UnknownDataset(f"there is no dataset {name!r} (known: {known}); `dojang adapters dataset list` shows all")
    return found[0]


def folders(root: Path) -> list[Path]:
    """All datasets, by id."""
    return sorted(p for p in root.glob("*") if p.is_dir() and not p.name.startswith("."))


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest; raises DamagedDataset where there is none that can be read, or it is another dataset's."""
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
        whole = told["id"] == folder.name == _hash(told)[:_ID] and set(told["files"]) == set(FILES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole, told = False, {}
    if not whole:
        raise DamagedDataset(
            f"{folder} is no whole dataset: its manifest is missing or is not the one it is named after; build it again"
        )
    return dict(told)


def verify(root: Path, name: str) -> dict[str, Any]:
    """The manifest of a dataset whose every byte is what it is named after.

    Raises:
        UnknownDataset, DamagedDataset: naming the file.
    """
    folder = named(root, name)
    told = manifest(folder)
    for file in FILES:
        try:
            same = _sha256((folder / file).read_bytes()) == told["files"][file]["sha256"]
        except OSError:
            same = False
        if not same:
            raise DamagedDataset(
                f"{folder / file} was changed or is gone: the dataset is not the one it is named after; build it again"
            )
    return told


def read(folder: Path, file: str) -> Iterator[dict[str, Any]]:
    """The rows of a file."""
    with (folder / file).open("rb") as lines:
        for line in lines:
            yield json.loads(line)


# ------------------------------------------------------------------------------------------------ what was erased


def threads_of(root: Path, person: str) -> set[str]:
    """The threads, in any dataset, in which this person (a pseudonym) decided or asked."""
    rows = (row for folder in folders(root) for row in _provenance(folder))
    return {str(row["thread"]) for row in rows if person in (row.get("reviewer"), row.get("requester"))}


def mark_stale(root: Path, threads: Iterable[str], why: str) -> list[str]:
    """Mark the datasets that have rows of these threads, durable on return; their ids.

    The rows are gone from the next dataset; what was built, and trained, before is known by the mark.
    """
    gone = set(threads)
    hit = [f.name for f in folders(root) if any(row.get("thread") in gone for row in _provenance(f))]
    marked = stale(root)
    fresh = [name for name in hit if name not in marked]
    if fresh:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        lines = [json.dumps({"dataset": name, "at": at, "why": why}, ensure_ascii=False) for name in fresh]
        try:
            with (root / STALE).open("ab") as file:
                file.write("".join(f"\n{line}\n" for line in lines).encode())  # also after a torn line
                file.flush()
                os.fsync(file.fileno())
        except OSError as e:
            raise DatasetNotWritten(
                f"{root / STALE} cannot be written ({e.strerror}); the datasets {', '.join(fresh)} are not marked: "
                "free space and erase again"
            ) from e
    return hit


def stale(root: Path) -> dict[str, str]:
    """Dataset id → why it is not to be trained on any more."""
    found: dict[str, str] = {}
    try:
        data = (root / STALE).read_bytes()
    except FileNotFoundError:
        return found
    for line in data.split(b"\n"):
        try:
            told = json.loads(line)
        except ValueError:  # torn: whoever wrote it was not told that it is there
            continue
        found[told["dataset"]] = f"{told['why']} ({told['at']})"
    return found


def _provenance(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from read(folder, "provenance.jsonl")
    except (OSError, ValueError):
        yield {}  # damaged: `verify` says so


# --------------------------------------------------------------------------------------------------------- inside


def _manifest(made: Dataset, files: dict[str, bytes]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "format": FORMAT,
        "files": {
            name: {"sha256": _sha256(data), "rows": data.count(b"\n"), "bytes": len(data)}
            for name, data in files.items()
        },
        "decisions": made.decisions,
        "threads": made.threads,
        "left_out": dict(made.left_out),
        "scrubbed": made.scrubbed,
        "choices": choices_of(made),
        "reviewers": len({row["reviewer"] for row in made.provenance}),
        "speakers": sorted({str(row["speaker"]) for row in made.provenance}),
        "warnings": made.warnings,
        "signs": made.signs,
    }
    told["id"] = _hash(told)[:_ID]
    told["built_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    return told


def _hash(told: dict[str, Any]) -> str:
    bare = {key: value for key, value in told.items() if key not in ("id", "built_at")}
    return _sha256(json.dumps(bare, sort_keys=True, ensure_ascii=False).encode())


def _lines(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    return (json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n" for row in rows)


def _pretty(told: dict[str, Any]) -> bytes:
    return json.dumps(told, ensure_ascii=False, indent=2, sort_keys=True).encode() + b"\n"


def _put(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


__all__ = [
    "FILES", "MANIFEST", "DamagedDataset", "DatasetNotWritten", "UnknownDataset", "folders", "manifest", "mark_stale",
    "named", "read", "stale", "threads_of", "verify", "write",
]  # fmt: skip
