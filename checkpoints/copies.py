"""What a saver remembers of a list: frozen copies of its items, to recognise it, to extend it and to hand it out again.

Most items are messages of texts alone. Their fields are kept as a dict of their own and compared by ``==``, which
runs in C and stops at identical texts, so that a thousand unchanged messages cost a fraction of a millisecond. It is
by content all the same: a message that was changed in place is noticed. Everything else is compared frozen
(``codec.freeze``), because ``==`` takes 1, 1.0 and True for one value.
"""

from __future__ import annotations

from itertools import compress
from operator import attrgetter
from typing import Any, cast

from langchain_core.messages import BaseMessage

from checkpoints.codec import FACTORIES, FIELDS, MESSAGE_TAGS, freeze, thaw

_fields = attrgetter("__dict__")
_extra = attrgetter("__pydantic_extra__")
_set = object.__setattr__
_EMPTY: dict[type, Any] = {dict: {}, list: []}
"""Shared by all remembered fields; never handed out."""

_PARTS = {cls: (dict(FACTORIES[tag]), FIELDS[tag]) for cls, tag in MESSAGE_TAGS.items()}


class Items:
    """Frozen copies of a list's items. Never changed once made: ``after`` makes a longer one."""

    __slots__ = ("_kinds", "_messages", "_shots", "_texts")

    def __init__(self, value: list[Any]) -> None:
        self._kinds: list[type] = list(map(type, value))
        self._messages = all(map(MESSAGE_TAGS.__contains__, self._kinds))
        self._shots: list[dict[str, Any] | None] = []  # fields of each message
        self._texts: list[bytes | None] = []  # frozen form, None for a message of texts alone
        for item, kind in zip(value, self._kinds, strict=True):
            shot = _shot(item) if kind in _PARTS else None
            frozen = None
            if shot is None:
                frozen = freeze(item)
                shot = thaw(frozen).__dict__ if kind in _PARTS else None
            self._shots.append(shot)
            self._texts.append(frozen)

    def __len__(self) -> int:
        return len(self._kinds)

    def after(self, old: Items, keep: int) -> Items:
        """The first ``keep`` items of ``old`` and then these."""
        made = Items.__new__(Items)
        made._kinds = old._kinds[:keep] + self._kinds
        made._shots = old._shots[:keep] + self._shots
        made._texts = old._texts[:keep] + self._texts
        made._messages = old._messages and self._messages
        return made

    def prefix(self, value: list[Any]) -> int:
        """How many items from the start are equal to those of ``value``."""
        n = min(len(self), len(value))
        head, kinds = value[:n], self._kinds[:n]
        if list(map(type, head)) == kinds and self._same(head, n):
            return n
        for i in range(n):
            if type(value[i]) is not kinds[i] or not self._equal(i, value[i]):
                return i
        return n

    def _same(self, head: list[Any], n: int) -> bool:
        """Whether the first ``n`` items, of the right types, are equal: all at once."""
        if not self._messages:
            return all(map(self._equal, range(n), head))
        if list(map(_fields, head)) != self._shots[:n]:
            return False
        texts = self._texts[:n]
        if not any(texts):
            return not any(map(_extra, head))
        for i in compress(range(n), texts):
            if freeze(head[i]) != texts[i]:
                return False
        return all(texts[i] is not None for i in compress(range(n), map(_extra, head)))

    def _equal(self, i: int, item: Any) -> bool:
        """Whether an item of the right type is equal to the ``i``-th."""
        if (frozen := self._texts[i]) is not None:
            return freeze(item) == frozen
        return bool(item.__dict__ == self._shots[i]) and not item.__pydantic_extra__

    def fresh(self) -> list[Any]:
        """A fresh copy of the list, which shares nothing that can be changed."""
        made: list[Any] = []
        for kind, shot, frozen in zip(self._kinds, self._shots, self._texts, strict=True):
            made.append(thaw(frozen) if frozen is not None else _message(kind, cast("dict[str, Any]", shot)))
        return made


def _shot(message: BaseMessage) -> dict[str, Any] | None:
    """A message's fields if they are texts, None and empty containers where its class has such; else None."""
    containers, names = _PARTS[type(message)]
    fields = message.__dict__
    if message.__pydantic_extra__ or len(fields) != len(names):
        return None
    shot = {}
    for name, value in fields.items():
        kind = type(value)
        if kind is str or value is None:
            if name in containers:
                return None
            shot[name] = value
        elif not value and containers.get(name) is kind:
            shot[name] = _EMPTY[kind]
        else:
            return None
    return shot if names.issuperset(shot) else None


def _message(kind: Any, shot: dict[str, Any]) -> Any:
    containers, names = _PARTS[kind]
    fields = shot.copy()
    for name, make in containers.items():
        fields[name] = make()
    message = kind.__new__(kind)
    _set(message, "__dict__", fields)
    _set(message, "__pydantic_fields_set__", names)
    _set(message, "__pydantic_extra__", {})
    _set(message, "__pydantic_private__", None)
    return message
