"""The grammar of one turn, for the llguidance library: what the model can say at all is what may be said.

A turn is one of these forms; the caller says which are allowed::

    call      {"name": "book_room", "parameters": {…}}    one of the offered tools, required arguments present
    ask       {"name": "ask_user", "parameters": {"about": "book_room.check_in", "question": "…"}}
    answer    [n] evidence sentence n, word for word
    abstain   [0]
    text      anything that does not look like one of the others (for general use; the embedded model is never let)

Strings and dates copy a span of the given texts, integers are numbers that stand there, choices are listed; a field can
say otherwise in its schema (``forms.grounding``). In an object with a citation, the quotes beside it come from the
cited text. A tool whose required arguments cannot be filled is not offered by the grammar: the model then has to ask.

Free values keep type, lengths, limits, ``pattern`` and ``format``; other keywords of JSON Schema (``not``,
``uniqueItems``, …) are left to whoever checks the call. This module writes grammars; it knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from adapters.forms.grounding import GROUND, Ground, Lexicon, Unfillable, ground_of, json_text, literal
from adapters.prompt import ASK_USER, choice_text, harmless
from state import UserError

Form: TypeAlias = Literal["call", "ask", "answer", "abstain", "text"]
FREE_CHARS: Final = 400
QUESTION_CHARS: Final = 160
PARALLEL: Final = 8
_STRING_CHAR: Final = r'([^"\\\x00-\x1f\x7f]|\\["\\n])'
_INTEGER: Final = "/-?(0|[1-9][0-9]{0,14})/"
_NUMBER: Final = r"/-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?/"
_LIMIT: Final = 10**15
_LIMITS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_MAX_ITEMS: Final = 8
_DEPTH: Final = 24


def turn_grammar(
    tools: Iterable[Mapping[str, Any]],
    *,
    forms: Iterable[Form],
    texts: Sequence[str] = (),
    numbers: Sequence[str] | None = None,
    evidence: Sequence[str] = (),
    copy: bool = True,
    sources: Mapping[str, str] | None = None,
    parallel: int = 1,
) -> str:
    """A Lark grammar (llguidance dialect) of the allowed turns.

    Args:
        tools: ``{"name", "parameters"}`` each; other keys are ignored.
        forms: The allowed top-level forms.
        texts: What arguments may be copied from, oldest first: user turns, tool results, evidence.
        numbers: What numbers may be copied from; ``texts`` unless given.
        evidence: The numbered sentences of the prompt; ``[n]`` is ``evidence[n - 1]``.
        copy: False lifts the copying rule for all arguments that do not say otherwise.
        sources: Id to text of what was retrieved: for fields grounded in evidence, and for citations.
        parallel: How many calls one turn may have, a line each.

    Raises:
        UserError: Nothing may be said: no form is left that has a sentence.
    """
    allowed, tools = set(forms), list(tools)
    builder = _Builder(texts, texts if numbers is None else numbers, sources or {}, copy=copy)
    starts: list[str] = []
    if "call" in allowed:
        starts += builder.calls(tools, parallel)
    if "ask" in allowed and (ask := builder.ask(tools)) is not None:
        starts.append(ask)
    if "answer" in allowed:
        starts += [literal(choice_text(n, evidence)) for n in range(1, len(evidence) + 1)]
    if "abstain" in allowed:
        starts.append(literal(choice_text(0, evidence)))
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

    def __init__(self, texts: Sequence[str], numbers: Sequence[str], sources: Mapping[str, str], *, copy: bool) -> None:
        self.lines: list[str] = []
        self._default: Ground | None = None if copy else "free"
        self._texts = [_clean(text) for text in texts]
        self._said = [_clean(text) for text in numbers]
        self._sources = {str(key): _clean(text) for key, text in sources.items()}
        self._cited: str | None = None  # the id that the object being described cites
        self._lexicons: dict[tuple[Ground | None, str | None], Lexicon] = {}
        self._names = 0
        self._depth = 0

    def calls(self, tools: Sequence[Mapping[str, Any]], parallel: int) -> list[str]:
        """What a turn with calls may be: one, or up to ``parallel`` of them, a line each."""
        rules = [rule for tool in tools if (rule := self.call(tool)) is not None]
        if parallel <= 1 or not rules:
            return rules
        one = self._rule(" | ".join(rules))
        return [self._rule(f'{one} ("\\n" {one}){{0,{parallel - 1}}}')]

    def call(self, tool: Mapping[str, Any]) -> str | None:
        try:
            body = self._object(tool["parameters"], tool["parameters"])
        except Unfillable:
            return None
        head = literal('{"name": ' + json_text(tool["name"]) + ', "parameters": ')
        return self._rule(f"{head} {body} {literal('}')}")

    def ask(self, tools: Sequence[Mapping[str, Any]]) -> str | None:
        choices = about_choices(tools)
        if not choices:
            return None
        about = " | ".join(literal(json_text(choice)) for choice in choices)
        self.lines.append(f"QUESTION: /{_STRING_CHAR}{{2,{QUESTION_CHARS}}}/")
        head = literal('{"name": ' + json_text(ASK_USER) + ', "parameters": {"about": ')
        middle, tail = literal(', "question": "'), literal('"}}')
        return self._rule(f"{head} ({about}) {middle} QUESTION {tail}")

    # ------------------------------------------------------------------------------------------------ schemas

    def _object(self, schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
        """An object; where one of its fields is a citation, one alternative for each id, its quotes from that text."""
        fields = {name: _resolve(spec, root) for name, spec in schema.get("properties", {}).items()}
        cites = [name for name, spec in fields.items() if ground_of(spec) == "citation" and spec.get("type") != "array"]
        if not cites or self._cited is not None:
            return self._members(schema, fields, root)
        found: list[str] = []
        for source in self._sources:
            self._cited = source
            try:
                found.append(self._members(schema, fields, root))
            except Unfillable:
                continue
            finally:
                self._cited = None
        if not found:
            if set(cites) & set(schema.get("required", [])):
                raise Unfillable
            return self._members(schema, {n: s for n, s in fields.items() if n not in cites}, root)
        return self._rule(" | ".join(found))

    def _members(self, schema: Mapping[str, Any], fields: Mapping[str, Any], root: Mapping[str, Any]) -> str:
        """Properties in the order of the schema, required ones always, optional ones maybe."""
        self._depth += 1
        if self._depth > _DEPTH:
            raise UserError("the tool schema contains itself; give the argument a flat type")
        required = set(schema.get("required", []))
        members: list[tuple[str, bool]] = []
        for name, spec in fields.items():
            try:
                value = self._value(spec, root, needed=name in required)
            except Unfillable:
                if name in required:
                    self._depth -= 1
                    raise
                continue
            members.append((f"{literal(json_text(name) + ': ')} {value}", name in required))
        self._depth -= 1
        if required - set(fields):
            raise Unfillable
        # Two chains of rules, before and after the first member that is there, because only later ones bring a comma.
        first, rest = literal(""), literal("")
        for member, needed in reversed(members):
            later = f'", " {member} {rest}' if needed else f'(", " {member})? {rest}'
            begin = f"{member} {rest}" if needed else f"({member} {rest} | {first})"
            first, rest = self._rule(begin), self._rule(later)
        return self._rule(f'"{{" {first} "}}"')

    def _value(self, spec: Mapping[str, Any], root: Mapping[str, Any], *, needed: bool = False) -> str:
        """A value; ``needed``: it cannot be left out."""
        spec = _resolve(spec, root)
        if "const" in spec:
            return literal(json_text(spec["const"]))
        if "enum" in spec:
            told = ground_of(spec)
            choices = spec["enum"] if told in (None, "free") else self._lexicon(told).choices(spec["enum"])
            if not choices:
                raise Unfillable
            return self._rule(" | ".join(literal(json_text(choice)) for choice in choices))
        options = spec.get("anyOf") or spec.get("oneOf")
        if options:
            inherited = {GROUND: spec[GROUND]} if GROUND in spec else {}
            return self._any([{**inherited, **option} for option in options], root, needed=needed)
        kind = spec.get("type", "object" if "properties" in spec else "string")
        if isinstance(kind, list):
            return self._any([{**spec, "type": k} for k in kind], root, needed=needed)
        return self._typed(kind, spec, root)

    def _any(self, options: Sequence[Mapping[str, Any]], root: Mapping[str, Any], *, needed: bool) -> str:
        """A choice. null stays where the value is ``needed``, or else nothing can be said.

        What can be left out is left out altogether when it is absent.
        """
        found: list[str] = []
        for option in options:
            if option.get("type") == "null":
                continue
            try:
                found.append(self._value(option, root, needed=needed))
            except Unfillable:
                continue
        nullable = any(option.get("type") == "null" for option in options)
        if not found and not nullable:
            raise Unfillable
        return self._rule(" | ".join([*found, *(['"null"'] if nullable and (needed or not found) else [])]))

    def _typed(self, kind: str, spec: Mapping[str, Any], root: Mapping[str, Any]) -> str:
        ground = ground_of(spec) or self._default
        if ground == "citation" and kind in ("string", "integer"):
            return self._citation(kind)
        match kind:
            case "integer" | "number":
                return self._numbers(kind, spec, ground)
            case "boolean":
                return '("true" | "false")'
            case "null":
                return '"null"'
            case "object":
                return self._object(spec, root)
            case "array":
                return self._array(spec, root)
            case _:
                return self._string(spec, ground)

    def _array(self, spec: Mapping[str, Any], root: Mapping[str, Any]) -> str:
        told = {GROUND: spec[GROUND]} if GROUND in spec else {}
        low, high = int(spec.get("minItems", 0)), int(spec.get("maxItems", _MAX_ITEMS))
        if fixed := spec.get("prefixItems"):
            values = [self._value({**told, **item}, root, needed=True) for item in fixed]
            return self._rule('"[" ' + ' ", " '.join(values) + ' "]"')
        try:
            item = self._value({**told, **spec.get("items", {})}, root)
        except Unfillable:
            if low:
                raise
            return '"[]"'
        if high < 1:
            return '"[]"'
        more = f'(", " {item}){{{max(low - 1, 0)},{max(high - 1, low - 1, 0)}}}'
        return self._rule(f'"[" {item} {more} "]"' + (' | "[]"' if low == 0 else ""))

    def _citation(self, kind: str) -> str:
        ids = list(self._sources) if self._cited is None else [self._cited]
        if not ids:
            raise Unfillable
        places = [list(self._sources).index(key) + 1 for key in ids]
        values = places if kind == "integer" else ids
        return self._rule(" | ".join(literal(json_text(value)) for value in values))

    def _lexicon(self, ground: Ground | None) -> Lexicon:
        cited = self._cited if ground == "evidence" else None
        if (ground, cited) not in self._lexicons:
            texts, numbers = self._texts, self._said
            if ground == "conversation":
                texts = self._said
            elif ground in ("evidence", "citation"):
                texts = numbers = [self._sources[cited]] if cited is not None else list(self._sources.values())
            self._lexicons[ground, cited] = Lexicon(texts, numbers, self.lines, self._name)
        return self._lexicons[ground, cited]

    def _numbers(self, kind: str, spec: Mapping[str, Any], ground: Ground | None) -> str:
        if ground == "free":
            limits = {key: spec[key] for key in _LIMITS if key in spec}
            if limits:
                return self._json({"type": kind, "minimum": -_LIMIT, "maximum": _LIMIT, **limits})
            return self._rule(_INTEGER if kind == "integer" else _NUMBER)
        values = self._lexicon(ground).numbers(kind, spec)
        if not values:
            raise Unfillable
        return self._rule(" | ".join(literal(json_text(value)) for value in values))

    def _string(self, spec: Mapping[str, Any], ground: Ground | None) -> str:
        if ground == "free":
            longest = min(int(spec.get("maxLength", FREE_CHARS)), FREE_CHARS)
            shortest = min(int(spec.get("minLength", 1)), longest)
            if "pattern" in spec:
                limits = (
                    {"minLength": shortest, "maxLength": longest} if "minLength" in spec or "maxLength" in spec else {}
                )
                return self._json({"type": "string", "pattern": spec["pattern"], **limits})
            if spec.get("format") in ("date", "date-time", "time", "uuid"):
                return self._json({"type": "string", "format": spec["format"]})
            name = self._name("FREE")
            self.lines.append(f"{name}: /{_STRING_CHAR}{{{shortest},{longest}}}/")
        elif spec.get("format") == "date":
            return self._date(ground)
        else:
            name = self._lexicon(ground).string(spec)
        return self._rule(f"{literal(chr(34))} {name} {literal(chr(34))}")

    def _date(self, ground: Ground | None) -> str:
        """Only what people and tools said can be a date, and only words that can mean one."""
        words = self._lexicon(ground).dates()
        if not words:
            raise Unfillable
        return self._rule(" | ".join(literal(json_text(word)) for word in words))

    def _json(self, schema: Mapping[str, Any]) -> str:
        """A value whose limits the library's own reading of JSON Schema keeps."""
        return self._rule(f"%json {json.dumps(schema)}")

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
