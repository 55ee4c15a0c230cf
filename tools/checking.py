"""Arguments meet their schema: read what can be read in one way, refuse the rest with a line that says how to write it.

The same arguments checked twice give the same result, so what a person approved is what the tool receives.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Any, TypedDict

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from state import JSON, ToolSpec, composed
from tools import amounts, dates
from tools.effects import Declaration

NEAREST_SHOWN = 40
FORBIDDEN_CATEGORIES = ("Cs", "Cc")  # half characters and control characters: no database or file takes them
ALLOWED_CONTROLS = "\n\t"


class Checked(TypedDict):
    """Arguments after they met the tool's schema (equal in shape to the port's)."""

    args: dict[str, JSON]
    missing: list[str]
    problems: list[str]
    unclear: list[str]  # arguments among the problems whose words a person can say again: a date with two readings


class Unfit(ValueError):
    """A value that cannot be read; ``str(e)`` is a whole line without the argument's name."""


class Unclear(Unfit):
    """Words for a date or a number that mean nothing certain; whoever said them can say them again."""


def check_args(spec: ToolSpec, declared: Declaration, given: Mapping[str, JSON], today: date) -> Checked:
    """Coerce, complete with defaults, and validate. Never raises for anything that JSON can say."""
    properties: dict[str, Any] = spec["parameters"]["properties"]
    problems = [
        f"{_shown(name)}: no such argument of {spec['name']}; it takes {', '.join(properties) or 'none'}"
        for name in given
        if name not in properties
    ]
    args: dict[str, JSON] = {name: value for name, value in given.items() if name not in properties}
    broken: set[str] = set()
    unclear: list[str] = []
    for name in sorted(properties, key=lambda n: n in declared.after):  # a date that follows another one comes second
        value = _trimmed(given.get(name))
        if value is None or (value == "" and not _valid("", properties[name])):
            continue  # models write an empty text for "not given"; where the schema takes one, it is a value
        try:
            args[name] = _coerced(
                value, properties[name], declared.synonyms.get(name, {}), today, _before(declared, name, args)
            )
        except Unfit as error:
            args[name] = value
            problems.append(f"{name}: {error}")
            broken.add(name)
            unclear += [name] if isinstance(error, Unclear) else []
    problems += [
        f"{name}: must be later than {earlier} ({args[earlier]}), not {args[name]}: give a later date"
        for name, earlier in declared.after.items()
        if name not in broken and _is_early(_day(args.get(name)), _before(declared, name, args))
    ]
    missing = [name for name in spec["parameters"]["required"] if name not in args]
    for name, schema in properties.items():
        default = schema.get("default") if isinstance(schema, dict) else None
        if name not in args and default is not None and _valid(default, schema):
            args[name] = default
    known = {name: value for name, value in args.items() if name in properties and name not in broken}
    problems += _violations(spec, known)
    ordered = {name: args[name] for name in (*properties, *args) if name in args}
    return Checked(args=ordered, missing=missing, problems=problems, unclear=unclear)


def violations(spec: ToolSpec, args: Mapping[str, JSON]) -> list[str]:
    """What the schema says against these arguments as they stand, nothing coerced; absent ones included."""
    absent = [f"{name}: is required" for name in spec["parameters"]["required"] if name not in args]
    strange = [f"{_shown(name)}: no such argument" for name in args if name not in spec["parameters"]["properties"]]
    return absent + strange + _violations(spec, args)


def _violations(spec: ToolSpec, args: Mapping[str, JSON]) -> list[str]:
    lines = []
    for name, schema in spec["parameters"]["properties"].items():
        if name in args:
            lines += [f"{name}: {line}" for line in _errors(args[name], schema)]
    return lines


def _errors(value: JSON, schema: Any) -> list[str]:
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER, registry=Registry())
    try:
        return [_sentence(error) for error in validator.iter_errors(value)]
    except Unresolvable as error:  # a reference to elsewhere is not fetched
        return [f"its schema refers to {_shown(error.ref)}, which is not here"]


def _valid(value: JSON, schema: Any) -> bool:
    return not _errors(value, schema)


def _sentence(error: ValidationError) -> str:
    where = "".join(f"[{part!r}]" for part in error.absolute_path)
    text = error.message if len(error.message) <= 200 else f"does not satisfy {error.validator}"
    return f"{where} {text}".strip()


