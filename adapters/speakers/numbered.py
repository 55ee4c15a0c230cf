"""One turn of any LLaMA checkpoint: numbered evidence in its prompt, and a grammar over everything that may be said.

The first token says whether the turn is an answer, "[n]", or a call. Names may be copied from documents too, numbers
and dates only from what people and tools said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.messages.tool import tool_call

from adapters.errors import UnreadableReply
from adapters.forms.grammar import turn_grammar
from adapters.forms.offers import call_id
from adapters.forms.parsing import parse_reply
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine, Prefix
from adapters.local.fitting import PROBE, LeftOut, cut_call, fit, shared
from adapters.local.templates import agent_turn
from adapters.prompt import ASK_USER, MARKERS, turns_of
from adapters.speakers.evidence import gather
from adapters.speakers.rendering import NUMBERED, numbered_text, rendered
from adapters.speakers.turns import abstention, answer, generation, wordless
from state import Generation, Language, Passage, ToolSpec, UserError


class NumberedSpeaker:
    """Speaks for a ChatLlama with a checkpoint from elsewhere.

    Args:
        chat: The model.
        today: Gives the ISO date that the prompt tells.
        abstain_share: It abstains where the share of "[0]" among all numbers is at least this.
        max_tokens: Longest reply, in tokens.
    """

    def __init__(self, chat: ChatLlama, today: Callable[[], str], abstain_share: float, max_tokens: int) -> None:
        self._chat = chat
        self._engine: Engine = chat.engine
        self._today = today
        self._abstain_share = abstain_share
        self._max_tokens = max_tokens
        self._longest = max(max_tokens, chat.call_tokens)  # of a call

    def turn(
        self, messages: Sequence[AnyMessage], passages: Sequence[Passage], tools: Sequence[ToolSpec], language: Language
    ) -> Generation:
        """The next turn."""
        today = self._today()
        made = self._turn(messages, passages, tools, language, today)
        left_out = made["message"].response_metadata.get("left_out")
        tokenizer = self._engine.local.tokenizer
        text = numbered_text(tokenizer, messages, passages, tools, language, today, left_out)
        return {**made, "prompt": rendered(NUMBERED, text, today, left_out)}

    def _turn(
        self,
        messages: Sequence[AnyMessage],
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
        today: str,
    ) -> Generation:
        evidence, pending = gather(messages, passages)
        sentences = [row.text for row in evidence]
        prefix, kept, left_out = self._read(messages, tools, sentences, language, today)
        sentences = sentences[: len(sentences) - (left_out["evidence"] if left_out else 0)]
        prompt = len(prefix.ids)
        spoken = [t.content for t in turns_of(kept) if t.role != "assistant"]
        sources = {passage["id"]: passage["text"] for passage in passages}
        grammar = self._calls(tools, spoken, [] if pending else sentences, sources)
        if grammar is not None and not self._prefers_answer(prefix, len(sentences)):
            return self._call(prefix, grammar, tools, prompt, left_out)
        n = self._pick(prefix, len(sentences), told=pending)
        if pending and not evidence:
            return wordless(self._chat, language, prompt, left_out)
        if n == 0:
            return abstention(self._chat, language, prompt, left_out)
        return answer(self._chat, [evidence[n - 1]], prompt, len(self._engine.encode(sentences[n - 1])), left_out)

    def _read(
        self,
        messages: Sequence[AnyMessage],
        tools: Sequence[ToolSpec],
        sentences: Sequence[str],
        language: Language,
        today: str,
    ) -> tuple[Prefix, list[AnyMessage], LeftOut | None]:
        """The prompt, without the oldest turns, and then the last sentences, where it would be too long."""
        engine = self._engine
        context = engine.local.context
        room = context - min(self._longest if tools else self._max_tokens, context // 4)
        for shown in range(len(sentences), -1, -1):

            def read(kept: Sequence[AnyMessage], shown: int = shown) -> list[int]:
                return engine.encode(
                    agent_turn(engine.local.tokenizer, kept, tools, sentences[:shown], language, today)
                )

            ids, kept, gone = fit(read, messages, room)
            if len(ids) <= room:
                break
        head = shared(ids, read([HumanMessage(PROBE)], 0))
        prefix = engine.read(ids, adapter=self._chat.adapter, reserve=32, head=head)
        dropped = len(sentences) - shown
        return prefix, kept, LeftOut(messages=gone, evidence=dropped, context=context) if gone or dropped else None

    def _calls(
        self, tools: Sequence[ToolSpec], spoken: Sequence[str], sentences: Sequence[str], sources: dict[str, str]
    ) -> str | None:
        texts = [*sentences, *spoken]
        try:
            return turn_grammar(tools, forms=("call", "ask"), texts=texts, numbers=spoken, sources=sources)
        except UserError:  # no tool is offered, or none can be filled and none has an argument to ask about
            return None

    def _prefers_answer(self, prefix: Prefix, sentences: int) -> bool:
        """Whether the mass on "[n]" exceeds that on "{": the first token says which form the turn has."""
        marks = {self._engine.encode(MARKERS[n])[0] for n in range(sentences + 1)}
        brace = self._engine.encode('{"')[0]
        *answers, call = self._engine.likelihoods(prefix, [*sorted(marks), brace])
        return math.fsum(math.exp(a) for a in answers) > math.exp(call)

    def _pick(self, prefix: Prefix, sentences: int, *, told: bool) -> int:
        """The number of the sentence that answers, 0 for none; a tool's result is always ``told``."""
        if not sentences:
            return 0
        worth = self._marked(prefix, sentences + 1)
        share = math.exp(worth[0]) / math.fsum(math.exp(value) for value in worth)
        if share >= self._abstain_share and not told:
            return 0
        return max(range(1, sentences + 1), key=worth.__getitem__)

    def _marked(self, prefix: Prefix, count: int) -> list[float]:
        """Log likelihoods of "[0]", "[1]", …: one token each for some tokenizers, several for others."""
        marks = [self._engine.encode(mark) for mark in MARKERS[:count]]
        if all(len(mark) == 1 for mark in marks):
            return self._engine.likelihoods(prefix, [mark[0] for mark in marks])
        return [score.total for score in self._engine.score(prefix, marks)]

    def _call(
        self, prefix: Prefix, grammar: str, tools: Sequence[ToolSpec], prompt: int, left_out: LeftOut | None
    ) -> Generation:
        ids = [t for step in self._engine.generate(prefix, grammar=grammar, max_tokens=self._longest) for t in step]
        local = self._engine.local
        try:
            reply = parse_reply(self._engine.decode(ids), [*(tool["name"] for tool in tools), ASK_USER])
        except UnreadableReply:
            if prompt + len(ids) < local.context:
                raise
            raise cut_call(local.name, local.context, prompt) from None
        if isinstance(reply, str):
            raise UnreadableReply("the model wrote no tool call although only a call was possible; ask again")
        if reply.name == ASK_USER:
            question, about = str(reply.args["question"]), str(reply.args["about"])
            return generation(
                self._chat, question, [], prompt, len(ids), clarification=question, about=about, left_out=left_out
            )
        call = tool_call(name=reply.name, args=reply.args, id=call_id())
        return generation(self._chat, "", [], prompt, len(ids), calls=[call], left_out=left_out)
