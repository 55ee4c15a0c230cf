"""One turn of a base that this project trains: read what is wanted, then fill in the call line by line.

Which tool, or which sentence of the evidence: the network of words of the base (``adapters.alike``) says how alike they
and the request are, and the request is read after each of them, and after nothing. Where it finds either meant and
not the other, the others are not read; else a tool is wanted where it makes the request likelier by ``call_least``.
Among tools the reading counts, their likeness, and how much likelier the conversation makes their names, which is what
decisions teach an adapter; among sentences reading, likeness, and the words that they share or that mean the same
(``speakers.meant``), without the name of a house and none of another house's (``speakers.named``). A sentence is told
if one is worth ``abstain_margin`` at least with its lead over the others; which one, words say alone where the question
has those of the document (``Decoding.ranked``); others of its document may belong to the answer (``speakers.beside``).
What no reading would bring to the front is not read.

Thanks at the end of what a user says are not read (``forms.courtesy``).

The arguments of the tool are filled in one after another with values that can stand there at all (``forms.values``), or
with nothing where the model finds that nothing was said (``speakers.options``); the likeliest whole call is taken. A
required argument that stays open is asked for in the model's words. A tool's result is told by its likeliest line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AnyMessage
from langchain_core.messages.tool import tool_call

from adapters.alike import LEAST
from adapters.decoding import Decoding
from adapters.forms.datewords import spelled
from adapters.forms.offers import call_id
from adapters.forms.values import Spans, Start, choices, property_of
from adapters.local.branches import Branches
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
    value_text,
)
from adapters.speakers.beside import together
from adapters.speakers.evidence import Evidence, following, gather
from adapters.speakers.lexical import worth
from adapters.speakers.meant import around, held
from adapters.speakers.named import Apart, apart
from adapters.speakers.options import Options, Request, probabilities, summed
from adapters.speakers.questions import question_about
from adapters.speakers.rendering import READING, reading_text, rendered, unthanked_turns
from adapters.speakers.turns import abstention, answer, generation, wordless
from state import JSON, Generation, Language, Passage, ToolSpec

if TYPE_CHECKING:
    from adapters.alike.content import Contents
    from adapters.alike.likeness import Lexicon, Likeness

QUESTION_TOKENS: Final = 32
STARTS: Final = 12  # of a value, the likeliest by their first token
DRAFTS: Final = 4
FAINT: Final = 1e-4  # a place to begin that is less likely than this against the best value is not read on from
HOPEFUL: Final = 0.02  # a place to begin that is at least so likely against the likeliest is read on from at once
LEANS: Final = -9.0  # of likeness: from here on a tool is all but meant
FARTHER: Final = 4.0  # nats by which all sentences are then less alike than it is
EASED: Final = 20.0  # nats by which its reading may then fall short of ``call_least``
SPREAD: Final = 40.0  # nats by which readings of sentences differ at most: what is behind by more is not read
TOOLSETS: Final = 64  # sets of tools whose names' likelihoods after no conversation are kept
TOLD_TOKENS: Final = 32  # of a result's line: more than enough to tell it from the others


@dataclass
class _Draft:
    """A call as far as it is filled in, and its log likelihood. ``line``: the tokens of its last line's value."""

    likelihood: float
    values: dict[str, JSON]
    line: list[int]


def _ended(starts: Sequence[Start], steps: Sequence[tuple[Any, Any]]) -> Iterator[tuple[str, float]]:
    """The values that begin at some places, each with its log likelihood; one may come several times.

    After some tokens the line ends, or one of those follows that follow these tokens at any of the places: the model's
    likelihoods are shared between all of these. Where "the" stands three times its continuations vie with each other.
    """
    places: dict[tuple[int, int], int] = {}  # in a tree of what was said so far: where a token leads from a place
    ways: dict[int, dict[int | None, float]] = {}
    paths: list[list[int]] = []
    for start, (tokens, stops) in zip(starts, steps, strict=True):
        path = [0]
        for token in start.ids:
            path.append(places.setdefault((path[-1], token), len(places) + 1))
        for count, _ in start.ends:
            ways.setdefault(path[count], {})[None] = float(stops[count - 1])
        for count in range(1, len(start.ids)):
            ways.setdefault(path[count], {})[start.ids[count]] = float(tokens[count])
        paths.append(path)
    whole = {place: summed(list(on.values())) for place, on in ways.items()}
    for start, path, (tokens, _) in zip(starts, paths, steps, strict=True):
        score, ends = float(tokens[0]), dict(start.ends)
        for count, place in enumerate(path[1:], 1):
            if count in ends:
                yield ends[count], score + ways[place][None] - whole[place]
            if count < len(start.ids):
                score += ways[place][start.ids[count]] - whole[place]


