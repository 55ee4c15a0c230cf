"""Reads what a model wrote when nothing constrained it: a tool call in one of the usual shapes, or text.

Tolerant of form, closed to meaning. Read are: the first JSON object that looks like a call, with ``parameters`` or
``arguments`` (an object, or a string that holds one, encoded once or twice), inside code fences or after Llama's python
tag, and after that tag also ``tool.call(a="b")``. What a model thinks between ``<think>`` and ``</think>`` is neither a
call nor an answer. But a name that was not offered is refused, and so is what looks like a call and cannot be read (an
offered name before brackets, in a tag, or as a name, in whatever form), gives a value twice, or has other arguments
than the tool's schema: none of it is passed on as an answer.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from adapters.errors import UnreadableReply
from state import JSON

PYTHON_TAG: Final = "<|python_tag|>"
_ENCODED: Final = 3
_FENCE = re.compile(r"^\s*```[a-zA-Z_]*[ \t]*\n?|\n?\s*```\s*$")
_LOOKS_LIKE_CALL = re.compile(r'\{\s*"(name|function|tool|tool_name|type|id|parameters|arguments)"\s*:')
_SPECIALS = re.compile(r"<\|(?:eot_id|eom_id|end_of_text|begin_of_text)\|>")
_THOUGHT = re.compile(
    r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)|\A(?:(?!<think).)*</think(?:ing)?>", re.S | re.I
)
_BETWEEN_CALLS = re.compile(r"[\s,;]*")
_KEYS: Final = ("parameters", "arguments", "args", "input")


class Call(NamedTuple):
    """A tool call as the model wrote it; the values of the arguments are not yet checked."""

    name: str
    args: dict[str, JSON]


def parse_reply(text: str, offered: Collection[str]) -> Call | str:
    """The call that ``text`` holds, or the text itself.

    Raises:
        UnreadableReply: A call of a tool that was not offered, or an object that begins like a call and cannot be read.
    """
    body = _SPECIALS.sub("", unthought(text)).strip()
    tagged = PYTHON_TAG in body
    body = body.rpartition(PYTHON_TAG)[2].strip() if tagged else body
    body = _FENCE.sub("", body).strip()
    match = _LOOKS_LIKE_CALL.search(body)
    if match is None and tagged:
        return _python_call(body, offered)
    while match is not None:
        value, end = _first_object(body, match.start())
        if _is_call(value):
            return _read(value, body, offered)
        if tagged:
            raise UnreadableReply(f"the model began a tool call without a tool's name: {short(body)}")
        match = _LOOKS_LIKE_CALL.search(body, end)
    if offered and (other := _in_other_form(offered).search(body)):
        raise UnreadableReply(f"the model wrote a tool call in a form that is not read: {short(body[other.start() :])}")
    return body


def parse_replies(text: str, offered: Collection[str]) -> list[Call] | str:
    """All the calls of a reply that consists of calls, or its text; for replies that a grammar made."""
    at, found = 0, []
    body = text.strip()
    if not _LOOKS_LIKE_CALL.match(body):
        return body
    while at < len(body):
        value, at = _first_object(body, at)
        found.append(_read(value, body, offered))
        rest = _BETWEEN_CALLS.match(body, at)
        at = rest.end() if rest else at
    return found


def without_calls(text: str, offered: Collection[str] = ()) -> str:
    """The words before what looks like a call: what is left where the call cannot be read."""
    body = _SPECIALS.sub("", unthought(text)).partition(PYTHON_TAG)[0]
    forms = [_LOOKS_LIKE_CALL, *([_in_other_form(offered)] if offered else [])]
    end = min((match.start() for form in forms if (match := form.search(body))), default=len(body))
    return re.sub(r"```[a-zA-Z_]*\s*$", "", body[:end]).strip()


def unthought(text: str) -> str:
    """The reply without what its model thought aloud first; a thought that does not end is all there is."""
    return _THOUGHT.sub("", text).strip() if "think" in text or "reason" in text or "thought" in text else text


def _in_other_form(offered: Collection[str]) -> re.Pattern[str]:
    """What can only be meant as a call of an offered tool, though it is in no form that is read here."""
    names = "|".join(re.escape(name) for name in sorted(offered))
    return re.compile(
        rf"""\[TOOL_CALLS\] | </?(?:function|invoke|tool|call)[^<>]{{0,40}}\b(?:{names})\b
        | (?<![\w.])(?:functions\.)?(?:{names})\s{{0,3}}(?:\[ARGS\]\s{{0,3}})?\{{
        | (?<![\w.])(?:functions\.)?(?:{names})\((?=\s{{0,3}}(?:\w+\s{{0,3}}=|[{{"')]))
        | \b(?:action|name|tool|tool_name|function|recipient_name)["']?\s{{0,3}}[:=]\s{{0,3}}
          ["'`]?(?:functions\.)?(?:{names})\b""",
        re.X | re.I,
    )


def checked_name(name: str, offered: Collection[str]) -> str:
    """The name, if it was offered."""
    if name not in offered:
        known = ", ".join(sorted(offered)) or "none"
        raise UnreadableReply(f"the model called {name[:80]!r}, which was not offered (offered: {known}); ask again")
    return name


def arguments(value: JSON, name: str) -> dict[str, JSON]:
    """Arguments as an object; a string that holds one is read, also where it was encoded twice."""
    for _ in range(_ENCODED):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value or "{}", object_pairs_hook=_once)
        except _Twice as e:
            raise UnreadableReply(f"the arguments of {name!r} give {str(e)[:80]!r} twice; ask again") from None
        except (ValueError, RecursionError):
            raise UnreadableReply(f"the arguments of {name!r} are not JSON: {short(str(value))}; ask again") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableReply(f"the arguments of {name!r} are no object: {short(str(value))}; ask again")
    return value


def shaped(call: Call, schema: Mapping[str, Any]) -> Call:
    """The call with arguments of the shape that the tool's schema has.

    Numbers and truth values in quotes are read, null for an optional argument is left out. Whether a value is allowed
    and whether one is missing is decided elsewhere, where a person can be asked.

    Raises:
        UnreadableReply: An argument that the tool does not have, or one of another type.
    """
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    properties: Mapping[str, Any] = schema.get("properties", {})
    required = schema.get("required", [])
    args = {
        name: _scalar(value, properties.get(name, {}))
        for name, value in call.args.items()
        if not (value is None and name in properties and (name not in required or not _nullable(properties[name])))
    }
    strange = [name for name in args if name not in properties]
    if strange:
        known = ", ".join(properties) or "none"
        raise UnreadableReply(f"{call.name!r} has no argument {strange[0][:80]!r} (it takes: {known}); ask again")
    validator = Draft202012Validator(dict(schema), registry=Registry())
    try:
        wrong = [e for e in validator.iter_errors(args) if e.validator in ("type", "additionalProperties")]
    except Unresolvable:
        wrong = []  # a schema that refers elsewhere is refused by whoever runs the tool
    if wrong:
        where = "".join(f"[{part!r}]" for part in wrong[0].absolute_path)
        raise UnreadableReply(f"{call.name!r}{where}: {short(wrong[0].message)}; ask again")
    return Call(call.name, args)


class _Twice(ValueError):
    """An object has a key twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with each key once: of two values nobody knows which is meant."""
    value: dict[str, Any] = {}
    for key, inner in pairs:
        if key in value:
            raise _Twice(key)
        value[key] = inner
    return value


def short(text: str) -> str:
    """One line of at most 120 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:117] + "…"


def _is_call(value: Mapping[str, Any]) -> bool:
    """Whether an object can be meant as a call: JSON in an answer may have a "name", too, but then more beside it."""
    return any(key in value for key in (*_KEYS, "function", "tool", "tool_name")) or list(value) == ["name"]


def _read(value: Mapping[str, Any], body: str, offered: Collection[str]) -> Call:
    function = value.get("function")
    if isinstance(function, dict):
        value = function
        function = None
    name = value.get("name", value.get("tool", value.get("tool_name", function)))
    if not isinstance(name, str):
        raise UnreadableReply(f"the model began a tool call without a tool's name: {short(body)}")
    given: JSON = next((value[key] for key in _KEYS if key in value), {})
    return Call(checked_name(name, offered), arguments(given, name))


def _first_object(text: str, start: int) -> tuple[dict[str, Any], int]:
    try:
        value, end = json.JSONDecoder(object_pairs_hook=_once).raw_decode(text, start)
    except _Twice as e:
        raise UnreadableReply(f"the model's tool call gives {str(e)[:80]!r} twice: {short(text[start:])}") from None
    except (ValueError, RecursionError):
        raise UnreadableReply(
            f"the model began a tool call that is not valid JSON: {short(text[start:])}; ask again"
        ) from None
    if not isinstance(value, dict):
        raise UnreadableReply(f"the model's tool call is no object: {short(text[start:])}; ask again")
    return value, end


def _python_call(body: str, offered: Collection[str]) -> Call:
    """``tool.call(a="b")`` or ``tool(a="b")``, as Llama 3 writes after its python tag; literals only."""
    try:
        node = ast.parse(body.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        node = None
    if not isinstance(node, ast.Call) or node.args:
        raise UnreadableReply(f"the model wrote code where a tool call was expected: {short(body)}; ask again")
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr == "call":
        function = function.value
    if not isinstance(function, ast.Name):
        raise UnreadableReply(f"the model wrote code where a tool call was expected: {short(body)}; ask again")
    name = checked_name(function.id, offered)
    args: dict[str, JSON] = {}
    for keyword in node.keywords:
        try:
            value = ast.literal_eval(keyword.value)
            json.dumps(value)
        except (ValueError, TypeError, RecursionError):
            raise UnreadableReply(f"an argument of {name!r} is no plain value: {short(body)}; ask again") from None
        if keyword.arg is None:
            raise UnreadableReply(f"the arguments of {name!r} have no names: {short(body)}; ask again")
        args[keyword.arg] = value
    return Call(name, args)


def _nullable(spec: Mapping[str, Any]) -> bool:
    kinds = spec.get("type", [])
    options = [*spec.get("anyOf", []), *spec.get("oneOf", [])]
    return kinds == "null" or "null" in kinds or any(option.get("type") == "null" for option in options)


def _scalar(value: JSON, spec: Mapping[str, Any]) -> JSON:
    """A number or truth value that was written in quotes, where the schema wants one."""
    if not isinstance(value, str) or spec.get("type") not in ("integer", "number", "boolean"):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    wanted = (int,) if spec["type"] == "integer" else (int, float) if spec["type"] == "number" else (bool,)
    fits = isinstance(read, wanted) and isinstance(read, bool) == (spec["type"] == "boolean")
    return read if fits else value
