"""Content of a message as clients send it: text, and files with their bytes, in the forms that LangChain has had.

Addresses are not fetched: a server that loads what somebody names reaches places that they cannot.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from dojang.attachments import Given
from state import UserError

_DATA: Final = re.compile(r"data:([\w.+/-]*)(?:;[\w=.+-]+)*;base64,", re.ASCII)
_FILES: Final = ("image", "file", "image_url", "input_file", "input_image")


class BadBlock(UserError):
    """A block of a message that is not taken; the message says why."""


def text_and_files(content: list[Any]) -> tuple[str, list[Given]]:
    """The words of a list of blocks, and the files among them, in order."""
    texts: list[str] = []
    files: list[Given] = []
    for block in content:
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif kind in _FILES:
            files.append(_file(block, len(files) + 1))
        else:
            raise BadBlock("input.messages: only text, images and PDFs can be read; send them as blocks of these types")
    return "\n".join(texts), files


def _file(block: Mapping[str, Any], number: int) -> Given:
    inner = block.get("file") if isinstance(block.get("file"), Mapping) else block
    assert isinstance(inner, Mapping)
    body = _body(block, inner)
    name = next((found for where in _places(block, inner) if (found := where)), "")
    return name or f"file {number}", body


def _body(block: Mapping[str, Any], inner: Mapping[str, Any]) -> bytes:
    address = block.get("image_url")
    address = address.get("url") if isinstance(address, Mapping) else address
    source = block.get("source") if isinstance(block.get("source"), Mapping) else {}
    assert isinstance(source, Mapping)
    for given in (address, inner.get("file_data"), block.get("base64"), block.get("data"), source.get("data")):
        if isinstance(given, str) and given:
            return _decoded(given)
    raise BadBlock("input.messages: a file is sent with its bytes, as base64; addresses are not fetched")


def _decoded(given: str) -> bytes:
    found = _DATA.match(given)
    if found is None and "://" in given[:40]:
        raise BadBlock("input.messages: a file is sent with its bytes, as base64; addresses are not fetched")
    try:
        return base64.b64decode(given[found.end() :] if found else given, validate=True)
    except (binascii.Error, ValueError):
        raise BadBlock("input.messages: the bytes of a file are no base64; send them anew") from None


def _places(block: Mapping[str, Any], inner: Mapping[str, Any]) -> list[str]:
    """Where a name may stand."""
    found = [inner.get("filename"), inner.get("name"), block.get("title")]
    for key in ("metadata", "extras"):
        more = block.get(key)
        if isinstance(more, Mapping):
            found += [more.get("filename"), more.get("name")]
    return [name for name in found if isinstance(name, str)]
