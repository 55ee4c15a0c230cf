"""What each speaker says to each held-out point, asked once and kept, so that an evaluation that was cut off goes on.

``gates/replies/<dataset>-<speaker>.jsonl``: one reply a line, each with a checksum. What is torn or spoilt is asked
again. A speaker is named by what it is (base, adapter, how it decodes, baseline), never by where it lies.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypedDict, cast

from langchain_core.messages import AIMessage, AnyMessage

from adapters.dataset.points import untold
from adapters.durable import sync_dir
from adapters.errors import UnreadableReply
from adapters.prompt import ASK_USER
from state import JSON, Generation, Language, Passage, PassingFault, ToolSpec, UserError

FORM: Final = 1
"""Of a kept reply; another one is asked anew."""


class ReplyNotKept(PassingFault):
    """The disk refused a reply."""


class Asked(Protocol):
    """The generator's port."""

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        """The next turn."""
        ...


class Reply(TypedDict):
    """A turn as it is compared. A question is a call of ``ask_user``."""

    tool: str  # "" for words
    args: dict[str, JSON]
    text: str
    cited: list[str]  # quotes, in the order of their numbers
    sources: list[str]  # where each stands
    abstained: bool
    error: str  # why there is no turn at all; "" where there is one
    seconds: float


@dataclass(frozen=True)
class Speaker:
    """Who is asked. ``told``: the day that its prompts tell from now on, where they tell one."""

    name: str
    generator: Asked
    told: Callable[[str], None] = lambda day: None


def speaker_name(**what: JSON) -> str:
    """16 hexadecimal digits for what a speaker is: base, quantization, adapter, decoding, baseline."""
    said = json.dumps({**what, "form": FORM}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Kept:
    """The replies of one speaker to one set of points. One process at a time writes; another one only asks twice."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found = dict(_read(path))

    def get(self, point: str) -> dict[str, JSON] | None:
        """What was said to a point."""
        return self._found.get(point)

    def put(self, point: str, said: Mapping[str, JSON]) -> None:
        """Keep a reply, durable on return.

        Raises:
            ReplyNotKept: the disk is full or failing.
        """
        body = json.dumps([point, dict(said)], ensure_ascii=False)
        line = json.dumps([_sum(body), body], ensure_ascii=False)
        try:
            fresh = not self.path.exists()
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with open(fd, "ab", buffering=0) as file:
                file.write(f"\n{line}\n".encode("utf-8", "surrogatepass"))  # also after a torn line
                os.fsync(file.fileno())
            if fresh:
                sync_dir(self.path.parent)
        except OSError as e:
            raise ReplyNotKept(
                f"{self.path} cannot be written ({e.strerror}); free space and evaluate again: it goes on from here"
            ) from e
        self._found[point] = dict(said)


def ask_all(
    speaker: Speaker, points: Sequence[Mapping[str, Any]], kept: Kept, *, on_reply: Callable[[], None] = lambda: None
) -> dict[str, Reply]:
    """The replies of a speaker to all held-out points, by point; those that are kept are not asked again.

    Raises:
        PassingFault: an endpoint is away, or the disk is full; what was answered is kept.
    """
    found: dict[str, Reply] = {}
    for point in points:
        name = str(point["point"])
        said = kept.get(name)
        if said is None:
            said = dict(ask(speaker, point))
            kept.put(name, said)
        found[name] = cast(Reply, said)
        on_reply()
    return found


def ask(speaker: Speaker, point: Mapping[str, Any]) -> Reply:
    """What a speaker says to a point, with its tools, passages, language and day of then."""
    speaker.told(str(point["today"] or point.get("day") or ""))
    messages, tools = untold(point["prompt"]), [_spec(tool) for tool in point["tools"]]
    begun = time.perf_counter()
    try:
        said = speaker.generator.reply(messages, passages=point["passages"], tools=tools, language=point["language"])
    except (UserError, UnreadableReply) as e:  # too long for it, or no turn: that is what it is worth here
        return Reply(tool="", args={}, text="", cited=[], sources=[], abstained=False, error=str(e), seconds=0.0)
    return {**plain(said), "seconds": round(time.perf_counter() - begun, 4)}


def plain(said: Generation) -> Reply:
    """A turn as it is compared; of several calls the first."""
    message = cast(AIMessage, said["message"])
    numbered = sorted(said["citations"], key=lambda citation: citation["n"])
    reply = Reply(
        tool="", args={}, text=message.text, cited=[c["quote"] for c in numbered],
        sources=[c["passage"] for c in numbered], abstained=said["abstained"], error="", seconds=0.0,
    )  # fmt: skip
    if message.tool_calls:
        call = message.tool_calls[0]
        return {**reply, "tool": call["name"], "args": dict(call["args"]), "text": ""}
    if said["clarification"]:
        asked = {"about": said["about"], "question": said["clarification"]}
        return {**reply, "tool": ASK_USER, "args": asked, "text": ""}
    return reply


def _spec(tool: Mapping[str, Any]) -> ToolSpec:
    function = tool["function"]
    return ToolSpec(
        name=function["name"], description=function["description"], parameters=function["parameters"],
        schema_version="", effect_class="write", recovery="at_most_once", reversible=False,
    )  # fmt: skip


def _read(path: Path) -> Iterator[tuple[str, dict[str, JSON]]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in reversed(lines):  # of two replies to a point the first one stays
        try:
            total, body = json.loads(line)
            if total == _sum(body):
                point, said = json.loads(body)
                yield str(point), dict(said)
        except (ValueError, TypeError):
            continue


def _sum(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()[:16]


__all__ = ["Asked", "Kept", "Reply", "ReplyNotKept", "Speaker", "ask", "ask_all", "plain", "speaker_name"]
