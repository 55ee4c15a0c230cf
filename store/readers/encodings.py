"""Bytes of unknown encoding into text: BOM, UTF-8, UTF-16, CP949, then the best guess of charset-normalizer."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from store.readers.extract import Unreadable
from store.text.language import HANGUL, clean

CONTROL_SHARE = 0.02
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose BOM it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
KOREAN_LABELS = ("euc-kr", "ks_c_5601-1987", "ksc5601", "korean", "x-windows-949", "ms949")


def decode(name: str, data: bytes) -> str:
    """The text, clean. Unreadable where the bytes are no text."""
    for bom, encoding in BOMS:
        if data.startswith(bom):
            return checked(name, data.decode(encoding, errors="replace"))
    guesses: list[Callable[[bytes], str | None]] = [utf8, _utf16, _cp949, _utf16_hangul, _best_guess]
    for guess in guesses:
        text = guess(data)
        if text is not None:
            return checked(name, text)
    raise Unreadable(f"{name} has an unknown encoding or is binary: save it as UTF-8 text")


def decode_declared(name: str, data: bytes) -> str:
    """As :func:`decode`, for a page that names its own encoding in its head; UTF-8 goes before what it says."""
    declared = re.search(rb"(?:charset|encoding)\s*=\s*[\"']?([\w-]+)", data[:4096])
    if data.startswith(tuple(bom for bom, _ in BOMS)) or utf8(data) is not None or declared is None:
        return decode(name, data)
    label = declared.group(1).decode("ascii", "replace").lower()
    try:
        return checked(name, data.decode("cp949" if label in KOREAN_LABELS else label))
    except (LookupError, ValueError):  # an unknown name, or bytes that it does not fit
        return decode(name, data)


def utf8(data: bytes) -> str | None:
    """The text when the bytes are UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def checked(name: str, text: str) -> str:
    """The text, clean; Unreadable when too much of it is control characters."""
    strange = len(re.findall(r"[\x00-\x08\x0e-\x1f\ufffd]", text))
    if strange > 1 and strange / len(text) > CONTROL_SHARE:
        raise Unreadable(f"{name} looks like a binary or damaged file: convert it to text or leave it out")
    return clean(text.removeprefix("\ufeff"))


def _utf16(data: bytes) -> str | None:
    """Without a BOM: UTF-16 text has its ASCII characters' NULs all on one side."""
    if len(data) % 2:
        return None
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if max(even, odd) < len(data) // 2 * 0.02 or min(even, odd) > max(even, odd) * 0.05:
        return None
    return _decoded(data, "utf-16-be" if even > odd else "utf-16-le")


def _utf16_hangul(data: bytes) -> str | None:
    """UTF-16 without a BOM and without one space, line end or figure: nearly all of it must be Hangul."""
    for encoding in ("utf-16-le", "utf-16-be"):
        text = _decoded(data, encoding)
        if text and len(HANGUL.findall(text)) / len(text) > 0.9:
            return text
    return None


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _cp949(data: bytes) -> str | None:
    """CP949 (EUC-KR and more); believed when most of what is not ASCII comes out as Hangul."""
    text = _decoded(data, "cp949")
    if text is None:
        return None
    beyond = sum(ord(character) > 127 for character in text)
    return text if beyond and len(HANGUL.findall(text)) / beyond > 0.6 else None


def _best_guess(data: bytes) -> str | None:
    import charset_normalizer

    best = charset_normalizer.from_bytes(data[: 2**18]).best()
    return data.decode(best.encoding, errors="replace") if best is not None else None
