"""A form from a tool's JSON Schema, and typed arguments back from what a browser posts.

An untouched field gives back the very value it was made from, whatever the form could show of it: an edit of one
argument never changes another. Whether the arguments are allowed is for the toolbox; this module only keeps types.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Literal

from dojang.server.clean import clean
from dojang.server.wording import Say
from state import JSON

Widget = Literal["text", "long", "integer", "number", "boolean", "date", "choice", "json"]
_MISSING: Final = object()
_LONG: Final = 80  # characters from which a text gets a box of several lines


@dataclass(frozen=True)
class Field:
    """One argument as a form control."""

    key: str  # the control's name: by position, because an argument's own name may hold anything
    name: str
    widget: Widget
    shown: str  # what the control holds at first
    value: Any  # what that stands for; _MISSING when the argument is absent
    required: bool
    about: str = ""
    options: list[str] = field(default_factory=list)
    minimum: str = ""
    maximum: str = ""
    max_length: str = ""


def fields_of(schema: Mapping[str, JSON], args: Mapping[str, JSON]) -> list[Field]:
    """Controls for every argument that the schema knows, in its order, and for any other that is there."""
    properties = schema.get("properties") or {}
    names = [*properties, *(name for name in args if name not in properties)]
    required = schema.get("required") or []
    return [
        _field(
            f"arg.{i}", name, _resolved(properties.get(name, {}), schema), args.get(name, _MISSING), name in required
        )
        for i, name in enumerate(names)
    ]


def text_field(args: Mapping[str, JSON]) -> list[Field]:
    """The one control of a review that is about words."""
    text = str(args.get("text", ""))
    return [Field(key="arg.0", name="text", widget="long", shown=clean(text), value=text, required=True)]


def typed(fields: list[Field], form: Mapping[str, str], say: Say) -> tuple[dict[str, JSON], list[str]]:
    """(the whole argument object, problems for a person). Empty optional controls leave their argument out."""
    args: dict[str, JSON] = {}
    problems: list[str] = []
    for control in fields:
        posted = form.get(control.key)
        if posted is None:
            problems.append(say("%(name)s did not arrive; open the page again", name=control.name).unescape())
            continue
        value = control.value if clean(posted) == control.shown else _MISSING
        if value is _MISSING and posted.strip():
            try:
                value = _read(control, posted)
            except ValueError:
                problems.append(_complaint(control, posted, say))
                continue
        if value is not _MISSING:
            args[control.name] = value
        elif control.required:
            problems.append(say("%(name)s must not be empty", name=control.name).unescape())
    return args, problems


def with_posted(fields: list[Field], form: Mapping[str, str]) -> list[Field]:
    """The same controls, holding what was typed: after a mistake nothing has to be typed twice."""
    return [Field(**{**c.__dict__, "shown": clean(form.get(c.key, c.shown))}) for c in fields]


def _read(control: Field, posted: str) -> JSON:
    text = posted.replace("\r\n", "\n")
    if control.widget == "integer":
        return int(_plain_number(text))
    if control.widget == "number":
        number = float(_plain_number(text))
        if not math.isfinite(number):
            raise ValueError(text)
        return int(number) if re.fullmatch(r"[+-]?\d+", _plain_number(text)) else number
    if control.widget == "boolean":
        return {"true": True, "false": False}[text] if text in ("true", "false") else _fail(text)
    if control.widget == "json":
        return json.loads(text, parse_constant=_fail)
    if control.widget == "date":
        return date.fromisoformat(text.strip()).isoformat()
    if control.widget == "choice":
        return json.loads(text) if text in control.options else _fail(text)
    return text


def _fail(text: str) -> Any:
    raise ValueError(text)


def _plain_number(text: str) -> str:
    """``180,000`` is how people write it; a group of other than three digits is no such number."""
    stripped = text.strip()
    return stripped.replace(",", "") if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", stripped) else stripped


def _complaint(control: Field, posted: str, say: Say) -> str:
    wanted = {
        "integer": say("a whole number"),
        "number": say("a number"),
        "boolean": say("true or false"),
        "date": say("a date such as 2026-03-06"),
        "choice": say("one of the choices"),
        "json": say("JSON"),
    }.get(control.widget, say("text"))
    return say(
        "%(name)s must be %(wanted)s, not “%(given)s”", name=control.name, wanted=wanted, given=posted[:80]
    ).unescape()


def _resolved(schema: Mapping[str, JSON], root: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Follow one ``$ref`` into ``$defs``, and the one branch of an ``anyOf`` that is not null."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if name and name in (root.get("$defs") or {}):
        return _resolved({**root["$defs"][name], **{k: v for k, v in schema.items() if k != "$ref"}}, root)
    real = [s for s in schema.get("anyOf") or [] if s.get("type") != "null"]
    return _resolved({**schema, "anyOf": None, **real[0]}, root) if len(real) == 1 else schema


def _field(key: str, name: str, schema: Mapping[str, JSON], value: Any, required: bool) -> Field:
    widget = _widget(schema, value)
    options = [json.dumps(option, ensure_ascii=False) for option in schema.get("enum") or []]
    shown = "" if value is _MISSING else _shown(widget, value)
    if widget == "choice" and shown and shown not in options:
        options = [shown, *options]
    return Field(
        key=key,
        name=name,
        widget=widget,
        shown=shown,
        value=value,
        required=required,
        about=str(schema.get("description", "")),
        options=options,
        minimum=str(schema.get("minimum", "")),
        maximum=str(schema.get("maximum", "")),
        max_length=str(schema.get("maxLength", "")),
    )


def _widget(schema: Mapping[str, JSON], value: Any) -> Widget:
    """The control that can hold both what the schema wants and what is there; JSON where no other can."""
    given: object = schema.get("type")
    absent = value is _MISSING
    whole = isinstance(value, int) and not isinstance(value, bool)
    if schema.get("enum"):
        return "choice"
    if given == "integer" and (absent or whole):
        return "integer"
    if given == "number" and (absent or whole or isinstance(value, float)):
        return "number"
    if given == "boolean" and (absent or isinstance(value, bool)):
        return "boolean"
    if given == "string" and (absent or isinstance(value, str)):
        return _text_widget(schema, value)
    return "json"


def _text_widget(schema: Mapping[str, JSON], value: Any) -> Widget:
    if schema.get("format") == "date" and (value is _MISSING or _is_date(value)):
        return "date"
    long = schema.get("maxLength", 0) > 200 or (value is not _MISSING and (len(value) > _LONG or "\n" in value))
    return "long" if long else "text"


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _shown(widget: Widget, value: Any) -> str:
    if widget in ("text", "long", "date"):
        return clean(value)
    return clean(json.dumps(value, ensure_ascii=False, indent=2 if widget == "json" else None))
