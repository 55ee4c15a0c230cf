"""A tool's arguments as a small JSON Schema, and the version that changes whenever it does.

Pydantic writes titles, ``null`` alternatives and ``$ref`` where a model and a person need none: here they are taken
out, so that an optional argument is simply one that is not required.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import rfc8785
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from state import JSON, UserError

VERSION_HEX = 16
SYNONYMS = "x-synonyms"
"""Where the schema of an argument has other words for its choices, as their tool declares them."""


def parameters_of(tool: BaseTool) -> dict[str, JSON]:
    """The JSON Schema (type object) of the arguments that a model may give.

    Raises:
        UserError: when the tool's own schema is no valid JSON Schema.
    """
    given = tool.tool_call_schema
    if isinstance(given, dict):
        raw: dict[str, Any] = given
    elif issubclass(given, BaseModel):
        raw = given.model_json_schema()
    else:
        raise UserError(f"tool {tool.name!r} describes its arguments with pydantic 1; use pydantic 2")
    try:
        _check(json.dumps(raw))
    except (SchemaError, TypeError) as error:
        found = error.message if isinstance(error, SchemaError) else error
        raise UserError(f"tool {tool.name!r} has an invalid argument schema ({found}); mend the tool") from error
    simple: dict[str, JSON] = _simplified(raw, raw.get("$defs", {}))
    for noise in ("description", "$defs"):
        simple.pop(noise, None)
    return {
        **simple,
        "type": "object",
        "properties": simple.get("properties", {}),
        "required": simple.get("required", []),
        "additionalProperties": False,
    }


@lru_cache(maxsize=1024)
def _check(schema: str) -> None:
    """Raise SchemaError where ``schema`` (JSON) is none. What passed is kept: the check takes milliseconds a tool.

    A process offers the same tools again and again: a server lists them anew, a workspace is opened anew.
    """
    Draft202012Validator.check_schema(json.loads(schema))


def schema_version(name: str, parameters: dict[str, JSON]) -> str:
    """First 16 hex digits of SHA-256 over the RFC 8785 form of ``{name, parameters}``."""
    return hashlib.sha256(rfc8785.dumps({"name": name, "parameters": parameters})).hexdigest()[:VERSION_HEX]


def choices_of(parameters: dict[str, JSON], name: str) -> list[JSON]:
    """The values that an argument may be chosen from; none where it is open, or where there is no such argument."""
    properties: Any = parameters["properties"]
    spec = properties.get(name)
    options = [spec, *spec.get("anyOf", ()), *spec.get("oneOf", ())] if isinstance(spec, dict) else []
    return [
        choice
        for option in options
        if isinstance(option, dict)
        for choice in (*option.get("enum", ()), *([option["const"]] if "const" in option else ()))
    ]


def with_synonyms(parameters: dict[str, JSON], synonyms: Mapping[str, Mapping[str, str]]) -> dict[str, JSON]:
    """The same, arguments marked with other words for their choices.

    They say how a tool is asked for, not what it does: its version is that of the schema without them.
    """
    properties = parameters["properties"]
    assert isinstance(properties, dict)
    marked = {
        name: {**spec, SYNONYMS: dict(synonyms[name])} if name in synonyms and isinstance(spec, dict) else spec
        for name, spec in properties.items()
    }
    return {**parameters, "properties": marked}


def _simplified(schema: Any, defs: dict[str, Any], depth: int = 0) -> Any:
    """The same schema with definitions in place, without ``or null`` defaults and titles, but those of choices."""
    if not isinstance(schema, dict) or depth > 16:  # a recursive definition stays a reference that never validates
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.removeprefix("#/$defs/") in defs:
        schema = {**defs[reference.removeprefix("#/$defs/")], **{k: v for k, v in schema.items() if k != "$ref"}}
    out = {k: v for k, v in schema.items() if not (k == "title" and isinstance(v, str))}
    if isinstance(out.get("properties"), dict):
        out["properties"] = {name: _simplified(sub, defs, depth + 1) for name, sub in out["properties"].items()}
    if "items" in out:
        out["items"] = _simplified(out["items"], defs, depth + 1)
    for key in ("anyOf", "oneOf"):
        if isinstance(out.get(key), list):
            out[key] = [_titled(option, _simplified(option, defs, depth + 1)) for option in out[key]]
    return _without_null(out)


def _titled(option: Any, simple: Any) -> Any:
    """A choice with its title, by which people name it: ``{"const": "express", "title": "빠른 배송"}``."""
    named = isinstance(option, dict) and "const" in option and isinstance(option.get("title"), str)
    return {**simple, "title": option["title"]} if named else simple


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    options = schema.get("anyOf")
    if "default" in schema and schema["default"] is None and isinstance(options, list):
        kept = [option for option in options if option != {"type": "null"}]
        rest = {k: v for k, v in schema.items() if k not in ("anyOf", "default")}
        return {**kept[0], **rest} if len(kept) == 1 else {**rest, "anyOf": kept}
    return schema
