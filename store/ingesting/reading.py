"""One document's bytes against what is stored under its name: there already, in the way of another, or read.

Knows no database and no batch: whoever reads ahead elsewhere asks the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from state import Trust
from store.readers.extract import Extract, Unreadable, digest_of
from store.readers.files import read_bytes

STREAMED_CHARACTERS = 2**21
"""A longer document goes alone, part by part."""


@dataclass(frozen=True)
class Known:
    """What is stored under a name."""

    digest: str
    told: Trust  # what the ingest said
    source: str  # the file's path; "" for an upload

    def same(self, digest: str, told: Trust) -> bool:
        """Whether this very content was read in, in the same trust."""
        return (self.digest, self.told) == (digest, told)


def read_in(
    name: str, data: bytes, source: str, known: Known | None, trust: Trust, *, limit_bytes: int
) -> Extract | None:
    """The text and structure of a document; None where this content is stored already. Raises Unreadable."""
    if known is not None and known.same(digest_of(data), trust):
        return None
    if known is not None and source and known.source not in ("", source):
        raise Unreadable(
            f"{name} is the name of another document, from {known.source}: "
            f"ingest their common folder, or delete the old one first"
        )
    return read_bytes(name, data, limit_bytes=limit_bytes)


__all__ = ["STREAMED_CHARACTERS", "Known", "read_in"]
