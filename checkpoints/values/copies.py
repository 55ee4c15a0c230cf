"""What a saver remembers of a list: frozen copies of its items, to recognise it, to extend it and to hand it out again.

Most items are messages of texts alone. Their fields are kept as a dict of their own and compared by ``==``, which
runs in C and stops at identical texts, so that a thousand unchanged messages cost a fraction of a millisecond. It is
by content all the same: a message that was changed in place is noticed. Because ``==`` takes 1, 1.0 and True for one
value, messages of more than texts are compared as JSON too, and everything else frozen (``codec.freeze``).
"""

from __future__ import annotations

from itertools import compress
from operator import attrgetter
from typing import Any, cast

from langchain_core.messages import BaseMessage

from checkpoints.values.codec import freeze, thaw
from checkpoints.values.lending import LEND_MIN, LENDS, LOANS_MAX, Loan, parts_of
from checkpoints.values.messages import MESSAGE_TAGS, Fields, Made, build, rest_of, shot_of

_fields = attrgetter("__dict__")
_extra = attrgetter("__pydantic_extra__")


class Items:
    """Frozen copies of a list's items. Never changed once made: ``after`` makes a longer one."""

    __slots__ = ("_kinds", "_loans", "_messages", "_rests", "_shots", "_texts")

    def __init__(self, value: list[Any]) -> None:
        self._kinds: list[type] = list(map(type, value))
        self._messages = all(map(MESSAGE_TAGS.__contains__, self._kinds))
        self._shots: list[Fields | None] = []  # fields of each message
        self._texts: list[bytes | None] = []  # frozen form, None for a message of texts alone
        self._rests: list[bytes | None] = []  # of a message of more than texts, its fields but ``content`` as JSON
        self._loans: list[Loan] = []  # of the first so many items; the one that was handed out last comes last
        for item, kind in zip(value, self._kinds, strict=True):
            shot = shot_of(item) if kind in MESSAGE_TAGS else None
            frozen = None
            if shot is None:
                frozen = freeze(item)
                shot = cast(Fields, thaw(frozen).__dict__) if kind in MESSAGE_TAGS else None
            self._shots.append(shot)
            self._texts.append(frozen)
            self._rests.append(_rest(item) if frozen is not None and kind in MESSAGE_TAGS else None)

    def __len__(self) -> int:
        return len(self._kinds)

    def after(self, old: Items, keep: int) -> Items:
        """The first ``keep`` items of ``old`` and then these."""
        made = Items.__new__(Items)
        made._kinds = old._kinds[:keep] + self._kinds
        made._shots = old._shots[:keep] + self._shots
        made._texts = old._texts[:keep] + self._texts
        made._rests = old._rests[:keep] + self._rests
        made._messages = old._messages and self._messages
        made._loans = [loan for loan in old._loans if len(loan) <= keep]
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
        rests = self._rests[:n]
        if any(rests):
            try:
                if rest_of(compress(head, rests)) != b"[" + b",".join(filter(None, rests)) + b"]":
                    return False
            except (KeyError, TypeError):
                return False
        for i in compress(range(n), texts):
            if rests[i] is None and freeze(head[i]) != texts[i]:
                return False
        return all(texts[i] is not None and rests[i] is None for i in compress(range(n), map(_extra, head)))

    def _equal(self, i: int, item: Any) -> bool:
        """Whether an item of the right type is equal to the ``i``-th."""
        if (frozen := self._texts[i]) is not None:
            return freeze(item) == frozen
        return bool(item.__dict__ == self._shots[i]) and not item.__pydantic_extra__

    def fresh(self) -> list[Any]:
        """A copy of the list that shares nothing that can be changed with anybody."""
        if not self._messages:
            return self._made(0)[0]
        for loan in self._loans:
            n = len(loan)
            if n <= len(self) and loan.is_back() and self._is(loan.messages):
                break
        else:
            loan = Loan()
        given, made = self._made(len(loan))
        given[:0] = loan.messages
        if LENDS and made is not None and len(given) >= LEND_MIN:
            loan.extend(made)
            self._loans = [*(other for other in self._loans if other is not loan), loan][-LOANS_MAX:]
        return given

    def _is(self, messages: list[Any]) -> bool:
        """Whether the items begin with these."""
        return list(map(type, messages)) == self._kinds[: len(messages)] and self._same(messages, len(messages))

    def _made(self, start: int) -> tuple[list[Any], Made | None]:
        """Fresh items from ``start`` on; and if all are messages that can be lent, what there is of them."""
        kinds, shots, texts = self._kinds[start:], cast("list[Fields]", self._shots[start:]), self._texts[start:]
        if not any(texts):
            made = build(kinds, shots)
            return list(made.messages), made
        simple = [text is None for text in texts]
        made = build(list(compress(kinds, simple)), list(compress(shots, simple)))
        fresh = iter(made.messages)
        given = [next(fresh) if text is None else thaw(text) for text in texts]
        if not self._messages or not all(text is None or text.startswith(b"M") for text in texts):
            return given, None
        fields = list(map(_fields, given))
        for message in compress(given, texts):  # of more than texts
            made.parts.extend(parts_of(message.__dict__))
            made.parts.extend(parts_of(message.__pydantic_extra__))
            made.extras.append(_extra(message))
        return given, Made(given, fields, made.parts, made.extras)


def _rest(message: BaseMessage) -> bytes | None:
    """What tells a message from equal ones, beside ``==`` of its fields; None where only the frozen form does."""
    if message.__pydantic_extra__ or type(message.content) is not str:
        return None
    try:
        return rest_of([message])[1:-1]
    except (KeyError, TypeError):
        return None
