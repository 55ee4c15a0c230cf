"""Reads training rows, checks each, and renders them in the words of the base that is to learn them.

A file holds one JSON object a line::

    sft   {"prompt": … or "messages": […], "completion": …, "tools": […]?}
    dpo   {"prompt": …, "chosen": …, "rejected": …, "tools": […]?}
    kto   {"prompt": …, "completion": …, "label": true or false, "tools": […]?}

A prompt is text, taken as it stands, or a list of messages in OpenAI's form; a completion is text, or one message of
the assistant (words, or one tool call). Other keys are left alone. Messages are rendered by the code that serves the
base, so that what is trained is what is asked later: Dojang's own bases fill in line by line, others write JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from adapters.local.templates import conversation
from adapters.prompt import ASK_USER, EOT, asking, call_text, filled, harmless, render, request_of, spaced, turns_of
from adapters.training.decided import Given, Pieces, Raw, Unsayable, is_decided, numbered, read_out, read_pair
from adapters.training.recipe import Method
from state import ToolSpec, UserError

WANTED: Final[dict[Method, tuple[str, ...]]] = {
    "sft": ("prompt", "completion"),
    "dpo": ("prompt", "chosen", "rejected"),
    "kto": ("prompt", "completion", "label"),
}


@dataclass(frozen=True)
class Row:
    """A rendered row: special tokens are in the texts. ``answers`` are one completion, or chosen and rejected.

    ``request`` is what the user wanted, "" where nobody can tell; ``generated``: a program of ours made it up;
    ``once``: read in one pass of the run alone, because there is as much of its kind as anybody wants.
    """

    prompt: str
    answers: tuple[Pieces, ...]
    label: bool | None = None
    request: str = field(default="", compare=False)
    generated: bool = field(default=False, compare=False)
    once: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Data:
    """What was read: rows, the SHA-256 of the file's bytes, and the licences that rows name.

    ``unsayable`` counts decisions that this base has no way to say, which are left out.
    """

    rows: list[Row]
    sha256: str
    licences: tuple[str, ...] = ()
    unsayable: int = 0


def read(path: Path, method: Method, dialect: Dialect) -> Data:
    """All rows of a file.

    Raises:
        UserError: The file is missing, empty, or has rows that are not of the method's form; the first is named with
            its line.
    """
    try:
        content = path.read_bytes()
    except OSError as e:
        raise UserError(f"{path} cannot be read ({e.strerror}); give a JSON Lines file of {method} rows") from None
    rows: list[Row] = []
    wrong: list[tuple[int, str]] = []
    licences: set[str] = set()
    unsayable = 0
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            raw = _object(line)
            made = _rendered(dialect, raw, method)
            stated = {str(raw[key]) for key in ("license", "licence") if raw.get(key)}
            _check_letters(made, stated)
            rows += made
            licences |= stated
        except Unsayable:
            unsayable += 1
        except ValueError as e:
            wrong.append((number, str(e)))
    if wrong:
        first, why = wrong[0]
        raise UserError(
            f"line {first} of {path} is no {method} row: {why}; so are {len(wrong)} rows, nothing was trained"
        )
    if not rows and unsayable:
        raise UserError(
            f"none of the {unsayable} {method} rows of {path} is something that this base can say; train "
            "another base, or with another method"
        )
    if not rows:
        raise UserError(f"{path} has no rows; give a JSON Lines file with {', '.join(WANTED[method])} in each line")
    _check_labels(rows, path)
    return Data(rows, hashlib.sha256(content).hexdigest(), tuple(sorted(licences)), unsayable)


def _rendered(dialect: Dialect, raw: dict[str, Any], method: Method) -> list[Row]:
    try:
        return dialect.rows(raw, method)
    except (AttributeError, IndexError, KeyError, TypeError) as e:  # deep in it, where each member is taken as it comes
        raise ValueError(f"something in it has another form ({e!r})") from None


def _check_letters(rows: Sequence[Row], stated: Iterable[str]) -> None:
    texts = [text for row in rows for pieces in row.answers for text, _ in pieces]
    for text in [*texts, *(text for row in rows for text in (row.prompt, row.request)), *stated]:
        try:
            text.encode()
        except UnicodeEncodeError as e:
            raise ValueError(f"a text has half a letter, {e.object[e.start : e.end]!r}") from None


def _check_labels(rows: Sequence[Row], path: Path) -> None:
    labels = {row.label for row in rows}
    if len(labels) == 1 and None not in labels:
        raise UserError(
            f"all {len(rows)} rows of {path} have the label {str(labels.pop()).lower()}; KTO learns from the "
            "difference between good and bad: add the others, or train with sft on the good ones"
        )


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, UnicodeDecodeError) as e:
        raise ValueError(f"no JSON ({e})") from None
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


class Dialect:
    """How a base reads and writes.

    Args:
        tokenizer: The base's, with its chat template.
        reading: Whether it is a base of this project, which fills in calls line by line.
        today: ISO date that prompts of other templates tell; "" leaves the template's own.
    """

    def __init__(self, tokenizer: Any, *, reading: bool, today: str = "") -> None:
        self._tokenizer = tokenizer
        self._reading = reading
        self._today = today

    def rows(self, raw: Raw, method: Method) -> list[Row]:
        """All that a row teaches: one rendered row, or of a dataset's decision as many as this kind of base learns.

        Raises:
            ValueError: with what is wrong.
            Unsayable: this kind of base cannot say it.
        """
        if not is_decided(raw):
            return [self.row(raw, method)]
        return [replace(row, request=_request(raw)) for row in self._decided(raw, method)]

    def _decided(self, raw: Raw, method: Method) -> list[Row]:
        missing = [key for key in WANTED[method] if key not in raw]
        if missing:
            raise ValueError(f"the row lacks {', '.join(missing)}")
        messages = [
            m for m in _messages(raw["prompt"], "prompt") if isinstance(m, HumanMessage | AIMessage | ToolMessage)
        ]
        if not isinstance(raw["passages"], list):
            raise ValueError("passages are not a list")
        given = Given(messages, _tools(raw["tools"]), raw["passages"], raw["language"], raw["today"] or self._today)
        label = bool(raw["label"]) if method == "kto" else None
        if method == "dpo":
            return [self._pair(given, raw["chosen"], raw["rejected"])]
        if not self._reading:
            prompt, pieces = numbered(self._tokenizer, given, raw["completion"], self._end())
            return [Row(prompt, (pieces,), label)]
        learned = read_out(given, raw["completion"], good=label is not False)
        return [Row(prompt, (pieces,), label) for prompt, pieces in learned]

    def _pair(self, given: Given, chosen: Raw, rejected: Raw) -> Row:
        if self._reading:
            prompt, better, worse = read_pair(given, chosen, rejected)
        else:
            prompt, better = numbered(self._tokenizer, given, chosen, self._end())
            worse = numbered(self._tokenizer, given, rejected, self._end())[1]
        return Row(prompt, (better, worse))

    def row(self, raw: Raw, method: Method) -> Row:
        """A checked and rendered row; raises ValueError with what is wrong."""
        raw = _completed(raw) if method == "sft" else raw
        keys = WANTED[method]
        missing = [key for key in keys if key not in raw and not (key == "prompt" and "messages" in raw)]
        if missing:
            raise ValueError(f"the row lacks {', '.join(missing)}")
        label = raw.get("label") if method == "kto" else None
        if method == "kto" and not isinstance(label, bool):
            raise ValueError(f"label is {label!r}, not true or false")
        tools = _tools(raw.get("tools"))
        prompt = self._prompt(raw.get("prompt", raw.get("messages")), tools)
        answers = tuple(self._answer(raw[key], tools, key) for key in keys if key not in ("prompt", "label"))
        if len(answers) == 2 and answers[0] == answers[1]:
            raise ValueError("chosen and rejected are the same")
        return Row(prompt, answers, label, _request(raw))

    def _prompt(self, given: Any, tools: Sequence[ToolSpec]) -> str:
        if isinstance(given, str):
            if not given.strip():
                raise ValueError("the prompt is empty")
            return given
        messages = list(_messages(given, "prompt"))
        if not messages or isinstance(messages[-1], AIMessage | SystemMessage):
            raise ValueError("the prompt does not end with what a user or a tool said")
        if self._reading:
            if any(isinstance(m, SystemMessage) for m in messages):
                raise ValueError("the prompt has a system text, which this base does not read; leave it out")
            return render(turns_of(cast(Sequence[AnyMessage], messages)))
        return conversation(self._tokenizer, messages, tools, today=self._today)

    def _answer(self, given: Any, tools: Sequence[ToolSpec], key: str) -> Pieces:
        end = self._end()
        if isinstance(given, str):
            if not given.strip():
                raise ValueError(f"the text of {key} is empty")
            return [(given, True)] if given.endswith(end) else [(given, True), (end, True)]
        messages = list(_messages([given] if isinstance(given, dict) else given, key))
        if len(messages) != 1 or not isinstance(messages[0], AIMessage):
            raise ValueError(f"{key} is not one message of the assistant")
        return self._spoken(messages[0], tools, key)

    def _spoken(self, message: AIMessage, tools: Sequence[ToolSpec], key: str) -> Pieces:
        if len(message.tool_calls) > 1:
            raise ValueError(f"{key} has {len(message.tool_calls)} calls; one decision a row")
        if not message.tool_calls:
            if not message.text.strip():
                raise ValueError(f"the message in {key} says nothing")
            return [(spaced(message.text) if self._reading else harmless(message.text), True), (self._end(), True)]
        if message.text.strip():
            raise ValueError(f"the message in {key} has words beside its call; make two rows, each with one of them")
        name, args = message.tool_calls[0]["name"], message.tool_calls[0]["args"]
        offered = {tool["name"]: tool for tool in tools}
        if offered and name not in (*offered, ASK_USER):
            raise ValueError(f"{key} calls {name!r}, which is not among its tools")
        if not self._reading:
            return [(call_text(name, args), True), (self._end(), True)]
        if name == ASK_USER:
            about, question = str(args.get("about", "")), str(args.get("question", ""))
            return [(asking(about), False), (spaced(question), True), (self._end(), True)]
        schema = offered[name]["parameters"] if name in offered else {"properties": args}
        if unknown := [argument for argument in args if argument not in schema["properties"]]:
            raise ValueError(f"{key} gives {name!r} arguments that it does not have: {', '.join(unknown)}")
        return [(text, own or at == 0) for at, (text, own) in enumerate(filled(name, list(schema["properties"]), args))]

    def _end(self) -> str:
        """The token that ends a turn."""
        template = self._tokenizer.chat_template or ""
        return EOT if EOT in template else str(self._tokenizer.eos_token)


def _request(raw: Raw) -> str:
    """What the user wanted, where the prompt is a conversation."""
    given = _completed(raw).get("prompt", raw.get("messages"))
    if not isinstance(given, list):
        return ""
    return request_of(turns_of([m for m in _messages(given, "prompt") if not isinstance(m, SystemMessage)]))  # type: ignore[misc]


def _completed(raw: Raw) -> Raw:
    """An SFT row whose last message is the completion, with the two apart."""
    messages = raw.get("messages")
    if "completion" in raw or not isinstance(messages, list) or len(messages) < 2:
        return raw
    return {**raw, "messages": messages[:-1], "completion": messages[-1]}


def _messages(given: Any, key: str) -> Iterator[BaseMessage]:
    if not isinstance(given, list) or not all(isinstance(m, dict) for m in given):
        raise ValueError(f"{key} is neither text nor a list of messages")
    for number, m in enumerate(given):
        role, content = m.get("role"), m.get("content") or ""
        if not isinstance(content, str):
            raise ValueError(f"the content of a message in {key} is not text")
        if role == "system":
            yield SystemMessage(content)
        elif role == "user":
            yield HumanMessage(content)
        elif role == "tool":
            yield ToolMessage(content, tool_call_id=str(m.get("tool_call_id", number)))
        elif role == "assistant":
            yield AIMessage(content, tool_calls=[_call(c, key) for c in m.get("tool_calls") or []])
        else:
            raise ValueError(f"a message in {key} has the role {role!r}; use system, user, assistant or tool")


def _call(given: Any, key: str) -> Any:
    """A call in OpenAI's form (``function`` with ``arguments``, JSON text or object) or LangChain's (``args``)."""
    inner = given.get("function", given) if isinstance(given, dict) else {}
    args = inner.get("arguments", inner.get("parameters", inner.get("args", {})))
    if isinstance(args, str):
        try:
            args = json.loads(args)
        except ValueError:
            raise ValueError(f"the arguments of a call in {key} are no JSON") from None
    if not isinstance(inner.get("name"), str) or not isinstance(args, dict):
        raise ValueError(f"a call in {key} has no name or no arguments")
    return {"name": inner["name"], "args": args, "id": str(given.get("id") or "c"), "type": "tool_call"}


def _tools(given: Any) -> list[ToolSpec]:
    """Tools in OpenAI's form, or as the toolbox describes them; JSON text is read (trl keeps tools so)."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            raise ValueError("tools are no JSON") from None
    if given is None:
        return []
    if not isinstance(given, list):
        raise ValueError("tools are not a list")
    specs: list[ToolSpec] = []
    for tool in given:
        inner = tool.get("function", tool) if isinstance(tool, dict) else {}
        parameters = inner.get("parameters")
        if not isinstance(inner.get("name"), str) or not isinstance(parameters, dict):
            raise ValueError("a tool has no name or no parameters")
        if not isinstance(parameters.get("properties", {}), dict):
            raise ValueError(f"the properties of the tool {inner['name']!r} are no JSON object")
        specs.append(
            ToolSpec(
                name=inner["name"],
                description=str(inner.get("description") or inner["name"]),
                parameters=parameters if "properties" in parameters else {"properties": {}, **parameters},
                schema_version="",
                effect_class="write",
                recovery="at_most_once",
                reversible=False,
            )
        )
    return specs


__all__ = ["Data", "Dialect", "Raw", "Row", "read"]
