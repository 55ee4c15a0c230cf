"""Datasets of a home: built from its sessions, marked where words of theirs are erased. Prints nothing.

What stands for a reviewer in a dataset is a keyed hash; the key stays in the home, so that a dataset that leaves it
names nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.dataset import folder
from adapters.dataset.building import Choices, build
from dojang.flywheel.points import Progress, Sessions, collect, forget
from state import UserError, person_of

if TYPE_CHECKING:
    from dojang.parts import Parts
    from dojang.settings import Settings


def datasets_of(settings: Settings) -> Path:
    """Where a home's datasets are."""
    return settings.home / "datasets"


def sessions_of(parts: Parts) -> Sessions:
    """Where a home's points come from."""
    sealed = parts.session_keys is not None
    cache = None if sealed else parts.settings.home / "points.sqlite"
    return Sessions(parts.saver, parts.decisions, parts.prompts, _tokenizer(parts.settings), cache)


def build_dataset(parts: Parts, choices: Choices, *, on_progress: Progress) -> tuple[Path, dict[str, Any], list[str]]:
    """Build a dataset of all sessions: its folder, its manifest, and what could not be read.

    Raises:
        UserError: there is too little to build it from.
        PassingFault: the disk refused; nothing was kept.
    """
    from tools.pii import find

    found = collect(sessions_of(parts), on_progress=on_progress)
    if not found.points and found.problems:
        raise UserError(f"no session can be read: {found.problems[0]}")
    name = Pseudonyms(parts.settings.home)
    made = build(
        found.points,
        choices=choices,
        find=lambda text: [(entity.start, entity.end) for entity in find(text)],
        pseudonym=name,
    )
    written = folder.write(made, datasets_of(parts.settings))
    return written, folder.manifest(written), found.problems


def mark_person(settings: Settings, person: str, why: str) -> list[str]:
    """Mark the datasets with rows of conversations in which a person asked or decided; before words are erased."""
    root = datasets_of(settings)
    if not root.is_dir():
        return []
    return folder.mark_stale(root, folder.threads_of(root, Pseudonyms(settings.home)(person)), why)


def mark_threads(settings: Settings, threads: Iterable[str], why: str) -> list[str]:
    """Mark the datasets with rows of these conversations, and forget what was derived from them."""
    forget(settings.home / "points.sqlite")
    root = datasets_of(settings)
    return folder.mark_stale(root, threads, why) if root.is_dir() else []


class Pseudonyms:
    """What stands for people in datasets of a home: 12 hexadecimal digits, the same for the same person."""

    def __init__(self, home: Path) -> None:
        self._key = _key(home / "pseudonyms.key")

    def __call__(self, name: str) -> str:
        """The pseudonym of a name, however it is spelled."""
        return hmac.new(self._key, person_of(name).encode(), hashlib.sha256).hexdigest()[:12]


def _key(path: Path) -> bytes:
    """The home's key, made when it is first wanted; one that another process makes meanwhile wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    key = path.read_bytes()
    if len(key) != 32:
        raise UserError(f"{path} is no key of pseudonyms; put the right one back, or delete it for a new one")
    return key


def _tokenizer(settings: Settings) -> Any:
    """Of the local model that the settings name, where its chat template is needed; None for an endpoint's and ours."""
    if settings.model == "embedded" or settings.model.startswith("openai:"):
        return None
    from adapters.training.run import open_base

    try:
        return open_base(Path(settings.model), settings.quantization).tokenizer
    except UserError:  # not there any more: what it read cannot be shown, and is counted as that
        return None


__all__ = ["Pseudonyms", "build_dataset", "datasets_of", "mark_person", "mark_threads", "sessions_of"]