class ReadingSpeaker:
    """Speaks for a ChatLlama whose base was made by ``adapters.training``."""

    def __init__(self, chat: ChatLlama, decoding: Decoding) -> None:
        self._chat = chat
        self._engine: Engine = chat.engine
        self.decoding = decoding
        self._alone: dict[tuple[str | None, tuple[str, ...]], list[float]] = {}
        self._begun: dict[tuple[str | None, int], Prefix] = {}
        self._lexicon: Lexicon | None = None
        self._content: Contents | None = None

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
        turns, prompt = unthanked_turns(messages), self.prompt_of(messages)
        if pending and not evidence:
            return wordless(self._chat, language, len(prompt))
        if pending:
            return self._tell(prompt, evidence)
        tool, told = self._wanted(prompt, request_of(turns), tools, evidence)
        if tool is not None:
            return self._call(prompt, tool, turns)
        if not told:
            return abstention(self._chat, language, len(prompt))
        return answer(self._chat, told, len(prompt), sum(len(self._engine.encode(row.text)) for row in told))

    def prompt_of(self, messages: Sequence[AnyMessage]) -> list[int]:
        """The conversation as it is read before anything is written."""
        return self._engine.encode(render(unthanked_turns(messages)))

    def _wanted(
        self, prompt: list[int], request: str, tools: Sequence[ToolSpec], evidence: Sequence[Evidence]
    ) -> tuple[ToolSpec | None, list[Evidence]]:
        """The tool that is wanted, or else the sentences that answer, none where nothing does."""
        bare = self.apart(request, [row.text for row in evidence])
        kept = [i for i, own in enumerate(bare.whose) if own is not False]
        rows, sentences = [evidence[i] for i in kept], [bare.sentences[i] for i in kept]
        tooled = [(purpose(tool), True) for tool in tools]
        of_tools, of_told = self._alike(request, [text for text, _ in tooled], bare.question, sentences)
        wants, tokens = self._known(of_tools, of_told), self.tokens(request)
        share = self.decoding.trusted(tokens)
        shared = [] if wants else self.shared(bare.question, sentences, following(rows))
        worths, ranks = ([], []) if wants else self._unread(bare, kept, rows, of_told, shared, tokens)
        near = sorted({i for each in (worths, ranks) for i, w in enumerate(each) if w >= max(each) - SPREAD * share})
        read = [*(tooled if wants is not False else []), *((rows[i].text, False) for i in near)]
        margins = self.margins(request, read) if read else []
        if wants is None:
            calls = margins[: len(tools)]
            eased = EASED if self._leans(of_tools, of_told) else 0.0
            wants = max(calls, default=-math.inf) >= self.decoding.call_least(tokens) - eased
            margins = calls if wants else margins[len(tools) :]
        if wants:
            each, decoding = zip(margins, self.named(prompt, tools), of_tools, strict=True), self.decoding
            wish = [m + decoding.name_weight * n + decoding.likeness_weight * a for m, n, a in each]
            return tools[max(range(len(tools)), key=wish.__getitem__)], []
        for i, margin in zip(near, margins, strict=True):
            worths[i] += share * margin
            ranks[i] += share * margin
        if not near or self.decoding.stands(worths, max(near, key=worths.__getitem__)) < self.decoding.abstain_margin:
            return None, []
        best = max(near, key=ranks.__getitem__)
        return None, [rows[i] for i in together(best, rows, of_told, shared, self.decoding.together_least)]

    def _unread(
        self, bare: Apart, kept: Sequence[int], rows: Sequence[Evidence], alike: Sequence[float],
        shared: Sequence[float], tokens: int,
    ) -> tuple[list[float], list[float]]:  # fmt: skip
        """What each sentence that is kept is worth before it is read: whether it answers, and which of them does."""
        sentences, strange = [bare.sentences[i] for i in kept], self.strange(bare.question)
        whole = self._around(bare.question, sentences, [row.passage for row in rows])
        whether = self.decoding.told(tokens, [0.0] * len(rows), shared, alike, strange)
        which = self.decoding.ranked(shared, alike, whole, strange)
        named = [self.decoding.named_weight * bool(bare.whose[i]) for i in kept]
        return [w + n for w, n in zip(whether, named, strict=True)], [w + n for w, n in zip(which, named, strict=True)]

    def _alike(
        self, request: str, tools: Sequence[str], question: str, sentences: Sequence[str]
    ) -> tuple[list[float], list[float]]:
        """How alike the request is to each tool, and the question in it to each sentence."""
        if question != request:
            return self.likenesses(request, tools), self.likenesses(question, sentences)
        both = self.likenesses(request, [*tools, *sentences])
        return both[: len(tools)], both[len(tools) :]

    def _known(self, of_tools: Sequence[float], of_told: Sequence[float]) -> bool | None:
        """Whether a tool is wanted by the network of words; None where it finds nothing meant, or both, or is none.

        Who asks who may approve a refund names what the tool does and what the rule says: that has to be read.
        """
        tool, sentence = max(of_tools, default=LEAST), max(of_told, default=LEAST)
        if not self.decoding.likeness_weight or (tool > 0) == (sentence > 0):
            return None
        return tool > sentence

    def _leans(self, of_tools: Sequence[float], of_told: Sequence[float]) -> bool:
        """Whether the network all but finds a tool meant, and no sentence: words of a trade that nobody taught."""
        tool, sentence = max(of_tools, default=LEAST), max(of_told, default=LEAST)
        return bool(self.decoding.likeness_weight) and LEANS < tool <= 0 and sentence < tool - FARTHER

    def apart(self, request: str, sentences: Sequence[str]) -> Apart:
        """Request and sentences without the house that the request names; as they are where it names none."""
        found = apart(request, sentences) if self.decoding.named_weight else None
        return found or Apart(request, list(sentences), [None] * len(sentences))

    def named(self, prompt: list[int], tools: Sequence[ToolSpec]) -> list[float]:
        """By how many nats the conversation makes each tool's name likelier than no conversation does.

        So a tool whose name the model was never taught is neither preferred nor pushed aside.
        """
        names = tuple(tool["name"] for tool in tools)
        key = (self._chat.adapter, names)
        alone = self._alone.get(key)
        if alone is None:
            if len(self._alone) >= TOOLSETS:
                self._alone.clear()
            alone = self._alone[key] = self._names(self._engine.encode(render([Turn("user", "")])), names)
        return [a - b for a, b in zip(self._names(prompt, names), alone, strict=True)]

    def _names(self, ids: list[int], names: Sequence[str]) -> list[float]:
        rows = [self._engine.encode(f"{name}\n") for name in names]
        return [score.total for score in self._engine.score(self._engine.read(ids, adapter=self._chat.adapter), rows)]

    def tokens(self, request: str) -> int:
        """How many tokens a request is read as."""
        return len(self._engine.encode(asked(request)))

    def margins(self, request: str, candidates: Sequence[tuple[str, bool]]) -> list[float]:
        """What each candidate (a text, and whether it is a tool's) is worth to ``request`` against nothing, in nats."""
        weight = self.decoding.verdict_weight
        return [read + weight * verdict for read, verdict in self.readings(request, candidates)]

    def readings(self, request: str, candidates: Sequence[tuple[str, bool]]) -> list[tuple[float, float]]:
        """By how many nats each candidate makes ``request`` likelier, and the log odds of "it fits" after it."""
        engine, words = self._engine, self._engine.encode(asked(request))
        leads = [engine.encode(lead(text, tool=tool)) for text, tool in [("", False), *candidates]]
        prefix = self._begin(leads[0][0])
        steps = engine.steps(prefix, [ids[1:] + words for ids in leads], engine.encode(FITS)[0])
        read = [float(tokens[-len(words) :].sum()) for tokens, _ in steps]
        fits = [min(float(fits[-1]), -1e-6) for _, fits in steps]
        odds = [f - math.log1p(-math.exp(f)) for f in fits]
        return [(r - read[0], o) for r, o in zip(read[1:], odds[1:], strict=True)]

    def likenesses(self, request: str, candidates: Sequence[str]) -> list[float]:
        """By how many nats ``request`` is for each candidate (a tool's purpose, a sentence) by the table of words.

        Zeros where the base has none (``likeness_weight`` 0).
        """
        if not self.decoding.likeness_weight:
            return [0.0] * len(candidates)
        from adapters.alike.likeness import Lexicon
        from adapters.alike.meanings import meanings

        if self._lexicon is None:
            self._lexicon = Lexicon(lambda texts: [self._engine.encode(text) for text in texts], meanings())
        return self._network().alike(self._lexicon, request, candidates)

    def shared(self, request: str, sentences: Sequence[str], follows: Sequence[bool] = ()) -> list[float]:
        """What speaks for each sentence by the words of both (``lexical.worth``), and by what these mean."""
        words, weight = worth(request, sentences, follows), self.decoding.meant_weight
        if not weight:
            return words
        content = self._contents().of
        meant = held(content(request), [content(text) for text in sentences], follows)
        return [w + weight * m for w, m in zip(words, meant, strict=True)]

    def _around(self, request: str, sentences: Sequence[str], passages: Sequence[str]) -> list[float]:
        """The share of the request's words that the passage of each sentence holds; zeros where that does not count."""
        if not self.decoding.passage_weight:
            return [0.0] * len(sentences)
        content = self._contents().of
        return around(content(request), [content(text) for text in sentences], passages)

    def _contents(self) -> Contents:
        from adapters.alike.content import Contents
        from adapters.alike.meanings import meanings

        if self._content is None:
            self._content = Contents(meanings())
        return self._content

    def strange(self, request: str) -> float:
        """The share of the request's words that the network of words was never taught; 0 without one."""
        if not self.decoding.likeness_weight or not self.decoding.strange_weight:
            return 0.0
        return self._network().strange(request)

    def _network(self) -> Likeness:
        from adapters.alike.likeness import read_likeness  # torch comes with it

        return read_likeness(self._engine.local.directory)

    def _begin(self, first: int) -> Prefix:
        """The mark that every text begins with, read once; whoever scores after it leaves it as it is."""
        key = (self._chat.adapter, first)
        if key not in self._begun:
            self._begun[key] = self._engine.read([first], adapter=self._chat.adapter)
        return self._begun[key]

    def _call(self, prompt: list[int], tool: ToolSpec, turns: Sequence[Turn]) -> Generation:
        """The call with everything that was said, or a question about the first required argument that was not.

        A few calls are followed side by side where the model hesitates, and the likeliest whole one is taken.
        """
        engine, request = self._engine, Request(tool, turns)
        if request.last:  # either day of a range is copied, so both have to stand there
            prompt = engine.encode(render([t._replace(content=spelled(t.content)) for t in turns]))
        prefix = engine.read([*prompt, *engine.encode(f"{tool['name']}\n")], adapter=self._chat.adapter, reserve=32)
        spans, branches = Spans(engine.encode, request.texts, done=request.done), Branches(engine, prefix)
        drafts = [_Draft(0.0, {}, [])]
        for name, spec in property_of(tool["parameters"]):
            branches.extend([[*draft.line, *engine.encode(f"{name}:")] for draft in drafts])
            grown: list[tuple[float, int, JSON]] = []
            for n, found in enumerate(self._values(branches, name, spec, request, spans)):
                options = request.options(name, spec, found, drafts[n].values)
                grown += [(drafts[n].likelihood + math.log(p), n, value) for p, value in options]
            grown.sort(key=lambda option: -option[0])
            branches = branches.take([n for _, n, _ in grown[:DRAFTS]])
            drafts = [self._grown(drafts[n], name, value, total) for total, n, value in grown[:DRAFTS]]
        best = drafts[0]
        spoken = len(branches.rows[0].ids) - len(prompt) + len(best.line)
        missing = next((name for name in request.required if name not in best.values), None)
        if missing is not None:
            return self._ask(prompt, tool, missing, spoken, " ".join(t.content for t in turns if t.role == "user"))
        call = tool_call(name=tool["name"], args=best.values, id=call_id())
        return generation(self._chat, "", [], len(prompt), spoken, calls=[call])

    def _grown(self, draft: _Draft, name: str, value: JSON, likelihood: float) -> _Draft:
        """A draft with one more line; the draft itself stays as it is."""
        values = draft.values if value is None else {**draft.values, name: value}
        return _Draft(likelihood, values, self._engine.encode(value_text(value)))

    def _values(
        self, branches: Branches, name: str, spec: dict[str, Any], request: Request, spans: Spans
    ) -> list[Options]:
        """What may stand in the line of an argument, for each draft, with its probability, likeliest first.

        None is "nothing said". The first token says whether anything was said; the values then share what is left by
        their whole likelihood, so that a long value is not at a disadvantage against none.
        """
        dash = self._engine.encode(f" {NOTHING}")[:1]
        nothing = [math.exp(self._engine.likelihoods(row, dash)[0]) for row in branches.rows]
        found = choices(spec, request.texts)
        if found is None:
            starts = request.begins(name, spans.starts(int(spec.get("maxLength", 0))))
            scored = self._copied(branches, starts)
        else:
            scored = self._listed(branches, found)
        return [probabilities(n, s) for n, s in zip(nothing, scored, strict=True)]

    def _listed(self, branches: Branches, values: Sequence[JSON]) -> list[list[tuple[float, JSON]]]:
        rows = [self._engine.encode(value_text(value)) for value in values]
        # The last token, the end of the line, is the stop of the token before it: it needs no reading.
        steps = branches.steps([[ids[:-1] for ids in rows]] * len(branches.rows), self._newline)
        return [
            [(float(tokens.sum() + stops[-1]), value) for (tokens, stops), value in zip(of_row, values, strict=True)]
            for of_row in steps
        ]

    @property
    def _newline(self) -> int:
        return self._engine.encode("\n")[0]

    def _copied(self, branches: Branches, starts: Sequence[Start]) -> list[list[tuple[float, JSON]]]:
        """Spans of the words, from the places where the model would begin, for each draft.

        A value is at most as likely as its first token. So the hopeful beginnings are read on from first, and others
        only where they could still weigh something against the best of those.
        """
        engine = self._engine
        if not starts:
            return [[] for _ in branches.rows]
        best: list[dict[str, float]] = [{} for _ in branches.rows]
        kept: list[list[tuple[float, Start]]] = []
        for row in branches.rows:
            likely = engine.likelihoods(row, [start.ids[0] for start in starts])
            order = sorted(range(len(starts)), key=lambda i, likely=likely: -likely[i])[:STARTS]  # type: ignore[misc]
            kept.append([(likely[i], starts[i]) for i in order])
        least = [of_row[0][0] + math.log(HOPEFUL) for of_row in kept]
        self._follow(
            branches, [[s for p, s in of_row if p >= at] for of_row, at in zip(kept, least, strict=True)], best
        )
        left = [
            [s for p, s in of_row if max(values.values(), default=-math.inf) + math.log(FAINT) <= p < at]
            for of_row, at, values in zip(kept, least, best, strict=True)
        ]
        self._follow(branches, left, best)
        return [[(score, text) for text, score in values.items()] for values in best]

    def _follow(self, branches: Branches, starts: Sequence[Sequence[Start]], best: Sequence[dict[str, float]]) -> None:
        """Put the values that begin there, with their log likelihoods, into ``best``."""
        steps = branches.steps([[start.ids for start in of_row] for of_row in starts], self._newline)
        for of_row, found, values in zip(starts, steps, best, strict=True):
            for text, score in _ended(of_row, found):
                values[text] = max(values.get(text, -math.inf), score)

    def _ask(self, prompt: list[int], tool: ToolSpec, name: str, spoken: int, asked: str) -> Generation:
        engine, about = self._engine, f"{tool['name']}.{name}"
        prefix = engine.read([*prompt, *engine.encode(asking(about))], adapter=self._chat.adapter, reserve=32)
        ids = [t for step in engine.generate(prefix, max_tokens=QUESTION_TOKENS) for t in step]
        said = " ".join(engine.decode(ids).split()) if len(ids) < QUESTION_TOKENS else ""
        question = question_about(tool, name, said, asked=asked)
        return generation(self._chat, question, [], len(prompt), spoken + len(ids), clarification=question, about=about)

    def _tell(self, prompt: list[int], lines: Sequence[Evidence]) -> Generation:
        """The line of a tool's result that says what came of it."""
        engine = self._engine
        prefix = engine.read(prompt, adapter=self._chat.adapter)
        rows = [engine.encode(spaced(line.text))[:TOLD_TOKENS] for line in lines]
        scores = [score.total for score in engine.score(prefix, rows)]
        chosen = lines[max(range(len(lines)), key=scores.__getitem__)]
        return answer(self._chat, [chosen], len(prompt), len(engine.encode(chosen.text)))
