"""The grammar of one turn, for the llguidance library: what the model can say at all is what may be said.

A turn is one of these forms; the caller says which are allowed::

    call      {"name": "book_room", "parameters": {…}}    one of the offered tools, required arguments present
    ask       {"name": "ask_user", "parameters": {"about": "book_room.check_in", "question": "…"}}
    answer    [n] evidence sentence n, word for word
    abstain   [0]
    text      anything that does not look like one of the others (for general use; the embedded model is never let)

Strings and dates copy a span of the given texts (``adapters.spans``), integers are numbers that stand there, choices
are listed. ``"x-free": true`` in an argument's schema lifts that. A tool whose required arguments cannot be filled
from the texts is not offered by the grammar: the model then has to ask. This module writes grammars; it knows no
model and no tokenizer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from adapters.datewords import date_words
from adapters.prompt import ASK_USER, choice_text, harmless, integers_in
from adapters.spans import Piece, pieces
from state import JSON, UserError

Form: TypeAlias = Literal["call", "ask", "answer", "abstain", "text"]
SPAN_CHARS: Final = 120
FREE_CHARS: Final = 400
QUESTION_CHARS: Final = 160
_PIECES: Final = 2_000  # of the newest text; beyond this no context of ours reaches
_STRING_CHAR: Final = r'([^"\\\x00-\x1f\x7f]|\\["\\n])'
_INTEGER: Final = "/-?(0|[1-9][0-9]{0,14})/"
_NUMBER: Final = r"/-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?/"
_DECIMAL: Final = re.compile(r"(?<![\d.])\d{1,12}\.\d{1,6}(?![\d.])")
_MAX_ITEMS: Final = 8


class Unfillable(Exception):
    """No text satisfies this schema under the given texts."""


def turn_grammar(
    tools: Iterable[Mapping[str, Any]],
    *,
    forms: Iterable[Form],
    texts: Sequence[str] = (),
    numbers: Sequence[str] | None = None,
    evidence: Sequence[str] = (),
    copy: bool = True,
) -> str:
    """A Lark grammar (llguidance dialect) of the allowed turns.

    Args:
        tools: ``{"name", "parameters"}`` each; other keys are ignored.
        forms: The allowed top-level forms.
        texts: What arguments may be copied from, oldest first: user turns, tool results, evidence.
        numbers: What numbers may be copied from; ``texts`` unless given.
        evidence: The numbered sentences of the prompt; ``[n]`` is ``evidence[n - 1]``.
        copy: False lifts the copying rule for all arguments.

    Raises:
        UserError: Nothing may be said: no form is left that has a sentence.
    """
    allowed, tools = set(forms), list(tools)
    builder = _Builder(texts, texts if numbers is None else numbers, copy=copy)
    starts: list[str] = []
    if "call" in allowed:
        starts += [rule for tool in tools if (rule := builder.call(tool)) is not None]
    if "ask" in allowed and (ask := builder.ask(tools)) is not None:
        starts.append(ask)
    if "answer" in allowed:
        starts += [_literal(choice_text(n, evidence)) for n in range(1, len(evidence) + 1)]
    if "abstain" in allowed:
        starts.append(_literal(choice_text(0, evidence)))
    if "text" in allowed:
        builder.lines.append(r"TEXT: /[^{\[\s](.|\n)*/" if allowed - {"text"} else r"TEXT: /(.|\n)+/")
        starts.append("TEXT")
    if not starts:
        raise UserError(
            "the model may say nothing: no offered tool can be called with what the conversation holds, "
            "and neither a question, an answer nor text is allowed; offer another form"
        )
    return "\n".join([f"start: {' | '.join(starts)}", *builder.lines]) + "\n"


def about_choices(tools: Iterable[Mapping[str, Any]]) -> list[str]:
    """What a clarification can be about: every ``tool.argument`` on offer, in order."""
    return [f"{t['name']}.{name}" for t in tools for name in t["parameters"].get("properties", {})]


class _Builder:
    """Collects the rules of one grammar; each method returns the name or text of what it has described."""

    def __init__(self, texts: Sequence[str], numbers: Sequence[str], *, copy: bool) -> None:
        self.lines: list[str] = []
        self.copy = copy
        self._texts = [_clean(text) for text in texts]
        self._numbered = [_clean(text) for text in numbers]
        self._names = 0
        self._spans: dict[int, str | None] = {}
        self._raw: str | None = None
        self._raw_done = False
        self._shortest = float("inf")  # characters of the shortest span, escaped

    def call(self, tool: Mapping[str, Any]) -> str | None:
        try:
            body = self._object(tool["parameters"], tool["parameters"])
        except Unfillable:
            return None
        head = _literal('{"name": ' + _json(tool["name"]) + ', "parameters": ')
        return self._rule(f"{head} {body} {_literal('}')}")

    def ask(self, tools: Sequence[Mapping[str, Any]]) -> str | None:
        choices = about_choices(tools)
        if not choices:
            return None
        about = " | ".join(_literal(_json(choice)) for choice in choices)
        self.lines.append(f"QUESTION: /{_STRING_CHAR}{{2,{QUESTION_CHARS}}}/")
        head = _literal('{"name": ' + _json(ASK_USER) + ', "parameters": {"about": ')
        middle, tail = _literal(', "question": "'), _literal('"}}')
        return self._rule(f"{head} ({about}) {middle} QUESTION {tail}")

    # ------------------------------------------------------------------------------------------------ schemas

    def _object(self, schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
        """Properties in the order of the schema, required ones always, optional ones maybe."""
        required = set(schema.get("required", []))
        members: list[tuple[str, bool]] = []
        for name, spec in schema.get("properties", {}).items():
            try:
                value = self._value(spec, root)
            except Unfillable:
                if name in required:
                    raise
                continue
            members.append((f"{_literal(_json(name) + ': ')} {value}", name in required))
        if required - set(schema.get("properties", {})):
            raise Unfillable
        # Two chains of rules, before and after the first member that is there, because only later ones bring a comma.
        first, rest = _literal(""), _literal("")
        for member, needed in reversed(members):
            later = f'", " {member} {rest}' if needed else f'(", " {member})? {rest}'
            begin = f"{member} {rest}" if needed else f"({member} {rest} | {first})"
            first, rest = self._rule(begin), self._rule(later)
        return self._rule(f'"{{" {first} "}}"')

    def _value(self, spec: Mapping[str, Any], root: Mapping[str, Any]) -> str:
        spec = _resolve(spec, root)
        if "const" in spec:
            return _literal(_json(spec["const"]))
        if "enum" in spec:
            return self._rule(" | ".join(_literal(_json(choice)) for choice in spec["enum"]))
        options = spec.get("anyOf") or spec.get("oneOf")
        if options:
            return self._any(options, root)
        kind = spec.get("type", "object" if "properties" in spec else "string")
        if isinstance(kind, list):
            return self._any([{**spec, "type": k} for k in kind], root)
        return self._typed(kind, spec, root)

    def _any(self, options: Sequence[Mapping[str, Any]], root: Mapping[str, Any]) -> str:
        """A choice. null is left out where anything else can be said: an absent argument is left out altogether."""
        found: list[str] = []
        for option in options:
            if option.get("type") == "null":
                continue
            try:
                found.append(self._value(option, root))
            except Unfillable:
                continue
        if not found and not any(option.get("type") == "null" for option in options):
            raise Unfillable
        return self._rule(" | ".join(found or ['"null"']))

    def _typed(self, kind: str, spec: Mapping[str, Any], root: Mapping[str, Any]) -> str:
        free = bool(spec.get("x-free")) or not self.copy
        match kind:
            case "integer" | "number":
                return self._numbers(kind, spec, free)
            case "boolean":
                return '("true" | "false")'
            case "null":
                return '"null"'
            case "object":
                return self._object(spec, root)
            case "array":
                item = self._value(spec.get("items", {}), root)
                low, high = int(spec.get("minItems", 0)), int(spec.get("maxItems", _MAX_ITEMS))
                more = f'(", " {item}){{{max(low - 1, 0)},{max(high - 1, 0)}}}'
                return self._rule(f'"[" {item} {more} "]"' + (' | "[]"' if low == 0 else ""))
            case _:
                return self._string(spec, free)

    def _numbers(self, kind: str, spec: Mapping[str, Any], free: bool) -> str:
        if free:
            return self._rule(_INTEGER if kind == "integer" else _NUMBER)
        values: list[float] = [n for text in self._numbered for n in integers_in(text)]
        if kind == "number":
            values += [float(m) for text in self._numbered for m in _DECIMAL.findall(text)]
        low, high = spec.get("minimum", float("-inf")), spec.get("maximum", float("inf"))
        inside = [value for value in dict.fromkeys(values) if low <= value <= high]
        if not inside:
            raise Unfillable
        return self._rule(" | ".join(_literal(_json(value)) for value in inside))

    def _string(self, spec: Mapping[str, Any], free: bool) -> str:
        if free:
            longest = min(int(spec.get("maxLength", FREE_CHARS)), FREE_CHARS)
            shortest = min(int(spec.get("minLength", 1)), longest)
            name = self._name("FREE")
            self.lines.append(f"{name}: /{_STRING_CHAR}{{{shortest},{longest}}}/")
        elif spec.get("format") == "date":
            return self._date()
        else:
            span = self._span(int(spec.get("maxLength", SPAN_CHARS)))
            if span is None:
                raise Unfillable
            name = span
        return self._rule(f"{_literal(chr(34))} {name} {_literal(chr(34))}")

    def _date(self) -> str:
        """Only what people and tools said can be a date, and only words that can mean one."""
        words = dict.fromkeys(word for text in self._numbered for word in date_words(text))
        if not words:
            raise Unfillable
        return self._rule(" | ".join(_literal(_json(word)) for word in words))

    def _span(self, longest: int) -> str | None:
        if longest not in self._spans:
            raw = self._all_spans()
            # A terminal without any text would be a dead end in the middle of a call.
            name = self._name("SPAN") if raw and self._shortest <= longest else None
            if name:
                # Counted in characters of the escaped text, so the value is never longer than it may be.
                self.lines.append(rf"{name}: {raw} & /(.|\n){{1,{longest}}}/")
            self._spans[longest] = name
        return self._spans[longest]

    def _all_spans(self) -> str | None:
        """Terminals for every span: one chain a text, shared tails, so the grammar grows with the text alone."""
        if self._raw_done:
            return self._raw
        self._raw_done = True
        starts: list[str] = []
        left = _PIECES
        for text in reversed(self._texts):
            parts = pieces(text)[:left]
            left -= len(parts)
            starts += self._chain(parts)
        if starts:
            self._raw = self._name("RAW")
            self.lines.append(f"{self._raw}: {' | '.join(starts)}")
        return self._raw

    def _chain(self, parts: Sequence[Piece]) -> list[str]:
        starts: list[str] = []
        tail: str | None = None  # the terminal that continues after this piece, if an end can still be reached
        on = 0  # characters from there to the nearest end
        for part in reversed(parts):
            if not part.ends and tail is None:
                continue
            after = "" if tail is None else f" {tail}?" if part.ends else f" {tail}"
            inner = self._name("C")
            rest = 0 if part.ends else on
            if part.starts:
                self._shortest = min(self._shortest, len(_inside(part.text)) + rest)
                begin = self._name("S")
                self.lines.append(f"{begin}: {_literal(_inside(part.text))}{after}")
                starts.append(begin)
            self.lines.append(f"{inner}: {_literal(_inside(part.gap + part.text))}{after}")
            tail, on = inner, len(_inside(part.gap + part.text)) + rest
        return starts

    def _rule(self, body: str) -> str:
        self._names += 1
        name = f"r{self._names}"
        self.lines.append(f"{name}: {body}")
        return name

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"


def _resolve(spec: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(8):
        reference = spec.get("$ref")
        if reference is None:
            merged = spec.get("allOf")
            if not merged or len(merged) != 1:
                return spec
            spec = {**merged[0], **{k: v for k, v in spec.items() if k != "allOf"}}
            continue
        target: Any = root
        for part in str(reference).removeprefix("#/").split("/"):
            target = target.get(part, {}) if isinstance(target, Mapping) else {}
        spec = {**target, **{k: v for k, v in spec.items() if k != "$ref"}}
    raise UserError(f"the tool schema refers to itself through {spec.get('$ref')!r}; give the argument a flat type")


def _clean(text: str) -> str:
    """The text as the prompt shows it, without halves of surrogate pairs, which UTF-8 cannot carry."""
    return harmless(text).encode("utf-8", "replace").decode("utf-8").strip()


def _inside(text: str) -> str:
    """``text`` as it stands between the quotes of a JSON string."""
    return _json(text)[1:-1].replace("\x7f", "\\u007f")


def _json(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False)


def _literal(text: str) -> str:
    """``text`` as a string literal of the grammar, which reads JSON escapes."""
    return json.dumps(text, ensure_ascii=False)
