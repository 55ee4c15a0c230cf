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
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypedDict

from adapters.durable import remedy, remove_tree, sync_dir
from adapters.errors import AdapterNotUsable, ModelNotUsable
from adapters.local.loading import check_adapter, fingerprint, read_note
from state import BrokenInvariant, PassingFault, UserError

MANIFEST: Final = "manifest.json"
_ID: Final = 16
_COPYING: Final = ".adding-"
_LOCK: Final = ".lock"
_FORMS: Final[Mapping[str, Any]] = {
    "method": str,
    "base": {"name": str, "fingerprint": str},
    "start": str,
    "data": {"sha256": str, "sources": [{"name": str, "dataset": str}]},
    "settings": {},
    "licences": [{"what": str, "name": str, "licence": str}],
    "counts": {"trained": int, "held_out": int, "dropped_too_long": int},
    "loss": {"first": float, "last": float, "held_out": float},
    "kto_loss": str,
    "history": [{}],
    "peak_memory_bytes": {},
    "trained_at": str,
}
"""The form of what is read of a manifest, where a member is there; an object may have more members, any may be null."""


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


def add(root: Path, source: Path, locked: Callable[[], AbstractContextManager[None]]) -> Path:
    """Copy an adapter into the registry, durable on return; its folder. The same files are the same folder.

    An entry that is damaged gives its place to the fresh copy. ``locked``: the registry's lock, which is held while
    names change and not while files are copied.

    Raises:
        AdapterNotUsable: it is no LoRA adapter, has links in it, or a manifest that nobody can read.
        NotRegistered: the disk is full or failing, or the adapter changed meanwhile; nothing was kept.
    """
    check_adapter(source, base="its base", fingerprint=str(read_note(source).get("base_fingerprint") or ""))
    check_manifest(source)
    try:
        wanted = id_of(source)
        if is_whole(root, wanted):
            return root / wanted
        with _aside(root, locked) as aside:
            for name, path in files_of(source).items():
                _copy(path, aside / name)
            if id_of(aside) != wanted:
                raise NotRegistered(f"{source} was changed while it was copied; nothing was kept: add it again")
            sync_dir(aside)
            aside.chmod(0o500)
            with locked():
                _take_place(root, wanted, aside)
    except OSError as e:
        raise NotRegistered(f"{source} cannot be copied to {root} ({e.strerror}); nothing was kept: {remedy(e)}") from e
    return root / wanted


@contextmanager
def _aside(root: Path, locked: Callable[[], AbstractContextManager[None]]) -> Iterator[Path]:
    """A folder to copy into, which no ``sweep`` takes for a leftover while this process lives; gone at the end."""
    from filelock import FileLock

    aside = root / f"{_COPYING}{secrets.token_hex(6)}"
    held = FileLock(_lock_of(aside))
    try:
        with locked():  # a sweep sees neither or both
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            held.acquire()
            aside.mkdir(mode=0o700)
        yield aside
    finally:
        _remove(aside)
        held.release()
        with suppress(OSError):
            _lock_of(aside).unlink()


def _take_place(root: Path, adapter: str, aside: Path) -> None:
    """Let a whole copy be the adapter: nothing to do where it is there already, and what is damaged makes room."""
    place, damaged = root / adapter, root / f"{_COPYING}{secrets.token_hex(6)}"
    if is_whole(root, adapter):
        return
    if place.is_dir():
        place.chmod(0o700)
        os.rename(place, damaged)
    try:
        os.rename(aside, place)
    except OSError:
        if not is_whole(root, adapter):  # else another program put the same there meanwhile
            raise
    sync_dir(root)
    _remove(damaged)


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


def is_whole(root: Path, adapter: str) -> bool:
    """Whether an adapter is there, and every byte of it what it is named after."""
    try:
        return id_of(root / adapter) == adapter
    except (OSError, AdapterNotUsable):
        return False


def verify(root: Path, adapter: str) -> None:
    """Raise DamagedAdapter unless every byte of an adapter is what it is named after."""
    folder = root / adapter
    if not is_whole(root, adapter):
        raise DamagedAdapter(
            f"{folder} was changed or is gone: it is not the adapter that it is named after; serve another one, "
            "and add it again"
        )


