"""What the embedded model reads and writes, as text. Training and serving share this file and nothing else decides it.

A prompt is a Llama-3 style chat::

    <|begin_of_text|>
    system     today's date, the language, one signature line per offered tool
    user / assistant / ipython      earlier turns; an older tool result is an ipython turn
    evidence   "[1] sentence" lines: sentences of retrieved passages, or the lines of the newest tool result
    user       the newest turn of the user (before the evidence where a tool result waits for an answer)
    assistant  ← the model continues here

The evidence stands before the question, so that each word of the question can look up the sentence that has it:
the model reads forwards only. A number in brackets is one token. The model answers with one of::

    {"name": "book_room", "parameters": {"hotel": "…", "check_in": "12월 3일", "guests": 2}}<|eot_id|>
    {"name": "ask_user", "parameters": {"about": "book_room.check_in", "question": "…"}}<|eot_id|>
    [3] the text of evidence sentence 3<|eot_id|>
    [0]<|eot_id|>                                      (no sentence answers the question)

Arguments stand in the order of the signature; optional ones only when the user gave them. Strings and dates are
spans of the user's words, integers are digits (``integers_in`` lists those that a text contains), enums by name.

This module knows no tokenizer, model or LangGraph; it renders and reads strings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from state import JSON, Language, ToolSpec

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
MAX_TURNS: Final = 8
DESCRIPTION_CHARS: Final = 64

CHAT_TEMPLATE: Final = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] + '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)

Role = Literal["user", "assistant", "ipython"]


class Turn(NamedTuple):
    """One turn of the conversation as the model sees it."""

    role: Role
    content: str


class ChatTurn(NamedTuple):
    """One rendered turn, special tokens of the content made harmless."""

    role: str
    content: str


# ---------------------------------------------------------------------------------------------------- reading


def turns_of(messages: Sequence[AnyMessage]) -> list[Turn]:
    """LangChain messages as turns, in order. An AI message with tool calls becomes one assistant turn per call."""
    turns: list[Turn] = []
    for message in messages:
        if isinstance(message, HumanMessage):
            turns.append(Turn("user", message.text))
        elif isinstance(message, ToolMessage):
            turns.append(Turn("ipython", message.text))
        elif isinstance(message, AIMessage):
            calls = [Turn("assistant", call_text(call["name"], call["args"])) for call in message.tool_calls]
            turns.extend(calls or [Turn("assistant", message.text)])
    return turns


def result_lines(content: str) -> list[str]:
    """The lines of a tool result that may be chosen as an answer.

    Text is split at line ends. A JSON object becomes its ``message`` (or ``text``) when it has one, else one line
    ``key: value, …``; a JSON list becomes one line an element.
    """
    try:
        value = json.loads(content)
    except ValueError:
        value = content
    if isinstance(value, str):
        return [line.strip() for line in value.splitlines() if line.strip()]
    rows = value if isinstance(value, list) else [value]
    return [line for row in rows if (line := _row_line(row))]


def _row_line(value: JSON) -> str:
    if not isinstance(value, dict):
        return str(value)
    for key in ("message", "text"):
        if isinstance(value.get(key), str) and value[key].strip():
            return " ".join(value[key].split())
    return ", ".join(f"{key}: {_scalar(item)}" for key, item in value.items() if item not in (None, "", [], {}))


def _scalar(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def evidence_for(turns: Sequence[Turn], sentences: Sequence[str]) -> list[str]:
    """What is numbered next: the newest tool result's lines if one waits for an answer, else ``sentences``.

    At most ``MAX_EVIDENCE`` entries; the number of an entry in the prompt is its index plus one.
    """
    lines: list[str] = []
    for turn in reversed(turns):
        if turn.role == "user":
            break
        if turn.role == "ipython":
            lines = result_lines(turn.content) + lines
    return list(lines or sentences)[:MAX_EVIDENCE]


_WORDS: Final = {
    1: ("one", "a", "single", "한", "하나", "혼자"),
    2: ("two", "a couple of", "both", "두", "둘"),
    3: ("three", "세", "셋"),
    4: ("four", "네", "넷"),
    5: ("five", "다섯"),
    6: ("six", "여섯"),
    7: ("seven", "일곱"),
    8: ("eight", "여덟"),
    9: ("nine", "아홉"),
}
_DIGITS = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)|\d+")
_MAN = re.compile(r"(\d+)\s?만(?:\s?(\d)\s?천)?")


def integers_in(text: str) -> list[int]:
    """Every integer that an argument may take from ``text``, without repeats, in order of appearance.

    Digit runs (thousands commas dropped), Korean 만/천 amounts ("18만 원" is 180000), then number words from one to
    nine in English and Korean.
    """
    found = [(m.start(), int(m.group().replace(",", ""))) for m in _DIGITS.finditer(text) if len(m.group()) <= 15]
    found += [(m.start(), int(m[1]) * 10_000 + int(m[2] or 0) * 1_000) for m in _MAN.finditer(text) if len(m[1]) <= 8]
    for number, words in _WORDS.items():
        for word in words:
            pattern = rf"\b{word}\b" if word.isascii() else rf"(?<![가-힣]){word}(?=\s|명|분|사람|이서|이|$)"
            found += [(m.start(), number) for m in re.finditer(pattern, text, re.IGNORECASE)]
    return list(dict.fromkeys(number for _, number in sorted(found)))


# -------------------------------------------------------------------------------------------------- rendering


def harmless(text: str) -> str:
    """``text`` without anything that the tokenizer would read as a special token or an evidence number."""
    return re.sub(r"\[(\d{1,2})\]", r"(\1)", text.replace("<|", "< |"))


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


def chat(
    turns: Sequence[Turn],
    tools: Sequence[ToolSpec] | Sequence[str],
    evidence: Sequence[str],
    language: Language,
    today: str,
) -> list[ChatTurn]:
    """The turns of a prompt, ready for the tokenizer's chat template (role and content).

    Args:
        turns: The conversation, oldest first; only the last ``MAX_TURNS`` are shown, from a user turn on.
        tools: Offered tools, as specs or as signature lines.
        evidence: At most ``MAX_EVIDENCE`` sentences, see ``evidence_for``.
        language: The language of the conversation.
        today: ISO date, given by the caller: never the wall clock.

    Raises:
        ValueError: More than ``MAX_EVIDENCE`` evidence sentences.
    """
    if len(evidence) > MAX_EVIDENCE:
        raise ValueError(f"{len(evidence)} evidence sentences: at most {MAX_EVIDENCE} can be numbered")
    lines = [f"{today} {language}", *(t if isinstance(t, str) else signature(t) for t in tools)]
    shown = _window(turns)
    pending = _pending(shown)
    out = [ChatTurn("system", harmless("\n".join(lines)))]
    for i, turn in enumerate(shown):
        # The newest result is shown once, as numbered evidence; here only that there is one.
        content = "result" if turn.role == "ipython" and i >= pending else harmless(turn.content.strip())
        out.append(ChatTurn(turn.role, content))
    if evidence:
        numbered = (f"[{n}] {' '.join(harmless(text).split())}" for n, text in enumerate(evidence, 1))
        asked = bool(shown) and shown[-1].role == "user"
        out.insert(len(out) - asked, ChatTurn("evidence", "\n".join(numbered)))
    return out


def _window(turns: Sequence[Turn]) -> list[Turn]:
    shown = list(turns[-MAX_TURNS:])
    while shown and shown[0].role != "user" and any(t.role == "user" for t in shown):
        shown.pop(0)
    return shown


def _pending(turns: Sequence[Turn]) -> int:
    """Index after the last user turn: tool results from there on wait for an answer."""
    return max((i + 1 for i, turn in enumerate(turns) if turn.role == "user"), default=0)


def render(
    turns: Sequence[Turn],
    tools: Sequence[ToolSpec] | Sequence[str],
    evidence: Sequence[str],
    language: Language,
    today: str,
) -> str:
    """The prompt as one string, special tokens included, up to where the assistant speaks; see ``chat``."""
    parts = [
        f"{HEADER_START}{t.role}{HEADER_END}\n\n{t.content}{EOT}" for t in chat(turns, tools, evidence, language, today)
    ]
    return BOS + "".join(parts) + f"{HEADER_START}assistant{HEADER_END}\n\n"


def request_of(turns: Sequence[Turn]) -> str:
    """What the user wants now: the last user turn, with those before it that were only asked back about."""
    words: list[str] = []
    for turn in reversed(turns):
        if turn.role == "user":
            words.append(turn.content.strip())
        elif turn.role == "ipython" or not turn.content.rstrip().endswith("?") or turn.content.startswith("{"):
            break
    return " ".join(reversed(words))


def lead(sentence: str) -> str:
    """What stands before a question about one sentence; the model tells how likely the question is after it.

    Of many sentences the one answers that makes the question likeliest; ``lead("")`` is for the question alone.
    """
    text = " ".join(harmless(sentence).lower().split())
    shown = f"{HEADER_START}evidence{HEADER_END}\n\n[1] {text}{EOT}" if sentence else ""
    return f"{BOS}{shown}{HEADER_START}user{HEADER_END}\n\n"


def asked(question: str) -> str:
    """A question as it stands after ``lead``: in small letters, as the sentence there, so that words meet."""
    return " ".join(harmless(question).lower().split()) + EOT


def call_text(name: str, arguments: Mapping[str, JSON]) -> str:
    """A tool call as the model writes it (without the stop token)."""
    return json.dumps({"name": name, "parameters": dict(arguments)}, ensure_ascii=False)


def question_text(about: str, question: str) -> str:
    """A clarification as the model writes it; ``about`` is ``tool.argument``."""
    return call_text(ASK_USER, {"about": about, "question": question})


def choice_text(n: int, evidence: Sequence[str]) -> str:
    """The choice of evidence sentence ``n`` (counted from 1) as the model writes it; 0 abstains."""
    return MARKERS[0] if n == 0 else f"{MARKERS[n]} {' '.join(harmless(evidence[n - 1]).split())}"
