"""Values that JSONB would change are kept as they are: NUL and half a surrogate pair, large numbers, long texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from checkpoints.values.codec import StrictSerializer

SHORT: Final = 64
"""Longer texts are stored once a version and not in each checkpoint."""


@dataclass(frozen=True, slots=True)
class Boxed:
    """A value that the library would put into JSON beside the checkpoint, and that is stored whole instead."""

    value: Any


class BoxingSerializer(StrictSerializer):
    """The strict serializer, which knows boxes."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """UnknownType for anything that is not on the list."""
        return super().dumps_typed(obj.value if type(obj) is Boxed else obj)


def boxed(value: Any) -> Any:
    """A value that JSONB gives back as it was, as it is; else in a box, of which the serializer says if it may be."""
    kind = type(value)
    if value is None or kind is bool or (kind is int and -(2**63) <= value < 2**63):
        return value
    if kind is str and len(value) <= SHORT and "\0" not in value and value.isprintable():
        return value  # neither NUL nor half of a surrogate pair, which JSONB refuses
    return Boxed(value) if isinstance(value, (str, int, float)) else value
