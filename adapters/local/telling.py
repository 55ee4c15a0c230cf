"""From tokens to what a caller is told: text in whole characters, tool calls in one piece, and why it ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from adapters.forms.offers import call_id
from adapters.forms.parsing import parse_replies


class TextStream:
    """Tokens to text: never half a character, never a stop string or the beginning of one."""

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str]) -> None:
        self._decode = decode
        self._stop = [s for s in stop if s]
        self._ids: list[int] = []
        self._given = 0
        self.whole = ""
        self.stopped = False

    @property
    def tokens(self) -> int:
        """How many tokens were taken in."""
        return len(self._ids)

    def push(self, tokens: Sequence[int], *, whole_call: bool = False) -> None:
        """Take in new tokens; ``stopped`` is set once a stop string is complete, and ``whole`` ends before it.

        A tool call is not cut by stop strings (``whole_call``): they are meant for text.
        """
        self._ids.extend(tokens)
        self.whole = self._decode(self._ids)
        if whole_call:
            return
        found = [at for s in self._stop if (at := self.whole.find(s)) >= 0]
        if found:
            self.whole, self.stopped = self.whole[: min(found)], True

    def take(self, *, last: bool = False) -> str:
        """The text that is certain by now and has not been taken yet."""
        end = len(self.whole) if last or self.stopped else len(self.whole) - self._unsure()
        piece = self.whole[self._given : end]
        self._given = max(self._given, end)
        return piece

    def _unsure(self) -> int:
        # An unfinished character decodes to such signs: byte-level decoders give one, the byte fallback of LLaMA 2
        # one for each byte, those of the finished characters before it in the same run of bytes included.
        known = self.whole.rstrip("\ufffd")
        lengths = (n for s in self._stop for n in range(1, len(s)) if known.endswith(s[:n]))
        return len(self.whole) - len(known) + max(lengths, default=0)


class Telling:
    """One reply on its way out.

    Args:
        decode: Tokens to text.
        stop: Strings that end a text.
        offered: Names of the tools that may be called; [] for text only.
        max_tokens: Longest text. A call is not cut: its grammar ends it.
    """

    def __init__(
        self, decode: Callable[[Sequence[int]], str], stop: Sequence[str], offered: Sequence[str], max_tokens: int
    ) -> None:
        self._text = TextStream(decode, stop)
        self._offered = list(offered)
        self._max_tokens = max_tokens
        self._held = bool(offered)  # until it is known whether this is a call, nothing is shown
        self._calls = 0
        self.over = False  # nothing more is wanted

    @property
    def tokens(self) -> int:
        """How many tokens were taken in."""
        return self._text.tokens

    def push(self, tokens: Sequence[int]) -> str:
        """Take in tokens; the text that can be shown by now."""
        room = None if self._held else self._max_tokens - self._text.tokens
        self._text.push(tokens[:room], whole_call=self._held)
        if self._held and self._text.whole.lstrip()[:1] not in ("", "{"):
            self._held = False
            self._text.push([])
        if self._held:
            return ""
        self.over = self._text.stopped or self._text.tokens >= self._max_tokens
        return self._text.take()

    def last(self) -> Iterator[AIMessageChunk]:
        """What was still held back. Raises UnreadableReply for a call that did not come to its end."""
        if not self._held:
            yield AIMessageChunk(content=self._text.take(last=True))
            return
        found = parse_replies(self._text.whole, self._offered)
        if isinstance(found, str):
            yield AIMessageChunk(content=found)
            return
        self._calls = len(found)
        for n, call in enumerate(found):
            args = json.dumps(call.args, ensure_ascii=False)
            piece = tool_call_chunk(name=call.name, args=args, id=call_id(), index=n)
            yield AIMessageChunk(content="", tool_call_chunks=[piece])

    def reason(self, *, full: bool) -> str:
        """Why it ended: "tool_calls", "stop" or "length"; ``full``: there was no room for another token."""
        if self._calls:
            return "tool_calls"
        cut = not self._text.stopped and (full or self._text.tokens >= self._max_tokens)
        return "length" if cut else "stop"
