"""Tools in the form that OpenAI's strict mode wants: all arguments required, nothing else allowed, optional means null.

What a server then sends, ``forms.parsing.shaped`` turns back: null for an optional argument is left out. No network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from state import JSON


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema for ``"strict": true``, or None where strict mode cannot say it (objects with free keys)."""
    try:
        strict: dict[str, Any] = _strict({"properties": {}, **schema})
    except _CannotBeStrict:
        return None
    return strict


class _CannotBeStrict(Exception):
    pass


def _strict(schema: JSON) -> Any:
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    is_object = schema.get("type") == "object" or "properties" in schema
    if is_object and (
        "properties" not in schema or schema.get("additionalProperties") or schema.get("patternProperties")
    ):
        raise _CannotBeStrict
    out = {
        key: value if key in ("enum", "const", "required", "default", "examples") else _strict(value)
        for key, value in schema.items()
        if key not in ("properties", "default")
    }
    if is_object:
        needed = set(schema.get("required", []))
        out["properties"] = {
            name: _strict(spec) if name in needed else _or_null(_strict(spec))
            for name, spec in schema.get("properties", {}).items()
        }
        out["required"] = list(out["properties"])
        out["additionalProperties"] = False
    return out


def _or_null(spec: dict[str, Any]) -> dict[str, Any]:
    kind = spec.get("type")
    if isinstance(kind, str) and kind != "null" and "enum" not in spec:
        return {**spec, "type": [kind, "null"]}
    return {"anyOf": [spec, {"type": "null"}]}
