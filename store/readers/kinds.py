"""Which format a file has. What its bytes are decides; the ending counts where the bytes are only text."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePath

from store.readers.extract import Unreadable

ENDINGS = {
    ".txt": "txt",
    ".text": "txt",
    ".md": "md",
    ".markdown": "md",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".csv": "csv",
    ".tsv": "csv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
OFFICE_PARTS = {"word/document.xml": "docx", "xl/workbook.xml": "xlsx"}
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
UNPACKED_LIMIT_BYTES = 200 * 2**20
# text of a page that somebody called .txt or .xls: it begins as one, white space and comments aside
PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.I | re.S
)
TAGS = re.compile(rb"<(?:table|body|div|p|h1)\b[^>]*>", re.I)
# "MZ" alone may begin a text (the MZ generation)
BINARY = re.compile(
    rb"\x7fELF|MZ(?=.{0,60}\x00\x00)|\x89PNG|\xff\xd8\xff|GIF8[79]a|\x1f\x8b|Rar!|7z\xbc\xaf|\x00\x00\x00.ftyp", re.S
)


def known(name: str) -> bool:
    """Whether the ending is one that is read."""
    return PurePath(name).suffix.lower() in ENDINGS


def format_of(name: str, data: bytes) -> str:
    """``txt``, ``md``, ``html``, ``pdf``, ``docx``, ``csv`` or ``xlsx``. Unreadable when it is none of these."""
    suffix = PurePath(name).suffix.lower()
    if suffix not in ENDINGS:
        all_endings = " ".join(sorted(ENDINGS))
        raise Unreadable(
            f"{name}: files of kind {suffix or '(no ending)'} are not read; convert it to one of {all_endings}"
        )
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return _packed(name, data)
    if data.startswith(OLD_OFFICE):
        raise Unreadable(
            f"{name} is an old Office file (.doc, .xls, .ppt or .hwp), or one locked by a password: "
            f"save it as .docx, .xlsx or .pdf without a password"
        )
    if BINARY.match(data):
        raise Unreadable(f"{name} is {kind_in_words(data)}, not text: leave it out or convert it to text")
    if PAGE.match(data[:8192]):
        return "html"
    by_ending = ENDINGS[suffix]
    if by_ending in ("pdf", "docx", "xlsx"):  # programs export pages and text under the endings of Office
        return "html" if TAGS.search(data[:8192]) else "csv" if by_ending == "xlsx" else "txt"
    return by_ending


def kind_in_words(data: bytes) -> str:
    """What a binary file is, as far as its first bytes tell."""
    import puremagic

    try:
        found = puremagic.magic_string(data[: 2**16])
    except (puremagic.PureError, ValueError):
        found = []
    return f"a binary file ({found[0].name})" if found and found[0].name else "a binary file"


def _packed(name: str, data: bytes) -> str:
    """The format of a zip archive, by the part that only this format has; refuses what unpacks to far too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, OverflowError) as error:
        raise Unreadable(
            f"{name} is not a whole Office file ({type(error).__name__}): open it, save it again, and retry"
        ) from None
    if sum(entry.file_size for entry in entries) > UNPACKED_LIMIT_BYTES:
        raise Unreadable(f"{name} unpacks to more than {UNPACKED_LIMIT_BYTES // 2**20} MB: split it")
    for entry in entries:
        if entry.filename in OFFICE_PARTS:
            return OFFICE_PARTS[entry.filename]
    raise Unreadable(f"{name} is a zip archive or another Office file: unpack it, or save it as .docx, .xlsx or .pdf")
