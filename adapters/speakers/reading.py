"""One turn of a base that this project trains: read what is wanted, then fill in the call line by line.

Which tool, or which sentence of the evidence: the request is read after each of them, and after nothing. A tool is
wanted where it makes the request likelier by ``call_least``, else the sentence that makes it the likeliest is meant, if
by ``abstain_margin`` at least. Among tools it also counts how much likelier the conversation makes their names. The
arguments of the tool are filled in one after another with values that can stand there at all (``forms.values``), or
with nothing where the model finds that nothing was said; the likeliest whole call is taken. A required argument that
stays open is asked for in the model's words. A tool's result is told by its likeliest line.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import AnyMessage
from langchain_core.messages.tool import tool_call

from adapters.decoding import Decoding
from adapters.forms.dayorder import backwards, dated
from adapters.forms.offers import call_id
from adapters.forms.values import Spans, choices, is_date, property_of, used_up
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine, Prefix
from adapters.prompt import (
    FITS,
    NOTHING,
    Turn,
    asked,
    asking,
    lead,
    purpose,
    render,
    request_of,
    spaced,
    turns_of,
    value_text,
)
from adapters.speakers.evidence import Evidence, following, gather, worth
from adapters.speakers.rendering import READING, reading_text, rendered
from adapters.speakers.turns import abstention, answer, generation
from state import JSON, Generation, Language, Passage, ToolSpec

QUESTION_TOKENS: Final = 32
STARTS: Final = 12  # of a value, the likeliest by their first token
DRAFTS: Final = 4
DOUBT: Final = 0.003  # a value less likely than this is not followed
UNSAID: Final = 0.001  # how likely "nothing was said" stays where a date is left over, against what the model says
TOLD_TOKENS: Final = 32  # of a result's line: more than enough to tell it from the others


@dataclass
class _Draft:
    """A call as far as it is filled in, and its log likelihood."""

    likelihood: float
    prefix: Prefix
    values: dict[str, JSON]


def _can_stand(name: str, value: JSON, values: dict[str, JSON], texts: Sequence[str]) -> bool:
    """Whether a value may join those of a draft: its words are not taken, and no stay ends before it begins."""
    return not used_up(value, values, texts) and not backwards(name, value, values)


def _meant(
    options: list[tuple[float, JSON]], values: dict[str, JSON], texts: Sequence[str]
) -> list[tuple[float, JSON]]:
    """The options of a tool's last date: a date that was said and that no other argument took is meant for this one."""
    if all(value is None or used_up(value, values, texts) for _, value in options):
        return options
    left = [(p * UNSAID if value is None else p, value) for p, value in options]
    return [(p / math.fsum(p for p, _ in left), value) for p, value in left]


