"""What the embedded model reads and writes, as text. Training and serving share this file and nothing else decides it.

A turn takes up to three readings. Which tool is wanted, or which sentence answers, is read off the likelihood of the
user's words after each candidate (``lead`` and ``asked``)::

    <|begin_of_text|> tool or evidence: one candidate / user: the request, in small letters

and which sentence answers also off a network of the words of both (``adapters.alike``).

The arguments of a call, and the question about a missing one, are written after the conversation (``render``)::

    <|begin_of_text|> user / assistant / ipython turns / assistant ←
    book_room
    hotel: Namsan Stay
    guest: Emma Lee
    room_type: -                    ("-": nothing was said)
    or
    book_room
    guest? Under which name should I book?

A tool's result is told by repeating one of its lines. Every word is shown with a space before it (``spaced``), so that
a name is the same tokens in the request and in the call.

This module knows no tokenizer, model or LangGraph; it renders and reads strings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from adapters.numerals import numbers_in
from state import JSON, ToolSpec, UserError

BOS: Final = "<|begin_of_text|>"
HEADER_START: Final = "<|start_header_id|>"
HEADER_END: Final = "<|end_header_id|>"
EOT: Final = "<|eot_id|>"
EOM: Final = "<|eom_id|>"
END: Final = "<|end_of_text|>"
PYTHON_TAG: Final = "<|python_tag|>"
SPECIAL_TOKENS: Final = (BOS, HEADER_START, HEADER_END, EOT, EOM, END, PYTHON_TAG)
STOP_TOKENS: Final = (EOT, EOM, END)

ASK_USER: Final = "ask_user"
MAX_EVIDENCE: Final = 16
MARKERS: Final = tuple(f"[{n}]" for n in range(MAX_EVIDENCE + 1))
FITS: Final = MARKERS[1]
"""What a base of ours says after a request that was read after what it is for."""
MAX_TURNS: Final = 8
NOTHING: Final = "-"
DESCRIPTION_CHARS: Final = 64

CHAT_TEMPLATE: Final = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] + '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)

Role = Literal["user", "assistant", "ipython"]
_SPEAKERS: Final[Mapping[str, type[HumanMessage] | type[AIMessage]]] = {
    "user": HumanMessage, "human": HumanMessage, "assistant": AIMessage, "ai": AIMessage,
}  # fmt: skip


class Turn(NamedTuple):
    """One turn of the conversation as the model sees it."""

    role: Role
    content: str


# ---------------------------------------------------------------------------------------------------- reading


def turns_of(messages: Sequence[AnyMessage]) -> list[Turn]:
    """LangChain messages as turns, in order.

    An AI message with tool calls becomes one assistant turn a call, after one with what was said beside them. System
    messages are no turns.

    Raises:
        UserError: A message that cannot be read (``readable``).
    """
    turns: list[Turn] = []
    for message in map(readable, messages):
        if isinstance(message, HumanMessage):
            turns.append(Turn("user", message.text))
        elif isinstance(message, ToolMessage):
            turns.append(Turn("ipython", message.text))
        elif isinstance(message, AIMessage):
            calls = [Turn("assistant", call_text(call["name"], call["args"])) for call in message.tool_calls]
            beside = [Turn("assistant", message.text)] if message.text.strip() or not calls else []
            turns += beside + calls
    return turns


def readable(message: BaseMessage) -> BaseMessage:
    """The message, a ``ChatMessage`` of a user or an assistant as what it is.

    What a model wrote beside its words (reasoning, its calls once more) may stand in an AI message; it is not shown.

    Raises:
        UserError: One of another kind or role, or with an image or a file in it.
    """
    if isinstance(message, ChatMessage) and message.role in _SPEAKERS:
        message = _SPEAKERS[message.role](content=message.content)
    if not isinstance(message, HumanMessage | AIMessage | ToolMessage | SystemMessage):
        role = message.role if isinstance(message, ChatMessage) else message.type
        raise UserError(
            f"a message of role {role!r} is not read by this model; give human, AI, tool and system messages"
        )
    blocks = message.content if isinstance(message.content, list) and not isinstance(message, AIMessage) else []
    kinds = [block.get("type") for block in blocks if isinstance(block, dict)]
    if other := next((kind for kind in kinds if kind not in ("text", None)), None):
        raise UserError(
            f"a message holds a block of type {other!r}, and this model reads text; say in words what it shows"
        )
    return message


def result_lines(content: str) -> list[str]:
    """The lines of a tool result that may be chosen as an answer.

    Text is split at line ends, and so is text that is one JSON value by chance: "12.50", "true". A JSON object becomes
    its ``message`` (or ``text``) when it has one, else one line ``key: value, …``; a JSON list becomes one line an
    element. Numbers are told as they were written.
    """
    try:
        value = json.loads(content, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
        if isinstance(value, dict | list):
            return [line for row in (value if isinstance(value, list) else [value]) if (line := _row_line(row))]
    except (ValueError, RecursionError):  # no JSON, or brackets within brackets without end
        value = content
    text = value if isinstance(value, str) else content
    return [line.strip() for line in text.splitlines() if line.strip()]


class _Number(NamedTuple):
    """A number of a result: 12.50 and 1E5 stay what they are, and an order's number keeps all its digits."""

    written: str


