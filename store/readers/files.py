"""A file or its bytes into an :class:`Extract`: which reader reads it, and what is refused before any reader sees it.

The extracted text is what every offset in the store counts in; it is NFC, without NUL and lone surrogates. For txt
and md it is the file itself. No reader cuts passages or writes anything.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from store.readers import html, pdf, plain, sheets, word
from store.readers.extract import Extract, Unreadable
from store.readers.kinds import format_of

LIMIT_BYTES = 20 * 2**20

READERS: dict[str, Callable[[str, bytes], Extract]] = {
    "txt": plain.read_txt,
    "md": plain.read_md,
    "html": html.read_html,
    "pdf": pdf.read_pdf,
    "docx": word.read_docx,
    "csv": sheets.read_csv,
    "xlsx": sheets.read_xlsx,
}


def read(path: Path, *, name: str | None = None, limit_bytes: int = LIMIT_BYTES) -> Extract:
    """Read a file. A file over ``limit_bytes`` is refused by its size, unread. Raises Unreadable."""
    return read_bytes(name or path.name, bytes_of(path, limit_bytes=limit_bytes), limit_bytes=limit_bytes)


def bytes_of(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """The bytes of an ordinary file of at most ``limit_bytes``. Raises Unreadable."""
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            raise IsADirectoryError
        if not stat.S_ISREG(facts.st_mode):
            raise Unreadable(f"{path} is no ordinary file but a pipe or a device: name a file")
        if facts.st_size > limit_bytes:
            raise too_large(str(path), facts.st_size, limit_bytes)
        with path.open("rb") as file:
            return file.read(limit_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = {"FileNotFoundError": "there is no such file", "IsADirectoryError": "it is a folder"}
        why = reason.get(type(error).__name__, getattr(error, "strerror", None) or "the system refuses")
        raise Unreadable(f"{path} cannot be read: {why}; check the path and its permissions") from None


def read_bytes(name: str, data: bytes, *, limit_bytes: int = LIMIT_BYTES) -> Extract:
    """Read a document from memory. Its bytes tell the format, and the ending of ``name``. Raises Unreadable."""
    if len(data) > limit_bytes:
        raise too_large(name, len(data), limit_bytes)
    format_ = format_of(name, data)
    if not data.strip():
        raise Unreadable(f"{name} is empty: leave it out or put text into it")
    extract = READERS[format_](name, data)
    if not extract.text.strip():
        hint = "; a scanned PDF needs text recognition (OCR) first" if extract.format == "pdf" else ""
        raise Unreadable(f"{name} holds no text{hint}: leave it out or convert it")
    return extract


def too_large(name: str, size: int, limit: int) -> Unreadable:
    """The message for a file over the limit."""
    return Unreadable(
        f"{name} has {size / 2**20:.0f} MB, the limit is {limit / 2**20:.0f} MB: split it or raise the limit"
    )
