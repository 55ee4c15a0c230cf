"""Pages of a list: how many rows, and a cursor that says where the page before ended.

A cursor is the key of the last row, and of which question and person it is a page; with another one it is refused. It
opens nothing that its bearer may not see without it, so it is not signed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query, Request
from pydantic import AfterValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from dojang.server.access.callers import caller_of
from dojang.server.models import Model
from state import UserError, person_of

Row = TypeVar("Row")


class Page(Model, Generic[Row]):
    """Some rows, and the cursor of the next page; empty on the last one."""

    items: list[Row]
    next: str = Field("", description="send it as `cursor` for the next page; empty: this was the last one")


def seen(text: str) -> str:
    """Refuse what no eye sees: NUL and other control characters, lone surrogates."""
    if any((ord(c) < 32 and c not in "\t\n\r") or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in text):
        raise ValueError("holds a control character; leave it out")
    return text


def utf8(text: str) -> str:
    """Refuse lone surrogates, which no file of ours can hold."""
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        raise ValueError("is not valid Unicode")
    return text


class Visible:
    """Says in the document what ``seen`` refuses."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema, with the pattern."""
        return {**handler(core), "pattern": r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"}


Word = Annotated[str, AfterValidator(seen), Visible()]
Limit = Annotated[int, Query(ge=1, le=1000, description="at most so many")]
Cursor = Annotated[str, Query(max_length=4096, description="of the page before: its `next`")]


def question_of(request: Request) -> str:
    """What is asked, and by whom, whatever page of it."""
    asked = sorted((k, v) for k, v in request.query_params.multi_items() if k not in ("cursor", "limit"))
    told = json.dumps([request.url.path, asked, person_of(caller_of(request).name)], ensure_ascii=False)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def cursor_of(request: Request, key: Sequence[str | int]) -> str:
    """The cursor of what comes after a row with this key."""
    told = json.dumps([question_of(request), *key], ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def key_of(request: Request, cursor: str, *kinds: type) -> list[Any] | None:
    """The key in a cursor, whose parts are of these kinds; None without one.

    Raises:
        UserError: it is no cursor, or one of another question or person.
    """
    if not cursor:
        return None
    try:
        told = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        told = None
    if not isinstance(told, list) or len(told) != 1 + len(kinds):
        raise UserError("the cursor is not one of ours; begin again without it")
    if told[0] != question_of(request):
        raise UserError("the cursor belongs to another question or person; begin again without it")
    if not all(type(part) is kind for part, kind in zip(told[1:], kinds, strict=True)):
        raise UserError("the cursor is not one of ours; begin again without it")
    return told[1:]


def page_of(
    request: Request, rows: Sequence[Any], limit: int, key: Callable[[Any], Sequence[str | int]]
) -> dict[str, Any]:
    """A page of ``limit`` rows out of one row more, where there is one."""
    more = len(rows) > limit
    return {"items": rows[:limit], "next": cursor_of(request, key(rows[limit - 1])) if more else ""}