def _row_line(value: Any) -> str:
    if not isinstance(value, dict):
        return _told(value)
    for key in ("message", "text"):
        if isinstance(value.get(key), str) and value[key].strip():
            return " ".join(value[key].split())
    return ", ".join(f"{key}: {_told(item)}" for key, item in value.items() if item not in (None, "", [], {}))


def _told(value: Any) -> str:
    """A value of a result in words: text as it is, all else as JSON."""
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    if isinstance(value, _Number):
        return value.written
    if isinstance(value, list):
        return f"[{', '.join(_json(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_json(key)}: {_json(item)}' for key, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _scalar(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def integers_in(text: str) -> list[int]:
    """Every integer that an argument may take from ``text``, without repeats, in order of appearance.

    Digits (thousands commas dropped), Korean amounts ("18만 원" is 180000), number words; none is a part of another
    number or of a code (``adapters.numerals``).
    """
    return list(dict.fromkeys(found.value for found in numbers_in(text) if isinstance(found.value, int)))


# -------------------------------------------------------------------------------------------------- rendering


def harmless(text: str) -> str:
    """``text`` without anything that the tokenizer would read as a special token or an evidence number."""
    return re.sub(r"\[(\d{1,2})\]", r"(\1)", text.replace("<|", "< |"))


_GLUED: Final = re.compile(r"""(?<=[가-힣A-Za-z])(?=\d)|(?<=[(\[{<"“‘『「~/:=])(?=\w)|(?<![A-Za-z])(?<=['’])(?=\w)""")


def spaced(text: str) -> str:
    """``text`` in one line as the model sees it: a space before every word, also after an opening mark."""
    return " " + " ".join(_GLUED.sub(" ", harmless(text)).split())


def turn_text(role: str, content: str) -> str:
    """One turn with its special tokens."""
    return f"{HEADER_START}{role}{HEADER_END}\n\n{content}{EOT}"


def shown(turn: Turn) -> str:
    """What stands in a turn: an earlier call as its lines, everything else as one line of words."""
    if turn.role == "assistant" and (call := called(turn.content)):
        name, arguments = call
        return harmless(name) + "\n" + "".join(f"{k}:{spaced(_scalar(v))}\n" for k, v in arguments.items())
    return spaced(turn.content)


def render(turns: Sequence[Turn]) -> str:
    """The prompt of a call, a question or a told result, special tokens included, up to where the assistant speaks.

    Args:
        turns: The conversation, oldest first; only the last ``MAX_TURNS`` are shown, from a user turn on.
    """
    parts = [turn_text(turn.role, shown(turn)) for turn in _window(turns)]
    return BOS + "".join(parts) + f"{HEADER_START}assistant{HEADER_END}\n\n"


def _window(turns: Sequence[Turn]) -> list[Turn]:
    kept = list(turns[-MAX_TURNS:])
    while kept and kept[0].role != "user" and any(t.role == "user" for t in kept):
        kept.pop(0)
    return kept


def value_text(value: JSON) -> str:
    """The rest of an argument's line, after its colon; None is "nothing was said"."""
    return (spaced(_scalar(value)) if value is not None else f" {NOTHING}") + "\n"


def filled(name: str, arguments: Sequence[str], values: Mapping[str, JSON]) -> list[tuple[str, bool]]:
    """A call as the model writes it, in pieces; True marks what is the model's own to say.

    Args:
        name: The tool.
        arguments: The names of all its arguments, in the order of its schema.
        values: What is given.
    """
    pieces: list[tuple[str, bool]] = [(f"{name}\n", False)]
    for argument in arguments:
        pieces += [(f"{argument}:", False), (value_text(values.get(argument)), True)]
    return pieces