def _before(declared: Declaration, name: str, args: Mapping[str, JSON]) -> date | None:
    return _day(args.get(declared.after.get(name, "")))


def _is_early(found: date | None, before: date | None) -> bool:
    return found is not None and before is not None and found <= before


def _day(value: JSON) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _trimmed(value: JSON) -> JSON:
    return composed(value).strip() if isinstance(value, str) else value


def _coerced(value: JSON, schema: Any, synonyms: Mapping[str, str], today: date, after: date | None) -> JSON:
    _refuse_unwritable(value)
    if not isinstance(schema, dict):
        return value
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list):
            return _first_fitting(value, schema[key], synonyms, today, after)
    if isinstance(schema.get("enum"), list):
        return _choice(value, schema["enum"], synonyms)
    kind = schema.get("type")
    if isinstance(value, str) and kind != "string":
        return _from_text(value, kind)
    if isinstance(value, str):
        return _date(value, today, after) if schema.get("format") == "date" else value
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list) and "items" in schema:
        return [_coerced(_trimmed(item), schema["items"], {}, today, None) for item in value]
    if isinstance(value, dict) and isinstance(schema.get("properties"), dict):
        inner = schema["properties"]
        return {k: _coerced(_trimmed(v), inner.get(k, True), {}, today, None) for k, v in value.items()}
    return value


def _first_fitting(
    value: JSON, options: list[Any], synonyms: Mapping[str, str], today: date, after: date | None
) -> JSON:
    if any(_valid(value, option) for option in options):
        return value
    for option in options:
        try:
            candidate = _coerced(value, option, synonyms, today, after)
        except Unfit:
            continue
        if _valid(candidate, option):
            return candidate
    return value  # the schema then says what is wrong


def _choice(value: JSON, choices: list[JSON], synonyms: Mapping[str, str]) -> JSON:
    if not isinstance(value, str) or value in choices:
        return value
    folded = _folded(value)
    for choice in choices:
        if isinstance(choice, str) and _folded(choice) == folded:
            return choice
    for word, meant in synonyms.items():
        if _folded(word) == folded:
            return meant
    raise Unfit(f'"{_within(value)}" is none of {", ".join(map(str, choices))}')


def _folded(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _from_text(value: str, kind: JSON) -> JSON:
    if kind in ("integer", "number"):
        try:
            number = amounts.read_number(value)
        except amounts.Unreadable as error:
            raise Unclear(f'"{_within(value)}" {error}: write digits, like 2') from error
        if number == number.to_integral_value():
            return int(number)
        if kind == "integer":
            raise Unclear(f'"{_within(value)}" is no whole number')
        return float(number)
    if kind == "boolean" and value.casefold() in ("true", "false"):
        return value.casefold() == "true"
    return value


def _date(value: str, today: date, after: date | None) -> str:
    try:
        return dates.read_date(value, today=today, after=after).isoformat()
    except dates.Unreadable as error:
        raise Unclear(f'"{_within(value)}" {error}: write the date like 2026-12-03') from error


def _refuse_unwritable(value: JSON) -> None:
    if isinstance(value, str):
        for char in value:
            if unicodedata.category(char) in FORBIDDEN_CATEGORIES and char not in ALLOWED_CONTROLS:
                raise Unfit(f'"{_within(value)}" holds U+{ord(char):04X}, which cannot be stored: leave it out')
    elif isinstance(value, float) and not math.isfinite(value):
        raise Unfit(f"{value} is no number")
    elif isinstance(value, int) and abs(value) > amounts.LARGEST:
        raise Unfit("is too large")
    elif isinstance(value, list):
        for item in value:
            _refuse_unwritable(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_unwritable(key)
            _refuse_unwritable(item)


def _shown(value: object) -> str:
    return f'"{_within(value)}"'


def _within(value: object) -> str:
    """What stands between the quotation marks, which a message has itself: there a reader's language finds its end."""
    text = json.dumps(str(value), ensure_ascii=False).encode("utf-8", "replace").decode()[1:-1].replace('\\"', "”")
    return text if len(text) <= NEAREST_SHOWN - 2 else text[: NEAREST_SHOWN - 2] + "…"
