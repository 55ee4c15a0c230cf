"""The canonical JSON of RFC 8785, fast: what a signature or a digest is of.

The library is pure Python, and a decision canonicalises a dozen objects. What is plain (texts and whole numbers) takes
the way of ``orjson`` with sorted keys, which gives the same bytes; everything else goes to the library.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
import rfc8785

_MOST: Final = 2**53 - 1
"""The whole numbers that RFC 8785 takes go up to here."""
_DEEP: Final = 100


def canonical(value: Any) -> bytes:
    """Raises rfc8785.CanonicalizationError for what has no canonical form."""
    if _plain(value, _DEEP):
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:  # half a character: the library says so in its own words
            pass
    return bytes(rfc8785.dumps(value))


def _plain(value: Any, deep: int) -> bool:
    """Whether both write it alike. Keys in ASCII only: beyond, RFC 8785 sorts by UTF-16, and orjson by UTF-8."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-_MOST <= value <= _MOST)
    if kind is dict and deep:
        return all(type(key) is str and key.isascii() and _plain(item, deep - 1) for key, item in value.items())
    return kind is list and deep > 0 and all(_plain(item, deep - 1) for item in value)
