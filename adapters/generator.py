"""One turn of the agent: ``ChatGenerator`` satisfies the port ``Generator`` by shape, whatever model is behind it.

A local ChatLlama speaks under a grammar and answers by choosing sentences of the evidence; any other LangChain chat
model (an OpenAI-compatible endpoint) is prompted, parsed and mapped by ``adapters.endpoint``. What is asked of a
person, and what is allowed to run, is decided elsewhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, Protocol, get_args

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call

from adapters.chat import ChatLlama, call_id
from adapters.datewords import date_words
from adapters.engine import Engine, Prefix
from adapters.errors import ModelNotUsable, UnreadableReply
from adapters.evidence import Evidence, gather, overlap
from adapters.grammar import Form, turn_grammar, unfilled
from adapters.parsing import parse_reply
from adapters.prompt import ASK_USER, MARKERS, asked, choice_text, lead, request_of, signature, turns_of
from adapters.templates import agent_turn
from state import Generation, Language, Passage, ToolSpec, UserError

Strategy = Literal["marker", "total", "mean", "question", "search"]
DECODING_FILE: Final = "decoding.json"
ABSTENTIONS: Final[Mapping[Language, str]] = {
    "ko": "가지고 있는 문서에서는 이에 대한 답을 찾지 못했습니다.",
    "en": "I did not find an answer to this in the documents at hand.",
}


@dataclass(frozen=True)
class Decoding:
    """How an answer is picked among the evidence sentences; measured on held-out questions, shipped with the weights.

    ``strategy``: by the likelihood of the number alone ("marker"), of the whole line ("total") or a token of it
    ("mean"). The generator abstains where the abstention's share among all choices is at least ``abstain_share``.

    "question" turns it round: each sentence is read alone, and the one after which the question is likeliest answers.
    The generator then abstains where that sentence makes the question less than ``abstain_margin`` nats likelier than
    no sentence at all. A tool's result is always told, by the number. ``overlap_weight`` adds so many nats for a
    sentence that holds all terms of the question (``adapters.evidence.overlap``): what a search would say of it.

    "search" lets the first token say whether a tool is wanted, and picks an answer like "question" does.
    """

    strategy: Strategy = "marker"
    abstain_share: float = 0.5
    abstain_margin: float = 0.0
    overlap_weight: float = 0.0

    @classmethod
    def read(cls, directory: Path) -> Decoding:
        """From ``decoding.json`` in a model or adapter folder; the defaults where there is none."""
        path = directory / DECODING_FILE
        if not path.exists():
            return cls()
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            share = float(told.get("abstain_share", cls.abstain_share))
            strategy = told.get("strategy", cls.strategy)
            margin = float(told.get("abstain_margin", cls.abstain_margin))
            weight = float(told.get("overlap_weight", cls.overlap_weight))
        except (OSError, ValueError, TypeError, AttributeError) as e:
            raise ModelNotUsable(f"{path} cannot be read ({e}); export it again with the weights") from None
        if strategy not in get_args(Strategy) or not 0 <= share <= 1:
            raise ModelNotUsable(f"{path}: strategy is one of {get_args(Strategy)}, abstain_share lies in 0…1")
        return cls(strategy, share, margin, weight)


class Speaker(Protocol):
    """One way to get a turn out of a chat model."""

    def turn(
        self, messages: Sequence[AnyMessage], passages: Sequence[Passage], tools: Sequence[ToolSpec], language: Language
    ) -> Generation:
        """The next turn."""
        ...


class ChatGenerator:
    """The generator port over a chat model.

    Args:
        chat: A ChatLlama, or any LangChain chat model that binds tools.
        today: ISO date that the model is told, or a callable that gives it; by default the machine's date.
        decoding: How a ChatLlama picks answers.
        max_tokens: Longest reply, in tokens.
    """

    def __init__(
        self,
        chat: BaseChatModel,
        *,
        today: str | Callable[[], str] | None = None,
        decoding: Decoding | None = None,
        max_tokens: int = 256,
    ) -> None:
        self._today = today if callable(today) else (lambda: today or date.today().isoformat())
        self._speaker: Speaker
        if isinstance(chat, ChatLlama):
            self._speaker = _Local(chat, self._today, decoding or Decoding(), max_tokens)
        else:
            from adapters.endpoint import EndpointSpeaker

            self._speaker = EndpointSpeaker(chat, self._today)

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        """The next turn: tool calls, a question to the person, or text whose ``[n]`` number the citations from 1.

        Raises:
            UserError: The prompt is too long, the endpoint refused the key or the request.
            PassingFault: The endpoint is away, or the reply cannot be read.
        """
        return self._speaker.turn(messages, passages, tools, language)


class _Local:
    """A turn of a ChatLlama: first call or answer, then the words of it, all under one grammar."""

    def __init__(self, chat: ChatLlama, today: Callable[[], str], decoding: Decoding, max_tokens: int) -> None:
        self._chat = chat
        self._engine: Engine = chat.engine
        self._today = today
        self._decoding = decoding
        self._max_tokens = max_tokens

    def turn(
        self, messages: Sequence[AnyMessage], passages: Sequence[Passage], tools: Sequence[ToolSpec], language: Language
    ) -> Generation:
        evidence, pending = gather(messages, passages)
        sentences = [row.text for row in evidence]
        turns = turns_of(messages)
        tokenizer = self._engine.local.tokenizer
        alone = self._decoding.strategy == "question" and not pending  # then sentences are read one by one, later
        searched = self._decoding.strategy == "search" and not pending
        shown = [] if alone else sentences
        question = "" if pending else request_of(turns)
        if alone:
            wanted, n = self._wanted(question, tools, sentences)
            if wanted is None:
                return self._told(n, evidence, language, 1)
            tools = [wanted]
        prompt = self._engine.encode(agent_turn(tokenizer, messages, tools, shown, language, self._today()))
        prefix = self._engine.read(prompt, adapter=self._chat.adapter, reserve=32)
        spoken = [t.content for t in turns if t.role != "assistant"]
        grammar = self._calls(tools, spoken, [] if pending else shown)
        if grammar is None or (not alone and self._prefers_answer(prefix, len(shown))):
            n = self._wanted(question, [], sentences)[1] if searched else self._pick(prefix, sentences)
            return self._told(n, evidence, language, len(prompt))
        if searched:
            grammar = self._narrowed(prefix, question, tools, spoken) or grammar
        return self._call(prefix, grammar, tools, len(prompt), spoken)

    def _narrowed(self, prefix: Prefix, request: str, tools: Sequence[ToolSpec], spoken: Sequence[str]) -> str | None:
        """The grammar of one tool: its call where the words for it are there, else a question about what is missing."""
        if not tools:
            return None
        heads = [self._engine.encode('{"name": ' + json.dumps(tool["name"]) + ', "parameters": {"') for tool in tools]
        shared = overlap(request, [f"{tool['name']} {tool['description']}" for tool in tools])
        worth = [
            score.total + self._decoding.overlap_weight * share
            for score, share in zip(self._engine.score(prefix, heads), shared, strict=True)
        ]
        tool = tools[max(range(len(tools)), key=worth.__getitem__)]
        missing = unfilled(tool["parameters"], spoken)
        form: Form = "ask" if missing else "call"
        try:
            return turn_grammar([tool], forms=(form,), texts=spoken, numbers=spoken, about=missing or None, names=True)
        except UserError:
            return None

    def _calls(self, tools: Sequence[ToolSpec], spoken: Sequence[str], sentences: Sequence[str]) -> str | None:
        """Names may be copied from documents too; numbers only from what people and tools said."""
        forms: tuple[Form, ...] = ("call", "ask")
        try:
            return turn_grammar(tools, forms=forms, texts=[*sentences, *spoken], numbers=spoken)
        except UserError:  # no tool is offered, or none can be filled and none has an argument to ask about
            return None

    def _prefers_answer(self, prefix: Prefix, sentences: int) -> bool:
        """Whether the mass on "[n]" exceeds that on "{": the first token says which form the turn has."""
        marks = {self._engine.encode(MARKERS[n])[0] for n in range(sentences + 1)}
        brace = self._engine.encode('{"')[0]
        *answers, call = self._engine.likelihoods(prefix, [*sorted(marks), brace])
        return math.fsum(math.exp(a) for a in answers) > math.exp(call)

    def _told(self, n: int, evidence: Sequence[Evidence], language: Language, prompt: int) -> Generation:
        """Sentence ``n`` as the answer, 0 for the abstention."""
        if n == 0:
            return self._generation(ABSTENTIONS[language], [], prompt, 1, abstained=True)
        chosen = evidence[n - 1]
        spoken = len(self._engine.encode(choice_text(n, [row.text for row in evidence])))
        return self._generation(f"{chosen.text} [1]", [chosen.cite(1)], prompt, spoken)

    def _wanted(self, request: str, tools: Sequence[ToolSpec], sentences: Sequence[str]) -> tuple[ToolSpec | None, int]:
        """The tool after whose signature ``request`` is likeliest, or else the number of the sentence, 0 for none."""
        lines = [*(signature(tool) for tool in tools), *sentences]
        margins = self.margins(request, lines) if lines and request else []
        shared = [0.0] * len(tools) + overlap(request, sentences)
        margins = [m + self._decoding.overlap_weight * s for m, s in zip(margins, shared, strict=False)]
        best = max(range(len(margins)), key=margins.__getitem__, default=-1)
        if best < 0 or margins[best] < self._decoding.abstain_margin:
            return None, 0
        return (tools[best], 0) if best < len(tools) else (None, best - len(tools) + 1)

    def margins(self, question: str, sentences: Sequence[str]) -> list[float]:
        """By how many nats each sentence makes the question likelier than no sentence does."""
        engine, words = self._engine, self._engine.encode(asked(question))
        leads = [engine.encode(lead(sentence)) for sentence in ("", *sentences)]
        prefix = engine.read(leads[0][:1], adapter=self._chat.adapter)
        rows = [ids[1:] + words for ids in leads] + [ids[1:] for ids in leads]
        totals = [score.total for score in engine.score(prefix, rows)]
        none, *likely = [whole - before for whole, before in zip(totals, totals[len(leads) :], strict=False)]
        return [value - none for value in likely]

    def _pick(self, prefix: Prefix, sentences: Sequence[str]) -> int:
        """The number of the sentence that answers, 0 for none."""
        if not sentences:
            return 0
        numbers = range(len(sentences) + 1)
        first = self._marked(prefix, len(numbers))
        share = math.exp(first[0]) / math.fsum(math.exp(value) for value in first)
        told = self._decoding.strategy in ("question", "search")  # then only a tool's result comes here
        if share >= self._decoding.abstain_share and not told:
            return 0
        worth = first
        if self._decoding.strategy in ("total", "mean"):  # the number alone costs no second pass
            scores = self._engine.score(prefix, [self._engine.encode(choice_text(n, sentences)) for n in numbers])
            worth = [s.total if self._decoding.strategy == "total" else s.mean for s in scores]
        return max(numbers[1:], key=worth.__getitem__)

    def _marked(self, prefix: Prefix, count: int) -> list[float]:
        """Log likelihoods of "[0]", "[1]", …: one token each for our tokenizer, several for others."""
        marks = [self._engine.encode(mark) for mark in MARKERS[:count]]
        if all(len(mark) == 1 for mark in marks):
            return self._engine.likelihoods(prefix, [mark[0] for mark in marks])
        return [score.total for score in self._engine.score(prefix, marks)]

    def _call(
        self, prefix: Prefix, grammar: str, tools: Sequence[ToolSpec], prompt: int, spoken: Sequence[str]
    ) -> Generation:
        ids = [t for step in self._engine.generate(prefix, grammar=grammar, max_tokens=self._max_tokens) for t in step]
        reply = parse_reply(self._engine.decode(ids), [*(tool["name"] for tool in tools), ASK_USER])
        if isinstance(reply, str):
            raise UnreadableReply("the model wrote no tool call although only a call was possible; ask again")
        if reply.name == ASK_USER:
            question, about = str(reply.args["question"]), str(reply.args["about"])
            return self._generation(question, [], prompt, len(ids), clarification=question, about=about)
        args = _once_each(reply.args, tools, reply.name, spoken) if self._decoding.strategy == "search" else reply.args
        call = tool_call(name=reply.name, args=args, id=call_id())
        return self._generation("", [], prompt, len(ids), calls=[call])

    def _generation(
        self,
        text: str,
        citations: list[Any],
        prompt: int,
        spoken: int,
        *,
        calls: Sequence[Any] = (),
        clarification: str = "",
        about: str = "",
        abstained: bool = False,
    ) -> Generation:
        speaker = self._engine.speaker(self._chat.adapter)
        message = AIMessage(
            content=text,
            tool_calls=list(calls),
            usage_metadata=UsageMetadata(input_tokens=prompt, output_tokens=spoken, total_tokens=prompt + spoken),
            response_metadata={"speaker": speaker, "model_name": self._engine.local.name, "finish_reason": "stop"},
        )
        return Generation(
            message=message,
            citations=citations,
            clarification=clarification,
            about=about,
            abstained=abstained,
            speaker=speaker,
        )


def _once_each(args: dict[str, Any], tools: Sequence[ToolSpec], name: str, spoken: Sequence[str]) -> dict[str, Any]:
    """No date twice: one that repeats becomes the only one that is left, or is left out, so that it is asked for."""
    properties = next(tool["parameters"]["properties"] for tool in tools if tool["name"] == name)
    words = list(dict.fromkeys(word for text in spoken for word in date_words(text)))
    kept: dict[str, Any] = {}
    for key, value in args.items():
        if properties.get(key, {}).get("format") == "date" and value in kept.values():
            left = [word for word in words if word not in args.values()]
            if len(left) == 1:
                kept[key] = left[0]
            continue
        kept[key] = value
    return kept