def asking(about: str) -> str:
    """What stands before a question about a missing argument; ``about`` is ``tool.argument``."""
    name, _, argument = about.partition(".")
    return f"{name}\n{argument}?"


def request_of(turns: Sequence[Turn]) -> str:
    """What the user wants now: the last user turn, with those before it that were only asked back about."""
    words: list[str] = []
    for turn in reversed(turns):
        if turn.role == "user":
            words.append(turn.content.strip())
        elif turn.role == "ipython" or not _asks(turn.content):
            break
    return " ".join(reversed(words))


def _asks(text: str) -> bool:
    """Whether an assistant's turn was a question: it has a question mark, or asks politely in Korean."""
    return ("?" in text or "알려 주세요" in text) and called(text) is None


def purpose(tool: ToolSpec) -> str:
    """What a tool is for, in one line: its name as words, and the first sentence of its description."""
    first = re.split(r"(?<=[.!?])\s|\n", tool["description"].strip(), maxsplit=1)[0].rstrip(".")
    return f"{re.sub('[_-]+', ' ', tool['name'])}: {first[:DESCRIPTION_CHARS]}".strip()


def lead(candidate: str = "", *, tool: bool = False) -> str:
    """What stands before a request that is read after a candidate: a sentence, a tool's purpose, or nothing."""
    told = turn_text("tool" if tool else "evidence", spaced(candidate.lower())) if candidate else ""
    return f"{BOS}{told}{HEADER_START}user{HEADER_END}\n\n"


def asked(request: str) -> str:
    """A request as it stands after ``lead``: in small letters, as the candidate there, so that words meet."""
    return spaced(request.lower()) + EOT


def argument_type(schema: Mapping[str, Any]) -> str:
    """``""`` for text, else ``int``, ``number``, ``bool``, ``date`` or the choices as ``a|b|c``."""
    options = [o for o in schema.get("anyOf", []) if o.get("type") != "null"]
    if options:
        return argument_type(options[0])
    if "enum" in schema:
        return "|".join(str(choice) for choice in schema["enum"] if choice is not None)
    if schema.get("format") in ("date", "date-time"):
        return "date"
    kind = schema.get("type", "string")
    kinds = [k for k in kind if k != "null"] if isinstance(kind, list) else [kind]
    return {"integer": "int", "number": "number", "boolean": "bool"}.get(kinds[0] if kinds else "", "")


def signature(tool: ToolSpec) -> str:
    """One line: ``name(a, b: date, c?: x|y) Description``; ``?`` marks an optional argument."""
    schema = tool["parameters"]
    required = set(schema.get("required", []))
    parts = []
    for name, spec in schema.get("properties", {}).items():
        kind = argument_type(spec)
        parts.append(name + ("" if name in required else "?") + (f": {kind}" if kind else ""))
    first = re.split(r"(?<=[.!?])\s|\n", tool["description"].strip(), maxsplit=1)[0].rstrip(".")
    return f"{tool['name']}({', '.join(parts)}) {first[:DESCRIPTION_CHARS].strip()}".rstrip()


def call_text(name: str, arguments: Mapping[str, JSON]) -> str:
    """A tool call as JSON, as other checkpoints write it (without the stop token)."""
    return json.dumps({"name": name, "parameters": dict(arguments)}, ensure_ascii=False)


def called(text: str) -> tuple[str, dict[str, JSON]] | None:
    """Name and arguments of a call as ``call_text`` writes it; None for words, though they may begin like one."""
    if not text.startswith('{"name": '):
        return None
    try:
        value = json.loads(text)
        name, arguments = value["name"], value["parameters"]
        return (name, arguments) if isinstance(name, str) and call_text(name, arguments) == text else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def question_text(about: str, question: str) -> str:
    """A clarification as JSON; ``about`` is ``tool.argument``."""
    return call_text(ASK_USER, {"about": about, "question": question})


def choice_text(n: int, evidence: Sequence[str]) -> str:
    """The choice of evidence sentence ``n`` (counted from 1) as other checkpoints write it; 0 abstains."""
    return MARKERS[0] if n == 0 else f"{MARKERS[n]} {' '.join(harmless(evidence[n - 1]).split())}"
