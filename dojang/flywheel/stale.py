"""Whose words are in which dataset, so that what was erased is not trained on any more. Reads no session.

What stands for a person in a dataset is a keyed hash; the key stays in the home, so that a dataset that leaves it names
nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.dataset import folder
from dojang.flywheel.points import forget
from state import UserError, person_of

if TYPE_CHECKING:
    from dojang.settings import Settings


def datasets_of(settings: Settings) -> Path:
    """Where a home's datasets are."""
    return settings.home / "datasets"


def gates_of(settings: Settings) -> Path:
    """Where a home's rules, kept replies and reports of comparisons are."""
    return settings.home / "gates"


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


__all__ = ["Pseudonyms", "datasets_of", "gates_of", "mark_person", "mark_threads"]
