"""Which files a folder gives to an ingest, and under which names. Reads no file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from store.readers.kinds import known
from store.text.language import clean


@dataclass(frozen=True)
class Found:
    """A file to read, or why it is left out."""

    name: str
    path: Path
    refused: str = ""


def files_of(paths: Sequence[Path | str]) -> Iterator[Found]:
    """Files as they are named, and those in folders by their path below the folder, in the order of names.

    In folders, hidden files, files of other kinds, and links to folders are passed over; a link to a file that leads
    out of the folder is refused: whoever may write into it must not choose what else is read.
    """
    for given in paths:
        path = Path(given)
        if not path.is_dir():
            yield Found(clean(path.name), path)
            continue
        inside = path.resolve()
        for folder, folders, files in os.walk(path):  # does not follow links to folders
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            for file in sorted(files):
                if file.startswith((".", "~$")) or not known(file):
                    continue
                whole = Path(folder) / file
                name = clean(whole.relative_to(path).as_posix())
                if whole.is_symlink() and not whole.resolve().is_relative_to(inside):
                    yield Found(name, whole, "it is a link that leads out of the folder; name its target to read it")
                elif whole.is_file():
                    yield Found(name, whole)