class ReadingSpeaker:
    """Speaks for a ChatLlama whose base was made by ``adapters.training``."""

    def __init__(self, chat: ChatLlama, decoding: Decoding) -> None:
        self._chat = chat
        self._engine: Engine = chat.engine
        self.decoding = decoding

    def turn(
        self, messages: Sequence[AnyMessage], passages: Sequence[Passage], tools: Sequence[ToolSpec], language: Language
    ) -> Generation:
        """The next turn."""
        told = rendered(READING, reading_text(messages, passages, tools))
        return {**self._turn(messages, passages, tools, language), "prompt": told}

    def _turn(
        self, messages: Sequence[AnyMessage], passages: Sequence[Passage], tools: Sequence[ToolSpec], language: Language
    ) -> Generation:
        evidence, pending = gather(messages, passages)
        turns, prompt = turns_of(messages), self.prompt_of(messages)
        if pending:
            return self._tell(prompt, evidence)
        tool, n = self._wanted(prompt, request_of(turns), tools, evidence)
        if tool is not None:
            return self._call(prompt, tool, [t.content for t in turns if t.role != "assistant"])
        if n == 0:
            return abstention(self._chat, language, len(prompt))
        return answer(self._chat, evidence[n - 1], len(prompt), len(self._engine.encode(evidence[n - 1].text)))

    def prompt_of(self, messages: Sequence[AnyMessage]) -> list[int]:
        """The conversation as it is read before anything is written."""
        return self._engine.encode(render(turns_of(messages)))

    def _wanted(
        self, prompt: list[int], request: str, tools: Sequence[ToolSpec], evidence: Sequence[Evidence]
    ) -> tuple[ToolSpec | None, int]:
        """The tool that is wanted, or else the number of the sentence that answers, 0 for none."""
        sentences = [row.text for row in evidence]
        candidates = [(purpose(tool), True) for tool in tools] + [(text, False) for text in sentences]
        margins = self.margins(request, candidates)
        calls, told = margins[: len(tools)], margins[len(tools) :]
        shared = worth(request, sentences, following(evidence))
        told = [m + self.decoding.overlap_weight * s for m, s in zip(told, shared, strict=True)]
        call, answer = max(calls, default=-math.inf), max(told, default=-math.inf)
        if call >= self.decoding.call_least(len(self._engine.encode(asked(request)))):
            wish = [m + self.decoding.name_weight * n for m, n in zip(calls, self.named(prompt, tools), strict=True)]
            return tools[max(range(len(tools)), key=wish.__getitem__)], 0
        return None, told.index(answer) + 1 if told and answer >= self.decoding.abstain_margin else 0

    def named(self, prompt: list[int], tools: Sequence[ToolSpec]) -> list[float]:
        """By how many nats the conversation makes each tool's name likelier than no conversation does.

        So a tool whose name the model was never taught is neither preferred nor pushed aside.
        """
        rows = [self._engine.encode(f"{tool['name']}\n") for tool in tools]
        after, alone = (
            self._engine.score(self._engine.read(ids, adapter=self._chat.adapter), rows)
            for ids in (prompt, self._engine.encode(render([Turn("user", "")])))
        )
        return [a.total - b.total for a, b in zip(after, alone, strict=True)]

    def margins(self, request: str, candidates: Sequence[tuple[str, bool]]) -> list[float]:
        """What each candidate (a text, and whether it is a tool's) is worth to ``request`` against nothing, in nats."""
        weight = self.decoding.verdict_weight
        return [read + weight * verdict for read, verdict in self.readings(request, candidates)]

    def readings(self, request: str, candidates: Sequence[tuple[str, bool]]) -> list[tuple[float, float]]:
        """By how many nats each candidate makes ``request`` likelier, and the log odds of "it fits" after it."""
        engine, words = self._engine, self._engine.encode(asked(request))
        leads = [engine.encode(lead(text, tool=tool)) for text, tool in [("", False), *candidates]]
        prefix = engine.read(leads[0][:1], adapter=self._chat.adapter)
        steps = engine.steps(prefix, [ids[1:] + words for ids in leads], engine.encode(FITS)[0])
        read = [float(tokens[-len(words) :].sum()) for tokens, _ in steps]
        fits = [min(float(fits[-1]), -1e-6) for _, fits in steps]
        odds = [f - math.log1p(-math.exp(f)) for f in fits]
        return [(r - read[0], o) for r, o in zip(read[1:], odds[1:], strict=True)]

    def _call(self, prompt: list[int], tool: ToolSpec, texts: Sequence[str]) -> Generation:
        """The call with everything that was said, or a question about the first required argument that was not.

        A few calls are followed side by side where the model hesitates, and the likeliest whole one is taken.
        """
        engine, schema = self._engine, tool["parameters"]
        prefix = engine.read([*prompt, *engine.encode(f"{tool['name']}\n")], adapter=self._chat.adapter, reserve=32)
        spans = Spans(engine.encode, texts)
        drafts = [_Draft(0.0, prefix, {})]
        last = next((name for name, spec in reversed(list(property_of(schema))) if is_date(spec)), "")
        for name, spec in property_of(schema):
            grown: list[tuple[float, _Draft, JSON]] = []
            for draft in drafts:
                engine.extend(draft.prefix, engine.encode(f"{name}:"))
                found = self._values(draft.prefix, spec, texts, spans)
                if last and not is_date(spec):
                    found = [(p, v) for p, v in found if not dated(v)]
                if name == last:
                    found = _meant(found, draft.values, texts)
                free = [(p, v) for p, v in found if p >= DOUBT and _can_stand(name, v, draft.values, texts)]
                grown += [(draft.likelihood + math.log(p), draft, value) for p, value in free or [(DOUBT, None)]]
            grown.sort(key=lambda option: -option[0])
            drafts = [self._grown(draft, name, value, total) for total, draft, value in grown[:DRAFTS]]
        best = drafts[0]
        spoken = len(best.prefix.ids) - len(prompt)
        missing = next((name for name in schema.get("required", []) if name not in best.values), None)
        if missing is not None:
            return self._ask(prompt, f"{tool['name']}.{missing}", spoken)
        call = tool_call(name=tool["name"], args=best.values, id=call_id())
        return generation(self._chat, "", [], len(prompt), spoken, calls=[call])

    def _grown(self, draft: _Draft, name: str, value: JSON, likelihood: float) -> _Draft:
        """A draft with one more line; the draft itself stays as it is."""
        prefix = Prefix(list(draft.prefix.ids), copy.deepcopy(draft.prefix.cache), None, draft.prefix.adapter)
        self._engine.extend(prefix, self._engine.encode(value_text(value)))
        return _Draft(likelihood, prefix, draft.values if value is None else {**draft.values, name: value})

    def _values(
        self, prefix: Prefix, spec: dict[str, Any], texts: Sequence[str], spans: Spans
    ) -> list[tuple[float, JSON]]:
        """What may stand in the line of an argument, with its probability, likeliest first; None is "nothing said".

        The first token says whether anything was said; the values then share what is left by their whole likelihood,
        so that a long value is not at a disadvantage against none.
        """
        engine = self._engine
        nothing = math.exp(engine.likelihoods(prefix, [engine.encode(f" {NOTHING}")[0]])[0])
        found = choices(spec, texts)
        scored = self._copied(prefix, spans, spec) if found is None else self._listed(prefix, found)
        if not scored:
            return [(1.0, None)]
        highest = max(score for score, _ in scored)
        whole = math.fsum(math.exp(score - highest) for score, _ in scored)
        shares = [((1 - nothing) * math.exp(score - highest) / whole, value) for score, value in scored]
        options: list[tuple[float, JSON]] = [*shares, (nothing, None)]
        options.sort(key=lambda option: -option[0])
        return options

    def _listed(self, prefix: Prefix, values: Sequence[JSON]) -> list[tuple[float, JSON]]:
        rows = [self._engine.encode(value_text(value)) for value in values]
        return [(score.total, value) for score, value in zip(self._engine.score(prefix, rows), values, strict=True)]

    def _copied(self, prefix: Prefix, spans: Spans, spec: dict[str, Any]) -> list[tuple[float, JSON]]:
        """Spans of the words, from the places where the model would begin.

        After the first token only two things may come, the next one of the words or the end of the line, so the
        model's likelihoods are shared between these two.
        """
        engine = self._engine
        starts = spans.starts(int(spec.get("maxLength", 0)))
        likely = engine.likelihoods(prefix, [start.ids[0] for start in starts])
        kept = [starts[i] for i in sorted(range(len(starts)), key=lambda i: -likely[i])[:STARTS]]
        steps = engine.steps(prefix, [start.ids for start in kept], engine.encode("\n")[0]) if kept else []
        best: dict[str, float] = {}
        for start, (tokens, stops) in zip(kept, steps, strict=True):
            score, ends = float(tokens[0]), dict(start.ends)
            for count in range(1, len(start.ids) + 1):
                last = count == len(start.ids)
                on, end = (-math.inf if last else float(tokens[count])), float(stops[count - 1])
                both = max(on, end) + math.log1p(math.exp(-abs(on - end)))
                if count in ends:
                    text = ends[count]
                    best[text] = max(best.get(text, -math.inf), score + end - both)
                    score += on - both
        return [(score, text) for text, score in best.items()]

    def _ask(self, prompt: list[int], about: str, spoken: int) -> Generation:
        engine = self._engine
        prefix = engine.read([*prompt, *engine.encode(asking(about))], adapter=self._chat.adapter, reserve=32)
        ids = [t for step in engine.generate(prefix, max_tokens=QUESTION_TOKENS) for t in step]
        question = " ".join(engine.decode(ids).split())
        if len(ids) >= QUESTION_TOKENS or not question.endswith(("?", "요", "요.", "까")):
            question = f"{about.partition('.')[2].replace('_', ' ')}?"  # the model's words made no question
        return generation(self._chat, question, [], len(prompt), spoken + len(ids), clarification=question, about=about)

    def _tell(self, prompt: list[int], lines: Sequence[Evidence]) -> Generation:
        """The line of a tool's result that says what came of it."""
        engine = self._engine
        prefix = engine.read(prompt, adapter=self._chat.adapter)
        rows = [engine.encode(spaced(line.text))[:TOLD_TOKENS] for line in lines]
        scores = [score.total for score in engine.score(prefix, rows)]
        chosen = lines[max(range(len(lines)), key=scores.__getitem__)]
        return answer(self._chat, chosen, len(prompt), len(engine.encode(chosen.text)))