def entry(root: Path, adapter: str) -> Entry:
    """What is known of an adapter, without checking its weights; less of one that is damaged."""
    folder = root / adapter
    told = manifest_of(folder)
    sources = (told.get("data") or {}).get("sources") or []
    noted: dict[str, Any] = {}
    weights = ""
    with suppress(ModelNotUsable):
        noted = read_note(folder)
    with suppress(OSError):
        weights = fingerprint(folder)
    return Entry(
        id=adapter,
        path=str(folder),
        base=str((told.get("base") or {}).get("fingerprint") or noted.get("base_fingerprint") or ""),
        fingerprint=weights,
        start=str(told.get("start") or ""),
        datasets=[str(source["dataset"]) for source in sources if source.get("dataset")],
        method=str(told.get("method") or ""),
        rows=int((told.get("counts") or {}).get("trained") or 0),
        trained_at=str(told.get("trained_at") or ""),
    )


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of an adapter, without what has another form than ours; {} where it was trained elsewhere."""
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return in_form(told) if isinstance(told, dict) else {}


def in_form(told: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest without the members whose form is not that of ``dojang adapters train``."""
    return {name: value for name, value in told.items() if _fits(value, _FORMS.get(name, object))}


def check_manifest(folder: Path) -> None:
    """Raise AdapterNotUsable where an adapter has a manifest that is not as we write it; it may have none."""
    path = folder / MANIFEST
    try:
        told = json.loads(path.read_bytes())
        wrong = ", ".join(sorted({*told} - {*in_form(told)})) if isinstance(told, dict) else "no JSON object"
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError) as e:
        wrong = str(e)
    if wrong:
        raise AdapterNotUsable(
            f"{path} is not as training writes it ({wrong}): put the right one back, or take the file away, an adapter "
            "may be without one"
        )


def _fits(value: Any, form: Any) -> bool:
    """Whether a value has a form of ``_FORMS``: a type, an object's members, or of what a list is."""
    if value is None:
        return True
    if isinstance(form, dict):
        return isinstance(value, dict) and all(_fits(value.get(name), inner) for name, inner in form.items())
    if isinstance(form, list):
        return isinstance(value, list) and all(one is not None and _fits(one, form[0]) for one in value)
    return isinstance(value, int | float if form is float else form)


def remove(root: Path, adapter: str) -> int:
    """Delete an adapter; its bytes. Renamed away first: it is gone at once, or there.

    Raises:
        UserError: the system does not let this user.
    """
    folder = root / adapter
    aside = root / f"{_COPYING}{secrets.token_hex(6)}"
    try:
        size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
        folder.chmod(0o700)
        os.rename(folder, aside)
        sync_dir(root)
    except OSError as e:
        raise UserError(f"{folder} cannot be deleted ({e.strerror}): {remedy(e)}") from e
    _remove(aside)
    return size


def leftovers(root: Path) -> Iterator[Path]:
    """What an interrupted copy or removal left, and copies that go on."""
    if root.is_dir():
        yield from (path for path in root.iterdir() if path.name.startswith(_COPYING))


def sweep(root: Path) -> int:
    """Remove what an interrupted copy or removal left; how many. Whoever calls holds the registry's lock."""
    from filelock import FileLock

    found = {path.with_name(path.name.removesuffix(_LOCK)) for path in leftovers(root)}
    for path in found:
        with suppress(OSError), FileLock(_lock_of(path), timeout=0):  # held: somebody copies into it
            _remove(path)
            _lock_of(path).unlink(missing_ok=True)
    return sum(not path.exists() for path in found)


def _lock_of(aside: Path) -> Path:
    return aside.with_name(aside.name + _LOCK)


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
    "DamagedAdapter", "Entry", "NotRegistered", "add", "check_manifest", "entry", "files_of", "id_of", "ids", "in_form",
    "is_whole", "leftovers", "manifest_of", "remove", "sweep", "verify",
]  # fmt: skip
